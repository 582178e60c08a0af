//! The constant latency between two cameras, from what moves before both.
//!
//! How alike a frame of the one and a frame of the other camera are, in what moves, depends on the time between them and is greatest at
//! the latency. All pairs of frames are compared, and the curve over the time between them is smoothed by a Gaussian a little narrower
//! than an interval, so that neither frame rates nor phases nor frames that are missing move its peak.

use rayon::prelude::*;
use serde::Serialize;

use crate::error::CalibError;
use crate::motion::Motion;
use crate::surface;

/// Width of the Gaussian, in intervals of the slower camera: what is left of the sampling at this width is 10⁻⁵ (e^(−2π²σ²)).
const SMOOTH_INTERVALS: f64 = 0.75;
/// Points of the curve in one width of the Gaussian.
const STEPS: f64 = 4.0;
/// The time that both saw is cut into so many parts, of which each is left out once.
const PARTS: usize = 12;
/// Fewer frames of a camera than these, or less time seen by both beyond the latencies looked for, are too short.
const LEAST_FRAMES: usize = 40;
const LEAST_S: f64 = 3.0;
/// Change between frames some apart must be so many times that between neighbours.
const LEAST_RATIO: f64 = 1.1;
/// A peak must be so many times as high as the curve away from it is on the root mean square: noise dilutes the correlation, but of both
/// alike.
const LEAST_CONTRAST: f64 = 4.0;
/// The next best latency may reach this share of the peak.
const MOST_SECOND: f64 = 0.85;
/// A latency whose standard deviation is larger is not told, ms.
const MOST_DEVIATION_MS: f64 = 5.0;

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MeasuredLatency {
    /// How much later the infrared timestamps are than the visible ones of the same moment, ms; negative where the visible ones are later.
    pub infrared_late_ms: f64,
    /// Its standard deviation, from leaving out parts of the recording and of the images, whichever is larger, ms.
    pub deviation_ms: f64,
    /// Correlation of what moves, at this latency.
    pub correlation: f64,
    /// How many times as high that is as correlations at other latencies are on the root mean square.
    pub contrast: f64,
    /// That of the best other latency.
    pub next_correlation: f64,
    /// How much the latencies of the two halves of the recording differ, ms: clocks that drift against one another. None where a half has
    /// too little that moves.
    pub halves_differ_ms: Option<f64>,
    /// Frames of the infrared and of the visible camera that were used.
    pub frames: [usize; 2],
}

/// For a part of the recording and a region of the image, by the time between frames: the sums of the product, the square of the infrared
/// and the square of the visible numbers.
#[derive(Clone, Debug)]
struct Sums {
    part: usize,
    region: usize,
    of_lag: Vec<[f64; 3]>,
}

