//! Whole runs without a camera: sources that follow a script, a clock that can be held, sinks that are slow or fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod common;
#[path = "common/outputs.rs"]
mod outputs;
#[path = "common/script.rs"]
mod script;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use caf_engine::{EngineOptions, ProviderChoice};
use caf_net::zoo::pipeline::{ColourMode, Samples};
use caf_runtime::error::RuntimeError;
use caf_runtime::frame::Camera;
use caf_runtime::fusion::FusionSettings;
use caf_runtime::live::{EndedBy, LiveConfig, Progress, Run, Summary, WhenLost, run};
use caf_runtime::probe::{self, Known};
use caf_runtime::result::ResultState;
use caf_runtime::session::Model;
use caf_runtime::sink::kind::SinkSpec;
use caf_runtime::sink::lane::SinkSummary;
use caf_runtime::source::clock::{Clock, HeldClock, MonotonicClock};
use caf_runtime::source::error::SourceError;
use caf_runtime::source::kind::SourceSpec;
use caf_runtime::source::report::SourceState;

fn config(ir: &str, vi: &str, sinks: Vec<SinkSpec>) -> LiveConfig {
    let source = |camera, text| SourceSpec::find(camera, text, &[script::KIND]).unwrap();
    LiveConfig {
        sources: [source(Camera::Infrared, ir), source(Camera::Visible, vi)],
        latency_ns: [0; 2],
        delay_ns: [0; 2],
        fps: 25.0,
        max_skew_ns: 20_000_000,
        pace: None,
        queue: 4,
        fusion: FusionSettings::default(),
        patience: Duration::from_secs(20),
        when_lost: WhenLost::End,
        pairs_only: true,
        sinks,
        limit: None,
        stuck: Duration::from_secs(3600),
        clock: Arc::new(MonotonicClock::default()),
        board: Arc::default(),
    }
}

/// Runs a small model; every frame, pair and result must be accounted for.
fn go(config: &LiveConfig) -> Run {
    go_until(config, |_| false)
}

/// The same, until that is so.
fn go_until(config: &LiveConfig, enough: impl Fn(&Progress) -> bool) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let path = common::fusion_model(folder.path(), "m.onnx", Samples::Bytes, ColourMode::Rgb);
    let options = EngineOptions { provider: ProviderChoice::Cpu, threads: Some(1) };
    let is_enough = Cell::new(false);
    let watch = &mut |progress: Progress| is_enough.set(enough(&progress));
    let done = run(Model::load(&path, options).unwrap(), config, &|| is_enough.get(), watch).unwrap();
    balances(&done.summary);
    assert_eq!(done.summary.failure, done.failure.as_ref().map(ToString::to_string));
    done
}

fn balances(s: &Summary) {
    assert_eq!(s.account.imbalance(s.failure.is_some()), None, "{s:#?}");
    for sink in &s.sinks {
        let went = sink.written + sink.undelivered + sink.dropped + sink.missed;
        assert_eq!(s.account.results(), went, "{s:#?}");
    }
}

fn sink<'a>(run: &'a Run, name: &str) -> &'a SinkSummary {
    run.summary.sinks.iter().find(|s| s.sink == name).unwrap()
}

#[test]
fn a_slow_sink_changes_nothing_for_the_others() {
    let live = "frames 40";
    let done = go(&config(live, live, vec![outputs::willing(), outputs::slow(1000)]));
    assert!(done.failure.is_none(), "{:?}", done.failure);
    let (willing, slow) = (sink(&done, "willing"), sink(&done, "slow"));
    assert!(done.summary.account.pairs.fused >= 30, "{:#?}", done.summary);
    assert_eq!((willing.written, willing.dropped), (done.summary.account.pairs.fused, 0));
    // It takes the newest there are, one a second.
    assert!((2..8).contains(&slow.written) && slow.dropped > 20, "{slow:?}");
    assert!(slow.write.p50_ms >= 1000.0 && willing.age.p50_ms < 500.0, "{slow:?} {willing:?}");
}

