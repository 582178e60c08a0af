//! Small models and images for the tests; nothing here needs data from outside.

#![allow(dead_code, reason = "every test program takes a part of it")]

use std::path::{Path, PathBuf};

use caf_export::model::{FusionFile, Model, Parts, Settings, Size, TaskFile};
use caf_net::zoo::caf::{self, CafConfig};
use caf_net::zoo::density::DensityConfig;
use caf_net::zoo::pipeline::{ColourMode, Samples};
use caf_net::zoo::segformer::{self, SegFormerConfig};
use caf_net::zoo::task::TaskNetworkConfig;
use caf_net::zoo::yolov5::{self, Variant, YoloConfig};
use caf_weights::{initial, save_safetensors};

/// Receptive field of the small fusion network: four 3×3 convolutions at most.
pub const REACH_PX: usize = 6;

/// A fusion network with random weights, small enough to be fused in no time.
pub fn fusion_weights(folder: &Path) -> PathBuf {
    let config = CafConfig { width: 4, depth: 1, normalised: false };
    let mut weights = initial(caf::graph(&config).unwrap().params(), 7).unwrap();
    weights.set_metadata("network", "caf");
    weights.set_metadata("config", serde_json::to_string(&config).unwrap());
    let path = folder.join("fusion.safetensors");
    save_safetensors(&weights, &path).unwrap();
    path
}

/// A detector with random weights.
pub fn task_weights(folder: &Path, classes: &[&str]) -> PathBuf {
    let config = YoloConfig::new(Variant::N, classes.len());
    let mut weights = initial(yolov5::graph(&config).unwrap().params(), 11).unwrap();
    weights.set_metadata("network", "yolov5");
    weights.set_metadata("config", serde_json::to_string(&config).unwrap());
    weights.set_metadata("classes", serde_json::to_string(classes).unwrap());
    weights.set_metadata("image_size_px", "[64, 64]");
    let path = folder.join("task.safetensors");
    save_safetensors(&weights, &path).unwrap();
    path
}

/// Writes a model that only fuses.
pub fn fusion_model(folder: &Path, name: &str, samples: Samples, colour: ColourMode) -> PathBuf {
    let file = FusionFile::open(&fusion_weights(folder)).unwrap();
    let settings = Settings { samples, colour, ..Settings::default() };
    write(folder, name, &Model::new(Parts::Fusion(&file), &settings).unwrap())
}

/// Writes a model that fuses and detects images of that size.
pub fn pipeline_model(folder: &Path, name: &str, width: usize, height: usize) -> PathBuf {
    let fusion = FusionFile::open(&fusion_weights(folder)).unwrap();
    let tasks = [TaskFile::open(&task_weights(folder, &["person", "car"]), None).unwrap()];
    let settings = Settings { size: Some(Size { width, height }), ..Settings::default() };
    write(folder, name, &Model::new(Parts::Pipeline(&fusion, &tasks), &settings).unwrap())
}

/// A segmentation with random weights.
pub fn segmentation_weights(folder: &Path, classes: &[&str]) -> PathBuf {
    let published = SegFormerConfig::new(segformer::Variant::B0, classes.len());
    let config = SegFormerConfig { widths: [8, 16, 40, 64], depths: [1; 4], decoder_width: 16, ..published };
    let mut weights = initial(segformer::graph(&config).unwrap().params(), 13).unwrap();
    weights.set_metadata("network", "segformer");
    weights.set_metadata("config", serde_json::to_string(&config).unwrap());
    weights.set_metadata("classes", serde_json::to_string(classes).unwrap());
    let path = folder.join("segmentation.safetensors");
    save_safetensors(&weights, &path).unwrap();
    path
}

/// Writes a model that fuses and segments images of any size.
pub fn segmentation_model(folder: &Path, name: &str) -> PathBuf {
    let fusion = FusionFile::open(&fusion_weights(folder)).unwrap();
    let classes = ["background", "person", "car"];
    let tasks = [TaskFile::open(&segmentation_weights(folder, &classes), None).unwrap()];
    write(folder, name, &Model::new(Parts::Pipeline(&fusion, &tasks), &Settings::default()).unwrap())
}

