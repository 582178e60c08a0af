//! How far a rig can be trusted: known maps put between aligned pairs, and found again.

use caf_geometry::Size;
use caf_image::Plane;
use caf_rig::{Homography, Mat3};
use rand::seq::SliceRandom as _;
use rand::{Rng, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::error::CalibError;
use crate::find::{Settings, find, quantile};
use crate::map::{Map, corner_distances};
use crate::plane::Seen;
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
}

/// One rig.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// Pairs, by name.
    pub pairs: Vec<String>,
    /// Mean distance of the four corners from where they were put, infrared pixels; none where no rig was found.
    pub corner_error_px: Option<f64>,
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
    let mean = |values: &[f64; 4]| values.iter().sum::<f64>() / 4.0;
    let pairs = shots.iter().map(|shot| shot.name.clone()).collect();
    Ok(match found {
        Ok(found) => Trial {
            pairs,
            corner_error_px: Some(mean(&corner_distances(&truth, &found.rig.vis_from_ir, size))),
            stated_px: found.rig.measured.map(|m| mean(&m.corner_deviation_px)),
            refused: None,
            seconds,
        },
        Err(error) => {
            Trial { pairs, corner_error_px: None, stated_px: None, refused: Some(error.to_string()), seconds }
        }
    })
}

/// Sums trials up.
#[must_use]
pub fn summary(trials: &[Trial]) -> Summary {
    let sorted = |of: fn(&Trial) -> Option<f64>| {
        let mut values: Vec<f64> = trials.iter().filter_map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let errors = sorted(|t| t.corner_error_px);
    Summary {
        rigs: trials.len(),
        refused: trials.len() - errors.len(),
        median_px: quantile(&errors, 0.5),
        p95_px: quantile(&errors, 0.95),
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

/// Bilinear, half-pixel centres, clamped at the border.
fn resized(plane: &Plane, size: Size) -> Result<Plane, CalibError> {
    let mut out = Plane::filled(size, 0.0)?;
    let axis = |i: usize, from: usize, to: usize| {
        let at = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, from as f64 - 1.0);
        let first = at as usize;
        (first, (first + 1).min(from - 1), (at - first as f64) as f32)
    };
    let value = |x: usize, y: usize| plane.pixel(x, y).map_or(0.0, |[v]| v);
    for (y, row) in out.data_mut().chunks_exact_mut(size.width).enumerate() {
        let (top, bottom, ay) = axis(y, plane.height(), size.height);
        for (x, o) in row.iter_mut().enumerate() {
            let (left, right, ax) = axis(x, plane.width(), size.width);
            let mix = |y: usize| value(left, y) + (value(right, y) - value(left, y)) * ax;
            *o = mix(top) + (mix(bottom) - mix(top)) * ay;
        }
    }
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
            pairs: Vec::new(),
            corner_error_px: error,
            stated_px: error,
            refused: error.is_none().then(String::new),
            seconds: 2.0,
        };
        let all = summary(&[one(Some(3.0)), one(None), one(Some(1.0)), one(Some(2.0))]);
        assert_eq!((all.rigs, all.refused, all.median_px, all.p95_px, all.seconds), (4, 1, 2.0, 3.0, 2.0));
    }
}
