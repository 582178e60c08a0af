//! What nobody labels: houses, trees, hedges, a bus shelter, a tunnel.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::climate::Climate;
use super::model::{Body, NO_INSTANCE, Solid};
use super::surface::{Finish, Ground, Surface, gray};
use super::vector::{Frame, V3, v3};

/// How far ahead of the start the street is furnished.
pub(crate) const STREET_M: f32 = 130.0;

/// Centre of the observer's lane is x = 0.
pub(crate) const LANE_M: f32 = 3.5;

/// The road of a scene; `parking` adds a strip on the left and right.
pub(crate) fn ground(climate: &Climate, parking: [bool; 2], tunnel: bool, rng: &mut ChaCha8Rng) -> Ground {
    let strip = |wanted: bool| if wanted { 2.3 } else { 0.2 };
    let [left, right] = parking;
    let green = rng.random_bool(0.4) && !tunnel;
    Ground {
        road_x_m: [-1.5 * LANE_M - strip(left), 0.5 * LANE_M + strip(right)],
        dashes_x_m: -LANE_M / 2.0,
        crossing_z_m: None,
        road_albedo: rng.random_range(0.06..0.13),
        pavement_albedo: rng.random_range(0.18..0.34),
        wet: climate.wet,
        road_c: climate.road_c,
        pavement_c: climate.masonry_c,
        verge_c: climate.air_c - 0.5,
        verge: if green { [0.07, 0.12, 0.035] } else { gray(0.2) },
        pavement_width_m: if tunnel { 1.3 } else { rng.random_range(2.4..3.4) },
        seed: rng.random(),
    }
}

fn body(solids: &mut Vec<Solid>) -> Body<'_> {
    unlabelled(V3::default(), 0.0, solids)
}

/// A body of nothing that is labelled.
pub(crate) fn unlabelled(at: V3, heading_rad: f32, solids: &mut Vec<Solid>) -> Body<'_> {
    Body { frame: Frame::new(at, heading_rad), instance: NO_INSTANCE, solids }
}

/// A street cabinet: transformers and switches inside warm its sheet metal by a few kelvins.
pub(crate) fn cabinet(at: V3, climate: &Climate, solids: &mut Vec<Solid>, rng: &mut ChaCha8Rng) {
    let tone = rng.random_range(0.12..0.4);
    let albedo = if rng.random_bool(0.5) { gray(tone) } else { [tone * 0.6, tone, tone * 0.6] };
    let sheet = Surface::matt(albedo, climate.masonry_c + rng.random_range(2.0..14.0)).glossy(0.05, 0.9);
    let (half, high, deep) = (rng.random_range(0.22..0.45), rng.random_range(1.1..1.75), rng.random_range(0.15..0.25));
    let mut cabinet = unlabelled(at, 0.0, solids);
    cabinet.block([-half, 0.0, -deep], [half, high, deep], sheet);
    let plinth = Surface::matt(gray(0.2), climate.masonry_c);
    cabinet.block([-half - 0.04, 0.0, -deep - 0.04], [half + 0.04, 0.12, deep + 0.04], plinth);
}

/// Houses, hedges and trees along both sides.
pub(crate) fn line_street(ground: &Ground, climate: &Climate, solids: &mut Vec<Solid>, rng: &mut ChaCha8Rng) {
    for (side, edge) in [(-1.0f32, ground.road_x_m[0]), (1.0, ground.road_x_m[1])] {
        let leafy = rng.random_bool(0.3);
        let front = edge.abs() + ground.pavement_width_m + if leafy { 4.0 } else { rng.random_range(0.0..1.5) };
        houses(side, front, leafy, climate, solids, rng);
        if leafy {
            let hedge = Surface::matt([0.05, 0.09, 0.03], climate.air_c).finish(Finish::Foliage, rng.random());
            let near = edge.abs() + ground.pavement_width_m + 0.2;
            let (x0, x1) = if side < 0.0 { (-near - 0.7, -near) } else { (near, near + 0.7) };
            body(solids).block([x0, 0.0, -4.0], [x1, rng.random_range(0.7..1.3), STREET_M], hedge);
        }
        let trees = if leafy { 8 } else { rng.random_range(0..5) };
        for _ in 0..trees {
            let beside = if leafy { ground.pavement_width_m + rng.random_range(1.5..3.5) } else { 0.8 };
            let x = side * (edge.abs() + beside);
            tree(x, rng.random_range(9.0..STREET_M * 0.6), climate, solids, rng);
        }
    }
}

