//! Whole trainings on a tiny network.

use super::fixture::{Folder, images};
use super::*;
use caf_console::{Progress, Silent, StopFlag};
use caf_data::{Dataset, DatasetOptions, IrRange, Need};
use caf_weights::{HostTensor, Weights, load_safetensors, save_safetensors};
use std::path::Path;
use tch::Device;

/// Raises the flag once so many iterations are done.
struct StopAfter<'a>(u64, &'a StopFlag);

impl Progress for StopAfter<'_> {
    fn begin(&self, _: &str, _: u64, _: u64) {}
    fn advance(&self, done: u64, _: &str) {
        if done == self.0 {
            self.1.raise();
        }
    }
    fn end(&self) {}
    fn say(&self, _: &str) {}
}

fn config() -> TaskConfig {
    let mut config = TaskConfig {
        width_multiple: Some(0.125),
        depth_multiple: Some(0.33),
        image_width_px: 64,
        image_height_px: 64,
        epochs: 3,
        batch: 2,
        seed: 3,
        device: "cpu".into(),
        threads: 1,
        ..TaskConfig::default()
    };
    // Three batches make a step after warm-up, so that a stop can fall between two steps.
    config.optimizer.nominal_batch = 6;
    config.optimizer.warmup_epochs = 0.0;
    config.optimizer.warmup_min_iterations = 2;
    config.loss.autobalance = true;
    config
}

fn train(config: &TaskConfig, folder: &Folder, out: &Path, stop_after: Option<u64>) -> Result<TaskOutcome, TaskError> {
    let (train, val) = (images(folder, 64), images(folder, 64));
    let stop = StopFlag::default();
    let stopping = StopAfter(stop_after.unwrap_or(u64::MAX), &stop);
    train_task(&TaskRun { config, train: &train, val: &val, out_dir: out, stop: &stop, progress: &stopping })
}

/// Names every tensor whose bits differ.
fn same_tensors(expected: &Path, found: &Path) {
    let (expected, weights) = (load_safetensors(expected).unwrap(), load_safetensors(found).unwrap());
    assert!(expected.len() >= 349 && expected.len() == weights.len(), "{}", found.display());
    let differs = |name: &str, t: &HostTensor| weights.get(name).is_none_or(|f| f.bytes() != t.bytes());
    let differing: Vec<&str> = expected.iter().filter(|(name, t)| differs(name, t)).map(|(name, _)| name).collect();
    assert!(differing.is_empty(), "{}: {} differ: {differing:?}", found.display(), differing.len());
}

#[test]
fn a_resumed_training_gives_the_same_bits() {
    let folder = Folder::new(7, (48, 40));
    let dir = tempfile::tempdir().unwrap();
    let (straight, stopped) = (dir.path().join("straight"), dir.path().join("stopped"));
    let whole = train(&config(), &folder, &straight, None).unwrap();
    assert!(whole.finished && whole.iterations == 12);

    // In the middle of the first epoch between two steps, at the end of an epoch, in the middle of the last.
    for stop in [3, 8, 11] {
        let part = train(&config(), &folder, &stopped, Some(stop)).unwrap();
        assert_eq!((part.finished, part.iterations), (false, stop as usize));
    }
    // Other numbers of workers prepare the same batches.
    let last = train(&TaskConfig { workers: 1, ..config() }, &folder, &stopped, None).unwrap();
    assert!(last.finished);
    for file in [files::CHECKPOINT, files::LAST, files::BEST] {
        same_tensors(&straight.join(file), &stopped.join(file));
    }
    let losses = |o: &TaskOutcome| {
        let bits = |r: &EpochRow| [r.boxes, r.objectness, r.classes].map(|v| format!("{v:.12}"));
        o.rows.iter().map(|r| (r.epoch, bits(r), r.scores.map(|s| format!("{:.12}", s.fitness())))).collect::<Vec<_>>()
    };
    assert_eq!(losses(&whole), losses(&last));
    assert_eq!(whole.best_epoch, last.best_epoch);
}

#[test]
fn a_killed_training_goes_on_from_its_last_checkpoint() {
    let folder = Folder::new(5, (48, 40));
    let dir = tempfile::tempdir().unwrap();
    let (straight, killed) = (dir.path().join("straight"), dir.path().join("killed"));
    let config = TaskConfig { epochs: 2, checkpoint_every: 2, ..config() };
    train(&config, &folder, &straight, None).unwrap();
    train(&config, &folder, &killed, Some(2)).unwrap();
    let at_two = std::fs::read(killed.join(files::CHECKPOINT)).unwrap();
    train(&config, &folder, &killed, Some(5)).unwrap();
    // What a kill after iteration 2 leaves, with files of a later time around it.
    std::fs::write(killed.join(files::CHECKPOINT), at_two).unwrap();
    train(&config, &folder, &killed, None).unwrap();
    for file in [files::CHECKPOINT, files::LAST, files::BEST] {
        same_tensors(&straight.join(file), &killed.join(file));
    }
}

