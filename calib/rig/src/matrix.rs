use crate::error::RigError;
use serde::{Deserialize, Serialize};

/// Three coordinates.
pub type Vec3 = [f64; 3];

/// A 3×3 matrix, rows first.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mat3(pub [[f64; 3]; 3]);

impl Mat3 {
    /// The matrix that changes nothing.
    pub const IDENTITY: Mat3 = Mat3([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);

    /// Rotation by `|r|` radians about the axis `r` (Rodrigues' formula, right-handed).
    #[must_use]
    pub fn from_rotation_vector(r: Vec3) -> Mat3 {
        let angle = dot(r, r).sqrt();
        if angle < 1e-12 {
            // First order is exact to 1e-24 here and avoids 0 / 0.
            return Mat3([[1.0, -r[2], r[1]], [r[2], 1.0, -r[0]], [-r[1], r[0], 1.0]]);
        }
        let [x, y, z] = r.map(|v| v / angle);
        let (s, c) = angle.sin_cos();
        let k = 1.0 - c;
        Mat3([
            [c + x * x * k, x * y * k - z * s, x * z * k + y * s],
            [y * x * k + z * s, c + y * y * k, y * z * k - x * s],
            [z * x * k - y * s, z * y * k + x * s, c + z * z * k],
        ])
    }

    /// Rows become columns; for a rotation this is the inverse.
    #[must_use]
    pub fn transposed(&self) -> Mat3 {
        let [[a, b, c], [d, e, f], [g, h, i]] = self.0;
        Mat3([[a, d, g], [b, e, h], [c, f, i]])
    }

    /// `self · v`.
    #[must_use]
    pub fn times(&self, v: Vec3) -> Vec3 {
        self.0.map(|row| dot(row, v))
    }

    /// `self · other`.
    #[must_use]
    pub fn times_mat(&self, other: &Mat3) -> Mat3 {
        let columns = other.transposed().0;
        Mat3(self.0.map(|row| columns.map(|column| dot(row, column))))
    }

    /// Determinant.
    #[must_use]
    pub fn determinant(&self) -> f64 {
        let [r0, r1, r2] = self.0;
        dot(r0, cross(r1, r2))
    }

    /// The inverse, or `None` for a determinant that is zero or not finite.
    #[must_use]
    pub fn inverse(&self) -> Option<Mat3> {
        let determinant = self.determinant();
        if determinant == 0.0 || !determinant.is_finite() {
            return None;
        }
        let [r0, r1, r2] = self.0;
        let columns = Mat3([cross(r1, r2), cross(r2, r0), cross(r0, r1)]).transposed();
        Some(Mat3(columns.0.map(|row| row.map(|v| v / determinant))))
    }

    /// How far this is from a right-handed orthonormal matrix: the largest of |RᵀR − I| and |det R − 1|.
    #[must_use]
    pub fn rotation_error(&self) -> f64 {
        let product = self.transposed().times_mat(self);
        let mut worst = (self.determinant() - 1.0).abs();
        for (row, expected) in product.0.iter().zip(Mat3::IDENTITY.0) {
            for (value, expected) in row.iter().zip(expected) {
                let off = (value - expected).abs();
                // `max` would drop a NaN, which must count as the worst.
                if off.is_nan() || off > worst {
                    worst = off;
                }
            }
        }
        worst
    }
}

pub(crate) fn dot(a: Vec3, b: Vec3) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: Vec3, b: Vec3) -> Vec3 {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// A map from the pixels of one image to those of another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Homography(pub Mat3);

impl Homography {
    /// Where `pixel` lands; `None` when it maps to infinity or behind the camera.
    #[must_use]
    pub fn map(&self, pixel: [f64; 2]) -> Option<[f64; 2]> {
        let [x, y, w] = self.0.times([pixel[0], pixel[1], 1.0]);
        (w > 0.0).then(|| [x / w, y / w])
    }

    /// The map back.
    ///
    /// # Errors
    /// [`RigError::Singular`] when there is none.
    pub fn inverse(&self) -> Result<Homography, RigError> {
        let inverse = self.0.inverse().ok_or_else(|| RigError::Singular { determinant: self.0.determinant() })?;
        Ok(Homography(inverse))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarter_turn_about_z_takes_x_to_y() {
        let r = Mat3::from_rotation_vector([0.0, 0.0, std::f64::consts::FRAC_PI_2]);
        let v = r.times([1.0, 0.0, 0.0]);
        assert!((v[0]).abs() < 1e-15 && (v[1] - 1.0).abs() < 1e-15 && v[2].abs() < 1e-15, "{v:?}");
    }

    #[test]
    fn rotations_are_orthonormal_and_reflections_are_not() {
        for r in [[0.3, -1.2, 2.0], [1e-14, 0.0, 2e-14], [0.0, 0.0, 0.0], [3.1, 0.0, 0.0]] {
            assert!(Mat3::from_rotation_vector(r).rotation_error() < 1e-12);
        }
        assert!(Mat3([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]).rotation_error() > 1.0);
        assert!(Mat3([[f64::NAN; 3]; 3]).rotation_error().is_nan());
    }

    #[test]
    fn inverse_times_itself_is_identity() {
        let m = Mat3([[2.0, 1.0, 0.5], [-1.0, 3.0, 0.0], [0.25, 0.0, 4.0]]);
        let product = m.times_mat(&m.inverse().unwrap());
        for (row, expected) in product.0.iter().zip(Mat3::IDENTITY.0) {
            for (a, b) in row.iter().zip(expected) {
                assert!((a - b).abs() < 1e-14);
            }
        }
        assert!(Mat3([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.0, 0.0, 1.0]]).inverse().is_none());
    }
}
