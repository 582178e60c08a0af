//! What the program leaves behind, read back.

use std::path::Path;

use serde_json::Value;

/// A report.
pub fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Lines of JSON.
pub fn lines(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// A count in a report.
pub fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("no number at {path} in {value:#}"))
}

/// Every frame, every pair and every result is accounted for, and a run that did not fail has nothing left over.
pub fn accounts_balance(summary: &Value) {
    for camera in ["infrared", "visible"] {
        let n = |field: &str| number(summary, &format!("/{camera}/{field}"));
        let causes =
            ["no_partner", "partner_nearer_to_another", "not_later", "window_full", "unfit", "alone", "paired"];
        let went: u64 = causes.iter().map(|c| n(&format!("pairing/{c}"))).sum();
        let before = n("refused") + n("dropped_before_pairing") + n("beyond_limit") + n("left_over");
        assert_eq!(n("delivered"), before + went, "{summary:#}");
        assert_eq!(n("pairing/paired"), number(summary, "/pairs/paired"));
        let after = n("dropped_before_inference") + n("left_over_before_inference") + n("in_results");
        assert_eq!(n("pairing/paired") + n("pairing/alone"), after, "{summary:#}");
        assert_eq!(n("pairing/alone"), number(summary, &format!("/{camera}_only/ordered")), "{summary:#}");
        assert!(n("left_over") == 0 || !summary["failure"].is_null(), "{summary:#}");
    }
    let n = |field: &str| number(summary, &format!("/pairs/{field}"));
    assert_eq!(n("paired"), n("dropped_before_inference") + n("left_over") + n("fused"), "{summary:#}");
    assert!(n("left_over") == 0 || !summary["failure"].is_null(), "{summary:#}");
    let mut results = n("fused");
    for state in ["visible_only", "infrared_only", "offline"] {
        let n = |field: &str| number(summary, &format!("/{state}/{field}"));
        assert_eq!(n("ordered"), n("dropped_before_inference") + n("left_over") + n("results"), "{summary:#}");
        results += n("results");
    }
    for sink in summary["sinks"].as_array().unwrap() {
        let went: u64 =
            ["written", "undelivered", "dropped", "missed"].map(|f| number(sink, &format!("/{f}"))).iter().sum();
        assert_eq!(went, results, "{summary:#}");
    }
}

/// What a sink says of itself.
pub fn sink<'a>(summary: &'a Value, name: &str) -> &'a Value {
    let sinks = summary["sinks"].as_array().unwrap();
    sinks.iter().find(|s| s["sink"] == name).unwrap_or_else(|| panic!("no sink {name} in {summary:#}"))
}

/// Decodes a video and returns width, height and how many frames it has.
pub fn decoded(path: &Path) -> (i32, i32, usize) {
    use gstreamer::prelude::*;
    gstreamer::init().unwrap();
    let launch =
        format!("filesrc location=\"{}\" ! decodebin ! videoconvert ! appsink name=s sync=false", path.display());
    let pipeline = gstreamer::parse::launch(&launch).unwrap().downcast::<gstreamer::Pipeline>().unwrap();
    let sink = pipeline.by_name("s").unwrap().downcast::<gstreamer_app::AppSink>().unwrap();
    pipeline.set_state(gstreamer::State::Playing).unwrap();
    let (mut count, mut size) = (0, (0, 0));
    while let Ok(sample) = sink.pull_sample() {
        let info = gstreamer_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
        size = (info.width() as i32, info.height() as i32);
        count += 1;
    }
    pipeline.set_state(gstreamer::State::Null).unwrap();
    (size.0, size.1, count)
}
