//! Letterbox geometry and bytes against the original's.

use crate::shared;
use caf_detect::letterbox::FILL;
use caf_detect::{Letterbox, LetterboxPainter, ValidationInput};
use serde_json::Value;
use std::path::Path;

fn pair(v: &Value) -> (f64, f64) {
    (v[0].as_f64().unwrap(), v[1].as_f64().unwrap())
}

fn sizes(v: &Value) -> (usize, usize) {
    (v[0].as_u64().unwrap() as usize, v[1].as_u64().unwrap() as usize)
}

fn rgb(path: &Path) -> (Vec<u8>, usize, usize) {
    let image = image::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).to_rgb8();
    let (w, h) = (image.width() as usize, image.height() as usize);
    (image.into_raw(), h, w)
}

/// Bytes that differ and the largest difference.
fn differences(a: &[u8], b: &[u8]) -> (usize, u8) {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).filter(|&d| d > 0).fold((0, 0), |(n, m), d| (n + 1, m.max(d)))
}

fn letterbox(case: &Value, src: (usize, usize)) -> Letterbox {
    let (h, w) = sizes(&case["new_shape_hw"]);
    let scale_up = case["scaleup"].as_bool().unwrap();
    if case["auto"].as_bool().unwrap() {
        Letterbox::auto(src.0, src.1, h, w, scale_up, case["stride"].as_u64().unwrap() as usize).unwrap()
    } else {
        Letterbox::new(src.0, src.1, h, w, scale_up).unwrap()
    }
}

#[test]
fn cases() {
    let Some(dir) = shared::folder("letterbox cases", "yolov5") else { return };
    let all = shared::json(&dir.join("letterbox.json"));
    let (src, h, w) = rgb(&dir.join(all["source"].as_str().unwrap()));
    let cases = all["cases"].as_array().unwrap();
    assert!(!cases.is_empty() && all["color"][0] == u64::from(FILL));
    let mut bytes = 0;
    for case in cases {
        let name = &case["name"];
        let l = letterbox(case, (h, w));
        assert_eq!((l.ratio, l.ratio), pair(&case["ratio"]), "{name}");
        assert_eq!(l.pad_wh, pair(&case["pad_wh"]), "{name}");
        assert_eq!((l.resized_hw.1, l.resized_hw.0), sizes(&case["resized_wh"]), "{name}");
        assert_eq!(l.out_hw, sizes(&case["out_hw"]), "{name}");
        let borders = [l.top_bottom.0, l.top_bottom.1, l.left_right.0, l.left_right.1];
        assert_eq!(serde_json::json!(borders), case["top_bottom_left_right"], "{name}");
        let mut painter = LetterboxPainter::new(l, 3).unwrap();
        let mut out = vec![0; painter.output_len()];
        painter.paint(&src, w * 3, &mut out).unwrap();
        let (expected, ..) = rgb(&dir.join(case["file"].as_str().unwrap()));
        // The fixed-point form was verified with zero differences.
        assert_eq!(differences(&out, &expected), (0, 0), "{name}");
        bytes += out.len();
    }
    shared::say(&format!("letterbox: {} cases, {bytes} bytes, 0 different", cases.len()));
}

#[test]
fn validation_loader() {
    let Some(dir) = shared::folder("validation loader", "yolov5") else { return };
    let all = shared::json(&dir.join("letterbox.json"));
    let (src, h, w) = rgb(&dir.join(all["source"].as_str().unwrap()));
    let case = &all["val_loader_case"];
    let v = ValidationInput::new(h, w, case["imgsz"].as_u64().unwrap() as usize, 32).unwrap();
    assert_eq!((v.resized_hw.1, v.resized_hw.0), sizes(&case["resized_wh"]));
    assert_eq!(v.letterbox.out_hw, sizes(&case["batch_shape_hw"]));
    assert_eq!(v.letterbox.pad_wh, pair(&case["pad_wh"]));
    let ((vertical, horizontal), pads) = (pair(&case["shapes"][1][0]), pair(&case["shapes"][1][1]));
    assert!((v.gain() - vertical).abs() < 1e-12 && v.letterbox.pad_wh == pads);
    assert!((v.resized_hw.1 as f64 / w as f64 - horizontal).abs() < 1e-12);
    let out = v.render(&src, w * 3, 3).unwrap();
    let (expected, ..) = rgb(&dir.join(case["file"].as_str().unwrap()));
    let (count, largest) = differences(&out, &expected);
    shared::say(&format!("validation loader: {} bytes, {count} different, by at most {largest}", out.len()));
    // The float32 area mean of the original differs from the exact one in up to 0.004 % of the bytes, by 1.
    assert!(largest <= 1 && count as f64 <= 1e-4 * out.len() as f64);
}

#[test]
fn network_inputs() {
    let Some(dir) = shared::folder("network inputs", "yolov5") else { return };
    let mut count = 0;
    for path in std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !(name.starts_with("forward_") && name.ends_with(".json")) {
            continue;
        }
        let case = shared::json(&path);
        let (src, h, w) = rgb(&dir.join(case["source"].as_str().unwrap()));
        assert_eq!((h, w), sizes(&case["source_hw"]));
        let mut painter = LetterboxPainter::new(letterbox(&case["letterbox"], (h, w)), 3).unwrap();
        let mut out = vec![0; painter.output_len()];
        painter.paint(&src, w * 3, &mut out).unwrap();
        let file = std::fs::read(path.with_extension("safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&file).unwrap();
        let planes = file.tensor("image_u8").unwrap().data().to_vec();
        let plane = planes.len() / 3;
        let expected: Vec<u8> = (0..planes.len()).map(|i| planes[i % 3 * plane + i / 3]).collect();
        assert_eq!(differences(&out, &expected), (0, 0), "{name}");
        count += 1;
    }
    assert!(count > 0, "no forward_*.json in {}", dir.display());
    shared::say(&format!("network inputs: {count} cases, 0 bytes different"));
}
