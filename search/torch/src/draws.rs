//! Random numbers as a function of what they are for: no state, the same on every device and after every resumption.

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
