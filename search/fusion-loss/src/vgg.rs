//! The convolutions of VGG-16 (Simonyan and Zisserman, configuration D).
//!
//! Thirteen 3×3 convolutions with one zero of padding, each followed by ReLU; 2×2 maximum pooling after the second, fourth,
//! seventh and tenth. Widths come from the file, so that a narrow network of the same layout can stand in for tests.

use crate::config::VggFile;
use crate::error::{LossError, VggFault};
use crate::vgg_lineage::{Lineage, LineageSetting};
use caf_torch::{Passes, TorchError, Window, convolve, count_conv_flop, count_passes, tensor_from_host};
use caf_weights::{HostTensor, Weights, read_weights};
use std::path::{Path, PathBuf};
use tch::{Device, Kind, TchError, Tensor};

/// Positions of the convolutions in torchvision's `features` sequence, by which the tensors are named.
const NAMED: [usize; 13] = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28];
/// Output channels of the convolutions.
const WIDTHS: [usize; 13] = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512];
/// Convolutions, counted from 1, after which the sides are halved.
const POOLED: [usize; 4] = [2, 4, 7, 10];
/// Convolutions whose features the paper compares, counted from 1: conv1_1, conv2_1, conv3_1, conv4_2, conv5_3.
pub(crate) const COMPARED: [usize; 5] = [1, 3, 5, 9, 13];

/// Whether features are taken before or after ReLU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tap {
    BeforeRelu,
    AfterRelu,
}

/// VGG-16 up to its last convolution, without derivatives for its weights.
#[derive(Debug)]
pub struct Vgg {
    layers: Vec<(Tensor, Tensor)>,
    factor: Tensor,
    offset: Tensor,
    lineage: Lineage,
    feature_scale: f64,
    file: PathBuf,
}

impl Vgg {
    /// Reads a safetensors file or an original checkpoint. Tensors other than the thirteen convolutions (a classifier) are ignored.
    ///
    /// # Errors
    /// When the file cannot be read, tensors are missing, misshapen or not finite (all are listed), or the lineage is unclear.
    pub fn load(file: &VggFile, device: Device, kind: Kind) -> Result<Self, LossError> {
        Self::from_weights(&read_weights(&file.file)?.weights, file, device, kind)
    }

    /// Takes `features.N.weight` `[out, in, 3, 3]` and `features.N.bias` `[out]` of any float type; `origin` names the file
    /// in messages and holds the lineage setting.
    ///
    /// # Errors
    /// See [`Vgg::load`].
    pub fn from_weights(weights: &Weights, origin: &VggFile, device: Device, kind: Kind) -> Result<Self, LossError> {
        let refused = |source| LossError::Vgg { path: origin.file.clone(), source };
        let mut faults = Vec::new();
        let mut layers = Vec::with_capacity(NAMED.len());
        let mut input = 3;
        for n in NAMED {
            let (weight, bias) = (format!("features.{n}.weight"), format!("features.{n}.bias"));
            let output = weights.get(&weight).and_then(|t| t.shape().first().copied()).unwrap_or(0);
            let weight = checked(weights, &weight, &[output, input, 3, 3]);
            let bias = checked(weights, &bias, &[output]);
            input = output;
            match (weight, bias) {
                (Ok(weight), Ok(bias)) => {
                    let place = |t: Tensor| t.f_to_kind(kind)?.f_to_device(device);
                    layers.push((place(tensor_from_host(weight)?)?, place(tensor_from_host(bias)?)?));
                }
                (weight, bias) => faults.extend(weight.err().into_iter().chain(bias.err())),
            }
        }
        if !faults.is_empty() {
            return Err(refused(VggFault::Tensors(faults)));
        }
        let lineage = origin.lineage.resolve(weights).map_err(refused)?;
        let feature_scale = origin.feature_scale.unwrap_or_else(|| lineage.feature_scale());
        if !(feature_scale.is_finite() && feature_scale > 0.0) {
            return Err(LossError::FeatureScale { found: feature_scale });
        }
        let scaling = lineage.input_scaling();
        let channels = |values: [f64; 3]| {
            Tensor::f_from_slice(&values)?.f_reshape([1, 3, 1, 1])?.f_to_kind(kind)?.f_to_device(device)
        };
        Ok(Vgg {
            layers,
            factor: channels(scaling.map(|(factor, _)| factor))?,
            offset: channels(scaling.map(|(_, offset)| offset))?,
            lineage,
            feature_scale,
            file: origin.file.clone(),
        })
    }

