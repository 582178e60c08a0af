//! YOLOv5 against the golden data, on any engine.
//!
//! The layout is that of `golden/yolov5/README.md`: one checkpoint with a twin, `models.json`, cases `forward_*.json` with
//! tensors of the same name. Training (batch statistics, gradients, assignment, loss, steps) is compared by `caf-yolo`, letterbox
//! and suppression alone by `caf-geometry`.

use crate::arrays::{as_floats, floats, stored};
use crate::engine::Load;
use crate::golden::{Checkpoint, checkpoints};
use crate::parity::{Layout, Rows, Spread};
use caf_engine::Array;
use caf_geometry::{Detection, Letterbox, NmsSettings, Size, nms};
use caf_golden::{Tally, count, files, items, json, number, numbers, stem};
use caf_net::zoo::yolov5::{STRIDES, YoloConfig, decode, graph};
use caf_net::{Builder, Dim, Element, Graph, TensorType};
use caf_weights::{Weights, load_safetensors};
use serde_json::Value;
use std::path::Path;

/// Raw heads. Single precision moves them by 1.6e-5, with folded normalisations by 2.5e-5 (README, values up to 21): 26 half units in
/// the last place of 16 to 32, after 60 layers that each round sums of up to 2304 terms. Four times that for other weights and images.
pub const HEADS: f64 = 1e-4;
/// Decoded boxes in pixels. A side is 4 σ(t)² times its anchor (up to 373 px): the derivative in t is at most 32/27 of the anchor, and
/// [`HEADS`] of t would be 4.4e-2 px on the largest and 1.2e-2 px on the mean anchor. Measured 8e-4, folded 1.2e-3.
pub const BOXES_PX: f64 = 1e-2;
/// Decoded probabilities. The derivative of σ is at most 1/4: [`HEADS`] gives 2.5e-5. Measured 4e-6.
pub const PROBABILITIES: f64 = 2e-5;
/// A sum of n values is off by at most n times the largest measured error of one: heads, boxes, probabilities.
const OF_SUMS: [f64; 3] = [2.5e-5, 1.2e-3, 4e-6];
/// Boxes and scores of suppressed detections: suppression chooses rows and changes none but from centre and size to corners, x ± w/2,
/// which adds one and a half errors.
const DETECTION: [f64; 2] = [1.5 * BOXES_PX, PROBABILITIES];
/// Boxes in pixels and probabilities that are decoded from the original's own heads: σ is off by a few units of its last place, 6e-8,
/// and a side is 4 σ² times up to 373 px.
const DECODED: [f64; 2] = [1e-3, 1e-6];
/// Share of a layer's largest value: the heads' 1e-4 of 21.
const LAYERS: f64 = HEADS / 21.0;

/// The one checkpoint of the folder with its entry of `models.json`, and the network that entry describes.
pub fn checkpoint(folder: &Path) -> (Checkpoint, Value, YoloConfig) {
    let mut found = checkpoints(folder);
    assert_eq!(found.len(), 1, "the README speaks of one checkpoint");
    let checkpoint = found.remove(0);
    let classes = checkpoint.weights.get("model.24.m.0.bias").unwrap().len() / 3 - 5;
    let name = format!("{}_nc{classes}", checkpoint.name);
    let entry = json(&folder.join("models.json"))[&name].clone();
    assert!(entry.is_object(), "models.json has no {name}");
    let config = config(&entry);
    (checkpoint, entry, config)
}

/// The network that an entry of `models.json` describes.
pub fn config(entry: &Value) -> YoloConfig {
    let mut anchors_px = [[[0.0; 2]; 3]; 3];
    for ((level, cells), stride) in anchors_px.iter_mut().zip(items(&entry["anchors_grid_units"])).zip(STRIDES) {
        for (anchor, cells) in level.iter_mut().zip(items(cells)) {
            *anchor = [0, 1].map(|i| number(&cells[i]) * stride as f64);
        }
    }
    YoloConfig {
        depth: number(&entry["depth_multiple"]),
        width: number(&entry["width_multiple"]),
        classes: count(&entry["nc"]),
        anchors_px,
    }
}

