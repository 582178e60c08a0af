//! A weight file and the network it holds: the one place where that is found out.

use crate::error::WeightsError;
use crate::metadata::Metadata;
use crate::read::{WeightFile, read_weights};
use crate::rename::renamed;
use crate::tensor::HostTensor;
use crate::weights::Weights;
use caf_net::zoo::fusion::FusionNetwork;
use caf_net::zoo::network::{Family, KernelLayout, NetworkConfig, Tensors, kind_of, kinds_of, recognise};
use caf_net::zoo::task::TaskNetwork;
use std::path::{Path, PathBuf};

/// The weights of a network, checked against its graph.
pub struct NetworkFile<F: ?Sized + 'static> {
    /// The file.
    pub path: PathBuf,
    /// The network.
    pub network: NetworkConfig<F>,
    /// Its tensors: every float is F32, every kernel output, input, height, width.
    pub weights: Weights,
    /// What the file says of itself.
    pub metadata: Metadata,
    /// How the file keeps its kernels.
    pub kernels: KernelLayout,
    /// What was changed on the way, for people.
    pub notes: Vec<String>,
}

/// The weights of a fusion network.
pub type FusionFile = NetworkFile<dyn FusionNetwork>;
/// The weights of a task network.
pub type TaskFile = NetworkFile<dyn TaskNetwork>;

/// [`read_weights`] under the names that the graphs of a family have, for files of which not all need fit a network, such as
/// starting weights.
///
/// # Errors
/// When the file cannot be read, or two of its tensors belong in one place.
pub fn read_named<F: Family + ?Sized>(path: &Path) -> Result<WeightFile, WeightsError> {
    let WeightFile { weights, mut notes } = read_weights(path)?;
    Ok(WeightFile { weights: named::<F>(weights, path, &mut notes)?, notes })
}

fn named<F: Family + ?Sized>(weights: Weights, path: &Path, notes: &mut Vec<String>) -> Result<Weights, WeightsError> {
    renamed::<F>(weights, notes).map_err(|source| WeightsError::Rename { path: path.to_owned(), source })
}

impl<F: Family + ?Sized> NetworkFile<F> {
    /// Reads safetensors, or an original checkpoint without executing anything in it ([`read_weights`]). The network is the one
    /// the metadata names; where there is none, or no configuration, the tensors' names and shapes tell.
    ///
    /// # Errors
    /// When the file cannot be read, holds another network, or does not fit (every difference is listed).
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let WeightFile { weights, notes } = read_weights(path)?;
        let mut file = NetworkFile::of(weights, path)?;
        file.notes.splice(0..0, notes);
        Ok(file)
    }

    /// The same for tensors that are in memory; `path` is for messages.
    ///
    /// # Errors
    /// When they are another network's, or do not fit.
    pub fn of(weights: Weights, path: &Path) -> Result<Self, WeightsError> {
        let mut notes = Vec::new();
        let mut weights = named::<F>(weights.widened(), path, &mut notes)?;
        let metadata = Metadata::of(&weights, path)?;
        let in_graph = |source| WeightsError::Graph { path: path.to_owned(), source };
        let another = |kind: &str| WeightsError::Network {
            path: path.to_owned(),
            expected: format!("the weights of a {} ({})", F::WHAT, kinds_of::<F>()),
            found: format!("metadata `network` = `{kind}`"),
        };
        let kind_named = |kind: &str| kind_of::<F>(kind).map_err(|_| another(kind));
        let named = metadata.network.as_deref().map(kind_named).transpose()?;
        let found = match named {
            Some(kind) => kind.recognise(&weights),
            None => recognise::<F>(&weights),
        };
        let kernels = found.as_ref().map(|found| found.kernels).unwrap_or_default();
        let network = match (named, &metadata.config, found) {
            (Some(kind), Some(config), _) => kind.parse(config.clone()).map_err(in_graph)?,
            (_, _, Some(found)) => found.config,
            (_, _, None) => return Err(unknown::<F>(&weights, named.map(|k| k.kind), path)),
        };
        if kernels == KernelLayout::Hwio {
            let count = weights.transpose_hwio();
            notes.push(format!("{count} kernels turned from height, width, in, out to out, in, height, width"));
        }
        let graph = network.graph().map_err(in_graph)?;
        let mismatch = |mismatch| WeightsError::Mismatch { path: path.to_owned(), mismatch };
        weights.compare(graph.params()).map_err(mismatch)?;
        Ok(NetworkFile { path: path.to_owned(), network, weights, metadata, kernels, notes })
    }
}

impl<F: Family + ?Sized> NetworkFile<F> {
    /// The same tensors as `network`, for settings that tensors do not tell or that shall go before the file's.
    ///
    /// # Errors
    /// When it is another kind, or the tensors do not fit.
    pub fn as_network(self, network: NetworkConfig<F>) -> Result<Self, WeightsError> {
        let path = self.path.clone();
        if network.kind() != self.network.kind() {
            let (expected, found) =
                (format!("a {} network", network.kind()), format!("a {} network", self.network.kind()));
            return Err(WeightsError::Network { path, expected, found });
        }
        let graph = network.graph().map_err(|source| WeightsError::Graph { path: path.clone(), source })?;
        self.weights.compare(graph.params()).map_err(|mismatch| WeightsError::Mismatch { path, mismatch })?;
        Ok(NetworkFile { network, ..self })
    }
}

