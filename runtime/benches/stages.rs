//! What a frame costs, stage by stage, at the sizes of real cameras, and a whole pair with a small model.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a bench is a program of its own that stops at the line that fails"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;

use caf_contract::{Colour, DetectionContract};
use caf_engine::{EngineOptions, ProviderChoice};
use caf_geometry::{Detection, Size};
use caf_golden::Bench;
use caf_net::zoo::pipeline::{ColourMode, Samples};
use caf_runtime::align::Aligner;
use caf_runtime::draw::Canvas;
use caf_runtime::frame::{Camera, ImageView, PixelFormat};
use caf_runtime::fusion::{FrameFusion, FusionSettings};
use caf_runtime::pair::{PairRule, Pairer, Step, Timed};
use caf_runtime::pixels::{bytes_to_rgb, floats_to_rgb, to_bytes, to_floats};
use caf_runtime::queue::{Queue, WhenFull};
use caf_runtime::result::PairResult;
use caf_runtime::session::Model;
use caf_runtime::sink::jsonl::JsonLines;
use caf_runtime::task::FusedImage;
use caf_runtime::task::detection::{Detections, Detector, Thresholds};

const SIZES: [(usize, usize); 2] = [(640, 480), (1280, 1024)];

/// Numbers in [0, 1) without structure.
fn noise(mut state: u64) -> impl FnMut() -> f32 {
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32
    }
}

fn bytes(count: usize, seed: u64) -> Vec<u8> {
    let mut next = noise(seed);
    (0..count).map(|_| (next() * 256.0) as u8).collect()
}

fn pixels(bench: &Bench) {
    for (width, height) in SIZES {
        let group = format!("pixels {width}x{height}");
        let count = width * height;
        let data = bytes(count * 3 + height * 16, 1);
        let (mut out_bytes, mut out_floats) = (vec![0; count * 3], vec![0.0; count * 3]);
        for (name, format, colour) in [
            ("gray 8", PixelFormat::Gray8, Colour::Gray),
            ("gray 16", PixelFormat::Gray16Le, Colour::Gray),
            ("rgb", PixelFormat::Rgb8, Colour::Rgb),
            ("rgb to gray", PixelFormat::Rgb8, Colour::Gray),
        ] {
            // Rows as GStreamer lays them out, with padding.
            let view = ImageView::new(&data, Size { width, height }, width * format.bytes() + 4, format).unwrap();
            let values = count * caf_runtime::pixels::channels(colour);
            bench.run_over(&format!("{group}, {name} to bytes"), count, || {
                to_bytes(black_box(&view), colour, &mut out_bytes[..values]).unwrap()
            });
            bench.run_over(&format!("{group}, {name} to floats"), count, || {
                to_floats(black_box(&view), colour, &mut out_floats[..values]).unwrap()
            });
        }
        let mut next = noise(2);
        let floats: Vec<f32> = (0..count * 3).map(|_| next()).collect();
        let mut rgb = vec![0; count * 3];
        for (name, colour) in [("rgb", Colour::Rgb), ("gray", Colour::Gray)] {
            let values = count * caf_runtime::pixels::channels(colour);
            bench.run_over(&format!("{group}, {name} from bytes"), count, || {
                bytes_to_rgb(black_box(&data[..values]), colour, &mut rgb).unwrap()
            });
            bench.run_over(&format!("{group}, {name} from floats"), count, || {
                floats_to_rgb(black_box(&floats[..values]), colour, &mut rgb).unwrap()
            });
        }
    }
}

fn align(bench: &Bench) {
    for (width, height) in SIZES {
        let camera = |w: usize, h: usize| caf_rig::Camera::with_field_of_view(Size::new(w, h), 50.0);
        let mut rig = caf_rig::Rig::aligned(camera(width, height));
        rig.infrared = camera(640, 512);
        rig.vis_from_ir.translation_m = [0.1, 0.0, 0.0];
        let mut aligner = Aligner::new(caf_rig::RemapTable::vis_from_ir(&rig, 30.0).unwrap());
        let data = bytes(640 * 512 * 2, 3);
        for (name, format) in [("gray 8", PixelFormat::Gray8), ("gray 16", PixelFormat::Gray16Le)] {
            let view = ImageView::new(&data, Size::new(640, 512), 640 * format.bytes(), format).unwrap();
            bench.run_over(&format!("align 640x512 to {width}x{height}, {name}"), width * height, || {
                black_box(&aligner.align(black_box(&view)).unwrap());
            });
        }
    }
}

/// Rows of a detector that is sure of few things: `count` of six classes in a 640×480 image.
fn rows(count: usize) -> Vec<f32> {
    let mut next = noise(4);
    let mut rows = vec![];
    for _ in 0..count {
        rows.extend([next() * 640.0, next() * 480.0, 8.0 + next() * 100.0, 8.0 + next() * 100.0, next().powi(6)]);
        rows.extend((0..6).map(|_| next()));
    }
    rows
}

