//! A camera's times against the clock of the run: jumps are noticed and mended, drift is measured.
//!
//! A frame is delivered some time after it was captured, and never sooner than the camera's way of delivery takes. The least of these
//! times, over windows, is a property of the camera and its clock: it stays where both clocks agree, and moves as they drift apart.

/// A capture time that is earlier than the one before by more than this is a clock set back; by less, two frames changed places.
const BACK_NS: i64 = 200_000_000;
/// A frame that is delivered before its capture, by more than this, comes of a clock set forward. (One that is only delivered sooner than usual
/// may end a backlog. Where times are set to be early, as by a negative latency, it is this much earlier than usual.)
const AHEAD_NS: i64 = 200_000_000;
/// Frames after a jump of which the least delay is taken: enough that one of them is about as quick as usual; with those that say that the
/// camera is good again less than a second of one that delivers 9 frames a second.
const SETTLING: u32 = 5;
/// Length of the windows.
const WINDOW_NS: i64 = 10_000_000_000;

/// The times of one camera.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeline {
    /// Added to capture times: what jumps have made wrong.
    correction_ns: i64,
    last_ns: Option<i64>,
    /// Least delay of the window, and of the whole windows before it: the first and the latest.
    window: Option<(i64, i64)>,
    first_ns: Option<i64>,
    latest_ns: Option<i64>,
    /// Frames to settle after a jump, and the least delay since, uncorrected.
    settling: Option<(u32, i64)>,
    jumps: u64,
}

/// A frame's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// Capture time on the clock of the run.
    pub capture_ns: i64,
    /// By how much the camera's clock has jumped since the frame before, if it has.
    pub jumped_ns: Option<i64>,
    /// Whether that time is a guess: the camera's clock has jumped, and its delays are not yet known again.
    pub is_guess: bool,
}

impl Timeline {
    /// Takes the next frame's capture time and the time of its delivery.
    pub fn stamp(&mut self, capture_ns: i64, now_ns: i64) -> Stamped {
        let mut jumped_ns = None;
        let corrected = capture_ns.saturating_add(self.correction_ns);
        let delay = now_ns.saturating_sub(corrected);
        let usual = self.usual_ns();
        let set_back = self.last_ns.filter(|last| corrected < last.saturating_sub(BACK_NS));
        if set_back.is_some() || usual.is_some_and(|usual| delay < usual.min(0).saturating_sub(AHEAD_NS)) {
            self.jumps += 1;
            jumped_ns = match (usual, set_back) {
                (Some(usual), _) => Some(usual.saturating_sub(delay)),
                // Of a camera that was just opened again no delay is known by which its times could be mended: they are believed.
                (None, set_back) => set_back.map(|last| corrected.saturating_sub(last)),
            };
            self.settling = usual.map(|_| (SETTLING, i64::MAX));
        }
        let usual = usual.unwrap_or(delay);
        let is_guess = self.settling.is_some();
        if let Some((left, least)) = self.settling {
            // The quickest of the frames since the jump was as quick as the quickest before.
            let least = least.min(now_ns.saturating_sub(capture_ns));
            self.correction_ns = least.saturating_sub(usual);
            self.settling = (left > 1).then_some((left.saturating_sub(1), least));
        } else {
            self.measure(delay, now_ns);
        }
        let capture_ns = capture_ns.saturating_add(self.correction_ns);
        self.last_ns = Some(capture_ns);
        Stamped { capture_ns, jumped_ns, is_guess }
    }

    /// The camera was opened again, so that its times and its delays are others: what was learned of them holds no longer. What was counted
    /// does, and that times grow.
    pub const fn reopened(&mut self) {
        *self = Self {
            correction_ns: 0,
            last_ns: self.last_ns,
            window: None,
            first_ns: None,
            latest_ns: None,
            settling: None,
            jumps: self.jumps,
        };
    }

    /// Least delay so far: of the last whole window, else of the one that runs.
    fn usual_ns(&self) -> Option<i64> {
        self.latest_ns.or(self.window.map(|(_, least)| least))
    }

    fn measure(&mut self, delay: i64, now_ns: i64) {
        let (began, least) = self.window.map_or((now_ns, delay), |(began, least)| (began, least.min(delay)));
        self.window = Some((began, least));
        if now_ns.saturating_sub(began) >= WINDOW_NS {
            self.first_ns.get_or_insert(least);
            self.latest_ns = Some(least);
            self.window = None;
        }
    }

    /// How often the camera's clock has jumped.
    #[must_use]
    pub const fn jumps(&self) -> u64 {
        self.jumps
    }

