//! Three coordinates in the scene's world: x right, y up, z forward along the road, metres (left-handed, so that heights
//! are positive).

use std::ops::{Add, Mul, Neg, Sub};

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct V3 {
    pub x: f32,
    pub y: f32,
    pub z: f32,
}

pub(crate) const fn v3(x: f32, y: f32, z: f32) -> V3 {
    V3 { x, y, z }
}

impl V3 {
    pub fn dot(self, o: V3) -> f32 {
        self.x * o.x + self.y * o.y + self.z * o.z
    }

    pub fn cross(self, o: V3) -> V3 {
        v3(self.y * o.z - self.z * o.y, self.z * o.x - self.x * o.z, self.x * o.y - self.y * o.x)
    }

    pub fn length(self) -> f32 {
        self.dot(self).sqrt()
    }

    /// Unit length; a zero vector stays zero.
    pub fn unit(self) -> V3 {
        let length = self.length();
        if length > 0.0 { self * (1.0 / length) } else { self }
    }

    pub fn min(self, o: V3) -> V3 {
        v3(self.x.min(o.x), self.y.min(o.y), self.z.min(o.z))
    }

    pub fn max(self, o: V3) -> V3 {
        v3(self.x.max(o.x), self.y.max(o.y), self.z.max(o.z))
    }
}

impl Add for V3 {
    type Output = V3;
    fn add(self, o: V3) -> V3 {
        v3(self.x + o.x, self.y + o.y, self.z + o.z)
    }
}

impl Sub for V3 {
    type Output = V3;
    fn sub(self, o: V3) -> V3 {
        v3(self.x - o.x, self.y - o.y, self.z - o.z)
    }
}

impl Mul<f32> for V3 {
    type Output = V3;
    fn mul(self, k: f32) -> V3 {
        v3(self.x * k, self.y * k, self.z * k)
    }
}

impl Neg for V3 {
    type Output = V3;
    fn neg(self) -> V3 {
        self * -1.0
    }
}

/// Where an object stands and which way it faces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub origin: V3,
    cos: f32,
    sin: f32,
}

impl Frame {
    /// `heading_rad` turns the object's z axis from the world's z towards its x.
    pub fn new(origin: V3, heading_rad: f32) -> Frame {
        let (sin, cos) = heading_rad.sin_cos();
        Frame { origin, cos, sin }
    }

    pub fn world_dir(&self, d: V3) -> V3 {
        v3(self.cos * d.x + self.sin * d.z, d.y, self.cos * d.z - self.sin * d.x)
    }

    pub fn world(&self, p: V3) -> V3 {
        self.world_dir(p) + self.origin
    }

    pub fn local_dir(&self, d: V3) -> V3 {
        v3(self.cos * d.x - self.sin * d.z, d.y, self.cos * d.z + self.sin * d.x)
    }

    pub fn local(&self, p: V3) -> V3 {
        self.local_dir(p - self.origin)
    }
}

pub(crate) fn mix(a: f32, b: f32, k: f32) -> f32 {
    a + (b - a) * k
}

/// 0 below `low`, 1 above `high`, smooth between.
pub(crate) fn smoothstep(low: f32, high: f32, v: f32) -> f32 {
    let k = ((v - low) / (high - low)).clamp(0.0, 1.0);
    k * k * (3.0 - 2.0 * k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_go_there_and_back() {
        let frame = Frame::new(v3(3.0, 0.5, 12.0), 0.7);
        let p = v3(-1.0, 2.0, 0.25);
        assert!((frame.local(frame.world(p)) - p).length() < 1e-6);
        let turned = Frame::new(v3(0.0, 0.0, 0.0), std::f32::consts::FRAC_PI_2).world(v3(0.0, 0.0, 1.0));
        assert!((turned - v3(1.0, 0.0, 0.0)).length() < 1e-6);
    }
}
