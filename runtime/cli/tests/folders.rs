//! `caf-run fuse` and `caf-run check`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod common;

use std::path::Path;

use caf_net::zoo::pipeline::{ColourMode, Samples};
use common::{fails, leftovers, save_gray, save_gray16, save_rgb, succeeds, text};
use serde_json::Value;

fn size(path: &Path) -> (u32, u32) {
    image::image_dimensions(path).unwrap()
}

#[test]
fn folders_of_any_depth_and_size_are_fused_and_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let model = common::fusion_model(folder.path(), "m.onnx", Samples::Bytes, ColourMode::Rgb);
    let at = |name: &str| folder.path().join(name);
    save_gray(&at("ir/a.png"), 33, 21, 1);
    save_gray16(&at("ir/b.png"), 33, 21, 1);
    save_rgb(&at("vi/a.bmp"), 33, 21, 2);
    save_rgb(&at("vi/b.png"), 33, 21, 2);
    save_rgb(&at("ir/c.png"), 18, 40, 3);
    save_gray(&at("vi/c.png"), 18, 40, 4);
    let (ir, vi, out, report) = (at("ir"), at("vi"), at("out/deep"), at("report.json"));
    let call = [
        "fuse",
        "--model",
        text(&model),
        "--ir",
        text(&ir),
        "--vi",
        text(&vi),
        "--out",
        text(&out),
        "--json",
        text(&report),
    ];
    let said = succeeds(&call);
    assert!(said.contains("3 written;") && !said.contains("there already") && !said.contains("detections"), "{said}");
    assert_eq!(size(&out.join("c.png")), (18, 40));
    // The 16-bit image holds the same values as the 8-bit one.
    let pixels = |name: &str| image::open(out.join(name)).unwrap().into_rgb8().into_raw();
    assert_eq!(pixels("a.png"), pixels("b.png"));
    let fused = |path: &Path| -> (u64, u64) {
        let report: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        (report["fused"].as_u64().unwrap(), report["skipped"].as_u64().unwrap())
    };
    assert_eq!(fused(&report), (3, 0));
    std::fs::remove_file(out.join("b.png")).unwrap();
    fails(2, &["2 of 3 images", "--resume", "--overwrite"], &call);
    let said = succeeds(&[&call[..], &["--resume"]].concat());
    assert!(said.contains("1 written, 2 there already;"), "{said}");
    assert_eq!(fused(&report), (1, 2));
    succeeds(&[&call[..], &["--overwrite"]].concat());
    assert_eq!(fused(&report), (3, 0));
    // Another model's images do not come among these, were it one of the same weights.
    let gray = common::fusion_model(folder.path(), "gray.onnx", Samples::Bytes, ColourMode::Gray);
    let other = common::any_size_model(folder.path(), "other.onnx");
    let with = |other| call.map(|word| if word == text(&model) { other } else { word });
    let (with_gray, with_other) = (with(text(&gray)), with(text(&other)));
    fails(2, &["made otherwise", "(gray.onnx)", "--overwrite"], &[&with_gray[..], &["--resume"]].concat());
    fails(2, &["made otherwise", "weights (SHA-256)", "--overwrite"], &[&with_other[..], &["--resume"]].concat());
    succeeds(&[&with_other[..], &["--overwrite"]].concat());
    fails(2, &["the model only fuses"], &[&call[..], &["--draw"]].concat());
    assert!(leftovers(folder.path()).is_empty());
}

#[test]
fn detections_are_listed_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let model = common::pipeline_model(folder.path(), "p.onnx", 50, 38);
    let at = |name: &str| folder.path().join(name);
    for i in 0..3 {
        save_gray(&at(&format!("ir/{i}.png")), 50, 38, i);
        save_rgb(&at(&format!("vi/{i}.png")), 50, 38, i + 9);
    }
    let (ir, vi, plain, drawn, lines) = (at("ir"), at("vi"), at("plain"), at("drawn"), at("d.jsonl"));
    let call = |out: &Path, more: &[&str]| {
        let base =
            ["fuse", "--model", text(&model), "--ir", text(&ir), "--vi", text(&vi), "--conf", "0", "--out", text(out)];
        succeeds(&[&base[..], more].concat())
    };
    call(&plain, &[]);
    call(&drawn, &["--draw", "--detections", text(&lines)]);
    let text = std::fs::read_to_string(&lines).unwrap();
    let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.iter().map(|l| l["name"].as_str().unwrap()).collect::<Vec<_>>(), ["0", "1", "2"]);
    assert!(lines.iter().all(|l| l["width_px"] == 50 && !l["detections"].as_array().unwrap().is_empty()));
    let read = |p: &Path| image::open(p.join("0.png")).unwrap().into_rgb8().into_raw();
    assert_ne!(read(&plain), read(&drawn));
}

