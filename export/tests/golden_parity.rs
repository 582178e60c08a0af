//! The original networks, exported, on ONNX Runtime against the golden outputs.
//!
//! Cases are found in the golden folders: every `NAME_final.safetensors` with the `crop.safetensors` that hold an output
//! `NAME`, and every `forward_*.safetensors`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

mod common;

use caf_export::{Array, Engine, ExportOptions, Values, onnx};
use caf_net::Graph;
use caf_net::zoo::caf::{self, CafConfig};
use caf_net::zoo::yolov5::{self, Variant, YoloConfig};
use caf_weights::{HostTensor, Weights, load_safetensors};
use common::engine_present;
use std::path::{Path, PathBuf};

fn golden(test: &str, folder: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("CAF_SHARED").map(PathBuf::from).or_else(|| {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        manifest.ancestors().map(|f| f.join("../shared")).find(|f| f.join("golden").is_dir())
    });
    let found = shared.map(|s| s.join("golden").join(folder)).filter(|f| f.is_dir());
    if found.is_none() {
        eprintln!("SKIP {test}: no golden/{folder} in $CAF_SHARED or in ../shared beside the repository");
    }
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    found.sort();
    found
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

fn array(tensor: &HostTensor) -> Array {
    Array { shape: tensor.shape().to_vec(), values: Values::F32(tensor.to_f32_vec().unwrap()) }
}

fn floats(array: &Array) -> &[f32] {
    match &array.values {
        Values::F32(v) => v,
        Values::U8(_) => panic!("floats expected"),
    }
}

fn engine(graph: &Graph, weights: &Weights, fold: bool) -> Engine {
    Engine::from_bytes(&onnx(graph, weights, &ExportOptions { fold, contract: None }).unwrap()).unwrap()
}

/// Largest and mean absolute difference.
fn errors(found: &[f32], expected: &[f32]) -> (f64, f64) {
    assert_eq!(found.len(), expected.len());
    let gaps = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
    let (max, sum) = gaps.fold((0.0, 0.0), |(max, sum), gap| (f64::max(max, gap), sum + gap));
    (max, sum / found.len() as f64)
}

#[test]
fn caf_crops() {
    let Some(folder) = golden("caf_crops", "caf").filter(|_| engine_present("caf_crops")) else { return };
    let graph = caf::graph(&CafConfig::default()).unwrap();
    let (mut cases, mut values, mut worst) = (0, 0, 0.0);
    for file in entries(&folder) {
        let stem = name_of(&file);
        let Some(network) =
            stem.strip_suffix("_final").filter(|_| file.extension().is_some_and(|e| e == "safetensors"))
        else {
            continue;
        };
        let weights = load_safetensors(&file).unwrap();
        for fold in [true, false] {
            let mut engine = engine(&graph, &weights, fold);
            for pair in entries(&folder).iter().map(|p| p.join("crop.safetensors")).filter(|p| p.is_file()) {
                let data = load_safetensors(&pair).unwrap();
                let Some(expected) = data.get(network) else { continue };
                let inputs = ["ir", "vi_y"].map(|n| array(data.get(n).unwrap()));
                let [ir, vi] = inputs;
                let outputs = engine.run(&[("ir", ir), ("vi", vi)]).unwrap();
                let (max, mean) = errors(floats(&outputs[0].1), &expected.to_f32_vec().unwrap());
                // README: another float32 kernel differs by at most 1.2e-6; suggested 1e-5 and 5e-7 in the mean.
                assert!(max <= 1e-5 && mean <= 5e-7, "{network} on {}: {max:.2e}, {mean:.2e}", pair.display());
                worst = f64::max(worst, max);
                cases += 1;
                values += expected.len();
            }
        }
    }
    assert!(cases > 0, "no case in {}", folder.display());
    println!("caf_crops: {cases} cases, {values} values, largest error {worst:.2e}");
}

#[test]
fn yolov5_heads_and_boxes() {
    let test = "yolov5_heads_and_boxes";
    let Some(folder) = golden(test, "yolov5").filter(|_| engine_present(test)) else { return };
    let files = entries(&folder);
    let data = |p: &Path| p.extension().is_some_and(|e| e == "safetensors");
    let weights = files.iter().find(|p| data(p) && name_of(p).starts_with("yolov5")).expect("no yolov5*.safetensors");
    let weights = load_safetensors(weights).unwrap();
    let (mut cases, mut values, mut worst, mut worst_px, mut worst_p) = (0, 0, 0.0, 0.0, 0.0);
    for file in files.iter().filter(|p| data(p) && name_of(p).starts_with("forward_")) {
        let golden = load_safetensors(file).unwrap();
        let image = golden.get("image_u8").unwrap();
        let shape = [&[1], image.shape()].concat();
        let pixels = image.bytes().iter().map(|b| f32::from(*b) / 255.0).collect();
        let image = Array { shape, values: Values::F32(pixels) };
        let decoded = golden.iter().find(|(n, _)| *n == "decoded" || n.starts_with("decoded_every")).unwrap();
        let columns = *decoded.1.shape().last().unwrap();
        let graph = yolov5::graph(&YoloConfig::new(Variant::N, columns - 5)).unwrap();
        for fold in [true, false] {
            let outputs = engine(&graph, &weights, fold).run(&[("image", image.clone())]).unwrap();
            let output = |name: &str| outputs.iter().find(|(n, _)| n == name).map(|(_, a)| a);
            for (name, head) in golden.iter().filter_map(|(n, t)| Some((n.strip_prefix("head_")?, t))) {
                let (level, step) = match name.split_once("_every") {
                    Some((level, step)) => (level, step.parse().unwrap()),
                    None => (name, 1),
                };
                let Some(found) = output(level) else { continue };
                // Golden: (1, 3, ny, nx, columns), every `step`th y and x; here (1, 3·columns, ny, nx), all of them.
                let [_, _, ny, nx, k] = head.shape()[..] else { panic!("{:?}", head.shape()) };
                let (rows, cols) = (found.shape[2], found.shape[3]);
                assert_eq!([ny, nx], [rows.div_ceil(step), cols.div_ceil(step)]);
                let raw = floats(found);
                let moved: Vec<f32> = (0..head.len())
                    .map(|i| {
                        let (column, x, y, a) = (i % k, i / k % nx, i / k / nx % ny, i / k / nx / ny);
                        raw[((a * k + column) * rows + y * step) * cols + x * step]
                    })
                    .collect();
                let (max, _) = errors(&moved, &head.to_f32_vec().unwrap());
                // README: float32 1.6e-5, folded 2.5e-5; suggested 1e-4.
                assert!(max <= 1e-4, "{name} of {}: {max:.2e}", file.display());
                worst = f64::max(worst, max);
                values += moved.len();
            }
            let every = decoded.0.strip_prefix("decoded_every").map_or(1, |n| n.parse::<usize>().unwrap());
            let rows = floats(output("predictions").unwrap()).chunks(columns).step_by(every).flatten();
            for (i, (a, b)) in rows.zip(decoded.1.to_f32_vec().unwrap()).enumerate() {
                let gap = f64::from((a - b).abs());
                let slot = if i % columns < 4 { &mut worst_px } else { &mut worst_p };
                *slot = f64::max(*slot, gap);
            }
            values += decoded.1.len();
            cases += 1;
        }
    }
    assert!(cases > 0, "no forward_* in {}", folder.display());
    println!(
        "{test}: {cases} cases, {values} values, heads {worst:.2e}, boxes {worst_px:.2e} px, probabilities {worst_p:.2e}"
    );
    // README: folded 1.2e-3 px and 4e-6; suggested 1e-2 px and 2e-5.
    assert!(worst_px <= 1e-2 && worst_p <= 2e-5);
}
