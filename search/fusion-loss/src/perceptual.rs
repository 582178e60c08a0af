//! The perceptual terms: distances of VGG-16 features, worked through in parts of the batch.
//!
//! A distance is a mean over the batch, and VGG-16 has no statistics of a batch: each image can be worked through alone, values and
//! derivatives, and what autograd keeps of it dropped before the next. That is a fraction of the memory, for the same sum.

use crate::config::PerceptualForm;
use crate::error::LossError;
use crate::terms::{mean_abs, mean_square};
use crate::vgg::{COMPARED, Tap, Vgg};
use caf_torch::{GradOptions, gradients};
use tch::{Device, Kind, TchError, Tensor};

/// The published code's factor on the perceptual terms in its total, times the five copies of one feature that it compares.
const PUBLISHED_PERCEPTUAL: f64 = 0.1 * 5.0;
/// Pixels that are worked through at a time on a CPU: more need more memory, fewer leave convolutions of deep layers little to do.
const CPU_PIXELS: i64 = 1 << 16;

/// Features of both sources of some images of a batch.
#[derive(Debug)]
pub(crate) struct SourceFeatures {
    first: i64,
    images: i64,
    /// Share of the batch.
    share: f64,
    /// By source, then by compared layer.
    of: [Vec<Tensor>; 2],
}

impl SourceFeatures {
    /// Those of `ir` and `vi` `[n, 1, h, w]`, without derivatives.
    pub(crate) fn all(vgg: &Vgg, form: PerceptualForm, ir: &Tensor, vi: &Tensor) -> Result<Vec<Self>, TchError> {
        let (n, _, h, w) = ir.size4()?;
        let at_a_time = if ir.device() == Device::Cpu { CPU_PIXELS / (h * w).max(1) } else { n };
        Self::by(at_a_time.max(1), vgg, form, [ir, vi])
    }

    /// [`SourceFeatures::all`] with so many images at a time.
    fn by(at_a_time: i64, vgg: &Vgg, form: PerceptualForm, [ir, vi]: [&Tensor; 2]) -> Result<Vec<Self>, TchError> {
        let (tap, depth) = form.tap();
        let n = ir.size4()?.0;
        let part = |first: i64| {
            let images = at_a_time.min(n - first);
            let of = |source: &Tensor| vgg.features(&source.f_narrow(0, first, images)?, tap, depth);
            Ok(SourceFeatures { first, images, share: images as f64 / n as f64, of: [of(ir)?, of(vi)?] })
        };
        (0..n).step_by(at_a_time as usize).map(part).collect()
    }

    /// These images of a fused batch.
    fn narrowed(&self, fused: &Tensor) -> Result<Tensor, TchError> {
        fused.f_narrow(0, self.first, self.images)
    }

    /// What these images add to the distances to infrared and visible, `[2]`; differentiable with respect to the fused batch.
    pub(crate) fn distances(&self, vgg: &Vgg, form: PerceptualForm, fused: &Tensor) -> Result<Tensor, LossError> {
        self.distances_of(vgg, form, &self.narrowed(fused)?)
    }

    fn distances_of(&self, vgg: &Vgg, form: PerceptualForm, image: &Tensor) -> Result<Tensor, LossError> {
        let (tap, depth) = form.tap();
        // The published code detaches its features: the terms move the weights but never the fusion network.
        let own = match form {
            PerceptualForm::Published => tch::no_grad(|| vgg.features(image, tap, depth))?,
            PerceptualForm::Squared | PerceptualForm::SquaredBeforeRelu | PerceptualForm::L1Squared => {
                vgg.features(image, tap, depth)?
            }
        };
        let [ir, vi] = &self.of;
        if [ir.len(), vi.len()] != [own.len(); 2] {
            return Err(LossError::ForeignSources);
        }
        let scale = form.scale_of_distance(vgg.feature_scale()) * self.share;
        Ok(Tensor::f_stack(&[form.distance(&own, ir)?, form.distance(&own, vi)?], 0)?.f_mul_scalar(scale)?)
    }

