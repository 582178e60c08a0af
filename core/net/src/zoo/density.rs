//! A small network for density maps: three stages that halve the image, and dilated layers that look around without shrinking it further.
//!
//! From the paper of CSRNet are the maps at an eighth of the size, and layers of dilation 2 in place of more pooling. The rest is our
//! own, so that a vehicle can afford it: convolutions with a stride in place of VGG-16's pooling, which give every pixel a cell at any size
//! of image, normalisations, and an eighth of the channels.

use crate::builder::{Bias, Builder, ConvSpec};
use crate::error::GraphError;
use crate::op::{Activation, Conv, Op};
use crate::tensor::Value;
use crate::zoo::network::{Facts, Found, Network, Sides, Tensors, require_counts};
use crate::zoo::task::TaskNetwork;
use caf_contract::{COUNTING, Task};
use serde::{Deserialize, Serialize};

/// What the last layer gives for one object: with it, values are of the order of 1, as those of fresh weights are.
pub const SCALE: f64 = 100.0;

/// Most classes, channels of the first stage, and dilated layers: configurations come from files, and a graph must fit into memory.
const MOST: DensityConfig = DensityConfig { width: 512, around: 64, classes: 10_000 };

const EPS: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;
const LAST: &str = "density.map";

/// A network of this family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DensityConfig {
    /// Channels of the first stage; each later one has twice as many.
    #[serde(default = "usual_width")]
    pub width: usize,
    /// Dilated layers.
    #[serde(default = "usual_around")]
    pub around: usize,
    /// Number of classes, each with a map.
    pub classes: usize,
}

const fn usual_width() -> usize {
    16
}

const fn usual_around() -> usize {
    6
}

impl DensityConfig {
    /// The usual network for so many classes.
    pub const fn new(classes: usize) -> Self {
        DensityConfig { width: usual_width(), around: usual_around(), classes }
    }

    fn check(&self) -> Result<(), GraphError> {
        let numbers = [("width", self.width, MOST.width), ("around", self.around, MOST.around)];
        require_counts(Self::KIND, &numbers)?;
        require_counts(Self::KIND, &[("classes", self.classes, MOST.classes)])
    }
}

impl Network for DensityConfig {
    const KIND: &'static str = "density";
    const FACTS: Facts = Facts {
        title: "Density maps with dilated layers",
        paper: "our own; after CSRNet: Dilated Convolutional Neural Networks for Understanding the Highly Congested Scenes, CVPR 2018",
        licence: "that of this project",
        parity: "there is no original",
    };

    fn recognise(tensors: &dyn Tensors) -> Option<Found<Self>> {
        let classes = tensors.outputs("density.map.weight")?;
        let width = tensors.outputs("density.stage1.down.weight")?;
        let around = tensors.count("density.around", 1, ".weight");
        Some(Found::new(DensityConfig { width, around, classes }))
    }
}

impl TaskNetwork for DensityConfig {
    fn task(&self) -> &'static Task {
        &COUNTING
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn sides(&self) -> Sides {
        Sides::ANY
    }

    /// The maps, [`SCALE`] for each object.
    fn raw(&self) -> &'static [&'static str] {
        &[LAST]
    }

    /// `[n, classes, ⌈h / 8⌉, ⌈w / 8⌉]`, objects in each cell. Nothing is cut at zero, so that what is too much in one place and too little
    /// in another cancels out in the sum.
    fn build(&self, b: &mut Builder, image: Value) -> Result<Value, GraphError> {
        self.check()?;
        let mut x = image;
        for stage in 0..3 {
            let channels = self.width << stage;
            x = layer(b, &format!("density.stage{}.down", stage + 1), channels, [2, 1], x)?;
            x = layer(b, &format!("density.stage{}.same", stage + 1), channels, [1, 1], x)?;
        }
        for i in 1..=self.around {
            x = layer(b, &format!("density.around{i}"), self.width << 2, [1, 2], x)?;
        }
        let spec = ConvSpec { out: self.classes, kernel: 1, stride: 1, padding: 0, bias: Bias::Plain };
        let maps = b.conv(LAST, spec, x)?;
        b.node("density.objects", Op::Affine { scale: 1.0 / SCALE, shift: 0.0 }, &[maps])
    }
}

/// A 3×3 convolution that gives as many pixels as it gets, or by a stride of 2 half as many, rounded up; normalised, then cut at zero.
fn layer(
    b: &mut Builder,
    name: &str,
    out: usize,
    [stride, dilation]: [usize; 2],
    x: Value,
) -> Result<Value, GraphError> {
    let spec = ConvSpec { out, kernel: 3, stride, padding: dilation, bias: Bias::None };
    let channels = b.channels(name, x)?;
    let conv = Conv { dilation: [dilation; 2], ..b.conv_params(name, spec, channels)? };
    let x = b.node(name, Op::Conv(conv), &[x])?;
    let x = b.norm(&format!("{name}.norm"), EPS, MOMENTUM, x)?;
    b.activation(&format!("{name}.relu"), Activation::Relu, x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::task::TaskNetworkConfig;
    use caf_contract::CELL_PX;

    #[test]
    fn every_pixel_has_a_cell_at_any_size() {
        let graph = TaskNetworkConfig::from(DensityConfig::new(2)).graph().unwrap();
        for (height, width, cells) in [(64, 96, "8, 12"), (1, 7, "1, 1"), (481, 639, "61, 80"), (8, 9, "1, 2")] {
            let bound = graph.bind(&[("batch", 3), ("height", height), ("width", width)]).unwrap();
            let found = bound.type_of(bound.output("density").unwrap()).to_string();
            assert_eq!(found, format!("f32[3, 2, {cells}]"));
        }
    }

    #[test]
    fn a_cell_sees_what_the_dilated_layers_reach() {
        let reach = |around: usize| {
            let graph = TaskNetworkConfig::from(DensityConfig { around, ..DensityConfig::new(1) }).graph().unwrap();
            // How far a layer adds to what is seen: its own stride in the image, times its dilation, on both sides.
            let (mut stride, mut reach) = (1, 1);
            for node in graph.nodes() {
                if let Op::Conv(conv) = &node.op {
                    let side = graph.params()[conv.weight.index()].shape[2];
                    reach += stride * conv.dilation[0] * (side - 1);
                    stride *= conv.stride[0];
                }
            }
            (stride, reach)
        };
        assert_eq!((reach(1), reach(6)), ((CELL_PX, 43 + 32), (CELL_PX, 43 + 6 * 32)));
    }

    #[test]
    fn what_no_memory_holds_is_refused() {
        let usual = DensityConfig::new(1);
        for (config, name) in [
            (DensityConfig { width: 0, ..usual.clone() }, "width: expected from 1 to 512, found 0"),
            (DensityConfig { width: usize::MAX, ..usual.clone() }, "width"),
            (DensityConfig { around: 65, ..usual.clone() }, "around"),
            (DensityConfig { classes: 0, ..usual }, "classes"),
        ] {
            let error = TaskNetworkConfig::from(config).graph().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
