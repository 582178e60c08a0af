//! `beta.toml`: the result of a search, and the loss of a training.

use crate::error::SearchError;
use crate::file::{read_toml, write_toml};
use caf_fusion_loss::{LossConfig, Term, TermScale, Weighting};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Weights of the fusion-loss terms by name, with the definition of the terms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BetaFile {
    /// Weight of each term, ≥ 0. A person may write this part alone.
    pub weights: BTreeMap<String, f64>,
    /// Searched values behind the weights.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub logits: BTreeMap<String, f64>,
    /// What a search divided the terms by; the weights above are those of the undivided terms.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scales: BTreeMap<String, f64>,
    /// What the terms mean.
    #[serde(default)]
    pub loss: LossConfig,
    /// Where the weights come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// Where weights come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Iterations of the search so far.
    pub iterations: usize,
    /// Its seed.
    pub seed: u64,
    /// Its data set.
    pub data: String,
}

impl BetaFile {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// When it cannot be read, names an unknown term, or has a negative or infinite weight.
    pub fn read(path: &Path) -> Result<Self, SearchError> {
        let beta: BetaFile = read_toml(path)?;
        let refuse = |message: String| SearchError::Config { path: path.to_owned(), message };
        for (name, weight) in &beta.weights {
            if !Term::all().any(|t| t.name() == name) {
                let known: Vec<&str> = Term::all().map(Term::name).collect();
                return Err(refuse(format!("unknown term `{name}`; there are: {}", known.join(", "))));
            }
            if !(weight.is_finite() && *weight >= 0.0) {
                return Err(refuse(format!("weight of `{name}`: expected a number ≥ 0, found {weight}")));
            }
        }
        if !beta.weights.values().any(|w| *w > 0.0) {
            return Err(refuse("all weights are 0: there is nothing to train for".to_owned()));
        }
        Ok(beta)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), SearchError> {
        write_toml(path, self)
    }

    /// The loss that takes these weights as they are, and the weights in the order of `active`.
    ///
    /// Terms that the file does not name have weight 0.
    ///
    /// # Errors
    /// When a weighted term is not among the active ones (a perceptual term without VGG-16 features).
    pub fn direct(&self, active: &[Term], device: Device, kind: Kind) -> Result<Tensor, SearchError> {
        let missing: Vec<&str> = self
            .weights
            .iter()
            .filter(|(name, w)| **w > 0.0 && !active.iter().any(|t| t.name() == name.as_str()))
            .map(|(name, _)| name.as_str())
            .collect();
        if !missing.is_empty() {
            return Err(SearchError::Setting {
                name: "loss",
                expected: "features or settings that switch on every weighted term (a VGG-16 file for perceptual ones)"
                    .to_owned(),
                found: format!("no way to compute {}", missing.join(", ")),
            });
        }
        let values: Vec<f64> = active.iter().map(|t| self.weights.get(t.name()).copied().unwrap_or(0.0)).collect();
        Ok(Tensor::f_from_slice(&values)?.f_to_kind(kind)?.f_to_device(device)?)
    }

    /// The configuration of a loss that takes [`BetaFile::direct`] weights.
    pub fn direct_config(&self) -> LossConfig {
        LossConfig { weighting: Weighting::Direct, scale: TermScale::None, ..self.loss.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BetaFile, SearchError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("beta.toml");
        std::fs::write(&path, text).unwrap();
        BetaFile::read(&path)
    }

    #[test]
    fn a_person_may_write_the_weights_alone() {
        let beta = read("[weights]\n\"l1.ir\" = 0.5\n\"ssim.vi\" = 0.25\n").unwrap();
        let direct = beta.direct(&Term::FIFTEEN, Device::Cpu, Kind::Double).unwrap();
        assert_eq!(direct.sum(Kind::Double).double_value(&[]), 0.75);
        assert_eq!(beta.direct_config().weighting, Weighting::Direct);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, word) in [
            ("[weights]\n\"l1.red\" = 1.0\n", "l1.red"),
            ("[weights]\n\"l1.ir\" = -1.0\n", "-1"),
            ("[weights]\n\"l1.ir\" = 0.0\n", "nothing to train"),
            ("[weigths]\n\"l1.ir\" = 1.0\n", "weigths"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("beta.toml"), "{error}");
        }
    }

    #[test]
    fn a_weighted_term_that_cannot_be_computed_is_refused() {
        let beta = read("[weights]\n\"perceptual.ir\" = 1.0\n").unwrap();
        let without = &Term::FIFTEEN[..13];
        let error = beta.direct(without, Device::Cpu, Kind::Float).unwrap_err().to_string();
        assert!(error.contains("perceptual.ir"), "{error}");
    }
}
