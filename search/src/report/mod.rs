//! Looking at a run: its log as numbers, its numbers as plots.

mod log;
mod plot;

pub use log::Log;
pub use plot::{Chart, Curve, Scale, bars, curves};

use crate::error::SearchError;
use crate::file::make_folder;
use crate::tasks::{ScoreChart, TaskKind};
use std::path::{Path, PathBuf};

/// Draws the plots of a search from its `log.csv` into `folder/plots`: `beta.svg` (weights over iterations), `composition.svg`
/// (the final weights), `losses.svg` (the task's loss), and `terms.svg`. Returns their paths.
///
/// # Errors
/// When the log is missing, empty or of another program, or a plot cannot be written.
pub fn search_plots(folder: &Path) -> Result<Vec<PathBuf>, SearchError> {
    let log = Log::read(&folder.join("log.csv"))?;
    let plots = folder.join("plots");
    make_folder(&plots)?;
    let [beta, composition, losses, terms] =
        ["beta.svg", "composition.svg", "losses.svg", "terms.svg"].map(|name| plots.join(name));
    let over = tenth(&log)?;
    let weights = log.group("weight.");
    let last: Vec<(String, f64)> =
        weights.iter().filter_map(|(name, values)| Some((name.clone(), *values.last()?))).collect();
    bars(&composition, "The found loss: weight of each term", &last)?;
    let chart = |title, y, scale| Chart { title, x: "iteration", y, scale };
    let title = "Weights of the fusion loss during the search";
    curves(&beta, &chart(title, "weight", Scale::Linear), &lines(&log, weights, 1)?)?;
    let batches = columns(&log, &[("training batch", "task_total"), ("validation batch", "val_total")])?;
    let (title, y) = ("The task's loss during the search", format!("loss, and its mean over {over} iterations"));
    curves(&losses, &chart(title, &y, Scale::Linear), &lines(&log, batches, over)?)?;
    let (title, y) = ("Terms of the fusion loss during the search", format!("value, mean over {over} iterations"));
    curves(&terms, &chart(title, &y, Scale::Log), &lines(&log, log.group("term."), over)?)?;
    Ok(vec![beta, composition, losses, terms])
}

/// Draws `loss.svg` of a fusion network's training from its `log.csv`, and from its `validation.csv` where there is one, all
/// in `folder`.
///
/// # Errors
/// As [`search_plots`].
pub fn fusion_plot(folder: &Path) -> Result<(), SearchError> {
    let log = Log::read(&folder.join("log.csv"))?;
    let over = tenth(&log)?;
    let mut list = lines(&log, columns(&log, &[("training batch", "total")])?, over)?;
    if let Some(validation) = Log::read_if_begun(&folder.join("validation.csv"))? {
        list.extend(lines(&validation, columns(&validation, &[("validation pairs", "loss")])?, 1)?);
    }
    let y = format!("weighted loss, and its mean over {over} batches");
    let chart = Chart { title: "Loss of the fusion network", x: "iteration", y: &y, scale: Scale::Linear };
    curves(&folder.join("loss.svg"), &chart, &list)
}

/// Draws `scores.svg` of a task network's training from its `validation.csv`, both in `folder`.
///
/// # Errors
/// As [`search_plots`].
pub fn task_plot(folder: &Path, kind: &dyn TaskKind) -> Result<(), SearchError> {
    let log = Log::read(&folder.join("validation.csv"))?;
    let ScoreChart { title, y, curves: shown } = kind.chart();
    let chart = Chart { title, x: "iteration", y, scale: Scale::Linear };
    curves(&folder.join("scores.svg"), &chart, &lines(&log, columns(&log, shown)?, 1)?)
}

/// Values of named columns under the labels they shall have.
fn columns(log: &Log, labelled: &[(&str, &str)]) -> Result<Vec<(String, Vec<f64>)>, SearchError> {
    labelled.iter().map(|(label, column)| Ok(((*label).to_owned(), log.column(column)?))).collect()
}

/// Values over the log's first column, drawn as means over so many of them.
fn lines(log: &Log, list: Vec<(String, Vec<f64>)>, mean_over: usize) -> Result<Vec<Curve>, SearchError> {
    let (_, steps) = log.first()?;
    let line = |(label, y): (String, Vec<f64>)| {
        let points = steps.iter().copied().zip(y).collect();
        Curve { label, points, mean_over }
    };
    Ok(list.into_iter().map(line).collect())
}

/// Values of single batches jump: the mean over a tenth of a run shows where they go.
fn tenth(log: &Log) -> Result<usize, SearchError> {
    Ok((log.first()?.1.len() / 10).max(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_searchs_log_becomes_four_plots() {
        let dir = tempfile::tempdir().unwrap();
        let log = "iteration,weight.l1.ir,weight.ssim.vi,task_total,val_total,term.l1.ir,term.ssim.vi\n\
                   0,0.5,0.5,1.0,1.5,0.1,0.01\n1,0.25,0.75,0.5,1.25,0.05,0.02\n";
        std::fs::write(dir.path().join("log.csv"), log).unwrap();
        let made = search_plots(dir.path()).unwrap();
        let texts: Vec<String> = made.iter().map(|p| std::fs::read_to_string(p).unwrap()).collect();
        assert!(texts[0].contains("ssim.vi  0.75") && texts[0].contains("iteration"), "{}", texts[0]);
        assert!(texts[1].contains("0.25"), "{}", texts[1]);
        assert!(texts[2].contains("validation batch  1.38"), "{}", texts[2]);
        assert!(texts[3].contains("l1.ir  0.075"), "{}", texts[3]);
    }

    #[test]
    fn validations_are_drawn_beside_the_batches() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("log.csv"), "iteration,ms,total\n0,5,0.5\n1,5,0.25\n").unwrap();
        let drawn = || {
            fusion_plot(dir.path()).unwrap();
            std::fs::read_to_string(path("loss.svg")).unwrap()
        };
        std::fs::write(path("validation.csv"), "iteration,loss\n").unwrap();
        assert!(!drawn().contains("validation"));
        std::fs::write(path("validation.csv"), "iteration,loss\n1,0.75\n2,0.625\n").unwrap();
        let svg = drawn();
        assert!(svg.contains("training batch  0.375") && svg.contains("validation pairs  0.625"), "{svg}");
    }

    #[test]
    fn a_log_of_another_program_is_refused_by_its_columns() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["log.csv", "validation.csv"] {
            std::fs::write(dir.path().join(name), "iteration,map50\n1,0.5\n").unwrap();
        }
        let error = task_plot(dir.path(), crate::tasks::TASKS[0]).unwrap_err().to_string();
        assert!(error.contains("map50_95"), "{error}");
        assert!(fusion_plot(dir.path()).unwrap_err().to_string().contains("total"));
    }
}
