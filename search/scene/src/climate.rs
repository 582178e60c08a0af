//! Light and heat of a scene: what the condition makes of sun, sky, lamps, air and exposure.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::surface::{Rgb, blend, gray, scaled};
use super::vector::{V3, v3};

/// What makes the scene easy or hard for each camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// Sun or overcast; on hot days people are no warmer than the street.
    Day,
    /// Street lamps and headlights, and dark between them.
    Night,
    /// 10 to 35 m of sight in the visible.
    Fog,
    /// A low sun ahead, or at night oncoming high beams.
    Glare,
    /// Dim lamps, and daylight at the far end.
    Tunnel,
}

impl Condition {
    /// All conditions in the order in which data sets cycle through them.
    pub const ALL: [Condition; 5] =
        [Condition::Day, Condition::Night, Condition::Fog, Condition::Glare, Condition::Tunnel];

    /// Lower-case name, as in `scenes.json` and on command lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Condition::Day => "day",
            Condition::Night => "night",
            Condition::Fog => "fog",
            Condition::Glare => "glare",
            Condition::Tunnel => "tunnel",
        }
    }
}

impl std::str::FromStr for Condition {
    type Err = UnknownCondition;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Condition::ALL.into_iter().find(|c| c.name() == name);
        found.ok_or_else(|| UnknownCondition { found: name.to_owned() })
    }
}

/// A word that names no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected day, night, fog, glare or tunnel, found `{found}`")]
pub struct UnknownCondition {
    /// The word.
    pub found: String,
}

/// Parallel light.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sun {
    /// Unit vector towards it.
    pub towards: V3,
    pub light: Rgb,
}

#[derive(Clone, Debug)]
pub(crate) struct Climate {
    pub condition: Condition,
    pub dark: bool,
    pub sun: Option<Sun>,
    /// Radiance of the sky overhead and at the horizon.
    pub zenith: Rgb,
    pub horizon: Rgb,
    pub clouds: f32,
    /// Light on a surface that faces up.
    pub ambient: Rgb,
    /// Share of visible light lost per metre, and what replaces it.
    pub haze_per_m: f32,
    pub haze: Rgb,
    /// The same for the infrared; what replaces it is air at `air_c`.
    pub infrared_haze_per_m: f32,
    pub air_c: f32,
    /// Apparent temperature of the sky overhead and at the horizon.
    pub zenith_c: f32,
    pub horizon_c: f32,
    /// Kelvins that full sun adds to a dark surface.
    pub sun_heats_k: f32,
    pub road_c: f32,
    /// Walls, pavement and metal against the air.
    pub masonry_c: f32,
    pub lamps_lit: bool,
    pub headlights: bool,
    /// Brightness of the observer's own headlights, 0 for none.
    pub own_beam: f32,
    /// Mean level that the exposure aims at, and the gain it may reach at most.
    pub exposure_target: f32,
    pub most_gain: f32,
    /// Exposed light that the camera still shows as black, so that its noise in the dark is not lifted.
    pub black: f32,
    /// Deviation of the visible noise at black, in levels.
    pub visible_noise: f32,
    pub infrared_noise_k: f32,
    /// Share of the scene's light scattered over the image by the lens.
    pub veil: f32,
    /// Oncoming traffic with its high beams on.
    pub high_beams: bool,
    /// 0 dry, 1 puddles: what is wet mirrors.
    pub wet: f32,
    /// Share of its difference to the air that rain takes from a surface, 0–1: the infrared fades (thermal wash-out).
    pub washed: f32,
}

fn base(condition: Condition, air_c: f32, rng: &mut ChaCha8Rng) -> Climate {
    Climate {
        condition,
        dark: false,
        sun: None,
        zenith: gray(0.6),
        horizon: gray(0.8),
        clouds: 0.3,
        ambient: gray(0.7),
        haze_per_m: 0.001,
        haze: gray(0.7),
        infrared_haze_per_m: 0.002,
        air_c,
        zenith_c: air_c - 30.0,
        horizon_c: air_c - 7.0,
        sun_heats_k: 0.0,
        road_c: air_c + 2.0,
        masonry_c: air_c + 1.0,
        lamps_lit: false,
        headlights: false,
        own_beam: 0.0,
        exposure_target: 0.32,
        most_gain: 6.0,
        black: 0.0,
        visible_noise: 1.2,
        // Uncooled detectors promise 0.05 K on the bench; behind a lens, with their drift, a vehicle's have some times that.
        infrared_noise_k: rng.random_range(0.08..0.2),
        veil: 0.02,
        high_beams: false,
        wet: 0.0,
        washed: 0.0,
    }
}

