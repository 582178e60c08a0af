//! The one place where gradients meet an optimiser.

use crate::error::SearchError;
use caf_torch::{TorchError, norm};
use caf_yolo::clip_gradients;
use tch::Tensor;

/// Takes one optimiser step with these gradients: `step` moves the parameters, and is not called unless all gradients are finite.
/// Finite losses may have derivatives that are not; they must not reach the parameters, and these a checkpoint.
///
/// With `clip` the gradients are first shortened so that their common Euclidean norm is at most that.
///
/// Returns the norm that the gradients had.
///
/// The gradients are those of the batch of all ranks ([`caf_torch::gradients_of_all`]): all ranks take the same step.
///
/// # Errors
/// [`SearchError::NonFinite`] with `what` and `iteration`, and those of `step`.
pub(crate) fn descend(
    what: &str,
    iteration: usize,
    gradients: &[Tensor],
    clip: Option<f64>,
    step: impl FnOnce(&[Tensor]) -> Result<(), TorchError>,
) -> Result<f64, SearchError> {
    let clipped = clip.map(|limit| clip_gradients(gradients, limit)).transpose()?;
    let (gradients, norm) = match &clipped {
        Some((clipped, norm)) => (clipped.as_slice(), *norm),
        None => (gradients, norm(gradients)?),
    };
    if !norm.is_finite() {
        return Err(SearchError::NonFinite { what: format!("gradient of {what}"), iteration });
    }
    step(gradients)?;
    Ok(norm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::no_grad;

    #[test]
    fn gradients_that_are_not_finite_move_nothing_and_long_ones_are_shortened() {
        let p = Tensor::from_slice(&[1.0f32, 2.0]);
        let go = |gradient: [f32; 2], clip| {
            descend("the network", 7, &[Tensor::from_slice(&gradient)], clip, |g| {
                let _ = no_grad(|| p.shallow_clone().f_sub_(&g[0]))?;
                Ok(())
            })
        };
        for bad in [f32::NAN, f32::INFINITY] {
            for clip in [None, Some(1.0)] {
                let text = go([0.0, bad], clip).unwrap_err().to_string();
                assert!(text.contains("gradient of the network is not finite at iteration 7"), "{text}");
            }
        }
        assert_eq!(Vec::<f32>::try_from(&p).unwrap(), [1.0, 2.0]);
        assert_eq!(go([3.0, 4.0], Some(1.0)).unwrap(), 5.0);
        let moved = Vec::<f32>::try_from(&p).unwrap();
        assert!((moved[0] - 0.4).abs() < 1e-5 && (moved[1] - 1.2).abs() < 1e-5, "{moved:?}");
    }
}
