//! Networks with their pre- and post-processing in one graph: what an engine on a vehicle runs.

use crate::builder::Builder;
use crate::compose;
use crate::error::GraphError;
use crate::graph::Graph;
use crate::op::Op;
use crate::tensor::{Dim, TensorType, Value};
use crate::zoo::fusion::FusionConfig;
use crate::zoo::yolov5::{self, YoloConfig};

/// Gray level of a letterbox border, in [0, 1].
pub const LETTERBOX_GRAY: f64 = 114.0 / 255.0;

/// Prefix of the fusion network's parameters in a pipeline.
pub const FUSION_SCOPE: &str = "fusion.";
/// Prefix of the detector's parameters in a pipeline.
pub const TASK_SCOPE: &str = "task.";

/// How images enter and leave a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Samples {
    /// Bytes 0–255, NHWC.
    Bytes,
    /// Floats in [0, 1], NCHW.
    Unit,
}

/// Channels of the visible input and of the fused output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColourMode {
    /// One channel each.
    Gray,
    /// RGB in, RGB out: the luma is fused, Cb and Cr of the visible image are kept (BT.601, full range).
    Rgb,
}

/// From image to detector input: resampled to `scaled`, then padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LetterboxGeometry {
    /// Height and width after scaling.
    pub scaled: [usize; 2],
    /// Rows above, rows below, columns left, columns right.
    pub border: [usize; 4],
}

/// A detector behind the fusion network.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorStage {
    /// The network.
    pub config: YoloConfig,
    /// How the fused image enters it.
    pub letterbox: LetterboxGeometry,
}

/// What to build.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineConfig {
    /// The fusion network.
    pub fusion: FusionConfig,
    /// Element type and layout.
    pub samples: Samples,
    /// Colour handling.
    pub colour: ColourMode,
    /// Fixed height and width, or any size. A detector needs a fixed size.
    pub size: Option<[usize; 2]>,
    /// Fixed batch, or any.
    pub batch: Option<usize>,
    /// The detector, if any.
    pub detector: Option<DetectorStage>,
}

/// Builds the graph: inputs `ir`, `vi`, outputs `fused` and, with a detector, `predictions`.
///
/// The fused luma is clamped to [0, 1] before anything else sees it; the detector sees the fused image in RGB (gray is
/// repeated).
///
/// # Errors
/// When a detector is asked for without a fixed size, or shapes do not fit.
pub fn graph(config: &PipelineConfig) -> Result<Graph, GraphError> {
    if config.detector.is_some() && config.size.is_none() {
        return Err(GraphError::Config {
            network: "pipeline",
            what: "a detector needs a fixed image size: its letterbox depends on it".to_owned(),
        });
    }
    let mut b = Builder::new("pipeline");
    let dim = |fixed: Option<usize>, name: &str| fixed.map_or_else(|| Dim::Named(name.to_owned()), Dim::Fixed);
    let batch = dim(config.batch, "batch");
    let height = dim(config.size.map(|s| s[0]), "height");
    let width = dim(config.size.map(|s| s[1]), "width");
    let image = |channels: usize| match config.samples {
        Samples::Bytes => TensorType::nhwc_bytes(batch.clone(), height.clone(), width.clone(), channels),
        Samples::Unit => TensorType::nchw(batch.clone(), channels, height.clone(), width.clone()),
    };
    let vi_channels = match config.colour {
        ColourMode::Gray => 1,
        ColourMode::Rgb => 3,
    };
    let ir = b.input("ir", image(1))?;
    let vi = b.input("vi", image(vi_channels))?;
    let ir = to_unit(&mut b, config.samples, "ir.unit", ir)?;
    let vi = to_unit(&mut b, config.samples, "vi.unit", vi)?;
    let fused = match config.colour {
        ColourMode::Gray => fuse_clamped(&mut b, &config.fusion, ir, vi)?,
        ColourMode::Rgb => {
            let luma = compose::luma(&mut b, "vi.luma", vi)?;
            let fused = fuse_clamped(&mut b, &config.fusion, ir, luma)?;
            let rgb = compose::with_luma(&mut b, "fused.rgb", vi, [luma, fused])?;
            b.node("fused.clamped", Op::Clamp { min: 0.0, max: 1.0 }, &[rgb])?
        }
    };
    let shown = match config.samples {
        Samples::Unit => fused,
        Samples::Bytes => b.node("fused.bytes", Op::BytesFromUnit, &[fused])?,
    };
    b.output("fused", shown);
    if let Some(stage) = &config.detector {
        let seen = match config.colour {
            ColourMode::Rgb => fused,
            ColourMode::Gray => b.node("fused.repeated", Op::Concat { axis: 1 }, &[fused, fused, fused])?,
        };
        let predictions = detect(&mut b, stage, seen)?;
        b.output("predictions", predictions);
    }
    Ok(b.finish())
}

