//! The folders of runs: which kind of run one holds, and its logs as plots.

use crate::error::ReportError;
use crate::log::Log;
use crate::plot::{Chart, Curve, Scale, bars, curves, grouped_bars};
use std::path::{Path, PathBuf};

/// Name of the log, one row an iteration.
const LOG: &str = "log.csv";
/// Name of the log of validations.
const VALIDATION: &str = "validation.csv";

/// Weights of the terms of a fusion loss: name and value.
pub type Weights = Vec<(String, f64)>;

/// What a folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunKind {
    /// A search of the fusion loss.
    Search,
    /// The training of a fusion network.
    Fusion,
    /// The training of a task network.
    Task,
}

impl RunKind {
    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            RunKind::Search => "Search of the fusion loss",
            RunKind::Fusion => "Training of a fusion network",
            RunKind::Task => "Training of a task network",
        }
    }

    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            RunKind::Search => "search",
            RunKind::Fusion => "fusion",
            RunKind::Task => "task",
        }
    }
}

/// How the scores of a task are drawn.
#[derive(Clone, Copy, Debug)]
pub struct ScoreChart {
    /// Its title.
    pub title: &'static str,
    /// Quantity along the left.
    pub y: &'static str,
    /// Label and column of each curve.
    pub curves: &'static [(&'static str, &'static str)],
}

/// A plot with what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// The SVG file.
    pub path: PathBuf,
    /// What is seen.
    pub caption: &'static str,
}

/// The folder of a run that has begun.
#[derive(Clone, Debug)]
pub struct Run {
    folder: PathBuf,
    kind: RunKind,
    log: Log,
    validation: Option<Log>,
}

impl Run {
    /// Finds out what a folder holds, from the columns of its logs.
    ///
    /// # Errors
    /// [`ReportError::NotARun`] when it holds no log or one of another program, [`ReportError::Log`] when a log is damaged or has no
    /// row yet.
    pub fn open(folder: &Path) -> Result<Self, ReportError> {
        let path = folder.join(LOG);
        let other = |found: String| ReportError::NotARun {
            path: folder.to_owned(),
            expected: "the folder of a search or of a training",
            found,
        };
        if !path.is_file() {
            return Err(other(format!("no {LOG}")));
        }
        let log = Log::read(&path)?;
        let validation = Log::read_if_begun(&folder.join(VALIDATION))?;
        let has = |log: &Log, name: &str| log.column(name).is_ok();
        let kind = if !log.group("weight.").is_empty() && has(&log, "val_total") {
            RunKind::Search
        } else if has(&log, "total") && !log.group("term.").is_empty() {
            RunKind::Fusion
        } else if has(&log, "total") {
            RunKind::Task
        } else {
            return Err(other(format!("a {LOG} with the columns {}", log.names().join(", "))));
        };
        Ok(Run { folder: folder.to_owned(), kind, log, validation })
    }

