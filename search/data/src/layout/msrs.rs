//! MSRS (PIAFusion, 2022): 1,083 and 361 pairs of 640×480, made of MFNet's. Its 80 pairs with boxes, `detection`, are a data set of
//! the plain layout of their own.

use super::index::{Group, Index};
use super::mfnet::MASK_CLASSES;
use super::{Layout, Tree};
use crate::error::DataError;

/// `train` and `test`, each with `ir/NAME.png`, `vi/NAME.png`, `Segmentation_labels/NAME.png`.
pub(super) const LAYOUT: Layout = Layout {
    name: "msrs",
    looks_for: "folders train and test, each with ir and vi; Segmentation_labels (PNG of class ids)",
    is: |tree| tree.has_folders(&["train/ir", "train/vi"]) || tree.has_folders(&["test/ir", "test/vi"]),
    read,
};

fn read(tree: &Tree) -> Result<Index, DataError> {
    let mut index = Index::with_classes(&[], &MASK_CLASSES);
    let there = ["train", "test"].into_iter().filter(|split| tree.has_folder(split));
    let groups: Vec<Group> = there
        .map(|split| Group {
            ir: tree.at(split).join("ir"),
            vi: tree.at(split).join("vi"),
            masks: Some(tree.at(split).join("Segmentation_labels")),
            splits: vec![split.to_owned()],
            ..Group::default()
        })
        .collect();
    index.add_groups(&groups)?;
    Ok(index)
}
