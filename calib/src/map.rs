//! The map from infrared to visible pixels, and small changes of it by nine numbers with a meaning.

use caf_geometry::Size;
use caf_rig::{Homography, Mat3};
use nalgebra::{SMatrix, SVector};

/// Numbers of a change: shift right and down, scale, rotation, aspect, shear, the two of perspective, and a radial distortion.
pub(crate) const PARAMETERS: usize = 9;
pub(crate) type Matrix = SMatrix<f64, PARAMETERS, PARAMETERS>;
pub(crate) type Vector = SVector<f64, PARAMETERS>;

/// The parameters of a similarity.
pub(crate) const SIMILARITY: [bool; PARAMETERS] = [true, true, true, true, false, false, false, false, false];
/// Those of an affine map.
pub(crate) const AFFINE: [bool; PARAMETERS] = [true, true, true, true, true, true, false, false, false];
/// Those of a homography.
pub(crate) const HOMOGRAPHY: [bool; PARAMETERS] = [true, true, true, true, true, true, true, true, false];
/// All.
pub(crate) const DISTORTED: [bool; PARAMETERS] = [true; PARAMETERS];
/// Place of the radial distortion.
const RADIAL: usize = PARAMETERS - 1;

/// Where parameters count from: (pixel − centre) / half.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    centre: [f64; 2],
    /// Half the width, pixels.
    half: f64,
    /// Squared distance of a corner from the centre, in halves.
    corner: f64,
}

impl Frame {
    pub(crate) fn of(size: Size) -> Frame {
        let [w, h] = size.wh().map(|v| v as f64);
        Frame { centre: [w / 2.0, h / 2.0], half: w / 2.0, corner: 1.0 + (h / w).powi(2) }
    }

    /// Displacement in pixels at a pixel for each parameter. A parameter is in pixels at the middle of the right edge, but the radial
    /// distortion, which is so against the corners: it moves no corner.
    pub(crate) fn basis(&self, at: [f64; 2]) -> [Vector; 2] {
        let [x, y] = self.unit(at);
        let bulge = self.bulge([x, y]);
        [
            Vector::from([1.0, 0.0, x, -y, x, y, x * x, x * y, x * bulge]),
            Vector::from([0.0, 1.0, y, x, -y, x, x * y, y * y, y * bulge]),
        ]
    }

    fn unit(&self, at: [f64; 2]) -> [f64; 2] {
        [(at[0] - self.centre[0]) / self.half, (at[1] - self.centre[1]) / self.half]
    }

    fn bulge(&self, [x, y]: [f64; 2]) -> f64 {
        x * x + y * y - self.corner
    }

    /// The parameters of a scale and a rotation (radians) about the centre.
    pub(crate) fn similarity(&self, factor: f64, angle: f64) -> Vector {
        let mut p = Vector::zeros();
        (p[2], p[3]) = ((factor * angle.cos() - 1.0) * self.half, factor * angle.sin() * self.half);
        p
    }

    /// The homography of these parameters; it knows nothing of distortion.
    fn homography(&self, p: &Vector) -> Homography {
        let q = p / self.half;
        let [tx, ty, scale, turn, aspect, shear, px, py, _] = *q.as_ref();
        let inner =
            Mat3([[1.0 + scale + aspect, shear - turn, tx], [shear + turn, 1.0 + scale - aspect, ty], [-px, -py, 1.0]]);
        Homography(self.pixels_of_unit().times_mat(&inner).times_mat(&self.unit_of_pixels()))
    }

    fn pixels_of_unit(&self) -> Mat3 {
        let ([cx, cy], h) = (self.centre, self.half);
        Mat3([[h, 0.0, cx], [0.0, h, cy], [0.0, 0.0, 1.0]])
    }

    fn unit_of_pixels(&self) -> Mat3 {
        let ([cx, cy], h) = (self.centre, self.half);
        Mat3([[1.0 / h, 0.0, -cx / h], [0.0, 1.0 / h, -cy / h], [0.0, 0.0, 1.0]])
    }
}

/// Where infrared pixels land in the visible image: a radial distortion, then a homography.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Map {
    homography: Homography,
    /// Pixels, as the parameter.
    radial: f64,
    frame: Frame,
}

impl Map {
    /// A homography for infrared images of this size.
    pub(crate) fn new(homography: Homography, infrared: Size) -> Map {
        Map { homography, radial: 0.0, frame: Frame::of(infrared) }
    }

