//! A pair shrunk to 16×16 in both cameras.

use caf_geometry::Size;
use caf_image::Plane;

use crate::sample::Sample;

/// Columns and rows of a thumbnail.
pub const THUMBNAIL_SIDE: usize = 16;

/// Area means of both images on a 16×16 grid, whatever their shape. Two are equal only for equal means in every cell,
/// which different photographs do not have.
#[derive(Debug, Clone, PartialEq)]
pub struct Thumbnail {
    ir: Cells,
    vi: Cells,
}

impl Thumbnail {
    /// The thumbnail of a pair; of the visible image its luma.
    #[must_use]
    pub fn of(sample: &Sample) -> Self {
        Self { ir: Cells::of(&sample.ir), vi: Cells::of(&sample.vi_luma()) }
    }

    /// The smaller of the two cameras' correlation coefficients, in \[-1,1\]: a copy is alike in both, whereas two
    /// streets may well be alike in one. A flat image correlates with nothing (0).
    #[must_use]
    pub fn correlation(&self, other: &Self) -> f32 {
        self.ir.correlation(&other.ir).min(self.vi.correlation(&other.vi))
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Cells {
    /// Deviations from the mean, scaled to unit length; all 0 for a flat image.
    shape: Vec<f32>,
    mean: f32,
    /// Length of the deviations before scaling.
    contrast: f32,
}

impl Cells {
    fn of(plane: &Plane) -> Self {
        let Size { width, height } = plane.size();
        let mut cells = vec![0f64; THUMBNAIL_SIDE * THUMBNAIL_SIDE];
        for (row, line) in cells.chunks_exact_mut(THUMBNAIL_SIDE).enumerate() {
            for (column, cell) in line.iter_mut().enumerate() {
                *cell = mean_of(plane, bounds(column, width), bounds(row, height));
            }
        }
        let mean = cells.iter().sum::<f64>() / cells.len() as f64;
        let contrast = cells.iter().map(|c| (c - mean).powi(2)).sum::<f64>().sqrt();
        // Below a thousandth of a gray level there is only rounding.
        let scale = if contrast > 1e-5 { 1.0 / contrast } else { 0.0 };
        Self {
            shape: cells.iter().map(|c| ((c - mean) * scale) as f32).collect(),
            mean: mean as f32,
            contrast: contrast as f32,
        }
    }

    fn correlation(&self, other: &Self) -> f32 {
        self.shape.iter().zip(&other.shape).map(|(a, b)| a * b).sum()
    }
}

/// First and one past the last pixel of a cell; at least one pixel, also of images smaller than the grid.
fn bounds(cell: usize, length: usize) -> (usize, usize) {
    let start = (cell * length / THUMBNAIL_SIDE).min(length - 1);
    (start, ((cell + 1) * length / THUMBNAIL_SIDE).max(start + 1))
}

fn mean_of(plane: &Plane, (x0, x1): (usize, usize), (y0, y1): (usize, usize)) -> f64 {
    let rows = plane.data().chunks_exact(plane.width()).take(y1).skip(y0);
    let sum: f64 = rows.flat_map(|row| row.iter().take(x1).skip(x0)).map(|&v| f64::from(v)).sum();
    sum / ((x1 - x0) * (y1 - y0)) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_cover_every_pixel_once() {
        for length in [16, 17, 31, 480, 640] {
            let mut next = 0;
            for cell in 0..THUMBNAIL_SIDE {
                let (start, end) = bounds(cell, length);
                assert_eq!(start, next);
                next = end;
            }
            assert_eq!(next, length);
        }
        for length in 1..16 {
            assert!((0..THUMBNAIL_SIDE).all(|cell| bounds(cell, length).1 <= length));
        }
    }

    #[test]
    fn correlation_sees_through_brightness_and_contrast() {
        let ramp = Plane::new(Size::new(64, 48), (0..64 * 48).map(|i| (i % 64) as f32 / 64.0).collect()).unwrap();
        let dim = Plane::new(Size::new(64, 48), ramp.data().iter().map(|v| 0.1 + 0.5 * v).collect()).unwrap();
        let flipped = Plane::new(Size::new(64, 48), ramp.data().iter().map(|v| 1.0 - v).collect()).unwrap();
        let flat = Plane::filled(Size::new(64, 48), 0.3).unwrap();
        let of = Cells::of;
        assert!((of(&ramp).correlation(&of(&dim)) - 1.0).abs() < 1e-5);
        assert_ne!(of(&ramp), of(&dim), "alike, but not the same picture");
        assert!((of(&ramp).correlation(&of(&flipped)) + 1.0).abs() < 1e-5);
        assert_eq!(of(&ramp).correlation(&of(&flat)), 0.0);
    }
}