/// Measures the latency, of at most `most_ms` to both sides.
///
/// # Errors
/// [`CalibError::ShortClip`], [`CalibError::Still`] and [`CalibError::NoLatency`], each with what to record instead.
pub fn latency(infrared: &Motion, visible: &Motion, most_ms: f64) -> Result<MeasuredLatency, CalibError> {
    let motions = [infrared, visible];
    let most_s = most_ms * 1e-3;
    check(&motions, most_s)?;
    let smooth_s = SMOOTH_INTERVALS * infrared.interval_s.max(visible.interval_s);
    let step_s = smooth_s / STEPS;
    let reach = (most_s / step_s).ceil() as i64 + 1;
    let parts = sums(infrared, visible, step_s, reach);
    let ms = |lag: f64| -lag * step_s * 1e3;
    let unclear = |reason: String| CalibError::NoLatency { reason };
    let all = correlation(&parts, reach, |_| true);
    let (lag, height) = peak(&all, reach).ok_or_else(|| {
        unclear(format!(
            "expected a latency of at most {most_ms:.0} ms, found none that fits better than those beside it"
        ))
    })?;
    let contrast = height / away(&all, lag + reach as f64);
    if contrast.is_nan() || contrast < LEAST_CONTRAST {
        let reason = format!(
            "expected a latency at which what moves fits {LEAST_CONTRAST} times as well as at others, found {contrast:.1} times at {:.0} ms",
            ms(lag)
        );
        return Err(unclear(reason));
    }
    let next = second(&all, lag + reach as f64);
    if next > MOST_SECOND * height {
        let reason = format!(
            "expected one latency that fits best, found a correlation of {height:.2} at {:.0} ms and of {next:.2} elsewhere, as of motion \
             that repeats itself",
            ms(lag)
        );
        return Err(unclear(reason));
    }
    let of = |keep: &dyn Fn(&Sums) -> bool| {
        peak(&correlation(&parts, reach, keep), reach).map_or(f64::NAN, |(lag, _)| ms(lag))
    };
    let regions = infrared.ends.len();
    let over_time = jackknife((0..PARTS).map(|out| of(&|sums| sums.part != out)).collect());
    let over_image = jackknife((0..regions).map(|out| of(&|sums| sums.region != out)).collect());
    let deviation_ms = over_time.max(over_image);
    if over_time.is_nan() || over_image.is_nan() || deviation_ms > MOST_DEVIATION_MS {
        let reason = format!(
            "expected parts of the recording and of the images to agree to a standard deviation of {MOST_DEVIATION_MS:.0} ms, found {deviation_ms:.1} ms \
             around {:.0} ms",
            ms(lag)
        );
        return Err(unclear(reason));
    }
    let half = |second: bool| of(&|sums| (2 * sums.part >= PARTS) == second);
    Ok(MeasuredLatency {
        infrared_late_ms: ms(lag),
        deviation_ms,
        correlation: height,
        contrast,
        next_correlation: next,
        halves_differ_ms: Some(half(true) - half(false)).filter(|ms| ms.is_finite()),
        frames: motions.map(|motion| motion.frames.len()),
    })
}

fn check(motions: &[&Motion; 2], most_s: f64) -> Result<(), CalibError> {
    for (camera, motion) in ["infrared", "visible"].into_iter().zip(motions) {
        if motion.frames.len() < LEAST_FRAMES {
            let reason = format!(
                "expected at least {LEAST_FRAMES} frames that differ of the {camera} camera, found {}",
                motion.frames.len()
            );
            return Err(if !motion.frames.is_empty() {
                CalibError::ShortClip { reason }
            } else {
                CalibError::Still { camera }
            });
        }
        if motion.ratio < LEAST_RATIO {
            return Err(CalibError::Still { camera });
        }
    }
    let first = motions.map(|motion| motion.times_s.first().copied().unwrap_or(0.0));
    let last = motions.map(|motion| motion.times_s.last().copied().unwrap_or(0.0));
    let shared_s = last[0].min(last[1]) - first[0].max(first[1]);
    if shared_s < most_s + LEAST_S {
        let reason = format!(
            "expected at least {:.0} s seen by both cameras, found {:.1} s",
            most_s + LEAST_S,
            shared_s.max(0.0)
        );
        return Err(CalibError::ShortClip { reason });
    }
    Ok(())
}

