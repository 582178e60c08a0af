//! Whole runs on a held clock: cameras that follow random scripts of faults, the real ports, queues and pairing, and a model that takes its
//! time. Everything is decided in one thread, so that the same seed gives the same run on every machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use caf_geometry::Size;

use super::stages::{Order, Pairing, Turn};
use super::summary::Account;
use crate::frame::{Camera, Frame, Layout, PixelFormat};
use crate::health::{BAD_IMAGES, Fault, Faults};
use crate::pair::PairRule;
use crate::queue::{Lanes, Popped, Queue, WhenFull};
use crate::result::ResultState;
use crate::source::clock::{Clock as _, HeldClock};
use crate::source::kind::Pace;
use crate::source::port::Port;

const MS: i64 = 1_000_000;
const SECOND: i64 = 1000 * MS;
/// The clock moves by so much at a time.
const TICK: i64 = MS;
const MAX_SKEW: i64 = 25 * MS;
/// How late a frame may be, as in a run without latencies.
const PATIENCE: i64 = MAX_SKEW + 100 * MS;
/// How much later than usual the frames of a late camera come.
const LATE: i64 = 300 * MS;
/// How far a clock is set back that jumps.
const JUMP: i64 = -3600 * SECOND;
const SIZE: Size = Size::new(24, 16);

/// Numbers that look random, the same on every machine.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// One of `from..to`.
    fn within(&mut self, from: i64, to: i64) -> i64 {
        from + (self.next() % (to - from) as u64) as i64
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.next() as usize % all.len()]
    }
}

/// A fault from one time to another.
#[derive(Clone, Copy, Debug)]
struct Event {
    fault: Fault,
    from: i64,
    to: i64,
}

/// A camera and what befalls it.
#[derive(Clone, Debug)]
struct Script {
    period: i64,
    offset: i64,
    /// Capture times are off their rhythm by less than this.
    jitter: i64,
    /// From capture to delivery.
    delay: i64,
    events: Vec<Event>,
}

impl Script {
    fn steady(period: i64) -> Self {
        Self { period, offset: 0, jitter: 1, delay: 5 * MS, events: vec![] }
    }

    fn at(&self, time: i64) -> Option<Fault> {
        self.events.iter().find(|e| (e.from..e.to).contains(&time)).map(|e| e.fault)
    }

    /// Whether there is no fault from one time to another.
    fn is_well(&self, from: i64, to: i64) -> bool {
        self.events.iter().all(|e| e.to <= from || e.from >= to)
    }
}

/// A result of the run.
#[derive(Clone, Copy, Debug)]
struct Made {
    state: ResultState,
    faults: Faults,
    time: i64,
    captured: [Option<i64>; 2],
    sequence: [Option<u64>; 2],
    skew: Option<i64>,
    /// When it was there.
    now: i64,
    /// From the delivery of its latest frame to now.
    age: i64,
}

struct Outcome {
    made: Vec<Made>,
    account: Account,
    /// Frames that the scripts delivered.
    delivered: [u64; 2],
}

/// A camera that plays its script into a port.
struct Player<'a> {
    script: &'a Script,
    camera: Camera,
    port: Port,
    dice: Dice,
    /// Frames captured and not yet due: delivery, sequence, capture, seed of the scene.
    due: Vec<(i64, u64, i64, u64)>,
    next: i64,
    sequence: u64,
    scene: u64,
    lost: bool,
}

impl Player<'_> {
    /// Captures and delivers what is due.
    fn play(&mut self, now: i64) -> u64 {
        let fault = self.script.at(now);
        if fault == Some(Fault::Lost) && !self.lost {
            self.port.lost("the cable is pulled");
        }
        self.lost = fault == Some(Fault::Lost);
        while self.next <= now {
            let capture = self.next + self.dice.within(0, self.script.jitter);
            let fault = self.script.at(self.next);
            self.next += self.script.period;
            if matches!(fault, Some(Fault::Lost | Fault::Silent)) {
                continue;
            }
            if fault != Some(Fault::Frozen) {
                self.scene = self.sequence;
            }
            let late = if fault == Some(Fault::Late) { LATE } else { 0 };
            let jump = if fault == Some(Fault::Clock) { JUMP } else { 0 };
            self.due.push((capture + self.script.delay + late, self.sequence, capture + jump, self.scene));
            self.sequence += 1;
        }
        let mut delivered = 0;
        // A camera's frames come in their order, the lost ones among them not at all.
        while self.due.first().is_some_and(|(due, ..)| *due <= now) {
            let (_, sequence, capture, scene) = self.due.remove(0);
            if !self.lost && self.port.deliver(self.frame(sequence, capture, scene)) {
                delivered += 1;
            }
        }
        delivered
    }

    fn frame(&self, sequence: u64, capture: i64, scene: u64) -> Frame {
        let mut noise = Dice(scene);
        let fault = self.script.at(capture);
        let value = |i: usize, noise: u64| match fault {
            Some(Fault::Black) => (noise % 6) as u8,
            Some(Fault::Saturated) => 255 - (noise % 4) as u8,
            Some(Fault::Exposure | Fault::Shutter) => 120 + (noise % 2) as u8,
            _ => (40 + i * 5 % 120) as u8 + (noise % 8) as u8,
        };
        let pixels: Vec<u8> = (0..SIZE.width * SIZE.height).map(|i| value(i, noise.next())).collect();
        let layout = Layout { size: SIZE, stride_bytes: SIZE.width, format: PixelFormat::Gray8 };
        Frame::new(self.camera, sequence, capture, layout, Box::new(pixels)).unwrap()
    }
}

