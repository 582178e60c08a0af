//! Sobel magnitudes and Gaussian means.

use crate::config::{GradientPadding, SsimBorder};
use crate::error::LossError;
use tch::{Device, Kind, TchError, Tensor};

/// Standard deviation of the SSIM window, px.
const SIGMA_PX: f64 = 1.5;

/// The fixed kernels of one kind on one device.
#[derive(Debug)]
pub(crate) struct Filters {
    /// gx and gy, `[2, 1, 3, 3]`, cross-correlated.
    sobel: Tensor,
    /// The same turned by half a turn, `[1, 2, 3, 3]`.
    sobel_back: Tensor,
    /// Gaussian weights along a row `[1, 1, 1, k]`.
    row: Tensor,
    /// The same along a column `[1, 1, k, 1]`.
    column: Tensor,
    padding: GradientPadding,
    border: SsimBorder,
    radius_px: i64,
}

impl Filters {
    pub(crate) fn new(
        window_px: i64,
        border: SsimBorder,
        padding: GradientPadding,
        device: Device,
        kind: Kind,
    ) -> Result<Self, TchError> {
        #[rustfmt::skip]
        let sobel = [
            -1.0, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0,
            1.0, 2.0, 1.0, 0.0, 0.0, 0.0, -1.0, -2.0, -1.0f64,
        ];
        let window = gaussian(window_px);
        let tensor = |values: &[f64], shape: [i64; 4]| {
            Tensor::f_from_slice(values)?.f_reshape(shape)?.f_to_kind(kind)?.f_to_device(device)
        };
        Ok(Filters {
            sobel_back: tensor(&sobel, [1, 2, 3, 3])?.f_flip([2, 3])?,
            sobel: tensor(&sobel, [2, 1, 3, 3])?,
            row: tensor(&window, [1, 1, 1, window_px])?,
            column: tensor(&window, [1, 1, window_px, 1])?,
            padding,
            border,
            radius_px: window_px / 2,
        })
    }

    /// gx and gy of `[n, 1, h, w]`: `[n, 2, h, w]`.
    pub(crate) fn edges(&self, x: &Tensor) -> Result<Tensor, TchError> {
        match self.padding {
            GradientPadding::Zero => conv(x, &self.sobel, [1, 1]),
            GradientPadding::Replicate => conv(&x.f_replication_pad2d([1, 1, 1, 1])?, &self.sobel, [0, 0]),
        }
    }

    /// |gx| + |gy| of `[n, 1, h, w]`, same shape.
    pub(crate) fn sobel(&self, x: &Tensor) -> Result<Tensor, TchError> {
        magnitude(&self.edges(x)?)
    }

    /// The adjoint of [`Filters::edges`]: `[n, 2, h, w]` back to `[n, 1, h, w]`.
    pub(crate) fn edges_adjoint(&self, by_edges: &Tensor) -> Result<Tensor, TchError> {
        match self.padding {
            GradientPadding::Zero => conv(by_edges, &self.sobel_back, [1, 1]),
            GradientPadding::Replicate => {
                let padded = conv(by_edges, &self.sobel_back, [2, 2])?;
                inner(&padded, 1)?.f_replication_pad2d_backward(&padded, [1, 1, 1, 1])
            }
        }
    }

    /// Gaussian means of `[n, 1, h, w]`; smaller by the window less one where only whole windows count.
    pub(crate) fn mean(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let r = self.radius_px;
        let padded = match self.border {
            SsimBorder::Valid => x.shallow_clone(),
            SsimBorder::Reflect => x.f_reflection_pad2d([r, r, r, r])?,
        };
        conv(&conv(&padded, &self.row, [0, 0])?, &self.column, [0, 0])
    }

