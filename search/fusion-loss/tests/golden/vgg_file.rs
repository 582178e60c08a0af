//! The VGG-16 file of the shared data.

use caf_fusion_loss::{
    FusionLoss, Lineage, LineageSetting, LossConfig, LossError, Saliency, Term, Vgg, VggFault, VggFile,
};
use tch::{Device, Kind, Tensor};

#[test]
fn the_caffe_file_is_known_and_used_as_such() {
    let test = "the_caffe_file_is_known_and_used_as_such";
    let Some(path) = caf_golden::find(test, "weights/vgg16_imagenet_conv.safetensors") else { return };
    let file = |lineage| VggFile { file: path.clone(), lineage, ..VggFile::default() };
    let wrong = Vgg::load(&file(LineageSetting::Torchvision), Device::Cpu, Kind::Float).unwrap_err();
    assert!(matches!(wrong, LossError::Vgg { source: VggFault::OtherLineage { .. }, .. }), "{wrong}");

    // Without its metadata it is still known, by its first biases.
    let mut bare = caf_weights::Weights::new();
    for (name, tensor) in caf_weights::load_safetensors(&path).unwrap().iter() {
        bare.insert(name, tensor.clone()).unwrap();
    }
    assert_eq!(Lineage::of_file(&bare).unwrap(), Some(Lineage::Caffe));

    let config = LossConfig { vgg: Some(file(LineageSetting::Auto)), ..LossConfig::paper() };
    let loss = FusionLoss::new(&config, Device::Cpu, Kind::Float).unwrap();
    assert!(loss.status().ends_with("(caffe lineage, features × 0.0174)"), "{}", loss.status());
    let saved = loss.spelled_out().vgg.unwrap();
    assert_eq!((saved.lineage, saved.feature_scale), (LineageSetting::Caffe, Some(Lineage::Caffe.feature_scale())));
    let image = |phase: f64| {
        ((Tensor::arange(32 * 40, (Kind::Float, Device::Cpu)) * 0.21 + phase).sin() * 0.4 + 0.5).reshape([1, 1, 32, 40])
    };
    let sources = loss.sources(&image(0.0), &image(1.0), &Saliency::Complementary(image(2.0))).unwrap();
    let far = loss.terms(&image(3.0), &sources).unwrap();
    far.require_finite().unwrap();
    let value = |terms: &caf_fusion_loss::Terms, term| f64::try_from(terms.get(term).unwrap()).unwrap();
    assert!(value(&far, Term::PerceptualVi) > 0.0);
    let same = loss.terms(&image(0.0), &sources).unwrap();
    // Source features come from a batch twice as large, which libtorch sums in another order: squared rounding at 1e-7 relative.
    let rounding = value(&same, Term::PerceptualIr) / value(&far, Term::PerceptualIr);
    assert!(rounding < 1e-9, "features of an image equal themselves, found {rounding:e} of the distance to another");
    caf_golden::say(&format!(
        "{test}: 1 file, perceptual.ir of a distant image {:.3}",
        value(&far, Term::PerceptualIr)
    ));
}
