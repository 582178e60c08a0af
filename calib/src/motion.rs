//! What moves where and when: the one thing that the clips of two cameras have in common in time.

use caf_geometry::Size;
use caf_image::Plane;
use caf_rig::{Homography, Mat3};

use rayon::prelude::*;

use crate::error::CalibError;
use crate::field::Field;
use crate::map::Map;
use crate::plane::Seen;
use crate::recording::LEAST_SIDE_PX;

/// Frames are halved until they are at most so wide, pixels: noise averages out, and what is fast moves a few pixels between frames only.
const MOST_WIDTH_PX: usize = 200;
/// Width of the Gaussian in time whose result is taken away: what stands still or changes slowly is no motion, seconds.
const TREND_S: f64 = 0.5;
/// Frames between which motion must be larger than between neighbours.
const APART: usize = 8;

/// Regions of the image, across and down, of which each is left out once.
const REGIONS: [usize; 2] = [4, 3];

/// How the frames of one camera become small ones that show the same place as those of the other.
#[derive(Clone, Debug)]
pub struct View {
    halvings: usize,
    /// From small infrared to small visible pixels, for the visible camera.
    map: Option<(Map, Size)>,
}

/// The views of the infrared and of the visible camera; without a map from infrared to visible pixels the images are taken as aligned.
///
/// # Errors
/// [`CalibError::TooSmall`].
pub fn views(infrared: Size, visible: Size, vis_from_ir: Option<&Homography>) -> Result<[View; 2], CalibError> {
    for (camera, found) in [("infrared", infrared), ("visible", visible)] {
        if found.width.min(found.height) < LEAST_SIDE_PX / 2 {
            return Err(CalibError::TooSmall { camera, least: LEAST_SIDE_PX / 2, found });
        }
    }
    let halvings = |width: usize| (width as f64 / MOST_WIDTH_PX as f64).log2().ceil().max(0.0) as usize;
    let (ir, vi) = (halvings(infrared.width), halvings(visible.width));
    let aligned = || {
        let [x, y] = [0, 1].map(|axis| visible.wh()[axis] as f64 / infrared.wh()[axis] as f64);
        Homography(Mat3([[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]]))
    };
    let map = Map::new(vis_from_ir.copied().unwrap_or_else(aligned), infrared);
    let small = Size::new(infrared.width >> ir, infrared.height >> ir);
    let map = map.scaled(0.5f64.powi(ir as i32), 0.5f64.powi(vi as i32));
    Ok([View { halvings: ir, map: None }, View { halvings: vi, map: Some((map, small)) }])
}

/// A frame as motion is looked for in: the directions of its edges, in a small image of what both cameras see.
#[derive(Clone, Debug)]
pub struct Glance(Field);

impl View {
    /// Looks at a gray frame.
    #[must_use]
    pub fn glance(&self, gray: Plane) -> Glance {
        let mut image = Seen { seen: Plane::like(&gray, 1.0), gray };
        for _ in 0..self.halvings {
            image = image.halved().unwrap_or(image);
        }
        if let Some((map, size)) = &self.map {
            image = image.warped(map, *size, 0).unwrap_or(image);
        }
        Glance(Field::of(&image))
    }
}

/// What moves in one clip: in each frame, what its edges have that those of the second around it have not.
#[derive(Clone, Debug, Default)]
pub struct Motion {
    /// Times of the frames, seconds since the origin, rising.
    pub(crate) times_s: Vec<f64>,
    /// Median interval, seconds.
    pub(crate) interval_s: f64,
    /// For each frame its numbers, region by region, of which those of the other camera mean the same.
    pub(crate) frames: Vec<Vec<f32>>,
    /// Where each region of the image ends in them.
    pub(crate) ends: Vec<usize>,
    /// Change between frames that lie some apart, against that between neighbours; 1 where only noise changes.
    pub(crate) ratio: f64,
}

impl Motion {
    /// Of the frames of a clip and their timestamps, nanoseconds, counted from `origin_ns`. Frames that repeat the one before, and those
    /// whose time is not later than it, are left out, as if they had been dropped.
    ///
    /// # Errors
    /// [`CalibError::OtherSize`] for frames that differ in size.
    pub fn of(camera: &'static str, frames: Vec<(i64, Glance)>, origin_ns: i64) -> Result<Motion, CalibError> {
        let Some(size) = frames.first().map(|(_, Glance(field))| field.size) else { return Ok(Motion::default()) };
        if let Some((at, (_, Glance(other)))) = frames.iter().enumerate().find(|(_, (_, g))| g.0.size != size) {
            let path = format!("frame {at}").into();
            return Err(CalibError::OtherSize { camera, path, expected: size, found: other.size });
        }
        let (order, ends) = regions(size);
        let mut kept: Vec<(i64, Vec<f32>)> = Vec::new();
        for (ns, Glance(field)) in frames {
            let numbers: Vec<f32> =
                order.iter().flat_map(|i| [field.re.get(*i), field.im.get(*i)]).flatten().copied().collect();
            if kept.last().is_none_or(|(before, last)| ns > *before && *last != numbers) {
                kept.push((ns, numbers));
            }
        }
        let times_s: Vec<f64> = kept.iter().map(|(ns, _)| (ns - origin_ns) as f64 * 1e-9).collect();
        let mut intervals_s: Vec<f64> = times_s.iter().zip(times_s.iter().skip(1)).map(|(a, b)| b - a).collect();
        intervals_s.sort_by(f64::total_cmp);
        let change = |apart: usize| -> f64 {
            let pairs = kept.iter().zip(kept.iter().skip(apart));
            let sums: Vec<f64> = pairs.map(|(a, b)| distance(&a.1, &b.1)).collect();
            sums.iter().sum::<f64>() / sums.len().max(1) as f64
        };
        let (near, far) = (change(1), change(APART));
        let above_trend = |(i, t): (usize, &f64)| {
            let from = times_s.partition_point(|other| *other < t - 3.0 * TREND_S);
            let to = times_s.partition_point(|other| *other <= t + 3.0 * TREND_S);
            let weight = |other: &f64| (-0.5 * ((other - t) / TREND_S).powi(2)).exp();
            let near = times_s.get(from..to).unwrap_or_default();
            let sum: f64 = near.iter().map(weight).sum();
            let mut numbers = kept.get(i).map(|(_, numbers)| numbers.clone()).unwrap_or_default();
            for (other, (_, trend)) in near.iter().zip(kept.iter().skip(from)) {
                let share = (weight(other) / sum) as f32;
                numbers.iter_mut().zip(trend).for_each(|(n, t)| *n -= share * t);
            }
            numbers
        };
        let frames = times_s.par_iter().enumerate().map(above_trend).collect();
        let interval_s = intervals_s.get(intervals_s.len() / 2).copied().unwrap_or(0.0);
        Ok(Motion { interval_s, frames, ends, ratio: if near > 0.0 { far / near } else { 1.0 }, times_s })
    }
}

