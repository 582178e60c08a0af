//! The folder of a whole run: what it rests on, and which of its steps are done.

use super::settings::{ChainConfig, Steps};
use crate::error::SearchError;
use crate::file::{write_text, write_toml};
use crate::run_settings::{DataSettings, RunSettings};
use crate::state::{StateError, differing, fingerprint};
use caf_file::Sha256Hash;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Names in the folder of a whole run.
pub mod files {
    /// The settings as they were given.
    pub const CONFIG: &str = "run.toml";
    /// What the results rest on, for the comparison with a later call.
    pub const IDENTITY: &str = "run.json";
    /// Which steps are done.
    pub const STEPS: &str = "steps.json";
    /// Rendered pairs.
    pub const SCENES: &str = "scenes";
    /// Folder of the search.
    pub const SEARCH: &str = "search";
    /// Folder of the fusion network's training.
    pub const FUSION: &str = "fusion";
    /// Folder of fused images.
    pub const FUSED: &str = "fused";
    /// Folder of the task network's training.
    pub const TASK: &str = "task";
    /// Folder of the measurement.
    pub const EVALUATION: &str = "evaluation";
    /// The measurement, in its folder.
    pub const REPORT: &str = "evaluation.json";
    /// The page.
    pub const PAGE: &str = "report.html";
}

/// A step that is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Done {
    /// How long it took, seconds, without what came before an interruption.
    pub seconds: f64,
    /// Hash of its result; none of a folder of images.
    pub result: Option<String>,
}

/// The steps that are done, by their folders.
#[derive(Debug)]
pub(super) struct Progressed {
    path: PathBuf,
    steps: BTreeMap<String, Done>,
}

impl Progressed {
    /// What a folder says.
    pub fn open(folder: &Path) -> Result<Self, SearchError> {
        let path = folder.join(files::STEPS);
        let steps = read_json(&path)?.unwrap_or_default();
        Ok(Progressed { path, steps })
    }

    /// A step that is done, whose `result` is still what it was.
    ///
    /// # Errors
    /// [`StateError::Unusable`] when it is another file, or none.
    pub fn of(&self, step: &str, result: Option<&Path>) -> Result<Option<&Done>, SearchError> {
        let Some(done) = self.steps.get(step) else { return Ok(None) };
        if let (Some(saved), Some(path)) = (&done.result, result) {
            let now = if path.exists() { hash(path)? } else { "none".to_owned() };
            if *saved != now {
                let what =
                    format!("expected what the step `{step}` left (SHA-256 {saved}), found {now}; give another --out");
                return Err(StateError::unusable(path, what).into());
            }
        }
        Ok(Some(done))
    }

    /// Writes down that a step is done.
    pub fn add(&mut self, step: &str, seconds: f64, result: Option<&Path>) -> Result<(), SearchError> {
        let result = result.map(hash).transpose()?;
        self.steps.insert(step.to_owned(), Done { seconds, result });
        write_json(&self.path, &self.steps)
    }
}

fn hash(path: &Path) -> Result<String, SearchError> {
    Ok(format!("{:.16}", Sha256Hash::of_file(path).map_err(SearchError::io("read", path))?))
}

/// Reads JSON; none when the file is not there.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, SearchError> {
    match std::fs::read(path) {
        Ok(bytes) => {
            let refuse = |source| SearchError::Json { path: path.to_owned(), source };
            Ok(Some(serde_json::from_slice(&bytes).map_err(refuse)?))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(SearchError::io("read", path)(e)),
    }
}

/// Writes JSON.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), SearchError> {
    let text = serde_json::to_string_pretty(value);
    write_text(path, &text.map_err(|source| SearchError::Json { path: path.to_owned(), source })?)
}

/// The settings that results rest on: those of each step without what may change between a stop and a resume.
fn settings(config: &ChainConfig, steps: &Steps) -> Value {
    let mut all = serde_json::to_value(steps).unwrap_or_default();
    for step in ["search", "train_fusion", "train_task"] {
        for key in RunSettings::FREE.iter().chain(&DataSettings::FREE) {
            if let (Some((table, key)), Some(step)) = (key.split_once('.'), all.get_mut(step))
                && let Some(table) = step.get_mut(table).and_then(Value::as_object_mut)
            {
                table.remove(key);
            }
        }
    }
    if let Some(all) = all.as_object_mut() {
        all.insert("scenes".to_owned(), serde_json::to_value(&config.scenes).unwrap_or_default());
    }
    all
}

/// Fingerprints of the pairs and labels that each step sees.
///
/// # Errors
/// When a data set cannot be read.
pub(super) fn prints(steps: &Steps) -> Result<Value, SearchError> {
    let annotated = [Some(steps.search.task.kind().annotation), None, Some(steps.train_task.task.kind().annotation)];
    let data = [&steps.search.data, &steps.train_fusion.data, &steps.train_task.data];
    let mut prints = Map::new();
    for ((step, data), annotation) in ["search", "train_fusion", "train_task"].into_iter().zip(data).zip(annotated) {
        let lists = [("train", Some(data.train.as_deref())), ("val", data.val.as_deref().map(Some))];
        for (name, list) in lists.into_iter().filter_map(|(name, list)| Some((name, list?))) {
            prints.insert(format!("{step}.data.{name}"), fingerprint(&data.open(list, annotation)?).into());
        }
    }
    Ok(prints.into())
}

/// Refuses a folder of other settings, or of other pairs where `prints` are known; true when it is one of this run.
///
/// # Errors
/// [`StateError::Foreign`] with all that differs.
pub(super) fn compare(
    folder: &Path,
    config: &ChainConfig,
    steps: &Steps,
    prints: Option<&Value>,
) -> Result<bool, SearchError> {
    let Some(saved) = read_json::<Value>(&folder.join(files::IDENTITY))? else { return Ok(false) };
    let mut found = Vec::new();
    differing("", &saved["settings"], &settings(config, steps), &mut found);
    if let Some(prints) = prints {
        differing("", &saved["data"], prints, &mut found);
    }
    match found.is_empty() {
        true => Ok(true),
        false => Err(StateError::Foreign { path: folder.join(files::CONFIG), differing: found }.into()),
    }
}

/// Makes the folder that of a run.
pub(super) fn claim(folder: &Path, config: &ChainConfig, steps: &Steps, prints: &Value) -> Result<(), SearchError> {
    write_toml(&folder.join(files::CONFIG), config)?;
    write_json(&folder.join(files::IDENTITY), &json!({ "settings": settings(config, steps), "data": prints }))
}
