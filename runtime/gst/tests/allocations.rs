//! The hot path allocates nothing per frame: counted by a global allocator, from a camera's buffer to the written line.
//!
//! ONNX Runtime itself allocates by its own means, which no Rust allocator sees. Its Rust wrapper makes a list of outputs at
//! every run; how much that is, a session without any code of ours tells, and ours must add nothing to it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

#[path = "../../tests/common/mod.rs"]
mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use caf_contract::{Contract, DETECTION, Element, Extent, Port};
use caf_engine::{EngineOptions, ProviderChoice, library};
use caf_geometry::{NmsSettings, Size};
use caf_gst::frame::Frames;
use caf_net::zoo::pipeline::{ColourMode, Samples};
use caf_runtime::frame::{Camera, Frame};
use caf_runtime::fusion::{FrameFusion, FusionSettings};
use caf_runtime::health::{Fault, Health, Look};
use caf_runtime::line::LineShape;
use caf_runtime::live::picture;
use caf_runtime::pair::{PairRule, Pairer, Step};
use caf_runtime::queue::{Lanes, Popped, Pushed, Queue, WhenFull};
use caf_runtime::result::{PairResult, ResultPool, ResultState};
use caf_runtime::session::Model;
use caf_runtime::sink::error::SinkError;
use caf_runtime::sink::kind::{Sent, Sink, SinkSpec};
use caf_runtime::sink::lane::{SinkLane, SinkSummary};
use caf_runtime::task::detection::Detections;
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

/// Results of the pool: one with the model, and for each sink four that wait and one in hand.
const RESULTS: u64 = 1 + 5 * (caf_gst::SINKS.len() + caf_runtime::sink::SINKS.len()) as u64;
/// Different images, so that memory that grows with what is found stops growing.
const IMAGES: u64 = 3;
/// Frames before those that are counted: every result has held every image.
const BEFORE: u64 = RESULTS * IMAGES;
/// Frames that are counted.
const FRAMES: u64 = 20;

/// A camera's pool of buffers.
struct Pool {
    camera: Camera,
    info: gst_video::VideoInfo,
    pool: gst_video::VideoBufferPool,
    frames: Frames,
}

impl Pool {
    fn new(camera: Camera, format: gst_video::VideoFormat, (width, height): (u32, u32)) -> Self {
        let info = gst_video::VideoInfo::builder(format, width, height).build().unwrap();
        let pool = gst_video::VideoBufferPool::new();
        let mut config = pool.config();
        config.set_params(Some(&info.to_caps().unwrap()), info.size() as u32, 4, 0);
        pool.set_config(config).unwrap();
        pool.set_active(true).unwrap();
        Self { camera, info, pool, frames: Frames::default() }
    }

    fn frame(&self, sequence: u64) -> Frame {
        let mut buffer = self.pool.acquire_buffer(None).unwrap();
        let mut pixels = buffer.get_mut().unwrap().map_writable().unwrap();
        pixels.iter_mut().enumerate().for_each(|(i, v)| *v = (i as u64 * 31 + (sequence / RESULTS % IMAGES) * 7) as u8);
        drop(pixels);
        self.frames.wrap(self.camera, sequence, sequence as i64 * 40_000_000, buffer, &self.info).unwrap()
    }
}

/// Allocations by part of the work.
#[derive(Debug, Default)]
struct Tally {
    capture: u64,
    pair: u64,
    /// The model, on one camera's image.
    alone: u64,
    /// What is made of that, and the picture that says that both cameras are out.
    picture: u64,
    infer: u64,
    finish: u64,
    offer: u64,
}

/// Notes how much the sink's thread has allocated whenever a result reaches it.
struct Probe {
    sink: Box<dyn Sink>,
    counts: Arc<Mutex<Vec<u64>>>,
}

impl Sink for Probe {
    fn write(&mut self, result: &PairResult) -> Result<Sent, SinkError> {
        self.counts.lock().unwrap().push(COUNT.with(Cell::get));
        self.sink.write(result)
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        self.sink.finish()
    }
}

/// A sink with its lane, its thread, and what that allocated until each result.
struct Output {
    lane: Arc<SinkLane>,
    counts: Arc<Mutex<Vec<u64>>>,
    thread: std::thread::JoinHandle<(SinkSummary, Option<SinkError>)>,
}

