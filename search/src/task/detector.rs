//! A detector: its network as data, its starting values, its file.

use super::config::is_input_side;
use super::error::TaskError;
use crate::learning::MAX_SIDE_PX;
use crate::weight_file::read_weights;
use caf_net::zoo::yolov5::{self, STRIDES, YoloConfig};
use caf_net::{Builder, Dim, Graph, TensorType};
use caf_torch::Params;
use caf_weights::{HostTensor, Weights, initial};
use std::path::Path;
use tch::{Device, Kind};

/// Metadata key that names the kind of network in a weight file.
pub const NETWORK_KEY: &str = "network";
/// Value of [`NETWORK_KEY`] for a detector.
pub const NETWORK: &str = "yolov5";
/// Metadata key of the network's configuration, JSON of [`YoloConfig`].
pub const CONFIG_KEY: &str = "config";
/// Metadata key of the class names, a JSON list.
pub const CLASSES_KEY: &str = "classes";
/// Metadata key of width and height of the images it was trained on, in pixels, a JSON list.
pub const IMAGE_SIZE_KEY: &str = "image_size_px";

const ANCHORS: &str = "model.24.anchors";

/// A network of the YOLOv5 family, whole and up to its raw heads. Both graphs have the same parameters.
#[derive(Clone, Debug)]
pub struct Detector {
    config: YoloConfig,
    whole: Graph,
    heads: Graph,
}

impl Detector {
    /// Builds the graphs.
    ///
    /// # Errors
    /// When the configuration is impossible.
    pub fn new(config: YoloConfig) -> Result<Self, TaskError> {
        let whole = yolov5::graph(&config)?;
        let mut b = Builder::new("yolov5 heads");
        let named = |name: &str| Dim::Named(name.to_owned());
        let image = b.input("image", TensorType::nchw(named("batch"), 3, named("height"), named("width")))?;
        for (name, head) in ["p3", "p4", "p5"].into_iter().zip(yolov5::heads(&mut b, &config, image)?) {
            b.output(name, head);
        }
        Ok(Detector { config, whole, heads: b.finish() })
    }

    /// What it was built from.
    pub fn config(&self) -> &YoloConfig {
        &self.config
    }

    /// The network with decoding: outputs `p3`, `p4`, `p5`, `predictions`.
    pub fn graph(&self) -> &Graph {
        &self.whole
    }

    /// The network without decoding, for training: outputs `p3`, `p4`, `p5`.
    pub fn heads_graph(&self) -> &Graph {
        &self.heads
    }

    /// Says in a weight file what it belongs to.
    pub fn describe(&self, weights: &mut Weights, classes: &[String], size: (usize, usize)) {
        weights.set_metadata(NETWORK_KEY, NETWORK);
        weights.set_metadata(CONFIG_KEY, json(&self.config));
        weights.set_metadata(CLASSES_KEY, json(&classes));
        weights.set_metadata(IMAGE_SIZE_KEY, json(&[size.0, size.1]));
    }

    /// What a weight file made by this crate says of its network; none when it says nothing.
    ///
    /// # Errors
    /// When what it says cannot be understood or built.
    pub fn described(weights: &Weights, path: &Path) -> Result<Option<Description>, TaskError> {
        if weights.metadata().get(NETWORK_KEY).is_none_or(|kind| kind != NETWORK) {
            return Ok(None);
        }
        let config = metadata(weights, path, CONFIG_KEY)?.ok_or_else(|| absent(path, CONFIG_KEY))?;
        let image_size_px: Option<[usize; 2]> = metadata(weights, path, IMAGE_SIZE_KEY)?;
        if let Some([width, height]) = image_size_px.filter(|sides| !sides.iter().all(|side| is_input_side(*side))) {
            let what = format!(
                "metadata `{IMAGE_SIZE_KEY}`: expected multiples of 32 up to {MAX_SIDE_PX}, found {width}x{height}"
            );
            return Err(TaskError::Checkpoint { path: path.to_owned(), what });
        }
        Ok(Some(Description {
            detector: Detector::new(config)?,
            classes: metadata(weights, path, CLASSES_KEY)?.ok_or_else(|| absent(path, CLASSES_KEY))?,
            image_size_px,
        }))
    }
}

