//! The live run: how long each stage takes, and where frames go.

use std::path::Path;

use caf_report::html::{Cell, Table};
use serde::Deserialize;

use crate::demo::files;

#[derive(Debug, Deserialize)]
pub struct Summary {
    provider: String,
    fps: f64,
    infrared: Camera,
    visible: Camera,
    pairs: Pairs,
    detections: u64,
    skew: Percentiles,
    stages: Vec<Stage>,
    sinks: Vec<Sink>,
}

#[derive(Debug, Deserialize)]
struct Camera {
    delivered: u64,
    dropped_before_pairing: u64,
    pairing: Pairing,
}

#[derive(Debug, Deserialize)]
struct Pairing {
    paired: u64,
    no_partner: u64,
    partner_nearer_to_another: u64,
    not_later: u64,
    window_full: u64,
}

#[derive(Debug, Deserialize)]
struct Pairs {
    paired: u64,
    dropped_before_inference: u64,
    fused: u64,
}

/// Where results went.
#[derive(Debug, Deserialize)]
struct Sink {
    sink: String,
    written: u64,
    dropped: u64,
}

#[derive(Debug, Deserialize)]
struct Stage {
    stage: String,
    #[serde(flatten)]
    percentiles: Percentiles,
}

#[derive(Debug, Deserialize)]
struct Percentiles {
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
}

/// Why a frame is in no pair.
const CAUSES: [&str; 5] = [
    "given up: newer ones came before pairing",
    "given up: no partner near enough in time",
    "given up: its partner was nearer to another",
    "given up: not later than the one before",
    "given up: too many waited for a partner",
];

/// The stage that sums up the others.
const END_TO_END: &str = "end_to_end";

impl Summary {
    /// Reads what the live run left; an error is what the page says in its place.
    pub fn read(out: &Path) -> Result<Self, String> {
        files::read_json(out, files::SUMMARY)
    }

    /// The run in one sentence.
    pub fn sentence(&self) -> String {
        let total = self.stages.iter().find(|stage| stage.stage == END_TO_END);
        let latency = total.map_or_else(String::new, |stage| {
            let Percentiles { p50_ms, p95_ms, p99_ms } = stage.percentiles;
            format!(
                ": {p50_ms:.0} ms from a pair's later frame to the finished result (p95 {p95_ms:.0}, p99 {p99_ms:.0})"
            )
        });
        let dropped = self.pairs.dropped_before_inference;
        format!(
            "{} of {} pairs at {:.1} a second on {}{latency}; {dropped} pairs given up for newer ones; detections: {}.",
            self.pairs.fused,
            self.pairs.paired,
            self.fps,
            provider(&self.provider),
            self.detections
        )
    }

    /// Times by stage, then frames and pairs by what became of them.
    pub fn tables(&self) -> String {
        self.times() + "<div class=\"row\">\n" + &self.frames() + &self.pairs() + "</div>\n"
    }

    fn times(&self) -> String {
        let longest = self.stages.iter().map(|stage| stage.percentiles.p99_ms).fold(1e-9, f64::max);
        let mut table = Table::new(
            "Milliseconds of each stage: half of all pairs took no longer than p50, 95 % no longer than p95, 99 % no longer \
             than p99. The bars show the three, p50 darkest.",
            &["stage", "p50", "p95", "p99", ""],
        );
        let cells = |name: &str, times: &Percentiles, bars: Vec<f64>| {
            let number = |ms: f64| Cell::Number(format!("{ms:.1}"));
            let Percentiles { p50_ms, p95_ms, p99_ms } = *times;
            vec![Cell::Head(name.to_owned()), number(p50_ms), number(p95_ms), number(p99_ms), Cell::Bars(bars)]
        };
        for Stage { stage, percentiles } in &self.stages {
            let Percentiles { p50_ms, p95_ms, p99_ms } = percentiles;
            let bars = [p50_ms, p95_ms, p99_ms].map(|ms| ms / longest).to_vec();
            let row = cells(title(stage), percentiles, bars);
            if stage == END_TO_END { table.sum_row(row) } else { table.row(row) }
        }
        table.faint_row(cells("difference of the two cameras' capture times", &self.skew, vec![]));
        table.html()
    }

