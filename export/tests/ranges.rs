//! Ranges of tensors against searches over the single values in double precision, which know nothing of the code.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop at the line that fails")]

use caf_export::precision::{Activations, BINS, Histogram, Method, PERCENTILE, QUANTIZED_BINS, Range};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::process::Command;

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
        assert_eq!(Method::Minmax.range(&histogram(&frames), Activations::U8), Some(expected), "{name}");
    }
    assert_eq!(Method::Minmax.range(&Histogram::new(BINS), Activations::U8), None);
}

/// A histogram knows a value to the width of its bin.
#[test]
fn percentiles_are_those_of_the_sorted_values_to_a_bin() {
    for (name, frames) in tensors() {
        let (all, histogram) = (sorted(&frames), histogram(&frames));
        let cut = (100.0 - PERCENTILE) / 200.0;
        let at = |share: f64| all[((all.len() as f64 * share).ceil() as usize).clamp(1, all.len()) - 1];
        let found = Method::Percentile.range(&histogram, Activations::U8).unwrap();
        let bin = histogram.width() * 1.0001;
        assert!((found.min - at(cut)).abs() <= bin, "{name}: {found:?}, {} within {bin}", at(cut));
        assert!((found.max - at(1.0 - cut)).abs() <= bin, "{name}: {found:?}, {} within {bin}", at(1.0 - cut));
    }
}

/// Every symmetric window of whole bins, cut to the extremes, with its divergence. Written from the definition: counts of the single
/// values, quotients of whole numbers.
fn windows(frames: &[Vec<f32>], histogram: &Histogram) -> Vec<(f64, Range)> {
    let all = sorted(frames);
    let bins = histogram.counts().len();
    let (width, limit) = (histogram.width(), histogram.width() * bins as f64 / 2.0);
    // Counted anew, value by value.
    let mut counts = vec![0i64; bins];
    for value in &all {
        counts[(((value + limit) / width) as usize).min(bins - 1)] += 1;
    }
    let mut found = vec![];
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
            taken.is_finite().then(|| counts.iter().map(|c| if *c == 0 { 1e-4 } else { *c as f64 - taken }).collect())
        };
        let (Some(p), Some(q)) = (smooth(&p), smooth(&q)) else { continue };
        let (sum_p, sum_q) = (p.iter().sum::<f64>(), q.iter().sum::<f64>());
        let divergence: f64 = p.iter().zip(&q).map(|(p, q)| p / sum_p * ((p / sum_p).ln() - (q / sum_q).ln())).sum();
        let (min, max) = (start as f64 * width - limit, end as f64 * width - limit);
        found.push((divergence, Range { min: min.max(all[0]), max: max.min(all[all.len() - 1]) }));
    }
    found
}

#[test]
fn entropy_finds_the_window_that_a_search_over_the_values_finds() {
    for (name, frames) in tensors() {
        let histogram = histogram(&frames);
        let (_, expected) = windows(&frames, &histogram).into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
        let found = Method::Entropy.range(&histogram, Activations::U8).unwrap();
        // Sums in another order: of two windows that are as good either may win, but there are none such here.
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-3 * histogram.width();
        assert!(
            near(found.min, expected.min) && near(found.max, expected.max),
            "{name}: {found:?}, expected {expected:?}"
        );
    }
}

/// The squared error of the chosen range, over the single values stored as integers, is that of the best part of the extremes, but for
/// what the bins' centres stand for: measured 1.0 hundredths, two are allowed.
#[test]
fn mse_is_as_good_as_the_best_part_of_the_extremes() {
    let mut furthest: f64 = 1.0;
    for (name, frames) in tensors() {
        let all = sorted(&frames);
        let (min, max) = (all[0], all[all.len() - 1]);
        for element in [Activations::U8, Activations::S8] {
            let error = |min: f64, max: f64| -> f64 {
                let (low, high) = (min.min(0.0), max.max(0.0));
                let (step, zero, least, most) = match element {
                    Activations::U8 => ((high - low) / 255.0, (-low * 255.0 / (high - low)).round(), 0.0, 255.0),
                    Activations::S8 => (high.max(-low) / 127.0, 0.0, -128.0, 127.0),
                };
                let stored = |x: f64| (((x / step).round() + zero).clamp(least, most) - zero) * step;
                all.iter().map(|x| (stored(*x) - x).powi(2)).sum()
            };
            let best = (20..=100).map(|p| error(min * f64::from(p) / 100.0, max * f64::from(p) / 100.0));
            let best = best.fold(f64::INFINITY, f64::min);
            let found = Method::Mse.range(&histogram(&frames), element).unwrap();
            let reached = error(found.min, found.max);
            furthest = furthest.max(reached / best);
            assert!(reached <= best * 1.02, "{name} {element:?}: {found:?} has {reached}, the best {best}");
            assert!(reached <= error(min, max) * 1.02, "{name} {element:?}");
        }
    }
    println!("at most {furthest:.4} of the best error");
}

