//! Sizes of a DeepLabV3+, and which are possible.

use crate::error::GraphError;
use crate::zoo::network::{Network as _, require_counts};
use crate::zoo::segformer::MAX_CLASSES;
use serde::{Deserialize, Serialize};

/// Largest accepted width; the largest published one is 2048. Widths come from files, and a graph must fit into memory.
const MAX_WIDTH: usize = 8192;
/// Largest accepted number of blocks of a stage; the largest published one is 23.
const MAX_BLOCKS: usize = 256;

/// The published sizes, by their backbone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Variant {
    /// MobileNetV2: 5.2 M parameters with 19 classes.
    #[serde(rename = "deeplabv3plus-mobilenet")]
    MobileNet,
    /// ResNet-50: 39.8 M.
    #[serde(rename = "deeplabv3plus-resnet50")]
    ResNet50,
    /// ResNet-101: 58.8 M.
    #[serde(rename = "deeplabv3plus-resnet101")]
    ResNet101,
}

impl Variant {
    /// All sizes, smallest first.
    pub const ALL: [Variant; 3] = [Variant::MobileNet, Variant::ResNet50, Variant::ResNet101];

    fn backbone(self) -> Backbone {
        match self {
            Variant::MobileNet => Backbone::MobileNet(MobileNet::default()),
            Variant::ResNet50 => Backbone::ResNet(ResNet::default()),
            Variant::ResNet101 => Backbone::ResNet(ResNet { blocks: [3, 4, 23, 3], ..ResNet::default() }),
        }
    }
}

/// How much smaller than the image the deep features are. What is not shrunk is dilated, so that weights fit both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "usize", into = "usize")]
pub enum OutputStride {
    /// An eighth: four times the work.
    Eight,
    /// A sixteenth, as published.
    #[default]
    Sixteen,
}

impl OutputStride {
    /// The number.
    pub fn px(self) -> usize {
        self.into()
    }

    /// Dilations of the three windows over the deep features: of one reach in the image.
    pub(super) fn dilations(self) -> [usize; 3] {
        match self {
            OutputStride::Eight => [12, 24, 36],
            OutputStride::Sixteen => [6, 12, 18],
        }
    }
}

impl TryFrom<usize> for OutputStride {
    type Error = String;

    fn try_from(stride: usize) -> Result<Self, String> {
        match stride {
            8 => Ok(OutputStride::Eight),
            16 => Ok(OutputStride::Sixteen),
            _ => Err(format!("expected an output stride of 8 or 16, found {stride}")),
        }
    }
}

impl From<OutputStride> for usize {
    fn from(stride: OutputStride) -> usize {
        match stride {
            OutputStride::Eight => 8,
            OutputStride::Sixteen => 16,
        }
    }
}

/// What computes the features.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backbone {
    /// MobileNetV2.
    MobileNet(MobileNet),
    /// A ResNet of bottlenecks.
    ResNet(ResNet),
}

/// Sizes of a MobileNetV2: seven groups of blocks, whose strides are 1, 2, 2, 2, 1, 2, 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MobileNet {
    /// Channels of the first convolution.
    pub stem: usize,
    /// Channels of the groups.
    pub widths: [usize; 7],
    /// Blocks of the groups.
    pub blocks: [usize; 7],
    /// By how much blocks widen their input within; the first group's do not.
    pub expansion: usize,
}

impl Default for MobileNet {
    /// The published size.
    fn default() -> Self {
        MobileNet { stem: 32, widths: [16, 24, 32, 64, 96, 160, 320], blocks: [1, 2, 3, 4, 3, 3, 1], expansion: 6 }
    }
}

/// Sizes of a ResNet of bottlenecks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResNet {
    /// Channels of the first convolution, and within the first stage's blocks; each later stage has twice as many, and gives four times as
    /// many on.
    pub width: usize,
    /// Blocks of the four stages.
    pub blocks: [usize; 4],
}

impl Default for ResNet {
    /// ResNet-50.
    fn default() -> Self {
        ResNet { width: 64, blocks: [3, 4, 6, 3] }
    }
}

/// A network of this family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeepLabConfig {
    /// What computes the features.
    #[serde(default = "smallest_backbone")]
    pub backbone: Backbone,
    /// How much smaller than the image the deep features are: 8 or 16.
    #[serde(default)]
    pub output_stride: OutputStride,
    /// Channels that the fine features are brought to.
    #[serde(default = "published_fine_width")]
    pub fine_width: usize,
    /// Channels of everything else in the head.
    #[serde(default = "published_head_width")]
    pub head_width: usize,
    /// Number of classes.
    pub classes: usize,
    /// In training, the share of values dropped behind the pyramid.
    #[serde(default = "tenth")]
    pub dropout: f64,
}

