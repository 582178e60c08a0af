//! YOLOv5 n, s, m, l, x (release 6 layout, 25 modules, three anchor levels).
//!
//! Names follow the original: `model.N…` with `conv`, `bn`, `cv1`…`cv3`, `m`. Convolutions have no bias but those of the
//! head. Normalisation uses epsilon 1e-3 and momentum 0.03.

use crate::builder::{Bias, Builder, ConvSpec};
use crate::error::GraphError;
use crate::graph::Graph;
use crate::op::{Activation, Extent, Op};
use crate::tensor::{Dim, TensorType, Value};
use crate::zoo::network::{Facts, Found, Network, Sides, Tensors};
use crate::zoo::task::TaskNetwork;
use caf_contract::{DETECTION, Task};
use serde::{Deserialize, Serialize};

const EPS: f64 = 1e-3;
const MOMENTUM: f64 = 0.03;

/// Network-input pixels per cell of the three levels.
pub const STRIDES: [usize; 3] = [8, 16, 32];

/// Width and height of the COCO anchors in network-input pixels, three for each level.
pub const COCO_ANCHORS_PX: [[[f64; 2]; 3]; 3] = [
    [[10.0, 13.0], [16.0, 30.0], [33.0, 23.0]],
    [[30.0, 61.0], [62.0, 45.0], [59.0, 119.0]],
    [[116.0, 90.0], [156.0, 198.0], [373.0, 326.0]],
];

/// One output level of the head.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// Network-input pixels per cell.
    pub stride: usize,
    /// Width and height of each anchor in network-input pixels.
    pub anchors_px: [[f64; 2]; 3],
}

/// The five published sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// Nano.
    N,
    /// Small.
    S,
    /// Medium.
    M,
    /// Large.
    L,
    /// Extra large.
    X,
}

impl Variant {
    /// All sizes, smallest first.
    pub const ALL: [Variant; 5] = [Variant::N, Variant::S, Variant::M, Variant::L, Variant::X];

    /// Depth and width multiples.
    pub fn multiples(self) -> (f64, f64) {
        match self {
            Variant::N => (0.33, 0.25),
            Variant::S => (0.33, 0.50),
            Variant::M => (0.67, 0.75),
            Variant::L => (1.0, 1.0),
            Variant::X => (1.33, 1.25),
        }
    }
}

/// A network of this family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct YoloConfig {
    /// Factor on the number of bottlenecks.
    #[serde(default = "nano_depth")]
    pub depth: f64,
    /// Factor on the number of channels, which are then rounded up to a multiple of 8.
    #[serde(default = "nano_width")]
    pub width: f64,
    /// Number of classes.
    pub classes: usize,
    /// Width and height of the anchors in network-input pixels.
    #[serde(default = "coco_anchors")]
    pub anchors_px: [[[f64; 2]; 3]; 3],
}

fn nano_depth() -> f64 {
    Variant::N.multiples().0
}

fn nano_width() -> f64 {
    Variant::N.multiples().1
}

fn coco_anchors() -> [[[f64; 2]; 3]; 3] {
    COCO_ANCHORS_PX
}

impl YoloConfig {
    /// A published size with COCO anchors.
    pub fn new(variant: Variant, classes: usize) -> Self {
        let (depth, width) = variant.multiples();
        YoloConfig { depth, width, classes, anchors_px: COCO_ANCHORS_PX }
    }

    /// What each level's decoding needs.
    pub fn levels(&self) -> [Level; 3] {
        [0, 1, 2].map(|i| Level { stride: STRIDES[i], anchors_px: self.anchors_px[i] })
    }

    fn channels(&self, base: usize) -> usize {
        ((base as f64 * self.width / 8.0).ceil() as usize) * 8
    }

    fn repeats(&self, base: usize) -> usize {
        ((base as f64 * self.depth).round_ties_even() as usize).max(1)
    }
}

impl Network for YoloConfig {
    const KIND: &'static str = "yolov5";
    const FACTS: Facts = Facts {
        title: "YOLOv5 (release 6)",
        paper: "none; Ultralytics 2021",
        licence: "AGPL-3.0",
        parity: "raw heads within 1e-4 of the original (float32), on libtorch and ONNX Runtime",
    };

