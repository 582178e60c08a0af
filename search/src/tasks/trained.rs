//! A trained task network, as its file describes it.

use super::settings::TASKS;
use super::task::{Measured, TaskKind, TaskReport, require_classes};
use crate::error::SearchError;
use crate::loader::{Annotation, TaskImages};
use crate::run_settings::require_size;
use caf_console::{Progress, StopFlag, tell_notes};
use caf_geometry::Size;
use caf_image::IrRange;
use caf_net::Graph;
use caf_torch::Params;
use caf_weights::TaskFile;
use std::path::Path;
use tch::{Device, Kind};

/// Input of a network whose file does not say what it was trained on.
const USUAL_SIZE: Size = Size::new(640, 640);

/// A trained task network, ready to be measured.
#[derive(Debug)]
pub struct Trained {
    task: &'static TaskKind,
    graph: Graph,
    params: Params,
    /// How many classes it tells apart.
    number: usize,
    classes: Option<Vec<String>>,
    /// Width and height of the images it was trained on, when its file says so.
    image_size: Option<Size>,
    ir_range: Option<IrRange>,
}

/// Reads a task network: what a task training or a search wrote, or an original checkpoint, which is recognised by its tensors.
///
/// # Errors
/// When the file cannot be read, holds no task network, or its tensors do not fit what it says.
pub fn open_task(path: &Path, device: Device) -> Result<Trained, SearchError> {
    let file = TaskFile::open(path)?;
    tell_notes(path, &file.notes);
    Trained::of(&file, device)
}

impl Trained {
    fn of(file: &TaskFile, device: Device) -> Result<Self, SearchError> {
        let (network, metadata) = (&file.network, &file.metadata);
        let task = TASKS.into_iter().find(|task| task.network == network.task()).ok_or_else(|| SearchError::Kind {
            path: file.path.clone(),
            expected: "a network that a task here measures".to_owned(),
            found: format!("one of kind `{}`", network.kind()),
        })?;
        let graph = network.graph()?;
        let params = Params::from_weights(&graph, &file.weights, device, Kind::Float)?;
        Ok(Trained {
            task,
            graph,
            params,
            number: network.classes(),
            classes: metadata.classes.clone(),
            image_size: metadata.image_size,
            ir_range: metadata.ir_range,
        })
    }

    /// What it is for.
    pub fn task(&self) -> &'static TaskKind {
        self.task
    }

    /// What it is measured by.
    pub fn annotation(&self) -> Annotation {
        self.task.annotation
    }

    /// Class names by number, when its file says so.
    pub fn classes(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    /// How the infrared of its training became [0, 1], when its file says so.
    pub fn ir_range(&self) -> Option<IrRange> {
        self.ir_range
    }

    /// Measures it on images that are fitted into a size, without one that of its training, in batches of a number.
    ///
    /// # Errors
    /// As [`Task::evaluate`](super::Task::evaluate), and when the network takes no such size or the images have other classes.
    pub fn evaluate(
        &self,
        images: &TaskImages,
        size: Option<Size>,
        batch: usize,
        progress: &dyn Progress,
        stop: &StopFlag,
    ) -> Result<TaskReport, SearchError> {
        let size = size.or(self.image_size).unwrap_or(USUAL_SIZE);
        require_size("size", self.task.sides, size)?;
        self.require_own_classes(images)?;
        let (graph, params) = (&self.graph, &self.params);
        (self.task.measure)(&Measured { graph, params, images, size, batch, progress, stop })
    }

    /// Refuses images of other classes; a network whose file names none takes the images' names.
    fn require_own_classes(&self, images: &TaskImages) -> Result<(), SearchError> {
        match self.classes() {
            Some(expected) => require_classes("the data set", expected, images.classes()),
            None if images.classes().len() == self.number => Ok(()),
            None => {
                let expected: Vec<String> = (0..self.number).map(|class| format!("class {class}")).collect();
                require_classes("the data set", &expected, images.classes())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_net::zoo::TASK_NETWORKS;
    use caf_weights::{Metadata, initial};

    #[test]
    fn every_task_network_is_opened_with_what_its_file_says_and_without() {
        for kind in TASK_NETWORKS {
            let network = kind.parse(serde_json::json!({"classes": 2})).unwrap();
            let graph = network.graph().unwrap();
            let mut weights = initial(graph.params(), 5).unwrap();
            let open = |weights: &caf_weights::Weights| {
                Trained::of(&TaskFile::of(weights.clone(), Path::new("x")).unwrap(), Device::Cpu).unwrap()
            };
            let original = open(&weights);
            assert_eq!(original.graph.params(), graph.params(), "{}", kind.kind);
            assert_eq!((original.number, original.classes(), original.image_size), (2, None, None));
            let (classes, image_size) = (Some(vec!["a".into(), "b".into()]), Some(Size::new(64, 32)));
            Metadata { classes, image_size, ..Metadata::of_network(&network) }.write_to(&mut weights);
            let found = open(&weights);
            assert_eq!(found.task.network, network.task(), "{}", kind.kind);
            assert_eq!(found.classes().unwrap(), ["a", "b"]);
            assert_eq!(found.image_size, Some(Size::new(64, 32)));
        }
    }
}