#[test]
fn offenders_damage_and_wrong_models_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let model = common::pipeline_model(folder.path(), "p.onnx", 50, 38);
    let at = |name: &str| folder.path().join(name);
    let (ir, vi, out) = (at("ir"), at("vi"), at("out"));
    let call = ["fuse", "--model", text(&model), "--ir", text(&ir), "--vi", text(&vi), "--out", text(&out)];
    fails(2, &["--ir", "No such file"], &call);
    save_gray(&at("ir/one.png"), 50, 38, 1);
    save_rgb(&at("vi/two.png"), 50, 38, 1);
    fails(1, &["one.png", "two.png"], &call);
    std::fs::remove_file(at("vi/two.png")).unwrap();
    save_rgb(&at("vi/one.png"), 50, 38, 1);
    // The header is whole, the pixels are not.
    let bytes = std::fs::read(at("vi/one.png")).unwrap();
    std::fs::write(at("vi/one.png"), &bytes[..bytes.len() / 2]).unwrap();
    fails(1, &["vi/one.png: the image is cut off: the file ends before it does"], &call);
    // A decoder fills the end of this one with gray.
    std::fs::remove_file(at("vi/one.png")).unwrap();
    save_rgb(&at("vi/one.jpg"), 50, 38, 1);
    let bytes = std::fs::read(at("vi/one.jpg")).unwrap();
    std::fs::write(at("vi/one.jpg"), &bytes[..bytes.len() * 9 / 10]).unwrap();
    let frames = ["live", "--model", text(&model), "--ir", text(&ir), "--vi", text(&vi)];
    for call in [&call[..], &frames] {
        fails(1, &["vi/one.jpg", "cut off"], call);
    }
    std::fs::remove_file(at("vi/one.jpg")).unwrap();
    for name in ["ir/one.png", "vi/one.png"] {
        save_rgb(&at(name), 48, 38, 1);
    }
    fails(1, &["one: ", "48x38", "50x38", "without --size"], &call);
    let weights = at("w.safetensors");
    std::fs::write(&weights, b"\x08\0\0\0\0\0\0\0{}      ").unwrap();
    fails(2, &["w.safetensors", "caf-export onnx"], &["check", "--model", text(&weights)]);
    let words = at("words.txt");
    for (content, found) in [("by hand\n", "found a text"), ("", "found an empty file")] {
        std::fs::write(&words, content).unwrap();
        fails(2, &["words.txt: expected a model", found], &["check", "--model", text(&words)]);
    }
    for name in ["ir/one.png", "vi/one.png"] {
        save_rgb(&at(name), 50, 38, 1);
    }
    std::fs::write(at("file"), b"").unwrap();
    let below = at("file/out");
    fails(1, &["file/out"], &[&call[..7], &["--out", text(&below)]].concat());
    fails(2, &["--out"], &call[..7]);
    assert!(leftovers(folder.path()).is_empty());
}

#[test]
fn no_output_replaces_an_input_or_another_output() {
    let folder = tempfile::tempdir().unwrap();
    let model = common::fusion_model(folder.path(), "m.onnx", Samples::Bytes, ColourMode::Rgb);
    let at = |name: &str| folder.path().join(name);
    let (ir, vi, lines, picture) = (at("ir"), at("vi"), at("lines"), at("vi/0.png"));
    save_gray(&at("ir/0.png"), 20, 10, 1);
    save_rgb(&picture, 20, 10, 1);
    let read = || [&model, &picture].map(|path| std::fs::read(path).unwrap());
    let before = read();
    let [model, ir, vi, lines, picture] = [&model, &ir, &vi, &lines, &picture].map(|path| text(path));
    let fuse = ["fuse", "--model", model, "--ir", ir, "--vi", vi];
    let live = ["live", "--model", model, "--ir", ir, "--vi", vi];
    for (call, more, words) in [
        (&fuse[..], &["--out", vi][..], ["--out", "--vi"]),
        (&fuse, &["--out", lines, "--json", model], ["--json", "--model"]),
        (&live, &["--jsonl", model], ["--jsonl", "--model"]),
        (&live, &["--jsonl", lines, "--summary", lines], ["--summary", "--jsonl"]),
        (&live, &["--summary", picture], ["--summary", "--vi"]),
        (&["check", "--model", model], &["--json", model], ["--json", "--model"]),
    ] {
        fails(2, &words, &[call, more].concat());
        assert_eq!(read(), before);
    }
    assert!(!at("lines").exists());
}

