//! KAIST Multispectral Pedestrian Detection (CVPR 2015): 95,328 pairs of 640×512 from a vehicle by day and night, aligned by a beam
//! splitter.

use caf_image::folder::TwoFolders;

use super::index::{Annotated, Boxes, Index, Infrared, Item, Split};
use super::{Layout, Tree};
use crate::error::DataError;
use crate::offence::Offence;

/// Names of the publisher: a group that cannot be told apart is `people`, a doubtful one `person?`.
const CLASSES: [&str; 4] = ["person", "people", "cyclist", "person?"];

/// Folders of annotations as XML; the first that is there is read. The sanitized ones are a correction of the others.
const ANNOTATIONS: [&str; 4] =
    ["annotations-xml-new-sanitized", "annotations-xml-new", "annotations-xml-15", "annotations-xml"];

/// Sets that are trained on; the later ones are for tests.
const TRAINING: [&str; 6] = ["set00", "set01", "set02", "set03", "set04", "set05"];

/// `images/SET/VIDEO/{lwir,visible}/NAME.jpg`, `annotations-xml-…/SET/VIDEO/NAME.xml`, `imageSets/*.txt` of lines `SET/VIDEO/NAME`.
/// Every video counts its frames from 0, so that a pair is named `SET_VIDEO_NAME`.
pub(super) const LAYOUT: Layout = Layout {
    name: "kaist",
    looks_for: "images/SET/VIDEO (set00/V000) with folders lwir and visible; annotations-xml-… (XML)",
    is: |tree| videos(tree).is_ok_and(|videos| !videos.is_empty()),
    read,
};

/// The sets with their videos, as far as a video has a folder of either camera.
fn videos(tree: &Tree) -> Result<Vec<(String, String)>, DataError> {
    let mut videos = Vec::new();
    if tree.has_folder("images") {
        let sets = Tree::of(&tree.at("images"))?;
        for set in sets.folders().filter(|name| name.starts_with("set")) {
            let inside = Tree::of(&sets.at(set))?;
            let with_camera = |video: &&str| ["lwir", "visible"].iter().any(|c| inside.has_folder(&format!("{video}/{c}")));
            videos.extend(inside.folders().filter(with_camera).map(|video| (set.to_owned(), video.to_owned())));
        }
    }
    Ok(videos)
}

fn read(tree: &Tree) -> Result<Index, DataError> {
    let mut index = Index::with_classes(&CLASSES, &[]);
    let annotations = ANNOTATIONS.into_iter().find(|name| tree.has_folder(name));
    let [mut train, mut test] = ["train", "test"].map(|name| Split { name: name.to_owned(), pairs: Vec::new() });
    for (set, video) in videos(tree)? {
        let (mut opening, mut matching) = (Vec::new(), Vec::new());
        let [ir, vi] = ["lwir", "visible"].map(|camera| tree.at(&format!("images/{set}/{video}/{camera}")));
        let two = TwoFolders::open(&ir, &vi, &mut opening)?;
        let pairs = two.pairs(&mut matching);
        index.offences.extend(opening.into_iter().chain(matching).map(Offence::from));
        let named = |name: &str| format!("{set}_{video}_{name}");
        index.halves.extend(two.names().map(named));
        let boxes = annotations.map(|folder| tree.at(&format!("{folder}/{set}/{video}")));
        let split = if TRAINING.contains(&set.as_str()) { &mut train } else { &mut test };
        for pair in pairs {
            let name = named(&pair.name);
            index.halves.remove(&name);
            split.pairs.push(name.clone());
            let labels = boxes.as_ref().map(|folder| Boxes::Voc(folder.join(format!("{}.xml", pair.name))));
            let ir = Infrared::File(pair.ir);
            index.items.insert(name.clone(), Item { name, ir, vi: pair.vi, labels, ignore: None, mask: None });
        }
        if let Some(folder) = boxes {
            let names = two.names().map(str::to_owned).collect();
            index.annotated.push(Annotated { folder, extension: "xml", is_mask: false, names });
        }
    }
    index.splits.extend([train, test].into_iter().filter(|split| !split.pairs.is_empty()));
    if tree.has_folder("imageSets") {
        let lists = Tree::of(&tree.at("imageSets"))?;
        index.add_lists(lists.files().filter(|name| name.ends_with(".txt")).map(|name| lists.at(name)))?;
        // What the lists write with slashes.
        index.splits.iter_mut().flat_map(|split| &mut split.pairs).for_each(|name| *name = name.replace('/', "_"));
    }
    Ok(index)
}
