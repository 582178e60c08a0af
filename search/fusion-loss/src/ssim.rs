//! Structural similarity (Wang et al. 2004) with a Gaussian window and population moments, data range 1.

use crate::config::Definition;
use crate::error::LossError;
use crate::filter::{Filters, parts};
use tch::{Kind, TchError, Tensor};

/// (0.01 · range)²
const C1: f64 = 1e-4;
/// (0.03 · range)²
const C2: f64 = 9e-4;
/// What the published code adds to the denominator.
const OFFICIAL_EPS: f64 = 1e-12;

/// Local mean and variance of one image, `[n, 1, h′, w′]`.
#[derive(Debug)]
struct Moments {
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
    let [ir_mean, vi_mean, ir_square, vi_square] = parts(&means)?;
    Ok([
        Reference { image: ir.shallow_clone(), moments: Moments::new(ir_mean, &ir_square)? },
        Reference { image: vi.shallow_clone(), moments: Moments::new(vi_mean, &vi_square)? },
    ])
}

/// One image compared with both sources.
pub(crate) struct Similarities<'a> {
    filters: &'a Filters,
    definition: Definition,
    fused: Tensor,
    references: &'a [Reference; 2],
    mean: Tensor,
    comparisons: [Comparison; 2],
}

/// The factors of the similarity (2μₐμ_b + C1)(2σ_ab + C2) / ((μₐ² + μ_b² + C1)(σₐ² + σ_b² + C2)), by pixel.
struct Comparison {
    luminance: Tensor,
    structure: Tensor,
    luminance_norm: Tensor,
    structure_norm: Tensor,
    /// The product of both norms, which the published code enlarges a little.
    norm: Tensor,
    similarity: Tensor,
}

impl Comparison {
    fn new(definition: Definition, a: &Moments, b: &Moments, mean_of_product: &Tensor) -> Result<Self, TchError> {
        let means = a.mean.f_mul(&b.mean)?;
        let covariance = mean_of_product.f_sub(&means)?;
        let luminance = means.f_mul_scalar(2.0)?.f_add_scalar(C1)?;
        let structure = covariance.f_mul_scalar(2.0)?.f_add_scalar(C2)?;
        let luminance_norm = a.mean.f_square()?.f_add(&b.mean.f_square()?)?.f_add_scalar(C1)?;
        let structure_norm = a.variance.f_add(&b.variance)?.f_add_scalar(C2)?;
        let norm = luminance_norm.f_mul(&structure_norm)?;
        let norm = match definition {
            Definition::Paper => norm,
            Definition::Official => norm.f_add_scalar(OFFICIAL_EPS)?,
        };
        let similarity = luminance.f_mul(&structure)?.f_div(&norm)?;
        Ok(Comparison { luminance, structure, luminance_norm, structure_norm, norm, similarity })
    }

    /// (1 − similarity) / 2, which the published code clamps to [0, 1].
    fn halved(&self) -> Result<Tensor, TchError> {
        self.similarity.f_neg()?.f_add_scalar(1.0)?.f_mul_scalar(0.5)
    }
}

impl<'a> Similarities<'a> {
    /// The four local means that involve `fused` come from one pass.
    pub(crate) fn new(
        filters: &'a Filters,
        definition: Definition,
        fused: &Tensor,
        references: &'a [Reference; 2],
    ) -> Result<Self, LossError> {
        let [ir, vi] = references;
        let stack = [fused, &fused.f_square()?, &fused.f_mul(&ir.image)?, &fused.f_mul(&vi.image)?];
        let [mean, mean_of_square, with_ir, with_vi] = parts(&filters.mean(&Tensor::f_cat(&stack, 0)?)?)?;
        let own = Moments::new(mean, &mean_of_square)?;
        let comparisons = [
            Comparison::new(definition, &own, &ir.moments, &with_ir)?,
            Comparison::new(definition, &own, &vi.moments, &with_vi)?,
        ];
        Ok(Similarities { filters, definition, fused: fused.shallow_clone(), references, mean: own.mean, comparisons })
    }

    /// The dissimilarity to infrared (0) or visible (1), a scalar, differentiable with respect to the image.
    pub(crate) fn dissimilarity(&self, source: usize) -> Result<Tensor, TchError> {
        let comparison = &self.comparisons[source];
        match self.definition {
            Definition::Paper => comparison.similarity.f_mean(None::<Kind>)?.f_neg()?.f_add_scalar(1.0),
            Definition::Official => comparison.halved()?.f_clamp(0.0, 1.0)?.f_mean(None::<Kind>),
        }
    }

    /// Derivatives of both dissimilarities by the image, `[n, 1, h, w]`.
    ///
    /// The similarity of a pixel depends on the image F by the local means of F, F² and F · reference; the derivatives by these three,
    /// s = LS/N with N = N_L N_S, go back through the window and the products.
    pub(crate) fn slopes(&self) -> Result<[Tensor; 2], LossError> {
        let mut by_means = Vec::with_capacity(6);
        for (c, reference) in self.comparisons.iter().zip(self.references) {
            // Of the mean over all pixels, and of what the published code makes of the similarity.
            let pixels = c.similarity.numel().max(1) as f64;
            let over_norm = match self.definition {
                Definition::Paper => c.norm.f_reciprocal()?.f_mul_scalar(-1.0 / pixels)?,
                Definition::Official => {
                    let inside = c.halved()?;
                    let inside = inside.f_ge(0.0)?.f_logical_and(&inside.f_le(1.0)?)?;
                    c.norm.f_reciprocal()?.f_mul(&inside)?.f_mul_scalar(-0.5 / pixels)?
                }
            };
            let by_product = c.luminance.f_mul(&over_norm)?.f_mul_scalar(2.0)?;
            let scaled = c.similarity.f_mul(&over_norm)?;
            let by_square = scaled.f_mul(&c.luminance_norm)?.f_neg()?;
            let through_covariance =
                c.structure.f_sub(&c.luminance)?.f_mul(&reference.moments.mean)?.f_mul(&over_norm)?;
            let through_norm = c.structure_norm.f_sub(&c.luminance_norm)?.f_mul(&self.mean)?.f_mul(&scaled)?;
            by_means.extend([through_covariance.f_sub(&through_norm)?.f_mul_scalar(2.0)?, by_square, by_product]);
        }
        let back: [Tensor; 6] = parts(&self.filters.mean_adjoint(&Tensor::f_cat(&by_means, 0)?)?)?;
        let slope = |[of_mean, of_square, of_product]: [&Tensor; 3], reference: &Reference| {
            let own = of_square.f_mul(&self.fused)?.f_mul_scalar(2.0)?;
            of_mean.f_add(&own)?.f_add(&of_product.f_mul(&reference.image)?)
        };
        let [a, b, c, d, e, f] = &back;
        let [ir, vi] = self.references;
        Ok([slope([a, b, c], ir)?, slope([d, e, f], vi)?])
    }
}
