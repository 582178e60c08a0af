//! Each fault that a driver or a camera can have, by script.

use super::*;
use crate::scripted::{Description, Event, Script};
use caf_geometry::Size;

const WAIT: Duration = Duration::from_millis(1);
/// Bytes of a frame of the scripted camera.
const WHOLE: usize = 12;

fn script(events: &[Event]) -> Script {
    Script::new(Description::new(b"GREY", Size::new(4, 3), 4, WHOLE), events.iter().copied())
}

fn needs(bytes: usize) -> [usize; MOST_PLANES] {
    let mut needs = [0; MOST_PLANES];
    needs[0] = bytes;
    needs
}

fn start(script: &Script) -> Stream {
    Stream::start(script.device(), 4, needs(WHOLE)).unwrap()
}

fn frame(stream: &mut Stream) -> Lease {
    match stream.next(WAIT).unwrap() {
        Step::Frame(lease) => lease,
        other => panic!("expected a frame, found {other:?}"),
    }
}

#[test]
fn a_buffer_is_lent_and_queued_again_only_when_its_last_user_is_done() {
    let script = script(&[Event::Frame; 3]);
    let mut stream = start(&script);
    assert_eq!((stream.with_driver(), script.books().queued.len()), (4, 4));
    let first = frame(&mut stream);
    let second = frame(&mut stream);
    assert_eq!([first.filled().index, second.filled().index], [0, 1]);
    assert_eq!(first.plane(0), (0..WHOLE).map(|at| (at * 7) as u8).collect::<Vec<_>>());
    assert_eq!((stream.with_driver(), script.books().queued.clone()), (2, [2, 3].into()));
    drop(first);
    assert_eq!(script.books().queued, [2, 3, 0]);
    // From another thread, as the pipeline does it.
    std::thread::spawn(move || drop(second)).join().unwrap();
    assert_eq!((stream.with_driver(), script.books().queued.clone()), (4, [2, 3, 0, 1].into()));
    assert_eq!(script.books().queued_twice, 0);
}

#[test]
fn a_timeout_touches_no_buffer() {
    let script = script(&[Event::Timeout, Event::Timeout, Event::Frame, Event::Timeout]);
    let mut stream = start(&script);
    for _ in 0..2 {
        assert!(matches!(stream.next(WAIT), Ok(Step::Nothing)));
    }
    let lease = frame(&mut stream);
    assert!(matches!(stream.next(WAIT), Ok(Step::Nothing)));
    assert_eq!((script.books().queued_twice, script.books().queued.len()), (0, 3));
    drop(lease);
    assert_eq!(script.books().queued.len(), 4);
}

#[test]
fn only_the_bytes_that_hold_data_are_handed_out() {
    let script = script(&[Event::Short(5), Event::Beyond, Event::Short(0)]);
    let mut stream = Stream::start(script.device(), 4, needs(1)).unwrap();
    assert_eq!(frame(&mut stream).plane(0).len(), 5);
    // More than the memory has, and nothing at all.
    assert!(matches!(stream.next(WAIT), Ok(Step::Damaged)));
    assert!(matches!(stream.next(WAIT), Ok(Step::Damaged)));
    assert_eq!((stream.counts().damaged, stream.with_driver()), (2, 4));
}

#[test]
fn damaged_and_short_frames_are_counted_and_given_back() {
    let script = script(&[Event::Flagged, Event::Short(WHOLE - 1), Event::Frame]);
    let mut stream = start(&script);
    for damaged in 1..=2 {
        assert!(matches!(stream.next(WAIT), Ok(Step::Damaged)));
        assert_eq!((stream.counts().damaged, stream.with_driver()), (damaged, 4));
    }
    assert_eq!(frame(&mut stream).plane(0).len(), WHOLE);
    assert_eq!(stream.counts(), StreamCounts { missed: 0, damaged: 2 });
}

#[test]
fn gaps_in_the_numbers_are_counted_also_across_their_end() {
    let script = script(&[Event::After(7), Event::Frame, Event::After(3), Event::Flagged, Event::After(1)]);
    let mut stream = start(&script);
    // The first number may be any.
    let missed = [0, 0, 3, 3, 4];
    for (step, missed) in missed.into_iter().enumerate() {
        stream.next(WAIT).unwrap();
        assert_eq!(stream.counts().missed, missed, "after step {step}");
    }
    drop(stream);
    let mut stream = start(&script);
    for (sequence, missed) in [(u32::MAX - 1, 0), (1, 2), (2, 2), (2, 2), (0, 2), (0, 2), (9, 10)] {
        stream.count_missed(sequence);
        assert_eq!(stream.counts().missed, missed, "{sequence}");
    }
}

