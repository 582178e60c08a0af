//! The source against scripted cameras: what becomes of frames, and of each fault.

use super::*;
use crate::abi;
use crate::device::{Errno, FourCc, PlaneLayout};
use crate::scripted::{Description, Event, Script};
use caf_geometry::Size;
use caf_runtime::queue::{Lanes, Popped, WhenFull};
use caf_runtime::source::clock::HeldClock;
use caf_runtime::source::port::Capture;
use caf_runtime::source::report::{SourceEvent, SourceReport, SourceState};
use std::time::Instant;

const SIZE: Size = Size::new(4, 3);
/// How long a test waits for what must happen: only a failing one takes so long.
const LIMIT: Duration = Duration::from_secs(60);

struct Run {
    source: V4lSource,
    port: Port,
    capture: Capture,
    clock: Arc<HeldClock>,
}

/// A run whose clock stands still.
fn run(script: &Script, camera: Camera, queue: usize) -> Run {
    run_at(script, camera, queue, Pace::EveryFrame)
}

fn run_at(script: &Script, camera: Camera, queue: usize, pace: Pace) -> Run {
    let settings = SourceSettings { camera, latency_ns: 3, fps: 25.0, patience: LIMIT };
    let mut source = V4lSource::open(Arc::new(script.clone()), "v4l2:/dev/video0", &settings).unwrap();
    // The scripted driver's clock and the run's began together.
    source.monotonic = || 0;
    let clock = Arc::new(HeldClock::default());
    let capture: Capture = Arc::new(Lanes::new(queue, WhenFull::Wait));
    let port = Port::new(camera, &capture, Arc::<HeldClock>::clone(&clock), true);
    source.start(port.clone(), pace).unwrap();
    Run { source, port, capture, clock }
}

impl Run {
    fn frame(&self) -> Frame {
        match self.capture.pop([true; 2], Some(Instant::now() + LIMIT)) {
            Popped::Item(_, frame) => frame,
            other => panic!("expected a frame, found {other:?}"),
        }
    }

