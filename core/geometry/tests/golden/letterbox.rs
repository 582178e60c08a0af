//! Letterbox geometry and bytes against the original's.

use crate::{Photograph, pair, sizes};
use caf_geometry::letterbox::FILL;
use caf_geometry::{Letterbox, LetterboxPainter, ValidationInput};
use caf_golden::{Tally, count, find, items, json};
use serde_json::Value;
use std::path::Path;

fn rgb(path: &Path) -> (Vec<u8>, usize, usize) {
    let image = image::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).to_rgb8();
    let (w, h) = (image.width() as usize, image.height() as usize);
    (image.into_raw(), h, w)
}

/// The image that a case names in its entry `source`, with its size in the file checked.
fn source(folder: &Path, of: &Value) -> (Vec<u8>, usize, usize) {
    let (pixels, h, w) = rgb(&folder.join(of["source"].as_str().unwrap()));
    assert_eq!((h, w), sizes(&of["source_hw"]));
    (pixels, h, w)
}

fn letterbox(case: &Value, src: (usize, usize)) -> Letterbox {
    let (h, w) = sizes(&case["new_shape_hw"]);
    let scale_up = case["scaleup"].as_bool().unwrap();
    if case["auto"].as_bool().unwrap() {
        Letterbox::auto(src.0, src.1, h, w, scale_up, count(&case["stride"])).unwrap()
    } else {
        Letterbox::new(src.0, src.1, h, w, scale_up).unwrap()
    }
}

/// The colour of the border is the one of our letterbox.
fn check_colour(of: &Value) {
    assert!(items(&of["color"]).iter().all(|level| count(level) == usize::from(FILL)), "{}", of["color"]);
}

fn painted(l: Letterbox, src: &[u8], width: usize) -> Vec<u8> {
    let mut painter = LetterboxPainter::new(l, 3).unwrap();
    let mut out = vec![0; painter.output_len()];
    painter.paint(src, width * 3, &mut out).unwrap();
    out
}

#[test]
fn cases() {
    let Some(dir) = find("letterbox cases", "golden/yolov5") else { return };
    let all = json(&dir.join("letterbox.json"));
    let (src, h, w) = source(&dir, &all);
    check_colour(&all);
    let mut tally = Tally::new("letterbox cases");
    for case in items(&all["cases"]) {
        tally.case(case["name"].as_str().unwrap());
        let l = letterbox(case, (h, w));
        tally.equal("ratio", &[l.ratio, l.ratio], &pair(&case["ratio"]));
        tally.equal("padding", &[l.pad_wh.0, l.pad_wh.1], &pair(&case["pad_wh"]));
        tally.equal("resized size", &[(l.resized_hw.1, l.resized_hw.0)], &[sizes(&case["resized_wh"])]);
        tally.equal("size", &[l.out_hw], &[sizes(&case["out_hw"])]);
        let borders = [l.top_bottom.0, l.top_bottom.1, l.left_right.0, l.left_right.1];
        let expected: Vec<usize> = items(&case["top_bottom_left_right"]).iter().map(count).collect();
        tally.equal("borders", &borders, &expected);
        let (expected, ..) = rgb(&dir.join(case["file"].as_str().unwrap()));
        // The fixed-point form was verified with zero differences.
        tally.equal("bytes", &painted(l, &src, w), &expected);
    }
    tally.finish();
}

#[test]
fn validation_loader() {
    let Some(dir) = find("validation loader", "golden/yolov5") else { return };
    let all = json(&dir.join("letterbox.json"));
    let (src, h, w) = source(&dir, &all);
    let case = &all["val_loader_case"];
    let mut tally = Tally::new("validation loader");
    tally.case("val_loader_case");
    let v = ValidationInput::new(h, w, count(&case["imgsz"]), 32).unwrap();
    tally.equal("resized size", &[(v.resized_hw.1, v.resized_hw.0)], &[sizes(&case["resized_wh"])]);
    tally.equal("size", &[v.letterbox.out_hw], &[sizes(&case["batch_shape_hw"])]);
    let pads = [v.letterbox.pad_wh.0, v.letterbox.pad_wh.1];
    tally.equal("padding", &pads, &pair(&case["pad_wh"]));
    tally.equal("letterbox ratio", &[v.letterbox.ratio; 2], &pair(&case["letterbox_ratio"]));
    let [source_hw, mapping] = [0, 1].map(|i| &case["shapes"][i]);
    tally.equal("source size", &[(h, w)], &[sizes(source_hw)]);
    let gains = [v.gain(), v.resized_hw.1 as f64 / w as f64];
    tally.close("gains", &gains, &pair(&mapping[0]), 1e-12);
    tally.equal("padding of the mapping", &pads, &pair(&mapping[1]));
    let out = v.render(&src, w * 3, 3).unwrap();
    let (expected, ..) = rgb(&dir.join(case["file"].as_str().unwrap()));
    tally.close("bytes", &out, &expected, 1.0);
    // The original's area mean is a sum in float32 of as many terms as source pixels touch one of the result: its rounding, three
    // standard deviations of it, carries a mean across the half between two levels in the part of all bytes that lie so near to one,
    // on either side. (Measured: 0.004 % of the bytes, where this allows 0.03 %.)
    let terms = ((1.0 / v.gain()).ceil() + 1.0).powi(2);
    let allowed = 2.0 * 3.0 * terms.sqrt() * 255.0 * f64::from(f32::EPSILON) / 2.0;
    let different = out.iter().zip(&expected).filter(|(a, b)| a != b).count();
    tally.add("share of different bytes", out.len(), different as f64 / out.len() as f64, allowed);
    tally.finish();
}

#[test]
fn network_inputs() {
    let Some(dir) = find("network inputs", "golden/yolov5") else { return };
    let mut tally = Tally::new("network inputs");
    for case in Photograph::all(&dir) {
        tally.case(&case.name);
        let (src, h, w) = source(&dir, &case.json);
        let geometry = &case.json["letterbox"];
        check_colour(geometry);
        let l = letterbox(geometry, (h, w));
        tally.equal("ratio", &[l.ratio, l.ratio], &pair(&geometry["ratio"]));
        tally.equal("padding", &[l.pad_wh.0, l.pad_wh.1], &pair(&geometry["pad_wh"]));
        let planes = case.tensors().tensor("image_u8").unwrap().data().to_vec();
        let plane = planes.len() / 3;
        let expected: Vec<u8> = (0..planes.len()).map(|i| planes[i % 3 * plane + i / 3]).collect();
        tally.equal("bytes", &painted(l, &src, w), &expected);
    }
    tally.finish();
}
