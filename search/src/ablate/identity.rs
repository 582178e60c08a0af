//! Whether a folder belongs to the study at hand.

use super::contender::{Contender, Source};
use super::folder::files;
use super::study::Study;
use crate::error::SearchError;
use crate::file::{write_text, write_toml};
use crate::run_settings::DataSettings;
use crate::search::SearchConfig;
use crate::state::{StateError, differing, fingerprint};
use caf_data::{Dataset, DatasetOptions, Need};
use caf_file::Sha256Hash;
use caf_fusion_loss::LossConfig;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Settings that may change without changing a row, beside lists that may grow.
const FREE: [&str; 13] = [
    "/seeds",
    "/protocols",
    "/methods",
    "/networks",
    "/compare",
    "/run",
    "/search",
    "/data/root",
    "/data/cache_mib",
    "/data/workers",
    "/fusion/save_every",
    "/p1/train/save_every",
    "/p2/save_every",
];

/// What rows rest on: settings, contents of files in place of their names, and what each method is.
///
/// # Errors
/// When a file or the data set cannot be read.
fn identity(study: &Study, contenders: &[Contender]) -> Result<Value, SearchError> {
    let mut settings = serde_json::to_value(study).unwrap_or_default();
    for pointer in FREE {
        remove(&mut settings, pointer);
    }
    let mut hashed = Map::new();
    let vgg = study.loss.vgg.as_ref().map(|vgg| &vgg.file);
    let files = [
        ("/loss/vgg/file", vgg),
        ("/p1/weights", study.p1.weights.as_ref()),
        ("/fusion/init", study.fusion.init.as_ref()),
    ];
    for (pointer, path) in files.into_iter().filter_map(|(pointer, path)| Some((pointer, path?))) {
        remove(&mut settings, pointer);
        hashed.insert(pointer.trim_start_matches('/').replace('/', "."), hash(path)?.into());
    }
    if study.scenes.is_none() {
        for (name, list) in [("data.train", &study.data.train), ("data.val", &study.data.val)] {
            hashed.insert(name.to_owned(), fingerprint(&with_boxes(&study.data, list.as_deref())?).into());
        }
    }
    let mut methods = Map::new();
    for contender in contenders {
        let mut what = match &contender.source {
            Source::Image(image) => json!({ "image": image.name }),
            Source::Network(path) => json!({ "network": hash(path)? }),
            Source::Beta(beta) => {
                let mut loss = beta.loss.clone();
                if let Some(vgg) = &mut loss.vgg {
                    vgg.file = PathBuf::new();
                }
                let weights: Map<String, Value> = beta.weights.iter().map(|(k, v)| (k.clone(), (*v).into())).collect();
                json!({ "weights": weights, "loss": LossConfig::spelled_out(&loss) })
            }
            Source::Search(search) => {
                // The pairs are those of the study.
                let config = study.search_config(search, 1, DataSettings::default(), contender.network.as_ref())?;
                json!({ "search": search_identity(&config) })
            }
        };
        if let (Some(network), Some(what)) = (&contender.network, what.as_object_mut()) {
            what.insert("fusion_network".to_owned(), serde_json::to_value(network).unwrap_or_default());
        }
        methods.insert(contender.name.clone(), what);
    }
    Ok(json!({ "settings": settings, "files": hashed, "methods": methods }))
}

/// The pairs of a list with the boxes that they have.
fn with_boxes(data: &DataSettings, list: Option<&Path>) -> Result<Dataset, SearchError> {
    let (labels, masks) = (Need::Optional, Need::Optional);
    let (list, layout, ir_range) = (list.map(Path::to_owned), data.layout.clone(), data.ir_range);
    Ok(Dataset::open(&data.root, &DatasetOptions { list, labels, masks, ir_range, layout })?)
}

fn remove(value: &mut Value, pointer: &str) {
    if let Some((parent, last)) = pointer.rsplit_once('/')
        && let Some(map) = value.pointer_mut(parent).and_then(Value::as_object_mut)
    {
        map.remove(last);
    }
}

fn hash(path: &Path) -> Result<String, SearchError> {
    Ok(format!("{:.16}", Sha256Hash::of_file(path).map_err(SearchError::io("read", path))?))
}

/// Makes the folder that of the study, or sees that it is. Methods, seeds and protocols may have been added or left out; what a row
/// rests on must be as it was. Only the owner of the study's lock may call this.
///
/// # Errors
/// [`SearchError::State`] with all that differs.
pub(super) fn claim(folder: &Path, study: &Study, contenders: &[Contender]) -> Result<(), SearchError> {
    let path = folder.join(files::IDENTITY);
    let mut now = identity(study, contenders)?;
    if let Some(saved) = read_identity(&path)? {
        let saved = with_defaults(saved);
        let mut found = Vec::new();
        for part in ["settings", "files"] {
            differing("", &saved[part], &now[part], &mut found);
        }
        let (Some(before), Some(methods)) = (saved["methods"].as_object(), now["methods"].as_object_mut()) else {
            return Err(StateError::unusable(&path, "expected the methods of a study, found none").into());
        };
        for (name, method) in before {
            match methods.get(name) {
                Some(same) => differing(&format!("method {name}"), method, same, &mut found),
                // Its rows are still there.
                None => {
                    methods.insert(name.clone(), method.clone());
                }
            }
        }
        if !found.is_empty() {
            return Err(StateError::Foreign { path: folder.join(files::STUDY), differing: found }.into());
        }
    }
    let text = serde_json::to_string_pretty(&now).map_err(|source| SearchError::Json { path: path.clone(), source })?;
    write_text(&path, &text)?;
    write_toml(&folder.join(files::STUDY), study)
}

