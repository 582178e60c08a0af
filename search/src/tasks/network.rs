//! A task network while it learns: as data, its starting values, its file.

use super::setup::Setup;
use crate::error::SearchError;
use crate::ir_range;
use crate::state::{insert, part};
use caf_console::tell_notes;
use caf_geometry::Size;
use caf_image::IrRange;
use caf_net::zoo::task::{TaskNetwork, TaskNetworkConfig};
use caf_net::{Graph, ParamRole};
use caf_torch::Params;
use caf_weights::{HostTensor, Metadata, WeightFile, Weights, initial, read_named};
use std::path::Path;

/// A network of the zoo with its values.
#[derive(Debug)]
pub struct Network {
    config: TaskNetworkConfig,
    whole: Graph,
    raw: Graph,
    params: Params,
    classes: Vec<String>,
    size: Size,
    started: Option<String>,
}

/// Weights to start from, and the file they are of.
#[derive(Debug)]
pub struct Init<'a> {
    path: &'a Path,
    /// Their values.
    pub weights: Weights,
    /// The infrared range that they were trained on, where the file says one.
    ir_range: Option<IrRange>,
    /// Names of its classes, where the file says them.
    classes: Option<Vec<String>>,
}

impl<'a> Init<'a> {
    /// Those of a file of any kind, under the names of the zoo.
    ///
    /// # Errors
    /// When the file cannot be read, or says something of itself that cannot be understood.
    pub fn read(path: &'a Path) -> Result<Self, SearchError> {
        let WeightFile { weights, notes } = read_named::<dyn TaskNetwork>(path)?;
        tell_notes(path, &notes);
        let metadata = Metadata::of(&weights, path)?;
        Ok(Init { path, weights, ir_range: metadata.ir_range, classes: metadata.classes })
    }

    /// Refuses a file of another infrared range than that of the images.
    fn require_range(&self, images: Option<IrRange>) -> Result<(), SearchError> {
        let Some(range) = images else { return Ok(()) };
        ir_range::agreed(ir_range::SETTING, Some(range), self.ir_range, self.path).map(|_| ())
    }

    /// What a user should hear where the file has as many classes as the data set, whose layers fit therefore, but others.
    fn renamed(&self, classes: &[String]) -> Option<String> {
        let file = self.classes.as_deref().filter(|file| file.len() == classes.len())?;
        let pairs = file.iter().zip(classes).filter(|(file, data)| file != data);
        let pairs: Vec<_> = pairs.map(|(file, data)| format!("{data} starts from {file}")).collect();
        (!pairs.is_empty()).then(|| format!("NOTE: its classes are not those of the data: {}", pairs.join(", ")))
    }
}

impl Network {
    /// Fresh values by the seed, then every entry of `init` with an equal name and shape.
    ///
    /// # Errors
    /// When the network cannot be built, when `init` shares no entry with it but counters and anchors, which fit every network of a
    /// kind, or was trained on another infrared range.
    pub fn begin(config: TaskNetworkConfig, init: Option<Init<'_>>, setup: &Setup<'_>) -> Result<Self, SearchError> {
        let whole = config.graph()?;
        let raw = whole.with_outputs(config.raw())?;
        let mut weights = initial(whole.params(), setup.seed)?;
        let of = weights.len();
        let mut started = None;
        if let Some(init) = init {
            let taken = take(&whole, &init, &mut weights)?;
            init.require_range(setup.ir_range)?;
            let from = init.path.display();
            let entries = match of.checked_sub(taken) {
                None | Some(0) => format!("all {of} entries taken from {from}"),
                Some(rest) => format!("{taken} of {of} entries taken from {from}, the other {rest} keep fresh values"),
            };
            let renamed = init.renamed(setup.classes).map(|note| format!("\n{note}"));
            started = Some(entries + renamed.as_deref().unwrap_or_default());
        }
        let params = Params::from_weights(&whole, &weights, setup.device, setup.float)?;
        let (classes, size) = (setup.classes.to_vec(), setup.size);
        Ok(Network { config, whole, raw, params, classes, size, started })
    }

    /// The network with its decoding: what is measured and exported.
    pub fn whole(&self) -> &Graph {
        &self.whole
    }

    /// The network up to what its loss takes. Both graphs have the same parameters.
    pub fn raw(&self) -> &Graph {
        &self.raw
    }

    /// Its values.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Width and height of the training images.
    pub fn size(&self) -> Size {
        self.size
    }

    /// How much of a file it was started from.
    pub fn started(&self) -> Option<&str> {
        self.started.as_deref()
    }

    /// `params` as a weight file, which says that it holds this network, its classes by number, and the size of its training images.
    ///
    /// # Errors
    /// When a tensor cannot be copied.
    pub fn weights(&self, params: &Params) -> Result<Weights, SearchError> {
        let mut weights = params.to_weights(&self.whole)?;
        let Size { width, height } = self.size;
        let (classes, image_size) = (Some(self.classes.clone()), Some(Size { width, height }));
        Metadata { classes, image_size, ..Metadata::of_network(&self.config) }.write_to(&mut weights);
        Ok(weights)
    }

    /// Adds `params` to a state, under `prefix`.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn save(&self, params: &Params, state: &mut Weights, prefix: &str) -> Result<(), SearchError> {
        Ok(insert(state, prefix, &params.to_weights(&self.whole)?)?)
    }

    /// What [`Network::save`] stored.
    ///
    /// # Errors
    /// When an entry is absent or does not fit.
    pub fn saved(&self, state: &Weights, prefix: &str) -> Result<Params, SearchError> {
        let (device, float) = (self.params.device(), self.params.kind());
        Ok(Params::from_weights(&self.whole, &part(state, prefix)?, device, float)?)
    }

    /// Goes on with other values.
    pub fn set_params(&mut self, params: Params) {
        self.params = params;
    }
}

