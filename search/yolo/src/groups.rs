//! Optimiser groups and gradient clipping.

use crate::error::YoloError;
use crate::schedule::Rates;
use caf_net::{Graph, ParamRole};
use caf_torch::optim::SgdGroup;
use tch::{Kind, Tensor, no_grad};

/// The three optimiser groups, in the original's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Every bias, those of normalisations included: its own rate in warm-up, no decay.
    Bias,
    /// Convolution kernels: the only group with weight decay.
    Kernel,
    /// Scales of normalisations and learnt slopes: no decay.
    Scale,
}

impl Group {
    /// The group of a parameter, none when no optimiser moves it.
    pub fn of(role: ParamRole) -> Option<Group> {
        match role {
            ParamRole::ConvWeight | ParamRole::FanOutWeight { .. } | ParamRole::LinearWeight => Some(Group::Kernel),
            ParamRole::ConvBias { .. } | ParamRole::ZeroBias | ParamRole::PriorBias { .. } | ParamRole::NormBias => {
                Some(Group::Bias)
            }
            ParamRole::NormWeight | ParamRole::PReluSlope => Some(Group::Scale),
            ParamRole::RunningMean | ParamRole::RunningVar | ParamRole::BatchCount | ParamRole::Anchors => None,
        }
    }

    /// The groups of a graph's trainable parameters, in the graph's order.
    pub fn of_graph(graph: &Graph) -> Vec<Group> {
        graph.params().iter().filter_map(|p| Group::of(p.role)).collect()
    }

    /// Rate and decay in one step.
    pub fn settings(self, rates: &Rates, decay: f64) -> SgdGroup {
        match self {
            Group::Bias => SgdGroup { rate: rates.bias, decay: 0.0 },
            Group::Kernel => SgdGroup { rate: rates.others, decay },
            Group::Scale => SgdGroup { rate: rates.others, decay: 0.0 },
        }
    }
}

/// Scales gradients so that their common Euclidean norm is at most `limit`; gives the scaled gradients and the norm before.
///
/// A norm that is no number is returned as it is, for the caller to stop at.
///
/// # Errors
/// When libtorch refuses.
pub fn clip_gradients(gradients: &[Tensor], limit: f64) -> Result<(Vec<Tensor>, f64), YoloError> {
    no_grad(|| {
        let norms = gradients.iter().map(Tensor::f_norm).collect::<Result<Vec<_>, _>>()?;
        if norms.is_empty() {
            return Ok((Vec::new(), 0.0));
        }
        let norm = f64::try_from(Tensor::f_stack(&norms, 0)?.f_norm()?.f_to_kind(Kind::Double)?)?;
        // The constant keeps the division defined at norm zero; the original has the same.
        let factor = (limit / (norm + 1e-6)).min(1.0);
        let scaled = gradients.iter().map(|g| g.f_mul_scalar(factor)).collect::<Result<Vec<_>, _>>()?;
        Ok((scaled, norm))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_net::zoo::yolov5::{Variant, YoloConfig, graph};

    #[test]
    fn groups_of_yolov5n_have_the_original_sizes() {
        let groups = Group::of_graph(&graph(&YoloConfig::new(Variant::N, 80)).unwrap());
        let count = |g| groups.iter().filter(|x| **x == g).count();
        // 57 normalised convolutions and 3 head convolutions.
        assert_eq!([count(Group::Bias), count(Group::Kernel), count(Group::Scale)], [60, 60, 57]);
    }

    #[test]
    fn long_gradients_are_shortened_together_and_short_ones_kept() {
        let gradients = [Tensor::from_slice(&[3.0f32, 0.0]), Tensor::from_slice(&[4.0f32])];
        let (scaled, norm) = clip_gradients(&gradients, 1.0).unwrap();
        assert!((norm - 5.0).abs() < 1e-6);
        assert!((scaled[0].double_value(&[0]) - 0.6).abs() < 1e-6 && (scaled[1].double_value(&[0]) - 0.8).abs() < 1e-6);
        let (kept, _) = clip_gradients(&gradients, 10.0).unwrap();
        assert_eq!(kept[1].double_value(&[0]), 4.0);
    }

    #[test]
    fn a_gradient_that_is_no_number_shows_in_the_norm() {
        let (_, norm) = clip_gradients(&[Tensor::from_slice(&[f32::NAN])], 1.0).unwrap();
        assert!(norm.is_nan());
    }
}
