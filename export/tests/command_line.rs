//! The program as a person calls it, on small fresh networks.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "helpers of tests stop at the line that fails"
)]

mod common;

use caf_contract::Extent;
use caf_geometry::Size;
use caf_net::zoo::caf::{self, CafConfig};
use caf_net::zoo::segformer::{self, SegFormerConfig};
use caf_weights::{HostTensor, initial, save_safetensors};
use common::engine_present;
use common::folder::Folder;
use std::path::Path;

#[test]
fn a_fusion_model_is_written_and_verified() {
    if !engine_present("a_fusion_model_is_written_and_verified") {
        return;
    }
    let f = Folder::new();
    for (options, element) in [("", "u8"), ("--gray", "u8"), ("--float", "f32"), ("--float --gray --batch any", "f32")]
    {
        f.good(&format!("onnx --fusion fusion.safetensors {options} -o m.onnx --json report.json"));
        let out = f.good("verify m.onnx --against fusion.safetensors --runs 1 --json verify.json");
        assert!(out.contains("runs as its contract says") && out.contains("m.onnx: is made of its weights"), "{out}");
        let report: serde_json::Value = serde_json::from_slice(&std::fs::read(f.path("verify.json")).unwrap()).unwrap();
        assert_eq!(report["contract"]["inputs"][1]["element"], element);
        let fused = &report["against_weights"][0];
        println!("{options}: {fused}");
        let [low, high] = [0, 1].map(|i| fused["range"][i].as_f64().unwrap());
        assert!(high > low, "a constant image compares nothing");
        let [found, limit] = [&fused["max_abs"], &fused["limit"]["max_abs"]].map(|value| value.as_f64().unwrap());
        assert!(found <= limit, "{found} > {limit}");
    }
    assert_eq!(f.contract("m.onnx").summary(), "fuses");
    assert_eq!(f.contract("m.onnx").inputs[0].shape[0], Extent::Named("batch".into()));
}

#[test]
fn a_pipeline_and_a_detector_are_written_and_verified() {
    if !engine_present("a_pipeline_and_a_detector_are_written_and_verified") {
        return;
    }
    let f = Folder::new();
    f.good("onnx --fusion fusion.safetensors --task task.safetensors --size 117x61 -o p.onnx");
    let detector = f.contract("p.onnx").tasks.remove(0);
    assert_eq!(detector.classes(), ["person", "car"]);
    assert_eq!(detector.input(), Some(Size::new(128, 128)));
    // The whole input, whatever the image: 16×16, 8×8 and 4×4 cells of 3 anchors.
    assert_eq!(f.contract("p.onnx").outputs[1].shape[1], Extent::Fixed(3 * (16 * 16 + 8 * 8 + 4 * 4)));
    let out = f.good("verify p.onnx --against fusion.safetensors --task task.safetensors --runs 1");
    assert!(out.contains("predictions: boxes: at most") && out.contains("predictions: scores: at most"), "{out}");
    // One model for every size.
    f.good("onnx --fusion fusion.safetensors --task task.safetensors -o any.onnx");
    assert_eq!(f.contract("any.onnx").outputs[1], f.contract("p.onnx").outputs[1]);
    assert_eq!(f.contract("any.onnx").outputs[0].shape[1], Extent::Named("height".into()));
    for size in ["117x61", "61x117", "128x128", "301x40"] {
        f.good(&format!("verify any.onnx --against fusion.safetensors --task task.safetensors --runs 1 --size {size}"));
    }
    // The same network from a file that does not say what it is.
    f.good("onnx --task silent.safetensors --classes classes.txt --size 128x64 --task-size 64x64 --no-fold -o d.onnx");
    assert_eq!(f.contract("d.onnx").summary(), "detects");
    f.good("verify d.onnx --task silent.safetensors --runs 1");
    let err = f.bad("verify d.onnx --task task.safetensors --runs 1", 1);
    assert!(err.contains("expected it to be made from task"), "{err}");
}