/// What a weight file says of its network.
#[derive(Clone, Debug)]
pub struct Description {
    /// The network.
    pub detector: Detector,
    /// Class names by number.
    pub classes: Vec<String>,
    /// Width and height of the images it was trained on, when they are given.
    pub image_size_px: Option<[usize; 2]>,
}

/// A trained detector.
#[derive(Debug)]
pub struct Loaded {
    /// The network.
    pub detector: Detector,
    /// Class names by number.
    pub classes: Vec<String>,
    /// Its parameters.
    pub params: Params,
    /// Width and height of the images it was trained on, when the file says so.
    pub image_size_px: Option<[usize; 2]>,
}

/// Reads a detector from a file that a task training or a search wrote.
///
/// # Errors
/// When the file cannot be read, describes no detector, or its tensors do not fit the description.
pub fn load_detector(path: &Path, device: Device) -> Result<Loaded, TaskError> {
    let weights = read_weights(path)?;
    let Description { detector, classes, image_size_px } = Detector::described(&weights, path)?.ok_or_else(|| {
        let what = format!("expected metadata `{NETWORK_KEY}` = `{NETWORK}`: not written by a task training");
        TaskError::Checkpoint { path: path.to_owned(), what }
    })?;
    let params = Params::from_weights(detector.graph(), &weights, device, Kind::Float)?;
    Ok(Loaded { detector, classes, params, image_size_px })
}

/// A JSON value of the metadata, none when there is no such key.
fn metadata<T: serde::de::DeserializeOwned>(weights: &Weights, path: &Path, key: &str) -> Result<Option<T>, TaskError> {
    let parse = |text: &String| {
        serde_json::from_str(text)
            .map_err(|e| TaskError::Checkpoint { path: path.to_owned(), what: format!("metadata `{key}`: {e}") })
    };
    weights.metadata().get(key).map(parse).transpose()
}

fn absent(path: &Path, key: &str) -> TaskError {
    TaskError::Checkpoint { path: path.to_owned(), what: format!("metadata `{key}`: expected JSON, found none") }
}

/// JSON of a plain value, which always has one.
fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Starting values and where they came from.
#[derive(Clone, Debug)]
pub struct Start {
    /// The network; its anchors are those of the file, when there is one.
    pub detector: Detector,
    /// Values of all parameters.
    pub weights: Weights,
    /// Entries taken from the file.
    pub taken: usize,
    /// Entries the network has.
    pub of: usize,
}

/// Fresh values by `seed`, then every entry of the file with an equal name and shape. With another number of classes the six
/// weights and biases of the head start fresh: 343 of 349 entries are taken.
///
/// # Errors
/// When the network cannot be built, the file cannot be read, or it shares no entry with the network.
pub fn start(config: YoloConfig, file: Option<&Path>, seed: u64) -> Result<Start, TaskError> {
    let Some(path) = file else {
        let detector = Detector::new(config)?;
        let weights = initial(detector.graph().params(), seed)?;
        let of = weights.len();
        return Ok(Start { detector, weights, taken: 0, of });
    };
    let found = read_weights(path)?;
    let config = with_anchors(config, found.get(ANCHORS))?;
    let detector = Detector::new(config)?;
    let mut weights = initial(detector.graph().params(), seed)?;
    let mut taken = 0;
    for spec in detector.graph().params() {
        let Some(tensor) = found.get(&spec.name).filter(|t| t.shape() == spec.shape) else { continue };
        let same_kind = weights.get(&spec.name).is_some_and(|own| own.dtype().is_float() == tensor.dtype().is_float());
        if same_kind {
            weights.replace(&spec.name, tensor.clone());
            taken += 1;
        }
    }
    // The counters of the normalisations have no shape and fit every network: they do not count as kinship.
    let kin =
        detector.graph().params().iter().any(|p| {
            !p.shape.is_empty() && p.name != ANCHORS && found.get(&p.name).is_some_and(|t| t.shape() == p.shape)
        });
    if !kin {
        let what =
            format!("no entry has the name and shape of one of {}: a network of another kind", detector.graph().name());
        return Err(TaskError::Checkpoint { path: path.to_owned(), what });
    }
    let of = weights.len();
    Ok(Start { detector, weights, taken, of })
}

