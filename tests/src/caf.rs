//! The CAF fusion network against the golden data, on any engine.
//!
//! The layout is that of `golden/caf/README.md`: checkpoints `NAME_final.pth`, folders with `crop.safetensors`, `meta.json`.

use crate::arrays::{Spread, as_floats, plane, stored};
use crate::engine::{Load, Runner};
use crate::golden::{checkpoints, json, number};
use crate::table::{Table, say};
use caf_data::color::{Quantize, luma, recolour};
use caf_data::image_file::{IrRange, read_ir, read_vi};
use caf_data::{Plane, Rgb8};
use caf_net::zoo::caf::{CafConfig, graph};
use caf_weights::{Weights, load_safetensors};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Raw output, largest error. The README measures 1.2e-6 between float32 and float64 and between float32 kernels.
pub const RAW_MAX: f64 = 1e-5;
/// Raw output, mean error; measured 7e-8.
const RAW_MEAN: f64 = 5e-7;
/// Intermediate results; measured 4e-6.
const LAYERS: f64 = 2e-5;
/// Pixels of an 8-bit image that may be one level off, as a share: the README measures 7 to 13 of 786,432 and suggests 100.
const UNEQUAL_SHARE: f64 = 100.0 / 786_432.0;
/// The checkpoint behind the published results and the stored layers.
const PUBLISHED: &str = "det";

/// A pair with what the original made of it.
pub struct Pair {
    /// Name of its folder.
    pub name: String,
    folder: PathBuf,
    meta: Value,
    /// Infrared in [0, 1].
    pub ir: Plane,
    /// Visible.
    pub vi: Rgb8,
    /// Luma of the visible image in [0, 1].
    pub luma: Plane,
    crop: Weights,
}

/// Every folder with a `crop.safetensors`; at least one.
pub fn pairs(folder: &Path) -> Vec<Pair> {
    let meta = json(&folder.join("meta.json"));
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("crop.safetensors").is_file())
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{} holds no folder with a crop.safetensors", folder.display());
    found
        .into_iter()
        .map(|folder| {
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            let vi = read_vi(&folder.join("vi.png")).unwrap();
            let meta = meta["pairs"][&name].clone();
            assert!(meta.is_object(), "meta.json says nothing about pair {name}");
            Pair {
                ir: read_ir(&folder.join("ir.png"), IrRange::Full).unwrap(),
                luma: luma(&vi),
                vi,
                crop: load_safetensors(folder.join("crop.safetensors")).unwrap(),
                meta,
                name,
                folder,
            }
        })
        .collect()
}

/// What a checkpoint is called inside the other files: `det` for `det_final`.
fn key_of(checkpoint: &str) -> &str {
    checkpoint.strip_suffix("_final").unwrap_or(checkpoint)
}

impl Pair {
    /// The network's inputs against the stored ones: hashes of the whole planes, and the crop bit for bit. Returns the number of
    /// values behind it.
    pub fn check_inputs(&self) -> usize {
        let size = self.meta["size_hw"].as_array().unwrap();
        assert_eq!((size[0].as_u64(), size[1].as_u64()), (Some(self.ir.height() as u64), Some(self.ir.width() as u64)));
        for (what, plane) in [("ir_full", &self.ir), ("vi_y_full", &self.luma)] {
            assert_eq!(sha256(plane), self.meta[what]["sha256_f32_le"], "{} {what}", self.name);
        }
        let mut values = self.ir.data().len() + self.luma.data().len();
        let whole = self.folder.join("full_vi_y.safetensors");
        if whole.is_file() {
            let expected = load_safetensors(&whole).unwrap().get("vi_y").unwrap().to_f32_vec().unwrap();
            assert!(self.luma.data() == expected, "{}: luma plane", self.name);
            values += expected.len();
        }
        let offset = |axis: &str| self.meta[&format!("crop_offset_{axis}")].as_u64().unwrap() as usize;
        for (what, plane) in [("ir", &self.ir), ("vi_y", &self.luma)] {
            let crop = self.crop.get(what).unwrap();
            let (height, width) = (crop.shape()[2], crop.shape()[3]);
            let rows = plane.data().chunks_exact(plane.width()).skip(offset("y")).take(height);
            let cut: Vec<f32> = rows.flat_map(|row| row[offset("x")..][..width].to_vec()).collect();
            assert!(cut == crop.to_f32_vec().unwrap(), "{}: crop of {what}", self.name);
            values += cut.len();
        }
        values
    }

    /// Runs the whole pair: samples, statistics, 8-bit image, published result.
    fn check_whole(&self, table: &mut Table, (network, engine): (&str, &str), key: &str, runner: &mut dyn Runner) {
        let raw = runner.run(&[plane(&self.ir), plane(&self.luma)]).remove(0);
        let raw = Plane::new(self.ir.width(), self.ir.height(), as_floats(&raw).to_vec()).unwrap();
        let (stride, samples) = strided(&self.crop, key);
        let spread = Spread::of(&every(&raw, stride), &samples);
        assert!(spread.mean() <= RAW_MEAN, "{network} {}: mean error {}", self.name, spread.mean());
        table.add(network, engine, &format!("whole images, every {stride}th pixel"), spread, RAW_MAX);
        check_statistics(raw.data(), &self.meta[key]["full"]);

        let bytes = read_vi(&self.folder.join(format!("full_{key}_u8.png"))).unwrap();
        let expected: Vec<u8> = bytes.pixels().map(|rgb| rgb[0]).collect();
        let spread = Spread::of(Quantize::ClampRound.plane(&raw).data(), &expected);
        check_unequal(&format!("{network} {} in 8 bits", self.name), &spread, expected.len());
        table.add(network, engine, "whole images, 8 bits (levels)", spread, 1.0);

        let published = self.folder.join("result_official.png");
        if key == PUBLISHED && published.is_file() {
            let coloured = recolour(&Quantize::TruncateWrap.plane(&raw), &self.vi).unwrap();
            let expected = read_vi(&published).unwrap();
            let spread = Spread::of(coloured.data(), expected.data());
            let pixels = coloured.pixels().zip(expected.pixels()).filter(|(a, b)| a != b).count();
            check_unequal(
                &format!("{network} {} published", self.name),
                &Spread { unequal: pixels, ..spread },
                raw.data().len(),
            );
            table.add(network, engine, "published colour images (levels)", spread, 1.0);
        }
    }
}

