//! Density maps of labelled objects, and how far a network's maps are from them.

use crate::error::SearchError;
use caf_contract::CELL_PX;
use caf_geometry::Size;
use caf_image::Label;
use tch::Tensor;

/// Maps of some images of one size: how many objects of each class there are in each cell, and which cells count.
///
/// An object is a Gaussian around the centre of its box, taken at the centres of the cells and divided by its sum, so that every object
/// counts 1 wherever it is. Cells whose centre lies in a region to ignore do not count, as outside a region of interest in the literature.
#[derive(Clone, Debug)]
pub(super) struct Densities {
    image: Size,
    /// Images, classes, rows, columns.
    shape: [usize; 4],
    /// Row-major.
    objects: Vec<f64>,
    /// 1 of a cell that counts, else 0: images, rows, columns.
    counts: Vec<f64>,
    sigma_px: f64,
}

impl Densities {
    /// Maps without objects of `n` images.
    pub fn new(n: usize, classes: usize, image: Size, sigma_px: f64) -> Self {
        let [rows, columns] = [image.height, image.width].map(|side| side.div_ceil(CELL_PX));
        let cells = n * rows * columns;
        let (objects, counts) = (vec![0.0; cells * classes], vec![1.0; cells]);
        Densities { image, shape: [n, classes, rows, columns], objects, counts, sigma_px }
    }

    /// Adds an object to an image.
    pub fn add(&mut self, image: usize, object: &Label) {
        let [_, classes, rows, columns] = self.shape;
        let class = object.class as usize;
        if class >= classes {
            return;
        }
        // The Gaussian of both axes is the product of theirs, and so is its sum.
        let down = gaussian(f64::from(object.cy) * self.image.height as f64, rows, self.sigma_px);
        let across = gaussian(f64::from(object.cx) * self.image.width as f64, columns, self.sigma_px);
        let map = self.objects.chunks_exact_mut((rows * columns).max(1)).nth(image * classes + class);
        for (row, down) in map.into_iter().flat_map(|map| map.chunks_exact_mut(columns.max(1))).zip(&down) {
            row.iter_mut().zip(&across).for_each(|(cell, across)| *cell += down * across);
        }
    }

    /// Leaves out the cells of an image whose centre lies in a region.
    pub fn ignore(&mut self, image: usize, region: &Label) {
        let [_, _, rows, columns] = self.shape;
        let bounds = region.to_pixels(self.image);
        let cells = self.counts.chunks_exact_mut((rows * columns).max(1)).nth(image);
        for (y, row) in cells.into_iter().flat_map(|cells| cells.chunks_exact_mut(columns.max(1))).enumerate() {
            for (x, cell) in row.iter_mut().enumerate() {
                let [x, y] = [x, y].map(|i| centre(i) as f32);
                if (bounds.x1..bounds.x2).contains(&x) && (bounds.y1..bounds.y2).contains(&y) {
                    *cell = 0.0;
                }
            }
        }
    }

    /// Half the squared differences between `maps` (`[n, classes, rows, columns]`, `scale` for each object) and these, summed over
    /// the cells that count, a mean over the images: CSRNet's loss, a differentiable scalar.
    ///
    /// # Errors
    /// When the shapes differ.
    pub fn loss(&self, maps: &Tensor, scale: f64) -> Result<Tensor, SearchError> {
        let [n, classes, rows, columns] = self.shape.map(|extent| extent as i64);
        let of = |values: &[f64], classes: i64| -> Result<Tensor, SearchError> {
            let tensor = Tensor::f_from_slice(values)?.f_reshape([n, classes, rows, columns])?;
            Ok(tensor.f_to_kind(maps.kind())?.f_to_device(maps.device())?)
        };
        let difference = maps.f_sub(&of(&self.objects, classes)?.f_mul_scalar(scale)?)?.f_mul(&of(&self.counts, 1)?)?;
        Ok(difference.f_square()?.f_sum(None)?.f_div_scalar(2.0 * n.max(1) as f64)?)
    }
}

/// The centre of a cell, pixels.
fn centre(cell: usize) -> f64 {
    (cell as f64 + 0.5) * CELL_PX as f64
}

