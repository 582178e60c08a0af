//! Who is where: places objects so that they do not stand in one another at the start, nor drive into one another later.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::climate::{Climate, Condition};
use super::model::Solid;
use super::object::{Bicycle, Kind, Lamp, LampKind, Object, Path, Person, Posture, Sign, Vehicle, VehicleKind};
use super::street::{self, LANE_M};
use super::surface::Ground;
use super::vector::{V3, v3};

/// Everything that a scene's seed decides about its street.
#[derive(Debug)]
pub(crate) struct Layout {
    pub ground: Ground,
    pub scenery: Vec<Solid>,
    pub objects: Vec<Object>,
    /// The observer's speed along z.
    pub own_speed_mps: f32,
    /// Where a tunnel ends and daylight begins.
    pub daylight_from_z_m: Option<f32>,
}

struct Placing<'a> {
    climate: &'a Climate,
    ground: Ground,
    objects: Vec<Object>,
    taken: Vec<(V3, f32)>,
    /// Traffic waits for people on the crossing.
    waiting: bool,
    own_speed_mps: f32,
}

impl Layout {
    pub fn draw(climate: &Climate, rng: &mut ChaCha8Rng) -> Layout {
        let in_tunnel = climate.condition == Condition::Tunnel;
        let parking = if in_tunnel { [false; 2] } else { [rng.random_bool(0.6), rng.random_bool(0.6)] };
        let mut ground = street::ground(climate, parking, in_tunnel, rng);
        let mut scenery = Vec::new();
        let mut daylight_from_z_m = None;
        if in_tunnel {
            let end_m = rng.random_range(45.0..110.0);
            street::tunnel(&ground, end_m, climate, &mut scenery, rng);
            daylight_from_z_m = Some(end_m);
        } else {
            street::line_street(&ground, climate, &mut scenery, rng);
        }
        // Fewer cross in the dark, where the headlights would show them all.
        let waiting = !in_tunnel && rng.random_bool(if climate.dark { 0.15 } else { 0.4 });
        if waiting {
            ground.crossing_z_m = Some(rng.random_range(7.0..15.0));
        }
        let own_speed_mps = if waiting { 0.0 } else { rng.random_range(0.5..3.0) };
        let mut placing = Placing { climate, ground, objects: Vec::new(), taken: Vec::new(), waiting, own_speed_mps };
        placing.lanes(rng);
        placing.parked(parking, rng);
        placing.furniture(in_tunnel, rng);
        placing.unlabelled(in_tunnel, &mut scenery, rng);
        if !in_tunnel && rng.random_bool(0.2) {
            let x = ground.road_x_m[1] + 0.9;
            let waits = street::shelter(x, rng.random_range(9.0..17.0), climate, &mut scenery);
            placing.person(Posture::Standing, Path::standing(waits, rng.random_range(-2.0..2.0)), rng);
        }
        placing.people(rng);
        placing.bicycles(rng);
        scenery.sort_by(|a, b| a.low.z.total_cmp(&b.low.z));
        Layout { ground, scenery, objects: placing.objects, own_speed_mps, daylight_from_z_m }
    }
}

