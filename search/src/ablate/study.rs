//! Settings of a study.

use super::contender::{Contender, Source, contenders};
use super::method::{Method, SearchMethod};
use crate::error::SearchError;
use crate::fusion::{FusionTrainConfig, FusionValidation};
use crate::loader::ImageSource;
use crate::run_settings::{DataSettings, FusionSettings, RunSettings, require, require_batch, require_count};
use crate::search::{PRESETS, SearchConfig, preset};
use crate::settings::merge;
use crate::task_training::{TaskTrainConfig, TaskValidation};
use crate::tasks::TaskSettings;
use caf_data::augment::ScaleShiftSettings;
use caf_fusion_loss::LossConfig;
use caf_geometry::Size;
use caf_image::rule::{AVERAGE, INFRARED, Rule, VISIBLE};
use caf_net::zoo::fusion::FusionConfig;
use caf_scene::{Condition, DatasetSpec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::Table;

/// How a method is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// By a frozen task network, the same for all methods, on fused validation pairs. Minutes a row; images like those that the
    /// network was trained on are at an advantage.
    P1,
    /// By a task network that is trained anew on the method's fused training pairs, on its fused validation pairs.
    P2,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Protocol::P1 => "p1",
            Protocol::P2 => "p2",
        })
    }
}

/// Everything that a study works through; unknown keys are refused, paths are relative to the current folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Study {
    /// Seeds of every training: each method is run with each of them.
    pub seeds: Vec<u64>,
    /// How the methods are measured.
    pub protocols: Vec<Protocol>,
    /// Whether fusion metrics (MI, SD, VIF, SCD) of the validation pairs are columns, too.
    pub metrics: bool,
    /// What is compared.
    pub methods: Vec<Method>,
    /// Pairs of methods, or of groups of methods, whose scores are tested for a difference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub compare: Vec<[String; 2]>,
    /// Where it computes.
    pub run: Machine,
    /// Pairs that are rendered into the study's folder, in place of those of `data.root`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scenes: Option<SceneSettings>,
    /// Where pairs come from: `train` is what everything learns from, `val` what is measured on.
    pub data: DataSettings,
    /// What the terms mean. A `beta` file brings its own.
    pub loss: LossConfig,
    /// How fusion networks are trained.
    pub fusion: FusionPart,
    /// Settings of all searches, over which those of a method are put. `task.init = "frozen"` starts from the network of `[p1]`.
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub search: Table,
    /// The frozen task network.
    pub p1: FrozenSettings,
    /// Training of the task network of each method.
    pub p2: TaskPart,
}

/// Where a study computes; the table `[run]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Machine {
    /// `cpu`, `cuda`, `cuda:N` or `auto`.
    pub device: String,
    /// Threads of libtorch on the CPU; 0 leaves the choice to it.
    pub threads: usize,
}

impl Default for Machine {
    fn default() -> Self {
        Machine { device: "auto".to_owned(), threads: 0 }
    }
}

/// Pairs to render; the table `[scenes]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SceneSettings {
    /// Pairs in all, each of a scene of its own.
    pub count: usize,
    /// Seed of the scenes.
    pub seed: u64,
    /// Width and height of both images.
    #[serde(with = "caf_geometry::size::as_pair")]
    pub size_px: Size,
    /// Share of the pairs that go to `val.txt`.
    pub val_share: f64,
    /// Conditions that the scenes go through in turn; all without it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

impl Default for SceneSettings {
    fn default() -> Self {
        SceneSettings { count: 400, seed: 1, size_px: Size::new(256, 192), val_share: 0.25, conditions: Vec::new() }
    }
}

impl SceneSettings {
    pub(super) fn spec(&self) -> DatasetSpec {
        DatasetSpec {
            count: self.count,
            seed: self.seed,
            size: self.size_px,
            conditions: self.conditions.clone(),
            frames_per_scene: 1,
            val_share: self.val_share,
            replace: false,
        }
    }
}

/// How fusion networks are trained; the table `[fusion]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FusionPart {
    /// Iterations.
    pub iterations: usize,
    /// Crops in a batch.
    pub batch: usize,
    /// Width and height of the crops.
    #[serde(with = "caf_geometry::size::as_pair")]
    pub size_px: Size,
    /// Iterations between two checkpoints.
    pub save_every: usize,
    /// Adam's learning rate.
    pub rate: f64,
    /// Share of it left in the last iteration; in between it falls linearly. Without it the rate stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_share: Option<f64>,
    /// Which network.
    pub network: FusionConfig,
    /// Weights to start from; fresh ones without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
}

