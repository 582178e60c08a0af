//! What one pair says about a rig.

use caf_geometry::Size;
use caf_rig::{Geometry, Homography};
use nalgebra::Matrix4;

use super::change::{Change, Corners};
use crate::error::CalibError;
use crate::field::Field;
use crate::halvings::Halvings;
use crate::map::{Frame, Map, SIMILARITY, Vector};
use crate::recording::{Check, Shot};
use crate::surface::{Prior, Surfaces};

/// Infrared images are halved to at most this width, pixels: what scenes differ by is more than what is lost.
const MOST_WIDTH_PX: usize = 512;
/// Farthest shift that is looked at, working pixels; what moved farther is looked for as `caf-calib rig` does.
const REACH_PX: usize = 16;
/// Side of the blocks, working pixels: a turn of a degree moves the pixels of a block by half a pixel against one another.
const BLOCK_PX: usize = 64;
/// The shifts and turns that are tried first, working pixels.
const TRIED_PX: i32 = 13;
const TURNS_PX: [f64; 5] = [-8.0, -4.0, 0.0, 4.0, 8.0];
/// Pairs match where the best of what is tried stands so many standard deviations above the mean of all. Ten pairs of RoadScene reach 5.6 to
/// 6.5, four 4.7 to 8.1; ten images beside others than their own 1.8 to 3.3, four 1.8 to 4.1 (`matching_pairs_stand_out`).
const LEAST_CONTRAST: f64 = 4.2;

/// A rig, ready to be compared with recordings.
#[derive(Clone, Debug)]
pub struct Watch {
    pub(super) vis_from_ir: Homography,
    pub(super) infrared: Size,
    pub(super) scale: f64,
    pub(super) corners: Corners,
    /// What the rig says of its own error.
    pub(super) known_to: Matrix4<f64>,
    visible: Size,
    halvings: Halvings,
    map: Map,
}

/// What one pair says.
#[derive(Clone, Debug)]
pub struct Look {
    pub(super) check: Check,
    pub(super) surfaces: Surfaces,
}

/// What some pairs in a row say together.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    pub change: Change,
    /// What each of its pairs says beside that.
    pub residuals: Vec<Change>,
}

impl Watch {
    /// A rig with a pose is taken for what is `distance_m` away. `rig_px` is how far the corners of a rig that says nothing of its own
    /// deviation may be off, root mean square, infrared pixels; of others it takes the place of what they say.
    ///
    /// # Errors
    /// Those of [`Geometry::vis_from_ir`]; [`CalibError::NoDeviation`] where neither says how well the rig is known.
    pub fn new(rig: &Geometry, distance_m: Option<f64>, rig_px: Option<f64>) -> Result<Watch, CalibError> {
        let [infrared, visible] = rig.sizes();
        let vis_from_ir = rig.vis_from_ir(distance_m)?;
        let [w, h] = infrared.wh().map(|v| v as f64);
        let ends = [[0.0, h / 2.0], [w, h / 2.0]].map(|end| vis_from_ir.map(end));
        let scale = match ends {
            [Some([ax, ay]), Some([bx, by])] => (bx - ax).hypot(by - ay) / w,
            _ => visible.width as f64 / w,
        };
        let halvings = Halvings::of(infrared, scale, MOST_WIDTH_PX);
        let [ir, vi] = halvings.factor();
        let corners = Corners::of(infrared);
        let stated = match rig {
            Geometry::Plane(rig) => rig.measured.as_ref().map(|m| corners.covariance(&m.corner_covariance_px2)),
            Geometry::Pose(_) => None,
        };
        let known_to = rig_px.map(|px| corners.isotropic(px)).or(stated).ok_or(CalibError::NoDeviation)?;
        let map = Map::new(vis_from_ir, infrared).scaled(ir, vi);
        Ok(Watch { vis_from_ir, infrared, scale, corners, known_to, visible, halvings, map })
    }

    /// Compares a pair with the rig.
    ///
    /// # Errors
    /// [`CalibError::NotOfRig`] for images of other sizes, [`CalibError::TooSmall`] for images without detail.
    pub fn look(&self, shot: &Shot) -> Result<Look, CalibError> {
        let check = Check::of(shot);
        let expected = [self.infrared, self.visible];
        for (camera, (expected, found)) in
            ["infrared", "visible"].into_iter().zip(expected.into_iter().zip(check.sizes))
        {
            if expected != found {
                return Err(CalibError::NotOfRig { camera, expected, found });
            }
        }
        let [ir, vi] = self.halvings.halved(shot)?;
        let fixed = Field::of(&ir);
        let size = Size::new(fixed.size.width + 2 * REACH_PX, fixed.size.height + 2 * REACH_PX);
        let too_small = || CalibError::TooSmall { camera: "infrared", least: 1, found: self.infrared };
        let moved = Field::of(&vi.warped(&self.map, size, REACH_PX).ok_or_else(too_small)?);
        Ok(Look { check, surfaces: Surfaces::correlate(&fixed, &moved, REACH_PX, BLOCK_PX) })
    }

    fn frame(&self) -> &Frame {
        self.map.frame()
    }

    /// How alike a pair is after a change.
    pub(super) fn likeness(&self, look: &Look, change: &Change) -> f64 {
        look.surfaces.total(self.frame(), &self.parameters(change)).0
    }

