//! The terms that compare pixels: their values, and their derivatives by the fused image.
//!
//! The derivatives are written out rather than left to autograd: each is an image with one channel, so that all of them together are small,
//! and both a step of the fusion network and the change of the terms along a direction are sums over them.

use crate::config::Definition;
use crate::error::LossError;
use crate::filter::{Filters, magnitude, parts};
use crate::sources::Sources;
use crate::ssim::Similarities;
use crate::term::Term;
use crate::terms::{mean_abs, mean_square};
use tch::{TchError, Tensor};

/// What a fused image differs by from its sources.
pub(crate) struct Pixels<'a> {
    filters: &'a Filters,
    sources: &'a Sources,
    from_ir: Tensor,
    from_vi: Tensor,
    from_max: Tensor,
    salient_ir: Tensor,
    salient_vi: Tensor,
    /// Sobel's gx and gy, `[n, 2, h, w]`, and |gx| + |gy|.
    edges: Tensor,
    sobel: Tensor,
    similarities: Similarities<'a>,
}

impl<'a> Pixels<'a> {
    pub(crate) fn new(
        filters: &'a Filters,
        definition: Definition,
        fused: &Tensor,
        sources: &'a Sources,
    ) -> Result<Self, LossError> {
        let (from_ir, from_vi) = (fused.f_sub(&sources.ir)?, fused.f_sub(&sources.vi)?);
        let edges = filters.edges(fused)?;
        Ok(Pixels {
            filters,
            sources,
            from_max: fused.f_sub(&sources.max)?,
            salient_ir: from_ir.f_mul(&sources.saliency_ir)?,
            salient_vi: from_vi.f_mul(&sources.saliency_vi)?,
            from_ir,
            from_vi,
            sobel: magnitude(&edges)?,
            edges,
            similarities: Similarities::new(filters, definition, fused, &sources.ssim)?,
        })
    }

    /// A term's value, a scalar, differentiable with respect to the fused image; none for terms of features.
    pub(crate) fn value(&self, term: Term) -> Result<Option<Tensor>, TchError> {
        let edge = |of_sources: &Tensor| mean_abs(&self.sobel.f_sub(of_sources)?);
        Ok(Some(match term {
            Term::L1Ir => mean_abs(&self.from_ir)?,
            Term::L1Vi => mean_abs(&self.from_vi)?,
            Term::L1Max => mean_abs(&self.from_max)?,
            Term::L1IrSalient => mean_abs(&self.salient_ir)?,
            Term::L1ViSalient => mean_abs(&self.salient_vi)?,
            Term::MseIr => mean_square(&self.from_ir)?,
            Term::MseVi => mean_square(&self.from_vi)?,
            Term::MseMax => mean_square(&self.from_max)?,
            Term::SsimIr => self.similarities.dissimilarity(0)?,
            Term::SsimVi => self.similarities.dissimilarity(1)?,
            Term::GradIr => edge(&self.sources.sobel_ir)?,
            Term::GradVi => edge(&self.sources.sobel_vi)?,
            Term::GradMax => edge(&self.sources.sobel_max)?,
            Term::MseIrSalient => mean_square(&self.salient_ir)?,
            Term::MseViSalient => mean_square(&self.salient_vi)?,
            Term::PerceptualIr | Term::PerceptualVi => return Ok(None),
        }))
    }

    /// The fixed part of the loss: half the sum of the mean squares weighed by saliency.
    pub(crate) fn fixed(&self) -> Result<Tensor, TchError> {
        mean_square(&self.salient_ir)?.f_add(&mean_square(&self.salient_vi)?)?.f_mul_scalar(0.5)
    }

    /// Derivatives by the fused image.
    pub(crate) fn slopes(self) -> Result<PixelSlopes<'a>, LossError> {
        let s = self.sources;
        // What one pixel of a mean counts.
        let share = 1.0 / self.from_ir.numel().max(1) as f64;
        // d mean|S − T| / dF: through S = |gx| + |gy| back to the pixels, for three T in one pass.
        let edge = |of_sources: &Tensor| self.edges.f_sgn()?.f_mul(&self.sobel.f_sub(of_sources)?.f_sgn()?);
        let edges = [edge(&s.sobel_ir)?, edge(&s.sobel_vi)?, edge(&s.sobel_max)?];
        let edges = self.filters.edges_adjoint(&Tensor::f_cat(&edges, 0)?)?.f_mul_scalar(share)?;
        let (edges, dissimilarities) = (parts(&edges)?, self.similarities.slopes()?);
        Ok(PixelSlopes { pixels: self, share, edges, dissimilarities })
    }
}

/// Derivatives of the terms by the fused image; `[n, 1, h, w]` each.
pub(crate) struct PixelSlopes<'a> {
    pixels: Pixels<'a>,
    share: f64,
    edges: [Tensor; 3],
    dissimilarities: [Tensor; 2],
}

impl PixelSlopes<'_> {
    /// That of a term; none for terms of features.
    pub(crate) fn of(&self, term: Term) -> Result<Option<Tensor>, TchError> {
        let Pixels { sources, from_ir, from_vi, from_max, salient_ir, salient_vi, .. } = &self.pixels;
        let sign = |d: &Tensor| d.f_sgn()?.f_mul_scalar(self.share);
        let twice = |d: &Tensor| d.f_mul_scalar(2.0 * self.share);
        Ok(Some(match term {
            Term::L1Ir => sign(from_ir)?,
            Term::L1Vi => sign(from_vi)?,
            Term::L1Max => sign(from_max)?,
            Term::L1IrSalient => sign(salient_ir)?.f_mul(&sources.saliency_ir)?,
            Term::L1ViSalient => sign(salient_vi)?.f_mul(&sources.saliency_vi)?,
            Term::MseIr => twice(from_ir)?,
            Term::MseVi => twice(from_vi)?,
            Term::MseMax => twice(from_max)?,
            Term::SsimIr => self.dissimilarities[0].shallow_clone(),
            Term::SsimVi => self.dissimilarities[1].shallow_clone(),
            Term::GradIr => self.edges[0].shallow_clone(),
            Term::GradVi => self.edges[1].shallow_clone(),
            Term::GradMax => self.edges[2].shallow_clone(),
            Term::MseIrSalient => twice(salient_ir)?.f_mul(&sources.saliency_ir)?,
            Term::MseViSalient => twice(salient_vi)?.f_mul(&sources.saliency_vi)?,
            Term::PerceptualIr | Term::PerceptualVi => return Ok(None),
        }))
    }

    /// That of the fixed part of the loss.
    pub(crate) fn fixed(&self) -> Result<Tensor, TchError> {
        let Pixels { sources, salient_ir, salient_vi, .. } = &self.pixels;
        let sum = salient_ir.f_mul(&sources.saliency_ir)?.f_add(&salient_vi.f_mul(&sources.saliency_vi)?)?;
        sum.f_mul_scalar(self.share)
    }
}
