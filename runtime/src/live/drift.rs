//! Whether the clocks of the two cameras go apart.

/// Less than this is never told, whatever pairs may be apart.
const LEAST_NS: i64 = 1_000_000;

/// How far the two cameras' clocks have drifted apart since both were opened, and when that is worth telling.
#[derive(Clone, Copy, Debug)]
pub struct Drift {
    /// From one telling to the next the distance grows by so much.
    step_ns: i64,
    /// How far apart they were when both were known for the first time, and when it was told last.
    known: Option<[i64; 2]>,
    /// How often it was told.
    pub told: u64,
}

impl Drift {
    /// Of cameras whose pairs may be `max_skew_ns` apart: half of that is told, and each time it has grown by that again.
    #[must_use]
    pub fn new(max_skew_ns: i64) -> Self {
        Self { step_ns: (max_skew_ns / 2).max(LEAST_NS), known: None, told: 0 }
    }

    /// Looks at what the cameras' times have drifted by since each was opened, infrared first; `None` where that is not known. Gives by how many
    /// nanoseconds the visible times are off against the infrared ones when that is to be told.
    pub fn look(&mut self, drifts: [Option<i64>; 2]) -> Option<i64> {
        let [Some(infrared), Some(visible)] = drifts else {
            // A camera that is opened again begins anew.
            self.known = None;
            return None;
        };
        let apart = visible.saturating_sub(infrared);
        let [first, last] = self.known.get_or_insert([apart; 2]);
        if apart.saturating_sub(*last).saturating_abs() <= self.step_ns {
            return None;
        }
        *last = apart;
        self.told += 1;
        Some(apart.saturating_sub(*first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn a_drift_is_told_each_time_it_has_grown_by_half_of_what_a_pair_may_be_apart() {
        let mut drift = Drift::new(20 * MS);
        let told: Vec<(i64, i64)> =
            (0..=35).filter_map(|ms| Some((ms, drift.look([Some(0), Some(-ms * MS)])? / MS))).collect();
        assert_eq!((told, drift.told), (vec![(11, -11), (22, -22), (33, -33)], 3));
        // Pairs that may not be apart at all drift by what clocks that are read are apart.
        assert_eq!(Drift::new(0).look([Some(0), Some(LEAST_NS)]), None);
    }

    #[test]
    fn a_camera_that_is_opened_again_is_no_drift() {
        let mut drift = Drift::new(20 * MS);
        assert_eq!(drift.look([Some(0), Some(0)]), None);
        assert_eq!(drift.look([Some(-4 * MS), Some(12 * MS)]), Some(16 * MS));
        assert_eq!([drift.look([Some(-4 * MS), None]), drift.look([Some(-16 * MS), Some(0)])], [None; 2]);
        assert_eq!(drift.look([Some(-30 * MS), Some(0)]), Some(14 * MS), "since both are known again");
        assert_eq!(drift.told, 2);
    }
}
