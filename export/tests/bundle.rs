//! `caf-export bundle` on small fresh networks, and the bundle damaged in every way.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "helpers of tests stop at the line that fails"
)]

mod common;

use caf_bundle::{Bundle, BundleError, FileFault, MANIFEST, ManifestFault, PublicKey, SIGNATURE, SecretKey, Trust};
use caf_contract::{IrRange, Values};
use caf_engine::{Engine, EngineOptions};
use caf_export::model::{FusionFile, Model, Parts, Settings, TaskFile};
use caf_geometry::Size;
use caf_reference::Array as Reference;
use common::engine_present;
use common::folder::Folder;
use std::path::{Path, PathBuf};

const RIG: &str = "version = 2\n[visible]\nwidth_px = 64\nheight_px = 48\nfx_px = 50.0\nfy_px = 50.0\ncx_px = 32.0\ncy_px = 24.0\n\
    [infrared]\nwidth_px = 32\nheight_px = 24\nfx_px = 25.0\nfy_px = 25.0\ncx_px = 16.0\ncy_px = 12.0\n\
    [vis_from_ir]\nrotation = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]\ntranslation_m = [0.1, 0.0, 0.0]\n";

fn folder() -> Folder {
    let f = Folder::new();
    std::fs::write(f.path("secret.key"), "07".repeat(32)).unwrap();
    let public = SecretKey::read(&f.path("secret.key")).unwrap().public();
    std::fs::write(f.path("public.key"), public.to_string()).unwrap();
    std::fs::write(f.path("rig.toml"), RIG).unwrap();
    std::fs::write(f.path("beta.toml"), "by hand\n").unwrap();
    std::fs::write(f.path("config.toml"), "by hand, too\n").unwrap();
    f
}

/// The options of a bundle with everything in it.
const ALL: &str = "--fusion fusion.safetensors --task task.safetensors --rig rig.toml --rig-distance-m 20 --beta beta.toml \
    --run config.toml --probe-size 37x29 --conf 0.3 --ir-range 7000..9000 --external-data --key secret.key";

fn open(f: &Folder, name: &str) -> Result<Bundle, BundleError> {
    Bundle::open(&f.path(name), &Trust::Integrity)
}

/// Every file of a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn a_bundle_holds_all_that_a_vehicle_needs() {
    if !engine_present("a_bundle_holds_all_that_a_vehicle_needs") {
        return;
    }
    let f = folder();
    let out = f.good(&format!("bundle {ALL} -o b --json report.json"));
    assert!(out.contains("signed by") && out.contains("generated-1 predictions: scores: at most"), "{out}");
    let keys = Trust::Keys(vec![PublicKey::read(&f.path("public.key")).unwrap()]);
    let bundle = Bundle::open(&f.path("b"), &keys).unwrap();
    let manifest = bundle.manifest();
    assert_eq!(manifest.infrared_range, IrRange::Window { min: 7000.0, max: 9000.0 });
    assert_eq!(manifest.detection.unwrap().score, 0.3);
    assert_eq!(manifest.rig.as_ref().unwrap().distance_m, Some(20.0));
    assert_eq!(bundle.rig().unwrap().0, RIG);
    assert_eq!(manifest.tasks[0].classes, ["person", "car"]);
    let weights = FusionFile::open(&f.path("fusion.safetensors")).unwrap();
    assert_eq!(manifest.made.sources[0].sha256, weights.sha256().to_string());
    for (name, text) in [(&manifest.made.beta, "by hand\n"), (&manifest.made.run, "by hand, too\n")] {
        assert_eq!(&**bundle.bytes(name.as_ref().unwrap()).unwrap(), text.as_bytes());
    }
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(f.path("report.json")).unwrap()).unwrap();
    assert_eq!(report["identity"], bundle.identity().to_string());
    // The weights are taken from memory: there is no file of that name where the program runs.
    let model = bundle.model(None).unwrap();
    assert_eq!(model.external_data[0].0, "model.fp32.onnx.data");
    assert!(model.external_data[0].1.len() > model.onnx.len() / 4, "the weights are not outside");
    std::fs::remove_dir_all(f.path("b")).unwrap();
    let engine = Engine::from_parts("m", model.onnx, &model.external_data, EngineOptions::CPU).unwrap();
    bundle.check_contract(model.entry, &engine.contract().unwrap()).unwrap();
    assert!(Engine::from_bytes("m", model.onnx, EngineOptions::CPU).is_err(), "the weights came from elsewhere");
    let mut other = engine.contract().unwrap();
    other.infrared_range = IrRange::Full;
    let error = bundle.check_contract(model.entry, &other).unwrap_err();
    assert!(
        matches!(&error, BundleError::Contradiction { found, .. } if found[0].place == "infrared range"),
        "{error}"
    );
    // The same call makes the same bytes.
    f.good(&format!("bundle {ALL} -o again"));
    assert_eq!(open(&f, "again").unwrap().identity(), bundle.identity());
}

