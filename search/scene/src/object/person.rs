use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::climate::Climate;
use crate::model::Body;
use crate::surface::{Finish, Rgb, Surface, gray};
use crate::vector::mix;

/// What a person does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Posture {
    Walking,
    Standing,
    Riding,
}

/// A pedestrian or rider.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub posture: Posture,
    height_m: f32,
    girth: f32,
    coat: Rgb,
    trousers: Rgb,
    skin: Rgb,
    hair: Rgb,
    /// How much of the body's warmth comes through, 0–1.
    thin_clothes: f32,
    long_coat: bool,
    bag: bool,
    phase: f32,
    seed: u32,
}

impl Person {
    pub fn draw(posture: Posture, climate: &Climate, rng: &mut ChaCha8Rng) -> Person {
        let colours: [Rgb; 8] = [
            [0.03, 0.03, 0.04],
            [0.05, 0.06, 0.12],
            [0.25, 0.04, 0.04],
            [0.1, 0.16, 0.3],
            [0.55, 0.55, 0.52],
            [0.2, 0.18, 0.12],
            [0.08, 0.2, 0.1],
            [0.6, 0.42, 0.08],
        ];
        // Dark clothes are commoner in the dark: winter coats.
        let bright = rng.random_bool(if climate.dark { 0.2 } else { 0.6 });
        let pick = |rng: &mut ChaCha8Rng| colours[rng.random_range(0..if bright { 8 } else { 2 })];
        let tone = rng.random_range(0.1..0.5);
        Person {
            posture,
            height_m: rng.random_range(1.55..1.9),
            girth: rng.random_range(0.9..1.2),
            coat: pick(rng),
            trousers: colours[if climate.dark { rng.random_range(0..2) } else { rng.random_range(0..4) }],
            skin: [tone, tone * 0.7, tone * 0.55],
            hair: gray(rng.random_range(0.02..0.12)),
            thin_clothes: match climate.air_c {
                air_c if air_c > 22.0 => 0.85,
                // A good winter coat is only some kelvins warmer outside than the air.
                air_c if air_c < 12.0 => rng.random_range(0.3..0.6),
                _ => rng.random_range(0.4..0.75),
            },
            long_coat: climate.air_c < 12.0 && rng.random_bool(0.4),
            bag: rng.random_bool(0.3),
            phase: rng.random_range(0.0..std::f32::consts::TAU),
            seed: rng.random(),
        }
    }

    pub fn build(&self, body: &mut Body<'_>, walked_m: f32, climate: &Climate) {
        let h = self.height_m / 1.75;
        // Skin at 34 °C, clothes between skin and air; a hot day closes the gap.
        let through = |k: f32| mix(climate.air_c, 33.5, k * self.thin_clothes);
        let wool = Finish::Mottled { depth: 0.25, size_m: 0.12 };
        let cloth = |colour: Rgb, k: f32| Surface::matt(colour, through(k)).finish(wool, self.seed).heated_by_sun(0.6);
        let (coat, sleeves) = (cloth(self.coat, 1.0), cloth(self.coat, 0.85));
        let trousers = cloth(self.trousers, 0.8);
        let shoes = Surface::matt(gray(0.03), mix(climate.air_c, 33.0, 0.25));
        let skin = Surface::matt(self.skin, 33.8);
        let hair = Surface::matt(self.hair, mix(climate.air_c, 33.0, 0.65));
        let w = self.girth * h;
        // A full stride (two steps) takes about 1.4 m.
        let swing = match self.posture {
            Posture::Walking => (self.phase + walked_m * 4.5).sin(),
            Posture::Standing => 0.1,
            Posture::Riding => (self.phase + walked_m * 2.0).sin(),
        };
        if self.posture == Posture::Riding {
            self.build_rider(body, swing, [&coat, &sleeves, &trousers, &shoes, &skin, &hair]);
            return;
        }
        for (side, s) in [(-1.0f32, swing), (1.0, -swing)] {
            let hip = [0.09 * w * side, 0.86 * h, 0.0];
            let knee = [0.1 * w * side, 0.46 * h, 0.2 * s + 0.05 * (1.0 - s.abs())];
            let ankle = [0.1 * w * side, 0.08 * h, 0.34 * s - 0.06 * (s < 0.0) as u8 as f32];
            body.capsule(hip, knee, 0.085 * w, trousers);
            body.capsule(knee, ankle, 0.06 * w, trousers);
            body.capsule([ankle[0], 0.05, ankle[2]], [ankle[0], 0.05, ankle[2] + 0.14], 0.05, shoes);
            let shoulder = [0.2 * w * side, 1.4 * h, 0.0];
            let elbow = [0.25 * w * side, 1.12 * h, -0.14 * s];
            let hand = [0.24 * w * side, 0.88 * h, -0.26 * s + 0.06];
            body.capsule(shoulder, elbow, 0.055 * w, sleeves);
            body.capsule(elbow, hand, 0.045 * w, sleeves);
            body.ellipsoid(hand, [0.05, 0.06, 0.05], skin);
        }
        body.capsule([0.0, 0.95 * h, 0.0], [0.0, 1.32 * h, 0.01], 0.155 * w, coat);
        body.capsule([-0.11 * w, 1.38 * h, 0.0], [0.11 * w, 1.38 * h, 0.0], 0.09 * w, coat);
        if self.long_coat {
            body.capsule([0.0, 0.68 * h, 0.0], [0.0, 1.0 * h, 0.0], 0.165 * w, coat);
        }
        if self.bag {
            let bag = Surface::matt(self.trousers, climate.air_c + 2.0);
            body.block([-0.14 * w, 1.0 * h, -0.3], [0.14 * w, 1.4 * h, -0.12], bag);
        }
        body.capsule([0.0, 1.44 * h, 0.01], [0.0, 1.54 * h, 0.02], 0.055 * h, skin);
        body.ellipsoid([0.0, 1.63 * h, 0.03], [0.085 * h, 0.12 * h, 0.095 * h], skin);
        body.ellipsoid([0.0, 1.675 * h, -0.005], [0.095 * h, 0.095 * h, 0.105 * h], hair);
    }

    fn build_rider(&self, body: &mut Body<'_>, swing: f32, surfaces: [&Surface; 6]) {
        let [coat, sleeves, trousers, shoes, skin, hair] = surfaces.map(|s| *s);
        for (side, s) in [(-1.0f32, swing), (1.0, -swing)] {
            let knee = [0.11 * side, 0.72 + 0.12 * s, 0.22];
            let foot = [0.12 * side, 0.3 + 0.16 * s, 0.04 - 0.1 * s];
            body.capsule([0.09 * side, 0.98, -0.2], knee, 0.08, trousers);
            body.capsule(knee, foot, 0.058, trousers);
            body.capsule(foot, [foot[0], foot[1] - 0.03, foot[2] + 0.14], 0.048, shoes);
            body.capsule([0.19 * side, 1.42, 0.08], [0.27 * side, 1.08, 0.45], 0.05, sleeves);
        }
        body.capsule([0.0, 1.02, -0.2], [0.0, 1.4, 0.05], 0.155 * self.girth, coat);
        body.capsule([-0.12, 1.43, 0.06], [0.12, 1.43, 0.06], 0.085, coat);
        body.ellipsoid([0.0, 1.68, 0.16], [0.085, 0.12, 0.095], skin);
        body.ellipsoid([0.0, 1.73, 0.13], [0.1, 0.09, 0.115], hair);
    }
}