/// Plays both scripts for `length` with a model that needs `service` for a result.
fn play(scripts: &[Script; 2], length: i64, service: i64, seed: u64) -> Outcome {
    let clock = Arc::new(HeldClock::default());
    let capture = Arc::new(Lanes::new(4, WhenFull::DropOldest));
    let orders: Queue<Order> = Queue::new(1, WhenFull::DropOldest);
    let ports = Camera::BOTH.map(|c| Port::new(c, &capture, Arc::<HeldClock>::clone(&clock), true));
    let rule = PairRule { max_skew_ns: MAX_SKEW, patience_ns: [PATIENCE; 2], window: 256 };
    let mut pairing = Pairing::new((&capture, &orders), (&*clock, &ports), Pace::Realtime, rule, true);
    let mut players = Camera::BOTH.map(|camera| {
        let script = &scripts[camera.index()];
        let (port, dice) = (ports[camera.index()].clone(), Dice(seed ^ camera.index() as u64));
        let next = script.offset;
        Player { script, camera, port, dice, due: vec![], next, sequence: 0, scene: 0, lost: false }
    });
    let (mut made, mut delivered) = (vec![], [0; 2]);
    let mut busy: Option<(i64, Order)> = None;
    let mut finished = false;
    // After the end what waits is still worked on.
    for now in (0..length + 10 * service.max(SECOND)).step_by(TICK as usize) {
        clock.advance(Duration::from_nanos(TICK as u64));
        if now < length {
            players.iter_mut().zip(&mut delivered).for_each(|(player, count)| *count += player.play(now));
        } else if now == length {
            ports.iter().for_each(Port::end);
        }
        finished = finished || matches!(pairing.turn(), Turn::Finished);
        let now = clock.now_ns();
        if let Some((_, order)) = busy.take_if(|(until, _)| *until <= now) {
            made.push(result(&order, now));
        }
        if busy.is_none()
            && let Popped::Item(_, order) = orders.pop([true], Some(Instant::now()))
        {
            busy = Some((now + service, order));
        }
    }
    assert!(finished && busy.is_none());
    let counts = ResultState::ALL.map(|state| made.iter().filter(|m| m.state == state).count() as u64);
    let reports = ports.each_ref().map(Port::report);
    Outcome { account: Account::new(capture.counts(), &pairing.finish(), counts, reports), made, delivered }
}

fn result(order: &Order, now: i64) -> Made {
    let work = order.work();
    let both = work.frames.each_ref().map(Option::as_ref);
    let delivered = both.iter().flatten().map(|frame| frame.delivered_ns).max();
    Made {
        state: work.state(),
        faults: work.faults,
        time: work.time_ns,
        captured: both.map(|frame| frame.map(|frame| frame.capture_ns)),
        sequence: both.map(|frame| frame.map(|frame| frame.sequence)),
        skew: work.skew_ns,
        now,
        age: delivered.map_or(0, |at| now - at),
    }
}

/// What holds in every run.
fn holds_always(outcome: &Outcome, context: &str) {
    let Outcome { made, account, delivered } = outcome;
    assert_eq!(account.imbalance(false), None, "{context}\n{account:#?}");
    assert_eq!([account.infrared.delivered, account.visible.delivered], *delivered, "{context}");
    assert_eq!(account.results(), made.len() as u64, "{context}");
    assert!(made.is_sorted_by(|a, b| a.time < b.time), "{context}: times of results must grow");
    for camera in [0, 1] {
        let used: Vec<u64> = made.iter().filter_map(|m| m.sequence[camera]).collect();
        assert!(used.is_sorted_by(|a, b| a < b), "{context}: a frame is used once, and never after a later one");
    }
    for m in made {
        let [infrared, visible] = m.captured;
        assert_eq!(m.state, ResultState::of([infrared.is_some(), visible.is_some()]));
        assert_eq!(m.skew, infrared.zip(visible).map(|(ir, vi)| vi - ir), "{context}");
        assert!(m.skew.is_none_or(|skew| skew.abs() <= MAX_SKEW), "{context}: {m:?}");
        // A result that is not fused says why, of every camera that is missing and of no other.
        assert_eq!(m.faults.map(|f| f.is_none()), m.captured.map(|c| c.is_some()), "{context}: {m:?}");
    }
}