/// The first and the last byte of every file, all bytes of small ones, and of large ones so many that no region is left out.
#[test]
fn a_flipped_byte_in_any_region_is_refused_by_name() {
    if !engine_present("a_flipped_byte_in_any_region_is_refused_by_name") {
        return;
    }
    const MOST: usize = 97;
    let f = folder();
    f.good(&format!("bundle {ALL} --probe-count 1 -o b"));
    let keys = Trust::Keys(vec![PublicKey::read(&f.path("public.key")).unwrap()]);
    let mut flipped = 0;
    for path in files(&f.path("b")) {
        let name = path.strip_prefix(f.path("b")).unwrap().to_str().unwrap().to_owned();
        let whole = std::fs::read(&path).unwrap();
        let step = whole.len().div_ceil(MOST).max(1);
        let places = (0..whole.len()).step_by(step).chain([whole.len() - 1]);
        for at in places {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            std::fs::write(&path, &bytes).unwrap();
            for trust in [&Trust::Integrity, &keys] {
                let error = Bundle::open(&f.path("b"), trust).unwrap_err();
                let right = match &error {
                    BundleError::Files { faults, .. } => {
                        faults.len() == 1 && faults[0].name == name && matches!(faults[0].fault, FileFault::Hash { .. })
                    }
                    BundleError::Manifest { fault, .. } => {
                        name == MANIFEST && !matches!(fault, ManifestFault::Toml(_) | ManifestFault::Inconsistent(_))
                    }
                    BundleError::BadSignature { .. } => name == SIGNATURE || name == MANIFEST,
                    BundleError::WrongKey { .. } => name == MANIFEST,
                    _ => false,
                };
                assert!(right, "byte {at} of {name}: {error}");
            }
            flipped += 1;
        }
        std::fs::write(&path, &whole).unwrap();
    }
    Bundle::open(&f.path("b"), &keys).unwrap();
    println!("{flipped} bytes of {} files", files(&f.path("b")).len());
}

/// The references of the probe set against plain loops in double precision: an engine that shares nothing with the one that made them.
#[test]
fn the_references_are_those_of_plain_loops() {
    if !engine_present("the_references_are_those_of_plain_loops") {
        return;
    }
    let f = folder();
    f.good("bundle --fusion fusion.safetensors --task task.safetensors --size 21x18 --task-size 32x32 --float -o b");
    let probes = open(&f, "b").unwrap().probes().unwrap();
    let fusion = FusionFile::open(&f.path("fusion.safetensors")).unwrap();
    let tasks = [TaskFile::open(&f.path("task.safetensors"), None).unwrap()];
    let settings = Settings {
        samples: caf_net::zoo::pipeline::Samples::Unit,
        size: Some(Size::new(21, 18)),
        task_size: Some(Size::new(32, 32)),
        ..Settings::default()
    };
    let model = Model::new(Parts::Pipeline(&fusion, &tasks), &settings).unwrap();
    assert_eq!(probes.probes.len(), 2);
    for probe in &probes.probes {
        let values = |values: &Values| match values {
            Values::F32(v) => v.iter().map(|v| f64::from(*v)).collect::<Vec<_>>(),
            Values::U8(v) => v.iter().map(|v| f64::from(*v)).collect(),
        };
        let inputs: Vec<Reference> =
            probe.inputs.iter().map(|(_, a)| Reference::new(a.shape.clone(), values(&a.values))).collect();
        let loops = caf_reference::run(model.graph(), model.weights(), &inputs);
        for ((name, found), expected) in probe.outputs.iter().zip(&loops) {
            assert_eq!(found.shape, expected.shape, "{name}");
            let found = values(&found.values);
            let worst = found.iter().zip(&expected.values).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            let [low, high] = [f64::min, f64::max].map(|f| found.iter().copied().reduce(f).unwrap());
            println!("{}: {name}: {worst:.2e} within {low}..{high}", probe.name);
            // Floats in single precision; boxes are up to 200 pixels large, so that their last places are 1e-5.
            assert!(worst < if name == "fused" { 2e-6 } else { 2e-3 }, "{name}: {worst}");
            assert!(high > low, "{name} is constant");
        }
    }
}

