//! From a TOML file and `--set key=value` overrides to a configuration.

use crate::error::SearchError;
use crate::toml_words::words_of;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Where an override comes from that names no other option.
pub const OVERRIDES: &str = "--set";

/// A setting given beside a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The option that it was given by, which errors name.
    pub option: &'static str,
    /// `path.to.key=value`; the value is TOML, and text that is no TOML value stands for itself.
    pub assignment: String,
}

/// [`load_named`] with overrides that all come from [`OVERRIDES`].
///
/// # Errors
/// As [`load_named`].
pub fn load<T: DeserializeOwned + Serialize + Default>(
    file: Option<&Path>,
    overrides: &[String],
) -> Result<T, SearchError> {
    let of = |assignment: &String| Override { option: OVERRIDES, assignment: assignment.clone() };
    load_named(Table::new(), file, &overrides.iter().map(of).collect::<Vec<_>>())
}

/// The defaults of `T`, changed by `preset`, by `file` where there is one, and then by the overrides in order; keys that the
/// configuration does not know are refused. A table that names some settings leaves the others at the defaults of `T`.
///
/// # Errors
/// [`SearchError::Io`], or [`SearchError::Config`] with the file or the option of the first wrong override, and the parser's words.
pub fn load_named<T: DeserializeOwned + Serialize + Default>(
    preset: Table,
    file: Option<&Path>,
    overrides: &[Override],
) -> Result<T, SearchError> {
    let place = file.map_or_else(|| PathBuf::from(OVERRIDES), Path::to_owned);
    let refuse = |message: String| SearchError::Config { path: place.clone(), message };
    let by = |option: &str, message: String| SearchError::Config { path: PathBuf::from(option), message };
    let text = match file {
        Some(path) => std::fs::read_to_string(path).map_err(SearchError::io("read", path))?,
        None => String::new(),
    };
    // Straight from the text first, so that messages carry line and column, also when something is overridden.
    toml::from_str::<T>(&text).map_err(|e| refuse(words_of(&e, &text)))?;
    let mut given: Table = toml::from_str(&text).map_err(|e| refuse(words_of(&e, &text)))?;
    let complete = |given: &Table| -> Result<T, String> {
        let mut table = Table::try_from(T::default()).map_err(|e| e.to_string())?;
        merge(&mut table, preset.clone());
        merge(&mut table, given.clone());
        Value::Table(table).try_into().map_err(|e| words_of(&e, ""))
    };
    let of_file = given.clone();
    for Override { option, assignment } in overrides {
        assign(&mut given, assignment).map_err(|message| by(option, message))?;
    }
    let error = match complete(&given) {
        Ok(settings) => return Ok(settings),
        Err(error) => error,
    };
    // Told of the first option with which it goes wrong.
    let mut given = of_file;
    for Override { option, assignment } in overrides {
        let before = given.clone();
        assign(&mut given, assignment).map_err(|message| by(option, message))?;
        let Err(error) = complete(&given) else { continue };
        // Where one of several words is expected, the parser names them to a text only.
        let worded = || {
            let (key, text) = assignment.split_once('=')?;
            let mut given = before;
            assign(&mut given, &format!("{key}={}", Value::String(text.trim().to_owned()))).ok()?;
            complete(&given).err().filter(|words| words.contains("unknown variant"))
        };
        return Err(by(option, error.contains("unit variant").then(worded).flatten().unwrap_or(error)));
    }
    Err(refuse(error))
}

