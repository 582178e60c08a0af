//! One page of a whole run.

use super::folder::files;
use super::run::Finished;
use crate::error::SearchError;
use crate::file::write_text;
use crate::search::BetaFile;
use caf_report::html::{Cell, Table, document, escape, paragraph, picture, short, side_by_side, verbatim};
use serde_json::Value;
use std::path::{Path, PathBuf};

const TITLE: &str = "Search, trainings and measurement";

/// Writes `report.html` into the folder of a run: its steps with links to their pages, the weights found, scores, metrics, a few fused
/// images. What an interrupted run has not reached is left out.
///
/// # Errors
/// When a result cannot be read or the page not written.
pub fn draw(out: &Path, done: &Finished) -> Result<PathBuf, SearchError> {
    let mut body = format!("<h1>{TITLE}</h1>\n");
    let how = if done.interrupted { "The run was stopped; the same call goes on." } else { "The run is complete." };
    body += &paragraph(how);
    let mut steps = Table::new("Steps; seconds are without what came before an interruption", &["step", "seconds"]);
    for step in &done.steps {
        steps.row(vec![Cell::Head(step.name.to_owned()), Cell::Number(format!("{:.1}", step.seconds))]);
    }
    body += &steps.html();
    for folder in [files::SEARCH, files::FUSION, files::TASK] {
        if out.join(folder).join(files::PAGE).exists() {
            body += &format!("<p><a href=\"{folder}/{}\">plots of {folder}</a></p>\n", files::PAGE);
        }
    }
    if done.steps.iter().any(|step| step.name == files::SEARCH) {
        body += &weights(&BetaFile::read(&out.join(files::SEARCH).join("beta.toml"))?);
    }
    if let Some(evaluation) = &done.evaluation {
        body += &measured(evaluation);
    }
    let path = out.join(files::PAGE);
    write_text(&path, &document(TITLE, &body))?;
    Ok(path)
}

/// The found weights, the largest first.
fn weights(beta: &BetaFile) -> String {
    let mut all: Vec<(&String, f64)> = beta.weights.iter().map(|(term, weight)| (term, *weight)).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    let most = all.first().map_or(1.0, |(_, weight)| weight.max(f64::MIN_POSITIVE));
    let mut table = Table::new("Weights of the fusion loss", &["term", "weight", ""]);
    for (term, weight) in all {
        let bar = Cell::Bars(vec![weight / most]);
        table.row(vec![Cell::Head(term.clone()), Cell::Number(format!("{weight:.4}")), bar]);
    }
    table.html()
}

fn measured(evaluation: &Value) -> String {
    let number = |value: &Value| Cell::Number(value.as_f64().map_or_else(|| "–".to_owned(), short));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let caption = format!(
        "{} of {} on {} fused validation pairs",
        text(&evaluation["task"]),
        text(&evaluation["network"]),
        evaluation["images"]
    );
    let mut scores = Table::new(&caption, &["score", "value"]);
    for score in evaluation["scores"].as_array().into_iter().flatten() {
        scores.row(vec![Cell::Head(text(&score[0])), number(&score[1])]);
    }
    let mut html = scores.html();
    if let Some(metrics) = evaluation["fusion"].as_object() {
        let mut table = Table::new("Fused images against their sources, means", &["metric", "value"]);
        for (name, mean) in metrics {
            table.row(vec![Cell::Head(name.clone()), number(&mean["mean"])]);
        }
        html += &table.html();
    }
    html += &verbatim("All numbers", &text(&evaluation["table"]), false);
    let names = evaluation["shown"].as_array().into_iter().flatten().map(text);
    let figures: String =
        names.map(|name| picture(&Path::new(files::FUSED).join(format!("{name}.png")), &name, false)).collect();
    html + &format!("<h2>{}</h2>\n", escape("Fused images")) + &side_by_side(&figures)
}
