//! Gradients as values.

use crate::error::TorchError;
use tch::Tensor;

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
