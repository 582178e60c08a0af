//! Lamps and headlights.

use super::surface::{Rgb, gray, scaled};
use super::vector::{V3, smoothstep};

/// A lamp that shines into a cone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Light {
    pub at: V3,
    /// Unit vector.
    pub towards: V3,
    /// Cosine of the angle at which the light ends, and within which it is full.
    pub edge: f32,
    pub core: f32,
    /// Light on a facing surface one metre away.
    pub power: Rgb,
    /// Nothing beyond this is lit.
    pub reach_m: f32,
}

impl Light {
    /// Light that falls on a surface with this normal.
    pub fn on(&self, p: V3, normal: V3) -> Rgb {
        let from = self.at - p;
        let d2 = from.dot(from);
        if d2 > self.reach_m * self.reach_m {
            return gray(0.0);
        }
        let d = d2.sqrt().max(1e-3);
        let cosine = normal.dot(from) / d;
        let within = -self.towards.dot(from) / d;
        if cosine <= 0.0 || within <= self.edge {
            return gray(0.0);
        }
        let fade = 1.0 - d / self.reach_m;
        scaled(self.power, cosine * smoothstep(self.edge, self.core, within) * fade.min(1.0) / (d2 + 0.5))
    }
}
