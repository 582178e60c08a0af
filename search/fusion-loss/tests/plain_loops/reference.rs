//! The terms as the paper and the published code define them, one pixel at a time.

use caf_fusion_loss::{Definition, GradientPadding, LineageSetting, LossConfig, PerceptualForm, SsimBorder, Term};
use caf_weights::{HostTensor, Weights};
use tch::Tensor;

/// One grey image, row-major.
#[derive(Clone)]
pub struct Plane {
    pub h: i64,
    pub w: i64,
    pub v: Vec<f64>,
}

impl Plane {
    pub fn at(&self, y: i64, x: i64) -> Option<f64> {
        ((0..self.h).contains(&y) && (0..self.w).contains(&x)).then(|| self.v[(y * self.w + x) as usize])
    }

    fn map(h: i64, w: i64, f: impl Fn(i64, i64) -> f64) -> Plane {
        Plane { h, w, v: (0..h * w).map(|i| f(i / w, i % w)).collect() }
    }

    pub fn zip(&self, other: &Plane, f: impl Fn(f64, f64) -> f64) -> Plane {
        Plane { h: self.h, w: self.w, v: self.v.iter().zip(&other.v).map(|(a, b)| f(*a, *b)).collect() }
    }

    fn mean(&self) -> f64 {
        self.v.iter().sum::<f64>() / self.v.len() as f64
    }

    pub fn tensor(planes: &[Plane]) -> Tensor {
        let all: Vec<f64> = planes.iter().flat_map(|p| p.v.iter().copied()).collect();
        Tensor::from_slice(&all).reshape([planes.len() as i64, 1, planes[0].h, planes[0].w])
    }
}

