//! The whole program on test sources, clips and bad calls.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod common;

use std::path::Path;

use caf_net::zoo::pipeline::{ColourMode, Samples};
use common::report::{accounts_balance, decoded, json, lines, number, sink};
use common::{caf_run, fails, leftovers, said, save_gray, save_gray16, save_rgb, succeeds, text};

const WIDTH: usize = 50;
const HEIGHT: usize = 38;

fn model(folder: &Path) -> std::path::PathBuf {
    common::pipeline_model(folder, "pipeline.onnx", WIDTH, HEIGHT)
}

/// A clip as the scene renderer writes it: numbered frames, one line of times for both cameras.
fn clip(folder: &Path, frames: usize, wide: bool) {
    let mut csv = "frame,visible_s,infrared_s\n".to_owned();
    for i in 0..frames {
        let ir = folder.join(format!("ir/{i:06}.png"));
        if wide {
            save_gray16(&ir, WIDTH, HEIGHT, i)
        } else {
            save_gray(&ir, WIDTH, HEIGHT, i)
        }
        save_rgb(&folder.join(format!("vi/{i:06}.png")), WIDTH, HEIGHT, i);
        let time = i as f64 / 25.0;
        csv += &format!("{i},{time:.6},{:.6}\n", time + 0.007);
    }
    std::fs::write(folder.join("timestamps.csv"), csv).unwrap();
}

#[test]
fn a_clip_becomes_a_video_lines_and_a_summary_without_losing_a_frame() {
    let folder = tempfile::tempdir().unwrap();
    let (model, clip_dir) = (model(folder.path()), folder.path().join("clip"));
    clip(&clip_dir, 30, true);
    let at = |name: &str| folder.path().join(name);
    let (ir, vi) = (clip_dir.join("ir"), clip_dir.join("vi"));
    let (video, jsonl, summary) = (at("out.webm"), at("out.jsonl"), at("out.json"));
    let out = succeeds(&[
        "live",
        "--model",
        text(&model),
        "--provider",
        "cpu",
        "--ir",
        text(&ir),
        "--vi",
        text(&vi),
        "--conf",
        "0",
        "--video",
        text(&video),
        "--jsonl",
        text(&jsonl),
        "--summary",
        text(&summary),
        "--queue",
        "2",
    ]);
    assert!(out.contains("end_to_end") && out.contains("vp8enc"), "{out}");
    let summary = json(&summary);
    accounts_balance(&summary);
    assert_eq!(summary["pace"], "every-frame");
    assert_eq!(number(&summary, "/pairs/fused"), 30);
    assert_eq!(number(sink(&summary, "video"), "/written"), 30);
    assert_eq!(number(sink(&summary, "jsonl"), "/written"), 30);
    assert_eq!(sink(&summary, "video")["method"], "vp8enc");
    assert_eq!(number(&summary, "/visible/delivered"), 30);
    assert_eq!(summary["provider"], "cpu");
    assert_eq!(summary["stages"].as_array().unwrap().len(), 8);
    assert!((summary["skew"]["p50_ms"].as_f64().unwrap() - 7.0).abs() < 0.05, "{summary:#}");
    let lines = lines(&jsonl);
    assert_eq!(lines.len(), 30);
    for (i, line) in lines.iter().enumerate() {
        assert_eq!((number(line, "/seq_ir"), number(line, "/seq_vi")), (i as u64, i as u64));
        assert_eq!(line["t_ns"].as_i64().unwrap(), i as i64 * 40_000_000);
        assert_eq!(line["skew_ms"].as_f64().unwrap(), -7.0);
        for d in line["detections"].as_array().unwrap() {
            let b: Vec<f64> = d["box"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            assert!(b[0] >= 0.0 && b[1] >= 0.0 && b[2] <= WIDTH as f64 && b[3] <= HEIGHT as f64, "{d}");
            assert!(["person", "car"].contains(&d["name"].as_str().unwrap()));
        }
    }
    let found: usize = lines.iter().map(|l| l["detections"].as_array().unwrap().len()).sum();
    assert!(found > 0, "a threshold of 0 finds something in every image");
    assert_eq!(number(&summary, "/detections"), found as u64);
    assert_eq!(decoded(&video), (WIDTH as i32, HEIGHT as i32, 30));
    assert!(leftovers(folder.path()).is_empty());
}

#[test]
fn latency_moves_the_pairs_and_a_bound_without_pairs_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (model, clip_dir) = (model(folder.path()), folder.path().join("clip"));
    clip(&clip_dir, 8, false);
    let (ir, vi, jsonl) = (clip_dir.join("ir"), clip_dir.join("vi"), folder.path().join("out.jsonl"));
    let call = ["live", "--model", text(&model), "--ir", text(&ir), "--vi", text(&vi), "--jsonl", text(&jsonl)];
    // The infrared camera stamps its frames 47 ms late: each belongs to the visible frame before.
    succeeds(&[&call[..], &["--ir-latency-ms", "47"]].concat());
    let pairs: Vec<(u64, u64)> = lines(&jsonl).iter().map(|l| (number(l, "/seq_ir"), number(l, "/seq_vi"))).collect();
    assert_eq!(pairs, (0..7).map(|i| (i + 1, i)).collect::<Vec<_>>());
    std::fs::remove_file(&jsonl).unwrap();
    fails(1, &["no pair", "8 infrared and 8 visible", "--max-skew-ms"], &[&call[..], &["--max-skew-ms", "3"]].concat());
    assert!(!jsonl.exists());
}

