//! Every term against plain loops in double precision on small images, so that the core is covered without shared data.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests stop at the line that fails"
)]

mod reference;

use caf_fusion_loss::{
    Definition, FusionLoss, GradientPadding, LineageSetting, LossConfig, LossError, PerceptualForm, Saliency,
    SalientMse, SsimBorder, Term, TermScale, Vgg, VggFile,
};
use caf_weights::{HostTensor, Weights};
use reference::{Plane, by_loops, noise, tiny_vgg};
use tch::{Device, Kind, Tensor};

fn values(x: &Tensor) -> Vec<f64> {
    Vec::<f64>::try_from(x.detach().reshape([-1]).contiguous()).unwrap()
}

struct Batch {
    fused: Vec<Plane>,
    ir: Vec<Plane>,
    vi: Vec<Plane>,
    m_ir: Vec<Plane>,
    m_vi: Vec<Plane>,
}

fn batch(n: u64, h: i64, w: i64) -> Batch {
    let planes = |seed: u64, low: f64, high: f64| (0..n).map(|i| noise(h, w, seed + i, low, high)).collect::<Vec<_>>();
    let m_ir = planes(40, 0.0, 1.0);
    let m_vi = m_ir.iter().map(|m| m.zip(m, |v, _| 1.0 - v)).collect();
    Batch { fused: planes(10, -0.1, 1.1), ir: planes(20, 0.0, 1.0), vi: planes(30, 0.0, 1.0), m_ir, m_vi }
}

fn loss(config: &LossConfig) -> FusionLoss {
    let vgg = config.vgg.as_ref().map(|file| Vgg::from_weights(&tiny_vgg(), file, Device::Cpu, Kind::Double).unwrap());
    FusionLoss::with_vgg(config, vgg, Device::Cpu, Kind::Double).unwrap()
}

fn configurations() -> Vec<LossConfig> {
    let vgg = |lineage, scale| Some(VggFile { file: "tiny".into(), lineage, feature_scale: scale });
    let mut all = Vec::new();
    for definition in [Definition::Paper, Definition::Official] {
        for (gradient_padding, ssim_border, perceptual, lineage, scale) in [
            (GradientPadding::Zero, None, None, LineageSetting::Torchvision, None),
            (
                GradientPadding::Replicate,
                Some(SsimBorder::Reflect),
                Some(PerceptualForm::SquaredBeforeRelu),
                LineageSetting::Caffe,
                Some(1.0),
            ),
            (
                GradientPadding::Replicate,
                Some(SsimBorder::Valid),
                Some(PerceptualForm::L1Squared),
                LineageSetting::Caffe,
                None,
            ),
        ] {
            all.push(LossConfig {
                definition,
                gradient_padding,
                ssim_border,
                perceptual,
                salient_mse: Some(SalientMse::Searched),
                vgg: vgg(lineage, scale),
                ..LossConfig::default()
            });
        }
    }
    all
}

#[test]
fn every_term_in_every_reading_equals_plain_loops() {
    let mut worst = 0f64;
    for (h, w) in [(16, 16), (17, 23)] {
        let b = batch(2, h, w);
        for config in configurations() {
            let loss = loss(&config);
            let saliency = Saliency::Complementary(Plane::tensor(&b.m_ir));
            let sources = loss.sources(&Plane::tensor(&b.ir), &Plane::tensor(&b.vi), &saliency).unwrap();
            let terms = loss.terms(&Plane::tensor(&b.fused), &sources).unwrap();
            assert_eq!(terms.names().len(), 17);
            for (term, value) in terms.to_vec().unwrap() {
                let one = |i: usize| by_loops(term, &config, &b.fused[i], &b.ir[i], &b.vi[i], [&b.m_ir[i], &b.m_vi[i]]);
                let expected = (one(0) + one(1)) / 2.0;
                let error = (value - expected).abs() / expected.abs();
                assert!(error < 1e-11, "{term} {config:?}: {value} instead of {expected}");
                worst = worst.max(error);
            }
        }
    }
    println!("largest relative error {worst:.1e}");
}

