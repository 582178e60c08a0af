//! DeepLabV3+: convolutions at several dilations over a deep backbone, joined with its fine features (Chen et al., ECCV 2018).
//!
//! The backbone gives features at a quarter of the image's size and deep ones at a sixteenth or an eighth; what would shrink further is
//! dilated instead. The head looks at the deep ones through windows of several reaches and as a whole (atrous spatial pyramid pooling),
//! brings the result to the size of the fine features, joins both (fine ones first) and classifies every position: class scores (logits)
//! at about a quarter of the image's size, which are resampled to that of the image before the largest is taken.
//!
//! The forms are those of the common Cityscapes checkpoints, names included: MobileNetV2 or ResNet as the backbone, no separable
//! convolutions in the head. Their MobileNetV2 is not the usual one: see `mobilenet.rs`.

mod config;
mod head;
mod layers;
mod mobilenet;
pub mod names;
mod resnet;

pub use config::{Backbone, DeepLabConfig, MobileNet, OutputStride, ResNet, Variant};

use crate::builder::Builder;
use crate::error::GraphError;
use crate::op::Op;
use crate::tensor::Value;
use crate::zoo::network::{Facts, Found, Network, PlaceOf, Sides, Tensors};
use crate::zoo::segformer::{class_map, normalise};
use crate::zoo::task::TaskNetwork;
use caf_contract::{SEGMENTATION, Task};

impl Network for DeepLabConfig {
    const KIND: &'static str = "deeplabv3plus";
    const FACTS: Facts = Facts {
        title: "DeepLabV3+",
        paper: "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation, ECCV 2018",
        licence: "MIT (the common Cityscapes checkpoints)",
        parity: "logits within 2e-4 of the common implementation at both output strides (MobileNetV2, float32), on libtorch and ONNX \
                 Runtime; ResNet by the names and shapes of its parameters",
    };

    /// Widths and depths from the tensors. The output stride leaves no trace in a file: the published 16. A MobileNetV2 whose groups
    /// cannot be told apart, because two that follow each other are of one width, is none that a file alone tells.
    fn recognise(tensors: &dyn Tensors) -> Option<Found<Self>> {
        let classes = tensors.outputs(&format!("{}.weight", head::SCORES))?;
        let fine_width = tensors.outputs("classifier.project.0.weight")?;
        let head_width = tensors.outputs("classifier.aspp.convs.0.0.weight")?;
        let backbone = match resnet::recognise(tensors) {
            Some(resnet) => Backbone::ResNet(resnet),
            None => Backbone::MobileNet(mobilenet::recognise(tensors)?),
        };
        let published = DeepLabConfig::new(Variant::MobileNet, classes);
        Some(Found::new(DeepLabConfig { backbone, fine_width, head_width, ..published }))
    }

    /// Names of the graph are those of published files; backbones trained to classify images have others.
    fn published_names(tensors: &dyn Tensors) -> Option<PlaceOf> {
        names::of_classifiers(tensors)
    }
}

impl TaskNetwork for DeepLabConfig {
    fn task(&self) -> &'static Task {
        &SEGMENTATION
    }

    fn classes(&self) -> usize {
        self.classes
    }

    /// The first convolution of MobileNetV2 has no border.
    fn sides(&self) -> Sides {
        match self.backbone {
            Backbone::MobileNet(_) => Sides { least_px: 3, ..Sides::ANY },
            Backbone::ResNet(_) => Sides::ANY,
        }
    }

    /// The class scores at about a quarter of the size.
    fn raw(&self) -> &'static [&'static str] {
        &[head::SCORES]
    }

    /// Bytes `[n, h, w]` (see [`class_map`]): the image is normalised and seen at its own size.
    fn build(&self, b: &mut Builder, image: Value) -> Result<Value, GraphError> {
        let pixels = normalise(b, image)?;
        let scores = logits(b, self, pixels)?;
        class_map(b, scores, image)
    }
}

/// What a backbone gives.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// At about a quarter of the image's size.
    pub fine: Value,
    /// At about the output stride's part of it.
    pub deep: Value,
}

