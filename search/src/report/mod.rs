//! Looking at a run: its log as numbers, its numbers as plots.

mod log;
mod plot;

pub use log::Log;
pub use plot::{Curve, bars, curves};

use crate::error::SearchError;
use crate::file::make_folder;
use std::path::{Path, PathBuf};

/// Draws the plots of a search from its `log.csv` into `folder/plots`: `beta.svg` (weights over iterations), `composition.svg`
/// (the final weights), `losses.svg` (task, validation and fusion loss), and `terms.svg`. Returns their paths.
///
/// # Errors
/// When the log is missing, empty or of another program, or a plot cannot be written.
pub fn search_plots(folder: &Path) -> Result<Vec<PathBuf>, SearchError> {
    let log = Log::read(&folder.join("log.csv"))?;
    let plots = folder.join("plots");
    make_folder(&plots)?;
    let weights = log.group("weight.");
    let iterations = log.column("iteration")?;
    let mut made = Vec::new();
    let mut draw = |name: &str, title: &str, unit: &str, list: Vec<(String, Vec<f64>)>| -> Result<(), SearchError> {
        let path = plots.join(name);
        let list: Vec<Curve> = list
            .into_iter()
            .map(|(label, y)| Curve { label, points: iterations.iter().copied().zip(y).collect() })
            .collect();
        curves(&path, title, "iteration", unit, &list)?;
        made.push(path);
        Ok(())
    };
    draw("beta.svg", "Weights of the fusion loss during the search", "weight", weights.clone())?;
    draw("terms.svg", "Fusion-loss terms on the training batches", "value", log.group("term."))?;
    let losses = ["task_total", "val_total"].into_iter().map(|c| Ok((c.to_owned(), log.column(c)?)));
    let losses = losses.collect::<Result<Vec<_>, SearchError>>()?;
    draw("losses.svg", "Task loss: training batch and validation batch", "loss", losses)?;
    let last: Vec<(String, f64)> =
        weights.into_iter().filter_map(|(name, values)| Some((name, *values.last()?))).collect();
    let path = plots.join("composition.svg");
    bars(&path, "The found loss", "weight", &last)?;
    made.push(path);
    Ok(made)
}

/// Draws the curves of any log with a first column of steps: each named column, into one SVG.
///
/// # Errors
/// When the log lacks a column or the plot cannot be written.
pub fn log_plot(log: &Path, columns: &[&str], title: &str, path: &Path) -> Result<(), SearchError> {
    let log = Log::read(log)?;
    let steps = log.first()?;
    let list = columns
        .iter()
        .map(|c| Ok(Curve { label: (*c).to_owned(), points: steps.1.iter().copied().zip(log.column(c)?).collect() }))
        .collect::<Result<Vec<_>, SearchError>>()?;
    curves(path, title, &steps.0, "value", &list)
}
