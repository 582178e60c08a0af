//! Convolutions, in the layout that is fastest where they run.

use crate::work::count_conv;
use tch::{Device, TchError, Tensor};

/// How a kernel moves over an image: rows and columns of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Step.
    pub stride: [i64; 2],
    /// Zeros added on each side.
    pub padding: [i64; 2],
    /// Distance of neighbouring taps.
    pub dilation: [i64; 2],
    /// Channel groups.
    pub groups: i64,
}

impl Window {
    /// Every pixel, with so many zeros around the image.
    pub fn same(padding: i64) -> Self {
        Window { stride: [1, 1], padding: [padding, padding], dilation: [1, 1], groups: 1 }
    }
}

/// The cross-correlation of `x` `[n, c, h, w]` with `weight` `[out, c / groups, kernel height, kernel width]`, differentiable.
///
/// # Errors
/// When libtorch refuses.
pub fn convolve(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, window: &Window) -> Result<Tensor, TchError> {
    let Window { stride, padding, dilation, groups } = *window;
    let y = match (x.device(), x.size().get(1)) {
        // One channel is as good as innermost already, which libtorch does not see: what it makes of it is put in order, so that
        // all that follows, sums and concatenations too, stays so.
        (Device::Cpu, Some(1)) => channels_last(&x.f_conv2d(weight, bias, stride, padding, dilation, groups)?)?,
        (Device::Cpu, _) => channels_last(x)?.f_conv2d(weight, bias, stride, padding, dilation, groups)?,
        _ => x.f_conv2d(weight, bias, stride, padding, dilation, groups)?,
    };
    count_conv(x, weight, &y);
    Ok(y)
}

/// The same tensor with channels innermost in memory. Convolutions on the CPU and on tensor cores run faster so, and keep it.
///
/// # Errors
/// When memory runs out.
pub fn channels_last(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}
