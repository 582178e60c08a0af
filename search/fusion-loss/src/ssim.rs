//! Structural similarity (Wang et al. 2004) with a Gaussian window and population moments, data range 1.

use crate::config::Definition;
use crate::error::LossError;
use crate::filter::Filters;
use tch::{Kind, TchError, Tensor};

/// (0.01 · range)²
const C1: f64 = 1e-4;
/// (0.03 · range)²
const C2: f64 = 9e-4;
/// What the published code adds to the denominator.
const OFFICIAL_EPS: f64 = 1e-12;

/// Local mean and variance of one image, `[n, 1, h′, w′]`.
#[derive(Debug)]
pub(crate) struct Moments {
    mean: Tensor,
    variance: Tensor,
}

impl Moments {
    fn new(mean: Tensor, mean_of_square: &Tensor) -> Result<Self, TchError> {
        let variance = mean_of_square.f_sub(&mean.f_square()?)?;
        Ok(Moments { mean, variance })
    }
}

/// An image to be compared with, and its moments.
#[derive(Debug)]
pub(crate) struct Reference {
    image: Tensor,
    moments: Moments,
}

/// Moments of both sources in one pass.
pub(crate) fn references(filters: &Filters, ir: &Tensor, vi: &Tensor) -> Result<[Reference; 2], LossError> {
    let means = filters.mean(&Tensor::f_cat(&[ir, vi, &ir.f_square()?, &vi.f_square()?], 0)?)?;
    let [ir_mean, vi_mean, ir_square, vi_square] = quarters(&means)?;
    Ok([
        Reference { image: ir.shallow_clone(), moments: Moments::new(ir_mean, &ir_square)? },
        Reference { image: vi.shallow_clone(), moments: Moments::new(vi_mean, &vi_square)? },
    ])
}

/// The two dissimilarities of `fused`, scalars. The four local means that involve `fused` come from one pass.
pub(crate) fn dissimilarities(
    filters: &Filters,
    definition: Definition,
    fused: &Tensor,
    references: &[Reference; 2],
) -> Result<[Tensor; 2], LossError> {
    let [ir, vi] = references;
    let stack = [fused, &fused.f_square()?, &fused.f_mul(&ir.image)?, &fused.f_mul(&vi.image)?];
    let [mean, mean_of_square, with_ir, with_vi] = quarters(&filters.mean(&Tensor::f_cat(&stack, 0)?)?)?;
    let own = Moments::new(mean, &mean_of_square)?;
    Ok([
        dissimilarity(definition, &own, &ir.moments, &with_ir)?,
        dissimilarity(definition, &own, &vi.moments, &with_vi)?,
    ])
}

fn dissimilarity(
    definition: Definition,
    a: &Moments,
    b: &Moments,
    mean_of_product: &Tensor,
) -> Result<Tensor, TchError> {
    let means = a.mean.f_mul(&b.mean)?;
    let covariance = mean_of_product.f_sub(&means)?;
    let luminance = means.f_mul_scalar(2.0)?.f_add_scalar(C1)?;
    let structure = covariance.f_mul_scalar(2.0)?.f_add_scalar(C2)?;
    let luminance_norm = a.mean.f_square()?.f_add(&b.mean.f_square()?)?.f_add_scalar(C1)?;
    let structure_norm = a.variance.f_add(&b.variance)?.f_add_scalar(C2)?;
    let norm = luminance_norm.f_mul(&structure_norm)?;
    let similarity = luminance.f_mul(&structure)?;
    match definition {
        Definition::Paper => {
            let mean = similarity.f_div(&norm)?.f_mean(None::<Kind>)?;
            mean.f_neg()?.f_add_scalar(1.0)
        }
        Definition::Official => {
            let map = similarity.f_div(&norm.f_add_scalar(OFFICIAL_EPS)?)?;
            map.f_neg()?.f_add_scalar(1.0)?.f_mul_scalar(0.5)?.f_clamp(0.0, 1.0)?.f_mean(None::<Kind>)
        }
    }
}

fn quarters(x: &Tensor) -> Result<[Tensor; 4], LossError> {
    let size = x.size();
    let parts = x.f_chunk(4, 0)?;
    parts.try_into().map_err(|parts: Vec<Tensor>| LossError::Shape {
        tensor: "local means",
        expected: format!("four parts, found {}", parts.len()),
        found: size,
    })
}
