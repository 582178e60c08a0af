//! Scenes of flat shapes that an infrared and a visible camera see in unrelated grays, through a known map.

#![allow(clippy::unwrap_used, reason = "the file is part of tests")]
#![allow(dead_code, reason = "each test uses its part")]

use caf_calib::Shot;
use caf_geometry::Size;
use caf_image::{Gray8, Plane, write_gray8};
use caf_rig::{Homography, Mat3};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::Path;

pub const IR: Size = Size::new(256, 192);
pub const VI: Size = Size::new(320, 256);

/// Where infrared pixels lie in the visible image: a scale of the ratio of the widths and 3 % more, turned by 2°, tilted as square pixels
/// tilt, by 2.5 pixels at the right edge, and shifted by 11 and −9 pixels from centre to centre.
pub fn truth() -> Homography {
    let (s, c) = 2f64.to_radians().sin_cos();
    let k = 1.25 * 1.03;
    let to = Mat3([[1.0, 0.0, -128.0], [0.0, 1.0, -96.0], [0.0, 0.0, 1.0]]);
    let about = Mat3([[k * c, -k * s, 0.0], [k * s, k * c, 0.0], [1.5e-4, -1e-4, 1.0]]);
    let back = Mat3([[1.0, 0.0, 171.0], [0.0, 1.0, 119.0], [0.0, 0.0, 1.0]]);
    Homography(back.times_mat(&about).times_mat(&to))
}

struct Shape {
    centre: [f64; 2],
    half: [f64; 2],
    turn: (f64, f64),
    grays: [f32; 2],
}

/// A scene of some forty shapes, of which later ones hide earlier ones.
pub struct Scene(Vec<Shape>, u64);

impl Scene {
    pub fn new(seed: u64) -> Scene {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut shape = || Shape {
            centre: [rng.random_range(-40.0..300.0), rng.random_range(-40.0..240.0)],
            half: [rng.random_range(6.0..30.0), rng.random_range(6.0..30.0)],
            turn: rng.random_range(0.0..3.0f64).sin_cos(),
            grays: [rng.random_range(0.1..0.9), rng.random_range(0.1..0.9)],
        };
        Scene((0..60).map(|_| shape()).collect(), seed)
    }

    /// Gray of camera 0 (infrared) or 1 (visible) at an infrared position.
    fn gray(&self, camera: usize, [x, y]: [f64; 2]) -> f32 {
        let is_on = |shape: &&Shape| {
            let (dx, dy) = (x - shape.centre[0], y - shape.centre[1]);
            let (s, c) = shape.turn;
            (dx * c + dy * s).abs() < shape.half[0] && (dy * c - dx * s).abs() < shape.half[1]
        };
        self.0.iter().rev().find(is_on).map_or(0.5, |shape| shape.grays[camera])
    }

    fn image(&self, camera: usize, size: Size, ir_of: impl Fn([f64; 2]) -> [f64; 2]) -> Plane {
        let mut rng = ChaCha8Rng::seed_from_u64(self.1 * 2 + camera as u64);
        let mut pixel = |i: usize| {
            let (x, y) = ((i % size.width) as f64, (i / size.width) as f64);
            let parts = [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]];
            let mean: f32 = parts.iter().map(|[a, b]| self.gray(camera, ir_of([x + a, y + b]))).sum::<f32>() / 4.0;
            (mean + rng.random_range(-0.02..0.02)).clamp(0.0, 1.0)
        };
        Plane::new(size, (0..size.width * size.height).map(&mut pixel).collect()).unwrap()
    }

    pub fn infrared(&self) -> Plane {
        self.image(0, IR, |at| at)
    }

    /// The infrared image after the camera moved: what it shows lies `shift` pixels to the right and below of where it was, turned clockwise
    /// by `turn_deg` about the middle.
    pub fn infrared_after(&self, shift: [f64; 2], turn_deg: f64) -> Plane {
        let (s, c) = turn_deg.to_radians().sin_cos();
        let [mx, my] = [128.0, 96.0];
        self.image(0, IR, |[x, y]| {
            let (x, y) = (x - shift[0] - mx, y - shift[1] - my);
            [mx + c * x + s * y, my + c * y - s * x]
        })
    }

    pub fn visible(&self, map: &Homography) -> Plane {
        let back = map.inverse().unwrap();
        self.image(1, VI, |at| back.map(at).unwrap())
    }
}

pub fn shots(count: u64) -> Vec<Shot> {
    let shot = |i| Shot::new(&format!("p{i}"), Scene::new(i).infrared(), Scene::new(i).visible(&truth()));
    (0..count).map(shot).collect()
}

/// Largest distance of the corners of the infrared image under two maps, in visible pixels.
pub fn corner_error_px(a: &Homography, b: &Homography) -> f64 {
    let corners = [[0.0, 0.0], [256.0, 0.0], [0.0, 192.0], [256.0, 192.0]];
    let distance = |c: &[f64; 2]| {
        let (p, q) = (a.map(*c).unwrap(), b.map(*c).unwrap());
        (p[0] - q[0]).hypot(p[1] - q[1])
    };
    corners.iter().map(distance).fold(0.0, f64::max)
}

/// Writes a plane as an 8-bit PNG.
pub fn save(path: &Path, plane: &Plane) {
    let bytes = plane.data().iter().map(|v| (v * 255.0).round() as u8).collect();
    write_gray8(path, &Gray8::new(plane.size(), bytes).unwrap()).unwrap();
}