#[test]
fn a_segmentation_is_written_and_verified_alone_and_beside_a_detector() {
    if !engine_present("a_segmentation_is_written_and_verified_alone_and_beside_a_detector") {
        return;
    }
    let f = Folder::new();
    let published = SegFormerConfig::new(segformer::Variant::B0, 4);
    let config = SegFormerConfig { widths: [8, 16, 40, 64], depths: [1; 4], decoder_width: 16, ..published };
    let mut weights = initial(segformer::graph(&config).unwrap().params(), 3).unwrap();
    weights.set_metadata("network", "segformer");
    weights.set_metadata("config", serde_json::to_string(&config).unwrap());
    weights.set_metadata("classes", r#"["road","person","car","sky"]"#);
    save_safetensors(&weights, f.path("seg.safetensors")).unwrap();
    f.good("onnx --fusion fusion.safetensors --task seg.safetensors -o s.onnx");
    let contract = f.contract("s.onnx");
    assert_eq!(contract.summary(), "fuses and segments");
    assert_eq!(contract.tasks[0].classes(), ["road", "person", "car", "sky"]);
    assert_eq!(contract.outputs[1].to_string(), "class_map: u8 [1, height, width]");
    let out = f.good("verify s.onnx --against fusion.safetensors --task seg.safetensors --runs 1 --size 77x64");
    assert!(out.contains("class_map: at most"), "{out}");
    f.good("onnx --task seg.safetensors --size 64x48 -o lone.onnx");
    assert_eq!(f.contract("lone.onnx").outputs[0].shape, [1, 48, 64].map(Extent::Fixed));
    let err = f.bad("onnx --task seg.safetensors --task-size 64x64 -o no.onnx", 2);
    assert!(err.contains("at its own size"), "{err}");
    // Beside a detector, which sees the same image.
    let weights = "--task task.safetensors --task seg.safetensors";
    f.good(&format!("onnx --fusion fusion.safetensors {weights} --task-size 96x64 -o both.onnx"));
    let contract = f.contract("both.onnx");
    assert_eq!(contract.summary(), "fuses, detects and segments");
    assert_eq!(contract.tasks[0].input(), Some(Size::new(96, 64)));
    let sources: Vec<&str> = contract.sources.iter().map(|source| source.role.as_str()).collect();
    assert_eq!(sources, ["fusion", "task", "task"]);
    let out = f.good(&format!("verify both.onnx --against fusion.safetensors {weights} --runs 1 --size 77x64"));
    assert!(out.contains("predictions: boxes: at most") && out.contains("class_map: at most"), "{out}");
    for (line, words) in [
        ("verify both.onnx --against fusion.safetensors --task task.safetensors", "has 2 tasks: give --against"),
        ("onnx --task task.safetensors --task silent.safetensors -o no.onnx", "names no classes"),
        (
            "onnx --task task.safetensors --task task.safetensors -o no.onnx",
            "one network a task, found two for detection",
        ),
        ("onnx --task task.safetensors --task seg.safetensors --classes classes.txt -o no.onnx", "expected one --task"),
    ] {
        let err = f.bad(line, 2);
        assert!(err.contains(words), "{err}");
    }
}

/// Every task network of the list, its smallest published size, from a file that says nothing of itself.
#[test]
fn every_task_network_becomes_part_of_a_model() {
    if !engine_present("every_task_network_becomes_part_of_a_model") {
        return;
    }
    let f = Folder::new();
    for kind in caf_net::zoo::TASK_NETWORKS {
        let network = kind.parse(serde_json::json!({"classes": 2})).unwrap();
        let graph = network.graph().unwrap();
        let file = f.path("any.safetensors");
        save_safetensors(&initial(graph.params(), 4).unwrap(), &file).unwrap();
        f.good(
            "onnx --fusion fusion.safetensors --task any.safetensors --classes classes.txt --size 96x64 -o any.onnx",
        );
        let contract = f.contract("any.onnx");
        let [task] = &contract.tasks[..] else { panic!("{}: {:?}", kind.kind, contract.tasks) };
        assert_eq!(task.classes(), ["person", "car"], "{}", kind.kind);
        assert_eq!(task.output(), graph.outputs()[0].name, "{}", kind.kind);
        assert_eq!(contract.outputs[1].name, task.output(), "{}", kind.kind);
        f.good("verify any.onnx --against fusion.safetensors --task any.safetensors --runs 1");
    }
}

#[test]
fn wrong_calls_exit_with_two() {
    let f = Folder::new();
    f.bad("onnx -o m.onnx", 2);
    f.bad("onnx --fusion fusion.safetensors --size 640 -o m.onnx", 2);
    let err = f.bad("onnx --task silent.safetensors --size 64x64 -o m.onnx", 2);
    assert!(err.contains("--classes"), "{err}");
    f.bad("onnx --task task.safetensors --size 64x64 --task-size 65x64 -o m.onnx", 2);
    for (line, words) in [
        ("onnx --fusion absent.safetensors -o m.onnx", ["--fusion", "No such file"]),
        ("onnx --fusion . -o m.onnx", ["--fusion", "expected a file"]),
        ("onnx --fusion fusion.safetensors -o fusion.safetensors", ["--output", "--fusion"]),
        ("onnx --fusion fusion.safetensors -o m.onnx --json m.onnx", ["--json", "--output"]),
        ("verify classes.txt --json classes.txt", ["--json", "MODEL"]),
        ("verify absent.onnx", ["MODEL: absent.onnx: ", "No such file"]),
    ] {
        let err = f.bad(line, 2);
        assert!(words.iter().all(|word| err.contains(word)) && err.matches("absent").count() <= 1, "{err}");
    }
    assert_eq!(std::fs::read(f.path("classes.txt")).unwrap(), b"person\ncar\n");
    f.bad("nonsense", 2);
    assert!(!f.path("m.onnx").exists());
    for help in ["--help", "onnx --help", "verify --help"] {
        assert!(f.good(help).contains("xample") || help == "--help");
    }
}

#[test]
fn sizes_that_no_memory_holds_are_refused() {
    let f = Folder::new();
    for size in ["--size 65535x65535 --batch 4096", "--size 65535x65535", "--size 640x480 --batch 4096"] {
        let err = f.bad(&format!("onnx --fusion fusion.safetensors {size} -o m.onnx"), 2);
        assert!(err.contains("from 1 to 268435456 elements"), "{err}");
    }
    assert!(!f.path("m.onnx").exists());
    if engine_present("sizes_that_no_memory_holds_are_refused") {
        f.good("onnx --fusion fusion.safetensors -o m.onnx");
        let err = f.bad("verify m.onnx --size 65535x65535", 2);
        assert!(
            err.contains("input `ir`: expected from 1 to 268435456 elements, found extents [1, 65535, 65535, 1]"),
            "{err}"
        );
    }
}

#[test]
fn files_of_another_kind_are_wrong_calls_bad_files_exit_with_one_and_nothing_is_left() {
    let f = Folder::new();
    let err = f.bad("onnx --fusion task.safetensors -o m.onnx", 2);
    assert!(err.contains("expected the weights of a fusion network") && err.contains("= `yolov5`"), "{err}");
    let err = f.bad("onnx --fusion silent.safetensors -o m.onnx", 2);
    assert!(err.contains("expected the weights of a fusion network") && err.contains("`model.0.conv.weight`"), "{err}");
    std::fs::write(f.path("words.txt"), "by hand\n").unwrap();
    let err = f.bad("onnx --fusion words.txt -o m.onnx", 2);
    assert!(err.contains("words.txt: expected safetensors or a PyTorch checkpoint, found a text file"), "{err}");
    let err = f.bad("onnx --fusion fusion.safetensors -o absent/m.onnx", 2);
    assert!(err.contains("absent"), "{err}");
    std::fs::write(f.path("one.txt"), "person\n").unwrap();
    let err = f.bad("onnx --task silent.safetensors --classes one.txt --size 64x64 -o m.onnx", 2);
    assert!(err.contains("head's 2 classes, found 1"), "{err}");
    let mut broken = caf_weights::load_safetensors(f.path("fusion.safetensors")).unwrap();
    broken.replace("fuse.1.0.bias", HostTensor::from_f32(&[3], &[0.0; 3]).unwrap());
    broken.insert("spare", HostTensor::from_f32(&[1], &[f32::NAN]).unwrap()).unwrap();
    save_safetensors(&broken, f.path("broken.safetensors")).unwrap();
    let err = f.bad("onnx --fusion broken.safetensors -o m.onnx", 1);
    assert!(err.contains("spare") && err.contains("expected [8], found [3]"), "{err}");
    let whole = std::fs::read(f.path("fusion.safetensors")).unwrap();
    std::fs::write(f.path("short.safetensors"), &whole[..whole.len() - 5]).unwrap();
    let err = f.bad("onnx --fusion short.safetensors -o m.onnx", 1);
    assert!(err.contains("truncated"), "{err}");
    assert!(!f.path("m.onnx").exists());
    let kept = |p: &Path| p.extension().is_some_and(|e| e == "safetensors" || e == "txt");
    assert!(std::fs::read_dir(f.0.path()).unwrap().all(|e| kept(&e.unwrap().path())), "something was left behind");
}

#[test]
fn foreign_and_damaged_models_are_refused() {
    if !engine_present("foreign_and_damaged_models_are_refused") {
        return;
    }
    let f = Folder::new();
    let graph = caf::graph(&CafConfig { width: 8, depth: 2, normalised: true }).unwrap();
    let weights = initial(graph.params(), 1).unwrap();
    let foreign = caf_export::onnx(&graph, &weights, &caf_export::ExportOptions::default()).unwrap();
    std::fs::write(f.path("foreign.onnx"), foreign).unwrap();
    assert!(f.bad("verify foreign.onnx", 2).contains("caf.contract"));
    // A file of another kind is a wrong call, of whatever command.
    for command in ["verify", "bench", "gate --against foreign.onnx --held-out ."] {
        let err = f.bad(&format!("{command} classes.txt"), 2);
        assert!(err.contains("classes.txt"), "{err}");
    }
    f.good("onnx --fusion fusion.safetensors --size 64x48 -o m.onnx");
    let bytes = std::fs::read(f.path("m.onnx")).unwrap();
    std::fs::write(f.path("short.onnx"), &bytes[..bytes.len() / 2]).unwrap();
    f.bad("verify short.onnx", 1);
    // Another promise of the same length: the width is 65, not 64.
    let at = bytes.windows(12).position(|w| w == b"\"shape\":[1,4").unwrap();
    let mut lying = bytes.clone();
    let width = lying[at..].windows(3).position(|w| w == b",64").unwrap() + at + 2;
    lying[width] = b'5';
    std::fs::write(f.path("lying.onnx"), lying).unwrap();
    let err = f.bad("verify lying.onnx", 1);
    assert!(err.contains("does not keep its contract") && err.contains("input `ir`"), "{err}");
}
