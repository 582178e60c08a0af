//! How alike two fields are under small shifts, block by block, and the change of the map that makes them most alike.
//!
//! Blocks of all pairs at one place are added before anything is decided, as ensemble correlation of particle images does: what one pair
//! does not show, another does, and a block that shows a ridge (an edge alone) says what it knows and no more.

use crate::field::Field;
use crate::map::{Frame, Matrix, PARAMETERS, Vector, hold};

/// Similarity for shifts of −reach to reach pixels in both directions, for square blocks of an image.
#[derive(Clone, Debug)]
pub(crate) struct Surfaces {
    reach: usize,
    columns: usize,
    block_px: usize,
    /// Block by block, (2 reach + 1)² values, rows first.
    values: Vec<f32>,
}

/// The parabola through a surface at one shift.
struct Local {
    value: f64,
    gradient: [f64; 2],
    /// xx, xy, yy.
    curvature: [f64; 3],
}

/// The highest point of a block's surface.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peak {
    /// Pixels.
    pub shift: [f64; 2],
    /// Height over the surface's mean in standard deviations of the surface.
    pub contrast: f64,
}

/// What is expected of a map before anything is seen: −½ Σ weight · (already + p)².
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prior {
    pub already: Vector,
    pub weight: Vector,
}

/// A function of the parameters, its gradient, and minus its second derivative.
pub(crate) type Expansion = (f64, Vector, Matrix);

impl Surfaces {
    /// Correlates a field with another one that is `reach` pixels larger on every side.
    pub(crate) fn correlate(fixed: &Field, moved: &Field, reach: usize, block_px: usize) -> Surfaces {
        let side = 2 * reach + 1;
        let (width, height) = (fixed.size.width, fixed.size.height);
        let columns = width.div_ceil(block_px);
        let mut values = vec![0.0; columns * height.div_ceil(block_px) * side * side];
        for (dy, dx) in (0..side * side).map(|i| (i / side, i % side)) {
            for y in 0..height {
                let own = y * width..(y + 1) * width;
                let begin = (y + dy) * moved.size.width + dx;
                let other = begin..begin + width;
                let rows =
                    (fixed.re.get(own.clone()), fixed.im.get(own), moved.re.get(other.clone()), moved.im.get(other));
                let (Some(a_re), Some(a_im), Some(b_re), Some(b_im)) = rows else { continue };
                let a = a_re.chunks(block_px).zip(a_im.chunks(block_px));
                let b = b_re.chunks(block_px).zip(b_im.chunks(block_px));
                for (column, ((a_re, a_im), (b_re, b_im))) in a.zip(b).enumerate() {
                    let block = (y / block_px) * columns + column;
                    if let Some(v) = values.get_mut(block * side * side + dy * side + dx) {
                        *v += dot(a_re, b_re) + dot(a_im, b_im);
                    }
                }
            }
        }
        Surfaces { reach, columns, block_px, values }
    }

    /// Adds those of another pair.
    pub(crate) fn add(mut self, other: &Surfaces) -> Surfaces {
        self.values.iter_mut().zip(&other.values).for_each(|(a, b)| *a += b);
        self
    }

    fn side(&self) -> usize {
        2 * self.reach + 1
    }

    /// Middle of each block, pixels, and its surface.
    fn blocks(&self) -> impl Iterator<Item = ([f64; 2], &[f32])> {
        let middle = |i: usize| (i as f64 + 0.5) * self.block_px as f64;
        let surfaces = self.values.chunks_exact(self.side() * self.side()).enumerate();
        surfaces.map(move |(i, surface)| ([middle(i % self.columns), middle(i / self.columns)], surface))
    }

    /// A surface near a shift; `None` beyond its border.
    fn at(&self, surface: &[f32], shift: [f64; 2]) -> Option<Local> {
        let side = self.side();
        let from_first = shift.map(|v| v + self.reach as f64);
        let nearest = from_first.map(|v| v.round().clamp(1.0, (side - 2) as f64));
        let off = [from_first[0] - nearest[0], from_first[1] - nearest[1]];
        if off.iter().any(|o| o.abs() > 1.0) {
            return None;
        }
        let [column, row] = nearest.map(|v| v as usize);
        let three = |row: usize| surface.get(row * side + column - 1..)?.first_chunk::<3>().map(|v| v.map(f64::from));
        let ([nw, n, ne], [w, c, e], [sw, s, se]) = (three(row - 1)?, three(row)?, three(row + 1)?);
        let [xx, xy, yy] = [e - 2.0 * c + w, 0.25 * (se - sw - ne + nw), s - 2.0 * c + n];
        let slope = [0.5 * (e - w), 0.5 * (s - n)];
        let gradient = [slope[0] + xx * off[0] + xy * off[1], slope[1] + xy * off[0] + yy * off[1]];
        let value = c + 0.5 * ((slope[0] + gradient[0]) * off[0] + (slope[1] + gradient[1]) * off[1]);
        Some(Local { value, gradient, curvature: [xx, xy, yy] })
    }

