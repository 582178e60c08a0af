//! A small change of a rig's map, in the numbers in which a mount moves a camera: it turns it, which shifts and turns the picture.

use caf_geometry::Size;
use nalgebra::{Matrix4, SMatrix, Vector4};

use crate::map::{Frame, corners};

/// Shift right and down, growth, turn: infrared pixels, the last two at the middle of the right edge.
pub(super) type Change = Vector4<f64>;

/// How the offsets of the four corners of an image and such a change go together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Corners {
    /// The change nearest to eight offsets.
    rows: SMatrix<f64, 4, 8>,
    /// What the squares of a change count in the mean square of the corners' offsets.
    weight: Change,
    half_px: f64,
}

impl Corners {
    pub(super) fn of(infrared: Size) -> Corners {
        let frame = Frame::of(infrared);
        let basis = corners(infrared).map(|corner| frame.basis(corner));
        // The four are orthogonal over the corners of a rectangle.
        let columns = SMatrix::<f64, 4, 8>::from_fn(|row, i| {
            basis.as_flattened().get(i).and_then(|b| b.get(row)).copied().unwrap_or(0.0)
        });
        let squares = (columns * columns.transpose()).diagonal();
        let rows = Matrix4::from_diagonal(&squares.map(|v| 1.0 / v)) * columns;
        Corners { rows, weight: squares / 4.0, half_px: infrared.width as f64 / 2.0 }
    }

    /// The change that comes nearest to these offsets of the corners.
    pub(super) fn change(&self, offsets: &[[f64; 2]; 4]) -> Change {
        self.rows * SMatrix::<f64, 8, 1>::from_column_slice(offsets.as_flattened())
    }

    /// Its covariance, from that of the corners.
    pub(super) fn covariance(&self, of_corners: &[[f64; 8]; 8]) -> Matrix4<f64> {
        let inner = SMatrix::<f64, 8, 8>::from_fn(|row, column| {
            of_corners.get(row).and_then(|row| row.get(column)).copied().unwrap_or(f64::NAN)
        });
        self.rows * inner * self.rows.transpose()
    }

    /// Covariance of changes in all directions alike that move the corners by so much on the root mean square.
    pub(super) fn isotropic(&self, px: f64) -> Matrix4<f64> {
        Matrix4::from_diagonal(&self.weight.map(|w| px * px / (4.0 * w)))
    }

    /// How far errors of a covariance move the corners, root mean square, pixels.
    pub(super) fn spread(&self, covariance: &Matrix4<f64>) -> f64 {
        covariance.diagonal().dot(&self.weight).sqrt()
    }

    /// How far a change moves the corners, root mean square, pixels, and the standard deviation of that.
    pub(super) fn distance(&self, change: &Change, covariance: &Matrix4<f64>) -> [f64; 2] {
        let slope = self.weight.component_mul(change);
        let px = slope.dot(change).sqrt();
        let direction = if px > 0.0 { slope / px } else { self.weight.map(|w| (w / 4.0).sqrt()) };
        [px, (covariance * direction).dot(&direction).sqrt()]
    }

    /// Turn in degrees and growth as a share, of a change.
    pub(super) fn turn_and_growth(&self, change: &Change) -> [f64; 2] {
        [(change[3] / self.half_px).to_degrees(), change[2] / self.half_px]
    }
}
