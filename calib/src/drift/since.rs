//! When a drift began.

/// Likelihood of a beginning, against that of the best, below which it is left out.
const LEAST_LIKELIHOOD: f64 = 0.05;

/// The first pair after a drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Since {
    pub first: usize,
    /// The earliest and the latest that cannot be ruled out.
    pub between: [usize; 2],
}

/// Of how much more alike each pair is under the map after the drift than under the one before: the drift began where the pairs before it
/// under the one and those from it on under the other are most alike.
pub(super) fn since(gains: &[f64]) -> Since {
    // What is lost by calling the first i pairs drifted.
    let mut lost = vec![0.0];
    lost.extend(gains.iter().scan(0.0, |sum, gain| {
        *sum += gain;
        Some(*sum)
    }));
    // At least one pair has drifted.
    lost.truncate(gains.len().max(1));
    let (first, least) = lost.iter().copied().enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0));
    // Gains as of two normal distributions about −m and +m: the logarithm of the likelihood is 2 m / σ² times their sum.
    let signed: Vec<f64> = gains.iter().enumerate().map(|(i, gain)| if i < first { -gain } else { *gain }).collect();
    let mean = signed.iter().sum::<f64>() / signed.len().max(1) as f64;
    let variance =
        signed.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / signed.len().saturating_sub(1).max(1) as f64;
    let most = -LEAST_LIKELIHOOD.ln() * variance / (2.0 * mean).max(f64::MIN_POSITIVE);
    let likely = || lost.iter().enumerate().filter(|(_, v)| **v - least <= most).map(|(i, _)| i);
    Since { first, between: [likely().next().unwrap_or(first), likely().next_back().unwrap_or(first)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_is_where_gains_change_sign() {
        let mut gains = vec![-1.0, -0.8, -1.2, -1.1, 0.9, 1.2, 1.0];
        assert_eq!(since(&gains), Since { first: 4, between: [4, 4] });
        // One pair that says little says little about where.
        gains[3] = -0.1;
        assert_eq!(since(&gains), Since { first: 4, between: [3, 4] });
        assert_eq!(since(&[1.0, 0.9, 1.1]).first, 0);
        // The last pair is the latest at which anything can have begun.
        assert_eq!(since(&[-1.0, -1.1, -0.9]).first, 2);
        assert_eq!(since(&[]), Since { first: 0, between: [0, 0] });
    }
}
