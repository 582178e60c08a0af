//! Whole trainings of a tiny segmentation network.

use super::*;
use crate::fixture::{Folder, task_training, train};
use crate::loader::{Annotation, ImageSource, TaskImages};
use crate::tasks::{DeepLabSettings, SegmentationSettings, open_task};
use caf_console::{Silent, StopFlag};
use caf_geometry::Size;
use caf_net::zoo::deeplab::{Backbone, MobileNet};
use caf_weights::load_safetensors;
use tch::Device;

fn config(folder: &Folder, iterations: usize) -> TaskTrainConfig {
    let mut settings = SegmentationSettings {
        widths: Some([8, 16, 40, 64]),
        depths: Some([1, 1, 1, 1]),
        decoder_width: Some(32),
        ..SegmentationSettings::default()
    };
    settings.optimizer.rate = 2e-3;
    settings.optimizer.head_factor = 1.0;
    let mut config = task_training(folder, "segmentation", &settings);
    (config.run.batch, config.run.iterations) = (4, Some(iterations));
    config
}

#[test]
fn training_lowers_the_loss_and_finds_the_shapes() {
    let folder = Folder::with_masks(8, Size::new(64, 64));
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&folder, 60);
    (config.augment.scale, config.augment.translate) = (0.0, 0.0);
    config.validation.every = Some(60);
    let done = train(&config, dir.path(), None).unwrap();
    let report = done.last_report.unwrap();
    // Background, box and bar; a network that sees background alone has a third of the first's IoU.
    assert_eq!((report.kind, report.scores.len()), ("segmentation", 3));
    assert!(report.scores[0] > 0.5, "{}", report.table);
    assert!(report.table.contains("background") && report.table.contains("bar"), "{}", report.table);
    assert_eq!((report.details["images"].as_u64(), report.details["pixels"].as_u64()), (Some(8), Some(8 * 64 * 64)));
    let log = std::fs::read_to_string(dir.path().join(files::LOG)).unwrap();
    assert!(log.starts_with("iteration,ms,total,learning_rate\n"), "{log}");

    let trained = open_task(&dir.path().join(files::BEST), Device::Cpu).unwrap();
    assert_eq!(trained.classes().unwrap(), ["background", "box", "bar"]);
    let dataset = config.data.open(None, Some(Annotation::Masks)).unwrap();
    let images = TaskImages::open(&dataset, &ImageSource::Visible, Annotation::Masks, 0).unwrap();
    let measured = |size| trained.evaluate(&images, Some(size), 3, &Silent, &StopFlag::default());
    assert_eq!(measured(Size::new(64, 64)).unwrap(), report);
    // A segmenter sees every image at its own size, whatever it was trained on.
    assert_eq!(measured(Size::new(96, 64)).unwrap(), report);
}

/// The same for a tiny DeepLabV3+.
fn deeplab(folder: &Folder, iterations: usize) -> TaskTrainConfig {
    let net = MobileNet { stem: 8, widths: [4, 8, 8, 12, 16, 20, 24], blocks: [1; 7], expansion: 3 };
    let mut settings = SegmentationSettings {
        variant: Some("deeplabv3plus-mobilenet".to_owned().try_into().unwrap()),
        deeplab: DeepLabSettings {
            fine_width: Some(8),
            head_width: Some(16),
            backbone: Some(Backbone::MobileNet(net)),
            ..DeepLabSettings::default()
        },
        ..SegmentationSettings::default()
    };
    settings.optimizer.rate = 5e-3;
    settings.optimizer.head_factor = 1.0;
    let mut config = task_training(folder, "segmentation", &settings);
    (config.run.batch, config.run.iterations) = (4, Some(iterations));
    config
}

#[test]
fn a_deeplab_learns_and_is_opened_again() {
    let folder = Folder::with_masks(8, Size::new(64, 64));
    let dir = tempfile::tempdir().unwrap();
    let mut config = deeplab(&folder, 80);
    (config.augment.scale, config.augment.translate) = (0.0, 0.0);
    config.validation.every = Some(80);
    let report = train(&config, dir.path(), None).unwrap().last_report.unwrap();
    assert!(report.scores[0] > 0.5, "{}", report.table);
    let trained = open_task(&dir.path().join(files::BEST), Device::Cpu).unwrap();
    let dataset = config.data.open(None, Some(Annotation::Masks)).unwrap();
    let images = TaskImages::open(&dataset, &ImageSource::Visible, Annotation::Masks, 0).unwrap();
    let measured = trained.evaluate(&images, Some(Size::new(64, 64)), 3, &Silent, &StopFlag::default()).unwrap();
    assert_eq!(measured, report);
    // A batch of one has no statistics behind the mean of the image.
    config.run.batch = 1;
    let error = train(&config, &dir.path().join("one"), None).unwrap_err().to_string();
    assert!(error.contains("run.batch") && error.contains("DeepLabV3+"), "{error}");
}

#[test]
fn a_resumed_training_gives_the_same_bits() {
    let folder = Folder::with_masks(6, Size::new(48, 40));
    for (network, config) in [("segformer", config(&folder, 5)), ("deeplab", deeplab(&folder, 5))] {
        resumed_is_the_same(network, &config);
    }
}

fn resumed_is_the_same(network: &str, config: &TaskTrainConfig) {
    let dir = tempfile::tempdir().unwrap();
    let (straight, stopped) = (dir.path().join("straight"), dir.path().join("stopped"));
    train(config, &straight, None).unwrap();
    for stop in [1, 3] {
        assert!(train(config, &stopped, Some(stop)).unwrap().interrupted);
    }
    train(config, &stopped, None).unwrap();
    for file in [files::STATE, files::LAST] {
        let [a, b] = [&straight, &stopped].map(|out| load_safetensors(out.join(file)).unwrap());
        assert!(a.len() > 90 && a.iter().eq(b.iter()), "{network}: {file}");
    }
}

#[test]
fn pairs_without_masks_and_masks_of_unknown_classes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let without = Folder::new(4, Size::new(48, 40));
    let text = train(&config(&without, 1), &out, None).unwrap_err().to_string();
    assert!(text.contains("scene0") && text.contains("mask"), "{text}");
    let folder = Folder::with_masks(4, Size::new(48, 40));
    std::fs::write(folder.path().join("mask_classes.txt"), "background\nbox\n").unwrap();
    let text = train(&config(&folder, 1), &out, None).unwrap_err().to_string();
    assert!(text.contains("masks") && text.contains("class 2"), "{text}");
    assert!(!out.exists());
}
