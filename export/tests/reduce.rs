//! Less precision as a person asks for it: real files of small pairs, a small network, the program.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "helpers of tests stop at the line that fails"
)]

mod common;

use caf_bundle::{Bundle, Trust};
use caf_engine::{Engine, EngineOptions};
use caf_export::reduce::Loss;
use caf_geometry::Size;
use caf_image::{Gray8, Rgb8, write_gray8, write_rgb8};
use caf_net::zoo::caf::{self, CafConfig};
use caf_net::zoo::fusion::FusionConfig;
use caf_net::zoo::student::StudentConfig;
use caf_net::zoo::yolov5::{self, Variant, YoloConfig};
use caf_weights::{HostTensor, initial, load_safetensors, save_safetensors};
use common::engine_present;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

struct Folder(tempfile::TempDir);

impl Folder {
    /// A narrow fusion network, a tiny detector, pairs by day with labels, and pairs that are almost black.
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        let fusion = caf::graph(&CafConfig { width: 8, depth: 2, normalised: true }).unwrap();
        let mut weights = initial(fusion.params(), 1).unwrap();
        // Centred in [0, 1] and with contrast, so that clamping hides nothing and noise shows.
        weights.replace("fuse.2.0.bias", HostTensor::from_f32(&[1], &[0.55]).unwrap());
        let kernel: Vec<f32> = weights.get("fuse.2.0.weight").unwrap().to_f32_vec().unwrap();
        let strong: Vec<f32> = kernel.iter().map(|w| w * 60.0).collect();
        weights.replace("fuse.2.0.weight", HostTensor::from_f32(&[1, 8, 1, 1], &strong).unwrap());
        save_safetensors(&weights, folder.path("fusion.safetensors")).unwrap();
        let config = YoloConfig { depth: 0.33, width: 0.125, ..YoloConfig::new(Variant::N, 2) };
        let mut task = initial(yolov5::graph(&config).unwrap().params(), 2).unwrap();
        task.set_metadata("network", "yolov5");
        task.set_metadata("config", serde_json::to_string(&config).unwrap());
        task.set_metadata("classes", "[\"person\",\"car\"]");
        task.set_metadata("image_size_px", "[64,64]");
        save_safetensors(&task, folder.path("task.safetensors")).unwrap();
        pairs(&folder.path("day"), 6, 1.0);
        pairs(&folder.path("night"), 3, 0.02);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn call(&self, line: &str, code: i32) -> String {
        let words = line.split_whitespace();
        let output = Command::new(env!("CARGO_BIN_EXE_caf-export")).args(words).current_dir(&self.0).output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert_eq!(output.status.code(), Some(code), "{line}\n{text}");
        assert!(!text.contains("panicked"), "{text}");
        text
    }

    fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.path(name)).unwrap()).unwrap()
    }

    fn precision(&self, name: &str) -> &'static str {
        Engine::open(&self.path(name), EngineOptions::CPU).unwrap().contract().unwrap().precision.name()
    }
}

