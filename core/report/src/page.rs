//! One page for one run, in one file.

use crate::embed;
use crate::error::ReportError;
use crate::html::{Cell, Table, document, escape, missing, short, side_by_side, verbatim};
use crate::log::Log;
use crate::run::{Figure, Run, RunKind};
use std::path::{Path, PathBuf};

/// Rows of the table of validations at most.
const MAX_ROWS: usize = 12;

/// Writes `report.html` into the run's folder: how far it is, plots, validations, pictures of validation pairs, settings. The page is
/// one file that can be moved and sent. Returns its path.
///
/// # Errors
/// When the page cannot be written; what cannot be shown in it is named in its place.
pub fn run_page(run: &Run, figures: &[Figure]) -> Result<PathBuf, ReportError> {
    let name = std::path::absolute(run.folder()).unwrap_or_else(|_| run.folder().to_owned());
    let name = name.file_name().map_or_else(|| name.display().to_string(), |n| n.to_string_lossy().into_owned());
    let title = format!("{}: {name}", run.kind().title());
    let mut body = format!("<h1>{}</h1>\n{}", escape(&title), progress(run.log()));
    if run.kind() == RunKind::Search {
        body += &found(run);
    }
    body += "<h2>Plots</h2>\n";
    body += &side_by_side(&figures.iter().map(|f| embed::figure(&f.path, f.caption)).collect::<String>());
    if let Some(validation) = run.validation() {
        body += "<h2>Validations</h2>\n";
        body += &validations(validation);
    }
    body += &panels(&run.folder().join("panels"));
    body += "<h2>Settings</h2>\n";
    body += &file(run.folder(), "config.toml", true);
    if run.kind() == RunKind::Search {
        body += &file(run.folder(), "beta.toml", false);
    }
    let path = run.folder().join("report.html");
    let page = document(&title, &body);
    caf_file::write(&path, page.as_bytes()).map_err(ReportError::io("write", &path))?;
    Ok(path)
}

/// How far the run is, and how long an iteration takes.
fn progress(log: &Log) -> String {
    let Ok((_, steps)) = log.first() else { return String::new() };
    let iterations = steps.last().map_or(0.0, |last| last + 1.0);
    let times: Vec<f64> = log.column("ms").unwrap_or_default().into_iter().filter(|ms| ms.is_finite()).collect();
    let time = match times.len() {
        0 => String::new(),
        n => {
            let total_ms: f64 = times.iter().sum();
            format!(", {} ms each on average, {:.1} min in all", short(total_ms / n as f64), total_ms / 60_000.0)
        }
    };
    format!("<p class=\"lead\">{iterations:.0} iterations{time}.</p>\n")
}

/// The weights that a search found, beside those it began with.
fn found(run: &Run) -> String {
    let mut weights = run.log().group("weight.");
    let last = |values: &[f64]| values.last().copied().unwrap_or(f64::NAN);
    weights.sort_by(|a, b| last(&b.1).total_cmp(&last(&a.1)));
    let longest = weights.iter().map(|(_, values)| last(values)).fold(1e-9, f64::max);
    let mut table = Table::new("The found loss", &["term", "weight at first", "weight at last", ""]);
    for (name, values) in &weights {
        table.row(vec![
            Cell::Head(name.clone()),
            Cell::Number(short(values.first().copied().unwrap_or(f64::NAN))),
            Cell::Number(short(last(values))),
            Cell::Bars(vec![last(values) / longest]),
        ]);
    }
    table.html()
}

