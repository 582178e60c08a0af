//! VIFB (CVPRW 2020): the 21 pairs of the fusion benchmark.

use std::collections::BTreeMap;

use caf_image::ImageProblem;
use caf_image::folder::images;

use super::index::{Index, Infrared, Item};
use super::{Layout, Tree};
use crate::error::DataError;
use crate::offence::Offence;

/// `input/IR/NAME.jpg` and `input/VI/NAME.jpg`, or `IR` and `VI` alone.
///
/// As published, one pair's names differ in the case of a letter (`peopleShadow`, `peopleshadow`: the name is that of the infrared
/// file), and one visible image lies there twice (`manCall - 副本`, a copy by the desktop: passed over).
pub(super) const LAYOUT: Layout = Layout {
    name: "vifb",
    looks_for: "folders input/IR and input/VI, or IR and VI",
    is: |tree| tree.has_folders(&["input/IR", "input/VI"]) || tree.has_folders(&["IR", "VI"]),
    read,
};

/// How desktop systems name the copy of a file.
const COPY: &str = " - 副本";

fn read(tree: &Tree) -> Result<Index, DataError> {
    let inside = if tree.has_folder("input") { "input/" } else { "" };
    let (ir, vi) = (tree.at(&format!("{inside}IR")), tree.at(&format!("{inside}VI")));
    let mut index = Index::default();
    let (infrared, visible) = (images(&ir)?, images(&vi)?);
    index.offences.extend(infrared.problems.into_iter().chain(visible.problems).map(Offence::from));
    let originals = visible.files.into_iter().filter(|(name, _)| !name.ends_with(COPY));
    let mut by_folded: BTreeMap<String, _> = originals.map(|(name, path)| (name.to_lowercase(), (name, path))).collect();
    let mut half = |name: String, found, folder: &std::path::Path| {
        index.halves.insert(name.clone());
        index.offences.push(ImageProblem::MissingHalf { name, found, folder: folder.to_owned() }.into());
    };
    let mut items = BTreeMap::new();
    for (name, path) in infrared.files {
        match by_folded.remove(&name.to_lowercase()) {
            Some((_, vi)) => {
                let ir = Infrared::File(path);
                items.insert(name.clone(), Item { name, ir, vi, labels: None, ignore: None, mask: None });
            }
            None => half(name, path, &vi),
        }
    }
    for (_, (name, path)) in by_folded {
        half(name, path, &ir);
    }
    index.items = items;
    Ok(index)
}
