//! The project's own layout, which `caf-search scene` writes and most fusion papers' test sets have.

use caf_image::classes;

use super::index::{Group, Index};
use super::{Layout, Tree};
use crate::error::DataError;
use crate::offence::Offence;

/// `ir/NAME.ext`, `vi/NAME.ext`; `labels/NAME.txt`, `ignore/NAME.txt`, `masks/NAME.png`, `classes.txt`, `mask_classes.txt`, lists.
pub(super) const LAYOUT: Layout = Layout {
    name: "plain",
    looks_for: "folders ir and vi; labels, ignore (YOLO texts), masks (PNG), classes.txt, mask_classes.txt",
    is: |tree| tree.has_folders(&["ir", "vi"]),
    read,
};

fn read(tree: &Tree) -> Result<Index, DataError> {
    let mut index = Index { classes_file: Some(tree.at("classes.txt")), ..Index::default() };
    index.add_groups(&[Group {
        ir: tree.at("ir"),
        vi: tree.at("vi"),
        yolo: Some(tree.at("labels")),
        ignore: Some(tree.at("ignore")),
        masks: Some(tree.at("masks")),
        ..Group::default()
    }])?;
    // Masks usually have a class for the background, and boxes have none.
    if tree.has_file("mask_classes.txt") {
        let path = tree.at("mask_classes.txt");
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let (names, problems) = classes::parse(&text);
                index.mask_classes = names;
                let bad = |p: classes::ClassProblem| Offence::ClassLine { path: path.clone(), line: p.line, found: p.found };
                index.offences.extend(problems.into_iter().map(bad));
            }
            Err(error) => index.offences.push(Offence::Unreadable { path, cause: error.to_string() }),
        }
    }
    Ok(index)
}
