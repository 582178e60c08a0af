//! What a study compares, as a person writes it and one by one.

use super::study::Study;
use crate::error::SearchError;
use crate::fusion;
use crate::run_settings::{require, require_count};
use crate::search::BetaFile;
use caf_fusion_loss::Term;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// An image that needs no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Image {
    /// The visible image.
    Visible,
    /// The infrared image, in gray.
    Infrared,
    /// The mean of infrared and visible luma.
    Average,
    /// The larger of both at every pixel.
    Max,
}

impl Image {
    const ALL: [Image; 4] = [Image::Visible, Image::Infrared, Image::Average, Image::Max];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Image::Visible => "visible",
            Image::Infrared => "infrared",
            Image::Average => "average",
            Image::Max => "max",
        }
    }

    pub(super) fn method(self) -> fusion::Method {
        match self {
            Image::Visible => fusion::Method::Visible,
            Image::Infrared => fusion::Method::Infrared,
            Image::Average => fusion::Method::Average,
            Image::Max => fusion::Method::Max,
        }
    }
}

/// A method, or a family of them, of a study file: one of the words `visible`, `infrared`, `average`, `max`, `uniform`, `each`,
/// `only:TERM`, `file:PATH`, or a table with a `name` and one of `weights`, `network`, `beta`, `search` (with `preset`), `draws` (with
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
    Image(Image),
    /// A trained fusion network, also an original checkpoint.
    Network(PathBuf),
    /// The loss with equal weights of all terms.
    Uniform,
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

/// The words that stand for a method.
const WORDS: &str = "`visible`, `infrared`, `average`, `max`, `uniform`, `each`, `only:TERM`, `file:PATH`";

impl Method {
    fn of_word(word: &str) -> Result<Self, String> {
        if let Some(image) = Image::ALL.into_iter().find(|image| image.name() == word) {
            return Ok(Method { name: word.to_owned(), kind: MethodKind::Image(image) });
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
            "each" => MethodKind::Each,
            _ => return Err(format!("unknown method `{word}`; there are {WORDS}, and tables with a name")),
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
            other => Err(format!("expected a method, found {other}; there are {WORDS}, and tables with a name")),
        }
        .map_err(D::Error::custom)
    }
}

impl Serialize for Method {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut given = Given { name: self.name.clone(), ..Given::default() };
        match &self.kind {
            MethodKind::Image(_) | MethodKind::Uniform | MethodKind::Each => return self.name.serialize(serializer),
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

/// One method of a study.
#[derive(Clone, Debug, PartialEq)]
pub struct Contender {
    /// Its name.
    pub name: String,
    /// The family that it is one of, when that is measured as a whole, too.
    pub group: Option<String>,
    /// Where its images come from.
    pub source: Source,
}

/// Where images come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// An image that needs no network.
    Image(Image),
    /// A trained fusion network.
    Network(PathBuf),
    /// A network trained with this loss.
    Beta(Box<BetaFile>),
    /// A network trained with the loss that a search with these settings finds.
    Search(SearchMethod),
}

impl Contender {
    /// Kind of source, for the colour in plots.
    pub(super) fn family(&self) -> &'static str {
        match (&self.source, &self.group) {
            (Source::Image(_), _) => "image",
            (Source::Network(_), _) => "network",
            (Source::Search(_), _) => "searched",
            (Source::Beta(_), Some(_)) => "random",
            (Source::Beta(beta), None) if beta.weights.len() == 1 => "term",
            (Source::Beta(_), None) => "loss",
        }
    }

    /// Whether its images differ from seed to seed.
    pub fn is_trained(&self) -> bool {
        matches!(self.source, Source::Beta(_) | Source::Search(_))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Image(image) => write!(f, "the {} image", image.name()),
            Source::Network(path) => write!(f, "network {}", path.display()),
            Source::Beta(_) => f.write_str("fusion training"),
            Source::Search(_) => f.write_str("search, fusion training"),
        }
    }
}