#[test]
fn live_test_sources_run_until_the_time_is_over_and_balance() {
    let folder = tempfile::tempdir().unwrap();
    let model = common::fusion_model(folder.path(), "m.onnx", Samples::Bytes, ColourMode::Rgb);
    let (summary, video) = (folder.path().join("s.json"), folder.path().join("v.mkv"));
    let source = |format: &str, fps: u32| {
        format!(
            "videotestsrc is-live=true pattern=ball ! video/x-raw,format={format},width=54,height=30,framerate={fps}/1"
        )
    };
    // Gray of 16 bits, rows of 54 bytes that GStreamer pads to 56, and twice as many infrared frames.
    let (ir, vi) = (source("GRAY16_LE", 40), source("I420", 20));
    succeeds(&[
        "live",
        "--model",
        text(&model),
        "--ir",
        &ir,
        "--vi",
        &vi,
        "--seconds",
        "1.5",
        "--summary",
        text(&summary),
        "--video",
        text(&video),
    ]);
    let summary = json(&summary);
    accounts_balance(&summary);
    assert_eq!((summary["pace"].as_str(), summary["ended_by"].as_str()), (Some("realtime"), Some("seconds")));
    let (ir, vi) = (number(&summary, "/infrared/delivered"), number(&summary, "/visible/delivered"));
    assert!(vi > 5 && ir > vi, "{summary:#}");
    assert!(number(&summary, "/pairs/fused") > 0, "{summary:#}");
    // The nearest of 40 infrared frames a second is no further away than half of their interval, but for frames that a
    // busy machine dropped.
    assert!(summary["skew"]["p50_ms"].as_f64().unwrap() <= 12.6, "{summary:#}");
    let (width, height, frames) = decoded(&video);
    assert_eq!((width, height, frames as u64), (54, 30, number(sink(&summary, "video"), "/written")));
}

