//! The rig of a recording, and whether it can be trusted.

use caf_geometry::Size;
use caf_rig::{Homography, Latency, Measured, PlaneRig};
use rayon::prelude::*;
use serde::Serialize;

use crate::error::CalibError;
use crate::halvings::Halvings;
use crate::map::{Map, corner_distances, corners, normalised};
use crate::recording::{Check, LEAST_SIDE_PX, Shot, Usable, usable};
use crate::solve::{CELL_PX, Part, Pyramid, covariance, fields, solve, surfaces};
use crate::surface::{Peak, Surfaces};

/// What maps are found by, as rig files say it.
pub const SIMILARITY_NAME: &str = "gradient orientation";

/// Infrared images are halved to at most this width, pixels: all usual infrared cameras as they are, and ten pairs in 20 seconds.
const MOST_WIDTH_PX: usize = 800;
/// Least side of the coarsest level, pixels.
const LEAST_COARSE_PX: usize = LEAST_SIDE_PX / 2;
/// Levels at most: the coarsest is a quarter as large.
const MOST_LEVELS: usize = 3;
/// The maps of two halves may differ in a corner by this share of the width: of ten and of four pairs of RoadScene they do by 0.6 to 1.2 %
/// (12 rigs), of images beside others than their own by 11 to 49 % (9). Twice the largest of the former keeps a hard scene.
const HALVES_SHARE: f64 = 0.025;
/// Half of the displacements that are left may be larger than this share of the width. Ten pairs of RoadScene leave 0.16 to 0.37 %, four
/// 0.22 to 0.83 %: two of six are refused.
const HELD_OUT_SHARE: f64 = 0.006;
/// A corner is not constrained where its standard deviation is above this share of the width: with ten pairs of RoadScene it is 0.3 % as a
/// rule, and of 32 corners one is above.
const LOOSE_SHARE: f64 = 0.008;
/// Reach and blocks of the displacements that are left, pixels: well above the 4.8 that are allowed at the largest width, and the cells of single pairs.
const LEFT_REACH_PX: usize = 8;
const LEFT_BLOCK_PX: usize = CELL_PX;
/// A block is believed where its peak stands so many standard deviations above its surface. Low on purpose: a block believed wrongly adds
/// a displacement anywhere in reach, and so many of these raise the median above its limit.
const LEAST_CONTRAST: f64 = 2.5;
/// Fewer pairs than these cannot be halved: a half of one pair is no more than that pair.
const FEW: usize = 4;
/// Share of the blocks that must be believed: of RoadScene 75 to 92 % are, and half of a picture may be sky or road.
const LEAST_BELIEVED: f64 = 0.25;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Visible pixels that an infrared pixel spans, to within 15 %; the ratio of the widths without it.
    pub scale: Option<f64>,
    /// Fewer usable pairs are an error.
    pub least_pairs: usize,
}

/// A rig and what speaks for it.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The rig, with its measure.
    #[serde(skip)]
    pub rig: PlaneRig,
    /// Pairs that were used, by name.
    pub used: Vec<String>,
    /// Pairs that were not, with their reasons.
    pub set_aside: Vec<String>,
    /// What a person should know before trusting the rig.
    pub warnings: Vec<String>,
    /// Blocks whose displacement was measured in what the tested map had not seen, and all that could have been.
    pub held_out_blocks: [usize; 2],
    /// Where the search began, for pictures.
    #[serde(skip)]
    pub start: Homography,
}

/// The solver's view of a recording: images of a size that can be worked with.
struct Work {
    pairs: Vec<Pyramid>,
    start: Map,
    /// Working pixels in an infrared and in a visible pixel.
    factor: [f64; 2],
    size: Size,
}