/// The methods of a study one by one, families unfolded, in their order.
///
/// # Errors
/// [`SearchError::Setting`] for weights that are none and for names that are doubled or no file could have; when a `beta.toml` cannot be
/// read.
pub fn contenders(study: &Study) -> Result<Vec<Contender>, SearchError> {
    let terms = study.loss.active_terms();
    let of = |weights: BTreeMap<String, f64>| {
        let mut loss = study.loss.clone();
        let sees_features = Term::all().any(|term| term.is_perceptual() && weights.contains_key(term.name()));
        // Features that no term looks at would be most of the work.
        loss.vgg = loss.vgg.filter(|_| sees_features);
        let (logits, scales) = (BTreeMap::new(), BTreeMap::new());
        Source::Beta(Box::new(BetaFile { weights, logits, scales, loss, origin: None }))
    };
    let mut all = Vec::new();
    let mut groups = BTreeSet::new();
    for Method { name, kind } in &study.methods {
        let mut one = |name: &str, group: Option<&String>, source| {
            all.push(Contender { name: name.to_owned(), group: group.cloned(), source });
        };
        match kind {
            MethodKind::Image(image) => one(name, None, Source::Image(*image)),
            MethodKind::Network(path) => one(name, None, Source::Network(path.clone())),
            MethodKind::Uniform => {
                let share = 1.0 / terms.len().max(1) as f64;
                one(name, None, of(terms.iter().map(|term| (term.name().to_owned(), share)).collect()));
            }
            MethodKind::Each => {
                terms.iter().for_each(|t| one(t.name(), None, of(BTreeMap::from([(t.name().to_owned(), 1.0)]))));
            }
            MethodKind::Weights(weights) => {
                let sound = weights.values().all(|w| w.is_finite() && *w >= 0.0) && weights.values().any(|w| *w > 0.0);
                let found = format!("{weights:?} of `{name}`");
                require("methods.weights", sound, "numbers of at least 0, one above it", &found)?;
                let known = weights.keys().all(|term| terms.contains(term));
                let expected =
                    "terms that the loss has (loss.vgg for perceptual ones, loss.masked_mse for mse.*_masked)";
                require("methods.weights", known, expected, found)?;
                one(name, None, of(weights.iter().map(|(term, w)| (term.name().to_owned(), *w)).collect()));
            }
            MethodKind::Random { draws, seed } => {
                require_count("methods.draws", *draws)?;
                groups.insert(name.clone());
                for draw in 1..=*draws {
                    one(&format!("{name}-{draw:02}"), Some(name), of(drawn(&terms, *seed, draw as u64)));
                }
            }
            MethodKind::Beta(path) => one(name, None, Source::Beta(Box::new(BetaFile::read(path)?))),
            MethodKind::Search(search) => one(name, None, Source::Search(search.clone())),
        }
    }
    require("methods", !all.is_empty(), "one or more", "none")?;
    let mut seen = groups;
    for name in all.iter().map(|contender| &contender.name) {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        let is_plain = !name.is_empty() && !name.starts_with('.') && name.chars().all(plain);
        require("methods.name", is_plain, "letters, digits and `._+-`", format!("`{name}`"))?;
        require("methods.name", seen.insert(name.clone()), "names that differ", format!("`{name}` twice"))?;
    }
    for name in study.compare.iter().flatten() {
        require("compare", seen.contains(name), "names of methods", format!("`{name}`"))?;
    }
    Ok(all)
}