#[test]
fn where_every_frame_counts_a_slow_sink_makes_the_run_wait() {
    let file = "file; frames 30";
    let done = go(&config(file, file, vec![outputs::willing(), outputs::slow(10)]));
    assert!(done.failure.is_none(), "{:?}", done.failure);
    for name in ["willing", "slow"] {
        assert_eq!((sink(&done, name).written, sink(&done, name).dropped), (30, 0));
    }
}

#[test]
fn a_sink_that_fails_ends_for_itself_and_the_run_has_failed() {
    let file = "file; frames 30";
    let done = go(&config(file, file, vec![outputs::failing(7), outputs::willing()]));
    let (failing, willing) = (sink(&done, "failing"), sink(&done, "willing"));
    assert_eq!((failing.written, failing.missed), (7, 23));
    assert_eq!(failing.failure.as_deref(), Some("cable: the cable is cut"));
    assert_eq!((willing.written, willing.missed), (30, 0));
    assert_eq!(done.summary.ended_by, EndedBy::Sources);
    assert!(matches!(done.failure, Some(RuntimeError::Sink(_))), "{:?}", done.failure);
    // Without any sink left there is nothing to run for.
    let endless = "frames 1000000";
    let done = go(&config(endless, endless, vec![outputs::failing(3), outputs::failing(5)]));
    assert_eq!(done.summary.ended_by, EndedBy::Failure);
    assert!(done.summary.sinks.iter().all(|s| s.missed > 0 && s.written < 6));
}

#[test]
fn a_camera_that_is_lost_ends_the_run_unless_it_may_come_back() {
    let (steady, lost) = ("frames 50", "frames 10; lost the cable is pulled; silence 500; frames 20");
    let done = go(&config(lost, steady, vec![outputs::willing()]));
    assert_eq!(done.summary.ended_by, EndedBy::Lost);
    let Some(RuntimeError::Source(SourceError::Lost { camera: Camera::Infrared, reason })) = &done.failure else {
        panic!("{:?}", done.failure)
    };
    assert_eq!(reason, "the cable is pulled");
    assert_eq!((done.summary.account.infrared.source.lost, done.summary.account.infrared.source.returned), (1, 0));

    let goes_on = |ir, vi| LiveConfig {
        when_lost: WhenLost::GoOn,
        pairs_only: false,
        ..config(ir, vi, vec![outputs::willing()])
    };
    let silence = "frames 20; lost the cable is pulled; silence 1500; frames 20";
    for (ir, vi) in [(silence, "frames 80"), ("frames 80", silence), (silence, silence)] {
        let done = go(&goes_on(ir, vi));
        assert!(done.failure.is_none(), "{:?}", done.failure);
        let account = &done.summary.account;
        assert_eq!(done.summary.ended_by, EndedBy::Sources);
        let results = [account.visible_only.results, account.infrared_only.results, account.offline.results];
        // What the results rest on while it is away; a busy machine may silence any camera for a moment.
        let state = if ir == vi { 2 } else { usize::from(vi == silence) };
        assert!(results[state] > 0, "{:#?}", done.summary);
        for (script, camera) in [(ir, &account.infrared), (vi, &account.visible)] {
            let lost = u64::from(script == silence);
            assert_eq!((camera.source.lost, camera.source.returned), (lost, lost));
            // The third good image says that the camera is back.
            assert!(camera.pairing.unfit >= 2 * lost, "{:#?}", done.summary);
        }
        assert!(account.pairs.fused > 0, "{:#?}", done.summary);
    }
}

#[test]
fn a_camera_that_ends_or_fails_is_opened_again_and_again() {
    // Each session has ten frames, so that forty pairs need four of them.
    for end in ["", "; fail the cable is pulled"] {
        let camera = format!("again; frames 10{end}");
        let config = LiveConfig {
            when_lost: WhenLost::GoOn,
            pairs_only: false,
            ..config(&camera, "frames 100000", vec![outputs::willing()])
        };
        let done = go_until(&config, |progress| progress.fused >= 40);
        assert!(done.failure.is_none(), "{:?}", done.failure);
        let account = &done.summary.account;
        let infrared = account.infrared.source;
        assert!(infrared.lost >= 3 && infrared.returned >= 3 && infrared.reopened >= 3, "{:#?}", done.summary);
        assert!(account.visible_only.results > 0, "{:#?}", done.summary);
        assert_eq!((done.summary.ended_by, account.visible.source.reopened), (EndedBy::Interrupt, 0));
    }
}

