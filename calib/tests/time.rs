//! Known latencies of rendered clips are found.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the file is tests throughout")]

use std::path::Path;
use std::process::Command;

use caf_calib::{CalibError, MeasuredLatency, Motion, latency, views};
use caf_geometry::Size;
use caf_image::Plane;
use caf_rig::{Geometry, Rig};
use caf_scene::{ClipSpec, Condition, Scene, SceneSpec, write_clip};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SIZE: Size = Size::new(160, 120);
const SECONDS: f64 = 10.0;

/// How a clip is recorded.
#[derive(Clone, Copy, Debug)]
struct Recording {
    condition: Condition,
    /// Frames a second of the infrared and the visible camera.
    fps: [f64; 2],
    /// Milliseconds that the infrared timestamps are late.
    late_ms: f64,
    /// Standard deviation, roughly, of noise added to the rendered one, levels of 8 bits.
    noise: f32,
    /// Share of frames that are lost.
    dropped: f64,
}

/// Renders both clips and measures the latency.
fn measured(seed: u64, case: &Recording) -> Result<MeasuredLatency, CalibError> {
    let spec = SceneSpec { seed, size: SIZE, condition: Some(case.condition), rig: None };
    let scene = Scene::generate(&spec).unwrap();
    let views = views(SIZE, SIZE, None).unwrap();
    let motions = ["infrared", "visible"].into_iter().enumerate().map(|(camera, name)| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed * 2 + camera as u64);
        let mut frames = Vec::new();
        for i in 0..(SECONDS * case.fps[camera]) as usize {
            // The cameras' clocks run freely.
            let t_s = 1.0 + 0.0137 * camera as f64 + i as f64 / case.fps[camera];
            if rng.random_bool(case.dropped) {
                continue;
            }
            let pair = scene.render(t_s);
            let gray = |i: usize| match camera {
                0 => f32::from(pair.ir[i]),
                _ => pair.vi[3 * i..3 * i + 3].iter().map(|v| f32::from(*v)).sum::<f32>() / 3.0,
            };
            let size = if camera == 0 { pair.ir_size } else { pair.vi_size };
            let mut noisy = |i: usize| (gray(i) + case.noise * 1.7 * rng.random_range(-1.0..=1.0f32)) / 255.0;
            let plane = Plane::new(size, (0..size.width * size.height).map(&mut noisy).collect()).unwrap();
            let late_ms = if camera == 0 { case.late_ms } else { 0.0 };
            frames.push(((t_s * 1e9 + late_ms * 1e6).round() as i64, views[camera].glance(plane)));
        }
        Motion::of(name, frames, 0).unwrap()
    });
    let [ir, vi] = motions.collect::<Vec<_>>().try_into().unwrap();
    latency(&ir, &vi, 1000.0)
}

#[test]
fn latencies_of_rendered_clips_are_found_to_five_milliseconds() {
    let plain = Recording { condition: Condition::Day, fps: [25.0, 25.0], late_ms: 0.0, noise: 0.0, dropped: 0.0 };
    let night = Condition::Night;
    let cases = [
        (22, Recording { late_ms: 43.0, noise: 4.0, ..plain }),
        (24, Recording { fps: [9.0, 30.0], late_ms: 85.0, noise: 4.0, dropped: 0.1, ..plain }),
        (25, Recording { fps: [30.0, 20.0], late_ms: -131.0, noise: 4.0, dropped: 0.1, condition: night }),
    ];
    for (seed, case) in &cases {
        let found = measured(*seed, case);
        println!("{seed} {case:?}\n  {found:?}");
        let found = found.unwrap();
        assert!((found.infrared_late_ms - case.late_ms).abs() < 5.0, "{case:?}: {found:?}");
    }
    // One car that passes, and whose warm parts are not its bright ones, would say 11 ms.
    let error = measured(23, &plain).unwrap_err().to_string();
    assert!(error.contains("no latency holds") && error.contains("record"), "{error}");
}

