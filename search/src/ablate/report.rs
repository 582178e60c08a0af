//! The table of a study as text, CSV, Markdown and HTML, and its plots.

use super::folder::files;
use super::rows::Rows;
use super::study::{Protocol, Study};
use super::table::{Line, Part, Table, Test};
use crate::error::SearchError;
use crate::file::{make_folder, write_text};
use caf_report::html::{Cell, Table as HtmlTable, document, escape, paragraph, percent, verbatim};
use caf_report::{Dots, dots, figure};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Where there is no value.
const UNSEEN: &str = "–";

/// Where everything lies that was drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The table for a terminal.
    pub text: String,
    /// Files, in the order in which they are told.
    pub files: Vec<PathBuf>,
}

/// Draws table, tests and plots of what is there: `table.txt`, `table.csv`, `tests.csv`, `report.md`, `report.html`, `p1.svg`, `p2.svg`
/// in the folder of the study.
///
/// # Errors
/// When a file cannot be written.
pub fn draw(study: &Study, folder: &Path, rows: &Rows) -> Result<Drawn, SearchError> {
    make_folder(folder)?;
    let table = Table::new(study, rows)?;
    let text = text(&table);
    let mut made = Vec::new();
    let mut write = |name: &str, text: &str| {
        let path = folder.join(name);
        write_text(&path, text)?;
        made.push(path);
        Ok::<_, SearchError>(())
    };
    write("table.txt", &text)?;
    write("table.csv", &csv(&table))?;
    write("tests.csv", &tests_csv(&table))?;
    let mut plots = Vec::new();
    for part in &table.parts {
        let path = folder.join(format!("{}.svg", part.protocol));
        let x = format!("{}, each seed, mean and standard deviation", table.score.1);
        dots(&path, title(part.protocol), &x, &part.lines.iter().map(dots_of).collect::<Vec<_>>())?;
        plots.push(path);
    }
    write("report.md", &markdown(&table, &plots))?;
    let settings = std::fs::read_to_string(folder.join(files::STUDY)).unwrap_or_default();
    write("report.html", &html(&table, &plots, &settings))?;
    made.extend(plots);
    Ok(Drawn { text, files: made })
}

fn title(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::P1 => "P1: a frozen task network on fused validation pairs",
        Protocol::P2 => "P2: a task network trained anew on each method's images",
    }
}

fn dots_of(line: &Line) -> Dots {
    Dots { name: named(line), family: line.family.to_owned(), values: line.values.clone(), sd: line.score.sd }
}

fn named(line: &Line) -> String {
    if line.members > 1 { format!("{} (mean of {})", line.name, line.members) } else { line.name.clone() }
}

/// Percent, or a dash.
fn number(value: Option<f64>) -> String {
    value.map_or_else(|| UNSEEN.to_owned(), percent)
}

/// A p value: three digits, or that it is smaller.
fn p(value: f64) -> String {
    if value < 0.001 { "< 0.001".to_owned() } else { format!("{value:.3}") }
}

/// How many seeds a line is the mean of.
fn seeds(line: &Line) -> String {
    if line.is_seeded { line.score.count.to_string() } else { "all".to_owned() }
}

/// Columns that are shown beside the score: the others of the task and of its classes, in percent; metrics as they are.
fn others(table: &Table) -> Vec<(usize, &str)> {
    let shown = |(at, name): (usize, &String)| (at > 1 && *name != table.score.0).then_some(at);
    let at = table.columns.iter().enumerate().filter_map(shown);
    at.filter_map(|at| Some((at, table.columns.get(at)?.as_str()))).collect()
}

/// A value of a column: shares in percent, fusion metrics, whose names are capitals, as they are.
fn value(name: &str, value: Option<f64>) -> String {
    let is_share = name.starts_with(|c: char| c.is_ascii_lowercase());
    if is_share { number(value) } else { value.map_or_else(|| UNSEEN.to_owned(), |v| format!("{v:.3}")) }
}

