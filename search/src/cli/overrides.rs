//! Settings from a file, from `--set`, and from options that are short for common ones.

use anyhow::Result;
use caf_console::Paths;
use caf_geometry::Size;
use caf_search::settings::{OVERRIDES, Override};
use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// Where settings come from; later ones win: a preset where the command has some, the file, the short options of a command, `--set`.
#[derive(Clone, Debug, Args)]
pub(super) struct SettingsArgs {
    /// Settings in TOML; unknown keys are refused. What is not given has the paper's value.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting, such as `--set run.epochs=5`; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Overrides collected from short options, each with its name, and the settings beneath all others.
#[derive(Debug, Default)]
pub(super) struct Short {
    preset: toml::Table,
    given: Vec<Override>,
}

impl Short {
    /// What holds where neither file nor option says otherwise.
    pub(super) fn preset(preset: toml::Table) -> Self {
        Short { preset, given: Vec::new() }
    }

    /// A number or word, if given.
    pub(super) fn value(mut self, option: &'static str, key: &str, value: Option<impl std::fmt::Display>) -> Self {
        self.given.extend(value.map(|v| Override { option, assignment: format!("{key}={v}") }));
        self
    }

    /// A text that must not be read as anything else, if given.
    pub(super) fn text(self, option: &'static str, key: &str, value: Option<&str>) -> Self {
        self.value(option, key, value.map(|v| toml::Value::String(v.to_owned())))
    }

    /// A path, if given.
    pub(super) fn path(self, option: &'static str, key: &str, value: Option<&Path>) -> Self {
        let text = value.map(|p| p.to_string_lossy().into_owned());
        self.text(option, key, text.as_deref())
    }

    /// A pair of sides, if given.
    pub(super) fn size(self, option: &'static str, key: &str, value: Option<Size>) -> Self {
        self.value(option, key, value.map(|s| format!("[{}, {}]", s.width, s.height)))
    }
}

impl SettingsArgs {
    /// The configuration; settings that are unknown or no TOML are a wrong call.
    pub(super) fn load<T: DeserializeOwned + Serialize + Default>(&self, short: Short) -> Result<T> {
        self.read(self.config.as_deref(), short)
    }

    /// The same; without `--config` from `saved`, where that is there.
    pub(super) fn load_or<T: DeserializeOwned + Serialize + Default>(&self, saved: &Path, short: Short) -> Result<T> {
        let saved = Some(saved).filter(|path| path.exists());
        self.read(self.config.as_deref().or(saved), short)
    }

    fn read<T: DeserializeOwned + Serialize + Default>(&self, file: Option<&Path>, short: Short) -> Result<T> {
        let set = self.set.iter().map(|assignment| Override { option: OVERRIDES, assignment: assignment.clone() });
        let all: Vec<Override> = short.given.into_iter().chain(set).collect();
        self.paths().check()?;
        Ok(caf_search::settings::load_named(short.preset, file, &all)?)
    }

    /// What is read.
    pub(super) fn paths(&self) -> Paths {
        Paths::default().file("--config", self.config.as_deref())
    }
}