    /// The same without a record, and its derivative by these images for each of the combinations `[2]` of both distances,
    /// `[images, 1, h, w]` each.
    pub(crate) fn slopes(
        &self,
        vgg: &Vgg,
        form: PerceptualForm,
        fused: &Tensor,
        combinations: &[Tensor],
    ) -> Result<(Tensor, Vec<Tensor>), LossError> {
        tch::with_grad(|| {
            let image = self.narrowed(&fused.f_detach()?)?.f_set_requires_grad(true)?;
            let distances = self.distances_of(vgg, form, &image)?;
            let mut slopes = Vec::with_capacity(combinations.len());
            for (i, combination) in combinations.iter().enumerate() {
                slopes.push(if distances.requires_grad() {
                    if i > 0 {
                        vgg.count_backward(&image, form.tap().1)?;
                    }
                    let options = GradOptions { keep_graph: i + 1 < combinations.len(), create_graph: false };
                    gradients(&distances.f_dot(combination)?, std::slice::from_ref(&image), options)?.remove(0)
                } else {
                    image.f_detach()?.f_zeros_like()?
                });
            }
            Ok((distances.f_detach()?, slopes))
        })
    }
}

impl PerceptualForm {
    /// Where features are taken, and how many of the compared layers are needed.
    fn tap(self) -> (Tap, usize) {
        match self {
            PerceptualForm::Squared | PerceptualForm::L1Squared => (Tap::AfterRelu, COMPARED.len()),
            PerceptualForm::SquaredBeforeRelu => (Tap::BeforeRelu, COMPARED.len()),
            PerceptualForm::Published => (Tap::AfterRelu, 1),
        }
    }

    /// What a factor on all features does to the distance.
    fn scale_of_distance(self, feature_scale: f64) -> f64 {
        match self {
            PerceptualForm::Squared | PerceptualForm::SquaredBeforeRelu | PerceptualForm::L1Squared => {
                feature_scale * feature_scale
            }
            PerceptualForm::Published => feature_scale,
        }
    }

    /// The distance of two lists of features `[n, c, h, w]`, a scalar: a mean over the images.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::host;
    use crate::vgg::tests::{narrow, waves};

    /// Of five images two at a time, and one that is left over.
    #[test]
    fn parts_of_a_batch_sum_to_the_whole() {
        let vgg = narrow();
        let [ir, vi, fused] = [0.0, 1.3, 2.6].map(|phase| waves(5, phase));
        let each = Tensor::eye(2, (Kind::Double, Device::Cpu));
        for form in [
            PerceptualForm::Squared,
            PerceptualForm::SquaredBeforeRelu,
            PerceptualForm::L1Squared,
            PerceptualForm::Published,
        ] {
            let found = |at_a_time: i64| {
                let parts = SourceFeatures::by(at_a_time, &vgg, form, [&ir, &vi]).unwrap();
                let mut sum = Tensor::zeros([2], (Kind::Double, Device::Cpu));
                let mut slopes = Vec::new();
                for part in &parts {
                    let (distances, of_part) = part.slopes(&vgg, form, &fused, &[each.get(0), each.get(1)]).unwrap();
                    sum += distances;
                    slopes.push(Tensor::stack(&of_part, 0));
                }
                (parts.len(), host(&sum).unwrap(), host(&Tensor::cat(&slopes, 1)).unwrap())
            };
            let (whole, parted) = (found(5), found(2));
            assert_eq!((whole.0, parted.0), (1, 3));
            for (whole, parted) in [(&whole.1, &parted.1), (&whole.2, &parted.2)] {
                let largest = whole.iter().fold(0f64, |m, v| m.max(v.abs()));
                for (a, b) in whole.iter().zip(parted) {
                    assert!((a - b).abs() <= 1e-13 * largest, "{form:?}: {a} {b}");
                }
            }
            let moves = whole.2.iter().any(|slope| *slope != 0.0);
            assert_eq!(moves, form != PerceptualForm::Published, "{form:?}");
        }
    }
}
