//! The derivatives of the terms by the fused image, at one image: both a step of the fusion network and the change of the terms along a
//! direction follow from them.

use crate::criterion::FusionLoss;
use crate::error::LossError;
use crate::pixel::PixelSlopes;
use crate::sources::{Sources, check_like};
use crate::term::Term;
use crate::terms::{Terms, host};
use tch::{Kind, TchError, Tensor};

/// What an evaluation of the terms leaves: ∂ℓ/∂F, an image with one channel for each term.
#[derive(Debug)]
pub struct TermsTrace {
    fused: Tensor,
    /// `[terms, pixels]`, in the order of the logits.
    slopes: Tensor,
}

impl TermsTrace {
    /// dℓ(F + t `direction`)/dt at t = 0 for every term, in the order of the logits; `direction` is `[n, 1, h, w]` like the fused image
    /// F of the trace.
    ///
    /// # Errors
    /// When the direction differs from the image in shape, element type or device.
    pub fn along(&self, direction: &Tensor) -> Result<Vec<f64>, LossError> {
        check_like("direction of the fused image", direction, &self.fused)?;
        host(&self.slopes.f_mv(&direction.f_detach()?.f_reshape([-1])?)?)
    }

    /// The square of the Euclidean norm of each term's derivative, in the order of the logits.
    pub(crate) fn squares(&self) -> Result<Vec<f64>, LossError> {
        let squares = self.slopes.f_to_kind(Kind::Double)?.f_square()?;
        host(&squares.f_sum_dim_intlist([1i64].as_slice(), false, None::<Kind>)?)
    }
}

impl FusionLoss {
    /// [`FusionLoss::terms`], differentiable once with respect to the fused image, and their derivatives.
    ///
    /// VGG-16 is worked through in parts of the batch, once forwards and twice backwards, and nothing of that is kept.
    ///
    /// # Errors
    /// As [`FusionLoss::terms`].
    pub fn terms_traced(&self, fused: &Tensor, sources: &Sources) -> Result<(Terms, TermsTrace), LossError> {
        let each = Tensor::f_eye(2, (fused.kind(), fused.device()))?;
        let found = self.found(fused, sources, &[each.f_get(0)?, each.f_get(1)?])?;
        let slopes = self.slopes(&found, found.features.first(), found.features.get(1))?;
        Ok((found.linear(fused, &slopes)?, TermsTrace { fused: fused.f_detach()?, slopes }))
    }

    /// [`FusionLoss::terms`] without a record, and their [`FusionLoss::total`], differentiable once with respect to the fused image.
    ///
    /// VGG-16 is worked through in parts of the batch, once forwards and once backwards (not at all backwards where the image records
    /// nothing), and nothing of that is kept. Without terms of features the derivative has the bits of that of
    /// [`FusionLoss::terms_traced`].
    ///
    /// # Errors
    /// As [`FusionLoss::terms`] and [`FusionLoss::total`].
    pub fn terms_and_total(
        &self,
        fused: &Tensor,
        sources: &Sources,
        logits: &Tensor,
    ) -> Result<(Terms, Tensor), LossError> {
        let logits = logits.f_detach()?;
        if !fused.requires_grad() {
            let terms = self.terms(fused, sources)?;
            let total = self.total(&terms, &logits)?;
            return Ok((terms, total));
        }
        let mut weights = self.weights(&logits)?.f_to_kind(fused.kind())?.f_to_device(fused.device())?;
        if let Some(reciprocals) = self.reciprocals() {
            weights = weights.f_mul(reciprocals)?;
        }
        let weight = |term: Term| match self.active().iter().position(|active| *active == term) {
            Some(at) => weights.f_get(at as i64),
            None => weights.f_get(0)?.f_zeros_like(),
        };
        let of_both = Tensor::f_stack(&[weight(Term::PerceptualIr)?, weight(Term::PerceptualVi)?], 0)?;
        let found = self.found(fused, sources, &[of_both])?;
        // The sum of the features' derivatives is there already, and comes on top of those of the pixels.
        let none = fused.f_detach()?.f_zeros_like()?;
        let pixels = self.slopes(&found, Some(&none), Some(&none))?;
        let mut total = self.total(&found.linear(fused, &pixels)?, &logits)?;
        for of_features in &found.features {
            total = total.f_add(&of_features.f_mul(&displacement(fused)?)?.f_sum(None::<Kind>)?)?;
        }
        Ok((found.terms, total))
    }

