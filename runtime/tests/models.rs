//! Real models in ONNX Runtime: layout of the tensors, locality, changes of size, refusals.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod common;

use caf_engine::{EngineError, EngineOptions, ProviderChoice, View};
use caf_geometry::Size;
use caf_net::zoo::pipeline::{ColourMode, Samples};
use caf_runtime::error::RuntimeError;
use caf_runtime::frame::{ImageView, PixelFormat};
use caf_runtime::session::{Model, Runner};
use common::{REACH_PX, byte};

fn options() -> EngineOptions {
    EngineOptions { provider: ProviderChoice::Cpu, threads: Some(1) }
}

fn gray(width: usize, height: usize, seed: usize) -> Vec<u8> {
    (0..width * height).map(|i| byte(seed, i % width, i / width, 0)).collect()
}

fn rgb(width: usize, height: usize, seed: usize) -> Vec<u8> {
    (0..width * height * 3).map(|i| byte(seed, i / 3 % width, i / 3 / width, i % 3)).collect()
}

/// Copies dense rows into rows that are further apart, with noise between.
fn padded(dense: &[u8], row: usize, stride: usize) -> Vec<u8> {
    let mut out = vec![173; dense.len() / row * stride];
    dense.chunks(row).zip(out.chunks_mut(stride)).for_each(|(from, to)| to[..row].copy_from_slice(from));
    out
}

fn fuse(runner: &mut Runner, ir: &ImageView<'_>, vi: &ImageView<'_>) -> Vec<u8> {
    let fused = runner.run(ir, vi).unwrap();
    assert_eq!(fused.size, vi.size());
    let mut out = vec![0; vi.size().width * vi.size().height * 3];
    fused.write_rgb(&mut out).unwrap();
    out
}

#[test]
fn bytes_floats_and_padded_rows_give_one_result() {
    let folder = tempfile::tempdir().unwrap();
    let load = |name: &str, samples| {
        let path = common::fusion_model(folder.path(), name, samples, ColourMode::Rgb);
        Runner::new(Model::load(&path, options()).unwrap())
    };
    let (mut bytes, mut floats) = (load("bytes.onnx", Samples::Bytes), load("floats.onnx", Samples::Unit));
    let mut compared = 0;
    // The same runner meets several sizes, none a multiple of four.
    for (width, height) in [(37, 22), (41, 19), (37, 22)] {
        let (ir, vi) = (gray(width, height, 1), rgb(width, height, 2));
        let ir_view = ImageView::new(&ir, Size { width, height }, width, PixelFormat::Gray8).unwrap();
        let vi_view = ImageView::new(&vi, Size { width, height }, width * 3, PixelFormat::Rgb8).unwrap();
        let expected = fuse(&mut bytes, &ir_view, &vi_view);
        assert!(expected.iter().any(|v| *v != expected[0]), "the model gives a constant image");
        let (wide_ir, wide_vi) = (padded(&ir, width, width + 11), padded(&vi, width * 3, width * 3 + 7));
        let wide_ir = ImageView::new(&wide_ir, Size { width, height }, width + 11, PixelFormat::Gray8).unwrap();
        let wide_vi = ImageView::new(&wide_vi, Size { width, height }, width * 3 + 7, PixelFormat::Rgb8).unwrap();
        assert_eq!(fuse(&mut bytes, &wide_ir, &wide_vi), expected);
        let sixteen: Vec<u8> = ir.iter().flat_map(|v| (u16::from(*v) * 257).to_le_bytes()).collect();
        let sixteen = ImageView::new(&sixteen, Size { width, height }, width * 2, PixelFormat::Gray16Le).unwrap();
        assert_eq!(fuse(&mut bytes, &sixteen, &vi_view), expected);
        // Both round once, in the graph and here; sums that lie on a half may fall to either side.
        let same = fuse(&mut floats, &ir_view, &vi_view);
        assert_eq!(same.len(), expected.len());
        let worst = same.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= 1, "floats and bytes differ by {worst}");
        compared += expected.len();
    }
    println!("compared {compared} values of 3 images");
}

#[test]
fn every_pixel_goes_to_its_own_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = common::fusion_model(folder.path(), "m.onnx", Samples::Bytes, ColourMode::Rgb);
    let mut runner = Runner::new(Model::load(&path, options()).unwrap());
    let (width, height) = (45, 31);
    let (ir, vi) = (gray(width, height, 1), rgb(width, height, 2));
    let vi_view = ImageView::new(&vi, Size { width, height }, width * 3, PixelFormat::Rgb8).unwrap();
    let ir_view = ImageView::new(&ir, Size { width, height }, width, PixelFormat::Gray8).unwrap();
    let before = fuse(&mut runner, &ir_view, &vi_view);
    for (x, y) in [(20, 12), (44, 0), (3, 30)] {
        let mut changed = ir.clone();
        changed[y * width + x] ^= 0xff;
        let view = ImageView::new(&changed, Size { width, height }, width, PixelFormat::Gray8).unwrap();
        let after = fuse(&mut runner, &view, &vi_view);
        let moved: Vec<usize> =
            (0..width * height).filter(|i| before[i * 3..i * 3 + 3] != after[i * 3..i * 3 + 3]).collect();
        assert!(!moved.is_empty());
        for i in moved {
            let (dx, dy) = ((i % width).abs_diff(x), (i / width).abs_diff(y));
            assert!(dx <= REACH_PX && dy <= REACH_PX, "infrared pixel {x},{y} changed {},{}", i % width, i / width);
        }
    }
}

