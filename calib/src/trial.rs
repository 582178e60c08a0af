//! How far a rig can be trusted: known maps put between aligned pairs, and found again.

use caf_geometry::Size;
use caf_image::Plane;
use caf_image::resample::{Axis, render};
use caf_rig::{Homography, Mat3, PlaneRig};
use rand::seq::SliceRandom as _;
use rand::{Rng, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::error::CalibError;
use crate::find::{Settings, find, quantile};
use crate::map::{Map, compose, corner_offsets};
use crate::plane::{Seen, blurred};
use crate::recording::Shot;

/// Largest shift of a drawn map to both sides, pixels.
const SHIFT_PX: f64 = 24.0;
/// Largest change of its scale.
const SCALE: f64 = 0.05;
/// Largest rotation, degrees.
const TURN_DEG: f64 = 3.0;
/// Largest terms of perspective, 1 / pixel: what a camera turned sideways by the largest shift has, with a focal length of an image's
/// width of 500.
const PERSPECTIVE: f64 = 1e-4;

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub struct TrialSettings {
    /// Rigs.
    pub rigs: usize,
    /// Pairs of each.
    pub pairs: usize,
    /// All images are resized to this.
    pub size: Size,
    /// Of the draw.
    pub seed: u64,
    /// No map at all: measures how far the pairs themselves are from aligned.
    pub identity: bool,
    /// What [`remaining`] finds in other pairs.
    pub remaining: Option<Homography>,
}

/// One rig.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Trial {
    /// Pairs, by name.
    pub pairs: Vec<String>,
    /// Mean distance of the four corners from where they were put, infrared pixels; none where no rig was found.
    pub corner_error_px: Option<f64>,
    /// The same from where the drawn map and what remains between other aligned pairs put them together.
    pub error_to_others_px: Option<f64>,
    /// From where the corners were put to where the rig puts them, infrared pixels: left and right top, left and right bottom.
    pub corner_offsets_px: Option<[[f64; 2]; 4]>,
    /// Share of these eight numbers that lie within two of the standard deviations which the rig states for them.
    pub within_two_sigma: Option<f64>,
    /// The same of the offsets from the corners of `error_to_others_px`.
    pub others_within_two_sigma: Option<f64>,
    /// What the rig says itself: the mean of its corners' standard deviations.
    pub stated_px: Option<f64>,
    /// Why none was found.
    pub refused: Option<String>,
    /// Time to find it.
    pub seconds: f64,
}

/// Results of several rigs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Summary {
    /// Rigs drawn.
    pub rigs: usize,
    /// Rigs for which none was found.
    pub refused: usize,
    /// Median of the corner error of the others, infrared pixels.
    pub median_px: f64,
    /// 95th percentile.
    pub p95_px: f64,
    /// Median of the distance to what other pairs say, where it was measured.
    pub to_others_median_px: Option<f64>,
    /// 95th percentile of it.
    pub to_others_p95_px: Option<f64>,
    /// Share of the offsets of corners within two of their stated standard deviations; 95 % where these are right.
    pub within_two_sigma: f64,
    /// The same of the offsets to what other pairs say.
    pub others_within_two_sigma: Option<f64>,
    /// Median of what the rigs state themselves.
    pub stated_median_px: f64,
    /// Mean time for one.
    pub seconds: f64,
}

