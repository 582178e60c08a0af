//! The loss itself.

use crate::config::{Definition, LossConfig, ResolvedLoss, SalientMse, TermScale};
use crate::error::LossError;
use crate::filter::Filters;
use crate::pixel::Pixels;
use crate::sources::{Placement, Saliency, Sources, check_like};
use crate::term::Term;
use crate::terms::{Terms, host};
use crate::vgg::Vgg;
use tch::{Device, Kind, Tensor};

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
        check_like("fused", fused, &sources.ir)?;
        self.assemble(&self.pixels(fused, sources)?, &self.distances(fused, sources)?)
    }

    pub(crate) fn pixels<'a>(&'a self, fused: &Tensor, sources: &'a Sources) -> Result<Pixels<'a>, LossError> {
        Pixels::new(&self.filters, self.settings.definition, fused, sources)
    }

    /// The terms from what they compare; `distances` of the features are `[2]`, unused where there are none.
    pub(crate) fn assemble(&self, pixels: &Pixels<'_>, distances: &Tensor) -> Result<Terms, LossError> {
        let mut values = Vec::with_capacity(self.active.len());
        for term in &self.active {
            values.push(match pixels.value(*term)? {
                Some(value) => value,
                None => distances.f_select(0, i64::from(*term == Term::PerceptualVi))?,
            });
        }
        let fixed = match self.settings.salient_mse {
            SalientMse::Fixed => Some(pixels.fixed()?),
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
        let image = fused.f_detach()?;
        let sizes: Vec<f64> = match self.settings.scale {
            TermScale::Gradient => {
                let (terms, trace) = self.terms_traced(&image, sources)?;
                terms.require_finite()?;
                // Each rank's part counts as if it were the whole batch; the derivative of the whole is the parts side by side.
                let ranks = caf_ranks::size() as f64;
                caf_ranks::mean_numbers(trace.squares()?)?.into_iter().map(|square| (square / ranks).sqrt()).collect()
            }
            TermScale::Value | TermScale::None => {
                let terms = self.terms(&image, sources)?;
                terms.require_finite()?;
                caf_ranks::mean_numbers(host(terms.values())?)?.into_iter().map(f64::abs).collect()
            }
        };
        let sizes: Vec<f64> = sizes.into_iter().zip(self.scales()).map(|(size, scale)| size * scale).collect();
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

    /// The reciprocals of [`FusionLoss::scales`] `[n]`, where they were set.
    pub(crate) fn reciprocals(&self) -> Option<&Tensor> {
        self.scales.as_ref().map(|(_, reciprocals)| reciprocals)
    }

    pub(crate) fn vgg(&self) -> Option<&Vgg> {
        self.vgg.as_ref()
    }

    /// Distances of the features to those of infrared and visible, `[2]`; differentiable.
    fn distances(&self, fused: &Tensor, sources: &Sources) -> Result<Tensor, LossError> {
        let mut sum = Tensor::f_zeros([2], (self.placement.kind, self.placement.device))?;
        if let Some(vgg) = &self.vgg {
            for part in sources.features.as_ref().ok_or(LossError::ForeignSources)? {
                sum = sum.f_add(&part.distances(vgg, self.settings.perceptual, fused)?)?;
            }
        }
        Ok(sum)
    }
}
