//! What a study compares, one by one.

use super::method::{Method, MethodKind, SearchMethod};
use super::networks::Networks;
use super::original::{known, original};
use crate::error::SearchError;
use crate::run_settings::{require, require_count};
use crate::search::BetaFile;
use caf_fusion_loss::{LossConfig, Term};
use caf_image::rule::Rule;
use caf_net::zoo::fusion::FusionConfig;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

/// One method of a study.
#[derive(Clone, Debug, PartialEq)]
pub struct Contender {
    /// Its name.
    pub name: String,
    /// The family that it is one of, when that is measured as a whole, too.
    pub group: Option<String>,
    /// Its network, where the study is of several.
    pub network: Option<FusionConfig>,
    /// Where its images come from.
    pub source: Source,
}

/// Where images come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// An image that needs no network.
    Image(Rule),
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
            Source::Image(image) => write!(f, "the {} image", image.name),
            Source::Network(path) => write!(f, "network {}", path.display()),
            Source::Beta(_) => f.write_str("fusion training"),
            Source::Search(_) => f.write_str("search, fusion training"),
        }
    }
}

/// Methods one by one, families unfolded, in their order, for terms of this loss; pairs to `compare` must be among them.
///
/// # Errors
/// [`SearchError::Setting`] for weights that are none, for a network without an original loss, and for names that are doubled or no file
/// could have; when a `beta.toml` cannot be read.
pub fn contenders(
    methods: &[Method],
    loss: &LossConfig,
    compare: &[[String; 2]],
    networks: Networks<'_>,
) -> Result<Vec<Contender>, SearchError> {
    let terms = loss.active_terms();
    let of = |weights: BTreeMap<String, f64>| {
        let mut loss = loss.clone();
        let sees_features = Term::all().any(|term| term.is_perceptual() && weights.contains_key(term.name()));
        // Features that no term looks at would be most of the work.
        loss.vgg = loss.vgg.filter(|_| sees_features);
        let (logits, scales) = (BTreeMap::new(), BTreeMap::new());
        Source::Beta(Box::new(BetaFile { weights, logits, scales, loss, origin: None }))
    };
    let mut all = Vec::new();
    let mut groups = BTreeSet::new();
    for Method { name, kind } in methods {
        let untrained = |source| Contender { name: name.clone(), group: None, network: None, source };
        // What trains is one for each network.
        let mut one = |name: &str, group: Option<&String>, source: Source| {
            let grouped = group.map(|group| networks.named(group)).unwrap_or_default();
            for (i, (name, network)) in networks.named(name).into_iter().enumerate() {
                let group = grouped.get(i).map(|(group, _)| group.clone());
                all.push(Contender { name, group, network, source: source.clone() });
            }
        };
        match kind {
            MethodKind::Image(image) => all.push(untrained(Source::Image(*image))),
            MethodKind::Network(path) => all.push(untrained(Source::Network(path.clone()))),
            MethodKind::Original => {
                for (name, network) in networks.named(name) {
                    let kind = network.as_ref().unwrap_or(networks.usual).kind();
                    let found = || format!("{kind} of `{name}`");
                    let weights = original(kind).ok_or_else(|| SearchError::Setting {
                        name: "methods",
                        expected: format!("`original` of a network whose loss is made of our terms: {}", known()),
                        found: found(),
                    })?;
                    let weights = weights.into_iter().map(|(term, weight)| (term.name().to_owned(), weight)).collect();
                    all.push(Contender { name, group: None, network, source: of(weights) });
                }
            }
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
                groups.extend(networks.named(name).into_iter().map(|(name, _)| name));
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
        require("methods.name", is_plain(name), PLAIN, format!("`{name}`"))?;
        require("methods.name", seen.insert(name.clone()), "names that differ", format!("`{name}` twice"))?;
    }
    for name in compare.iter().flatten() {
        require("compare", seen.contains(name), "names of methods", format!("`{name}`"))?;
    }
    Ok(all)
}

/// What [`is_plain`] allows, for messages.
pub(crate) const PLAIN: &str = "letters, digits and `._+-`";

/// Whether files and columns can have the name of a method.
pub(crate) fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    !name.is_empty() && !name.starts_with('.') && name.chars().all(plain)
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
    use caf_fusion_loss::VggFile;
    use serde::Deserialize;

    fn unfold(vgg: &[&str], text: &str) -> Result<Vec<Contender>, SearchError> {
        #[derive(Deserialize)]
        struct Methods {
            methods: Vec<Method>,
        }
        let Methods { methods } = toml::from_str(&format!("methods = {text}")).unwrap();
        let vgg = vgg.first().map(|file| VggFile { file: file.into(), ..VggFile::default() });
        let networks = Networks { each: &[], usual: &FusionConfig::default() };
        contenders(&methods, &LossConfig { vgg, ..LossConfig::default() }, &[], networks)
    }

    fn weights(contender: &Contender) -> &BTreeMap<String, f64> {
        match &contender.source {
            Source::Beta(beta) => &beta.weights,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn families_unfold_and_weights_are_those_meant() {
        let all = unfold(&[], r#"["uniform", "each", { name = "r", draws = 3, seed = 4 }]"#).unwrap();
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
        let more = unfold(&[], r#"[{ name = "r", draws = 12, seed = 4 }]"#).unwrap();
        assert_eq!((more[0].source.clone(), more[11].name.as_str()), (random[0].source.clone(), "r-12"));
        assert_ne!(unfold(&[], r#"[{ name = "r", draws = 1, seed = 5 }]"#).unwrap()[0].source, more[0].source);
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
        let all = unfold(&["vgg.pth"], text).unwrap();
        let with: Vec<&str> = all
            .iter()
            .filter(|c| matches!(&c.source, Source::Beta(beta) if beta.loss.vgg.is_some()))
            .map(|c| c.name.as_str())
            .collect();
        assert_eq!((all.len(), with), (16, vec!["perceptual.ir", "perceptual.vi", "pair"]));
    }
}
