//! Every choice between the paper, the published code and other readings of the paper, by name.

use crate::saliency::SaliencyForm;
use crate::term::Term;
use crate::vgg_lineage::LineageSetting;
use crate::weighting::Weighting;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Whose definition of the terms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Definition {
    /// The paper's Figure 1. SSIM terms are 1 − SSIM with an 11×11 window.
    #[default]
    Paper,
    /// The published code, as executed. SSIM terms are clamp((1 − SSIM)/2, 0, 1) with a 5×5 window.
    Official,
}

/// What lies outside the image for the Sobel kernels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GradientPadding {
    /// Zeros: every border is an edge. The published code.
    #[default]
    Zero,
    /// The nearest pixel.
    Replicate,
}

/// Where SSIM windows reach over the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SsimBorder {
    /// Only windows that lie inside: the map is smaller than the image.
    Valid,
    /// Mirrored without repeating the edge pixel: the map has the size of the image.
    Reflect,
}

/// How features are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PerceptualForm {
    /// Σ over convolutions 1, 3, 5, 9, 13 of the mean squared difference after ReLU.
    Squared,
    /// The same before ReLU.
    SquaredBeforeRelu,
    /// Σ over the same layers of the batch mean of (Σ|difference|)² / (channels·height·width), after ReLU: the printed
    /// formula taken literally.
    L1Squared,
    /// 0.1 · 5 · mean |difference| after the first convolution and ReLU, without derivatives: what the published code does.
    Published,
}

/// What becomes of the mean squares weighed by saliency, which the paper draws without a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SalientMse {
    /// Left out.
    Off,
    /// Added with the constant weights 0.5 and 0.5, outside the search.
    Fixed,
    /// Terms 16 and 17 of the search.
    Searched,
}

/// What every term is divided by before it is weighted, so that a weight says how much a term counts and not how large it is.
/// The factors are measured once, when training starts ([`crate::FusionLoss::measure_scales`]), and fixed from then on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TermScale {
    /// By nothing: the paper, and the published code.
    #[default]
    None,
    /// By its value.
    Value,
    /// By the Euclidean norm of its gradient in the fused image.
    Gradient,
}

/// A VGG-16 weight file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VggFile {
    /// safetensors or torchvision's `.pth`.
    pub file: PathBuf,
    /// Which input scaling the weights expect.
    #[serde(default)]
    pub lineage: LineageSetting,
    /// Factor on all features before they are compared, positive; left out, that of the lineage
    /// ([`crate::Lineage::feature_scale`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature_scale: Option<f64>,
}

/// The settings as a person writes them; what is left out follows [`Definition`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// Whose definition.
    pub definition: Definition,
    /// How logits become weights.
    pub weighting: Weighting,
    /// Outside the image for the gradient terms.
    pub gradient_padding: GradientPadding,
    /// Border of the SSIM terms; `valid` in `paper`, `reflect` in `official`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssim_border: Option<SsimBorder>,
    /// Comparison of features; `squared` in `paper`, `published` in `official`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perceptual: Option<PerceptualForm>,
    /// Mean squares weighed by saliency; `off` in `paper`, `fixed` in `official`.
    #[serde(rename = "masked_mse", skip_serializing_if = "Option::is_none")]
    pub salient_mse: Option<SalientMse>,
    /// What every term is divided by.
    pub scale: TermScale,
    /// How saliency maps are scaled.
    pub saliency: SaliencyForm,
    /// VGG-16 weights; without them the perceptual terms are off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vgg: Option<VggFile>,
}

/// Settings with nothing left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedLoss {
    /// Whose definition.
    pub definition: Definition,
    /// How logits become weights.
    pub weighting: Weighting,
    /// Outside the image for the gradient terms.
    pub gradient_padding: GradientPadding,
    /// Border of the SSIM terms.
    pub ssim_border: SsimBorder,
    /// Comparison of features.
    pub perceptual: PerceptualForm,
    /// Mean squares weighed by saliency.
    pub salient_mse: SalientMse,
    /// What every term is divided by.
    pub scale: TermScale,
    /// How saliency maps are scaled.
    pub saliency: SaliencyForm,
}

