//! Ops that join, cut and rearrange, and those that repeat extents of 1.

use super::site::Site;
use crate::error::GraphError;
use crate::op::Extent;
use crate::tensor::{Dim, Element, TensorType};

impl Site<'_> {
    pub(super) fn broadcast(&self, [a, b]: [&TensorType; 2]) -> Result<TensorType, GraphError> {
        self.require(a.dims.len() == b.dims.len(), format!("as many axes as {a}"), b)?;
        let mut joined = a.clone();
        for (dim, other) in joined.dims.iter_mut().zip(&b.dims) {
            *dim = match (&*dim, other) {
                (p, Dim::Fixed(1)) => p.clone(),
                (Dim::Fixed(1), q) => q.clone(),
                (p, q) if !p.agrees(q) => {
                    return Err(self.error(format!("{a}, or 1 where extents differ"), b.to_string()));
                }
                (Dim::Any, q) => q.clone(),
                (p, _) => p.clone(),
            };
        }
        Ok(joined)
    }

    pub(super) fn constant(
        &self,
        shape: &[usize],
        values: &[f32],
        inputs: &[&TensorType],
    ) -> Result<TensorType, GraphError> {
        if !inputs.is_empty() {
            return Err(self.arity("0", inputs.len()));
        }
        let len = shape.iter().try_fold(1usize, |n, extent| n.checked_mul(*extent));
        if len != Some(values.len()) {
            return Err(self.error(format!("values for {shape:?}"), format!("{} values", values.len())));
        }
        Ok(TensorType { element: Element::F32, dims: shape.iter().map(|n| Dim::Fixed(*n)).collect() })
    }

    pub(super) fn concat(&self, axis: usize, inputs: &[&TensorType]) -> Result<TensorType, GraphError> {
        let Some((first, rest)) = inputs.split_first() else {
            return Err(self.arity("1 or more", 0));
        };
        self.require(first.element == Element::F32, "floats", first)?;
        self.axis(axis, first)?;
        let rank = first.dims.len();
        let mut joined = (*first).clone();
        for x in rest {
            let fits = x.element == Element::F32
                && x.dims.len() == rank
                && (0..rank).all(|i| i == axis || x.dims[i].agrees(&joined.dims[i]));
            self.require(fits, format!("{first} but for extent {axis}"), x)?;
            joined.dims[axis] = match (&joined.dims[axis], &x.dims[axis]) {
                (Dim::Fixed(a), Dim::Fixed(b)) => Dim::Fixed(a + b),
                _ => Dim::Any,
            };
            for i in (0..rank).filter(|i| *i != axis) {
                if joined.dims[i] == Dim::Any {
                    joined.dims[i] = x.dims[i].clone();
                }
            }
        }
        Ok(joined)
    }

    pub(super) fn slice(
        &self,
        axis: usize,
        start: usize,
        len: usize,
        mut x: TensorType,
    ) -> Result<TensorType, GraphError> {
        self.axis(axis, &x)?;
        let extent = self.fixed(axis, "elements to cut from", &x)?;
        let fits = len > 0 && start.checked_add(len).is_some_and(|end| end <= extent);
        self.require(fits, format!("at least {start} + {len} elements along axis {axis}"), &x)?;
        x.dims[axis] = Dim::Fixed(len);
        Ok(x)
    }

    pub(super) fn reshape(&self, shape: &[Extent], inputs: &[&TensorType]) -> Result<TensorType, GraphError> {
        let Some(x) = inputs.first() else {
            return Err(self.arity("1 or more", 0));
        };
        self.require(x.element == Element::F32, "floats", x)?;
        let rests = shape.iter().filter(|e| **e == Extent::Rest).count();
        self.require(rests <= 1, "at most one extent that takes the rest", x)?;
        let lent_once = |extent: &Extent| match extent {
            Extent::Of { input: 0, .. } => shape.iter().filter(|e| *e == extent).count() == 1,
            _ => true,
        };
        self.require(shape.iter().all(lent_once), "each axis at most once", x)?;
        let mut dims = Vec::with_capacity(shape.len());
        for extent in shape {
            dims.push(match *extent {
                Extent::Fixed(n) => Dim::Fixed(n),
                Extent::Of { input, axis } => match inputs.get(input).and_then(|t| t.dims.get(axis)) {
                    Some(dim) => dim.clone(),
                    None => return Err(self.error(format!("an input {input} with an axis {axis}"), x.to_string())),
                },
                Extent::Rest => Dim::Any,
            });
        }
        // What an axis of the input itself lends cancels out, known or not.
        let lent = |axis| shape.contains(&Extent::Of { input: 0, axis });
        let left = x.dims.iter().enumerate().filter(|(axis, _)| !lent(*axis)).map(|(_, dim)| dim);
        let other = |extent: &Extent| !matches!(extent, Extent::Rest | Extent::Of { input: 0, .. });
        let asked = shape.iter().zip(&dims).filter(|(extent, _)| other(extent)).map(|(_, dim)| dim);
        let (Some(left), Some(asked)) = (product(left), product(asked)) else {
            return Ok(TensorType { element: Element::F32, dims });
        };
        let fits = if rests == 0 { left == asked } else { asked > 0 && left.is_multiple_of(asked) };
        self.require(fits, format!("elements for {shape:?}"), x)?;
        if let Some(at) = shape.iter().position(|e| *e == Extent::Rest) {
            dims[at] = Dim::Fixed(left / asked);
        }
        Ok(TensorType { element: Element::F32, dims })
    }

    pub(super) fn permute(&self, order: &[usize], x: TensorType) -> Result<TensorType, GraphError> {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        self.require(sorted.into_iter().eq(0..x.dims.len()), format!("axes to bring into the order {order:?}"), &x)?;
        let dims = order.iter().map(|axis| x.dims[*axis].clone()).collect();
        Ok(TensorType { element: Element::F32, dims })
    }
}

