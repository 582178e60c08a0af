//! What the model gets next: a pair, one camera's frame while the other is out, or the order for a picture that says that both are.
//!
//! A camera is out when its source is lost, when nothing comes of it for as long as three of its frames usually take, and when its images
//! cannot be used ([`crate::health`]). Then the other one's frames go on at once, each with the reason, and nothing old is shown as new.
//! The module knows neither threads nor clocks: time is an argument.

use crate::frame::{Camera, Frame};
use crate::health::{Fault, Faults, Health, Look};
use crate::pair::{Cause, PairCount, PairRule, Pairer, Step, Timed};
use crate::result::ResultState;
use crate::source::arrivals::Presence;

/// From one picture that says that both cameras are out to the next.
const OFFLINE_NS: i64 = 200_000_000;
/// How much earlier than a frame would have been captured such a picture is: what the cameras may then deliver sooner than before.
const SOONER_NS: i64 = 100_000_000;

/// A frame that can be looked at.
pub trait Seen: Timed {
    /// What a look shows; `None` when there is nothing to see.
    fn look(&self) -> Option<Look>;

    /// When it was delivered, in nanoseconds since the start of the run.
    fn delivered_ns(&self) -> i64;

    /// Whether its capture time is a guess.
    fn time_is_guess(&self) -> bool;
}

impl Seen for Frame {
    fn look(&self) -> Option<Look> {
        self.view().ok().map(|view| Look::at(&view))
    }

    fn delivered_ns(&self) -> i64 {
        self.delivered_ns
    }

    fn time_is_guess(&self) -> bool {
        self.time_is_guess
    }
}

/// What the model gets.
#[derive(Debug)]
pub struct Work<F> {
    /// The infrared and the visible frame, as far as the cameras are not out.
    pub frames: [Option<F>; 2],
    /// Time of the result.
    pub time_ns: i64,
    /// Of a pair.
    pub skew_ns: Option<i64>,
    /// Why a camera has no frame in it.
    pub faults: Faults,
}

impl<F> Work<F> {
    /// What the result rests on.
    pub fn state(&self) -> ResultState {
        ResultState::of(self.frames.each_ref().map(Option::is_some))
    }
}

/// What [`Matcher::poll`] found.
#[derive(Debug)]
pub enum Next<F> {
    /// Something for the model.
    Work(Work<F>),
    /// A frame that is given up.
    Unpaired(Camera, F, Cause),
    /// Nothing can be decided yet, as in [`Step::Wait`].
    Wait {
        /// Whose next frame would decide.
        needs: [bool; 2],
        /// When something is decided without it.
        until_ns: Option<i64>,
    },
    /// Nothing comes any more.
    Finished,
}

/// Pairs frames, judges cameras, decides what goes to the model.
#[derive(Debug)]
pub struct Matcher<F> {
    pairer: Pairer<F>,
    /// Whether one camera's frames go on alone when the other is out.
    degrades: bool,
    health: [Health; 2],
    presence: [Presence; 2],
    /// Time of the latest result, and how much later than that it was decided.
    latest: Option<(i64, i64)>,
    /// When the next picture is due that says that both cameras are out.
    offline_ns: Option<i64>,
}

impl<F: Seen> Matcher<F> {
    /// An empty matcher. One that does not degrade makes pairs alone and judges no camera.
    pub fn new(rule: PairRule, degrades: bool) -> Self {
        Self {
            pairer: Pairer::new(rule),
            degrades,
            health: Camera::BOTH.map(Health::new),
            presence: [Presence::default(); 2],
            latest: None,
            offline_ns: None,
        }
    }

    /// See [`Pairer::set_patience`].
    pub fn set_patience(&mut self, camera: Camera, patience_ns: i64) {
        self.pairer.set_patience(camera, patience_ns);
    }

    /// Says how a camera's source is.
    pub fn set_presence(&mut self, camera: Camera, presence: Presence) {
        self.presence[camera.index()] = presence;
    }