fn noise(part: &Part) -> Option<String> {
    let noise = part.noise?;
    Some(format!(
        "Noise: standard deviation over seeds {:.2} points, pooled over {} degrees of freedom. Two means of {} seeds that differ by less \
         than {:.2} points cannot be told apart (5 %, without correction for many comparisons).",
        100.0 * noise.sd,
        noise.freedom,
        noise.seeds,
        100.0 * noise.least_difference
    ))
}

fn test_words(test: &Test) -> [String; 6] {
    let found = &test.paired;
    let points = |v: f64| format!("{:+.2}", 100.0 * v);
    [
        format!("{} − {}", test.pair[0], test.pair[1]),
        found.difference.count.to_string(),
        points(found.difference.mean),
        format!(
            "{} to {}",
            points(found.difference.mean - found.half_width_95),
            points(found.difference.mean + found.half_width_95)
        ),
        p(found.p),
        p(test.p_holm),
    ]
}

const TEST_HEADS: [&str; 6] = ["difference", "seeds", "mean, points", "95 % interval", "p", "p (Holm)"];

fn text(table: &Table) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for part in &table.parts {
        let width = part.lines.iter().map(|line| named(line).chars().count()).max().unwrap_or(0).max(8);
        let _ = writeln!(text, "{}\n", title(part.protocol));
        let _ = writeln!(text, "{:<width$} {:>5} {:>8} {:>6}  seed by seed", "method", "seeds", table.score.1, "sd");
        for line in &part.lines {
            let each: Vec<String> = line.values.iter().map(|v| percent(*v)).collect();
            let each = if line.is_seeded { each.join(" ") } else { String::new() };
            let (mean, sd) = (percent(line.score.mean), number(line.score.sd));
            let row = format!("{:<width$} {:>5} {mean:>8} {sd:>6}  {each}", named(line), seeds(line));
            let _ = writeln!(text, "{}", row.trim_end());
        }
        text.extend(noise(part).map(|words| format!("\n{words}\n")));
        if !part.tests.is_empty() {
            let _ = writeln!(text, "\nPaired t tests over seeds, Holm's correction over {} tests", part.tests.len());
            let words: Vec<[String; 6]> = part.tests.iter().map(test_words).collect();
            let width = words.iter().map(|row| row[0].chars().count()).max().unwrap_or(0).max(10);
            for [pair, seeds, mean, range, p, holm] in [TEST_HEADS.map(str::to_owned)].iter().chain(&words) {
                let _ = writeln!(text, "{pair:<width$} {seeds:>5} {mean:>12} {range:>18} {p:>8} {holm:>9}");
            }
        }
        text.push('\n');
    }
    text + &progress(table) + "\n"
}

fn progress(table: &Table) -> String {
    format!("{} of {} rows are there.", table.done[0], table.done[1])
}

fn csv(table: &Table) -> String {
    let mut text = "protocol,method,members,seeds".to_owned();
    table.columns.iter().for_each(|name| text += &format!(",{name}.mean,{name}.sd"));
    text.push('\n');
    let full = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
    for (part, line) in table.parts.iter().flat_map(|part| part.lines.iter().map(move |line| (part, line))) {
        text += &format!("{},{},{},{}", part.protocol, line.name, line.members, line.score.count);
        for spread in &line.spreads {
            text += &format!(",{},{}", full(spread.map(|s| s.mean)), full(spread.and_then(|s| s.sd)));
        }
        text.push('\n');
    }
    text
}

fn tests_csv(table: &Table) -> String {
    let mut text = "protocol,a,b,seeds,difference,sd,low_95,high_95,p,p_holm\n".to_owned();
    for (part, test) in table.parts.iter().flat_map(|part| part.tests.iter().map(move |test| (part, test))) {
        let (found, [a, b]) = (&test.paired, &test.pair);
        let (mean, half) = (found.difference.mean, found.half_width_95);
        let sd = found.difference.sd.unwrap_or(0.0);
        let count = found.difference.count;
        text += &format!(
            "{},{a},{b},{count},{mean},{sd},{},{},{},{}\n",
            part.protocol,
            mean - half,
            mean + half,
            found.p,
            test.p_holm
        );
    }
    text
}

