//! What the rows say: means over seeds, noise, tests.

use super::contender::Contender;
use super::job::{Key, jobs};
use super::rows::Rows;
use super::study::{Protocol, Study};
use crate::error::SearchError;
use crate::tasks::TASKS;
use caf_eval::significance::{Paired, Spread, holm, t_within};
use std::collections::BTreeMap;

/// A study so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Column that methods are compared by, and what it is called.
    pub score: (String, String),
    /// Names of what is measured.
    pub columns: Vec<String>,
    /// One for each protocol that has a row.
    pub parts: Vec<Part>,
    /// Rows that are there, of so many jobs.
    pub done: [usize; 2],
}

/// The methods by one protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Which.
    pub protocol: Protocol,
    /// Methods and groups of them, best first.
    pub lines: Vec<Line>,
    /// The comparisons that the study asks for, as far as there are two seeds of both.
    pub tests: Vec<Test>,
    /// The noise; none before a method has two seeds.
    pub noise: Option<Noise>,
}

/// A method, or a group of methods.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// How many methods it is the mean of; 1 for a method.
    pub members: usize,
    /// Family that its colour in a plot stands for.
    pub family: &'static str,
    /// Whether it differs from seed to seed.
    pub is_seeded: bool,
    /// The score of every seed; a single one without a seed where none changes it.
    pub values: Vec<f64>,
    /// Every column over the seeds, in their order; none where there is no value.
    pub spreads: Vec<Option<Spread>>,
    /// That of the score.
    pub score: Spread,
}

/// A comparison of two methods over seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// Both names; the difference is the first minus the second.
    pub pair: [String; 2],
    /// What was found.
    pub paired: Paired,
    /// p after Holm's correction over all comparisons of the protocol.
    pub p_holm: f64,
}

/// How far a method's score differs from seed to seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Standard deviation over seeds, pooled over the methods that are trained.
    pub sd: f64,
    /// Its degrees of freedom.
    pub freedom: usize,
    /// Seeds of a method.
    pub seeds: usize,
    /// Difference of two means over the seeds that noise alone exceeds in 5 % of comparisons.
    pub least_difference: f64,
}

impl Table {
    /// That of a study, from its rows. Rows of methods and seeds that are not in the study are left out.
    ///
    /// # Errors
    /// For methods that cannot be, and for rows that no task measures.
    pub fn new(study: &Study, rows: &Rows) -> Result<Self, SearchError> {
        let contenders = study.contenders()?;
        let jobs = jobs(study, &contenders);
        let done = jobs.iter().filter(|job| rows.has(&job.key())).count();
        let score = score(&rows.columns);
        let at = rows.columns.iter().position(|name| *name == score.1).unwrap_or(0);
        let found = study.protocols.iter().map(|p| part(study, &contenders, rows, *p, at));
        let parts = found.filter(|part| !part.lines.is_empty()).collect();
        Ok(Table { score: (score.1, score.0), columns: rows.columns.clone(), parts, done: [done, jobs.len()] })
    }
}

/// Label and name of the column that the task is judged by: the first curve of its chart.
fn score(columns: &[String]) -> (String, String) {
    let of_task = TASKS.iter().find(|kind| kind.scores.iter().zip(columns).all(|(a, b)| a == b));
    let curve = of_task.and_then(|kind| kind.chart.curves.first());
    let first = || columns.first().cloned().unwrap_or_default();
    curve.map_or_else(|| (first(), first()), |(label, column)| ((*label).to_owned(), (*column).to_owned()))
}

/// Values of all columns by seed.
type BySeed = BTreeMap<Option<u64>, Vec<Option<f64>>>;

