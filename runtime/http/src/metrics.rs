//! `/metrics`, in Prometheus' text format.

use std::fmt::Write as _;

use caf_runtime::pair::PairCount;
use caf_runtime::probe::{Known, live, ready};
use caf_runtime::result::{ResultState, Stage};
use caf_runtime::source::report::SourceState;

use super::measures::{BOUNDS_S, Buckets, Measures};

/// Media type of the text.
pub const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Names of the cameras, as the options of the command line have them.
const CAMERAS: [&str; 2] = ["ir", "vi"];

/// Labels with their values.
type Labels<'a> = &'a [(&'a str, &'a str)];

/// A text of families, each with its help and its type.
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: Labels<'_>, value: f64) {
        self.0 += name;
        for (i, (label, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{value}\"", if i == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// A family of one number.
    fn number(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn histogram(&mut self, name: &str, labels: Labels<'_>, buckets: &Buckets) {
        let series = format!("{name}_bucket");
        let mut below = 0;
        for (bound, count) in BOUNDS_S.iter().zip(buckets.counts) {
            below += count;
            self.sample(&series, &[labels, &[("le", bound.to_string().as_str())]].concat(), below as f64);
        }
        self.sample(&series, &[labels, &[("le", "+Inf")]].concat(), buckets.count as f64);
        self.sample(&format!("{name}_sum"), labels, buckets.sum_s);
        self.sample(&format!("{name}_count"), labels, buckets.count as f64);
    }
}

/// What a result rests on, as a label.
fn label(state: ResultState) -> &'static str {
    match state {
        ResultState::Fused => "fused",
        ResultState::VisibleOnly => "visible_only",
        ResultState::InfraredOnly => "infrared_only",
        ResultState::Offline => "offline",
    }
}

/// All there is to scrape.
pub fn text(known: &Known<'_>, measures: &Measures) -> String {
    let status = known.status;
    let mut out = Text(String::new());
    let one = |is: bool| f64::from(u8::from(is));

    out.family("caf_build_info", "gauge", "Version of the program and where its model runs; always 1.");
    let provider = status.provider.map_or("", |provider| provider.name());
    out.sample("caf_build_info", &[("version", env!("CARGO_PKG_VERSION")), ("provider", provider)], 1.0);
    out.number("caf_ready", "gauge", "1 when /ready answers 200.", one(ready(known).ok));
    out.number("caf_live", "gauge", "1 when /live answers 200.", one(live(known).ok));
    out.number("caf_run_seconds", "gauge", "Seconds since the cameras were started.", status.seconds);

    let cameras = || CAMERAS.into_iter().zip(&status.cameras);
    out.family("caf_frames_total", "counter", "Frames that a camera delivered.");
    cameras().for_each(|(name, c)| out.sample("caf_frames_total", &[("source", name)], c.delivered as f64));
    out.family("caf_source_up", "gauge", "1 while a camera delivers.");
    cameras()
        .for_each(|(name, c)| out.sample("caf_source_up", &[("source", name)], one(c.source.state == SourceState::Up)));
    out.family("caf_source_lost_total", "counter", "How often a camera was lost.");
    cameras().for_each(|(name, c)| out.sample("caf_source_lost_total", &[("source", name)], c.source.lost as f64));
    out.family("caf_source_returned_total", "counter", "How often a lost camera came back.");
    cameras()
        .for_each(|(name, c)| out.sample("caf_source_returned_total", &[("source", name)], c.source.returned as f64));

    out.family("caf_results_total", "counter", "Results, by what they rest on.");
    for state in ResultState::ALL {
        let made = status.results.get(state as usize).copied().unwrap_or(0);
        out.sample("caf_results_total", &[("state", label(state))], made as f64);
    }
    out.number("caf_detections_total", "counter", "Detections in the results.", measures.detections as f64);

    out.family(
        "caf_drops_total",
        "counter",
        "Frames of a camera, and pairs or single frames before the model, that were not used, by reason.",
    );
    for (name, camera) in cameras() {
        let PairCount { unfit, no_partner, partner_nearer_to_another, not_later, window_full, .. } = camera.pairing;
        let reasons = [
            ("before_pairing", camera.dropped_before_pairing),
            ("unfit", unfit),
            ("no_partner", no_partner),
            ("partner_nearer_to_another", partner_nearer_to_another),
            ("not_later", not_later),
            ("window_full", window_full),
        ];
        for (reason, count) in reasons {
            out.sample("caf_drops_total", &[("source", name), ("reason", reason)], count as f64);
        }
    }
    let before_inference: u64 = status.dropped_before_inference.iter().sum();
    let labels = [("source", "pair"), ("reason", "before_inference")];
    out.sample("caf_drops_total", &labels, before_inference as f64);

    out.family("caf_sink_lost_results_total", "counter", "Results that a sink did not take, by reason.");
    for (place, sink) in status.sinks.iter().enumerate() {
        let place = place.to_string();
        for (reason, count) in [("too_slow", sink.dropped), ("failed", sink.missed)] {
            let labels = [("sink", sink.sink), ("number", place.as_str()), ("reason", reason)];
            out.sample("caf_sink_lost_results_total", &labels, count as f64);
        }
    }

    out.family("caf_stage_duration_seconds", "histogram", "How long each stage took a result.");
    for (stage, buckets) in Stage::ALL.into_iter().zip(&measures.stages) {
        out.histogram("caf_stage_duration_seconds", &[("stage", stage.name())], buckets);
    }
    out.family(
        "caf_result_age_seconds",
        "histogram",
        "Age of each result at its sink, from the arrival of its later frame.",
    );
    out.histogram("caf_result_age_seconds", &[], &measures.age);
    out.family("caf_pair_skew_seconds", "histogram", "Absolute difference of capture times within pairs.");
    out.histogram("caf_pair_skew_seconds", &[], &measures.skew);
    let (last, faults) = known.last;
    out.family("caf_state", "gauge", "1 for what the newest result rests on.");
    for state in ResultState::ALL {
        out.sample("caf_state", &[("state", label(state))], one(known.age.is_some() && last == state));
    }
    out.family("caf_source_fault", "gauge", "1 while a camera takes no part in results.");
    CAMERAS.into_iter().zip(faults).for_each(|(name, fault)| {
        out.sample("caf_source_fault", &[("source", name)], one(fault.is_some()));
    });
    if let Some(age) = known.age {
        let help = "Age of the newest result now.";
        out.number("caf_last_result_age_seconds", "gauge", help, age.as_secs_f64());
    }
    out.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_runtime::board::{Phase, SinkStatus, Status};
    use caf_runtime::result::PairResult;
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    /// Reads the format as strictly as its description has it: each family has one HELP and one TYPE, before its samples, which stand
    /// together; names, labels and numbers are well formed; no series occurs twice. Gives the series.
    fn parse(text: &str) -> BTreeMap<String, f64> {
        assert!(text.ends_with('\n'));
        let is_name = |name: &str| {
            let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
            name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
        };
        let (mut helped, mut family, mut kind) = (BTreeSet::new(), String::new(), String::new());
        let mut series = BTreeMap::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(is_name(name) && !help.is_empty() && helped.insert(name.to_owned()), "{line}");
                let (typed, what) = lines.next().unwrap().strip_prefix("# TYPE ").unwrap().split_once(' ').unwrap();
                assert!(typed == name && ["counter", "gauge", "histogram"].contains(&what), "{line}");
                assert_eq!(what == "counter", name.ends_with("_total"), "{line}");
                (family, kind) = (name.to_owned(), what.to_owned());
                continue;
            }
            let (id, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap();
            assert!(value.is_finite(), "{line}");
            let (name, labels) = id.split_once('{').map_or((id, None), |(name, rest)| (name, Some(rest)));
            let of_family = match kind.as_str() {
                "histogram" => ["_bucket", "_sum", "_count"].iter().any(|end| name == format!("{family}{end}")),
                _ => name == family,
            };
            assert!(of_family, "{line} in {family}");
            for label in labels.into_iter().flat_map(|l| l.strip_suffix('}').unwrap().split("\",")) {
                let (key, text) = label.split_once("=\"").unwrap();
                assert!(is_name(key) && !text.trim_end_matches('"').contains('"'), "{line}");
            }
            assert!(series.insert(id.to_owned(), value).is_none(), "twice: {id}");
        }
        series
    }

    #[test]
    fn the_text_is_well_formed_and_says_what_was_counted() {
        let mut status = Status {
            sinks: vec![SinkStatus { sink: "udp", ..SinkStatus::default() }; 2],
            phase: Phase::Running,
            ..Status::default()
        };
        status.cameras[1].delivered = 7;
        status.cameras[1].pairing.no_partner = 3;
        status.results[ResultState::Fused as usize] = 2;
        status.sinks[1].dropped = 5;
        let mut measures = Measures::default();
        let mut result = PairResult { skew_ns: Some(-7_000_000), ..PairResult::default() };
        result.stages.set(Stage::Infer, Duration::from_millis(20));
        (0..2).for_each(|_| measures.add(&result));
        let known = Known {
            status: &status,
            written: Duration::ZERO,
            age: Some(result.arrived.elapsed()),
            last: (result.state, result.faults),
        };
        let series = parse(&text(&known, &measures));
        let at = |id: &str| *series.get(id).unwrap_or_else(|| panic!("no {id} in {series:#?}"));
        assert_eq!(at("caf_frames_total{source=\"vi\"}"), 7.0);
        assert_eq!(at("caf_drops_total{source=\"vi\",reason=\"no_partner\"}"), 3.0);
        assert_eq!(at("caf_sink_lost_results_total{sink=\"udp\",number=\"1\",reason=\"too_slow\"}"), 5.0);
        assert_eq!(at("caf_results_total{state=\"fused\"}"), 2.0);
        let infer = |le: &str| at(&format!("caf_stage_duration_seconds_bucket{{stage=\"infer\",le=\"{le}\"}}"));
        assert_eq!([infer("0.01"), infer("0.025"), infer("2.5"), infer("+Inf")], [0.0, 2.0, 2.0, 2.0]);
        assert_eq!(at("caf_pair_skew_seconds_bucket{le=\"0.01\"}"), 2.0);
        assert!(series.contains_key("caf_last_result_age_seconds") && at("caf_ready") == 0.0);
        // Before the first result.
        parse(&text(&Known { age: None, ..known }, &Measures::default()));
    }

    #[test]
    fn what_a_label_holds_is_escaped() {
        let mut out = Text(String::new());
        out.sample("a", &[("b", "x\"\\\n")], 0.5);
        assert_eq!(out.0, "a{b=\"x\\\"\\\\\\n\"} 0.5\n");
    }
}