fn markdown(table: &Table, plots: &[PathBuf]) -> String {
    let mut text = String::new();
    let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule = |cells: usize| format!("| --- |{}\n", " ---: |".repeat(cells.saturating_sub(1)));
    for (part, plot) in table.parts.iter().zip(plots) {
        let _ = writeln!(text, "## {}\n", title(part.protocol));
        let others = others(table);
        let mut heads = ["method", "seeds", &table.score.1, "sd"].map(str::to_owned).to_vec();
        heads.extend(others.iter().map(|(_, name)| (*name).to_owned()));
        text += &row(&heads);
        text += &rule(heads.len());
        for line in &part.lines {
            let mut cells = vec![named(line), seeds(line), percent(line.score.mean), number(line.score.sd)];
            let mean = |at: usize| line.spreads.get(at).copied().flatten().map(|s| s.mean);
            cells.extend(others.iter().map(|(at, name)| value(name, mean(*at))));
            text += &row(&cells);
        }
        text.extend(noise(part).map(|words| format!("\n{words}\n")));
        if !part.tests.is_empty() {
            let _ = writeln!(text, "\nPaired t tests over seeds, Holm's correction over {} tests:\n", part.tests.len());
            text += &row(&TEST_HEADS.map(str::to_owned));
            text += &rule(TEST_HEADS.len());
            part.tests.iter().for_each(|test| text += &row(&test_words(test)));
        }
        if let Some(name) = plot.file_name() {
            let _ = writeln!(text, "\n![{}]({})\n", title(part.protocol), name.to_string_lossy());
        }
    }
    text + &progress(table) + "\n"
}

fn html(table: &Table, plots: &[PathBuf], settings: &str) -> String {
    let mut body =
        format!("<h1>Methods of fusing, compared</h1>\n<p class=\"lead\">{}</p>\n", escape(&progress(table)));
    for (part, plot) in table.parts.iter().zip(plots) {
        body += &format!("<h2>{}</h2>\n", escape(title(part.protocol)));
        body.extend(noise(part).map(|words| paragraph(&words)));
        body += &figure(plot, "Every dot a seed; the bar is the mean, the shade one standard deviation to both sides");
        let others = others(table);
        let heads: Vec<&str> =
            ["method", "seeds", &table.score.1, "sd"].into_iter().chain(others.iter().map(|(_, name)| *name)).collect();
        let mut shown = HtmlTable::new("Means over seeds; shares in per cent", &heads);
        let best = part.lines.first().map_or(1.0, |line| line.score.mean).max(f64::MIN_POSITIVE);
        for (rank, line) in part.lines.iter().enumerate() {
            let mean = (percent(line.score.mean), line.score.mean / best);
            let mut cells = vec![
                Cell::Head(named(line)),
                Cell::Number(seeds(line)),
                if rank == 0 { Cell::Best(mean.0, mean.1) } else { Cell::Shaded(mean.0, mean.1) },
                Cell::Number(number(line.score.sd)),
            ];
            let mean = |at: usize| line.spreads.get(at).copied().flatten().map(|s| s.mean);
            cells.extend(others.iter().map(|(at, name)| Cell::Number(value(name, mean(*at)))));
            shown.row(cells);
        }
        body += &shown.html();
        if !part.tests.is_empty() {
            let caption = format!("Paired t tests over seeds, Holm's correction over {} tests", part.tests.len());
            let mut shown = HtmlTable::new(&caption, &TEST_HEADS);
            for [pair, rest @ ..] in part.tests.iter().map(test_words) {
                shown.row([Cell::Head(pair)].into_iter().chain(rest.map(Cell::Number)).collect());
            }
            body += &shown.html();
        }
    }
    body += "<h2>Settings</h2>\n";
    body += &verbatim(files::STUDY, settings, false);
    document("Methods of fusing, compared", &body)
}
