//! Situations that users of live pipelines report, on real GStreamer pipelines: each is a kind of fault.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::report::{accounts_balance, json, lines, number};
use common::{Bench, caf_run, said, text};
use serde_json::Value;

const CAPS: &str = "video/x-raw,width=64,height=64,framerate=10/1";

impl Bench {
    fn live(&self, ir: &str, vi: &str, more: &[&str]) -> Output {
        let (jsonl, summary) = (self.at("o.jsonl"), self.at("o.json"));
        let call = ["live", "--model", text(&self.model), "--threads", "1", "--ir", ir, "--vi", vi];
        let files = ["--jsonl", text(&jsonl), "--summary", text(&summary)];
        let output = caf_run(&[&call[..], &files, more].concat());
        assert!(!said(&output).contains("panicked"), "{}", said(&output));
        output
    }

    fn summary(&self) -> Value {
        let summary = json(&self.at("o.json"));
        accounts_balance(&summary);
        summary
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn camera() -> String {
    format!("videotestsrc is-live=true ! {CAPS}")
}

#[test]
fn a_stalled_camera_is_noticed_said_counted_and_ends_the_run_with_what_came_before() {
    let bench = Bench::new();
    // Ten frames, then an appsrc that never gets one.
    let stalls = format!(
        "concat name=c videotestsrc is-live=true num-buffers=10 ! {CAPS} ! c. \
         appsrc caps=\"{CAPS},format=I420\" is-live=true format=time ! c. c. ! queue"
    );
    for (ir, vi, name) in [(stalls.as_str(), camera().as_str(), "infrared"), (&camera(), &stalls, "visible")] {
        let output = bench.live(ir, vi, &["--patience-s", "1.5", "--pairs-only", "--when-lost", "end"]);
        assert_eq!(code(&output), 1, "{}", said(&output));
        let words = format!("{name} source: the camera is lost: no frame came for 1.5 s, after 10 frames");
        assert!(said(&output).contains(&words), "{}", said(&output));
        let summary = bench.summary();
        assert_eq!(summary["ended_by"], "lost");
        assert_eq!((number(&summary[name], "/lost"), summary[name]["state"].as_str()), (1, Some("lost")));
        let fused = number(&summary, "/pairs/fused");
        assert!((1..=10).contains(&fused), "{summary:#}");
        assert_eq!(lines(&bench.at("o.jsonl")).len() as u64, fused);
    }
}

#[test]
fn a_camera_that_ends_is_opened_again_and_the_results_say_what_they_rest_on_meanwhile() {
    let bench = Bench::new();
    let short = camera().replacen("videotestsrc", "videotestsrc num-buffers=15", 1);
    for (ir, vi, name, alone) in [
        (short.as_str(), camera().as_str(), "infrared", "visible_only"),
        (&camera(), &short, "visible", "infrared_only"),
    ] {
        let output = bench.live(ir, vi, &["--seconds", "8", "--video", text(&bench.at("o.webm"))]);
        assert_eq!(code(&output), 0, "{}", said(&output));
        for words in [format!("the {name} camera is lost: the stream ended"), format!("the {name} camera is back")] {
            assert!(said(&output).contains(&words), "`{words}` in {}", said(&output));
        }
        let summary = bench.summary();
        assert_eq!(summary["ended_by"], "seconds");
        assert!(number(&summary[name], "/returned") >= 1 && number(&summary[name], "/reopened") >= 1, "{summary:#}");
        let lines = lines(&bench.at("o.jsonl"));
        let times: Vec<i64> = lines.iter().map(|l| l["t_ns"].as_i64().unwrap()).collect();
        assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
        let of = |state: &str| lines.iter().filter(|l| l["state"] == state).count();
        assert!(of("fused") > 0 && of(alone) > 0, "{summary:#}");
        for line in lines.iter().filter(|l| l["state"] == alone) {
            assert!(line["faults"][name].is_string() && line["skew_ms"].is_null(), "{line}");
        }
    }
}

#[test]
fn late_delivery_that_the_pipeline_tells_of_is_waited_for() {
    let bench = Bench::new();
    let late = format!("{} ! queue max-size-time=0 max-size-buffers=0 min-threshold-time=500000000", camera());
    for (ir, vi) in [(camera(), late.clone()), (late, camera())] {
        let output = bench.live(&ir, &vi, &["--seconds", "3"]);
        assert_eq!(code(&output), 0, "{}", said(&output));
        let summary = bench.summary();
        let fused = number(&summary, "/pairs/fused");
        assert!(fused >= 12, "{fused} pairs of three seconds at 10 a second: {summary:#}");
    }
}

#[test]
fn late_delivery_that_the_pipeline_conceals_is_named_with_what_to_do() {
    let bench = Bench::new();
    // A queue tells of a time that it holds frames back for, not of a number of them: five at 10 a second.
    let conceals = format!("{} ! queue min-threshold-buffers=6", camera());
    let output = bench.live(&camera(), &conceals, &["--seconds", "2"]);
    assert_eq!(code(&output), 1, "{}", said(&output));
    for words in
        ["no pair", "the visible frames arrive 5", "ms after their capture", "--vi-delay-ms ", "--vi-latency-ms"]
    {
        assert!(said(&output).contains(words), "`{words}` in {}", said(&output));
    }
    assert_eq!(number(&bench.summary(), "/pairs/fused"), 0);
    let output = bench.live(&camera(), &conceals, &["--seconds", "3", "--vi-delay-ms", "600"]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(number(&bench.summary(), "/pairs/fused") >= 10);
}

#[test]
fn an_appsink_of_ones_own_takes_any_raw_format_wherever_it_stands() {
    let bench = Bench::new();
    let source = "videotestsrc num-buffers=6 ! video/x-raw,format=YUY2,width=64,height=64,framerate=25/1";
    for end in [
        "! appsink",
        "! appsink name=mine sync=true",
        "! tee name=t t. ! queue ! videoconvert ! appsink t. ! queue ! fakesink",
        "! tee name=t t. ! queue ! appsink t. ! queue ! fakesink",
        "! tee name=t t. ! queue ! fakesink t. ! queue",
    ] {
        let launch = format!("{source} {end}");
        for (ir, vi) in [(launch.as_str(), source), (source, &launch)] {
            let output = bench.live(ir, vi, &[]);
            assert_eq!(code(&output), 0, "{launch}: {}", said(&output));
            assert_eq!(number(&bench.summary(), "/pairs/fused"), 6, "{launch}");
        }
    }
}

#[test]
fn what_cannot_be_converted_is_told_with_the_formats_that_can() {
    let bench = Bench::new();
    let good = "videotestsrc num-buffers=6 ! video/x-raw,width=64,height=64,framerate=25/1";
    let compressed = format!("{good} ! jpegenc ! appsink");
    for (ir, vi, formats) in [(compressed.as_str(), good, "GRAY8 or GRAY16_LE"), (good, &compressed, "RGB")] {
        let output = bench.live(ir, vi, &[]);
        assert_ne!(code(&output), 0);
        assert!(said(&output).contains(formats), "{formats} in {}", said(&output));
    }
}

/// The beginning of an H.264 stream: parameter sets and an access unit delimiter, as far as the type finder looks.
const H264: &[u8] = &[
    0, 0, 0, 1, 0x09, 0xf0, 0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x0a, 0xda, 0x11, 0x1a, 0x10, 0, 0, 3, 0, 0x10, 0, 0, 3, 3,
    0x20, 0xf1, 0x22, 0x6a, 0, 0, 0, 1, 0x68, 0xce, 0x0f, 0x2c, 0x80, 0, 0, 0, 1, 0x65, 0x88, 0x84, 0x0a, 0xf2, 0x62,
    0x80, 0, 0, 0, 1, 0x09, 0xf0, 0, 0, 0, 1, 0x65, 0x88, 0x84, 0x0a, 0xf2, 0x62, 0x80,
];

#[test]
fn a_decoder_that_is_not_installed_is_named_with_its_package() {
    let bench = Bench::new();
    let good = "videotestsrc num-buffers=6 ! video/x-raw,width=64,height=64,framerate=25/1";
    let video = bench.at("video.h264");
    std::fs::write(&video, H264).unwrap();
    let live = |ir: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_caf-run"));
        program.args(["live", "--model", text(&bench.model), "--ir", ir, "--vi", good]);
        // As on a machine without them, whatever is installed here.
        let decoders = "avdec_h264:NONE,openh264dec:NONE,vah264dec:NONE,v4l2h264dec:NONE,nvh264dec:NONE,h264parse:NONE";
        program.env("GST_PLUGIN_FEATURE_RANK", decoders).output().unwrap()
    };
    let output = live(text(&video));
    assert_eq!(code(&output), 1, "{}", said(&output));
    for words in ["infrared source", "H.264", "apt-get install gstreamer1.0-libav"] {
        assert!(said(&output).contains(words), "`{words}` in {}", said(&output));
    }
    // An element by its name, which no machine has.
    let output = live("videotestsrc ! avdec_nosuchcodec");
    assert_eq!(code(&output), 2, "{}", said(&output));
    let words = "`avdec_nosuchcodec` is in the Debian package gstreamer1.0-libav";
    assert!(said(&output).contains(words), "{}", said(&output));
}

#[test]
fn on_a_machine_without_a_gpu_nothing_is_said_of_gpus() {
    let bench = Bench::new();
    let good = "videotestsrc num-buffers=6 ! video/x-raw,width=64,height=64,framerate=25/1";
    let output = bench.live(good, good, &[]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    let summary = bench.summary();
    let gpu = ["/dev/nvidia0", "/dev/nvhost-gpu", "/proc/driver/nvidia/version"].iter().any(|p| Path::new(p).exists());
    if gpu {
        caf_golden::say("SKIP this machine has a GPU: what is said is not looked at");
    } else {
        assert!(!said(&output).to_lowercase().contains("cuda"), "{}", said(&output));
    }
    assert!(summary["provider_reason"].as_str().unwrap().contains("cuda"), "{summary:#}");
}
