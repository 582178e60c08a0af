//! MFNet (IROS 2017): 1,569 pairs of 640×480 in `ir_seg_dataset`, infrared as the fourth channel of the colour image.

use super::index::{Index, Infrared, Item};
use super::{Layout, Tree};
use crate::error::DataError;
use crate::offence::Offence;

/// By id.
pub(super) const MASK_CLASSES: [&str; 9] =
    ["unlabelled", "car", "person", "bike", "curve", "car_stop", "guardrail", "color_cone", "bump"];

/// The publisher's lists of names.
const LISTS: [&str; 7] = ["train", "val", "test", "test_day", "test_night", "train_day", "train_night"];

/// `images/NAME.png` of four channels, `labels/NAME.png` of class ids, `train.txt`, `val.txt`, `test.txt`, …
pub(super) const LAYOUT: Layout = Layout {
    name: "mfnet",
    looks_for: "folders images (PNG of 4 channels, the fourth is infrared) and labels (PNG of class ids); train.txt, val.txt, …",
    is: |tree| tree.has_folders(&["images", "labels"]) && !tree.has_folder("images_ir") && has_masks(tree),
    read,
};

/// Whether the labels are images, which those of YOLO are not.
fn has_masks(tree: &Tree) -> bool {
    Tree::of(&tree.at("labels")).is_ok_and(|labels| labels.files().any(|name| name.to_ascii_lowercase().ends_with(".png")))
}

fn read(tree: &Tree) -> Result<Index, DataError> {
    let mut index = Index::with_classes(&[], &MASK_CLASSES);
    let listing = caf_image::folder::images(&tree.at("images"))?;
    index.offences.extend(listing.problems.into_iter().map(Offence::from));
    for (name, vi) in listing.files {
        let mask = Some(tree.at("labels").join(format!("{name}.png")));
        let item = Item { name: name.clone(), ir: Infrared::FourthChannel, vi, labels: None, ignore: None, mask };
        index.items.insert(name, item);
    }
    let there = LISTS.iter().map(|name| format!("{name}.txt")).filter(|file| tree.has_file(file));
    index.add_lists(there.map(|file| tree.at(&file)))?;
    Ok(index)
}
