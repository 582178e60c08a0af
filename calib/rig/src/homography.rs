use crate::error::RigError;
use crate::matrix::Mat3;

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
