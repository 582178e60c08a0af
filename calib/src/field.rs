//! What two cameras have in common: the direction of edges.
//!
//! An edge may be bright on one side for one camera and on the other side for the other, but it runs in one direction. The direction is
//! written as a complex number of twice the angle of the gradient, so that both sides are one; its length grows with the edge and is
//! at most 1, so that a lamp counts no more than a kerb. The real part of the product of one such number and the other's conjugate is
//! the cosine of twice the angle between them (the squared, normalised gradient correlation of Haber and Modersitzki, *Intensity
//! gradient based registration and fusion of multi-modal images*, 2006, without its constant part).

use caf_geometry::Size;
use caf_image::Plane;

use crate::plane::{Seen, blurred, shrunk};

/// Blur before the gradient, pixels: keeps the grain of sensors and of JPEG from being edges.
const SIGMA_PX: f32 = 1.0;
/// Reach of the mean that an edge is measured against, pixels.
const AROUND_PX: f32 = 8.0;
/// Gradients below this, in units of the full range a pixel, are noise.
const NOISE: f32 = 0.004;
/// Pixels beside what is not seen that depend on it.
const MARGIN_PX: usize = 4;

/// Twice the angle of the gradient as a complex number a pixel.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub size: Size,
    pub re: Vec<f32>,
    pub im: Vec<f32>,
}

impl Field {
    /// The directions of the edges of an image; 0 where there is nothing to see.
    pub(crate) fn of(image: &Seen) -> Field {
        let smooth = blurred(&image.gray, SIGMA_PX);
        let (gx, gy) = gradient(&smooth);
        let mut energy = Plane::like(&smooth, 0.0);
        energy.data_mut().iter_mut().zip(gx.iter().zip(&gy)).for_each(|(e, (x, y))| *e = x * x + y * y);
        let around = blurred(&energy, AROUND_PX);
        let inner = shrunk(&image.seen, MARGIN_PX);
        let (mut re, mut im) = (Vec::with_capacity(gx.len()), Vec::with_capacity(gx.len()));
        let scales = energy.data().iter().zip(around.data()).zip(inner.data());
        let scales = scales.map(|((e, around), seen)| seen / (e + around + NOISE * NOISE));
        for ((x, y), scale) in gx.iter().zip(&gy).zip(scales) {
            re.push((x * x - y * y) * scale);
            im.push(2.0 * x * y * scale);
        }
        Field { size: image.size(), re, im }
    }

    /// Sets cells (column, row) of the image to 0.
    pub(crate) fn hide_cells(&mut self, cell_px: usize, is_hidden: impl Fn(usize, usize) -> bool) {
        let width = self.size.width;
        for part in [&mut self.re, &mut self.im] {
            for (y, row) in part.chunks_exact_mut(width).enumerate() {
                for (column, cell) in row.chunks_mut(cell_px).enumerate() {
                    if is_hidden(column, y / cell_px) {
                        cell.fill(0.0);
                    }
                }
            }
        }
    }
}

/// Central differences; 0 at the border.
fn gradient(plane: &Plane) -> (Vec<f32>, Vec<f32>) {
    let Size { width, height } = plane.size();
    let rows: Vec<&[f32]> = plane.data().chunks_exact(width).collect();
    let (mut gx, mut gy) = (vec![0.0; width * height], vec![0.0; width * height]);
    for (row, out) in rows.iter().zip(gx.chunks_exact_mut(width)) {
        for (o, three) in out.iter_mut().skip(1).zip(row.windows(3)) {
            if let [a, _, b] = three {
                *o = 0.5 * (b - a);
            }
        }
    }
    for (out, three) in gy.chunks_exact_mut(width).skip(1).zip(rows.windows(3)) {
        if let [a, _, b] = three {
            out.iter_mut().zip(a.iter().zip(*b)).for_each(|(o, (a, b))| *o = 0.5 * (b - a));
        }
    }
    (gx, gy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(of: impl Fn(usize, usize) -> f32) -> Seen {
        let size = Size::new(40, 40);
        let gray = Plane::new(size, (0..1600).map(|i| of(i % 40, i / 40)).collect()).unwrap();
        Seen { gray, seen: Plane::filled(size, 1.0).unwrap() }
    }

    #[test]
    fn an_edge_has_one_direction_whichever_side_is_bright() {
        let edge = |x: usize, y: usize| if x + y > 40 { 0.8 } else { 0.3 };
        let (a, b) = (Field::of(&seen(edge)), Field::of(&seen(|x, y| 0.9 - 0.5 * edge(x, y))));
        let at = 20 * 40 + 20;
        // A gradient to the lower right: twice 45°.
        assert!(a.re[at].abs() < 1e-3 && a.im[at] > 0.4, "{} {}", a.re[at], a.im[at]);
        assert!(a.im.iter().zip(&b.im).all(|(a, b)| (a - b).abs() < 0.05));
        assert!(a.re.iter().zip(&a.im).all(|(re, im)| re.hypot(*im) <= 1.0));
    }

    #[test]
    fn nothing_is_seen_beside_what_is_hidden_and_in_hidden_cells() {
        let mut image = seen(|x, y| ((x * 7 + y * 13) % 11) as f32 / 11.0);
        image.seen.data_mut()[20 * 40 + 20] = 0.0;
        let mut field = Field::of(&image);
        assert_eq!((field.re[20 * 40 + 16], field.im[16 * 40 + 24]), (0.0, 0.0));
        assert_ne!(field.re[20 * 40 + 15], 0.0);
        field.hide_cells(10, |column, row| (column + row) % 2 == 0);
        assert!(field.re[15 * 40 + 15] == 0.0 && field.re[15 * 40 + 5] != 0.0);
    }
}