    /// What the folder holds.
    pub fn kind(&self) -> RunKind {
        self.kind
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its log, one row an iteration.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Its log of validations, once one was made.
    pub fn validation(&self) -> Option<&Log> {
        self.validation.as_ref()
    }

    /// The weights of the fusion loss at the last iteration of a search; empty for other runs.
    pub fn weights(&self) -> Weights {
        let last = |(name, values): (String, Vec<f64>)| Some((name, *values.last()?));
        match self.kind {
            RunKind::Search => self.log.group("weight.").into_iter().filter_map(last).collect(),
            RunKind::Fusion | RunKind::Task => Vec::new(),
        }
    }

    /// Draws every plot of the run into `folder/plots`. `scores` says how a task's scores are drawn; without it all of them are, under
    /// the names of their columns.
    ///
    /// # Errors
    /// When a column is missing, nothing can be drawn, or a plot cannot be written.
    pub fn draw(&self, scores: Option<&ScoreChart>) -> Result<Vec<Figure>, ReportError> {
        let plots = self.folder.join("plots");
        std::fs::create_dir_all(&plots).map_err(ReportError::io("create folder", &plots))?;
        match self.kind {
            RunKind::Search => self.draw_search(&plots),
            RunKind::Fusion => self.draw_fusion(&plots).map(|figure| vec![figure]),
            RunKind::Task => self.draw_scores(&plots, scores).map(|figure| vec![figure]),
        }
    }

    fn draw_search(&self, plots: &Path) -> Result<Vec<Figure>, ReportError> {
        let log = &self.log;
        let figure = |name: &str, caption| Figure { path: plots.join(name), caption };
        let mut made = vec![
            figure("beta.svg", "Weight of every term over the search; all add up to 1"),
            figure("composition.svg", "The loss that was found, largest weight first"),
        ];
        let title = "Weights of the fusion loss during the search";
        curves(&plots.join("beta.svg"), &chart(title, "weight", Scale::Linear), &lines(log, log.group("weight."), 1)?)?;
        bars(&plots.join("composition.svg"), "The found loss: weight of each term", &self.weights())?;
        let over = tenth(log)?;
        let batches = columns(log, &[("training batch", "task_total"), ("validation batch", "val_total")])?;
        // Neither has a value as long as neither β nor the task network moves.
        if has_value(&batches) {
            let (title, y) =
                ("The task's loss during the search", format!("loss, and its mean over {over} iterations"));
            let figure = figure("losses.svg", "The task's loss on training and on validation batches");
            curves(&figure.path, &chart(title, &y, Scale::Linear), &lines(log, batches, over)?)?;
            made.push(figure);
        }
        let (title, y) = ("Terms of the fusion loss during the search", format!("value, mean over {over} iterations"));
        let figure_of_terms = figure("terms.svg", "The terms themselves on training batches, on a logarithmic scale");
        curves(&figure_of_terms.path, &chart(title, &y, Scale::Log), &lines(log, log.group("term."), over)?)?;
        made.push(figure_of_terms);
        let heard: Vec<_> = log.group("gradient_mean.").into_iter().zip(log.group("gradient_sd.")).map(share).collect();
        if has_value(&heard) {
            let (title, y) = ("Signal and noise of what moves the weights", "mean / standard deviation over 20 steps");
            let figure =
                figure("signal.svg", "What moves each weight: the mean of its gradient as a share of its noise");
            curves(&figure.path, &chart(title, y, Scale::Linear), &lines(log, heard, 1)?)?;
            made.push(figure);
        }
        Ok(made)
    }

    fn draw_fusion(&self, plots: &Path) -> Result<Figure, ReportError> {
        let over = tenth(&self.log)?;
        let mut list = lines(&self.log, columns(&self.log, &[("training batch", "total")])?, over)?;
        if let Some(validation) = &self.validation {
            list.extend(lines(validation, columns(validation, &[("validation pairs", "loss")])?, 1)?);
        }
        let y = format!("weighted loss, and its mean over {over} batches");
        let chart = Chart { title: "Loss of the fusion network", x: "iteration", y: &y, scale: Scale::Linear };
        let path = plots.join("loss.svg");
        curves(&path, &chart, &list)?;
        Ok(Figure { path, caption: "The weighted loss of every batch, and its mean" })
    }

    fn draw_scores(&self, plots: &Path, scores: Option<&ScoreChart>) -> Result<Figure, ReportError> {
        let none = || ReportError::Log { path: self.folder.join(VALIDATION), message: "no validation yet".to_owned() };
        let log = self.validation.as_ref().ok_or_else(none)?;
        let (title, y, list) = match scores {
            Some(chart) => (chart.title, chart.y, columns(log, chart.curves)?),
            None => {
                let shown = |name: &&String| !["iteration", "fitness"].contains(&name.as_str());
                let of = |name: &String| Ok((name.clone(), log.column(name)?));
                let list = log.names().iter().filter(shown).map(of).collect::<Result<_, ReportError>>()?;
                ("Scores on validation images", "score", list)
            }
        };
        let path = plots.join("scores.svg");
        let chart = Chart { title, x: "iteration", y, scale: Scale::Linear };
        curves(&path, &chart, &lines(log, list, 1)?)?;
        Ok(Figure { path, caption: "Scores on validation images" })
    }
}

fn chart<'a>(title: &'a str, y: &'a str, scale: Scale) -> Chart<'a> {
    Chart { title, x: "iteration", y, scale }
}

fn has_value(columns: &[(String, Vec<f64>)]) -> bool {
    columns.iter().any(|(_, values)| values.iter().any(|v| v.is_finite()))
}

/// A term's mean as a share of its deviation.
fn share(((name, mean), (_, deviation)): ((String, Vec<f64>), (String, Vec<f64>))) -> (String, Vec<f64>) {
    (name, mean.iter().zip(&deviation).map(|(mean, deviation)| mean / deviation).collect())
}

/// Draws the weights that several searches found side by side, as the paper's Figure 5 does for two tasks: label and weights of each.
/// Terms keep the order in which they first occur.
///
/// # Errors
/// When there is no weight above 0 or the file cannot be written.
pub fn beta_comparison(path: &Path, runs: &[(String, Weights)]) -> Result<(), ReportError> {
    let mut terms: Vec<&str> = Vec::new();
    for (name, _) in runs.iter().flat_map(|(_, weights)| weights) {
        if !terms.contains(&name.as_str()) {
            terms.push(name);
        }
    }
    let of = |weights: &Weights, term: &str| weights.iter().find(|(name, _)| name == term).map_or(f64::NAN, |w| w.1);
    let row = |term: &str| (term.to_owned(), runs.iter().map(|(_, weights)| of(weights, term)).collect());
    let rows: Vec<(String, Vec<f64>)> = terms.into_iter().map(row).collect();
    let labels: Vec<&str> = runs.iter().map(|(label, _)| label.as_str()).collect();
    grouped_bars(path, "The found losses: weight of each term", &labels, &rows)
}

/// Values of named columns under the labels they shall have.
fn columns(log: &Log, labelled: &[(&str, &str)]) -> Result<Vec<(String, Vec<f64>)>, ReportError> {
    labelled.iter().map(|(label, column)| Ok(((*label).to_owned(), log.column(column)?))).collect()
}

/// Values over the log's first column, drawn as means over so many of them.
fn lines(log: &Log, list: Vec<(String, Vec<f64>)>, mean_over: usize) -> Result<Vec<Curve>, ReportError> {
    let (_, steps) = log.first()?;
    let line = |(label, y): (String, Vec<f64>)| {
        let points = steps.iter().copied().zip(y).collect();
        Curve { label, points, mean_over }
    };
    Ok(list.into_iter().map(line).collect())
}

/// Values of single batches jump: the mean over a tenth of a run shows where they go.
fn tenth(log: &Log) -> Result<usize, ReportError> {
    Ok((log.first()?.1.len() / 10).max(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    fn drawn(dir: &tempfile::TempDir, scores: Option<&ScoreChart>) -> Vec<String> {
        let figures = Run::open(dir.path()).unwrap().draw(scores).unwrap();
        figures.iter().map(|figure| std::fs::read_to_string(&figure.path).unwrap()).collect()
    }

    const SEARCH: &str = "iteration,weight.l1.ir,weight.ssim.vi,task_total,val_total,term.l1.ir,term.ssim.vi\n\
                          0,0.5,0.5,1.0,1.5,0.1,0.01\n1,0.25,0.75,0.5,1.25,0.05,0.02\n";

    #[test]
    fn a_searchs_log_becomes_four_plots() {
        let texts = drawn(&folder(&[(LOG, SEARCH)]), None);
        assert!(texts[0].contains("ssim.vi  0.75") && texts[0].contains("iteration"), "{}", texts[0]);
        assert!(texts[1].contains("0.25"), "{}", texts[1]);
        assert!(texts[2].contains("validation batch  1.38"), "{}", texts[2]);
        assert!(texts[3].contains("l1.ir  0.075"), "{}", texts[3]);
        assert_eq!(texts.len(), 4);
    }

    #[test]
    fn a_search_whose_weights_rest_has_no_losses_to_show_and_a_full_window_shows_its_signal() {
        let log = "iteration,weight.l1.ir,task_total,val_total,term.l1.ir,gradient_mean.l1.ir,gradient_sd.l1.ir\n\
                   0,1,,,0.1,,\n1,1,,,0.1,,\n";
        assert_eq!(drawn(&folder(&[(LOG, log)]), None).len(), 3);
        let log = log.to_owned() + "2,1,,0.5,0.1,-0.25,0.5\n3,1,,0.5,0.1,-0.25,0.5\n";
        let texts = drawn(&folder(&[(LOG, &log)]), None);
        assert!(texts.len() == 5 && texts[4].contains("l1.ir  -0.5"), "{}", texts[4]);
    }

    #[test]
    fn validations_are_drawn_beside_the_batches() {
        let log = "iteration,ms,total,term.l1.ir\n0,5,0.5,1\n1,5,0.25,1\n";
        assert!(!drawn(&folder(&[(LOG, log), (VALIDATION, "iteration,loss\n")]), None)[0].contains("validation"));
        let svg = &drawn(&folder(&[(LOG, log), (VALIDATION, "iteration,loss\n1,0.75\n2,0.625\n")]), None)[0];
        assert!(svg.contains("training batch  0.375") && svg.contains("validation pairs  0.625"), "{svg}");
    }

    #[test]
    fn scores_are_drawn_as_the_task_says_or_all_of_them() {
        let dir = folder(&[
            (LOG, "iteration,ms,total,box\n0,5,0.5,0.25\n"),
            (VALIDATION, "iteration,map50,map50_95,fitness\n5,0.5,0.25,0.3\n10,0.75,0.375,0.4\n"),
        ]);
        let all = &drawn(&dir, None)[0];
        assert!(all.contains("map50_95  0.375") && !all.contains("fitness"), "{all}");
        let chart = ScoreChart { title: "Average precision", y: "mean", curves: &[("AP@.5", "map50")] };
        let chosen = &drawn(&dir, Some(&chart))[0];
        assert!(chosen.contains("AP@.5  0.75") && !chosen.contains("map50_95"), "{chosen}");
        let wrong = ScoreChart { curves: &[("mIoU", "miou")], ..chart };
        let error = Run::open(dir.path()).unwrap().draw(Some(&wrong)).unwrap_err().to_string();
        assert!(error.contains("miou") && error.contains("map50_95"), "{error}");
    }

    #[test]
    fn kinds_are_told_apart_by_their_columns() {
        let kind = |files: &[(&str, &str)]| Run::open(folder(files).path()).map(|run| run.kind());
        assert_eq!(kind(&[(LOG, SEARCH)]).unwrap(), RunKind::Search);
        assert_eq!(kind(&[(LOG, "iteration,ms,total,term.l1.ir\n0,5,0.5,1\n")]).unwrap(), RunKind::Fusion);
        let task = [(LOG, "iteration,ms,total,box\n0,5,0.5,0.25\n")];
        assert_eq!(kind(&task).unwrap(), RunKind::Task);
        let error = Run::open(folder(&task).path()).unwrap().draw(None).unwrap_err().to_string();
        assert!(error.contains("no validation yet"), "{error}");
        let other = kind(&[(LOG, "a,b\n1,2\n")]).unwrap_err();
        assert!(other.is_wrong_call() && other.to_string().contains("columns a, b"), "{other}");
        assert!(kind(&[]).unwrap_err().is_wrong_call());
    }

    #[test]
    fn weights_of_runs_are_compared_term_by_term() {
        let dir = folder(&[(LOG, SEARCH)]);
        let weights = Run::open(dir.path()).unwrap().weights();
        assert_eq!(weights, [("l1.ir".to_owned(), 0.25), ("ssim.vi".to_owned(), 0.75)]);
        let other = vec![("ssim.vi".to_owned(), 0.625), ("grad.max".to_owned(), 0.375)];
        let path = dir.path().join("comparison.svg");
        beta_comparison(&path, &[("detection".to_owned(), weights), ("segmentation".to_owned(), other)]).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        for word in ["detection", "segmentation", "l1.ir", "grad.max", "0.625", "0.75"] {
            assert!(svg.contains(word), "{word}: {svg}");
        }
    }
}
