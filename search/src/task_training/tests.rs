//! Whole trainings on a tiny network.

use super::*;
use crate::error::SearchError;
use crate::fixture::{Folder, images, task_training, train};
use crate::loader::{Annotation, ImageSource, Order, Stream, TaskImages};
use crate::tasks::{DetectionSettings, TaskSettings, open_task};
use caf_console::{Progress, Silent, StopFlag};
use caf_data::{Dataset, DatasetOptions, Need};
use caf_geometry::Size;
use caf_image::IrRange;
use caf_net::zoo::yolov5::Variant;
use caf_weights::{HostTensor, Weights, load_safetensors, save_safetensors};
use std::path::Path;
use tch::Device;

fn detection() -> DetectionSettings {
    let mut settings = DetectionSettings {
        variant: Some(Variant::N),
        width_multiple: Some(0.125),
        depth_multiple: Some(0.33),
        ..DetectionSettings::default()
    };
    // Three batches make a step after warm-up, so that a stop can fall between two steps.
    settings.optimizer.nominal_batch = 6;
    settings.optimizer.warmup = Some(2);
    settings.loss.autobalance = true;
    settings
}

fn config_of(folder: &Folder, settings: &DetectionSettings) -> TaskTrainConfig {
    let mut config = task_training(folder, "detection", settings);
    (config.run.epochs, config.run.batch) = (3, 2);
    config
}

fn config(folder: &Folder) -> TaskTrainConfig {
    config_of(folder, &detection())
}

/// Names every tensor whose bits differ.
fn same_tensors(expected: &Path, found: &Path) {
    let (expected, weights) = (load_safetensors(expected).unwrap(), load_safetensors(found).unwrap());
    assert!(expected.len() >= 349 && expected.len() == weights.len(), "{}", found.display());
    let differs = |name: &str, t: &HostTensor| weights.get(name).is_none_or(|f| f.bytes() != t.bytes());
    let differing: Vec<&str> = expected.iter().filter(|(name, t)| differs(name, t)).map(|(name, _)| name).collect();
    assert!(differing.is_empty(), "{}: {} differ: {differing:?}", found.display(), differing.len());
}

/// A log without what the clock decides.
fn log(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let has_clock = text.starts_with("iteration,ms,");
    let row = |line: &str| {
        line.split(',').enumerate().filter(|(i, _)| !has_clock || *i != 1).map(|(_, v)| v.to_owned() + ",").collect()
    };
    text.lines().map(row).collect()
}

#[test]
fn pairs_that_are_trained_and_validated_on_are_refused_unless_that_is_said() {
    let folder = Folder::new(3, Size::new(48, 40));
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut config = config(&folder);
    config.data.allow_overlap = false;
    let error = train(&config, &out, None).unwrap_err();
    assert!(matches!(&error, SearchError::Overlap(report) if report.shared.len() == 3), "{error}");
    let text = error.to_string();
    assert!(text.contains("data.allow_overlap=true") && text.contains("scene1") && !out.exists(), "{text}");
}

#[test]
fn a_resumed_training_gives_the_same_bits() {
    let folder = Folder::new(7, Size::new(48, 40));
    let dir = tempfile::tempdir().unwrap();
    let (straight, stopped) = (dir.path().join("straight"), dir.path().join("stopped"));
    let whole = train(&config(&folder), &straight, None).unwrap();
    assert_eq!((whole.interrupted, whole.iterations), (false, 12));

    // In the middle of the first epoch between two steps, at the end of an epoch, in the middle of the last.
    for stop in [3, 8, 11] {
        let part = train(&config(&folder), &stopped, Some(stop)).unwrap();
        assert_eq!((part.interrupted, part.iterations), (true, stop as usize));
    }
    // Other numbers of workers prepare the same batches.
    let mut alone = config(&folder);
    alone.data.workers = 1;
    let last = train(&alone, &stopped, None).unwrap();
    for file in [files::STATE, files::LAST, files::BEST] {
        same_tensors(&straight.join(file), &stopped.join(file));
    }
    for file in [files::LOG, files::VALIDATION] {
        assert_eq!(log(&straight.join(file)), log(&stopped.join(file)));
    }
    let rows = log(&straight.join(files::VALIDATION));
    assert!(rows.len() == 4 && rows[0] == "iteration,precision,recall,map50,map50_95,fitness,", "{rows:?}");
    assert!(rows[1].starts_with("4,") && rows[3].starts_with("12,"), "{rows:?}");
    let header = &log(&straight.join(files::LOG))[0];
    assert_eq!(header, "iteration,total,box,objectness,class,learning_rate,");
    assert_eq!((whole.best, whole.last_report), (last.best, last.last_report));
}