#[test]
fn a_model_that_is_there_already_is_taken_when_it_is_what_it_should_be() {
    if !engine_present("a_model_that_is_there_already_is_taken_when_it_is_what_it_should_be") {
        return;
    }
    let f = folder();
    f.good("onnx --fusion fusion.safetensors --task task.safetensors --ir-range min_max -o m.onnx");
    let weights = "--fusion fusion.safetensors --task task.safetensors";
    f.good(&format!("bundle --model m.onnx {weights} -o b"));
    let bundle = open(&f, "b").unwrap();
    assert_eq!(bundle.manifest().infrared_range, IrRange::MinMax);
    assert_eq!(bundle.model(None).unwrap().onnx, std::fs::read(f.path("m.onnx")).unwrap());
    // Without its weights, by the probes of another bundle.
    std::fs::copy(f.path("b/probes.safetensors"), f.path("p.safetensors")).unwrap();
    f.good("bundle --model m.onnx --probes p.safetensors -o c");
    assert_eq!(open(&f, "c").unwrap().identity(), bundle.identity());
    // With external data of its own, which lies beside it.
    f.good("bundle --fusion fusion.safetensors --external-data -o e");
    std::fs::create_dir(f.path("outside")).unwrap();
    for file in ["model.fp32.onnx", "model.fp32.onnx.data"] {
        std::fs::copy(f.path("e").join(file), f.path("outside").join(file)).unwrap();
    }
    f.good("bundle --model outside/model.fp32.onnx --fusion fusion.safetensors -o d");
    assert_eq!(open(&f, "d").unwrap().identity(), open(&f, "e").unwrap().identity());
    std::fs::remove_file(f.path("outside/model.fp32.onnx.data")).unwrap();
    let err = f.bad("bundle --model outside/model.fp32.onnx --fusion fusion.safetensors -o no", 1);
    assert!(err.contains("outside/model.fp32.onnx.data"), "{err}");
    // Another model than its weights, or than its probes.
    let mut other = caf_weights::load_safetensors(f.path("fusion.safetensors")).unwrap();
    other.replace("fuse.2.0.bias", caf_weights::HostTensor::from_f32(&[1], &[0.45]).unwrap());
    caf_weights::save_safetensors(&other, f.path("other.safetensors")).unwrap();
    let err = f.bad("bundle --model m.onnx --fusion other.safetensors --task task.safetensors -o no", 1);
    assert!(err.contains("expected it to be made from"), "{err}");
    f.good("onnx --fusion other.safetensors --task task.safetensors -o other.onnx");
    let err = f.bad("bundle --model other.onnx --probes p.safetensors -o no", 1);
    assert!(err.contains("not written") && err.contains("`fused` of generated-0"), "{err}");
    let err = f.bad("bundle --fusion fusion.safetensors --probes p.safetensors -o no", 1);
    assert!(err.contains("no equal outputs"), "{err}");
    assert!(!f.path("no").exists());
}