    /// Derivatives of all terms `[terms, pixels]`, divided by their scales; those of features are given.
    fn slopes(
        &self,
        found: &Found<'_>,
        perceptual_ir: Option<&Tensor>,
        perceptual_vi: Option<&Tensor>,
    ) -> Result<Tensor, LossError> {
        let of = |term: &Term| match (found.pixels.of(*term)?, term) {
            (Some(slope), _) => Ok(slope.f_reshape([-1])?),
            (None, term) => {
                let slope = if *term == Term::PerceptualVi { perceptual_vi } else { perceptual_ir };
                Ok(slope.ok_or(LossError::ForeignSources)?.f_reshape([-1])?)
            }
        };
        let slopes = Tensor::f_stack(&self.active().iter().map(of).collect::<Result<Vec<_>, LossError>>()?, 0)?;
        Ok(match self.reciprocals() {
            Some(reciprocals) => slopes.f_mul(&reciprocals.f_unsqueeze(1)?)?,
            None => slopes,
        })
    }

    /// Values and derivatives without a record; those of features for each of the `combinations` `[2]` of both distances, none where
    /// there are no features.
    fn found<'a>(
        &'a self,
        fused: &Tensor,
        sources: &'a Sources,
        combinations: &[Tensor],
    ) -> Result<Found<'a>, LossError> {
        check_like("fused", fused, &sources.ir)?;
        let _guard = tch::no_grad_guard();
        let image = fused.f_detach()?;
        let mut distances = Tensor::f_zeros([2], (image.kind(), image.device()))?;
        let mut features = Vec::new();
        if let Some(vgg) = self.vgg() {
            let mut by_part: Vec<Vec<Tensor>> = combinations.iter().map(|_| Vec::new()).collect();
            for part in sources.features.as_ref().ok_or(LossError::ForeignSources)? {
                let (of_part, slopes) = part.slopes(vgg, self.settings().perceptual, &image, combinations)?;
                distances = distances.f_add(&of_part)?;
                by_part.iter_mut().zip(slopes).for_each(|(parts, slope)| parts.push(slope));
            }
            features = by_part.iter().map(|parts| Tensor::f_cat(parts, 0)).collect::<Result<_, TchError>>()?;
        }
        let pixels = self.pixels(&image, sources)?;
        let terms = self.assemble(&pixels, &distances)?;
        Ok(Found { terms, pixels: pixels.slopes()?, features })
    }
}

/// Values of the terms, and derivatives not yet divided by any scale.
struct Found<'a> {
    terms: Terms,
    pixels: PixelSlopes<'a>,
    features: Vec<Tensor>,
}

impl Found<'_> {
    /// The values with these derivatives `[terms, pixels]` by the fused image.
    fn linear(&self, fused: &Tensor, slopes: &Tensor) -> Result<Terms, LossError> {
        let displacement = displacement(fused)?;
        let values = self.terms.values().f_add(&slopes.f_mv(&displacement.f_reshape([-1])?)?)?;
        let fixed = match self.terms.fixed() {
            Some(fixed) => Some(fixed.f_add(&self.pixels.fixed()?.f_mul(&displacement)?.f_sum(None::<Kind>)?)?),
            None => None,
        };
        Terms::new(self.terms.names().to_vec(), values, fixed)
    }
}