#[test]
fn gradients_equal_central_differences() {
    const STEP: f64 = 1e-6;
    let b = batch(1, 16, 18);
    for config in configurations() {
        let loss = loss(&config);
        let saliency = Saliency::Separate { ir: Plane::tensor(&b.m_ir), vi: Plane::tensor(&b.m_vi) };
        let sources = loss.sources(&Plane::tensor(&b.ir), &Plane::tensor(&b.vi), &saliency).unwrap();
        let logits = Tensor::arange(17, (Kind::Double, Device::Cpu)) * 0.1;
        let total = |f: &Plane| {
            let terms = loss.terms(&Plane::tensor(std::slice::from_ref(f)), &sources).unwrap();
            f64::try_from(loss.total(&terms, &logits).unwrap()).unwrap()
        };
        let fused = Plane::tensor(&b.fused).set_requires_grad(true);
        let value = loss.total(&loss.terms(&fused, &sources).unwrap(), &logits).unwrap();
        let grad = values(&Tensor::run_backward(&[&value], &[&fused], false, false)[0]);
        let published = config.resolved().perceptual == PerceptualForm::Published;
        for at in [0usize, 17, 100, 151, 287] {
            let moved = |step: f64| {
                let mut f = b.fused[0].clone();
                f.v[at] += step;
                f
            };
            let slope = (total(&moved(STEP)) - total(&moved(-STEP))) / (2.0 * STEP);
            // The published perceptual terms move the value but have no derivative.
            let detached = if published {
                let h = values(&loss.weights(&logits).unwrap());
                let part = |f: &Plane| {
                    let terms =
                        loss.terms(&Plane::tensor(std::slice::from_ref(f)), &sources).unwrap().to_vec().unwrap();
                    terms.iter().zip(&h).filter(|((t, _), _)| t.is_perceptual()).map(|((_, v), h)| v * h).sum::<f64>()
                };
                (part(&moved(STEP)) - part(&moved(-STEP))) / (2.0 * STEP)
            } else {
                0.0
            };
            let error = (slope - detached - grad[at]).abs();
            // A sum of about 1e4 (255² in the Caffe scaling) rounded at 1e-16, divided by the step.
            assert!(error < 1e-5 * grad[at].abs().max(1e-3), "{config:?} pixel {at}: {} and {slope}", grad[at]);
        }
    }
}

#[test]
fn bad_input_is_a_typed_error() {
    let loss = loss(&LossConfig::paper());
    let image = |shape: [i64; 4]| Tensor::full(shape, 0.5, (Kind::Double, Device::Cpu));
    let sources = |ir: &Tensor, vi: &Tensor, m: Tensor| loss.sources(ir, vi, &Saliency::Complementary(m)).unwrap_err();
    let good = image([1, 1, 16, 16]);
    let small = image([1, 1, 15, 40]);
    let error = sources(&small, &small, small.copy());
    assert_eq!(error.to_string(), "`ir`: both sides must be at least 16 px, found 40x15");
    let none = image([0, 1, 16, 16]);
    assert!(matches!(sources(&none, &none, none.copy()), LossError::EmptyBatch { tensor: "ir" }));
    let color = image([1, 3, 16, 16]);
    assert!(matches!(sources(&color, &good, good.copy()), LossError::Shape { tensor: "ir", .. }));
    assert!(matches!(sources(&good, &image([1, 1, 16, 17]), good.copy()), LossError::Shape { tensor: "vi", .. }));
    assert!(matches!(
        sources(&good, &good, image([2, 1, 16, 16])),
        LossError::Shape { tensor: "infrared saliency", .. }
    ));
    assert!(matches!(sources(&good, &good.to_kind(Kind::Float), good.copy()), LossError::Element { tensor: "vi", .. }));
    assert!(matches!(sources(&good.to_kind(Kind::Float), &good, good.copy()), LossError::Element { tensor: "ir", .. }));
    let holed = good.where_self(
        &Tensor::arange(256, (Kind::Double, Device::Cpu)).reshape([1, 1, 16, 16]).ge(2.0),
        &Tensor::from(f64::NAN),
    );
    assert!(matches!(sources(&good, &holed, good.copy()), LossError::NonFiniteSource { tensor: "vi", count: 2 }));

    let sources = loss.sources(&good, &good, &Saliency::Complementary(good.copy())).unwrap();
    assert!(matches!(loss.terms(&image([1, 1, 16, 17]), &sources), Err(LossError::Shape { tensor: "fused", .. })));
    assert_eq!(loss.terms(&good, &sources).unwrap().first_non_finite().unwrap(), None);
    let terms = loss.terms(&holed, &sources).unwrap();
    assert_eq!(terms.first_non_finite().unwrap(), Some(Term::L1Ir));
    assert!(matches!(terms.require_finite(), Err(LossError::NonFiniteTerm { term: "l1.ir", .. })));
    let logits = Tensor::zeros([12], (Kind::Double, Device::Cpu));
    assert!(matches!(loss.total(&terms, &logits), Err(LossError::Logits { expected: 13, .. })));
}

#[test]
fn without_features_the_perceptual_terms_are_off_and_said_to_be() {
    let off = loss(&LossConfig::paper());
    assert_eq!(off.active().len(), 13);
    assert!(off.status().contains("perceptual terms are OFF"), "{}", off.status());
    let weights = off.weights(&Tensor::zeros([13], (Kind::Double, Device::Cpu))).unwrap();
    assert!((weights.sum(Kind::Double).double_value(&[]) - 1.0).abs() < 1e-15);
    let vgg = Some(VggFile { file: "tiny".into(), lineage: LineageSetting::Caffe, feature_scale: None });
    let on = loss(&LossConfig { vgg, ..LossConfig::paper() });
    assert_eq!(on.active(), Term::FIFTEEN);
    assert!(on.status().contains("tiny (caffe lineage, features × 0.0174)"), "{}", on.status());
    let image = Tensor::full([1, 1, 16, 16], 0.5, (Kind::Double, Device::Cpu));
    let bare = off.sources(&image, &image, &Saliency::Complementary(image.copy())).unwrap();
    assert!(matches!(on.terms(&image, &bare), Err(LossError::ForeignSources)));
}

