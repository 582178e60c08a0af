//! Integers that stand for floats: the range of a tensor, its steps, and weights brought to them.

use serde::{Deserialize, Serialize};

/// The values that the integers of a tensor stand for, from the smallest to the largest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// What the smallest integer stands for.
    pub min: f64,
    /// What the largest stands for.
    pub max: f64,
}

impl Range {
    /// The least range with both in it.
    #[must_use]
    pub fn join(self, other: Range) -> Range {
        Range { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

/// What activations are stored as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Activations {
    /// Unsigned, zero anywhere: all 256 steps serve the range. What x86 multiplies fastest.
    #[default]
    U8,
    /// Signed, zero in the middle, from −127 to 127. What TensorRT takes.
    S8,
}

/// How the integers of one tensor are read: (integer − zero) · scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Steps {
    pub scale: f32,
    pub zero: i32,
    pub element: Activations,
}

impl Steps {
    /// Steps over a range, zero among them.
    pub fn over(range: Range, element: Activations) -> Steps {
        let (low, high) = (range.min.min(0.0), range.max.max(0.0));
        match element {
            Activations::U8 => {
                let scale = usable((high - low) / 255.0);
                let zero = (-low / f64::from(scale)).round().clamp(0.0, 255.0) as i32;
                Steps { scale, zero, element }
            }
            Activations::S8 => Steps { scale: usable(high.max(-low) / 127.0), zero: 0, element },
        }
    }

    /// What is left of a value that was stored as an integer.
    pub fn stored(self, value: f64) -> f64 {
        let (least, most) = match self.element {
            Activations::U8 => (0.0, 255.0),
            Activations::S8 => (-128.0, 127.0),
        };
        let (scale, zero) = (f64::from(self.scale), f64::from(self.zero));
        (((value / scale).round_ties_even() + zero).clamp(least, most) - zero) * scale
    }
}

/// A scale that can be divided by; for a tensor that is zero everywhere any will do.
fn usable(scale: f64) -> f32 {
    let scale = scale as f32;
    if scale.is_normal() { scale } else { 1.0 }
}

/// A kernel as integers from −`most` to `most`, symmetric, with a scale for each output channel, and its bias in units of input scale
/// times weight scale.
#[derive(Debug, PartialEq)]
pub(crate) struct Kernel {
    pub weight: Vec<i8>,
    pub scales: Vec<f32>,
    pub bias: Option<Vec<i32>>,
}

impl Kernel {
    /// Of a convolution whose first extent is the output channels. A channel of weights so small that its bias would not fit into 32
    /// bits gets larger steps.
    pub fn new(weight: &[f32], bias: Option<&[f32]>, channels: usize, input_scale: f32, most: i8) -> Kernel {
        /// Leaves room for the sum that is added to it.
        const LARGEST_BIAS: f64 = (1u32 << 30) as f64;
        let per_channel = weight.len().checked_div(channels).unwrap_or(0).max(1);
        let mut kernel =
            Kernel { weight: Vec::with_capacity(weight.len()), scales: vec![], bias: bias.map(|_| vec![]) };
        for (channel, values) in weight.chunks(per_channel).enumerate() {
            let largest = values.iter().fold(0.0f64, |most, v| most.max(f64::from(v.abs())));
            let bias = bias.and_then(|bias| bias.get(channel)).map(|b| f64::from(*b));
            let least = bias.map_or(0.0, |b| b.abs() / (LARGEST_BIAS * f64::from(input_scale)));
            let scale = usable((largest / f64::from(most)).max(least));
            let limit = f64::from(most);
            let step = |v: &f32| (f64::from(*v) / f64::from(scale)).round_ties_even().clamp(-limit, limit) as i8;
            kernel.weight.extend(values.iter().map(step));
            kernel.scales.push(scale);
            if let (Some(all), Some(bias)) = (&mut kernel.bias, bias) {
                all.push((bias / (f64::from(input_scale) * f64::from(scale))).round_ties_even() as i32);
            }
        }
        kernel
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_exact_and_the_ends_are_reached() {
        for (min, max) in [(0.0, 6.0), (-1.5, 3.0), (-2.0, -1.0), (0.5, 0.75), (0.0, 0.0), (-1e-45, 1e-45)] {
            let steps = Steps::over(Range { min, max }, Activations::U8);
            let value = |i: i32| f64::from(steps.scale) * f64::from(i - steps.zero);
            assert!(steps.scale.is_normal() && (0..=255).contains(&steps.zero), "{steps:?}");
            if max - min > 1e-30 {
                // The zero is moved to a whole step.
                let half = f64::from(steps.scale) * 0.501;
                assert!(
                    (value(0) - f64::min(min, 0.0)).abs() <= half && (value(255) - f64::max(max, 0.0)).abs() <= half
                );
            }
            assert_eq!(Steps::over(Range { min, max }, Activations::S8).zero, 0);
        }
    }

    #[test]
    fn every_channel_has_its_own_steps_and_its_bias_fits() {
        let weight = [1.0, -0.5, 0.0, 1e-12, -1e-12, 0.0];
        let kernel = Kernel::new(&weight, Some(&[0.25, 3.0]), 2, 0.01, 127);
        assert_eq!(kernel.weight.get(..3), Some(&[127, -64, 0][..]));
        let value = |c: usize| f64::from(kernel.bias.as_ref().unwrap()[c]) * 0.01 * f64::from(kernel.scales[c]);
        assert!((value(0) - 0.25).abs() < 1e-4 && (value(1) - 3.0).abs() < 1e-6, "{kernel:?}");
        assert!(Kernel::new(&weight, None, 2, 0.01, 64).weight.iter().all(|w| (-64..=64).contains(w)));
    }
}