#[test]
fn a_killed_training_goes_on_from_its_last_state() {
    let folder = Folder::new(5, Size::new(48, 40));
    let dir = tempfile::tempdir().unwrap();
    let (straight, killed) = (dir.path().join("straight"), dir.path().join("killed"));
    let mut config = config(&folder);
    (config.run.epochs, config.run.save_every) = (2, 2);
    train(&config, &straight, None).unwrap();
    train(&config, &killed, Some(2)).unwrap();
    let at_two = std::fs::read(killed.join(files::STATE)).unwrap();
    train(&config, &killed, Some(5)).unwrap();
    // What a kill after iteration 2 leaves, with files of a later time around it.
    std::fs::write(killed.join(files::STATE), at_two).unwrap();
    let done = train(&config, &killed, None).unwrap();
    for file in [files::STATE, files::LAST, files::BEST] {
        same_tensors(&straight.join(file), &killed.join(file));
    }
    assert_eq!(log(&straight.join(files::VALIDATION)), log(&killed.join(files::VALIDATION)));
    assert!(done.best.is_some());
}

#[test]
fn a_single_image_of_one_cell_is_refused_and_two_stay_finite() {
    let folder = Folder::new(5, Size::new(48, 40));
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut config = config(&folder);
    (config.run.size_px, config.run.epochs, config.run.batch) = (Size::new(32, 32), 1, 1);
    let error = train(&config, &out, None).unwrap_err();
    assert!(matches!(error, SearchError::Setting { name: "run.batch", .. }) && !out.exists(), "{error}");
    config.run.batch = 2;
    assert_eq!(train(&config, &out, None).unwrap().iterations, 3);
    for (name, tensor) in load_safetensors(out.join(files::STATE)).unwrap().iter() {
        assert!(tensor.to_f64_vec().map_or(true, |v| v.iter().all(|v| v.is_finite())), "{name}");
    }
}

