//! What becomes of a source's states, its times and its frames' numbers.

use super::*;
use crate::frame::{Layout, PixelFormat};
use crate::queue::{Popped, WhenFull};
use crate::source::clock::HeldClock;
use crate::source::standing::{AGAIN, JUMP_TOLD_NS, STALL};
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(2);

fn frame(capture_ns: i64) -> Frame {
    let layout = Layout { size: Size::new(2, 1), stride_bytes: 2, format: PixelFormat::Gray8 };
    Frame::new(Camera::Infrared, 0, capture_ns, layout, Box::new(vec![0_u8; 2])).unwrap()
}

fn port(capacity: usize, when_full: WhenFull) -> (Port, Arc<HeldClock>) {
    let clock = Arc::new(HeldClock::default());
    let capture = Arc::new(Lanes::new(capacity, when_full));
    (Port::new(Camera::Infrared, &capture, Arc::<HeldClock>::clone(&clock), true), clock)
}

#[test]
fn a_source_is_up_then_lost_then_up_again_and_every_change_is_counted_and_told_once() {
    let (port, clock) = port(8, WhenFull::DropOldest);
    assert!(port.deliver(frame(0)));
    clock.advance(PATIENCE - Duration::from_nanos(1));
    port.check(PATIENCE);
    assert_eq!(port.report().state, SourceState::Up);
    clock.advance(Duration::from_nanos(1));
    port.check(PATIENCE);
    port.check(PATIENCE);
    let report = port.report();
    assert_eq!((report.state, report.lost, report.returned), (SourceState::Lost, 1, 0));
    assert!(port.deliver(frame(2_000_000_000)));
    port.lost("unplugged");
    assert!(port.deliver(frame(2_100_000_000)));
    let report = port.report();
    assert_eq!((report.state, report.lost, report.returned), (SourceState::Up, 2, 2));
    port.end();
    port.end();
    assert!(!port.deliver(frame(3_000_000_000)));
    assert_eq!(port.report().state, SourceState::Ended);
    let told: Vec<SourceEvent> = std::iter::from_fn(|| port.news()).collect();
    let lost = |reason: &str| SourceEvent::Lost { reason: reason.to_owned() };
    let up = |again| SourceEvent::Up { again };
    let silent = lost("no frame came for 2 s, after 1 frames");
    assert_eq!(told, [up(false), silent, up(true), lost("unplugged"), up(true), SourceEvent::Ended]);
    assert!(port.failure().is_none());
}

#[test]
fn a_source_that_never_began_has_failed() {
    let (port, clock) = port(1, WhenFull::DropOldest);
    clock.advance(PATIENCE);
    port.check(PATIENCE);
    assert!(matches!(port.failure(), Some(SourceError::Silent { .. })));
    assert_eq!(port.report().lost, 0);
}

#[test]
fn waiting_for_room_or_for_the_next_frame_is_no_silence() {
    let (port, clock) = port(1, WhenFull::Wait);
    assert!(port.deliver(frame(0)));
    let blocked = {
        let port = port.clone();
        std::thread::spawn(move || port.deliver(frame(1)))
    };
    while !port.lock().is_excused() {
        std::thread::yield_now();
    }
    clock.advance(PATIENCE * 10);
    port.check(PATIENCE);
    assert_eq!(port.report().state, SourceState::Up);
    port.0.capture.pop([true, false], None);
    assert!(blocked.join().unwrap());
    let due = port.excuse();
    clock.advance(PATIENCE * 10);
    port.check(PATIENCE);
    assert_eq!(port.report().state, SourceState::Up);
    drop(due);
    port.check(PATIENCE);
    assert_eq!(port.report().state, SourceState::Up, "the end of an excuse is a sign of life");
    clock.advance(PATIENCE);
    port.check(PATIENCE);
    assert_eq!(port.report().state, SourceState::Lost);
}

#[test]
fn a_kept_source_that_ends_fails_or_changes_its_size_is_gone_and_goes_on_when_it_is_opened_again() {
    let (port, _) = port(64, WhenFull::DropOldest);
    port.keep();
    let failure = || SourceError::File { path: "dev".into(), reason: "it burns".to_owned() };
    let numbered = |sequence| {
        let mut frame = frame(0);
        frame.sequence = sequence;
        frame
    };
    let large = || {
        let layout = Layout { size: Size::new(4, 1), stride_bytes: 4, format: PixelFormat::Gray8 };
        Frame::new(Camera::Infrared, 2, 0, layout, Box::new(vec![0_u8; 4])).unwrap()
    };
    type End = Box<dyn Fn(&Port)>;
    let ends: [(&str, End); 4] = [
        ("the stream ended", Box::new(Port::end)),
        ("dev: it burns", Box::new(move |port| port.fail(failure()))),
        // The error that follows its end says more.
        ("dev: it burns", Box::new(move |port| (port.end(), port.fail(failure())).0)),
        ("the images are 4x1, they were 2x1", Box::new(move |port| assert!(!port.deliver(large())))),
    ];
    let mut session = port.clone();
    for (turn, (reason, end)) in (1..).zip(ends) {
        (0..2).for_each(|i| assert!(session.deliver(numbered(i))));
        let told = std::iter::from_fn(|| port.news()).last();
        assert_eq!(told, Some(SourceEvent::Up { again: turn > 1 }));
        end(&session);
        assert!(!session.is_wanted() && port.is_open() && !session.deliver(frame(0)));
        port.check(PATIENCE);
        assert_eq!((port.report().state, port.report().lost, port.is_gone()), (SourceState::Lost, turn, true));
        assert_eq!(port.news(), Some(SourceEvent::Lost { reason: reason.to_owned() }));
        // What keeps it from coming back is told once.
        (0..2).for_each(|_| port.is_still_gone("no device".to_owned()));
        assert_eq!(port.news(), Some(SourceEvent::NotBack { reason: "no device".to_owned() }));
        assert_eq!(port.news(), None);
        session = port.again();
        assert!(session.is_wanted() && !port.is_gone());
    }
    let sequences: Vec<u64> = std::iter::from_fn(|| match port.0.capture.pop([true, false], Some(Instant::now())) {
        Popped::Item(_, frame) => Some(frame.sequence),
        _ => None,
    })
    .collect();
    assert_eq!(sequences, (0..8).collect::<Vec<_>>(), "numbers go on");
    assert_eq!((port.report().reopened, port.report().refused), (4, 1));
    // When the run takes no more frames, an end is none of the source.
    port.0.capture.close_all();
    session.end();
    assert_eq!((port.report().state, port.report().lost), (SourceState::Ended, 4));
}

