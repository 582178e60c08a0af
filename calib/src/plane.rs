//! Gray planes with a note of what they show: halving, blurring, warping.

use caf_geometry::Size;
use caf_image::Plane;

use crate::map::Map;

/// A gray plane in [0, 1] and, for each pixel, whether it shows something.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Gray.
    pub gray: Plane,
    /// 1 where the pixel shows the scene, 0 where it is fill or outside.
    pub seen: Plane,
}

impl Seen {
    pub(crate) fn size(&self) -> Size {
        self.gray.size()
    }

    /// Half as wide and high, each pixel the mean of four; `None` when a side would vanish. Position p becomes p / 2.
    pub(crate) fn halved(&self) -> Option<Seen> {
        let gray = halved(&self.gray)?;
        let mut seen = halved(&self.seen)?;
        seen.data_mut().iter_mut().for_each(|v| *v = if *v < 0.999 { 0.0 } else { 1.0 });
        Some(Seen { gray, seen })
    }

    /// The plane seen through a map: position p of the result shows position `map`(p − `margin`) of this one, bilinear. `None` for an
    /// impossible size.
    pub(crate) fn warped(&self, map: &Map, size: Size, margin: usize) -> Option<Seen> {
        let mut gray = Plane::filled(size, 0.0).ok()?;
        let mut seen = Plane::filled(size, 0.0).ok()?;
        let Size { width, height } = self.size();
        let (from, valid) = (self.gray.data(), self.seen.data());
        let margin = margin as f64;
        let (right, below) = ((width as f64) - 1.0, (height as f64) - 1.0);
        let rows = gray.data_mut().chunks_exact_mut(size.width).zip(seen.data_mut().chunks_exact_mut(size.width));
        for (y, (gray_row, seen_row)) in rows.enumerate() {
            let py = y as f64 + 0.5 - margin;
            for (x, (g, s)) in gray_row.iter_mut().zip(seen_row).enumerate() {
                let px = x as f64 + 0.5 - margin;
                let Some([fx, fy]) = map.at([px, py]) else { continue };
                let (fx, fy) = (fx - 0.5, fy - 0.5);
                // Also false for NaN.
                if !(fx >= 0.0 && fy >= 0.0 && fx < right && fy < below) {
                    continue;
                }
                let (ix, iy) = (fx as usize, fy as usize);
                let (ax, ay) = ((fx - ix as f64) as f32, (fy - iy as f64) as f32);
                let at = iy * width + ix;
                let (Some([a, b]), Some([c, d])) = (corner(from, at), corner(from, at + width)) else { continue };
                let (Some([va, vb]), Some([vc, vd])) = (corner(valid, at), corner(valid, at + width)) else { continue };
                if va * vb * vc * vd > 0.0 {
                    let (top, bottom) = (a + (b - a) * ax, c + (d - c) * ax);
                    *g = top + (bottom - top) * ay;
                    *s = 1.0;
                }
            }
        }
        Some(Seen { gray, seen })
    }
}

fn corner(data: &[f32], at: usize) -> Option<[f32; 2]> {
    data.get(at..)?.first_chunk::<2>().copied()
}

fn halved(plane: &Plane) -> Option<Plane> {
    let Size { width, height } = plane.size();
    let size = Size::new(width / 2, height / 2);
    let mut out = Vec::with_capacity(size.pixels()?);
    for pair in plane.data().chunks_exact(2 * width) {
        let (top, bottom) = pair.split_at(width);
        let four = top.chunks_exact(2).zip(bottom.chunks_exact(2));
        out.extend(four.map(|(t, b)| 0.25 * (t.iter().sum::<f32>() + b.iter().sum::<f32>())));
    }
    Plane::new(size, out).ok()
}

/// Blurred by a Gaussian of `sigma` pixels, clamped at the border.
///
/// The workspace's other Gaussians are what others defined, border and all, and cannot be this one: the windows of the fusion metrics
/// (whole windows, float64, sums in an order that the golden values were taken with), and those of the losses (tensors with gradients).
pub(crate) fn blurred(plane: &Plane, sigma: f32) -> Plane {
    let kernel = gaussian(sigma);
    let reach = kernel.len() / 2;
    let Size { width, height } = plane.size();
    let mut wide = vec![0.0; width + 2 * reach];
    let mut across = Plane::like(plane, 0.0);
    for (row, out) in plane.data().chunks_exact(width).zip(across.data_mut().chunks_exact_mut(width)) {
        pad(row, reach, &mut wide);
        for (k, weight) in kernel.iter().enumerate() {
            out.iter_mut().zip(wide.iter().skip(k)).for_each(|(o, v)| *o += weight * v);
        }
    }
    let mut out = Plane::like(plane, 0.0);
    let rows: Vec<&[f32]> = across.data().chunks_exact(width).collect();
    for (y, to) in out.data_mut().chunks_exact_mut(width).enumerate() {
        for (k, weight) in kernel.iter().enumerate() {
            let from = (y + k).saturating_sub(reach).min(height - 1);
            let Some(row) = rows.get(from) else { continue };
            to.iter_mut().zip(*row).for_each(|(o, v)| *o += weight * v);
        }
    }
    out
}