#[test]
fn models_that_cannot_fuse_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let load = |path: &std::path::Path| Model::load(path, options()).unwrap_err();
    let absent = load(&folder.path().join("absent.onnx"));
    assert!(matches!(&absent, RuntimeError::Engine(EngineError::Read { .. })) && absent.is_wrong_call(), "{absent}");
    let garbage = folder.path().join("garbage.onnx");
    std::fs::write(&garbage, b"not a model").unwrap();
    let error = load(&garbage);
    assert!(matches!(&error, RuntimeError::Engine(EngineError::NoModel { .. })) && error.is_wrong_call(), "{error}");
    // Bytes of no kind that is known by its beginning: ONNX Runtime says what is wrong.
    std::fs::write(&garbage, [0x08, 0x07, 0xFF, 0xFF, 0xFF]).unwrap();
    let error = load(&garbage);
    assert!(
        matches!(&error, RuntimeError::Engine(EngineError::Load { .. })) && error.to_string().contains("garbage.onnx"),
        "{error}"
    );
    let detector = load(&common::detector_model(folder.path(), "detector.onnx")).to_string();
    assert!(detector.contains("found one that only detects"), "{detector}");
    // The same file with another promise: one digit of the contract's version, and one letter of a name.
    let path = common::fusion_model(folder.path(), "m.onnx", Samples::Bytes, ColourMode::Gray);
    let good = std::fs::read(&path).unwrap();
    for (from, to, expected) in [
        (&b"\"version\":2"[..], &b"\"version\":9"[..], "version 9"),
        (&b"caf.contract"[..], &b"xyz.contract"[..], "no `caf.contract`"),
        (&b"\"name\":\"fused\""[..], &b"\"name\":\"fuxed\""[..], "found fuxed"),
        (&b"\"u8\""[..], &b"\"u9\""[..], "not a contract"),
    ] {
        let mut bytes = good.clone();
        let at = bytes.windows(from.len()).rposition(|w| w == from).expect("the contract lies in the file as text");
        bytes[at..at + to.len()].copy_from_slice(to);
        std::fs::write(&path, &bytes).unwrap();
        let error = load(&path).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_missing_gpu_is_an_error_and_never_a_quiet_fall_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = common::fusion_model(folder.path(), "m.onnx", Samples::Bytes, ColourMode::Rgb);
    for (provider, library) in [
        (ProviderChoice::Cuda, "libonnxruntime_providers_cuda.so"),
        (ProviderChoice::Tensorrt, "libonnxruntime_providers_tensorrt.so"),
    ] {
        match Model::load(&path, EngineOptions { provider, threads: None }) {
            Err(RuntimeError::Engine(EngineError::Provider(error))) => {
                assert!(error.to_string().contains(library), "{error}")
            }
            Err(other) => panic!("another error: {other}"),
            Ok(model) => assert_ne!(model.provider().name(), "cpu"),
        }
    }
    let auto = Model::load(&path, EngineOptions::default()).unwrap();
    assert!(auto.reason().is_some_and(|r| !r.is_empty()));
}

#[test]
fn images_of_another_size_than_the_model_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = common::pipeline_model(folder.path(), "p.onnx", 50, 38);
    let model = Model::load(&path, options()).unwrap();
    assert_eq!(model.fixed_size(), Some(Size::new(50, 38)));
    let mut runner = Runner::new(model);
    let (ir, vi) = (gray(50, 38, 1), rgb(50, 38, 2));
    let ir = ImageView::new(&ir, Size::new(50, 38), 50, PixelFormat::Gray8).unwrap();
    let vi = ImageView::new(&vi, Size::new(50, 38), 150, PixelFormat::Rgb8).unwrap();
    let fused = runner.run(&ir, &vi).unwrap();
    let Some(View::F32(rows)) = fused.output(1) else { panic!("a pipeline predicts floats") };
    assert_eq!(rows.len() % 7, 0);
    assert!(rows.iter().all(|v| v.is_finite()) && !rows.is_empty());
    let small = [0; 49 * 38];
    let small = ImageView::new(&small, Size::new(49, 38), 49, PixelFormat::Gray8).unwrap();
    let Err(error) = runner.run(&small, &vi) else { panic!("a wrong size passes") };
    assert!(error.to_string().contains("49x38"), "{error}");
    // The refusal leaves the runner usable.
    assert!(runner.run(&ir, &vi).is_ok());
}
