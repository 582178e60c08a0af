//! Rendered pairs → search → fusion training → fused images → detector training → ONNX, as a program would call it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop at the line that fails")]

use caf_console::{Silent, StopFlag};
use caf_export::model::{FusionFile, Model, Parts, Settings, Size, TaskFile};
use caf_geometry::{NmsSettings, nms};
use caf_golden::Tally;
use caf_image::{IrRange, image_size, read_ir, read_vi};
use caf_search::fusion::{Method, train};
use caf_search::search::{BetaFile, run};
use caf_search::task_training::{self, files};
use caf_tests::arrays::{as_bytes, as_floats, plane_bytes, rgb_bytes};
use caf_tests::engine::{LIBTORCH, ONNX_FOLDED};
use caf_tests::parity::{Layout, Rows, Spread};
use caf_tests::scenes::{SIZE, Scenes};
use caf_tests::yolov5::{BOXES_PX, PROBABILITIES};

#[test]
fn from_rendered_pairs_to_a_model_on_onnx_runtime() {
    let scenes = Scenes::new(1);
    let stop = StopFlag::default();

    let searched = scenes.out("search");
    let finished = run(&scenes.search(3), &searched, &Silent, &stop).unwrap();
    assert_eq!((finished.iterations, finished.interrupted), (3, false));
    let beta = BetaFile::read(&searched.join("beta.toml")).unwrap();
    assert_eq!(beta, finished.beta);
    let sum: f64 = beta.weights.values().sum();
    // Weights of a softmax; the perceptual terms are off without features.
    assert!(beta.weights.len() == 13 && (sum - 1.0).abs() < 1e-6, "{:?}", beta.weights);
    assert!(beta.weights.values().any(|w| (w - 1.0 / 13.0).abs() > 1e-4), "β has not moved: {:?}", beta.weights);
    assert_eq!(std::fs::read_to_string(searched.join("log.csv")).unwrap().lines().count(), 4);

    let trained = scenes.out("fusion");
    let config = scenes.fusion(searched.join("beta.toml"), 3);
    let finished = train(&config, &trained, &Silent, &stop).unwrap();
    assert!(finished.iterations == 3 && !finished.interrupted && finished.last_loss.is_some_and(f64::is_finite));
    let fusion_path = trained.join("fusion.safetensors");
    assert_eq!(std::fs::read_dir(trained.join("panels")).unwrap().count(), 2);

    let fused = scenes.out("fused");
    let method = Method::Network(fusion_path.clone());
    for list in ["train.txt", "val.txt"] {
        assert_eq!(scenes.fuse(list, &method, &fused).unwrap().written, scenes.dataset(list).len());
    }

    let tasked = scenes.out("task");
    let outcome = task_training::train(&scenes.task(&fused), &tasked, &Silent, &stop).unwrap();
    assert!(!outcome.interrupted && outcome.iterations == 2 && outcome.last_report.is_some());

    let fusion = FusionFile::open(&fusion_path).unwrap();
    let tasks = [TaskFile::open(&tasked.join(files::LAST), None).unwrap()];
    let Size { width, height } = SIZE;
    let settings = Settings { size: Some(Size { width, height }), ..Settings::default() };
    let model = Model::new(Parts::Pipeline(&fusion, &tasks), &settings).unwrap();
    assert!(model.contract().fuses());
    // Class names and size of the detector's images came along in its file.
    let detector = &model.contract().tasks[0];
    assert_eq!(detector.classes(), scenes.dataset("val.txt").classes());
    assert_eq!(detector.input(), Some(Size { width: 128, height: 96 }));

    let mut tally = Tally::new("from_rendered_pairs_to_a_model_on_onnx_runtime");
    let mut engines = [LIBTORCH, ONNX_FOLDED].map(|(_, load)| load(model.graph(), model.weights()));
    // A value on a half may be rounded up by one engine and down by the other: detectors are compared behind the same image.
    let lone = Model::new(Parts::Tasks(&tasks), &settings).unwrap();
    let mut detectors = [LIBTORCH, ONNX_FOLDED].map(|(_, load)| load(lone.graph(), lone.weights()));
    let layout = Layout { columns: 5 + detector.classes().len(), image: detector.input().unwrap() };
    for entry in scenes.dataset("val.txt").entries() {
        tally.case(&entry.name);
        let (ir, vi) = (read_ir(&entry.ir, IrRange::Full).unwrap(), read_vi(&entry.vi).unwrap());
        let input = [plane_bytes(&ir), rgb_bytes(&vi)];
        let [libtorch, onnx] = engines.each_mut().map(|engine| engine.run(&input));
        let mut rows = Rows::new(&mut tally, "chain", "ONNX Runtime - libtorch");
        rows.add("fused (levels)", Spread::of_arrays(&onnx[0], &libtorch[0]), 1.0);
        let [libtorch, lone] = detectors.each_mut().map(|detector| detector.run(&onnx[..1]).remove(0));
        rows.detections("predictions", [&lone, &libtorch].map(as_floats), &layout, [BOXES_PX, PROBABILITIES]);
        // In one graph with the fusion network the detector sees what is shown.
        let mut rows = Rows::new(&mut tally, "chain", "one graph - two");
        rows.detections("predictions", [&onnx[1], &lone].map(as_floats), &layout, [BOXES_PX, PROBABILITIES]);
        // The program that fuses folders and the model on the vehicle show the same image.
        let written = read_vi(&fused.join(format!("{}.png", entry.name))).unwrap();
        let mut rows = Rows::new(&mut tally, "chain", "ONNX Runtime - `fuse`");
        rows.close("fused (levels)", as_bytes(&onnx[0]), written.data(), 1.0);
        nms(as_floats(&onnx[1]), detector.classes().len(), &NmsSettings::validation()).unwrap();
    }
    tally.finish();
    let left = std::fs::read_dir(&fused).unwrap().map(|entry| entry.unwrap().path());
    let (origin, images): (Vec<_>, Vec<_>) = left.partition(|path| path.ends_with(".made-by"));
    assert_eq!((origin.len(), images.is_empty()), (1, false));
    for image in images {
        assert_eq!(image_size(&image).unwrap().wh(), [width, height], "only finished images are left");
    }
}