impl Default for FusionPart {
    fn default() -> Self {
        let FusionSettings { network, rate, final_share, init } = FusionSettings::default();
        FusionPart {
            iterations: 1000,
            batch: 8,
            size_px: Size::new(320, 320),
            save_every: 20,
            rate,
            final_share,
            network,
            init,
        }
    }
}

/// Training of a task network; the tables `[p2]` and `[p1.train]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TaskPart {
    /// Iterations.
    pub iterations: usize,
    /// Images in a batch.
    pub batch: usize,
    /// Width and height of the network's input.
    #[serde(with = "caf_geometry::size::as_pair")]
    pub size_px: Size,
    /// Iterations between two checkpoints.
    pub save_every: usize,
    /// Random views.
    pub augment: ScaleShiftSettings,
    /// The task.
    pub task: TaskSettings,
}

impl Default for TaskPart {
    fn default() -> Self {
        let TaskTrainConfig { run, augment, task, .. } = TaskTrainConfig::default();
        TaskPart { iterations: 1000, batch: run.batch, size_px: run.size_px, save_every: run.save_every, augment, task }
    }
}

/// The frozen task network; the table `[p1]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FrozenSettings {
    /// Its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Width and height of a detector's input; that of its training without it.
    #[serde(with = "caf_geometry::size::as_optional_pair", skip_serializing_if = "Option::is_none")]
    pub size_px: Option<Size>,
    /// In place of a file: it is trained once, as a job of the study, on the training pairs, an equal share of them as each of
    /// `images`, so that no kind of image has a head start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<TaskPart>,
    /// Kinds of images that it is trained on [default: visible, infrared and average].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Rule>,
    /// Seed of its training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

impl FrozenSettings {
    /// Kinds of images that it is trained on.
    pub fn kinds(&self) -> &[Rule] {
        const DEFAULT: [Rule; 3] = [VISIBLE, INFRARED, AVERAGE];
        if self.images.is_empty() { &DEFAULT } else { &self.images }
    }
}

impl Default for Study {
    fn default() -> Self {
        let (train, val) = (Some("train.txt".into()), Some("val.txt".into()));
        Study {
            seeds: vec![1, 2, 3],
            protocols: vec![Protocol::P1],
            metrics: false,
            methods: Vec::new(),
            compare: Vec::new(),
            run: Machine::default(),
            scenes: None,
            data: DataSettings { train, val, ..DataSettings::default() },
            loss: LossConfig::default(),
            fusion: FusionPart::default(),
            search: Table::new(),
            p1: FrozenSettings::default(),
            p2: TaskPart::default(),
        }
    }
}

/// The word in `task.init` of a search that stands for the frozen network of the study.
const FROZEN: &str = "frozen";

/// Whether the task network of a search starts as the frozen one.
pub(super) fn starts_frozen(config: &SearchConfig) -> bool {
    config.task.table().get("init").and_then(toml::Value::as_str) == Some(FROZEN)
}

impl Study {
    /// Refuses settings out of range and methods that cannot be; the methods one by one. Files of losses are read.
    ///
    /// # Errors
    /// [`SearchError::Setting`] with the name and the value, and those of the parts.
    pub fn check(&self) -> Result<Vec<Contender>, SearchError> {
        let distinct = |n: usize, all: usize| n > 0 && n == all;
        let seeds: BTreeSet<_> = self.seeds.iter().collect();
        let found = format!("{:?}", self.seeds);
        require("seeds", distinct(seeds.len(), self.seeds.len()), "one or more, all different", found)?;
        let protocols: BTreeSet<_> = self.protocols.iter().collect();
        let found = format!("{:?}", self.protocols);
        require("protocols", distinct(protocols.len(), self.protocols.len()), "`p1`, `p2` or both", found)?;
        self.data.check()?;
        for (name, list) in [("data.train", &self.data.train), ("data.val", &self.data.val)] {
            require(name, list.is_some(), "a list of names", "none")?;
        }
        if self.scenes.is_some() {
            let own = self.data.root == DataSettings::default().root;
            require("data.root", own, "none beside [scenes], which are rendered", self.data.root.display())?;
        }
        let contenders = self.contenders()?;
        self.fusion_config(Path::new("beta.toml"), 1, self.data.clone()).check()?;
        let mut needs_frozen = self.protocols.contains(&Protocol::P1);
        for contender in &contenders {
            if let Source::Search(search) = &contender.source {
                let config = self.search_config(search, 1, self.data.clone())?;
                config.check()?;
                needs_frozen |= starts_frozen(&config);
            }
        }
        if needs_frozen {
            let one = self.p1.weights.is_some() != self.p1.train.is_some();
            let found = if self.p1.train.is_some() { "both" } else { "neither" };
            require("p1", one, "either `weights` or `train`", found)?;
            if let Some(train) = &self.p1.train {
                self.task_config(train, ImageSource::Visible, 1, self.data.clone()).check()?;
            }
        }
        if self.protocols.contains(&Protocol::P2) {
            self.task_config(&self.p2, ImageSource::Visible, 1, self.data.clone()).check()?;
        }
        for part in [Some(&self.p2), self.p1.train.as_ref()].into_iter().flatten() {
            require_count("iterations", part.iterations)?;
            require_batch("batch", part.batch)?;
        }
        Ok(contenders)
    }

