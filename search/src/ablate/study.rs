//! Settings of a study.

use super::contender::{Contender, Source, contenders};
use super::method::{Method, SearchMethod};
use super::networks::{FROZEN, Networks};
use super::parts::{FrozenSettings, FusionPart, Machine, SceneSettings, TaskPart};
use crate::error::SearchError;
use crate::fusion::{FusionTrainConfig, FusionValidation};
use crate::loader::ImageSource;
use crate::run_settings::{DataSettings, FusionSettings, RunSettings, require, require_batch, require_count};
use crate::search::{PRESETS, SearchConfig, preset};
use crate::settings::merge;
use crate::task_training::{TaskTrainConfig, TaskValidation};
use caf_fusion_loss::LossConfig;
use caf_geometry::Size;
use caf_net::zoo::fusion::FusionConfig;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
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
    /// Fusion networks, in place of `fusion.network`: every method that trains is one for each of them, called by its kind and the method's
    /// name, such as `reconet-uniform`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<FusionConfig>,
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

impl Default for Study {
    fn default() -> Self {
        let (train, val) = (Some("train.txt".into()), Some("val.txt".into()));
        Study {
            seeds: vec![1, 2, 3],
            protocols: vec![Protocol::P1],
            metrics: false,
            methods: Vec::new(),
            networks: Vec::new(),
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
        let own = self.networks.is_empty() || self.fusion.init.is_none();
        require("fusion.init", own, "none beside networks, each of which starts fresh", "a file")?;
        let networks: Vec<_> = match self.networks.as_slice() {
            [] => vec![None],
            several => several.iter().map(Some).collect(),
        };
        for network in networks {
            self.fusion_config(Path::new("beta.toml"), 1, self.data.clone(), network).check()?;
        }
        let mut needs_frozen = self.protocols.contains(&Protocol::P1);
        for contender in &contenders {
            if let Source::Search(search) = &contender.source {
                let config = self.search_config(search, 1, self.data.clone(), contender.network.as_ref())?;
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
        let networks = Networks { each: &self.networks, usual: &self.fusion.network };
        contenders(&self.methods, &self.loss, &self.compare, networks)
    }

    /// The training of a fusion network with a loss; of `fusion.network` unless another is given.
    pub(super) fn fusion_config(
        &self,
        beta: &Path,
        seed: u64,
        data: DataSettings,
        network: Option<&FusionConfig>,
    ) -> FusionTrainConfig {
        let part = self.fusion.clone();
        let FusionPart { iterations, batch, size_px, save_every, rate, final_share, init, .. } = part;
        let network = network.cloned().unwrap_or(part.network);
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

    /// A search with the settings of a method, for that network where one is given. It halves the training pairs, so that it sees none that is measured later.
    ///
    /// # Errors
    /// [`SearchError::Setting`] for settings that a search does not know, and for those that the study decides.
    pub(super) fn search_config(
        &self,
        method: &SearchMethod,
        seed: u64,
        data: DataSettings,
        network: Option<&FusionConfig>,
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
        let mut config: SearchConfig =
            toml::Value::Table(whole).try_into().map_err(|e: toml::de::Error| refuse(e.to_string()))?;
        let decided = |c: &SearchConfig| {
            let RunSettings { seed, device, threads, .. } = &c.run;
            (*seed, device.clone(), *threads, c.data.root.clone(), c.data.train.clone(), c.data.val.clone())
        };
        let same = decided(&config) == decided(&start);
        let expected = "settings of the search alone: the study decides run.seed, run.device, run.threads, data.root, \
                        data.train, data.val";
        require("search", same, expected, &method.settings)?;
        if let Some(network) = network {
            config.fusion.network = network.clone();
        }
        Ok(config)
    }

    fn run_settings(&self, [iterations, batch, save_every]: [usize; 3], size_px: Size, seed: u64) -> RunSettings {
        let Machine { device, threads } = self.run.clone();
        let iterations = Some(iterations);
        RunSettings { seed, device, threads, iterations, batch, size_px, save_every, ..RunSettings::default() }
    }
}
