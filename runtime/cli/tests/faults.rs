//! Cameras that fail, end, change, stamp their frames wrongly or stay silent, and runs that are interrupted. Whatever happens,
//! the program ends by itself, and every file is complete.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::report::{accounts_balance, decoded, json, lines, number, sink};
use common::{Bench, caf_run, leftovers, said, save_gray, save_rgb, text};

const ENDLESS: &str = "videotestsrc is-live=true ! video/x-raw,width=50,height=38,framerate=25/1";
const FOREVER: &str = "videotestsrc ! video/x-raw,width=50,height=38,framerate=25/1";

/// How a run went.
struct Outcome {
    code: Option<i32>,
    said: String,
    /// Frames in the video, if there is one.
    frames: Option<usize>,
    /// Pairs in the lines, if there are any.
    lines: Option<usize>,
}

impl Bench {
    fn summary(&self) -> serde_json::Value {
        let summary = json(&self.at("o.json"));
        accounts_balance(&summary);
        summary
    }

    fn arguments(&self, ir: &str, vi: &str) -> Vec<String> {
        let (video, jsonl, summary) = (self.at("o.webm"), self.at("o.jsonl"), self.at("o.json"));
        let call = ["live", "--model", text(&self.model), "--threads", "1", "--ir", ir, "--vi", vi];
        let files = ["--video", text(&video), "--jsonl", text(&jsonl), "--summary", text(&summary)];
        call.into_iter().chain(files).map(str::to_owned).collect()
    }

    /// Runs with a video, lines and a summary, reads all of them back and looks for what is half written.
    fn live(&self, ir: &str, vi: &str, more: &[&str]) -> Outcome {
        let mut call = self.arguments(ir, vi);
        call.extend(more.iter().map(|m| (*m).to_owned()));
        let output = caf_run(&call.iter().map(String::as_str).collect::<Vec<_>>());
        self.outcome(&output)
    }

    fn outcome(&self, output: &std::process::Output) -> Outcome {
        let (video, jsonl) = (self.at("o.webm"), self.at("o.jsonl"));
        let outcome = Outcome {
            code: output.status.code(),
            said: said(output),
            frames: video.exists().then(|| decoded(&video).2),
            lines: jsonl.exists().then(|| lines(&jsonl).len()),
        };
        assert!(!outcome.said.contains("panicked"), "{}", outcome.said);
        assert!(leftovers(self.folder.path()).is_empty());
        outcome
    }
}

impl Outcome {
    #[track_caller]
    fn failed(&self, words: &[&str]) {
        assert_eq!(self.code, Some(1), "{}", self.said);
        for word in words {
            assert!(self.said.contains(word), "`{word}` is missing in: {}", self.said);
        }
    }

    /// What the sinks say they wrote is what is there; returns the number of lines.
    #[track_caller]
    fn kept_as_told(&self, summary: &serde_json::Value) -> usize {
        let written = |name: &str| Some(number(sink(summary, name), "/written") as usize).filter(|n| *n > 0);
        assert_eq!((self.frames, self.lines), (written("video"), written("jsonl")), "{}", self.said);
        self.lines.unwrap_or_default()
    }

    #[track_caller]
    fn kept(&self, pairs: usize) {
        assert_eq!((self.frames, self.lines), (Some(pairs), Some(pairs)), "{}", self.said);
    }
}

fn images(folder: &Path, count: usize) -> [PathBuf; 2] {
    let [ir, vi] = ["ir", "vi"].map(|name| folder.join(name));
    for i in 0..count {
        save_gray(&ir.join(format!("{i:04}.png")), 50, 38, i);
        save_rgb(&vi.join(format!("{i:04}.png")), 50, 38, i);
    }
    [ir, vi]
}

#[test]
fn an_element_that_fails_is_named_and_what_was_fused_until_then_is_kept() {
    let bench = Bench::new();
    let outcome = bench.live(&format!("{FOREVER} ! identity error-after=8"), FOREVER, &["--every-frame"]);
    outcome.failed(&["infrared source", "identity"]);
    // The eighth buffer is the first that does not come through.
    outcome.kept(7);
    let summary = bench.summary();
    assert_eq!(summary["ended_by"], "failure");
    assert!(summary["failure"].as_str().unwrap().contains("identity"), "{summary:#}");
}

