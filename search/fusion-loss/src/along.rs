//! How the terms change when the fused image moves in a direction.

use crate::config::PerceptualForm;
use crate::criterion::FusionLoss;
use crate::error::LossError;
use crate::sources::{Sources, check_like};
use crate::term::Term;
use crate::terms::{Terms, host};
use crate::vgg::FeatureTrace;
use caf_torch::{GradOptions, gradients};
use tch::{Kind, TchError, Tensor};

/// What an evaluation of the terms leaves for [`FusionLoss::terms_along`].
#[derive(Debug)]
pub struct TermsTrace {
    fused: Tensor,
    features: Option<FeatureTrace>,
}

impl FusionLoss {
    /// [`FusionLoss::terms`], and what [`FusionLoss::terms_along`] needs. The trace shares memory with what autograd keeps.
    ///
    /// # Errors
    /// As [`FusionLoss::terms`].
    pub fn terms_traced(&self, fused: &Tensor, sources: &Sources) -> Result<(Terms, TermsTrace), LossError> {
        let mut features = self.has_features().then(FeatureTrace::default);
        let terms = self.evaluate(fused, sources, features.as_mut())?;
        Ok((terms, TermsTrace { fused: fused.f_detach()?, features }))
    }

    /// dℓ(F + t `direction`)/dt at t = 0 for every term, in the order of the logits: the exact derivative, up to rounding. `direction`
    /// is `[n, 1, h, w]` like the fused image F of the trace.
    ///
    /// Features take one pass through VGG-16, with the ReLU and maximum decisions of the trace. The other terms, functions of
    /// an image with one channel, are differentiated twice: (∂ℓ/∂F)ᵀ s is linear in s, so the derivative of ⟨(∂ℓ/∂F)ᵀ s, direction⟩
    /// by s is what is asked for, whatever s is.
    ///
    /// # Errors
    /// When the direction differs from the sources in shape, element type or device.
    pub fn terms_along(&self, trace: TermsTrace, sources: &Sources, direction: &Tensor) -> Result<Vec<f64>, LossError> {
        check_like("direction of the fused image", direction, sources.ir())?;
        let TermsTrace { fused, features } = trace;
        let mut rates = self.pixel_terms_along(&fused, sources, direction)?;
        if let Some(features) = features {
            let perceptual = self.perceptual_along(features, sources, direction)?;
            for ((term, scale), rate) in self.active().iter().zip(self.scales()).zip(&mut rates) {
                match term {
                    Term::PerceptualIr => *rate = perceptual[0] / scale,
                    Term::PerceptualVi => *rate = perceptual[1] / scale,
                    _ => {}
                }
            }
        }
        Ok(rates)
    }

    /// The rates of all terms, with 0 for those of features.
    fn pixel_terms_along(&self, fused: &Tensor, sources: &Sources, direction: &Tensor) -> Result<Vec<f64>, LossError> {
        tch::with_grad(|| {
            let image = fused.f_detach()?.f_set_requires_grad(true)?;
            let terms = self.pixel_terms(&image, sources)?;
            let s = terms.values().f_detach()?.f_zeros_like()?.f_set_requires_grad(true)?;
            let record = GradOptions { keep_graph: true, create_graph: true };
            let pulled = gradients(&terms.values().f_dot(&s)?, std::slice::from_ref(&image), record)?;
            let pulled = pulled.first().ok_or(LossError::ForeignSources)?;
            let along = pulled.f_mul(&direction.f_detach()?)?.f_sum(None::<Kind>)?;
            let rates = gradients(&along, &[s], GradOptions::default())?;
            rates.first().map_or_else(|| Ok(Vec::new()), host)
        })
    }

    fn perceptual_along(
        &self,
        trace: FeatureTrace,
        sources: &Sources,
        direction: &Tensor,
    ) -> Result<[f64; 2], LossError> {
        let _guard = tch::no_grad_guard();
        let (Some(vgg), Some(others)) = (self.vgg(), sources.features.as_ref()) else {
            return Err(LossError::ForeignSources);
        };
        let form = self.settings().perceptual;
        if form == PerceptualForm::Published {
            // Its features are detached from the image.
            return Ok([0.0; 2]);
        }
        let (tap, depth) = form.tap();
        let (own, moving) = vgg.features_along(trace, tap, depth, direction)?;
        let mut rates = [0.0; 2];
        for (rate, other) in rates.iter_mut().zip(others) {
            for ((own, other), moving) in own.iter().zip(other).zip(&moving) {
                *rate += form.distance_along(own, other, moving)?;
            }
            *rate *= form.scale_of_distance(vgg.feature_scale());
        }
        Ok(rates)
    }
}