/// Takes over the anchors of a file, stored in cells.
fn with_anchors(config: YoloConfig, stored: Option<&HostTensor>) -> Result<YoloConfig, TaskError> {
    let mut anchors_px = config.anchors_px;
    let Some(stored) = stored.filter(|t| t.shape() == [3, 3, 2]) else { return Ok(config) };
    let mut cells = stored.to_f64_vec()?.into_iter();
    for (level, stride) in anchors_px.iter_mut().zip(STRIDES) {
        for (side, value) in level.iter_mut().flatten().zip(&mut cells) {
            *side = value * stride as f64;
        }
    }
    Ok(YoloConfig { anchors_px, ..config })
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_net::zoo::yolov5::Variant;
    use caf_weights::save_safetensors;

    fn tiny(classes: usize) -> YoloConfig {
        YoloConfig { width: 0.125, ..YoloConfig::new(Variant::N, classes) }
    }

    #[test]
    fn both_graphs_have_the_same_parameters() {
        let d = Detector::new(tiny(3)).unwrap();
        assert_eq!(d.graph().params(), d.heads_graph().params());
    }

    #[test]
    fn another_number_of_classes_takes_all_but_the_six_of_the_head() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("eighty.safetensors");
        let mut config = tiny(80);
        config.anchors_px[1][2] = [64.0, 128.0];
        let eighty = Detector::new(config.clone()).unwrap();
        save_safetensors(&initial(eighty.graph().params(), 5).unwrap(), &path).unwrap();

        let start = start(tiny(6), Some(&path), 1).unwrap();
        assert_eq!((start.taken, start.of), (343, 349));
        assert_eq!(start.detector.config().anchors_px, config.anchors_px);
        let five = initial(eighty.graph().params(), 5).unwrap();
        let name = "model.0.conv.weight";
        assert_eq!(start.weights.get(name), five.get(name));
        assert_eq!(super::start(tiny(80), Some(&path), 1).unwrap().taken, 349);
    }

    #[test]
    fn a_file_of_another_network_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("other.safetensors");
        let mut other = Weights::new();
        other.insert("encoder.weight", HostTensor::from_f32(&[2], &[1.0, 2.0]).unwrap()).unwrap();
        save_safetensors(&other, &path).unwrap();
        let error = start(tiny(6), Some(&path), 1).unwrap_err();
        assert!(error.to_string().contains("other.safetensors"), "{error}");
    }

    #[test]
    fn a_described_file_is_recognised() {
        let d = Detector::new(tiny(2)).unwrap();
        let mut weights = initial(d.graph().params(), 5).unwrap();
        assert!(Detector::described(&weights, Path::new("x")).unwrap().is_none());
        d.describe(&mut weights, &["a".to_owned(), "b".to_owned()], (64, 32));
        let found = Detector::described(&weights, Path::new("x")).unwrap().unwrap();
        assert_eq!(found.detector.config(), d.config());
        assert_eq!(found.classes, ["a", "b"]);
        assert_eq!(found.image_size_px, Some([64, 32]));
        for size in ["[33,64]", "[0,64]", "[18446744073709551615,64]"] {
            weights.set_metadata(IMAGE_SIZE_KEY, size);
            let error = Detector::described(&weights, Path::new("x")).unwrap_err().to_string();
            assert!(error.contains(IMAGE_SIZE_KEY), "{error}");
        }
        weights.set_metadata(IMAGE_SIZE_KEY, "[64,32]");
        weights.set_metadata(CLASSES_KEY, "a, b");
        let error = Detector::described(&weights, Path::new("x")).unwrap_err().to_string();
        assert!(error.contains("`classes`"), "{error}");
    }
}
