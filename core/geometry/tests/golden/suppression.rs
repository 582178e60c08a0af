//! Suppression against the original's.

use crate::{Photograph, f32s, size_hw};
use caf_geometry::{Detection, Letterbox, NmsSettings, Size, nms};
use caf_golden::{Tally, count, files, find, items, json, number, stem};
use safetensors::SafeTensors;
use serde_json::Value;

fn settings(args: &Value) -> NmsSettings {
    let mut s = NmsSettings {
        conf: number(&args["conf_thres"]) as f32,
        iou: number(&args["iou_thres"]),
        ..NmsSettings::default()
    };
    for (key, value) in args.as_object().unwrap() {
        match key.as_str() {
            "multi_label" => s.multi_label = value.as_bool().unwrap(),
            "agnostic" => s.agnostic = value.as_bool().unwrap(),
            "max_det" => s.max_det = count(value),
            "classes" => s.classes = Some(items(value).iter().map(|c| count(c) as u32).collect()),
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

/// A letterbox that maps boxes back as YOLOv5's *detection* script does, which does not hand its padding on: with halves
/// `(output − source · gain) / 2` taken from the sizes alone, before the resized size is rounded.
fn of_detection_script(l: &Letterbox) -> Letterbox {
    let side = |output: usize, source: usize| output as f64 / source as f64;
    let gain = side(l.output.height, l.source.height).min(side(l.output.width, l.source.width));
    let half = |output: usize, source: usize| (output as f64 - source as f64 * gain) / 2.0;
    let halves = (half(l.output.width, l.source.width), half(l.output.height, l.source.height));
    Letterbox { ratio: gain, half_padding_px: halves, ..*l }
}

/// How far two mappings to the source in float32 may be apart, px: each subtracts the padding, which rounds to half a unit in the last
/// place of the letterboxed image's longer side, and divides by the gain, which enlarges that and rounds to half a unit of the
/// source's.
fn rounding_px(l: &Letterbox) -> f64 {
    let half_unit = |size: Size| {
        let longer = size.width.max(size.height) as f64;
        // Coordinates lie below the side, so a power of two has the unit of the numbers before it.
        2f64.powi(longer.log2().ceil() as i32 - 1) * f64::from(f32::EPSILON) / 2.0
    };
    2.0 * (half_unit(l.output) / l.ratio + half_unit(l.source))
}

#[test]
fn synthetic() {
    let Some(dir) = find("synthetic suppression", "golden/yolov5") else { return };
    let mut tally = Tally::new("synthetic suppression");
    for path in files(&dir, "nms_", ".json") {
        let all = json(&path);
        let file = std::fs::read(path.with_extension("safetensors")).unwrap();
        let file = SafeTensors::deserialize(&file).unwrap();
        let (shape, rows) = f32s(&file, "prediction").unwrap();
        assert_eq!(shape[2], 5 + count(&all["nc"]));
        for (name, case) in all["cases"].as_object().unwrap() {
            let counts = items(&case["counts"]);
            assert_eq!(counts.len(), shape[0], "{name}");
            for (image, (rows, expected_count)) in rows.chunks_exact(shape[1] * shape[2]).zip(counts).enumerate() {
                let key = format!("{name}_{image}");
                tally.case(&format!("{} {key}", stem(&path)));
                let found = nms(rows, shape[2] - 5, &settings(&case["args"])).unwrap();
                let (_, expected) = f32s(&file, &key).unwrap();
                assert!(found.windows(2).all(|w| w[0].score >= w[1].score), "{key}: not sorted");
                match_exactly(&key, &found, &expected);
                tally.add("values", expected.len(), 0.0, 0.0);
                tally.equal("number of detections", &[found.len()], &[count(expected_count)]);
            }
        }
    }
    tally.finish();
}

#[test]
fn photographs() {
    let Some(dir) = find("suppression of photographs", "golden/yolov5") else { return };
    let names = json(&dir.join("coco_names.json"));
    let mut tally = Tally::new("suppression of photographs");
    for case in Photograph::all(&dir) {
        let file = case.tensors();
        let (shape, rows) = f32s(&file, "decoded").or_else(|| f32s(&file, "candidate_rows")).unwrap();
        let classes = shape.last().unwrap() - 5;
        let (source, l) = (size_hw(&case.json["source_hw"]), &case.json["letterbox"]);
        let l = Letterbox::new(source, size_hw(&l["new_shape_hw"]), l["scaleup"].as_bool().unwrap()).unwrap();
        for (name, args) in case.json["nms"].as_object().unwrap() {
            tally.case(&format!("{} {name}", case.name));
            let found = nms(&rows, classes, &settings(args)).unwrap();
            let key = format!("nms_{name}");
            let (_, expected) = f32s(&file, &key).unwrap();
            let matched = match_exactly(&format!("{} {key}", case.name), &found, &expected);
            tally.add("detections", expected.len(), 0.0, 0.0);
            tally.equal("number of detections", &[found.len()], &[count(&args["count"])]);
            // The stored boxes come from the detection script's mapping.
            let script = of_detection_script(&l);
            let native = |d: &Detection| {
                let b = script.box_to_source(d.xyxy()).clip(source);
                [b.x1, b.y1, b.x2, b.y2]
            };
            let mapped: Vec<f32> = matched.iter().flat_map(native).collect();
            let (_, stored) = f32s(&file, &format!("{key}_native_xyxy")).unwrap();
            let tolerance = rounding_px(&script);
            tally.close("in the source image (px)", &mapped, &stored, tolerance);
            // A few are spelled out, in the order of their scores.
            let spelled = args["detections"].as_array().map_or(&[][..], Vec::as_slice);
            assert!(spelled.len() <= matched.len(), "{key}: more detections spelled out than there are");
            for (d, spelled) in matched.iter().zip(spelled) {
                assert_eq!(spelled["name"], names[count(&spelled["cls"]).to_string()], "{key}");
                let boxes = [&spelled["xyxy_letterboxed"], &spelled["xyxy_native"]].map(caf_golden::numbers).concat();
                let found = [[d.x1, d.y1, d.x2, d.y2], native(d)].concat();
                tally.close("spelled out (px)", &found, &boxes, tolerance);
                let expected = [number(&spelled["conf"]), number(&spelled["cls"])];
                tally.close("spelled out", &[f64::from(d.score), f64::from(d.class)], &expected, 1e-7);
            }
        }
    }
    tally.finish();
}