#[test]
fn a_slow_model_in_real_time_drops_frames_and_counts_them() {
    let folder = tempfile::tempdir().unwrap();
    let model = common::fusion_model(folder.path(), "m.onnx", Samples::Bytes, ColourMode::Rgb);
    let summary = folder.path().join("s.json");
    let source = "videotestsrc num-buffers=200 ! video/x-raw,width=640,height=480,framerate=1000/1";
    succeeds(&[
        "live",
        "--model",
        text(&model),
        "--threads",
        "1",
        "--ir",
        source,
        "--vi",
        source,
        "--realtime",
        "--queue",
        "1",
        "--summary",
        text(&summary),
    ]);
    let summary = json(&summary);
    accounts_balance(&summary);
    assert_eq!(summary["ended_by"], "sources");
    let dropped =
        number(&summary, "/pairs/dropped_before_inference") + number(&summary, "/visible/dropped_before_pairing");
    assert!(dropped > 0, "a queue of one item cannot hold 1000 pairs a second: {summary:#}");
}

#[test]
fn a_rig_aligns_another_size_and_without_one_the_sizes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let model = common::fusion_model(folder.path(), "m.onnx", Samples::Unit, ColourMode::Gray);
    let rig = folder.path().join("rig.toml");
    let camera = |w: u32, h: u32| caf_rig::Camera {
        width_px: w,
        height_px: h,
        fx_px: f64::from(w),
        fy_px: f64::from(w),
        cx_px: f64::from(w) / 2.0,
        cy_px: f64::from(h) / 2.0,
    };
    let mut geometry = caf_rig::Rig::aligned(camera(66, 46));
    geometry.infrared = camera(33, 23);
    geometry.vis_from_ir.translation_m[2] = 0.5;
    geometry.write(&rig).unwrap();
    let (ir, vi) = (
        "videotestsrc num-buffers=5 ! video/x-raw,width=33,height=23,framerate=25/1",
        "videotestsrc num-buffers=5 ! video/x-raw,width=66,height=46,framerate=25/1",
    );
    let call = ["live", "--model", text(&model), "--ir", ir, "--vi", vi];
    let out = succeeds(&[&call[..], &["--rig", text(&rig), "--rig-distance-m", "20"]].concat());
    assert!(out.starts_with("5 pairs"), "{out}");
    let too_near = [&call[..], &["--rig", text(&rig), "--rig-distance-m", "0.25"]].concat();
    fails(2, &["at a distance of 0.25 m: expected more than 0.5 m"], &too_near);
    geometry.vis_from_ir.translation_m[2] = 0.0;
    geometry.write(&rig).unwrap();
    let with_rig = [&call[..], &["--rig", text(&rig)]].concat();
    let warned = || said(&caf_run(&with_rig)).contains("% of the visible image");
    assert!(!warned());
    // A telephoto lens sees a quarter of the width and of the height.
    (geometry.infrared.fx_px, geometry.infrared.fy_px) = (4.0 * 33.0, 4.0 * 33.0);
    geometry.write(&rig).unwrap();
    assert!(warned());
    geometry.infrared.cx_px = 1e6;
    geometry.write(&rig).unwrap();
    fails(1, &["sees nothing of the visible image"], &with_rig);
    geometry.visible.width_px = u32::MAX;
    geometry.write(&rig).unwrap();
    fails(1, &["visible.width_px: expected at most 65534 pixels, found 4294967295"], &with_rig);
    // A homography says the same as the pose did, for every distance.
    let size = |width, height| caf_geometry::Size { width, height };
    let mut plane = caf_rig::PlaneRig {
        visible: size(66, 46),
        infrared: size(33, 23),
        vis_from_ir: caf_rig::Homography(caf_rig::Mat3([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]])),
        latency_ms: caf_rig::Latency::default(),
        measured: None,
    };
    plane.write(&rig).unwrap();
    assert!(succeeds(&with_rig).starts_with("5 pairs") && !warned());
    fails(2, &["expected no distance, found 20 m"], &[&with_rig[..], &["--rig-distance-m", "20"]].concat());
    plane.vis_from_ir.0.0[0][2] = 1e6;
    plane.write(&rig).unwrap();
    fails(1, &["sees nothing of the visible image"], &with_rig);
    fails(1, &["33x23", "66x46", "videoscale ! video/x-raw,width=66,height=46", "--rig"], &call);
}

