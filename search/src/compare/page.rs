//! What a comparison leaves for people and other programs: tables, plots, pictures, one page.

use super::run::{Comparison, Measured};
use super::table::{Line, Table, value};
use super::zoom::Part;
use crate::error::SearchError;
use crate::file::{make_folder, write_text};
use crate::fusion::{Panel, gray_rgb};
use caf_image::color::quantized;
use caf_image::{Rgb8, read_vi, write_rgb8};
use caf_report::html::{Cell, Table as HtmlTable, document, escape, missing, paragraph, picture, side_by_side};
use caf_report::{boxes, figure};
use std::path::{Path, PathBuf};

const TITLE: &str = "Methods of fusing, side by side";

/// What was drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// The table.
    pub table: Table,
    /// Files, in the order in which they are told.
    pub files: Vec<PathBuf>,
}

/// Writes `table.csv`, `table.md`, `images.csv`, `compare.json`, `plots/METRIC.svg`, `panels/` and `report.html` into the folder of the
/// comparison. Of `panels` pairs, evenly spread over the set, sources and all fused images are shown beside each other.
///
/// # Errors
/// When an image cannot be read or a file not written.
pub fn draw(job: &Comparison<'_>, measured: &[Measured], panels: usize) -> Result<Drawn, SearchError> {
    let table = Table::new(job.profile, job.metrics, measured);
    let mut files = Vec::new();
    let mut write = |name: &str, text: &str| {
        let path = job.out.join(name);
        write_text(&path, text)?;
        files.push(path);
        Ok::<_, SearchError>(())
    };
    write("table.csv", &table.csv())?;
    write("table.md", &table.markdown())?;
    write("images.csv", &images_csv(job, measured))?;
    let json = serde_json::to_string_pretty(&table);
    write("compare.json", &json.map_err(|source| SearchError::Json { path: job.out.join("compare.json"), source })?)?;
    let mut body = format!("<h1>{TITLE}</h1>\n");
    let lead = format!(
        "{} pairs, metrics of the profile {}; ↓ marks those that are better when lower. The mean rank is over all metrics shown. Times \
         are medians of one pair on the machine that fused it.",
        table.pairs, table.profile
    );
    body += &paragraph(&lead);
    body += &html_table(&table);
    body += &distributions(job, measured)?;
    for (index, name) in shown(job.dataset.len(), panels).filter_map(|i| Some((i, job.dataset.names().nth(i)?))) {
        body += &format!("<h2>{}</h2>\n", escape(name));
        body += &side_by_side(&panel(job, measured, index)?);
    }
    write("report.html", &document(TITLE, &body))?;
    Ok(Drawn { table, files })
}

/// Numbers of pairs that are spread evenly over a set.
fn shown(pairs: usize, wanted: usize) -> impl Iterator<Item = usize> {
    let wanted = wanted.min(pairs);
    (0..wanted).map(move |i| (2 * i + 1) * pairs / (2 * wanted))
}

/// Every image's values.
fn images_csv(job: &Comparison<'_>, measured: &[Measured]) -> String {
    let mut text = "method,image,fuse_ms".to_owned();
    job.metrics.iter().for_each(|metric| text += &format!(",{}", metric.name()));
    text.push('\n');
    let full = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
    for (method, row) in measured.iter().flat_map(|method| method.rows.iter().map(move |row| (method, row))) {
        // The name of an image may hold a comma or a quote.
        text += &format!("{},\"{}\",{}", method.name, row.image.replace('"', "\"\""), full(row.fuse_ms));
        for metric in job.metrics {
            text += &format!(",{}", full(row.values.get(metric.name()).copied().flatten()));
        }
        text.push('\n');
    }
    text
}

fn html_table(table: &Table) -> String {
    let heads = table.heads();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let mut shown = HtmlTable::new("Means over the pairs; the darker, the better the place", &heads);
    let (last, best) = (table.lines.len().saturating_sub(1).max(1) as f64, table.best_mean_rank());
    let ranked = |text: String, rank: f64, is_best: bool| {
        let share = 1.0 - (rank - 1.0) / last;
        if is_best { Cell::Best(text, share) } else { Cell::Shaded(text, share) }
    };
    for line in &table.lines {
        let Line { means, ranks, mean_rank, .. } = line;
        let mut cells = vec![Cell::Head(line.name.clone()), Cell::Number(line.kilo_macs()), Cell::Number(line.time())];
        let places = means.iter().zip(ranks).enumerate();
        cells.extend(places.map(|(i, (mean, rank))| ranked(value(mean.mean), *rank, table.is_best(line, i))));
        cells.push(ranked(format!("{mean_rank:.2}"), *mean_rank, *mean_rank <= best));
        shown.row(cells);
    }
    shown.html()
}

