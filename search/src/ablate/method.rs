//! What a study compares, as a person writes it.

use caf_fusion_loss::Term;
use caf_image::rule::{RULES, Rule};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// A method, or a family of them, of a study file: the name of a rule ([`RULES`]), one of the words `uniform`,
/// `original`, `each`, `only:TERM`, `file:PATH`, or a table with a `name` and one of `weights`, `network`, `beta`, `search` (with `preset`), `draws` (with
/// `seed`).
#[derive(Clone, Debug, PartialEq)]
pub struct Method {
    /// Its name in rows and tables.
    pub name: String,
    /// What it is.
    pub kind: MethodKind,
}

/// What a method is.
#[derive(Clone, Debug, PartialEq)]
pub enum MethodKind {
    /// An image that needs no network.
    Image(Rule),
    /// A trained fusion network, also an original checkpoint.
    Network(PathBuf),
    /// The loss with equal weights of all terms.
    Uniform,
    /// The loss that the network was published with, as far as it is made of our terms.
    Original,
    /// A loss for each term, which has that one alone.
    Each,
    /// A loss with these weights.
    Weights(BTreeMap<Term, f64>),
    /// So many losses whose weights are the softmax of standard normal numbers.
    Random {
        /// How many.
        draws: usize,
        /// Seed of the numbers.
        seed: u64,
    },
    /// The loss of a `beta.toml`.
    Beta(PathBuf),
    /// The loss that a search finds, run with the seed of the row.
    Search(SearchMethod),
}

/// Settings of a method's search: the preset, over it `[search]` of the study, over that those of the method.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchMethod {
    /// Name of the preset; the paper's settings without it.
    pub preset: Option<String>,
    /// Settings that differ from `[search]`.
    pub settings: Table,
}

/// A method in a table.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    network: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weights: Option<BTreeMap<Term, f64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    draws: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    beta: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    search: Option<Table>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preset: Option<String>,
}

/// The words that stand for a method, for messages.
fn words() -> String {
    let rules: String = RULES.iter().map(|rule| format!("`{}`, ", rule.name)).collect();
    rules + "`uniform`, `original`, `each`, `only:TERM`, `file:PATH`"
}

impl Method {
    fn of_word(word: &str) -> Result<Self, String> {
        if let Some(rule) = Rule::named(word) {
            return Ok(Method { name: word.to_owned(), kind: MethodKind::Image(rule) });
        }
        if let Some(term) = word.strip_prefix("only:") {
            let term: Term = term.parse().map_err(|e: caf_fusion_loss::LossError| e.to_string())?;
            let kind = MethodKind::Weights(BTreeMap::from([(term, 1.0)]));
            return Ok(Method { name: term.name().to_owned(), kind });
        }
        if let Some(path) = word.strip_prefix("file:") {
            let stem = Path::new(path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
            return Ok(Method { name: stem.unwrap_or_default(), kind: MethodKind::Beta(path.into()) });
        }
        let kind = match word {
            "uniform" => MethodKind::Uniform,
            "original" => MethodKind::Original,
            "each" => MethodKind::Each,
            _ => return Err(format!("unknown method `{word}`; there are {}, and tables with a name", words())),
        };
        Ok(Method { name: word.to_owned(), kind })
    }

    fn of_table(given: Given) -> Result<Self, String> {
        let Given { name, network, weights, draws, seed, beta, search, preset } = given;
        if seed.is_some() && draws.is_none() {
            return Err(format!("method `{name}`: `seed` goes with `draws`"));
        }
        let is_search = search.is_some() || preset.is_some();
        let searched = SearchMethod { preset, settings: search.unwrap_or_default() };
        let mut kinds = [
            network.map(MethodKind::Network),
            weights.map(MethodKind::Weights),
            draws.map(|draws| MethodKind::Random { draws, seed: seed.unwrap_or(1) }),
            beta.map(MethodKind::Beta),
            is_search.then_some(MethodKind::Search(searched)),
        ]
        .into_iter()
        .flatten();
        match (kinds.next(), kinds.next()) {
            (Some(kind), None) => Ok(Method { name, kind }),
            _ => Err(format!(
                "method `{name}`: expected one of `weights`, `network`, `beta`, `search` or `preset`, `draws`"
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(word) => Method::of_word(&word),
            Value::Table(table) => Given::deserialize(table).map_err(|e| e.to_string()).and_then(Method::of_table),
            other => Err(format!("expected a method, found {other}; there are {}, and tables with a name", words())),
        }
        .map_err(D::Error::custom)
    }
}

impl Serialize for Method {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut given = Given { name: self.name.clone(), ..Given::default() };
        match &self.kind {
            MethodKind::Image(_) | MethodKind::Uniform | MethodKind::Original | MethodKind::Each => {
                return self.name.serialize(serializer);
            }
            MethodKind::Network(path) => given.network = Some(path.clone()),
            MethodKind::Weights(weights) => given.weights = Some(weights.clone()),
            MethodKind::Random { draws, seed } => (given.draws, given.seed) = (Some(*draws), Some(*seed)),
            MethodKind::Beta(path) => given.beta = Some(path.clone()),
            MethodKind::Search(SearchMethod { preset, settings }) => {
                (given.preset, given.search) = (preset.clone(), Some(settings.clone()));
            }
        }
        given.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Methods {
        methods: Vec<Method>,
    }

    fn methods(text: &str) -> Methods {
        toml::from_str(&format!("methods = {text}")).unwrap()
    }

    #[test]
    fn methods_read_back_as_they_were_written() {
        let all = methods(
            r#"["visible", "guided", "uniform", "original", "each", "only:ssim.vi", "file:a/found.toml", { name = "det", network = "det.pth" },
                { name = "x", weights = { "l1.ir" = 2, "l1.vi" = 0.5 } }, { name = "r", draws = 2 },
                { name = "ours", preset = "settled", search = { run = { batch = 4 } } }]"#,
        );
        let names: Vec<&str> = all.methods.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(
            names,
            ["visible", "guided", "uniform", "original", "each", "ssim.vi", "found", "det", "x", "r", "ours"]
        );
        let text = toml::to_string_pretty(&all).unwrap();
        assert_eq!(toml::from_str::<Methods>(&text).unwrap(), all);
    }
}