    /// The sum over all blocks at the change `p`.
    pub(crate) fn total(&self, frame: &Frame, p: &Vector) -> Expansion {
        let (mut value, mut slope, mut bend) = (0.0, Vector::zeros(), Matrix::zeros());
        for (middle, surface) in self.blocks() {
            let [bx, by] = frame.basis(middle);
            let Some(local) = self.at(surface, [bx.dot(p), by.dot(p)]) else { continue };
            let [xx, xy, yy] = local.curvature;
            value += local.value;
            slope += bx * local.gradient[0] + by * local.gradient[1];
            bend -=
                bx * bx.transpose() * xx + (bx * by.transpose() + by * bx.transpose()) * xy + by * by.transpose() * yy;
        }
        (value, slope, bend)
    }

    /// The sum over all blocks at the change `p`, to the pixel.
    pub(crate) fn value(&self, frame: &Frame, p: &Vector) -> f64 {
        let side = self.side();
        let here = |(middle, surface): ([f64; 2], &[f32])| {
            let [x, y] = frame.basis(middle).map(|b| (b.dot(p) + self.reach as f64).round());
            let is_inside = [x, y].iter().all(|v| (0.0..side as f64).contains(v));
            is_inside.then(|| surface.get(y as usize * side + x as usize).map(|v| f64::from(*v))).flatten()
        };
        self.blocks().filter_map(here).sum()
    }

    /// The gradient of each cluster of `side` × `side` blocks.
    pub(crate) fn slopes(&self, frame: &Frame, side: usize) -> Vec<Vector> {
        let columns = self.columns.div_ceil(side);
        let rows = self.values.len() / (self.side() * self.side() * self.columns).max(1);
        let mut slopes = vec![Vector::zeros(); columns * rows.div_ceil(side)];
        for (i, (middle, surface)) in self.blocks().enumerate() {
            let cluster = (i / self.columns / side) * columns + i % self.columns / side;
            if let (Some(slope), Some(local)) = (slopes.get_mut(cluster), self.at(surface, [0.0; 2])) {
                let [bx, by] = frame.basis(middle);
                *slope += bx * local.gradient[0] + by * local.gradient[1];
            }
        }
        slopes
    }

    /// The change of greatest similarity near `begin`, by damped Newton steps (as Levenberg's and Marquardt's); `free` says what moves.
    pub(crate) fn best(&self, frame: &Frame, begin: &Vector, free: &[bool; PARAMETERS], prior: &Prior) -> Vector {
        let total = |p: &Vector| prior.added(self.total(frame, p), p);
        let mut p = *begin;
        let (mut value, mut slope, mut bend) = total(&p);
        let mut damping = 1e-3;
        while damping < 1e4 {
            let (mut a, mut b) = (bend, slope);
            let size = bend.diagonal().amax().max(1e-12);
            a += Matrix::identity() * (damping * size);
            hold(&mut a, &mut b, free);
            let next = a.cholesky().map(|c| p + c.solve(&b)).map(|next| (next, total(&next)));
            match next {
                Some((next, found)) if found.0 > value => {
                    let moved_px = (next - p).amax();
                    (p, (value, slope, bend)) = (next, found);
                    damping = (damping * 0.2).max(1e-6);
                    if moved_px < 1e-3 {
                        break;
                    }
                }
                _ => damping *= 5.0,
            }
        }
        p
    }

    /// The highest point of each block's surface; `None` for a block that shows nothing, or whose highest point lies at the border.
    pub(crate) fn peaks(&self) -> Vec<Option<Peak>> {
        self.blocks().map(|(_, surface)| self.peak(surface)).collect()
    }