/// Takes over every entry with an equal name and shape; how many there were.
fn take(graph: &Graph, init: &Init<'_>, weights: &mut Weights) -> Result<usize, SearchError> {
    let same_kind = |a: &HostTensor, b: &HostTensor| a.dtype().is_float() == b.dtype().is_float();
    let (mut taken, mut is_of_this_kind) = (0, false);
    for spec in graph.params() {
        let Some(tensor) = init.weights.get(&spec.name).filter(|t| t.shape() == spec.shape) else { continue };
        is_of_this_kind |= !tensor.shape().is_empty() && spec.role != ParamRole::Anchors;
        if weights.get(&spec.name).is_some_and(|own| same_kind(own, tensor)) {
            weights.replace(&spec.name, tensor.clone());
            taken += 1;
        }
    }
    if is_of_this_kind {
        return Ok(taken);
    }
    Err(SearchError::Kind {
        path: init.path.to_owned(),
        expected: format!("weights of {}", graph.name()),
        found: "no entry with the name and shape of one of its entries: another network".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::setup::Purpose;
    use caf_net::zoo::segformer::{self, SegFormerConfig};
    use caf_net::zoo::yolov5::{Variant, YoloConfig};
    use caf_weights::save_safetensors;
    use tch::{Device, Kind};

    fn begin(config: impl Into<TaskNetworkConfig>, file: Option<&Path>) -> Result<Network, SearchError> {
        let (settings, classes) = (toml::Table::new(), []);
        let setup = Setup {
            settings: &settings,
            purpose: Purpose::Training,
            classes: &classes,
            size: Size::new(64, 32),
            batch: 1,
            batches: 1,
            end: 1,
            seed: 1,
            ir_range: None,
            device: Device::Cpu,
            float: Kind::Float,
        };
        Network::begin(config.into(), file.map(Init::read).transpose()?, &setup)
    }

    fn detector(classes: usize) -> TaskNetworkConfig {
        YoloConfig { width: 0.125, ..YoloConfig::new(Variant::N, classes) }.into()
    }

    fn segmentation(classes: usize) -> TaskNetworkConfig {
        let published = SegFormerConfig::new(segformer::Variant::B0, classes);
        SegFormerConfig { widths: [8, 16, 40, 64], depths: [1; 4], decoder_width: 16, ..published }.into()
    }

    #[test]
    fn another_number_of_classes_takes_all_but_the_head() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("eighty.safetensors");
        for (network, of_head) in [(detector as fn(usize) -> _, 6), (segmentation, 2)] {
            let eighty = network(80).graph().unwrap();
            let stored = initial(eighty.params(), 5).unwrap();
            save_safetensors(&stored, &path).unwrap();
            let started = begin(network(6), Some(&path)).unwrap();
            let n = eighty.params().len();
            let words = format!("{} of {n} entries", n - of_head);
            assert!(started.started().unwrap().starts_with(&words), "{:?}", started.started());
            let name = eighty.params()[0].name.as_str();
            assert_eq!(started.weights(started.params()).unwrap().get(name), stored.get(name));
            let whole = begin(network(80), Some(&path)).unwrap();
            assert!(whole.started().unwrap().starts_with(&format!("all {n} entries ")), "{:?}", whole.started());
        }
    }

    #[test]
    fn classes_of_other_names_are_told() {
        let names = |names: [&str; 3]| names.map(str::to_owned).to_vec();
        let file = |classes| Init { path: Path::new("x"), weights: Weights::new(), ir_range: None, classes };
        let data = names(["person", "car", "bus"]);
        let told = file(Some(names(["person", "car", "lamp"]))).renamed(&data).unwrap();
        assert!(told.ends_with(": bus starts from lamp"), "{told}");
        assert_eq!(file(Some(data.clone())).renamed(&data), None);
        assert_eq!(file(Some(data[..2].to_vec())).renamed(&data), None);
        assert_eq!(file(None).renamed(&data), None);
    }

    #[test]
    fn a_file_of_another_network_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("other.safetensors");
        let mut other = Weights::new();
        other.insert("encoder.weight", HostTensor::from_f32(&[2], &[1.0, 2.0]).unwrap()).unwrap();
        save_safetensors(&other, &path).unwrap();
        let error = begin(detector(6), Some(&path)).unwrap_err();
        assert!(error.to_string().contains("other.safetensors"), "{error}");
    }

    /// The golden weights under both names start the same network, whole; with other classes all but the classifier.
    #[test]
    fn published_names_of_both_kinds_start_the_same_network() {
        let name = "published_names_of_both_kinds_start_the_same_network";
        let Some(folder) = caf_golden::find(name, "golden/segformer") else { return };
        let published = |classes| SegFormerConfig::new(segformer::Variant::B0, classes);
        let config = |classes| SegFormerConfig { widths: [8, 16, 40, 64], decoder_width: 32, ..published(classes) };
        let start = |file: &str, classes| begin(config(classes), Some(&folder.join(file))).unwrap();
        let values = |network: &Network| network.weights(network.params()).unwrap();
        let [hub, original] = ["tiny_weights.safetensors", "tiny_weights_mmseg_names.safetensors"].map(|f| start(f, 9));
        let of = hub.whole().params().len();
        for started in [&hub, &original] {
            assert!(started.started().unwrap().starts_with(&format!("all {of} entries ")), "{:?}", started.started());
        }
        let original = values(&original);
        for (name, tensor) in values(&hub).iter() {
            assert_eq!(original.get(name), Some(tensor), "{name}");
        }
        let other = start("tiny_weights.safetensors", 5);
        assert!(other.started().unwrap().starts_with(&format!("{} of {of} ", of - 2)), "{:?}", other.started());
    }
}