    /// What pairs say together; `None` where they do not match within reach.
    pub(super) fn measure(&self, looks: &[&Look]) -> Option<Stretch> {
        let sum = looks.iter().map(|look| look.surfaces.clone()).reduce(|a, b| a.add(&b))?;
        let (begin, contrast) = self.tried(&sum)?;
        // A flat surface has none.
        if contrast.is_nan() || contrast < LEAST_CONTRAST {
            return None;
        }
        let free = Prior { already: Vector::zeros(), weight: Vector::zeros() };
        let p = sum.best(self.frame(), &begin, &SIMILARITY, &free);
        let (_, _, bend) = sum.total(self.frame(), &p);
        let bend = bend.fixed_view::<4, 4>(0, 0).into_owned().cholesky()?;
        let count = looks.len() as f64;
        let residual = |look: &&Look| {
            let (_, slope, _) = look.surfaces.total(self.frame(), &p);
            self.change(&bend.solve(&(slope.fixed_rows::<4>(0) * count)))
        };
        let change = self.change(&p.fixed_rows::<4>(0).into_owned());
        let is_within = p.iter().all(|v| v.abs() < REACH_PX as f64);
        is_within.then(|| Stretch { change, residuals: looks.iter().map(residual).collect() })
    }

    /// The best of the shifts and turns that are tried, and how far above the others it stands.
    pub(super) fn tried(&self, sum: &Surfaces) -> Option<(Vector, f64)> {
        let shifts = || -TRIED_PX..=TRIED_PX;
        let all = TURNS_PX.into_iter().flat_map(|turn| shifts().flat_map(move |y| shifts().map(move |x| (x, y, turn))));
        let tried: Vec<(f64, Vector)> = all
            .map(|(x, y, turn)| {
                let mut p = Vector::zeros();
                (p[0], p[1], p[3]) = (f64::from(x), f64::from(y), turn);
                (sum.value(self.frame(), &p), p)
            })
            .collect();
        let count = tried.len() as f64;
        let mean = tried.iter().map(|(value, _)| value).sum::<f64>() / count;
        let deviation = (tried.iter().map(|(value, _)| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        let (value, p) = tried.into_iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
        // What is highest at the border may be higher beyond it.
        let is_inside = [p[0], p[1]].iter().all(|v| v.abs() < f64::from(TRIED_PX));
        is_inside.then(|| (p, (value - mean) / deviation))
    }

    /// How the infrared picture has moved: the parameters say by how much pixels must move to lie where the rig is right, which is the opposite.
    fn change(&self, p: &Change) -> Change {
        -p / self.halvings.factor()[0]
    }

    /// Whether a change is too large for [`Watch::measure`]; what is smaller must have matched.
    pub(super) fn is_beyond_reach(&self, change: &Change) -> bool {
        self.parameters(change).amax() > 0.5 * f64::from(TRIED_PX)
    }

    fn parameters(&self, change: &Change) -> Vector {
        let mut p = Vector::zeros();
        p.fixed_rows_mut::<4>(0).copy_from(&(-change * self.halvings.factor()[0]));
        p
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_image::{IrRange, Plane, color, read_ir, read_vi};
    use caf_rig::{Latency, Mat3, PlaneRig};

    #[test]
    fn matching_pairs_stand_out() {
        let Some(folder) = caf_golden::find("matching_pairs_stand_out", "data/roadscene") else { return };
        let pairs = crate::recording::list(&folder.join("ir"), &folder.join("vi")).unwrap();
        // The upper left parts of the images, of which none is smaller.
        let size = Size::new(384, 256);
        let cut = |plane: Plane| {
            let rows = plane.data().chunks_exact(plane.width()).take(size.height);
            Plane::new(size, rows.flat_map(|row| &row[..size.width]).copied().collect()).unwrap()
        };
        let large =
            |i: &usize| read_ir(&pairs[*i].ir, IrRange::Full).is_ok_and(|p| p.width() >= 384 && p.height() >= 256);
        let taken: Vec<usize> = (0..pairs.len()).step_by(3).filter(large).take(20).collect();
        let vis_from_ir = Homography(Mat3::IDENTITY);
        let rig =
            PlaneRig { visible: size, infrared: size, vis_from_ir, latency_ms: Latency::default(), measured: None };
        let watch = Watch::new(&Geometry::Plane(Box::new(rig)), None, Some(0.0)).unwrap();
        let look = |ir: usize, vi: usize| {
            let (ir, vi) = (read_ir(&pairs[ir].ir, IrRange::Full).unwrap(), read_vi(&pairs[vi].vi).unwrap());
            watch.look(&Shot::new("", cut(ir), cut(color::luma(&vi)))).unwrap()
        };
        // Of pairs, and of images that have nothing to do with one another, ten at a time.
        let contrasts = |apart: usize| -> Vec<f64> {
            let all: Vec<Look> = (0..taken.len()).map(|i| look(taken[i], taken[(i + apart) % taken.len()])).collect();
            let sum = |some: &[Look]| some.iter().map(|look| look.surfaces.clone()).reduce(|a, b| a.add(&b)).unwrap();
            all.chunks(10).map(|some| watch.tried(&sum(some)).map_or(0.0, |(_, contrast)| contrast)).collect()
        };
        let (matching, others) = (contrasts(0), contrasts(7));
        caf_golden::say(&format!("matching_pairs_stand_out: {matching:.1?}, others {others:.1?}"));
        assert!(matching.iter().all(|contrast| *contrast > LEAST_CONTRAST) && matching.len() == 2, "{matching:?}");
        assert!(others.iter().all(|contrast| *contrast < LEAST_CONTRAST - 0.5), "{others:?}");
    }
}