    /// Adds a camera's next frame; `now_ns` is `None` where every frame counts.
    pub fn offer(&mut self, camera: Camera, frame: F, now_ns: Option<i64>) {
        if let Some(now) = now_ns.filter(|_| self.degrades) {
            let health = &mut self.health[camera.index()];
            if frame.time_is_guess() {
                health.set_absent(Fault::Clock);
                self.pairer.count_unfit(camera);
                return;
            }
            // Later than the other camera's frames wait for it.
            let is_late = frame.delivered_ns().saturating_sub(frame.capture_ns()) > self.pairer.patience(camera);
            if !frame.look().is_some_and(|look| health.see(&look, is_late, now)) {
                self.pairer.count_unfit(camera);
                return;
            }
        }
        self.pairer.offer(camera, frame);
    }

    /// See [`Pairer::end`].
    pub fn end(&mut self, camera: Camera) {
        self.pairer.end(camera);
    }

    /// See [`Pairer::is_exhausted`].
    pub fn is_exhausted(&self) -> bool {
        self.pairer.is_exhausted()
    }

    /// See [`Pairer::counts`].
    pub fn counts(&self) -> [PairCount; 2] {
        self.pairer.counts()
    }

    /// Why each camera is out.
    pub fn faults(&self) -> Faults {
        self.health.each_ref().map(Health::fault)
    }

    /// Decides what can be decided, as [`Pairer::poll`]. Everything that has arrived must have been offered before.
    pub fn poll(&mut self, now_ns: Option<i64>) -> Next<F> {
        let judging = now_ns.filter(|_| self.degrades);
        if judging.is_some() {
            for (health, presence) in self.health.iter_mut().zip(self.presence) {
                presence.absent.into_iter().for_each(|fault| health.set_absent(fault));
            }
            for (camera, fault) in Camera::BOTH.into_iter().zip(self.faults()) {
                self.pairer.set_out(camera, fault.is_some());
            }
        }
        match self.pairer.poll(now_ns) {
            Step::Pair { infrared, visible, skew_ns } => {
                let time_ns = visible.capture_ns();
                Next::Work(self.work([Some(infrared), Some(visible)], time_ns, Some(skew_ns), [None; 2], now_ns))
            }
            Step::Alone(camera, frame) => {
                let time_ns = frame.capture_ns();
                let mut frames = [None, None];
                frames[camera.index()] = Some(frame);
                Next::Work(self.work(frames, time_ns, None, self.faults(), now_ns))
            }
            Step::Unpaired(camera, frame, cause) => Next::Unpaired(camera, frame, cause),
            Step::Finished => Next::Finished,
            Step::Wait { needs, until_ns } => self.wait(needs, until_ns, judging),
        }
    }

    fn work(
        &mut self,
        frames: [Option<F>; 2],
        time_ns: i64,
        skew_ns: Option<i64>,
        faults: Faults,
        now_ns: Option<i64>,
    ) -> Work<F> {
        self.offline_ns = None;
        self.latest = now_ns.map(|now| (time_ns, now.saturating_sub(time_ns)));
        Work { frames, time_ns, skew_ns, faults }
    }

    /// Nothing is there. With both cameras out that is said now and then.
    fn wait(&mut self, needs: [bool; 2], until_ns: Option<i64>, judging: Option<i64>) -> Next<F> {
        let Some(now) = judging else { return Next::Wait { needs, until_ns } };
        let faults = self.faults();
        let mut due = until_ns;
        let mut sooner = |at: Option<i64>| due = due.into_iter().chain(at).min();
        if faults.iter().all(Option::is_some) {
            let at = *self.offline_ns.get_or_insert(now);
            if now >= at {
                self.offline_ns = Some(now.saturating_add(OFFLINE_NS));
                let time_ns = self.offline_time(now);
                return Next::Work(Work { frames: [None, None], time_ns, skew_ns: None, faults });
            }
            sooner(Some(at));
        } else {
            self.offline_ns = None;
            self.presence.iter().for_each(|presence| sooner(presence.silent_at_ns));
        }
        Next::Wait { needs, until_ns: due }
    }

    /// When a frame would have been captured that is decided on now: so that frames which come after the cameras are back are later.
    fn offline_time(&mut self, now_ns: i64) -> i64 {
        let (latest, late) = self.latest.unwrap_or((i64::MIN, 0));
        let time_ns = now_ns.saturating_sub(late).saturating_sub(SOONER_NS).max(latest.saturating_add(1));
        self.pairer.pass(time_ns);
        self.latest = Some((time_ns, late));
        time_ns
    }
}