fn sums(ir: &Motion, vi: &Motion, step_s: f64, reach: i64) -> Vec<Sums> {
    let squares = |frame: &Vec<f32>| -> Vec<f64> { regions(frame, &ir.ends).map(|r| dot(r, r)).collect() };
    let vi_squares: Vec<Vec<f64>> = vi.frames.par_iter().map(squares).collect();
    let widest_s = (reach as f64 + 4.0 * STEPS) * step_s;
    let of_part = |part: usize| {
        let empty = vec![[0.0; 3]; (2 * reach + 1) as usize];
        let mut all: Vec<Sums> =
            (0..ir.ends.len()).map(|region| Sums { part, region, of_lag: empty.clone() }).collect();
        let [from, to] = [part, part + 1].map(|part| ir.frames.len() * part / PARTS);
        for (t, frame) in ir.times_s.iter().zip(&ir.frames).take(to).skip(from) {
            let own = squares(frame);
            let first = vi.times_s.partition_point(|other| *other < t - widest_s);
            let others = vi.times_s.iter().zip(&vi.frames).zip(&vi_squares).skip(first);
            for ((other, other_frame), theirs) in others.take_while(|((other, _), _)| **other <= t + widest_s) {
                // In points of the curve, whose first is -reach.
                let at = (other - t) / step_s + reach as f64;
                let near = (at - 4.0 * STEPS).ceil().max(0.0) as usize;
                let beyond = ((at + 4.0 * STEPS).floor() + 1.0).max(0.0) as usize;
                let pairs = regions(frame, &ir.ends).zip(regions(other_frame, &ir.ends));
                for ((sums, (a, b)), (a2, b2)) in all.iter_mut().zip(pairs).zip(own.iter().zip(theirs)) {
                    let values = [dot(a, b), *a2, *b2];
                    for (i, sum) in sums.of_lag.iter_mut().enumerate().take(beyond).skip(near) {
                        let weight = (-0.5 * ((i as f64 - at) / STEPS).powi(2)).exp();
                        sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
                    }
                }
            }
        }
        all
    };
    (0..PARTS).into_par_iter().flat_map_iter(of_part).collect()
}

/// The numbers of each region.
fn regions<'a>(frame: &'a [f32], ends: &'a [usize]) -> impl Iterator<Item = &'a [f32]> {
    let begins = std::iter::once(0).chain(ends.iter().copied());
    begins.zip(ends).map(|(begin, end)| frame.get(begin..*end).unwrap_or_default())
}

/// The standard deviation of a result, from results that each leave one sample out; NaN where one of them is.
fn jackknife(leaving: Vec<f64>) -> f64 {
    let count = leaving.len() as f64;
    let mean = leaving.iter().sum::<f64>() / count;
    (leaving.iter().map(|v| (v - mean).powi(2)).sum::<f64>() * (count - 1.0) / count).sqrt()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    f64::from(surface::dot(a, b))
}

fn correlation(all: &[Sums], reach: i64, keep: impl Fn(&Sums) -> bool) -> Vec<f64> {
    let mut total = vec![[0.0; 3]; (2 * reach + 1) as usize];
    for sums in all.iter().filter(|sums| keep(sums)) {
        for (sum, more) in total.iter_mut().zip(&sums.of_lag) {
            sum.iter_mut().zip(more).for_each(|(s, m)| *s += m);
        }
    }
    total.iter().map(|[product, a, b]| product / (a * b).sqrt().max(1e-30)).collect()
}

/// The highest point between the ends: its lag and its height.
fn peak(curve: &[f64], reach: i64) -> Option<(f64, f64)> {
    let (at, _) = curve.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
    let [before, here, after] = curve.get(at.checked_sub(1)?..)?.first_chunk::<3>().copied()?;
    let bend = before - 2.0 * here + after;
    if bend >= 0.0 {
        return None;
    }
    let off = 0.5 * (before - after) / bend;
    Some(((at as i64 - reach) as f64 + off, here + 0.25 * (after - before) * off))
}

/// The root mean square of the curve away from the peak at `at`.
fn away(curve: &[f64], at: f64) -> f64 {
    let far = curve.iter().enumerate().filter(|(i, _)| (*i as f64 - at).abs() > 4.0 * STEPS).map(|(_, v)| v * v);
    let (sum, count) = far.fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0));
    (sum / count).sqrt()
}