/// Finds the map from pairs, and refuses what does not hold. `date` goes into the rig.
///
/// # Errors
/// [`CalibError::OtherSize`], [`CalibError::TooSmall`], [`CalibError::Frozen`] and [`CalibError::TooFew`] for recordings that cannot be
/// used, [`CalibError::NotHeld`] for a map that the pairs do not agree on.
pub fn find(shots: &[Shot], settings: &Settings, date: &str) -> Result<Finding, CalibError> {
    let checks: Vec<Check> = shots.par_iter().map(Check::of).collect();
    let Usable { kept, set_aside } = usable(&checks, settings.least_pairs)?;
    let shots: Vec<&Shot> = kept.iter().filter_map(|place| shots.get(*place)).collect();
    let work = Work::new(&shots, settings)?;
    let all: Vec<&Pyramid> = work.pairs.iter().collect();
    let halves = work.halves();
    let nothing = || CalibError::NotHeld { reason: "expected edges that both cameras show, found none".to_owned() };
    // Half a picture is too little to begin with; half of the pairs is not.
    let whole =
        if is_few(&all) { Some(solve(&all, Part::Whole, &work.start, None).ok_or_else(nothing)?) } else { None };
    let maps = halves.each_ref().map(|(pairs, part)| solve(pairs, *part, &work.start, whole.as_ref()));
    let [Some(first), Some(second)] = maps else { return Err(nothing()) };
    let flat = |map: &Map| map.flattened(work.size).ok_or_else(nothing);
    let differ_px = largest(&corner_distances(&flat(&first)?, &flat(&second)?, work.size));
    let left = [left(&halves[1], &first), left(&halves[0], &second)].concat();
    let (median_px, p95_px, believed) = distances(&left);
    let limits_px = [HALVES_SHARE, HELD_OUT_SHARE].map(|share| share * work.size.width as f64);
    let back = 1.0 / work.factor[0];
    if differ_px.is_nan() || differ_px > limits_px[0] {
        let reason = format!(
            "expected the maps of the two halves of the pairs to agree to {:.1} infrared pixels in the corners, found {:.1}",
            limits_px[0] * back,
            differ_px * back
        );
        return Err(CalibError::NotHeld { reason });
    }
    if (believed as f64) < LEAST_BELIEVED * left.len() as f64 || median_px.is_nan() || median_px > limits_px[1] {
        let reason = format!(
            "expected at least {:.0} % of {} parts of held-out pairs to match, half of them to {:.1} infrared pixels; found {believed}, to \
             {:.1}",
            100.0 * LEAST_BELIEVED,
            left.len(),
            limits_px[1] * back,
            median_px * back
        );
        return Err(CalibError::NotHeld { reason });
    }
    let map = solve(&all, Part::Whole, &work.start, Some(&first)).ok_or_else(nothing)?;
    let spread = work.corner_covariance(&all, &map).ok_or_else(nothing)?;
    let deviation: [f64; 4] = std::array::from_fn(|i| {
        let of = |k: usize| spread.get(k).and_then(|row| row.get(k)).copied().unwrap_or(f64::NAN);
        (of(2 * i) + of(2 * i + 1)).sqrt()
    });
    let unscaled = |map: &Map| map.scaled(back, 1.0 / work.factor[1]);
    let infrared = shots.first().map(|shot| shot.ir.size()).unwrap_or_default();
    let visible = shots.first().map(|shot| shot.vi.size()).unwrap_or_default();
    let vis_from_ir = normalised(&unscaled(&map).flattened(infrared).ok_or_else(nothing)?);
    let measured = Measured {
        date: date.to_owned(),
        pairs: all.len(),
        similarity: SIMILARITY_NAME.to_owned(),
        held_out_median_px: median_px * back,
        held_out_p95_px: p95_px * back,
        halves_differ_px: differ_px * back,
        seen_by_both: seen_by_both(&vis_from_ir, infrared, visible),
        corner_deviation_px: deviation,
        corner_covariance_px2: spread,
    };
    let rig = PlaneRig { visible, infrared, vis_from_ir, latency_ms: Latency::default(), measured: Some(measured) };
    rig.validate()?;
    Ok(Finding {
        warnings: warnings(&deviation, infrared, all.len()),
        rig,
        used: shots.iter().map(|shot| shot.name.clone()).collect(),
        set_aside,
        held_out_blocks: [believed, left.len()],
        start: normalised(&unscaled(&work.start).flattened(infrared).ok_or_else(nothing)?),
    })
}

impl Work {
    fn new(shots: &[&Shot], settings: &Settings) -> Result<Work, CalibError> {
        let too_few = || CalibError::TooFew { usable: 0, least: settings.least_pairs, set_aside: Vec::new() };
        let (ir, vi) = shots.first().map(|shot| (shot.ir.size(), shot.vi.size())).ok_or_else(too_few)?;
        let scale = settings.scale.unwrap_or(vi.width as f64 / ir.width as f64);
        let halvings = Halvings::of(ir, scale, MOST_WIDTH_PX);
        let (mut pairs, mut size) = (Vec::new(), ir);
        for shot in shots {
            let [ir, vi] = halvings.halved(shot)?;
            size = ir.size();
            let side = size.width.min(size.height).min(vi.size().width).min(vi.size().height);
            let levels = (0..MOST_LEVELS).filter(|level| side >> level >= LEAST_COARSE_PX).count().max(1);
            let too_small = || CalibError::TooSmall { camera: "infrared", least: LEAST_SIDE_PX, found: size };
            pairs.push(Pyramid::new(ir, vi, levels).ok_or_else(too_small)?);
        }
        let factor = halvings.factor();
        let start = Map::centred(ir, vi, scale).scaled(factor[0], factor[1]);
        Ok(Work { pairs, start, factor, size })
    }

    /// Two halves of the pairs; of fewer than four, two halves of each picture.
    fn halves(&self) -> [(Vec<&Pyramid>, Part); 2] {
        if is_few(&self.pairs) {
            return [false, true].map(|odd| (self.pairs.iter().collect(), Part::Cells { odd }));
        }
        [0, 1].map(|half| (self.pairs.iter().skip(half).step_by(2).collect(), Part::Whole))
    }