fn caf_calib(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_caf-calib")).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_recorded_latency_goes_into_the_rig_file() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("clip");
    let spec = ClipSpec {
        seed: 3,
        size: Size::new(160, 120),
        condition: Some(Condition::Day),
        seconds: 8.0,
        fps: 20.0,
        infrared_skew_ms: 0.0,
        rig: None,
        replace: false,
    };
    write_clip(&root, &spec, &|_| {}).unwrap();
    let [ir, vi, rig] = ["ir", "vi", "rig.toml"].map(|name| root.join(name).to_str().unwrap().to_owned());
    let call = ["time", "--ir", &ir, "--vi", &vi, "--rig", &rig, "--write"];
    let times = root.join("timestamps.csv");
    let late = |line: (usize, &str)| match line {
        (0, header) => format!("{header}\n"),
        (_, line) => {
            let (first, infrared_s) = line.rsplit_once(',').unwrap();
            format!("{first},{:.6}\n", infrared_s.parse::<f64>().unwrap() - 0.062)
        }
    };
    let text: String = std::fs::read_to_string(&times).unwrap().lines().enumerate().map(late).collect();
    std::fs::write(&times, text).unwrap();
    let json = folder.path().join("time.json");
    let (code, told, said) = caf_calib(&[&call[..], &["--json", json.to_str().unwrap()]].concat());
    assert!(code == Some(0) && told.contains("the visible timestamps are late by"), "{told}{said}");
    let Geometry::Pose(read) = Geometry::read(Path::new(&rig)).unwrap() else { panic!("a pose") };
    assert!((read.latency_ms.visible - 62.0).abs() < 5.0 && read.latency_ms.infrared == 0.0, "{:?}", read.latency_ms);
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(report["latency_ms"]["visible"].as_f64(), Some(read.latency_ms.visible));

    // What says nothing is refused, and leaves the rig as it is.
    let before = std::fs::read(&rig).unwrap();
    let refused = |expected: i32, words: &[&str], call: &[&str]| {
        let (code, _, said) = caf_calib(call);
        assert!(code == Some(expected) && words.iter().all(|word| said.contains(word)), "{words:?} {code:?}: {said}");
        assert_eq!(std::fs::read(&rig).unwrap(), before);
    };
    refused(
        1,
        &["the recording is too short", "found 21", "twenty seconds"],
        &[&call[..], &["--seconds", "1"]].concat(),
    );
    refused(2, &["--most-ms", "10 to 10000"], &[&call[..], &["--most-ms", "1"]].concat());
    refused(2, &["--rig"], &["time", "--ir", &ir, "--vi", &vi, "--write"]);
    // A frame of another size is named with both sizes as they are in the files.
    let odd = root.join("ir/000007.png");
    let kept = std::fs::read(&odd).unwrap();
    std::fs::write(&odd, [&b"P5\n40 30\n255\n"[..], &[9; 1200]].concat()).unwrap();
    refused(1, &["000007.png", "expected 160x120", "infrared", "found 40x30"], &call);
    std::fs::write(&odd, kept).unwrap();
    let first = root.join("vi/000000.png");
    for i in 1..160 {
        std::fs::copy(&first, root.join(format!("vi/{i:06}.png"))).unwrap();
    }
    refused(1, &["visible", "record"], &call);
    std::fs::write(&times, "frame,t_s\n0,soon\n").unwrap();
    refused(2, &["timestamps.csv:2", "expected a time"], &call);
    Rig::aligned(caf_rig::Camera::with_field_of_view(Size::new(320, 240), 50.0)).write(Path::new(&rig)).unwrap();
    let (code, _, said) = caf_calib(&["time", "--ir", &ir, "--vi", &vi, "--rig", &rig, "--ir-fps", "20"]);
    assert!(code == Some(2) && said.contains("timestamps.csv"), "{said}");
    std::fs::remove_file(&times).unwrap();
    let (code, _, said) = caf_calib(&["time", "--ir", &ir, "--vi", &vi, "--rig", &rig]);
    assert!(code == Some(2) && said.contains("found 160x120"), "{said}");
}
