//! Files written by `caf-export` on ONNX Runtime: against the golden data, and against libtorch running the same graph.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop at the line that fails")]

use caf_contract::{Contract, GraphPort, METADATA_KEY};
use caf_engine::{Array, Engine, EngineOptions};
use caf_export::model::{FusionFile, Model, Parts, Settings, Size, TaskFile};
use caf_export::{ExportError, ExportOptions, onnx};
use caf_file::Sha256Hash;
use caf_golden::{Tally, find};
use caf_net::zoo::caf::{self as fusion, CafConfig};
use caf_net::zoo::pipeline::{ColourMode, Samples};
use caf_net::zoo::segformer::SegFormerConfig;
use caf_net::zoo::yolov5::{self as detector, Variant, YoloConfig};
use caf_net::{Dim, Element, Graph};
use caf_tests::arrays::{as_bytes, as_floats, bytes, floats, plane, plane_bytes, rgb_bytes};
use caf_tests::engine::{LIBTORCH, LIBTORCH_DOUBLE, Load, ONNX_FOLDED, ONNX_UNFOLDED, Runner};
use caf_tests::golden::checkpoints;
use caf_tests::parity::{Layout, Rows, Spread, rounding};
use caf_tests::{caf, deeplab, fixture, segformer, yolov5};
use caf_weights::{HostTensor, Weights, save_safetensors};
use std::path::{Path, PathBuf};

/// 8-bit images: rounding may fall to either side of a half.
const LEVELS: f64 = 1.0;
/// Decoded boxes in pixels and probabilities. 1e-4 px is near the rounding of float32 at some hundred pixels (6e-5 at 640), so both
/// have the golden data's tolerances; as shares of the image, boxes are held to 1e-4 like every other value.
const PREDICTIONS: [f64; 2] = [yolov5::BOXES_PX, yolov5::PROBABILITIES];
/// The same behind a resampling of a large image. Each engine rounds sampling positions to float32, 6e-5 px at column 1024: the
/// resampled pixels were 2.3e-5 (libtorch) and 1.9e-5 (ONNX Runtime) off the exact ones, 4.1e-5 off each other, which a detector
/// turns into 1.0e-2 px and 2.3e-5.
const RESAMPLED: [f64; 2] = [5e-2, 1e-4];
const ONNX: [(&str, Load); 2] = [ONNX_FOLDED, ONNX_UNFOLDED];

#[test]
fn fusion_on_onnx_runtime_equals_the_original() {
    let test = "fusion_on_onnx_runtime_equals_the_original";
    let Some(folder) = find(test, "golden/caf") else { return };
    let mut tally = Tally::new(test);
    caf::compare(&mut tally, &folder, caf::Extent::Whole, ONNX_FOLDED);
    caf::compare(&mut tally, &folder, caf::Extent::Crops, ONNX_UNFOLDED);
    tally.finish();
}

#[test]
fn detection_on_onnx_runtime_equals_the_original() {
    let test = "detection_on_onnx_runtime_equals_the_original";
    let Some(folder) = find(test, "golden/yolov5") else { return };
    let mut tally = Tally::new(test);
    for engine in ONNX {
        yolov5::compare(&mut tally, &folder, engine);
    }
    tally.finish();
}

#[test]
fn segmentation_on_onnx_runtime_equals_the_original() {
    let test = "segmentation_on_onnx_runtime_equals_the_original";
    let Some(folder) = find(test, "golden/segformer") else { return };
    let mut tally = Tally::new(test);
    for engine in ONNX {
        segformer::compare(&mut tally, &folder, engine);
    }
    tally.finish();
}

#[test]
fn deeplab_on_onnx_runtime_equals_the_original() {
    let test = "deeplab_on_onnx_runtime_equals_the_original";
    let Some(folder) = find(test, "golden/deeplab") else { return };
    let mut tally = Tally::new(test);
    for engine in ONNX {
        deeplab::compare(&mut tally, &folder, engine);
    }
    tally.finish();
}

/// A graph with its weights.
struct Network<'a> {
    name: &'a str,
    graph: &'a Graph,
    weights: &'a Weights,
    /// What it is run on, where the shape of the input does not tell.
    on: &'a str,
    /// Size of the image that boxes lie in, where it is not the first input itself.
    boxes_in: Option<Size>,
    /// Side of the square part of the inputs that rounding is measured on, px, where the whole takes long in double precision and the
    /// network does the same everywhere.
    part_px: Option<usize>,
}

