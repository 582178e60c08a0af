use caf_geometry::Size;
use serde::{Deserialize, Serialize};

use crate::error::RigError;
use crate::matrix::{Mat3, Vec3};

/// A pinhole camera without distortion.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    /// Image width in pixels.
    pub width_px: u32,
    /// Image height in pixels.
    pub height_px: u32,
    /// Focal length along x in pixels.
    pub fx_px: f64,
    /// Focal length along y in pixels.
    pub fy_px: f64,
    /// x of the principal point in pixels; the image's middle is `width_px` / 2.
    pub cx_px: f64,
    /// y of the principal point in pixels.
    pub cy_px: f64,
}

impl Camera {
    /// A camera with square pixels, the principal point in the middle and the given horizontal field of view.
    #[must_use]
    pub fn with_field_of_view(size: Size, horizontal_deg: f64) -> Camera {
        let [width_px, height_px] = size.wh().map(|side| u32::try_from(side).unwrap_or(u32::MAX));
        let f = f64::from(width_px) / 2.0 / (horizontal_deg.to_radians() / 2.0).tan();
        Camera {
            width_px,
            height_px,
            fx_px: f,
            fy_px: f,
            cx_px: f64::from(width_px) / 2.0,
            cy_px: f64::from(height_px) / 2.0,
        }
    }

    /// Size of its images.
    #[must_use]
    pub fn size(&self) -> Size {
        Size::new(self.width_px as usize, self.height_px as usize)
    }

    /// Checks that extents and focal lengths are positive and everything is finite. `place` names the camera in errors.
    ///
    /// # Errors
    /// [`RigError::Value`] for the first value that is not.
    pub fn validate(&self, place: &str) -> Result<(), RigError> {
        let positive = [
            ("width_px", f64::from(self.width_px)),
            ("height_px", f64::from(self.height_px)),
            ("fx_px", self.fx_px),
            ("fy_px", self.fy_px),
        ];
        for (name, found) in positive {
            if !(found.is_finite() && found > 0.0) {
                return Err(RigError::Value {
                    place: format!("{place}.{name}"),
                    expected: "a finite number above 0",
                    found,
                });
            }
        }
        for (name, found) in [("cx_px", self.cx_px), ("cy_px", self.cy_px)] {
            if !found.is_finite() {
                return Err(RigError::Value { place: format!("{place}.{name}"), expected: "a finite number", found });
            }
        }
        Ok(())
    }

    /// Pixel position of a point in this camera's frame (metres); `None` for a point that is not in front of the camera.
    /// It may lie outside the image.
    #[must_use]
    pub fn project(&self, point_m: Vec3) -> Option<[f64; 2]> {
        let [x, y, z] = point_m;
        (z > 0.0).then(|| [self.fx_px * x / z + self.cx_px, self.fy_px * y / z + self.cy_px])
    }

    /// The point in this camera's frame that is seen at `pixel`, `depth_m` away along the optical axis.
    #[must_use]
    pub fn unproject(&self, pixel: [f64; 2], depth_m: f64) -> Vec3 {
        let [x, y] = pixel;
        [(x - self.cx_px) / self.fx_px * depth_m, (y - self.cy_px) / self.fy_px * depth_m, depth_m]
    }

    /// Whether a pixel position lies on the image, [0, width) × [0, height).
    #[must_use]
    pub fn contains(&self, pixel: [f64; 2]) -> bool {
        let [x, y] = pixel;
        (0.0..f64::from(self.width_px)).contains(&x) && (0.0..f64::from(self.height_px)).contains(&y)
    }

    pub(crate) fn matrix(&self) -> Mat3 {
        Mat3([[self.fx_px, 0.0, self.cx_px], [0.0, self.fy_px, self.cy_px], [0.0, 0.0, 1.0]])
    }

    pub(crate) fn inverse_matrix(&self) -> Mat3 {
        Mat3([
            [1.0 / self.fx_px, 0.0, -self.cx_px / self.fx_px],
            [0.0, 1.0 / self.fy_px, -self.cy_px / self.fy_px],
            [0.0, 0.0, 1.0],
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unproject_then_project_returns_the_pixel() {
        let camera = Camera { width_px: 641, height_px: 479, fx_px: 500.0, fy_px: 510.0, cx_px: 317.3, cy_px: 241.8 };
        for pixel in [[0.0, 0.0], [640.0, 478.0], [100.25, 33.5], [-12.0, 700.0]] {
            for depth in [0.5, 7.0, 90.0] {
                let back = camera.project(camera.unproject(pixel, depth)).unwrap();
                assert!((back[0] - pixel[0]).abs() < 1e-9 && (back[1] - pixel[1]).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn ninety_degrees_see_as_far_sideways_as_ahead() {
        let camera = Camera::with_field_of_view(Size::new(200, 100), 90.0);
        let edge = camera.project([3.0, 0.0, 3.0]).unwrap();
        assert!((edge[0] - 200.0).abs() < 1e-9 && edge[1] == 50.0, "{edge:?}");
        assert!(camera.project([0.0, 0.0, -1.0]).is_none());
        assert!(camera.project([0.0, 0.0, 0.0]).is_none());
    }

    #[test]
    fn an_image_holds_its_pixels_to_their_edges() {
        let camera = Camera::with_field_of_view(Size::new(64, 48), 60.0);
        for inside in [[0.0, 0.0], [0.5, 0.5], [63.999, 47.999]] {
            assert!(camera.contains(inside), "{inside:?}");
        }
        for outside in [[-1e-9, 5.0], [5.0, -1e-9], [64.0, 5.0], [5.0, 48.0], [f64::NAN, 5.0]] {
            assert!(!camera.contains(outside), "{outside:?}");
        }
    }

    #[test]
    fn wrong_values_are_named() {
        let mut camera = Camera::with_field_of_view(Size::new(64, 48), 60.0);
        camera.fy_px = f64::NAN;
        assert!(camera.validate("visible").unwrap_err().to_string().starts_with("visible.fy_px"));
        camera.fy_px = 50.0;
        camera.width_px = 0;
        assert!(camera.validate("visible").unwrap_err().to_string().starts_with("visible.width_px"));
    }
}
