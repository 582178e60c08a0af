use serde::{Deserialize, Serialize};

use crate::camera::Camera;
use crate::error::RigError;
use crate::matrix::{Homography, Mat3, Vec3};

/// How far a rotation read from a file may be from orthonormal: rounding to seven digits stays below it, a wrong sign or a
/// scaled matrix does not.
const ROTATION_TOLERANCE: f64 = 1e-6;

/// A rigid motion: `x_to = rotation · x_from + translation_m`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pose {
    /// Rows of the rotation matrix.
    pub rotation: Mat3,
    /// Where the origin of the source frame lies in the target frame, metres.
    pub translation_m: Vec3,
}

impl Pose {
    /// No motion.
    pub const IDENTITY: Pose = Pose { rotation: Mat3::IDENTITY, translation_m: [0.0; 3] };

    /// Moves a point.
    #[must_use]
    pub fn apply(&self, point_m: Vec3) -> Vec3 {
        let [x, y, z] = self.rotation.times(point_m);
        let [tx, ty, tz] = self.translation_m;
        [x + tx, y + ty, z + tz]
    }

    /// The motion back.
    #[must_use]
    pub fn inverse(&self) -> Pose {
        let rotation = self.rotation.transposed();
        Pose { rotation, translation_m: rotation.times(self.translation_m).map(|v| -v) }
    }
}

/// Milliseconds from the exposure's middle to the timestamp that each camera's frames carry. Subtract it from the timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Of the visible camera.
    pub visible: f64,
    /// Of the infrared camera.
    pub infrared: f64,
}

impl Latency {
    /// Checks both.
    ///
    /// # Errors
    /// [`RigError::Value`] for one that is not a finite number.
    pub fn validate(&self) -> Result<(), RigError> {
        for (name, found) in [("visible", self.visible), ("infrared", self.infrared)] {
            if !found.is_finite() {
                let place = format!("latency_ms.{name}");
                return Err(RigError::Value { place, expected: "a finite number", found });
            }
        }
        Ok(())
    }
}

/// Two cameras, fixed to one another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rig {
    /// The visible camera.
    pub visible: Camera,
    /// The infrared camera.
    pub infrared: Camera,
    /// From the infrared camera's frame to the visible camera's.
    pub vis_from_ir: Pose,
    /// Delays of the timestamps.
    pub latency_ms: Latency,
}

impl Rig {
    /// Two images that already coincide pixel by pixel, as in published data sets.
    #[must_use]
    pub fn aligned(camera: Camera) -> Rig {
        Rig { visible: camera, infrared: camera, vis_from_ir: Pose::IDENTITY, latency_ms: Latency::default() }
    }

    /// Checks every value; see [`Camera::validate`].
    ///
    /// # Errors
    /// [`RigError::Value`] or [`RigError::Rotation`] for the first value that is wrong.
    pub fn validate(&self) -> Result<(), RigError> {
        self.visible.validate("visible")?;
        self.infrared.validate("infrared")?;
        for (axis, found) in ["x", "y", "z"].iter().zip(self.vis_from_ir.translation_m) {
            if !found.is_finite() {
                let place = format!("vis_from_ir.translation_m ({axis})");
                return Err(RigError::Value { place, expected: "a finite number", found });
            }
        }
        let off = self.vis_from_ir.rotation.rotation_error();
        if off.is_nan() || off > ROTATION_TOLERANCE {
            return Err(RigError::Rotation { place: "vis_from_ir.rotation".into(), off });
        }
        self.latency_ms.validate()
    }

    /// The map from infrared to visible pixels for what lies on the plane z = `distance_m` of the visible camera's frame.
    ///
    /// With the plane `n·x_ir = d` in the infrared frame, `H = K_vis (R + t nᵀ / d) K_ir⁻¹` (Hartley and Zisserman,
    /// *Multiple View Geometry*, 13.1). `f64::INFINITY` is allowed and leaves the rotation alone.
    ///
    /// # Errors
    /// [`RigError::Distance`] when the plane is not in front of both cameras.
    pub fn vis_from_ir_at(&self, distance_m: f64) -> Result<Homography, RigError> {
        let Pose { rotation, translation_m } = self.vis_from_ir;
        let least_m = translation_m[2].max(0.0);
        if distance_m.is_nan() || distance_m <= least_m {
            return Err(RigError::Distance { distance_m, least_m });
        }
        let [_, _, normal_ir] = rotation.0;
        let to_plane_m = distance_m - translation_m[2];
        let mut motion = rotation;
        for (row, t) in motion.0.iter_mut().zip(translation_m) {
            for (entry, n) in row.iter_mut().zip(normal_ir) {
                *entry += t * n / to_plane_m;
            }
        }
        Ok(Homography(self.visible.matrix().times_mat(&motion).times_mat(&self.infrared.inverse_matrix())))
    }

