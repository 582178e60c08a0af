//! When a frame was captured, for frames that say so and for frames that do not.

/// Gives the frames of one source their times.
#[derive(Debug)]
pub struct Stamps {
    /// Frames come in order and none is dropped: what has no time gets its place in the order as a time.
    ordered: bool,
    /// Nanoseconds from frame to frame, where neither the frames nor their caps say it.
    period_ns: i64,
    last_ns: Option<i64>,
    /// Frames without a time so far.
    untimed: u64,
}

impl Stamps {
    /// `ordered` where frames come as fast as they are taken and none is dropped; `fps` above 0.
    pub fn new(ordered: bool, fps: f64) -> Self {
        Self { ordered, period_ns: (1e9 / fps).round() as i64, last_ns: None, untimed: 0 }
    }

    /// The time of the next frame: its own running time; without one, its place in the order, or else `now_ns`. `rate` is the
    /// number of frames per second that the stream claims, as a fraction.
    pub fn stamp(&mut self, running_ns: Option<i64>, now_ns: i64, rate: (i32, i32)) -> i64 {
        self.untimed += u64::from(running_ns.is_none());
        let time = running_ns.unwrap_or_else(|| {
            if !self.ordered {
                return now_ns;
            }
            let (frames, seconds) = rate;
            let period_ns = if frames > 0 && seconds > 0 {
                (1e9 * f64::from(seconds) / f64::from(frames)).round() as i64
            } else {
                self.period_ns
            };
            self.last_ns.map_or(0, |last| last.saturating_add(period_ns))
        });
        self.last_ns = Some(time);
        time
    }

    /// True once: after the first frame that had no time.
    pub fn begins_untimed(&self, running_ns: Option<i64>) -> bool {
        running_ns.is_none() && self.untimed == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_without_times_get_their_place_in_the_order() {
        // As GStreamer stamps image files: the first with 0, the others not at all.
        let mut stamps = Stamps::new(true, 25.0);
        let times: Vec<i64> = [Some(0), None, None].map(|t| stamps.stamp(t, 999, (0, 1))).to_vec();
        assert_eq!(times, [0, 40_000_000, 80_000_000]);
        let mut all_missing = Stamps::new(true, 25.0);
        assert_eq!([None; 3].map(|t| all_missing.stamp(t, 999, (10, 1))), [0, 100_000_000, 200_000_000]);
        // One that is missing among others is put behind the one before.
        let mut gap = Stamps::new(true, 25.0);
        assert_eq!([Some(5), None, Some(80_000_003)].map(|t| gap.stamp(t, 999, (25, 1))), [5, 40_000_005, 80_000_003]);
    }

    #[test]
    fn in_real_time_a_frame_without_a_time_was_captured_now() {
        let mut stamps = Stamps::new(false, 25.0);
        assert_eq!([(None, 7), (Some(3), 8), (None, 9)].map(|(t, now)| stamps.stamp(t, now, (25, 1))), [7, 3, 9]);
        let mut once = Stamps::new(false, 25.0);
        let told = [Some(0), None, None].map(|t| {
            once.stamp(t, 0, (0, 1));
            once.begins_untimed(t)
        });
        assert_eq!(told, [false, true, false]);
    }
}