fn pad(row: &[f32], reach: usize, wide: &mut [f32]) {
    let (first, last) = (row.first().copied().unwrap_or(0.0), row.last().copied().unwrap_or(0.0));
    let source = std::iter::repeat_n(first, reach).chain(row.iter().copied()).chain(std::iter::repeat(last));
    wide.iter_mut().zip(source).for_each(|(w, v)| *w = v);
}

/// An odd number of weights that sum to 1.
fn gaussian(sigma: f32) -> Vec<f32> {
    let reach = (3.0 * sigma).ceil() as i32;
    let weights: Vec<f32> = (-reach..=reach).map(|i| (-0.5 * (i as f32 / sigma).powi(2)).exp()).collect();
    let sum: f32 = weights.iter().sum();
    weights.into_iter().map(|w| w / sum).collect()
}

/// 0 within `reach` pixels of a 0 or of the border.
pub(crate) fn shrunk(seen: &Plane, reach: usize) -> Plane {
    let Size { width, height } = seen.size();
    let mut across = Plane::like(seen, 0.0);
    for (row, out) in seen.data().chunks_exact(width).zip(across.data_mut().chunks_exact_mut(width)) {
        let mut since = 0;
        // Pixels in a row that are seen, up to and including this one; written where the middle of a full window is.
        for (x, v) in row.iter().enumerate() {
            since = if *v > 0.0 { since + 1 } else { 0 };
            if since > 2 * reach
                && let Some(o) = out.get_mut(x - reach)
            {
                *o = 1.0;
            }
        }
    }
    let mut out = Plane::like(seen, 0.0);
    let mut since = vec![0usize; width];
    let across = across.into_data();
    for y in 0..height {
        let row = across.get(y * width..(y + 1) * width).unwrap_or_default();
        since.iter_mut().zip(row).for_each(|(s, v)| *s = if *v > 0.0 { *s + 1 } else { 0 });
        let Some(to) = y.checked_sub(reach).and_then(|y| out.data_mut().get_mut(y * width..(y + 1) * width)) else {
            continue;
        };
        to.iter_mut().zip(&since).for_each(|(o, s)| *o = if *s > 2 * reach { 1.0 } else { 0.0 });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_rig::{Homography, Mat3};

    fn plane(width: usize, height: usize, of: impl Fn(usize, usize) -> f32) -> Plane {
        Plane::new(Size::new(width, height), (0..width * height).map(|i| of(i % width, i / width)).collect()).unwrap()
    }

    #[test]
    fn halves_are_means_of_what_is_seen() {
        let seen = plane(5, 4, |x, y| if (x, y) == (3, 0) { 0.0 } else { 1.0 });
        let half = Seen { gray: plane(5, 4, |x, y| (x + 10 * y) as f32), seen }.halved().unwrap();
        assert_eq!(half.gray.data(), [5.5, 7.5, 25.5, 27.5]);
        assert_eq!(half.seen.data(), [1.0, 0.0, 1.0, 1.0]);
        assert!(Seen { gray: plane(1, 4, |_, _| 0.0), seen: plane(1, 4, |_, _| 1.0) }.halved().is_none());
    }

    #[test]
    fn a_warped_ramp_is_the_ramp_elsewhere() {
        let image = Seen { gray: plane(20, 16, |x, y| x as f32 + 0.1 * y as f32), seen: plane(20, 16, |_, _| 1.0) };
        let map = Homography(Mat3([[1.0, 0.0, 2.25], [0.0, 1.0, -1.5], [0.0, 0.0, 1.0]]));
        let warped = image.warped(&Map::new(map, Size::new(10, 10)), Size::new(12, 12), 1).unwrap();
        // Column 5 with a margin of 1 is pixel 4; it shows 6.25 and row 4 shows 1.5.
        assert!((warped.gray.data()[4 * 12 + 5] - (6.25 + 0.15)).abs() < 1e-5);
        assert_eq!((warped.seen.data()[4 * 12 + 5], warped.seen.data()[12 + 5]), (1.0, 0.0));
    }

    #[test]
    fn blurring_keeps_the_sum_and_flat_planes_flat() {
        let dot = blurred(&plane(31, 31, |x, y| if (x, y) == (15, 15) { 1.0 } else { 0.0 }), 2.0);
        assert!((dot.data().iter().sum::<f32>() - 1.0).abs() < 1e-4 && dot.data()[15 * 31 + 15] < 0.05);
        assert!(blurred(&plane(9, 7, |_, _| 0.5), 3.0).data().iter().all(|v| (v - 0.5).abs() < 1e-5));
    }

    #[test]
    fn what_is_near_something_unseen_is_taken_out() {
        let small = shrunk(&plane(9, 7, |x, y| if (x, y) == (6, 3) { 0.0 } else { 1.0 }), 1);
        for (i, v) in small.data().iter().enumerate() {
            let (x, y) = (i % 9, i / 9);
            let inside = (1..8).contains(&x) && (1..6).contains(&y);
            let near = x.abs_diff(6) <= 1 && y.abs_diff(3) <= 1;
            assert_eq!(*v, if inside && !near { 1.0 } else { 0.0 }, "{x} {y}");
        }
    }
}