    fn frames(&self) -> String {
        let mut table = Table::new("What became of the cameras' frames", &["frames", "infrared", "visible"]);
        let [ir, vi] = [&self.infrared, &self.visible];
        table.row(count("delivered", &[ir.delivered, vi.delivered]));
        let causes = |camera: &Camera| {
            let Pairing { no_partner, partner_nearer_to_another, not_later, window_full, .. } = camera.pairing;
            [camera.dropped_before_pairing, no_partner, partner_nearer_to_another, not_later, window_full]
        };
        for ((cause, ir), vi) in CAUSES.into_iter().zip(causes(ir)).zip(causes(vi)) {
            cause_row(&mut table, cause, &[ir, vi]);
        }
        table.sum_row(count("in a pair", &[ir.pairing.paired, vi.pairing.paired]));
        table.html()
    }

    fn pairs(&self) -> String {
        let mut table = Table::new("What became of the pairs", &["pairs", ""]);
        let pairs = &self.pairs;
        table.row(count("found", &[pairs.paired]));
        cause_row(&mut table, "given up: newer ones came while the model was busy", &[pairs.dropped_before_inference]);
        table.sum_row(count("fused", &[pairs.fused]));
        for Sink { sink, written, dropped } in &self.sinks {
            cause_row(&mut table, &format!("given up: newer ones came while the {sink} was busy"), &[*dropped]);
            table.row(count(&format!("written: {sink}"), &[*written]));
        }
        table.html()
    }
}

/// A cause of loss; one that did not occur is faint.
fn cause_row(table: &mut Table, cause: &str, counts: &[u64]) {
    let cells = count(cause, counts);
    if counts.iter().all(|count| *count == 0) { table.faint_row(cells) } else { table.row(cells) }
}

fn count(name: &str, counts: &[u64]) -> Vec<Cell> {
    let numbers = counts.iter().map(|count| Cell::Number(count.to_string()));
    [Cell::Head(name.to_owned())].into_iter().chain(numbers).collect()
}

fn provider(name: &str) -> &str {
    match name {
        "cpu" => "the CPU",
        "cuda" => "the GPU (CUDA)",
        "tensorrt" => "the GPU (TensorRT)",
        other => other,
    }
}

/// Stages as a person calls them; one that is new keeps its name.
fn title(stage: &str) -> &str {
    match stage {
        "pair" => "finding the pair",
        "queue" => "waiting for the model",
        "pre" => "pixels into tensors",
        "infer" => "fusion and detection",
        "post" => "image out of its tensor",
        "read" => "boxes sorted out",
        "draw" => "boxes drawn",
        END_TO_END => "from the pair's later frame to the end",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn times_and_losses_are_shown_by_name() {
        let out = tempfile::tempdir().unwrap();
        fs::create_dir(out.path().join("live")).unwrap();
        let camera = r#"{"delivered": 80, "dropped_before_pairing": 3, "pairing":
            {"paired": 75, "no_partner": 2, "partner_nearer_to_another": 0, "not_later": 0, "window_full": 0}}"#;
        let times = |p50: f64| {
            format!(r#""count": 75, "mean_ms": 1, "p50_ms": {p50}, "p95_ms": 40, "p99_ms": 50, "max_ms": 60"#)
        };
        let json = format!(
            r#"{{"provider": "cpu", "fps": 9.5, "infrared": {camera}, "visible": {camera}, "detections": 12,
            "pairs": {{"paired": 75, "dropped_before_inference": 4, "fused": 71}},
            "sinks": [{{"sink": "video", "written": 70, "dropped": 1}}],
            "skew": {{{}}}, "stages": [{{"stage": "infer", {}}}, {{"stage": "end_to_end", {}}}]}}"#,
            times(8.0),
            times(25.0),
            times(30.0)
        );
        fs::write(out.path().join(files::SUMMARY), json).unwrap();
        let summary = Summary::read(out.path()).unwrap();
        let sentence = summary.sentence();
        assert!(
            sentence.contains("71 of 75 pairs") && sentence.contains("30 ms") && sentence.contains("4 pairs given up")
        );
        let html = summary.tables();
        assert!(html.contains("fusion and detection</th><td>25.0</td><td>40.0</td><td>50.0</td>"), "{html}");
        assert!(html.contains("width:50.0%") && html.contains("width:100.0%"), "{html}");
        assert!(html.contains("no partner near enough in time</th><td>2</td><td>2</td>"), "{html}");
        assert!(html.contains("<tr class=\"faint\"><th scope=\"row\">given up: too many waited"), "{html}");
        assert!(html.contains("written: video</th><td>70</td>"), "{html}");
    }

    #[test]
    fn a_run_that_left_nothing_is_told() {
        let out = tempfile::tempdir().unwrap();
        assert!(Summary::read(out.path()).unwrap_err().contains("live/summary.json cannot be shown"));
    }
}