/// A Gaussian around `at_px`, at the centres of so many cells, divided by its sum.
fn gaussian(at_px: f64, cells: usize, sigma_px: f64) -> Vec<f64> {
    let squares: Vec<f64> = (0..cells).map(|cell| (centre(cell) - at_px).powi(2)).collect();
    // Relative to the nearest cell, so that one value is 1 however narrow the Gaussian is.
    let nearest = squares.iter().copied().fold(f64::INFINITY, f64::min);
    let values: Vec<f64> = squares.iter().map(|d| (-(d - nearest) / (2.0 * sigma_px * sigma_px)).exp()).collect();
    let sum: f64 = values.iter().sum();
    values.iter().map(|value| value / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: Size = Size::new(44, 29);
    const SIGMA_PX: f64 = 6.0;

    fn object(class: u32, cx: f32, cy: f32) -> Label {
        Label { class, cx, cy, w: 0.25, h: 0.25 }
    }

    fn objects() -> [(usize, Label); 4] {
        [(0, object(1, 0.5, 0.25)), (0, object(1, 0.0, 1.0)), (1, object(0, 0.9, 0.1)), (1, object(0, 0.3, 0.6))]
    }

    fn densities() -> Densities {
        let mut densities = Densities::new(2, 2, IMAGE, SIGMA_PX);
        objects().iter().for_each(|(image, object)| densities.add(*image, object));
        densities
    }

    /// The same by the definition: every cell of every object on its own.
    fn by_hand() -> Vec<f64> {
        let mut maps = vec![0.0; 2 * 2 * 4 * 6];
        for (image, object) in objects() {
            let value = |row: usize, column: usize| {
                let dx = column as f64 * 8.0 + 4.0 - f64::from(object.cx) * 44.0;
                let dy = row as f64 * 8.0 + 4.0 - f64::from(object.cy) * 29.0;
                (-(dx * dx + dy * dy) / (2.0 * SIGMA_PX * SIGMA_PX)).exp()
            };
            let cells = || (0..4).flat_map(|row| (0..6).map(move |column| (row, column)));
            let sum: f64 = cells().map(|(row, column)| value(row, column)).sum();
            for (row, column) in cells() {
                maps[((image * 2 + object.class as usize) * 4 + row) * 6 + column] += value(row, column) / sum;
            }
        }
        maps
    }

    #[test]
    fn maps_are_those_of_the_definition_and_every_object_counts_one() {
        let found = densities();
        assert_eq!(found.shape, [2, 2, 4, 6]);
        for (i, (found, expected)) in found.objects.iter().zip(by_hand()).enumerate() {
            assert!((found - expected).abs() < 1e-15, "{i}: {found} {expected}");
        }
        for (map, expected) in found.objects.chunks(4 * 6).zip([0.0, 2.0, 2.0, 0.0]) {
            assert!((map.iter().sum::<f64>() - expected).abs() < 1e-14, "{map:?}");
        }
        assert_eq!(gaussian(7.9, 3, 1e-3), [1.0, 0.0, 0.0]);
    }

    #[test]
    fn the_loss_is_that_of_the_definition_in_float64() {
        let mut target = densities();
        // Centres at 4 and 12 of the columns, and at 20 and 28 of the rows.
        target.ignore(0, &Label { class: 0, cx: 8.0 / 44.0, cy: 24.0 / 29.0, w: 12.0 / 44.0, h: 10.0 / 29.0 });
        let left_out: Vec<usize> = (0..48).filter(|cell| target.counts[*cell] == 0.0).collect();
        assert_eq!(left_out, [12, 13, 18, 19]);
        let values: Vec<f64> = (0..96).map(|i| f64::from(i).sin()).collect();
        let maps = Tensor::from_slice(&values).reshape([2, 2, 4, 6]).set_requires_grad(true);
        let found = target.loss(&maps, 100.0).unwrap();
        let (mut sum, mut slopes) = (0.0, vec![]);
        for (i, (value, objects)) in values.iter().zip(by_hand()).enumerate() {
            let difference = if left_out.contains(&(i / 48 * 24 + i % 24)) { 0.0 } else { value - 100.0 * objects };
            sum += difference.powi(2);
            slopes.push(difference / 2.0);
        }
        assert!((found.double_value(&[]) / (sum / 4.0) - 1.0).abs() < 1e-13);
        found.backward();
        let gradient = Vec::<f64>::try_from(maps.grad().reshape([-1])).unwrap();
        assert!(gradient.iter().zip(&slopes).all(|(found, slope)| (found - slope).abs() < 1e-12));
    }
}