    /// Features of the full widths that have learned nothing, always the same: for measuring time, which does not depend on values.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn untrained(device: Device, kind: Kind) -> Result<Self, LossError> {
        let weights = untrained().map_err(LossError::CafTorch)?;
        let origin = VggFile { file: "untrained".into(), lineage: LineageSetting::Torchvision, ..VggFile::default() };
        Self::from_weights(&weights, &origin, device, kind)
    }

    /// Where the weights came from.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Which input scaling is used.
    pub fn lineage(&self) -> Lineage {
        self.lineage
    }

    /// Factor on features before they are compared.
    pub fn feature_scale(&self) -> f64 {
        self.feature_scale
    }

    /// The file with lineage and scale as they are in force.
    pub fn spelled_out(&self) -> VggFile {
        VggFile { file: self.file.clone(), lineage: self.lineage.setting(), feature_scale: Some(self.feature_scale) }
    }

    /// Features of grey images `[n, 1, h, w]` in [0, 1], repeated to three channels and not yet scaled, after the first `depth` of
    /// [`COMPARED`]; nothing deeper is computed.
    pub(crate) fn features(&self, gray: &Tensor, tap: Tap, depth: usize) -> Result<Vec<Tensor>, TchError> {
        let compared = COMPARED.get(..depth).unwrap_or(&COMPARED);
        let last = compared.last().copied().unwrap_or(0);
        let mut features = Vec::with_capacity(compared.len());
        let mut x = gray.f_mul(&self.factor)?.f_add(&self.offset)?;
        for (number, (weight, bias)) in (1..=last).zip(&self.layers) {
            x = convolve(&x, weight, Some(bias), &Window::same(1))?;
            let compared = compared.contains(&number);
            if compared && tap == Tap::BeforeRelu {
                features.push(x.shallow_clone());
                x = x.f_relu()?;
            } else {
                // In place: the derivative of a convolution does not need its result.
                x = x.f_relu_()?;
            }
            if compared && tap == Tap::AfterRelu {
                features.push(x.shallow_clone());
            }
            if POOLED.contains(&number) {
                x = x.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)?;
            }
        }
        let recorded = features.iter().any(Tensor::requires_grad);
        count(gray, |passes, images| {
            passes.forward += images;
            passes.backward += if recorded { images } else { 0 };
        });
        Ok(features)
    }

    /// Counts one more pass backwards through what [`Vgg::features`] recorded of these images.
    pub(crate) fn count_backward(&self, gray: &Tensor, depth: usize) -> Result<(), TchError> {
        let last = COMPARED.get(..depth).unwrap_or(&COMPARED).last().copied().unwrap_or(0);
        let (n, _, mut h, mut w) = gray.size4()?;
        for (number, (weight, _)) in (1..=last).zip(&self.layers) {
            count_conv_flop(2.0 * (n * h * w) as f64 * weight.numel() as f64);
            if POOLED.contains(&number) {
                (h, w) = (h / 2, w / 2);
            }
        }
        count(gray, |passes, images| passes.backward += images);
        Ok(())
    }
}

fn count(images: &Tensor, add: impl FnOnce(&mut Passes, u64)) {
    let images = images.size().first().copied().unwrap_or(0).cast_unsigned();
    count_passes("vgg16", |passes| add(passes, images));
}

fn untrained() -> Result<Weights, TorchError> {
    let mut weights = Weights::new();
    let mut input = 3;
    for (n, output) in NAMED.into_iter().zip(WIDTHS) {
        // The variance that ReLU keeps: values neither vanish nor grow.
        let scale = (2.0 / (9 * input) as f32).sqrt();
        let wave = |i: usize| (i as f32 * 0.618).sin() * std::f32::consts::SQRT_2 * scale;
        let kernel: Vec<f32> = (0..output * input * 9).map(wave).collect();
        weights.insert(format!("features.{n}.weight"), HostTensor::from_f32(&[output, input, 3, 3], &kernel)?)?;
        weights.insert(format!("features.{n}.bias"), HostTensor::from_f32(&[output], &vec![0.0; output])?)?;
        input = output;
    }
    Ok(weights)
}

/// A tensor of that shape, or what is wrong with it.
fn checked<'a>(weights: &'a Weights, name: &str, shape: &[usize]) -> Result<&'a HostTensor, String> {
    let host = weights.get(name).ok_or_else(|| format!("`{name}` is missing"))?;
    if host.shape() != shape || host.is_empty() {
        return Err(format!("`{name}` has shape {:?}, expected {shape:?}", host.shape()));
    }
    let values = host.to_f32_vec().map_err(|error| format!("`{name}`: {error}"))?;
    match values.iter().position(|v| !v.is_finite()) {
        Some(at) => Err(format!("`{name}` is not finite at element {at}")),
        None => Ok(host),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Six channels throughout.
    pub(crate) fn narrow() -> Vgg {
        let mut weights = Weights::new();
        let mut input = 3;
        for n in NAMED {
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

    /// Images with odd sides, so that pooling leaves rows and columns out.
    pub(crate) fn waves(images: i64, phase: f64) -> Tensor {
        let at = Tensor::arange(images * 21 * 19, (Kind::Double, Device::Cpu)) * 0.37 + phase;
        (at.sin() * 0.3 + (at * 0.013).cos() * 0.2 + 0.5).reshape([images, 1, 21, 19])
    }

    #[test]
    fn a_second_pass_backwards_counts_as_much_as_the_first() {
        let (vgg, image) = (narrow(), waves(2, 0.0));
        let work = |record: bool| {
            let image = image.detach().set_requires_grad(record);
            caf_torch::counted(|| vgg.features(&image, Tap::AfterRelu, 5).unwrap()).1
        };
        let again = caf_torch::counted(|| vgg.count_backward(&image, 5).unwrap()).1;
        assert_eq!(work(false).conv_flop + again.conv_flop, work(true).conv_flop);
        assert_eq!((again.passes["vgg16"].forward, again.passes["vgg16"].backward), (0, 2));
    }
}