/// Scores of some validations, first and last among them; terms of the loss are in the file.
fn validations(log: &Log) -> String {
    let names: Vec<&str> = log.names().iter().map(String::as_str).filter(|name| !name.starts_with("term.")).collect();
    let columns: Vec<Vec<f64>> = names.iter().map(|name| log.column(name).unwrap_or_default()).collect();
    let rows = columns.first().map_or(0, Vec::len);
    let mut table = Table::new("Scores on validation images", &names);
    let shown = MAX_ROWS.min(rows);
    for row in (0..shown).map(|i| if shown < 2 { 0 } else { i * (rows - 1) / (shown - 1) }) {
        let value = |column: &Vec<f64>| column.get(row).copied().unwrap_or(f64::NAN);
        let mut cells = columns.iter().map(value);
        let head = Cell::Head(cells.next().map(|v| format!("{v:.0}")).unwrap_or_default());
        let number = |v: f64| Cell::Number(if v.is_finite() { short(v) } else { "–".to_owned() });
        table.row([head].into_iter().chain(cells.map(number)).collect());
    }
    table.html()
}

/// The first and the last picture of validation pairs, where the run made some.
fn panels(folder: &Path) -> String {
    let Ok(entries) = std::fs::read_dir(folder) else { return String::new() };
    let mut all: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    all.retain(|path| path.extension().is_some_and(|e| e == "png"));
    all.sort();
    let Some((last, before)) = all.split_last() else { return String::new() };
    let mut html = "<h2>Validation pairs</h2>\n".to_owned();
    for path in before.first().into_iter().chain([last]) {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let iterations = name.trim_start_matches('0');
        let caption = format!("After {iterations} iterations; each row is a pair: infrared, visible, fused");
        html += &embed::figure(path, &caption);
    }
    html
}

/// A text file of the run as it is.
fn file(folder: &Path, name: &str, open: bool) -> String {
    match std::fs::read_to_string(folder.join(name)) {
        Ok(text) => verbatim(name, &text, open),
        Err(error) => missing(name, &error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_a_search_is_one_file_with_everything_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write(
            "log.csv",
            "iteration,ms,weight.l1.ir,weight.ssim.vi,task_total,val_total,term.l1.ir,term.ssim.vi\n\
             0,600,0.5,0.5,1.0,1.5,0.1,0.01\n1,1400,0.25,0.75,0.5,1.25,0.05,0.02\n",
        );
        write("config.toml", "iterations = 2 # <few>\n");
        let run = Run::open(dir.path()).unwrap();
        let figures = run.draw(None).unwrap();
        let path = run_page(&run, &figures).unwrap();
        let html = std::fs::read_to_string(&path).unwrap();
        for part in [
            "2 iterations, 1000 ms each",
            "ssim.vi</th><td>0.500</td><td>0.750</td>",
            "iterations = 2 # &lt;few&gt;",
            "beta.toml cannot be shown",
            "largest weight first",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert_eq!(html.matches("src=\"data:image/svg+xml;base64,").count(), 4);
        assert!(!html.contains("src=\"plots") && !html.contains("http://www.w3.org/1999"), "{html}");
        // Nothing of it is needed any more.
        std::fs::remove_dir_all(dir.path().join("plots")).unwrap();
        assert!(path.is_file());
    }

    #[test]
    fn validations_and_pictures_of_a_training_are_shown() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
        std::fs::create_dir(dir.path().join("panels")).unwrap();
        write("log.csv", b"iteration,total,term.l1.ir\n0,0.5,1\n1,0.25,1\n");
        let rows: String = (1..=40).map(|i| format!("{},0.5,,0.1\n", i * 10)).collect();
        write("validation.csv", format!("iteration,loss,MI,term.l1.ir\n{rows}").as_bytes());
        for name in ["panels/000010.png", "panels/000200.png", "panels/000400.png"] {
            write(name, b"png");
        }
        let run = Run::open(dir.path()).unwrap();
        let html = std::fs::read_to_string(run_page(&run, &run.draw(None).unwrap()).unwrap()).unwrap();
        assert!(html.contains("After 10 iterations") && html.contains("After 400 iterations"), "{html}");
        assert!(!html.contains("After 200 iterations") && !html.contains("term.l1.ir</th>"), "{html}");
        assert!(html.contains("<th scope=\"row\">10</th><td>0.500</td><td>–</td>"), "{html}");
        assert!(html.contains("<th scope=\"row\">400</th>"), "{html}");
        assert!(html.matches("<tr>").count() <= MAX_ROWS + 1, "{html}");
    }
}
