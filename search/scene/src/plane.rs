//! Small filters on one plane of an image.

/// Two passes of a box of `2 · radius + 1` pixels each way, borders repeated: near a Gaussian. `scratch` is as long.
pub(crate) fn blur(plane: &mut [f32], scratch: &mut [f32], width: usize, height: usize, radius: usize) {
    for _ in 0..2 {
        for (from, to) in plane.chunks_exact(width).zip(scratch.chunks_exact_mut(width)) {
            box_line(
                from.len(),
                radius,
                |i| from.get(i).copied().unwrap_or(0.0),
                |i, v| {
                    if let Some(to) = to.get_mut(i) {
                        *to = v;
                    }
                },
            );
        }
        for x in 0..width {
            box_line(
                height,
                radius,
                |i| scratch.get(i * width + x).copied().unwrap_or(0.0),
                |i, v| {
                    if let Some(to) = plane.get_mut(i * width + x) {
                        *to = v;
                    }
                },
            );
        }
    }
}

fn box_line(length: usize, radius: usize, read: impl Fn(usize) -> f32, mut write: impl FnMut(usize, f32)) {
    let Some(last) = length.checked_sub(1) else { return };
    let at = |i: isize| read(i.clamp(0, last as isize) as usize);
    let reach = radius as isize;
    let k = 1.0 / (2 * radius + 1) as f32;
    let mut sum: f32 = (-reach..=reach).map(at).sum();
    for i in 0..length {
        write(i, sum * k);
        let i = i as isize;
        sum += at(i + reach + 1) - at(i - reach);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_stays_flat_and_a_point_spreads() {
        let (w, h) = (9, 7);
        let mut scratch = vec![0.0; w * h];
        let mut flat = vec![3.0; w * h];
        blur(&mut flat, &mut scratch, w, h, 2);
        assert!(flat.iter().all(|v| (v - 3.0).abs() < 1e-5));
        let mut point = vec![0.0; w * h];
        point[3 * w + 4] = 81.0;
        blur(&mut point, &mut scratch, w, h, 1);
        // Two boxes of three: 3/9 of the weight stays on the line through the point, each way.
        assert!((point[3 * w + 4] - 9.0).abs() < 1e-4 && (point[3 * w + 5] - 6.0).abs() < 1e-4);
        assert!((point.iter().sum::<f32>() - 81.0).abs() < 1e-3);
    }
}