#[test]
fn wrong_calls_write_nothing() {
    let f = folder();
    std::fs::write(f.path("wrong.toml"), RIG.replace("fx_px = 50.0", "fx_px = -1.0")).unwrap();
    std::fs::write(f.path("no.key"), "no key").unwrap();
    std::fs::create_dir(f.path("images")).unwrap();
    let good = "--fusion fusion.safetensors --task task.safetensors";
    for (line, code, words) in [
        ("--rig rig.toml", 2, "give --fusion"),
        (&format!("{good} --rig absent.toml")[..], 2, "--rig"),
        (&format!("{good} --rig wrong.toml"), 1, "wrong.toml"),
        (&format!("{good} --rig-distance-m 20"), 2, "--rig"),
        (&format!("{good} --key no.key"), 2, "an ed25519 secret key"),
        (&format!("{good} --key public.pem"), 2, "--key"),
        (&format!("{good} --conf 1.5"), 2, "from 0 to 1"),
        ("--fusion fusion.safetensors --conf 0.5", 2, "no task of the model has any"),
        (&format!("{good} --ir-range 9..7"), 2, "range"),
        (&format!("{good} --probe-ir images"), 2, "--probe-vi"),
        (&format!("{good} --probes classes.txt"), 1, "no safetensors file"),
        (&format!("{good} --model absent.onnx --float"), 2, "--float"),
        ("--model classes.txt", 2, "expected a model"),
        ("--model fusion.safetensors", 2, "make one of it first"),
    ] {
        let err = f.bad(&format!("bundle {line} -o no"), code);
        assert!(err.contains(words), "{line}: {err}");
        assert!(!f.path("no").exists(), "{line}");
    }
    if !engine_present("wrong_calls_write_nothing") {
        return;
    }
    let err = f.bad("bundle --task task.safetensors --size 64x64 -o no", 2);
    assert!(err.contains("expected a model that fuses"), "{err}");
    let err = f.bad(&format!("bundle {good} --probe-ir images --probe-vi images -o no"), 2);
    assert!(err.contains("expected 2 pairs") && err.contains("found 0"), "{err}");
    f.good("onnx --fusion fusion.safetensors -o m.onnx");
    let err = f.bad("bundle --model m.onnx -o no", 2);
    assert!(err.contains("give the weights it was made of, or --probes"), "{err}");
    // What is there is not replaced unasked, and nothing but a bundle is.
    f.good("bundle --fusion fusion.safetensors -o b");
    let err = f.bad("bundle --fusion fusion.safetensors -o b", 2);
    assert!(err.contains("--overwrite"), "{err}");
    f.good("bundle --fusion fusion.safetensors -o b --overwrite --key secret.key");
    std::fs::write(f.path("images/mine.txt"), "x").unwrap();
    let err = f.bad("bundle --fusion fusion.safetensors -o images --overwrite", 2);
    assert!(err.contains("replaced only where it is a bundle"), "{err}");
    let left = caf_golden::fails_on_full_disk(
        env!("CARGO_BIN_EXE_caf-export"),
        4,
        f.0.path(),
        "bundle --fusion fusion.safetensors -o b --overwrite",
        "b",
    );
    assert!(left.is_empty(), "{left:?}");
    open(&f, "b").unwrap();
}

#[test]
fn real_pairs_are_kept_as_the_network_sees_them() {
    if !engine_present("real_pairs_are_kept_as_the_network_sees_them") {
        return;
    }
    let f = folder();
    for name in ["ir", "vi"] {
        std::fs::create_dir(f.path(name)).unwrap();
    }
    let size = Size::new(24, 20);
    let counts: Vec<u16> = (0..480).map(|i| 7000 + i * 5).collect();
    let rgb: Vec<u8> = (0..1440).map(|i| (i * 7 % 251) as u8).collect();
    let image = caf_image::Raster::new(size, counts.clone()).unwrap();
    caf_image::write_gray16(&f.path("ir/a b.png"), &image).unwrap();
    caf_image::write_rgb(&f.path("vi/a b.png"), &rgb, size).unwrap();
    f.good("bundle --fusion fusion.safetensors --ir-range 7000..9000 --probe-ir ir --probe-vi vi --probe-count 1 -o b");
    let set = open(&f, "b").unwrap().probes().unwrap();
    let [probe] = &set.probes[..] else { panic!("{set:?}") };
    let expected: Vec<u8> =
        counts.iter().map(|c| ((f32::from(*c) - 7000.0) / 2000.0 * 255.0).round().clamp(0.0, 255.0) as u8).collect();
    assert_eq!(probe.inputs[0].1.values, Values::U8(expected));
    assert_eq!((&probe.inputs[1].1.values, &probe.inputs[1].1.shape[..]), (&Values::U8(rgb), &[1, 20, 24, 3][..]));
    // A size that the model does not take.
    let err =
        f.bad("bundle --fusion fusion.safetensors --size 32x20 --probe-ir ir --probe-vi vi --probe-count 1 -o no", 2);
    assert!(err.contains("test images"), "{err}");
}

