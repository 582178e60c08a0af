//! Cross-entropy of class scores against class masks.

use super::settings::Mean;
use crate::error::SearchError;
use caf_image::IGNORED_LABEL;
use tch::{Kind, Reduction, Tensor};

/// Class scores `[n, classes, h, w]` resampled to a height and width: bilinear between pixel centres.
///
/// # Errors
/// When libtorch refuses.
fn resized(logits: &Tensor, [height, width]: [usize; 2]) -> Result<Tensor, SearchError> {
    Ok(logits.f_upsample_bilinear2d([height as i64, width as i64], false, None, None)?)
}

/// The loss of class scores `[n, classes, h, w]` against labels `[n, H, W]` (64-bit integers; 255 is ignored), to whose size the
/// scores are resampled first: a differentiable scalar, 0 when every pixel is ignored.
///
/// # Errors
/// When shapes do not fit.
pub(super) fn cross_entropy(logits: &Tensor, labels: &Tensor, mean: Mean) -> Result<Tensor, SearchError> {
    let (_, height, width) = labels.size3()?;
    let scores = resized(logits, [height as usize, width as usize])?;
    let ignored = i64::from(IGNORED_LABEL);
    let sum = scores.f_cross_entropy_loss(labels, None::<Tensor>, Reduction::Sum, ignored, 0.0)?;
    let pixels = match mean {
        // Parts of one mean: by the pixels that all ranks have.
        Mean::Valid => {
            let own = i64::try_from(labels.f_ne(ignored)?.f_sum(Kind::Int64)?)? as f64;
            caf_ranks::mean_numbers(vec![own])?.remove(0)
        }
        Mean::All => labels.numel() as f64,
    };
    let least = 1.0 / caf_ranks::size() as f64;
    Ok(sum.f_div_scalar(pixels.max(least))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_golden::{find, json, number};
    use caf_torch::tensor_from_host;
    use caf_weights::load_safetensors;

    /// One value of the scores resampled by hand: centres at +0.5, edges extended.
    fn at(scores: &[Vec<f64>], y: usize, x: usize, [height, width]: [usize; 2]) -> f64 {
        let axis = |i: usize, from: usize, to: usize| {
            let centre = (((i as f64 + 0.5) * from as f64 / to as f64) - 0.5).max(0.0);
            let first = (centre.floor() as usize).min(from - 1);
            (first, (first + 1).min(from - 1), centre - first as f64)
        };
        let (y0, y1, wy) = axis(y, scores.len(), height);
        let (x0, x1, wx) = axis(x, scores[0].len(), width);
        let row = |y: usize| scores[y][x0] + (scores[y][x1] - scores[y][x0]) * wx;
        row(y0) + (row(y1) - row(y0)) * wy
    }

    #[test]
    fn it_is_the_definition_in_float64() {
        let (classes, size) = (3usize, [5usize, 7]);
        let value = |c: usize, y: usize, x: usize| ((c * 7 + y * 3 + x) as f64).sin();
        let planes: Vec<Vec<Vec<f64>>> =
            (0..classes).map(|c| (0..2).map(|y| (0..3).map(|x| value(c, y, x)).collect()).collect()).collect();
        let flat: Vec<f64> = planes.iter().flatten().flatten().copied().collect();
        let logits = Tensor::from_slice(&flat).reshape([1, 3, 2, 3]);
        let labels: Vec<i64> = (0..35).map(|i| if i % 5 == 4 { 255 } else { i % 3 }).collect();
        let mut sum = 0.0;
        for (i, label) in labels.iter().enumerate().filter(|(_, label)| **label != 255) {
            let scores: Vec<f64> = planes.iter().map(|plane| at(plane, i / 7, i % 7, size)).collect();
            sum += scores.iter().map(|s| s.exp()).sum::<f64>().ln() - scores[*label as usize];
        }
        let labels = Tensor::from_slice(&labels).reshape([1, 5, 7]);
        for (mean, pixels) in [(Mean::Valid, 28.0), (Mean::All, 35.0)] {
            let found = cross_entropy(&logits, &labels, mean).unwrap().double_value(&[]);
            assert!((found - sum / pixels).abs() < 1e-12, "{mean:?}: {found} {}", sum / pixels);
        }
        let nothing = labels.full_like(255);
        assert_eq!(cross_entropy(&logits, &nothing, Mean::Valid).unwrap().double_value(&[]), 0.0);
    }

    /// The golden losses of both label sizes and both means, from the golden logits.
    #[test]
    fn the_golden_losses_are_met() {
        let Some(folder) = find("the_golden_losses_are_met", "golden/segformer") else { return };
        let file = load_safetensors(folder.join("tiny.safetensors")).unwrap();
        let expected = json(&folder.join("tiny.json"));
        let tensor = |name: &str| tensor_from_host(file.get(name).unwrap()).unwrap();
        for run in ["nvlabs_eval", "nvlabs_train", "hf_eval", "hf_train"] {
            let logits = tensor(&format!("{run}.logits"));
            for (labels, prefix) in [("labels", "loss"), ("labels_90x121", "loss_90x121")] {
                for (mean, suffix) in [(Mean::Valid, "mean_over_valid"), (Mean::All, "mean_over_all_pixels")] {
                    let found = cross_entropy(&logits, &tensor(labels), mean).unwrap().double_value(&[]);
                    let expected = number(&expected["results"][run][format!("{prefix}_{suffix}")]);
                    // float32 against float64 differs by 7e-7; the set suggests 1e-5.
                    assert!((found - expected).abs() < 1e-5, "{run} {prefix}_{suffix}: {found} {expected}");
                }
            }
        }
    }
}
