//! Settings from a file, from `--set`, and from options that are short for common ones.

use anyhow::Result;
use caf_console::{Paths, WrongCall};
use caf_geometry::Size;
use caf_search::error::SearchError;
use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// Where settings come from; later ones win: the file, the short options of a command, `--set`.
#[derive(Clone, Debug, Args)]
pub(super) struct SettingsArgs {
    /// Settings in TOML; unknown keys are refused. What is not given has the paper's value.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting, such as `--set run.epochs=5`; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Overrides collected from short options.
#[derive(Debug, Default)]
pub(super) struct Short(Vec<String>);

impl Short {
    /// A number or word, if given.
    pub(super) fn value(mut self, key: &str, value: Option<impl std::fmt::Display>) -> Self {
        self.0.extend(value.map(|v| format!("{key}={v}")));
        self
    }

    /// A text that must not be read as anything else, if given.
    pub(super) fn text(mut self, key: &str, value: Option<&str>) -> Self {
        self.0.extend(value.map(|v| format!("{key}={}", toml::Value::String(v.to_owned()))));
        self
    }

    /// A path, if given.
    pub(super) fn path(self, key: &str, value: Option<&Path>) -> Self {
        let text = value.map(|p| p.to_string_lossy().into_owned());
        self.text(key, text.as_deref())
    }

    /// A pair of sides, if given.
    pub(super) fn size(mut self, key: &str, value: Option<Size>) -> Self {
        self.0.extend(value.map(|s| format!("{key}=[{}, {}]", s.width, s.height)));
        self
    }
}

impl SettingsArgs {
    /// The configuration; settings that are unknown or no TOML are a wrong call.
    pub(super) fn load<T: DeserializeOwned + Serialize + Default>(&self, short: Short) -> Result<T> {
        let all: Vec<String> = short.0.into_iter().chain(self.set.iter().cloned()).collect();
        self.paths().check()?;
        caf_search::settings::load(self.config.as_deref(), &all).map_err(|error| match error {
            SearchError::Config { .. } => WrongCall(error.to_string()).into(),
            error => error.into(),
        })
    }

    /// What is read.
    pub(super) fn paths(&self) -> Paths {
        Paths::default().file("--config", self.config.as_deref())
    }
}