fn smallest_backbone() -> Backbone {
    Variant::MobileNet.backbone()
}

const fn published_fine_width() -> usize {
    48
}

const fn published_head_width() -> usize {
    256
}

fn tenth() -> f64 {
    0.1
}

impl DeepLabConfig {
    /// A published size.
    pub fn new(variant: Variant, classes: usize) -> Self {
        DeepLabConfig {
            backbone: variant.backbone(),
            output_stride: OutputStride::default(),
            fine_width: published_fine_width(),
            head_width: published_head_width(),
            classes,
            dropout: tenth(),
        }
    }

    pub(super) fn check(&self) -> Result<(), GraphError> {
        let width = |name, width| (name, width, MAX_WIDTH);
        let block = |n: &usize| ("blocks", *n, MAX_BLOCKS);
        let mut counts = vec![("classes", self.classes, MAX_CLASSES)];
        counts.extend([width("fine_width", self.fine_width), width("head_width", self.head_width)]);
        match &self.backbone {
            Backbone::MobileNet(net) => {
                counts.extend([width("stem", net.stem), ("expansion", net.expansion, 64)]);
                counts.extend(net.widths.iter().map(|n| width("widths", *n)));
                counts.extend(net.blocks.iter().map(block));
            }
            Backbone::ResNet(net) => {
                // The last stage gives 32 times as many.
                counts.push(("width", net.width, MAX_WIDTH / 32));
                counts.extend(net.blocks.iter().map(block));
            }
        }
        require_counts(Self::KIND, &counts)?;
        if !(0.0..1.0).contains(&self.dropout) {
            let what = format!("expected a dropout rate from 0 to below 1, found {:?}", self.dropout);
            return Err(GraphError::Config { network: Self::KIND, what });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_configurations_are_refused_by_name() {
        let good = DeepLabConfig::new(Variant::MobileNet, 9);
        good.check().unwrap();
        let mobile = |net| DeepLabConfig { backbone: Backbone::MobileNet(net), ..good.clone() };
        let res = |net| DeepLabConfig { backbone: Backbone::ResNet(net), ..good.clone() };
        for (bad, name) in [
            (DeepLabConfig { classes: 0, ..good.clone() }, "classes"),
            (DeepLabConfig { classes: 256, ..good.clone() }, "classes"),
            (DeepLabConfig { fine_width: 0, ..good.clone() }, "fine_width"),
            (DeepLabConfig { head_width: usize::MAX, ..good.clone() }, "head_width"),
            (DeepLabConfig { dropout: 1.0, ..good.clone() }, "dropout"),
            (DeepLabConfig { dropout: f64::NAN, ..good.clone() }, "dropout"),
            (mobile(MobileNet { stem: 0, ..MobileNet::default() }), "stem"),
            (mobile(MobileNet { widths: [8, 8, 0, 8, 8, 8, 8], ..MobileNet::default() }), "widths"),
            (mobile(MobileNet { blocks: [1, 1, 1, 1, 1, 1, usize::MAX], ..MobileNet::default() }), "blocks"),
            (mobile(MobileNet { expansion: 65, ..MobileNet::default() }), "expansion"),
            (res(ResNet { width: usize::MAX, ..ResNet::default() }), "width"),
            (res(ResNet { blocks: [0, 1, 1, 1], ..ResNet::default() }), "blocks"),
        ] {
            let error = bad.check().unwrap_err().to_string();
            assert!(error.contains("deeplabv3plus") && error.contains(name), "{name}: {error}");
        }
    }

    #[test]
    fn a_configuration_needs_no_more_than_its_classes_and_survives_json() {
        let config: DeepLabConfig = serde_json::from_str(r#"{"classes":9}"#).unwrap();
        assert_eq!(config, DeepLabConfig::new(Variant::MobileNet, 9));
        for variant in Variant::ALL {
            let config = DeepLabConfig { output_stride: OutputStride::Eight, ..DeepLabConfig::new(variant, 9) };
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<DeepLabConfig>(&text).unwrap(), config, "{text}");
        }
        for (text, word) in [
            (r#"{"classes":9,"output_stride":4}"#, "8 or 16, found 4"),
            (r#"{"classes":9,"backbone":{"xception":{}}}"#, "xception"),
            (r#"{"classes":9,"backbone":{"resnet":{"depth":3}}}"#, "depth"),
        ] {
            let error = serde_json::from_str::<DeepLabConfig>(text).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
