//! The fusion-loss terms whose weights the search finds, on libtorch.
//!
//! A fused image F is compared with its infrared and visible sources by fifteen [`Term`]s (seventeen by a setting). The
//! paper and the published code define them differently; a [`LossConfig`] names every choice, and [`LossConfig::resolved`]
//! is what a run records.
//!
//! ```text
//! ir, vi, saliency ──FusionLoss::sources──► Sources (once a batch, no derivatives)
//!                                              │
//! F ──────────────FusionLoss::terms────────────┴─► Terms [n] ──FusionLoss::total(logits)──► scalar
//! ```
//!
//! Images are `[batch, 1, height, width]` floats in [0, 1], infrared or luma; F may leave the range (tanh ends in (−1, 1)).
//! Sides are at least [`MIN_SIDE_PX`]. All tensors have the kind and device the [`FusionLoss`] was made with.
//!
//! [`saliency`] makes the maps from 8-bit images; it needs no libtorch. The perceptual terms need VGG-16 weights from a file
//! ([`Vgg`]); without one they are off, and [`FusionLoss::status`] says so.

mod config;
mod criterion;
mod error;
mod filter;
mod perceptual;
mod pixel;
pub mod saliency;
mod slopes;
mod sources;
mod ssim;
mod term;
mod terms;
mod vgg;
mod vgg_lineage;
mod weighting;

pub use config::{
    Definition, GradientPadding, LossConfig, PerceptualForm, ResolvedLoss, SalientMse, SsimBorder, TermScale, VggFile,
};
pub use criterion::FusionLoss;
pub use error::{LossError, VggFault};
pub use slopes::TermsTrace;
pub use sources::{MIN_SIDE_PX, Saliency, Sources};
pub use term::Term;
pub use terms::Terms;
pub use vgg::Vgg;
pub use vgg_lineage::{Lineage, LineageSetting};
pub use weighting::Weighting;