/// One photograph and what the original found on it.
pub struct Photograph {
    /// Height and width, as in the file's name.
    pub name: String,
    json: Value,
    data: Weights,
}

/// All cases; at least one.
pub fn photographs(folder: &Path) -> Vec<Photograph> {
    let case = |path: std::path::PathBuf| Photograph {
        name: stem(&path),
        json: json(&path),
        data: load_safetensors(path.with_extension("safetensors")).unwrap(),
    };
    files(folder, "forward_", ".json").into_iter().map(case).collect()
}

impl Photograph {
    /// The network's input: RGB in [0, 1], `[1, 3, height, width]`.
    pub fn input(&self) -> Array {
        let stored = self.data.get("image_u8").unwrap();
        let [channels, height, width] = stored.shape() else { panic!("image_u8 has shape {:?}", stored.shape()) };
        floats(&[1, *channels, *height, *width], stored.bytes().iter().map(|v| f32::from(*v) / 255.0).collect())
    }

    fn get(&self, name: &str) -> Option<Vec<f32>> {
        self.data.get(name).map(|t| as_floats(&stored(t)).to_vec())
    }

    fn sums(&self, name: &str) -> Vec<f64> {
        self.data.get(name).unwrap_or_else(|| panic!("{}: no tensor {name}", self.name)).to_f64_vec().unwrap()
    }

    /// A raw head, `[1, 3·columns, ny, nx]`, against the stored one: all of it or every nth cell, and sums over the cells.
    fn check_head(&self, rows: &mut Rows<'_>, level: usize, head: &Array) {
        let [_, channels, ny, nx] = head.shape[..] else { panic!("head of shape {:?}", head.shape) };
        let columns = channels / 3;
        let values = as_floats(head);
        let begin = format!("head_p{level}");
        let mut compared = false;
        for (name, tensor) in
            self.data.iter().filter(|(name, _)| name.starts_with(&begin) && !name.ends_with("_sum_hw"))
        {
            let step = name[begin.len()..].strip_prefix("_every").map_or(1, |n| n.parse().unwrap());
            let mut found = Vec::with_capacity(tensor.len());
            for anchor in 0..3 {
                for y in (0..ny).step_by(step) {
                    for x in (0..nx).step_by(step) {
                        found.extend((0..columns).map(|c| values[((anchor * columns + c) * ny + y) * nx + x]));
                    }
                }
            }
            rows.close("raw heads", &found, &tensor.to_f32_vec().unwrap(), HEADS);
            compared = true;
        }
        assert!(compared, "{}: no stored head p{level}", self.name);
        let sums: Vec<f64> =
            values.chunks_exact(ny * nx).map(|cells| cells.iter().map(|v| f64::from(*v)).sum()).collect();
        let spread = Spread::of(&sums, &self.sums(&format!("{begin}_sum_hw")));
        rows.add("raw heads, mean over cells", per_value(spread, ny * nx), OF_SUMS[0]);

        let stated = &self.json["heads"][format!("p{level}")];
        let shape: Vec<usize> = items(&stated["shape"]).iter().map(count).collect();
        assert_eq!([1, 3, ny, nx, columns], shape[..], "{} p{level}", self.name);
        let largest = values.iter().fold(0.0, |m: f64, v| m.max(f64::from(v.abs())));
        rows.close("raw heads, largest value", &[largest], &[number(&stated["absmax"])], HEADS);
        let all = values.iter().map(|v| f64::from(*v));
        let found = [all.clone().sum(), all.map(|v| v * v).sum::<f64>() / (2.0 * largest)];
        let expected = [number(&stated["sum"]), number(&stated["sumsq"]) / (2.0 * largest)];
        rows.add(
            "raw heads, mean of values and squares",
            per_value(Spread::of(&found, &expected), values.len()),
            OF_SUMS[0],
        );
    }