impl Placing<'_> {
    fn is_free(&self, at: V3, radius: f32) -> bool {
        self.taken.iter().all(|(other, r)| (at.x - other.x).hypot(at.z - other.z) > radius + r)
    }

    fn add(&mut self, kind: Kind, path: Path, radius: f32) {
        self.taken.push((path.start, radius));
        self.objects.push(Object { kind, path });
    }

    fn person(&mut self, posture: Posture, path: Path, rng: &mut ChaCha8Rng) {
        let person = Person::draw(posture, self.climate, rng);
        self.add(Kind::Person(person), path, 0.3);
    }

    fn vehicle_kind(rng: &mut ChaCha8Rng, truck_share: f64) -> VehicleKind {
        if rng.random_bool(truck_share) {
            return VehicleKind::Truck;
        }
        [VehicleKind::Hatchback, VehicleKind::Saloon, VehicleKind::Estate][rng.random_range(0..3)]
    }

    /// Vehicles of one lane share a speed, so that none runs into another.
    fn lanes(&mut self, rng: &mut ChaCha8Rng) {
        let behind_crossing = self.ground.crossing_z_m.map_or(0.0, |z| z + 4.5);
        for (x, direction, present) in [(0.0f32, 1.0f32, 0.6), (-LANE_M, -1.0, 0.85)] {
            if !rng.random_bool(present) {
                continue;
            }
            let speed = match (self.waiting, direction > 0.0) {
                (true, _) => 0.0,
                (false, true) => self.own_speed_mps + rng.random_range(0.2..2.5),
                (false, false) => rng.random_range(2.0..7.0),
            };
            let mut z = behind_crossing + rng.random_range(8.0..18.0f32);
            for _ in 0..rng.random_range(1..4) {
                let kind = Self::vehicle_kind(rng, 0.4);
                // Who waits at a crossing has his engine running.
                let vehicle = Vehicle::draw(kind, true, self.climate, rng);
                let [_, half_length, _] = vehicle.size_m();
                let start = v3(x + rng.random_range(-0.25..0.25), 0.0, z + half_length);
                let mut path = Path::moving(start, [0.0, direction * speed.max(1e-4)]);
                if self.waiting {
                    path = Path::standing(start, if direction > 0.0 { 0.0 } else { std::f32::consts::PI });
                }
                self.add(Kind::Vehicle(vehicle), path, half_length);
                z += 2.0 * half_length + rng.random_range(4.0..16.0);
            }
        }
    }

    fn parked(&mut self, parking: [bool; 2], rng: &mut ChaCha8Rng) {
        let [left, right] = self.ground.road_x_m;
        for (wanted, x, heading) in [(parking[0], left + 1.15, std::f32::consts::PI), (parking[1], right - 1.15, 0.0)] {
            let mut z = rng.random_range(5.0..11.0f32);
            while wanted && z < 60.0 {
                let crossing = self.ground.crossing_z_m.is_some_and(|at| (at - z).abs() < 5.0);
                if rng.random_bool(0.5) && !crossing {
                    let kind = Self::vehicle_kind(rng, 0.12);
                    let vehicle = Vehicle::draw(kind, false, self.climate, rng);
                    let half_length = vehicle.size_m()[1];
                    let start = v3(x, 0.0, z + (half_length - 2.2).max(0.0));
                    let turn = if rng.random_bool(0.15) { std::f32::consts::PI } else { 0.0 };
                    self.add(Kind::Vehicle(vehicle), Path::standing(start, heading + turn), 1.6);
                    z += (2.0 * half_length - 4.4).max(0.0);
                }
                z += 6.0;
            }
        }
    }

    fn furniture(&mut self, in_tunnel: bool, rng: &mut ChaCha8Rng) {
        let [left, right] = self.ground.road_x_m;
        let [wall_left, wall_right] = street::wall_x_m(&self.ground);
        let towards_right = [(left, wall_left, 0.0), (right, wall_right, std::f32::consts::PI)];
        let posts = rng.random_bool(0.3);
        for (edge, wall, heading) in towards_right {
            let outwards = edge.signum();
            let lamps = in_tunnel || rng.random_bool(0.7);
            let mut z = rng.random_range(7.0..16.0f32);
            while lamps && z < 90.0 {
                let kind = if in_tunnel {
                    LampKind::Wall
                } else if posts {
                    LampKind::Post
                } else {
                    LampKind::Street
                };
                let x = if in_tunnel { wall } else { edge + 0.4 * outwards };
                let lamp = Lamp::draw(kind, self.climate, rng);
                self.add(Kind::Lamp(lamp), Path::standing(v3(x, 0.0, z), heading), 0.3);
                z += if in_tunnel { 9.0 } else { rng.random_range(14.0..20.0) };
            }
            for _ in 0..rng.random_range(1..4) {
                let x = if in_tunnel { wall - 0.75 * outwards } else { edge + 0.6 * outwards };
                let at = v3(x, 0.0, rng.random_range(6.5..22.0));
                if self.is_free(at, 1.0) {
                    let sign = Sign::draw(!in_tunnel, self.climate, rng);
                    self.add(Kind::Sign(sign), Path::standing(at, rng.random_range(-0.2..0.2)), 0.5);
                }
            }
        }
    }

    /// What one camera alone takes for something else: the backs of plates for the oncoming traffic, which only colour tells
    /// from signs, and cabinets warmed by what is in them, as tall and as warm as a person in a coat.
    fn unlabelled(&mut self, in_tunnel: bool, scenery: &mut Vec<Solid>, rng: &mut ChaCha8Rng) {
        for edge in self.ground.road_x_m {
            let outwards = edge.signum();
            let [to_kerb, to_wall] = if in_tunnel { [0.5; 2] } else { [0.6, self.ground.pavement_width_m - 0.4] };
            for _ in 0..rng.random_range(0..3) {
                let at = v3(edge + to_kerb * outwards, 0.0, rng.random_range(6.5..22.0));
                if self.is_free(at, 1.0) {
                    self.taken.push((at, 0.5));
                    let away = std::f32::consts::PI + rng.random_range(-0.2..0.2);
                    Sign::draw(true, self.climate, rng).build(&mut street::unlabelled(at, away, scenery), self.climate);
                }
            }
            for _ in 0..rng.random_range(0..3) {
                let at = v3(edge + to_wall * outwards, 0.0, rng.random_range(6.0..26.0));
                if self.is_free(at, 0.8) {
                    self.taken.push((at, 0.4));
                    street::cabinet(at, self.climate, scenery, rng);
                }
            }
        }
    }

    fn people(&mut self, rng: &mut ChaCha8Rng) {
        let [left, right] = self.ground.road_x_m;
        if let Some(z) = self.ground.crossing_z_m {
            for _ in 0..rng.random_range(1..4) {
                let direction = if rng.random_bool(0.5) { 1.0 } else { -1.0 };
                let start = v3(rng.random_range(-2.6..2.6), 0.0, z + rng.random_range(-1.3..1.3));
                if !self.is_free(start, 0.5) {
                    continue;
                }
                let mut path = Path::moving(start, [direction * rng.random_range(0.8..1.5), 0.0]);
                // Turns back at the kerb and not in the houses' walls.
                let kerb = if direction > 0.0 { right - start.x } else { start.x - left };
                path.turns_after_m = Some(kerb + 1.0);
                self.person(Posture::Walking, path, rng);
            }
        }
        for _ in 0..rng.random_range(2..7) {
            let side = if rng.random_bool(0.6) { 1.0f32 } else { -1.0 };
            let edge = if side > 0.0 { right } else { left };
            let reach = (self.ground.pavement_width_m - 0.4).max(0.5);
            let x = edge + side * rng.random_range(0.4..reach + 0.05);
            // Squared, so that near people, large enough to learn from, are common.
            let far: f32 = rng.random_range(0.0..1.0);
            let start = v3(x, 0.0, (x.abs() * 1.8).max(5.0) + 24.0 * far * far);
            if !self.is_free(start, 0.4) {
                continue;
            }
            if rng.random_bool(0.7) {
                let direction = if rng.random_bool(0.5) { 1.0 } else { -1.0 };
                let path = Path::moving(start, [0.0, direction * rng.random_range(0.7..1.6)]);
                self.person(Posture::Walking, path, rng);
            } else {
                self.person(Posture::Standing, Path::standing(start, rng.random_range(-3.1..3.1)), rng);
            }
        }
    }

    fn bicycles(&mut self, rng: &mut ChaCha8Rng) {
        let [left, right] = self.ground.road_x_m;
        for _ in 0..rng.random_range(2..7) {
            let ridden = rng.random_bool(0.55);
            let far: f32 = rng.random_range(0.0..1.0);
            let z = 6.5 + 18.0 * far * far;
            let path = match (ridden, self.waiting) {
                (true, true) => {
                    let across = if rng.random_bool(0.5) { 1.0 } else { -1.0 };
                    let z = self.ground.crossing_z_m.unwrap_or(z) + rng.random_range(-1.5..1.5);
                    let mut path = Path::moving(v3(rng.random_range(-2.5..2.5), 0.0, z), [across * 2.2, 0.0]);
                    path.turns_after_m = Some(4.0);
                    path
                }
                (true, false) => {
                    let oncoming = rng.random_bool(0.4);
                    let (x, speed) = if oncoming { (left + 0.6, -rng.random_range(2.0..4.0)) } else { (1.3, 3.4) };
                    Path::moving(v3(x, 0.0, z + if oncoming { 6.0 } else { 0.0 }), [0.0, speed])
                }
                (false, _) => {
                    let (edge, side) = if rng.random_bool(0.65) { (right, 1.0) } else { (left, -1.0) };
                    let x = edge + side * rng.random_range(0.9..self.ground.pavement_width_m.max(1.2));
                    let heading = std::f32::consts::FRAC_PI_2 + rng.random_range(-0.7..0.7);
                    Path::standing(v3(x, 0.0, (x.abs() * 1.9).max(z)), heading)
                }
            };
            if !self.is_free(path.start, 1.0) {
                continue;
            }
            let bicycle = Bicycle::draw(ridden, self.climate, rng);
            self.add(Kind::Bicycle(bicycle), path, 0.9);
            if ridden {
                self.person(Posture::Riding, path, rng);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NO_INSTANCE;
    use rand::SeedableRng;

    #[test]
    fn warm_cabinets_and_backs_of_signs_are_scenery() {
        let mut warm = 0;
        for seed in 0..20 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let climate = Climate::draw(Condition::Night, &mut rng);
            let layout = Layout::draw(&climate, &mut rng);
            assert!(layout.scenery.iter().all(|solid| solid.instance == NO_INSTANCE));
            warm += layout.scenery.iter().filter(|s| s.surface.temperature_c > climate.masonry_c + 4.0).count();
        }
        assert!(warm >= 10, "{warm}");
    }
}
