//! What becomes of one pair of images, whether it comes from files or from cameras: aligned, fused, searched for objects,
//! painted. The memory for all of it is made once for each image size.

use std::time::{Duration, Instant};

use caf_contract::Colour;
use caf_geometry::NmsSettings;
use caf_rig::Geometry;

use crate::align::Aligner;
use crate::error::RuntimeError;
use crate::frame::{Camera, FrameError, ImageView};
use crate::infrared::{Follow, InfraredRange};
use crate::pixels;
use crate::session::{Fused, Model, Runner};
use crate::task::detection::Thresholds;
use crate::task::{FusedImage, Tasks};

/// How to fuse.
#[derive(Clone, Debug, Default)]
pub struct FusionSettings {
    /// Geometry, and the distance in metres at which the images should match where it leaves the choice; without it they are taken as
    /// aligned.
    pub rig: Option<(Geometry, Option<f64>)>,
    /// Thresholds of the detector.
    pub nms: NmsSettings,
    /// Least score of a detection in the infrared and in the visible image alone, where it is another one.
    pub alone_conf: [Option<f32>; 2],
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
    /// The image that is shown in place of the fused one.
    alone: Option<ImageView<'a>>,
    tasks: &'a mut Tasks,
    draw: bool,
    align: Duration,
}

impl FrameFusion {
    /// Prepares a model; refuses thresholds outside [0, 1] and an impossible rig.
    pub fn new(model: Model, settings: &FusionSettings) -> Result<Self, RuntimeError> {
        let contract = model.contract();
        let tasks = Tasks::new(contract, &Thresholds { nms: settings.nms.clone(), alone: settings.alone_conf })?;
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
        let infrared = aligned(&mut self.range, &mut self.aligner, infrared)?;
        if infrared.size() != visible.size() {
            return Err(RuntimeError::Sizes { infrared: infrared.size(), visible: visible.size() });
        }
        let align = start.elapsed();
        let fused = self.runner.run(&infrared, visible)?;
        self.tasks.looks_at(None);
        Ok(Inferred { fused, alone: None, tasks: &mut self.tasks, draw: self.draw, align })
    }

    /// Runs the model on the image of one camera, in the visible camera's geometry, as if both had seen it: a network that fuses an image
    /// with itself gives it back nearly as it is, so that the tasks look at that image. What is shown is the image itself.
    pub fn infer_alone<'a>(&'a mut self, camera: Camera, image: &ImageView<'a>) -> Result<Inferred<'a>, RuntimeError> {
        let start = Instant::now();
        let image = match camera {
            Camera::Infrared => aligned(&mut self.range, &mut self.aligner, image)?,
            Camera::Visible => *image,
        };
        let align = start.elapsed();
        let fused = self.runner.run(&image, &image)?;
        self.tasks.looks_at(Some(camera));
        Ok(Inferred { fused, alone: Some(image), tasks: &mut self.tasks, draw: self.draw, align })
    }
}

/// An infrared image in its range and in the visible camera's geometry.
fn aligned<'a>(
    range: &mut InfraredRange,
    aligner: &'a mut Option<Aligner>,
    image: &ImageView<'a>,
) -> Result<ImageView<'a>, FrameError> {
    let ranged = range.apply(image)?;
    match aligner {
        Some(aligner) => aligner.align(&ranged),
        None => Ok(ranged),
    }
}

impl Inferred<'_> {
    /// Copies the fused image out, reads the results of the tasks and paints them.
    pub fn finish(self, out: &mut FusedImage) -> Result<PairTimes, RuntimeError> {
        let Self { fused, alone, tasks, draw, align } = self;
        let start = Instant::now();
        out.size = fused.size;
        out.rgb.resize(fused.size.width * fused.size.height * 3, 0);
        match alone {
            Some(image) => pixels::to_bytes(&image, Colour::Rgb, &mut out.rgb)?,
            None => fused.write_rgb(&mut out.rgb)?,
        }
        let post = start.elapsed();
        let [read, painting] = tasks.finish(&fused, draw, out)?;
        Ok(PairTimes { pre: align + fused.timings.pre, infer: fused.timings.infer, post, read, draw: painting })
    }
}