#[test]
fn a_check_tells_contract_providers_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let model = common::pipeline_model(folder.path(), "p.onnx", 50, 38);
    let report = folder.path().join("check.json");
    let call = ["check", "--model", text(&model), "--json", text(&report), "--threads", "1", "--runs", "7"];
    let out = succeeds(&call);
    for word in
        ["fuses and detects", "person, car", "50x38", "sha256", "7 runs", "p99", "--threads 1", "hardware threads"]
    {
        assert!(out.contains(word), "{word} in {out}");
    }
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
    let names: Vec<&str> =
        report["providers"].as_array().unwrap().iter().map(|p| p["provider"].as_str().unwrap()).collect();
    assert_eq!(names, ["cpu", "cuda", "tensorrt"]);
    for provider in report["providers"].as_array().unwrap() {
        // Whoever is not usable says why, to people and to machines.
        let reason = provider["reason"].as_str();
        assert_eq!(provider["usable"].as_bool(), Some(reason.is_none()));
        assert!(reason.is_none_or(|r| out.contains(r) && r.contains("libonnxruntime_providers_")), "{provider}");
    }
    // Left to choose, the program says what it took; why is said above.
    let chosen = report["provider"].as_str().unwrap();
    assert!(out.contains(&format!("timed on   {chosen}\n")), "{out}");
    assert!(report["provider_reason"].as_str().unwrap().contains("`cuda` "), "{report}");
    let timing = &report["timing"];
    assert_eq!((timing["whole"]["count"].as_u64(), timing["width_px"].as_u64()), (Some(7), Some(50)));
    assert_eq!(report["machine"]["operator_threads"], 1);
    let ms = |part: &str, field: &str| timing[part][field].as_f64().unwrap();
    for part in ["pre", "infer", "post", "whole"] {
        let ranks = ["p50_ms", "p95_ms", "p99_ms", "max_ms"].map(|f| ms(part, f));
        assert!(ranks[0] > 0.0 && ranks.is_sorted(), "{part}: {ranks:?}");
    }
    assert!(ms("whole", "mean_ms") >= ms("infer", "mean_ms"));
    fails(2, &["absent.onnx"], &["check", "--model", "absent.onnx"]);
    fails(2, &["--size"], &["check", "--model", text(&model), "--size", "0x5"]);
    let any = common::fusion_model(folder.path(), "m.onnx", Samples::Bytes, ColourMode::Rgb);
    let huge = ["check", "--model", text(&any), "--size", "65535x65535"];
    fails(1, &["268435456 elements, found extents [65535, 65535, 3]"], &huge);
    fails(2, &["--runs"], &["check", "--model", text(&model), "--runs", "0"]);
}

#[test]
fn a_folder_of_mixed_sizes_is_segmented_by_one_model() {
    let folder = tempfile::tempdir().unwrap();
    let model = common::segmentation_model(folder.path(), "s.onnx");
    let at = |name: &str| folder.path().join(name);
    let sizes = [("a", 64, 48), ("b", 45, 71), ("c", 64, 48)];
    for (i, (name, width, height)) in sizes.into_iter().enumerate() {
        save_gray(&at(&format!("ir/{name}.png")), width, height, i);
        save_rgb(&at(&format!("vi/{name}.png")), width, height, i + 9);
    }
    let (ir, vi, out, maps, lines) = (at("ir"), at("vi"), at("out"), at("maps"), at("o.jsonl"));
    let call = ["fuse", "--model", text(&model), "--ir", text(&ir), "--vi", text(&vi), "--out", text(&out)];
    succeeds(&[&call[..], &["--class-maps", text(&maps), "--detections", text(&lines), "--draw"]].concat());
    let lines = std::fs::read_to_string(&lines).unwrap();
    assert_eq!(lines.lines().count(), sizes.len());
    for (line, (name, width, height)) in lines.lines().zip(sizes) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!((line["name"].as_str(), line["width_px"].as_u64()), (Some(name), Some(width as u64)));
        assert_eq!(line["detections"].as_array().unwrap().len(), 0);
        // The runs give the very map that was written.
        let map = image::open(maps.join(format!("{name}.png"))).unwrap().into_luma8();
        assert_eq!((map.width() as usize, map.height() as usize), (width, height));
        let mut coded = vec![255; width * height];
        let mut share = 0.0;
        for class in line["class_map"].as_array().unwrap() {
            share += class["share"].as_f64().unwrap();
            assert_eq!(class["name"], ["background", "person", "car"][class["class"].as_u64().unwrap() as usize]);
            let runs: Vec<usize> =
                class["runs"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
            runs.chunks(2).for_each(|run| coded[run[0]..run[0] + run[1]].fill(class["class"].as_u64().unwrap() as u8));
        }
        assert!((share - 1.0).abs() < 1e-12 && coded == map.into_raw(), "{name}");
        assert_eq!(size(&out.join(format!("{name}.png"))), (width as u32, height as u32));
    }
    let fuses = common::fusion_model(folder.path(), "m.onnx", Samples::Bytes, ColourMode::Rgb);
    let call = ["fuse", "--model", text(&fuses), "--ir", text(&ir), "--vi", text(&vi), "--out", text(&out)];
    fails(2, &["does not segment"], &[&call[..], &["--class-maps", text(&maps)]].concat());
    fails(2, &["only fuses"], &[&call[..], &["--draw"]].concat());
}