/// Noise in [low, high) that no two pixels share.
pub fn noise(h: i64, w: i64, seed: u64, low: f64, high: f64) -> Plane {
    Plane::map(h, w, |y, x| {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ ((y * w + x + 1) as u64);
        for shift in [33, 29, 32] {
            state = (state ^ (state >> shift)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        }
        low + (high - low) * (state >> 11) as f64 / (1u64 << 53) as f64
    })
}

fn sobel(p: &Plane, padding: GradientPadding) -> Plane {
    let at = |y: i64, x: i64| match padding {
        GradientPadding::Zero => p.at(y, x).unwrap_or(0.0),
        GradientPadding::Replicate => p.at(y.clamp(0, p.h - 1), x.clamp(0, p.w - 1)).unwrap(),
    };
    Plane::map(p.h, p.w, |y, x| {
        let side = |d: i64| at(y - 1, x + d) + 2.0 * at(y, x + d) + at(y + 1, x + d);
        let row = |d: i64| at(y + d, x - 1) + 2.0 * at(y + d, x) + at(y + d, x + 1);
        (side(1) - side(-1)).abs() + (row(-1) - row(1)).abs()
    })
}

fn mirror(i: i64, n: i64) -> i64 {
    if i < 0 {
        -i
    } else if i >= n {
        2 * (n - 1) - i
    } else {
        i
    }
}

/// Mean dissimilarity over the map of one pair.
fn ssim(a: &Plane, b: &Plane, definition: Definition, border: SsimBorder) -> f64 {
    let r: i64 = if definition == Definition::Paper { 5 } else { 2 };
    let weight = |d: i64| (-((d * d) as f64) / 4.5).exp();
    let norm: f64 = (-r..=r).map(weight).sum();
    let inset = if border == SsimBorder::Valid { r } else { 0 };
    let map = Plane::map(a.h - 2 * inset, a.w - 2 * inset, |y, x| {
        let (mut ma, mut mb, mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for dy in -r..=r {
            for dx in -r..=r {
                let (y, x) = (mirror(y + inset + dy, a.h), mirror(x + inset + dx, a.w));
                let k = weight(dy) * weight(dx) / (norm * norm);
                let (p, q) = (a.at(y, x).unwrap(), b.at(y, x).unwrap());
                ma += k * p;
                mb += k * q;
                aa += k * p * p;
                bb += k * q * q;
                ab += k * p * q;
            }
        }
        let (va, vb, cov) = (aa - ma * ma, bb - mb * mb, ab - ma * mb);
        let s = (2.0 * ma * mb + 1e-4) * (2.0 * cov + 9e-4) / ((ma * ma + mb * mb + 1e-4) * (va + vb + 9e-4));
        if definition == Definition::Paper { 1.0 - s } else { ((1.0 - s) / 2.0).clamp(0.0, 1.0) }
    });
    map.mean()
}

/// A narrow VGG-16: widths 2, seeded.
pub fn tiny_vgg() -> Weights {
    let mut weights = Weights::new();
    for (i, n) in [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28].into_iter().enumerate() {
        let input = if i == 0 { 3 } else { 2 };
        let as_f32 = |p: Plane| p.v.into_iter().map(|v| v as f32).collect::<Vec<_>>();
        let kernel = as_f32(noise(2 * input, 9, 100 + i as u64, -0.6, 0.7));
        let kernel = HostTensor::from_f32(&[2, input as usize, 3, 3], &kernel).unwrap();
        weights.insert(format!("features.{n}.weight"), kernel).unwrap();
        let bias = HostTensor::from_f32(&[2], &as_f32(noise(1, 2, 200 + i as u64, -0.1, 0.3))).unwrap();
        weights.insert(format!("features.{n}.bias"), bias).unwrap();
    }
    weights
}

/// Features before and after ReLU of every convolution of [`tiny_vgg`].
fn vgg_features(gray: &Plane, lineage: LineageSetting) -> Vec<(Vec<Plane>, Vec<Plane>)> {
    let weights = tiny_vgg();
    let scale = |c: usize, v: f64| match lineage {
        LineageSetting::Caffe => 255.0 * v - [123.68, 116.779, 103.939][c],
        _ => (v - [0.485, 0.456, 0.406][c]) / [0.229, 0.224, 0.225][c],
    };
    let mut x: Vec<Plane> = (0..3).map(|c| gray.zip(gray, |v, _| scale(c, v))).collect();
    let mut all = Vec::new();
    for (i, n) in [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28].into_iter().enumerate() {
        let kernel = weights.get(&format!("features.{n}.weight")).unwrap().to_f64_vec().unwrap();
        let bias = weights.get(&format!("features.{n}.bias")).unwrap().to_f64_vec().unwrap();
        let before: Vec<Plane> = (0..2)
            .map(|o| {
                Plane::map(x[0].h, x[0].w, |py, px| {
                    let tap = |c: usize, k: usize| {
                        let (dy, dx) = (k as i64 / 3 - 1, k as i64 % 3 - 1);
                        kernel[(o * x.len() + c) * 9 + k] * x[c].at(py + dy, px + dx).unwrap_or(0.0)
                    };
                    bias[o]
                        + (0..x.len()).flat_map(|c| (0..9).map(move |k| (c, k))).map(|(c, k)| tap(c, k)).sum::<f64>()
                })
            })
            .collect();
        let after: Vec<Plane> = before.iter().map(|p| p.zip(p, |v, _| v.max(0.0))).collect();
        x = after.clone();
        all.push((before, after));
        if [2, 4, 7, 10].contains(&(i + 1)) {
            let pool = |p: &Plane| {
                Plane::map(p.h / 2, p.w / 2, |y, x| {
                    [(0, 0), (0, 1), (1, 0), (1, 1)]
                        .iter()
                        .map(|(a, b)| p.at(2 * y + a, 2 * x + b).unwrap())
                        .fold(f64::MIN, f64::max)
                })
            };
            x = x.iter().map(pool).collect();
        }
    }
    all
}

fn perceptual(a: &Plane, b: &Plane, form: PerceptualForm, lineage: LineageSetting, scale: f64) -> f64 {
    let (a, b) = (vgg_features(a, lineage), vgg_features(b, lineage));
    let difference = |n: usize, before: bool| -> Vec<f64> {
        let pick = |f: &[(Vec<Plane>, Vec<Plane>)]| if before { f[n - 1].0.clone() } else { f[n - 1].1.clone() };
        pick(&a).iter().zip(&pick(&b)).flat_map(|(a, b)| a.zip(b, |a, b| scale * (a - b)).v).collect()
    };
    let square = |d: &[f64]| d.iter().map(|v| v * v).sum::<f64>() / d.len() as f64;
    let absolute = |d: &[f64]| d.iter().map(|v| v.abs()).sum::<f64>();
    let layers = [1, 3, 5, 9, 13];
    match form {
        PerceptualForm::Squared => layers.iter().map(|n| square(&difference(*n, false))).sum(),
        PerceptualForm::SquaredBeforeRelu => layers.iter().map(|n| square(&difference(*n, true))).sum(),
        PerceptualForm::L1Squared => {
            layers.iter().map(|n| difference(*n, false)).map(|d| absolute(&d).powi(2) / d.len() as f64).sum()
        }
        PerceptualForm::Published => {
            let d = difference(1, false);
            0.5 * absolute(&d) / d.len() as f64
        }
    }
}

/// The mean over a batch of one term computed with loops.
pub fn by_loops(term: Term, config: &LossConfig, f: &Plane, ir: &Plane, vi: &Plane, saliency: [&Plane; 2]) -> f64 {
    let settings = config.resolved();
    let sobel = |p: &Plane| sobel(p, settings.gradient_padding);
    let l1 = |a: &Plane, b: &Plane| a.zip(b, |a, b| (a - b).abs()).mean();
    let mse = |a: &Plane, b: &Plane| a.zip(b, |a, b| (a - b) * (a - b)).mean();
    let times = |a: &Plane, b: &Plane| a.zip(b, |a, b| a * b);
    let max = ir.zip(vi, f64::max);
    let lineage = config.vgg.as_ref().map(|v| v.lineage).unwrap_or_default();
    let by_lineage = if lineage == LineageSetting::Caffe { 1.0 / 57.63 } else { 1.0 };
    let scale = config.vgg.as_ref().and_then(|v| v.feature_scale).unwrap_or(by_lineage);
    match term {
        Term::L1Ir => l1(f, ir),
        Term::L1Vi => l1(f, vi),
        Term::L1Max => l1(f, &max),
        Term::L1IrSalient => l1(&times(saliency[0], f), &times(saliency[0], ir)),
        Term::L1ViSalient => l1(&times(saliency[1], f), &times(saliency[1], vi)),
        Term::MseIr => mse(f, ir),
        Term::MseVi => mse(f, vi),
        Term::MseMax => mse(f, &max),
        Term::MseIrSalient => mse(&times(saliency[0], f), &times(saliency[0], ir)),
        Term::MseViSalient => mse(&times(saliency[1], f), &times(saliency[1], vi)),
        Term::SsimIr => ssim(f, ir, settings.definition, settings.ssim_border),
        Term::SsimVi => ssim(f, vi, settings.definition, settings.ssim_border),
        Term::GradIr => l1(&sobel(f), &sobel(ir)),
        Term::GradVi => l1(&sobel(f), &sobel(vi)),
        Term::GradMax => l1(&sobel(f), &sobel(ir).zip(&sobel(vi), f64::max)),
        Term::PerceptualIr => perceptual(f, ir, settings.perceptual, lineage, scale),
        Term::PerceptualVi => perceptual(f, vi, settings.perceptual, lineage, scale),
    }
}
