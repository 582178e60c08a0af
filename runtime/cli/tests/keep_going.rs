//! Broken images among many: found before the work begins as far as that is possible, and left out where that is wanted. Work that
//! is stopped and goes on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use caf_net::zoo::pipeline::{ColourMode, Samples};
use common::report::json;
use common::{caf_run, fails, leftovers, said, save_gray, save_rgb, text};

/// Cuts a file to part of its bytes.
fn cut(path: &Path, part: f64) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..(bytes.len() as f64 * part) as usize]).unwrap();
}

/// Damages a byte in the middle, so that header and end of the file are whole.
fn scratch(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn broken_images_are_found_before_the_work_or_left_out_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let model = common::fusion_model(folder.path(), "m.onnx", Samples::Bytes, ColourMode::Rgb);
    let at = |name: &str| folder.path().join(name);
    for i in 0..30 {
        save_gray(&at(&format!("ir/{i:02}.png")), 33, 21, i);
        save_rgb(&at(&format!("vi/{i:02}.jpg")), 33, 21, i);
    }
    // Four that their header or their end betrays.
    for name in ["vi/03.jpg", "vi/17.jpg"] {
        cut(&at(name), 0.8);
    }
    cut(&at("ir/21.png"), 0.5);
    std::fs::remove_file(at("ir/25.png")).unwrap();
    let (ir, vi, out, report) = (at("ir"), at("vi"), at("out"), at("report.json"));
    let call = ["fuse", "--model", text(&model), "--ir", text(&ir), "--vi", text(&vi), "--out", text(&out)];
    let found = ["4 of the two folders' images", "03.jpg", "17.jpg", "21.png", "25.jpg"];
    fails(1, &found, &call);
    assert!(!out.exists(), "something was fused before all was known");

    // One that only decoding finds.
    scratch(&at("ir/28.png"));
    let output = caf_run(&[&call[..], &["--keep-going", "--json", text(&report)]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    for words in ["5 of the two folders' images", "03.jpg", "17.jpg", "21.png", "25.jpg", "28.png"] {
        assert!(said(&output).contains(words), "`{words}` in {}", said(&output));
    }
    let mut there: Vec<_> = std::fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name()).collect();
    // A hidden file says what made the images.
    there.retain(|name| name != ".made-by");
    there.sort();
    let expected = (0..30).filter(|i| ![3, 17, 21, 25, 28].contains(i)).map(|i| format!("{i:02}.png"));
    assert!(there.iter().map(|n| n.to_str().unwrap()).eq(expected), "{there:?}");
    let report = json(&report);
    assert_eq!((report["fused"].as_u64(), report["left_out"].as_array().unwrap().len()), (Some(25), 5), "{report:#}");
    assert!(leftovers(folder.path()).is_empty());
}

#[cfg(unix)]
#[test]
fn stopped_work_says_so_and_goes_on() {
    const PAIRS: usize = 300;
    let folder = tempfile::tempdir().unwrap();
    let model = common::fusion_model(folder.path(), "m.onnx", Samples::Bytes, ColourMode::Rgb);
    let at = |name: &str| folder.path().join(name);
    save_gray(&at("ir/000.png"), 96, 64, 1);
    save_rgb(&at("vi/000.png"), 96, 64, 1);
    for i in 1..PAIRS {
        for camera in ["ir", "vi"] {
            std::fs::hard_link(at(&format!("{camera}/000.png")), at(&format!("{camera}/{i:03}.png"))).unwrap();
        }
    }
    let (ir, vi, out) = (at("ir"), at("vi"), at("out"));
    let call = ["fuse", "--model", text(&model), "--ir", text(&ir), "--vi", text(&vi), "--out", text(&out)];
    let program = env!("CARGO_BIN_EXE_caf-run");
    let mut child = Command::new(program).args(call).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    while !out.join("000.png").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the work ended before its first pair");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("stopped; --resume goes on: "), "{}", said(&output));
    let images =
        || std::fs::read_dir(&out).unwrap().filter(|e| e.as_ref().unwrap().path().extension().is_some()).count();
    let before = images();
    assert!((1..PAIRS).contains(&before) && leftovers(folder.path()).is_empty(), "{before} of {PAIRS}");
    let output = caf_run(&[&call[..], &["--resume"]].concat());
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(images(), PAIRS);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.starts_with(&format!("{} written, {before} there already", PAIRS - before)), "{told}");
}
