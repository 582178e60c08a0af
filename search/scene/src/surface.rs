//! What a surface sends to each camera: colour and light for one, temperature and emissivity for the other.

use super::noise::{cell, cloud2, value2, value3};
use super::vector::{V3, mix, smoothstep, v3};

/// Linear light, red green blue; albedos are in [0, 1], radiance is relative to a white surface under one unit of light.
pub(crate) type Rgb = [f32; 3];

pub(crate) fn scaled(c: Rgb, k: f32) -> Rgb {
    c.map(|v| v * k)
}

pub(crate) fn gray(v: f32) -> Rgb {
    [v; 3]
}

pub(crate) fn blend(a: Rgb, b: Rgb, k: f32) -> Rgb {
    [mix(a[0], b[0], k), mix(a[1], b[1], k), mix(a[2], b[2], k)]
}

/// Pattern laid over a surface's base values, by position in the object's frame.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Finish {
    /// The base values everywhere.
    Plain,
    /// Mottled by `depth` with features of `size_m`.
    Mottled { depth: f32, size_m: f32 },
    /// Leaves: deep mottling, and holes one sees through.
    Foliage,
    /// A wall with rows of windows, some of them lit.
    Facade { lit_share: f32, storey_m: f32, bay_m: f32 },
    /// Upper part of a vehicle: panes all round, pillars and roof of the base colour. `half_m` is width and length.
    Glasshouse { half_m: [f32; 2] },
    /// Vehicle body whose front is warmed by the engine: kelvins at the front face, fading over a metre.
    Bonnet { engine_k: f32, front_z_m: f32 },
    /// A traffic sign's face around `centre`, of the given radius; `worn` is the share of its paint lost to grime, 0–1.
    Face { sign: SignFace, centre: V3, radius_m: f32, worn: f32 },
    /// Stripes across the surface, as on a truck's tarpaulin.
    Ribbed { pitch_m: f32 },
}

/// What is painted on a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignFace {
    /// White with a red rim.
    Prohibition,
    /// Blue with a white mark.
    Mandatory,
    /// Yellow with a dark mark.
    Warning,
    /// Green with white lines.
    Direction,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Surface {
    pub finish: Finish,
    pub albedo: Rgb,
    /// Light it sends out by itself.
    pub emission: Rgb,
    /// Share of the mirrored surroundings in what is seen, 0–1.
    pub gloss: f32,
    /// How many times more of the observer's own headlights comes back than from white paint.
    pub retro: f32,
    /// Without sun.
    pub temperature_c: f32,
    /// In the thermal infrared, 0–1; the rest mirrors the surroundings.
    pub emissivity: f32,
    /// Share of the sun's heating that this surface takes, 0–1.
    pub heats: f32,
    pub seed: u32,
}

impl Surface {
    /// Matt, dark to the sky's mirror in neither band.
    pub fn matt(albedo: Rgb, temperature_c: f32) -> Surface {
        Surface {
            finish: Finish::Plain,
            albedo,
            emission: gray(0.0),
            gloss: 0.0,
            retro: 0.0,
            temperature_c,
            emissivity: 0.95,
            heats: 0.5,
            seed: 0,
        }
    }

    pub fn finish(mut self, finish: Finish, seed: u32) -> Surface {
        self.finish = finish;
        self.seed = seed;
        self
    }

    pub fn glossy(mut self, gloss: f32, emissivity: f32) -> Surface {
        self.gloss = gloss;
        self.emissivity = emissivity;
        self
    }

    pub fn glowing(mut self, emission: Rgb) -> Surface {
        self.emission = emission;
        self
    }

    pub fn heated_by_sun(mut self, share: f32) -> Surface {
        self.heats = share;
        self
    }

    /// Whether the ray goes on through this point.
    pub fn has_hole(&self, p: V3) -> bool {
        matches!(self.finish, Finish::Foliage) && value3(p * 3.0, self.seed) < 0.3
    }

