//! Networks with their pre- and post-processing in one graph: what an engine on a vehicle runs.

use crate::builder::Builder;
use crate::compose;
use crate::error::GraphError;
use crate::graph::Graph;
use crate::op::Op;
use crate::tensor::{Dim, TensorType, Value};
use crate::zoo::fusion::FusionConfig;
use crate::zoo::task::TaskNetworkConfig;
use caf_geometry::Size;

/// Gray level of a letterbox border, in [0, 1].
pub const LETTERBOX_GRAY: f64 = 114.0 / 255.0;

/// Prefix of the fusion network's parameters in a pipeline.
pub const FUSION_SCOPE: &str = "fusion.";

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

/// A task network behind the fusion network.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskStage {
    /// The network.
    pub network: TaskNetworkConfig,
    /// Images of any size are fitted into this one by [`Op::Letterbox`]; without it the network sees every image at its own size.
    pub letterbox: Option<Size>,
}

impl TaskStage {
    /// Prefix of its parameters in a graph: the name of its task.
    pub fn scope(&self) -> String {
        format!("{}.", self.network.task().name)
    }
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
    /// A fixed size of the images, or any.
    pub size: Option<Size>,
    /// Fixed batch, or any.
    pub batch: Option<usize>,
    /// The task networks, at most one a task.
    pub tasks: Vec<TaskStage>,
}

/// Builds the graph: inputs `ir`, `vi`, outputs `fused` and those of the task networks.
///
/// The fused luma is clamped to [0, 1] before anything else sees it. Every task network sees the fused image in RGB (gray is
/// repeated), **rounded to 256 levels**, whether bytes or floats leave the graph: what it sees is what is shown, what is written to
/// a file, and what it was trained and measured on.
///
/// # Errors
/// When shapes do not fit.
pub fn graph(config: &PipelineConfig) -> Result<Graph, GraphError> {
    let mut b = Builder::new("pipeline");
    let image = |channels: usize| image_type(config.samples, config.batch, channels, config.size);
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
    let bytes = match (config.samples, config.tasks.as_slice()) {
        (Samples::Unit, []) => None,
        _ => Some(b.node("fused.bytes", Op::BytesFromUnit, &[fused])?),
    };
    b.output("fused", bytes.filter(|_| config.samples == Samples::Bytes).unwrap_or(fused));
    if let (Some(bytes), [_, ..]) = (bytes, config.tasks.as_slice()) {
        let unit = b.node("fused.rounded", Op::UnitFromBytes, &[bytes])?;
        let seen = match config.colour {
            ColourMode::Rgb => unit,
            ColourMode::Gray => b.node("fused.repeated", Op::Concat { axis: 1 }, &[unit, unit, unit])?,
        };
        config.tasks.iter().try_for_each(|stage| add_task(&mut b, stage, seen))?;
    }
    Ok(b.finish())
}

/// Task networks alone with their pre-processing: input `image`, RGB, outputs those of the networks.
///
/// # Errors
/// When shapes do not fit.
pub fn task_graph(
    stages: &[TaskStage],
    samples: Samples,
    batch: Option<usize>,
    size: Option<Size>,
) -> Result<Graph, GraphError> {
    let mut b = Builder::new("task");
    let image = b.input("image", image_type(samples, batch, 3, size))?;
    let image = to_unit(&mut b, samples, "image.unit", image)?;
    stages.iter().try_for_each(|stage| add_task(&mut b, stage, image))?;
    Ok(b.finish())
}

/// The first step of [`task_graph`] alone, without parameters: input `image`, RGB bytes `[batch, height, width, 3]` of any size,
/// output `fitted`, `[batch, 3, …]` in [0, 1] of the letterbox's size. Training's validation and the evaluation bring images of mixed
/// sizes into one batch with it, by the very ops that the vehicle runs.
///
/// # Errors
/// When the size is none.
pub fn letterbox_graph(size: Size) -> Result<Graph, GraphError> {
    let mut b = Builder::new("letterbox");
    let image = b.input("image", image_type(Samples::Bytes, None, 3, None))?;
    let image = to_unit(&mut b, Samples::Bytes, "image.unit", image)?;
    let fitted = letterbox(&mut b, size, image)?;
    b.output("fitted", fitted);
    Ok(b.finish())
}

fn image_type(samples: Samples, batch: Option<usize>, channels: usize, size: Option<Size>) -> TensorType {
    let dim = |fixed: Option<usize>, name: &str| fixed.map_or_else(|| Dim::Named(name.to_owned()), Dim::Fixed);
    let (batch, height, width) =
        (dim(batch, "batch"), dim(size.map(|s| s.height), "height"), dim(size.map(|s| s.width), "width"));
    match samples {
        Samples::Bytes => TensorType::nhwc_bytes(batch, height, width, channels),
        Samples::Unit => TensorType::nchw(batch, channels, height, width),
    }
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
        config.check_size(Size::new(width, height))?;
    }
    let raw = b.scoped(FUSION_SCOPE, |b| config.build(b, ir, vi))?;
    match config.output_range() {
        [min, max] if min >= 0.0 && max <= 1.0 => Ok(raw),
        _ => b.node("fused.unit", Op::Clamp { min: 0.0, max: 1.0 }, &[raw]),
    }
}

