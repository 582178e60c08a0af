//! The folder of a study: what lies where, who may write, and whether it belongs to the settings at hand.

use super::method::{Contender, Source};
use super::study::Study;
use crate::error::SearchError;
use crate::file::{make_folder, write_text, write_toml};
use crate::lock::FolderLock;
use crate::run_settings::DataSettings;
use crate::state::{StateError, differing, fingerprint};
use caf_console::{Progress, StopFlag};
use caf_fusion_loss::LossConfig;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// Names in the folder of a study.
pub mod files {
    /// The resolved settings.
    pub const STUDY: &str = "study.toml";
    /// What the rows rest on, for the comparison with a later call.
    pub const IDENTITY: &str = "study.json";
    /// A row for every job that is done.
    pub const ROWS: &str = "rows.csv";
    /// Rendered pairs.
    pub const SCENES: &str = "scenes";
    /// The frozen task network, where the study trains it.
    pub const FROZEN: &str = "frozen.safetensors";
    /// Folders of methods: losses and networks that are kept, and the work in progress.
    pub const CELLS: &str = "cells";
}

/// Time between two looks at a lock that another process has.
const POLL: Duration = Duration::from_millis(100);

/// Waits for the right to write what all jobs share.
///
/// # Errors
/// [`SearchError::Interrupted`] when asked to stop meanwhile; when the folder cannot be made.
pub(super) fn wait_for(
    folder: &Path,
    progress: &dyn Progress,
    stop: &StopFlag,
) -> Result<Option<FolderLock>, SearchError> {
    make_folder(folder)?;
    loop {
        match FolderLock::take(folder, progress) {
            Err(SearchError::InUse { .. }) if stop.is_raised() => return Err(SearchError::Interrupted),
            Err(SearchError::InUse { .. }) => sleep(POLL),
            taken => return taken,
        }
    }
}

/// The data of a study, which may be its own.
pub(super) fn data(study: &Study, folder: &Path) -> DataSettings {
    match study.scenes {
        Some(_) => DataSettings { root: folder.join(files::SCENES), ..study.data.clone() },
        None => study.data.clone(),
    }
}

/// Settings that may change without changing a row, beside lists that may grow.
const FREE: [&str; 12] = [
    "/seeds",
    "/protocols",
    "/methods",
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
            hashed.insert(name.to_owned(), fingerprint(&study.data.open(list.as_deref(), None)?).into());
        }
    }
    let mut methods = Map::new();
    for contender in contenders {
        let what = match &contender.source {
            Source::Image(image) => json!({ "image": image }),
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
                let mut config = study.search_config(search, 1, DataSettings::default())?;
                config.data = DataSettings::default();
                let mut search = serde_json::to_value(config).unwrap_or_default();
                for pointer in ["/run/seed", "/run/device", "/run/threads", "/loss/vgg/file"] {
                    remove(&mut search, pointer);
                }
                json!({ "search": search })
            }
        };
        methods.insert(contender.name.clone(), what);
    }
    Ok(json!({ "settings": settings, "files": hashed, "methods": methods }))
}

fn remove(value: &mut Value, pointer: &str) {
    if let Some((parent, last)) = pointer.rsplit_once('/')
        && let Some(map) = value.pointer_mut(parent).and_then(Value::as_object_mut)
    {
        map.remove(last);
    }
}

fn hash(path: &Path) -> Result<String, SearchError> {
    let bytes = std::fs::read(path).map_err(SearchError::io("read", path))?;
    Ok(Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect())
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

/// Renders the pairs of a study that has its own. Only the owner of the study's lock may call this.
///
/// # Errors
/// Those of rendering.
pub(super) fn render(folder: &Path, study: &Study, progress: &dyn Progress) -> Result<(), SearchError> {
    let root = folder.join(files::SCENES);
    // The folder appears complete or not at all.
    if let Some(scenes) = study.scenes.as_ref().filter(|_| !root.exists()) {
        progress.say(&format!("rendering {} pairs into {}", scenes.count, root.display()));
        caf_scene::write_dataset(&root, &scenes.spec(), &|_| {})?;
    }
    Ok(())
}