impl Output {
    fn start(spec: SinkSpec) -> Self {
        let counts = Arc::new(Mutex::new(Vec::with_capacity(1000)));
        let sink = Box::new(Probe { sink: spec.open().unwrap(), counts: Arc::clone(&counts) });
        let lane = Arc::new(SinkLane::new(spec, 4, WhenFull::Wait));
        let thread = std::thread::spawn({
            let lane = Arc::clone(&lane);
            move || lane.run(sink)
        });
        Self { lane, counts, thread }
    }

    /// Ends the sink; allocations of its thread from result `from` to the last one.
    fn finish(self, from: usize) -> u64 {
        self.lane.close();
        let (summary, failure) = self.thread.join().unwrap();
        assert!(failure.is_none(), "{failure:?}");
        let counts = self.counts.lock().unwrap();
        assert_eq!(summary.written + summary.undelivered, counts.len() as u64);
        counts.last().unwrap() - counts[from]
    }
}

/// Everything that a live run has, on one thread.
struct Run {
    cameras: [Pool; 2],
    capture: Lanes<Frame, 2>,
    health: [Health; 2],
    pairer: Pairer<Frame>,
    pairs: Queue<(Frame, Frame, i64)>,
    fusion: FrameFusion,
    pool: ResultPool,
    sinks: Vec<Output>,
    /// Results that are kept from being used again.
    held: Option<Vec<Arc<PairResult>>>,
}

impl Run {
    /// Until it has been used for all images, every result is used in turn.
    fn warm_up(&mut self) {
        for first in (0..BEFORE).step_by(RESULTS as usize) {
            self.held = Some(vec![]);
            (first..first + RESULTS).for_each(|i| assert!(self.step(i, &mut Tally::default()) < usize::MAX));
            let held = self.held.take().unwrap();
            // The pool has each, and so has the list.
            while held.iter().any(|result| Arc::strong_count(result) > 2) {
                std::thread::yield_now();
            }
        }
    }

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
                // The test's images repeat, so that what is found here does not matter.
                self.health[camera.index()].see(&Look::at(&frame.view().unwrap()), false, frame.capture_ns);
                self.pairer.offer(camera, frame);
            }
            let Step::Pair { infrared, visible, skew_ns } = self.pairer.poll(Some(0)) else { panic!("no pair") };
            assert!(matches!(self.pairs.push(0, (infrared, visible, skew_ns)), Pushed::Queued));
        });
        let (infrared, visible, _) = self.pairs.next().unwrap();
        let mut shared = self.pool.take();
        let result = Arc::get_mut(&mut shared).unwrap();
        for frame in [&infrared, &visible] {
            let view = frame.view().unwrap();
            let inferred = counted(&mut tally.alone, || self.fusion.infer_alone(frame.camera, &view).unwrap());
            counted(&mut tally.picture, || inferred.finish(&mut result.image).unwrap());
        }
        counted(&mut tally.picture, || {
            (result.state, result.faults) = (ResultState::VisibleOnly, [Some(Fault::Frozen), None]);
            picture::caption(result);
            let size = result.image.size;
            picture::offline(&mut result.image, size, &[Some(Fault::Lost); 2], Duration::from_secs(sequence));
        });
        let inferred = counted(&mut tally.infer, || {
            self.fusion.infer(&infrared.view().unwrap(), &visible.view().unwrap()).unwrap()
        });
        counted(&mut tally.finish, || {
            drop((infrared, visible));
            inferred.finish(&mut result.image).unwrap();
        });
        result.time_ns = sequence as i64 * 40_000_000;
        let found = result.image.of::<Detections>().map_or(0, |found| found.list.len());
        self.held.iter_mut().for_each(|held| held.push(Arc::clone(&shared)));
        counted(&mut tally.offer, || {
            self.sinks.iter().for_each(|sink| sink.lane.offer(&shared));
            self.pool.give_back(shared);
        });
        found
    }
}