    /// Width from the first convolution (64 channels at width 1), depth from the longest block (9 bottlenecks at depth 1),
    /// classes from the head, anchors from the file, which keeps them in cells.
    fn recognise(tensors: &dyn Tensors) -> Option<Found<Self>> {
        let first = tensors.outputs("model.0.conv.weight")?;
        let bottlenecks = Some(tensors.count("model.6.m.", 0, ".cv1.conv.weight")).filter(|n| *n > 0)?;
        let head = tensors.outputs("model.24.m.0.bias").filter(|n| *n > 15 && n.is_multiple_of(3))?;
        let mut anchors_px = COCO_ANCHORS_PX;
        if tensors.shape(ANCHORS) == Some(&[3, 3, 2]) {
            let mut cells = tensors.values(ANCHORS)?.into_iter();
            for (level, stride) in anchors_px.iter_mut().zip(STRIDES) {
                for (side, value) in level.iter_mut().flatten().zip(&mut cells) {
                    *side = value * stride as f64;
                }
            }
        }
        let (depth, width) = (bottlenecks as f64 / 9.0, first as f64 / 64.0);
        Some(Found::new(YoloConfig { depth, width, classes: head / 3 - 5, anchors_px }))
    }
}

impl TaskNetwork for YoloConfig {
    fn task(&self) -> &'static Task {
        &DETECTION
    }

    fn classes(&self) -> usize {
        self.classes
    }

    /// Those that its coarsest head divides.
    fn sides(&self) -> Sides {
        Sides { least_px: STRIDES[2], multiple_of_px: STRIDES[2] }
    }

    /// The three heads, finest first.
    fn raw(&self) -> &'static [&'static str] {
        &["model.24.m.0", "model.24.m.1", "model.24.m.2"]
    }

    /// See [`decode`].
    fn build(&self, b: &mut Builder, image: Value) -> Result<Value, GraphError> {
        let heads = heads(b, self, image)?;
        decode(b, self, heads)
    }
}

/// Name of the anchors, `[level, anchor, width and height]` in cells.
pub const ANCHORS: &str = "model.24.anchors";

/// Most classes accepted: configurations come from files, and a graph must fit into memory.
pub const MAX_CLASSES: usize = 10_000;
/// Largest accepted multiple of width or depth; the largest published one is 1.33.
pub const MAX_MULTIPLE: f64 = 8.0;

/// The three raw heads, finest first: `[n, 3·(5 + classes), h / stride, w / stride]`.
pub type Heads = [Value; 3];

