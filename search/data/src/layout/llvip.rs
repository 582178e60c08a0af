//! LLVIP (ICCVW 2021): 15,488 pairs of 1280×1024 at night, pedestrians.

use super::index::{Group, Index};
use super::{Layout, Tree};
use crate::error::DataError;

/// `infrared/SPLIT/NAME.jpg`, `visible/SPLIT/NAME.jpg`, `Annotations/NAME.xml`; SPLIT is `train` or `test`.
pub(super) const LAYOUT: Layout = Layout {
    name: "llvip",
    looks_for: "folders infrared and visible, each with train and test; Annotations (VOC XML)",
    is: |tree| SPLITS.iter().any(|split| tree.has_folders(&[&format!("infrared/{split}"), &format!("visible/{split}")])),
    read,
};

const SPLITS: [&str; 2] = ["train", "test"];

fn read(tree: &Tree) -> Result<Index, DataError> {
    let mut index = Index::with_classes(&["person"], &[]);
    let there = SPLITS.into_iter().filter(|split| {
        ["infrared", "visible"].iter().any(|camera| tree.has_folder(&format!("{camera}/{split}")))
    });
    let groups: Vec<Group> = there
        .map(|split| Group {
            ir: tree.at("infrared").join(split),
            vi: tree.at("visible").join(split),
            voc: Some(tree.at("Annotations")),
            splits: vec![split.to_owned()],
            ..Group::default()
        })
        .collect();
    index.add_groups(&groups)?;
    Ok(index)
}