#[test]
fn images_of_one_cell_are_trained_in_company_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let config = TaskConfig { image_width_px: 32, image_height_px: 32, epochs: 1, ..config() };
    for (batch, images) in [(1, 4), (2, 1)] {
        let error =
            train(&TaskConfig { batch, ..config.clone() }, &Folder::new(images, (48, 40)), &out, None).unwrap_err();
        assert!(matches!(error, TaskError::Setting { name: "batch", .. }) && !out.exists(), "{error}");
    }
    // 5 = 2 + 3: the last would be alone.
    let done = train(&config, &Folder::new(5, (48, 40)), &out, None).unwrap();
    assert_eq!((done.finished, done.iterations), (true, 2));
    for (name, tensor) in load_safetensors(out.join(files::CHECKPOINT)).unwrap().iter() {
        assert!(tensor.to_f64_vec().map_or(true, |v| v.iter().all(|v| v.is_finite())), "{name}");
    }
}

#[test]
fn a_state_that_no_training_of_this_length_reaches_is_refused() {
    let folder = Folder::new(4, (48, 40));
    let dir = tempfile::tempdir().unwrap();
    let config = TaskConfig { epochs: 2, ..config() };
    train(&config, &folder, dir.path(), Some(3)).unwrap();
    let path = dir.path().join(files::CHECKPOINT);
    let saved = load_safetensors(&path).unwrap();
    let key = super::checkpoint::STATE_KEY;
    for (name, value, said) in [
        ("iteration", serde_json::json!(i64::MAX), "at most the 4 iterations"),
        ("iteration", serde_json::json!(1), "expected the rows of 0 epochs, found 1"),
        ("stepped_at", serde_json::json!(4), "last step within 3 iterations, found 4"),
        ("rows", serde_json::json!([]), ""),
    ] {
        let mut state: serde_json::Value = serde_json::from_str(&saved.metadata()[key]).unwrap();
        state[name] = value;
        let mut wrong = saved.clone();
        wrong.set_metadata(key, state.to_string());
        save_safetensors(&wrong, &path).unwrap();
        let result = train(&config, &folder, dir.path(), None);
        // A row that is owed is made up for.
        match said {
            "" => assert!(result.unwrap().finished),
            said => assert!(result.unwrap_err().to_string().contains(said), "{said}"),
        }
    }
}

#[test]
fn the_result_says_how_infrared_was_read() {
    let folder = Folder::new(2, (48, 40));
    let config = TaskConfig { epochs: 1, ir_range: IrRange::MinMax, ..config() };
    let options = DatasetOptions { labels: Need::Required, ir_range: config.ir_range, ..DatasetOptions::default() };
    let dataset = Dataset::open(folder.path(), &options).unwrap();
    // Of visible images it means nothing.
    for (source, said) in [(ImageSource::Infrared, "\"min_max\""), (ImageSource::Visible, "\"full\"")] {
        let images = TaskImages::open(&dataset, &source, 0).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let stop = StopFlag::default();
        train_task(&TaskRun {
            config: &config,
            train: &images,
            val: &images,
            out_dir: dir.path(),
            stop: &stop,
            progress: &Silent,
        })
        .unwrap();
        for file in [files::LAST, files::BEST] {
            assert_eq!(load_safetensors(dir.path().join(file)).unwrap().metadata()["ir_range"], said, "{file}");
        }
    }
}

#[test]
fn a_folder_of_another_training_is_refused_with_what_differs() {
    let folder = Folder::new(4, (48, 40));
    let dir = tempfile::tempdir().unwrap();
    let config = TaskConfig { epochs: 1, ..config() };
    train(&config, &folder, dir.path(), Some(1)).unwrap();
    let other = TaskConfig { seed: 4, ..config.clone() };
    let error = train(&other, &folder, dir.path(), None).unwrap_err();
    assert!(error.to_string().contains("seed: saved 3, now 4"), "{error}");
    let error = train(&config, &Folder::new(5, (48, 40)), dir.path(), None).unwrap_err();
    assert!(error.to_string().contains("training images"), "{error}");
}

#[test]
fn a_finished_training_is_found_finished_and_left_as_it_is() {
    let folder = Folder::new(4, (48, 40));
    let dir = tempfile::tempdir().unwrap();
    let config = TaskConfig { epochs: 2, ..config() };
    let first = train(&config, &folder, dir.path(), None).unwrap();
    let files = || {
        let mut all: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap())
            .map(|e| (e.path(), std::fs::read(e.path()).unwrap(), e.metadata().unwrap().modified().unwrap()))
            .collect();
        all.sort();
        all
    };
    let before = files();
    let again = train(&config, &folder, dir.path(), None).unwrap();
    assert!(again.finished && again.iterations == first.iterations && again.best_epoch == first.best_epoch);
    assert!(before == files(), "a file has changed");
    // What ends by patience is finished too, and goes on with more of it.
    let dir = tempfile::tempdir().unwrap();
    let impatient = TaskConfig { epochs: 9, patience: 1, ..config };
    let ended = train(&impatient, &folder, dir.path(), None).unwrap();
    assert!(ended.finished && ended.iterations < 18, "{}", ended.iterations);
    assert_eq!(train(&impatient, &folder, dir.path(), None).unwrap().iterations, ended.iterations);
    let patient = TaskConfig { patience: 0, ..impatient };
    assert_eq!(train(&patient, &folder, dir.path(), None).unwrap().iterations, 18);
}