#[test]
fn the_run_ends_with_the_camera_that_ends_first() {
    for (other, more) in [(FOREVER, "--every-frame"), (ENDLESS, "--when-lost=end")] {
        let bench = Bench::new();
        // Two seconds of a live camera, so that the other one has begun before its end on a busy machine as well.
        let short = other.replacen("videotestsrc", "videotestsrc num-buffers=50", 1);
        for (ir, vi) in [(short.as_str(), other), (other, short.as_str())] {
            let outcome = bench.live(ir, vi, &[more]);
            assert_eq!(outcome.code, Some(0), "{}", outcome.said);
            let summary = bench.summary();
            assert_eq!(summary["ended_by"], "sources");
            assert!((1..=50).contains(&outcome.kept_as_told(&summary)), "{summary:#}");
        }
    }
}

#[test]
fn a_camera_that_ends_is_noticed_though_the_other_one_says_nothing() {
    let bench = Bench::new();
    let silent = "videotestsrc is-live=true num-buffers=1000000 ! video/x-raw,width=50,height=38,framerate=25/1 \
                  ! identity drop-probability=0 ! valve drop=true";
    let short = ENDLESS.replacen("videotestsrc", "videotestsrc num-buffers=3", 1);
    let outcome = bench.live(&short, silent, &["--patience-s", "3600", "--when-lost", "end"]);
    outcome.failed(&["no pair: 3 infrared and 0 visible"]);
    assert_eq!((outcome.frames, outcome.lines), (None, None));
}

#[test]
fn a_source_that_never_delivers_is_given_up_with_its_name() {
    let bench = Bench::new();
    for (source, words) in [
        (format!("{ENDLESS} ! valve drop=true"), "no frame came within 0.5 s"),
        (format!("{FOREVER} ! valve drop=true"), "did not start within 0.5 s"),
    ] {
        // Both say nothing, and either may be the first that is given up.
        let outcome = bench.live(&source, &source, &["--patience-s", "0.5"]);
        outcome.failed(&[words]);
        assert!(
            ["infrared source: ", "visible source: "].iter().any(|name| outcome.said.contains(name)),
            "{}",
            outcome.said
        );
    }
}

#[test]
fn another_size_in_the_middle_ends_the_video_where_it_changed() {
    let bench = Bench::new();
    let size = |width: u32| format!("videotestsrc num-buffers=9 ! video/x-raw,width={width},height=38,framerate=25/1");
    let changing = format!("concat name=c {} ! c. {} ! c. c.", size(50), size(54));
    let outcome = bench.live(&changing, &changing, &["--every-frame"]);
    outcome.failed(&["the video is 50x38 pixels", "54x38", "the sink stops"]);
    // The lines do not mind.
    assert_eq!((outcome.frames, outcome.lines), (Some(9), Some(18)), "{}", outcome.said);
    let summary = bench.summary();
    assert_eq!((summary["ended_by"].as_str(), number(&summary, "/pairs/fused")), (Some("sources"), 18));
    let video = sink(&summary, "video");
    assert_eq!((number(video, "/written"), number(video, "/missed")), (9, 9));
    assert!(video["failure"].as_str().unwrap().contains("54x38"));
    // Only one camera changes.
    let outcome = bench.live(&changing, FOREVER, &["--every-frame"]);
    outcome.failed(&["54x38", "50x38", "--rig"]);
    assert!(outcome.frames.is_some_and(|n| (1..=9).contains(&n)) && outcome.frames == outcome.lines);
    // Without a video nothing stands in the way.
    let jsonl = bench.at("free.jsonl");
    let model = text(&bench.model);
    let call = ["live", "--model", model, "--ir", &changing, "--vi", &changing, "--jsonl", text(&jsonl)];
    assert_eq!(caf_run(&call).status.code(), Some(0));
    assert_eq!(lines(&jsonl).len(), 18);
}