/// What an earlier version saved, with the defaults of settings that it did not know: they are what it did.
fn with_defaults(mut saved: Value) -> Value {
    let mut settings = serde_json::to_value(Study::default()).unwrap_or_default();
    FREE.into_iter().chain(["/p1", "/p2", "/methods"]).for_each(|pointer| remove(&mut settings, pointer));
    fill(&mut saved["settings"], &settings);
    let loss = serde_json::to_value(LossConfig::default()).unwrap_or_default();
    let search = search_identity(&SearchConfig::default());
    for method in saved["methods"].as_object_mut().into_iter().flat_map(|methods| methods.values_mut()) {
        for (name, defaults) in [("loss", &loss), ("search", &search)] {
            if let Some(part) = method.get_mut(name) {
                fill(part, defaults);
            }
        }
    }
    saved
}

/// Adds what is absent, but nothing to a table of another kind.
fn fill(value: &mut Value, defaults: &Value) {
    let (Some(map), Some(defaults)) = (value.as_object_mut(), defaults.as_object()) else { return };
    if map.get("kind") != defaults.get("kind") {
        return;
    }
    for (key, default) in defaults {
        match map.get_mut(key) {
            Some(value) => fill(value, default),
            None => {
                map.insert(key.clone(), default.clone());
            }
        }
    }
}

fn search_identity(config: &SearchConfig) -> Value {
    let mut search = serde_json::to_value(config).unwrap_or_default();
    let data = ["/data/root", "/data/train", "/data/val", "/data/cache_mib", "/data/workers"];
    let run = ["/run/seed", "/run/device", "/run/threads", "/run/save_every"];
    for pointer in data.into_iter().chain(run).chain(["/loss/vgg/file"]) {
        remove(&mut search, pointer);
    }
    search
}

fn read_identity(path: &Path) -> Result<Option<Value>, SearchError> {
    match std::fs::read(path) {
        Ok(bytes) => {
            let json = |source| SearchError::Json { path: path.to_owned(), source };
            Ok(Some(serde_json::from_slice(&bytes).map_err(json)?))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(SearchError::io("read", path)(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Folder;
    use crate::settings::load;
    use caf_geometry::Size;

    #[test]
    fn a_folder_of_an_earlier_version_has_the_defaults_of_what_that_did_not_know() {
        let folder = tempfile::tempdir().unwrap();
        let methods = r#"methods=["uniform", { name = "found", preset = "settled" }]"#;
        let set = [methods, "scenes.count=8", "metrics=true"].map(str::to_owned);
        let study: Study = load(None, &set).unwrap();
        let all = study.contenders().unwrap();
        claim(folder.path(), &study, &all).unwrap();
        let path = folder.path().join(files::IDENTITY);
        let mut saved = read_identity(&path).unwrap().unwrap();
        for pointer in [
            "/settings/loss/weighting",
            "/settings/fusion/network",
            "/methods/uniform/loss/saliency",
            "/methods/found/search/beta/decay",
        ] {
            assert!(saved.pointer(pointer).is_some(), "{pointer}: {saved}");
            remove(&mut saved, pointer);
        }
        std::fs::write(&path, saved.to_string()).unwrap();
        claim(folder.path(), &study, &all).unwrap();
        // What is no default is not taken for granted.
        remove(&mut saved, "/methods/found/search/beta/freeze_iterations");
        saved["settings"]["metrics"] = false.into();
        std::fs::write(&path, saved.to_string()).unwrap();
        let text = claim(folder.path(), &study, &all).unwrap_err().to_string();
        for part in ["metrics: saved false, now true", "method found.search.beta.freeze_iterations: saved 0, now 160"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn other_boxes_are_other_pairs_and_another_place_is_not() {
        let (pairs, folder) = (Folder::new(3, Size::new(40, 30)), tempfile::tempdir().unwrap());
        std::fs::write(pairs.path().join("train.txt"), "scene0\nscene1\n").unwrap();
        std::fs::write(pairs.path().join("val.txt"), "scene2\n").unwrap();
        let claimed = |root: &Path| {
            let mut study: Study = load(None, &["methods=[\"max\"]".to_owned()]).unwrap();
            study.data.root = root.to_owned();
            claim(folder.path(), &study, &study.contenders().unwrap())
        };
        claimed(pairs.path()).unwrap();
        claimed(&pairs.path().join(".")).unwrap();
        std::fs::write(pairs.path().join("labels/scene2.txt"), "0 0.5 0.5 0.1 0.1\n").unwrap();
        let text = claimed(pairs.path()).unwrap_err().to_string();
        assert!(text.contains("data.val: saved") && !text.contains("data.train: saved"), "{text}");
    }
}
