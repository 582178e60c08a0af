//! Convolutions, in the layout decided for where they run.

use crate::layout::{Layout, Layouts, layouts};
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
    let conv2d = |x: &Tensor| x.f_conv2d(weight, bias, stride, padding, dilation, groups);
    let Layouts { values, derivatives } = layouts();
    let layout = if x.requires_grad() || weight.requires_grad() { derivatives } else { values };
    let y = match (x.device(), layout, x.size().get(1)) {
        (Device::Cpu, Layout::Planar, _) => conv2d(&x.f_contiguous()?)?,
        // One channel is as good as innermost already, which libtorch does not see: what it makes of it is put in order, so that
        // all that follows, sums and concatenations too, stays so.
        (Device::Cpu, Layout::ChannelsLast, Some(1)) => channels_last(&conv2d(x)?)?,
        (Device::Cpu, Layout::ChannelsLast, _) => conv2d(&channels_last(x)?)?,
        _ => conv2d(x)?,
    };
    count_conv(x, weight, &y);
    Ok(y)
}

/// The same tensor with channels innermost in memory. Convolutions on the CPU and on tensor cores run faster so, and keep it.
///
/// # Errors
/// When memory runs out.
pub fn channels_last(x: &Tensor) -> Result<Tensor, TchError> {
    if let ([_, c, h, w], [a, 1, b, d]) = (&x.size()[..], &x.stride()[..])
        && [*a, *b, *d] == [h * w * c, w * c, *c]
    {
        return Ok(x.shallow_clone());
    }
    x.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::set_layouts;
    use tch::Kind;

    #[test]
    fn each_kind_of_pass_lies_as_decided_and_has_the_same_values() {
        let x = Tensor::arange(2 * 3 * 5 * 7, (Kind::Double, Device::Cpu)).reshape([2, 3, 5, 7]).sin();
        let weight = Tensor::arange(4 * 3 * 9, (Kind::Double, Device::Cpu)).reshape([4, 3, 3, 3]).cos();
        let lies = |y: &Tensor| if y.is_contiguous() { Layout::Planar } else { Layout::ChannelsLast };
        let mut found = Vec::new();
        for values in [Layout::ChannelsLast, Layout::Planar] {
            for derivatives in [Layout::ChannelsLast, Layout::Planar] {
                set_layouts(Layouts { values, derivatives });
                let recording = weight.detach().set_requires_grad(true);
                let y = convolve(&x, &weight, None, &Window::same(1)).unwrap();
                let recorded = convolve(&x, &recording, None, &Window::same(1)).unwrap();
                assert_eq!((lies(&y), lies(&recorded)), (values, derivatives));
                found.extend([y, recorded.detach()]);
            }
        }
        set_layouts(Layouts::default());
        assert!(found.iter().all(|y| (y - &found[0]).abs().max().double_value(&[]) < 1e-13));
    }

    #[test]
    fn what_lies_channels_last_is_not_copied() {
        let x = Tensor::zeros([2, 3, 5, 7], (Kind::Float, Device::Cpu));
        let once = channels_last(&x).unwrap();
        assert_eq!(channels_last(&once).unwrap().data_ptr(), once.data_ptr());
        assert_ne!(once.data_ptr(), x.data_ptr());
    }
}
