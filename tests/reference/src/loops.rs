//! The ops that need more than a line.

use crate::array::Array;
use caf_net::{Conv, MeanWindows};

/// The pixel, or nothing outside.
fn inside(x: &Array, n: usize, c: usize, [row, column]: [isize; 2]) -> Option<f64> {
    let (h, w) = (x.shape[2] as isize, x.shape[3] as isize);
    ((0..h).contains(&row) && (0..w).contains(&column)).then(|| x.at(&[n, c, row as usize, column as usize]))
}

pub fn conv(x: &Array, weight: &Array, bias: Option<&Array>, conv: &Conv) -> Array {
    let [n, _, h, w] = x.nchw();
    let [out, per_group, kh, kw] = weight.nchw();
    let ([sy, sx], [py, px], [dy, dx]) = (conv.stride, conv.padding, conv.dilation);
    let side = |n: usize, p: usize, d: usize, k: usize, s: usize| (n + 2 * p - d * (k - 1) - 1) / s + 1;
    Array::build(&[n, out, side(h, py, dy, kh, sy), side(w, px, dx, kw, sx)], |at| {
        let [n, o, y, column] = [at[0], at[1], at[2], at[3]];
        let group = o / (out / conv.groups);
        let mut sum = bias.map_or(0.0, |b| b.values[o]);
        for i in 0..per_group {
            for ky in 0..kh {
                for kx in 0..kw {
                    let place =
                        |at: usize, s: usize, k: usize, d: usize, p: usize| (at * s + k * d) as isize - p as isize;
                    let at = [place(y, sy, ky, dy, py), place(column, sx, kx, dx, px)];
                    sum += inside(x, n, group * per_group + i, at).unwrap_or(0.0) * weight.at(&[o, i, ky, kx]);
                }
            }
        }
        sum
    })
}

pub fn layer_norm(x: &Array, scale: &[f64], shift: &[f64], eps: f64) -> Array {
    let features = *x.shape.last().unwrap();
    let mut values = Vec::with_capacity(x.values.len());
    for row in x.values.chunks_exact(features) {
        let mean = row.iter().sum::<f64>() / features as f64;
        let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / features as f64;
        let of = |(i, v): (usize, &f64)| (v - mean) / (variance + eps).sqrt() * scale[i] + shift[i];
        values.extend(row.iter().enumerate().map(of));
    }
    Array::new(x.shape.clone(), values)
}

pub fn linear(x: &Array, weight: &Array, bias: Option<&Array>) -> Array {
    let [out, taken] = weight.shape[..].try_into().unwrap();
    let mut values = Vec::new();
    for row in x.values.chunks_exact(taken) {
        for o in 0..out {
            let sum: f64 = row.iter().enumerate().map(|(i, v)| v * weight.at(&[o, i])).sum();
            values.push(sum + bias.map_or(0.0, |b| b.values[o]));
        }
    }
    let mut shape = x.shape.clone();
    *shape.last_mut().unwrap() = out;
    Array::new(shape, values)
}

pub fn matmul(a: &Array, b: &Array) -> Array {
    let rank = a.shape.len();
    let mut shape = a.shape.clone();
    shape[rank - 1] = b.shape[rank - 1];
    Array::build(&shape, |at| {
        let (mut left, mut right) = (at.to_vec(), at.to_vec());
        let product = |k: usize| {
            left[rank - 1] = k;
            right[rank - 2] = k;
            a.at(&left) * b.at(&right)
        };
        (0..a.shape[rank - 1]).map(product).sum()
    })
}

/// Elements along an axis that differ from the one at `at` in nothing else.
fn along<'x>(x: &'x Array, at: &[usize], axis: usize) -> impl Iterator<Item = f64> + 'x {
    let at = at.to_vec();
    (0..x.shape[axis]).map(move |i| {
        let mut at = at.clone();
        at[axis] = i;
        x.at(&at)
    })
}

pub fn softmax(x: &Array, axis: usize) -> Array {
    x.map_at(|at, v| v.exp() / along(x, at, axis).map(f64::exp).sum::<f64>())
}

pub fn arg_max(x: &Array, axis: usize) -> Array {
    let mut shape = x.shape.clone();
    shape.remove(axis);
    Array::build(&shape, |at| {
        let mut at = at.to_vec();
        at.insert(axis, 0);
        let mut best = (0, f64::NEG_INFINITY);
        for (i, v) in along(x, &at, axis).enumerate() {
            if v > best.1 {
                best = (i, v);
            }
        }
        best.0 as f64
    })
}

pub fn concat(parts: &[&Array], axis: usize) -> Array {
    let mut shape = parts[0].shape.clone();
    shape[axis] = parts.iter().map(|p| p.shape[axis]).sum();
    Array::build(&shape, |at| {
        let mut at = at.to_vec();
        for part in parts {
            if at[axis] < part.shape[axis] {
                return part.at(&at);
            }
            at[axis] -= part.shape[axis];
        }
        unreachable!("within the sum of the extents")
    })
}