/// A detector alone with its pre-processing: input `image` (RGB of a fixed size), output `predictions`.
///
/// # Errors
/// When shapes do not fit.
pub fn detector_graph(stage: &DetectorStage, samples: Samples, size: [usize; 2]) -> Result<Graph, GraphError> {
    let mut b = Builder::new("detector");
    let batch = Dim::Named("batch".to_owned());
    let [height, width] = size.map(Dim::Fixed);
    let image = match samples {
        Samples::Bytes => TensorType::nhwc_bytes(batch, height, width, 3),
        Samples::Unit => TensorType::nchw(batch, 3, height, width),
    };
    let image = b.input("image", image)?;
    let image = to_unit(&mut b, samples, "image.unit", image)?;
    let predictions = detect(&mut b, stage, image)?;
    b.output("predictions", predictions);
    Ok(b.finish())
}

fn to_unit(b: &mut Builder, samples: Samples, name: &str, x: Value) -> Result<Value, GraphError> {
    match samples {
        Samples::Bytes => b.node(name, Op::UnitFromBytes, &[x]),
        Samples::Unit => Ok(x),
    }
}

/// The fused luma, limited to [0, 1] where the network can leave it.
fn fuse_clamped(b: &mut Builder, config: &FusionConfig, ir: Value, vi: Value) -> Result<Value, GraphError> {
    if let [_, _, Dim::Fixed(height), Dim::Fixed(width)] = b.type_of(ir).dims[..] {
        config.check_size([height, width])?;
    }
    let raw = b.scoped(FUSION_SCOPE, |b| config.build(b, ir, vi))?;
    match config.output_range() {
        [min, max] if min >= 0.0 && max <= 1.0 => Ok(raw),
        _ => b.node("fused.unit", Op::Clamp { min: 0.0, max: 1.0 }, &[raw]),
    }
}

fn detect(b: &mut Builder, stage: &DetectorStage, image: Value) -> Result<Value, GraphError> {
    let LetterboxGeometry { scaled: [height, width], border: [top, bottom, left, right] } = stage.letterbox;
    let dims = &b.type_of(image).dims;
    let mut x = image;
    if dims.get(2..) != Some(&[Dim::Fixed(height), Dim::Fixed(width)]) {
        x = b.node("letterbox.resize", Op::ResizeBilinear { height, width }, &[x])?;
    }
    if [top, bottom, left, right] != [0; 4] {
        x = b.node("letterbox.pad", Op::Pad { top, bottom, left, right, value: LETTERBOX_GRAY }, &[x])?;
    }
    b.scoped(TASK_SCOPE, |b| {
        let heads = yolov5::heads(b, &stage.config, x)?;
        yolov5::decode(b, &stage.config, heads)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::yolov5::Variant;

    fn config() -> PipelineConfig {
        PipelineConfig {
            fusion: FusionConfig::default(),
            samples: Samples::Bytes,
            colour: ColourMode::Rgb,
            size: Some([248, 537]),
            batch: Some(1),
            detector: Some(DetectorStage {
                config: YoloConfig::new(Variant::N, 6),
                letterbox: LetterboxGeometry { scaled: [296, 640], border: [12, 12, 0, 0] },
            }),
        }
    }

    #[test]
    fn both_networks_share_a_graph_without_sharing_names() {
        let g = graph(&config()).unwrap();
        assert_eq!(g.trainable_count(), 148_321 + 1_772_035);
        assert_eq!(g.type_of(g.output("fused").unwrap()).to_string(), "u8[1, 248, 537, 3]");
        let rows = 3 * (40 * 80 + 20 * 40 + 10 * 20);
        assert_eq!(g.type_of(g.output("predictions").unwrap()).to_string(), format!("f32[1, {rows}, 11]"));
    }

    #[test]
    fn a_detector_without_a_size_is_refused() {
        let error = graph(&PipelineConfig { size: None, ..config() }).unwrap_err();
        assert!(error.to_string().contains("fixed image size"), "{error}");
    }

    #[test]
    fn fusion_alone_takes_any_size() {
        let g = graph(&PipelineConfig { size: None, batch: None, detector: None, ..config() }).unwrap();
        assert_eq!(g.type_of(g.output("fused").unwrap()).to_string(), "u8[batch, height, width, 3]");
    }
}
