use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::climate::Climate;
use crate::light::Light;
use crate::model::{Body, NO_INSTANCE};
use crate::surface::{Finish, Rgb, SignFace, Surface, gray, scaled};
use crate::vector::v3;

/// How a lamp stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LampKind {
    /// A pole with an arm over the road; its frame's x points to the road.
    Street,
    /// A low post with a globe.
    Post,
    /// A luminaire on a tunnel's wall, `height_m` above the road.
    Wall,
}

/// A lamp with its pole.
#[derive(Clone, Debug)]
pub(crate) struct Lamp {
    kind: LampKind,
    pub lit: bool,
    height_m: f32,
    light: Rgb,
    pole: Rgb,
    /// Kelvins of the head over masonry: two thirds of the power of diodes, and more of a sodium lamp's, is heat in the housing.
    head_k: f32,
}

impl Lamp {
    pub fn draw(kind: LampKind, climate: &Climate, rng: &mut ChaCha8Rng) -> Lamp {
        let lit = climate.lamps_lit && rng.random_bool(0.75);
        let sodium = rng.random_bool(0.5);
        Lamp {
            kind,
            lit,
            height_m: match kind {
                LampKind::Street => rng.random_range(4.6..6.0),
                LampKind::Post => rng.random_range(3.0..3.8),
                LampKind::Wall => 3.6,
            },
            light: if sodium { [1.0, 0.62, 0.25] } else { [0.95, 0.97, 1.0] },
            pole: gray(rng.random_range(0.05..0.4)),
            head_k: if !lit {
                0.0
            } else if sodium {
                rng.random_range(10.0..22.0)
            } else {
                rng.random_range(4.0..12.0)
            },
        }
    }

    pub fn build(&self, body: &mut Body<'_>, climate: &Climate, lights: &mut Vec<Light>) {
        let metal = Surface::matt(self.pole, climate.masonry_c).glossy(0.1, 0.8);
        let head = Surface::matt(self.pole, climate.masonry_c + self.head_k);
        let lit = f32::from(u8::from(self.lit));
        let glass = Surface::matt(gray(0.7), climate.masonry_c + self.head_k).glowing(scaled(self.light, 5.0 * lit));
        let h = self.height_m;
        let shines_at = match self.kind {
            LampKind::Street => {
                body.cylinder([0.0, 0.0, 0.0], [0.0, h, 0.0], 0.085, metal);
                body.cylinder([0.0, 0.0, 0.0], [0.0, 0.9, 0.0], 0.13, metal);
                body.capsule([0.0, h, 0.0], [1.5, h + 0.25, 0.0], 0.05, metal);
                body.block([1.2, h + 0.16, -0.2], [2.1, h + 0.4, 0.2], head);
                body.block([1.25, h + 0.06, -0.17], [2.05, h + 0.17, 0.17], glass);
                v3(1.65, h, 0.0)
            }
            LampKind::Post => {
                body.cylinder([0.0, 0.0, 0.0], [0.0, h, 0.0], 0.07, metal);
                body.cylinder([0.0, 0.0, 0.0], [0.0, 0.7, 0.0], 0.11, metal);
                body.ellipsoid([0.0, h + 0.25, 0.0], [0.3, 0.3, 0.3], glass);
                body.block([-0.2, h + 0.5, -0.2], [0.2, h + 0.6, 0.2], head);
                v3(0.0, h + 0.25, 0.0)
            }
            LampKind::Wall => {
                body.block([0.0, h - 0.3, -0.75], [0.22, h + 0.3, 0.75], head);
                body.block([0.2, h - 0.22, -0.68], [0.3, h + 0.22, 0.68], glass);
                v3(0.35, h, 0.0)
            }
        };
        if self.lit {
            let (towards, edge, core) = match self.kind {
                LampKind::Street => (v3(0.0, -1.0, 0.0), 0.25, 0.75),
                LampKind::Post => (v3(0.0, -1.0, 0.0), -1.0, -0.6),
                LampKind::Wall => (v3(0.9, -0.43, 0.0), -0.2, 0.5),
            };
            let power = if self.kind == LampKind::Street { 9.0 } else { 3.5 };
            lights.push(Light {
                at: body.frame.world(shines_at),
                towards: body.frame.world_dir(towards),
                edge,
                core,
                power: scaled(self.light, power),
                reach_m: 16.0,
            });
        }
    }
}

/// A traffic sign; its pole is not part of the labelled object.
#[derive(Clone, Debug)]
pub(crate) struct Sign {
    face: SignFace,
    radius_m: f32,
    height_m: f32,
    /// Kelvins against masonry: near 0, unless the sun stands on it.
    warm_k: f32,
    /// Bare aluminium mirrors the cold sky in the infrared, painted plates do not.
    emissivity: f32,
    retro: f32,
    worn: f32,
    pole: bool,
}

impl Sign {
    pub fn draw(pole: bool, climate: &Climate, rng: &mut ChaCha8Rng) -> Sign {
        let faces = [SignFace::Prohibition, SignFace::Mandatory, SignFace::Warning, SignFace::Direction];
        let face = faces[rng.random_range(0..faces.len())];
        // In the dark many plates are worn bare, and cold against what is around.
        let bare = climate.dark && rng.random_bool(0.4);
        let sunlit = climate.condition == super::super::Condition::Glare && rng.random_bool(0.6);
        Sign {
            face,
            radius_m: if face == SignFace::Direction {
                rng.random_range(0.6..0.85)
            } else {
                rng.random_range(0.42..0.6)
            },
            height_m: rng.random_range(2.2..2.9),
            warm_k: if sunlit { rng.random_range(5.0..11.0) } else { rng.random_range(-0.5..0.5) },
            emissivity: if bare { 0.2 } else { 0.97 },
            retro: if bare { 0.1 } else { rng.random_range(2.0..7.0) },
            worn: if bare { 0.6 } else { 0.0 },
            pole,
        }
    }

    pub fn build(&self, body: &mut Body<'_>, climate: &Climate) {
        let (r, h) = (self.radius_m, self.height_m);
        let plain = Surface::matt(gray(0.4), climate.masonry_c + self.warm_k).glossy(0.0, self.emissivity);
        let centre = v3(0.0, h, 0.0);
        let mut face =
            plain.finish(Finish::Face { sign: self.face, centre, radius_m: r, worn: self.worn }, 0).heated_by_sun(0.2);
        face.retro = self.retro;
        match self.face {
            SignFace::Prohibition | SignFace::Mandatory => {
                body.cylinder([0.0, h, -0.02], [0.0, h, 0.02], r, face);
            }
            SignFace::Warning => body.block([-r, h - r * 0.9, -0.02], [r, h + r * 0.9, 0.02], face),
            SignFace::Direction => body.block([-r, h - r * 0.7, -0.02], [r, h + r * 0.7, 0.02], face),
        }
        if self.pole {
            let instance = std::mem::replace(&mut body.instance, NO_INSTANCE);
            let metal = Surface::matt(gray(0.3), climate.masonry_c).glossy(0.1, 0.85);
            body.cylinder([0.0, 0.0, 0.06], [0.0, h + r * 0.6, 0.06], 0.04, metal);
            body.instance = instance;
        }
    }
}