#[test]
fn a_vgg_file_that_does_not_fit_lists_every_fault() {
    let mut weights = Weights::new();
    for (name, tensor) in tiny_vgg().iter().filter(|(name, _)| *name != "features.5.bias") {
        let tensor = match name {
            "features.7.weight" => HostTensor::from_f32(&[2, 1, 3, 3], &[0.0; 18]).unwrap(),
            "features.28.bias" => HostTensor::from_f32(&[2], &[0.0, f32::NAN]).unwrap(),
            "features.10.bias" => HostTensor::from_i64(&[2], &[0, 1]).unwrap(),
            _ => tensor.clone(),
        };
        weights.insert(name, tensor).unwrap();
    }
    let file = VggFile { file: "broken".into(), lineage: LineageSetting::Caffe, feature_scale: None };
    let error = Vgg::from_weights(&weights, &file, Device::Cpu, Kind::Float).unwrap_err();
    let text = format!("{error}: {}", std::error::Error::source(&error).unwrap());
    for part in [
        "broken",
        "4 of 26",
        "`features.5.bias` is missing",
        "`features.7.weight` has shape [2, 1, 3, 3], expected [2, 2, 3, 3]",
        "`features.28.bias` is not finite at element 1",
        "`features.10.bias`",
    ] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    let nothing = VggFile { feature_scale: Some(0.0), ..file };
    let error = Vgg::from_weights(&tiny_vgg(), &nothing, Device::Cpu, Kind::Float).unwrap_err();
    assert!(matches!(error, LossError::FeatureScale { found: 0.0 }) && error.is_wrong_call(), "{error}");
    let unclear = VggFile { file: "tiny".into(), lineage: LineageSetting::Auto, feature_scale: None };
    let error = Vgg::from_weights(&tiny_vgg(), &unclear, Device::Cpu, Kind::Float).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("cannot tell the lineage"));
}

#[test]
fn scaled_terms_have_one_size_and_equal_weights_keep_the_size_of_the_loss() {
    let b = batch(1, 16, 16);
    let [ir, vi, saliency, fused] = [&b.ir, &b.vi, &b.m_ir, &b.fused].map(|planes| Plane::tensor(planes));
    let plain = loss(&LossConfig::default());
    let sources = plain.sources(&ir, &vi, &Saliency::Complementary(saliency.shallow_clone())).unwrap();
    let unscaled = values(plain.terms(&fused, &sources).unwrap().values());
    assert_eq!(plain.measure_scales(&fused, &sources).unwrap(), None);
    // By differences: the norm of the gradient of each term in the image.
    let step = 1e-6;
    let mut squares = vec![0.0; unscaled.len()];
    for i in 0..fused.numel() as i64 {
        let at = |d: f64| {
            let moved = fused.copy();
            let _ = moved.view(-1).get(i).fill_(fused.view(-1).double_value(&[i]) + d);
            values(plain.terms(&moved, &sources).unwrap().values())
        };
        for ((square, plus), minus) in squares.iter_mut().zip(at(step)).zip(at(-step)) {
            *square += ((plus - minus) / (2.0 * step)).powi(2);
        }
    }
    let slopes: Vec<f64> = squares.into_iter().map(f64::sqrt).collect();
    for scale in [TermScale::Value, TermScale::Gradient] {
        let mut loss = loss(&LossConfig { scale, ..LossConfig::default() });
        let scales = loss.measure_scales(&fused, &sources).unwrap().unwrap();
        assert!((scales.iter().map(|s| 1.0 / s).sum::<f64>() / scales.len() as f64 - 1.0).abs() < 1e-12);
        loss.set_scales(scales.clone()).unwrap();
        let found = values(loss.terms(&fused, &sources).unwrap().values());
        for ((found, value), scale) in found.iter().zip(&unscaled).zip(&scales) {
            assert!((found - value / scale).abs() < 1e-12 * value.abs(), "{found} {value} {scale}");
        }
        // Measured on scaled terms, the factors are the same: they are those of the terms as they are.
        let again = loss.measure_scales(&fused, &sources).unwrap().unwrap();
        assert!(again.iter().zip(&scales).all(|(a, b)| (a - b).abs() < 1e-12 * b), "{again:?} {scales:?}");
        let sizes = if scale == TermScale::Gradient { &slopes } else { &unscaled };
        for ((size, factor), term) in sizes.iter().zip(&scales).zip(loss.active()) {
            let (expected, found) = (size / sizes[0], factor / scales[0]);
            assert!((expected - found).abs() < 1e-4 * expected, "{scale:?} {term}: {expected} {found}");
        }
    }
    let mut loss = loss(&LossConfig::default());
    let error = loss.set_scales(vec![0.0; 13]).unwrap_err();
    assert!(matches!(error, LossError::Scale { term: "l1.ir", found: 0.0 }), "{error}");
    assert!(loss.set_scales(vec![1.0]).is_err());
}
