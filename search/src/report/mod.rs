//! Looking at a run: its log as numbers, its numbers as plots.

mod axis;
mod log;
mod plot;
mod svg;

pub use axis::Scale;
pub use log::Log;
pub use plot::{Chart, Curve, bars, curves};

use crate::error::SearchError;
use crate::file::make_folder;
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
    let over = mean_over(&log)?;
    let weights = log.group("weight.");
    let last = weights.iter().filter_map(|(name, values)| Some((name.clone(), *values.last()?))).collect::<Vec<_>>();
    let path = |name: &str| plots.join(name);
    draw(
        &path("beta.svg"),
        &log,
        weights,
        &Chart {
            title: "Weights of the fusion loss during the search",
            x: "iteration",
            y: "weight",
            scale: Scale::Linear,
            mean_over: 1,
        },
    )?;
    bars(&path("composition.svg"), "The found loss: weight of each term", &last)?;
    let losses = [("training batch", "task_total"), ("validation batch", "val_total")];
    draw(
        &path("losses.svg"),
        &log,
        columns(&log, &losses)?,
        &Chart {
            title: "The detector's loss during the search",
            x: "iteration",
            y: &format!("loss, and its mean over {over} iterations"),
            scale: Scale::Linear,
            mean_over: over,
        },
    )?;
    draw(
        &path("terms.svg"),
        &log,
        log.group("term."),
        &Chart {
            title: "Terms of the fusion loss during the search",
            x: "iteration",
            y: &format!("value, mean over {over} iterations"),
            scale: Scale::Log,
            mean_over: over,
        },
    )?;
    Ok(["beta.svg", "composition.svg", "losses.svg", "terms.svg"].map(path).into())
}

/// Draws `loss.svg` of a fusion network's training from its `log.csv`, both in `folder`.
///
/// # Errors
/// As [`search_plots`].
pub fn fusion_plot(folder: &Path) -> Result<(), SearchError> {
    let log = Log::read(&folder.join("log.csv"))?;
    let over = mean_over(&log)?;
    let chart = Chart {
        title: "Loss of the fusion network",
        x: "iteration",
        y: &format!("weighted loss, and its mean over {over} iterations"),
        scale: Scale::Linear,
        mean_over: over,
    };
    draw(&folder.join("loss.svg"), &log, columns(&log, &[("loss", "total")])?, &chart)
}

/// Draws `map.svg` of a detector's training from its `log.csv`, both in `folder`.
///
/// # Errors
/// As [`search_plots`].
pub fn task_plot(folder: &Path) -> Result<(), SearchError> {
    let log = Log::read(&folder.join("log.csv"))?;
    let chart = Chart {
        title: "Average precision on validation images",
        x: "epoch",
        y: "mean over classes, 0 to 1",
        scale: Scale::Linear,
        mean_over: 1,
    };
    let shown = [("AP@.5", "map50"), ("AP@.5:.95", "map50_95")];
    draw(&folder.join("map.svg"), &log, columns(&log, &shown)?, &chart)
}

/// Values of named columns under the labels they shall have.
fn columns(log: &Log, labelled: &[(&str, &str)]) -> Result<Vec<(String, Vec<f64>)>, SearchError> {
    labelled.iter().map(|(label, column)| Ok(((*label).to_owned(), log.column(column)?))).collect()
}

/// Draws values over the log's first column.
fn draw(path: &Path, log: &Log, list: Vec<(String, Vec<f64>)>, chart: &Chart<'_>) -> Result<(), SearchError> {
    let (_, steps) = log.first()?;
    let curve = |(label, y): (String, Vec<f64>)| Curve { label, points: steps.iter().copied().zip(y).collect() };
    curves(path, chart, &list.into_iter().map(curve).collect::<Vec<_>>())
}

/// Values of single batches jump: a tenth of a run shows where they go.
fn mean_over(log: &Log) -> Result<usize, SearchError> {
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
        assert!(texts[0].contains("ssim.vi  0.750") && texts[0].contains(">iteration<"), "{}", texts[0]);
        assert!(texts[1].contains(">0.250<"), "{}", texts[1]);
        assert!(texts[2].contains("validation batch  1.38"), "{}", texts[2]);
        assert!(texts[3].contains("l1.ir  0.0750"), "{}", texts[3]);
    }

    #[test]
    fn a_log_of_another_program_is_refused_by_its_columns() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("log.csv"), "epoch,map50\n1,0.5\n").unwrap();
        let error = task_plot(dir.path()).unwrap_err().to_string();
        assert!(error.contains("map50_95"), "{error}");
        assert!(fusion_plot(dir.path()).unwrap_err().to_string().contains("total"));
    }
}