/// Faults at random, each long enough to be noticed and apart enough to be over.
fn random(dice: &mut Dice, camera: Camera, length: i64) -> Script {
    let (rates, last): (&[i64], _) = match camera {
        Camera::Infrared => (&[9, 25, 30, 60], Fault::Shutter),
        Camera::Visible => (&[25, 30, 60], Fault::Exposure),
    };
    let kinds = [Fault::Lost, Fault::Silent, Fault::Late, Fault::Frozen, Fault::Black, Fault::Saturated, last];
    let period = SECOND / dice.one_of(rates);
    let (mut events, mut at) = (vec![], dice.within(3000, 5000) * MS);
    loop {
        let to = at + dice.within(800, 3000) * MS;
        if to > length {
            break;
        }
        events.push(Event { fault: dice.one_of(&kinds), from: at, to });
        at = to + dice.within(2000, 9000) * MS;
    }
    let (offset, jitter) = (dice.within(0, period), dice.within(1, period / 10));
    Script { period, offset, jitter, delay: dice.within(0, 40) * MS, events }
}

/// How long a camera may have a fault before every result says so: its own third frame, and as long as a silence takes to be one.
fn noticed(script: &Script, fault: Fault) -> i64 {
    match fault {
        Fault::Lost => 0,
        Fault::Late => LATE + 3 * script.period,
        Fault::Silent => (3 * (script.period + script.jitter)).max(100 * MS),
        _ => 3 * script.period,
    }
}

#[test]
fn random_faults_leave_every_frame_accounted_for_and_every_result_true() {
    const LENGTH: i64 = 60 * SECOND;
    let mut seen = std::collections::BTreeMap::new();
    for seed in 0..16 {
        let mut dice = Dice(seed);
        let scripts = Camera::BOTH.map(|camera| random(&mut dice, camera, LENGTH));
        let service = dice.within(5, 60) * MS;
        let outcome = play(&scripts, LENGTH, service, seed);
        let context = format!("seed {seed}, service {} ms, {scripts:#?}", service / MS);
        holds_always(&outcome, &context);
        for (camera, script) in Camera::BOTH.into_iter().zip(&scripts) {
            let i = camera.index();
            let other = &scripts[camera.other().index()];
            for event in &script.events {
                let bad = outcome.made.iter().filter(|m| m.state == ResultState::Fused);
                let bad = bad.filter(|m| m.captured[i].is_some_and(|at| (event.from..event.to).contains(&at))).count();
                let allowed = if matches!(event.fault, Fault::Lost | Fault::Silent) { 0 } else { BAD_IMAGES as usize };
                assert!(bad <= allowed, "{context}: {bad} fused results of {camera:?} during {event:?}");
                // Long after its begin, and with the other camera well, each result is flagged with the reason; and there are some.
                let from = event.from + noticed(script, event.fault) + script.delay + 2 * service + SECOND / 10;
                if from >= event.to || !other.is_well(event.from - SECOND, event.to) {
                    continue;
                }
                let during: Vec<&Made> = outcome.made.iter().filter(|m| (from..event.to).contains(&m.now)).collect();
                let alone = ResultState::alone(camera.other());
                assert!(during.iter().all(|m| m.state == alone), "{context}: {event:?}\n{during:#?}");
                assert!(during.iter().all(|m| m.faults[i] == Some(event.fault)), "{context}: {event:?}\n{during:#?}");
                assert!(
                    during.len() as i64 >= (event.to - from) / (2 * other.period.max(service)) - 1,
                    "{context}: {event:?}"
                );
                *seen.entry((i, event.fault.name())).or_insert(0) += 1;
                // Fused again within a second.
                let end = event.to + SECOND;
                if end < LENGTH && script.is_well(event.to, end) && other.is_well(event.to, end) {
                    let fused = |m: &&Made| m.state == ResultState::Fused && (event.to..end).contains(&m.now);
                    assert!(
                        outcome.made.iter().any(|m| fused(&m)),
                        "{context}: not fused within a second of {event:?}"
                    );
                }
            }
        }
    }
    // Every kind of fault was met by every camera that has it, with the other one well.
    assert_eq!(seen.len(), 14, "{seen:?}");
}