/// F − F: zero, with the record of the one and not of the other. A derivative times this is what a value lacks to be differentiable.
fn displacement(fused: &Tensor) -> Result<Tensor, TchError> {
    fused.f_sub(&fused.f_detach()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{GradientPadding, LossConfig, PerceptualForm, SalientMse, SsimBorder};
    use crate::sources::Saliency;
    use crate::vgg::tests::{narrow, waves};
    use caf_torch::{GradOptions, gradients};
    use tch::Device;

    /// Every reading of the terms, with scales.
    fn losses() -> Vec<FusionLoss> {
        let mut losses = Vec::new();
        for (form, published) in [
            (PerceptualForm::Squared, false),
            (PerceptualForm::SquaredBeforeRelu, false),
            (PerceptualForm::L1Squared, false),
            (PerceptualForm::Published, true),
        ] {
            for (border, padding) in
                [(SsimBorder::Valid, GradientPadding::Zero), (SsimBorder::Reflect, GradientPadding::Replicate)]
            {
                let config = LossConfig {
                    perceptual: Some(form),
                    ssim_border: Some(border),
                    gradient_padding: padding,
                    salient_mse: Some(if published { SalientMse::Fixed } else { SalientMse::Searched }),
                    ..if published { LossConfig::official() } else { LossConfig::paper() }
                };
                let mut loss = FusionLoss::with_vgg(&config, Some(narrow()), Device::Cpu, Kind::Double).unwrap();
                loss.set_scales((0..loss.active().len()).map(|i| 0.5 + i as f64 * 0.1).collect()).unwrap();
                losses.push(loss);
            }
        }
        losses
    }

    fn sources(loss: &FusionLoss) -> Sources {
        loss.sources(&waves(2, 0.0), &waves(2, 1.3), &Saliency::Complementary(waves(2, 2.6))).unwrap()
    }

    fn close(what: &str, found: &[f64], expected: &[f64]) {
        let largest = expected.iter().fold(0f64, |m, v| m.max(v.abs()));
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() <= 1e-12 * largest, "{what}: {a} {b}");
        }
    }

    #[test]
    fn values_and_derivatives_are_those_of_autograd() {
        for loss in losses() {
            let sources = sources(&loss);
            let leaf = || waves(2, 4.1).set_requires_grad(true);
            let by = |scalar: &Tensor, image: &Tensor| {
                host(
                    &gradients(
                        scalar,
                        std::slice::from_ref(image),
                        GradOptions { keep_graph: true, create_graph: false },
                    )
                    .unwrap()[0],
                )
                .unwrap()
            };
            let (plain, once) = (leaf(), leaf());
            let expected = loss.terms(&plain, &sources).unwrap();
            let (terms, trace) = loss.terms_traced(&once, &sources).unwrap();
            close("values", &host(terms.values()).unwrap(), &host(expected.values()).unwrap());
            for (i, term) in loss.active().iter().enumerate() {
                let [found, expected] = [(&terms, &once), (&expected, &plain)]
                    .map(|(terms, image)| by(&terms.values().get(i as i64), image));
                close(term.name(), &found, &expected);
                close(term.name(), &host(&trace.slopes.get(i as i64)).unwrap(), &expected);
            }
            let logits = Tensor::arange(loss.active().len() as i64, (Kind::Double, Device::Cpu)) * 0.1;
            let expected_total = loss.total(&expected, &logits).unwrap();
            let of_trace = loss.total(&terms, &logits).unwrap();
            let image = leaf();
            let (bare, total) = loss.terms_and_total(&image, &sources, &logits).unwrap();
            close("bare values", &host(bare.values()).unwrap(), &host(expected.values()).unwrap());
            for (what, found, image) in [("total of the trace", of_trace, &once), ("total", total, &image)] {
                close(what, &host(&found).unwrap(), &host(&expected_total).unwrap());
                close(what, &by(&found, image), &by(&expected_total, &plain));
            }
        }
    }

    /// Central differences in 64 bits: along a step of 1e-6 a kink is rarely crossed, and moves the mean by less than a part in 10⁴.
    #[test]
    fn the_rates_of_all_terms_are_those_of_differences() {
        for loss in losses() {
            let sources = sources(&loss);
            let (fused, direction) = (waves(2, 4.1), waves(2, 9.2) - 0.5);
            let rates = loss.terms_traced(&fused, &sources).unwrap().1.along(&direction).unwrap();
            let at = |step: f64| host(loss.terms(&(&fused + &direction * step), &sources).unwrap().values()).unwrap();
            let step = 1e-6;
            let published = loss.settings().perceptual == PerceptualForm::Published;
            for (((term, rate), plus), minus) in loss.active().iter().zip(&rates).zip(at(step)).zip(at(-step)) {
                let difference = (plus - minus) / (2.0 * step);
                if published && term.is_perceptual() {
                    assert_eq!(*rate, 0.0);
                } else {
                    let gap = (rate - difference).abs();
                    assert!(gap < 1e-4 * difference.abs() + 1e-7, "{term}: {rate} {difference}");
                }
            }
            assert!(rates.iter().filter(|rate| rate.abs() > 1e-4).count() >= 11, "{rates:?}");
        }
    }

    #[test]
    fn a_direction_of_another_shape_is_refused() {
        let loss = FusionLoss::new(&LossConfig::paper(), Device::Cpu, Kind::Double).unwrap();
        let trace = loss.terms_traced(&waves(2, 4.1), &sources(&loss)).unwrap().1;
        let error = trace.along(&waves(1, 0.0)).unwrap_err();
        assert!(error.to_string().contains("direction"), "{error}");
    }
}
