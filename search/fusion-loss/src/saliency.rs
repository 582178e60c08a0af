//! Visual saliency maps, and the weight of infrared made from them.
//!
//! A pixel is salient when its grey level is far from the levels of all other pixels: level i of an image with histogram n has
//! raw saliency tᵢ = Σⱼ nⱼ |i − j|, an integer. Two scalings exist ([`SaliencyForm`]). The weight of the infrared image is
//! w_ir = 0.5 + 0.5 (S_ir − S_vi) in [0, 1], that of the visible image 1 − w_ir.
//!
//! Make the maps from whole images and crop them with the images: a crop has another histogram.

use crate::error::LossError;
use serde::{Deserialize, Serialize};

/// Grey levels of an 8-bit image.
const LEVELS: usize = 256;

/// How raw saliency is scaled to [0, 1].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SaliencyForm {
    /// t / max(t). The public map generator of the paper's group (UMF-CMGR) does this, hence the default.
    #[default]
    Max,
    /// (t − min) / (max − min) over the pixels; where they are equal, t clamped to [0, 1]. As in VSMWLS.
    MinMax,
}

/// Raw saliency of every grey level, present in the image or not. `image` is any number of 8-bit grey values.
pub fn level_table(image: &[u8]) -> [u64; LEVELS] {
    let mut histogram = [0u64; LEVELS];
    for level in image {
        histogram[usize::from(*level)] += 1;
    }
    let mut table = [0u64; LEVELS];
    for (level, t) in table.iter_mut().enumerate() {
        *t = histogram.iter().enumerate().map(|(other, n)| n * level.abs_diff(other) as u64).sum();
    }
    table
}

/// Scaled saliency of every grey level in [0, 1]; levels absent from the image have a meaningless entry.
fn scaled_table(image: &[u8], form: SaliencyForm) -> [f64; LEVELS] {
    let raw = level_table(image);
    let present = || image.iter().map(|level| raw[usize::from(*level)]);
    let max = present().max().unwrap_or(0);
    let min = present().min().unwrap_or(0);
    match form {
        SaliencyForm::Max if max == 0 => [0.0; LEVELS],
        SaliencyForm::Max => raw.map(|t| t as f64 / max as f64),
        SaliencyForm::MinMax if max == min => raw.map(|t| t.min(1) as f64),
        SaliencyForm::MinMax => raw.map(|t| (t as f64 - min as f64) / (max - min) as f64),
    }
}

/// The saliency map of an 8-bit grey image, one value in [0, 1] for each pixel.
pub fn saliency(image: &[u8], form: SaliencyForm) -> Vec<f32> {
    let table = scaled_table(image, form);
    image.iter().map(|level| table[usize::from(*level)] as f32).collect()
}

/// The infrared weight w_ir in [0, 1] for each pixel of a pair of 8-bit grey images of one size.
///
/// # Errors
/// When the images have different numbers of pixels.
pub fn infrared_weight(ir: &[u8], vi: &[u8], form: SaliencyForm) -> Result<Vec<f32>, LossError> {
    if ir.len() != vi.len() {
        return Err(LossError::PlaneSize { what: "visible image of a pair", expected: ir.len(), found: vi.len() });
    }
    let (s_ir, s_vi) = (scaled_table(ir, form), scaled_table(vi, form));
    let weight = |(a, b): (&u8, &u8)| (0.5 + 0.5 * (s_ir[usize::from(*a)] - s_vi[usize::from(*b)])) as f32;
    Ok(ir.iter().zip(vi).map(weight).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_count_distances() {
        let table = level_table(&[0, 0, 10]);
        assert_eq!((table[0], table[10], table[255]), (10, 20, 255 + 255 + 245));
    }

    #[test]
    fn one_level_is_nowhere_salient() {
        for form in [SaliencyForm::Max, SaliencyForm::MinMax] {
            assert_eq!(saliency(&[77; 4], form), [0.0; 4]);
            assert_eq!(infrared_weight(&[77; 4], &[3; 4], form).unwrap(), [0.5; 4]);
        }
        assert!(saliency(&[], SaliencyForm::Max).is_empty());
    }

    #[test]
    fn two_equal_levels_are_salient_everywhere() {
        assert_eq!(saliency(&[5, 9, 9, 5], SaliencyForm::Max), [1.0; 4]);
        assert_eq!(saliency(&[5, 9, 9, 5], SaliencyForm::MinMax), [1.0; 4]);
    }

    #[test]
    fn a_rare_level_is_the_most_salient() {
        let ir = [10, 10, 10, 250];
        assert_eq!(saliency(&ir, SaliencyForm::MinMax), [0.0, 0.0, 0.0, 1.0]);
        let third = (1.0f64 / 3.0) as f32;
        assert_eq!(saliency(&ir, SaliencyForm::Max), [third, third, third, 1.0]);
        assert_eq!(infrared_weight(&ir, &[7; 4], SaliencyForm::MinMax).unwrap(), [0.5, 0.5, 0.5, 1.0]);
    }

    #[test]
    fn sizes_must_agree() {
        assert!(matches!(
            infrared_weight(&[1, 2], &[1], SaliencyForm::Max),
            Err(LossError::PlaneSize { expected: 2, found: 1, .. })
        ));
    }
}