/// The error for tensors that no network of the family, or not the named one, knows.
fn unknown<F: Family + ?Sized>(weights: &Weights, kind: Option<&str>, path: &Path) -> WeightsError {
    /// Names of tensors that a message shows.
    const SHOWN: usize = 3;
    let names: Vec<String> = weights.iter().take(SHOWN).map(|(name, t)| format!("`{name}` {:?}", t.shape())).collect();
    WeightsError::Network {
        path: path.to_owned(),
        expected: format!("the weights of a {} ({})", F::WHAT, kind.map_or_else(kinds_of::<F>, str::to_owned)),
        found: match weights.len() {
            0 => "no tensors".to_owned(),
            n => format!("{n} tensors, the first {}", names.join(", ")),
        },
    }
}

impl<F: ?Sized> std::fmt::Debug for NetworkFile<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetworkFile").field("path", &self.path).field("network", &self.network).finish_non_exhaustive()
    }
}

impl Tensors for Weights {
    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.get(name).map(HostTensor::shape)
    }

    fn values(&self, name: &str) -> Option<Vec<f64>> {
        self.get(name).and_then(|tensor| tensor.to_f64_vec().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::initial;
    use caf_net::zoo::caf::CafConfig;
    use caf_net::zoo::fusion::FusionConfig;
    use caf_net::zoo::segformer::{self, SegFormerConfig};
    use caf_net::zoo::task::TaskNetworkConfig;
    use caf_net::zoo::yolov5::{ANCHORS, Variant, YoloConfig};

    fn small() -> FusionConfig {
        CafConfig { width: 8, depth: 2, normalised: false }.into()
    }

    fn weights<F: Family + ?Sized>(network: &NetworkConfig<F>) -> Weights {
        initial(network.graph().unwrap().params(), 1).unwrap()
    }

    fn open<F: Family + ?Sized>(weights: Weights) -> Result<NetworkFile<F>, String> {
        NetworkFile::of(weights, Path::new("some.file")).map_err(|e| e.to_string())
    }

    #[test]
    fn tensors_alone_tell_the_network() {
        let file: FusionFile = open(weights(&small())).unwrap();
        assert_eq!((file.network, file.notes.len(), file.metadata), (small(), 0, Metadata::default()));
        let detector = TaskNetworkConfig::from(YoloConfig::new(Variant::N, 4));
        let file: TaskFile = open(weights(&detector)).unwrap();
        assert_eq!((file.network.kind(), file.network.classes()), ("yolov5", 4));
        assert!(file.weights.get(ANCHORS).is_some());
    }

    #[test]
    fn a_segmentation_network_is_told_by_either_scheme_of_names() {
        let network = TaskNetworkConfig::from(SegFormerConfig::new(segformer::Variant::B0, 5));
        let original = weights(&network);
        let mut hub = Weights::new();
        for (name, tensor) in original.iter() {
            // One name is enough to need the table.
            let name = if name == "backbone.norm1.weight" { "segformer.encoder.layer_norm.0.weight" } else { name };
            hub.insert(name, tensor.clone()).unwrap();
        }
        hub.insert("decode_head.conv_seg.bias", HostTensor::from_f32(&[5], &[0.0; 5]).unwrap()).unwrap();
        for (weights, notes) in [(original, 0), (hub, 2)] {
            let file: TaskFile = open(weights).unwrap();
            assert_eq!((file.network, file.notes.len()), (network.clone(), notes), "{:?}", file.notes);
        }
    }

    #[test]
    fn metadata_goes_before_what_the_tensors_look_like() {
        let described = |network: &str, settings: Option<&str>| {
            let mut weights = weights(&small());
            let config = settings.map(|text| serde_json::from_str(text).unwrap());
            Metadata { network: Some(network.into()), config, ..Metadata::default() }.write_to(&mut weights);
            open::<dyn FusionNetwork>(weights)
        };
        assert_eq!(described("caf", Some(&small().settings().to_string())).unwrap().network, small());
        assert_eq!(described("caf", None).unwrap().network, small());
        for (network, settings, expected) in [
            ("caf", Some(r#"{"width":16}"#), "misshapen encoder1.0.weight: expected [8, 1, 3, 3], found [4, 1, 3, 3]"),
            ("caf", Some(r#"{"wide":16}"#), "unknown field `wide`"),
            ("caf", Some(r#"{"width":7}"#), "found width 7"),
            ("yolov5", None, "expected the weights of a fusion network (caf"),
            ("yolov5", None, "found metadata `network` = `yolov5`"),
        ] {
            let error = described(network, settings).unwrap_err();
            assert!(error.contains("some.file") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn other_tensors_are_shown_with_what_was_expected() {
        let detector = TaskNetworkConfig::from(YoloConfig::new(Variant::N, 4));
        let error = open::<dyn FusionNetwork>(weights(&detector)).unwrap_err();
        for part in ["some.file", "a fusion network (caf", "349 tensors", "`model.0.conv.weight` [16, 3, 6, 6]"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(open::<dyn TaskNetwork>(weights(&small())).unwrap_err().contains("a task network (yolov5"));
        assert!(open::<dyn TaskNetwork>(Weights::new()).unwrap_err().contains("found no tensors"));
    }

    #[test]
    fn other_settings_must_fit_the_tensors() {
        let file = || open::<dyn FusionNetwork>(weights(&small())).unwrap();
        assert_eq!(file().as_network(small()).unwrap().network, small());
        let error = file().as_network(FusionConfig::default()).unwrap_err().to_string();
        assert!(error.contains("some.file") && error.contains("misshapen encoder1.0.weight"), "{error}");
    }

    #[test]
    fn a_missing_tensor_is_named() {
        let mut few = Weights::new();
        for (name, tensor) in weights(&small()).iter().filter(|(name, _)| *name != "encoder1.0.weight") {
            few.insert(name, tensor.clone()).unwrap();
        }
        let error = open::<dyn FusionNetwork>(few).unwrap_err();
        assert!(error.contains("missing   encoder1.0.weight [4, 1, 3, 3]"), "{error}");
    }
}
