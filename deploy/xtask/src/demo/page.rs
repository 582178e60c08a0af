//! The page of results: one HTML file beside the files it shows, without anything from elsewhere.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::html::{STYLE, address, escape};
use super::table::{real_number, tables};

/// Something a step leaves that a person wants to see. Paths are relative to the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Every plot (SVG or PNG) directly in a folder.
    Plots(&'static str),
    /// Up to so many pictures, spread over a folder's files.
    Pictures(&'static str, usize),
    /// The same for pictures much wider than high: one above the other.
    Strips(&'static str, usize),
    /// A JSON report as tables, without the fields of these names at its top.
    Report(&'static str, &'static [&'static str]),
    /// The found loss weights: table `weights` of a TOML file.
    Weights(&'static str),
    /// A video.
    Video(&'static str),
}

/// A part of the page.
#[derive(Debug)]
pub struct Section {
    /// Heading.
    pub title: &'static str,
    /// What it shows and how to read it.
    pub text: &'static str,
    /// What is shown.
    pub shown: Vec<Shown>,
}

/// A command that was run for the page.
#[derive(Debug)]
pub struct Ran {
    /// Name of the step.
    pub name: String,
    /// The whole command line, as it can be pasted at the workspace root.
    pub line: String,
    /// Time it took when it ran, in seconds.
    pub seconds: f64,
}

/// The whole page.
#[derive(Debug)]
pub struct Page {
    /// What was done, in a sentence or two.
    pub lead: String,
    /// What this can show and what it cannot.
    pub limits: String,
    /// The parts in order.
    pub sections: Vec<Section>,
    /// The commands in order.
    pub ran: Vec<Ran>,
}

impl Page {
    /// Writes `index.html` into `folder`, where the shown files lie, and returns its path.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join("index.html");
        caf_file::write(&path, self.html(folder).as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    fn html(&self, folder: &Path) -> String {
        let mut html = format!(
            "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<meta name=viewport content=\"width=device-width\">\n\
             <title>Infrared and visible, fused</title>\n<style>{STYLE}</style>\n<body>\n\
             <h1>Infrared and visible, fused for a detector</h1>\n<p class=lead>{}</p>\n<p class=limits>{}</p>\n",
            escape(&self.lead),
            escape(&self.limits)
        );
        for section in &self.sections {
            html += &format!("<h2>{}</h2>\n<p>{}</p>\n", escape(section.title), escape(section.text));
            for shown in &section.shown {
                html += &show(folder, *shown);
            }
        }
        html += &self.commands();
        html += "</body>\n</html>\n";
        html
    }

    fn commands(&self) -> String {
        let mut html =
            "<h2>What was run</h2>\n<p>Each line can be pasted at the root of the workspace.</p>\n".to_owned();
        for ran in &self.ran {
            let _ = writeln!(
                html,
                "<p><b>{}</b> took {:.1} s</p>\n<pre>{}</pre>",
                escape(&ran.name),
                ran.seconds,
                escape(&ran.line)
            );
        }
        html
    }
}

/// Endings of pictures that every browser shows.
const PICTURES: &[&str] = &["png", "jpg", "jpeg"];

fn show(folder: &Path, shown: Shown) -> String {
    match shown {
        Shown::Plots(name) => pictures(folder, name, "pictures plots", &["svg", "png"], usize::MAX),
        Shown::Pictures(name, most) => pictures(folder, name, "pictures", PICTURES, most),
        Shown::Strips(name, most) => pictures(folder, name, "strips", PICTURES, most),
        Shown::Report(name, left_out) => match fs::read(folder.join(name)).map(|text| serde_json::from_slice(&text)) {
            Ok(Ok(report)) => tables(&without(report, left_out)) + &source(name),
            Ok(Err(error)) => missing(name, &error.to_string()),
            Err(error) => missing(name, &error.to_string()),
        },
        Shown::Weights(name) => match fs::read_to_string(folder.join(name)).map(|text| text.parse::<toml::Table>()) {
            Ok(Ok(table)) => match table.get("weights").and_then(toml::Value::as_table) {
                Some(table) => weights(table) + &source(name),
                None => missing(name, "it has no table `weights`"),
            },
            Ok(Err(error)) => missing(name, &error.to_string()),
            Err(error) => missing(name, &error.to_string()),
        },
        Shown::Video(name) => match fs::metadata(folder.join(name)) {
            Ok(_) => format!(
                "<figure><video controls loop muted autoplay playsinline src=\"{}\"></video></figure>\n",
                address(Path::new(name))
            ),
            Err(error) => missing(name, &error.to_string()),
        },
    }
}

fn without(mut report: Value, fields: &[&str]) -> Value {
    if let Some(object) = report.as_object_mut() {
        object.retain(|name, _| !fields.contains(&name.as_str()));
    }
    report
}

/// What should be there and is not is said, not left out.
fn missing(name: &str, reason: &str) -> String {
    format!("<p class=missing>{} cannot be shown: {}</p>\n", escape(name), escape(reason))
}

fn source(name: &str) -> String {
    format!("<p><a href=\"{}\">{}</a></p>\n", address(Path::new(name)), escape(name))
}

fn pictures(folder: &Path, name: &str, class: &str, endings: &[&str], most: usize) -> String {
    let files = match listed(&folder.join(name), endings) {
        Ok(files) if files.is_empty() => return missing(name, "no pictures in this folder"),
        Ok(files) => spread(&files, most),
        Err(error) => return missing(name, &error.to_string()),
    };
    let mut html = format!("<div class=\"{class}\">\n");
    for file in files {
        let path = Path::new(name).join(&file);
        let stem =
            Path::new(&file).file_stem().map(|stem| stem.to_string_lossy().replace('_', " ")).unwrap_or_default();
        let _ = writeln!(
            html,
            "<figure><a href=\"{0}\"><img src=\"{0}\" alt=\"{1}\" loading=lazy></a><figcaption>{1}</figcaption></figure>",
            address(&path),
            escape(&stem)
        );
    }
    html + "</div>\n"
}

/// Names of the files in a folder that end so, sorted.
fn listed(folder: &Path, endings: &[&str]) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let ending = Path::new(&name).extension().map(|ending| ending.to_string_lossy().to_lowercase());
        if ending.is_some_and(|ending| endings.contains(&ending.as_str())) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// At most `most` of the items, evenly spread, the last included.
fn spread(items: &[String], most: usize) -> Vec<String> {
    let count = most.min(items.len());
    (1..=count).filter_map(|index| items.get((index * items.len() / count).saturating_sub(1))).cloned().collect()
}

/// Every weight with a bar, the largest first and as wide as the column.
fn weights(table: &toml::Table) -> String {
    let mut rows: Vec<(&str, f64)> =
        table.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_float()?))).collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    let largest = rows.iter().map(|row| row.1.abs()).fold(0.0, f64::max);
    let mut html = "<figure class=table><table>\n".to_owned();
    for (name, weight) in &rows {
        let width = if largest > 0.0 { 20.0 * weight.abs() / largest } else { 0.0 };
        let _ = writeln!(
            html,
            "<tr><th scope=row>{}</th><td>{}</td><td class=text><span class=bar style=\"width:{width:.2}rem\"></span></td></tr>",
            escape(&name.replace('_', " ")),
            real_number(*weight)
        );
    }
    html + "</table></figure>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_what_is_there_and_names_what_is_not() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("plots")).unwrap();
        fs::write(folder.path().join("plots/beta_trajectory.svg"), "<svg/>").unwrap();
        fs::write(folder.path().join("beta.toml"), "[weights]\nmse_ir = 0.75\nssim_vi = 0.25\n[loss]\nscale = 3.5\n")
            .unwrap();
        fs::write(folder.path().join("eval.json"), r#"{"map50": 0.5, "contract": 1}"#).unwrap();
        let page = Page {
            lead: "Lead <with> marks".to_owned(),
            limits: "Limits".to_owned(),
            sections: vec![Section {
                title: "Search",
                text: "What was found",
                shown: vec![
                    Shown::Plots("plots"),
                    Shown::Weights("beta.toml"),
                    Shown::Report("eval.json", &["contract"]),
                    Shown::Video("live/video.webm"),
                ],
            }],
            ran: vec![Ran {
                name: "search".to_owned(),
                line: "caf-search search --out 'a b'".to_owned(),
                seconds: 12.34,
            }],
        };
        let html = fs::read_to_string(page.write(folder.path()).unwrap()).unwrap();
        assert!(html.contains("Lead &lt;with&gt; marks"));
        assert!(html.contains("src=\"plots/beta_trajectory.svg\"") && html.contains("beta trajectory"));
        assert!(
            html.contains("mse ir</th><td>0.75</td>")
                && html.contains("width:20.00rem")
                && !html.contains("scale</th>")
        );
        assert!(html.contains("map50") && html.contains("0.5") && !html.contains("contract"));
        assert!(html.contains("live/video.webm cannot be shown"));
        assert!(html.contains("caf-search search --out &#39;a b&#39;") && html.contains("12.3 s"));
        assert!(!html.contains("http://") && !html.contains("https://"));
    }

    #[test]
    fn pictures_are_spread_over_the_folder() {
        let names: Vec<String> = (0..10).map(|i| i.to_string()).collect();
        assert_eq!(spread(&names, 3), ["2", "5", "9"]);
        assert_eq!(spread(&names, 99).len(), 10);
        assert!(spread(&[], 3).is_empty());
    }
}
