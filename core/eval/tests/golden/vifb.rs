//! The values that the VIFB benchmark publishes for the results of its methods, computed again from the images it distributes.

use caf_eval::fusion::{Picture, Profile, score};
use caf_golden::{find, json, say};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// Share of each metric's values that must agree to the last printed digit.
const AGREEING: f64 = 0.99;
/// Metrics of the fused image alone: they tell whether the distributed file is the one that was measured.
const OF_FUSED: [&str; 5] = ["Entropy", "Variance", "Avg_gradient", "Edge_intensity", "Spatial_frequency"];
/// How far, relative, the values of another file of the same image may be off. Writing an image as a JPEG once more moves most
/// metrics by 1e-4 to 1e-2, and Cross_entropy, which counts levels that hardly occur, by up to some percent.
const OTHER_FILE: f64 = 0.1;

/// A published value and ours.
struct Value {
    pair: String,
    method: String,
    metric: String,
    printed: String,
    found: f64,
}

impl Value {
    /// Whether ours is printed as published: five significant digits.
    fn agrees(&self) -> bool {
        let digits: f64 = format!("{:.4e}", self.found).parse().unwrap();
        digits == self.printed.parse::<f64>().unwrap()
    }

    /// Relative distance.
    fn distance(&self) -> f64 {
        let printed: f64 = self.printed.parse().unwrap();
        (self.found - printed).abs() / printed.abs()
    }
}

fn picture(path: &Path) -> Picture {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let image = caf_jpeg::decode(&bytes, 1 << 28).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let make = if image.channels == 1 { Picture::gray } else { Picture::rgb };
    make(image.pixels, image.size).unwrap()
}

/// All published values with ours, by pair and method.
fn values(dir: &Path) -> Vec<Value> {
    let vifb = Profile::named("vifb").unwrap();
    let published = json(&dir.join("published.json"));
    let mut results = vec![];
    for (pair, methods) in published.as_object().unwrap() {
        results.extend(methods.as_object().unwrap().iter().map(|(method, printed)| (pair, method, printed)));
    }
    let of_result = |(pair, method, printed): &(&String, &String, &serde_json::Value)| -> Vec<Value> {
        let file = |folder: &str| picture(&dir.join(folder).join(format!("{pair}.jpg")));
        let [ir, vi, fused] = ["ir", "vi", &format!("fused/{method}")].map(file);
        let scores = score(&vifb.planes(&ir, &vi, &fused).unwrap(), vifb.metrics);
        let one = |(metric, text): (&String, &serde_json::Value)| Value {
            pair: (*pair).clone(),
            method: (*method).clone(),
            metric: metric.clone(),
            printed: text.as_str().unwrap().to_owned(),
            found: scores.get(metric).unwrap_or_else(|| panic!("{metric} is not computed")),
        };
        printed.as_object().unwrap().iter().map(one).collect()
    };
    results.par_iter().flat_map_iter(of_result).collect()
}

/// Methods whose numbers were computed on other files than the benchmark distributes: of every one of their results most metrics
/// that need the fused image alone differ. Five definitions cannot be wrong for two methods and right for all others.
fn measured_on_other_files(values: &[Value]) -> BTreeSet<String> {
    let mut results: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for value in values.iter().filter(|v| OF_FUSED.contains(&v.metric.as_str())) {
        *results.entry((&value.method, &value.pair)).or_default() += usize::from(!value.agrees());
    }
    let methods: BTreeSet<&str> = results.keys().map(|(method, _)| *method).collect();
    let other = |method: &str| {
        let mut its = results.iter().filter(|((m, _), _)| *m == method);
        its.all(|(_, differing)| 2 * differing > OF_FUSED.len())
    };
    methods.into_iter().filter(|method| other(method)).map(str::to_owned).collect()
}

#[test]
fn published_values() {
    let test = "published values of VIFB";
    let Some(dir) = find(test, "golden/vifb") else { return };
    let values = values(&dir);
    let elsewhere = measured_on_other_files(&values);
    let methods: BTreeSet<&str> = values.iter().map(|v| v.method.as_str()).collect();
    let mut by_metric: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    let (mut lines, mut worst) = (String::new(), 0.0f64);
    for value in &values {
        let [all, agreeing, here, agreeing_here] = by_metric.entry(&value.metric).or_default();
        let (agrees, known) = (usize::from(value.agrees()), usize::from(!elsewhere.contains(&value.method)));
        (*all, *agreeing, *here, *agreeing_here) =
            (*all + 1, *agreeing + agrees, *here + known, *agreeing_here + agrees * known);
        if agrees == 0 {
            let Value { pair, method, metric, printed, found } = value;
            let _ = writeln!(
                lines,
                "  {method} {pair} {metric}: published {printed}, found {found:.6}, {:.1e} apart",
                value.distance()
            );
            if known == 0 {
                worst = worst.max(value.distance());
            }
        }
    }
    let mut table = format!("{test}\n  {:<18} {:>10} {:>26}\n", "", "agree", "of the measured files");
    for (metric, [all, agreeing, here, agreeing_here]) in &by_metric {
        let _ = writeln!(table, "  {metric:<18} {agreeing:>4} of {all:<4} {agreeing_here:>15} of {here:<4}");
    }
    say(&format!(
        "{table}{test}: {} values; numbers of {elsewhere:?} are of other files than those distributed, at most {worst:.1e} apart",
        values.len()
    ));
    let shown = std::env::var_os("CAF_GOLDEN_LIST").is_some();
    if shown {
        say(&lines);
    }
    assert!(!values.is_empty() && 10 * elsewhere.len() <= methods.len(), "{elsewhere:?} of {} methods", methods.len());
    assert!(worst <= OTHER_FILE, "other files of the same images, but {worst:.1e} apart\n{lines}");
    for (metric, [_, _, here, agreeing]) in by_metric {
        assert!(agreeing as f64 >= AGREEING * here as f64, "{metric}: {agreeing} of {here} agree\n{lines}");
    }
}
