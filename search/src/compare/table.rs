//! The table of a comparison: means of metrics, ranks, times and costs.

use super::run::Measured;
use crate::evaluate::Mean;
use caf_console::median;
use caf_eval::fusion::{Metric, Profile};
use serde::Serialize;

/// Where there is no value.
pub(super) const UNSEEN: &str = "–";

/// Methods by metrics.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// Whose definitions of metrics.
    pub profile: &'static str,
    /// Number of pairs.
    pub pairs: usize,
    /// Names of the metrics, each with whether more is better.
    pub metrics: Vec<(&'static str, bool)>,
    /// A line for each method, in the order they were given in.
    pub lines: Vec<Line>,
}

/// A method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Multiply-adds of a network's convolutions, for each pixel.
    pub macs_per_pixel: Option<u64>,
    /// Median milliseconds to fuse a pair.
    pub fuse_ms: Option<f64>,
    /// Means over the pairs, in the order of the metrics.
    pub means: Vec<Mean>,
    /// Its place among the methods by each of them, 1 the best; equal means share the mean of their places.
    pub ranks: Vec<f64>,
    /// The mean of its places.
    pub mean_rank: f64,
}

impl Table {
    /// Of methods that were measured on the same pairs.
    pub fn new(profile: &'static Profile, metrics: &[Metric], measured: &[Measured]) -> Self {
        let of = |method: &Measured, metric: &Metric| {
            let values = method.rows.iter().map(|row| row.values.get(metric.name()).copied().flatten());
            Mean::of(values.map(|value| value.unwrap_or(f64::NAN)))
        };
        let columns: Vec<(Vec<Mean>, Vec<f64>)> = metrics
            .iter()
            .map(|metric| {
                let means: Vec<Mean> = measured.iter().map(|method| of(method, metric)).collect();
                let ranks = ranks(&means.iter().map(|mean| mean.mean).collect::<Vec<_>>(), metric.higher_is_better());
                (means, ranks)
            })
            .collect();
        let lines = measured.iter().enumerate().map(|(row, method)| {
            let means = columns.iter().filter_map(|(means, _)| means.get(row).copied()).collect();
            let ranks: Vec<f64> = columns.iter().filter_map(|(_, ranks)| ranks.get(row).copied()).collect();
            Line {
                name: method.name.clone(),
                macs_per_pixel: method.macs_per_pixel,
                fuse_ms: median(method.rows.iter().filter_map(|row| row.fuse_ms)),
                mean_rank: ranks.iter().sum::<f64>() / ranks.len().max(1) as f64,
                means,
                ranks,
            }
        });
        Table {
            profile: profile.name,
            pairs: measured.iter().map(|method| method.rows.len()).max().unwrap_or(0),
            metrics: metrics.iter().map(|metric| (metric.name(), metric.higher_is_better())).collect(),
            lines: lines.collect(),
        }
    }

    /// Heads of its columns.
    pub(super) fn heads(&self) -> Vec<String> {
        let metrics =
            self.metrics.iter().map(|(name, higher)| if *higher { (*name).to_owned() } else { format!("{name} ↓") });
        let before = ["method", "kMAC/px", "ms"].map(str::to_owned);
        before.into_iter().chain(metrics).chain(["mean rank".to_owned()]).collect()
    }

    /// The best mean rank.
    pub(super) fn best_mean_rank(&self) -> f64 {
        self.lines.iter().map(|line| line.mean_rank).fold(f64::INFINITY, f64::min)
    }

    /// Whether no method of this table has a better mean of a metric than a line that has one: the first place, alone or shared.
    pub(super) fn is_best(&self, line: &Line, column: usize) -> bool {
        let place = |line: &Line| line.means.get(column)?.mean.and(line.ranks.get(column).copied());
        let first = self.lines.iter().filter_map(place).fold(f64::INFINITY, f64::min);
        place(line).is_some_and(|place| place <= first)
    }

