//! Ops that look at neighbouring pixels or change the size of an image.

use super::site::Site;
use crate::error::GraphError;
use crate::op::MeanWindows;
use crate::tensor::{Dim, TensorType};

impl Site<'_> {
    /// Extents after a sliding window: floor((n + 2p − d(k − 1) − 1) / s) + 1.
    pub(super) fn window(
        &self,
        mut x: TensorType,
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
        dilation: [usize; 2],
    ) -> Result<TensorType, GraphError> {
        for axis in 0..2 {
            let reach = dilation[axis] * kernel[axis].saturating_sub(1) + 1;
            let dim = &x.dims[axis + 2];
            let after = match dim {
                Dim::Fixed(n) => match (n + 2 * padding[axis]).checked_sub(reach) {
                    Some(room) => Dim::Fixed(room / stride[axis] + 1),
                    None => return Err(self.error(format!("at least {reach} padded pixels"), x.to_string())),
                },
                _ if stride[axis] == 1 => {
                    self.shifted(&x, axis + 2, 2 * padding[axis] as isize - reach as isize + 1)?
                }
                Dim::Named(_) | Dim::Shifted { .. } | Dim::Any => Dim::Any,
            };
            x.dims[axis + 2] = after;
        }
        Ok(x)
    }

    pub(super) fn mean_pool(
        &self,
        kernel: usize,
        windows: MeanWindows,
        mut x: TensorType,
    ) -> Result<TensorType, GraphError> {
        self.require(kernel > 0, "a kernel of at least 1", &x)?;
        match windows {
            MeanWindows::Sliding { stride, padding } => {
                self.require(stride > 0 && kernel > 2 * padding, "stride > 0 and padding below half the kernel", &x)?;
                self.window(x, [kernel; 2], [stride; 2], [padding; 2], [1; 2])
            }
            MeanWindows::Tiles => {
                for dim in &mut x.dims[2..] {
                    *dim = match dim {
                        Dim::Fixed(n) => Dim::Fixed(n.div_ceil(kernel)),
                        Dim::Named(_) | Dim::Shifted { .. } | Dim::Any => Dim::Any,
                    };
                }
                Ok(x)
            }
        }
    }

    /// The extents of `like` from a place in `x` on.
    pub(super) fn crop(&self, before: [usize; 2], [x, like]: [&TensorType; 2]) -> Result<TensorType, GraphError> {
        let y = self.resize_like([x, like])?;
        for (axis, before) in (2..).zip(before) {
            if let (Dim::Fixed(from), Dim::Fixed(to)) = (&x.dims[axis], &y.dims[axis]) {
                let expected = format!("extent {axis} of at least {before} + {to}");
                self.require(from.checked_sub(before).is_some_and(|room| room >= *to), expected, x)?;
            }
        }
        Ok(y)
    }

    pub(super) fn upsample(&self, factor: usize, mut x: TensorType) -> Result<TensorType, GraphError> {
        self.require(factor > 0, "a factor of at least 1", &x)?;
        for dim in &mut x.dims[2..] {
            *dim = match dim {
                Dim::Fixed(n) => Dim::Fixed(*n * factor),
                Dim::Named(_) | Dim::Shifted { .. } | Dim::Any => Dim::Any,
            };
        }
        Ok(x)
    }

    pub(super) fn resize(&self, [height, width]: [usize; 2], mut x: TensorType) -> Result<TensorType, GraphError> {
        self.require(height > 0 && width > 0, "a size of at least 1x1", &x)?;
        x.dims[2] = Dim::Fixed(height);
        x.dims[3] = Dim::Fixed(width);
        Ok(x)
    }

    pub(super) fn resize_like(&self, [x, like]: [&TensorType; 2]) -> Result<TensorType, GraphError> {
        for image in [x, like] {
            self.require(image.dims.len() == 4, "floats laid out NCHW", image)?;
        }
        let mut y = x.clone();
        y.dims[2..].clone_from_slice(&like.dims[2..]);
        Ok(y)
    }

    pub(super) fn pixel_shuffle(&self, factor: usize, x: TensorType) -> Result<TensorType, GraphError> {
        let channels = self.fixed(1, "channels", &x)?;
        let block = factor.saturating_mul(factor);
        let fits = block > 0 && channels.is_multiple_of(block);
        self.require(fits, format!("channels in multiples of {factor}·{factor}"), &x)?;
        let mut y = self.upsample(factor, x)?;
        y.dims[1] = Dim::Fixed(channels / block);
        Ok(y)
    }

    /// Borders before and after the rows and the columns.
    pub(super) fn reflect_pad(&self, borders: [[usize; 2]; 2], x: TensorType) -> Result<TensorType, GraphError> {
        for (axis, [before, after]) in (2..).zip(borders) {
            let reach = before.max(after);
            if let Dim::Fixed(n) = x.dims[axis] {
                self.require(n > reach, format!("extent {axis} of at least {} to reflect {reach}", reach + 1), &x)?;
            }
        }
        self.padded(borders, x)
    }

    /// An image with so many rows and columns more before and after.
    pub(super) fn padded(&self, borders: [[usize; 2]; 2], mut x: TensorType) -> Result<TensorType, GraphError> {
        for (axis, [before, after]) in (2..).zip(borders) {
            x.dims[axis] = self.shifted(&x, axis, before.saturating_add(after))?;
        }
        Ok(x)
    }

    /// An extent and `by` more.
    fn shifted(&self, x: &TensorType, axis: usize, by: impl TryInto<isize>) -> Result<Dim, GraphError> {
        let shifted = by.try_into().ok().and_then(|by| x.dims[axis].shifted(by));
        shifted.ok_or_else(|| self.error(format!("an extent {axis} that leaves something"), x.to_string()))
    }
}
