use caf_geometry::Size;

use super::metric::Metric;
use super::planes::Triple;
use super::separable::Separable;
use crate::EvalError;

/// VIF of `linfeng`: visual information fidelity in the pixel domain, the sum of both terms. Each term is at least 0, and 1 when
/// fused and source are equal; it exceeds 1 when the fused image has more contrast. A term against a constant source is 0. From 17
/// to 40 pixels on a side the coarser of the four scales are left out, as published.
pub const VIF: Metric = Metric::higher("VIF", "visual information fidelity, sum over the sources", |t| {
    let [ir, vi] = ratios("VIF", t)?;
    Ok(ir.or(0.0) + vi.or(0.0))
});

/// Infrared term.
pub(super) const VIF_IR: Metric =
    Metric::higher("VIF_ir", "infrared term of VIF", |t| Ok(ratios("VIF_ir", t)?[0].or(0.0)));

/// Visible term.
pub(super) const VIF_VI: Metric =
    Metric::higher("VIF_vi", "visible term of VIF", |t| Ok(ratios("VIF_vi", t)?[1].or(0.0)));

/// VIF of `cddfuse`: a term against a constant source is 1. Below 41 pixels the published library swaps image and window at the
/// coarser scales; such numbers mean nothing and are refused.
pub(super) const VIF_ALL_SCALES: Metric =
    Metric::higher("VIF", "visual information fidelity, sum over the sources", |t| {
        t.fused().at_least("VIF", ALL_SCALES_PX)?;
        let [ir, vi] = ratios("VIF", t)?;
        Ok(ir.or(1.0) + vi.or(1.0))
    });

/// Windows of the four scales, finest first.
const WINDOWS: [usize; 4] = [17, 9, 5, 3];
/// Least side for a window at each of the four scales.
const ALL_SCALES_PX: usize = 41;
/// Variance of the visual noise, on pixel values 0–255.
const NOISE: f64 = 2.0;
/// Below this a variance counts as zero.
const FLOOR: f64 = 1e-10;

/// Information kept of one source, and all of it, summed over windows and scales.
#[derive(Clone, Copy, Default)]
struct Ratio {
    num: f64,
    den: f64,
}

impl Ratio {
    /// The quotient; `undefined` for a source without information.
    fn or(self, undefined: f64) -> f64 {
        if self.den > 0.0 { self.num / self.den } else { undefined }
    }
}

/// The terms of both sources, infrared first, computed once for all metrics.
fn ratios(metric: &'static str, triple: &Triple<'_>) -> Result<[Ratio; 2], EvalError> {
    triple.fused().at_least(metric, WINDOWS[0])?;
    Ok(*triple.shared(measure))
}

/// Where a source is almost flat (a variance near the floor of 1e-10) and the fused image is not, rounding decides how much
/// the position counts.
fn measure(triple: &Triple<'_>) -> [Ratio; 2] {
    let mut images = [triple.ir(), triple.vi(), triple.fused()].map(|g| g.centred().0);
    let (mut size, mut ratios) = (triple.size(), [Ratio::default(); 2]);
    let mut buffer = vec![];
    for (scale, window) in WINDOWS.into_iter().enumerate() {
        let mut filter = Separable::gaussian(window, window as f64 / 5.0);
        if scale > 0 {
            let full = size;
            for image in &mut images {
                size = filter.apply(full, 2, |i| image[i], &mut buffer);
                std::mem::swap(image, &mut buffer);
            }
        }
        add_scale(&mut filter, size, &images, &mut ratios);
    }
    ratios
}

fn add_scale(filter: &mut Separable, size: Size, images: &[Vec<f64>; 3], ratios: &mut [Ratio; 2]) {
    let [ir, vi, fused] = images;
    let mut moment = |source: &dyn Fn(usize) -> f64| {
        let mut out = vec![];
        filter.apply(size, 1, source, &mut out);
        out
    };
    let (fused_mean, fused_square) = (moment(&|i| fused[i]), moment(&|i| fused[i] * fused[i]));
    for (source, ratio) in [ir, vi].into_iter().zip(ratios) {
        let (mean, square) = (moment(&|i| source[i]), moment(&|i| source[i] * source[i]));
        let product = moment(&|i| source[i] * fused[i]);
        for (i, (&m1, &m2)) in mean.iter().zip(&fused_mean).enumerate() {
            let source_var = (square[i] - m1 * m1).max(0.0);
            let fused_var = (fused_square[i] - m2 * m2).max(0.0);
            add_position(source_var, fused_var, product[i] - m1 * m2, ratio);
        }
    }
}

/// One window: the fused image as `g · source + noise` of variance `rest`. The order of the special cases is part of the
/// definition.
fn add_position(mut source_var: f64, fused_var: f64, covariance: f64, ratio: &mut Ratio) {
    let mut g = covariance / (source_var + FLOOR);
    let mut rest = fused_var - g * covariance;
    if source_var < FLOOR {
        (g, rest, source_var) = (0.0, fused_var, 0.0);
    }
    if fused_var < FLOOR {
        (g, rest) = (0.0, 0.0);
    }
    if g < 0.0 {
        (g, rest) = (0.0, fused_var);
    }
    if rest <= FLOOR {
        rest = FLOOR;
    }
    if g > 0.0 {
        ratio.num += (1.0 + g * g * source_var / (rest + NOISE)).log10();
    }
    if source_var > 0.0 {
        ratio.den += (1.0 + source_var / NOISE).log10();
    }
}

#[cfg(test)]
mod tests {
    use super::super::planes::Gray;
    use super::*;

    #[test]
    fn equal_constant_and_small() {
        let pixels: Vec<u8> = (0..50 * 60).map(|i| (i * 37 % 251) as u8).collect();
        let image = Gray::new(pixels.clone(), Size::new(60, 50)).unwrap();
        let flat = Gray::new(vec![255u8; 3000], Size::new(60, 50)).unwrap();
        let triple = [Triple::new(image.clone(), flat, image).unwrap()];
        let of = |metric: Metric| metric.of(&triple).unwrap();
        assert!((of(VIF_IR) - 1.0).abs() < 1e-9 && of(VIF_VI) == 0.0);
        assert!((of(VIF) - 1.0).abs() < 1e-9 && (of(VIF_ALL_SCALES) - 2.0).abs() < 1e-9);
        let refused = |metric: Metric, height: usize| {
            let small = Gray::new(&pixels[..height * 60], Size::new(60, height)).unwrap();
            metric.of(&[Triple::new(small.clone(), small.clone(), small).unwrap()]).is_err()
        };
        assert!(refused(VIF, 16) && !refused(VIF, 17));
        assert!(refused(VIF_ALL_SCALES, 40) && !refused(VIF_ALL_SCALES, 41));
    }
}
