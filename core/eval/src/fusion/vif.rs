use super::planes::Triple;
use super::separable::Separable;
use crate::EvalError;

/// Windows of the four scales, finest first.
const WINDOWS: [usize; 4] = [17, 9, 5, 3];
/// Variance of the visual noise, on pixel values 0–255.
const NOISE: f64 = 2.0;
/// Below this a variance counts as zero.
const FLOOR: f64 = 1e-10;

/// VIF of the fused image against each source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vif {
    /// Against the infrared source.
    pub ir: f64,
    /// Against the visible source.
    pub vi: f64,
}

impl Vif {
    /// The metric: the sum of both, not their mean.
    pub fn sum(self) -> f64 {
        self.ir + self.vi
    }
}

#[derive(Clone, Copy, Default)]
struct Ratio {
    num: f64,
    den: f64,
}

impl Ratio {
    fn value(self) -> f64 {
        if self.den > 0.0 { self.num / self.den } else { 0.0 }
    }
}

/// VIF: visual information fidelity in the pixel domain over four scales. Each term is at least 0, and 1 when fused and
/// source are equal; it exceeds 1 when the fused image has more contrast. A term against a constant source is 0.
///
/// Where a source is almost flat (a variance near the floor of 1e-10) and the fused image is not, rounding decides how much
/// the position counts; two correct programs agree to about 5e-10 for that reason.
///
/// All four scales need 41 pixels on a side; from 17 to 40 the coarser ones are left out, as published.
///
/// # Errors
/// [`EvalError::TooSmall`] below 17 pixels on a side.
pub fn vif(triple: &Triple<'_>) -> Result<Vif, EvalError> {
    triple.fused().at_least("VIF", WINDOWS[0])?;
    let mut images = [triple.ir(), triple.vi(), triple.fused()].map(|g| g.centred().0);
    let (mut hw, mut ratios) = (triple.size_hw(), [Ratio::default(); 2]);
    let mut buffer = vec![];
    for (scale, window) in WINDOWS.into_iter().enumerate() {
        let mut filter = Separable::gaussian(window, window as f64 / 5.0);
        if scale > 0 {
            let full = hw;
            for image in &mut images {
                hw = filter.apply(full, 2, |i| image[i], &mut buffer);
                std::mem::swap(image, &mut buffer);
            }
        }
        add_scale(&mut filter, hw, &images, &mut ratios);
    }
    Ok(Vif { ir: ratios[0].value(), vi: ratios[1].value() })
}

fn add_scale(filter: &mut Separable, hw: (usize, usize), images: &[Vec<f64>; 3], ratios: &mut [Ratio; 2]) {
    let [ir, vi, fused] = images;
    let mut moment = |source: &dyn Fn(usize) -> f64| {
        let mut out = vec![];
        filter.apply(hw, 1, source, &mut out);
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
        let (image, flat) = (Gray::new(&pixels, 50, 60).unwrap(), vec![255u8; 3000]);
        let flat = Gray::new(&flat, 50, 60).unwrap();
        let v = vif(&Triple::new(image, flat, image).unwrap()).unwrap();
        assert!((v.ir - 1.0).abs() < 1e-9, "{v:?}");
        assert_eq!(v.vi, 0.0);
        let small = Gray::new(&pixels[..16 * 60], 16, 60).unwrap();
        let refused = vif(&Triple::new(small, small, small).unwrap());
        assert!(matches!(refused, Err(EvalError::TooSmall { metric: "VIF", min_side: 17, height: 16, width: 60 })));
    }
}