impl Climate {
    pub fn draw(condition: Condition, rng: &mut ChaCha8Rng) -> Climate {
        match condition {
            Condition::Day => day(rng),
            Condition::Night => night(Condition::Night, rng),
            Condition::Fog => fog(rng),
            Condition::Glare if rng.random_bool(0.7) => low_sun(rng),
            Condition::Glare => {
                let mut climate = night(Condition::Glare, rng);
                climate.high_beams = true;
                climate.veil = 0.12;
                climate
            }
            Condition::Tunnel => tunnel(rng),
        }
    }

    /// Radiance of the sky in a direction (unit).
    pub fn sky(&self, dir: V3) -> Rgb {
        let up = dir.y.max(0.0).sqrt();
        let mut light = blend(self.horizon, self.zenith, up);
        if let Some(sun) = &self.sun {
            let near = dir.dot(sun.towards).max(0.0);
            // The disc, and the aureole around it.
            let glow = near.powi(300) * 3.0 + near.powi(24) * 0.35;
            let disc = if near > 0.9993 { 60.0 } else { 0.0 };
            let k = (glow + disc) * sun.light[0].min(3.0) / 3.0;
            light = [light[0] + k, light[1] + k * 0.95, light[2] + k * 0.8];
        }
        light
    }

    /// Apparent temperature of the sky in a direction (unit).
    pub fn sky_c(&self, dir: V3) -> f32 {
        let up = dir.y.max(0.0).sqrt();
        self.horizon_c + (self.zenith_c - self.horizon_c) * up
    }
}

/// An overcast sky is nearly as warm as the air, and rain takes every surface there too.
fn rain(climate: &mut Climate, rng: &mut ChaCha8Rng) {
    climate.wet = rng.random_range(0.3..1.0);
    climate.washed = rng.random_range(0.5..0.85);
    climate.zenith_c = climate.air_c - 4.0;
    climate.horizon_c = climate.air_c - 1.0;
    climate.haze_per_m = climate.haze_per_m.max(0.006);
    climate.infrared_haze_per_m = climate.infrared_haze_per_m.max(0.006);
}

fn day(rng: &mut ChaCha8Rng) -> Climate {
    // Four days in ten are hot: bodies and streets then have nearly the same temperature.
    let hot = rng.random_bool(0.4);
    let air_c = if hot { rng.random_range(27.0..33.0) } else { rng.random_range(4.0..20.0) };
    let mut climate = base(Condition::Day, air_c, rng);
    if hot || rng.random_bool(0.5) {
        let (side, height) = (rng.random_range(-1.0..1.0f32), rng.random_range(0.5..1.6f32));
        let towards = v3(side, height, rng.random_range(-0.9..0.5)).unit();
        climate.sun = Some(Sun { towards, light: scaled([1.0, 0.95, 0.86], rng.random_range(1.8..2.6)) });
        climate.zenith = [0.22, 0.38, 0.75];
        climate.horizon = [0.72, 0.8, 0.9];
        climate.ambient = [0.45, 0.52, 0.65];
        climate.sun_heats_k = if hot { rng.random_range(7.0..14.0) } else { rng.random_range(3.0..7.0) };
        climate.road_c = air_c + if hot { 4.0 } else { 1.0 };
        climate.clouds = rng.random_range(0.0..0.7);
    } else {
        climate.zenith = gray(0.75);
        climate.horizon = gray(0.9);
        climate.ambient = gray(0.8);
        climate.zenith_c = air_c - 9.0;
        climate.horizon_c = air_c - 3.0;
        climate.clouds = 1.0;
        if rng.random_bool(0.5) {
            rain(&mut climate, rng);
        }
    }
    climate
}

