//! Optimisers whose whole state is a list of named tensors, so that a resumed run gives the same bits.
//!
//! They move the given parameter tensors in place, outside any record of derivatives.

mod adam;
mod adamw;
mod sgd;

pub use adam::{Adam, AdamConfig};
pub use adamw::{AdamW, AdamWGroup};
pub use sgd::{Sgd, SgdGroup};

use crate::convert::{host_from_tensor, tensor_from_host};
use crate::error::TorchError;
use caf_weights::Weights;
use tch::Tensor;

/// Stores `tensors` as `{prefix}.{i}`.
pub(crate) fn save_state(weights: &mut Weights, prefix: &str, tensors: &[Tensor]) -> Result<(), TorchError> {
    for (i, tensor) in tensors.iter().enumerate() {
        let name = format!("{prefix}.{i}");
        let host = host_from_tensor(&name, tensor)?;
        weights.insert(name, host)?;
    }
    Ok(())
}

/// Reads `{prefix}.{i}` into `tensors`, whose shapes, kinds and devices must fit.
pub(crate) fn load_state(weights: &Weights, prefix: &str, tensors: &mut [Tensor]) -> Result<(), TorchError> {
    for (i, tensor) in tensors.iter_mut().enumerate() {
        let name = format!("{prefix}.{i}");
        let refuse = |found: String| TorchError::OptimiserState { name: name.clone(), expected: tensor.size(), found };
        let host = weights.get(&name).ok_or_else(|| refuse("nothing".to_owned()))?;
        let read = tensor_from_host(host)?;
        if read.size() != tensor.size() || read.kind() != tensor.kind() {
            return Err(refuse(format!("{:?} {:?}", read.size(), read.kind())));
        }
        *tensor = read.f_to_device(tensor.device())?;
    }
    Ok(())
}