    /// As text; `bold` marks the best of each metric and of the mean rank.
    fn cells(&self, bold: impl Fn(String) -> String) -> Vec<Vec<String>> {
        let best_rank = self.best_mean_rank();
        let marked = |text: String, is_best: bool| if is_best { bold(text) } else { text };
        let line = |line: &Line| {
            let means = line.means.iter().enumerate();
            let means = means.map(|(column, mean)| marked(value(mean.mean), self.is_best(line, column)));
            let rank = marked(format!("{:.2}", line.mean_rank), line.mean_rank <= best_rank);
            [line.name.clone(), line.kilo_macs(), line.time()].into_iter().chain(means).chain([rank]).collect()
        };
        self.lines.iter().map(line).collect()
    }

    /// For a terminal; `*` marks the best of a column.
    pub fn text(&self) -> String {
        let rows: Vec<Vec<String>> = [self.heads()].into_iter().chain(self.cells(|text| format!("*{text}"))).collect();
        let width = |column: usize| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.metrics.len() + 4).map(width).collect();
        let mut text = format!("{} pairs, profile {}; * is the best\n\n", self.pairs, self.profile);
        for row in &rows {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                text += &if column == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") };
            }
            text.push('\n');
        }
        text
    }

    /// As Markdown; the best of a column is bold.
    pub fn markdown(&self) -> String {
        let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let heads = self.heads();
        let rule = format!("| --- |{}\n", " ---: |".repeat(heads.len().saturating_sub(1)));
        let rows: String = self.cells(|text| format!("**{text}**")).iter().map(|cells| row(cells)).collect();
        row(&heads) + &rule + &rows
    }

    /// As CSV, numbers in full: of each metric mean, rank, and how many images had no finite value.
    pub fn csv(&self) -> String {
        let full = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
        let mut text = "method,macs_per_pixel,fuse_ms,mean_rank".to_owned();
        self.metrics.iter().for_each(|(name, _)| text += &format!(",{name},{name}.rank,{name}.left_out"));
        text.push('\n');
        for line in &self.lines {
            let macs = line.macs_per_pixel.map_or_else(String::new, |macs| macs.to_string());
            text += &format!("{},{macs},{},{}", line.name, full(line.fuse_ms), line.mean_rank);
            for (mean, rank) in line.means.iter().zip(&line.ranks) {
                text += &format!(",{},{rank},{}", full(mean.mean), mean.left_out);
            }
            text.push('\n');
        }
        text
    }
}

impl Line {
    pub(super) fn kilo_macs(&self) -> String {
        self.macs_per_pixel.map_or_else(|| UNSEEN.to_owned(), |macs| format!("{:.1}", macs as f64 / 1e3))
    }

    pub(super) fn time(&self) -> String {
        self.fuse_ms.map_or_else(|| UNSEEN.to_owned(), |ms| format!("{ms:.*}", usize::from(ms < 100.0)))
    }
}

/// A mean with four digits.
pub(super) fn value(mean: Option<f64>) -> String {
    let digits = |v: f64| format!("{v:.*}", (3.0 - v.abs().max(1e-9).log10().floor()).clamp(0.0, 5.0) as usize);
    mean.map_or_else(|| UNSEEN.to_owned(), digits)
}

