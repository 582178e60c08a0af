//! A scene at one time: solids in place, lights on, shadows cast.

use super::climate::Climate;
use super::layout::Layout;
use super::light::Light;
use super::model::Solid;
use super::object::{Kind, Object};
use super::raster::Raster;
use super::surface::{Rgb, Surface, gray, scaled};
use super::vector::{Frame, V3, smoothstep, v3};
use super::view::View;

/// Samples across the sun's view of the street, and metres it covers.
const SHADOW_SAMPLES: usize = 448;
const SHADOW_EXTENT_M: f32 = 56.0;

/// A vehicle's place on the ground: darker below, and warmer with its engine running.
struct Footprint {
    frame: Frame,
    half_m: [f32; 2],
    engine_k: f32,
}

pub(crate) struct Moment<'a> {
    pub climate: &'a Climate,
    pub layout: &'a Layout,
    pub solids: Vec<Solid>,
    lights: Vec<Light>,
    own_light: Option<Light>,
    shadows: Option<Raster>,
    footprints: Vec<Footprint>,
}

impl<'a> Moment<'a> {
    pub fn new(climate: &'a Climate, layout: &'a Layout, t_s: f32) -> Moment<'a> {
        let (mut solids, mut lights, mut footprints) = (Vec::new(), Vec::new(), Vec::new());
        for (index, object) in layout.objects.iter().enumerate() {
            object.build(t_s, index as u16 + 1, climate, &mut solids, &mut lights);
            footprints.extend(footprint(object, t_s));
        }
        // Behind what was drawn first, less has to be cut.
        solids.extend_from_slice(&layout.scenery);
        let own_z = layout.own_speed_mps * t_s;
        let own_light = (climate.own_beam > 0.0).then(|| Light {
            at: v3(0.0, 0.65, own_z + 1.0),
            towards: v3(0.03, -0.035, 1.0).unit(),
            edge: 0.87,
            core: 0.99,
            power: scaled([1.0, 0.95, 0.86], 70.0 * climate.own_beam),
            reach_m: 60.0,
        });
        let shadows = climate.sun.map(|sun| {
            let view = View::parallel(v3(0.0, 0.0, own_z + 22.0), -sun.towards, SHADOW_EXTENT_M, SHADOW_SAMPLES);
            Raster::draw(view, &solids, 0)
        });
        Moment { climate, layout, solids, lights, own_light, shadows, footprints }
    }

    /// Surface, normal and object-frame position of a solid's point.
    pub fn surface(&self, solid: u16, p: V3, dir: V3) -> (Surface, V3) {
        let Some(solid) = self.solids.get(usize::from(solid)) else {
            return (Surface::matt(gray(0.0), self.climate.air_c), v3(0.0, 1.0, 0.0));
        };
        let normal = solid.shape.normal(p, dir);
        (solid.surface.at(solid.frame.local(p), solid.frame.local_dir(normal)), normal)
    }

    /// How much of the sun reaches a point, 0–1.
    pub fn sunlit(&self, p: V3) -> f32 {
        let Some(shadows) = &self.shadows else { return 0.0 };
        let [x, y, depth] = shadows.view.project(p);
        let taps = [(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)];
        // The bias covers the depth of a slanted surface across one sample of the map.
        let lit = taps.iter().filter(|(dx, dy)| shadows.depth_at(x + dx, y + dy) > depth - 0.25).count();
        lit as f32 / taps.len() as f32
    }

    /// Light falling on a surface, shared by diffuse reflection; `retro` multiplies the observer's own.
    pub fn light_on(&self, p: V3, normal: V3, retro: f32) -> Rgb {
        let climate = self.climate;
        let overhead = 0.55 + 0.45 * normal.y;
        let mut sum = scaled(climate.ambient, overhead * self.openness(p, normal));
        if let Some(end) = self.layout.daylight_from_z_m {
            let inside = (end - p.z).max(0.0);
            let facing = 0.4 + 0.6 * normal.z.max(0.0);
            let day = 1.6 * facing / (1.0 + (inside / 3.5).powi(2));
            sum = add(sum, gray(day));
        }
        if let Some(sun) = &climate.sun {
            let cosine = normal.dot(sun.towards);
            if cosine > 0.0 {
                sum = add(sum, scaled(sun.light, cosine * self.sunlit(p)));
            }
        }
        for light in &self.lights {
            sum = add(sum, light.on(p, normal));
        }
        if let Some(own) = &self.own_light {
            let slope = (p.y - own.at.y) / (p.z - own.at.z).max(0.5);
            // The dipped beam's cut-off.
            let below = 1.0 - 0.85 * smoothstep(-0.005, 0.035, slope);
            sum = add(sum, scaled(own.on(p, normal), below + retro * (0.15 + 0.2 * below)));
        }
        sum
    }

    /// Share of the sky that is not hidden by the vehicle above; only the ground is darkened.
    fn openness(&self, p: V3, normal: V3) -> f32 {
        if normal.y < 0.9 || p.y > 0.3 {
            return 1.0;
        }
        self.footprints.iter().map(|f| 1.0 - 0.85 * f.cover(p, 0.35)).product()
    }

    /// Kelvins that vehicles add to the ground.
    pub fn ground_heat_k(&self, p: V3) -> f32 {
        self.footprints.iter().map(|f| f.engine_k * 0.35 * f.cover(p, 0.5)).sum()
    }
}

impl Footprint {
    /// 1 below the vehicle, 0 further than `soft_m` beside it.
    fn cover(&self, p: V3, soft_m: f32) -> f32 {
        let from = p - self.frame.origin;
        if from.x.abs().max(from.z.abs()) > 6.0 {
            return 0.0;
        }
        let at = self.frame.local_dir(from);
        let [w, l] = self.half_m;
        let inside = |d: f32, half: f32| smoothstep(half + soft_m, half - 0.3, d.abs());
        inside(at.x, w) * inside(at.z, l)
    }
}

fn footprint(object: &Object, t_s: f32) -> Option<Footprint> {
    let (frame, _) = object.path.at(t_s);
    match &object.kind {
        Kind::Vehicle(vehicle) => {
            let [w, l, _] = vehicle.size_m();
            Some(Footprint { frame, half_m: [w, l], engine_k: vehicle.engine_k })
        }
        Kind::Person(_) | Kind::Bicycle(_) => Some(Footprint { frame, half_m: [0.15, 0.2], engine_k: 0.0 }),
        Kind::Lamp(_) | Kind::Sign(_) => None,
    }
}

pub(crate) fn add(a: Rgb, b: Rgb) -> Rgb {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}
