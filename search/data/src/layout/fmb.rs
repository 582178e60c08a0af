//! FMB (SegMiF, ICCV 2023): 1,220 and 280 pairs of 800×600 with masks of 14 classes.

use super::index::{Group, Index};
use super::{Layout, Tree};
use crate::error::DataError;

/// By id; 0 is what nobody labelled.
const MASK_CLASSES: [&str; 15] = [
    "background", "Road", "Sidewalk", "Building", "Lamp", "Sign", "Vegetation", "Sky", "Person", "Car", "Truck", "Bus",
    "Motorcycle", "Bicycle", "Pole",
];

/// `train` and `test`, each with `Infrared/NAME.png`, `Visible/NAME.png`, `Label/NAME.png`.
pub(super) const LAYOUT: Layout = Layout {
    name: "fmb",
    looks_for: "folders train and test, each with Infrared and Visible; Label (PNG of class ids)",
    is: |tree| SPLITS.iter().any(|split| tree.has_folders(&[&format!("{split}/Infrared"), &format!("{split}/Visible")])),
    read,
};

const SPLITS: [&str; 2] = ["train", "test"];

fn read(tree: &Tree) -> Result<Index, DataError> {
    let mut index = Index::with_classes(&[], &MASK_CLASSES);
    let groups: Vec<Group> = SPLITS
        .into_iter()
        .filter(|split| tree.has_folder(split))
        .map(|split| Group {
            ir: tree.at(split).join("Infrared"),
            vi: tree.at(split).join("Visible"),
            masks: Some(tree.at(split).join("Label")),
            splits: vec![split.to_owned()],
            ..Group::default()
        })
        .collect();
    index.add_groups(&groups)?;
    Ok(index)
}