/// Adds the network up to its raw heads. Input: RGB in [0, 1], `[n, 3, h, w]` with sides divisible by 32.
///
/// # Errors
/// When the configuration is impossible or the sides do not fit; the message names the node.
pub fn heads(b: &mut Builder, config: &YoloConfig, image: Value) -> Result<Heads, GraphError> {
    let multiple = |m: f64| m > 0.0 && m <= MAX_MULTIPLE;
    if !(1..=MAX_CLASSES).contains(&config.classes) || !multiple(config.width) || !multiple(config.depth) {
        return Err(GraphError::Config {
            network: "yolov5",
            what: format!(
                "expected 1 to {MAX_CLASSES} classes and width and depth above 0 and at most {MAX_MULTIPLE}, found {} \
                 classes, width {:?} and depth {:?}",
                config.classes, config.width, config.depth
            ),
        });
    }
    for dim in b.type_of(image).dims.iter().skip(2) {
        if let Dim::Fixed(n) = dim
            && (*n == 0 || n % 32 != 0)
        {
            return Err(GraphError::Config {
                network: "yolov5",
                what: format!("image sides must be multiples of 32, found {}", b.type_of(image)),
            });
        }
    }
    let [c1, c2, c3, c4, c5] = [64, 128, 256, 512, 1024].map(|c| config.channels(c));
    let [n3, n6, n9] = [3, 6, 9].map(|n| config.repeats(n));

    let x = conv(b, "model.0", c1, 6, 2, 2, image)?;
    let x = conv(b, "model.1", c2, 3, 2, 1, x)?;
    let x = c3_block(b, "model.2", c2, n3, true, x)?;
    let x = conv(b, "model.3", c3, 3, 2, 1, x)?;
    let p3 = c3_block(b, "model.4", c3, n6, true, x)?;
    let x = conv(b, "model.5", c4, 3, 2, 1, p3)?;
    let p4 = c3_block(b, "model.6", c4, n9, true, x)?;
    let x = conv(b, "model.7", c5, 3, 2, 1, p4)?;
    let x = c3_block(b, "model.8", c5, n3, true, x)?;
    let x = sppf(b, "model.9", c5, x)?;

    let top = conv(b, "model.10", c4, 1, 1, 0, x)?;
    let x = b.node("model.11", Op::UpsampleNearest { factor: 2 }, &[top])?;
    let x = b.node("model.12", Op::Concat { axis: 1 }, &[x, p4])?;
    let x = c3_block(b, "model.13", c4, n3, false, x)?;
    let middle = conv(b, "model.14", c3, 1, 1, 0, x)?;
    let x = b.node("model.15", Op::UpsampleNearest { factor: 2 }, &[middle])?;
    let x = b.node("model.16", Op::Concat { axis: 1 }, &[x, p3])?;
    let out3 = c3_block(b, "model.17", c3, n3, false, x)?;
    let x = conv(b, "model.18", c3, 3, 2, 1, out3)?;
    let x = b.node("model.19", Op::Concat { axis: 1 }, &[x, middle])?;
    let out4 = c3_block(b, "model.20", c4, n3, false, x)?;
    let x = conv(b, "model.21", c4, 3, 2, 1, out4)?;
    let x = b.node("model.22", Op::Concat { axis: 1 }, &[x, top])?;
    let out5 = c3_block(b, "model.23", c5, n3, false, x)?;

    let in_cells: Vec<f32> = config
        .anchors_px
        .iter()
        .zip(STRIDES)
        .flat_map(|(level, stride)| level.iter().flatten().map(move |v| (v / stride as f64) as f32))
        .collect();
    b.constant(ANCHORS, &[3, 3, 2], in_cells)?;
    let out = 3 * (5 + config.classes);
    let mut head = |i: usize, x: Value| {
        let bias = Bias::Prior(prior(STRIDES[i], config.classes).repeat(3));
        b.conv(&format!("model.24.m.{i}"), ConvSpec { out, kernel: 1, stride: 1, padding: 0, bias }, x)
    };
    Ok([head(0, out3)?, head(1, out4)?, head(2, out5)?])
}

/// The prior of the original on a row of a head's bias: about 8 objects in an image of 640 px, ln(8 / (640 / stride)²), and each class as
/// likely, ln(0.6 / (classes − 0.99999)).
fn prior(stride: usize, classes: usize) -> Vec<f32> {
    let object = (8.0 / (640.0 / stride as f64).powi(2)).ln() as f32;
    let class = (0.6 / (classes as f64 - 0.99999)).ln() as f32;
    let mut row = vec![0.0, 0.0, 0.0, 0.0, object];
    row.resize(row.len() + classes, class);
    row
}

/// Adds the decoding of the heads: rows `[n, rows, 5 + classes]` of `cx cy w h objectness class…`, boxes in network-input
/// pixels; levels finest first, within a level rows run over anchors, then y, then x.
///
/// # Errors
/// When the heads are not those of `config`.
pub fn decode(b: &mut Builder, config: &YoloConfig, heads: Heads) -> Result<Value, GraphError> {
    let mut rows = Vec::with_capacity(heads.len());
    for (i, (head, level)) in heads.into_iter().zip(config.levels()).enumerate() {
        rows.push(decode_level(b, &format!("decode.{i}"), config.classes, &level, head)?);
    }
    b.node("decode", Op::Concat { axis: 1 }, &rows)
}