/// Behind a ReLU signed integers have steps twice as large as unsigned ones, so that more of the tail is worth cutting off.
#[test]
fn mse_cuts_more_off_where_the_steps_are_larger() {
    let (_, relu) = tensors().swap_remove(0);
    let [unsigned, signed] =
        [Activations::U8, Activations::S8].map(|element| Method::Mse.range(&histogram(&relu), element).unwrap().max);
    assert!(signed < unsigned, "{signed} and {unsigned}");
}

/// The same frames through the calibrator of `onnxruntime.quantization`, where `PYTHON` (or `python3`) has that package.
///
/// It keeps edges of bins in single precision, so that a value near one may be counted in the bin beside, and a range end a bin further. With
/// [`Method::Entropy`] another window may win by that, which must be nearly as good. Against onnxruntime 1.31.1: 0.00 bins, and of one
/// tensor of seven a window with 0.5 % more divergence.
#[test]
fn ranges_are_those_of_onnx_runtimes_own_tool() {
    let folder = tempfile::tempdir().unwrap();
    for (name, frames) in tensors() {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        for (number, values) in frames.iter().enumerate() {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            std::fs::write(folder.path().join(name).join(number.to_string()), bytes).unwrap();
        }
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/onnxruntime_ranges.py");
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let (bins, quantized, percentile) = (BINS.to_string(), QUANTIZED_BINS.to_string(), PERCENTILE.to_string());
    let output = Command::new(python).arg(script).arg(folder.path()).args([&bins, &quantized, &percentile]).output();
    let why = match &output {
        Ok(output) if output.status.code() == Some(3) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::new()
        }
        Err(error) => error.to_string(),
    };
    let (Ok(output), true) = (&output, why.is_empty()) else {
        return caf_golden::say(&format!("SKIP ranges_are_those_of_onnx_runtimes_own_tool: {}", why.trim()));
    };
    let expected: BTreeMap<String, BTreeMap<Method, [f64; 2]>> = serde_json::from_slice(&output.stdout).unwrap();
    let mut furthest: f64 = 0.0;
    for (name, frames) in tensors() {
        let histogram = histogram(&frames);
        assert_eq!(expected[name].len(), 3, "{name}");
        for (method, [min, max]) in &expected[name] {
            let found = method.range(&histogram, Activations::U8).unwrap();
            let away = |range: Range| f64::max((range.min - min).abs(), (range.max - max).abs()) / histogram.width();
            // Extremes are values, not edges.
            let most = if *method == Method::Minmax { 0.0 } else { 1.01 };
            if away(found) <= most {
                furthest = furthest.max(away(found));
                continue;
            }
            assert_eq!(
                *method,
                Method::Entropy,
                "{name}: {found:?}, expected {min} to {max}, {:.2} bins away",
                away(found)
            );
            let all = windows(&frames, &histogram);
            let best = all.iter().map(|(divergence, _)| *divergence).fold(f64::INFINITY, f64::min);
            let of_tool = all.iter().filter(|(_, range)| away(*range) <= most).map(|(divergence, _)| *divergence);
            let of_tool = of_tool.fold(f64::INFINITY, f64::min);
            caf_golden::say(&format!("{name}: divergence {of_tool:.3e} in place of {best:.3e}"));
            assert!(of_tool <= best * 1.01, "{name}: {found:?}, expected {min} to {max}: {of_tool} in place of {best}");
        }
    }
    caf_golden::say(&format!("ranges: at most {furthest:.2} bins from those of onnxruntime.quantization"));
}
