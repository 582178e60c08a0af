use std::f64::consts::FRAC_PI_2;

use super::metric::Metric;
use super::planes::{Gray, Triple};

/// Qabf (Xydeas and Petrović): how much of the sources' edges the fused image keeps, weighted by their strength; in
/// [0, 0.9754]. 0 when neither source has a gradient.
///
/// As published: the borders are zero padded and the gradients there count; the angle difference is not wrapped; and
/// where two strengths are equal their ratio is the strength itself instead of 1.
pub(super) const QABF: Metric = Metric::higher("Qabf", "edges of the sources that are kept", |t| Ok(qabf(t, 1.0)));

/// Qabf of `vifb`, whose images are scaled by another 255: only the ratio of equal strengths differs.
pub(super) const QABF_SCALED: Metric =
    Metric::higher("Qabf", "edges of the sources that are kept", |t| Ok(qabf(t, 255.0)));

/// Gradient strength and direction of every pixel.
struct Edges {
    strength: Vec<f64>,
    angle: Vec<f64>,
}

fn qabf(triple: &Triple<'_>, scale: f64) -> f64 {
    let fused = triple.fused().shared(Edges::of);
    let (mut kept, mut total) = (0.0, 0.0);
    for source in triple.sources() {
        let source = source.shared(Edges::of);
        let pixels = source.strength.iter().zip(&source.angle).zip(fused.strength.iter().zip(&fused.angle));
        for ((&g_source, &a_source), (&g_fused, &a_fused)) in pixels {
            total += g_source;
            // A pixel without gradient has the weight 0.
            if g_source > 0.0 {
                kept += g_source * preserved(g_source, g_fused, a_source - a_fused, scale);
            }
        }
    }
    if total > 0.0 { kept / total } else { 0.0 }
}

fn preserved(g_source: f64, g_fused: f64, turn: f64, scale: f64) -> f64 {
    let ratio = if g_fused > g_source {
        g_source / g_fused
    } else if g_fused < g_source {
        g_fused / g_source
    } else {
        g_fused * scale
    };
    let alike = 1.0 - turn.abs() / FRAC_PI_2;
    let strength = 0.9994 / (1.0 + (-15.0 * (ratio - 0.5)).exp());
    let direction = 0.9879 / (1.0 + (-22.0 * (alike - 0.8)).exp());
    strength * direction
}

impl Edges {
    /// Sobel responses with zero padding. Whole numbers until the root, so that equal strengths are exactly equal.
    fn of(image: &Gray<'_>) -> Self {
        let (h, w) = (image.size().height, image.size().width);
        let padded_w = w + 2;
        let mut padded = vec![0i32; (h + 2) * padded_w];
        for (row, to) in image.rows().zip(padded.chunks_exact_mut(padded_w).skip(1)) {
            for (&v, to) in row.iter().zip(&mut to[1..]) {
                *to = i32::from(v);
            }
        }
        let (mut strength, mut angle) = (Vec::with_capacity(h * w), Vec::with_capacity(h * w));
        for y in 0..h {
            let line = |dy: usize| &padded[(y + dy) * padded_w..][..padded_w];
            let (above, here, below) = (line(0), line(1), line(2));
            for x in 0..w {
                let column = |i: usize| above[i] + 2 * here[i] + below[i];
                let row = |line: &[i32]| line[x] + 2 * line[x + 1] + line[x + 2];
                let (sx, sy) = (column(x) - column(x + 2), row(below) - row(above));
                strength.push(f64::from(sx * sx + sy * sy).sqrt());
                angle.push(if sx == 0 { FRAC_PI_2 } else { (f64::from(sy) / f64::from(sx)).atan() });
            }
        }
        Self { strength, angle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_geometry::Size;

    #[test]
    fn black_is_zero_and_equal_is_the_upper_end() {
        let black = Gray::new(vec![0; 12], Size::new(4, 3)).unwrap();
        assert_eq!(qabf(&Triple::new(black.clone(), black.clone(), black).unwrap(), 1.0), 0.0);
        let plane = |pixels: Vec<u8>| Gray::new(pixels, Size::new(20, 20)).unwrap();
        let image = plane((0..400).map(|i| (i * 89 % 256) as u8).collect());
        let q = qabf(&Triple::new(image.clone(), image.clone(), image.clone()).unwrap(), 1.0);
        assert!((q - 0.97533).abs() < 1e-4, "{q}");
        assert!(qabf(&Triple::new(image.clone(), image, plane(vec![9; 400])).unwrap(), 1.0) < 0.3);
    }
}