#[test]
fn a_camera_that_fails_before_its_first_frame_is_no_camera_to_wait_for() {
    let goes_on = |ir| LiveConfig { when_lost: WhenLost::GoOn, ..config(ir, "frames 1000", vec![]) };
    let done = go(&goes_on("again; fail no such device"));
    assert!(done.failure.unwrap().to_string().contains("no such device"));
}

/// Moves a held clock by ten milliseconds for every two, and by `leap` once `at_ns` is reached.
fn tick(clock: &HeldClock, done: &AtomicBool, at_ns: i64, leap: Duration) {
    let mut leaps = true;
    while !done.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(2));
        let by = if leaps && clock.now_ns() >= at_ns { leap } else { Duration::from_millis(10) };
        if by == leap {
            leaps = false;
            // What was delivered is paired before.
            std::thread::sleep(Duration::from_millis(200));
            clock.advance(leap);
            // The silence is looked at forty times a second.
            std::thread::sleep(Duration::from_millis(200));
        } else {
            clock.advance(by);
        }
    }
}

#[test]
fn an_hour_of_silence_on_a_held_clock_is_noticed_counted_and_over() {
    let hour = Duration::from_secs(3600);
    let script = "frames 20; silence 3600000; frames 20";
    for when_lost in [WhenLost::GoOn, WhenLost::End] {
        let (clock, done) = (Arc::new(HeldClock::default()), AtomicBool::new(false));
        let shared: Arc<dyn Clock> = Arc::<HeldClock>::clone(&clock);
        let config = LiveConfig { when_lost, clock: shared, ..config(script, script, vec![outputs::willing()]) };
        let run = std::thread::scope(|scope| {
            scope.spawn(|| tick(&clock, &done, 900_000_000, hour - Duration::from_millis(500)));
            let run = go(&config);
            done.store(true, Ordering::SeqCst);
            run
        });
        let lost = [&run.summary.account.infrared, &run.summary.account.visible].map(|c| c.source.lost);
        // Where the first loss ends the run, the second may or may not have been noticed by then.
        let noticed = if when_lost == WhenLost::GoOn { 2..=2 } else { 1..=2 };
        assert!(lost.iter().all(|&n| n <= 1) && noticed.contains(&(lost[0] + lost[1])), "{:#?}", run.summary);
        if when_lost == WhenLost::GoOn {
            assert!(run.failure.is_none(), "{:?}", run.failure);
            assert_eq!(run.summary.account.infrared.source.state, SourceState::Ended);
            assert_eq!(
                [&run.summary.account.infrared, &run.summary.account.visible].map(|c| c.source.returned),
                [1, 1]
            );
            assert!(run.summary.account.pairs.fused > 20, "nothing was paired after the hour: {:#?}", run.summary);
            assert!(run.summary.seconds > 3600.0);
        } else {
            let text = run.failure.unwrap().to_string();
            assert!(text.contains("the camera is lost: no frame came for 20 s, after 20 frames"), "{text}");
            assert!((1..=20).contains(&run.summary.account.pairs.fused), "{:#?}", run.summary);
        }
    }
}

#[test]
fn late_delivery_is_measured_and_waited_for_when_it_is_told() {
    let (steady, late) = ("frames 40", "delay 500; frames 40");
    let without = go(&config(steady, late, vec![outputs::willing()]));
    assert_eq!(without.summary.account.pairs.fused, 0, "{:#?}", without.summary);
    let [ir, vi] =
        [&without.summary.account.infrared, &without.summary.account.visible].map(|c| c.source.delivery.p50_ms);
    assert!(ir < 250.0 && (500.0..750.0).contains(&vi), "{ir} {vi}");
    let with = go(&LiveConfig { delay_ns: [0, 500_000_000], ..config(steady, late, vec![outputs::willing()]) });
    assert!(with.summary.account.pairs.fused >= 30, "{:#?}", with.summary);
}

