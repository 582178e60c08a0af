use std::f64::consts::PI;

use caf_geometry::Size;

use super::metric::Metric;
use super::planes::{Gray, Triple};
use super::separable::Separable;
use super::spectrum::Spectrum;
use super::stretch::Stretched;

/// Qcb of `vifb` (Chen and Blum): how well the sources' contrasts, as an eye sees them, are kept; in [0, 1]. Undefined (NaN) when an
/// image is constant.
pub(super) const QCB: Metric =
    Metric::higher("Qcb", "contrasts of the sources that are kept, as an eye sees them", |t| Ok(qcb(t)));

/// Largest distance from the middle of the contrast windows, in pixels.
const RADIUS: usize = 15;
/// Standard deviations of the windows for centre and surround, in pixels.
const SIGMAS: [f64; 2] = [2.0, 4.0];
/// Keeps the response to the contrast of a flat place finite.
const RESPONSE_FLOOR: f64 = 1e-4;

/// Contrast of every pixel as the eye responds to it; NaN throughout for a constant image.
struct Contrast(Vec<f64>);

fn qcb(triple: &Triple<'_>) -> f64 {
    let [ir, vi, fused] = [triple.ir(), triple.vi(), triple.fused()].map(|image| image.shared(Contrast::of));
    let kept = |source: f64, fused: f64| if source < fused { source / fused } else { fused / source };
    let pixels = ir.0.iter().zip(&vi.0).zip(&fused.0);
    let sum: f64 = pixels
        .map(|((&a, &b), &f)| {
            let (weight_a, weight_b) = (a * a, b * b);
            (weight_a * kept(a, f) + weight_b * kept(b, f)) / (weight_a + weight_b)
        })
        .sum();
    sum / fused.0.len() as f64
}

impl Contrast {
    fn of(image: &Gray<'_>) -> Self {
        let (stretched, size) = (image.shared(Stretched::of), image.size());
        if !stretched.defined {
            return Self(vec![f64::NAN; stretched.or_zero.len()]);
        }
        let seen = Spectrum::new(size).filter(&stretched.to_f64(), |fx, fy| {
            let r = (size.width as f64 / 30.0 * fx).hypot(size.height as f64 / 30.0 * fy);
            (-(r / 15.3870).powi(2)).exp() - 0.7622 * (-(r / 1.3456).powi(2)).exp()
        });
        let [centre, surround] = SIGMAS.map(|sigma| blurred(&seen, size, sigma));
        let response = |(centre, surround): (f64, f64)| {
            let contrast = (centre / surround - 1.0).abs();
            contrast.powi(3) / (contrast.powi(2) + RESPONSE_FLOOR)
        };
        Self(centre.into_iter().zip(surround).map(response).collect())
    }
}

/// Filtered with `exp(-d² / 2σ²) / 2πσ²`, cut at the radius without making up for what is cut; zeros around the image.
fn blurred(image: &[f64], size: Size, sigma: f64) -> Vec<f64> {
    let cut: f64 = (0..=2 * RADIUS).map(|i| (-(i as f64 - RADIUS as f64).powi(2) / (2.0 * sigma * sigma)).exp()).sum();
    let mut window = Separable::gaussian(2 * RADIUS + 1, sigma).scaled(cut / ((2.0 * PI).sqrt() * sigma));
    let padded = Size::new(size.width + 2 * RADIUS, size.height + 2 * RADIUS);
    let mut around = vec![0.0; padded.width * padded.height];
    let rows = around.chunks_exact_mut(padded.width).skip(RADIUS);
    for (to, row) in rows.zip(image.chunks_exact(size.width)) {
        to[RADIUS..RADIUS + size.width].copy_from_slice(row);
    }
    let mut out = vec![];
    window.apply(padded, 1, |i| around[i], &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_is_one_and_constant_has_no_value() {
        let size = Size::new(40, 30);
        let image = Gray::new((0..1200).map(|i| (i * 89 % 256) as u8).collect::<Vec<_>>(), size).unwrap();
        let flat = Gray::new(vec![9; 1200], size).unwrap();
        let of = |a: &Gray<'static>, f: &Gray<'static>| qcb(&Triple::new(a.clone(), image.clone(), f.clone()).unwrap());
        assert!((of(&image, &image) - 1.0).abs() < 1e-12);
        assert!(of(&flat, &image).is_nan() && of(&image, &flat).is_nan());
    }
}
