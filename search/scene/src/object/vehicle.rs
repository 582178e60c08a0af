use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::climate::Climate;
use crate::light::Light;
use crate::model::Body;
use crate::shape::Slab;
use crate::surface::{Finish, Rgb, Surface, gray, scaled};
use crate::vector::v3;

/// Shape of a vehicle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VehicleKind {
    Hatchback,
    Saloon,
    Estate,
    Truck,
}

/// A car or truck.
#[derive(Clone, Debug)]
pub(crate) struct Vehicle {
    pub kind: VehicleKind,
    paint: Rgb,
    cargo: Rgb,
    /// Kelvins of a running engine over the air at the bonnet; 0 when it has been parked for long.
    pub engine_k: f32,
    pub moving: bool,
    pub lights_on: bool,
    high_beam: bool,
    stretch: f32,
    seed: u32,
}

impl Vehicle {
    pub fn draw(kind: VehicleKind, moving: bool, climate: &Climate, rng: &mut ChaCha8Rng) -> Vehicle {
        let paints: [Rgb; 8] = [
            gray(0.03),
            gray(0.75),
            gray(0.35),
            gray(0.14),
            [0.4, 0.02, 0.03],
            [0.03, 0.09, 0.3],
            [0.1, 0.16, 0.12],
            [0.45, 0.36, 0.2],
        ];
        let engine_k = if moving {
            rng.random_range(12.0..26.0)
        } else if rng.random_bool(0.2) {
            rng.random_range(3.0..12.0)
        } else {
            0.0
        };
        Vehicle {
            kind,
            paint: paints[rng.random_range(0..paints.len())],
            cargo: paints[rng.random_range(1..paints.len())],
            engine_k,
            moving,
            lights_on: moving && climate.headlights,
            high_beam: climate.high_beams,
            stretch: rng.random_range(0.94..1.08),
            seed: rng.random(),
        }
    }

    /// Half width, half length and height in metres.
    pub fn size_m(&self) -> [f32; 3] {
        let k = self.stretch;
        match self.kind {
            VehicleKind::Hatchback => [0.87, 1.95 * k, 1.5 * k],
            VehicleKind::Saloon => [0.91, 2.35 * k, 1.44 * k],
            VehicleKind::Estate => [0.95, 2.35 * k, 1.72 * k],
            VehicleKind::Truck => [1.22, 3.9 * k, 3.3 * k],
        }
    }

    pub fn build(&self, body: &mut Body<'_>, climate: &Climate, lights: &mut Vec<Light>) {
        match self.kind {
            VehicleKind::Truck => self.build_truck(body, climate),
            VehicleKind::Hatchback | VehicleKind::Saloon | VehicleKind::Estate => self.build_car(body, climate),
        }
        let [half_width, half_length, _] = self.size_m();
        let up = if self.kind == VehicleKind::Truck { 0.85 } else { 0.68 };
        self.build_lamps(body, climate, [half_width - 0.22, half_length, up]);
        if self.lights_on {
            let power = if self.high_beam { 90.0 } else { 45.0 };
            let towards = v3(0.0, if self.high_beam { -0.01 } else { -0.06 }, 1.0).unit();
            lights.push(Light {
                at: body.frame.world(v3(0.0, up, half_length + 0.1)),
                towards: body.frame.world_dir(towards),
                edge: 0.86,
                core: 0.985,
                power: scaled([1.0, 0.95, 0.85], power),
                reach_m: 35.0,
            });
        }
    }

    fn metal(&self, climate: &Climate) -> Surface {
        let warm = if self.moving { 2.5 } else { 0.0 };
        // Paint over metal: thin, so it follows the air and mirrors some of the sky in both bands.
        Surface::matt(self.paint, climate.air_c + warm).glossy(0.14, 0.86).heated_by_sun(1.0)
    }