/// Pairs of blocks and waves, one label each.
fn pairs(root: &Path, count: usize, brightness: f64) {
    for folder in ["ir", "vi", "labels"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::write(root.join("classes.txt"), "car\nperson\n").unwrap();
    let size = Size::new(72, 56);
    for pair in 0..count {
        let value = |x: usize, y: usize, c: usize| {
            let wave = 90.0 + 60.0 * ((x * (2 + pair) + c * 5) as f64 * 0.11).sin() + 50.0 * (y as f64 * 0.23).cos();
            let block = if (x / 9 + y / 7 + pair + c).is_multiple_of(5) { 55.0 } else { 0.0 };
            ((wave + block) * brightness).clamp(0.0, 255.0) as u8
        };
        let pixels = (0..56).flat_map(|y| (0..72).map(move |x| (x, y)));
        let gray = Gray8::new(size, pixels.clone().map(|(x, y)| value(x, y, 7)).collect()).unwrap();
        let rgb = pixels.flat_map(|(x, y)| [value(x, y, 0), value(x, y, 1), value(x, y, 2)]).collect();
        write_gray8(&root.join(format!("ir/{pair}.png")), &gray).unwrap();
        write_rgb8(&root.join(format!("vi/{pair}.png")), &Rgb8::new(size, rgb).unwrap()).unwrap();
        std::fs::write(root.join(format!("labels/{pair}.txt")), "1 0.5 0.5 0.25 0.25\n").unwrap();
    }
}

#[test]
fn integers_calibrated_on_real_pairs_pass_the_gate_and_badly_calibrated_ones_are_refused() {
    if !engine_present("integers_calibrated_on_real_pairs_pass_the_gate_and_badly_calibrated_ones_are_refused") {
        return;
    }
    let f = Folder::new();
    let int8 = "onnx --fusion fusion.safetensors --precision int8 --rounds 0 --held-out day";
    let text = f.call(
        &format!("{int8} --calibration day --frames 4 --cpu vnni --json good.json --html good.html -o good.onnx"),
        0,
    );
    assert!(text.contains("weights from -127 to 127") && text.contains("ranges by mse on 4 of 6 pairs"), "{text}");
    assert!(text.contains("NOTE: 6 of 6 held-out pairs are of the calibration set"), "{text}");
    assert_eq!(f.precision("good.onnx"), "int8");
    let report = f.json("good.json");
    let loss: Loss = serde_json::from_value(report["reduction"]["verdict"]["loss"].clone()).unwrap();
    println!("{loss:?}");
    assert!(loss.pairs == 6 && report["reduction"]["verdict"]["faults"] == serde_json::json!([]));
    let [psnr, ssim] = [loss.psnr_db.unwrap(), loss.ssim.unwrap()];
    assert!(
        psnr.mean < 100.0 && psnr.worst <= psnr.mean && ssim.mean < 1.0,
        "integers differ, or nothing was measured"
    );
    let html = std::fs::read_to_string(f.path("good.html")).unwrap();
    assert!(html.contains("Within its limits on 6 held-out pairs") && html.contains("fusion.fuse.0.0"), "{html}");

    // Ranges of a night that see the day: everything bright is cut off.
    let text =
        f.call(&format!("{int8} --calibration night --json bad.json --html bad.html --image-db 0 -o bad.onnx"), 1);
    assert!(text.contains("bad.onnx: too much is lost: SSIM: expected at least 0.98, found 0."), "{text}");
    assert!(!f.path("bad.onnx").exists(), "a refused model is not written");
    assert!(std::fs::read_to_string(f.path("bad.html")).unwrap().contains("Refused: SSIM"));
    let loss: Loss = serde_json::from_value(f.json("bad.json")["reduction"]["verdict"]["loss"].clone()).unwrap();
    println!("{loss:?}");

    // The same by the command that compares two files.
    f.call("onnx --fusion fusion.safetensors -o fp32.onnx", 0);
    f.call(
        "onnx --fusion fusion.safetensors --precision int8 --rounds 0 --calibration night --image-db 0 -o bad.onnx",
        0,
    );
    let text = f.call("gate good.onnx --against fp32.onnx --held-out day --json gate.json", 0);
    assert!(text.contains("good.onnx: within its limits"), "{text}");
    f.call("gate bad.onnx --against fp32.onnx --held-out day", 1);
    f.call("gate bad.onnx --against fp32.onnx --held-out day --least-ssim 0", 0);
    f.call("gate good.onnx --against good.onnx --held-out day", 2);
    f.call("verify good.onnx --against fusion.safetensors --runs 1", 0);
}

#[test]
fn a_student_is_measured_against_its_teacher_and_limited_by_what_is_asked_for_alone() {
    if !engine_present("a_student_is_measured_against_its_teacher_and_limited_by_what_is_asked_for_alone") {
        return;
    }
    let f = Folder::new();
    let student = FusionConfig::from(StudentConfig { width: 8, depth: 1, scale: 2 }).graph().unwrap();
    save_safetensors(&initial(student.params(), 3).unwrap(), f.path("student.safetensors")).unwrap();
    f.call("onnx --fusion fusion.safetensors -o teacher.onnx", 0);
    f.call("onnx --fusion student.safetensors -o student.onnx", 0);
    let gate = "gate student.onnx --against teacher.onnx --held-out day";
    let text = f.call(gate, 2);
    assert!(text.contains("another model"), "{text}");
    let text = f.call(&format!("{gate} --other-networks --json gate.json"), 0);
    let loss: Loss = serde_json::from_value(f.json("gate.json")["loss"].clone()).unwrap();
    assert!(loss.pairs == 6 && loss.psnr_db.unwrap().mean < 40.0 && loss.ssim.unwrap().mean < 1.0, "{text}");
    let text = f.call(&format!("{gate} --other-networks --least-psnr 40"), 1);
    assert!(text.contains("PSNR: expected at least 40 dB"), "{text}");
    f.call("onnx --fusion student.safetensors --gray -o gray.onnx", 0);
    f.call("gate gray.onnx --against teacher.onnx --held-out day --other-networks", 2);
}

#[test]
fn a_bundle_holds_what_its_model_lost_and_takes_none_that_lost_too_much() {
    if !engine_present("a_bundle_holds_what_its_model_lost_and_takes_none_that_lost_too_much") {
        return;
    }
    let f = Folder::new();
    let loss = |bundle: &str| {
        let bundle = Bundle::open(&f.path(bundle), &Trust::Integrity).unwrap();
        let model = &bundle.manifest().models[0];
        (model.precision.name(), model.loss.clone().unwrap())
    };
    // Made here.
    let int8 = "--fusion fusion.safetensors --precision int8 --rounds 0 --image-db 0 --held-out day";
    let probes = "--probe-ir day/ir --probe-vi day/vi";
    f.call(&format!("bundle {int8} --calibration day {probes} --json made.json -o made"), 0);
    let (precision, made) = loss("made");
    println!("{made:?}");
    assert_eq!((precision, made.pairs, f.json("made.json")["loss"]["pairs"].as_u64()), ("int8", 6, Some(6)));
    // A file, which is measured again and comes to the same.
    f.call(&format!("onnx {int8} --calibration day -o int8.onnx"), 0);
    let file = format!("bundle --model int8.onnx --fusion fusion.safetensors {probes}");
    f.call(&format!("{file} --held-out day -o file"), 0);
    assert_eq!(loss("file"), ("int8", made.clone()));
    // Told, and held to limits that may be others than where it was made.
    let text = f.call("verify --bundle file --json verify.json", 0);
    assert!(text.contains("against fp32 on 6 held-out pairs: PSNR "), "{text}");
    assert_eq!(f.json("verify.json")["models"][0]["loss"]["fused_ssim"].as_f64(), made.fused_ssim);
    let text = f.call("verify --bundle file --least-ssim 0.99999", 1);
    assert!(text.contains("too much is lost: SSIM: expected at least 0.99999, found 0."), "{text}");
    // Badly calibrated: refused, made here or as a file.
    let text = f.call(&format!("bundle {int8} --calibration night {probes} -o bad"), 1);
    assert!(text.contains("too much is lost: SSIM: expected at least 0.98, found 0."), "{text}");
    f.call(
        "onnx --fusion fusion.safetensors --precision int8 --rounds 0 --image-db 0 --calibration night -o bad.onnx",
        0,
    );
    f.call("bundle --model bad.onnx --fusion fusion.safetensors --held-out day -o bad", 1);
    for (line, named) in [
        (file.as_str(), "--held-out"),
        ("bundle --model int8.onnx --held-out day", "its weights"),
        ("bundle --fusion fusion.safetensors --precision int8 --calibration day", "--held-out"),
        ("bundle --fusion fusion.safetensors --held-out day", "--held-out"),
        ("bundle --model int8.onnx --fusion fusion.safetensors --precision int8", "--precision"),
        ("verify int8.onnx --least-ssim 0.5", "--bundle"),
    ] {
        let output = if line.starts_with("bundle") { " -o bad" } else { "" };
        let text = f.call(&format!("{line}{output}"), 2);
        assert!(
            text.contains(named) && !text.contains("calibrate"),
            "said before anything is measured: {line}: {text}"
        );
    }
    assert!(!f.path("bad").exists(), "what is refused is not written");
}

#[test]
fn half_precision_is_measured_with_its_roundings_and_hardly_seen() {
    if !engine_present("half_precision_is_measured_with_its_roundings_and_hardly_seen") {
        return;
    }
    let f = Folder::new();
    let model = "onnx --fusion fusion.safetensors --task task.safetensors --precision fp16";
    f.call(&format!("{model} --calibration day --held-out day --json half.json -o half.onnx"), 0);
    assert_eq!(f.precision("half.onnx"), "fp16");
    let report = f.json("half.json");
    let loss: Loss = serde_json::from_value(report["reduction"]["verdict"]["loss"].clone()).unwrap();
    println!("{loss:?}");
    assert!((45.0..100.0).contains(&loss.psnr_db.unwrap().mean) && loss.tasks[0].labels == 6, "{loss:?}");
    let weights = "--fusion fusion.safetensors --task task.safetensors";
    let text = f.call(&format!("bundle --model half.onnx {weights} --held-out day -o half"), 2);
    assert!(text.contains("--precision fp16"), "{text}");
    f.call("verify half.onnx --against fusion.safetensors --task task.safetensors --runs 1", 0);
    let text =
        f.call("onnx --fusion fusion.safetensors --precision fp16 --keep fus --keep vi --keep ir -o none.onnx", 1);
    assert!(text.contains("no layer is left in fp16") && !f.path("none.onnx").exists(), "{text}");
    // Without pairs, layers are measured on random images.
    f.call("onnx --fusion fusion.safetensors --precision fp16 --keep fusion.fuse -o kept.onnx", 0);
    f.call("onnx --fusion fusion.safetensors -o fp32.onnx", 0);
    f.call("onnx --task task.safetensors -o task.onnx", 0);
    let text = f.call("bench fp32.onnx kept.onnx fp32.onnx+task.onnx --size 72x56 --rounds 3 --json bench.json", 0);
    assert!(text.contains("fp32.onnx+task.onnx (fp32, fp32): median "), "{text}");
    assert_eq!(f.json("bench.json").as_array().unwrap().len(), 3);
    f.call("bench task.onnx+fp32.onnx --size 72x56 --rounds 1", 2);
}

#[test]
fn a_layer_that_half_precision_cannot_hold_stays_in_fp32() {
    if !engine_present("a_layer_that_half_precision_cannot_hold_stays_in_fp32") {
        return;
    }
    let f = Folder::new();
    let mut weights = load_safetensors(f.path("fusion.safetensors")).unwrap();
    weights.replace("fuse.2.0.bias", HostTensor::from_f32(&[1], &[7e4]).unwrap());
    save_safetensors(&weights, f.path("bright.safetensors")).unwrap();
    let text = f.call("onnx --fusion bright.safetensors --precision fp16 --json half.json -o half.onnx", 0);
    assert!(text.contains("fp32: fusion.fuse.2 (`fusion.fuse.2.0.bias` holds 70000, beyond half precision)"), "{text}");
    assert_eq!(f.precision("half.onnx"), "fp16");
}

/// All work that takes long is cut short, and leaves the folder as it was.
#[test]
fn an_interrupt_ends_the_work_and_leaves_nothing_half_written() {
    if !engine_present("an_interrupt_ends_the_work_and_leaves_nothing_half_written") {
        return;
    }
    let f = Folder::new();
    f.call("onnx --fusion fusion.safetensors -o fp32.onnx", 0);
    let listing = || {
        let names = std::fs::read_dir(&f.0).unwrap().map(|entry| entry.unwrap().file_name());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let before = listing();
    // As many timed runs as there may be, so that no machine is done before it is interrupted.
    let int8 = "--fusion fusion.safetensors --precision int8 --rounds 1000 --calibration day --held-out day";
    for line in [
        format!("onnx {int8} --html x.html --json x.json -o x.onnx"),
        format!("bundle {int8} --json x.json -o x"),
        "bench fp32.onnx fp32.onnx --size 640x480 --rounds 100000 --json x.json".to_owned(),
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_caf-export"))
            .args(line.split_whitespace())
            .current_dir(&f.0)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        assert!(said.any(|line| line.starts_with("time layers: ") || line.starts_with("time models: ")), "{line}");
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let rest: Vec<String> = said.collect();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{line}: {rest:?}");
        assert!(rest.iter().any(|line| line == "interrupted: nothing was written"), "{line}: {rest:?}");
        assert_eq!(listing(), before, "{line}");
    }
}

#[test]
fn options_without_effect_are_wrong_calls_by_name() {
    if !engine_present("options_without_effect_are_wrong_calls_by_name") {
        return;
    }
    let f = Folder::new();
    f.call("onnx --fusion fusion.safetensors -o fp32.onnx", 0);
    f.call("onnx --task task.safetensors -o task.onnx", 0);
    f.call("bundle --fusion fusion.safetensors -o fp32", 0);
    let [fp32, fp16, int8, given] = [
        "onnx --fusion fusion.safetensors -o m.onnx",
        "onnx --fusion fusion.safetensors --precision fp16 -o m.onnx",
        "onnx --fusion fusion.safetensors --precision int8 --calibration day -o m.onnx",
        "bundle --model fp32.onnx --fusion fusion.safetensors -o m",
    ];
    let integers = ["--frames 4", "--method mse", "--cpu avx2", "--signed", "--rounds 3"];
    let less = ["--keep fusion", "--image-db 30", "--task-db 30", "--choose-on 2 --calibration day", "--html m.html"];
    let calls = (integers.iter().flat_map(|option| [fp32, fp16, given].map(|call| (call, *option))))
        .chain(less.iter().flat_map(|option| [fp32, given].map(|call| (call, *option))))
        .chain([
            (fp32, "--calibration day"),
            (given, "--calibration day"),
            (given, "--precision fp32"),
            (given, "--held-out day"),
            (given, "--external-data"),
            (fp32, "--held-out day"),
            (fp16, "--choose-on 2"),
            (fp16, "--task-db 30"),
            (int8, "--task-db 30"),
            (int8, "--most-points 3 --held-out day"),
            ("onnx --task task.safetensors --precision fp16 -o m.onnx", "--image-db 30"),
            ("onnx --task task.safetensors --precision fp16 --held-out day -o m.onnx", "--least-psnr 30"),
            ("gate fp32.onnx --against fp32.onnx --held-out day", "--most-points 3"),
            ("gate task.onnx --against task.onnx --held-out day", "--least-ssim 0.5"),
            ("verify --bundle fp32", "--least-psnr 30"),
            ("verify fp32.onnx", "--tolerance 1"),
        ]);
    for (call, option) in calls {
        let text = f.call(&format!("{call} {option}"), 2);
        let (name, _) = option.split_once(' ').unwrap_or((option, ""));
        // A limit of the loss is said as that.
        let named = text.contains(name) || (name.starts_with("--least") && text.contains("a limit was given"));
        assert!(named || (name == "--choose-on" && text.contains("--calibration")), "{call} {option}: {text}");
    }
    assert!(!f.path("m.onnx").exists() && !f.path("m").exists() && !f.path("m.html").exists());
}

#[test]
fn what_makes_no_sense_is_a_wrong_call() {
    if !engine_present("what_makes_no_sense_is_a_wrong_call") {
        return;
    }
    let f = Folder::new();
    std::fs::write(f.path("day/few.lst"), "0\n1\n").unwrap();
    for (options, named) in [
        ("--precision int8", "--calibration"),
        ("--precision int8 --calibration day --no-fold", "--no-fold"),
        ("--held-out day", "--held-out"),
        ("--precision fp16 --no-fold", "--no-fold"),
        ("--precision fp16 --least-psnr 50", "--held-out"),
        ("--precision fp8", "expected one of fp32, fp16, int8"),
        ("--precision int8 --calibration day --calibration-list few.lst --json day/few.lst", "--calibration-list"),
        ("--precision fp16 --held-out day --held-out-list few.lst --html day/few.lst", "--held-out-list"),
        ("--precision fp16 --held-out day --html day/labels/0.txt", "--held-out"),
        ("--precision fp16 --keep nothing", "`nothing`"),
        ("--precision int8 --calibration nowhere", "nowhere"),
        ("--precision int8 --calibration day --method median", "expected one of minmax, percentile, entropy, mse"),
        ("--precision int8 --calibration day --cpu z80", "z80"),
    ] {
        let text = f.call(&format!("onnx --fusion fusion.safetensors {options} -o m.onnx"), 2);
        assert!(text.contains(named) && !f.path("m.onnx").exists(), "{options}: {text}");
    }
}