/// A run of one model without any code of ours; returns the allocations.
fn bare_run(model: &Path, contract: &Contract, size: (usize, usize)) -> u64 {
    let extent = |e: &Extent| match e {
        Extent::Fixed(n) => *n,
        Extent::Named(name) if name == "height" => size.1,
        Extent::Named(name) if name == "width" => size.0,
        Extent::Named(_) | Extent::Open => 1,
    };
    let shape = |port: &Port| {
        let of_task = contract.task_of(&port.name).and_then(|task| task.output_shape(Size::new(size.0, size.1)));
        of_task.unwrap_or_else(|| port.shape.iter().map(extent).collect::<Vec<usize>>())
    };
    let memory = Allocator::default();
    let builder = Session::builder(&library().unwrap().environment);
    let mut session = builder.unwrap().commit_from_file(model).unwrap();
    let mut io = session.create_binding().unwrap();
    for port in &contract.inputs {
        match port.element {
            Element::U8 => io.bind_input(&port.name, &Tensor::<u8>::new(&memory, shape(port)).unwrap()).unwrap(),
            Element::F32 => io.bind_input(&port.name, &Tensor::<f32>::new(&memory, shape(port)).unwrap()).unwrap(),
        }
    }
    for port in &contract.outputs {
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
    let camera = |(width, height): (usize, usize)| caf_rig::Camera::with_field_of_view(Size { width, height }, 50.0);
    let mut rig = caf_rig::Rig::aligned(camera((97, 62)));
    rig.infrared = camera((45, 33));
    let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = receiver.local_addr().unwrap().to_string();
    let cases = [
        (common::pipeline_model(folder.path(), "p.onnx", size.0, size.1), (45, 33), Some((rig.into(), Some(20.0)))),
        (common::fusion_model(folder.path(), "f.onnx", Samples::Unit, ColourMode::Gray), (97, 62), None),
        (common::segmentation_model(folder.path(), "s.onnx"), (97, 62), None),
        (common::counting_model(folder.path(), "c.onnx"), (97, 62), None),
    ];
    for (path, infrared, rig) in cases {
        let options = EngineOptions { provider: ProviderChoice::Cpu, threads: Some(1) };
        let model = Model::load(&path, options).unwrap();
        let contract = model.contract().clone();
        let bare = bare_run(&path, &contract, size);
        let settings = FusionSettings {
            rig,
            nms: NmsSettings { conf: 0.0, ..NmsSettings::default() },
            draw: true,
            ..FusionSettings::default()
        };
        let fusion = FrameFusion::new(model, &settings).unwrap();
        let kinds = caf_gst::SINKS.iter().chain(caf_runtime::sink::SINKS);
        let sinks = kinds.map(|kind| {
            let file = folder.path().join(if kind.name() == "video" { "o.mkv" } else { kind.name() });
            let place = if kind.writes_file { file.into() } else { address.clone().into() };
            SinkSpec { kind: *kind, place, lines: LineShape::default() }
        });
        let detects = contract.does(&DETECTION);
        let rule = PairRule { max_skew_ns: 20_000_000, patience_ns: [0; 2], window: 8 };
        let mut run = Run {
            cameras: [
                Pool::new(Camera::Infrared, gst_video::VideoFormat::Gray16Le, infrared),
                Pool::new(Camera::Visible, gst_video::VideoFormat::Rgb, (97, 62)),
            ],
            capture: Lanes::new(4, WhenFull::DropOldest),
            health: Camera::BOTH.map(Health::new),
            pairer: Pairer::new(rule),
            pairs: Queue::new(1, WhenFull::DropOldest),
            fusion,
            pool: ResultPool::new(RESULTS as usize),
            held: None,
            sinks: sinks.map(Output::start).collect(),
        };
        // What is made for the first frames stays.
        run.warm_up();
        let (mut tally, mut found) = (Tally::default(), 0);
        (BEFORE..BEFORE + FRAMES).for_each(|i| found += run.step(i, &mut tally));
        println!("{}: {tally:?} in {FRAMES} frames, {bare} a bare run, {found} detections", path.display());
        let Tally { capture, pair, alone, picture, infer, finish, offer } = tally;
        assert_eq!([capture, pair, picture, finish, offer], [0; 5], "{tally:?}");
        assert_eq!(alone, 2 * bare * FRAMES, "{tally:?}");
        assert_eq!(infer, bare * FRAMES, "the wrapper allocates {bare} times a run, and nothing may come on top");
        assert!(found > 0 || !detects, "nothing was suppressed or painted");
        for sink in run.sinks {
            let name = sink.lane.name();
            assert_eq!(sink.finish(BEFORE as usize), 0, "the thread of the {name} sink");
        }
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