impl LossConfig {
    /// The paper's definition, softmax weights.
    pub fn paper() -> Self {
        LossConfig::default()
    }

    /// The published code's definition.
    pub fn official() -> Self {
        LossConfig { definition: Definition::Official, ..LossConfig::default() }
    }

    /// Fills what was left out by the definition.
    pub fn resolved(&self) -> ResolvedLoss {
        let (border, perceptual, salient) = match self.definition {
            Definition::Paper => (SsimBorder::Valid, PerceptualForm::Squared, SalientMse::Off),
            Definition::Official => (SsimBorder::Reflect, PerceptualForm::Published, SalientMse::Fixed),
        };
        ResolvedLoss {
            definition: self.definition,
            weighting: self.weighting,
            gradient_padding: self.gradient_padding,
            ssim_border: self.ssim_border.unwrap_or(border),
            perceptual: self.perceptual.unwrap_or(perceptual),
            salient_mse: self.salient_mse.unwrap_or(salient),
            scale: self.scale,
            saliency: self.saliency,
        }
    }

    /// The same settings with every choice of the definition spelled out; [`crate::FusionLoss::spelled_out`] adds what the VGG-16
    /// file decided.
    pub fn spelled_out(&self) -> LossConfig {
        let resolved = self.resolved();
        LossConfig {
            ssim_border: Some(resolved.ssim_border),
            perceptual: Some(resolved.perceptual),
            salient_mse: Some(resolved.salient_mse),
            ..self.clone()
        }
    }

    /// The terms that take part, in the order of the logits; see [`ResolvedLoss::active_terms`].
    pub fn active_terms(&self) -> Vec<Term> {
        self.resolved().active_terms(self.vgg.is_some())
    }
}

impl ResolvedLoss {
    /// Side of the SSIM window, px.
    pub fn ssim_window_px(&self) -> i64 {
        match self.definition {
            Definition::Paper => 11,
            Definition::Official => 5,
        }
    }

    /// The terms that take part with or without VGG-16 features, in the order of the logits: that of [`Term::all`].
    pub fn active_terms(&self, features: bool) -> Vec<Term> {
        let searched = self.salient_mse == SalientMse::Searched;
        let takes_part = |t: &Term| (features || !t.is_perceptual()) && (searched || !Term::SALIENT_MSE.contains(t));
        Term::all().filter(takes_part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_follows_the_definition() {
        let paper = LossConfig::paper().resolved();
        assert_eq!((paper.ssim_border, paper.salient_mse), (SsimBorder::Valid, SalientMse::Off));
        let official = LossConfig::official().resolved();
        assert_eq!((official.perceptual, official.ssim_window_px()), (PerceptualForm::Published, 5));
        let spelled = LossConfig { salient_mse: Some(SalientMse::Off), ..LossConfig::official() }.spelled_out();
        assert_eq!((spelled.salient_mse, spelled.ssim_border), (Some(SalientMse::Off), Some(SsimBorder::Reflect)));
        assert_eq!(spelled.spelled_out(), spelled);
    }

    #[test]
    fn unknown_keys_are_refused_and_settings_read_back() {
        let error = serde_json::from_str::<LossConfig>(r#"{"ssim_borders":"valid"}"#).unwrap_err().to_string();
        assert!(error.contains("ssim_borders"), "{error}");
        let text = r#"{"definition":"official","gradient_padding":"replicate","masked_mse":"searched",
                       "weighting":"direct","saliency":"minmax","vgg":{"file":"vgg.safetensors","lineage":"caffe"}}"#;
        let config: LossConfig = serde_json::from_str(text).unwrap();
        assert_eq!(config.active_terms().len(), 17);
        let again: LossConfig = serde_json::from_str(&serde_json::to_string(&config.spelled_out()).unwrap()).unwrap();
        assert_eq!(again, config.spelled_out());
    }

    #[test]
    fn without_features_thirteen_terms_remain() {
        let active = LossConfig::paper().active_terms();
        assert_eq!(active.len(), 13);
        assert!(active.iter().all(|t| !t.is_perceptual()));
    }
}