#[test]
fn a_state_that_no_training_of_this_length_reaches_is_refused() {
    let folder = Folder::new(4, Size::new(48, 40));
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.run.epochs = 2;
    train(&config, dir.path(), Some(3)).unwrap();
    let path = dir.path().join(files::STATE);
    let saved = load_safetensors(&path).unwrap();
    for (name, values, said) in [
        ("iteration", vec![i64::MAX], "expected 0 to 4"),
        ("iteration", vec![-1], "expected 0 to 4"),
        ("task_counts", vec![0, 4, 3], "last step within [3] iterations, found 4"),
        ("task_counts", vec![-1, 3, 3], "found -1"),
        ("task_balance", vec![1], "level weights"),
    ] {
        let mut wrong = saved.clone();
        let shape = if name == "iteration" { vec![] } else { vec![values.len()] };
        wrong.replace(name, HostTensor::from_i64(&shape, &values).unwrap());
        save_safetensors(&wrong, &path).unwrap();
        let text = train(&config, dir.path(), None).unwrap_err().to_string();
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[test]
fn the_result_says_how_infrared_was_read() {
    let folder = Folder::new(2, Size::new(48, 40));
    // Of visible images it means nothing.
    for (source, said) in [(ImageSource::Infrared, Some("\"min_max\"")), (ImageSource::Visible, None)] {
        let mut config = config(&folder);
        (config.run.epochs, config.data.ir_range, config.images) = (1, IrRange::MinMax, source);
        let dir = tempfile::tempdir().unwrap();
        train(&config, dir.path(), None).unwrap();
        for file in [files::LAST, files::BEST] {
            let weights = load_safetensors(dir.path().join(file)).unwrap();
            assert_eq!(weights.metadata().get("ir_range").map(String::as_str), said, "{file}");
        }
    }
}

#[test]
fn a_folder_of_another_training_is_refused_with_what_differs() {
    let folder = Folder::new(4, Size::new(48, 40));
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.run.epochs = 1;
    train(&config, dir.path(), Some(1)).unwrap();
    let mut other = config.clone();
    other.run.seed = 4;
    let text = train(&other, dir.path(), None).unwrap_err().to_string();
    assert!(text.contains("run.seed: saved 3, now 4"), "{text}");
    let five = Folder::new(5, Size::new(48, 40));
    config.data.root = five.path().to_owned();
    let text = train(&config, dir.path(), None).unwrap_err().to_string();
    assert!(text.contains("training images") && text.contains("validation images"), "{text}");
}

#[test]
fn a_finished_training_is_found_finished_and_left_as_it_is() {
    let folder = Folder::new(4, Size::new(48, 40));
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.run.epochs = 2;
    let first = train(&config, dir.path(), None).unwrap();
    let files = || {
        let all = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).filter(|path| path.is_file());
        let mut all: Vec<_> = all.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
        all.sort();
        all
    };
    let before = files();
    let again = train(&config, dir.path(), None).unwrap();
    assert_eq!((again.interrupted, again.iterations, again.best), (false, first.iterations, first.best));
    assert!(before == files(), "a file has changed");
    // What ends by patience is finished too, and goes on with more of it.
    let dir = tempfile::tempdir().unwrap();
    (config.run.epochs, config.validation.patience) = (9, 1);
    let ended = train(&config, dir.path(), None).unwrap();
    assert!(!ended.interrupted && ended.iterations < 18, "{}", ended.iterations);
    assert_eq!(train(&config, dir.path(), None).unwrap().iterations, ended.iterations);
    config.validation.patience = 0;
    assert_eq!(train(&config, dir.path(), None).unwrap().iterations, 18);
}

#[test]
fn nothing_is_made_for_a_training_that_cannot_begin() {
    let folder = Folder::new(4, Size::new(48, 40));
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let absent = DetectionSettings { init: Some(dir.path().join("absent.pt")), ..detection() };
    assert!(train(&config_of(&folder, &absent), &out, None).is_err() && !out.exists());
    // The first image cannot be read.
    let order = Order { seed: 3, stream: Stream::Train, samples: 4, batch: 2 };
    let path = images(&folder, 0).images()[order.members(0)[0]].path.clone();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = train(&config(&folder), &out, None).unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert!(!out.exists());
    // Nobody has labelled anything.
    let folder = Folder::new(2, Size::new(48, 40));
    for i in 0..2 {
        std::fs::write(folder.path().join(format!("labels/scene{i}.txt")), "").unwrap();
    }
    let error = train(&config(&folder), &out, None).unwrap_err();
    assert!(matches!(error, SearchError::NothingLabelled { purpose: "train on", samples: 2, .. }), "{error}");
    assert!(!out.exists());
}

#[test]
fn a_loss_that_is_no_number_stops_and_names_the_part() {
    let folder = Folder::new(4, Size::new(48, 40));
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.run.epochs = 1;
    train(&config, &dir.path().join("first"), Some(1)).unwrap();
    // Finite values whose product is not.
    let mut huge = Weights::new();
    for (name, tensor) in load_safetensors(dir.path().join("first").join(files::STATE)).unwrap().iter() {
        let Some(name) = name.strip_prefix("task/") else { continue };
        let tensor = if name.starts_with("model.24.m.0.bias") {
            HostTensor::from_f32(tensor.shape(), &vec![3e38; tensor.len()]).unwrap()
        } else {
            tensor.clone()
        };
        huge.insert(name, tensor).unwrap();
    }
    let file = dir.path().join("huge.safetensors");
    save_safetensors(&huge, &file).unwrap();
    config.task = TaskSettings::new("detection", &DetectionSettings { init: Some(file), ..detection() }).unwrap();
    let out = dir.path().join("out");
    let error = train(&config, &out, None).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, SearchError::NonFinite { iteration: 0, .. }), "{text}");
    assert!(text.contains("loss of the task") && text.contains("scene"), "{text}");
    assert!(!out.join(files::STATE).exists());
}