impl PerceptualForm {
    /// The change of the distance of one layer when `own` moves.
    fn distance_along(self, own: &Tensor, other: &Tensor, moving: &Tensor) -> Result<f64, TchError> {
        let d = own.f_sub(other)?;
        let rate = match self {
            PerceptualForm::Published => return Ok(0.0),
            PerceptualForm::Squared | PerceptualForm::SquaredBeforeRelu => {
                d.f_mul(moving)?.f_mean(None::<Kind>)?.f_mul_scalar(2.0)?
            }
            PerceptualForm::L1Squared => {
                let elements = d.size().iter().skip(1).product::<i64>() as f64;
                let sums = |t: &Tensor| t.f_flatten(1, -1)?.f_sum_dim_intlist([1i64].as_slice(), false, None::<Kind>);
                let (sum, change) = (sums(&d.f_abs()?)?, sums(&d.f_sgn()?.f_mul(moving)?)?);
                sum.f_mul(&change)?.f_mean(None::<Kind>)?.f_mul_scalar(2.0 / elements)?
            }
        };
        f64::try_from(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LossConfig, SalientMse, VggFile};
    use crate::sources::Saliency;
    use crate::vgg::Vgg;
    use crate::vgg_lineage::LineageSetting;
    use caf_weights::{HostTensor, Weights};
    use tch::Device;

    const OPTIONS: (Kind, Device) = (Kind::Double, Device::Cpu);

    fn narrow_vgg() -> Vgg {
        let mut weights = Weights::new();
        let mut input = 3;
        for n in [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28] {
            let wave = |i: usize| ((i * 7 + n) as f32 * 0.618).sin() * 0.4;
            let kernel: Vec<f32> = (0..6 * input * 9).map(wave).collect();
            let bias: Vec<f32> = (0..6).map(|i| wave(i) * 0.1).collect();
            weights
                .insert(format!("features.{n}.weight"), HostTensor::from_f32(&[6, input, 3, 3], &kernel).unwrap())
                .unwrap();
            weights.insert(format!("features.{n}.bias"), HostTensor::from_f32(&[6], &bias).unwrap()).unwrap();
            input = 6;
        }
        let origin = VggFile { file: "narrow".into(), lineage: LineageSetting::Torchvision, ..VggFile::default() };
        Vgg::from_weights(&weights, &origin, Device::Cpu, Kind::Double).unwrap()
    }

    /// Odd sides, so that pooling leaves rows and columns out.
    fn waves(phase: f64) -> Tensor {
        let at = Tensor::arange(2 * 21 * 19, OPTIONS) * 0.37 + phase;
        (at.sin() * 0.3 + (at * 0.013).cos() * 0.2 + 0.5).reshape([2, 1, 21, 19])
    }

    /// Central differences in 64 bits: along a step of 1e-6 a kink is rarely crossed, and moves the mean by less than a part in 10⁴.
    #[test]
    fn the_rates_of_all_terms_are_those_of_differences() {
        for (form, published) in [
            (PerceptualForm::Squared, false),
            (PerceptualForm::SquaredBeforeRelu, false),
            (PerceptualForm::L1Squared, false),
            (PerceptualForm::Published, true),
        ] {
            let config = LossConfig {
                perceptual: Some(form),
                salient_mse: Some(SalientMse::Searched),
                ..if published { LossConfig::official() } else { LossConfig::paper() }
            };
            let mut loss = FusionLoss::with_vgg(&config, Some(narrow_vgg()), Device::Cpu, Kind::Double).unwrap();
            loss.set_scales((0..17).map(|i| 0.5 + f64::from(i) * 0.1).collect()).unwrap();
            let sources = loss.sources(&waves(0.0), &waves(1.3), &Saliency::Complementary(waves(2.6))).unwrap();
            let (fused, direction) = (waves(4.1), waves(9.2) - 0.5);
            let (_, trace) = loss.terms_traced(&fused, &sources).unwrap();
            let rates = loss.terms_along(trace, &sources, &direction).unwrap();
            let at = |step: f64| host(loss.terms(&(&fused + &direction * step), &sources).unwrap().values()).unwrap();
            let step = 1e-6;
            for (((term, rate), plus), minus) in loss.active().iter().zip(&rates).zip(at(step)).zip(at(-step)) {
                let difference = (plus - minus) / (2.0 * step);
                if form == PerceptualForm::Published && term.is_perceptual() {
                    assert_eq!(*rate, 0.0);
                } else {
                    assert!(
                        (rate - difference).abs() < 1e-4 * difference.abs() + 1e-7,
                        "{form:?} {term}: {rate} {difference}"
                    );
                }
            }
            assert!(rates.iter().filter(|rate| rate.abs() > 1e-4).count() >= 13, "{rates:?}");
        }
    }

    #[test]
    fn a_direction_of_another_shape_is_refused() {
        let loss = FusionLoss::new(&LossConfig::paper(), Device::Cpu, Kind::Double).unwrap();
        let sources = loss.sources(&waves(0.0), &waves(1.3), &Saliency::Complementary(waves(2.6))).unwrap();
        let (_, trace) = loss.terms_traced(&waves(4.1), &sources).unwrap();
        let error = loss.terms_along(trace, &sources, &Tensor::zeros([1, 1, 21, 19], OPTIONS)).unwrap_err();
        assert!(error.to_string().contains("direction"), "{error}");
    }
}
