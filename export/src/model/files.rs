//! Weight files and the networks they belong to.
//!
//! A file may say which network it holds (metadata `network`, `config`, `classes`, `image_size_px`, as the trainings write
//! them). What it does not say is read off its tensors' names and shapes.

use crate::error::ModelError;
use caf_geometry::Size;
use caf_net::zoo::caf::{self, CafConfig};
use caf_net::zoo::yolov5::{self, STRIDES, Variant, YoloConfig};
use caf_weights::{Weights, load_safetensors, sha256_of_file};
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// Metadata key of the kind of network.
const NETWORK: &str = "network";
/// Metadata key of its configuration, JSON.
const CONFIG: &str = "config";
/// Metadata key of the class names, a JSON list.
const CLASSES: &str = "classes";
/// Metadata key of width and height of the detector's training images, a JSON list.
const IMAGE_SIZE: &str = "image_size_px";
/// Metadata key of how 16-bit infrared became [0, 1] in the training, JSON.
const IR_RANGE: &str = "ir_range";
/// Its value for 0 to 65535, the range a vehicle's model is given; a file that says nothing means it too.
const FULL_RANGE: &str = "full";
/// The detector's input where nothing else is said.
const DEFAULT_SIDE_PX: usize = 640;

struct Opened {
    path: PathBuf,
    sha256: String,
    weights: Weights,
}

impl Opened {
    /// Reads a file; refuses another kind of network than `kind`, if the file names one, and another infrared range than the full
    /// one.
    fn new(path: &Path, kind: &str) -> Result<Self, ModelError> {
        let weights = load_safetensors(path)?;
        if let Some(found) = weights.metadata().get(NETWORK).filter(|found| *found != kind) {
            return Err(ModelError::Network {
                path: path.to_owned(),
                expected: format!("the weights of a {kind} network"),
                found: format!("metadata `{NETWORK}` = `{found}`"),
            });
        }
        let file = Opened { path: path.to_owned(), sha256: sha256_of_file(path)?, weights };
        match file.metadata::<serde_json::Value>(IR_RANGE)? {
            Some(found) if found != FULL_RANGE => {
                Err(ModelError::IrRange { path: file.path, found: found.to_string() })
            }
            _ => Ok(file),
        }
    }

    fn metadata<T: DeserializeOwned>(&self, key: &'static str) -> Result<Option<T>, ModelError> {
        let parse = |text: &String| {
            serde_json::from_str(text).map_err(|source| ModelError::Metadata { path: self.path.clone(), key, source })
        };
        self.weights.metadata().get(key).map(parse).transpose()
    }

    /// First extent of a tensor, for guessing at widths.
    fn outputs(&self, name: &str) -> Option<usize> {
        self.weights.get(name).and_then(|t| t.shape().first().copied())
    }

    /// How many of `{before}0{after}`, `{before}1{after}`, … there are.
    fn count(&self, before: &str, after: &str) -> usize {
        (0..self.weights.len()).take_while(|i| self.weights.get(&format!("{before}{i}{after}")).is_some()).count()
    }

    fn network(&self, expected: &str, found: String) -> ModelError {
        ModelError::Network { path: self.path.clone(), expected: expected.to_owned(), found }
    }

    fn check(&self, graph: &caf_net::Graph) -> Result<(), ModelError> {
        self.weights.check(graph.params()).map_err(|source| ModelError::Fit { path: self.path.clone(), source })
    }
}

/// The weights of a CAF fusion network.
pub struct FusionFile {
    file: Opened,
    config: CafConfig,
}

