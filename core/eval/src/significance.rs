//! Telling a difference from noise: mean, standard deviation, paired t test, Holm's correction.

/// Mean and spread of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// How many.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, by n − 1; none of a single one.
    pub sd: Option<f64>,
}

impl Spread {
    /// That of values; none of no value, or when one is no number.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len();
        if count == 0 || values.iter().any(|v| !v.is_finite()) {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count as f64;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let sd = (count > 1).then(|| (squares / (count - 1) as f64).sqrt());
        Some(Spread { count, mean, sd })
    }
}

/// A paired comparison of two methods.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    /// Number, mean and standard deviation of the differences.
    pub difference: Spread,
    /// Half the width of the interval that holds the true mean difference with 95 %.
    pub half_width_95: f64,
    /// Probability of a mean difference at least as large in either direction where there is none: Student's t test, which takes the
    /// differences for normally distributed.
    pub p: f64,
}

impl Paired {
    /// The test of differences, one for each pair of measurements; none of fewer than two, or when one is no number.
    ///
    /// Differences that are all the same have p = 0, or 1 where they are 0.
    pub fn test(differences: &[f64]) -> Option<Self> {
        let difference = Spread::of(differences)?;
        let error = difference.sd? / (difference.count as f64).sqrt();
        let freedom = difference.count - 1;
        let t = if difference.mean == 0.0 { 0.0 } else { (difference.mean / error).abs() };
        let half_width_95 = t_within(0.95, freedom) * error;
        Some(Paired { difference, half_width_95, p: 1.0 - share_within(t, freedom) })
    }
}

/// P(|T| ≤ t) of Student's distribution with `freedom` ≥ 1 degrees, t ≥ 0: the finite series for whole degrees (Abramowitz and Stegun,
/// 26.7.3 and 26.7.4).
pub fn share_within(t: f64, freedom: usize) -> f64 {
    if !t.is_finite() {
        return if t.is_nan() { f64::NAN } else { 1.0 };
    }
    let angle = (t / (freedom as f64).sqrt()).atan();
    let (sin, cos) = angle.sin_cos();
    let is_odd = freedom % 2 == 1;
    let mut term = if is_odd { cos } else { 1.0 };
    let mut sum = 0.0;
    // Terms of cos to the power of 1, 3, … or 0, 2, …, up to freedom − 2.
    for power in (usize::from(is_odd)..freedom.saturating_sub(1)).step_by(2) {
        sum += term;
        term *= cos * cos * (power + 1) as f64 / (power + 2) as f64;
    }
    let share = if is_odd { (angle + sin * sum) * std::f64::consts::FRAC_2_PI } else { sin * sum };
    share.clamp(0.0, 1.0)
}

/// The t that [`share_within`] says holds a share of at most 0.999.
pub fn t_within(share: f64, freedom: usize) -> f64 {
    let (mut low, mut high) = (0.0, 1e6);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if share_within(middle, freedom) < share { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// Holm's correction of several tests: what each p becomes, so that one of them errs with no more than the level altogether.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    let value = |i: usize| p.get(i).copied().unwrap_or(f64::NAN);
    order.sort_by(|a, b| value(*a).total_cmp(&value(*b)));
    let mut adjusted = vec![f64::NAN; p.len()];
    let mut largest: f64 = 0.0;
    for (rank, i) in order.into_iter().enumerate() {
        largest = largest.max(value(i) * (p.len() - rank) as f64).min(1.0);
        if let Some(place) = adjusted.get_mut(i) {
            *place = largest;
        }
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_printed_tables() {
        // Two-sided 5 % and 1 %, as in every table of Student's distribution.
        for (freedom, five, one) in [
            (1, 12.706, 63.657),
            (2, 4.303, 9.925),
            (3, 3.182, 5.841),
            (4, 2.776, 4.604),
            (9, 2.262, 3.250),
            (30, 2.042, 2.750),
            (120, 1.980, 2.617),
        ] {
            assert!((t_within(0.95, freedom) - five).abs() < 6e-4, "{freedom}: {}", t_within(0.95, freedom));
            assert!((t_within(0.99, freedom) - one).abs() < 6e-4, "{freedom}: {}", t_within(0.99, freedom));
        }
    }

    #[test]
    fn shares_are_the_integral_of_the_density() {
        // The density up to its constant, which the integral over everything gives.
        let integral = |t: f64, freedom: usize, steps: usize| {
            let density = |u: f64| {
                // t = tan(u), so that everything is a finite stretch.
                let t = u.tan();
                (1.0 + t * t / freedom as f64).powf(-0.5 * (freedom as f64 + 1.0)) * (1.0 + t * t)
            };
            let width = t.atan() / steps as f64;
            (0..steps).map(|i| density((i as f64 + 0.5) * width) * width).sum::<f64>()
        };
        for freedom in [1, 2, 3, 4, 5, 8, 17] {
            let whole = integral(f64::INFINITY, freedom, 200_000);
            for t in [0.1, 0.7, 1.5, 3.0, 8.0] {
                let expected = integral(t, freedom, 200_000) / whole;
                let found = share_within(t, freedom);
                assert!((found - expected).abs() < 1e-8, "{freedom} {t}: {found} {expected}");
            }
        }
    }

    #[test]
    fn a_paired_test_looks_at_differences_alone() {
        // Student's own data (1908): hours of sleep gained with two drugs; t = 4.062, p = 0.00283.
        let gained = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4];
        let found = Paired::test(&gained).unwrap();
        assert!((found.difference.mean - 1.58).abs() < 1e-12 && (found.difference.sd.unwrap() - 1.229995).abs() < 1e-6);
        assert!((found.p - 0.0028329).abs() < 1e-6, "{found:?}");
        assert!((found.half_width_95 - 0.879885).abs() < 1e-5, "{found:?}");
        assert_eq!(Paired::test(&[0.5]), None);
        assert_eq!(Paired::test(&[0.5, f64::NAN]), None);
        assert_eq!(Paired::test(&[0.0, 0.0]).unwrap().p, 1.0);
        assert_eq!(Paired::test(&[0.5, 0.5]).unwrap().p, 0.0);
    }

    #[test]
    fn holm_steps_down_and_never_falls() {
        let found = holm(&[0.01, 0.04, 0.03, 0.005]);
        let expected = [0.03, 0.06, 0.06, 0.02];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{found:?}");
        assert_eq!(holm(&[0.6, 0.7]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