    /// Covariance of the corners in squared infrared pixels of the recording.
    fn corner_covariance(&self, pairs: &[&Pyramid], map: &Map) -> Option<[[f64; 8]; 8]> {
        let spread = covariance(pairs, map)?;
        let rows = corners(self.size).map(|corner| map.frame().basis(corner));
        let rows: Vec<_> = rows.as_flattened().iter().map(|row| row / self.factor[0]).collect();
        let mut out = [[0.0; 8]; 8];
        for (a, line) in rows.iter().zip(&mut out) {
            for (b, value) in rows.iter().zip(line) {
                *value = (a.transpose() * spread * b).x;
            }
        }
        Some(out)
    }
}

/// Whether parts of pictures must stand in for pairs.
fn is_few<T>(pairs: &[T]) -> bool {
    pairs.len() < FEW
}

/// Displacements that a map leaves in the blocks of pairs, or of the part of them, that it was not made from.
fn left((pairs, part): &(Vec<&Pyramid>, Part), map: &Map) -> Vec<Option<Peak>> {
    let fixed = fields(pairs, 0, *part);
    let all = surfaces(pairs, &fixed, 0, map, LEFT_REACH_PX, LEFT_BLOCK_PX);
    let peaks = all.into_iter().reduce(|a, b| a.add(&b)).as_ref().map(Surfaces::peaks).unwrap_or_default();
    let columns = fixed.first().map_or(1, |field| field.size.width.div_ceil(LEFT_BLOCK_PX));
    let shown = peaks.into_iter().enumerate().filter(|(i, _)| part.shows(i % columns, i / columns));
    shown.map(|(_, peak)| peak).collect()
}

/// Median and 95th percentile of the displacements of blocks that are believed, and their number.
fn distances(blocks: &[Option<Peak>]) -> (f64, f64, usize) {
    let believed = blocks.iter().flatten().filter(|peak| peak.contrast >= LEAST_CONTRAST);
    let mut px: Vec<f64> = believed.map(|peak| peak.shift[0].hypot(peak.shift[1])).collect();
    px.sort_by(f64::total_cmp);
    (quantile(&px, 0.5), quantile(&px, 0.95), px.len())
}

/// A quantile of sorted values; NaN of none.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1) as f64;
    sorted.get((share * last).round() as usize).copied().unwrap_or(f64::NAN)
}

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

fn seen_by_both(map: &Homography, infrared: Size, visible: Size) -> f64 {
    const SIDE: usize = 64;
    let [iw, ih] = infrared.wh().map(|v| v as f64 / SIDE as f64);
    let [vw, vh] = visible.wh().map(|v| v as f64);
    let is_seen = |i: &usize| {
        let at = map.map([((i % SIDE) as f64 + 0.5) * iw, ((i / SIDE) as f64 + 0.5) * ih]);
        at.is_some_and(|[x, y]| (0.0..vw).contains(&x) && (0.0..vh).contains(&y))
    };
    (0..SIDE * SIDE).filter(is_seen).count() as f64 / (SIDE * SIDE) as f64
}

fn warnings(deviation_px: &[f64; 4], infrared: Size, pairs: usize) -> Vec<String> {
    let limit_px = LOOSE_SHARE * infrared.width as f64;
    let names = ["upper left", "upper right", "lower left", "lower right"];
    let loose = names.iter().zip(deviation_px).filter(|(_, px)| px.is_nan() || **px > limit_px);
    let mut told: Vec<String> = loose
        .map(|(name, px)| {
            format!(
                "the {name} corner is known to {px:.1} infrared pixels only: record more pairs, with structure that both cameras show there"
            )
        })
        .collect();
    if pairs < FEW {
        told.push(format!("{pairs} pairs: parts of the same pictures stood in for held-out pairs; record ten or more"));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loose_corners_and_few_pairs_are_told() {
        let told = warnings(&[1.0, 9.0, 1.0, f64::NAN], Size::new(640, 480), 3);
        assert!(told.len() == 3 && told[0].contains("upper right") && told[1].contains("lower right"), "{told:?}");
        assert!(warnings(&[1.0; 4], Size::new(640, 480), 10).is_empty());
    }

    #[test]
    fn the_share_that_both_see_is_that_of_the_areas() {
        let map = Homography(caf_rig::Mat3([[1.0, 0.0, 32.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]));
        assert_eq!(seen_by_both(&map, Size::new(64, 64), Size::new(64, 64)), 0.5);
    }

    #[test]
    fn quantiles_of_nothing_are_none() {
        assert!(quantile(&[], 0.5).is_nan());
        assert_eq!((quantile(&[1.0, 2.0, 9.0], 0.5), quantile(&[1.0, 2.0, 9.0], 0.95)), (2.0, 9.0));
    }
}
