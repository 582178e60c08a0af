//! A segmentation network: as data, its starting values, its file.

use super::evaluate::evaluate;
use super::settings::{KIND, SIDES};
use crate::error::SearchError;
use crate::loader::{Annotation, TaskImages};
use crate::tasks::start::{Description, Start, start, task_file};
use crate::tasks::task::{TaskReport, Trained, require_classes, require_size};
use crate::weight_file::read_weights;
use caf_console::{Progress, StopFlag};
use caf_net::zoo::segformer::{self, SegFormerConfig};
use caf_net::{Builder, Dim, Graph, TensorType};
use caf_torch::Params;
use caf_weights::Weights;
use caf_weights::segformer::renamed;
use std::path::Path;
use tch::{Device, Kind};

/// Its name in the metadata of a weight file.
const NETWORK: &str = "segformer";

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
        let (config, classes) = (self.config.clone(), classes.to_vec());
        Description { config, classes, image_size_px: Some(size_px) }.write(NETWORK, weights);
    }
}

/// The weights of a file, hub names brought to the original's.
fn published(file: &Path) -> Result<Weights, SearchError> {
    renamed(read_weights(file)?, &mut Vec::new()).map_err(|error| task_file(file, error.to_string()))
}

/// A trained segmentation network.
#[derive(Debug)]
pub(super) struct TrainedSegmenter {
    segmenter: Segmenter,
    params: Params,
    classes: Vec<String>,
    image_size_px: Option<[usize; 2]>,
}

impl TrainedSegmenter {
    /// That of a weight file; none when the file says that it is of another network, or nothing.
    ///
    /// # Errors
    /// When the description cannot be understood, or the tensors do not fit it.
    pub fn open(weights: &Weights, path: &Path, device: Device) -> Result<Option<Self>, SearchError> {
        let Some(Description { config, classes, image_size_px }) = Description::read(NETWORK, SIDES, weights, path)?
        else {
            return Ok(None);
        };
        let segmenter = Segmenter::new(config)?;
        weights.check(segmenter.graph().params()).map_err(|mismatch| task_file(path, mismatch.to_string()))?;
        let params = Params::from_weights(segmenter.graph(), weights, device, Kind::Float)?;
        Ok(Some(TrainedSegmenter { segmenter, params, classes, image_size_px }))
    }
}

impl Trained for TrainedSegmenter {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn annotation(&self) -> Annotation {
        Annotation::Masks
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn image_size_px(&self) -> Option<[usize; 2]> {
        self.image_size_px
    }

    fn evaluate(
        &self,
        images: &TaskImages,
        size_px: [usize; 2],
        batch: usize,
        progress: &dyn Progress,
        stop: &StopFlag,
    ) -> Result<TaskReport, SearchError> {
        require_size(SIDES, size_px)?;
        require_classes("the data set", &self.classes, images.classes())?;
        evaluate(self.segmenter.graph(), &self.params, images, size_px, batch, progress, stop)
    }
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

    #[test]
    fn a_described_file_is_recognised() {
        let s = Segmenter::new(tiny(2)).unwrap();
        let mut weights = initial(s.graph().params(), 5).unwrap();
        let open = |weights: &Weights| TrainedSegmenter::open(weights, Path::new("x"), Device::Cpu);
        assert!(open(&weights).unwrap().is_none());
        s.describe(&mut weights, &["a".to_owned(), "b".to_owned()], [64, 32]);
        let found = open(&weights).unwrap().unwrap();
        assert_eq!(found.segmenter.config, s.config);
        assert_eq!((found.classes().len(), found.image_size_px()), (2, Some([64, 32])));
        weights.set_metadata("config", "{}");
        assert!(open(&weights).unwrap_err().to_string().contains("`config`"));
    }
}
