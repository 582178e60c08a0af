//! What networks and pipelines need beyond single ops, composed of primitives once for every engine.

use crate::builder::Builder;
use crate::error::GraphError;
use crate::op::Op;
use crate::tensor::Value;

/// Weights of red, green and blue in the luma: BT.601.
pub const LUMA: [f64; 3] = [0.299, 0.587, 0.114];

/// Luma of RGB in [0, 1], `[n, 3, h, w]` → `[n, 1, h, w]`. Products are added in the order red, green, blue: that of the images
/// which the published fusion network was trained on.
///
/// # Errors
/// When `rgb` has no three channels.
pub fn luma(b: &mut Builder, name: &str, rgb: Value) -> Result<Value, GraphError> {
    let mut sum = None;
    for (channel, (colour, weight)) in ["red", "green", "blue"].into_iter().zip(LUMA).enumerate() {
        let plane = Op::Slice { axis: 1, start: channel, len: 1 };
        let plane = b.node(&format!("{name}.{colour}"), plane, &[rgb])?;
        let part = b.node(&format!("{name}.{colour}.weighted"), Op::Affine { scale: weight, shift: 0.0 }, &[plane])?;
        sum = Some(match sum {
            None => part,
            Some(sum) if colour == "blue" => b.node(name, Op::Add, &[sum, part])?,
            Some(sum) => b.node(&format!("{name}.{colour}.added"), Op::Add, &[sum, part])?,
        });
    }
    sum.ok_or_else(|| GraphError::Foreign { op: "luma", node: name.to_owned() })
}

/// RGB with another luma and the same Cb and Cr. Y = 0.299 R + 0.587 G + 0.114 B, Cb = (B − Y)/1.772 and Cr = (R − Y)/1.402 are
/// linear and Cb, Cr do not change when all three channels move by the same amount, so that replacing Y is adding its change to
/// each channel. Not clamped.
///
/// # Errors
/// When shapes do not fit: `rgb` is `[n, 3, h, w]`, both lumas `[n, 1, h, w]`.
pub fn with_luma(b: &mut Builder, name: &str, rgb: Value, [before, after]: [Value; 2]) -> Result<Value, GraphError> {
    let change = b.node(&format!("{name}.change"), Op::Sub, &[after, before])?;
    b.node(name, Op::Add, &[rgb, change])
}

/// (x − mean) / deviation for each channel of `[n, channels, h, w]`, as one product and one sum with constants.
///
/// # Errors
/// When `x` has another number of channels than there are means.
pub fn standardised<const N: usize>(
    b: &mut Builder,
    name: &str,
    x: Value,
    mean: [f64; N],
    deviation: [f64; N],
) -> Result<Value, GraphError> {
    let shape = vec![1, N, 1, 1];
    let scale: Vec<f32> = deviation.iter().map(|d| (1.0 / d) as f32).collect();
    let shift: Vec<f32> = mean.iter().zip(&deviation).map(|(m, d)| (-m / d) as f32).collect();
    let scale = b.node(&format!("{name}.scale"), Op::Constant { shape: shape.clone(), values: scale }, &[])?;
    let shift = b.node(&format!("{name}.shift"), Op::Constant { shape, values: shift }, &[])?;
    let scaled = b.node(&format!("{name}.scaled"), Op::Mul, &[x, scale])?;
    b.node(name, Op::Add, &[scaled, shift])
}