    /// This surface at `p`, with its pattern applied; position and normal in the object's frame.
    pub fn at(&self, p: V3, normal: V3) -> Surface {
        let mut here = *self;
        match self.finish {
            Finish::Plain => {}
            Finish::Mottled { depth, size_m } => {
                let k = value3(p * (1.0 / size_m), self.seed) - 0.5;
                here.albedo = scaled(self.albedo, 1.0 + depth * 2.0 * k);
                here.temperature_c += depth * 2.0 * k;
            }
            Finish::Foliage => {
                let k = value3(p * 2.3, self.seed) + 0.6 * value3(p * 6.0, self.seed ^ 5) - 0.8;
                here.albedo = scaled(self.albedo, (1.0 + 1.1 * k).max(0.15));
                here.temperature_c += 1.2 * k;
            }
            Finish::Facade { lit_share, storey_m, bay_m } => facade(&mut here, p, normal, lit_share, storey_m, bay_m),
            Finish::Glasshouse { half_m } => glasshouse(&mut here, p, normal, half_m),
            Finish::Bonnet { engine_k, front_z_m } => {
                let near_front = smoothstep(1.6, 0.1, front_z_m - p.z);
                here.temperature_c += engine_k * near_front * if normal.z > 0.5 { 1.0 } else { 0.6 };
                // The grille.
                if normal.z > 0.7 && p.x.abs() < 0.5 && p.y < 0.62 {
                    here.albedo = gray(0.02);
                    here.temperature_c += engine_k * 0.5;
                    here.gloss *= 0.3;
                }
            }
            Finish::Face { sign, centre, radius_m, worn } => {
                let d = (p - centre) * (1.0 / radius_m);
                here.albedo = blend(sign_colour(sign, d, normal), gray(0.08), worn);
            }
            Finish::Ribbed { pitch_m } => {
                let along = (p.z + p.x) / pitch_m;
                let k = (along - along.floor() - 0.5).abs() * 2.0;
                let grime = cloud2(p.z + p.x, p.y, self.seed);
                here.albedo = scaled(self.albedo, mix(0.78, 1.0, k) * mix(0.85, 1.1, grime));
                here.temperature_c += 0.6 * (grime - 0.5);
            }
        }
        here
    }
}

fn facade(here: &mut Surface, p: V3, normal: V3, lit_share: f32, storey_m: f32, bay_m: f32) {
    if normal.y > 0.5 {
        here.albedo = gray(0.12);
        return;
    }
    let (along, side) = if normal.x.abs() > normal.z.abs() { (p.z, 1) } else { (p.x, 2) };
    let (u, v) = (along / bay_m, p.y / storey_m);
    let (bay, storey) = (u.floor(), v.floor());
    let (fu, fv) = (u - bay, v - storey);
    let draw = |n: i32| cell(bay as i32, storey as i32, side + 8 * n, here.seed);
    let wall = cloud2(along * 0.7, p.y * 0.7, here.seed);
    here.albedo = scaled(here.albedo, 0.85 + 0.3 * wall);
    here.temperature_c += 1.6 * (wall - 0.5);
    let shop = storey < 1.0;
    let (edge_u, low, high) = if shop { (0.1, 0.08, 0.85) } else { (0.25, 0.25, 0.8) };
    let window = fu > edge_u && fu < 1.0 - edge_u && fv > low && fv < high;
    if window {
        let frame = (fu - 0.5).abs() < 0.02 || fv - low < 0.03;
        let lit = draw(0) < lit_share;
        here.emission = if lit && !frame {
            let curtain = 0.5 + 0.5 * cell((along * 9.0) as i32, bay as i32, 3, here.seed);
            scaled([1.0, 0.72, 0.4], (0.12 + 0.25 * draw(1)) * curtain)
        } else {
            gray(0.0)
        };
        here.albedo = if frame { gray(0.5) } else { gray(0.03 + 0.05 * draw(2)) };
        here.gloss = if frame { 0.0 } else { 0.3 };
        // Panes leak the warmth of the room and mirror the sky.
        here.emissivity = 0.86;
        here.temperature_c += if frame { 0.5 } else { 1.0 + 3.0 * draw(3) };
        here.heats = 0.1;
    } else if fv > 0.93 {
        // The edge of a floor slab.
        here.albedo = scaled(here.albedo, 0.7);
        here.temperature_c += 0.7;
    }
}

fn glasshouse(here: &mut Surface, p: V3, normal: V3, [half_width, half_length]: [f32; 2]) {
    if normal.y > 0.85 {
        return;
    }
    let pillar = if normal.x.abs() > normal.z.abs() {
        let along = (p.z / half_length).abs();
        along > 0.88 || p.z.abs() < 0.05
    } else {
        p.x.abs() > half_width * 0.86
    };
    if pillar {
        return;
    }
    // Opaque in the infrared: nobody inside is seen, only the pane.
    here.albedo = gray(0.025);
    here.gloss = 0.18;
    here.emissivity = 0.85;
    here.temperature_c += 1.0;
    here.heats = 0.2;
    here.finish = Finish::Plain;
}