#[test]
fn a_limit_is_one_of_the_frames_where_no_source_is_live() {
    let limit = Some(Duration::from_millis(400));
    let file = "file; frames 1000";
    let done = go(&LiveConfig { limit, ..config(file, file, vec![outputs::willing()]) });
    assert_eq!((done.summary.ended_by, done.summary.account.pairs.fused), (EndedBy::Seconds, 10));
    // The first camera whose frames reach the limit ends the run when its last pair is made; the other may have none beyond by then.
    assert!(
        done.summary.account.infrared.beyond_limit + done.summary.account.visible.beyond_limit > 0,
        "{:#?}",
        done.summary
    );
    let live = go(&LiveConfig { limit, ..config("frames 1000", "frames 1000", vec![]) });
    assert_eq!(live.summary.ended_by, EndedBy::Seconds);
    assert!((1..=14).contains(&live.summary.account.pairs.fused), "{:#?}", live.summary);
}

#[test]
fn a_source_that_fails_is_named_and_what_came_before_is_kept() {
    let (file, fails) = ("file; frames 30", "file; frames 7; fail the sensor burns");
    let done = go(&config(file, fails, vec![outputs::willing()]));
    assert_eq!(done.summary.ended_by, EndedBy::Failure);
    assert!(done.failure.unwrap().to_string().contains("the sensor burns"));
    assert_eq!((done.summary.account.pairs.fused, done.summary.sinks[0].written), (7, 7));
}

#[test]
fn a_model_that_hangs_is_named_the_run_fails_and_what_came_before_is_kept() {
    let camera = "gated 100000";
    let limited = LiveConfig { stuck: Duration::from_secs(3), ..config(camera, camera, vec![outputs::willing()]) };
    let lives = || Known::look(&limited.board, |known| probe::live(known).reasons);
    let has_hung = Cell::new(false);
    let done = go_until(&limited, |progress| {
        let Some(stuck) = progress.stuck else {
            // The first image may take longer; from the second on the model hangs.
            if !has_hung.get() && progress.fused > 0 {
                has_hung.set(true);
                script::HANGS.store(true, Ordering::SeqCst);
            }
            return false;
        };
        assert_eq!(stuck.stage, "infer");
        // The sinks are done, and the probes say it, though the model still hangs.
        let is_told = progress.written && lives().iter().any(|reason| reason.contains("the infer stage"));
        if is_told {
            script::HANGS.store(false, Ordering::SeqCst);
        }
        is_told
    });
    let Some(RuntimeError::Stuck(stuck)) = &done.failure else { panic!("{:?}", done.failure) };
    assert!(stuck.stage == "infer" && stuck.seconds >= 3.0, "{stuck:?}");
    assert_eq!(done.summary.ended_by, EndedBy::Failure);
    // What was made before is written; what the model was at is not.
    let sink = &done.summary.sinks[0];
    assert!(sink.written > 0 && sink.missed > 0, "{:#?}", done.summary);
}

#[test]
fn a_camera_that_is_still_lost_at_the_end_is_in_the_last_line() {
    let (lost, steady) = ("frames 10; lost the cable is pulled; hang", "frames 1000000");
    let config = LiveConfig { when_lost: WhenLost::GoOn, pairs_only: false, ..config(lost, steady, vec![]) };
    let done = go_until(&config, |progress| {
        progress.sources[0] == SourceState::Lost && progress.results[ResultState::VisibleOnly as usize] > 0
    });
    assert!(done.failure.is_none(), "{:?}", done.failure);
    assert_eq!(done.summary.account.infrared.source.state, SourceState::Lost);
    let table = done.summary.table();
    assert_eq!(table.lines().last(), Some("the infrared camera was still lost when the run ended"), "{table}");
    assert!(!table.contains("the visible camera was"), "{table}");
}
