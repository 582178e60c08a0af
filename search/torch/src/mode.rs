//! What a run of a graph is for, and the random numbers of one that trains: a function of what they are for, without state, the same
//! on every device and after every resumption.

/// How normalisations and dropout behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Running statistics; nothing is dropped.
    Eval,
    /// Statistics of the batch; running statistics neither used nor changed; nothing is dropped. For evaluations that must leave
    /// no trace, such as those of the β step.
    BatchStatistics,
    /// Statistics of the batch; running statistics move in place; dropout drops.
    Train {
        /// What is dropped follows from this number alone: another one for every iteration, the same one when an iteration is
        /// repeated. See [`Mode::train`].
        seed: u64,
    },
}

impl Mode {
    /// Training in one iteration of a run with a seed: a function of the two, so that a resumed run drops what an undisturbed one
    /// would have dropped.
    pub fn train(seed: u64, iteration: u64) -> Mode {
        Mode::Train { seed: mixed([seed, iteration]) }
    }
}

/// One number from several (the finaliser of SplitMix64 over a running sum).
pub(crate) fn mixed<const N: usize>(parts: [u64; N]) -> u64 {
    parts.into_iter().fold(0x243F_6A88_85A3_08D3, |state, part| finalised(state.wrapping_add(part)))
}

fn finalised(sum: u64) -> u64 {
    let mut x = sum.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// Evenly spread over [0, 1).
pub(crate) fn unit<const N: usize>(parts: [u64; N]) -> f64 {
    (mixed(parts) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_spread_evenly_and_differ_in_every_part() {
        let draws: Vec<f64> = (0..100).flat_map(|a| (0..100).map(move |b| unit([a, b, 7]))).collect();
        let mean = draws.iter().sum::<f64>() / 1e4;
        let below = draws.iter().filter(|d| **d < 0.1).count();
        // One sigma: 0.003 and 30.
        assert!((mean - 0.5).abs() < 0.012 && below.abs_diff(1000) < 120, "{mean} {below}");
        assert_ne!(mixed([1, 2]), mixed([2, 1]));
        assert_eq!(mixed([1, 2]), mixed([1, 2]));
    }
}