/// Puts `given` over `table`: table by table, except that a table of another `kind` takes the place of the one that was there.
pub(crate) fn merge(table: &mut Table, given: Table) {
    if given.get("kind").is_some_and(|kind| table.get("kind") != Some(kind)) {
        *table = given;
        return;
    }
    for (key, value) in given {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

fn assign(table: &mut Table, assignment: &str) -> Result<(), String> {
    let (key, text) = assignment.split_once('=').ok_or_else(|| format!("expected key=value, found `{assignment}`"))?;
    let value = toml::from_str::<Table>(&format!("v = {}", text.trim()))
        .ok()
        .and_then(|mut t| t.remove("v"))
        .unwrap_or_else(|| Value::String(text.trim().to_owned()));
    let mut parts: Vec<&str> = key.trim().split('.').collect();
    let last = parts.pop().filter(|k| !k.is_empty()).ok_or_else(|| format!("no key in `{assignment}`"))?;
    let mut place = table;
    for part in parts {
        let entry = place.entry(part.to_owned()).or_insert_with(|| Value::Table(Table::new()));
        place = entry.as_table_mut().ok_or_else(|| format!("{assignment}: `{part}` holds no table"))?;
    }
    place.insert(last.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Inner {
        rate: f64,
        name: String,
    }

    impl Default for Inner {
        fn default() -> Self {
            Inner { rate: 1.0, name: "none".to_owned() }
        }
    }

    #[derive(Debug, Serialize, Deserialize, PartialEq, Default)]
    #[serde(deny_unknown_fields, default)]
    struct Outer {
        epochs: usize,
        inner: Inner,
        pace: Pace,
    }

    #[derive(Debug, Serialize, Deserialize, PartialEq, Default)]
    #[serde(rename_all = "lowercase")]
    enum Pace {
        #[default]
        Slow,
        Fast,
    }

    fn set(list: &[&str]) -> Result<Outer, SearchError> {
        load(None, &list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn overrides_reach_nested_keys_and_plain_words_are_strings() {
        let found = set(&["epochs=3", "inner.rate = 5e-2", "inner.name=paper", "pace=fast"]).unwrap();
        assert_eq!(found, Outer { epochs: 3, inner: Inner { rate: 0.05, name: "paper".to_owned() }, pace: Pace::Fast });
    }

    #[test]
    fn a_mistake_in_a_file_is_placed_also_when_something_is_overridden() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, "epochs = 3\n[inner]\nrat = 1.0\n").unwrap();
        for overrides in [vec![], vec!["epochs=4".to_owned()]] {
            let error = load::<Outer>(Some(&path), &overrides).unwrap_err().to_string();
            assert!(error.contains("c.toml") && error.contains("line 3") && error.contains("`rat`"), "{error}");
        }
    }

    #[test]
    fn unknown_keys_and_malformed_overrides_are_refused() {
        for (bad, word) in [("inner.rat=1", "rat"), ("epochs", "key=value"), ("epochs.x=1", "epochs"), ("=1", "no key")]
        {
            let error = match bad {
                "epochs.x=1" => set(&["epochs=1", bad]).unwrap_err(),
                _ => set(&[bad]).unwrap_err(),
            };
            assert!(error.to_string().contains(word), "{bad}: {error}");
            assert_eq!(error.to_string().matches(OVERRIDES).count(), 1, "{error}");
        }
    }

    #[test]
    fn an_error_begins_with_the_option_that_brings_it() {
        let of = |option, assignment: &str| Override { option, assignment: assignment.to_owned() };
        let all = [of("--epochs", "epochs=3"), of("--pace", "pace=walk"), of(OVERRIDES, "inner.rate=2.0")];
        let error = load_named::<Outer>(Table::new(), None, &all).unwrap_err().to_string();
        assert!(error.starts_with("--pace: ") && error.contains("`slow` or `fast`"), "{error}");
        let error = load_named::<Outer>(Table::new(), None, &[of("--epochs", "epochs=-1")]).unwrap_err().to_string();
        assert!(error.starts_with("--epochs: "), "{error}");
    }

    #[test]
    fn words_are_named_to_a_number_in_their_place() {
        for bad in ["pace=0", "pace=walk", "pace=true"] {
            let error = set(&["epochs=3", bad]).unwrap_err().to_string();
            assert!(error.contains("`slow` or `fast`") && error.contains("`pace`"), "{error}");
        }
    }

    #[test]
    fn a_table_in_part_keeps_the_other_defaults_and_another_kind_replaces_it() {
        let merged = |given: &str| {
            let mut table: Table = toml::from_str("a = 1\n[t]\nkind = \"x\"\nb = 2\nc = 3\n").unwrap();
            merge(&mut table, toml::from_str(given).unwrap());
            table
        };
        let expected = |text: &str| toml::from_str::<Table>(text).unwrap();
        assert_eq!(merged("[t]\nb = 5"), expected("a = 1\nt = { kind = \"x\", b = 5, c = 3 }"));
        assert_eq!(merged("[t]\nkind = \"x\"\nb = 5"), expected("a = 1\nt = { kind = \"x\", b = 5, c = 3 }"));
        assert_eq!(merged("[t]\nkind = \"y\""), expected("a = 1\nt = { kind = \"y\" }"));
    }
}