    /// Size of the network's input.
    fn size(&self) -> Size {
        let shape = self.data.get("image_u8").unwrap().shape();
        Size::new(shape[2], shape[1])
    }

    /// Decoded rows: all, every nth, the candidates, and column sums.
    fn check_decoded(&self, table: &mut Rows<'_>, decoded: &Array) {
        let [_, rows, columns] = decoded.shape[..] else { panic!("predictions of shape {:?}", decoded.shape) };
        let values = as_floats(decoded);
        let row = |i: usize| &values[i * columns..][..columns];
        let layout = Layout { columns, image: self.size() };
        let mut add = |what: &str, found: &[f32], expected: &[f32]| {
            table.detections(what, [found, expected], &layout, [BOXES_PX, PROBABILITIES]);
        };
        let mut compared = false;
        for (name, tensor) in self.data.iter() {
            let Some(rest) = name.strip_prefix("decoded").filter(|rest| *rest != "_sum") else { continue };
            let step = rest.strip_prefix("_every").map_or(1, |n| n.parse().unwrap());
            let found: Vec<f32> = (0..rows).step_by(step).flat_map(row).copied().collect();
            add("decoded", &found, &tensor.to_f32_vec().unwrap());
            compared = true;
        }
        assert!(compared, "{}: no decoded rows", self.name);
        if let Some(candidates) = self.get("candidate_rows") {
            let index = self.data.get("candidate_index").unwrap().to_i64_vec().unwrap();
            let found: Vec<f32> = index.iter().flat_map(|i| row(*i as usize)).copied().collect();
            add("candidate rows", &found, &candidates);
        }
        let mut sums = vec![0f64; columns];
        for row in values.chunks_exact(columns) {
            sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(*v));
        }
        let expected = self.sums("decoded_sum");
        for (what, part, tolerance) in [("boxes (px)", 0..4, OF_SUMS[1]), ("probabilities", 4..columns, OF_SUMS[2])] {
            let spread = per_value(Spread::of(&sums[part.clone()], &expected[part]), rows);
            table.add(&format!("decoded, mean over rows, {what}"), spread, tolerance);
        }
    }

    /// Detections after suppression by every stored setting, as sets, in network and in source pixels.
    fn check_detections(&self, table: &mut Rows<'_>, decoded: &Array) {
        let columns = decoded.shape[2];
        let size = |v: &Value| Size::new(count(&v[1]), count(&v[0]));
        let (source, network_size) = (size(&self.json["source_hw"]), size(&self.json["letterbox"]["new_shape_hw"]));
        let scale_up = self.json["letterbox"]["scaleup"].as_bool().unwrap();
        let letterbox = Letterbox::new(source, network_size, scale_up).unwrap();
        let cases = self.json["nms"].as_object().unwrap();
        assert!(!cases.is_empty(), "{}: no suppression", self.name);
        for (name, args) in cases {
            let found = nms(as_floats(decoded), columns - 5, &settings(args)).unwrap();
            let expected = self.get(&format!("nms_{name}")).unwrap();
            let native = self.get(&format!("nms_{name}_native_xyxy")).unwrap();
            assert_eq!(found.len() * 6, expected.len(), "{} {name}: number of detections", self.name);
            let found = matched(&format!("{} {name}", self.name), found, &expected);
            let part = |range: std::ops::Range<usize>| -> Vec<f32> {
                expected.chunks_exact(6).flat_map(|row| &row[range.clone()]).copied().collect()
            };
            let boxes: Vec<f32> = found.iter().flat_map(|d| [d.x1, d.y1, d.x2, d.y2]).collect();
            table.boxes(&format!("{name}, boxes"), &boxes, &part(0..4), self.size(), DETECTION[0]);
            let scores: Vec<f32> = found.iter().map(|d| d.score).collect();
            table.close(&format!("{name}, scores"), &scores, &part(4..5), DETECTION[1]);
            // The stored boxes come from the detection script's mapping.
            let script = of_detection_script(&letterbox);
            let to_source = |d: &Detection| {
                let b = script.box_to_source(d.xyxy()).clip(source);
                [b.x1, b.y1, b.x2, b.y2]
            };
            let mapped: Vec<f32> = found.iter().flat_map(to_source).collect();
            let tolerance = DETECTION[0] / letterbox.ratio.min(1.0);
            table.boxes(&format!("{name}, source"), &mapped, &native, source, tolerance);
        }
    }

    /// The decoding of the stored heads: only the exponential's last bits and few roundings are between it and the original's.
    fn check_decoding(&self, table: &mut Rows<'_>, config: &YoloConfig, load: Load) {
        let columns = 5 + config.classes;
        let mut builder = Builder::new("decoding");
        let (mut heads, mut inputs, mut known) = (vec![], vec![], vec![]);
        for (level, stride) in STRIDES.into_iter().enumerate() {
            let name = format!("head_p{}", level + 3);
            let Size { width, height } = self.size();
            let (ny, nx) = (height / stride, width / stride);
            let stored = self.get(&name);
            known.extend(std::iter::repeat_n(stored.is_some(), 3 * ny * nx));
            // Stored with the columns last, as [anchor, y, x, column]; a network has [anchor, column, y, x].
            let stored = stored.unwrap_or_else(|| vec![0.0; 3 * ny * nx * columns]);
            let cells = ny * nx;
            let at = |anchor: usize, column: usize, cell: usize| stored[(anchor * cells + cell) * columns + column];
            let planes = (0..3).flat_map(|anchor| (0..columns).map(move |column| (anchor, column)));
            let values = planes.flat_map(|(anchor, column)| (0..cells).map(move |cell| (anchor, column, cell)));
            let values = values.map(|(anchor, column, cell)| at(anchor, column, cell)).collect();
            let shape = [1, 3 * columns, ny, nx];
            inputs.push(floats(&shape, values));
            let shape = shape.map(Dim::Fixed).to_vec();
            heads.push(builder.input(&name, TensorType { element: Element::F32, dims: shape }).unwrap());
        }
        let rows = decode(&mut builder, config, heads.try_into().unwrap()).unwrap();
        builder.output("predictions", rows);
        let found = load(&builder.finish(), &Weights::new()).run(&inputs).remove(0);
        for (name, _) in self.data.iter() {
            let Some(rest) = name.strip_prefix("decoded").filter(|rest| *rest != "_sum") else { continue };
            let step = rest.strip_prefix("_every").map_or(1, |n| n.parse().unwrap());
            let expected = self.get(name).unwrap();
            assert_eq!(expected.len(), known.len().div_ceil(step) * columns, "{} {name}", self.name);
            let rows = as_floats(&found).chunks_exact(columns).zip(&known).step_by(step);
            let rows = rows.zip(expected.chunks_exact(columns)).filter(|((_, known), _)| **known);
            let (found, expected): (Vec<&[f32]>, Vec<&[f32]>) =
                rows.map(|((found, _), expected)| (found, expected)).unzip();
            let layout = Layout { columns, image: self.size() };
            table.detections("decoded heads", [&found.concat(), &expected.concat()], &layout, DECODED);
        }
    }

    /// Shape, mean, deviation, largest and first values of every layer, where they are stored.
    fn check_layers(&self, table: &mut Rows<'_>, load: Load, graph: &Graph, weights: &Weights) {
        let Some(layers) = self.json["layers"].as_array() else { return };
        let node_of = |layer: &Value| {
            let name = format!("model.{}", layer["i"]);
            let inside = format!("{name}.");
            // The last node of a module makes its output.
            let last = graph.nodes().iter().rev().find(|n| n.name == name || n.name.starts_with(&inside));
            last.unwrap_or_else(|| panic!("no node of {name}")).name.clone()
        };
        let nodes: Vec<String> = layers.iter().map(node_of).collect();
        let shown = graph.with_outputs(&nodes.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        let outputs = load(&shown, weights).run(&[self.input()]);
        assert_eq!(outputs.len(), layers.len());
        for (layer, found) in layers.iter().zip(outputs) {
            let shape: Vec<usize> = items(&layer["shape"]).iter().map(count).collect();
            assert_eq!(found.shape, shape, "layer {}", layer["i"]);
            let values = as_floats(&found);
            let count = values.len() as f64;
            let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
            let variance = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count;
            let largest = values.iter().fold(0f64, |m, v| m.max(f64::from(v.abs())));
            let scale = number(&layer["absmax"]);
            let first = numbers(&layer["first8"]);
            let mut found = vec![mean, variance.sqrt(), largest];
            found.extend(values.iter().take(first.len()).map(|v| f64::from(*v)));
            let expected = [["mean", "std", "absmax"].map(|key| number(&layer[key])).to_vec(), first].concat();
            let share = |values: Vec<f64>| values.into_iter().map(|v| v / scale).collect::<Vec<_>>();
            table.close("layers, share of the largest", &share(found), &share(expected), LAYERS);
        }
    }
}

