//! M³FD (TarDAL, CVPR 2022): 4,200 labelled pairs of 1024×768 in `M3FD_Detection`, 300 without labels in `M3FD_Fusion`.

use super::index::{Group, Index};
use super::{Layout, Tree};
use crate::error::DataError;

/// In the order of the publishers' own conversion to YOLO labels.
const CLASSES: [&str; 6] = ["People", "Car", "Bus", "Motorcycle", "Lamp", "Truck"];

/// `Ir/NAME.png`, `Vis/NAME.png`, `Annotation/NAME.xml`.
pub(super) const LAYOUT: Layout = Layout {
    name: "m3fd",
    looks_for: "folders Ir and Vis; Annotation (VOC XML)",
    is: |tree| tree.has_folders(&["Ir", "Vis"]),
    read,
};

fn read(tree: &Tree) -> Result<Index, DataError> {
    let mut index = Index::with_classes(&CLASSES, &[]);
    let group = Group { ir: tree.at("Ir"), vi: tree.at("Vis"), voc: Some(tree.at("Annotation")), ..Group::default() };
    index.add_groups(&[group])?;
    Ok(index)
}