    /// Centre upon centre, an infrared pixel as large as `scale` visible ones.
    pub(crate) fn centred(infrared: Size, visible: Size, scale: f64) -> Map {
        let [[iw, ih], [vw, vh]] = [infrared, visible].map(|size| size.wh().map(|v| v as f64));
        let m = [[scale, 0.0, 0.5 * (vw - scale * iw)], [0.0, scale, 0.5 * (vh - scale * ih)], [0.0, 0.0, 1.0]];
        Map::new(Homography(Mat3(m)), infrared)
    }

    pub(crate) fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Visible pixel of an infrared pixel, if there is one.
    pub(crate) fn at(&self, pixel: [f64; 2]) -> Option<[f64; 2]> {
        let frame = &self.frame;
        let [x, y] = frame.unit(pixel);
        let stretched = (1.0 + self.radial / frame.half * frame.bulge([x, y])) * frame.half;
        self.homography.map([frame.centre[0] + x * stretched, frame.centre[1] + y * stretched])
    }

    /// A small change, then this map.
    pub(crate) fn after(&self, p: &Vector) -> Map {
        let homography = compose(&self.homography, &self.frame.homography(p));
        Map { homography, radial: self.radial + p[RADIAL], frame: self.frame }
    }

    /// How far the map, near the centre of the infrared image, is from a similarity, in the parameters that say so; the others are 0.
    pub(crate) fn departure(&self) -> Vector {
        let frame = &self.frame;
        let m = frame.unit_of_pixels().times_mat(&self.homography.0).times_mat(&frame.pixels_of_unit());
        let [[a, b, tx], [c, d, ty], [g, h, w]] = m.0;
        // The derivatives at the centre, which do not depend on where in the visible image the centre lies.
        let (a, b, c, d) = (a - tx * g / w, b - tx * h / w, c - ty * g / w, d - ty * h / w);
        let scale = 0.5 * (a + d);
        let values = [0.0, 0.0, 0.0, 0.0, 0.5 * (a - d) / scale, 0.5 * (b + c) / scale, -g / w, -h / w, 0.0];
        let mut p = Vector::from(values) * frame.half;
        p[RADIAL] = self.radial;
        p
    }

    /// The same map between images that are `infrared` and `visible` times as large.
    pub(crate) fn scaled(&self, infrared: f64, visible: f64) -> Map {
        let diagonal = |k: f64| Mat3([[k, 0.0, 0.0], [0.0, k, 0.0], [0.0, 0.0, 1.0]]);
        let homography =
            Homography(diagonal(visible).times_mat(&self.homography.0).times_mat(&diagonal(1.0 / infrared)));
        let Frame { centre, half, corner } = self.frame;
        let frame = Frame { centre: centre.map(|c| c * infrared), half: half * infrared, corner };
        Map { homography: normalised(&homography), radial: self.radial * infrared, frame }
    }

    /// The homography that comes nearest to this map over the whole infrared image, all of its parts alike.
    pub(crate) fn flattened(&self, infrared: Size) -> Option<Homography> {
        const COLUMNS: usize = 32;
        const ROWS: usize = 24;
        let [w, h] = infrared.wh().map(|v| v as f64);
        let mut flat = Map { radial: 0.0, ..*self };
        // Newton's steps; the second is below a thousandth of a pixel.
        for _ in 0..3 {
            let back = flat.homography.inverse().ok()?;
            let (mut bend, mut slope) = (Matrix::zeros(), Vector::zeros());
            for i in 0..COLUMNS * ROWS {
                let at = [(i % COLUMNS) as f64 + 0.5, (i / COLUMNS) as f64 + 0.5];
                let at = [at[0] / COLUMNS as f64 * w, at[1] / ROWS as f64 * h];
                let want = back.map(self.at(at)?)?;
                let [bx, by] = self.frame.basis(at);
                bend += bx * bx.transpose() + by * by.transpose();
                slope += bx * (want[0] - at[0]) + by * (want[1] - at[1]);
            }
            hold(&mut bend, &mut slope, &HOMOGRAPHY);
            flat = flat.after(&bend.cholesky()?.solve(&slope));
        }
        Some(flat.homography)
    }
}

/// Takes parameters that must not move out of a system of equations.
pub(crate) fn hold(bend: &mut Matrix, slope: &mut Vector, free: &[bool; PARAMETERS]) {
    for (i, _) in free.iter().enumerate().filter(|(_, free)| !**free) {
        bend.row_mut(i).fill(0.0);
        bend.column_mut(i).fill(0.0);
        (bend[(i, i)], slope[i]) = (1.0, 0.0);
    }
}

