//! Whether what is measured in the stretches of a recording can be told from a rig that holds.
//!
//! Of a rig that holds, every stretch measures the same small change: how wrong the rig is itself, of known covariance. What is tested is
//! that some stretch and all after it measure another one than the stretches before it and the rig say, by the largest of Hotelling's
//! statistics over where they may begin. How large that becomes without any drift is found by drawing recordings from the residuals of
//! this one, so that outliers count as often as they do.

use nalgebra::Matrix4;
use rand::{Rng, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::change::Change;
use super::look::Stretch;

/// Recordings that are drawn: a probability of 1 % is known to 0.2 %.
const DRAWN: u64 = 2000;

/// What is known before a recording is seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Covariance of the rig's error.
    pub rig: Matrix4<f64>,
    /// Covariance of what scenes at other distances move the map by.
    pub scenes: Matrix4<f64>,
}

/// Where drift fits best, and how well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fit {
    /// The first stretch of it.
    pub first: usize,
    /// What the stretches before it and the rig say.
    pub before: Change,
    pub statistic: f64,
}

/// Covariance of what a pair says: that of the residuals.
pub(super) fn covariance_of_pairs(stretches: &[Stretch]) -> Matrix4<f64> {
    let residuals = || stretches.iter().flat_map(|stretch| &stretch.residuals);
    let freedom = residuals().count().saturating_sub(stretches.len()).max(1);
    residuals().map(|r| r * r.transpose()).sum::<Matrix4<f64>>() / freedom as f64
}

/// The mean change of stretches, and over how many pairs.
pub(super) fn mean(stretches: &[Stretch]) -> (Change, f64) {
    let (sum, count) = stretches.iter().fold((Change::zeros(), 0.0), |(sum, count), stretch| {
        let pairs = stretch.residuals.len() as f64;
        (sum + stretch.change * pairs, count + pairs)
    });
    (sum / f64::max(count, 1.0), count)
}

/// The largest statistic; `None` where the covariances say nothing.
pub(super) fn fit(stretches: &[Stretch], known: &Known) -> Option<Fit> {
    let of_pair = covariance_of_pairs(stretches);
    let information = of_pair.try_inverse()?;
    let statistic = |first: usize| {
        let (before, after) = stretches.split_at_checked(first)?;
        let ((before, seen), (after, count)) = (mean(before), mean(after));
        // What the rig and the stretches before say together, weighed by their information.
        let rig = known.rig + known.scenes;
        let together = (rig.try_inverse()? + information * seen).try_inverse()?;
        let expected = together * (information * seen) * before;
        let spread = of_pair / count + together + if first == 0 { Matrix4::zeros() } else { known.scenes };
        let off = after - expected;
        Some(Fit { first, before: expected, statistic: spread.cholesky()?.solve(&off).dot(&off) })
    };
    let all = (0..stretches.len()).filter_map(statistic);
    all.max_by(|a, b| a.statistic.total_cmp(&b.statistic))
}

/// How often a recording of a rig that holds fits drift as well as this.
pub(super) fn probability(stretches: &[Stretch], known: &Known, statistic: f64, seed: u64) -> Option<f64> {
    let pool: Vec<&Change> = stretches.iter().flat_map(|stretch| &stretch.residuals).collect();
    // Residuals are smaller than errors by what their means took up.
    let inflated = (pool.len() as f64 / pool.len().saturating_sub(stretches.len()).max(1) as f64).sqrt();
    let root = (known.rig + known.scenes).cholesky()?.l();
    let drawn = |number: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        let common = root * Change::from_fn(|_, _| normal(&mut rng));
        let recording: Vec<Stretch> = stretches
            .iter()
            .map(|like| {
                let mut one = || {
                    let sign = if rng.random_bool(0.5) { inflated } else { -inflated };
                    let at = rng.random_range(0..pool.len().max(1));
                    pool.get(at).map_or(Change::zeros(), |residual| *residual * sign)
                };
                let errors: Vec<Change> = like.residuals.iter().map(|_| one()).collect();
                let mean = errors.iter().sum::<Change>() / errors.len().max(1) as f64;
                Stretch { change: common + mean, residuals: errors.iter().map(|e| e - mean).collect() }
            })
            .collect();
        fit(&recording, known).is_some_and(|fit| fit.statistic >= statistic)
    };
    let as_large = (0..DRAWN).into_par_iter().filter(|number| drawn(*number)).count();
    Some((as_large + 1) as f64 / (DRAWN + 1) as f64)
}

/// A number of the standard normal distribution (Box and Muller, 1958).
fn normal(rng: &mut impl Rng) -> f64 {
    let (radius, turn) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * turn).cos()
}
