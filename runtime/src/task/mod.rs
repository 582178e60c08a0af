//! What a model does besides fusing: one file for each task, one list of them.

pub mod counting;
pub mod detection;
mod found;
pub mod segmentation;

use std::time::{Duration, Instant};

use caf_contract::{Contract, TaskContract};
use caf_geometry::GeometryError;

use crate::frame::Camera;
use crate::json::Object;
use crate::session::Fused;
use counting::Counter;
use detection::{Detections, Detector, Thresholds};
use found::AnyTask;
pub use found::{ClassNames, Found, FusedImage, class_name};
use segmentation::Segmenter;

/// A task of a contract.
fn task(contract: &TaskContract, thresholds: &Thresholds) -> Result<Box<dyn AnyTask>, GeometryError> {
    Ok(match contract {
        TaskContract::Detection(contract) => Box::new(Detector::new(contract, thresholds)?),
        TaskContract::Segmentation(contract) => Box::new(Segmenter::new(contract)),
        TaskContract::Counting(contract) => Box::new(Counter::new(contract)),
    })
}

/// All tasks of a model, what covers the image last, each with the place of its output.
#[derive(Debug)]
pub struct Tasks(Vec<(usize, Box<dyn AnyTask>)>);

impl Tasks {
    /// The tasks of a contract that was checked against its model.
    ///
    /// # Errors
    /// For thresholds outside [0, 1].
    pub fn new(contract: &Contract, thresholds: &Thresholds) -> Result<Self, GeometryError> {
        let mut tasks = vec![];
        for promise in &contract.tasks {
            let place = contract.outputs.iter().position(|port| port.name == promise.output());
            let made = task(promise, thresholds)?;
            tasks.extend(place.map(|place| (place, made)));
        }
        tasks.sort_by_key(|(_, task)| task.covers_image());
        Ok(Self(tasks))
    }

    /// Says what the next image is made of: one camera alone, or both.
    pub fn looks_at(&mut self, alone: Option<Camera>) {
        self.0.iter_mut().for_each(|(_, task)| task.looks_at(alone));
    }

    /// Reads the results of all tasks into `out`, whose fused image is there already, and paints them over it: maps first, boxes
    /// above. Gives the times of reading and of painting. Allocates nothing once `out` was used for an image of that size.
    ///
    /// # Errors
    /// When rows of a detector do not fit its classes.
    pub fn finish(
        &mut self,
        fused: &Fused<'_>,
        draw: bool,
        out: &mut FusedImage,
    ) -> Result<[Duration; 2], GeometryError> {
        let start = Instant::now();
        let FusedImage { rgb, size, found } = out;
        let mut pairs = self.0.iter().zip(&*found);
        if found.len() != self.0.len() || !pairs.all(|((_, task), found)| task.finds(found.as_ref())) {
            *found = self.0.iter().map(|(_, task)| task.nothing()).collect();
        }
        for ((place, task), found) in self.0.iter_mut().zip(&mut *found) {
            // The contract was checked when the model was loaded: every task has its output.
            if let Some(output) = fused.output(*place) {
                task.read_any(output, *size, found.as_mut())?;
            }
        }
        let read = start.elapsed();
        if draw {
            let tasks = self.0.iter().zip(&*found).rev();
            tasks.for_each(|((_, task), found)| task.paint_any(found.as_ref(), rgb, *size));
        }
        Ok([read, start.elapsed().saturating_sub(read)])
    }
}

impl FusedImage {
    /// Writes what was found as entries of a line; `brief` leaves out what is more than a datagram holds. There is always a list of
    /// detections, which readers of lines look for.
    pub(crate) fn write_found(&self, brief: bool, line: &mut Object<'_>) -> serde_json::Result<()> {
        if self.of::<Detections>().is_none() {
            let none = Detections::default();
            line.entry_by(none.key(), |out| none.write_json(brief, out))?;
        }
        self.found.iter().try_for_each(|found| line.entry_by(found.key(), |out| found.write_json(brief, out)))
    }
}