impl Network<'_> {
    /// How far engines may be apart on each output for an input: by what rounding does to libtorch's. Decoded rows have tolerances of
    /// their own, bytes [`LEVELS`].
    fn tolerances(
        &self,
        libtorch: &mut dyn Runner,
        double: &mut dyn Runner,
        input: &[Array],
        expected: &[Array],
    ) -> Vec<f64> {
        let outputs = graph_outputs(self.graph);
        let measured = |(name, array): (&&str, &Array)| !DECODED.contains(name) && is_float(array);
        if !outputs.iter().zip(expected).any(measured) {
            return vec![LEVELS; outputs.len()];
        }
        let (single, exact) = match self.part_px {
            None => (expected.to_vec(), double.run(input)),
            Some(side) => {
                let part: Vec<Array> = input.iter().map(|array| middle(array, side)).collect();
                (libtorch.run(&part), double.run(&part))
            }
        };
        let of = |(single, exact): (&Array, &Array)| match is_float(single) {
            true => rounding(as_floats(single), as_floats(exact)),
            false => LEVELS,
        };
        single.iter().zip(&exact).map(of).collect()
    }
}

/// Outputs that are decoded rows.
const DECODED: [&str; 2] = ["predictions", "detection.decode"];

fn is_float(array: &Array) -> bool {
    matches!(array.values, caf_engine::Values::F32(_))
}

/// The square in the middle of a plane, `[1, 1, side, side]` of `[1, 1, height, width]`.
fn middle(plane: &Array, side: usize) -> Array {
    let [1, 1, height, width] = plane.shape[..] else { panic!("expected one plane, found {:?}", plane.shape) };
    let (top, left) = ((height - side) / 2, (width - side) / 2);
    let rows = as_floats(plane).chunks_exact(width).skip(top).take(side);
    floats(&[1, 1, side, side], rows.flat_map(|row| &row[left..left + side]).copied().collect())
}

/// Adds the distances of ONNX Runtime's outputs from libtorch's, under names that say what each output is.
fn against_libtorch(tally: &mut Tally, network: &Network<'_>, engines: &[(&str, Load)], inputs: &[Vec<Array>]) {
    let [mut libtorch, mut double] = [LIBTORCH, LIBTORCH_DOUBLE].map(|(_, load)| load(network.graph, network.weights));
    let expected: Vec<(Vec<Array>, Vec<f64>)> = inputs
        .iter()
        .map(|input| {
            let expected = libtorch.run(input);
            let tolerances = network.tolerances(&mut *libtorch, &mut *double, input, &expected);
            (expected, tolerances)
        })
        .collect();
    for (engine, load) in engines {
        let mut runner = load(network.graph, network.weights);
        for (input, (expected, tolerances)) in inputs.iter().zip(&expected) {
            tally.case(&format!("{} {:?} {}", network.name, input[0].shape, network.on));
            let image = network.boxes_in.unwrap_or_else(|| Size::new(input[0].shape[3], input[0].shape[2]));
            let found = runner.run(input);
            let outputs = graph_outputs(network.graph);
            assert!(outputs.len() == found.len() && found.len() == expected.len(), "{}: outputs", network.name);
            let engines = format!("{engine} - libtorch");
            let mut rows = Rows::new(tally, network.name, &engines);
            for (((output, found), expected), tolerance) in
                outputs.into_iter().zip(&found).zip(expected).zip(tolerances)
            {
                add(&mut rows, output, [found, expected], image, *tolerance);
            }
        }
    }
}

fn graph_outputs(graph: &Graph) -> Vec<&str> {
    graph.outputs().iter().map(|output| output.name.as_str()).collect()
}

fn add(rows: &mut Rows<'_>, output: &str, [found, expected]: [&Array; 2], image: Size, tolerance: f64) {
    if !DECODED.contains(&output) {
        rows.add(output, Spread::of_arrays(found, expected), tolerance);
        return;
    }
    assert_eq!(found.shape, expected.shape, "{output}");
    let tolerances = if output == "predictions" { PREDICTIONS } else { RESAMPLED };
    let layout = Layout { columns: *found.shape.last().unwrap(), image };
    rows.detections("predictions", [as_floats(found), as_floats(expected)], &layout, tolerances);
}

