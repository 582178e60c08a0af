//! The loss itself.

use crate::config::{Definition, LossConfig, PerceptualForm, ResolvedLoss, SalientMse, TermScale};
use crate::error::LossError;
use crate::filter::Filters;
use crate::sources::{Placement, Saliency, Sources, check_like};
use crate::ssim::dissimilarities;
use crate::term::Term;
use crate::terms::{Terms, host};
use crate::vgg::{COMPARED, FeatureTrace, Tap, Vgg};
use caf_torch::{GradOptions, gradients, norm};
use tch::{Device, Kind, TchError, Tensor};

/// The published code's factor on the perceptual terms in its total, times the five copies of one feature that it compares.
const PUBLISHED_PERCEPTUAL: f64 = 0.1 * 5.0;

/// The fusion loss of one configuration, ready on one device.
#[derive(Debug)]
pub struct FusionLoss {
    config: LossConfig,
    settings: ResolvedLoss,
    filters: Filters,
    vgg: Option<Vgg>,
    active: Vec<Term>,
    /// What the terms are divided by, and the reciprocals `[n]`.
    scales: Option<(Vec<f64>, Tensor)>,
    placement: Placement,
}

impl FusionLoss {
    /// Prepares kernels and reads the VGG-16 file, if the configuration names one.
    ///
    /// # Errors
    /// When that file cannot be used; see [`Vgg::load`].
    pub fn new(config: &LossConfig, device: Device, kind: Kind) -> Result<Self, LossError> {
        let vgg = config.vgg.as_ref().map(|file| Vgg::load(file, device, kind)).transpose()?;
        Self::with_vgg(config, vgg, device, kind)
    }

    /// The same with features given, whatever file the configuration names.
    ///
    /// # Errors
    /// When libtorch refuses the device.
    pub fn with_vgg(config: &LossConfig, vgg: Option<Vgg>, device: Device, kind: Kind) -> Result<Self, LossError> {
        let settings = config.resolved();
        let filters =
            Filters::new(settings.ssim_window_px(), settings.ssim_border, settings.gradient_padding, device, kind)?;
        let active = settings.active_terms(vgg.is_some());
        let placement = Placement { kind, device };
        Ok(FusionLoss { config: config.clone(), settings, filters, vgg, active, scales: None, placement })
    }

    /// The terms with a logit, in the order of the logits.
    pub fn active(&self) -> &[Term] {
        &self.active
    }

    /// The settings in force.
    pub fn settings(&self) -> &ResolvedLoss {
        &self.settings
    }

    /// The configuration with every choice spelled out, those of the VGG-16 file too, to be saved beside a result.
    pub fn spelled_out(&self) -> LossConfig {
        LossConfig { vgg: self.vgg.as_ref().map(Vgg::spelled_out), ..self.config.spelled_out() }
    }

    /// One or two sentences for the start of a run and its record: which definition, how many terms, which features.
    pub fn status(&self) -> String {
        let definition = match self.settings.definition {
            Definition::Paper => "paper",
            Definition::Official => "official",
        };
        let n = self.active.len();
        match &self.vgg {
            Some(vgg) => format!(
                "fusion loss `{definition}` with {n} weighted terms; perceptual terms from {} ({} lineage, features × {:.4})",
                vgg.file().display(),
                vgg.lineage().name(),
                vgg.feature_scale(),
            ),
            None => format!(
                "fusion loss `{definition}` with {n} weighted terms; the perceptual terms are OFF, no VGG-16 file is \
                 configured, and have no weight"
            ),
        }
    }

    /// Everything that depends on the sources alone. `ir`, `vi` and the saliency maps are `[n, 1, h, w]` in [0, 1].
    ///
    /// # Errors
    /// When shapes, element types or devices differ from each other or the loss, the batch is empty, a side is shorter than
    /// [`crate::MIN_SIDE_PX`], or a value is not finite.
    pub fn sources(&self, ir: &Tensor, vi: &Tensor, saliency: &Saliency) -> Result<Sources, LossError> {
        Sources::new(&self.filters, &self.settings, self.vgg.as_ref(), self.placement, [ir, vi], saliency)
    }

