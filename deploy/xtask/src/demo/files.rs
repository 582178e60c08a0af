//! Where things lie in the output folder: steps write them, other steps and the page read them.

use std::fs;
use std::path::Path;

use caf_report::html::missing;
use serde::de::DeserializeOwned;

/// Rendered pairs.
pub const SCENES: &str = "scenes";
/// `train.txt` and `val.txt` made for pairs that bring none.
pub const SPLIT: &str = "split";
/// Those of the caller's pairs that take part: `train.txt`, `val.txt` and both as `all.txt`.
pub const LISTS: &str = "lists";
/// The search: its log, plots and result.
pub const SEARCH: &str = "search";
/// Its plots.
pub const SEARCH_PLOTS: &str = "search/plots";
/// The found loss.
pub const BETA: &str = "search/beta.toml";
/// The training of the fusion network.
pub const FUSION: &str = "fusion";
/// Pictures of validation pairs during that training, named by the iteration.
pub const PANELS: &str = "fusion/panels";
/// The course of its loss.
pub const FUSION_PLOT: &str = "fusion/plots/loss.svg";
/// The network.
pub const FUSION_NETWORK: &str = "fusion/fusion.safetensors";
/// All pairs, fused by the network.
pub const FUSED: &str = "fused";
/// All pairs, averaged.
pub const AVERAGE: &str = "average";
/// The exported model.
pub const MODEL: &str = "model/model.onnx";
/// What was exported.
pub const EXPORTED: &str = "model/export.json";
/// How far the exported model is from its weights.
pub const VERIFIED: &str = "model/verify.json";
/// Rendered frames of two cameras.
pub const CLIP: &str = "clip";
/// Its infrared camera.
pub const CLIP_IR: &str = "clip/ir";
/// Its visible camera.
pub const CLIP_VI: &str = "clip/vi";
/// Links to the caller's images, as two cameras.
pub const STILLS: &str = "stills";
/// Names of the pairs linked there.
pub const STILLS_NAMES: &str = "stills/names.txt";
/// Video of the live run, with what the machine could keep up with.
pub const LIVE_VIDEO: &str = "live/live.webm";
/// Video of every pair, however long each took.
pub const WHOLE_VIDEO: &str = "whole/fused.webm";
/// Its detections.
pub const DETECTIONS: &str = "live/detections.jsonl";
/// Its times and counts.
pub const SUMMARY: &str = "live/summary.json";
/// Frames of the clip as the exported model fuses them, with boxes.
pub const FRAMES: &str = "frames";
/// What steps said while they ran.
pub const LOGS: &str = "logs";
/// Pictures copied for the page from outside of the output folder.
pub const COPIES: &str = "pictures";

/// The training of the detector on one kind of images.
pub fn detector(images: &str) -> String {
    format!("detector-{images}")
}

/// What that detector achieves.
pub fn measured(images: &str) -> String {
    format!("measured/{images}.json")
}

/// A report of the output folder; an error is what the page says in its place.
pub fn read_json<T: DeserializeOwned>(out: &Path, name: &str) -> Result<T, String> {
    let text = fs::read(out.join(name)).map_err(|error| missing(name, &error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| missing(name, &error.to_string()))
}