    fn peak(&self, surface: &[f32]) -> Option<Peak> {
        let side = self.side();
        let (at, highest) = surface.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
        let count = surface.len() as f32;
        let mean = surface.iter().sum::<f32>() / count;
        let deviation = (surface.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / count).sqrt();
        let whole = [at % side, at / side];
        if deviation <= 0.0 || whole.iter().any(|v| *v == 0 || *v == side - 1) {
            return None;
        }
        let whole = whole.map(|v| v as f64 - self.reach as f64);
        let Local { gradient: [gx, gy], curvature: [xx, xy, yy], .. } = self.at(surface, whole)?;
        let determinant = xx * yy - xy * xy;
        // A ridge has no peak.
        if xx >= 0.0 || determinant <= 0.0 {
            return None;
        }
        let off = [-(yy * gx - xy * gy) / determinant, -(xx * gy - xy * gx) / determinant];
        let shift = [whole[0] + off[0].clamp(-1.0, 1.0), whole[1] + off[1].clamp(-1.0, 1.0)];
        Some(Peak { shift, contrast: f64::from((highest - mean) / deviation) })
    }
}

impl Prior {
    /// A function with this expectation added.
    pub(crate) fn added(&self, (mut value, mut slope, mut bend): Expansion, p: &Vector) -> Expansion {
        let all = self.already + p;
        let pull = self.weight.component_mul(&all);
        value -= 0.5 * pull.dot(&all);
        slope -= pull;
        bend += Matrix::from_diagonal(&self.weight);
        (value, slope, bend)
    }
}

/// Eight sums side by side, so that the compiler can use wide registers.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a8, a1), (b8, b1)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0f32; 8];
    for (x, y) in a8.iter().zip(b8) {
        for ((s, x), y) in sums.iter_mut().zip(x).zip(y) {
            *s += x * y;
        }
    }
    sums.iter().sum::<f32>() + a1.iter().zip(b1).map(|(x, y)| x * y).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::HOMOGRAPHY;
    use caf_geometry::Size;

    /// A surface of a parabola around a shift for each block of a 96 × 64 image.
    fn bowls(shift: impl Fn([f64; 2]) -> [f64; 2]) -> Surfaces {
        let (reach, block_px) = (4, 16);
        let mut values = Vec::new();
        for i in 0..24 {
            let [mx, my] = shift([(i % 6) as f64 * 16.0 + 8.0, (i / 6) as f64 * 16.0 + 8.0]);
            let value = |i: usize| ((i % 9) as f64 - 4.0 - mx).powi(2) + ((i / 9) as f64 - 4.0 - my).powi(2);
            values.extend((0..81).map(|i| (100.0 - value(i)) as f32));
        }
        Surfaces { reach, columns: 6, block_px, values }
    }

    #[test]
    fn the_change_that_blocks_ask_for_is_found() {
        let frame = Frame::of(Size::new(96, 64));
        let wanted = Vector::from([1.2, -0.7, 0.5, -0.4, 0.3, 0.2, 0.6, -0.5, 0.0]);
        let surfaces = bowls(|at| frame.basis(at).map(|b| b.dot(&wanted)));
        let free = Prior { already: Vector::zeros(), weight: Vector::zeros() };
        let found = surfaces.best(&frame, &Vector::zeros(), &HOMOGRAPHY, &free);
        assert!((found - wanted).amax() < 1e-3, "{found}");
        let held = Prior { weight: Vector::from_element(1e6), ..free };
        assert!(surfaces.best(&frame, &Vector::zeros(), &HOMOGRAPHY, &held).amax() < 0.01);
    }

    #[test]
    fn the_slopes_of_clusters_sum_to_that_of_all() {
        let (frame, surfaces) = (Frame::of(Size::new(96, 64)), bowls(|[x, y]| [0.01 * x, -0.02 * y]));
        let (_, whole, _) = surfaces.total(&frame, &Vector::zeros());
        for (side, count) in [(1, 24), (4, 2), (5, 2), (6, 1)] {
            let slopes = surfaces.slopes(&frame, side);
            assert!(slopes.len() == count && (slopes.iter().sum::<Vector>() - whole).amax() < 1e-6 * whole.amax());
        }
    }

    #[test]
    fn peaks_lie_between_pixels_and_never_at_the_border() {
        let peaks = bowls(|_| [1.25, -0.5]).peaks();
        for peak in &peaks {
            let peak = peak.unwrap();
            assert!((peak.shift[0] - 1.25).abs() < 1e-3 && (peak.shift[1] + 0.5).abs() < 1e-3 && peak.contrast > 1.0);
        }
        assert!(bowls(|_| [6.0, 0.0]).peaks().iter().all(Option::is_none));
    }
}
