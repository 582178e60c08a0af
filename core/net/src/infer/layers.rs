//! Ops with parameters, and what goes with them.

use super::site::Site;
use crate::error::GraphError;
use crate::op::{Conv, DropUnit, LayerNorm, Linear, Norm};
use crate::param::ParamId;
use crate::tensor::{Dim, Element, TensorType};

impl Site<'_> {
    pub(super) fn conv(&self, conv: &Conv, x: TensorType) -> Result<TensorType, GraphError> {
        let channels = self.fixed(1, "channels", &x)?;
        let weight = self.param(conv.weight)?;
        let [out, per_group, kh, kw] = weight.shape[..] else {
            return Err(self
                .error(format!("`{}` of shape [out, in, height, width]", weight.name), format!("{:?}", weight.shape)));
        };
        let groups_fit = conv.groups > 0 && per_group * conv.groups == channels && out % conv.groups == 0;
        self.require(groups_fit, format!("{per_group}×{} channels", conv.groups), &x)?;
        self.require(conv.stride.iter().chain(&conv.dilation).all(|v| *v > 0), "stride and dilation above 0", &x)?;
        if let Some(bias) = conv.bias {
            self.param_shape(bias, &[out])?;
        }
        let mut y = self.window(x, [kh, kw], conv.stride, conv.padding, conv.dilation)?;
        y.dims[1] = Dim::Fixed(out);
        Ok(y)
    }

    pub(super) fn norm(&self, norm: &Norm, x: TensorType) -> Result<TensorType, GraphError> {
        let channels = self.fixed(1, "channels", &x)?;
        for id in [norm.weight, norm.bias, norm.running_mean, norm.running_var] {
            self.param_shape(id, &[channels])?;
        }
        self.param_shape(norm.batches, &[])?;
        Ok(x)
    }

    pub(super) fn prelu(&self, slope: ParamId, x: TensorType) -> Result<TensorType, GraphError> {
        let channels = self.fixed(1, "channels", &x)?;
        let slope = self.param(slope)?;
        match slope.shape[..] {
            [n] if n == 1 || n == channels => Ok(x),
            _ => {
                Err(self.error(format!("`{}` of shape [1] or [{channels}]", slope.name), format!("{:?}", slope.shape)))
            }
        }
    }

    pub(super) fn layer_norm(&self, norm: &LayerNorm, x: TensorType) -> Result<TensorType, GraphError> {
        let features = self.fixed(x.dims.len().saturating_sub(1), "features in the last axis", &x)?;
        for id in [norm.weight, norm.bias] {
            self.param_shape(id, &[features])?;
        }
        Ok(x)
    }

    pub(super) fn linear(&self, linear: &Linear, mut x: TensorType) -> Result<TensorType, GraphError> {
        let last = x.dims.len().saturating_sub(1);
        let features = self.fixed(last, "features in the last axis", &x)?;
        let weight = self.param(linear.weight)?;
        let [out, taken] = weight.shape[..] else {
            return Err(self.error(format!("`{}` of shape [out, in]", weight.name), format!("{:?}", weight.shape)));
        };
        self.require(taken == features, format!("{taken} features in the last axis"), &x)?;
        if let Some(bias) = linear.bias {
            self.param_shape(bias, &[out])?;
        }
        x.dims[last] = Dim::Fixed(out);
        Ok(x)
    }

    pub(super) fn dropout(&self, rate: f64, unit: DropUnit, x: TensorType) -> Result<TensorType, GraphError> {
        let axes = match unit {
            DropUnit::Sample => 1,
            DropUnit::Channel => 2,
            DropUnit::Element => 0,
        };
        self.require((0.0..1.0).contains(&rate), format!("a rate from 0 to below 1 (it is {rate})"), &x)?;
        self.require(x.dims.len() >= axes, format!("at least {axes} axes"), &x)?;
        Ok(x)
    }

    pub(super) fn matmul(&self, [a, b]: [&TensorType; 2]) -> Result<TensorType, GraphError> {
        let rank = a.dims.len();
        self.require(rank >= 2, "at least two axes", a)?;
        let expected = || format!("the axes before the last two, and then the rows, of the columns of {a}");
        let fits = b.dims.len() == rank
            && a.dims[..rank - 2].iter().zip(&b.dims).all(|(p, q)| p.agrees(q))
            && a.dims[rank - 1].agrees(&b.dims[rank - 2]);
        self.require(fits, expected(), b)?;
        let mut dims = a.dims.clone();
        for (dim, other) in dims[..rank - 2].iter_mut().zip(&b.dims) {
            if *dim == Dim::Any {
                *dim = other.clone();
            }
        }
        dims[rank - 1] = b.dims[rank - 1].clone();
        Ok(TensorType { element: Element::F32, dims })
    }

    pub(super) fn arg_max(&self, axis: usize, mut x: TensorType) -> Result<TensorType, GraphError> {
        self.axis(axis, &x)?;
        let candidates = self.fixed(axis, "candidates", &x)?;
        self.require((1..=256).contains(&candidates), "1 to 256 candidates, to be told apart by a byte", &x)?;
        x.dims.remove(axis);
        Ok(TensorType { element: Element::U8, dims: x.dims })
    }
}
