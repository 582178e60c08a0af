//! How far two correct programs can be apart on one image, from the definitions: windows are compared by variances `E[x²] - E[x]²`
//! of pixels up to 255, each with the rounding of its sum, and some formulas magnify that without bound.
//!
//! The windows are summed here by plain loops in double precision, independent of the crate.

/// Rounding of one product of two pixels: half a unit in the last place of 255².
const UNIT: f64 = 255.0 * 255.0 * f64::EPSILON / 2.0;

/// Largest error to expect of a variance that is a sum of `terms` products minus a product of sums: the roundings of the partial
/// sums add up like a random walk, √terms of them, and three standard deviations of it are allowed.
fn of_variance(terms: usize) -> f64 {
    3.0 * (terms as f64).sqrt() * UNIT
}

/// An image in double precision.
#[derive(Clone)]
pub struct Image {
    pub values: Vec<f64>,
    pub width: usize,
}

impl Image {
    pub fn of(pixels: &[u8], width: usize) -> Self {
        Self { values: pixels.iter().map(|&v| f64::from(v)).collect(), width }
    }

    fn times(&self, other: &Self) -> Self {
        let values = self.values.iter().zip(&other.values).map(|(a, b)| a * b).collect();
        Self { values, width: self.width }
    }

    /// Weighted with `kernel` in both directions, whole windows only.
    fn filtered(&self, kernel: &[f64]) -> Self {
        let width = (self.width + 1).saturating_sub(kernel.len());
        let height = (self.values.len() / self.width + 1).saturating_sub(kernel.len());
        let mut across = vec![];
        for row in self.values.chunks_exact(self.width) {
            across.extend((0..width).map(|x| kernel.iter().zip(&row[x..]).map(|(k, v)| k * v).sum::<f64>()));
        }
        let down = |i: usize| kernel.iter().enumerate().map(|(t, k)| k * across[i + t * width]).sum();
        Self { values: (0..width * height).map(down).collect(), width }
    }

    fn every_second(&self) -> Self {
        let rows = self.values.chunks_exact(self.width.max(1)).step_by(2);
        let values = rows.flat_map(|row| row.iter().copied().step_by(2)).collect();
        Self { values, width: self.width.div_ceil(2) }
    }
}

fn gaussian(size: usize, sigma: f64) -> Vec<f64> {
    let weights: Vec<f64> =
        (0..size).map(|i| (-(i as f64 - (size / 2) as f64).powi(2) / (2.0 * sigma * sigma)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|w| w / sum).collect()
}

/// Variances of both images and their covariance in every window.
fn moments(a: &Image, b: &Image, kernel: &[f64]) -> Vec<[f64; 3]> {
    let [ma, mb, aa, bb, ab] =
        [a.clone(), b.clone(), a.times(a), b.times(b), a.times(b)].map(|image| image.filtered(kernel).values);
    (0..ma.len()).map(|i| [aa[i] - ma[i] * ma[i], bb[i] - mb[i] * mb[i], ab[i] - ma[i] * mb[i]]).collect()
}

/// Value of one term of VIF and how far rounding can move it.
pub fn vif(source: &Image, fused: &Image) -> (f64, f64) {
    let (mut source, mut fused) = (source.clone(), fused.clone());
    let (mut num, mut den, mut spread) = (0.0, 0.0, 0.0);
    for (scale, size) in [17, 9, 5, 3].into_iter().enumerate() {
        let kernel = gaussian(size, size as f64 / 5.0);
        if scale > 0 {
            source = source.filtered(&kernel).every_second();
            fused = fused.filtered(&kernel).every_second();
        }
        if source.width < size || source.values.len() / source.width.max(1) < size {
            break;
        }
        let error = of_variance(size * size);
        for [vs, vf, c] in moments(&source, &fused, &kernel) {
            let here = kept(vs, vf, c);
            num += here;
            den += all(vs);
            // The corners of what rounding can make of the three; the floors of 1e-10 make a step between some of them.
            let corners = [-error, error].into_iter().flat_map(|a| [-error, error].map(|b| (a, b)));
            let moved = corners.flat_map(|(a, b)| [-error, error].map(|d| kept(vs + a, vf + b, c + d)));
            let furthest = moved.map(|value| (value - here).abs()).fold(0.0, f64::max);
            spread += furthest + (all(vs + error) - all(vs)).abs();
        }
    }
    (num / den, spread / den)
}

/// What a window adds to the numerator, by the definition.
fn kept(source_var: f64, fused_var: f64, covariance: f64) -> f64 {
    let (mut s, f) = (source_var.max(0.0), fused_var.max(0.0));
    let mut g = covariance / (s + 1e-10);
    let mut rest = f - g * covariance;
    if s < 1e-10 {
        (g, rest, s) = (0.0, f, 0.0);
    }
    if f < 1e-10 {
        (g, rest) = (0.0, 0.0);
    }
    if g < 0.0 {
        (g, rest) = (0.0, f);
    }
    (1.0 + g * g * s / (rest.max(1e-10) + 2.0)).log10()
}

fn all(source_var: f64) -> f64 {
    let s = source_var.max(0.0);
    if s < 1e-10 { 0.0 } else { (1.0 + s / 2.0).log10() }
}

/// How far rounding can move the mean of a structural similarity with this window and the stabiliser C2 of its range: a window's
/// value is a quotient of `2 cov + C2` and `var + var + C2`, each with the rounding of two variances.
pub fn ssim(source: &Image, fused: &Image, kernel: &[f64], range: f64) -> f64 {
    let (error, c2) = (of_variance(kernel.len() * kernel.len()), (0.03 * range).powi(2));
    let windows = moments(source, fused, kernel);
    let spread = |[a, b, _]: &[f64; 3]| (4.0 * error / (a.max(0.0) + b.max(0.0) + c2)).min(2.0);
    windows.iter().map(spread).sum::<f64>() / windows.len().max(1) as f64
}

/// Rounding of correlations: quotients of sums over all pixels, each partial sum rounded to half a unit of the whole, three standard
/// deviations of that walk, for the three sums of both terms. They may nearly cancel.
pub fn correlation(pixels: usize) -> f64 {
    3.0 * 6.0 * (pixels as f64).sqrt() * f64::EPSILON / 2.0
}

/// Rounding of what is left of entropies of up to 16 bits that are added and subtracted, three of each of two terms; each is a sum
/// over at most 2¹⁶ bins.
pub fn information() -> f64 {
    3.0 * 6.0 * 256.0 * 16.0 * f64::EPSILON / 2.0
}

/// Windows of the structural similarities.
pub fn ssim_gaussian() -> Vec<f64> {
    gaussian(11, 1.5)
}

/// Seven equal weights.
pub fn ssim_uniform() -> Vec<f64> {
    vec![1.0 / 7.0; 7]
}
