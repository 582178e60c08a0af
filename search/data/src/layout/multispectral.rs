//! Multispectral Object Detection (Takumi et al., 2017): `ir_det_dataset`, four cameras, of which far infrared and RGB are read, as
//! aligned by its publisher to 320×256.

use super::index::{Group, Index};
use super::{Layout, Tree};
use crate::error::DataError;

const CLASSES: [&str; 5] = ["bike", "car", "car_stop", "color_cone", "person"];

/// `ConvertedImages/fir/NAME.png`, `ConvertedImages/rgb/NAME.png`, `Annotations_ConvertedSummarized/NAME.xml`.
pub(super) const LAYOUT: Layout = Layout {
    name: "multispectral",
    looks_for: "folders ConvertedImages/fir and ConvertedImages/rgb; Annotations_ConvertedSummarized (VOC XML)",
    is: |tree| tree.has_folders(&["ConvertedImages/fir", "ConvertedImages/rgb"]),
    read,
};

fn read(tree: &Tree) -> Result<Index, DataError> {
    let mut index = Index::with_classes(&CLASSES, &[]);
    index.add_groups(&[Group {
        ir: tree.at("ConvertedImages/fir"),
        vi: tree.at("ConvertedImages/rgb"),
        voc: Some(tree.at("Annotations_ConvertedSummarized")),
        ..Group::default()
    }])?;
    Ok(index)
}
