//! Which input a VGG-16 weight file expects.
//!
//! Two sets of weights are in use. Their layers have the same names and shapes and their first kernels similar magnitudes, but
//! their inputs differ by a factor of about 57, so that the wrong one gives plausible nonsense.

use crate::error::VggFault;
use caf_weights::Weights;
use serde::{Deserialize, Serialize};

/// A family of VGG-16 weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lineage {
    /// torchvision's ImageNet weights: input (x − (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225), x RGB in [0, 1].
    Torchvision,
    /// The Caffe model of the authors of VGG-16, also shipped by Keras: input 255·x − (123.68, 116.779, 103.939).
    Caffe,
}

/// The lineage in a configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineageSetting {
    /// Told from the file by [`Lineage::of_file`]; refused when unclear.
    #[default]
    Auto,
    /// torchvision's.
    Torchvision,
    /// Caffe's.
    Caffe,
}

/// First biases of torchvision's first convolution, to four decimals.
const TORCHVISION_BIAS: [f64; 8] = [0.4034, 0.3778, 0.4644, -0.3228, 0.3940, -0.3953, 0.3951, -0.5496];
/// First biases of the Caffe model's first convolution, to four decimals.
const CAFFE_BIAS: [f64; 8] = [0.7343, 0.0934, 0.0678, 0.8863, 0.2599, 0.6643, -0.0158, 0.3249];
/// Half a unit of half precision near 1, added to the rounding of the constants.
const BIAS_TOLERANCE: f64 = 6e-4;

impl Lineage {
    /// The name in settings and metadata.
    pub fn name(self) -> &'static str {
        match self {
            Lineage::Torchvision => "torchvision",
            Lineage::Caffe => "caffe",
        }
    }

    /// Factor on features before they are compared: 1 for torchvision's, 1/57.6 for Caffe's.
    ///
    /// The Caffe input spans 255 where torchvision's spans 1/0.226, and features grow with it: on real pairs the squared distances
    /// of raw Caffe features are about 10⁵ and their gradients a million times those of all other terms, which would leave
    /// nothing to search. The factor is the ratio of the two spans, so that features have the units of the authors' ones.
    pub fn feature_scale(self) -> f64 {
        match self {
            Lineage::Torchvision => 1.0,
            Lineage::Caffe => 1.0 / (255.0 * (0.229 + 0.224 + 0.225) / 3.0),
        }
    }

    /// The setting that names it.
    pub fn setting(self) -> LineageSetting {
        match self {
            Lineage::Torchvision => LineageSetting::Torchvision,
            Lineage::Caffe => LineageSetting::Caffe,
        }
    }

    /// Factor and offset of each channel: the network's input is `x · factor + offset` for x in [0, 1], RGB.
    pub(crate) fn input_scaling(self) -> [(f64, f64); 3] {
        match self {
            Lineage::Torchvision => {
                [(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)].map(|(mean, std)| (1.0 / std, -mean / std))
            }
            Lineage::Caffe => [123.68, 116.779, 103.939].map(|mean| (255.0, -mean)),
        }
    }

    /// The lineage a file shows: by its metadata entry `lineage`; else by a metadata entry `input` that begins its formula with
    /// `255*x` or divides by 0.229; else by the first eight biases of the first convolution, which equal those published for
    /// one of the two lineages. `None` when none of these speaks.
    ///
    /// # Errors
    /// When the metadata names an unknown lineage.
    pub fn of_file(weights: &Weights) -> Result<Option<Lineage>, VggFault> {
        if let Some(named) = weights.metadata().get("lineage") {
            return match named.as_str() {
                "torchvision" => Ok(Some(Lineage::Torchvision)),
                "caffe" => Ok(Some(Lineage::Caffe)),
                other => Err(VggFault::UnknownLineage { found: other.to_owned() }),
            };
        }
        if let Some(input) = weights.metadata().get("input") {
            let dense: String =
                input.chars().filter(|c| !c.is_whitespace()).map(|c| if c == '·' { '*' } else { c }).collect();
            if dense.contains("255*x") {
                return Ok(Some(Lineage::Caffe));
            }
            if dense.contains("0.229") {
                return Ok(Some(Lineage::Torchvision));
            }
        }
        let bias = weights.get("features.0.bias").and_then(|t| t.to_f64_vec().ok()).unwrap_or_default();
        let equals = |known: &[f64; 8]| {
            bias.len() >= known.len() && known.iter().zip(&bias).all(|(k, b)| (k - b).abs() < BIAS_TOLERANCE)
        };
        Ok(if equals(&TORCHVISION_BIAS) {
            Some(Lineage::Torchvision)
        } else if equals(&CAFFE_BIAS) {
            Some(Lineage::Caffe)
        } else {
            None
        })
    }
}