    /// The terms of a fused image `[n, 1, h, w]`, about [0, 1] and not clamped; differentiable with respect to it.
    ///
    /// A NaN or infinity in `fused` gives terms that [`Terms::first_non_finite`] finds, not an error.
    ///
    /// # Errors
    /// When `fused` differs from the sources in shape, element type or device, or the sources were made without features.
    pub fn terms(&self, fused: &Tensor, sources: &Sources) -> Result<Terms, LossError> {
        self.evaluate(fused, sources, None)
    }

    /// The terms; what was computed of the features is left in `trace`.
    pub(crate) fn evaluate(
        &self,
        fused: &Tensor,
        sources: &Sources,
        trace: Option<&mut FeatureTrace>,
    ) -> Result<Terms, LossError> {
        check_like("fused", fused, &sources.ir)?;
        let perceptual = self.perceptual(fused, sources, trace)?;
        self.assemble(fused, sources, &perceptual)
    }

    /// The terms, with 0 for those of features.
    pub(crate) fn pixel_terms(&self, fused: &Tensor, sources: &Sources) -> Result<Terms, LossError> {
        self.assemble(fused, sources, &self.no_distances()?)
    }

    fn assemble(&self, fused: &Tensor, sources: &Sources, perceptual: &[Tensor; 2]) -> Result<Terms, LossError> {
        let from_ir = fused.f_sub(&sources.ir)?;
        let from_vi = fused.f_sub(&sources.vi)?;
        let from_max = fused.f_sub(&sources.max)?;
        let salient_ir = from_ir.f_mul(&sources.saliency_ir)?;
        let salient_vi = from_vi.f_mul(&sources.saliency_vi)?;
        let sobel = self.filters.sobel(fused)?;
        let [ssim_ir, ssim_vi] = dissimilarities(&self.filters, self.settings.definition, fused, &sources.ssim)?;
        let [perceptual_ir, perceptual_vi] = perceptual;

        let mut values = Vec::with_capacity(self.active.len());
        for term in &self.active {
            values.push(match term {
                Term::L1Ir => mean_abs(&from_ir)?,
                Term::L1Vi => mean_abs(&from_vi)?,
                Term::L1Max => mean_abs(&from_max)?,
                Term::L1IrSalient => mean_abs(&salient_ir)?,
                Term::L1ViSalient => mean_abs(&salient_vi)?,
                Term::MseIr => mean_square(&from_ir)?,
                Term::MseVi => mean_square(&from_vi)?,
                Term::MseMax => mean_square(&from_max)?,
                Term::SsimIr => ssim_ir.shallow_clone(),
                Term::SsimVi => ssim_vi.shallow_clone(),
                Term::GradIr => mean_abs(&sobel.f_sub(&sources.sobel_ir)?)?,
                Term::GradVi => mean_abs(&sobel.f_sub(&sources.sobel_vi)?)?,
                Term::GradMax => mean_abs(&sobel.f_sub(&sources.sobel_max)?)?,
                Term::PerceptualIr => perceptual_ir.shallow_clone(),
                Term::PerceptualVi => perceptual_vi.shallow_clone(),
                Term::MseIrSalient => mean_square(&salient_ir)?,
                Term::MseViSalient => mean_square(&salient_vi)?,
            });
        }
        let fixed = match self.settings.salient_mse {
            SalientMse::Fixed => Some(mean_square(&salient_ir)?.f_add(&mean_square(&salient_vi)?)?.f_mul_scalar(0.5)?),
            SalientMse::Off | SalientMse::Searched => None,
        };
        let values = Tensor::f_stack(&values, 0)?;
        let values = match &self.scales {
            Some((_, reciprocals)) => values.f_mul(reciprocals)?,
            None => values,
        };
        Terms::new(self.active.clone(), values, fixed)
    }