#[test]
fn bad_calls_say_what_is_wrong_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let model = common::fusion_model(folder.path(), "m.onnx", Samples::Bytes, ColourMode::Rgb);
    let good = "videotestsrc num-buffers=3 ! video/x-raw,width=20,height=10,framerate=25/1";
    let at = |name: &str| folder.path().join(name);
    let live = |ir: &str, more: &[&str]| -> Vec<String> {
        let base = ["live", "--model", text(&model), "--ir", ir, "--vi", good];
        base.iter().chain(more).map(ToString::to_string).collect()
    };
    let check = |code: i32, words: &[&str], call: Vec<String>| {
        fails(code, words, &call.iter().map(String::as_str).collect::<Vec<_>>());
    };
    check(2, &["infrared source", "nosuchelement"], live("nosuchelement ! identity", &[]));
    // A misspelt path, a device, an element alone.
    check(2, &["`clip/ri.mp4` is no file or folder, and no launch string either: "], live("clip/ri.mp4", &[]));
    check(2, &["neither a file nor a folder", "v4l2:/dev/videoN"], live("/dev/null", &[]));
    check(2, &["size: expected WIDTHxHEIGHT in pixels, found `640`"], live("v4l2:/dev/null?size=640", &[]));
    check(1, &["infrared source: /dev/null: no camera of Video4Linux"], live("v4l2:/dev/null", &[]));
    check(1, &["infrared source: /dev/absent: No such file"], live("v4l2:/dev/absent", &[]));
    check(2, &["does not parse", "videotestsrc !!"], live("videotestsrc !! identity", &[]));
    check(
        2,
        &["expected one appsink", "found 2"],
        live("videotestsrc ! tee name=t t. ! appsink t. ! appsink name=b", &[]),
    );
    check(1, &["infrared source", "absent.mkv"], live("filesrc location=/absent.mkv ! decodebin", &[]));
    check(1, &["no pair", "0 infrared"], live("videotestsrc num-buffers=0", &[]));
    std::fs::create_dir(at("empty")).unwrap();
    check(1, &["empty: holds no images"], live(text(&at("empty")), &[]));
    // A folder with something else in it names what is no image.
    check(1, &["fusion.safetensors: expected an image"], live(text(folder.path()), &[]));
    check(2, &[".webm, .mp4, .mkv, .avi"], live(good, &["--video", "out.gif"]));
    check(2, &["--conf"], live(good, &["--conf", "7"]));
    check(2, &["--fps", "from 0.01 to 1000"], live(good, &["--fps", "1e9"]));
    check(2, &["--fps", "from 0.01 to 1000"], live(good, &["--fps", "-1"]));
    check(2, &["--max-skew-ms", "from 0 to 60000"], live(good, &["--max-skew-ms", "-5"]));
    check(2, &["--seconds", "from 0.001 to"], live(good, &["--seconds", "1e30"]));
    check(2, &["--every-frame"], live(good, &["--realtime", "--every-frame"]));
    let unwritable = at("absent/out.webm");
    check(2, &["absent/out.webm"], live(good, &["--video", text(&unwritable)]));
    let unwritable = at("absent/out.json");
    check(2, &["absent/out.json"], live(good, &["--summary", text(&unwritable)]));
    let rig = at("rig.toml");
    std::fs::write(&rig, "nonsense = 1\n").unwrap();
    check(2, &["--rig", "absent.toml"], live(good, &["--rig", text(&at("absent.toml"))]));
    check(1, &["rig.toml"], live(good, &["--rig", text(&rig)]));
    check(2, &["unexpected argument"], vec!["live".into(), "--nonsense".into()]);
    assert!(leftovers(folder.path()).is_empty());
}

#[test]
fn help_names_examples() {
    for command in ["fuse", "live", "check"] {
        let output = caf_run(&[command, "--help"]);
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("Example"), "{command}");
    }
}
