//! Weight files as parts of a model.
//!
//! Which network a file holds is found out by [`caf_weights::NetworkFile`]; here stand the demands of a vehicle's model: the full
//! infrared range, and a name for every class.

use crate::error::ModelError;
use caf_geometry::Size;
use caf_net::zoo::fusion::FusionConfig;
use caf_net::zoo::network::Family;
use caf_net::zoo::yolov5::{self, Variant, YoloConfig};
use caf_weights::{NetworkFile, Weights, sha256_of_file};
use std::path::Path;

/// The detector's input where nothing else is said.
const DEFAULT_SIDE_PX: usize = 640;

/// Opens a file; refuses another infrared range than the full one.
fn open<F: Family + ?Sized>(path: &Path) -> Result<(NetworkFile<F>, String), ModelError> {
    let file = NetworkFile::<F>::open(path)?;
    match file.metadata.other_ir_range() {
        Some(range) => Err(ModelError::IrRange { path: file.path, found: range.to_string() }),
        None => Ok((file, sha256_of_file(path)?)),
    }
}

/// The weights of a fusion network.
#[derive(Debug)]
pub struct FusionFile {
    file: caf_weights::FusionFile,
    sha256: String,
}

impl FusionFile {
    /// Opens and checks a file.
    ///
    /// # Errors
    /// When it cannot be read, holds another network, does not fit (everything is listed), or was trained with another infrared
    /// range than the full one.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let (file, sha256) = open(path)?;
        Ok(FusionFile { file, sha256 })
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

/// What a person says about a detector's file; it goes before what the file says.
#[derive(Clone, Debug, Default)]
pub struct TaskOptions {
    /// Class names in the order of the head.
    pub classes: Option<Vec<String>>,
    /// Size of the network.
    pub variant: Option<Variant>,
}

/// The weights of a YOLOv5 detector.
#[derive(Debug)]
pub struct TaskFile {
    file: caf_weights::TaskFile,
    sha256: String,
    config: YoloConfig,
    classes: Vec<String>,
    image_size: Size,
}

impl TaskFile {
    /// Opens and checks a file. Anchors are always those of the file.
    ///
    /// # Errors
    /// When it cannot be read, holds another network, nobody says what its classes are called, their number is not the
    /// head's, or the tensors do not fit (everything is listed).
    pub fn open(path: &Path, options: &TaskOptions) -> Result<Self, ModelError> {
        let (file, sha256): (caf_weights::TaskFile, String) = open(path)?;
        let network = |expected: String, found: String| ModelError::Network { path: path.to_owned(), expected, found };
        let config: YoloConfig = file.network.typed().ok_or_else(|| {
            network("the weights of a YOLOv5 detector".to_owned(), format!("a {} network", file.network.kind()))
        })?;
        let classes = match (&options.classes, &file.metadata.classes) {
            (Some(given), _) => given.clone(),
            (None, Some(said)) => said.clone(),
            (None, None) => {
                return Err(ModelError::Settings("the task file names no classes: give a list with --classes"));
            }
        };
        if classes.len() != config.classes {
            let found = format!("{} class names", classes.len());
            return Err(network(format!("names for the head's {} classes", config.classes), found));
        }
        let config = match options.variant {
            Some(variant) => {
                let (depth, width) = variant.multiples();
                let config = YoloConfig { depth, width, ..config };
                let fit = |source| ModelError::Fit { path: path.to_owned(), source };
                file.weights.check(yolov5::graph(&config)?.params()).map_err(fit)?;
                config
            }
            None => config,
        };
        let default = Size { width: DEFAULT_SIDE_PX, height: DEFAULT_SIDE_PX };
        let image_size = file.metadata.image_size.unwrap_or(default);
        Ok(TaskFile { file, sha256, config, classes, image_size })
    }

    /// The network.
    pub fn config(&self) -> &YoloConfig {
        &self.config
    }

    /// Class names in the order of the prediction columns.
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