fn detect(bench: &Bench) {
    let input = Size::new(640, 480);
    let classes = ["person", "car", "truck", "bicycle", "lamp", "sign"].map(str::to_owned).to_vec();
    for count in [6300, 25_200] {
        let (rows, mut out) = (rows(count), vec![]);
        let contract = DetectionContract { output: "predictions".to_owned(), classes: classes.clone(), input };
        let mut detector = Detector::new(&contract, &Thresholds::default()).unwrap();
        bench.run_over(&format!("detect {count} rows"), count, || {
            detector.detect(black_box(&rows), Size::new(640, 480), &mut out).unwrap()
        });
    }
}

fn draw(bench: &Bench) {
    for (width, height) in SIZES {
        let mut rgb = bytes(width * height * 3, 5);
        for count in [10, 100] {
            let mut next = noise(6);
            let boxes: Vec<[f32; 4]> = (0..count)
                .map(|_| {
                    let (x, y) = (next() * width as f32, next() * height as f32);
                    [x, y, x + 20.0 + next() * 150.0, y + 20.0 + next() * 150.0]
                })
                .collect();
            bench.run(&format!("draw {width}x{height}, {count} detections"), || {
                let mut canvas = Canvas::new(black_box(&mut rgb), Size { width, height }).unwrap();
                boxes.iter().enumerate().for_each(|(i, at)| canvas.detection(*at, i % 6, "bicycle", 0.87));
            });
        }
    }
}

/// A frame without pixels.
struct At(i64);

impl Timed for At {
    fn capture_ns(&self) -> i64 {
        self.0
    }
}

fn pair(bench: &Bench) {
    let rule = PairRule { max_skew_ns: 20_000_000, patience_ns: [100_000_000; 2], window: 64 };
    let (mut pairer, mut time) = (Pairer::new(rule), 0);
    bench.run("pair: two frames to a pair", || {
        time += 40_000_000;
        pairer.offer(Camera::Infrared, At(time));
        pairer.offer(Camera::Visible, At(time + 7_000_000));
        // The rhythm of the cameras decides at once, as in a live run.
        let step = pairer.poll(Some(time + 8_000_000));
        assert!(matches!(step, Step::Pair { .. } | Step::Wait { .. }));
        step
    });
    let queue = Queue::new(4, WhenFull::DropOldest);
    bench.run("pair: through a queue", || {
        queue.push(0, black_box(7_u64));
        queue.next()
    });
}

fn line(bench: &Bench) {
    let folder = tempfile::tempdir().unwrap();
    let mut lines = JsonLines::create(&folder.path().join("o.jsonl")).unwrap();
    let mut result = PairResult::default();
    let mut next = noise(7);
    let list = (0..20)
        .map(|class| Detection { x1: next(), y1: next(), x2: next(), y2: next(), score: next(), class: class % 2 })
        .collect();
    let classes = ["person".to_owned(), "car".to_owned()].into();
    result.image.found = vec![Box::new(Detections { list, classes })];
    bench.run("line of 20 detections", || {
        lines.write(|out| black_box(&result).write_line(false, out)).unwrap();
    });
}

fn whole_pair(bench: &Bench) {
    let folder = tempfile::tempdir().unwrap();
    for (width, height) in SIZES {
        let models = [
            ("fuse", common::fusion_model(folder.path(), "f.onnx", Samples::Bytes, ColourMode::Rgb)),
            ("fuse and detect", common::pipeline_model(folder.path(), "p.onnx", width, height)),
        ];
        let (ir, vi) = (bytes(width * height, 8), bytes(width * height * 3, 9));
        let ir = ImageView::new(&ir, Size { width, height }, width, PixelFormat::Gray8).unwrap();
        let vi = ImageView::new(&vi, Size { width, height }, width * 3, PixelFormat::Rgb8).unwrap();
        for (name, path) in models {
            let options = EngineOptions { provider: ProviderChoice::Cpu, threads: Some(1) };
            let settings = FusionSettings { draw: true, ..FusionSettings::default() };
            let mut fusion = FrameFusion::new(Model::load(&path, options).unwrap(), &settings).unwrap();
            let mut image = FusedImage::default();
            bench.run(&format!("whole pair: {name} {width}x{height}"), || {
                fusion.infer(black_box(&ir), black_box(&vi)).unwrap().finish(&mut image).unwrap();
            });
        }
    }
}

fn main() {
    let bench = Bench::from_args();
    for stage in [pixels, align, detect, draw, pair, line, whole_pair] {
        stage(&bench);
    }
}
