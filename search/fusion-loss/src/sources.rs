//! What depends on the sources of a batch alone.

use crate::config::ResolvedLoss;
use crate::error::LossError;
use crate::filter::{Filters, parts};
use crate::perceptual::SourceFeatures;
use crate::ssim::{Reference, references};
use crate::vgg::Vgg;
use tch::{Device, Kind, Tensor};

/// Smallest side of an image, px: VGG-16 halves it four times.
pub const MIN_SIDE_PX: i64 = 16;

/// Where each source matters, `[n, 1, h, w]` in [0, 1].
#[derive(Debug)]
pub enum Saliency {
    /// M for infrared, 1 − M for visible, as in the paper; see [`crate::saliency::infrared_weight`].
    Complementary(Tensor),
    /// A map for each source, as in the published code.
    Separate {
        /// Weight of the infrared terms.
        ir: Tensor,
        /// Weight of the visible terms.
        vi: Tensor,
    },
}

/// Source images and everything computed from them, once a batch and without derivatives: nothing here depends on the
/// fusion network's parameters, so that all evaluations of a β step share it.
#[derive(Debug)]
pub struct Sources {
    pub(crate) ir: Tensor,
    pub(crate) vi: Tensor,
    pub(crate) max: Tensor,
    pub(crate) saliency_ir: Tensor,
    pub(crate) saliency_vi: Tensor,
    pub(crate) sobel_ir: Tensor,
    pub(crate) sobel_vi: Tensor,
    pub(crate) sobel_max: Tensor,
    pub(crate) ssim: [Reference; 2],
    pub(crate) features: Option<Vec<SourceFeatures>>,
}

/// The kind and device a loss was made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    pub(crate) kind: Kind,
    pub(crate) device: Device,
}

impl Sources {
    pub(crate) fn new(
        filters: &Filters,
        settings: &ResolvedLoss,
        vgg: Option<&Vgg>,
        placement: Placement,
        [ir, vi]: [&Tensor; 2],
        saliency: &Saliency,
    ) -> Result<Self, LossError> {
        let _guard = tch::no_grad_guard();
        let (saliency_ir, saliency_vi) = match saliency {
            Saliency::Complementary(m) => (m.shallow_clone(), m.f_neg()?.f_add_scalar(1.0)?),
            Saliency::Separate { ir, vi } => (ir.shallow_clone(), vi.shallow_clone()),
        };
        let (ir, vi) = (ir.f_detach()?, vi.f_detach()?);
        check_image("ir", &ir, placement)?;
        for (name, x) in [("vi", &vi), ("infrared saliency", &saliency_ir), ("visible saliency", &saliency_vi)] {
            check_like(name, x, &ir)?;
        }
        for (tensor, x) in
            [("ir", &ir), ("vi", &vi), ("infrared saliency", &saliency_ir), ("visible saliency", &saliency_vi)]
        {
            let finite = x.f_isfinite()?;
            if !bool::try_from(finite.f_all()?)? {
                let count = i64::try_from(finite.f_logical_not()?.f_sum(Kind::Int64)?)?;
                return Err(LossError::NonFiniteSource { tensor, count });
            }
        }
        let both = Tensor::f_cat(&[&ir, &vi], 0)?;
        let [sobel_ir, sobel_vi] = parts(&filters.sobel(&both)?)?;
        let features = vgg.map(|vgg| SourceFeatures::all(vgg, settings.perceptual, &ir, &vi)).transpose()?;
        Ok(Sources {
            max: ir.f_maximum(&vi)?,
            ssim: references(filters, &ir, &vi)?,
            sobel_max: sobel_ir.f_maximum(&sobel_vi)?,
            ir,
            vi,
            saliency_ir,
            saliency_vi,
            sobel_ir,
            sobel_vi,
            features,
        })
    }

    /// Gives back the memory of the features: from now on these sources are as if made without them.
    pub fn forget_features(&mut self) {
        self.features = None;
    }

    /// Infrared images `[n, 1, h, w]`.
    pub fn ir(&self) -> &Tensor {
        &self.ir
    }

    /// Visible luma `[n, 1, h, w]`.
    pub fn vi(&self) -> &Tensor {
        &self.vi
    }
}

/// Refuses what is no batch of grey images of that placement and of a usable size.
fn check_image(tensor: &'static str, x: &Tensor, placement: Placement) -> Result<(), LossError> {
    let found = x.size();
    let &[batch, 1, height_px, width_px] = found.as_slice() else {
        return Err(LossError::Shape { tensor, expected: "[batch, 1, height, width]".to_owned(), found });
    };
    if x.kind() != placement.kind {
        return Err(LossError::Element { tensor, expected: placement.kind, found: x.kind() });
    }
    if x.device() != placement.device {
        return Err(LossError::Device { tensor, expected: placement.device, found: x.device() });
    }
    if batch == 0 {
        return Err(LossError::EmptyBatch { tensor });
    }
    if height_px.min(width_px) < MIN_SIDE_PX {
        return Err(LossError::TooSmall { tensor, least_px: MIN_SIDE_PX, width_px, height_px });
    }
    Ok(())
}

/// Refuses what differs from the infrared images in shape, kind or device.
pub(crate) fn check_like(tensor: &'static str, x: &Tensor, ir: &Tensor) -> Result<(), LossError> {
    if x.size() != ir.size() {
        return Err(LossError::Shape { tensor, expected: format!("{:?}, that of `ir`", ir.size()), found: x.size() });
    }
    if x.kind() != ir.kind() {
        return Err(LossError::Element { tensor, expected: ir.kind(), found: x.kind() });
    }
    if x.device() != ir.device() {
        return Err(LossError::Device { tensor, expected: ir.device(), found: x.device() });
    }
    Ok(())
}
