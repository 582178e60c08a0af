//! Rendered scenes: labelled infrared and visible pairs of road scenes as code.
//!
//! A [`Scene`] is a street drawn from a seed: road, houses or trees or a tunnel, and people, cars, trucks, bicycles, lamps
//! and signs that stand and move in it. [`Scene::render`] cuts exact solids with the rays of a [`caf_rig::Camera`] into a
//! depth buffer and shades what each ray sees twice:
//!
//! - *visible* follows light: sun and its shadows, sky, street lamps, headlights, retroreflection, fog, veiling glare,
//!   exposure, sensor noise;
//! - *infrared* follows apparent temperature, ε·T + (1 − ε)·T of what is mirrored: bodies, engines, tyres, exhausts and the
//!   ground below are warm, the sky is cold, glass is opaque, bare metal mirrors the cold sky; sun heats streets until people
//!   are no warmer, rain takes what differs by little; then a soft lens, thermal noise and gain control.
//!
//! So every class is sometimes seen by one camera only: an unlit person at night, a lit sign of the air's temperature, a
//! parked cold car, somebody behind the glass of a bus shelter. And each camera alone takes things for what they are not: the
//! back of a plate is a sign but for its colour, a warm cabinet a person but for its looks.
//!
//! The same [`SceneSpec`] gives the same bytes on every run of the same build. World frame: x right, y up, z forward, metres.

mod annotate;
mod climate;
mod clip;
mod contrast;
mod dataset;
mod error;
mod folder;
mod infrared;
mod layout;
mod light;
mod model;
mod moment;
mod noise;
mod object;
mod pixel;
mod plane;
mod raster;
mod shape;
mod street;
mod surface;
mod vector;
mod view;
mod visible;

use caf_geometry::Size;
use caf_rig::{Camera, Mat3, Pose, Rig};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use annotate::{Instance, LEAST_PIXELS, LEAST_SHARE, LEAST_SIDE_PX, LEAST_TRACE_PIXELS, Label};
pub use caf_contract::IGNORED_LABEL;
pub use climate::{Condition, UnknownCondition};
pub use clip::{ClipSpec, ClipSummary, write_clip};
pub use contrast::{Contrast, HIDDEN_BELOW, SEEN_FROM, contrasts};
pub use dataset::{DatasetSpec, DatasetSummary, SceneEntry, write_dataset};
pub use error::SceneError;

use climate::Climate;
use layout::Layout;
use moment::Moment;
use noise::hash;
use pixel::SAMPLES;
use raster::Raster;
use vector::v3;
use view::{Stance, View};

/// Horizontal field of view of the cameras of scenes without a rig of their own.
pub const FIELD_OF_VIEW_DEG: f64 = 60.0;

/// Height of the visible camera above the road.
const EYE_M: f32 = 1.45;

/// What is labelled, in the order of `classes.txt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Pedestrians and riders.
    Person,
    /// Passenger cars.
    Car,
    /// Lorries.
    Truck,
    /// Without its rider, who is a person.
    Bicycle,
    /// With its pole.
    Lamp,
    /// The plate without its pole, where its front is seen.
    Sign,
}

impl Class {
    /// All classes, by id.
    pub const ALL: [Class; 6] = [Class::Person, Class::Car, Class::Truck, Class::Bicycle, Class::Lamp, Class::Sign];

    /// Position in [`Class::ALL`] and in `classes.txt`.
    #[must_use]
    pub fn id(self) -> usize {
        self as usize
    }

    /// As in `classes.txt`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Class::Person => "person",
            Class::Car => "car",
            Class::Truck => "truck",
            Class::Bicycle => "bicycle",
            Class::Lamp => "lamp",
            Class::Sign => "sign",
        }
    }
}

/// Which scene to draw.
#[derive(Clone, Debug, PartialEq)]
pub struct SceneSpec {
    /// Decides everything else.
    pub seed: u64,
    /// Size of the visible image (and of the infrared one, without a rig), 32–4096 pixels each way.
    pub size: Size,
    /// Drawn from the seed when `None`.
    pub condition: Option<Condition>,
    /// Two cameras of one's own, the visible one of the size above; `None` for images that coincide pixel by pixel.
    pub rig: Option<Rig>,
}