/// Writes a model that fuses and counts in images of any size, with random weights.
pub fn counting_model(folder: &Path, name: &str) -> PathBuf {
    let config = TaskNetworkConfig::from(DensityConfig { width: 4, around: 1, ..DensityConfig::new(2) });
    let weights = folder.join("counting.safetensors");
    save_safetensors(&initial(config.graph().unwrap().params(), 17).unwrap(), &weights).unwrap();
    let fusion = FusionFile::open(&fusion_weights(folder)).unwrap();
    let tasks = [TaskFile::open(&weights, Some(&["person".into(), "car".into()])).unwrap()];
    write(folder, name, &Model::new(Parts::Pipeline(&fusion, &tasks), &Settings::default()).unwrap())
}

/// Writes a model that fuses and detects images of any size.
pub fn any_size_model(folder: &Path, name: &str) -> PathBuf {
    let fusion = FusionFile::open(&fusion_weights(folder)).unwrap();
    let tasks = [TaskFile::open(&task_weights(folder, &["person", "car"]), None).unwrap()];
    write(folder, name, &Model::new(Parts::Pipeline(&fusion, &tasks), &Settings::default()).unwrap())
}

/// Writes a model that fuses, detects and segments images of any size.
pub fn two_task_model(folder: &Path, name: &str) -> PathBuf {
    let fusion = FusionFile::open(&fusion_weights(folder)).unwrap();
    let segmentation = segmentation_weights(folder, &["background", "person", "car"]);
    let tasks =
        [task_weights(folder, &["person", "car"]), segmentation].map(|path| TaskFile::open(&path, None).unwrap());
    write(folder, name, &Model::new(Parts::Pipeline(&fusion, &tasks), &Settings::default()).unwrap())
}

/// Writes a model that only detects.
pub fn detector_model(folder: &Path, name: &str) -> PathBuf {
    let tasks = [TaskFile::open(&task_weights(folder, &["person"]), None).unwrap()];
    let settings = Settings { size: Some(Size { width: 64, height: 64 }), ..Settings::default() };
    write(folder, name, &Model::new(Parts::Tasks(&tasks), &settings).unwrap())
}

fn write(folder: &Path, name: &str, model: &Model) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, model.to_onnx(true).unwrap()).unwrap();
    path
}

/// A pseudo-random byte that depends on all arguments.
pub fn byte(seed: usize, x: usize, y: usize, channel: usize) -> u8 {
    let mixed = (seed * 7919 + x * 193 + y * 389 + channel * 769 + 13).wrapping_mul(2_654_435_761);
    (mixed >> 13) as u8
}

/// Saves a gray image with 8 bits.
pub fn save_gray(path: &Path, width: usize, height: usize, seed: usize) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let pixel = |x: u32, y: u32| image::Luma([byte(seed, x as usize, y as usize, 0)]);
    image::GrayImage::from_fn(width as u32, height as u32, pixel).save(path).unwrap();
}

/// Saves a gray image with 16 bits.
pub fn save_gray16(path: &Path, width: usize, height: usize, seed: usize) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let pixel = |x: u32, y: u32| image::Luma([u16::from(byte(seed, x as usize, y as usize, 0)) * 257]);
    image::ImageBuffer::<image::Luma<u16>, Vec<u16>>::from_fn(width as u32, height as u32, pixel).save(path).unwrap();
}

/// Saves a colour image.
pub fn save_rgb(path: &Path, width: usize, height: usize, seed: usize) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let pixel = |x: u32, y: u32| image::Rgb([0, 1, 2].map(|c| byte(seed, x as usize, y as usize, c)));
    image::RgbImage::from_fn(width as u32, height as u32, pixel).save(path).unwrap();
}
