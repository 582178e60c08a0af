//! Decoding and suppression against the original's.

use crate::shared;
use caf_detect::decode::{ANCHORS_PX, HeadShape, decode_level};
use caf_detect::{Detection, Letterbox, NmsSettings, nms};
use safetensors::SafeTensors;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn settings(args: &Value) -> NmsSettings {
    let mut s = NmsSettings {
        conf: args["conf_thres"].as_f64().unwrap() as f32,
        iou: args["iou_thres"].as_f64().unwrap(),
        ..NmsSettings::default()
    };
    for (key, value) in args.as_object().unwrap() {
        match key.as_str() {
            "multi_label" => s.multi_label = value.as_bool().unwrap(),
            "agnostic" => s.agnostic = value.as_bool().unwrap(),
            "max_det" => s.max_det = value.as_u64().unwrap() as usize,
            "classes" => {
                s.classes = Some(value.as_array().unwrap().iter().map(|c| c.as_u64().unwrap() as u32).collect());
            }
            _ => {}
        }
    }
    s
}

/// Compares as sets, since the original's order of equal scores is not defined. Every value is one float32 operation
/// on the stored rows (a product, or a difference with an exact half), so nothing but equality is right. Returns, for
/// each expected row, the detection that equals it.
fn match_exactly(what: &str, found: &[Detection], expected: &[f32]) -> Vec<Detection> {
    assert_eq!(found.len() * 6, expected.len(), "{what}: number of detections");
    let mut unused = found.to_vec();
    let matched = expected.chunks_exact(6).enumerate().map(|(i, row)| {
        let same = |d: &Detection| [d.x1, d.y1, d.x2, d.y2, d.score, d.class as f32] == row;
        let at = unused.iter().position(same).unwrap_or_else(|| panic!("{what}: row {i} {row:?} not found"));
        unused.remove(at)
    });
    matched.collect()
}

#[test]
fn synthetic() {
    let Some(dir) = shared::folder("synthetic suppression", "yolov5") else { return };
    let all = shared::json(&dir.join("nms_synthetic.json"));
    let file = std::fs::read(dir.join("nms_synthetic.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&file).unwrap();
    let (shape, rows) = shared::f32s(&file, "prediction").unwrap();
    let cases = all["cases"].as_object().unwrap();
    assert!(!cases.is_empty());
    let mut compared = 0;
    for (name, case) in cases {
        for (image, rows) in rows.chunks_exact(shape[1] * shape[2]).enumerate() {
            let found = nms(rows, shape[2] - 5, &settings(&case["args"])).unwrap();
            let key = format!("{name}_{image}");
            let (_, expected) = shared::f32s(&file, &key).unwrap();
            assert!(found.windows(2).all(|w| w[0].score >= w[1].score));
            compared += match_exactly(&key, &found, &expected).len();
        }
    }
    shared::say(&format!("synthetic suppression: {} cases, {compared} detections, equal", cases.len()));
}

fn forward_cases(dir: &Path) -> Vec<PathBuf> {
    let mut cases: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    cases.retain(|p| {
        let name = p.file_name().unwrap().to_string_lossy();
        name.starts_with("forward_") && name.ends_with(".json")
    });
    assert!(!cases.is_empty(), "no forward_*.json in {}", dir.display());
    cases
}

#[test]
fn photographs() {
    let Some(dir) = shared::folder("suppression of photographs", "yolov5") else { return };
    let (mut compared, mut worst) = (0, 0.0f32);
    for path in forward_cases(&dir) {
        let case = shared::json(&path);
        let file = std::fs::read(path.with_extension("safetensors")).unwrap();
        let file = SafeTensors::deserialize(&file).unwrap();
        let (shape, rows) = shared::f32s(&file, "decoded").or_else(|| shared::f32s(&file, "candidate_rows")).unwrap();
        let classes = shape.last().unwrap() - 5;
        let hw = |v: &Value| (v[0].as_u64().unwrap() as usize, v[1].as_u64().unwrap() as usize);
        let ((src_h, src_w), l) = (hw(&case["source_hw"]), &case["letterbox"]);
        let (dst_h, dst_w) = hw(&l["new_shape_hw"]);
        let l = Letterbox::new(src_h, src_w, dst_h, dst_w, l["scaleup"].as_bool().unwrap()).unwrap();
        for (name, args) in case["nms"].as_object().unwrap() {
            let found = nms(&rows, classes, &settings(args)).unwrap();
            let key = format!("nms_{name}");
            let (_, expected) = shared::f32s(&file, &key).unwrap();
            let matched = match_exactly(&key, &found, &expected);
            let (_, native) = shared::f32s(&file, &format!("{key}_native_xyxy")).unwrap();
            for (d, native) in matched.iter().zip(native.chunks_exact(4)) {
                // The stored boxes come from the detection script's mapping.
                let b = l.box_to_source_from_sizes(d.xyxy()).clip(src_h, src_w);
                for (found, expected) in [b.x1, b.y1, b.x2, b.y2].iter().zip(native) {
                    worst = worst.max((found - expected).abs());
                }
            }
            compared += found.len();
        }
    }
    shared::say(&format!(
        "suppression of photographs: {compared} detections equal, in the source image within {worst:e} px"
    ));
    // Two float32 operations on coordinates below 1000: a few units of 6e-5.
    assert!(compared > 0 && worst <= 3e-4);
}

#[test]
fn decoding() {
    let Some(dir) = shared::folder("decoding", "yolov5") else { return };
    let (mut values, mut worst_px, mut worst_p) = (0, 0.0f32, 0.0f32);
    for path in forward_cases(&dir) {
        let file = std::fs::read(path.with_extension("safetensors")).unwrap();
        let file = SafeTensors::deserialize(&file).unwrap();
        let (mut rows, mut columns, mut complete) = (vec![], 0, true);
        for (level, anchors) in ANCHORS_PX.iter().enumerate() {
            let Some((shape, raw)) = shared::f32s(&file, &format!("head_p{}", level + 3)) else {
                complete = false;
                continue;
            };
            columns = shape[4];
            let head = HeadShape { ny: shape[2], nx: shape[3], classes: columns - 5 };
            decode_level(&raw, head, 8 << level, anchors, &mut rows).unwrap();
        }
        // Without the upper levels the decoded rows are the last ones of the network, and every 16th is stored.
        let (expected, step) = if complete {
            (shared::f32s(&file, "decoded").unwrap().1, 1)
        } else {
            (shared::f32s(&file, "decoded_every16").unwrap().1, 16)
        };
        let found: Vec<_> = rows.chunks_exact(columns).step_by(step).flatten().collect();
        let expected = &expected[expected.len() - found.len()..];
        for (i, (found, expected)) in found.into_iter().zip(expected).enumerate() {
            let worst = if i % columns < 4 { &mut worst_px } else { &mut worst_p };
            *worst = worst.max((found - expected).abs());
            values += 1;
        }
    }
    shared::say(&format!("decoding: {values} values, boxes within {worst_px:e} px, probabilities within {worst_p:e}"));
    // The heads are given, so only the exponential's last bits differ; the stated 1e-2 px and 2e-5 cover the network.
    assert!(values > 0 && worst_px <= 1e-3 && worst_p <= 1e-6);
}
