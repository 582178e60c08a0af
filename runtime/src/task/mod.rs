//! What a model does besides fusing: one file for each task, one list of them.

pub mod detection;
pub mod segmentation;

use std::time::{Duration, Instant};

use caf_contract::{Contract, TaskContract};
use caf_engine::View;
use caf_geometry::{GeometryError, NmsSettings, Size};

use crate::draw::Canvas;
use crate::image::FusedImage;
use crate::session::Fused;
use detection::Detector;
use segmentation::Segmenter;

/// Names of the classes of a model's tasks, by number; empty for a task that it does not have.
#[derive(Clone, Debug, Default)]
pub struct ClassNames {
    /// Of detections.
    pub detection: std::sync::Arc<[String]>,
    /// Of a class map.
    pub segmentation: std::sync::Arc<[String]>,
}

/// A task with its buffers.
#[derive(Debug)]
enum Task {
    Detection(Detector),
    Segmentation(Segmenter),
}

/// All tasks of a model, each with the place of its output.
#[derive(Debug)]
pub struct Tasks(Vec<(usize, Task)>);

impl Tasks {
    /// The tasks of a contract that was checked against its model.
    ///
    /// # Errors
    /// For thresholds outside [0, 1].
    pub fn new(contract: &Contract, nms: &NmsSettings) -> Result<Self, GeometryError> {
        let mut tasks = vec![];
        for task in &contract.tasks {
            let made = match task {
                TaskContract::Detection(task) => Task::Detection(Detector::new(task.clone(), nms.clone())?),
                TaskContract::Segmentation(task) => Task::Segmentation(Segmenter::new(task)),
            };
            let place = contract.outputs.iter().position(|port| port.name == task.output());
            tasks.extend(place.map(|place| (place, made)));
        }
        Ok(Self(tasks))
    }

    /// Class names of the tasks there are.
    #[must_use]
    pub fn names(&self) -> ClassNames {
        let mut names = ClassNames::default();
        for (_, task) in &self.0 {
            match task {
                Task::Detection(detector) => names.detection = detector.classes().into(),
                Task::Segmentation(segmenter) => names.segmentation = segmenter.classes().into(),
            }
        }
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
        out.detections.clear();
        out.class_map.clear();
        for (place, task) in &mut self.0 {
            match (task, fused.output(*place)) {
                (Task::Detection(detector), Some(View::F32(rows))) => {
                    let counts = detector.detect(rows, fused.size, &mut out.detections)?;
                    if counts.not_finite > 0 {
                        tracing::warn!(rows = counts.not_finite, "the detector gives values that are not finite");
                    }
                }
                (Task::Segmentation(_), Some(View::U8(map))) => out.class_map.extend_from_slice(map),
                // The contract was checked when the model was loaded.
                (Task::Detection(_) | Task::Segmentation(_), _) => {}
            }
        }
        let read = start.elapsed();
        if draw {
            self.paint(fused.size, out);
        }
        Ok([read, start.elapsed().saturating_sub(read)])
    }

    fn paint(&self, size: Size, out: &mut FusedImage) {
        for (_, task) in &self.0 {
            if let Task::Segmentation(segmenter) = task {
                segmenter.paint(&out.class_map, &mut out.rgb);
            }
        }
        for (_, task) in &self.0 {
            if let Task::Detection(detector) = task
                && let Some(mut canvas) = Canvas::new(&mut out.rgb, size.width, size.height)
            {
                for d in &out.detections {
                    let class = usize::try_from(d.class).unwrap_or(0);
                    canvas.detection([d.x1, d.y1, d.x2, d.y2], class, detector.class_name(d.class), d.score);
                }
            }
        }
    }
}