    /// The adjoint of [`Filters::mean`]: from its result's shape back to `[n, 1, h, w]`. Every window is symmetric.
    pub(crate) fn mean_adjoint(&self, by_mean: &Tensor) -> Result<Tensor, TchError> {
        let r = self.radius_px;
        let padded = conv(&conv(by_mean, &self.row, [0, 2 * r])?, &self.column, [2 * r, 0])?;
        match self.border {
            SsimBorder::Valid => Ok(padded),
            SsimBorder::Reflect => inner(&padded, r)?.f_reflection_pad2d_backward(&padded, [r, r, r, r]),
        }
    }
}

/// Images of a joint batch of `N` equal parts.
pub(crate) fn parts<const N: usize>(x: &Tensor) -> Result<[Tensor; N], LossError> {
    let size = x.size();
    x.f_chunk(N as i64, 0)?.try_into().map_err(|parts: Vec<Tensor>| LossError::Shape {
        tensor: "joint batch",
        expected: format!("{N} equal parts, found {}", parts.len()),
        found: size,
    })
}

/// |gx| + |gy| of `[n, 2, h, w]`: `[n, 1, h, w]`.
pub(crate) fn magnitude(edges: &Tensor) -> Result<Tensor, TchError> {
    edges.f_abs()?.f_sum_dim_intlist([1i64].as_slice(), true, None::<Kind>)
}

fn conv(x: &Tensor, kernel: &Tensor, padding: [i64; 2]) -> Result<Tensor, TchError> {
    x.f_conv2d(kernel, None::<&Tensor>, [1, 1], padding, [1, 1], 1)
}

/// `[n, c, h, w]` without a border.
fn inner(x: &Tensor, border_px: i64) -> Result<Tensor, TchError> {
    let (_, _, h, w) = x.size4()?;
    x.f_narrow(2, border_px, h - 2 * border_px)?.f_narrow(3, border_px, w - 2 * border_px)?.f_contiguous()
}

/// Normalised samples of a Gaussian, centred.
fn gaussian(window_px: i64) -> Vec<f64> {
    let centre = (window_px - 1) as f64 / 2.0;
    let raw: Vec<f64> =
        (0..window_px).map(|i| (-(i as f64 - centre).powi(2) / (2.0 * SIGMA_PX * SIGMA_PX)).exp()).collect();
    let sum: f64 = raw.iter().sum();
    raw.into_iter().map(|v| v / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::host;

    fn filters(padding: GradientPadding, border: SsimBorder) -> Filters {
        Filters::new(5, border, padding, Device::Cpu, Kind::Double).unwrap()
    }

    #[test]
    fn a_step_has_a_sobel_magnitude_of_four_inside() {
        let step = Tensor::from_slice(&[0.0f64, 0.0, 1.0, 1.0]).repeat([4, 1]).reshape([1, 1, 4, 4]);
        let replicate = filters(GradientPadding::Replicate, SsimBorder::Valid).sobel(&step).unwrap();
        assert_eq!(host(&replicate).unwrap(), [0.0, 4.0, 4.0, 0.0].repeat(4));
        let zero = host(&filters(GradientPadding::Zero, SsimBorder::Valid).sobel(&step).unwrap()).unwrap();
        assert_eq!(zero[4..8], [0.0, 4.0, 4.0, 4.0]);
        assert_eq!(zero[..4], [0.0, 1.0 + 3.0, 3.0 + 3.0, 3.0 + 3.0]);
    }

    #[test]
    fn means_keep_a_constant_and_shrink_only_without_reflection() {
        let flat = Tensor::full([2, 1, 16, 20], 0.25, (Kind::Double, Device::Cpu));
        let valid = filters(GradientPadding::Zero, SsimBorder::Valid).mean(&flat).unwrap();
        assert_eq!(valid.size(), [2, 1, 12, 16]);
        let reflect = filters(GradientPadding::Zero, SsimBorder::Reflect).mean(&flat).unwrap();
        assert_eq!(reflect.size(), [2, 1, 16, 20]);
        assert!(host(&reflect).unwrap().iter().all(|v| (v - 0.25).abs() < 1e-15));
    }
}
