//! What becomes of one pair of images, whether it comes from files or from cameras: aligned, fused, searched for objects,
//! painted. The memory for all of it is made once for each image size.

use std::time::{Duration, Instant};

use caf_geometry::NmsSettings;
use caf_rig::Geometry;

use crate::align::Aligner;
use crate::error::RuntimeError;
use crate::frame::ImageView;
use crate::infrared::{Follow, InfraredRange};
use crate::session::{Fused, Model, Runner};
use crate::task::{FusedImage, Tasks};

/// How to fuse.
#[derive(Clone, Debug, Default)]
pub struct FusionSettings {
    /// Geometry, and the distance in metres at which the images should match where it leaves the choice; without it they are taken as
    /// aligned.
    pub rig: Option<(Geometry, Option<f64>)>,
    /// Thresholds of the detector.
    pub nms: NmsSettings,
    /// Paint boxes and labels, and class maps half through, as far as the model finds such.
    pub draw: bool,
    /// How the limits of 16-bit infrared follow the images, where the network's range depends on them.
    pub follow: Follow,
}

/// How long the parts of one pair took.
#[derive(Clone, Copy, Debug, Default)]
pub struct PairTimes {
    /// Alignment and copying pixels into tensors.
    pub pre: Duration,
    /// Inference.
    pub infer: Duration,
    /// Copying the fused image out of its tensor.
    pub post: Duration,
    /// Reading the results of the tasks: suppressing and mapping boxes, copying the class map.
    pub read: Duration,
    /// Painting.
    pub draw: Duration,
}

/// A model with everything around it.
pub struct FrameFusion {
    runner: Runner,
    tasks: Tasks,
    /// Present when the cameras do not see the same.
    aligner: Option<Aligner>,
    /// Which infrared values are black and white to the network.
    range: InfraredRange,
    draw: bool,
}

/// A pair that went through the model; its images are no longer needed.
pub struct Inferred<'a> {
    fused: Fused<'a>,
    tasks: &'a mut Tasks,
    draw: bool,
    align: Duration,
}

impl FrameFusion {
    /// Prepares a model; refuses thresholds outside [0, 1] and an impossible rig.
    pub fn new(model: Model, settings: &FusionSettings) -> Result<Self, RuntimeError> {
        let contract = model.contract();
        let tasks = Tasks::new(contract, &settings.nms)?;
        let aligner =
            settings.rig.as_ref().map(|(rig, distance_m)| rig.table(*distance_m).map(Aligner::new)).transpose()?;
        let range = InfraredRange::new(contract.infrared_range, settings.follow);
        Ok(Self { runner: Runner::new(model), tasks, aligner, range, draw: settings.draw })
    }

    /// Share of the visible image that the infrared camera sees, above 0 and at most 1; `None` without a rig.
    #[must_use]
    pub fn coverage(&self) -> Option<f64> {
        self.aligner.as_ref().map(Aligner::coverage)
    }

    /// See [`Runner::warm_up`].
    pub fn warm_up(&mut self) -> Result<Option<Duration>, RuntimeError> {
        self.runner.warm_up()
    }

    /// Aligns a pair and runs the model on it.
    pub fn infer(&mut self, infrared: &ImageView<'_>, visible: &ImageView<'_>) -> Result<Inferred<'_>, RuntimeError> {
        let start = Instant::now();
        let ranged = self.range.apply(infrared)?;
        let infrared = match &mut self.aligner {
            Some(aligner) => aligner.align(&ranged)?,
            None => ranged,
        };
        if infrared.size() != visible.size() {
            return Err(RuntimeError::Sizes { infrared: infrared.size(), visible: visible.size() });
        }
        let align = start.elapsed();
        let fused = self.runner.run(&infrared, visible)?;
        Ok(Inferred { fused, tasks: &mut self.tasks, draw: self.draw, align })
    }
}

impl Inferred<'_> {
    /// Copies the fused image out, reads the results of the tasks and paints them.
    pub fn finish(self, out: &mut FusedImage) -> Result<PairTimes, RuntimeError> {
        let Self { fused, tasks, draw, align } = self;
        let start = Instant::now();
        out.size = fused.size;
        out.rgb.resize(fused.size.width * fused.size.height * 3, 0);
        fused.write_rgb(&mut out.rgb)?;
        let post = start.elapsed();
        let [read, painting] = tasks.finish(&fused, draw, out)?;
        Ok(PairTimes { pre: align + fused.timings.pre, infer: fused.timings.infer, post, read, draw: painting })
    }
}