/// Number of elements where every extent is fixed.
fn product<'d>(mut dims: impl Iterator<Item = &'d Dim>) -> Option<usize> {
    dims.try_fold(1usize, |n, dim| match dim {
        Dim::Fixed(extent) => n.checked_mul(*extent),
        Dim::Named(_) | Dim::Shifted { .. } | Dim::Any => None,
    })
}

#[cfg(test)]
mod tests {
    use crate::op::{Extent, Op};
    use crate::{Builder, Dim, GraphError, TensorType};

    fn reshaped(height: Dim, shape: Vec<Extent>) -> Result<String, GraphError> {
        let mut b = Builder::new("reshape");
        let x = b.input("x", TensorType::nchw(Dim::Named("n".to_owned()), 6, height, Dim::Fixed(5)))?;
        let y = b.node("y", Op::Reshape { shape }, &[x])?;
        Ok(b.type_of(y).to_string())
    }

    #[test]
    fn what_is_left_is_known_though_the_batch_is_not() {
        let of = |axis| Extent::Of { input: 0, axis };
        let open = || Dim::Named("h".to_owned());
        let rows = |height| reshaped(height, vec![of(0), Extent::Rest, Extent::Fixed(3)]);
        assert_eq!(rows(Dim::Fixed(4)).unwrap(), "f32[n, 40, 3]");
        assert_eq!(rows(open()).unwrap(), "f32[n, ?, 3]");
        let moved = reshaped(open(), vec![of(2), of(0), Extent::Rest]);
        assert_eq!(moved.unwrap(), "f32[h, n, 30]");
        for wrong in [
            vec![of(0), Extent::Fixed(7), Extent::Rest],
            vec![of(0), Extent::Fixed(4), of(2), of(3)],
            vec![of(0), of(0), Extent::Rest],
            vec![of(0), Extent::Rest, Extent::Rest],
            vec![of(4), Extent::Rest],
        ] {
            let error = reshaped(Dim::Fixed(4), wrong.clone());
            assert!(matches!(error, Err(GraphError::Shape { op: "reshape", .. })), "{wrong:?}");
        }
    }
}