    /// What the terms are divided by, in the order of the logits; all 1 unless [`FusionLoss::set_scales`] said otherwise.
    pub fn scales(&self) -> Vec<f64> {
        self.scales.as_ref().map_or_else(|| vec![1.0; self.active.len()], |(scales, _)| scales.clone())
    }

    /// Divides every term by its factor from now on; one factor a term, positive and finite.
    ///
    /// # Errors
    /// When their number is not that of the terms, or one is not above 0.
    pub fn set_scales(&mut self, scales: Vec<f64>) -> Result<(), LossError> {
        if scales.len() != self.active.len() {
            return Err(LossError::Logits { expected: self.active.len(), found: vec![scales.len() as i64] });
        }
        if let Some((term, value)) = self.active.iter().zip(&scales).find(|(_, s)| !(s.is_finite() && **s > 0.0)) {
            return Err(LossError::Scale { term: term.name(), found: *value });
        }
        let reciprocals: Vec<f64> = scales.iter().map(|s| 1.0 / s).collect();
        let Placement { kind, device } = self.placement;
        self.scales = Some((scales, Tensor::f_from_slice(&reciprocals)?.f_to_kind(kind)?.f_to_device(device)?));
        Ok(())
    }

    /// Factors as [`LossConfig::scale`] asks for them, on a fused image of a batch, so large that the mean of their reciprocals is 1:
    /// the loss with equal weights keeps its size. None where nothing is to be divided. A term that vanishes on this batch gets the
    /// largest factor of the others, not an infinite weight.
    ///
    /// # Errors
    /// As [`FusionLoss::terms`]; when a term or its gradient is not finite, or all vanish.
    pub fn measure_scales(&self, fused: &Tensor, sources: &Sources) -> Result<Option<Vec<f64>>, LossError> {
        if self.settings.scale == TermScale::None {
            return Ok(None);
        }
        let image = fused.f_detach()?.f_set_requires_grad(true)?;
        let terms = self.terms(&image, sources)?;
        terms.require_finite()?;
        let values = host(terms.values())?;
        let own = self.scales();
        let mut sizes = Vec::with_capacity(self.active.len());
        for (i, (value, scale)) in values.iter().zip(own).enumerate() {
            let size = match self.settings.scale {
                TermScale::Gradient => {
                    let term = terms.values().f_select(0, i as i64)?;
                    let kept = i + 1 < self.active.len();
                    let options = GradOptions { keep_graph: kept, create_graph: false };
                    norm(&gradients(&term, std::slice::from_ref(&image), options)?)?
                }
                TermScale::Value | TermScale::None => value.abs(),
            };
            sizes.push(size * scale);
        }
        if let Some((term, size)) = self.active.iter().zip(&sizes).find(|(_, size)| !size.is_finite()) {
            return Err(LossError::Scale { term: term.name(), found: *size });
        }
        let largest = sizes.iter().copied().fold(0.0, f64::max);
        if largest <= 0.0 {
            return Err(LossError::Scale { term: "all terms", found: largest });
        }
        let sizes: Vec<f64> = sizes.into_iter().map(|size| if size > 0.0 { size } else { largest }).collect();
        let mean = sizes.iter().map(|size| 1.0 / size).sum::<f64>() / sizes.len() as f64;
        Ok(Some(sizes.into_iter().map(|size| size * mean).collect()))
    }

    /// The weights h `[n]` for logits `[n]`; see [`crate::Weighting::weights`].
    ///
    /// # Errors
    /// When a direct weight is negative.
    pub fn weights(&self, logits: &Tensor) -> Result<Tensor, LossError> {
        self.settings.weighting.weights(logits)
    }

    /// Σ hᵢ ℓᵢ plus the fixed part, a scalar, differentiable with respect to the fused image and `logits` `[n]`.
    ///
    /// # Errors
    /// When the number of logits is not that of the terms, or a direct weight is negative.
    pub fn total(&self, terms: &Terms, logits: &Tensor) -> Result<Tensor, LossError> {
        self.settings.weighting.total(terms, logits)
    }

