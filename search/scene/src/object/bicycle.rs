use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::climate::Climate;
use crate::model::Body;
use crate::surface::{Rgb, Surface, gray};

/// A bicycle, ridden or parked; its rider is an object of its own.
#[derive(Clone, Debug)]
pub(crate) struct Bicycle {
    frame: Rgb,
    /// Tyres and frame of a ridden bicycle are warmer than the air.
    ridden: bool,
    lamp: bool,
    basket: bool,
    /// Bare metal mirrors the sky in the infrared and looks cold; paint does not.
    emissivity: f32,
}

impl Bicycle {
    pub fn draw(ridden: bool, climate: &Climate, rng: &mut ChaCha8Rng) -> Bicycle {
        let colours: [Rgb; 5] = [[0.5, 0.03, 0.03], [0.02, 0.12, 0.45], gray(0.04), gray(0.6), [0.05, 0.35, 0.3]];
        Bicycle {
            frame: colours[rng.random_range(0..colours.len())],
            ridden,
            lamp: ridden && climate.headlights && rng.random_bool(0.5),
            basket: rng.random_bool(0.3),
            emissivity: rng.random_range(0.35..0.9),
        }
    }

    pub fn build(&self, body: &mut Body<'_>, climate: &Climate) {
        let warm = if self.ridden { 5.0 } else { 0.0 };
        let tube = Surface::matt(self.frame, climate.air_c + warm * 0.3).glossy(0.1, self.emissivity);
        let tyre = Surface::matt(gray(0.03), climate.air_c + warm);
        let rim = Surface::matt(gray(0.4), climate.air_c + warm * 0.3).glossy(0.2, self.emissivity.min(0.5));
        for z in [-0.54, 0.54] {
            let at = [0.0, 0.35, z];
            body.ring(at, [1.0, 0.0, 0.0], 0.275, 0.35, tyre);
            body.ring(at, [1.0, 0.0, 0.0], 0.25, 0.276, rim);
            body.ring(at, [1.0, 0.0, 0.0], 0.0, 0.05, rim);
            // From behind, a ring has no width: the tread gives it some.
            for (dy, dz) in [(0.3, 0.0), (-0.28, 0.0), (0.0, 0.3), (0.0, -0.3)] {
                let (a, b) =
                    ([0.0, 0.35 + dy - dz * 0.6, z + dz + dy * 0.6], [0.0, 0.35 + dy + dz * 0.6, z + dz - dy * 0.6]);
                body.capsule(a, b, 0.028, tyre);
            }
        }
        let (crank, seat, head) = ([0.0, 0.3, 0.0], [0.0, 0.88, -0.2], [0.0, 0.82, 0.42]);
        for (a, b) in [
            (crank, seat),
            (crank, head),
            ([0.0, 0.8, -0.17], head),
            (crank, [0.0, 0.35, -0.54]),
            ([0.0, 0.76, -0.16], [0.0, 0.35, -0.54]),
            (head, [0.0, 0.35, 0.54]),
            (head, [0.0, 1.02, 0.38]),
            ([-0.26, 1.04, 0.36], [0.26, 1.04, 0.36]),
        ] {
            body.capsule(a, b, 0.024, tube);
        }
        let saddle = Surface::matt(gray(0.03), if self.ridden { 24.0 } else { climate.air_c });
        body.ellipsoid([0.0, 0.94, -0.2], [0.09, 0.05, 0.13], saddle);
        if self.basket {
            body.block([-0.15, 0.8, 0.5], [0.15, 1.02, 0.78], Surface::matt(gray(0.2), climate.air_c));
        }
        if self.lamp {
            let white = Surface::matt(gray(0.8), climate.air_c + 4.0).glowing(gray(1.6));
            body.ellipsoid([0.0, 0.9, 0.52], [0.05, 0.05, 0.04], white);
            let red = Surface::matt([0.5, 0.0, 0.0], climate.air_c + 2.0).glowing([0.9, 0.02, 0.02]);
            body.ellipsoid([0.0, 0.72, -0.62], [0.04, 0.04, 0.03], red);
        }
    }
}