/// With σ of everything: xy = (2σ − 0.5 + cell)·stride, wh = (2σ)²·anchor, the rest σ itself.
fn decode_level(b: &mut Builder, name: &str, classes: usize, level: &Level, head: Value) -> Result<Value, GraphError> {
    let (anchors, columns) = (level.anchors_px.len(), 5 + classes);
    let side = |axis| Extent::Of { input: 0, axis };
    let shape = vec![side(0), Extent::Fixed(anchors), Extent::Fixed(columns), side(2), side(3)];
    // Batch, anchor, column, y, x: columns are cut and joined while their cells lie side by side in memory.
    let split = b.node(&format!("{name}.split"), Op::Reshape { shape }, &[head])?;
    let sigmoid = b.activation(&format!("{name}.sigmoid"), Activation::Sigmoid, split)?;
    let part = |b: &mut Builder, what: &str, start: usize, len: usize| {
        b.node(&format!("{name}.{what}.sigmoid"), Op::Slice { axis: 2, start, len }, &[sigmoid])
    };
    let centre = |b: &mut Builder, what: &str, column: usize, axis: usize| {
        let in_cell = part(b, what, column, 1)?;
        let in_cell = b.node(&format!("{name}.{what}.in_cell"), Op::Affine { scale: 2.0, shift: -0.5 }, &[in_cell])?;
        let cell = b.node(&format!("{name}.{what}.cell"), Op::Indices { axis }, &[sigmoid])?;
        let cells = b.node(&format!("{name}.{what}.cells"), Op::Add, &[in_cell, cell])?;
        b.node(&format!("{name}.{what}"), Op::Affine { scale: level.stride as f64, shift: 0.0 }, &[cells])
    };
    let cx = centre(b, "cx", 0, 4)?;
    let cy = centre(b, "cy", 1, 3)?;
    let values = level.anchors_px.iter().flatten().map(|px| *px as f32).collect();
    let anchor = Op::Constant { shape: vec![1, anchors, 2, 1, 1], values };
    let anchor = b.node(&format!("{name}.anchors"), anchor, &[])?;
    let half = part(b, "wh", 2, 2)?;
    let doubled = b.node(&format!("{name}.wh.doubled"), Op::Affine { scale: 2.0, shift: 0.0 }, &[half])?;
    let squared = b.node(&format!("{name}.wh.squared"), Op::Mul, &[doubled, doubled])?;
    let wh = b.node(&format!("{name}.wh"), Op::Mul, &[squared, anchor])?;
    let rest = part(b, "rest", 4, columns - 4)?;
    let joined = b.node(&format!("{name}.joined"), Op::Concat { axis: 2 }, &[cx, cy, wh, rest])?;
    let last = b.node(&format!("{name}.columns_last"), Op::Permute { order: vec![0, 1, 3, 4, 2] }, &[joined])?;
    let shape = vec![side(0), Extent::Rest, Extent::Fixed(columns)];
    b.node(name, Op::Reshape { shape }, &[last])
}

/// The network alone: input `image` (`[batch, 3, height, width]`, RGB in [0, 1]); outputs `p3`, `p4`, `p5` (raw heads) and
/// `predictions` (decoded).
///
/// # Errors
/// See [`heads`].
pub fn graph(config: &YoloConfig) -> Result<Graph, GraphError> {
    let mut b = Builder::new("yolov5");
    let named = |name: &str| Dim::Named(name.to_owned());
    let image = b.input("image", TensorType::nchw(named("batch"), 3, named("height"), named("width")))?;
    let levels = heads(&mut b, config, image)?;
    let predictions = decode(&mut b, config, levels)?;
    for (name, value) in ["p3", "p4", "p5"].into_iter().zip(levels) {
        b.output(name, value);
    }
    b.output("predictions", predictions);
    Ok(b.finish())
}

/// Convolution without bias, normalisation, SiLU.
fn conv(
    b: &mut Builder,
    name: &str,
    out: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    x: Value,
) -> Result<Value, GraphError> {
    let spec = ConvSpec { out, kernel, stride, padding, bias: Bias::None };
    let x = b.conv(&format!("{name}.conv"), spec, x)?;
    let x = b.norm(&format!("{name}.bn"), EPS, MOMENTUM, x)?;
    b.activation(&format!("{name}.act"), Activation::Silu, x)
}