/// The pixels of an image, region by region, and where each region ends among the numbers of the pixels, two each.
fn regions(size: Size) -> (Vec<usize>, Vec<usize>) {
    let [columns, rows] = REGIONS;
    let region = |i: &usize| i / size.width * rows / size.height * columns + i % size.width * columns / size.width;
    let mut order: Vec<usize> = (0..size.width * size.height).collect();
    order.sort_by_key(region);
    let ends = (0..columns * rows).map(|end| 2 * order.partition_point(|i| region(i) <= end)).collect();
    (order, ends)
}

/// Sum of the squared differences.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from((a - b).powi(2))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bright square at a column.
    fn frame(x: usize) -> Plane {
        let lit = |i: usize| (x..x + 8).contains(&(i % 96)) && (40..48).contains(&(i / 96));
        Plane::new(Size::new(96, 96), (0..96 * 96).map(|i| if lit(i) { 0.9 } else { 0.1 }).collect()).unwrap()
    }

    fn motion(frames: &[(i64, usize)]) -> Motion {
        let [view, _] = views(Size::new(96, 96), Size::new(96, 96), None).unwrap();
        let frames: Vec<_> = frames.iter().map(|(ns, x)| (*ns, view.glance(frame(*x)))).collect();
        Motion::of("infrared", frames, 0).unwrap()
    }

    #[test]
    fn what_moves_is_found_where_it_does() {
        let motion = motion(&[(0, 20), (20_000_000, 20), (40_000_000, 22), (60_000_000, 24), (50_000_000, 60)]);
        // The repeated frame and the one of an earlier time count as not there.
        assert_eq!((motion.times_s.len(), motion.frames.len()), (3, 3));
        assert!((motion.times_s[1] - 0.04).abs() < 1e-9 && (motion.times_s[2] - 0.06).abs() < 1e-9);
        let (order, ends) = regions(Size::new(96, 96));
        assert_eq!((ends.len(), ends[0], ends[11]), (12, 24 * 32 * 2, 96 * 96 * 2));
        assert!(order[..24 * 32].iter().all(|i| i % 96 < 24 && i / 96 < 32));
        let moves =
            |x: usize, y: usize| motion.frames[0][2 * order.iter().position(|i| *i == y * 96 + x).unwrap()].abs();
        assert!(moves(20, 44) > 0.1 && moves(60, 44) == 0.0, "{} {}", moves(20, 44), moves(60, 44));
    }

    #[test]
    fn noise_is_no_motion_and_what_goes_on_is() {
        let going: Vec<_> = (0..30).map(|i| (i * 40_000_000, 10 + i as usize)).collect();
        assert!(motion(&going).ratio > 2.0, "{}", motion(&going).ratio);
        let to_and_fro: Vec<_> = (0..30).map(|i| (i * 40_000_000, 30 + (i as usize * 7) % 3)).collect();
        assert!(motion(&to_and_fro).ratio < 1.1, "{}", motion(&to_and_fro).ratio);
    }

    #[test]
    fn views_of_both_cameras_show_the_same_place() {
        let to = Homography(Mat3([[2.0, 0.0, 20.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]]));
        let [ir, vi] = views(Size::new(96, 96), Size::new(240, 192), Some(&to)).unwrap();
        let large = |i: usize| frame(40).pixel((i % 240).saturating_sub(20) / 2 % 96, i / 240 / 2).map_or(0.0, |[v]| v);
        let visible = Plane::new(Size::new(240, 192), (0..240 * 192).map(large).collect()).unwrap();
        let (Glance(a), Glance(b)) = (ir.glance(frame(40)), vi.glance(visible));
        assert_eq!(a.size, b.size);
        let (own, apart) = (distance(&a.re, &vec![0.0; a.re.len()]), distance(&a.re, &b.re));
        assert!(apart < 0.05 * own, "{apart} {own}");
        let error = views(Size::new(96, 20), Size::new(96, 96), None).unwrap_err();
        assert!(matches!(error, CalibError::TooSmall { camera: "infrared", .. }), "{error}");
    }
}
