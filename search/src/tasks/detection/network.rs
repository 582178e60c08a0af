//! A detector: its network as data, its starting values, its file.

use crate::error::SearchError;
use crate::tasks::start::{Start, describe, start};
use crate::weight_file::read_weights;
use caf_net::zoo::yolov5::{self, STRIDES, YoloConfig};
use caf_net::{Builder, Dim, Graph, TensorType};
use caf_weights::{HostTensor, Weights};
use std::path::Path;

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
    pub fn new(config: YoloConfig) -> Result<Self, SearchError> {
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

    /// Fresh values by `seed`, then those of the file that fit. With another number of classes the six weights and biases of
    /// the head start fresh: 343 of 349 entries are taken. The anchors are those of the file, when there is one.
    ///
    /// # Errors
    /// When the network cannot be built, the file cannot be read, or it shares no entry with the network.
    pub fn start(config: YoloConfig, file: Option<&Path>, seed: u64) -> Result<(Self, Start), SearchError> {
        let found = file.map(read_weights).transpose()?;
        let config = match &found {
            Some(found) => with_anchors(config, found.get(ANCHORS))?,
            None => config,
        };
        let detector = Detector::new(config)?;
        let start = start(detector.graph(), found.as_ref().zip(file), seed)?;
        Ok((detector, start))
    }

    /// Says in a weight file what it belongs to.
    pub fn describe(&self, weights: &mut Weights, classes: &[String], size_px: [usize; 2]) {
        describe(self.config.clone(), classes, size_px, weights);
    }
}

/// Takes over the anchors of a file, stored in cells.
fn with_anchors(config: YoloConfig, stored: Option<&HostTensor>) -> Result<YoloConfig, SearchError> {
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
    use caf_weights::{initial, save_safetensors};

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

        let (detector, start) = Detector::start(tiny(6), Some(&path), 1).unwrap();
        assert_eq!((start.taken, start.of), (343, 349));
        assert_eq!(detector.config().anchors_px, config.anchors_px);
        let five = initial(eighty.graph().params(), 5).unwrap();
        let name = "model.0.conv.weight";
        assert_eq!(start.weights.get(name), five.get(name));
        assert_eq!(Detector::start(tiny(80), Some(&path), 1).unwrap().1.taken, 349);
    }

    #[test]
    fn a_file_of_another_network_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("other.safetensors");
        let mut other = Weights::new();
        other.insert("encoder.weight", HostTensor::from_f32(&[2], &[1.0, 2.0]).unwrap()).unwrap();
        save_safetensors(&other, &path).unwrap();
        let error = Detector::start(tiny(6), Some(&path), 1).unwrap_err();
        assert!(error.to_string().contains("other.safetensors"), "{error}");
    }
}