impl FusionFile {
    /// Opens and checks a file.
    ///
    /// # Errors
    /// When it cannot be read, holds another network, or does not fit (everything is listed).
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let file = Opened::new(path, "caf")?;
        let config = match file.metadata(CONFIG)? {
            Some(config) => config,
            None => {
                // Either encoder tells the width, so that a file that lacks one tensor is told which.
                let encoders = ["encoder1.0.weight", "encoder2.0.weight"];
                let half = encoders.iter().find_map(|name| file.outputs(name)).ok_or_else(|| {
                    let found = format!("{} tensors without `{}`", file.weights.len(), encoders.join("` or `"));
                    file.network("the weights of a CAF fusion network", found)
                })?;
                let normalised = file.weights.get("encoder1.1.weight").is_some();
                CafConfig { width: 2 * half, depth: file.count("dense.", ".0.weight"), normalised }
            }
        };
        file.check(&caf::graph(&config)?)?;
        Ok(FusionFile { file, config })
    }

    /// Widths of the network.
    pub fn config(&self) -> &CafConfig {
        &self.config
    }

    /// Its tensors.
    pub fn weights(&self) -> &Weights {
        &self.file.weights
    }

    /// SHA-256 of the file, lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.file.sha256
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
pub struct TaskFile {
    file: Opened,
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
        let file = Opened::new(path, "yolov5")?;
        let described: Option<YoloConfig> = file.metadata(CONFIG)?;
        let head = file.outputs("model.24.m.0.bias").filter(|n| *n > 15 && n.is_multiple_of(3)).ok_or_else(|| {
            let found = format!("{} tensors without a head `model.24.m.0.bias`", file.weights.len());
            file.network("the weights of a YOLOv5 detector with three anchors a level", found)
        })?;
        let in_head = head / 3 - 5;
        let classes = match (&options.classes, file.metadata::<Vec<String>>(CLASSES)?) {
            (Some(given), _) => given.clone(),
            (None, Some(said)) => said,
            (None, None) => {
                return Err(ModelError::Settings("the task file names no classes: give a list with --classes"));
            }
        };
        if classes.len() != in_head {
            let found = format!("{} class names", classes.len());
            return Err(file.network(&format!("names for the head's {in_head} classes"), found));
        }
        let mut config = match (options.variant, described) {
            (Some(variant), _) => YoloConfig::new(variant, in_head),
            (None, Some(config)) => config,
            (None, None) => guess(&file, in_head)?,
        };
        config.anchors_px = anchors(&file)?;
        file.check(&yolov5::graph(&config)?)?;
        let [width, height] = file.metadata::<[usize; 2]>(IMAGE_SIZE)?.unwrap_or([DEFAULT_SIDE_PX; 2]);
        Ok(TaskFile { file, config, classes, image_size: Size { width, height } })
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

    /// SHA-256 of the file, lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.file.sha256
    }
}

/// Width and depth from the first convolution (64 channels at width 1) and the longest block (9 bottlenecks at depth 1).
fn guess(file: &Opened, classes: usize) -> Result<YoloConfig, ModelError> {
    let first = file.outputs("model.0.conv.weight");
    let bottlenecks = file.count("model.6.m.", ".cv1.conv.weight");
    match (first, bottlenecks) {
        (Some(first), 1..) => {
            let (depth, width) = (bottlenecks as f64 / 9.0, first as f64 / 64.0);
            Ok(YoloConfig { depth, width, ..YoloConfig::new(Variant::N, classes) })
        }
        _ => {
            let found = "no `model.0.conv.weight` or no `model.6.m.0.cv1.conv.weight`".to_owned();
            Err(file.network("the weights of an unfused YOLOv5 detector", found))
        }
    }
}

/// The file's anchors, which are stored in cells, in pixels.
fn anchors(file: &Opened) -> Result<[[[f64; 2]; 3]; 3], ModelError> {
    const NAME: &str = "model.24.anchors";
    let wrong = |found: String| file.network("anchors `model.24.anchors` of shape [3, 3, 2]", found);
    let tensor = file.weights.get(NAME).ok_or_else(|| wrong("none".to_owned()))?;
    let values = tensor.to_f64_vec().map_err(|e| wrong(e.to_string()))?;
    if tensor.shape() != [3, 3, 2] {
        return Err(wrong(format!("{:?}", tensor.shape())));
    }
    let mut anchors = [[[0.0; 2]; 3]; 3];
    let targets = anchors
        .iter_mut()
        .zip(STRIDES)
        .flat_map(|(level, stride)| level.iter_mut().flatten().map(move |target| (target, stride as f64)));
    for ((target, stride), value) in targets.zip(values) {
        *target = value * stride;
    }
    Ok(anchors)
}

impl std::fmt::Debug for FusionFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FusionFile").field("path", &self.file.path).field("config", &self.config).finish()
    }
}

impl std::fmt::Debug for TaskFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskFile").field("path", &self.file.path).field("config", &self.config).finish()
    }
}