/// A street and its weather.
#[derive(Debug)]
pub struct Scene {
    seed: u64,
    climate: Climate,
    layout: Layout,
    rig: Rig,
    yaw_rad: f32,
    pitch_rad: f32,
}

/// An image pair with its annotation; the annotation belongs to the visible image.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// Size of the visible image.
    pub vi_size: Size,
    /// Size of the infrared image.
    pub ir_size: Size,
    /// Gray levels, warm is bright, row-major.
    pub ir: Vec<u8>,
    /// Interleaved red, green, blue, row-major.
    pub vi: Vec<u8>,
    /// Boxes to be found. Of an aligned pair these are objects that at least one image shows ([`HIDDEN_BELOW`]).
    pub labels: Vec<Label>,
    /// Boxes that are neither right nor wrong.
    pub ignore: Vec<Label>,
    /// Of the visible image's size: 0 background, class id + 1, [`IGNORED_LABEL`].
    pub mask: Vec<u8>,
    /// Number of the object that each pixel of the visible image shows, 0 for none.
    pub instances: Vec<u16>,
    /// The objects in sight, labels and ignore regions, by number.
    pub objects: Vec<Instance>,
}

impl Rendered {
    /// A lamp in thick fog, as cold as the fog, is a box that no image shows: wrong to demand, wrong to punish.
    fn ignore_what_neither_shows(&mut self) {
        let hidden: Vec<u16> = contrasts(self)
            .into_iter()
            .filter(|c| c.ir < HIDDEN_BELOW && c.vi < HIDDEN_BELOW)
            .map(|c| c.number)
            .collect();
        for object in &mut self.objects {
            object.ignored |= hidden.contains(&object.number);
        }
    }

    fn write_annotation(&mut self) {
        let labels = |ignored| {
            let chosen = self.objects.iter().filter(move |o| o.ignored == ignored);
            chosen.map(|o| o.label(self.vi_size)).collect()
        };
        (self.labels, self.ignore) = (labels(false), labels(true));
        self.mask = annotate::class_mask(&self.instances, &self.objects);
    }
}

/// The visible half of a [`Rendered`] pair, with the annotation.
struct VisibleHalf {
    vi: Vec<u8>,
    instances: Vec<u16>,
    objects: Vec<Instance>,
}

/// Two cameras as a vehicle has them: the infrared one beside the visible one, slightly turned, with a wider view and its own
/// delay. For images of the given size.
#[must_use]
pub fn offset_rig(size: Size) -> Rig {
    Rig {
        visible: Camera::with_field_of_view(size, FIELD_OF_VIEW_DEG),
        infrared: Camera::with_field_of_view(size, FIELD_OF_VIEW_DEG + 4.0),
        vis_from_ir: Pose {
            rotation: Mat3::from_rotation_vector([0.006, -0.012, 0.008]),
            translation_m: [-0.12, -0.03, 0.01],
        },
        latency_ms: caf_rig::Latency::default(),
    }
}

impl Scene {
    /// Draws a scene.
    ///
    /// # Errors
    /// [`SceneError::Size`] for images outside 32–4096 pixels, [`SceneError::Rig`] and [`SceneError::RigSize`] for a rig that
    /// is not valid or not of the image's size.
    pub fn generate(spec: &SceneSpec) -> Result<Scene, SceneError> {
        let camera = Camera::with_field_of_view(spec.size, FIELD_OF_VIEW_DEG);
        let rig = spec.rig.unwrap_or_else(|| Rig::aligned(camera));
        rig.validate()?;
        let [visible, infrared] = [rig.visible.size(), rig.infrared.size()];
        if visible != spec.size {
            return Err(SceneError::RigSize { expected: spec.size, found: visible });
        }
        for found in [visible, infrared] {
            if !found.wh().iter().all(|side| (32..=4096).contains(side)) {
                return Err(SceneError::Size { found });
            }
        }
        let mut rng = ChaCha8Rng::seed_from_u64(spec.seed);
        // Drawn in any case, so that naming the condition that a seed would draw changes nothing.
        let drawn = Condition::ALL.get(rng.random_range(0..Condition::ALL.len())).copied();
        let condition = spec.condition.or(drawn).unwrap_or(Condition::Day);
        let climate = Climate::draw(condition, &mut rng);
        let layout = Layout::draw(&climate, &mut rng);
        let yaw_rad = rng.random_range(-0.07..0.09);
        let pitch_rad = rng.random_range(0.0..0.05);
        Ok(Scene { seed: spec.seed, climate, layout, rig, yaw_rad, pitch_rad })
    }