#[test]
fn a_bundle_is_verified_and_one_whose_model_is_another_is_not() {
    if !engine_present("a_bundle_is_verified_and_one_whose_model_is_another_is_not") {
        return;
    }
    let f = folder();
    f.good(&format!("bundle {ALL} -o b"));
    let out = f.good("verify --bundle b --public-key public.key --json report.json");
    assert!(out.contains("signed by") && out.contains("make of the probes what they should"), "{out}");
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(f.path("report.json")).unwrap()).unwrap();
    let model = &report["models"][0];
    assert_eq!((&report["is_trusted"], &model["provider"]), (&true.into(), &"cpu".into()));
    assert_eq!(model["probes"].as_array().unwrap().len(), 6, "two probes of three outputs");
    // On the CPU nothing is elsewhere; a GPU is not here, or is and runs it.
    assert_eq!(model["elsewhere"], serde_json::json!([]));
    let bundle = open(&f, "b").unwrap();
    let (model, probes) = (bundle.model(None).unwrap(), bundle.probes().unwrap());
    let placed =
        Engine::placement("m", model.onnx, &model.external_data, EngineOptions::CPU, &probes.probes[0].inputs).unwrap();
    assert!(placed.iter().any(|node| node.op.contains("Conv")), "{placed:?}");
    // A bundle that is whole, signed, and holds another model than its probes were made of.
    let mut other = caf_weights::load_safetensors(f.path("fusion.safetensors")).unwrap();
    other.replace("fuse.2.0.bias", caf_weights::HostTensor::from_f32(&[1], &[0.45]).unwrap());
    caf_weights::save_safetensors(&other, f.path("fusion.safetensors")).unwrap();
    let weights = FusionFile::open(&f.path("fusion.safetensors")).unwrap();
    let made = Model::new(Parts::Fusion(&weights), &Settings::default()).unwrap();
    f.good("bundle --fusion fusion.safetensors -o c");
    let mut set = open(&f, "c").unwrap().probes().unwrap();
    if let Values::U8(fused) = &mut set.probes[1].outputs[0].1.values {
        fused.iter_mut().for_each(|v| *v = v.saturating_add(9));
    }
    let contents = caf_export::bundle::Contents {
        onnx: made.to_onnx(true).unwrap(),
        external_data: vec![],
        contract: made.contract().clone(),
        loss: None,
        probes: set,
        thresholds: caf_bundle::Thresholds::default(),
        rig: None,
        beta: None,
        run: None,
    };
    let write = |contents, to: &str| {
        let draft = caf_export::bundle::draft(contents).unwrap();
        draft.write(&f.path(to), None, caf_bundle::Existing::Refuse).unwrap();
    };
    let rig = Some((b"version = 3\n".to_vec(), None));
    write(caf_export::bundle::Contents { rig, ..contents.clone() }, "askew");
    write(contents, "far");
    let err = f.bad("verify --bundle askew", 1);
    assert!(err.contains("rig.toml"), "{err}");
    let err = f.bad("verify --bundle far", 1);
    assert!(err.contains("differs from its references") && err.contains("`fused` of generated-1"), "{err}");
    // Integrity comes first.
    let err = f.bad("verify --bundle far --public-key public.key", 1);
    assert!(err.contains("not signed"), "{err}");
    std::fs::write(f.path("far/extra"), "").unwrap();
    let err = f.bad("verify --bundle far", 1);
    assert!(err.contains("`extra`: not listed"), "{err}");
    for (line, words) in [
        ("verify", "required"),
        ("verify m.onnx --bundle far", "--bundle"),
        ("verify --bundle far --against fusion.safetensors", "--against"),
        ("verify --bundle absent", "--bundle"),
        ("verify beta.toml --provider cpu", "expected a --bundle"),
        ("verify --bundle far --json far/report.json", "--json"),
    ] {
        let err = f.bad(line, 2);
        assert!(err.contains(words), "{line}: {err}");
    }
    if !caf_engine::gpu_is_present() {
        let err = f.bad("verify --bundle b --provider cuda", 1);
        assert!(err.contains("provider `cuda`"), "{err}");
    }
}