#[test]
fn a_wake_up_for_nothing_is_no_fault() {
    let script = script(&[Event::Fails(Errno::AGAIN), Event::Spurious, Event::Frame]);
    let mut stream = start(&script);
    assert!(matches!(stream.next(WAIT), Ok(Step::Nothing)));
    assert!(matches!(stream.next(WAIT), Ok(Step::Nothing)));
    frame(&mut stream);
}

#[test]
fn errors_of_waiting_and_of_dequeuing_end_the_stream_and_touch_no_buffer() {
    let call = |errno| StreamError::Call { call: "VIDIOC_DQBUF", errno };
    for (event, expected) in [
        (Event::PollError, StreamError::Stopped),
        (Event::Unplugged, StreamError::Gone("poll reports a hang-up")),
        (Event::Fails(Errno::NODEV), StreamError::Gone("VIDIOC_DQBUF")),
        (Event::Fails(Errno::IO), call(Errno::IO)),
        (Event::Fails(Errno::PIPE), call(Errno::PIPE)),
        (Event::Foreign(9), StreamError::NotItsOwn { index: 9 }),
    ] {
        let script = script(&[Event::Frame, event]);
        let mut stream = start(&script);
        let lease = frame(&mut stream);
        assert_eq!(stream.next(WAIT).unwrap_err(), expected, "{event:?}");
        // Streaming stops; what is lent may still be read, and goes nowhere when it is dropped.
        drop(stream);
        assert_eq!(lease.plane(0).len(), WHOLE);
        drop(lease);
        assert_eq!((script.books().queued_twice, script.books().queued.len()), (0, 0), "{event:?}");
        assert_eq!(script.books().open, 0, "{event:?}: the device is closed");
    }
}

#[test]
fn a_buffer_that_is_lent_cannot_come_twice() {
    let script = script(&[Event::Frame, Event::Foreign(0)]);
    let mut stream = start(&script);
    let _lent = frame(&mut stream);
    assert_eq!(stream.next(WAIT).unwrap_err(), StreamError::NotItsOwn { index: 0 });
}

#[test]
fn a_buffer_that_cannot_be_given_back_is_told_by_the_next_call_and_drop_never_panics() {
    let script = script(&[Event::Frame, Event::QueueFails(Errno::INVAL), Event::Frame]);
    let mut stream = start(&script);
    let lease = frame(&mut stream);
    assert!(matches!(stream.next(WAIT), Ok(Step::Nothing)));
    drop(lease);
    let expected = StreamError::Call { call: "VIDIOC_QBUF", errno: Errno::INVAL };
    assert_eq!(stream.next(WAIT).unwrap_err(), expected);
    drop(stream);
    assert_eq!(script.books().open, 0);
}

#[test]
fn too_few_buffers_and_refusals_make_no_stream_and_leave_nothing_open() {
    let few = script(&[]);
    few.description().most_buffers = 2;
    assert_eq!(Stream::start(few.device(), 4, needs(WHOLE)).unwrap_err(), StreamError::Buffers { found: 2 });
    assert_eq!((few.books().open, few.books().buffers), (0, 0));
    let gone = script(&[Event::Unplugged]);
    let device = gone.device();
    device.wait(WAIT).unwrap();
    assert_eq!(Stream::start(device, 4, needs(WHOLE)).unwrap_err(), StreamError::Gone("VIDIOC_REQBUFS"));
    assert_eq!(gone.books().open, 0);
}

#[test]
fn a_thousand_streams_leave_nothing_behind() {
    let script = script(&[Event::Frame; 2000]);
    for round in 1..=1000 {
        let mut stream = start(&script);
        let (kept, dropped) = (frame(&mut stream), frame(&mut stream));
        drop(dropped);
        drop(stream);
        drop(kept);
        let books = script.books();
        assert_eq!((books.open, books.buffers, books.queued.len(), books.starts), (0, 0, 0, round));
    }
}
