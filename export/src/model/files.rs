//! Weight files as parts of a model.
//!
//! Which network a file holds is found out by [`caf_weights::NetworkFile`], in safetensors and in original checkpoints; here stand the
//! demands of a vehicle's model: an infrared range, and a name for every class.

use crate::error::ExportError;
use caf_contract::IrRange;
use caf_geometry::Size;
use caf_net::zoo::fusion::FusionConfig;
use caf_net::zoo::network::{Family, Network as _};
use caf_net::zoo::segformer::SegFormerConfig;
use caf_net::zoo::task::TaskNetworkConfig;
use caf_net::zoo::yolov5::{Variant, YoloConfig};
use caf_weights::{NetworkFile, Weights, sha256_of_file};
use std::path::Path;

/// The detector's input where nothing else is said.
const DEFAULT_SIDE_PX: usize = 640;

/// A file with its hash and the infrared range of its training.
fn open<F: Family + ?Sized>(path: &Path) -> Result<(NetworkFile<F>, String, IrRange), ExportError> {
    let file = NetworkFile::<F>::open(path)?;
    let range = match &file.metadata.ir_range {
        None => IrRange::Full,
        Some(json) => serde_json::from_value(json.clone())
            .map_err(|error| error.to_string())
            .and_then(|range: IrRange| range.validate().map(|()| range).map_err(|error| error.to_string()))
            .map_err(|found| ExportError::IrRange { path: path.to_owned(), found })?,
    };
    Ok((file, sha256_of_file(path)?, range))
}

/// The weights of a fusion network.
#[derive(Debug)]
pub struct FusionFile {
    file: caf_weights::FusionFile,
    sha256: String,
    ir_range: IrRange,
}

impl FusionFile {
    /// Opens and checks a file.
    ///
    /// # Errors
    /// When it cannot be read, holds another network, does not fit (everything is listed), or says something that is no infrared
    /// range.
    pub fn open(path: &Path) -> Result<Self, ExportError> {
        let (file, sha256, ir_range) = open(path)?;
        Ok(FusionFile { file, sha256, ir_range })
    }

    /// How 16-bit infrared became [0, 1] in its training.
    pub fn ir_range(&self) -> IrRange {
        self.ir_range
    }

    /// The network.
    pub fn config(&self) -> &FusionConfig {
        &self.file.network
    }

    /// Its tensors.
    pub fn weights(&self) -> &Weights {
        &self.file.weights
    }

    /// What was changed while the file was read, for people.
    pub fn notes(&self) -> &[String] {
        &self.file.notes
    }

    /// SHA-256 of the file, lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

/// What a person says about a task network's file; it goes before what the file says.
#[derive(Clone, Debug, Default)]
pub struct TaskOptions {
    /// Class names by number.
    pub classes: Option<Vec<String>>,
    /// Size of a YOLOv5 detector.
    pub variant: Option<Variant>,
}

/// What a task network is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Boxes of objects.
    Detection,
    /// A class for every pixel.
    Segmentation,
}

/// The weights of a task network.
#[derive(Debug)]
pub struct TaskFile {
    file: caf_weights::TaskFile,
    sha256: String,
    ir_range: IrRange,
    task: Task,
    classes: Vec<String>,
    image_size: Size,
}

impl TaskFile {
    /// Opens and checks a file. Anchors are always those of the file.
    ///
    /// # Errors
    /// When it cannot be read, holds another network, nobody says what its classes are called, their number is not the
    /// head's, or the tensors do not fit (everything is listed).
    pub fn open(path: &Path, options: &TaskOptions) -> Result<Self, ExportError> {
        let (mut file, sha256, ir_range): (caf_weights::TaskFile, _, _) = open(path)?;
        let wrong = |expected: String, found: String| ExportError::Network { path: path.to_owned(), expected, found };
        if let Some(variant) = options.variant {
            let found = || {
                wrong("a YOLOv5 detector, whose size was given".into(), format!("a {} network", file.network.kind()))
            };
            let config = file.network.typed::<YoloConfig>().ok_or_else(found)?;
            let (depth, width) = variant.multiples();
            file = file.as_network(YoloConfig { depth, width, ..config }.into())?;
        }
        let task = match file.network.kind() {
            YoloConfig::KIND => Task::Detection,
            SegFormerConfig::KIND => Task::Segmentation,
            other => {
                return Err(wrong(
                    "a YOLOv5 detector or a SegFormer segmentation".into(),
                    format!("a {other} network"),
                ));
            }
        };
        let classes = match (&options.classes, &file.metadata.classes) {
            (Some(given), _) => given.clone(),
            (None, Some(said)) => said.clone(),
            (None, None) => {
                return Err(ExportError::settings("the task file names no classes: give a list with --classes"));
            }
        };
        if classes.len() != file.network.classes() {
            let found = format!("{} class names", classes.len());
            return Err(wrong(format!("names for the head's {} classes", file.network.classes()), found));
        }
        let default = Size { width: DEFAULT_SIDE_PX, height: DEFAULT_SIDE_PX };
        let image_size = file.metadata.image_size.unwrap_or(default);
        Ok(TaskFile { file, sha256, ir_range, task, classes, image_size })
    }

    /// What it is for.
    pub fn task(&self) -> Task {
        self.task
    }

    /// The network.
    pub fn network(&self) -> &TaskNetworkConfig {
        &self.file.network
    }

    /// How 16-bit infrared became [0, 1] in its training, where it saw infrared images.
    pub fn ir_range(&self) -> IrRange {
        self.ir_range
    }

    /// Class names by number.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Size of its training images in pixels; 640×640 where the file does not say.
    pub fn image_size(&self) -> Size {
        self.image_size
    }

    /// Its tensors.
    pub fn weights(&self) -> &Weights {
        &self.file.weights
    }

    /// What was changed while the file was read, for people.
    pub fn notes(&self) -> &[String] {
        &self.file.notes
    }

    /// SHA-256 of the file, lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}
