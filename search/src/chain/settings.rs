//! One file of settings for all steps.

use crate::ablate::SceneSettings;
use crate::error::SearchError;
use crate::fusion::FusionTrainConfig;
use crate::run_settings::{DataSettings, require_batch};
use crate::search::{PRESETS, SearchConfig, preset};
use crate::settings::merge;
use crate::task_training::{TaskTrainConfig, files as task_files};
use crate::toml_words::words_of;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use toml::{Table, Value};

/// Everything that decides a whole run; unknown keys are refused, paths are relative to the current folder.
///
/// The tables of a step have the keys of its own command. Beneath them lie those that steps share: `run` and `data` of all three,
/// `fusion` of the search and the fusion network's training, `task` of the search and the task network's training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChainConfig {
    /// Named settings of the search beneath all others.
    pub preset: String,
    /// Pairs to render into the folder of the run, in place of a data set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scenes: Option<SceneSettings>,
    /// Length, batches and machine, of all steps.
    pub run: Table,
    /// Where pairs come from, of all steps.
    pub data: Table,
    /// The fusion network and how it moves.
    pub fusion: Table,
    /// The task and its network.
    pub task: Table,
    /// The search's own settings ([`SearchConfig`]).
    pub search: Table,
    /// Those of the fusion network's training ([`FusionTrainConfig`]); its loss is the one that the search finds.
    pub train_fusion: Table,
    /// Those of the task network's training ([`TaskTrainConfig`]); its images are the fused ones.
    pub train_task: Table,
    /// How the result is measured.
    pub evaluation: EvaluationSettings,
}

/// How the task network is measured on the fused validation pairs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationSettings {
    /// Which of its weights.
    pub network: Judged,
    /// Images in a batch.
    pub batch: usize,
    /// Whether MI, SD, VIF and SCD of the fused images are measured, too.
    pub metrics: bool,
}

/// Which weights of a task training are measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Judged {
    /// Those of its end: pairs that are measured choose nothing.
    #[default]
    Last,
    /// Those of its best validation, which is on the same pairs and so flatters: what most papers report.
    Best,
}

impl Judged {
    /// The file in the folder of a task training.
    pub(super) fn file(self) -> &'static str {
        match self {
            Judged::Last => task_files::LAST,
            Judged::Best => task_files::BEST,
        }
    }
}

impl Default for EvaluationSettings {
    fn default() -> Self {
        EvaluationSettings { network: Judged::Last, batch: 16, metrics: true }
    }
}

impl Default for ChainConfig {
    fn default() -> Self {
        ChainConfig {
            preset: PRESETS[0].name.to_owned(),
            scenes: None,
            run: Table::new(),
            data: Table::new(),
            fusion: Table::new(),
            task: Table::new(),
            search: Table::new(),
            train_fusion: Table::new(),
            train_task: Table::new(),
            evaluation: EvaluationSettings::default(),
        }
    }
}

/// The settings of each step in full; what comes from an earlier step is put in when its turn comes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Steps {
    /// Of the search.
    pub search: SearchConfig,
    /// Of the fusion network's training.
    pub train_fusion: FusionTrainConfig,
    /// Of the task network's training.
    pub train_task: TaskTrainConfig,
    /// Of the measurement.
    pub evaluation: EvaluationSettings,
}

impl Steps {
    /// The data of the three trainings, by the names of their tables.
    pub(super) fn data(&mut self) -> [&mut DataSettings; 3] {
        [&mut self.search.data, &mut self.train_fusion.data, &mut self.train_task.data]
    }
}

impl ChainConfig {
    /// The settings of each step: its defaults, changed by the preset (of the search), by what is shared, by its own.
    ///
    /// # Errors
    /// [`SearchError::Config`] with the step and the first key that is unknown or of another type; [`SearchError::Setting`] for a
    /// value out of its range, and for what another step or the rendered scenes decide.
    pub fn resolve(&self) -> Result<Steps, SearchError> {
        let of_steps =
            [("search", &self.search), ("train_fusion", &self.train_fusion), ("train_task", &self.train_task)];
        for (table, key, name, origin) in [
            (&self.train_fusion, "beta", "train_fusion.beta", "the loss is the one that the search finds"),
            (&self.train_task, "images", "train_task.images", "the images are the fused ones"),
        ] {
            if let Some(found) = table.get(key) {
                let expected = format!("nothing: {origin}");
                return Err(SearchError::Setting { name, expected, found: found.to_string() });
            }
        }
        let roots = of_steps.iter().filter_map(|(_, table)| table.get("data")).filter_map(Value::as_table);
        if let (Some(_), Some(found)) = (&self.scenes, roots.chain([&self.data]).find_map(|data| data.get("root"))) {
            let (expected, found) = ("none beside [scenes], which are rendered".to_owned(), found.to_string());
            return Err(SearchError::Setting { name: "data.root", expected, found });
        }
        let (run, data, fusion, task) =
            (("run", &self.run), ("data", &self.data), ("fusion", &self.fusion), ("task", &self.task));
        let steps = Steps {
            search: step("search", preset(&self.preset)?, &[run, data, fusion, task], &self.search)?,
            train_fusion: step("train_fusion", Table::new(), &[run, data, fusion], &self.train_fusion)?,
            train_task: step("train_task", Table::new(), &[run, data, task], &self.train_task)?,
            evaluation: self.evaluation,
        };
        let within = |name: &str, checked: Result<(), SearchError>| {
            checked.map_err(|error| match error {
                error @ (SearchError::Setting { .. } | SearchError::Config { .. }) => {
                    SearchError::Config { path: place(name), message: error.to_string() }
                }
                error => error,
            })
        };
        within("search", steps.search.check())?;
        within("train_fusion", steps.train_fusion.check())?;
        within("train_task", steps.train_task.check())?;
        require_batch("evaluation.batch", self.evaluation.batch)?;
        Ok(steps)
    }
}