    /// Waits until a report is as expected.
    fn until(&self, what: &str, is_so: impl Fn(&SourceReport) -> bool) -> SourceReport {
        let began = Instant::now();
        loop {
            let report = self.port.report();
            if is_so(&report) {
                return report;
            }
            assert!(began.elapsed() < LIMIT, "{what}: {report:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn gray(events: &[Event]) -> Script {
    Script::new(Description::new(b"GREY", SIZE, 6, 6 * 3), events.iter().copied())
}

fn bytes(frame: &Frame) -> Vec<u8> {
    frame.view().unwrap().rows().flatten().copied().collect()
}

/// What the camera writes into a buffer with rows six bytes apart.
fn written(buffer: usize) -> Vec<u8> {
    let at = |i: usize| (buffer * 31 + (i / 4 * 6 + i % 4) * 7) as u8;
    (0..12).map(at).collect()
}

#[test]
fn frames_are_lent_with_the_drivers_times_and_numbers() {
    let script = gray(&[Event::Frame, Event::After(2), Event::Flagged, Event::Frame]);
    let run = run(&script, Camera::Infrared, 8);
    let frames = [run.frame(), run.frame(), run.frame()];
    // The fourth buffer was damaged, and its place in the order stays empty.
    assert_eq!(frames.each_ref().map(|f| f.sequence), [0, 3, 5]);
    assert_eq!(frames.each_ref().map(|f| f.capture_ns), [0, 3, 5].map(|n| n * 33_333_333 - 3));
    assert_eq!(frames.each_ref().map(|f| f.rate), [(30, 1); 3]);
    assert_eq!(frames.each_ref().map(bytes), [written(0), written(1), written(3)]);
    // Three lent, the damaged one given back.
    assert_eq!(script.books().queued, [4, 5, 6, 7, 2]);
    let intake = run.until("all are counted", |r| r.intake.damaged == 1).intake;
    assert_eq!(intake, Intake { missed: 2, damaged: 1, ..Intake::default() });
    drop(frames);
    assert_eq!(script.books().queued.len(), 8);
}

#[test]
fn what_is_kept_too_long_is_copied_so_that_the_driver_never_starves() {
    let script = gray(&[Event::Frame; 20]);
    let run = run(&script, Camera::Infrared, 20);
    let frames: Vec<Frame> = (0..20).map(|_| run.frame()).collect();
    // Of eight buffers six are lent, and the last two go to and fro.
    assert_eq!(run.until("all are counted", |r| r.intake.copied == 14).intake.missed, 0);
    let buffers = (0..20).map(|i| if i < 8 { i } else { 6 + i % 2 });
    assert!(frames.iter().zip(buffers).all(|(frame, buffer)| bytes(frame) == written(buffer)));
    assert_eq!(script.books().queued.len(), KEPT);
    drop(frames);
    assert_eq!((script.books().queued.len(), script.books().queued_twice), (8, 0));
}

#[test]
fn an_unplugged_camera_is_lost_and_up_again_a_thousand_times_and_nothing_stays_open() {
    const CYCLES: usize = 1000;
    let events = (0..CYCLES).flat_map(|_| [Event::Frame, Event::Unplugged]).chain([Event::Frame]);
    let script = Script::new(Description::new(b"GREY", SIZE, 6, 6 * 3), events);
    let mut run = run(&script, Camera::Infrared, 4);
    for _ in 0..=CYCLES {
        drop(run.frame());
    }
    let report = run.until("the last one is up", |r| r.returned == CYCLES as u64);
    assert_eq!((report.state, report.lost, report.intake.restarts), (SourceState::Up, 1000, 1000));
    assert_eq!((script.books().open, script.books().starts, script.books().queued_twice), (1, CYCLES + 1, 0));
    run.source.stop();
    assert_eq!(script.books().open, 0);
}

#[test]
fn an_error_of_the_driver_starts_it_again_and_loses_nothing_else() {
    for event in [Event::Fails(Errno::IO), Event::PollError] {
        let script = gray(&[Event::Frame, event, Event::Frame]);
        let run = run(&script, Camera::Infrared, 4);
        drop(run.frame());
        drop(run.frame());
        let report = run.port.report();
        assert_eq!((report.state, report.lost, report.intake.restarts), (SourceState::Up, 0, 1), "{event:?}");
    }
}

#[test]
fn a_silent_camera_is_started_again() {
    let script = gray(&[Event::Frame]);
    let run = run(&script, Camera::Infrared, 4);
    drop(run.frame());
    run.clock.advance(Duration::from_nanos(STALL_NS as u64));
    run.until("the first start again", |r| r.intake.restarts == 1);
    assert_eq!(run.port.report().lost, 0, "only the run's patience says that it is lost");
    // The first frame of a start may take longer.
    let began = Instant::now();
    while script.books().starts < 2 {
        assert!(began.elapsed() < LIMIT, "it is not started again");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(run.port.report().intake.restarts, 1);
}

#[test]
fn a_camera_that_never_works_fails_with_the_reason() {
    let script = gray(&[]);
    script.description().most_buffers = 1;
    let run = run(&script, Camera::Infrared, 4);
    run.until("the end", |r| r.state == SourceState::Ended);
    let failure = run.port.failure().unwrap();
    assert!(!failure.is_wrong_call());
    let failure = failure.to_string();
    assert_eq!(failure, "infrared source: the camera does not stream: the driver gives 1 buffers, expected at least 3");
    assert_eq!(script.books().open, 0);
}

#[test]
fn first_infrared_frames_of_a_single_value_are_passed_over_and_counted() {
    let mut description = Description::new(b"Y16 ", SIZE, 8, 24);
    description.fill = |buffer, at| if buffer < 3 { 0x55 } else { (buffer + at) as u8 };
    let script = Script::new(description.clone(), [Event::Frame; 5]);
    let thermal = run(&script, Camera::Infrared, 8);
    assert_eq!([thermal.frame(), thermal.frame()].map(|f| f.sequence), [0, 1]);
    assert_eq!(thermal.port.report().intake.passed_over, 3);
    // Of a visible camera a blank image is an image.
    let visible = run(&Script::new(description, [Event::Frame; 5]), Camera::Visible, 8);
    (0..5).for_each(|_| drop(visible.frame()));
    assert_eq!(visible.port.report().intake.passed_over, 0);
}

#[test]
fn times_of_another_clock_or_beyond_belief_are_those_of_the_arrival() {
    let frames = |flags: u32, monotonic: fn() -> i64| {
        let mut description = Description::new(b"GREY", SIZE, 6, 6 * 3);
        description.stamp_flags = flags;
        let script = Script::new(description, [Event::After(30), Event::Frame]);
        let settings = SourceSettings { camera: Camera::Visible, latency_ns: 0, fps: 25.0, patience: LIMIT };
        let mut source = V4lSource::open(Arc::new(script), "v4l2:/dev/video0", &settings).unwrap();
        source.monotonic = monotonic;
        let clock = Arc::new(HeldClock::default());
        clock.advance(Duration::from_nanos(77));
        let capture: Capture = Arc::new(Lanes::new(4, WhenFull::Wait));
        let port = Port::new(Camera::Visible, &capture, Arc::<HeldClock>::clone(&clock), true);
        source.start(port.clone(), Pace::Realtime).unwrap();
        let run = Run { source, port, capture, clock };
        [run.frame(), run.frame()].map(|f| f.capture_ns)
    };
    assert_eq!(frames(0, || 77), [77, 77], "an unknown clock");
    let monotonic = abi::BUF_FLAG_TIMESTAMP_MONOTONIC;
    assert_eq!(frames(monotonic, || 77), [30, 31].map(|n| n * 33_333_333));
    assert_eq!(frames(monotonic, || 20_000_000_000), [77, 77], "twenty seconds old");
}

#[test]
fn the_start_of_an_exposure_is_known_to_be_a_frame_before_its_arrival() {
    let mut description = Description::new(b"GREY", SIZE, 6, 6 * 3);
    description.stamp_flags |= abi::BUF_FLAG_TSTAMP_SRC_SOE;
    let run = run(&Script::new(description, [Event::Frame]), Camera::Visible, 4);
    drop(run.frame());
    assert_eq!(run.port.delay_ns(), 33_333_333);
}

#[test]
fn what_must_be_converted_is_converted_and_its_buffer_is_free_at_once() {
    let mut description = Description::new(b"YUYV", SIZE, 8, 24);
    description.offered = vec![FourCc::new(*b"YUYV")];
    let script = Script::new(description, [Event::Frame; 6]);
    let run = run(&script, Camera::Visible, 8);
    let frames: Vec<Frame> = (0..6).map(|_| run.frame()).collect();
    assert_eq!(script.books().queued.len(), 8);
    assert!(frames.iter().all(|f| bytes(f).len() == 36));
    // The memory of the frames is used again.
    let place = frames.last().map(|f| f.view().unwrap().rows().next().unwrap().as_ptr());
    drop(frames);
    script.extend([Event::Frame]);
    assert_eq!(Some(run.frame().view().unwrap().rows().next().unwrap().as_ptr()), place);
}

#[test]
fn in_real_time_only_the_newest_of_the_frames_that_wait_is_converted() {
    let mut description = Description::new(b"YUYV", SIZE, 8, 24);
    description.offered = vec![FourCc::new(*b"YUYV")];
    let script = Script::new(description, [Event::Frame, Event::Frame, Event::Frame, Event::Timeout, Event::Frame]);
    let run = run_at(&script, Camera::Visible, 8, Pace::Realtime);
    assert_eq!([run.frame(), run.frame()].map(|f| (f.sequence, f.capture_ns)), [(2, 66_666_663), (3, 99_999_996)]);
    assert_eq!(run.port.report().intake.overtaken, 2);
    assert_eq!(script.books().queued.len(), 8, "what was overtaken is free");
}

#[test]
fn a_damaged_jpeg_is_counted_and_passed_by() {
    let mut description = Description::new(b"MJPG", SIZE, 0, 400);
    description.fill = |_, at| if at == 0 { 0xFF } else { 0xD8 };
    let run = run(&Script::new(description, [Event::Frame, Event::Short(0), Event::Frame]), Camera::Visible, 4);
    let report = run.until("three damaged frames", |r| r.intake.damaged == 3);
    assert_eq!(report.state, SourceState::Starting);
}

#[test]
fn a_camera_that_comes_back_with_another_size_is_refused_until_it_has_its_own_again() {
    let script = gray(&[Event::Frame]);
    let run = run(&script, Camera::Infrared, 4);
    drop(run.frame());
    {
        let mut description = script.description();
        description.format.size = Size::new(8, 6);
        description.format.planes[0] = PlaneLayout { size_bytes: 8 * 6, stride_bytes: 8 };
    }
    script.extend([Event::Unplugged, Event::Frame]);
    let is_refused = |event: &SourceEvent| match event {
        SourceEvent::NotBack { reason } => reason.contains("no 4x3 images of GREY, the nearest is 8x6"),
        _ => false,
    };
    run.until("it is told that the size is another one", |_| {
        std::iter::from_fn(|| run.port.news()).any(|event| is_refused(&event))
    });
    assert_eq!((run.port.report().state, run.port.report().lost), (SourceState::Lost, 1));
    // As it was opened the first time, though the call names neither.
    assert_eq!(script.books().asked.last(), Some(&(FourCc::new(*b"GREY"), SIZE)));
    {
        let mut description = script.description();
        description.format.size = SIZE;
        description.format.planes[0] = PlaneLayout { size_bytes: 6 * 3, stride_bytes: 6 };
    }
    run.clock.advance(Duration::from_nanos(RETRY_NS as u64));
    assert_eq!(run.frame().size(), SIZE);
    assert_eq!((run.port.report().state, run.port.report().lost), (SourceState::Up, 1));
}

#[test]
fn a_frame_that_takes_years_by_the_driver_is_no_silence() {
    let script = gray(&[Event::Frame]);
    script.description().interval = Some((i32::MAX as u32, 1));
    let run = run(&script, Camera::Infrared, 4);
    drop(run.frame());
    let waits = script.books().waits;
    run.clock.advance(Duration::from_secs(3600));
    let began = Instant::now();
    while script.books().waits < waits + 3 {
        assert!(began.elapsed() < LIMIT && run.port.state() != SourceState::Ended, "the reader has ended");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!((run.port.state(), run.port.report().intake.restarts), (SourceState::Up, 0));
}
