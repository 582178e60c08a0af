//! From a TOML file and `--set key=value` overrides to a configuration.

use crate::error::SearchError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// What [`SearchError::Config`] names in place of a file when there is none.
pub const OVERRIDES: &str = "--set";

/// The defaults of `T`, changed by `file` where there is one, and then by the overrides in order; keys that the configuration does
/// not know are refused. A table that names some settings leaves the others at the defaults of `T`.
///
/// An override is `path.to.key=value`; the value is TOML, and text that is no TOML value stands for itself.
///
/// # Errors
/// [`SearchError::Io`], or [`SearchError::Config`] with the file or [`OVERRIDES`] and the parser's words.
pub fn load<T: DeserializeOwned + Serialize + Default>(
    file: Option<&Path>,
    overrides: &[String],
) -> Result<T, SearchError> {
    let place = file.map_or_else(|| PathBuf::from(OVERRIDES), Path::to_owned);
    let refuse = |message: String| SearchError::Config { path: place.clone(), message };
    let text = match file {
        Some(path) => std::fs::read_to_string(path).map_err(SearchError::io("read", path))?,
        None => String::new(),
    };
    // Straight from the text first, so that messages carry line and column, also when something is overridden.
    toml::from_str::<T>(&text).map_err(|e| refuse(e.to_string()))?;
    let mut given: Table = toml::from_str(&text).map_err(|e| refuse(e.to_string()))?;
    for assignment in overrides {
        assign(&mut given, assignment)
            .map_err(|message| SearchError::Config { path: PathBuf::from(OVERRIDES), message })?;
    }
    let complete = |given: Table| -> Result<Value, toml::ser::Error> {
        let mut table = Table::try_from(T::default())?;
        merge(&mut table, given);
        Ok(Value::Table(table))
    };
    let whole = complete(given.clone()).map_err(|e| refuse(e.to_string()))?;
    whole.try_into().map_err(|error: toml::de::Error| {
        // Where one of several words is expected, the parser names them to a text only.
        let worded = |assignment: &String| {
            let (key, text) = assignment.split_once('=')?;
            let mut given = given.clone();
            assign(&mut given, &format!("{key}={}", Value::String(text.trim().to_owned()))).ok()?;
            let words = complete(given).ok()?.try_into::<T>().err()?.to_string();
            words.contains("unknown variant").then_some(words)
        };
        let error = error.to_string();
        let words = error.contains("unit variant").then(|| overrides.iter().find_map(worded)).flatten();
        refuse(words.unwrap_or(error))
    })
}

/// Puts `given` over `table`: table by table, except that a table of another `kind` takes the place of the one that was there.
fn merge(table: &mut Table, given: Table) {
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