/// How errors name the table of a step.
fn place(name: &str) -> PathBuf {
    PathBuf::from(format!("settings of [{name}]"))
}

/// The settings of a step: defaults, preset, what it shares with others, its own.
fn step<T: DeserializeOwned + Serialize + Default>(
    name: &str,
    preset: Table,
    shared: &[(&str, &Table)],
    own: &Table,
) -> Result<T, SearchError> {
    let refuse = |message: String| SearchError::Config { path: place(name), message };
    let mut table = Table::try_from(T::default()).map_err(|error| refuse(error.to_string()))?;
    merge(&mut table, preset);
    for (key, part) in shared {
        merge(&mut table, Table::from_iter([((*key).to_owned(), Value::Table((*part).clone()))]));
    }
    merge(&mut table, own.clone());
    Value::Table(table).try_into().map_err(|error| refuse(words_of(&error, "")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_geometry::Size;

    fn resolved(text: &str) -> Result<Steps, SearchError> {
        toml::from_str::<ChainConfig>(text).unwrap().resolve()
    }

    #[test]
    fn a_step_has_its_own_defaults_then_what_is_shared_then_its_own() {
        let steps = resolved(
            "[run]\nseed = 7\nbatch = 4\n[data]\nroot = \"m3fd\"\n[fusion]\nrate = 1e-3\n[task]\nvariant = \"n\"\n\
             [search.run]\nbatch = 2\n[train_task.data]\nroot = \"other\"\n[train_task.task]\nema = false\n",
        )
        .unwrap();
        let runs = [&steps.search.run, &steps.train_fusion.run, &steps.train_task.run];
        assert_eq!(runs.map(|run| (run.seed, run.batch, run.epochs)), [(7, 2, 10), (7, 4, 100), (7, 4, 50)]);
        assert_eq!(steps.train_task.run.size_px, Size::new(640, 640));
        assert_eq!((steps.search.fusion.rate, steps.train_fusion.fusion.rate), (1e-3, 1e-3));
        assert_eq!(steps.search.data.root, PathBuf::from("m3fd"));
        assert_eq!(steps.train_task.data.root, PathBuf::from("other"));
        let own = |table: &Table, key: &str| table.get(key).cloned().unwrap();
        assert_eq!(own(steps.search.task.table(), "variant"), own(steps.train_task.task.table(), "variant"));
        assert_eq!(own(steps.search.task.table(), "ema"), Value::Boolean(true));
        assert_eq!(own(steps.train_task.task.table(), "ema"), Value::Boolean(false));
        // Another task has other settings, in both.
        let steps = resolved("[task]\nkind = \"segmentation\"\n").unwrap();
        assert!(steps.search.task.kind().kind == "segmentation" && steps.train_task.task.kind().kind == "segmentation");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_step() {
        for (text, words) in [
            ("[train_task.run]\nepoch = 1", ["[train_task]", "`epoch`"]),
            ("[run]\nepoch = 1", ["[search]", "`epoch`"]),
            ("[search.beta]\nrate = -1.0", ["[search]", "beta.rate"]),
            ("[train_fusion.run]\nbatch = 0", ["[train_fusion]", "run.batch"]),
            ("[train_fusion]\nbeta = \"b.toml\"", ["train_fusion.beta", "the search finds"]),
            ("[train_task]\nimages = \"visible\"", ["train_task.images", "fused"]),
            ("[scenes]\n[train_fusion.data]\nroot = \"a\"", ["data.root", "rendered"]),
            ("preset = \"fast\"", ["preset", "settled"]),
            ("[evaluation]\nbatch = 0", ["evaluation.batch", "0"]),
        ] {
            let error = resolved(text).unwrap_err();
            let message = error.to_string();
            assert!(error.is_wrong_call() && words.iter().all(|word| message.contains(word)), "{text}: {message}");
        }
        assert!(toml::from_str::<ChainConfig>("[evaluate]").is_err());
    }
}
