//! What a weight file says of itself.

use crate::weights::Weights;
use caf_geometry::Size;
use caf_net::zoo::network::NetworkConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

/// Key of the kind of network, plain text.
const NETWORK: &str = "network";
/// Key of its configuration, JSON.
const CONFIG: &str = "config";
/// Key of the class names in the order of the head, a JSON list.
const CLASSES: &str = "classes";
/// Key of width and height of the training images in pixels, a JSON list.
const IMAGE_SIZE: &str = "image_size_px";
/// Key of how 16-bit infrared became [0, 1] in the training, JSON.
const IR_RANGE: &str = "ir_range";

/// Metadata that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("metadata `{key}`: expected {expected}, found `{found}`: {source}")]
pub struct MetadataError {
    /// The key.
    pub key: &'static str,
    /// What belongs there.
    pub expected: &'static str,
    /// The beginning of what is there.
    pub found: String,
    /// What the parser says.
    pub source: serde_json::Error,
}

/// What a weight file says of itself; everything may be missing, as it is in files of other programs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// Kind of network.
    pub network: Option<String>,
    /// Its configuration.
    pub config: Option<Json>,
    /// Class names in the order of the head.
    pub classes: Option<Vec<String>>,
    /// Size of the images it was trained on.
    pub image_size: Option<Size>,
    /// How 16-bit infrared became [0, 1] in its training.
    pub ir_range: Option<Json>,
}

impl Metadata {
    /// Reads what a file says.
    ///
    /// # Errors
    /// [`MetadataError`] with the key and what is there.
    pub fn of(weights: &Weights) -> Result<Self, MetadataError> {
        let size: Option<[usize; 2]> = read(weights, IMAGE_SIZE, "width and height, `[640,480]`")?;
        Ok(Metadata {
            network: weights.metadata().get(NETWORK).cloned(),
            config: read(weights, CONFIG, "the network's settings as a JSON object")?,
            classes: read(weights, CLASSES, "a JSON list of names")?,
            image_size: size.map(|[width, height]| Size { width, height }),
            ir_range: read(weights, IR_RANGE, "a range as JSON, such as `\"full\"`")?,
        })
    }

    /// What says that a file holds this network.
    pub fn of_network<F: ?Sized>(network: &NetworkConfig<F>) -> Self {
        Metadata {
            network: Some(network.kind().to_owned()),
            config: Some(network.settings().clone()),
            ..Metadata::default()
        }
    }

    /// Says all of it in `weights`; what is missing here stays there as it was.
    pub fn write_to(&self, weights: &mut Weights) {
        if let Some(network) = &self.network {
            weights.set_metadata(NETWORK, network);
        }
        write(weights, CONFIG, self.config.as_ref());
        write(weights, CLASSES, self.classes.as_ref());
        write(weights, IMAGE_SIZE, self.image_size.map(|s| [s.width, s.height]));
        write(weights, IR_RANGE, self.ir_range.as_ref());
    }
}

fn read<T: DeserializeOwned>(
    weights: &Weights,
    key: &'static str,
    expected: &'static str,
) -> Result<Option<T>, MetadataError> {
    /// Characters of the value that a message shows.
    const SHOWN: usize = 80;
    let Some(text) = weights.metadata().get(key) else { return Ok(None) };
    let found = || text.chars().take(SHOWN).collect();
    let parsed = serde_json::from_str(text);
    parsed.map(Some).map_err(|source| MetadataError { key, expected, found: found(), source })
}

fn write(weights: &mut Weights, key: &str, value: Option<impl Serialize>) {
    if let Some(value) = value {
        // Plain values always have a JSON form.
        weights.set_metadata(key, serde_json::to_string(&value).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_is_read() {
        let whole = Metadata {
            network: Some("caf".into()),
            config: Some(json!({"width": 8})),
            classes: Some(vec!["a".into(), "b, c".into()]),
            image_size: Some(Size { width: 64, height: 32 }),
            ir_range: Some(json!("full")),
        };
        let mut weights = Weights::new();
        assert_eq!(Metadata::of(&weights).unwrap(), Metadata::default());
        whole.write_to(&mut weights);
        assert_eq!(Metadata::of(&weights).unwrap(), whole);
        assert_eq!(
            (weights.metadata()["image_size_px"].as_str(), weights.metadata()["network"].as_str()),
            ("[64,32]", "caf")
        );
        Metadata { network: Some("u2fusion".into()), ..Metadata::default() }.write_to(&mut weights);
        assert_eq!(Metadata::of(&weights).unwrap(), Metadata { network: Some("u2fusion".into()), ..whole });
    }

    #[test]
    fn what_cannot_be_understood_is_shown_with_its_key() {
        for (key, text) in [("classes", "a, b"), ("image_size_px", "[1]"), ("config", "{"), ("ir_range", "full")] {
            let mut weights = Weights::new();
            weights.set_metadata(key, text);
            let error = Metadata::of(&weights).unwrap_err();
            assert!(error.key == key && error.to_string().contains(&format!("found `{text}`")), "{error}");
        }
    }
}
