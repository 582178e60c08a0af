//! What a model does besides fusing: one file for each task, one list of them.

pub mod detection;
mod reading;
pub mod segmentation;

use std::time::{Duration, Instant};

use caf_contract::{Contract, TaskContract};
use caf_geometry::{GeometryError, NmsSettings};

use crate::session::Fused;
use detection::Detector;
use reading::VehicleTask;
pub use reading::{ClassNames, FusedImage};
use segmentation::Segmenter;

/// All tasks of a model in the order of painting, each with the place of its output.
#[derive(Debug)]
pub struct Tasks(Vec<(usize, Box<dyn VehicleTask>)>);

impl Tasks {
    /// The tasks of a contract that was checked against its model.
    ///
    /// # Errors
    /// For thresholds outside [0, 1].
    pub fn new(contract: &Contract, nms: &NmsSettings) -> Result<Self, GeometryError> {
        let mut tasks: Vec<(usize, Box<dyn VehicleTask>)> = vec![];
        for task in &contract.tasks {
            let made: Box<dyn VehicleTask> = match task {
                TaskContract::Detection(task) => Box::new(Detector::new(task.clone(), nms.clone())?),
                TaskContract::Segmentation(task) => Box::new(Segmenter::new(task)),
            };
            let place = contract.outputs.iter().position(|port| port.name == task.output());
            tasks.extend(place.map(|place| (place, made)));
        }
        tasks.sort_by_key(|(_, task)| !task.covers_image());
        Ok(Self(tasks))
    }

    /// Class names of the tasks there are.
    #[must_use]
    pub fn names(&self) -> ClassNames {
        let mut names = ClassNames::default();
        self.0.iter().for_each(|(_, task)| task.name_classes(&mut names));
        names
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
        out.clear_results();
        for (place, task) in &mut self.0 {
            // The contract was checked when the model was loaded: every task has its output.
            if let Some(output) = fused.output(*place) {
                task.read(output, fused.size, out)?;
            }
        }
        let read = start.elapsed();
        if draw {
            self.0.iter().for_each(|(_, task)| task.paint(fused.size, out));
        }
        Ok([read, start.elapsed().saturating_sub(read)])
    }
}