fn part(study: &Study, contenders: &[Contender], rows: &Rows, protocol: Protocol, at: usize) -> Part {
    let of = |contender: &Contender| -> BySeed {
        let seeded = contender.is_trained() || protocol == Protocol::P2;
        let seeds: Vec<Option<u64>> = if seeded { study.seeds.iter().copied().map(Some).collect() } else { vec![None] };
        let row = |seed: Option<u64>| {
            let key = Key { method: contender.name.clone(), seed, protocol };
            Some((seed, rows.rows.iter().find(|row| row.key == key)?.values.clone()))
        };
        seeds.into_iter().filter_map(row).collect()
    };
    let mut all: Vec<(String, usize, &'static str, BySeed)> = Vec::new();
    let mut groups: BTreeMap<&str, Vec<BySeed>> = BTreeMap::new();
    for contender in contenders {
        let values = of(contender);
        if let Some(group) = &contender.group {
            groups.entry(group).or_default().push(values.clone());
        }
        all.push((contender.name.clone(), 1, contender.family(), values));
    }
    for (name, members) in groups {
        all.push((name.to_owned(), members.len(), "group", mean_of(&members)));
    }
    let scores: BTreeMap<&str, BTreeMap<Option<u64>, f64>> =
        all.iter().map(|(name, _, _, values)| (name.as_str(), column(values, at))).collect();
    let tests = compared(study, &scores);
    let mut lines: Vec<Line> =
        all.iter().filter_map(|(name, members, family, by)| line(name, *members, family, by, at)).collect();
    lines.sort_by(|a, b| b.score.mean.total_cmp(&a.score.mean));
    Part { protocol, noise: noise(&lines), lines, tests }
}

fn column(values: &BySeed, at: usize) -> BTreeMap<Option<u64>, f64> {
    values.iter().filter_map(|(seed, row)| Some((*seed, row.get(at).copied().flatten()?))).collect()
}

/// The mean of several methods, for the seeds that all of them have.
fn mean_of(members: &[BySeed]) -> BySeed {
    let Some(first) = members.first() else { return BySeed::new() };
    let mut found = BySeed::new();
    for (seed, row) in first {
        let Some(rows) = members.iter().map(|member| member.get(seed)).collect::<Option<Vec<_>>>() else { continue };
        let mean = |at: usize| {
            let values: Vec<f64> = rows.iter().map(|row| row.get(at).copied().flatten()).collect::<Option<_>>()?;
            Some(values.iter().sum::<f64>() / values.len() as f64)
        };
        found.insert(*seed, (0..row.len()).map(mean).collect());
    }
    found
}

fn line(name: &str, members: usize, family: &'static str, by: &BySeed, at: usize) -> Option<Line> {
    let columns = by.values().next()?.len();
    let of = |at: usize| column(by, at).into_values().collect::<Vec<f64>>();
    let values = of(at);
    Some(Line {
        name: name.to_owned(),
        members,
        family,
        is_seeded: by.keys().any(Option::is_some),
        score: Spread::of(&values)?,
        spreads: (0..columns).map(|at| Spread::of(&of(at))).collect(),
        values,
    })
}

fn compared(study: &Study, scores: &BTreeMap<&str, BTreeMap<Option<u64>, f64>>) -> Vec<Test> {
    let of = |name: &str, seed: u64| {
        let values = scores.get(name)?;
        values.get(&Some(seed)).or(values.get(&None)).copied()
    };
    let mut found: Vec<Test> = Vec::new();
    for [a, b] in &study.compare {
        let differences: Vec<f64> = study.seeds.iter().filter_map(|seed| Some(of(a, *seed)? - of(b, *seed)?)).collect();
        if let Some(paired) = Paired::test(&differences) {
            found.push(Test { pair: [a.clone(), b.clone()], paired, p_holm: paired.p });
        }
    }
    let adjusted = holm(&found.iter().map(|test| test.paired.p).collect::<Vec<f64>>());
    found.iter_mut().zip(adjusted).for_each(|(test, p)| test.p_holm = p);
    found
}

/// The noise of the methods that are trained; means of several methods have less and say nothing of it.
fn noise(lines: &[Line]) -> Option<Noise> {
    let with: Vec<(usize, f64)> = lines
        .iter()
        .filter(|line| line.members == 1 && line.is_seeded)
        .filter_map(|line| Some((line.score.count, line.score.sd?)))
        .collect();
    let freedom: usize = with.iter().map(|(n, _)| n - 1).sum();
    let seeds = with.iter().map(|(n, _)| *n).max()?;
    let sd = (with.iter().map(|(n, sd)| (n - 1) as f64 * sd * sd).sum::<f64>() / freedom as f64).sqrt();
    let least_difference = t_within(0.95, freedom) * sd * (2.0 / seeds as f64).sqrt();
    Some(Noise { sd, freedom, seeds, least_difference })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ablate::Row;
    use crate::settings::load;

    /// Rows of given scores: method, seed, score.
    fn rows(of: &[(&str, Option<u64>, f64)]) -> Rows {
        let dir = tempfile::tempdir().unwrap();
        let columns = ["precision", "recall", "map50", "map50_95"].map(str::to_owned);
        let mut rows = Rows::open(&dir.path().join("rows.csv"), &columns).unwrap();
        for (method, seed, score) in of {
            let key = Key { method: (*method).to_owned(), seed: *seed, protocol: Protocol::P1 };
            let values = vec![None, Some(0.5), Some(*score), Some(score / 2.0)];
            rows.add(Row { key, group: None, values, seconds: 1.0 }).unwrap();
        }
        rows
    }

    fn study(compare: &str) -> Study {
        let methods = r#"methods=["max", "only:l1.ir", "only:l1.vi", { name = "r", draws = 2 }]"#;
        load(None, &[methods.to_owned(), "seeds=[1, 2, 3]".to_owned(), format!("compare={compare}")]).unwrap()
    }

    #[test]
    fn means_noise_and_tests_are_those_of_the_rows() {
        let study = study(r#"[["l1.ir", "max"], ["l1.ir", "l1.vi"], ["r", "max"]]"#);
        let mut of = vec![("max", None, 0.29)];
        for (seed, ir, vi, a, b) in [(1, 0.31, 0.21, 0.1, 0.3), (2, 0.32, 0.24, 0.2, 0.4), (3, 0.33, 0.21, 0.3, 0.5)] {
            let seed = Some(seed);
            of.extend([("l1.ir", seed, ir), ("l1.vi", seed, vi), ("r-01", seed, a), ("r-02", seed, b)]);
        }
        of.push(("gone", Some(1), 9.0));
        let table = Table::new(&study, &rows(&of)).unwrap();
        assert_eq!(table.score, ("map50".to_owned(), "AP@.5".to_owned()));
        assert_eq!(table.done, [13, 13]);
        let part = &table.parts[0];
        let names: Vec<&str> = part.lines.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["r-02", "l1.ir", "r", "max", "l1.vi", "r-01"]);
        let line = |name: &str| part.lines.iter().find(|line| line.name == name).unwrap();
        assert!((line("l1.ir").score.sd.unwrap() - 0.01).abs() < 1e-12 && line("max").score.sd.is_none());
        assert!((line("r").score.mean - 0.3).abs() < 1e-12 && line("r").members == 2);
        assert_eq!(line("max").spreads[0], None);
        assert!((line("max").spreads[3].unwrap().mean - 0.145).abs() < 1e-12);
        // 0.01² and 3 · 0.01² and twice 0.1², two degrees each.
        let noise = part.noise.unwrap();
        assert!((noise.sd - (0.0204_f64 / 4.0).sqrt()).abs() < 1e-9 && noise.freedom == 8 && noise.seeds == 3);
        // t = 0.03 / (0.01 / √3) = 5.196 with two degrees: p = 0.0351, the second of three.
        let first = &part.tests[0];
        assert!((first.paired.p - 0.0351).abs() < 1e-4 && (first.p_holm - 0.0702).abs() < 2e-4, "{first:?}");
        assert!(part.tests[1].paired.p < 0.05 && part.tests[2].p_holm > 0.8, "{:?}", part.tests);
        assert!((part.tests[1].p_holm - 3.0 * part.tests[1].paired.p).abs() < 1e-12);
    }

    #[test]
    fn what_is_not_there_yet_is_left_out() {
        let study = study(r#"[["l1.ir", "l1.vi"]]"#);
        let table = Table::new(&study, &rows(&[("l1.ir", Some(1), 0.3), ("r-01", Some(1), 0.2)])).unwrap();
        let part = &table.parts[0];
        assert_eq!((part.lines.len(), part.tests.len(), part.noise), (2, 0, None));
        assert_eq!(table.done, [2, 13]);
        assert!(Table::new(&study, &rows(&[])).unwrap().parts.is_empty());
    }
}