fn sha256(plane: &Plane) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for value in plane.data() {
        hash.update(value.to_le_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How much of the pairs is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The stored crops.
    Crops,
    /// The crops and the whole images.
    Whole,
}

/// Compares every checkpoint on an engine with what is stored about it: crops and layers, whole images, published results.
pub fn compare(test: &str, folder: &Path, extent: Extent, (engine, load): (&str, Load)) {
    let mut table = Table::new(test);
    let graph = graph(&CafConfig::default()).unwrap();
    let pairs = pairs(folder);
    let checkpoints = checkpoints(folder);
    for checkpoint in &checkpoints {
        let key = key_of(&checkpoint.name);
        let network = format!("CAF {key}");
        let mut runner = load(&graph, &checkpoint.weights);
        for pair in &pairs {
            let entry = |name: &str| pair.crop.get(name).map(stored).unwrap_or_else(|| panic!("no tensor {name}"));
            let raw = runner.run(&[entry("ir"), entry("vi_y")]).remove(0);
            let spread = Spread::of_arrays(&raw, &entry(key));
            assert!(spread.mean() <= RAW_MEAN, "{network} crop of {}: mean error {}", pair.name, spread.mean());
            table.add(&network, engine, "crops", spread, RAW_MAX);
            check_statistics(as_floats(&raw), &pair.meta[key]["crop"]);

            if extent == Extent::Whole {
                pair.check_whole(&mut table, (&network, engine), key, runner.as_mut());
            }
        }
        if key == PUBLISHED {
            check_layers(&mut table, &network, folder, (engine, load), &checkpoint.weights);
        }
    }
    say(&format!("{test}: {} checkpoints, {} pairs on {engine}", checkpoints.len(), pairs.len()));
    table.finish();
}

/// The stored samples of the whole image, `full_KEY_strideN`.
fn strided(crop: &Weights, key: &str) -> (usize, Vec<f32>) {
    let begin = format!("full_{key}_stride");
    let (name, tensor) =
        crop.iter().find(|(name, _)| name.starts_with(&begin)).unwrap_or_else(|| panic!("no tensor {begin}*"));
    (name[begin.len()..].parse().unwrap(), tensor.to_f32_vec().unwrap())
}

fn every(plane: &Plane, stride: usize) -> Vec<f32> {
    let rows = plane.data().chunks_exact(plane.width()).step_by(stride);
    rows.flat_map(|row| row.iter().step_by(stride).copied()).collect()
}

fn check_unequal(what: &str, spread: &Spread, pixels: usize) {
    let allowed = (pixels as f64 * UNEQUAL_SHARE).ceil() as usize;
    assert!(spread.unequal <= allowed, "{what}: {} of {pixels} pixels differ, at most {allowed} may", spread.unequal);
}

/// Mean, deviation and extremes; of the negative values those that rounding can move over zero are left open.
fn check_statistics(raw: &[f32], expected: &Value) {
    let count = raw.len() as f64;
    let mean = raw.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
    let variance = raw.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count;
    let extreme = |pick: fn(f32, f32) -> f32| f64::from(raw.iter().copied().reduce(pick).unwrap());
    for (key, found, tolerance) in [
        ("mean", mean, RAW_MEAN),
        ("std_population", variance.sqrt(), RAW_MEAN),
        ("min", extreme(f32::min), RAW_MAX),
        ("max", extreme(f32::max), RAW_MAX),
    ] {
        let expected = number(&expected[key]);
        assert!((found - expected).abs() <= tolerance, "{key}: {found} against {expected}");
    }
    if let Some(negative) = expected["negative_pixels"].as_u64() {
        let below = |limit: f64| raw.iter().filter(|v| f64::from(**v) < limit).count() as u64;
        let (least, most) = (below(-RAW_MAX), below(RAW_MAX));
        assert!((least..=most).contains(&negative), "{negative} negative pixels, found {least} to {most}");
    }
}

/// Every stored intermediate result. `NAME` is what comes out of the original's module: the block's activation.
fn check_layers(table: &mut Table, network: &str, folder: &Path, (engine, load): (&str, Load), weights: &Weights) {
    let layers = load_safetensors(folder.join("layers.safetensors")).unwrap();
    let graph = graph(&CafConfig::default()).unwrap();
    let inputs = ["ir", "vi_y"].map(|name| stored(layers.get(name).unwrap()));
    let names: Vec<&str> = layers.iter().map(|(name, _)| name).filter(|n| !["ir", "vi_y"].contains(n)).collect();
    assert!(!names.is_empty(), "layers.safetensors holds no layer");
    let nodes: Vec<String> = names
        .iter()
        .map(|name| if *name == "fused" { "fuse.2.tanh".to_owned() } else { format!("{name}.relu") })
        .collect();
    let shown = graph.with_outputs(&nodes.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    for (name, found) in names.iter().zip(load(&shown, weights).run(&inputs)) {
        let spread = Spread::of_arrays(&found, &stored(layers.get(name).unwrap()));
        table.add(network, engine, &format!("{} layers", names.len()), spread, LAYERS);
    }
}