    /// The condition, drawn or asked for.
    #[must_use]
    pub fn condition(&self) -> Condition {
        self.climate.condition
    }

    /// The cameras.
    #[must_use]
    pub fn rig(&self) -> &Rig {
        &self.rig
    }

    /// Both images `t_s` seconds after the start, taken at the same instant.
    #[must_use]
    pub fn render(&self, t_s: f64) -> Rendered {
        self.render_skewed(t_s, t_s)
    }

    /// As [`Scene::render`], with an infrared image of another time than the visible one.
    #[must_use]
    pub fn render_skewed(&self, visible_s: f64, infrared_s: f64) -> Rendered {
        let moment = Moment::new(&self.climate, &self.layout, visible_s as f32);
        let raster = self.raster(&moment, visible_s, &self.rig.visible, false);
        let half = self.visible_half(&moment, &raster, visible_s);
        // One raster serves both cameras where they see the same.
        let ir = if visible_s == infrared_s && self.is_aligned() {
            self.infrared_half(&moment, &raster, infrared_s)
        } else {
            let moment = Moment::new(&self.climate, &self.layout, infrared_s as f32);
            let raster = self.raster(&moment, infrared_s, &self.rig.infrared, true);
            self.infrared_half(&moment, &raster, infrared_s)
        };
        let mut pair = Rendered {
            vi_size: self.rig.visible.size(),
            ir_size: self.rig.infrared.size(),
            labels: Vec::new(),
            ignore: Vec::new(),
            mask: Vec::new(),
            ir,
            vi: half.vi,
            instances: half.instances,
            objects: half.objects,
        };
        if self.is_aligned() {
            pair.ignore_what_neither_shows();
        }
        pair.write_annotation();
        pair
    }

    fn is_aligned(&self) -> bool {
        self.rig.vis_from_ir == Pose::IDENTITY && self.rig.visible == self.rig.infrared
    }

    fn raster(&self, moment: &Moment<'_>, t_s: f64, camera: &Camera, infrared: bool) -> Raster {
        let eye = v3(0.0, EYE_M, self.layout.own_speed_mps * t_s as f32);
        let mut stance = Stance::looking(eye, self.yaw_rad, self.pitch_rad);
        if infrared {
            stance = stance.infrared_of(&self.rig.vis_from_ir);
        }
        Raster::draw(View::camera(camera, &stance, SAMPLES), &moment.solids, self.layout.objects.len())
    }

    fn visible_half(&self, moment: &Moment<'_>, raster: &Raster, t_s: f64) -> VisibleHalf {
        let radiance = visible::radiance(moment, raster);
        let vi = visible::develop(moment, radiance, self.rig.visible.width_px as usize, self.noise_seed(t_s, 1));
        let (instances, objects) = annotate::annotate(raster, &moment.solids, &self.layout.objects);
        VisibleHalf { vi, instances, objects }
    }

    fn infrared_half(&self, moment: &Moment<'_>, raster: &Raster, t_s: f64) -> Vec<u8> {
        let plane = infrared::temperatures(moment, raster);
        infrared::develop(moment, plane, self.rig.infrared.width_px as usize, self.noise_seed(t_s, 2))
    }

    /// Noise differs from frame to frame and camera to camera, and repeats with the seed and the time.
    fn noise_seed(&self, t_s: f64, camera: i32) -> u32 {
        let micros = (t_s * 1e6).round() as i64;
        hash(micros as i32, (micros >> 32) as i32, camera, self.seed as u32 ^ (self.seed >> 32) as u32)
    }
}