fn night(condition: Condition, rng: &mut ChaCha8Rng) -> Climate {
    let air_c = rng.random_range(-3.0..16.0);
    let mut climate = base(condition, air_c, rng);
    climate.dark = true;
    climate.zenith = [0.0012, 0.0014, 0.0022];
    climate.horizon = [0.006, 0.005, 0.005];
    climate.ambient = scaled([0.9, 0.95, 1.2], rng.random_range(0.0005..0.003));
    climate.haze = gray(0.004);
    climate.clouds = 0.5;
    climate.road_c = air_c + rng.random_range(1.0..4.0);
    climate.masonry_c = air_c + rng.random_range(0.5..2.0);
    climate.lamps_lit = rng.random_bool(0.35);
    climate.headlights = true;
    climate.own_beam = rng.random_range(0.08..0.4);
    climate.exposure_target = 0.11;
    climate.most_gain = 5.5;
    climate.black = 0.008;
    climate.visible_noise = rng.random_range(4.0..7.0);
    climate.veil = 0.03;
    if rng.random_bool(0.3) {
        rain(&mut climate, rng);
    }
    climate
}

fn fog(rng: &mut ChaCha8Rng) -> Climate {
    let air_c = rng.random_range(0.0..12.0);
    let mut climate = base(Condition::Fog, air_c, rng);
    let bright = rng.random_range(0.55..0.8);
    climate.zenith = gray(bright);
    climate.horizon = gray(bright);
    climate.ambient = gray(bright);
    climate.haze = [bright * 0.97, bright, bright * 1.01];
    // 3 / sight: contrast falls to 5 % at that distance.
    climate.haze_per_m = 3.0 / rng.random_range(10.0..35.0);
    // Droplets are about as large as the infrared's waves are long: it sees four to twelve times as far, not for ever.
    climate.infrared_haze_per_m = climate.haze_per_m * rng.random_range(0.08..0.25);
    climate.zenith_c = air_c - 3.0;
    climate.horizon_c = air_c - 0.5;
    climate.road_c = air_c + 1.0;
    climate.masonry_c = air_c + 0.4;
    climate.clouds = 0.0;
    climate.headlights = true;
    climate.lamps_lit = rng.random_bool(0.5);
    climate.exposure_target = 0.5;
    // Fog is bright, and its light brings its own noise to what little comes through.
    climate.visible_noise = 4.0;
    climate.infrared_noise_k *= 1.3;
    climate
}

fn low_sun(rng: &mut ChaCha8Rng) -> Climate {
    let warm_evening = rng.random_bool(0.4);
    let air_c = if warm_evening { rng.random_range(20.0..28.0) } else { rng.random_range(2.0..18.0) };
    let mut climate = base(Condition::Glare, air_c, rng);
    let towards = v3(rng.random_range(-0.28..0.28), rng.random_range(0.1..0.27), 1.0).unit();
    climate.sun = Some(Sun { towards, light: scaled([1.0, 0.82, 0.55], rng.random_range(2.0..3.0)) });
    climate.zenith = [0.2, 0.3, 0.5];
    climate.horizon = [1.3, 1.05, 0.75];
    climate.ambient = [0.26, 0.27, 0.32];
    climate.haze_per_m = rng.random_range(0.01..0.03);
    climate.haze = [1.2, 1.0, 0.75];
    climate.sun_heats_k = rng.random_range(1.0..3.0);
    if warm_evening {
        // Walls and roads give back the day's heat.
        climate.road_c = air_c + rng.random_range(5.0..10.0);
        climate.masonry_c = air_c + rng.random_range(3.0..8.0);
    }
    climate.exposure_target = 0.4;
    climate.veil = rng.random_range(0.2..0.42);
    climate.visible_noise = 4.0;
    climate
}

fn tunnel(rng: &mut ChaCha8Rng) -> Climate {
    let air_c = rng.random_range(8.0..20.0);
    let mut climate = base(Condition::Tunnel, air_c, rng);
    climate.dark = true;
    climate.zenith = gray(2.2);
    climate.horizon = gray(2.6);
    climate.ambient = scaled([1.0, 0.8, 0.5], rng.random_range(0.006..0.03));
    climate.haze_per_m = rng.random_range(0.004..0.02);
    climate.haze = [0.03, 0.024, 0.016];
    climate.zenith_c = air_c - 6.0;
    climate.horizon_c = air_c - 2.0;
    climate.road_c = air_c + 1.5;
    climate.masonry_c = air_c;
    climate.lamps_lit = rng.random_bool(0.75);
    climate.headlights = true;
    climate.own_beam = rng.random_range(0.1..0.6);
    climate.exposure_target = 0.17;
    climate.most_gain = 5.0;
    climate.visible_noise = rng.random_range(3.0..5.5);
    climate.veil = 0.04;
    climate
}