    /// Pixel of the infrared image that shows what the visible camera sees at `pixel`, `depth_m` away; `None` when that is
    /// behind the infrared camera.
    #[must_use]
    pub fn ir_pixel_of(&self, pixel: [f64; 2], depth_m: f64) -> Option<[f64; 2]> {
        self.infrared.project(self.vis_from_ir.inverse().apply(self.visible.unproject(pixel, depth_m)))
    }

    /// Sideways shift in visible pixels that the baseline causes between two depths: how wrong a remap made for one of them
    /// is for the other.
    #[must_use]
    pub fn parallax_px(&self, made_for_m: f64, seen_at_m: f64) -> f64 {
        let [x, y, _] = self.vis_from_ir.translation_m;
        let baseline = (x * self.visible.fx_px).hypot(y * self.visible.fy_px);
        baseline * (1.0 / made_for_m - 1.0 / seen_at_m).abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Rig {
        Rig {
            visible: Camera { width_px: 640, height_px: 480, fx_px: 520.0, fy_px: 522.0, cx_px: 318.0, cy_px: 243.0 },
            infrared: Camera { width_px: 320, height_px: 256, fx_px: 300.0, fy_px: 298.0, cx_px: 161.0, cy_px: 126.5 },
            vis_from_ir: Pose {
                rotation: Mat3::from_rotation_vector([0.01, -0.03, 0.02]),
                translation_m: [0.12, -0.02, 0.04],
            },
            latency_ms: Latency { visible: 20.0, infrared: 45.0 },
        }
    }

    #[test]
    fn a_point_on_the_plane_lands_where_the_homography_says() {
        let rig = example();
        for distance in [2.0, 10.0, 75.0] {
            let homography = rig.vis_from_ir_at(distance).unwrap();
            for x in [-0.6, 0.0, 0.5] {
                for y in [-0.3, 0.1] {
                    let in_vis = [x * distance, y * distance, distance];
                    let seen_vis = rig.visible.project(in_vis).unwrap();
                    let seen_ir = rig.infrared.project(rig.vis_from_ir.inverse().apply(in_vis)).unwrap();
                    let mapped = homography.map(seen_ir).unwrap();
                    assert!((mapped[0] - seen_vis[0]).abs() < 1e-8 && (mapped[1] - seen_vis[1]).abs() < 1e-8);
                    let direct = rig.ir_pixel_of(seen_vis, distance).unwrap();
                    assert!((direct[0] - seen_ir[0]).abs() < 1e-8 && (direct[1] - seen_ir[1]).abs() < 1e-8);
                }
            }
        }
    }

    #[test]
    fn a_point_off_the_plane_misses_by_the_parallax() {
        let mut rig = example();
        rig.vis_from_ir = Pose { rotation: Mat3::IDENTITY, translation_m: [0.2, 0.0, 0.0] };
        let homography = rig.vis_from_ir_at(20.0).unwrap();
        let point = [0.5, 0.2, 5.0];
        let seen_ir = rig.infrared.project(rig.vis_from_ir.inverse().apply(point)).unwrap();
        let seen_vis = rig.visible.project(point).unwrap();
        let off = homography.map(seen_ir).unwrap()[0] - seen_vis[0];
        // 520 px · 0.2 m · (1/20 − 1/5) per metre.
        assert!((off + 15.6).abs() < 1e-9, "{off}");
        assert!((rig.parallax_px(20.0, 5.0) - 15.6).abs() < 1e-9);
    }

    #[test]
    fn infinity_leaves_the_rotation() {
        let mut rig = example();
        let at_infinity = rig.vis_from_ir_at(f64::INFINITY).unwrap();
        rig.vis_from_ir.translation_m = [0.0; 3];
        assert_eq!(at_infinity, rig.vis_from_ir_at(3.0).unwrap());
    }

    #[test]
    fn planes_behind_a_camera_are_refused() {
        let rig = example();
        for distance in [0.0, -3.0, 0.04, f64::NAN] {
            let error = rig.vis_from_ir_at(distance).unwrap_err();
            assert!(matches!(error, RigError::Distance { .. }) && error.is_wrong_call(), "{distance}");
        }
    }

    #[test]
    fn wrong_rigs_are_refused() {
        let mut rig = example();
        rig.vis_from_ir.rotation.0[0][0] = 0.9;
        let error = rig.validate().unwrap_err();
        assert!(matches!(error, RigError::Rotation { .. }) && !error.is_wrong_call());
        rig = example();
        rig.vis_from_ir.translation_m[1] = f64::INFINITY;
        assert!(matches!(rig.validate(), Err(RigError::Value { .. })));
        rig = example();
        rig.latency_ms.infrared = f64::NAN;
        assert!(matches!(rig.validate(), Err(RigError::Value { .. })));
        assert!(example().validate().is_ok());
    }
}