/// A box plot of every metric.
fn distributions(job: &Comparison<'_>, measured: &[Measured]) -> Result<String, SearchError> {
    let folder = job.out.join("plots");
    make_folder(&folder)?;
    let mut figures = String::new();
    for metric in job.metrics {
        let path = folder.join(format!("{}.svg", metric.name()));
        let values = |method: &Measured| {
            method.rows.iter().filter_map(|row| row.values.get(metric.name()).copied().flatten()).collect::<Vec<f64>>()
        };
        let rows: Vec<(String, Vec<f64>)> = measured.iter().map(|m| (m.name.clone(), values(m))).collect();
        if rows.iter().all(|(_, values)| values.is_empty()) {
            figures += &missing(metric.name(), "no image has a finite value");
            continue;
        }
        let better = if metric.higher_is_better() { "more is better" } else { "less is better" };
        boxes(&path, metric.name(), &format!("{}; {better}", metric.name()), &rows)?;
        figures += &figure(&path, metric.about());
    }
    let how = "A row for each method: the box holds the middle half of the images, its line is their median, which stands at the right, \
               the cross their mean; whiskers reach to the last image within one and a half boxes, dots are the others.";
    Ok(format!("<h2>Distributions</h2>\n{}{}", paragraph(how), side_by_side(&figures)))
}

/// Sources and fused images of a pair, each with the part in which the fused ones differ most; a picture each.
fn panel(job: &Comparison<'_>, measured: &[Measured], index: usize) -> Result<String, SearchError> {
    let sample = job.dataset.load(index)?;
    let folder = job.out.join("panels");
    make_folder(&folder)?;
    let fused = measured.iter().filter_map(|method| Some((method.name.as_str(), method.images.get(index)?)));
    let fused = fused.map(|(name, path)| Ok((name, read_vi(path)?))).collect::<Result<Vec<_>, SearchError>>()?;
    let (names, fused): (Vec<&str>, Vec<Rgb8>) = fused.into_iter().unzip();
    let part = Part::of(&fused, sample.vi.size());
    let sources = [("source: infrared", gray_rgb(&quantized(&sample.ir))?), ("source: visible", sample.vi)];
    let mut figures = String::new();
    for (number, (name, image)) in sources.into_iter().chain(names.into_iter().zip(fused)).enumerate() {
        let mut panel = Panel::default();
        part.shown(&image)?.into_iter().for_each(|image| panel.push(vec![image]));
        let file = format!("{index:05}-{number:02}.png");
        write_rgb8(&folder.join(&file), &panel.picture()?)?;
        figures += &picture(&Path::new("panels").join(&file), name, false);
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Entrant, Source};
    use crate::fixture::Folder;
    use crate::fusion::Method;
    use caf_console::{Silent, StopFlag};
    use caf_eval::fusion::PROFILES;
    use caf_geometry::Size;
    use caf_image::rule::RULES;

    #[test]
    fn all_methods_are_in_table_plots_and_panels() {
        let folder = Folder::new(3, Size::new(40, 28));
        let (dataset, out) = (folder.dataset(), folder.path().join("compared"));
        let of = |rule: &caf_image::rule::Rule| Entrant {
            name: format!("the-{}", rule.name),
            source: Source::Method(Method::Rule(*rule)),
        };
        let entrants: Vec<Entrant> = RULES.iter().map(of).collect();
        let profile = &PROFILES[0];
        let metrics = profile.chosen(Some("EN,MSE,MS_SSIM")).unwrap();
        let (dataset, entrants, out) = (&dataset, entrants.as_slice(), out.as_path());
        let device = tch::Device::Cpu;
        let job = Comparison { dataset, entrants, profile, metrics: &metrics, colour: true, out, device };
        let measured = job.run(&Silent, &StopFlag::default()).unwrap();
        let drawn = draw(&job, &measured, 2).unwrap();
        assert!(drawn.files.iter().all(|path| path.is_file()), "{:?}", drawn.files);
        let html = std::fs::read_to_string(out.join("report.html")).unwrap();
        for entrant in entrants {
            assert_eq!(html.matches(&format!("alt=\"{}\"", entrant.name)).count(), 2, "{}", entrant.name);
        }
        // An image of 28 rows is too small for MS-SSIM.
        assert!(html.contains("MS_SSIM cannot be shown") && html.contains("source: infrared"));
        assert_eq!(html.matches("image/svg+xml").count(), 2);
        assert_eq!(std::fs::read_dir(out.join("panels")).unwrap().count(), 2 * (2 + RULES.len()));
        let images = std::fs::read_to_string(out.join("images.csv")).unwrap();
        assert_eq!(images.lines().count(), 1 + 3 * RULES.len());
        let infrared = read_vi(&out.join("fused/the-infrared/scene0.png")).unwrap();
        assert!(caf_image::color::is_gray(&infrared), "nothing of the visible image's colours is in infrared alone");
    }

    #[test]
    fn pairs_are_spread_over_the_set() {
        assert_eq!(shown(25, 3).collect::<Vec<_>>(), [4, 12, 20]);
        assert_eq!(shown(2, 5).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(shown(4, 0).count() + shown(0, 3).count(), 0);
    }
}
