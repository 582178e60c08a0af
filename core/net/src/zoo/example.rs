//! Two convolutions over both images.

use crate::builder::{Builder, ConvSpec};
use crate::error::GraphError;
use crate::op::{Activation, Op};
use crate::tensor::Value;
use crate::zoo::fusion::FusionNetwork;
use crate::zoo::network::{Facts, Found, Network, Tensors, require_counts};
use serde::{Deserialize, Serialize};

/// What a settings file can say of it: `fusion.network = { kind = "example", width = 32 }`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExampleConfig {
    /// Channels between the two convolutions.
    pub width: usize,
}

impl Default for ExampleConfig {
    fn default() -> Self {
        ExampleConfig { width: 16 }
    }
}

impl Network for ExampleConfig {
    const KIND: &'static str = "example";
    const FACTS: Facts = Facts {
        title: "Example",
        paper: "docs/add-a-network.md",
        licence: "MIT or Apache-2.0",
        parity: "there is no original",
    };

    /// Widths are read off a file's tensors; what they do not tell is a setting with a default.
    fn recognise(tensors: &dyn Tensors) -> Option<Found<Self>> {
        tensors.outputs("example.first.weight").map(|width| Found::new(ExampleConfig { width }))
    }
}

impl FusionNetwork for ExampleConfig {
    fn output_range(&self) -> [f64; 2] {
        [0.0, 1.0]
    }

    fn receptive_field_px(&self) -> usize {
        5
    }

    fn build(&self, b: &mut Builder, ir: Value, vi: Value) -> Result<Value, GraphError> {
        require_counts(Self::KIND, &[("width", self.width, 1024)])?;
        let x = b.node("sources", Op::Concat { axis: 1 }, &[ir, vi])?;
        let x = b.conv("example.first", ConvSpec::same(self.width, 3), x)?;
        let x = b.activation("relu", Activation::Relu, x)?;
        let x = b.conv("example.last", ConvSpec::same(1, 3), x)?;
        b.activation("sigmoid", Activation::Sigmoid, x)
    }
}
