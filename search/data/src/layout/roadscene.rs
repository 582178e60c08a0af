//! RoadScene (U2Fusion, 2020): 221 pairs of many sizes, cut from FLIR's video.

use super::index::{Group, Index};
use super::{Layout, Tree};
use crate::error::DataError;

/// `cropinfrared/NAME.jpg`, `crop_LR_visible/NAME.jpg`; `crop_HR_visible` has another resolution and is left alone.
pub(super) const LAYOUT: Layout = Layout {
    name: "roadscene",
    looks_for: "folders cropinfrared and crop_LR_visible",
    is: |tree| tree.has_folders(&["cropinfrared", "crop_LR_visible"]),
    read,
};

fn read(tree: &Tree) -> Result<Index, DataError> {
    let mut index = Index::default();
    let group = Group { ir: tree.at("cropinfrared"), vi: tree.at("crop_LR_visible"), ..Group::default() };
    index.add_groups(&[group])?;
    Ok(index)
}
