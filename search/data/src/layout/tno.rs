//! TNO Image Fusion Dataset (figshare 1008029): scenes by camera system, each in a folder of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use caf_image::folder::images;

use super::index::{Index, Infrared, Item};
use super::{Layout, Tree};
use crate::error::DataError;

const SYSTEMS: [&str; 4] = ["Athena_images", "DHV_images", "FEL_images", "Triclobs_images"];

/// `Athena_images/SCENE/IR_*.bmp`, `VIS_*.bmp`, … A pair is named by its folders (`Athena_lake`); in a folder of several, also by
/// what their file names share. Scenes with near-infrared alone have no pair.
pub(super) const LAYOUT: Layout = Layout {
    name: "tno",
    looks_for: "folders Athena_images, DHV_images, FEL_images or Triclobs_images of scenes with one IR and one VIS image each",
    is: |tree| SYSTEMS.iter().any(|system| tree.has_folder(system)),
    read,
};

fn read(tree: &Tree) -> Result<Index, DataError> {
    let mut index = Index::default();
    for name in tree.folders() {
        let prefix = name.trim_end_matches("_images").to_owned();
        walk(&tree.at(name), &prefix, 0, &mut index)?;
    }
    Ok(index)
}

/// Folders below this are not looked into: scenes have views, and no more.
const DEEPEST: usize = 4;

fn walk(folder: &Path, prefix: &str, depth: usize, index: &mut Index) -> Result<(), DataError> {
    let pairs = pairs_of(folder)?;
    let alone = pairs.len() == 1;
    for (shared, (ir, vi)) in pairs {
        let name = if alone || shared.is_empty() { prefix.to_owned() } else { format!("{prefix}_{shared}") };
        let ir = Infrared::File(ir);
        index.items.insert(name.clone(), Item { name, ir, vi, labels: None, ignore: None, mask: None });
    }
    if depth < DEEPEST {
        let tree = Tree::of(folder)?;
        for name in tree.folders() {
            walk(&tree.at(name), &format!("{prefix}_{name}"), depth + 1, index)?;
        }
    }
    Ok(())
}

/// Which camera a file is of, and what is left of its name.
#[derive(Debug, PartialEq)]
enum Camera {
    Infrared(String),
    Visible(String),
    Other,
}

/// By the words of the name: `IR` or `LWIR`, `VIS`; words end at digits and at what is neither letter nor digit.
fn camera_of(stem: &str) -> Camera {
    let is_word = |word: &str| -> Option<bool> {
        match word.to_ascii_uppercase().as_str() {
            "IR" | "LWIR" => Some(true),
            "VIS" => Some(false),
            _ => None,
        }
    };
    let mut rest = stem;
    let mut before = String::new();
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic()) {
        let (head, tail) = rest.split_at(start);
        let end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (word, after) = tail.split_at(end);
        before.push_str(head);
        if let Some(infrared) = is_word(word) {
            let key: String = format!("{before}{after}").trim_matches(['_', '-', ' ']).to_owned();
            return if infrared { Camera::Infrared(key) } else { Camera::Visible(key) };
        }
        before.push_str(word);
        rest = after;
    }
    Camera::Other
}

/// The pairs of one folder by what their names share: by equal rests, or the only infrared and the only other image.
fn pairs_of(folder: &Path) -> Result<BTreeMap<String, (PathBuf, PathBuf)>, DataError> {
    let (mut infrared, mut visible, mut other) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for (stem, path) in images(folder)?.files {
        match camera_of(&stem) {
            Camera::Infrared(key) => drop(infrared.insert(key, path)),
            Camera::Visible(key) => drop(visible.insert(key, path)),
            Camera::Other => other.push(path),
        }
    }
    let mut pairs = BTreeMap::new();
    if let (1, Some((_, ir))) = (infrared.len(), infrared.first_key_value()) {
        let only_other = (visible.is_empty() && other.len() == 1).then(|| other.first()).flatten();
        let only_visible = if visible.len() == 1 { visible.values().next() } else { None };
        if let Some(vi) = only_visible.or(only_other) {
            pairs.insert(String::new(), (ir.clone(), vi.clone()));
            return Ok(pairs);
        }
    }
    if infrared.is_empty() && visible.is_empty() {
        // Athena's APC_2: `1_NAME` is visible, `2_NAME` is infrared.
        let of = |number: char| {
            let stem = move |p: &PathBuf| p.file_stem()?.to_str()?.strip_prefix(number)?.strip_prefix('_').map(str::to_owned);
            other.iter().filter_map(move |path| Some((stem(path)?, path.clone()))).collect::<BTreeMap<_, _>>()
        };
        (infrared, visible) = (of('2'), of('1'));
    }
    for (key, ir) in infrared {
        if let Some(vi) = visible.remove(&key) {
            pairs.insert(key, (ir, vi));
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_camera() {
        let infrared = |key: &str| Camera::Infrared(key.to_owned());
        let visible = |key: &str| Camera::Visible(key.to_owned());
        for (stem, camera) in [
            ("IR_meting003_g", infrared("meting003_g")),
            ("VIS_meting003_r", visible("meting003_r")),
            ("Farm_IR", infrared("Farm")),
            ("Farm_Vis", visible("Farm")),
            ("IR01", infrared("01")),
            ("Vis01", visible("01")),
            ("c_LWIR-MarnehNew_24RGB_1110", infrared("c_-MarnehNew_24RGB_1110")),
            ("ir", infrared("")),
            ("NIR", Camera::Other),
            ("Farm_II", Camera::Other),
            ("bunker_r", Camera::Other),
            ("airplane", Camera::Other),
        ] {
            assert_eq!(camera_of(stem), camera, "{stem}");
        }
    }
}
