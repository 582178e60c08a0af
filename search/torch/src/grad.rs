//! Gradients as values.

use crate::error::TorchError;
use tch::{Device, Kind, Tensor};

/// How [`gradients`] treats the recorded operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GradOptions {
    /// Keep the record for another call.
    pub keep_graph: bool,
    /// Record this differentiation too, for second derivatives.
    pub create_graph: bool,
}

/// ∂`loss`/∂`wrt`, without touching any accumulated `.grad`. A tensor that does not enter the loss has gradient zero.
///
/// # Errors
/// When `loss` is no scalar or records nothing.
pub fn gradients(loss: &Tensor, wrt: &[Tensor], options: GradOptions) -> Result<Vec<Tensor>, TorchError> {
    let GradOptions { keep_graph, create_graph } = options;
    let found = Tensor::f_run_backward(&[loss], wrt, keep_graph || create_graph, create_graph)?;
    found.into_iter().zip(wrt).map(|(grad, x)| if grad.defined() { Ok(grad) } else { Ok(x.f_zeros_like()?) }).collect()
}

/// ∂`loss`/∂`wrt` for the batch of all ranks, whose loss is the mean of theirs; [`gradients`] alone.
///
/// # Errors
/// As [`gradients`], and when a rank is gone.
pub fn gradients_of_all(loss: &Tensor, wrt: &[Tensor]) -> Result<Vec<Tensor>, TorchError> {
    Ok(caf_ranks::means(gradients(loss, wrt, GradOptions::default())?)?)
}

/// Euclidean norm over all tensors together, accumulated in 64 bits.
///
/// # Errors
/// When libtorch refuses.
pub fn norm(tensors: &[Tensor]) -> Result<f64, TorchError> {
    let Some(first) = tensors.first() else { return Ok(0.0) };
    let mut sum = Tensor::f_zeros([0i64; 0], (Kind::Double, first.device()))?;
    for tensor in tensors {
        sum = sum.f_add(&tensor.f_to_kind(Kind::Double)?.f_square()?.f_sum(None::<Kind>)?)?;
    }
    Ok(f64::try_from(sum.f_to_device(Device::Cpu)?)?.sqrt())
}