pub fn max_pool(x: &Array, kernel: usize, stride: usize, padding: usize) -> Array {
    let [n, c, h, w] = x.nchw();
    let side = |n: usize| (n + 2 * padding - kernel) / stride + 1;
    Array::build(&[n, c, side(h), side(w)], |at| {
        let place = |at: usize, k: usize| (at * stride + k) as isize - padding as isize;
        let window = (0..kernel).flat_map(|ky| (0..kernel).map(move |kx| (ky, kx)));
        let values = window.filter_map(|(ky, kx)| inside(x, at[0], at[1], [place(at[2], ky), place(at[3], kx)]));
        values.fold(f64::MIN, f64::max)
    })
}

pub fn mean_pool(x: &Array, kernel: usize, windows: MeanWindows) -> Array {
    let [n, c, h, w] = x.nchw();
    let (stride, padding) = match windows {
        MeanWindows::Sliding { stride, padding } => (stride, padding),
        MeanWindows::Tiles => (kernel, 0),
    };
    let side = |n: usize| match windows {
        MeanWindows::Sliding { .. } => (n + 2 * padding - kernel) / stride + 1,
        MeanWindows::Tiles => n.div_ceil(kernel),
    };
    Array::build(&[n, c, side(h), side(w)], |at| {
        let place = |at: usize, k: usize| (at * stride + k) as isize - padding as isize;
        let window = (0..kernel).flat_map(|ky| (0..kernel).map(move |kx| (ky, kx)));
        let values: Vec<f64> =
            window.filter_map(|(ky, kx)| inside(x, at[0], at[1], [place(at[2], ky), place(at[3], kx)])).collect();
        let count = if windows == MeanWindows::Tiles { values.len() } else { kernel * kernel };
        values.iter().sum::<f64>() / count as f64
    })
}

pub fn resize(x: &Array, height: usize, width: usize) -> Array {
    let [n, c, h, w] = x.nchw();
    let taps = |i: usize, from: usize, to: usize| {
        let at = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, (from - 1) as f64);
        let low = at.floor() as usize;
        (low, (low + 1).min(from - 1), at - at.floor())
    };
    Array::build(&[n, c, height, width], |at| {
        let (y0, y1, fy) = taps(at[2], h, height);
        let (x0, x1, fx) = taps(at[3], w, width);
        let row = |y: usize| x.at(&[at[0], at[1], y, x0]) * (1.0 - fx) + x.at(&[at[0], at[1], y, x1]) * fx;
        row(y0) * (1.0 - fy) + row(y1) * fy
    })
}

/// Above, below, left, right.
pub fn pad(x: &Array, [top, bottom, left, right]: [usize; 4], value: f64) -> Array {
    let [n, c, h, w] = x.nchw();
    Array::build(&[n, c, h + top + bottom, w + left + right], |at| {
        inside(x, at[0], at[1], [at[2] as isize - top as isize, at[3] as isize - left as isize]).unwrap_or(value)
    })
}

/// The larger scale at which both sides fit; sides rounded half to even and at least 1; the smaller half of the rest above and left.
pub fn letterbox(x: &Array, width: usize, height: usize, value: f64) -> Array {
    let [_, _, h, w] = x.nchw();
    let ratio = f64::min(height as f64 / h as f64, width as f64 / w as f64);
    let side = |side: usize| ((side as f64 * ratio).round_ties_even() as usize).max(1);
    let (rows, columns) = (side(h), side(w));
    let (top, left) = ((height - rows) / 2, (width - columns) / 2);
    pad(&resize(x, rows, columns), [top, height - rows - top, left, width - columns - left], value)
}

/// 2/√π·exp(−x²)·Σ 2ⁿx²ⁿ⁺¹/(2n+1)!!, whose terms have one sign.
pub fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.abs() > 1e-18 * sum.abs() {
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
    }
    2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_function_has_its_tabulated_values() {
        for (x, expected) in [
            (0.0, 0.0),
            (0.5, 0.520_499_877_813_046_5),
            (-1.0, -0.842_700_792_949_714_9),
            (3.0, 0.999_977_909_503_001_4),
        ] {
            assert!((erf(x) - expected).abs() < 1e-15, "{x}");
        }
    }

    #[test]
    fn a_resized_ramp_is_a_ramp() {
        // Pixel centres of a ramp 0.5, 1.5, 2.5, 3.5 keep their places away from the border.
        let x = Array::new(vec![1, 1, 1, 4], vec![0.5, 1.5, 2.5, 3.5]);
        assert_eq!(resize(&x, 1, 8).values, [0.5, 0.75, 1.25, 1.75, 2.25, 2.75, 3.25, 3.5]);
        assert_eq!(resize(&x, 1, 2).values, [1.0, 3.0]);
    }
}