fn per_value(spread: Spread, values: usize) -> Spread {
    Spread { max: spread.max / values as f64, sum: spread.sum / values as f64, ..spread }
}

/// Suppression settings in the original's words.
fn settings(args: &Value) -> NmsSettings {
    NmsSettings {
        conf: number(&args["conf_thres"]) as f32,
        iou: number(&args["iou_thres"]),
        multi_label: args["multi_label"].as_bool().unwrap(),
        agnostic: args["agnostic"].as_bool().unwrap(),
        max_det: count(&args["max_det"]),
        ..NmsSettings::default()
    }
}

/// For each expected row (`x1 y1 x2 y2 score class`) the nearest detection of its class within [`DETECTION`], each taken once: equal
/// scores have no defined order.
fn matched(what: &str, mut left: Vec<Detection>, expected: &[f32]) -> Vec<Detection> {
    let distance = |d: &Detection, row: &[f32]| Spread::of(&[d.x1, d.y1, d.x2, d.y2], &row[..4]).max;
    expected
        .chunks_exact(6)
        .map(|row| {
            let near = left
                .iter()
                .enumerate()
                .filter(|(_, d)| d.class as f32 == row[5] && f64::from((d.score - row[4]).abs()) <= DETECTION[1])
                .map(|(i, d)| (i, distance(d, row)))
                .filter(|(_, gap)| *gap <= DETECTION[0])
                .min_by(|a, b| a.1.total_cmp(&b.1));
            let (at, _) = near.unwrap_or_else(|| panic!("{what}: no detection like {row:?}"));
            left.swap_remove(at)
        })
        .collect()
}