/// The highest local maximum apart from the peak at `at`.
fn second(curve: &[f64], at: f64) -> f64 {
    let is_top = |i: usize, three: &[f64]| match three {
        [a, b, c] => b >= a && b >= c && (i as f64 + 1.0 - at).abs() > 2.0 * STEPS,
        _ => false,
    };
    let tops = curve.windows(3).enumerate().filter(|(i, three)| is_top(*i, three));
    tops.filter_map(|(_, three)| three.get(1)).copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Twenty numbers with bursts at random times, seen at `fps` from `phase_s` on; `late_s` is added to the timestamps.
    fn seen(fps: f64, phase_s: f64, late_s: f64, noise: f32, dropped: f64, seed: u64) -> Motion {
        let mut events = ChaCha8Rng::seed_from_u64(7);
        let bursts: Vec<Vec<f64>> =
            (0..20).map(|_| (0..12).map(|_| events.random_range(0.0..20.0)).collect()).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let times: Vec<f64> = (0..(19.0 * fps) as usize)
            .map(|i| phase_s + i as f64 / fps)
            .filter(|_| !rng.random_bool(dropped))
            .collect();
        let value =
            |t: &f64, bursts: &Vec<f64>| bursts.iter().map(|b| (-0.5 * ((t - b) / 0.06f64).powi(2)).exp()).sum::<f64>();
        let mut frame =
            |t: &f64| bursts.iter().map(|b| value(t, b) as f32 - 0.09 + rng.random_range(-noise..=noise)).collect();
        Motion {
            frames: times.iter().map(&mut frame).collect(),
            times_s: times.iter().map(|t| t + late_s).collect(),
            interval_s: 1.0 / fps,
            ends: vec![5, 10, 15, 20],
            ratio: 2.0,
        }
    }

    #[test]
    fn known_latencies_are_found_at_all_rates_with_noise_and_dropped_frames() {
        for (ir_fps, vi_fps, late_ms, dropped) in [
            (25.0, 25.0, 0.0, 0.0),
            (25.0, 25.0, 13.0, 0.0),
            (9.0, 30.0, 87.0, 0.0),
            (30.0, 60.0, -241.0, 0.1),
            (50.0, 25.0, 400.0, 0.2),
        ] {
            let ir = seen(ir_fps, 0.011, late_ms * 1e-3, 0.15, dropped, 1);
            let vi = seen(vi_fps, 0.0, 0.0, 0.15, dropped, 2);
            let found = latency(&ir, &vi, 1000.0).unwrap();
            println!("{ir_fps} {vi_fps} {late_ms}: {found:?}");
            let error_ms = (found.infrared_late_ms - late_ms).abs();
            assert!(error_ms < 2.0 && error_ms < 4.0 * found.deviation_ms.max(0.1), "{late_ms}: {found:?}");
            assert!(
                found.halves_differ_ms.unwrap().abs() < 5.0 && found.next_correlation < found.correlation,
                "{found:?}"
            );
        }
    }

    #[test]
    fn recordings_that_say_nothing_are_refused_with_what_to_record() {
        let vi = seen(25.0, 0.0, 0.0, 0.1, 0.0, 1);
        let still = Motion { ratio: 1.01, ..vi.clone() };
        let error = latency(&vi, &still, 1000.0).unwrap_err();
        assert!(
            matches!(error, CalibError::Still { camera: "visible" }) && error.to_string().contains("record"),
            "{error}"
        );
        let mut other = vi.clone();
        // The same events backwards.
        other.frames.reverse();
        let error = latency(&vi, &other, 1000.0).unwrap_err();
        assert!(matches!(error, CalibError::NoLatency { .. }), "{error}");
        let mut short = vi.clone();
        short.times_s.truncate(80);
        short.frames.truncate(80);
        assert!(matches!(latency(&vi, &short, 1000.0), Err(CalibError::ShortClip { .. })));
        // A lamp that blinks twice a second fits at every half second.
        let mut lamp = vi.clone();
        let blink = |t: &f64| (t * 4.0 * std::f64::consts::PI).sin().max(0.0) as f32;
        lamp.frames = lamp.times_s.iter().map(|t| vec![blink(t) - 0.3; 20]).collect();
        let error = latency(&lamp, &lamp.clone(), 1000.0).unwrap_err();
        assert!(matches!(error, CalibError::NoLatency { .. }), "{error}");
    }
}