#[test]
fn files_without_times_are_paired_in_their_order_and_that_is_said() {
    let bench = Bench::new();
    images(bench.folder.path(), 5);
    let source = |camera: &str| {
        let frames = bench.at(camera).join("%04d.png");
        format!("multifilesrc location={} caps=image/png ! pngdec", frames.display())
    };
    let outcome = bench.live(&source("ir"), &source("vi"), &[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.said);
    for camera in ["infrared", "visible"] {
        let said = format!("the {camera} frames carry no times: they count in their order, 25 a second (--fps)");
        assert_eq!(outcome.said.matches(&said).count(), 1, "{}", outcome.said);
    }
    let lines = lines(&bench.at("o.jsonl"));
    let pairs: Vec<_> = lines.iter().map(|l| (number(l, "/seq_ir"), number(l, "/seq_vi"))).collect();
    assert_eq!(pairs, (0..5).map(|i| (i, i)).collect::<Vec<_>>());
    assert_eq!(lines[4]["t_ns"].as_i64(), Some(160_000_000));
    outcome.kept(5);
    // In real time they count as captured when they arrive.
    let outcome = bench.live(&source("ir"), &source("vi"), &["--realtime", "--max-skew-ms", "60000"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.said);
    assert!(outcome.said.contains("count as captured when they arrive"), "{}", outcome.said);
    outcome.kept_as_told(&bench.summary());
}

#[test]
fn frames_whose_time_runs_backwards_are_left_out_and_counted() {
    let bench = Bench::new();
    let [ir, vi] = images(bench.folder.path(), 8);
    // The visible camera's clock is set back by two frames after the fifth.
    let visible = [0, 40, 80, 120, 160, 100, 140, 180];
    let rows: String = (0..8).map(|i| format!("{i},{},{}\n", i * 40, visible[i])).collect();
    std::fs::write(bench.at("timestamps.csv"), format!("frame,ir_ms,vi_ms\n{rows}")).unwrap();
    for pace in ["--every-frame", "--realtime"] {
        let outcome = bench.live(text(&ir), text(&vi), &[pace, "--queue", "64", "--pairs-only"]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.said);
        let summary = bench.summary();
        assert_eq!(number(&summary, "/visible/pairing/not_later"), 2, "{summary:#}");
        let times: Vec<i64> = lines(&bench.at("o.jsonl")).iter().map(|l| l["t_ns"].as_i64().unwrap()).collect();
        assert!(times.windows(2).all(|w| w[0] < w[1]), "{times:?}");
        assert_eq!(outcome.kept_as_told(&summary), times.len());
    }
}

/// A Matroska clip of `frames` frames, cut to `part` of its bytes.
fn truncated_clip(path: &Path, frames: usize, part: f64) {
    use gstreamer::prelude::*;
    gstreamer::init().unwrap();
    let launch = format!(
        "videotestsrc pattern=snow num-buffers={frames} ! video/x-raw,width=50,height=38,framerate=25/1 ! jpegenc \
         ! matroskamux ! filesink location=\"{}\"",
        path.display()
    );
    let pipeline = gstreamer::parse::launch(&launch).unwrap();
    pipeline.set_state(gstreamer::State::Playing).unwrap();
    let ends = [gstreamer::MessageType::Eos, gstreamer::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(gstreamer::ClockTime::from_seconds(60), &ends).unwrap();
    assert_eq!(end.type_(), gstreamer::MessageType::Eos);
    pipeline.set_state(gstreamer::State::Null).unwrap();
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..(bytes.len() as f64 * part) as usize]).unwrap();
}

#[test]
fn a_truncated_video_gives_what_it_still_holds_or_says_that_it_is_damaged() {
    let bench = Bench::new();
    let clip = bench.at("clip.mkv");
    truncated_clip(&clip, 40, 1.0);
    let whole = bench.live(text(&clip), FOREVER, &["--every-frame"]);
    assert_eq!(whole.code, Some(0), "{}", whole.said);
    whole.kept(40);
    truncated_clip(&clip, 40, 0.5);
    let half = bench.live(text(&clip), FOREVER, &["--every-frame"]);
    let kept = half.frames.unwrap();
    assert!((10..=21).contains(&kept), "{kept} frames of half a clip of 40: {}", half.said);
    half.kept(kept);
    for part in [0.0, 0.01] {
        for name in ["o.webm", "o.jsonl", "o.json"] {
            let _ = std::fs::remove_file(bench.at(name));
        }
        truncated_clip(&clip, 40, part);
        let nothing = bench.live(text(&clip), FOREVER, &["--every-frame"]);
        nothing.failed(&["infrared"]);
        assert_eq!((nothing.frames, nothing.lines), (None, None), "{}", nothing.said);
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_or_a_termination_finishes_every_file() {
    for signal in ["-INT", "-TERM"] {
        let bench = Bench::new();
        let mut child = Command::new(env!("CARGO_BIN_EXE_caf-run"))
            .args(bench.arguments(ENDLESS, ENDLESS))
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The video's file gets its first bytes with the first pairs.
        let begun = || {
            let unfinished = leftovers(bench.folder.path());
            unfinished.iter().any(|p| std::fs::metadata(p).is_ok_and(|m| m.len() > 0))
        };
        while !begun() {
            assert!(child.try_wait().unwrap().is_none(), "the run ended before its first pair");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let outcome = bench.outcome(&child.wait_with_output().unwrap());
        assert_eq!(outcome.code, Some(0), "{}", outcome.said);
        let summary = bench.summary();
        assert_eq!(summary["ended_by"], "interrupt");
        assert!(outcome.kept_as_told(&summary) > 0);
    }
}
