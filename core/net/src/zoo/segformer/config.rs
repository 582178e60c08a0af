//! Sizes of a SegFormer, and which are possible.

use crate::error::GraphError;
use serde::{Deserialize, Serialize};

/// Most classes: a class map has bytes, of which 255 is the ignored label.
pub const MAX_CLASSES: usize = 255;
/// Largest accepted width of a stage or decoder; the largest published one is 768. Widths come from files, and a graph must fit
/// into memory.
pub const MAX_WIDTH: usize = 4096;
/// Largest accepted number of blocks of a stage; the largest published one is 40.
pub const MAX_DEPTH: usize = 256;

/// The six published sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// 3.7 M parameters.
    B0,
    /// 13.7 M.
    B1,
    /// 27 M.
    B2,
    /// 47 M.
    B3,
    /// 64 M.
    B4,
    /// 84 M.
    B5,
}

impl Variant {
    /// All sizes, smallest first.
    pub const ALL: [Variant; 6] = [Variant::B0, Variant::B1, Variant::B2, Variant::B3, Variant::B4, Variant::B5];

    /// Widths of the stages, numbers of their blocks, width of the decoder.
    fn shape(self) -> ([usize; 4], [usize; 4], usize) {
        let wide = [64, 128, 320, 512];
        match self {
            Variant::B0 => ([32, 64, 160, 256], [2, 2, 2, 2], 256),
            Variant::B1 => (wide, [2, 2, 2, 2], 256),
            Variant::B2 => (wide, [3, 4, 6, 3], 768),
            Variant::B3 => (wide, [3, 4, 18, 3], 768),
            Variant::B4 => (wide, [3, 8, 27, 3], 768),
            Variant::B5 => (wide, [3, 6, 40, 3], 768),
        }
    }
}

/// Which implementation's epsilons the layer normalisations have: weights are meant for one of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Epsilons {
    /// 1e-6 in blocks and at the end of stages, 1e-5 after patch embeddings and reductions.
    #[default]
    Original,
    /// 1e-5 everywhere.
    Hub,
}

impl Epsilons {
    /// Of the normalisations in blocks and at the end of stages.
    pub(super) fn of_blocks(self) -> f64 {
        match self {
            Epsilons::Original => 1e-6,
            Epsilons::Hub => 1e-5,
        }
    }

    /// Of those after patch embeddings and reductions.
    pub(super) fn of_embeddings(self) -> f64 {
        1e-5
    }
}

/// A network of this family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegFormerConfig {
    /// Channels of the four stages.
    #[serde(default = "smallest_widths")]
    pub widths: [usize; 4],
    /// Blocks of the four stages.
    #[serde(default = "smallest_depths")]
    pub depths: [usize; 4],
    /// Attention heads of the four stages; each divides its stage's width.
    #[serde(default = "published_heads")]
    pub heads: [usize; 4],
    /// Factor by which each stage reduces the sides of what keys and values are made from.
    #[serde(default = "published_reductions")]
    pub reductions: [usize; 4],
    /// Channels of the decoder.
    #[serde(default = "smallest_decoder_width")]
    pub decoder_width: usize,
    /// Number of classes.
    pub classes: usize,
    /// Epsilons of the layer normalisations.
    #[serde(default)]
    pub epsilons: Epsilons,
    /// In training, the share of samples for which the last block's branches are left out; earlier blocks rise to it from 0.
    #[serde(default = "tenth")]
    pub drop_path: f64,
    /// In training, the share of channels dropped before the classifier.
    #[serde(default = "tenth")]
    pub dropout: f64,
}

fn smallest_widths() -> [usize; 4] {
    Variant::B0.shape().0
}

fn smallest_depths() -> [usize; 4] {
    Variant::B0.shape().1
}

fn smallest_decoder_width() -> usize {
    Variant::B0.shape().2
}

fn published_heads() -> [usize; 4] {
    [1, 2, 5, 8]
}

fn published_reductions() -> [usize; 4] {
    [8, 4, 2, 1]
}

fn tenth() -> f64 {
    0.1
}

impl SegFormerConfig {
    /// A published size.
    pub fn new(variant: Variant, classes: usize) -> Self {
        let (widths, depths, decoder_width) = variant.shape();
        SegFormerConfig {
            widths,
            depths,
            heads: published_heads(),
            reductions: published_reductions(),
            decoder_width,
            classes,
            epsilons: Epsilons::Original,
            drop_path: tenth(),
            dropout: tenth(),
        }
    }

    /// Share of samples for which each block's branches are left out, linear from 0 at the first to `drop_path` at the last.
    pub fn drop_path_rates(&self) -> Vec<f64> {
        let blocks: usize = self.depths.iter().sum();
        let steps = blocks.saturating_sub(1).max(1) as f64;
        (0..blocks).map(|i| self.drop_path * i as f64 / steps).collect()
    }

    pub(super) fn check(&self) -> Result<(), GraphError> {
        let config = |what: String| Err(GraphError::Config { network: "segformer", what });
        if !(1..=MAX_CLASSES).contains(&self.classes) {
            return config(format!("expected 1 to {MAX_CLASSES} classes, found {}", self.classes));
        }
        let widths = self.widths.iter().chain([&self.decoder_width]);
        if let Some(width) = widths.copied().find(|w| !(1..=MAX_WIDTH).contains(w)) {
            return config(format!("expected widths from 1 to {MAX_WIDTH}, found {width}"));
        }
        if let Some(depth) = self.depths.iter().find(|d| !(1..=MAX_DEPTH).contains(*d)) {
            return config(format!("expected 1 to {MAX_DEPTH} blocks a stage, found {depth}"));
        }
        for (width, heads) in self.widths.iter().zip(self.heads) {
            if heads == 0 || width % heads != 0 {
                return config(format!("expected a number of heads that divides the width {width}, found {heads}"));
            }
        }
        if let Some(ratio) = self.reductions.iter().find(|r| !(1..=64).contains(*r)) {
            return config(format!("expected reductions from 1 to 64, found {ratio}"));
        }
        for (name, rate) in [("drop path", self.drop_path), ("dropout", self.dropout)] {
            if !(0.0..1.0).contains(&rate) {
                return config(format!("expected a {name} rate from 0 to below 1, found {rate:?}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_configurations_are_refused() {
        let good = SegFormerConfig::new(Variant::B0, 9);
        for bad in [
            SegFormerConfig { classes: 0, ..good.clone() },
            SegFormerConfig { classes: 256, ..good.clone() },
            SegFormerConfig { widths: [32, 64, usize::MAX, 256], ..good.clone() },
            SegFormerConfig { depths: [2, 2, usize::MAX, 2], ..good.clone() },
            SegFormerConfig { heads: [1, 2, 7, 8], ..good.clone() },
            SegFormerConfig { heads: [0, 2, 5, 8], ..good.clone() },
            SegFormerConfig { reductions: [8, 0, 2, 1], ..good.clone() },
            SegFormerConfig { drop_path: f64::NAN, ..good.clone() },
            SegFormerConfig { dropout: 1.0, ..good.clone() },
        ] {
            let error = bad.check().unwrap_err();
            assert!(matches!(error, GraphError::Config { network: "segformer", .. }), "{error}");
        }
    }

    #[test]
    fn a_configuration_needs_no_more_than_its_classes() {
        let config: SegFormerConfig = serde_json::from_str(r#"{"classes":9}"#).unwrap();
        assert_eq!(config, SegFormerConfig::new(Variant::B0, 9));
        let again: SegFormerConfig = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }
}
