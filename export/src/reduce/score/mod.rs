//! How well a model does its tasks on labelled pairs, by the scores that people know. One file for each task, which the match here names.

mod counting;
mod detection;
mod segmentation;

use super::frames::{Frame, Frames};
use crate::error::ExportError;
use caf_contract::TaskContract;
use caf_engine::View;

/// The results of a task against the labels of a data set.
pub(super) trait TaskScore {
    /// Adds what a model made of a pair: its output for the task. A pair that has no labels for the task is left out.
    ///
    /// # Errors
    /// When the output is none of the task, or does not fit the labels.
    fn add(&mut self, frame: &Frame, output: View<'_>) -> Result<(), ExportError>;

    /// Labels that the results were compared with: objects, or pixels of masks.
    fn labels(&self) -> u64;

    /// The score that [`caf_contract::Task::score`] names, in points of which 100 is best; none without labels.
    fn points(&self) -> Option<f64>;
}

/// The score of a task before the first pair; none where the data set has not the classes that the task is to tell apart.
pub(super) fn score(task: &TaskContract, frames: &Frames) -> Option<Box<dyn TaskScore>> {
    match task {
        TaskContract::Detection(task) => Some(Box::new(detection::Detections::new(task, frames.classes())?)),
        TaskContract::Segmentation(task) => Some(Box::new(segmentation::ClassMaps::new(task, frames.mask_classes())?)),
        TaskContract::Counting(task) => Some(Box::new(counting::Counts::new(task, frames.classes())?)),
    }
}

/// Frames for the tests of the scores.
#[cfg(test)]
mod samples {
    use super::Frame;
    use caf_data::Sample;
    use caf_geometry::Size;
    use caf_image::{Gray8, Label, Plane, Rgb8};

    /// A labelled pair of a size with these objects, and this mask.
    pub fn frame(size: Size, labels: Vec<Label>, mask: Option<Vec<u8>>) -> Frame {
        let sample = Sample {
            name: "pair".to_owned(),
            ir: Plane::new(size, vec![0.0; size.width * size.height]).unwrap(),
            vi: Rgb8::new(size, vec![0; size.width * size.height * 3]).unwrap(),
            vi_is_gray: true,
            labels,
            ignore: vec![],
            mask: mask.map(|mask| Gray8::new(size, mask).unwrap()),
        };
        Frame { sample, inputs: vec![], is_labelled: true }
    }
}
