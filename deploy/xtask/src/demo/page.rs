//! The page of results: one HTML file beside the files it shows, without anything from elsewhere.

mod checked;
mod live;
mod measured;
mod pictures;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use caf_report::html::{Cell, Table, document, escape, paragraph, side_by_side};

use super::plan::{Live, Plan};
use super::runner::Ran;
use super::step::Phase;
use super::steps::Images;
use super::{files, pairs};
use crate::report::readable;
use checked::Checked;
use live::Summary;
use measured::Measured;

/// What the page tells of.
#[derive(Debug)]
pub struct Page<'a> {
    /// What was to be done.
    pub plan: &'a Plan,
    /// Where the results lie, absolute; the page is written there.
    pub out: &'a Path,
    /// The steps that came to their end, in order.
    pub ran: &'a [Ran],
    /// The step that failed or was stopped.
    pub ended_at: Option<&'a str>,
}

impl Page<'_> {
    /// Writes `index.html` and returns its path.
    pub fn write(&self) -> Result<PathBuf> {
        let path = self.out.join("index.html");
        caf_file::write(&path, self.html().as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    fn html(&self) -> String {
        let mut html = self.summary();
        for phase in [Phase::Fuse, Phase::Detectors, Phase::Search, Phase::Fusion, Phase::Export, Phase::Live] {
            if self.ran.iter().any(|ran| ran.phase == phase) {
                html += &self.section(phase);
            }
        }
        document("Infrared and visible, fused", &(html + &self.commands()))
    }

    /// What a part of the work left.
    fn section(&self, phase: Phase) -> String {
        let (title, body) = match phase {
            Phase::Pairs | Phase::Fuse => ("Pairs, fused", self.pairs()),
            Phase::Search => ("The search of the loss", self.search()),
            Phase::Fusion => ("The fusion network", self.fusion()),
            Phase::Detectors => ("What a detector makes of them", self.detectors()),
            Phase::Export => ("The exported file, checked", self.export()),
            Phase::Live => ("The live run", self.live()),
        };
        format!("<h2>{title}</h2>\n{body}")
    }

    /// What a person takes in within ten seconds.
    fn summary(&self) -> String {
        let pairs = match &self.plan.pairs {
            Some(pairs) => format!("Real pairs from {}", pairs.root.display()),
            None => "Road scenes rendered for both cameras".to_owned(),
        };
        let count = |list: &str| Some(pairs::names(&self.plan.root.join(self.plan.list(list))).ok()?.len());
        let pairs = match count("train.txt").zip(count("val.txt")) {
            Some((train, val)) => format!("{pairs}, {train} to train on and {val} to validate on"),
            None => pairs,
        };
        let time = readable(self.ran.iter().map(|ran| ran.time).sum());
        let lead = match self.ended_at {
            None => format!(
                "{pairs}: a fusion loss was searched, a fusion network trained with it, detectors trained on what it fuses, both \
                 exported as one ONNX file, and that file run live. {time} of work on this machine."
            ),
            Some(_) => format!("{pairs}. Not everything is there yet: {time} of work so far."),
        };
        let mut html =
            format!("<h1>Infrared and visible, fused for a detector</h1>\n<p class=\"lead\">{}</p>\n", escape(&lead));
        if let Some(step) = self.ended_at {
            let log = format!("{}/{step}.log", files::LOGS);
            html += &format!(
                "<p class=\"failed\">The step {0} did not come to its end (<a href=\"{1}\">{1}</a>); what follows it is missing or \
                 of an earlier run.</p>\n",
                escape(step),
                escape(&log)
            );
            html += &last_words(&self.out.join(log));
        }
        let live = Summary::read(self.out);
        let mut facts = Measured::read(self.out).summary();
        for sentence in
            [live.as_ref().map(Summary::sentence).ok(), Checked::read(self.out).map(|checked| checked.sentence()).ok()]
        {
            facts += &sentence.map(|text| paragraph(&text)).unwrap_or_default();
        }
        let caption = match self.plan.live() {
            Live::Clip => "A rendered drive, as the exported model fuses it, with the detector's boxes",
            Live::Stills(_) => "Validation pairs, as the exported model fuses them, with the detector's boxes",
        };
        let video = pictures::video(self.out, files::WHOLE_VIDEO, self.plan.settings.size, caption);
        html += &format!("<div class=\"hero\">\n{video}<div>\n{facts}</div>\n</div>\n");
        html += &format!("<p class=\"limits\">{}</p>\n", escape(&self.limits()));
        if self.ran.is_empty() { html } else { html + &self.times() }
    }

    fn times(&self) -> String {
        let of = |phase: Phase| self.ran.iter().filter(|ran| ran.phase == phase).map(|ran| ran.time).sum::<Duration>();
        let longest = Phase::ALL.map(of).into_iter().max().unwrap_or_default().as_secs_f64().max(1e-9);
        let mut table = Table::new("How long each part took when it ran", &[]);
        for phase in Phase::ALL.into_iter().filter(|phase| !of(*phase).is_zero()) {
            let time = of(phase);
            table.row(vec![
                Cell::Head(phase.title().to_owned()),
                Cell::Number(readable(time)),
                Cell::Bars(vec![time.as_secs_f64() / longest]),
            ]);
        }
        table.html()
    }

    /// What the numbers can say and what they cannot.
    fn limits(&self) -> String {
        let length = if self.plan.full {
            "This was the longer run; the published recipe trains longer still, with a larger detector and far more pairs."
        } else {
            "Minutes of search and training show that every part works and fits together, and in which direction the loss \
             weights move. They do not show what the method reaches: the weights are still moving when the search ends, a \
             detector has seen each image a few times, and differences of a few points are within what another seed gives."
        };
        let data = match (&self.plan.pairs, self.plan.live()) {
            (Some(_), Live::Stills(_)) => {
                "The live run shows unrelated stills, so that pairing in time had nothing to prove there."
            }
            (Some(_), Live::Clip) => {
                "The live run shows a rendered drive, far from the pairs that the model was trained on: GStreamer's basic \
                 plugins show folders of PNG or of JPEG files only."
            }
            (None, _) => "Rendered scenes are not the road: nothing here says how the model does on real cameras.",
        };
        let weights = if self.plan.pairs.is_some() && self.plan.has_own_weights() {
            " The detectors started from weights that saw rendered scenes only: with COCO weights (--weights FILE) they find \
             far more of what is on real images."
        } else {
            ""
        };
        format!("{length} {data}{weights}")
    }

    fn pairs(&self) -> String {
        paragraph(
            "Infrared shows what is warm, visible what is lit. The network fuses brightness and keeps the visible image's \
             colours; the plain average is the simplest fusion, and what any network must beat. A click shows a picture alone.",
        ) + &pictures::gallery(self.plan, self.out)
    }

    fn detectors(&self) -> String {
        paragraph(
            "Four detectors of the same size, from the same starting weights, with the same settings and seed: each was trained \
             on one kind of images and is measured on the same kind. The comparison may come out against the network. No \
             gradient came from the validation pairs, but of each training they chose the epoch that is measured here, which \
             flatters all four alike. Classes with few labels are faint: one object more or less moves them by points.",
        ) + &Measured::read(self.out).tables()
            + &paragraph("No single fusion metric is a goal: a plain pixel maximum tops MI and VIF on most sets.")
            + "<details><summary>Average precision during the four trainings</summary>\n"
            + &pictures::plots(
                self.out,
                &Images::ALL
                    .map(|images| (format!("{}/plots/scores.svg", files::detector(images.name())), images.training())),
            )
            + "</details>\n"
    }

    fn search(&self) -> String {
        let perceptual = match &self.plan.vgg {
            Some(_) => "The perceptual terms took part, with the VGG-16 weights that were given.",
            None => "The perceptual terms need VGG-16 weights (--vgg FILE) and were off.",
        };
        let plot = |name: &str| format!("{}/{name}.svg", files::SEARCH_PLOTS);
        paragraph(&format!(
            "The weights of the fusion loss, moved so that the detector's loss on validation batches falls. A line that still \
             climbs or falls at the right edge is not at its end. {perceptual}"
        )) + &pictures::plots(
            self.out,
            &[
                (plot("beta"), "Weight of every term over the search; all add up to 1"),
                (plot("composition"), "The loss that was found, largest weight first"),
                (plot("losses"), "The detector's loss on training and on validation batches"),
                (plot("terms"), "The terms themselves on training batches, on a logarithmic scale"),
            ],
        )
    }

    fn fusion(&self) -> String {
        let loss = pictures::plot(self.out, files::FUSION_PLOT, "The weighted loss of every batch, and its mean");
        paragraph("Trained from fresh values with the found loss, on crops.")
            + &side_by_side(&(pictures::panels(self.out) + &loss))
    }

    fn export(&self) -> String {
        paragraph(
            "Fusion, colour handling, detector and decoding in one file, which carries its own contract: names, shapes, colour \
             order, classes, hashes of the weights.",
        ) + &Checked::read(self.out).map_or_else(|missing| missing, |checked| checked.table())
    }

    fn live(&self) -> String {
        let (text, frames) = match self.plan.live() {
            Live::Clip => (
                "A rendered drive, played in real time. Frames of the two cameras are paired by their capture times, fused, \
                 searched for objects and drawn."
                    .to_owned(),
                pictures::frames(self.out),
            ),
            Live::Stills(_) => (
                format!(
                    "Up to {} validation pairs, one a second, through two GStreamer pipelines that fit each picture into {} pixels \
                     with borders where its shape differs. They are paired by their times, fused, searched for objects and drawn.",
                    pairs::MOST,
                    self.plan.settings.size
                ),
                String::new(),
            ),
        };
        let pace = "What the machine cannot keep up with is given up for what is newer, and counted. The video above is of a \
                    second run, which waits for every pair.";
        let tables = Summary::read(self.out).map_or_else(|missing| missing, |summary| summary.tables());
        paragraph(&format!("{text} {pace}")) + &tables + &frames
    }

    fn commands(&self) -> String {
        let mut html =
            "<h2>What was run</h2>\n<p>Each line can be pasted at the root of the workspace.</p>\n".to_owned();
        for ran in self.ran {
            let log = format!("{}/{}.log", files::LOGS, ran.name);
            let log = if self.out.join(&log).is_file() { format!(" <a href=\"{log}\">log</a>") } else { String::new() };
            html += &format!(
                "<details><summary>{}, {}</summary>{log}\n<pre>{}</pre></details>\n",
                escape(&ran.name),
                readable(ran.time),
                escape(&ran.line)
            );
        }
        html
    }
}

/// What a step said before it ended, most of all its error: the last lines of its log.
fn last_words(log: &Path) -> String {
    /// Lines shown.
    const LINES: usize = 6;
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
    if last.is_empty() { String::new() } else { format!("<pre>{}</pre>\n", escape(&last.join("\n"))) }
}

impl Images {
    fn training(self) -> &'static str {
        match self {
            Self::Fused => "Trained on images fused by the network",
            Self::Average => "Trained on plain averages",
            Self::Visible => "Trained on visible images",
            Self::Infrared => "Trained on infrared images",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::demo::settings::Settings;

    fn plan() -> Plan {
        Plan {
            root: "/repo".into(),
            out: "demo-out".into(),
            pairs: None,
            full: false,
            weights: "w".into(),
            vgg: None,
            settings: Settings::choose(false, false),
        }
    }

    fn ran(name: &str, phase: Phase) -> Ran {
        Ran {
            name: name.to_owned(),
            phase,
            line: "caf-search search --out 'a b'".to_owned(),
            time: Duration::from_millis(12_340),
        }
    }

    #[test]
    fn the_page_shows_what_is_there_and_names_what_is_not() {
        let out = tempfile::tempdir().unwrap();
        let plots = out.path().join(files::SEARCH_PLOTS);
        fs::create_dir_all(&plots).unwrap();
        fs::write(plots.join("beta.svg"), "<svg/>").unwrap();
        fs::create_dir_all(out.path().join(files::LOGS)).unwrap();
        fs::write(out.path().join(files::LOGS).join("live.log"), "begun\n\nerror: no camera <x>\n").unwrap();
        let ran = [ran("search", Phase::Search), ran("live", Phase::Live)];
        let page = Page { plan: &plan(), out: out.path(), ran: &ran, ended_at: Some("live") };
        let html = fs::read_to_string(page.write().unwrap()).unwrap();
        for part in [
            "src=\"search/plots/beta.svg\"",
            "search/plots/terms.svg cannot be shown",
            "live/summary.json cannot be shown",
            "The step live did not come to its end",
            "<pre>begun\nerror: no camera &lt;x&gt;</pre>",
            "caf-search search --out &#39;a b&#39;",
            "12.3 s",
            "24.7 s of work so far",
            "do not show what the method reaches",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert!(!html.contains("The fusion network</h2>"), "a part that did not run has no section");
        assert!(!html.contains("http://") && !html.contains("https://"));
    }
}