/// One rig of known map: draws the map and the pairs, and looks for it.
///
/// # Errors
/// Those of images of an impossible size; a rig that is not found is a result.
pub fn trial(aligned: &[Shot], settings: &TrialSettings, number: u64) -> Result<Trial, CalibError> {
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    rng.set_stream(number);
    let size = settings.size;
    let truth = if settings.identity { Homography(Mat3::IDENTITY) } else { drawn(&mut rng, size) };
    let mut order: Vec<&Shot> = aligned.iter().collect();
    order.shuffle(&mut rng);
    let away = Map::new(truth.inverse()?, size);
    let mut shots = Vec::new();
    for shot in order.into_iter().take(settings.pairs) {
        let vi = resized(&shot.vi.gray, size)?;
        let whole = Seen { seen: Plane::like(&vi, 1.0), gray: vi };
        let vi = whole.warped(&away, size, 0).map_or(whole.gray, |seen| seen.gray);
        shots.push(Shot::new(&shot.name, resized(&shot.ir.gray, size)?, vi));
    }
    let begun = std::time::Instant::now();
    let found = find(&shots, &Settings { scale: None, least_pairs: settings.pairs.min(4) }, "");
    let seconds = begun.elapsed().as_secs_f64();
    let pairs = shots.iter().map(|shot| shot.name.clone()).collect();
    let mut out = Trial { pairs, seconds, ..Trial::default() };
    match found.map(|found| found.rig) {
        Ok(PlaneRig { vis_from_ir, measured: Some(measured), .. }) => {
            let mean = |values: &[f64; 4]| values.iter().sum::<f64>() / 4.0;
            let judged = |truth: &Homography| {
                let offsets = corner_offsets(truth, &vis_from_ir, size);
                let error = mean(&offsets.map(|[x, y]| x.hypot(y)));
                (Some(error), Some(offsets), Some(within_two_sigma(&offsets, &measured.corner_covariance_px2)))
            };
            (out.corner_error_px, out.corner_offsets_px, out.within_two_sigma) = judged(&truth);
            if let Some(remaining) = &settings.remaining {
                (out.error_to_others_px, _, out.others_within_two_sigma) = judged(&compose(&truth, remaining));
            }
            out.stated_px = Some(mean(&measured.corner_deviation_px));
        }
        Ok(_) => {}
        Err(error) => out.refused = Some(error.to_string()),
    }
    Ok(out)
}

/// The homography that explains aligned pairs best: what their publisher left between them. All images are resized to `size`.
///
/// # Errors
/// Those of [`find()`].
pub fn remaining(aligned: &[Shot], size: Size) -> Result<Homography, CalibError> {
    let resized = |shot: &Shot| Ok(Shot::new(&shot.name, resized(&shot.ir.gray, size)?, resized(&shot.vi.gray, size)?));
    let shots = aligned.iter().map(resized).collect::<Result<Vec<Shot>, CalibError>>()?;
    Ok(find(&shots, &Settings { scale: None, least_pairs: 4 }, "")?.rig.vis_from_ir)
}

fn within_two_sigma(offsets: &[[f64; 2]; 4], covariance: &[[f64; 8]; 8]) -> f64 {
    let variances = covariance.iter().enumerate().filter_map(|(i, row)| row.get(i));
    let is_within = |(offset, variance): &(&f64, &f64)| offset.abs() <= 2.0 * variance.sqrt();
    offsets.as_flattened().iter().zip(variances).filter(is_within).count() as f64 / 8.0
}

