//! Ranges of tensors against searches over the single values in double precision, which know nothing of the code.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop at the line that fails")]

use caf_export::precision::{BINS, Histogram, Method, PERCENTILE, QUANTIZED_BINS, Range};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Frames of values as networks make them: all positive with a long tail, around zero, with outliers, constant, one-sided.
fn tensors() -> Vec<(&'static str, Vec<Vec<f32>>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut normal = move || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
    let mut frames = |count: usize, value: &mut dyn FnMut(f64, usize) -> f64| -> Vec<Vec<f32>> {
        (0..count).map(|frame| (0..20_000).map(|_| value(normal(), frame) as f32).collect()).collect()
    };
    vec![
        ("relu", frames(3, &mut |n, _| n.max(0.0))),
        ("silu", frames(3, &mut |n, _| 3.0 * n / (1.0 + (-3.0 * n).exp()))),
        ("around zero", frames(4, &mut |n, frame| n * (1.0 + frame as f64))),
        ("growing tail", frames(4, &mut |n, frame| n.abs().powi(3) * (1 + frame) as f64)),
        ("outliers", frames(2, &mut |n, _| if n > 3.5 { 400.0 } else { n })),
        ("negative", frames(2, &mut |n, _| -n.abs() - 1.0)),
        ("shrinking", frames(3, &mut |n, frame| n / (1 + frame) as f64)),
    ]
}

fn histogram(frames: &[Vec<f32>]) -> Histogram {
    let mut histogram = Histogram::new(BINS);
    frames.iter().for_each(|values| histogram.add("x", values).unwrap());
    histogram
}

fn sorted(frames: &[Vec<f32>]) -> Vec<f64> {
    let mut all: Vec<f64> = frames.iter().flatten().map(|v| f64::from(*v)).collect();
    all.sort_by(f64::total_cmp);
    all
}

#[test]
fn minmax_is_the_smallest_and_the_largest_value() {
    for (name, frames) in tensors() {
        let all = sorted(&frames);
        let expected = Range { min: all[0], max: all[all.len() - 1] };
        assert_eq!(Method::Minmax.range(&histogram(&frames)), Some(expected), "{name}");
    }
    assert_eq!(Method::Minmax.range(&Histogram::new(BINS)), None);
}

/// A histogram knows a value to the width of its bin.
#[test]
fn percentiles_are_those_of_the_sorted_values_to_a_bin() {
    for (name, frames) in tensors() {
        let (all, histogram) = (sorted(&frames), histogram(&frames));
        let cut = (100.0 - PERCENTILE) / 200.0;
        let at = |share: f64| all[((all.len() as f64 * share).ceil() as usize).clamp(1, all.len()) - 1];
        let found = Method::Percentile.range(&histogram).unwrap();
        let bin = histogram.width() * 1.0001;
        assert!((found.min - at(cut)).abs() <= bin, "{name}: {found:?}, {} within {bin}", at(cut));
        assert!((found.max - at(1.0 - cut)).abs() <= bin, "{name}: {found:?}, {} within {bin}", at(1.0 - cut));
    }
}

/// Written from the definition: every symmetric window of whole bins, counts of the single values, quotients of whole numbers.
#[test]
fn entropy_finds_the_window_that_a_search_over_the_values_finds() {
    for (name, frames) in tensors() {
        let (all, histogram) = (sorted(&frames), histogram(&frames));
        let bins = histogram.counts().len();
        let (width, limit) = (histogram.width(), histogram.width() * bins as f64 / 2.0);
        // Counted anew, value by value.
        let mut counts = vec![0i64; bins];
        for value in &all {
            counts[(((value + limit) / width) as usize).min(bins - 1)] += 1;
        }
        let mut best = (f64::INFINITY, (0.0, 0.0));
        for reach in QUANTIZED_BINS / 2..=bins / 2 {
            let (start, end) = (bins / 2 - reach, (bins / 2 + reach + 1).min(bins));
            let window = &counts[start..end];
            let mut p: Vec<i64> = window.to_vec();
            p[0] += counts[..start].iter().sum::<i64>();
            *p.last_mut().unwrap() += counts[end..].iter().sum::<i64>();
            let per = window.len() / QUANTIZED_BINS;
            let mut q = vec![0i64; window.len()];
            for k in 0..QUANTIZED_BINS {
                let members: Vec<usize> = (k * per..(k + 1) * per).collect();
                let mut mass: i64 = members.iter().map(|i| window[*i]).sum();
                if k == QUANTIZED_BINS - 1 {
                    mass += window[(k + 1) * per..].iter().sum::<i64>();
                }
                let filled = members.iter().filter(|i| p[**i] != 0).count() as i64;
                if filled > 0 {
                    members.iter().for_each(|i| q[*i] = mass / filled);
                }
            }
            let smooth = |counts: &[i64]| -> Option<Vec<f64>> {
                let empty = counts.iter().filter(|c| **c == 0).count() as f64;
                let taken = 1e-4 * empty / (counts.len() as f64 - empty);
                taken
                    .is_finite()
                    .then(|| counts.iter().map(|c| if *c == 0 { 1e-4 } else { *c as f64 - taken }).collect())
            };
            let (Some(p), Some(q)) = (smooth(&p), smooth(&q)) else { continue };
            let (sum_p, sum_q) = (p.iter().sum::<f64>(), q.iter().sum::<f64>());
            let divergence: f64 =
                p.iter().zip(&q).map(|(p, q)| p / sum_p * ((p / sum_p).ln() - (q / sum_q).ln())).sum();
            if divergence < best.0 {
                best = (divergence, (start as f64 * width - limit, end as f64 * width - limit));
            }
        }
        let found = Method::Entropy.range(&histogram).unwrap();
        let expected = (best.1.0.max(all[0]), best.1.1.min(all[all.len() - 1]));
        // Sums in another order: of two windows that are as good either may win, but there are none such here.
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * limit;
        assert!(near(found.min, expected.0) && near(found.max, expected.1), "{name}: {found:?}, expected {expected:?}");
    }
}

/// The squared error of the chosen range, over the single values, is that of the best part of the extremes, but for what the bins'
/// centres stand for: measured 1.0 hundredths, two are allowed.
#[test]
fn mse_is_as_good_as_the_best_part_of_the_extremes() {
    for (name, frames) in tensors() {
        let all = sorted(&frames);
        let (min, max) = (all[0], all[all.len() - 1]);
        let error = |min: f64, max: f64| -> f64 {
            let (low, high) = (min.min(0.0), max.max(0.0));
            let step = (high - low) / 255.0;
            all.iter().map(|x| (((x.clamp(low, high) - low) / step).round() * step + low - x).powi(2)).sum()
        };
        let best = (20..=100).map(|p| error(min * f64::from(p) / 100.0, max * f64::from(p) / 100.0));
        let best = best.fold(f64::INFINITY, f64::min);
        let found = Method::Mse.range(&histogram(&frames)).unwrap();
        let reached = error(found.min, found.max);
        assert!(reached <= best * 1.02, "{name}: {found:?} has {reached}, the best {best}");
        assert!(reached <= error(min, max) * 1.02, "{name}");
    }
}
