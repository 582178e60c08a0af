//! The hot path allocates nothing per frame: counted by a global allocator, from a camera's buffer to the written line.
//!
//! ONNX Runtime itself allocates by its own means, which no Rust allocator sees. Its Rust wrapper makes a list of outputs at
//! every run; how much that is, a session without any code of ours tells, and ours must add nothing to it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::time::Instant;

use caf_contract::{Element, Extent, Port};
use caf_geometry::NmsSettings;
use caf_net::zoo::pipeline::{ColourMode, Samples};
use caf_runtime::frame::{Camera, Frame};
use caf_runtime::fusion::{FrameFusion, FusionSettings};
use caf_runtime::live::{Line, Slot};
use caf_runtime::pair::{PairRule, Pairer, Step};
use caf_runtime::queue::{Lanes, Popped, Pushed, Queue, WhenFull};
use caf_runtime::session::provider::ProviderChoice;
use caf_runtime::session::{Model, ModelOptions, library};
use caf_runtime::sink::jsonl::JsonLines;
use caf_runtime::sink::video::VideoSink;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;
use ort::memory::Allocator;
use ort::session::Session;
use ort::value::Tensor;

/// The system's allocator with a counter for each thread.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is just ending has no counter any more.
    let _ = COUNT.try_with(|c| c.set(c.get() + 1));
}

#[allow(unsafe_code, reason = "the trait is unsafe")]
// SAFETY: every call goes to the system's allocator as it is; the counter is a cell of the calling thread that needs neither
// memory nor a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Counts what this thread allocates during `work`.
fn counted<T>(tally: &mut u64, work: impl FnOnce() -> T) -> T {
    let before = COUNT.with(Cell::get);
    let result = work();
    *tally += COUNT.with(Cell::get) - before;
    result
}

/// Frames that are counted.
const FRAMES: u64 = 20;

/// A camera's pool of buffers.
struct Pool {
    camera: Camera,
    info: gst_video::VideoInfo,
    pool: gst_video::VideoBufferPool,
}

impl Pool {
    fn new(camera: Camera, format: gst_video::VideoFormat, (width, height): (u32, u32)) -> Self {
        let info = gst_video::VideoInfo::builder(format, width, height).build().unwrap();
        let pool = gst_video::VideoBufferPool::new();
        let mut config = pool.config();
        config.set_params(Some(&info.to_caps().unwrap()), info.size() as u32, 4, 0);
        pool.set_config(config).unwrap();
        pool.set_active(true).unwrap();
        Self { camera, info, pool }
    }

    fn frame(&self, sequence: u64) -> Frame {
        let mut buffer = self.pool.acquire_buffer(None).unwrap();
        let mut pixels = buffer.get_mut().unwrap().map_writable().unwrap();
        pixels.iter_mut().enumerate().for_each(|(i, v)| *v = (i as u64 * 31 + sequence * 7) as u8);
        drop(pixels);
        Frame::from_buffer(self.camera, sequence, sequence as i64 * 40_000_000, buffer, &self.info).unwrap()
    }
}

/// Allocations by part of the work.
#[derive(Debug, Default)]
struct Tally {
    capture: u64,
    pair: u64,
    infer: u64,
    finish: u64,
    sinks: u64,
}

/// Everything that a live run has, on one thread.
struct Run {
    cameras: [Pool; 2],
    capture: Lanes<Frame, 2>,
    pairer: Pairer<Frame>,
    pairs: Queue<(Frame, Frame, i64)>,
    fusion: FrameFusion,
    free: Queue<Slot>,
    results: Queue<Slot>,
    lines: JsonLines,
    video: VideoSink,
    classes: Vec<String>,
}

impl Run {
    fn step(&mut self, sequence: u64, tally: &mut Tally) -> usize {
        counted(&mut tally.capture, || {
            for (lane, camera) in self.cameras.iter().enumerate() {
                assert!(matches!(self.capture.push(lane, camera.frame(sequence)), Pushed::Queued));
            }
        });
        counted(&mut tally.pair, || {
            for camera in Camera::BOTH {
                let wanted = Camera::BOTH.map(|c| c == camera);
                let Popped::Item(_, frame) = self.capture.pop(wanted, Some(Instant::now())) else { panic!("no frame") };
                self.pairer.offer(camera, frame);
            }
            let Step::Pair { infrared, visible, skew_ns } = self.pairer.poll(Some(0)) else { panic!("no pair") };
            assert!(matches!(self.pairs.push(0, (infrared, visible, skew_ns)), Pushed::Queued));
        });
        let (infrared, visible, _) = self.pairs.next().unwrap();
        let mut slot = self.free.next().unwrap();
        let inferred = counted(&mut tally.infer, || {
            self.fusion.infer(&infrared.view().unwrap(), &visible.view().unwrap()).unwrap()
        });
        counted(&mut tally.finish, || {
            drop((infrared, visible));
            inferred.finish(&mut slot.image).unwrap();
        });
        slot.time_ns = sequence as i64 * 40_000_000;
        counted(&mut tally.sinks, || {
            assert!(matches!(self.results.push(0, slot), Pushed::Queued));
            let slot = self.results.next().unwrap();
            self.video.write(&slot.image.rgb, slot.image.size_px, slot.time_ns, (25, 1)).unwrap();
            self.lines.write(&Line { slot: &slot, classes: &self.classes }).unwrap();
            let found = slot.image.detections.len();
            assert!(matches!(self.free.push(0, slot), Pushed::Queued));
            found
        })
    }
}

