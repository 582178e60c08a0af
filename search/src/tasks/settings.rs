//! The settings of a task: its kind, and what that kind knows.

use super::counting::COUNTING;
use super::detection::DETECTION;
use super::segmentation::SEGMENTATION;
use super::task::TaskKind;
use crate::error::SearchError;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::path::PathBuf;
use toml::{Table, Value};

/// All tasks. The first is the default.
pub static TASKS: [&TaskKind; 3] = [&DETECTION, &SEGMENTATION, &COUNTING];

/// Key of the kind.
const KIND: &str = "kind";

/// The table `[task]`: `kind` (the first of [`TASKS`] without it) and the settings of that kind. Unknown keys are refused, and a
/// saved table names all settings.
#[derive(Clone, Debug)]
pub struct TaskSettings {
    kind: &'static TaskKind,
    table: Table,
}

impl TaskSettings {
    /// Settings of a kind, as its own type has them.
    ///
    /// # Errors
    /// For a kind there is not, and for settings that are not its own.
    pub fn new(kind: &str, settings: &impl Serialize) -> Result<Self, SearchError> {
        let refuse = |message: String| SearchError::Config { path: PathBuf::from("task"), message };
        let table = Table::try_from(settings).map_err(|e| refuse(e.to_string()))?;
        Self::resolved(kind, table).map_err(refuse)
    }

    fn resolved(kind: &str, table: Table) -> Result<Self, String> {
        let known = || TASKS.iter().map(|task| format!("`{}`", task.kind)).collect::<Vec<_>>().join(", ");
        let found = TASKS.iter().find(|task| task.kind == kind);
        let kind = *found.ok_or_else(|| format!("unknown task `{kind}`; there are: {}", known()))?;
        Ok(TaskSettings { kind, table: (kind.resolve)(table)? })
    }

    /// Which task.
    pub fn kind(&self) -> &'static TaskKind {
        self.kind
    }

    /// The settings in full, as the task's own type would be written.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Refuses settings out of range.
    ///
    /// # Errors
    /// With the name and the value of the first one.
    pub fn check(&self) -> Result<(), SearchError> {
        (self.kind.check)(&self.table)
    }
}

impl Default for TaskSettings {
    /// The first task with its defaults.
    fn default() -> Self {
        let kind = TASKS[0];
        TaskSettings { kind, table: (kind.resolve)(Table::new()).unwrap_or_default() }
    }
}

impl PartialEq for TaskSettings {
    fn eq(&self, other: &Self) -> bool {
        self.kind.kind == other.kind.kind && self.table == other.table
    }
}

impl Serialize for TaskSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut table = self.table.clone();
        if table.insert(KIND.to_owned(), self.kind.kind.into()).is_some() {
            return Err(S::Error::custom(format!("a setting of a task cannot be called `{KIND}`")));
        }
        table.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TaskSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = Table::deserialize(deserializer)?;
        let kind = match table.remove(KIND) {
            None => TASKS[0].kind.to_owned(),
            Some(Value::String(kind)) => kind,
            Some(other) => {
                return Err(D::Error::custom(format!("`{KIND}`: expected the name of a task, found {other}")));
            }
        };
        Self::resolved(&kind, table).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::DetectionSettings;

    #[derive(Debug, Deserialize, Serialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        task: TaskSettings,
    }

    #[test]
    fn a_table_is_read_by_its_kind_and_saved_in_full() {
        let outer: Outer = toml::from_str("[task]\nvariant = \"n\"\noptimizer = { rate = 0.5 }\n").unwrap();
        let settings: DetectionSettings = outer.task.table().clone().try_into().unwrap();
        assert_eq!((outer.task.kind().kind, settings.optimizer.rate), ("detection", 0.5));
        let text = toml::to_string(&outer).unwrap();
        assert!(text.contains("kind = \"detection\"") && text.contains("momentum = 0.937"), "{text}");
        assert_eq!(toml::from_str::<Outer>(&text).unwrap(), outer);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, word) in [
            ("[task]\nkind = \"depth\"", "unknown task `depth`; there are: `detection`, `segmentation`, `counting`"),
            ("[task]\nkind = 3", "name of a task"),
            ("[task]\nvarient = \"n\"", "varient"),
            ("[task.optimizer]\nlr = 1.0", "lr"),
        ] {
            let error = toml::from_str::<Outer>(text).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