#[test]
fn both_engines_agree_on_real_images() {
    let test = "both_engines_agree_on_real_images";
    let (Some(caf_folder), Some(yolo_folder)) = (find(test, "golden/caf"), find(test, "golden/yolov5")) else { return };
    let mut tally = Tally::new(test);
    let graph = fusion::graph(&CafConfig::default()).unwrap();
    let pairs = caf::pairs(&caf_folder);
    for checkpoint in checkpoints(&caf_folder) {
        // One whole image for each network; `fusion_on_onnx_runtime_equals_the_original` has them all.
        let inputs = pairs.iter().take(1).map(|p| vec![plane(&p.ir), plane(&p.luma)]).collect::<Vec<_>>();
        let name = format!("CAF {}", checkpoint.name);
        let network = Network {
            name: &name,
            graph: &graph,
            weights: &checkpoint.weights,
            on: "",
            boxes_in: None,
            part_px: Some(128),
        };
        against_libtorch(&mut tally, &network, &[ONNX_FOLDED], &inputs);
    }
    let (checkpoint, _, config) = yolov5::checkpoint(&yolo_folder);
    let graph = detector::graph(&config).unwrap();
    let inputs: Vec<Vec<Array>> = yolov5::photographs(&yolo_folder).iter().map(|p| vec![p.input()]).collect();
    let network = Network {
        name: &checkpoint.name,
        graph: &graph,
        weights: &checkpoint.weights,
        on: "",
        boxes_in: None,
        part_px: None,
    };
    against_libtorch(&mut tally, &network, &ONNX, &inputs);
    tally.finish();
}

#[test]
fn a_pipeline_of_the_official_checkpoints_agrees_on_real_pairs() {
    let test = "a_pipeline_of_the_official_checkpoints_agrees_on_real_pairs";
    let (Some(caf_folder), Some(yolo_folder)) = (find(test, "golden/caf"), find(test, "golden/yolov5")) else { return };
    let mut tally = Tally::new(test);
    let dir = tempfile::tempdir().unwrap();
    let (detector, _, config) = yolov5::checkpoint(&yolo_folder);
    let task_path = save(dir.path(), "task", &detector.weights);
    let classes: Vec<String> = (0..config.classes).map(|i| format!("class {i}")).collect();
    let tasks = [TaskFile::open(&task_path, Some(&classes)).unwrap()];
    let checkpoint = checkpoints(&caf_folder).remove(0);
    let fusion = FusionFile::open(&save(dir.path(), &checkpoint.name, &checkpoint.weights)).unwrap();
    let name = format!("{} + {}", checkpoint.name, detector.name);
    for pair in &caf::pairs(&caf_folder) {
        let Size { width, height } = pair.ir.size();
        let settings = Settings {
            size: Some(Size { width, height }),
            task_size: Some(Size { width: 320, height: 320 }),
            ..Settings::default()
        };
        let model = Model::new(Parts::Pipeline(&fusion, &tasks), &settings).unwrap();
        let input = vec![plane_bytes(&pair.ir), rgb_bytes(&pair.vi)];
        let graph = model.graph().with_outputs(&["fused.bytes"]).unwrap();
        let (weights, on) = (model.weights(), &*pair.name);
        let network = Network { name: &name, graph: &graph, weights, on, boxes_in: None, part_px: None };
        against_libtorch(&mut tally, &network, &[ONNX_FOLDED], std::slice::from_ref(&input));
        // A value that lies on a half is rounded up by one engine and down by the other, and the detector sees the rounded image: its
        // results are compared behind one and the same image.
        let fused = LIBTORCH.1(&graph, weights).run(&input);
        let model = Model::new(Parts::Tasks(&tasks), &settings).unwrap();
        let graph = model.graph().with_outputs(&["detection.letterbox", "detection.decode"]).unwrap();
        let (weights, boxes_in) = (model.weights(), boxes_in(&model));
        let network = Network { name: &name, graph: &graph, weights, on, boxes_in, part_px: None };
        against_libtorch(&mut tally, &network, &[ONNX_FOLDED], &[fused]);
    }
    tally.finish();
}

/// The size of a model's letterbox, if it has a detector.
fn boxes_in(model: &Model) -> Option<Size> {
    model.contract().tasks.first()?.input()
}

fn save(folder: &Path, name: &str, weights: &Weights) -> PathBuf {
    let path = folder.join(format!("{name}.safetensors"));
    save_safetensors(weights, &path).unwrap();
    path
}

fn tiny_detector() -> YoloConfig {
    YoloConfig { width: 0.125, ..YoloConfig::new(Variant::N, 3) }
}