/// Two 1×1 branches, one through `repeats` bottlenecks, joined by a third.
fn c3_block(
    b: &mut Builder,
    name: &str,
    out: usize,
    repeats: usize,
    shortcut: bool,
    x: Value,
) -> Result<Value, GraphError> {
    let hidden = out / 2;
    let mut deep = conv(b, &format!("{name}.cv1"), hidden, 1, 1, 0, x)?;
    for i in 0..repeats {
        let y = conv(b, &format!("{name}.m.{i}.cv1"), hidden, 1, 1, 0, deep)?;
        let y = conv(b, &format!("{name}.m.{i}.cv2"), hidden, 3, 1, 1, y)?;
        deep = if shortcut { b.node(&format!("{name}.m.{i}.add"), Op::Add, &[deep, y])? } else { y };
    }
    let shallow = conv(b, &format!("{name}.cv2"), hidden, 1, 1, 0, x)?;
    let joined = b.node(&format!("{name}.joined"), Op::Concat { axis: 1 }, &[deep, shallow])?;
    conv(b, &format!("{name}.cv3"), out, 1, 1, 0, joined)
}

/// Three chained 5×5 maxima, joined with their input.
fn sppf(b: &mut Builder, name: &str, out: usize, x: Value) -> Result<Value, GraphError> {
    let mut pyramid = vec![conv(b, &format!("{name}.cv1"), out / 2, 1, 1, 0, x)?];
    for i in 0..3 {
        let pool = Op::MaxPool { kernel: 5, stride: 1, padding: 2 };
        let next = b.node(&format!("{name}.m.{i}"), pool, &[pyramid[i]])?;
        pyramid.push(next);
    }
    let joined = b.node(&format!("{name}.joined"), Op::Concat { axis: 1 }, &pyramid)?;
    conv(b, &format!("{name}.cv2"), out, 1, 1, 0, joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_five_sizes_have_their_published_parameter_counts() {
        let expected = [1_872_157, 7_235_389, 21_190_557, 46_563_709, 86_749_405];
        for (variant, count) in Variant::ALL.into_iter().zip(expected) {
            let g = graph(&YoloConfig::new(variant, 80)).unwrap();
            assert_eq!(g.trainable_count(), count, "{variant:?}");
        }
    }

    #[test]
    fn a_head_starts_from_its_prior() {
        let g = graph(&YoloConfig::new(Variant::N, 2)).unwrap();
        let bias = g.params().iter().find(|p| p.name == "model.24.m.1.bias").unwrap();
        let class = (0.6f32 / 1.00001).ln();
        let row = [0.0, 0.0, 0.0, 0.0, (8.0f32 / 1600.0).ln(), class, class];
        let given = bias.given.as_deref().unwrap();
        assert_eq!((given.len(), bias.shape.as_slice()), (21, &[21][..]));
        let near = |(given, row): (&f32, &f32)| (given - row).abs() < 1e-5;
        assert!(given.chunks(7).all(|found| found.iter().zip(&row).all(near)), "{given:?}");
    }

    #[test]
    fn a_bound_graph_knows_every_shape() {
        let g = graph(&YoloConfig::new(Variant::N, 6)).unwrap();
        let g = g.bind(&[("batch", 2), ("height", 512), ("width", 640)]).unwrap();
        assert_eq!(g.type_of(g.output("p4").unwrap()).to_string(), "f32[2, 33, 32, 40]");
        let rows = 3 * (64 * 80 + 32 * 40 + 16 * 20);
        assert_eq!(g.type_of(g.output("predictions").unwrap()).to_string(), format!("f32[2, {rows}, 11]"));
    }

    #[test]
    fn sides_that_are_no_multiple_of_32_are_refused_by_name() {
        let g = graph(&YoloConfig::new(Variant::N, 6)).unwrap();
        let error = g.bind(&[("height", 500), ("width", 640)]).unwrap_err();
        assert!(matches!(error, GraphError::Shape { op: "concat", .. }), "{error}");
    }

    #[test]
    fn configurations_that_no_memory_holds_are_refused() {
        let n = YoloConfig::new(Variant::N, 6);
        for (classes, width, depth) in
            [(0, 0.25, 0.33), (usize::MAX / 2, 0.25, 0.33), (6, 1e300, 0.33), (6, 0.25, f64::NAN)]
        {
            let error = graph(&YoloConfig { classes, width, depth, ..n.clone() }).unwrap_err();
            assert!(matches!(error, GraphError::Config { network: "yolov5", .. }), "{error}");
        }
    }
}