impl LineageSetting {
    /// The lineage to use for a file.
    ///
    /// # Errors
    /// When `auto` cannot tell, or a named lineage contradicts what the file shows.
    pub fn resolve(self, weights: &Weights) -> Result<Lineage, VggFault> {
        let shown = Lineage::of_file(weights)?;
        let named = match self {
            LineageSetting::Auto => return shown.ok_or(VggFault::UnclearLineage),
            LineageSetting::Torchvision => Lineage::Torchvision,
            LineageSetting::Caffe => Lineage::Caffe,
        };
        match shown {
            Some(file) if file != named => Err(VggFault::OtherLineage { setting: named.name(), file: file.name() }),
            _ => Ok(named),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_weights::HostTensor;

    fn with_bias(bias: &[f64]) -> Weights {
        let mut weights = Weights::new();
        let values: Vec<f32> = bias.iter().map(|b| *b as f32).collect();
        weights.insert("features.0.bias", HostTensor::from_f32(&[values.len()], &values).unwrap()).unwrap();
        weights
    }

    #[test]
    fn published_biases_tell_the_lineage() {
        let shown = |bias: &[f64]| Lineage::of_file(&with_bias(bias)).unwrap();
        assert_eq!(shown(&TORCHVISION_BIAS), Some(Lineage::Torchvision));
        assert_eq!(shown(&CAFFE_BIAS), Some(Lineage::Caffe));
        let mut other = CAFFE_BIAS;
        other[7] += 0.01;
        assert_eq!(shown(&other), None);
        assert!(matches!(LineageSetting::Auto.resolve(&with_bias(&other)), Err(VggFault::UnclearLineage)));
        assert_eq!(LineageSetting::Torchvision.resolve(&with_bias(&other)).unwrap(), Lineage::Torchvision);
    }

    #[test]
    fn caffe_features_are_brought_to_torchvisions_units() {
        assert_eq!(Lineage::Torchvision.feature_scale(), 1.0);
        assert!((1.0 / Lineage::Caffe.feature_scale() - 57.63).abs() < 1e-12);
    }

    #[test]
    fn metadata_comes_before_values() {
        let mut weights = with_bias(&TORCHVISION_BIAS);
        weights.set_metadata("input", "RGB, 255*x - (123.68, 116.779, 103.939), x in [0,1]");
        assert_eq!(Lineage::of_file(&weights).unwrap(), Some(Lineage::Caffe));
        weights.set_metadata("lineage", "torchvision");
        assert_eq!(LineageSetting::Auto.resolve(&weights).unwrap(), Lineage::Torchvision);
        weights.set_metadata("lineage", "keras");
        assert!(matches!(LineageSetting::Caffe.resolve(&weights), Err(VggFault::UnknownLineage { .. })));
    }

    #[test]
    fn a_named_lineage_that_contradicts_the_file_is_refused() {
        let error = LineageSetting::Torchvision.resolve(&with_bias(&CAFFE_BIAS)).unwrap_err();
        assert!(matches!(error, VggFault::OtherLineage { setting: "torchvision", file: "caffe" }), "{error}");
    }
}