/// Seeded images for every input of a graph, named extents as given.
fn images(graph: &Graph, extents: &[(&str, usize)], seed: u64) -> Vec<Array> {
    let extent = |dim: &Dim| match dim {
        Dim::Fixed(n) => *n,
        Dim::Named(name) => extents.iter().find(|(known, _)| known == name).unwrap().1,
        Dim::Shifted { .. } | Dim::Any => panic!("an input of unknown size"),
    };
    let inputs = graph.inputs().iter().zip(seed..);
    inputs
        .map(|(input, seed)| {
            let ty = graph.type_of(input.value);
            let shape: Vec<usize> = ty.dims.iter().map(extent).collect();
            let len = shape.iter().product();
            match ty.element {
                Element::F32 => floats(&shape, fixture::image(len, shape[3], seed)),
                Element::U8 => bytes(&shape, fixture::image_bytes(len, shape[2] * shape[3], seed)),
            }
        })
        .collect()
}

#[test]
fn both_engines_agree_on_seeded_networks_of_any_size_and_batch() {
    let mut tally = Tally::new("both_engines_agree_on_seeded_networks_of_any_size_and_batch");
    let small = CafConfig { width: 8, depth: 2, normalised: true };
    let extents = |n, h, w| [("batch", n), ("height", h), ("width", w)];
    let of_sizes = |graph: &Graph, sizes: [(usize, usize, usize); 3], seed| -> Vec<Vec<Array>> {
        sizes.iter().map(|(n, h, w)| images(graph, &extents(*n, *h, *w), seed)).collect()
    };
    for (name, config) in
        [("CAF 8 wide", small), ("CAF plain", CafConfig { normalised: false, ..small }), ("CAF", CafConfig::default())]
    {
        let graph = fusion::graph(&config).unwrap();
        let weights = fixture::weights(&graph, 11);
        let network = Network { name, graph: &graph, weights: &weights, on: "", boxes_in: None, part_px: None };
        let inputs = of_sizes(&graph, [(1, 16, 16), (2, 37, 53), (3, 64, 40)], 5);
        against_libtorch(&mut tally, &network, &ONNX, &inputs);
    }
    let tiny = SegFormerConfig {
        widths: [8, 16, 40, 64],
        decoder_width: 32,
        ..SegFormerConfig::new(caf_net::zoo::segformer::Variant::B0, 9)
    };
    let graph = segformer::graph(&tiny).with_outputs(&["decode_head.linear_pred"]).unwrap();
    let weights = fixture::weights(&graph, 13);
    let network =
        Network { name: "SegFormer tiny", graph: &graph, weights: &weights, on: "", boxes_in: None, part_px: None };
    let inputs = of_sizes(&graph, [(1, 96, 128), (2, 90, 121), (3, 33, 47)], 8);
    against_libtorch(&mut tally, &network, &ONNX, &inputs);
    let bound = graph.bind(&extents(2, 90, 121)).unwrap();
    let network = Network { name: "SegFormer tiny, bound", graph: &bound, ..network };
    against_libtorch(&mut tally, &network, &ONNX, &[images(&bound, &[], 9)]);
    let graph = detector::graph(&tiny_detector()).unwrap();
    let weights = fixture::weights(&graph, 12);
    let network =
        Network { name: "YOLOv5 tiny", graph: &graph, weights: &weights, on: "", boxes_in: None, part_px: None };
    let inputs = of_sizes(&graph, [(1, 64, 96), (2, 32, 32), (2, 128, 64)], 6);
    against_libtorch(&mut tally, &network, &ONNX, &inputs);
    // The same with every extent fixed: the grid of the decoding is then a constant.
    let bound = graph.bind(&extents(2, 64, 96)).unwrap();
    let network = Network { name: "YOLOv5 tiny, bound", graph: &bound, ..network };
    against_libtorch(&mut tally, &network, &ONNX, &[images(&bound, &[], 7)]);
    tally.finish();
}

/// Files of a seeded fusion network and a seeded detector.
struct Files {
    _dir: tempfile::TempDir,
    fusion: PathBuf,
    task: PathBuf,
}

fn files() -> Files {
    let dir = tempfile::tempdir().unwrap();
    let graph = fusion::graph(&CafConfig { width: 8, depth: 2, normalised: true }).unwrap();
    let fusion = save(dir.path(), "fusion", &fixture::weights(&graph, 21));
    let graph = detector::graph(&tiny_detector()).unwrap();
    let task = save(dir.path(), "task", &fixture::weights(&graph, 22));
    Files { _dir: dir, fusion, task }
}

