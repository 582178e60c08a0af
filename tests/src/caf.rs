//! The CAF fusion network against the golden data, on any engine.
//!
//! The layout is that of `golden/caf/README.md`: checkpoints `NAME_final.pth`, folders with `crop.safetensors`, `meta.json`.

use crate::arrays::{as_floats, plane, stored};
use crate::engine::{Load, Runner};
use crate::golden::{Checkpoint, checkpoints};
use crate::parity::{Rows, Spread};
use crate::published::{recolour, wrapped};
use caf_golden::{Tally, folders, json, number, stem};
use caf_image::color::{luma, quantized};
use caf_image::{IrRange, read_ir, read_vi};
use caf_image::{Plane, Rgb8};
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
/// Pixels of an 8-bit image that may be one level off, as a share. A value moved by a part of a level crosses a half with that part as
/// its probability: the measured mean error of 7e-8 is 1.8e-5 levels, 14 of 786,432 pixels (7 to 13 in the README), [`RAW_MEAN`] is 100.
const UNEQUAL_SHARE: f64 = 100.0 / 786_432.0;
/// The checkpoint behind the published results.
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
    folders(folder, &["crop.safetensors"])
        .into_iter()
        .map(|folder| {
            let name = stem(&folder);
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
    /// Compares the crop and its statistics.
    fn check_crop(&self, rows: &mut Rows<'_>, key: &str, runner: &mut dyn Runner) {
        let entry = |name: &str| {
            stored(self.crop.get(name).unwrap_or_else(|| panic!("crop of {}: no tensor {name}", self.name)))
        };
        let raw = runner.run(&[entry("ir"), entry("vi_y")]).remove(0);
        add_raw(rows, "crops", Spread::of_arrays(&raw, &entry(key)));
        check_statistics(rows, "crops", as_floats(&raw), &self.meta[key]["crop"]);
    }

    /// Compares the whole pair: samples, statistics, 8-bit image, published result.
    fn check_whole(&self, rows: &mut Rows<'_>, key: &str, runner: &mut dyn Runner) {
        let raw = runner.run(&[plane(&self.ir), plane(&self.luma)]).remove(0);
        let raw = Plane::new(self.ir.size(), as_floats(&raw).to_vec()).unwrap();
        let (stride, samples) = strided(&self.crop, key);
        add_raw(rows, &format!("whole images, every {stride}th pixel"), Spread::of(&every(&raw, stride), &samples));
        check_statistics(rows, "whole images", raw.data(), &self.meta[key]["full"]);

        let bytes = read_vi(&self.folder.join(format!("full_{key}_u8.png"))).unwrap();
        let expected: Vec<u8> = bytes.pixels().map(|rgb| rgb[0]).collect();
        let spread = Spread::of(quantized(&raw).data(), &expected);
        add_levels(rows, "whole images, 8 bits", spread, spread.unequal, expected.len());

        let published = self.folder.join("result_official.png");
        if key == PUBLISHED && published.is_file() {
            let coloured = recolour(&wrapped(&raw), &self.vi);
            let expected = read_vi(&published).unwrap();
            assert_eq!(coloured.size(), expected.size(), "{}", published.display());
            let unequal = coloured.pixels().zip(expected.pixels()).filter(|(a, b)| a != b).count();
            let spread = Spread::of(coloured.data(), expected.data());
            add_levels(rows, "published colour images", spread, unequal, raw.data().len());
        }
    }
}

/// A raw output: largest and mean error.
fn add_raw(rows: &mut Rows<'_>, what: &str, spread: Spread) {
    rows.add(what, spread, RAW_MAX);
    rows.add(&format!("{what}, mean error"), Spread { max: spread.mean(), count: 1, ..spread }, RAW_MEAN);
}

/// An 8-bit image: one level, in few pixels.
fn add_levels(rows: &mut Rows<'_>, what: &str, spread: Spread, unequal: usize, pixels: usize) {
    rows.add(&format!("{what} (levels)"), spread, 1.0);
    let allowed = (pixels as f64 * UNEQUAL_SHARE).ceil();
    rows.add(&format!("{what}, unequal pixels"), Spread { max: unequal as f64, count: 1, ..spread }, allowed);
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
pub fn compare(tally: &mut Tally, folder: &Path, extent: Extent, (engine, load): (&str, Load)) {
    let graph = graph(&CafConfig::default()).unwrap();
    let pairs = pairs(folder);
    let checkpoints = checkpoints(folder);
    for checkpoint in &checkpoints {
        let key = key_of(&checkpoint.name);
        let network = format!("CAF {key}");
        let mut runner = load(&graph, &checkpoint.weights);
        for pair in &pairs {
            tally.case(&format!("{key} {}", pair.name));
            let mut rows = Rows::new(tally, &network, engine);
            pair.check_crop(&mut rows, key, runner.as_mut());
            if extent == Extent::Whole {
                pair.check_whole(&mut rows, key, runner.as_mut());
            }
        }
    }
    check_layers(tally, folder, (engine, load), &checkpoints);
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

/// Mean, deviation and extremes; of the negative values those that rounding can move over zero are left open.
fn check_statistics(rows: &mut Rows<'_>, what: &str, raw: &[f32], expected: &Value) {
    let count = raw.len() as f64;
    let mean = raw.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
    let variance = raw.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count;
    let extreme = |pick: fn(f32, f32) -> f32| f64::from(raw.iter().copied().reduce(pick).unwrap());
    let stated = |key: &str| number(&expected[key]);
    let found = [mean, variance.sqrt()];
    rows.close(&format!("{what}, mean and deviation"), &found, &["mean", "std_population"].map(stated), RAW_MEAN);
    let found = [extreme(f32::min), extreme(f32::max)];
    rows.close(&format!("{what}, extremes"), &found, &["min", "max"].map(stated), RAW_MAX);
    if let Some(negative) = expected["negative_pixels"].as_u64() {
        let below = |limit: f64| raw.iter().filter(|v| f64::from(**v) < limit).count() as u64;
        let (least, most) = (below(-RAW_MAX), below(RAW_MAX));
        assert!((least..=most).contains(&negative), "{negative} negative pixels, found {least} to {most}");
    }
}

/// Every stored intermediate result of one checkpoint. `NAME` is what comes out of the original's module: the block's activation.
fn check_layers(tally: &mut Tally, folder: &Path, (engine, load): (&str, Load), checkpoints: &[Checkpoint]) {
    let meta = &json(&folder.join("meta.json"))["layers"];
    let key = meta["model"].as_str().unwrap();
    let checkpoint = checkpoints.iter().find(|c| key_of(&c.name) == key);
    let checkpoint = checkpoint.unwrap_or_else(|| panic!("the layers are of {key}, which is no checkpoint"));
    let layers = load_safetensors(folder.join("layers.safetensors")).unwrap();
    let graph = graph(&CafConfig::default()).unwrap();
    let inputs = ["ir", "vi_y"].map(|name| stored(layers.get(name).unwrap()));
    let names: Vec<&str> = layers.iter().map(|(name, _)| name).filter(|n| !["ir", "vi_y"].contains(n)).collect();
    let nodes: Vec<String> = names
        .iter()
        .map(|name| if *name == "fused" { "fuse.2.tanh".to_owned() } else { format!("{name}.relu") })
        .collect();
    let shown = graph.with_outputs(&nodes.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    let found = load(&shown, &checkpoint.weights).run(&inputs);
    assert!(!names.is_empty() && names.len() == found.len(), "layers.safetensors holds no layer");
    tally.case("layers");
    let network = format!("CAF {key}");
    let mut rows = Rows::new(tally, &network, engine);
    for (name, found) in names.iter().zip(found) {
        rows.add("layers", Spread::of_arrays(&found, &stored(layers.get(name).unwrap())), LAYERS);
        if let Some(stated) = meta["max_abs_value"][name].as_f64() {
            let largest = as_floats(&found).iter().fold(0.0, |m: f64, v| m.max(f64::from(v.abs())));
            rows.close("layers, largest value", &[largest], &[stated], LAYERS);
        }
    }
}
