//! Names of the backbones' parts, and where tensors of published classifiers of images belong, from which a training may start.

use crate::zoo::network::{Place, PlaceOf, Tensors};

/// A part of the backbone.
pub(super) fn in_backbone(name: &str) -> String {
    format!("backbone.{name}")
}

/// A part of MobileNetV2 up to the fine features.
pub(super) fn fine(index: usize) -> String {
    format!("backbone.low_level_features.{index}")
}

/// A part of MobileNetV2 behind them.
pub(super) fn deep(index: usize) -> String {
    format!("backbone.high_level_features.{index}")
}

/// The first part behind the fine features of the published MobileNetV2.
const DEEP: usize = 4;
/// The first that it does not use.
const BEHIND: usize = 18;

/// The table for a published ResNet or MobileNetV2 that classifies images; none for other tensors.
pub(super) fn of_classifiers(tensors: &dyn Tensors) -> Option<PlaceOf> {
    if tensors.has("conv1.weight") && tensors.has("layer1.0.conv3.weight") {
        return Some(of_resnet);
    }
    let is_mobilenet = tensors.has("features.0.0.weight") && tensors.has("features.1.conv.0.0.weight");
    is_mobilenet.then_some(of_mobilenet as PlaceOf)
}

/// Where a tensor of a classifying ResNet belongs (`layer1.0.conv1.weight`).
pub fn of_resnet(name: &str) -> Option<Place> {
    match name.split('.').next()? {
        "fc" => Some(Place::Unused),
        "conv1" | "bn1" | "layer1" | "layer2" | "layer3" | "layer4" => Some(Place::Whole(in_backbone(name))),
        _ => None,
    }
}

/// Where a tensor of a classifying MobileNetV2 belongs (`features.4.conv.0.0.weight`).
pub fn of_mobilenet(name: &str) -> Option<Place> {
    if name.starts_with("classifier.") {
        return Some(Place::Unused);
    }
    let (index, rest) = name.strip_prefix("features.")?.split_once('.')?;
    let index = index.parse::<usize>().ok()?;
    if index >= BEHIND {
        return Some(Place::Unused);
    }
    let part = if index < DEEP { fine(index) } else { deep(index) };
    Some(Place::Whole(format!("{part}.{rest}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_of_classifiers_find_their_place() {
        let whole = |name: &str| Some(Place::Whole(name.to_owned()));
        for (published, expected) in [
            ("conv1.weight", whole("backbone.conv1.weight")),
            ("layer4.2.bn3.running_var", whole("backbone.layer4.2.bn3.running_var")),
            ("layer2.0.downsample.1.bias", whole("backbone.layer2.0.downsample.1.bias")),
            ("fc.weight", Some(Place::Unused)),
            ("layer5.0.conv1.weight", None),
        ] {
            assert_eq!(of_resnet(published), expected, "{published}");
        }
        for (published, expected) in [
            ("features.0.1.bias", whole("backbone.low_level_features.0.1.bias")),
            ("features.3.conv.2.weight", whole("backbone.low_level_features.3.conv.2.weight")),
            ("features.4.conv.0.0.weight", whole("backbone.high_level_features.4.conv.0.0.weight")),
            ("features.17.conv.3.running_mean", whole("backbone.high_level_features.17.conv.3.running_mean")),
            ("features.18.0.weight", Some(Place::Unused)),
            ("classifier.1.bias", Some(Place::Unused)),
            ("features.x.weight", None),
            ("head.weight", None),
        ] {
            assert_eq!(of_mobilenet(published), expected, "{published}");
        }
    }
}