/// Weights of a random loss: the softmax of standard normal numbers, a function of seed and number of the draw.
fn drawn(terms: &[Term], seed: u64, draw: u64) -> BTreeMap<String, f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(draw);
    let mut normal = || {
        let (radius, turn) = (1.0 - random.random::<f64>(), random.random::<f64>());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * turn).cos()
    };
    let raised: Vec<f64> = terms.iter().map(|_| normal().exp()).collect();
    let sum: f64 = raised.iter().sum();
    terms.iter().zip(raised).map(|(term, value)| (term.name().to_owned(), value / sum)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::load;

    fn study(methods: &str) -> Study {
        load(None, &[format!("methods={methods}")]).unwrap()
    }

    fn weights(contender: &Contender) -> &BTreeMap<String, f64> {
        match &contender.source {
            Source::Beta(beta) => &beta.weights,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn methods_read_back_as_they_were_written() {
        let all = study(
            r#"["visible", "uniform", "each", "only:ssim.vi", "file:a/found.toml", { name = "det", network = "det.pth" },
                { name = "x", weights = { "l1.ir" = 2, "l1.vi" = 0.5 } }, { name = "r", draws = 2 },
                { name = "ours", preset = "settled", search = { run = { batch = 4 } } }]"#,
        );
        let names: Vec<&str> = all.methods.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["visible", "uniform", "each", "ssim.vi", "found", "det", "x", "r", "ours"]);
        let text = toml::to_string_pretty(&all).unwrap();
        assert_eq!(toml::from_str::<Study>(&text).unwrap(), all);
    }

    #[test]
    fn families_unfold_and_weights_are_those_meant() {
        let all = contenders(&study(r#"["uniform", "each", { name = "r", draws = 3, seed = 4 }]"#)).unwrap();
        assert_eq!(all.len(), 1 + 13 + 3);
        assert!(weights(&all[0]).len() == 13 && weights(&all[0]).values().all(|w| (w - 1.0 / 13.0).abs() < 1e-15));
        let alone: Vec<(&str, Vec<f64>)> =
            all[1..14].iter().map(|c| (c.name.as_str(), weights(c).values().copied().collect())).collect();
        assert!(alone.contains(&("grad.ir", vec![1.0])) && alone.iter().all(|(_, w)| w[..] == [1.0]), "{alone:?}");
        let random: Vec<&Contender> = all[14..].iter().collect();
        for contender in &random {
            let values: Vec<f64> = weights(contender).values().copied().collect();
            assert!((values.iter().sum::<f64>() - 1.0).abs() < 1e-12 && values.iter().all(|w| *w > 0.0));
            assert_eq!(contender.group.as_deref(), Some("r"));
        }
        assert_ne!(weights(random[0]), weights(random[1]));
        // More draws leave those there are.
        let more = contenders(&study(r#"[{ name = "r", draws = 12, seed = 4 }]"#)).unwrap();
        assert_eq!((more[0].source.clone(), more[11].name.as_str()), (random[0].source.clone(), "r-12"));
        assert_ne!(contenders(&study(r#"[{ name = "r", draws = 1, seed = 5 }]"#)).unwrap()[0].source, more[0].source);
    }

    #[test]
    fn random_logits_are_standard_normal() {
        // Differences of the logs of two weights of one draw are differences of two standard normal numbers.
        let terms = [Term::L1Ir, Term::L1Vi];
        let logs = |draw| drawn(&terms, 9, draw).values().map(|w| w.ln()).collect::<Vec<_>>();
        let gaps: Vec<f64> = (0..4000).map(logs).map(|l| l[0] - l[1]).collect();
        let mean = gaps.iter().sum::<f64>() / 4000.0;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / 3999.0;
        // Standard errors: 0.022 of the mean, 0.045 of the variance of 2.
        assert!(mean.abs() < 0.09 && (variance - 2.0).abs() < 0.18, "{mean} {variance}");
    }

    #[test]
    fn features_are_computed_for_those_who_look_at_them_alone() {
        let text = r#"["each", { name = "pair", weights = { "l1.ir" = 1, "perceptual.vi" = 1 } }]"#;
        let set = ["loss.vgg.file=vgg.pth".to_owned(), format!("methods={text}")];
        let all = contenders(&load(None, &set).unwrap()).unwrap();
        let with: Vec<&str> = all
            .iter()
            .filter(|c| matches!(&c.source, Source::Beta(beta) if beta.loss.vgg.is_some()))
            .map(|c| c.name.as_str())
            .collect();
        assert_eq!((all.len(), with), (16, vec!["perceptual.ir", "perceptual.vi", "pair"]));
    }
}
