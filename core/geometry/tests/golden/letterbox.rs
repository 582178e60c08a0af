//! Letterbox geometry against the original's, and its pixels to a level.

use crate::{Photograph, pair, size_hw};
use caf_geometry::letterbox::FILL;
use caf_geometry::{Letterbox, Size};
use caf_golden::{Tally, count, find, items, json};
use serde_json::Value;
use std::path::Path;

fn rgb(path: &Path) -> (Vec<u8>, Size) {
    let image = image::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).to_rgb8();
    let size = Size::new(image.width() as usize, image.height() as usize);
    (image.into_raw(), size)
}

/// The image that a case names in its entry `source`, with its size in the file checked.
fn source(folder: &Path, of: &Value) -> (Vec<u8>, Size) {
    let (pixels, size) = rgb(&folder.join(of["source"].as_str().unwrap()));
    assert_eq!(size, size_hw(&of["source_hw"]));
    (pixels, size)
}

fn letterbox(case: &Value, source: Size) -> Letterbox {
    let output = size_hw(&case["new_shape_hw"]);
    let scale_up = case["scaleup"].as_bool().unwrap();
    if case["auto"].as_bool().unwrap() {
        Letterbox::auto(source, output, scale_up, count(&case["stride"])).unwrap()
    } else {
        Letterbox::new(source, output, scale_up).unwrap()
    }
}

/// The colour of the border is the one of our letterbox.
fn check_colour(of: &Value) {
    assert!(items(&of["color"]).iter().all(|level| count(level) == usize::from(FILL)), "{}", of["color"]);
}

/// The letterbox by the one rule of this project: bilinear in floats, centres of pixels at 0.5, clamped at the border. Written here
/// in double precision and plain loops; the ops of both engines are held to it elsewhere.
fn fitted(l: &Letterbox, src: &[u8]) -> Vec<f64> {
    let Letterbox { source, resized, output, .. } = *l;
    let taps = |i: usize, from: usize, to: usize| {
        let centre = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, from as f64 - 1.0);
        let first = centre.floor();
        [(first as usize, 1.0 - (centre - first)), ((first as usize + 1).min(from - 1), centre - first)]
    };
    let mut out = vec![f64::from(FILL); output.width * output.height * 3];
    for y in 0..resized.height {
        for x in 0..resized.width {
            let target = ((y + l.top_bottom.0) * output.width + x + l.left_right.0) * 3;
            for c in 0..3 {
                out[target + c] = taps(y, source.height, resized.height)
                    .into_iter()
                    .flat_map(|(row, a)| taps(x, source.width, resized.width).map(|(column, b)| (row, column, a * b)))
                    .map(|(row, column, weight)| f64::from(src[(row * source.width + column) * 3 + c]) * weight)
                    .sum();
            }
        }
    }
    out
}

/// The original resizes bytes with weights of 11 bits and rounds twice, 2⁻¹¹ · 255 in each direction and a half at the end: under one
/// level from the exact mean.
const LEVELS: f64 = 1.0;

#[test]
fn cases() {
    let Some(dir) = find("letterbox cases", "golden/yolov5") else { return };
    let all = json(&dir.join("letterbox.json"));
    let (src, size) = source(&dir, &all);
    check_colour(&all);
    let mut tally = Tally::new("letterbox cases");
    for case in items(&all["cases"]) {
        tally.case(case["name"].as_str().unwrap());
        let l = letterbox(case, size);
        tally.equal("ratio", &[l.ratio, l.ratio], &pair(&case["ratio"]));
        tally.equal("padding", &[l.half_padding_px.0, l.half_padding_px.1], &pair(&case["pad_wh"]));
        tally.equal("resized size", &l.resized.wh(), &[0, 1].map(|i| count(&case["resized_wh"][i])));
        tally.equal("size", &[l.output], &[size_hw(&case["out_hw"])]);
        let borders = [l.top_bottom.0, l.top_bottom.1, l.left_right.0, l.left_right.1];
        let expected: Vec<usize> = items(&case["top_bottom_left_right"]).iter().map(count).collect();
        tally.equal("borders", &borders, &expected);
        let (expected, _) = rgb(&dir.join(case["file"].as_str().unwrap()));
        tally.close("levels", &fitted(&l, &src), &expected, LEVELS);
    }
    tally.finish();
}

#[test]
fn network_inputs() {
    let Some(dir) = find("network inputs", "golden/yolov5") else { return };
    let mut tally = Tally::new("network inputs");
    for case in Photograph::all(&dir) {
        tally.case(&case.name);
        let (src, size) = source(&dir, &case.json);
        let geometry = &case.json["letterbox"];
        check_colour(geometry);
        let l = letterbox(geometry, size);
        tally.equal("ratio", &[l.ratio, l.ratio], &pair(&geometry["ratio"]));
        tally.equal("padding", &[l.half_padding_px.0, l.half_padding_px.1], &pair(&geometry["pad_wh"]));
        let planes = case.tensors().tensor("image_u8").unwrap().data().to_vec();
        let plane = planes.len() / 3;
        let expected: Vec<u8> = (0..planes.len()).map(|i| planes[i % 3 * plane + i / 3]).collect();
        tally.close("levels", &fitted(&l, &src), &expected, LEVELS);
    }
    tally.finish();
}