    /// The methods one by one.
    ///
    /// # Errors
    /// As [`contenders`].
    pub fn contenders(&self) -> Result<Vec<Contender>, SearchError> {
        contenders(&self.methods, &self.loss, &self.compare)
    }

    /// The training of a fusion network with a loss.
    pub(super) fn fusion_config(&self, beta: &Path, seed: u64, data: DataSettings) -> FusionTrainConfig {
        let FusionPart { iterations, batch, size_px, save_every, rate, final_share, network, init } =
            self.fusion.clone();
        FusionTrainConfig {
            beta: beta.to_owned(),
            run: self.run_settings([iterations, batch, save_every], size_px, seed),
            data: DataSettings { val: None, ..data },
            validation: FusionValidation::default(),
            vgg: None,
            teacher: None,
            fusion: FusionSettings { network, rate, final_share, init },
        }
    }

    /// The training of a task network on images.
    pub(super) fn task_config(
        &self,
        part: &TaskPart,
        images: ImageSource,
        seed: u64,
        data: DataSettings,
    ) -> TaskTrainConfig {
        let TaskPart { iterations, batch, size_px, save_every, augment, task } = part.clone();
        TaskTrainConfig {
            images,
            run: self.run_settings([iterations, batch, save_every], size_px, seed),
            data,
            augment,
            task,
            // Its end alone: nothing is chosen on pairs that are measured later.
            validation: TaskValidation { every: Some(iterations), ..TaskValidation::default() },
        }
    }

    /// A search with the settings of a method. It halves the training pairs, so that it sees none that is measured later.
    ///
    /// # Errors
    /// [`SearchError::Setting`] for settings that a search does not know, and for those that the study decides.
    pub(super) fn search_config(
        &self,
        method: &SearchMethod,
        seed: u64,
        data: DataSettings,
    ) -> Result<SearchConfig, SearchError> {
        let Machine { device, threads } = self.run.clone();
        let start = SearchConfig {
            run: RunSettings { seed, device, threads, ..RunSettings::default() },
            data: DataSettings { val: None, ..data },
            loss: self.loss.clone(),
            ..SearchConfig::default()
        };
        let refuse = |found: String| SearchError::Setting {
            name: "search",
            expected: "settings of a search".to_owned(),
            found: found.trim_end().to_owned(),
        };
        let mut whole = Table::try_from(&start).map_err(|e| refuse(e.to_string()))?;
        merge(&mut whole, preset(method.preset.as_deref().unwrap_or(PRESETS[0].name))?);
        merge(&mut whole, self.search.clone());
        merge(&mut whole, method.settings.clone());
        let config: SearchConfig =
            toml::Value::Table(whole).try_into().map_err(|e: toml::de::Error| refuse(e.to_string()))?;
        let decided = |c: &SearchConfig| {
            let RunSettings { seed, device, threads, .. } = &c.run;
            (*seed, device.clone(), *threads, c.data.root.clone(), c.data.train.clone(), c.data.val.clone())
        };
        let same = decided(&config) == decided(&start);
        let expected = "settings of the search alone: the study decides run.seed, run.device, run.threads, data.root, \
                        data.train, data.val";
        require("search", same, expected, &method.settings)?;
        Ok(config)
    }

    fn run_settings(&self, [iterations, batch, save_every]: [usize; 3], size_px: Size, seed: u64) -> RunSettings {
        let Machine { device, threads } = self.run.clone();
        let iterations = Some(iterations);
        RunSettings { seed, device, threads, iterations, batch, size_px, save_every, ..RunSettings::default() }
    }
}