#[test]
fn nothing_is_made_for_a_training_that_cannot_begin() {
    let folder = Folder::new(4, (48, 40));
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let absent = TaskConfig { weights: Some(dir.path().join("absent.pt")), ..config() };
    assert!(train(&absent, &folder, &out, None).is_err() && !out.exists());
    // The first image of the first epoch cannot be read.
    let bad = images(&folder, 0);
    let order = Plan { images: &bad, augment: config().augment, size: (64, 64), batch: 2, seed: 3 }.order(0);
    let path = &bad.images()[order[0]].path;
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    let error = train(&config(), &folder, &out, None).unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert!(!out.exists());
    // Nobody has labelled anything.
    let folder = Folder::new(2, (48, 40));
    for i in 0..2 {
        std::fs::write(folder.path().join(format!("labels/scene{i}.txt")), "").unwrap();
    }
    let error = train(&config(), &folder, &out, None).unwrap_err();
    assert!(matches!(error, TaskError::NoObjects { what: "training", images: 2, .. }) && !out.exists(), "{error}");
}

#[test]
fn a_loss_that_is_no_number_stops_and_names_the_part() {
    let folder = Folder::new(4, (48, 40));
    let dir = tempfile::tempdir().unwrap();
    let config = TaskConfig { epochs: 1, weights: Some(dir.path().join("huge.safetensors")), ..config() };
    // Finite values whose product is not.
    let network = config.network(2);
    let begun = start(network, None, 0).unwrap();
    let mut huge = Weights::new();
    for (name, tensor) in begun.weights.iter() {
        let tensor = if name.starts_with("model.24.m.0.bias") {
            HostTensor::from_f32(tensor.shape(), &vec![3e38; tensor.len()]).unwrap()
        } else {
            tensor.clone()
        };
        huge.insert(name, tensor).unwrap();
    }
    save_safetensors(&huge, dir.path().join("huge.safetensors")).unwrap();
    let error = train(&config, &folder, &dir.path().join("out"), None).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, TaskError::NotFinite { epoch: 0, iteration: 0, .. }), "{text}");
    assert!(text.contains("part of the detector's loss") && text.contains("scene"), "{text}");
    assert!(!dir.path().join("out").join(files::CHECKPOINT).exists());
}

#[test]
fn training_lowers_the_loss_and_its_result_can_be_loaded_and_measured() {
    let folder = Folder::new(8, (64, 64));
    let dir = tempfile::tempdir().unwrap();
    let mut config = TaskConfig { epochs: 16, batch: 4, ..config() };
    config.optimizer.nominal_batch = 4;
    config.loss.autobalance = false;
    config.augment.scale = 0.0;
    config.augment.translate = 0.0;
    config.validation.every = 7;
    config.optimizer.rate = 0.05;
    config.optimizer.final_share = 1.0;
    let outcome = train(&config, &folder, dir.path(), None).unwrap();
    let (first, last) = (outcome.rows[0], outcome.rows[15]);
    assert!(last.boxes < 0.8 * first.boxes, "{first:?} {last:?}");
    // Every seventh epoch and the last.
    let validated: Vec<usize> = outcome.rows.iter().filter(|r| r.scores.is_some()).map(|r| r.epoch).collect();
    assert_eq!(validated, [7, 14, 16]);
    let log = std::fs::read_to_string(dir.path().join(files::LOG)).unwrap();
    assert_eq!(log.lines().count(), 17);
    assert_eq!(log.lines().next(), Some(HEADER));

    let loaded = load_detector(&dir.path().join(files::LAST), Device::Cpu).unwrap();
    assert_eq!(loaded.classes, ["box", "bar"]);
    let settings = EvalSettings::of_training(&config);
    let report =
        evaluate_task(&loaded.detector, &loaded.params, &images(&folder, 0), &settings, &Silent, &StopFlag::default())
            .unwrap();
    assert_eq!(Some(&report), outcome.last_report.as_ref());
    assert_eq!((report.images, report.labels, report.not_finite), (8, 8, 0));
}

#[test]
fn other_classes_in_validation_are_refused() {
    let (folder, other) = (Folder::new(2, (48, 40)), Folder::new(2, (48, 40)));
    std::fs::write(other.path().join("classes.txt"), "box\ncar\n").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (train, val) = (images(&folder, 0), images(&other, 0));
    let (config, stop) = (config(), StopFlag::default());
    let run =
        TaskRun { config: &config, train: &train, val: &val, out_dir: dir.path(), stop: &stop, progress: &Silent };
    assert!(matches!(train_task(&run), Err(TaskError::Classes { .. })));
}