fn sign_colour(sign: SignFace, d: V3, normal: V3) -> Rgb {
    // The back of a plate is bare metal.
    if normal.z > -0.5 {
        return gray(0.35);
    }
    let r = (d.x * d.x + d.y * d.y).sqrt();
    let mark = d.x.abs() < 0.16 && d.y.abs() < 0.55;
    match sign {
        SignFace::Prohibition if r > 0.68 => [0.62, 0.02, 0.03],
        SignFace::Prohibition if (d.x.abs() - 0.22).abs() < 0.1 && d.y.abs() < 0.35 => gray(0.03),
        SignFace::Prohibition => gray(0.85),
        SignFace::Mandatory if mark || (d.y > 0.2 && d.y < 0.6 && d.x.abs() < 0.7 - d.y) => gray(0.85),
        SignFace::Mandatory => [0.02, 0.1, 0.55],
        SignFace::Warning if mark || d.x.abs().max(d.y.abs()) > 0.9 => gray(0.03),
        SignFace::Warning => [0.85, 0.55, 0.02],
        SignFace::Direction if d.y.abs() > 0.88 || d.x.abs() > 0.95 => gray(0.85),
        SignFace::Direction => {
            let line = (d.y * 2.2).fract().abs();
            if line < 0.3 && d.x > -0.8 && d.x < 0.3 + 0.4 * (d.y * 5.0).sin() { gray(0.85) } else { [0.01, 0.3, 0.12] }
        }
    }
}

/// The road's cross-section and what is painted on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ground {
    /// Carriageway from x to x.
    pub road_x_m: [f32; 2],
    /// Where lanes meet: dashed lines.
    pub dashes_x_m: f32,
    /// Zebra crossing around this z.
    pub crossing_z_m: Option<f32>,
    pub road_albedo: f32,
    pub pavement_albedo: f32,
    /// 0 dry, 1 mirrors.
    pub wet: f32,
    pub road_c: f32,
    pub pavement_c: f32,
    pub verge_c: f32,
    /// Beyond the pavement.
    pub verge: Rgb,
    pub pavement_width_m: f32,
    pub seed: u32,
}

impl Ground {
    /// The ground at a point; `fine` fades patterns that are smaller than a sample, 0–1.
    pub fn at(&self, p: V3, fine: f32) -> Surface {
        let [left, right] = self.road_x_m;
        let grain = (value2(p.x * 9.0, p.z * 9.0, self.seed) - 0.5) * fine;
        let patch = cloud2(p.x * 0.5, p.z * 0.25, self.seed ^ 9) - 0.5;
        if p.x > left && p.x < right {
            let wear = 1.0 + 0.5 * grain + 0.5 * patch;
            let mut here = Surface::matt(gray(self.road_albedo * wear), self.road_c + 1.2 * patch + 0.3 * grain);
            let tracks = ((p.x - self.dashes_x_m) * 1.8).sin().abs();
            here.temperature_c += 0.6 * (tracks - 0.6);
            if self.is_painted(p) {
                let worn = value2(p.x * 5.0, p.z * 3.0, self.seed ^ 21);
                here.albedo = gray(mix(0.6, 0.4, worn));
                here.retro = 1.0;
                here.temperature_c -= 0.8;
            }
            here.gloss = 0.35 * self.wet;
            here.heats = 1.0;
            return here;
        }
        let beside = (left - p.x).max(p.x - right);
        if beside < 0.18 {
            return Surface::matt(gray(0.38 + 0.1 * patch), self.pavement_c + 0.4);
        }
        if beside < self.pavement_width_m {
            let joint = fine > 0.5 && ((p.x * 1.6).fract().abs() < 0.06 || (p.z * 1.6).fract().abs() < 0.06);
            let tone = self.pavement_albedo * (1.0 + 0.4 * grain + 0.35 * patch) * if joint { 0.75 } else { 1.0 };
            return Surface::matt(gray(tone), self.pavement_c + 1.2 * patch + 0.3 * grain);
        }
        let tuft = value2(p.x * 3.0, p.z * 3.0, self.seed ^ 33);
        Surface::matt(scaled(self.verge, 0.6 + 0.8 * tuft), self.verge_c + 1.5 * (tuft - 0.5))
    }

    fn is_painted(&self, p: V3) -> bool {
        let [left, right] = self.road_x_m;
        if let Some(z) = self.crossing_z_m
            && (p.z - z).abs() < 1.6
        {
            return p.x > left + 0.3 && p.x < right - 0.3 && (p.x * 0.9).rem_euclid(1.0) < 0.5;
        }
        let dash = (p.x - self.dashes_x_m).abs() < 0.08 && p.z.rem_euclid(6.0) < 3.0;
        let rim = (p.x - left - 0.25).abs() < 0.06 || (p.x - right + 0.25).abs() < 0.06;
        dash || rim
    }
}

/// The unit vector of a mirrored direction.
pub(crate) fn mirrored(dir: V3, normal: V3) -> V3 {
    (dir - normal * (2.0 * dir.dot(normal))).unit()
}

/// Straight up.
pub(crate) const UP: V3 = v3(0.0, 1.0, 0.0);