fn houses(side: f32, front: f32, sparse: bool, climate: &Climate, solids: &mut Vec<Solid>, rng: &mut ChaCha8Rng) {
    let mut z = rng.random_range(-8.0..0.0f32);
    while z < STREET_M {
        let length = rng.random_range(9.0..20.0);
        if !(sparse && rng.random_bool(0.5)) {
            let storeys = rng.random_range(2..6);
            let storey_m = rng.random_range(2.9..3.5);
            let warm = rng.random_range(0.0..1.0f32);
            let tone = rng.random_range(0.14..0.5);
            let albedo = [tone, tone * (0.95 - 0.2 * warm), tone * (0.92 - 0.35 * warm)];
            let lit_share = if climate.dark { rng.random_range(0.0..0.3) } else { 0.0 };
            let finish = Finish::Facade { lit_share, storey_m, bay_m: rng.random_range(2.0..3.2) };
            let wall_c = climate.masonry_c + rng.random_range(-0.5..2.0);
            let wall = Surface::matt(albedo, wall_c).finish(finish, rng.random());
            let height = storeys as f32 * storey_m;
            let set_back = rng.random_range(0.0..1.2);
            let (near, far) = (front + set_back, front + set_back + 9.0);
            let x = if side < 0.0 { [-far, -near] } else { [near, far] };
            let mut house = body(solids);
            house.block([x[0], 0.0, z], [x[1], height, z + length], wall);
            let roof = Surface::matt([0.16, 0.1, 0.08], climate.air_c - 1.5);
            house.block([x[0] - 0.3, height, z], [x[1] + 0.3, height + 0.35, z + length], roof);
        }
        z += length + if rng.random_bool(0.3) { rng.random_range(1.0..6.0) } else { 0.0 };
    }
}

fn tree(x: f32, z: f32, climate: &Climate, solids: &mut Vec<Solid>, rng: &mut ChaCha8Rng) {
    let bark = Finish::Mottled { depth: 0.4, size_m: 0.15 };
    let trunk = Surface::matt([0.1, 0.075, 0.05], climate.air_c + 0.8).finish(bark, rng.random());
    let height = rng.random_range(2.4..3.4);
    let mut tree = body(solids);
    tree.cylinder([x, 0.0, z], [x, height + 0.6, z], 0.16, trunk);
    let green = rng.random_range(0.06..0.13);
    for _ in 0..rng.random_range(3..6) {
        // Leaves keep close to the air's temperature: they breathe.
        let crown =
            Surface::matt([green * 0.6, green, green * 0.3], climate.air_c).finish(Finish::Foliage, rng.random());
        let (dx, dz) = (rng.random_range(-0.9..0.9), rng.random_range(-0.9..0.9));
        let r = rng.random_range(0.9..1.7);
        let y = height + 0.6 + rng.random_range(0.0..1.6);
        tree.ellipsoid([x + dx, y, z + dz], [r, r * 0.8, r], crown);
    }
}

/// A bus shelter whose near corner stands at (x, z); returns where somebody waits behind its glass.
pub(crate) fn shelter(x: f32, z: f32, climate: &Climate, solids: &mut Vec<Solid>) -> V3 {
    let steel = Surface::matt(gray(0.12), climate.masonry_c).glossy(0.1, 0.8);
    let glass = Surface::matt(gray(0.5), climate.masonry_c + 0.3).glossy(0.1, 0.85);
    let mut shelter = body(solids);
    for (px, pz) in [(x, z), (x + 1.5, z), (x + 1.5, z + 3.2)] {
        shelter.cylinder([px, 0.0, pz], [px, 2.3, pz], 0.045, steel);
    }
    shelter.block([x - 0.2, 2.3, z - 0.15], [x + 1.7, 2.42, z + 3.4], steel);
    shelter.pane([x + 0.05, 0.15, z - 0.02], [x + 1.45, 2.15, z + 0.02], glass);
    shelter.pane([x + 1.48, 0.15, z + 0.1], [x + 1.52, 2.15, z + 3.1], glass);
    v3(x + 0.75, 0.0, z + 0.8)
}

/// Walls and ceiling from behind the observer to `end_m`, with kerbs and joints.
pub(crate) fn tunnel(ground: &Ground, end_m: f32, climate: &Climate, solids: &mut Vec<Solid>, rng: &mut ChaCha8Rng) {
    let tone = rng.random_range(0.25..0.45);
    let tiles = Finish::Ribbed { pitch_m: 4.0 };
    let wall = Surface::matt([tone, tone * 0.96, tone * 0.88], climate.masonry_c).finish(tiles, rng.random());
    let soot = Finish::Mottled { depth: 0.3, size_m: 2.0 };
    let ceiling = Surface::matt(gray(tone * 0.5), climate.masonry_c + 0.4).finish(soot, rng.random());
    let [left, right] = wall_x_m(ground);
    let mut tube = body(solids);
    tube.block([left - 2.0, 0.0, -6.0], [left, 5.0, end_m], wall);
    tube.block([right, 0.0, -6.0], [right + 2.0, 5.0, end_m], wall);
    tube.block([left - 2.0, 4.9, -6.0], [right + 2.0, 6.0, end_m], ceiling);
    let band = Surface::matt(gray(0.05), climate.masonry_c);
    for (x0, x1) in [(left, left + 0.02), (right - 0.02, right)] {
        tube.block([x0, 0.9, -6.0], [x1, 1.1, end_m], band);
    }
    let duct = Surface::matt(gray(0.2), climate.masonry_c + 2.5);
    tube.capsule([left + 0.3, 4.6, -6.0], [left + 0.3, 4.6, end_m], 0.14, duct);
}

/// Inner faces of a tunnel's walls.
pub(crate) fn wall_x_m(ground: &Ground) -> [f32; 2] {
    let [left, right] = ground.road_x_m;
    [left - ground.pavement_width_m, right + ground.pavement_width_m]
}
