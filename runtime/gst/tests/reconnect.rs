//! GStreamer sources that end, fail, stall or change their size, opened again and again without growth.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use caf_runtime::frame::{Camera, Frame};
use caf_runtime::queue::{Lanes, Popped, WhenFull};
use caf_runtime::source::clock::{Clock as _, MonotonicClock};
use caf_runtime::source::keeper::Keeping;
use caf_runtime::source::kind::{Pace, SourceSettings, SourceSpec};
use caf_runtime::source::port::{Capture, Port};
use caf_runtime::source::report::{SourceEvent, SourceReport, SourceState};

/// How often a source is opened again here; CAF_CYCLES says another number.
const CYCLES: u64 = 25;

/// No figure: so that a test fails that would never end.
const HANGS: Duration = Duration::from_secs(1800);

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    descriptors: usize,
    threads: usize,
    resident_kib: u64,
}

fn held() -> Held {
    let count = |folder: &str| std::fs::read_dir(folder).unwrap().count();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let resident_kib = resident.trim().trim_end_matches(" kB").parse().unwrap();
    Held { descriptors: count("/proc/self/fd"), threads: count("/proc/self/task"), resident_kib }
}

/// One test at a time: what the process holds is counted.
static ALONE: Mutex<()> = Mutex::new(());

/// Keeps a source of a launch string, calls `watch` with each frame and then and again until it says that this is enough.
fn keep(launch: &str, mut watch: impl FnMut(&Port, Option<Frame>) -> bool) -> (SourceReport, Vec<SourceEvent>) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let capture: Capture = Arc::new(Lanes::new(4, WhenFull::DropOldest));
    let clock = Arc::new(MonotonicClock::default());
    clock.start();
    let port = Port::new(Camera::Infrared, &capture, clock, true);
    port.keep();
    let settings =
        SourceSettings { camera: Camera::Infrared, latency_ns: 0, fps: 25.0, patience: Duration::from_secs(20) };
    let spec = SourceSpec::find(Camera::Infrared, launch, caf_gst::SOURCES).unwrap();
    let mut source = spec.open(&settings).unwrap();
    source.start(port.clone(), Pace::Realtime).unwrap();
    let mut events = vec![];
    let last = std::thread::scope(|scope| {
        let keeping = Keeping { spec: &spec, settings, pace: Pace::Realtime };
        let kept = &port;
        let keeper = scope.spawn(move || keeping.keep(source, kept));
        let began = Instant::now();
        loop {
            let frame = match capture.pop([true, false], Some(Instant::now() + Duration::from_millis(20))) {
                Popped::Item(_, frame) => Some(frame),
                Popped::TimedOut | Popped::Closed => None,
            };
            events.extend(std::iter::from_fn(|| port.news()));
            if watch(&port, frame) {
                break;
            }
            if began.elapsed() > HANGS {
                capture.close_all();
                panic!("{events:?}");
            }
        }
        let last = port.report();
        capture.close_all();
        keeper.join().unwrap();
        last
    });
    (last, events)
}

#[test]
fn a_camera_that_ends_is_opened_again_many_times_without_growth() {
    let cycles = std::env::var("CAF_CYCLES").map_or(CYCLES, |text| text.parse().unwrap());
    let launch =
        "videotestsrc is-live=true num-buffers=3 ! video/x-raw,format=GRAY8,width=64,height=48,framerate=100/1";
    let mut settled = None;
    let mut sequence = 0;
    let (report, events) = keep(launch, |port, frame| {
        if let Some(frame) = frame {
            assert!(frame.sequence >= sequence, "numbers go on");
            sequence = frame.sequence + 1;
        }
        let report = port.report();
        // What GStreamer makes once (types, pools of threads) is there after the first few; counted when no pipeline is half made.
        if report.state == SourceState::Up && report.returned >= 5 {
            settled.get_or_insert_with(held);
        }
        report.returned >= cycles && report.state == SourceState::Up
    });
    let (before, after) = (settled.unwrap(), held());
    println!("{cycles} cycles: {before:?}, {after:?}");
    assert_eq!((report.lost, report.returned), (cycles, cycles));
    assert!(events.contains(&SourceEvent::Lost { reason: "the stream ended".to_owned() }), "{events:?}");
    // A leak of one a cycle would be as many as there are cycles.
    let room = cycles as usize / 2;
    assert!(after.descriptors < before.descriptors + room, "{before:?} {after:?}");
    assert!(after.threads < before.threads + room, "{before:?} {after:?}");
    assert!(after.resident_kib < before.resident_kib + 5 * 1024, "{before:?} {after:?}");
}

#[test]
fn an_element_that_fails_is_named_and_opened_again() {
    let launch = "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=50/1 ! identity error-after=6";
    let (report, events) = keep(launch, |port, _| port.report().returned >= 3);
    assert!(report.lost >= 3);
    let named = |e: &&SourceEvent| matches!(e, SourceEvent::Lost { reason } if reason.contains("identity"));
    assert!(events.iter().filter(named).count() >= 3, "{events:?}");
}

#[test]
fn a_camera_that_changes_its_size_is_opened_again_until_it_is_as_it_was() {
    let size = |width: u32| {
        format!(
            "videotestsrc is-live=true num-buffers=10 ! video/x-raw,format=GRAY8,width={width},height=48,framerate=50/1"
        )
    };
    let launch = format!("concat name=c {} ! c. {} ! c. c.", size(64), size(32));
    let (report, events) = keep(&launch, |port, frame| {
        assert!(frame.is_none_or(|frame| frame.size().width == 64));
        port.report().returned >= 2
    });
    assert!(report.refused >= 2 && report.lost >= 2, "{report:?}");
    let reason = "the images are 32x48, they were 64x48".to_owned();
    assert!(events.contains(&SourceEvent::Lost { reason }), "{events:?}");
}

#[test]
fn a_camera_that_stalls_is_opened_again_and_one_that_is_away_is_tried_until_it_is_back() {
    // After its frames it hangs; while the file is away it cannot be opened.
    let folder = tempfile::tempdir().unwrap();
    let (there, away) = (folder.path().join("there.gray"), folder.path().join("away.gray"));
    std::fs::write(&there, vec![77_u8; 64 * 48 * 10]).unwrap();
    let launch = format!(
        "concat name=c filesrc location={} blocksize=3072 do-timestamp=true ! rawvideoparse format=gray8 width=64 height=48 framerate=50/1 \
         ! identity sync=true ! c. appsrc is-live=true format=time caps=\"video/x-raw,format=GRAY8,width=64,height=48,framerate=50/1\" ! c. c. \
         ! queue",
        there.display()
    );
    let mut hidden = false;
    let (report, events) = keep(&launch, |port, _| {
        let report = port.report();
        if report.lost == 1 && !hidden {
            std::fs::rename(&there, &away).unwrap();
            hidden = true;
        }
        if hidden && report.reopened >= 3 && away.exists() {
            std::fs::rename(&away, &there).unwrap();
        }
        report.returned >= 1
    });
    let lost = SourceEvent::Lost { reason: "no frame came for 2 s, after 10 frames".to_owned() };
    assert!(events.contains(&lost), "{events:?}");
    let not_back = |e: &&SourceEvent| matches!(e, SourceEvent::NotBack { reason } if reason.contains("there.gray"));
    assert_eq!(events.iter().filter(not_back).count(), 1, "told once: {events:?}");
    assert!(report.reopened >= 3);
}
