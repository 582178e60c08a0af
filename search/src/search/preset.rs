//! Settings of a search by name.

use crate::error::SearchError;
use std::path::PathBuf;
use toml::Table;

/// Settings that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub help: &'static str,
    /// What differs from the defaults, as TOML.
    pub settings: &'static str,
}

/// All presets, the default first.
pub const PRESETS: [Preset; 2] = [
    Preset { name: "paper", help: "The paper's settings", settings: "" },
    Preset {
        name: "settled",
        help: "The fusion network settles before the weights move, and the task network stays as it starts (give --init)",
        settings: include_str!("settled.toml"),
    },
];

/// The settings of a preset.
///
/// # Errors
/// [`SearchError::Setting`] for a name there is not.
pub fn preset(name: &str) -> Result<Table, SearchError> {
    let named = || PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", ");
    let found = PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| SearchError::Setting {
        name: "preset",
        expected: named(),
        found: name.to_owned(),
    })?;
    toml::from_str(found.settings)
        .map_err(|error| SearchError::Config { path: PathBuf::from("--preset"), message: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::SearchConfig;
    use crate::settings::load_named;

    #[test]
    fn every_preset_is_a_configuration_and_the_first_one_is_the_default() {
        for Preset { name, .. } in PRESETS {
            let config: SearchConfig = load_named(preset(name).unwrap(), None, &[]).unwrap();
            assert_eq!(config == SearchConfig::default(), name == PRESETS[0].name, "{name}");
        }
        assert!(preset("papr").unwrap_err().to_string().contains("paper, settled"));
    }
}