    /// How much later the camera's frames come after their times than in the first window since it was opened, in nanoseconds; `None` before
    /// that is over.
    #[must_use]
    pub fn drift_ns(&self) -> Option<i64> {
        self.first_ns.zip(self.latest_ns).map(|(first, latest)| latest.saturating_sub(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;
    const PERIOD: i64 = 40 * MS;

    /// Delays of 5 to 12 ms that look random.
    fn delay(frame: i64) -> i64 {
        (5 + frame * 7919 % 8) * MS
    }

    /// Plays frames `from..to` of a camera whose clock is off by `wrong(frame)`; gives errors of the capture times and the jumps.
    fn play(line: &mut Timeline, from: i64, to: i64, wrong: impl Fn(i64) -> i64) -> (Vec<i64>, Vec<i64>) {
        let (mut errors, mut jumps) = (vec![], vec![]);
        for frame in from..to {
            let truth = frame * PERIOD;
            let stamped = line.stamp(truth + wrong(frame), truth + delay(frame));
            errors.push(stamped.capture_ns - truth);
            jumps.extend(stamped.jumped_ns);
        }
        (errors, jumps)
    }

    #[test]
    fn steady_times_stay_as_they_are_and_small_disorder_is_no_jump() {
        let mut line = Timeline::default();
        let wrong = |frame| if frame % 9 == 0 { -150 * MS } else { 0 };
        let (errors, jumps) = play(&mut line, 0, 1000, wrong);
        assert!(jumps.is_empty() && errors.iter().enumerate().all(|(i, e)| *e == wrong(i as i64)));
        assert_eq!((line.jumps(), line.drift_ns()), (0, Some(0)));
    }

    #[test]
    fn a_clock_set_back_or_forward_is_counted_and_its_times_are_right_again_after_a_few_frames() {
        for by in [-3600 * 1000 * MS, -300 * MS, 1500 * MS, 86_400 * 1000 * MS] {
            let mut line = Timeline::default();
            let (errors, jumps) = play(&mut line, 0, 100, |_| 0);
            assert!(jumps.is_empty() && errors.iter().all(|e| *e == 0));
            let after =
                |line: &mut Timeline, frame: i64| line.stamp(frame * PERIOD + by, frame * PERIOD + delay(frame));
            let stamped: Vec<Stamped> = (100..400).map(|frame| after(&mut line, frame)).collect();
            let jumped: Vec<i64> = stamped.iter().filter_map(|s| s.jumped_ns).collect();
            assert!(jumped.len() == 1 && (jumped[0] - by).abs() <= 7 * MS, "{jumped:?} for {by}");
            let guesses = stamped.iter().take_while(|s| s.is_guess).count();
            assert_eq!((guesses, stamped.iter().filter(|s| s.is_guess).count()), (SETTLING as usize, guesses));
            // Of eight delays, 5 to 12 ms, the least of five in a row is at most 3 ms above the least of all.
            let error = |(frame, s): (i64, &Stamped)| s.capture_ns - frame * PERIOD;
            let errors: Vec<i64> = (100..).zip(&stamped).map(error).skip(guesses).collect();
            assert!(errors.iter().all(|e| *e == errors[0] && e.abs() <= 3 * MS), "{errors:?}");
            assert!(line.jumps() == 1 && line.drift_ns().is_none_or(|ns| ns.abs() <= 3 * MS));
            // And back again.
            let (_, jumps) = play(&mut line, 400, 420, |_| 0);
            assert_eq!((jumps.len(), line.jumps()), (1, 2));
        }
    }

    #[test]
    fn a_camera_that_is_opened_again_has_right_times_whatever_they_were_before() {
        for by in [-600 * MS, 600 * MS, 1500 * MS] {
            let mut line = Timeline::default();
            play(&mut line, 0, 600, |frame| if frame < 300 { 0 } else { by });
            assert!(line.jumps() == 1 && line.drift_ns().is_some());
            line.reopened();
            // Its way of delivery takes another time now, which is no drift.
            let (errors, jumps) = play(&mut line, 640, 1200, |_| -70 * MS);
            assert!(jumps.is_empty() && errors.iter().all(|e| *e == -70 * MS), "{by}: {:?}", &errors[..3]);
            assert_eq!((line.jumps(), line.drift_ns()), (1, Some(0)));
        }
        // Opened again in the middle of a jump, with times that lie before the last one: they are told and believed.
        let mut line = Timeline::default();
        play(&mut line, 0, 102, |frame| if frame < 100 { 0 } else { 1500 * MS });
        line.reopened();
        let (errors, jumps) = play(&mut line, 103, 110, |_| -1000 * MS);
        assert_eq!((line.jumps(), jumps.len(), errors), (2, 1, vec![-1000 * MS; 7]));
        assert!(jumps[0] < -900 * MS, "{jumps:?}");
    }

    #[test]
    fn frames_that_are_held_up_are_no_jump() {
        let mut line = Timeline::default();
        play(&mut line, 0, 100, |_| 0);
        // A backlog of a second at the beginning that is caught up with.
        let mut late = Timeline::default();
        assert!((0..50).all(|frame| {
            late.stamp(frame * PERIOD, (frame * PERIOD).max(1000 * MS) + delay(frame)).jumped_ns.is_none()
        }));
        // Five seconds in which nothing is delivered, then all at once, in order.
        let at_once = 225 * PERIOD;
        assert!((100..225).all(|frame| line.stamp(frame * PERIOD, at_once).jumped_ns.is_none()));
        assert!(play(&mut line, 226, 300, |_| 0).1.is_empty());
    }

    #[test]
    fn drift_is_measured_to_the_spread_of_nothing_but_the_quickest_frames() {
        let mut line = Timeline::default();
        // 200 ppm slow: 12 ms in a minute.
        let (_, jumps) = play(&mut line, 0, 1501, |frame| -frame * PERIOD / 5000);
        assert!(jumps.is_empty());
        // From the first window's least, near its beginning, to the fifth one's, 40 s later.
        let drift = line.drift_ns().unwrap();
        assert!((drift - 8 * MS).abs() <= MS / 2, "{drift}");
    }
}
