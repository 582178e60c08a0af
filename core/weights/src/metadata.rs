//! What a weight file says of itself.

use crate::cause::MetadataError;
use crate::error::WeightsError;
use crate::weights::Weights;
use caf_contract::IrRange;
use caf_geometry::Size;
use caf_net::zoo::network::NetworkConfig;
use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::Value as Json;
use std::path::Path;

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
    pub ir_range: Option<IrRange>,
}

impl Metadata {
    /// Reads what a file says of itself.
    ///
    /// # Errors
    /// [`WeightsError::Metadata`] with `path`, the key and what is there, which may be a range whose numbers are none.
    pub fn of(weights: &Weights, path: &Path) -> Result<Self, WeightsError> {
        let in_file = |source| WeightsError::Metadata { path: path.to_owned(), source: Box::new(source) };
        Metadata::parse(weights).map_err(in_file)
    }

    fn parse(weights: &Weights) -> Result<Self, MetadataError> {
        let size: Option<[usize; 2]> = read(weights, IMAGE_SIZE, "width and height, `[640,480]`")?;
        Ok(Metadata {
            network: weights.metadata().get(NETWORK).cloned(),
            config: read(weights, CONFIG, "the network's settings as a JSON object")?,
            classes: read(weights, CLASSES, "a JSON list of names")?,
            image_size: size.map(|[width, height]| Size { width, height }),
            ir_range: ir_range(weights)?,
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

fn ir_range(weights: &Weights) -> Result<Option<IrRange>, MetadataError> {
    const EXPECTED: &str = "a range as JSON, such as `\"full\"`";
    let Some(range) = read::<IrRange>(weights, IR_RANGE, EXPECTED)? else { return Ok(None) };
    let wrong = |error| MetadataError {
        key: IR_RANGE,
        expected: EXPECTED,
        found: range.to_string(),
        source: serde_json::Error::custom(error),
    };
    range.validate().map(|()| Some(range)).map_err(wrong)
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
            ir_range: Some(IrRange::Window { min: 7000.0, max: 9000.0 }),
        };
        let mut weights = Weights::new();
        assert_eq!(Metadata::parse(&weights).unwrap(), Metadata::default());
        whole.write_to(&mut weights);
        assert_eq!(Metadata::parse(&weights).unwrap(), whole);
        assert_eq!(
            (weights.metadata()["image_size_px"].as_str(), weights.metadata()["network"].as_str()),
            ("[64,32]", "caf")
        );
        Metadata { network: Some("u2fusion".into()), ..Metadata::default() }.write_to(&mut weights);
        assert_eq!(Metadata::parse(&weights).unwrap(), Metadata { network: Some("u2fusion".into()), ..whole });
    }

    #[test]
    fn what_cannot_be_understood_is_shown_with_its_key() {
        for (key, text) in [("classes", "a, b"), ("image_size_px", "[1]"), ("config", "{"), ("ir_range", "full")] {
            let mut weights = Weights::new();
            weights.set_metadata(key, text);
            let error = Metadata::parse(&weights).unwrap_err();
            assert!(error.key == key && error.to_string().contains(&format!("found `{text}`")), "{error}");
        }
        let mut weights = Weights::new();
        weights.set_metadata("ir_range", r#"{"window":{"min":9.0,"max":1.0}}"#);
        let error = Metadata::parse(&weights).unwrap_err().to_string();
        assert!(error.contains("found `9..1`") && error.contains("min below max"), "{error}");
    }
}
