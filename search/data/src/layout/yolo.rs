//! YOLO's own layout, described by `data.yaml`, with infrared twins of the images beside them.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use caf_image::list::read_names;
use yaml_rust2::{Yaml, YamlLoader};

use super::index::{Group, Index, Split};
use super::{Layout, Tree};
use crate::error::DataError;

/// `data.yaml` with `path`, `train`, `val`, `test`, `names`; images in folders `images`, their infrared halves at the same place
/// in `images_ir`, labels in `labels`.
pub(super) const LAYOUT: Layout = Layout {
    name: "yolo",
    looks_for: "data.yaml (train, val, names); images in folders images, infrared at the same place in images_ir, texts in labels",
    is: |tree| description(tree).is_some(),
    read,
};

/// Folders of infrared twins, in the order in which they are looked for.
const TWINS: [&str; 4] = ["images_ir", "images_infrared", "images_thermal", "infrared"];

/// The splits that a description can name.
const SPLITS: [&str; 3] = ["train", "val", "test"];

fn description(tree: &Tree) -> Option<PathBuf> {
    ["data.yaml", "data.yml", "dataset.yaml"].into_iter().find(|name| tree.has_file(name)).map(|name| tree.at(name))
}

fn read(tree: &Tree) -> Result<Index, DataError> {
    let path = description(tree).unwrap_or_else(|| tree.at("data.yaml"));
    let wrong = |expected: &'static str, found: String| DataError::Description { path: path.clone(), expected, found };
    let text = std::fs::read_to_string(&path)
        .map_err(|source| caf_image::ImageError::Read { path: path.clone(), source })?;
    let documents = YamlLoader::load_from_str(text.trim_start_matches('\u{feff}'));
    let documents = documents.map_err(|error| wrong("YAML", error.to_string()))?;
    let about = documents.first().ok_or_else(|| wrong("a description in YAML", "nothing".to_owned()))?;
    let classes = names_of(&about["names"]).map_err(|found| wrong("`names`, a list of class names or 0: NAME, …", found))?;
    let mut index = Index { classes, ..Index::default() };

    let base = base_of(tree, about);
    let mut groups: Vec<Group> = Vec::new();
    let mut listed = Vec::new();
    for split in SPLITS {
        for place in places(&about[split]) {
            let at = base.join(place);
            if at.is_dir() {
                add(&mut groups, &at, Some(split)).ok_or_else(|| wrong(IMAGES, format!("{split}: {place}")))?;
            } else if at.is_file() {
                for line in read_names(&at)? {
                    let image = base.join(line.name.trim_start_matches("./"));
                    let (Some(folder), Some(stem)) = (image.parent(), image.file_stem().and_then(|s| s.to_str())) else {
                        continue;
                    };
                    add(&mut groups, folder, None).ok_or_else(|| wrong(IMAGES, format!("{}: {}", at.display(), line.name)))?;
                    listed.push((split, stem.to_owned()));
                }
            } else {
                return Err(wrong("folders or lists of images that exist", format!("{split}: {place}")));
            }
        }
    }
    if groups.is_empty() {
        return Err(wrong("`train`, `val` or `test`, folders of images", "none of them".to_owned()));
    }
    index.add_groups(&groups)?;
    let mut lists: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (split, name) in listed {
        lists.entry(split).or_default().push(name);
    }
    index.splits.extend(lists.into_iter().map(|(name, pairs)| Split { name: name.to_owned(), pairs }));
    Ok(index)
}

const IMAGES: &str = "images below a folder `images`, whose place `images_ir` and `labels` take";

/// The folder that the description's paths begin at: `path`, relative to the file; where that leads nowhere (it is often that of
/// the publisher's machine), the file's own folder.
fn base_of(tree: &Tree, about: &Yaml) -> PathBuf {
    let stated = about["path"].as_str().map(|path| tree.root().join(path)).filter(|path| path.is_dir());
    stated.unwrap_or_else(|| tree.root().to_owned())
}

/// One place, or a list of them.
fn places(yaml: &Yaml) -> Vec<&str> {
    match yaml {
        Yaml::Array(all) => all.iter().filter_map(Yaml::as_str).collect(),
        other => other.as_str().into_iter().collect(),
    }
}

/// Class names by number.
fn names_of(yaml: &Yaml) -> Result<Vec<String>, String> {
    let name = |yaml: &Yaml| match yaml {
        Yaml::String(name) => Ok(name.clone()),
        Yaml::Integer(number) => Ok(number.to_string()),
        Yaml::Boolean(word) => Ok(word.to_string()),
        other => Err(format!("{other:?}")),
    };
    match yaml {
        Yaml::Array(names) => names.iter().map(name).collect(),
        Yaml::Hash(names) => {
            let mut numbered = BTreeMap::new();
            for (number, yaml) in names {
                let number = number.as_i64().ok_or_else(|| format!("the number {number:?}"))?;
                numbered.insert(number, name(yaml)?);
            }
            let gapless = numbered.keys().copied().eq(0..numbered.len() as i64);
            if gapless { Ok(numbered.into_values().collect()) } else { Err("numbers with gaps".to_owned()) }
        }
        Yaml::BadValue => Err("no `names`".to_owned()),
        other => Err(format!("{other:?}")),
    }
}

/// Adds a folder of visible images, or only another split of one that is there; `None` when it is not below `images`.
fn add(groups: &mut Vec<Group>, images: &Path, split: Option<&str>) -> Option<()> {
    // `.` and a closing `/` say nothing.
    let vi: PathBuf = images.components().filter(|part| *part != Component::CurDir).collect();
    let known = match groups.iter().position(|group| group.vi == vi) {
        Some(known) => known,
        None => {
            let twin = |name: &str| replaced(&vi, name);
            let ir = TWINS.iter().filter_map(|name| twin(name)).find(|path| path.is_dir()).or_else(|| twin("images_ir"))?;
            groups.push(Group { ir, yolo: Some(twin("labels")?), vi, ..Group::default() });
            groups.len() - 1
        }
    };
    let splits = &mut groups.get_mut(known)?.splits;
    splits.extend(split.filter(|split| !splits.iter().any(|s| s == split)).map(str::to_owned));
    Some(())
}

/// The path with its last folder `images` replaced; `None` without one.
fn replaced(path: &Path, by: &str) -> Option<PathBuf> {
    let parts: Vec<Component<'_>> = path.components().collect();
    let at = parts.iter().rposition(|part| part.as_os_str() == "images")?;
    Some(parts.iter().enumerate().map(|(i, part)| if i == at { by.as_ref() } else { part.as_os_str() }).collect())
}