/// Compares the checkpoint on an engine with everything stored about it.
pub fn compare(tally: &mut Tally, folder: &Path, (engine, load): (&str, Load)) {
    let (checkpoint, _, config) = checkpoint(folder);
    let graph = graph(&config).unwrap();
    let mut runner = load(&graph, &checkpoint.weights);
    for photograph in &photographs(folder) {
        tally.case(&photograph.name);
        let mut rows = Rows::new(tally, &checkpoint.name, engine);
        let outputs = runner.run(&[photograph.input()]);
        let (heads, decoded) = outputs.split_at(3);
        for (level, head) in heads.iter().enumerate() {
            photograph.check_head(&mut rows, level + 3, head);
        }
        photograph.check_decoded(&mut rows, &decoded[0]);
        photograph.check_detections(&mut rows, &decoded[0]);
        photograph.check_layers(&mut rows, load, &graph, &checkpoint.weights);
    }
}

/// Compares the decoding alone with the original's, from the stored heads on. Where a head is not stored whole, its rows are left out.
pub fn compare_decoding(tally: &mut Tally, folder: &Path, (engine, load): (&str, Load)) {
    let (checkpoint, _, config) = checkpoint(folder);
    for photograph in &photographs(folder) {
        tally.case(&photograph.name);
        photograph.check_decoding(&mut Rows::new(tally, &checkpoint.name, engine), &config, load);
    }
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