fn three_classes() -> [String; 3] {
    ["person", "car", "lamp"].map(str::to_owned)
}

#[test]
fn pipelines_of_every_kind_agree_and_keep_their_contract() {
    let files = files();
    let fusion = FusionFile::open(&files.fusion).unwrap();
    let tasks = [TaskFile::open(&files.task, Some(&three_classes())).unwrap()];
    let mut tally = Tally::new("pipelines_of_every_kind_agree_and_keep_their_contract");
    let mut contracts = 0;
    // Wider than high, smaller than the detector's input, with a border above and below; no side is a multiple of four.
    let size = Some(Size { width: 90, height: 47 });
    let task_size = Some(Size { width: 128, height: 96 });
    for samples in [Samples::Bytes, Samples::Unit] {
        for colour in [ColourMode::Rgb, ColourMode::Gray] {
            let settings = Settings { samples, colour, size: None, batch: None, task_size, ir_range: None };
            let with_size = Settings { size, ..settings };
            let one = Settings { batch: Some(1), ..with_size };
            for (kind, parts, settings) in [
                ("fusion", Parts::Fusion(&fusion), settings),
                ("detector", Parts::Tasks(&tasks), with_size),
                ("pipeline", Parts::Pipeline(&fusion, &tasks), with_size),
                ("pipeline of one", Parts::Pipeline(&fusion, &tasks), one),
                ("detector of any size", Parts::Tasks(&tasks), settings),
                ("pipeline of any size", Parts::Pipeline(&fusion, &tasks), settings),
            ] {
                if kind.starts_with("detector") && colour == ColourMode::Gray {
                    continue;
                }
                let model = Model::new(parts, &settings).unwrap();
                let extents = [("batch", 2), ("height", 47), ("width", 90)];
                let inputs = images(model.graph(), &extents, 31);
                let name = format!("{kind} {samples:?} {colour:?}");
                let (graph, weights) = (model.graph(), model.weights());
                let network =
                    Network { name: &name, graph, weights, on: "", boxes_in: boxes_in(&model), part_px: None };
                against_libtorch(&mut tally, &network, &ONNX, &[inputs]);
                check_contract(&model, parts, &files);
                contracts += 1;
            }
        }
    }
    tally.add("contracts read back", contracts, 0.0, 0.0);
    tally.finish();
}

/// What the file says about itself, against the model, the weight files and the ports that ONNX Runtime sees.
fn check_contract(model: &Model, parts: Parts<'_>, files: &Files) {
    let engine = Engine::from_bytes("model", &model.to_onnx(true).unwrap(), EngineOptions::CPU).unwrap();
    let contract = Contract::from_metadata(engine.metadata(METADATA_KEY).as_deref()).unwrap();
    assert_eq!(&contract, model.contract());
    let hash = |path: &Path| Sha256Hash::of_file(path).unwrap().to_string();
    let expected: Vec<(&str, String)> = match parts {
        Parts::Fusion(_) => vec![("fusion", hash(&files.fusion))],
        Parts::Tasks(_) => vec![("task", hash(&files.task))],
        Parts::Pipeline(..) => vec![("fusion", hash(&files.fusion)), ("task", hash(&files.task))],
    };
    let found: Vec<(&str, String)> = contract.sources.iter().map(|s| (s.role.as_str(), s.sha256.clone())).collect();
    assert_eq!(found, expected);
    if let Some(detector) = contract.tasks.first() {
        assert_eq!(detector.classes(), ["person", "car", "lamp"]);
        assert_eq!(detector.input(), Some(Size::new(128, 96)));
    }
    for (ports, real) in [(&contract.inputs, engine.inputs()), (&contract.outputs, engine.outputs())] {
        let promised: Vec<GraphPort> = ports
            .iter()
            .map(|port| {
                let extent = |e: &caf_contract::Extent| match e {
                    caf_contract::Extent::Fixed(n) => *n as i64,
                    caf_contract::Extent::Named(_) | caf_contract::Extent::Open => -1,
                };
                let shape = port.shape.iter().map(extent).collect();
                GraphPort { name: port.name.clone(), element: port.element.name().to_owned(), shape }
            })
            .collect();
        assert_eq!(promised, real);
    }
}