#[test]
fn training_lowers_the_loss_and_its_result_can_be_loaded_and_measured() {
    let folder = Folder::new(8, Size::new(64, 64));
    let dir = tempfile::tempdir().unwrap();
    let mut settings = detection();
    settings.optimizer.nominal_batch = 4;
    settings.loss.autobalance = false;
    settings.optimizer.rate = 0.05;
    settings.optimizer.final_share = 1.0;
    let mut config = config_of(&folder, &settings);
    (config.run.epochs, config.run.batch) = (16, 4);
    (config.augment.scale, config.augment.translate) = (0.0, 0.0);
    config.validation.every = Some(14);
    let done = train(&config, dir.path(), None).unwrap();
    let rows = log(&dir.path().join(files::LOG));
    let boxes: Vec<f64> = rows[1..].iter().map(|row| row.split(',').nth(2).unwrap().parse().unwrap()).collect();
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    assert!(boxes.len() == 32 && mean(&boxes[28..]) < 0.8 * mean(&boxes[..4]), "{boxes:?}");
    // Every fourteenth iteration and the last.
    let validated = log(&dir.path().join(files::VALIDATION));
    let validated: Vec<&str> = validated[1..].iter().map(|row| row.split(',').next().unwrap()).collect();
    assert_eq!(validated, ["14", "28", "32"]);

    let trained = open_task(&dir.path().join(files::LAST), Device::Cpu).unwrap();
    assert_eq!(trained.classes().unwrap(), ["box", "bar"]);
    let measured = |folder: &Folder| {
        // At the size of the training, which the file says.
        trained.evaluate(&images(folder, 0), None, 16, &Silent, &StopFlag::default())
    };
    let report = measured(&folder).unwrap();
    assert_eq!(Some(&report), done.last_report.as_ref());
    assert_eq!(
        (report.kind, &report.details["images"], &report.details["not_finite"]),
        ("detection", &8.into(), &0.into())
    );
    std::fs::write(folder.path().join("classes.txt"), "box\ncar\n").unwrap();
    assert!(matches!(measured(&folder), Err(SearchError::Classes { .. })));
}

#[test]
fn the_folder_of_a_running_training_is_in_use() {
    let folder = Folder::new(4, Size::new(48, 40));
    let dir = tempfile::tempdir().unwrap();
    /// Starts a second training within the first.
    struct Second<'a>(&'a TaskTrainConfig, &'a Path);
    impl Progress for Second<'_> {
        fn begin(&self, _: &str, _: u64, _: u64) {}
        fn advance(&self, _: u64, _: &str) {
            let error = train(self.0, self.1, None).unwrap_err();
            assert!(matches!(error, SearchError::InUse { .. }), "{error}");
        }
        fn end(&self) {}
        fn say(&self, _: &str) {}
    }
    let mut config = config(&folder);
    config.run.iterations = Some(2);
    let out = dir.path().join("out");
    super::train(&config, &out, &Second(&config, &out), &StopFlag::default()).unwrap();
    assert_eq!(train(&config, &out, None).unwrap().iterations, 2);
}

#[test]
fn images_of_pairs_without_labels_are_refused() {
    let folder = Folder::new(2, Size::new(48, 40));
    std::fs::remove_file(folder.path().join("labels/scene1.txt")).unwrap();
    let options = DatasetOptions { labels: Need::Optional, ..DatasetOptions::default() };
    let dataset = Dataset::open(folder.path(), &options).unwrap();
    let error = TaskImages::open(&dataset, &ImageSource::Visible, Annotation::Boxes, 0).unwrap_err().to_string();
    assert!(error.contains("scene1: no label file"), "{error}");
}