#[test]
fn a_model_of_two_tasks_finds_what_two_models_of_one_find() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    save_gray(&at("ir/a.png"), 90, 47, 1);
    save_rgb(&at("vi/a.png"), 90, 47, 2);
    let found = |model: &Path, out: &str| -> Value {
        let (ir, vi, out, lines) = (at("ir"), at("vi"), at(out), at("o.jsonl"));
        let call = ["fuse", "--model", text(model), "--ir", text(&ir), "--vi", text(&vi), "--out", text(&out)];
        succeeds(&[&call[..], &["--detections", text(&lines), "--conf", "0"]].concat());
        serde_json::from_str(std::fs::read_to_string(&lines).unwrap().trim()).unwrap()
    };
    let both = common::two_task_model(folder.path(), "b.onnx");
    assert!(succeeds(&["check", "--model", text(&both), "--runs", "1"]).contains("fuses, detects and segments"));
    let both = found(&both, "both");
    let detector = found(&common::any_size_model(folder.path(), "d.onnx"), "detected");
    let segmenter = found(&common::segmentation_model(folder.path(), "s.onnx"), "segmented");
    assert!(!both["detections"].as_array().unwrap().is_empty());
    assert_eq!(both["detections"], detector["detections"]);
    assert_eq!(both["class_map"], segmenter["class_map"]);
}

#[test]
fn a_folder_of_mixed_sizes_is_searched_by_one_model_in_each_pairs_own_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let any = common::any_size_model(folder.path(), "any.onnx");
    let at = |name: &str| folder.path().join(name);
    let sizes = [("a", 90, 47), ("b", 47, 90), ("c", 200, 64)];
    let found = |model: &Path, folder: &Path| -> Vec<Value> {
        let (ir, vi, out, lines) = (folder.join("ir"), folder.join("vi"), folder.join("out"), folder.join("o.jsonl"));
        let call = ["fuse", "--model", text(model), "--ir", text(&ir), "--vi", text(&vi), "--out", text(&out)];
        succeeds(&[&call[..], &["--detections", text(&lines), "--conf", "0"]].concat());
        let lines = std::fs::read_to_string(&lines).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    for (name, width, height) in sizes {
        // All in one folder, and each in one of its own.
        for place in [at("all"), at(name)] {
            save_gray(&place.join(format!("ir/{name}.png")), width, height, 1);
            save_rgb(&place.join(format!("vi/{name}.png")), width, height, 2);
        }
    }
    let all = found(&any, &at("all"));
    assert_eq!(all.len(), sizes.len());
    for (line, (name, width, height)) in all.iter().zip(sizes) {
        let fixed = common::pipeline_model(folder.path(), "fixed.onnx", width, height);
        let alone = found(&fixed, &at(name));
        let [a, b] = [line, &alone[0]].map(|line| line["detections"].as_array().unwrap().clone());
        assert!(!a.is_empty() && a.len() == b.len(), "{name}: {} and {}", a.len(), b.len());
        let corners =
            |d: &Value| -> Vec<f64> { d["box"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect() };
        for (a, b) in a.iter().zip(&b) {
            // The model of a fixed size has the same letterbox by other nodes. Measured: no difference. A unit in the last place is
            // 1.5e-5 on boxes of up to 200 px, and sixty of them are what sixty layers may make of one.
            let worst = corners(a).iter().zip(corners(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-3 && a["class"] == b["class"], "{name}: {a} and {b}");
        }
    }
}
