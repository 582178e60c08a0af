//! A normalisation put into the convolution before it.

use crate::error::ExportError;
use caf_net::{Graph, Norm, Op, Value};
use std::collections::HashMap;

/// What a normalisation does in evaluation: y = (x − mean) / √(variance + eps) · scale + shift.
pub(crate) struct NormValues {
    pub scale: Vec<f64>,
    pub shift: Vec<f64>,
    pub mean: Vec<f64>,
    pub variance: Vec<f64>,
    pub eps: f64,
}

/// A convolution's kernel (outermost extent: output channels) and bias.
pub(crate) struct ConvValues {
    pub weight: Vec<f64>,
    pub bias: Vec<f64>,
}

/// One convolution that does what both did. In double precision, so that only the last rounding to single is lost.
///
/// # Errors
/// [`ExportError::Variance`] when a variance has no root; `node` is named then.
pub(crate) fn fold(node: &str, mut conv: ConvValues, norm: &NormValues) -> Result<ConvValues, ExportError> {
    let channels = conv.bias.len();
    let per_channel = conv.weight.len().checked_div(channels).unwrap_or(0).max(1);
    let parts = norm.scale.iter().zip(&norm.shift).zip(norm.mean.iter().zip(&norm.variance));
    let targets = conv.weight.chunks_mut(per_channel).zip(&mut conv.bias);
    for (channel, ((kernel, bias), ((scale, shift), (mean, variance)))) in targets.zip(parts).enumerate() {
        let (variance, eps) = (*variance, norm.eps);
        if variance + eps <= 0.0 {
            return Err(ExportError::Variance { node: node.to_owned(), channel, variance, eps });
        }
        let gain = scale / (variance + eps).sqrt();
        for weight in kernel {
            *weight *= gain;
        }
        *bias = (*bias - mean) * gain + shift;
    }
    Ok(conv)
}

/// For each convolution (by its output) that feeds one normalisation and nothing else: that normalisation and its output.
pub(crate) fn foldable(graph: &Graph) -> HashMap<usize, (&Norm, Value)> {
    let mut found = HashMap::new();
    for node in graph.nodes() {
        if let (Op::Norm(norm), [before]) = (&node.op, node.inputs.as_slice())
            && graph.producer(*before).is_some_and(|p| matches!(p.op, Op::Conv(_)))
            && graph.uses(*before) == 1
        {
            found.insert(before.index(), (norm, node.output));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folded_convolution_does_what_both_did() {
        let conv = || ConvValues { weight: vec![1.0, -2.0, 0.5, 4.0], bias: vec![0.25, -1.0] };
        let norm = NormValues {
            scale: vec![2.0, -0.5],
            shift: vec![0.1, 3.0],
            mean: vec![0.7, -0.2],
            variance: vec![0.9, 0.04],
            eps: 1e-3,
        };
        let folded = fold("n", conv(), &norm).unwrap();
        let x = [0.3, -1.7];
        for c in 0..2 {
            let dot = |w: &[f64], b: &[f64]| w[2 * c] * x[0] + w[2 * c + 1] * x[1] + b[c];
            let y = dot(&conv().weight, &conv().bias);
            let expected = (y - norm.mean[c]) / (norm.variance[c] + norm.eps).sqrt() * norm.scale[c] + norm.shift[c];
            assert!((dot(&folded.weight, &folded.bias) - expected).abs() < 1e-14);
        }
    }

    #[test]
    fn a_variance_without_a_root_is_named() {
        let conv = ConvValues { weight: vec![1.0], bias: vec![0.0] };
        let norm = NormValues { scale: vec![1.0], shift: vec![0.0], mean: vec![0.0], variance: vec![-0.5], eps: 1e-5 };
        let error = fold("bn7", conv, &norm).err().unwrap();
        assert!(error.to_string().contains("`bn7`: channel 0 has running variance -0.5"), "{error}");
    }
}