/// Sums trials up.
#[must_use]
pub fn summary(trials: &[Trial]) -> Summary {
    let sorted = |of: fn(&Trial) -> Option<f64>| {
        let mut values: Vec<f64> = trials.iter().filter_map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let given = |value: f64| (!value.is_nan()).then_some(value);
    let (errors, to_others) = (sorted(|t| t.corner_error_px), sorted(|t| t.error_to_others_px));
    Summary {
        rigs: trials.len(),
        refused: trials.len() - errors.len(),
        median_px: quantile(&errors, 0.5),
        p95_px: quantile(&errors, 0.95),
        to_others_median_px: given(quantile(&to_others, 0.5)),
        to_others_p95_px: given(quantile(&to_others, 0.95)),
        within_two_sigma: mean(&sorted(|t| t.within_two_sigma)),
        others_within_two_sigma: given(mean(&sorted(|t| t.others_within_two_sigma))),
        stated_median_px: quantile(&sorted(|t| t.stated_px), 0.5),
        seconds: trials.iter().map(|t| t.seconds).sum::<f64>() / trials.len().max(1) as f64,
    }
}

/// A map about the middle of the image.
fn drawn(rng: &mut impl Rng, size: Size) -> Homography {
    let mut within = |most: f64| rng.random_range(-most..=most);
    let [cx, cy] = size.wh().map(|v| v as f64 / 2.0);
    let (tx, ty, scale) = (within(SHIFT_PX), within(SHIFT_PX), 1.0 + within(SCALE));
    let (sin, cos) = within(TURN_DEG).to_radians().sin_cos();
    let (px, py) = (within(PERSPECTIVE), within(PERSPECTIVE));
    let about = Mat3([[scale * cos, -scale * sin, tx], [scale * sin, scale * cos, ty], [px, py, 1.0]]);
    let back = Mat3([[1.0, 0.0, cx], [0.0, 1.0, cy], [0.0, 0.0, 1.0]]);
    let to = Mat3([[1.0, 0.0, -cx], [0.0, 1.0, -cy], [0.0, 0.0, 1.0]]);
    Homography(back.times_mat(&about).times_mat(&to))
}

/// Bilinear, half-pixel centres; what shrinks is blurred before as the pixels of the result would have, whose Gaussian is as wide as they
/// are (σ = half of them, less what the pixels have already).
fn resized(plane: &Plane, size: Size) -> Result<Plane, CalibError> {
    let [across, down] = [0, 1].map(|axis| size.wh()[axis] as f64 / plane.size().wh()[axis] as f64);
    let shrinking = across.min(down).recip();
    let smooth = (shrinking > 1.0).then(|| blurred(plane, 0.5 * (shrinking * shrinking - 1.0).sqrt() as f32));
    let from = smooth.as_ref().unwrap_or(plane);
    let mut out = Plane::filled(size, 0.0)?;
    let axes = [Axis::new(across, 0.0, plane.width()), Axis::new(down, 0.0, plane.height())];
    render(from, &axes[0], &axes[1], 0.0, &mut out);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resizing_keeps_a_ramp() {
        let ramp = Plane::new(Size::new(8, 4), (0..32).map(|i| (i % 8) as f32).collect()).unwrap();
        let twice = resized(&ramp, Size::new(16, 4)).unwrap();
        assert_eq!(twice.data()[..5], [0.0, 0.25, 0.75, 1.25, 1.75]);
        // Stripes finer than the pixels of the result become gray, not wider stripes.
        let stripes = Plane::new(Size::new(90, 60), (0..90 * 60).map(|i| (i % 2) as f32).collect()).unwrap();
        let small = resized(&stripes, Size::new(40, 30)).unwrap();
        assert!(small.data()[2..38].iter().all(|v| (v - 0.5).abs() < 0.05), "{:?}", &small.data()[..40]);
    }

    #[test]
    fn drawn_maps_follow_the_seed_and_their_limits() {
        let size = Size::new(512, 320);
        let of = |stream| {
            let mut rng = ChaCha8Rng::seed_from_u64(7);
            rng.set_stream(stream);
            drawn(&mut rng, size)
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        for stream in 0..50 {
            let [x, y] = of(stream).map([256.0, 160.0]).unwrap();
            assert!((x - 256.0).abs() <= SHIFT_PX * 1.06 && (y - 160.0).abs() <= SHIFT_PX * 1.06, "{x} {y}");
        }
    }

    #[test]
    fn refused_rigs_are_counted_apart() {
        let one = |error: Option<f64>| Trial {
            corner_error_px: error,
            stated_px: error,
            refused: error.is_none().then(String::new),
            seconds: 2.0,
            ..Trial::default()
        };
        let all = summary(&[one(Some(3.0)), one(None), one(Some(1.0)), one(Some(2.0))]);
        assert_eq!((all.rigs, all.refused, all.median_px, all.p95_px, all.seconds), (4, 1, 2.0, 3.0, 2.0));
    }
}