    fn build_car(&self, body: &mut Body<'_>, climate: &Climate) {
        let [w, l, h] = self.size_m();
        let bonnet = Finish::Bonnet { engine_k: self.engine_k, front_z_m: l };
        let metal = self.metal(climate);
        let lower = metal.finish(bonnet, self.seed);
        let waist = h * 0.6;
        body.tapered(
            Slab { y: 0.2, x: [-w * 0.97, w * 0.97], z: [-l * 0.97, l * 0.96] },
            Slab { y: 0.55, x: [-w, w], z: [-l, l] },
            lower,
        );
        // Boot and bonnet slope a little, the bonnet more.
        let boot = if self.kind == VehicleKind::Saloon { 0.98 } else { 1.0 };
        body.tapered(
            Slab { y: 0.55, x: [-w, w], z: [-l, l] },
            Slab { y: waist, x: [-w * 0.95, w * 0.95], z: [-l * boot, l * 0.9] },
            lower,
        );
        let (back, roof_back) = match self.kind {
            VehicleKind::Saloon => (-l * 0.72, -l * 0.38),
            _ => (-l * 0.99, -l * 0.86),
        };
        let (front, roof_front) = (l * 0.48, l * 0.12);
        let glass = metal.finish(Finish::Glasshouse { half_m: [w * 0.9, l * 0.7] }, self.seed);
        body.tapered(
            Slab { y: waist, x: [-w * 0.94, w * 0.94], z: [back, front] },
            Slab { y: h - 0.05, x: [-w * 0.76, w * 0.76], z: [roof_back, roof_front] },
            glass,
        );
        body.block([-w * 0.76, h - 0.06, roof_back], [w * 0.76, h, roof_front], metal);
        self.build_wheels(body, climate, &[-l * 0.6, l * 0.62], w, 0.32);
        let plate = Surface::matt(gray(0.8), climate.air_c);
        body.block([-0.26, 0.42, l], [0.26, 0.53, l + 0.02], plate);
        body.block([-0.26, 0.72, -l - 0.02], [0.26, 0.83, -l], plate);
        let bumper = Surface::matt(gray(0.05), climate.air_c + self.engine_k * 0.1);
        body.block([-w * 0.96, 0.26, -l - 0.06], [w * 0.96, 0.42, -l], bumper);
        if self.moving {
            let pipe = Surface::matt(gray(0.1), climate.air_c + self.engine_k * 2.2);
            body.cylinder([w * 0.55, 0.25, -l - 0.12], [w * 0.55, 0.25, -l + 0.1], 0.07, pipe);
        }
    }

    fn build_truck(&self, body: &mut Body<'_>, climate: &Climate) {
        let [w, l, h] = self.size_m();
        let tarpaulin =
            Surface::matt(self.cargo, climate.air_c + 0.5).finish(Finish::Ribbed { pitch_m: 0.9 }, self.seed);
        let cab_back = l - 2.0;
        body.block([-w, 1.0, -l], [w, h, cab_back - 0.15], tarpaulin);
        let chassis = Surface::matt(gray(0.05), climate.air_c + self.engine_k * 0.35);
        body.block([-w * 0.7, 0.5, -l], [w * 0.7, 1.0, l - 0.3], chassis);
        // Doors at the back: a frame and a middle seam.
        let seam = Surface::matt(gray(0.06), climate.air_c);
        body.block([-0.03, 1.05, -l - 0.03], [0.03, h - 0.08, -l], seam);
        body.block([-w, h - 0.12, -l - 0.04], [w, h, -l], seam);
        let metal = self.metal(climate);
        let bonnet = Finish::Bonnet { engine_k: self.engine_k, front_z_m: l };
        body.block([-w, 0.55, cab_back], [w, 1.55, l], metal.finish(bonnet, self.seed));
        let glass = metal.finish(Finish::Glasshouse { half_m: [w, 1.3] }, self.seed);
        body.tapered(
            Slab { y: 1.55, x: [-w, w], z: [cab_back, l] },
            Slab { y: h * 0.82, x: [-w * 0.93, w * 0.93], z: [cab_back, l - 0.25] },
            glass,
        );
        self.build_wheels(body, climate, &[-l * 0.75, -l * 0.48, l - 1.1], w, 0.5);
        if self.moving {
            let pipe = Surface::matt(gray(0.1), climate.air_c + self.engine_k * 2.5);
            body.cylinder([w * 0.8, 0.6, cab_back - 0.4], [w * 0.8, h * 0.75, cab_back - 0.1], 0.09, pipe);
        }
    }

    fn build_wheels(&self, body: &mut Body<'_>, climate: &Climate, axles_z: &[f32], w: f32, radius: f32) {
        let warm = if self.moving { 11.0 } else { self.engine_k * 0.3 };
        let tyre = Surface::matt(gray(0.02), climate.air_c + warm);
        let hub = Surface::matt(gray(0.45), climate.air_c + warm * 1.5).glossy(0.2, 0.6);
        for z in axles_z {
            for side in [-1.0f32, 1.0] {
                let (inner, outer) = (side * (w - 0.22), side * (w + 0.01));
                body.cylinder([inner, radius, *z], [outer, radius, *z], radius, tyre);
                body.cylinder([side * w, radius, *z], [side * (w + 0.02), radius, *z], radius * 0.55, hub);
            }
        }
    }

    fn build_lamps(&self, body: &mut Body<'_>, climate: &Climate, [x, l, y]: [f32; 3]) {
        let on = f32::from(u8::from(self.lights_on));
        let glow = if self.high_beam { 14.0 } else { 4.0 };
        let white = Surface::matt(gray(0.6), climate.air_c + 7.0 * on).glowing(scaled([1.0, 0.97, 0.88], glow * on));
        let red = Surface::matt([0.3, 0.01, 0.01], climate.air_c + 3.0 * on).glowing(scaled([0.9, 0.03, 0.02], on));
        for side in [-1.0f32, 1.0] {
            body.block([side * x - 0.16, y - 0.08, l - 0.06], [side * x + 0.16, y + 0.07, l + 0.03], white);
            body.block([side * x - 0.13, y - 0.02, -l - 0.05], [side * x + 0.13, y + 0.2, -l + 0.04], red);
        }
    }
}