fn letterbox(b: &mut Builder, size: Size, image: Value) -> Result<Value, GraphError> {
    let sides = [Dim::Fixed(size.height), Dim::Fixed(size.width)];
    if b.type_of(image).dims.get(2..) == Some(&sides) {
        return Ok(image);
    }
    b.node("letterbox", Op::Letterbox { size, value: LETTERBOX_GRAY }, &[image])
}

fn add_task(b: &mut Builder, stage: &TaskStage, image: Value) -> Result<(), GraphError> {
    let output = b.scoped(&stage.scope(), |b| {
        let image = stage.letterbox.map_or(Ok(image), |size| letterbox(b, size, image))?;
        stage.network.build(b, image)
    })?;
    b.output(stage.network.task().output, output);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::segformer::{self, SegFormerConfig};
    use crate::zoo::yolov5::{Variant, YoloConfig};

    const ROWS: usize = 3 * (80 * 80 + 40 * 40 + 20 * 20);

    fn config() -> PipelineConfig {
        let task = TaskStage { network: YoloConfig::new(Variant::N, 6).into(), letterbox: Some(Size::new(640, 640)) };
        PipelineConfig {
            fusion: FusionConfig::default(),
            samples: Samples::Bytes,
            colour: ColourMode::Rgb,
            size: Some(Size::new(537, 248)),
            batch: Some(1),
            tasks: vec![task],
        }
    }

    #[test]
    fn both_networks_share_a_graph_without_sharing_names() {
        let g = graph(&config()).unwrap();
        assert_eq!(g.trainable_count(), 148_321 + 1_772_035);
        assert_eq!(g.type_of(g.output("fused").unwrap()).to_string(), "u8[1, 248, 537, 3]");
        assert_eq!(g.type_of(g.output("predictions").unwrap()).to_string(), format!("f32[1, {ROWS}, 11]"));
    }

    #[test]
    fn a_detector_takes_any_size_and_gives_as_many_rows() {
        for samples in [Samples::Bytes, Samples::Unit] {
            let g = graph(&PipelineConfig { samples, size: None, batch: None, ..config() }).unwrap();
            assert_eq!(g.type_of(g.output("predictions").unwrap()).to_string(), format!("f32[batch, {ROWS}, 11]"));
            let g = task_graph(&config().tasks, samples, None, None).unwrap();
            assert_eq!(g.type_of(g.output("predictions").unwrap()).to_string(), format!("f32[batch, {ROWS}, 11]"));
        }
    }

    #[test]
    fn an_image_of_the_letterboxs_size_is_not_resampled() {
        let at = |size| {
            let g = task_graph(&config().tasks, Samples::Bytes, None, size).unwrap();
            g.nodes().iter().any(|n| matches!(n.op, Op::Letterbox { .. }))
        };
        assert_eq!([Some(Size::new(640, 640)), Some(Size::new(640, 480)), None].map(at), [false, true, true]);
        let g = letterbox_graph(Size::new(64, 32)).unwrap();
        assert_eq!(g.type_of(g.output("fitted").unwrap()).to_string(), "f32[batch, 3, 32, 64]");
        assert!(g.params().is_empty());
    }

    #[test]
    fn two_tasks_see_the_same_image() {
        let segmenter = TaskStage { network: SegFormerConfig::new(segformer::Variant::B0, 4).into(), letterbox: None };
        let tasks = vec![config().tasks.remove(0), segmenter];
        let g = graph(&PipelineConfig { tasks: tasks.clone(), ..config() }).unwrap();
        let outputs: Vec<&str> = g.outputs().iter().map(|o| o.name.as_str()).collect();
        assert_eq!(outputs, ["fused", "predictions", "class_map"]);
        assert_eq!(g.type_of(g.output("class_map").unwrap()).to_string(), "u8[1, 248, 537]");
        assert_eq!(g.nodes().iter().filter(|n| n.name == "fused.rounded").count(), 1);
        let alone = task_graph(&tasks, Samples::Bytes, Some(1), None).unwrap();
        assert_eq!(alone.trainable_count() + 148_321, g.trainable_count());
    }

    #[test]
    fn fusion_alone_takes_any_size() {
        let g = graph(&PipelineConfig { size: None, batch: None, tasks: vec![], ..config() }).unwrap();
        assert_eq!(g.type_of(g.output("fused").unwrap()).to_string(), "u8[batch, height, width, 3]");
    }
}
