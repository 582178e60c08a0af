//! Which network segments, and of what size.

use caf_net::zoo::deeplab::{self, Backbone, OutputStride};
use caf_net::zoo::segformer;
use serde::{Deserialize, Serialize};

/// A network with one of its published sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SegmentationVariant {
    /// SegFormer: `b0` to `b5`.
    SegFormer(segformer::Variant),
    /// DeepLabV3+: `deeplabv3plus-mobilenet`, `deeplabv3plus-resnet50` or `deeplabv3plus-resnet101`.
    DeepLab(deeplab::Variant),
}

impl SegmentationVariant {
    /// All of them.
    pub(super) fn all() -> impl Iterator<Item = SegmentationVariant> {
        let segformer = segformer::Variant::ALL.into_iter().map(SegmentationVariant::SegFormer);
        segformer.chain(deeplab::Variant::ALL.into_iter().map(SegmentationVariant::DeepLab))
    }

    /// As it is written in settings.
    fn name(self) -> String {
        let name = match self {
            SegmentationVariant::SegFormer(variant) => serde_json::to_value(variant),
            SegmentationVariant::DeepLab(variant) => serde_json::to_value(variant),
        };
        // A variant without contents is written as its name.
        name.ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

impl TryFrom<String> for SegmentationVariant {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let known = || Self::all().map(|variant| format!("`{}`", variant.name())).collect::<Vec<_>>().join(", ");
        let found = Self::all().find(|variant| variant.name() == name);
        found.ok_or_else(|| format!("unknown variant `{name}`; there are: {}", known()))
    }
}

impl From<SegmentationVariant> for String {
    fn from(variant: SegmentationVariant) -> String {
        variant.name()
    }
}

/// What of a DeepLabV3+ is not its variant's, or not that of the starting weights.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeepLabSettings {
    /// How much smaller than the image the deep features are: 16, or 8 for four times the work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_stride: Option<OutputStride>,
    /// Channels that the fine features are brought to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fine_width: Option<usize>,
    /// Channels of everything else behind the backbone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_width: Option<usize>,
    /// A backbone of other sizes: `{ mobilenet = { widths = […] } }` or `{ resnet = { blocks = […] } }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backbone: Option<Backbone>,
}

impl DeepLabSettings {
    /// Whether it says nothing.
    pub(super) fn is_usual(&self) -> bool {
        *self == DeepLabSettings::default()
    }
}
