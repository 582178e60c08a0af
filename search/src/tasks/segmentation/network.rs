//! A segmentation network: as data, its starting values, its file.

use crate::error::SearchError;
use crate::tasks::start::{Start, describe, start, task_file};
use crate::weight_file::read_weights;
use caf_net::zoo::segformer::{self, SegFormerConfig};
use caf_net::{Builder, Dim, Graph, TensorType};
use caf_weights::Weights;
use caf_weights::segformer::renamed;
use std::path::Path;

/// A network of the SegFormer family on RGB in [0, 1]: input `[n, 3, h, w]`, output class scores `[n, classes, h/4, w/4]`.
#[derive(Clone, Debug)]
pub(super) struct Segmenter {
    config: SegFormerConfig,
    graph: Graph,
}

impl Segmenter {
    /// Builds the graph.
    ///
    /// # Errors
    /// When the configuration is impossible.
    pub fn new(config: SegFormerConfig) -> Result<Self, SearchError> {
        let mut b = Builder::new("segformer");
        let named = |name: &str| Dim::Named(name.to_owned());
        let image = b.input("image", TensorType::nchw(named("batch"), 3, named("height"), named("width")))?;
        let pixels = segformer::normalise(&mut b, image)?;
        let logits = segformer::logits(&mut b, &config, pixels)?;
        b.output("logits", logits);
        Ok(Segmenter { config, graph: b.finish() })
    }

    /// The network with its normalisation of the image.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Fresh values by `seed`, then those of the file that fit.
    ///
    /// # Errors
    /// When the network cannot be built, the file cannot be read, or it shares no entry with the network.
    pub fn start(config: SegFormerConfig, file: Option<&Path>, seed: u64) -> Result<(Self, Start), SearchError> {
        let segmenter = Segmenter::new(config)?;
        let found = file.map(published).transpose()?;
        let start = start(segmenter.graph(), found.as_ref().zip(file), seed)?;
        Ok((segmenter, start))
    }

    /// Says in a weight file what it belongs to.
    pub fn describe(&self, weights: &mut Weights, classes: &[String], size_px: [usize; 2]) {
        describe(self.config.clone(), classes, size_px, weights);
    }
}

/// The weights of a file, hub names brought to the original's.
fn published(file: &Path) -> Result<Weights, SearchError> {
    renamed(read_weights(file)?, &mut Vec::new()).map_err(|error| task_file(file, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_net::zoo::segformer::Variant;
    use caf_weights::{initial, save_safetensors};

    fn tiny(classes: usize) -> SegFormerConfig {
        let config = SegFormerConfig::new(Variant::B0, classes);
        SegFormerConfig { widths: [8, 16, 40, 64], depths: [1, 1, 1, 1], decoder_width: 16, ..config }
    }

    #[test]
    fn another_number_of_classes_takes_all_but_the_classifier() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nine.safetensors");
        let nine = Segmenter::new(tiny(9)).unwrap();
        save_safetensors(&initial(nine.graph().params(), 5).unwrap(), &path).unwrap();
        let (_, start) = Segmenter::start(tiny(4), Some(&path), 1).unwrap();
        assert_eq!(start.of - start.taken, 2);
        assert_eq!(Segmenter::start(tiny(9), Some(&path), 1).unwrap().1.taken, start.of);
    }

    /// The golden weights under both names start the same network, whole; with other classes all but the classifier.
    #[test]
    fn published_names_of_both_kinds_start_the_same_network() {
        let name = "published_names_of_both_kinds_start_the_same_network";
        let Some(folder) = caf_golden::find(name, "golden/segformer") else { return };
        let config = |classes| SegFormerConfig {
            widths: [8, 16, 40, 64],
            depths: [2, 2, 2, 2],
            decoder_width: 32,
            ..SegFormerConfig::new(Variant::B0, classes)
        };
        let start = |file: &str, classes| Segmenter::start(config(classes), Some(&folder.join(file)), 1).unwrap().1;
        let [hub, original] = ["tiny_weights.safetensors", "tiny_weights_mmseg_names.safetensors"].map(|f| start(f, 9));
        assert_eq!((hub.taken, original.taken), (hub.of, original.of));
        for (name, tensor) in hub.weights.iter() {
            assert_eq!(original.weights.get(name), Some(tensor), "{name}");
        }
        let other = start("tiny_weights.safetensors", 5);
        assert_eq!(other.of - other.taken, 2);
    }
}