/// First `b`, then `a`.
pub(crate) fn compose(a: &Homography, b: &Homography) -> Homography {
    normalised(&Homography(a.0.times_mat(&b.0)))
}

/// Scaled so that the last entry is 1.
pub(crate) fn normalised(map: &Homography) -> Homography {
    let [_, _, [_, _, last]] = map.0.0;
    Homography(Mat3(map.0.0.map(|row| row.map(|v| v / last))))
}

/// The corners of an image: left and right top, left and right bottom.
pub(crate) fn corners(size: Size) -> [[f64; 2]; 4] {
    let [w, h] = size.wh().map(|v| v as f64);
    [[0.0, 0.0], [w, 0.0], [0.0, h], [w, h]]
}

/// How far apart, in infrared pixels, two maps put what they see in the corners of the infrared image.
pub(crate) fn corner_distances(a: &Homography, b: &Homography, infrared: Size) -> [f64; 4] {
    corner_offsets(a, b, infrared).map(|[x, y]| x.hypot(y))
}

/// From where map `a` puts what it sees in the corners of the infrared image to where `b` does, infrared pixels; infinite where there is
/// no such place.
pub(crate) fn corner_offsets(a: &Homography, b: &Homography, infrared: Size) -> [[f64; 2]; 4] {
    let back = a.inverse().ok();
    corners(infrared).map(|corner| {
        let there = back.as_ref().and_then(|back| back.map(b.map(corner)?));
        there.map_or([f64::INFINITY; 2], |[x, y]| [x - corner[0], y - corner[1]])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Map {
        let p = Vector::from([7.0, -4.0, 5.0, 3.0, -1.0, 0.5, 2.0, -1.5, 0.8]);
        Map::centred(Size::new(320, 240), Size::new(640, 512), 1.9).after(&p)
    }

    #[test]
    fn parameters_move_pixels_as_their_basis_says() {
        let map = Map::centred(Size::new(320, 240), Size::new(320, 240), 1.0);
        for i in 0..PARAMETERS {
            let mut p = Vector::zeros();
            p[i] = 1e-4;
            for at in [[0.0, 0.0], [40.0, 200.0], [300.0, 120.0]] {
                let moved = map.after(&p).at(at).unwrap();
                let basis = map.frame().basis(at).map(|b| b.dot(&p));
                for axis in 0..2 {
                    assert!((moved[axis] - at[axis] - basis[axis]).abs() < 1e-8, "{i} {at:?} {moved:?} {basis:?}");
                }
            }
        }
    }

    #[test]
    fn a_distortion_moves_no_corner_and_scaled_images_show_the_same() {
        let map = example();
        let plain = Map { radial: 0.0, ..map };
        for corner in corners(Size::new(320, 240)) {
            let (a, b) = (map.at(corner).unwrap(), plain.at(corner).unwrap());
            assert!((a[0] - b[0]).abs() < 1e-9 && (a[1] - b[1]).abs() < 1e-9);
        }
        let (at, half) = ([100.0, 60.0], map.scaled(0.5, 0.25));
        let (whole, small) = (map.at(at).unwrap(), half.at([50.0, 30.0]).unwrap());
        assert!((0.25 * whole[0] - small[0]).abs() < 1e-9 && (0.25 * whole[1] - small[1]).abs() < 1e-9);
    }

    #[test]
    fn a_flat_map_is_its_own_homography_and_a_distorted_one_is_met_in_the_mean() {
        let size = Size::new(320, 240);
        let plain = Map { radial: 0.0, ..example() };
        let same = plain.flattened(size).unwrap();
        assert!(corner_distances(&plain.homography, &same, size).iter().all(|d| *d < 1e-6));
        let map = example();
        let flat = Map::new(map.flattened(size).unwrap(), size);
        let squares = |other: &Map| -> f64 {
            let pixels = (0..320 * 240).step_by(37).map(|i| [(i % 320) as f64, (i / 320) as f64]);
            pixels
                .map(|at| {
                    map.at(at).unwrap().iter().zip(other.at(at).unwrap()).map(|(a, b)| (a - b).powi(2)).sum::<f64>()
                })
                .sum()
        };
        assert!(squares(&flat) < 0.5 * squares(&plain), "{} {}", squares(&flat), squares(&plain));
    }

    #[test]
    fn departures_are_those_of_the_parameters() {
        let map = example();
        let p = map.departure();
        assert!(p.iter().take(4).all(|v| *v == 0.0));
        assert!((p[4] + 1.0).abs() < 0.1 && (p[5] - 0.5).abs() < 0.1 && (p[RADIAL] - 0.8).abs() < 1e-12, "{p}");
    }
}