#[test]
fn a_kept_source_is_lost_after_two_seconds_and_opened_again_every_five_and_before_its_first_frame_fails() {
    let (port, clock) = port(64, WhenFull::DropOldest);
    let patience = Duration::from_secs(20);
    port.keep();
    assert!(port.deliver(frame(0)));
    clock.advance(STALL);
    port.check(patience);
    assert!(port.is_gone() && port.report().state == SourceState::Lost);
    let _session = port.again();
    clock.advance(AGAIN - Duration::from_nanos(1));
    port.check(patience);
    assert!(!port.is_gone());
    clock.advance(Duration::from_nanos(1));
    port.check(patience);
    assert!(port.is_gone());
    let (never, _) = self::port(1, WhenFull::DropOldest);
    never.keep();
    never.fail(SourceError::File { path: "dev".into(), reason: "no device".to_owned() });
    assert_eq!(never.failure().map(|e| e.to_string()), Some("dev: no device".to_owned()));
    assert!(!never.is_open());
}

#[test]
fn the_way_from_capture_to_delivery_is_timed() {
    let (port, clock) = port(8, WhenFull::DropOldest);
    clock.advance(Duration::from_millis(500));
    (0..3).for_each(|_| assert!(port.deliver(frame(0))));
    let delivery = port.report().delivery;
    assert_eq!((delivery.count, delivery.max_ms), (3, 500.0));
}

const MS: i64 = 1_000_000;
const PERIOD: Duration = Duration::from_millis(40);

/// Plays frames that take 5 ms to their delivery and whose clock is `wrong_ns` ahead; gives how far their times in the queue are off.
fn play(session: &Port, clock: &HeldClock, frames: i64, wrong_ns: i64) -> Vec<i64> {
    let mut errors = vec![];
    for _ in 0..frames {
        clock.advance(PERIOD);
        let truth = clock.now_ns() - 5 * MS;
        assert!(session.deliver(frame(truth + wrong_ns)));
        let Popped::Item(_, taken) = session.0.capture.pop([true, false], Some(Instant::now())) else { panic!() };
        errors.push(taken.capture_ns - truth);
    }
    errors
}

#[test]
fn what_a_jump_of_the_clock_has_made_wrong_is_forgotten_when_the_camera_is_opened_again() {
    let (port, clock) = port(8, WhenFull::DropOldest);
    port.keep();
    play(&port, &clock, 300, 0);
    let after = play(&port, &clock, 300, 1500 * MS);
    assert_eq!((after.last(), port.report().clock_jumps), (Some(&0), 1));
    port.end();
    port.check(PATIENCE);
    let session = port.again();
    let errors = play(&session, &clock, 300, 0);
    assert!(errors.iter().all(|e| *e == 0), "{:?}", &errors[..3]);
    assert_eq!((port.report().clock_jumps, port.report().drift_ms, port.report().state), (1, 0.0, SourceState::Up));
    // So does one that opens its device itself.
    play(&session, &clock, 300, -600 * MS);
    session.restarts_times();
    assert_eq!(play(&session, &clock, 3, 0), [0; 3]);
}

#[test]
fn a_clock_that_jumps_every_few_frames_is_told_once_a_minute_and_counted() {
    let (port, clock) = port(8, WhenFull::DropOldest);
    play(&port, &clock, 100, 0);
    let jumps = |port: &Port| -> Vec<(i64, u64)> {
        let told = std::iter::from_fn(|| port.news());
        told.filter_map(|event| match event {
            SourceEvent::ClockJumped { by_ns, untold } => Some((by_ns.signum(), untold)),
            _ => None,
        })
        .collect()
    };
    (0..100).for_each(|turn| drop(play(&port, &clock, 7, if turn % 2 == 0 { 1500 * MS } else { 0 })));
    assert_eq!((port.report().clock_jumps, jumps(&port)), (100, vec![(1, 0)]));
    clock.advance(Duration::from_nanos(JUMP_TOLD_NS.unsigned_abs()));
    play(&port, &clock, 7, 1500 * MS);
    assert_eq!((port.report().clock_jumps, jumps(&port)), (101, vec![(1, 99)]));
}

#[test]
fn a_source_that_looks_after_itself_says_once_what_keeps_it_from_coming_back() {
    let (port, _) = port(8, WhenFull::DropOldest);
    assert!(port.deliver(frame(0)));
    ["unplugged", "no device 1", "no device 2", "another size"].iter().for_each(|reason| port.lost(*reason));
    let told: Vec<SourceEvent> = std::iter::from_fn(|| port.news()).skip(1).collect();
    let not_back = |reason: &str| SourceEvent::NotBack { reason: reason.to_owned() };
    let lost = SourceEvent::Lost { reason: "unplugged".to_owned() };
    assert_eq!(told, [lost, not_back("no device 1"), not_back("another size")]);
    assert!(!port.is_gone() && port.report().lost == 1);
}
