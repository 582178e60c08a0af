//! How far the outputs of two models are apart over many frames.

use crate::distance::{Distance, distances};
use crate::error::ExportError;
use caf_contract::Contract;
use caf_engine::Array;
use serde::Serialize;
use std::collections::BTreeMap;

/// Means over the frames added so far, by output.
#[derive(Clone, Debug, Default)]
pub(super) struct Agreement {
    outputs: BTreeMap<String, (f64, usize)>,
}

/// How far one output is from that of the model in single precision.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutputLoss {
    /// The output; predictions are parted into boxes and scores.
    pub output: String,
    /// As [`Distance::noise`], over all frames.
    pub noise: f64,
}

impl OutputLoss {
    /// [`OutputLoss::noise`] in dB; infinite where nothing differs.
    #[must_use]
    pub fn psnr_db(&self) -> f64 {
        -10.0 * self.noise.log10()
    }
}

impl Agreement {
    /// Adds one frame: outputs of the model in single precision and of the other.
    ///
    /// # Errors
    /// As [`distances`].
    pub fn add(
        &mut self,
        contract: &Contract,
        reference: &[(String, Array)],
        other: &[(String, Array)],
    ) -> Result<(), ExportError> {
        for Distance { output, noise, values, .. } in distances(contract, other, reference)? {
            let (sum, count) = self.outputs.entry(output).or_default();
            *sum += noise * values as f64;
            *count += values;
        }
        Ok(())
    }

    /// What was found.
    pub fn losses(self) -> Vec<OutputLoss> {
        let loss =
            |(output, (sum, count)): (String, (f64, usize))| OutputLoss { output, noise: sum / count.max(1) as f64 };
        self.outputs.into_iter().map(loss).collect()
    }
}