/// Adds the backbone: normalised RGB `[n, 3, h, w]` (see [`normalise`]) to features.
///
/// # Errors
/// When the configuration is impossible or the shapes do not fit.
pub fn features(b: &mut Builder, config: &DeepLabConfig, pixels: Value) -> Result<Features, GraphError> {
    config.check()?;
    match &config.backbone {
        Backbone::MobileNet(net) => mobilenet::features(b, net, config.output_stride, pixels),
        Backbone::ResNet(net) => resnet::features(b, net, config.output_stride, pixels),
    }
}

/// Adds the network: normalised RGB `[n, 3, h, w]` (see [`normalise`]) to class scores `[n, classes, ·, ·]` at about a quarter of the
/// size: ⌈h/4⌉ with ResNet, a little less at some sizes with MobileNetV2, whose first convolution has no border.
///
/// # Errors
/// When the configuration is impossible or the shapes do not fit.
pub fn logits(b: &mut Builder, config: &DeepLabConfig, pixels: Value) -> Result<Value, GraphError> {
    let Features { fine, deep } = features(b, config, pixels)?;
    let context = head::pyramid(b, config, deep)?;
    let context = b.node("classifier.aspp.resized", Op::ResizeLike, &[context, fine])?;
    head::scores(b, config, fine, context)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::task::TaskNetworkConfig;

    /// Types of the features and of the scores at a size.
    fn types(config: &DeepLabConfig, [height, width]: [usize; 2], nodes: &[&str]) -> Vec<String> {
        let graph = TaskNetworkConfig::from(config.clone()).graph().unwrap().with_outputs(nodes).unwrap();
        let bound = graph.bind(&[("batch", 1), ("height", height), ("width", width)]).unwrap();
        bound.outputs().iter().map(|o| bound.type_of(o.value).to_string()).collect()
    }

    #[test]
    fn features_have_the_published_sizes() {
        let nodes = |fine, deep| [fine, deep, "classifier.aspp.project.3", head::SCORES];
        let mobile = nodes("backbone.low_level_features.3.added", "backbone.high_level_features.17.conv.3");
        let config = DeepLabConfig::new(Variant::MobileNet, 19);
        let expected = ["24, 120, 160", "320, 30, 40", "256, 30, 40", "19, 120, 160"].map(|s| format!("f32[1, {s}]"));
        assert_eq!(types(&config, [480, 640], &mobile), expected);
        let eighth = DeepLabConfig { output_stride: OutputStride::Eight, ..config };
        let expected = ["24, 24, 33", "320, 12, 17", "256, 12, 17", "19, 24, 33"].map(|s| format!("f32[1, {s}]"));
        assert_eq!(types(&eighth, [97, 131], &mobile), expected);
        let res = nodes("backbone.layer1.2.relu3", "backbone.layer4.2.relu3");
        let config = DeepLabConfig::new(Variant::ResNet50, 19);
        let expected = ["256, 120, 160", "2048, 30, 40", "256, 30, 40", "19, 120, 160"].map(|s| format!("f32[1, {s}]"));
        assert_eq!(types(&config, [480, 640], &res), expected);
        let eighth = DeepLabConfig { output_stride: OutputStride::Eight, ..config };
        let expected = ["256, 25, 33", "2048, 13, 17", "256, 13, 17", "19, 25, 33"].map(|s| format!("f32[1, {s}]"));
        assert_eq!(types(&eighth, [97, 131], &res), expected);
    }

    #[test]
    fn the_smallest_image_passes_and_a_smaller_one_does_not() {
        for variant in Variant::ALL {
            let network = TaskNetworkConfig::from(DeepLabConfig::new(variant, 4));
            let least = network.sides().least_px;
            let graph = network.graph().unwrap();
            let bound = |side| graph.bind(&[("batch", 1), ("height", side), ("width", side)]);
            let map = bound(least).unwrap();
            assert_eq!(
                map.type_of(map.output("class_map").unwrap()).to_string(),
                format!("u8[1, {least}, {least}]"),
                "{variant:?}"
            );
            assert!(least == 1 || bound(least - 1).is_err(), "{variant:?}");
        }
    }
}