#[test]
fn with_both_cameras_out_the_result_says_so_and_never_shows_an_old_frame() {
    let faults = [Fault::Lost, Fault::Silent, Fault::Frozen, Fault::Black];
    for [ir, vi] in faults.into_iter().flat_map(|ir| faults.map(|vi| [ir, vi])) {
        let event = |fault, from| vec![Event { fault, from: from * SECOND, to: 8 * SECOND }];
        let mut scripts = [Script::steady(SECOND / 30), Script::steady(SECOND / 25)];
        scripts[0].events = event(ir, 4);
        scripts[1].events = event(vi, 5);
        let outcome = play(&scripts, 12 * SECOND, 10 * MS, 3);
        let context = format!("{ir:?} and {vi:?}");
        holds_always(&outcome, &context);
        let of = |from: i64, to: i64| outcome.made.iter().filter(move |m| (from * MS..to * MS).contains(&m.now));
        assert!(of(0, 4000).all(|m| m.state == ResultState::Fused), "{context}");
        assert!(of(4300, 5000).all(|m| m.state == ResultState::VisibleOnly), "{context}");
        let offline: Vec<&Made> = of(5300, 8000).collect();
        assert!(
            offline.iter().all(|m| m.state == ResultState::Offline && m.faults == [Some(ir), Some(vi)]),
            "{context}"
        );
        // Five a second.
        assert!((12..=14).contains(&offline.len()), "{context}: {}", offline.len());
        assert!(of(8000, 9000).any(|m| m.state == ResultState::Fused), "{context}");
        assert!(of(9000, 12_000).all(|m| m.state == ResultState::Fused), "{context}");
    }
}

#[test]
fn a_clock_that_jumps_puts_its_camera_out_until_its_times_are_known_again() {
    for jumping in Camera::BOTH {
        let i = jumping.index();
        let mut scripts = [Script::steady(SECOND / 30), Script::steady(SECOND / 25)];
        let (from, to) = (4 * SECOND, 7 * SECOND);
        scripts[i].events = vec![Event { fault: Fault::Clock, from, to }];
        let outcome = play(&scripts, 10 * SECOND, 10 * MS, 4);
        holds_always(&outcome, &format!("{jumping:?}"));
        let source = [outcome.account.infrared.source, outcome.account.visible.source][i];
        assert_eq!(source.clock_jumps, 2);
        for m in &outcome.made {
            let truth = m.sequence[i].map(|sequence| sequence as i64 * scripts[i].period);
            // Deliveries take the same time to the tick.
            let error = m.captured[i].zip(truth).map_or(0, |(captured, truth)| captured - truth);
            assert!(error.abs() <= TICK, "{jumping:?}: {error} ns in {m:?}");
            let since = m.now - if m.now >= to { to } else { from };
            let clock = Some(Fault::Clock);
            match since {
                ..=0 => assert_eq!(m.state, ResultState::Fused),
                SECOND.. => assert_eq!(m.state, ResultState::Fused, "{jumping:?}: fused again within a second"),
                _ => assert!(m.state == ResultState::Fused || m.faults[i] == clock, "{jumping:?}: {m:?}"),
            }
        }
        let out = outcome.made.iter().filter(|m| m.faults[i] == Some(Fault::Clock)).count();
        assert!((8..30).contains(&out), "{out} results of one camera in two jumps");
    }
}

#[test]
fn at_twice_the_load_a_result_is_at_most_a_frame_older() {
    // The model can make 25 results a second of cameras that deliver 25, 50, 100 and 200.
    let service = SECOND / 25 - TICK;
    let oldest = |rate: i64| {
        let scripts = [Script::steady(SECOND / rate), Script::steady(SECOND / rate)];
        let outcome = play(&scripts, 20 * SECOND, service, 1);
        holds_always(&outcome, &format!("{rate} a second"));
        // After the last frame no newer one takes the place of what waits.
        let settled = outcome.made.iter().filter(|m| (SECOND..20 * SECOND).contains(&m.now));
        settled.map(|m| m.age).max().unwrap()
    };
    let alone = oldest(25);
    assert!(alone <= service + 2 * TICK, "{alone}");
    for rate in [50, 100, 200] {
        let age = oldest(rate);
        assert!(
            age <= alone + SECOND / rate + TICK,
            "{rate} a second: {} ms, {} ms at half of it",
            age / MS,
            alone / MS
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut dice = Dice(seed);
        let scripts = Camera::BOTH.map(|camera| random(&mut dice, camera, 10 * SECOND));
        format!("{:?}", play(&scripts, 10 * SECOND, 20 * MS, seed).made)
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}
