//! Whole trainings of a tiny counting network.

use super::*;
use crate::fixture::{Folder, images, task_training, train};
use crate::tasks::{CountingSettings, open_task};
use caf_console::{Silent, StopFlag};
use caf_geometry::Size;
use caf_weights::load_safetensors;
use tch::Device;

fn config(folder: &Folder, iterations: usize) -> TaskTrainConfig {
    let mut settings = CountingSettings { width: Some(4), around: Some(1), ..CountingSettings::default() };
    settings.optimizer.rate = 1e-2;
    let mut config = task_training(folder, "counting", &settings);
    (config.run.batch, config.run.iterations) = (4, Some(iterations));
    config
}

#[test]
fn training_lowers_the_loss_and_counts_the_objects() {
    let folder = Folder::new(8, Size::new(64, 64));
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&folder, 80);
    (config.augment.scale, config.augment.translate) = (0.0, 0.0);
    config.validation.every = Some(80);
    let done = train(&config, dir.path(), None).unwrap();
    let report = done.last_report.unwrap();
    assert_eq!((report.kind, report.details["images"].as_u64()), ("counting", Some(8)));
    // Every other image has a box, the rest have a bar: whoever looks at none is half an object off.
    let [mae, blind] = ["mae", "blind_mae"].map(|name| report.details["all"][name].as_f64().unwrap());
    assert!(blind == 0.5 && mae < 0.25, "{}", report.table);
    assert_eq!(report.scores, [1.0 - 16.0 * mae / 8.0, mae, report.details["all"]["rmse"].as_f64().unwrap()]);
    assert!(report.table.contains("box") && report.table.contains("bar"), "{}", report.table);
    let log = std::fs::read_to_string(dir.path().join(files::LOG)).unwrap();
    assert!(log.starts_with("iteration,ms,total,learning_rate\n"), "{log}");

    let trained = open_task(&dir.path().join(files::BEST), Device::Cpu).unwrap();
    assert_eq!(trained.classes().unwrap(), ["box", "bar"]);
    let images = images(&folder, 0);
    let measured = |size| trained.evaluate(&images, Some(size), 3, &Silent, &StopFlag::default());
    assert_eq!(measured(Size::new(64, 64)).unwrap(), report);
    // Every image is seen at its own size, whatever the network was trained on.
    assert_eq!(measured(Size::new(96, 64)).unwrap(), report);
}

#[test]
fn a_resumed_training_gives_the_same_bits() {
    let folder = Folder::new(6, Size::new(48, 40));
    let dir = tempfile::tempdir().unwrap();
    let (straight, stopped) = (dir.path().join("straight"), dir.path().join("stopped"));
    let config = config(&folder, 5);
    train(&config, &straight, None).unwrap();
    for stop in [1, 3] {
        assert!(train(&config, &stopped, Some(stop)).unwrap().interrupted);
    }
    train(&config, &stopped, None).unwrap();
    for file in [files::STATE, files::LAST] {
        let [a, b] = [&straight, &stopped].map(|out| load_safetensors(out.join(file)).unwrap());
        assert!(a.len() > 40 && a.iter().eq(b.iter()), "{file}");
    }
}