/// Places of values among each other, 1 the best; equal ones share the mean of their places, those without a value come last.
fn ranks(values: &[Option<f64>], higher_is_better: bool) -> Vec<f64> {
    let cost = |value: &Option<f64>| match value {
        Some(v) if higher_is_better => -v,
        Some(v) => *v,
        None => f64::INFINITY,
    };
    let costs: Vec<f64> = values.iter().map(cost).collect();
    let rank = |cost: &f64| {
        let before = costs.iter().filter(|other| *other < cost).count();
        let equal = costs.iter().filter(|other| *other == cost).count();
        before as f64 + (equal + 1) as f64 / 2.0
    };
    costs.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::super::rows::Row;
    use super::*;

    #[test]
    fn equal_values_share_their_places_and_none_comes_last() {
        let values = [Some(3.0), Some(5.0), None, Some(3.0), Some(1.0)];
        assert_eq!(ranks(&values, true), [2.5, 1.0, 5.0, 2.5, 4.0]);
        assert_eq!(ranks(&values, false), [2.5, 4.0, 5.0, 2.5, 1.0]);
    }

    /// Tables of one metric: who has the best mean, marked in the text.
    #[test]
    fn the_best_are_those_of_the_first_place_that_have_a_value() {
        let profile = Profile::named("linfeng").unwrap();
        let metrics = profile.chosen(Some("EN")).unwrap();
        let marked = |values: &[Option<f64>]| {
            let method = |value: &Option<f64>| {
                let values = [("EN".to_owned(), *value)].into_iter().collect();
                let (image, files, profile) = (String::new(), String::new(), profile.name.to_owned());
                let rows = vec![Row { image, files, fuse_ms: None, profile, values }];
                Measured { name: "a".to_owned(), macs_per_pixel: None, images: Vec::new(), rows }
            };
            let table = Table::new(profile, &metrics, &values.iter().map(method).collect::<Vec<_>>());
            let best: Vec<bool> = table.lines.iter().map(|line| table.is_best(line, 0)).collect();
            let of_text: Vec<bool> =
                table.cells(|text| format!("*{text}")).iter().map(|row| row[3].starts_with('*')).collect();
            assert_eq!(best, of_text);
            best
        };
        let (x, y) = (Some(6.0), Some(7.0));
        assert_eq!(marked(&[x, y, x]), [false, true, false]);
        // Three and more that share the first place are all the best.
        assert_eq!(marked(&[x, x, x]), [true; 3]);
        assert_eq!(marked(&[y, x, y, y, y]), [true, false, true, true, true]);
        // Two without a value share a place, and it is the best of none.
        assert_eq!(marked(&[None, None]), [false; 2]);
        assert_eq!(marked(&[None, x, None]), [false, true, false]);
    }

    #[test]
    fn means_ranks_and_the_best_are_in_every_form() {
        let profile = Profile::named("linfeng").unwrap();
        let metrics = profile.chosen(Some("EN,MSE")).unwrap();
        let method = |name: &str, macs, values: [[Option<f64>; 2]; 2]| Measured {
            name: name.to_owned(),
            macs_per_pixel: macs,
            images: Vec::new(),
            rows: values
                .map(|[en, mse]| Row {
                    image: String::new(),
                    files: String::new(),
                    fuse_ms: macs.map(|_| 12.34),
                    profile: profile.name.to_owned(),
                    values: [("EN".to_owned(), en), ("MSE".to_owned(), mse)].into_iter().collect(),
                })
                .to_vec(),
        };
        let measured = [
            method("net", Some(148_321), [[Some(7.0), Some(0.25)], [Some(6.0), None]]),
            method("published", None, [[Some(6.0), Some(0.125)], [Some(6.0), Some(0.125)]]),
        ];
        let table = Table::new(profile, &metrics, &measured);
        assert_eq!(table.lines[0].ranks, [1.0, 2.0]);
        assert_eq!((table.lines[0].mean_rank, table.lines[1].mean_rank, table.pairs), (1.5, 1.5, 2));
        assert_eq!(table.lines[0].means[1], Mean { mean: Some(0.25), finite: 1, left_out: 1 });
        let markdown = table.markdown();
        assert!(markdown.contains("| net | 148.3 | 12.3 | **6.500** | 0.2500 | **1.50** |"), "{markdown}");
        assert!(markdown.contains("| published | – | – | 6.000 | **0.1250** | **1.50** |"), "{markdown}");
        assert!(
            markdown.starts_with("| method | kMAC/px | ms | EN | MSE ↓ | mean rank |\n| --- | ---: |"),
            "{markdown}"
        );
        assert!(table.text().contains("*6.500"), "{}", table.text());
        let csv = table.csv();
        assert!(csv.contains("\nnet,148321,12.34,1.5,6.5,1,0,0.25,2,1\n"), "{csv}");
    }
}
