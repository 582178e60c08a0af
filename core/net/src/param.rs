//! Parameters: what a graph learns or carries as constants.

use serde::Serialize;

/// A parameter of one graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ParamId(pub(crate) usize);

impl ParamId {
    /// Position in [`crate::Graph::params`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// What a parameter is for: decides its initial value, its optimiser group and whether it is trained at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ParamRole {
    /// Convolution kernel or matrix of a linear map, uniform in ±1/√fan-in.
    ConvWeight,
    /// Convolution kernel, normal with variance 2 / `fan_out`.
    FanOutWeight {
        /// Outputs × kernel area / groups.
        fan_out: usize,
    },
    /// Matrix of a linear map, normal with deviation 0.02.
    LinearWeight,
    /// Bias of a convolution or linear map, uniform in ±1/√`fan_in`; `fan_in` is inputs × kernel area.
    ConvBias {
        /// Inputs that reach one output.
        fan_in: usize,
    },
    /// Bias that starts from zero.
    ZeroBias,
    /// The same, with a prior that the network gives added to the draw.
    PriorBias {
        /// Inputs that reach one output.
        fan_in: usize,
    },
    /// Scale of a normalisation.
    NormWeight,
    /// Shift of a normalisation.
    NormBias,
    /// Slope below zero of a learnt leaky ReLU, ¼ at the start.
    PReluSlope,
    /// Running mean: moved by training batches, not by the optimiser.
    RunningMean,
    /// Running variance, likewise.
    RunningVar,
    /// Number of batches seen, a 64-bit integer scalar.
    BatchCount,
    /// Anchors in units of cells, `[levels, anchors, 2]`; constant.
    Anchors,
}

impl ParamRole {
    /// Whether an optimiser moves it.
    pub fn is_trainable(self) -> bool {
        match self {
            ParamRole::ConvWeight
            | ParamRole::FanOutWeight { .. }
            | ParamRole::LinearWeight
            | ParamRole::ConvBias { .. }
            | ParamRole::ZeroBias
            | ParamRole::PriorBias { .. }
            | ParamRole::NormWeight
            | ParamRole::NormBias
            | ParamRole::PReluSlope => true,
            ParamRole::RunningMean | ParamRole::RunningVar | ParamRole::BatchCount | ParamRole::Anchors => false,
        }
    }
}

/// A named parameter or buffer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParamSpec {
    /// Name in the original `state_dict`, after the graph's prefix.
    pub name: String,
    /// Shape; a scalar has none.
    pub shape: Vec<usize>,
    /// Its purpose.
    pub role: ParamRole,
    /// What the network gives, row-major: the value of a constant buffer ([`ParamRole::Anchors`]), the prior of a
    /// [`ParamRole::PriorBias`].
    pub given: Option<Vec<f32>>,
}

impl ParamSpec {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