    /// Whether there are terms of features.
    pub(crate) fn has_features(&self) -> bool {
        self.vgg.is_some()
    }

    pub(crate) fn vgg(&self) -> Option<&Vgg> {
        self.vgg.as_ref()
    }

    fn no_distances(&self) -> Result<[Tensor; 2], TchError> {
        let zero = || Tensor::f_zeros([0i64; 0], (self.placement.kind, self.placement.device));
        Ok([zero()?, zero()?])
    }

    fn perceptual(
        &self,
        fused: &Tensor,
        sources: &Sources,
        trace: Option<&mut FeatureTrace>,
    ) -> Result<[Tensor; 2], LossError> {
        let Some(vgg) = &self.vgg else { return Ok(self.no_distances()?) };
        let [of_ir, of_vi] = sources.features.as_ref().ok_or(LossError::ForeignSources)?;
        let form = self.settings.perceptual;
        let (tap, depth) = form.tap();
        // The published code detaches its features: the terms move the weights but never the fusion network.
        let own = match form {
            PerceptualForm::Published => tch::no_grad(|| vgg.features(fused, tap, depth, trace))?,
            PerceptualForm::Squared | PerceptualForm::SquaredBeforeRelu | PerceptualForm::L1Squared => {
                vgg.features(fused, tap, depth, trace)?
            }
        };
        if of_ir.len() != own.len() {
            return Err(LossError::ForeignSources);
        }
        let scale = form.scale_of_distance(vgg.feature_scale());
        let scaled = |other| form.distance(&own, other)?.f_mul_scalar(scale);
        Ok([scaled(of_ir)?, scaled(of_vi)?])
    }
}

impl PerceptualForm {
    /// Where features are taken, and how many of the compared layers are needed.
    pub(crate) fn tap(self) -> (Tap, usize) {
        match self {
            PerceptualForm::Squared | PerceptualForm::L1Squared => (Tap::AfterRelu, COMPARED.len()),
            PerceptualForm::SquaredBeforeRelu => (Tap::BeforeRelu, COMPARED.len()),
            PerceptualForm::Published => (Tap::AfterRelu, 1),
        }
    }

    /// What a factor on all features does to the distance.
    pub(crate) fn scale_of_distance(self, feature_scale: f64) -> f64 {
        match self {
            PerceptualForm::Squared | PerceptualForm::SquaredBeforeRelu | PerceptualForm::L1Squared => {
                feature_scale * feature_scale
            }
            PerceptualForm::Published => feature_scale,
        }
    }

    /// The distance of two lists of features `[n, c, h, w]`, a scalar.
    fn distance(self, own: &[Tensor], other: &[Tensor]) -> Result<Tensor, TchError> {
        let mut layers = Vec::with_capacity(own.len());
        for (a, b) in own.iter().zip(other) {
            let d = a.f_sub(b)?;
            layers.push(match self {
                PerceptualForm::Squared | PerceptualForm::SquaredBeforeRelu => mean_square(&d)?,
                PerceptualForm::Published => mean_abs(&d)?.f_mul_scalar(PUBLISHED_PERCEPTUAL)?,
                PerceptualForm::L1Squared => {
                    let elements = d.size().iter().skip(1).product::<i64>() as f64;
                    let sums =
                        d.f_abs()?.f_flatten(1, -1)?.f_sum_dim_intlist([1i64].as_slice(), false, None::<Kind>)?;
                    mean_square(&sums)?.f_div_scalar(elements)?
                }
            });
        }
        Tensor::f_stack(&layers, 0)?.f_sum(None::<Kind>)
    }
}

fn mean_abs(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_abs()?.f_mean(None::<Kind>)
}

fn mean_square(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_square()?.f_mean(None::<Kind>)
}