/// A run of one model without any code of ours; returns the allocations.
fn bare_run(model: &Path, inputs: &[Port], outputs: &[Port], size: (usize, usize)) -> u64 {
    let extent = |e: &Extent| match e {
        Extent::Fixed(n) => *n,
        Extent::Named(name) if name == "height" => size.1,
        Extent::Named(name) if name == "width" => size.0,
        Extent::Named(_) => 1,
    };
    let shape = |port: &Port| port.shape.iter().map(extent).collect::<Vec<usize>>();
    let memory = Allocator::default();
    let builder = Session::builder(&library::library().unwrap().environment);
    let mut session = builder.unwrap().commit_from_file(model).unwrap();
    let mut io = session.create_binding().unwrap();
    for port in inputs {
        match port.element {
            Element::U8 => io.bind_input(&port.name, &Tensor::<u8>::new(&memory, shape(port)).unwrap()).unwrap(),
            Element::F32 => io.bind_input(&port.name, &Tensor::<f32>::new(&memory, shape(port)).unwrap()).unwrap(),
        }
    }
    for port in outputs {
        match port.element {
            Element::U8 => io.bind_output(&port.name, &mut Tensor::<u8>::new(&memory, shape(port)).unwrap()).unwrap(),
            Element::F32 => io.bind_output(&port.name, &mut Tensor::<f32>::new(&memory, shape(port)).unwrap()).unwrap(),
        }
    }
    let mut total = 0;
    for _ in 0..4 {
        total = 0;
        counted(&mut total, || {
            session.run_binding(&io).map(drop).unwrap();
            io.synchronize_outputs().unwrap();
        });
    }
    total
}

#[test]
fn nothing_is_allocated_for_a_frame() {
    gst::init().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let size = (97, 62);
    let camera = |(width, height): (u32, u32)| caf_rig::Camera::with_field_of_view(width, height, 50.0);
    let mut rig = caf_rig::Rig::aligned(camera((97, 62)));
    rig.infrared = camera((45, 33));
    let cases = [
        (common::pipeline_model(folder.path(), "p.onnx", size.0, size.1), (45, 33), Some((rig, 20.0))),
        (common::fusion_model(folder.path(), "f.onnx", Samples::Unit, ColourMode::Gray), (97, 62), None),
    ];
    for (path, infrared, rig) in cases {
        let options = ModelOptions { provider: ProviderChoice::Cpu, threads: Some(1) };
        let model = Model::load(&path, options).unwrap();
        let contract = model.contract().clone();
        let bare = bare_run(&path, &contract.inputs, &contract.outputs, size);
        let settings = FusionSettings { rig, nms: NmsSettings { conf: 0.0, ..NmsSettings::default() }, draw: true };
        let fusion = FrameFusion::new(model, &settings).unwrap();
        let rule = PairRule { max_skew_ns: 20_000_000, patience_ns: [0; 2], window: 8 };
        let mut run = Run {
            cameras: [
                Pool::new(Camera::Infrared, gst_video::VideoFormat::Gray16Le, infrared),
                Pool::new(Camera::Visible, gst_video::VideoFormat::Rgb, (97, 62)),
            ],
            capture: Lanes::new(4, WhenFull::DropOldest),
            pairer: Pairer::new(rule),
            pairs: Queue::new(1, WhenFull::DropOldest),
            classes: fusion.classes().unwrap_or_default().to_vec(),
            fusion,
            free: Queue::new(3, WhenFull::Wait),
            results: Queue::new(4, WhenFull::DropOldest),
            lines: JsonLines::create(&folder.path().join("o.jsonl")).unwrap(),
            video: VideoSink::create(&folder.path().join("o.mkv")).unwrap(),
        };
        run.free.push(0, Slot::default());
        // What is made for the first frames stays.
        for i in 0..5 {
            run.step(i, &mut Tally::default());
        }
        let (mut tally, mut found) = (Tally::default(), 0);
        (5..5 + FRAMES).for_each(|i| found += run.step(i, &mut tally));
        println!("{}: {tally:?} in {FRAMES} frames, {bare} a bare run, {found} detections", path.display());
        let Tally { capture, pair, infer, finish, sinks } = tally;
        assert_eq!([capture, pair, finish, sinks], [0; 4], "{tally:?}");
        assert_eq!(infer, bare * FRAMES, "the wrapper allocates {bare} times a run, and nothing may come on top");
        assert!(found > 0 || run.classes.is_empty(), "nothing was suppressed or painted");
        run.lines.finish().unwrap();
        assert!(run.video.finish().unwrap());
    }
}

#[test]
fn the_counter_counts() {
    let mut tally = 0;
    let kept = counted(&mut tally, || (Box::new(1), vec![0_u8; 9], Vec::<u8>::new()));
    assert_eq!((tally, kept.1.len()), (2, 9));
    let elsewhere = std::thread::spawn(|| vec![1_u8; 100]);
    let mut here = 0;
    counted(&mut here, || while !elsewhere.is_finished() {});
    assert_eq!((here, elsewhere.join().unwrap().len()), (0, 100));
}