#[test]
fn colour_inside_the_graph_is_that_of_the_programs_outside_it() {
    // A fused luma equal to the visible one must give back the visible image: the graph's conversion and its inverse meet.
    let files = files();
    let fusion = FusionFile::open(&files.fusion).unwrap();
    let model = Model::new(Parts::Fusion(&fusion), &Settings::default()).unwrap();
    let gray = Model::new(
        Parts::Fusion(&fusion),
        &Settings { colour: ColourMode::Gray, samples: Samples::Unit, ..Settings::default() },
    )
    .unwrap();
    let (height, width) = (23, 31);
    let ir = fixture::image_bytes(height * width, width, 41);
    let vi = fixture::image_bytes(height * width * 3, width * 3, 42);
    let visible = caf_image::Rgb8::new(Size { width, height }, vi.clone()).unwrap();
    let luma = caf_image::color::luma(&visible);
    let unit = ir.iter().map(|v| f32::from(*v) / 255.0).collect();
    let fused = ONNX_FOLDED.1(gray.graph(), gray.weights())
        .run(&[floats(&[1, 1, height, width], unit), plane(&luma)])
        .remove(0);
    let inputs = [bytes(&[1, height, width, 1], ir), bytes(&[1, height, width, 3], vi)];
    let coloured = ONNX_FOLDED.1(model.graph(), model.weights()).run(&inputs).remove(0);
    let expected: Vec<u8> = visible
        .pixels()
        .zip(as_floats(&fused))
        .flat_map(|(rgb, y)| {
            // BT.601, full range: the luma is exchanged, Cb and Cr stay.
            let [r, g, b] = rgb.map(|v| f32::from(v) / 255.0);
            let before = 0.299 * r + 0.587 * g + 0.114 * b;
            let (cb, cr) = ((b - before) / 1.772, (r - before) / 1.402);
            let green = y - (0.299 * 1.402 * cr + 0.114 * 1.772 * cb) / 0.587;
            [y + 1.402 * cr, green, y + 1.772 * cb].map(|v| (v * 255.0).clamp(0.0, 255.0).round_ties_even() as u8)
        })
        .collect();
    let mut tally = Tally::new("colour_inside_the_graph_is_that_of_the_programs_outside_it");
    tally.case("seeded image");
    let found = as_bytes(&coloured);
    tally.close("RGB bytes (levels)", found, &expected, LEVELS);
    tally.finish();
}

#[test]
fn weights_that_do_not_fit_are_listed_and_nothing_is_written() {
    let graph = fusion::graph(&CafConfig { width: 4, depth: 1, normalised: true }).unwrap();
    let whole = fixture::weights(&graph, 51);
    let mut broken = Weights::new();
    for (name, tensor) in whole.iter() {
        let tensor = match name {
            "encoder2.0.weight" => continue,
            "fuse.0.0.bias" => HostTensor::from_f32(&[2], &[0.0; 2]).unwrap(),
            "fuse.1.1.weight" => HostTensor::from_f32(tensor.shape(), &vec![f32::NAN; tensor.len()]).unwrap(),
            _ => tensor.clone(),
        };
        broken.insert(name, tensor).unwrap();
    }
    broken.insert("stray", HostTensor::from_f32(&[1], &[0.0]).unwrap()).unwrap();
    let error = onnx(&graph, &broken, &ExportOptions::default()).unwrap_err();
    assert!(matches!(error, ExportError::Weights(_)));
    let text = error.to_string();
    for part in ["encoder2.0.weight", "fuse.0.0.bias", "fuse.1.1.weight", "stray"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let dir = tempfile::tempdir().unwrap();
    let error = FusionFile::open(&save(dir.path(), "broken", &broken)).unwrap_err();
    assert!(format!("{error:?}").contains("stray"), "{error:?}");
}

#[test]
fn a_foreign_onnx_file_is_refused_by_name() {
    let graph = fusion::graph(&CafConfig { width: 4, depth: 1, normalised: false }).unwrap();
    let without = onnx(&graph, &fixture::weights(&graph, 61), &ExportOptions::default()).unwrap();
    let engine = Engine::from_bytes("without", &without, EngineOptions::CPU).unwrap();
    let error = Contract::from_metadata(engine.metadata(METADATA_KEY).as_deref()).unwrap_err();
    assert!(error.to_string().contains("not written by caf-export"), "{error}");
    for bytes in [&without[..without.len() / 2], b"no model".as_slice(), b""] {
        assert!(Engine::from_bytes("damaged", bytes, EngineOptions::CPU).is_err(), "{} bytes", bytes.len());
    }
    let missing = Engine::open(Path::new("absent.onnx"), EngineOptions::CPU).unwrap_err();
    assert!(missing.to_string().contains("absent.onnx"), "{missing}");
}
