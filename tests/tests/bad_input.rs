//! Bad folders, images and weights through the programs' own doors: one clear error with the place, and nothing half written.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop at the line that fails")]

use caf_console::{Silent, StopFlag};
use caf_geometry::Size;
use caf_image::rule::AVERAGE;
use caf_image::{Gray8, Rgb8};
use caf_image::{write_gray8, write_rgb8};
use caf_search::error::SearchError;
use caf_search::fusion::{Fuser, Method, train};
use caf_search::loader::{Annotation, ImageSource, TaskImages};
use caf_search::search::run;
use caf_search::task_training;
use caf_tests::fixture;
use caf_tests::scenes::{SIZE, Scenes};
use caf_weights::{HostTensor, Weights, WeightsError, save_safetensors};
use std::path::{Path, PathBuf};

/// An error with all its causes, as the programs print it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Files below a folder that a failed run must not leave: results, states, and temporary files.
fn left_behind(out: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(out) else { return Vec::new() };
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().to_string_lossy().into_owned();
    let settled = ["config.toml", "log.csv", "run.lock"];
    entries.map(name).filter(|name| !settled.contains(&name.as_str())).collect()
}

/// The first pair's name.
fn first(scenes: &Scenes) -> String {
    scenes.dataset("train.txt").entries()[0].name.clone()
}

/// Cuts a file in the middle of its pixels; its header stays.
fn cut(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn every_misfit_of_a_folder_is_in_one_error() {
    let scenes = Scenes::new(11);
    let names: Vec<String> = scenes.dataset("train.txt").names().map(str::to_owned).collect();
    let file = |folder: &str, name: &str, end: &str| scenes.root().join(folder).join(format!("{name}.{end}"));
    std::fs::remove_file(file("vi", &names[0], "png")).unwrap();
    write_gray8(&file("ir", &names[1], "png"), &Gray8::filled(Size::new(SIZE.width + 1, SIZE.height), 9).unwrap())
        .unwrap();
    std::fs::write(file("labels", &names[2], "txt"), "0 0.5 0.5 0.1 0.1\n77 0.5 0.5 0.1 0.1\n0 0.5 0.5 nan 0.1\n")
        .unwrap();
    std::fs::remove_file(file("labels", &names[3], "txt")).unwrap();

    let out = scenes.out("search");
    let text = chain(&run(&scenes.search(1), &out, &Silent, &StopFlag::default()).unwrap_err());
    for name in &names {
        assert!(text.contains(name.as_str()), "{name} is not in {text}");
    }
    let sizes = [format!("{}", SIZE.width + 1), format!("{}", SIZE.width)];
    for part in sizes.iter().map(String::as_str).chain(["77", ":2", ":3"]) {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert_eq!(left_behind(&out), Vec::<String>::new());

    // The training of the fusion network looks at no labels, but at both halves.
    let beta = scenes.out("beta.toml");
    std::fs::write(&beta, "[weights]\n\"l1.ir\" = 1.0\n").unwrap();
    let out = scenes.out("fusion");
    let text = chain(&train(&scenes.fusion(beta, 1), &out, &Silent, &StopFlag::default()).unwrap_err());
    assert!(text.contains(&names[0]) && text.contains(&names[1]) && !text.contains(&names[2]), "{text}");
    assert_eq!(left_behind(&out), Vec::<String>::new());
}

#[test]
fn a_truncated_image_is_named_and_no_result_is_written() {
    let scenes = Scenes::new(12);
    let name = first(&scenes);
    let path = scenes.root().join("vi").join(format!("{name}.png"));
    cut(&path);

    let out = scenes.out("search");
    let text = chain(&run(&scenes.search(4), &out, &Silent, &StopFlag::default()).unwrap_err());
    assert!(text.contains(path.to_str().unwrap()), "{text}");
    assert_eq!(left_behind(&out), Vec::<String>::new());

    let fused = scenes.out("fused");
    let error = scenes.fuse("train.txt", &Method::Rule(AVERAGE), &fused).unwrap_err();
    assert!(chain(&error).contains(path.to_str().unwrap()), "{}", chain(&error));
    assert!(left_behind(&fused).iter().all(|file| *file != format!("{name}.png") && file.ends_with(".png")));
}

#[test]
fn empty_and_missing_folders_are_told_apart() {
    let scenes = Scenes::new(13);
    let empty = scenes.out("empty");
    std::fs::create_dir_all(empty.join("ir")).unwrap();
    std::fs::create_dir_all(empty.join("vi")).unwrap();
    std::fs::write(empty.join("classes.txt"), "person\n").unwrap();
    for (root, list, part) in [
        (empty.clone(), None, "found none"),
        (scenes.out("absent"), None, "expected a folder"),
        (scenes.root(), Some(PathBuf::from("nobody.txt")), "nobody.txt"),
    ] {
        let mut config = scenes.search(1);
        config.data.root = root.clone();
        (config.data.train, config.data.val) = (list.clone(), list);
        let out = scenes.out("search");
        let text = chain(&run(&config, &out, &Silent, &StopFlag::default()).unwrap_err());
        assert!(text.contains(part) && text.contains(root.to_str().unwrap()), "{text}");
        assert_eq!(left_behind(&out), Vec::<String>::new());
    }
    // The same pairs on both sides of the search.
    let mut config = scenes.search(1);
    config.data.val.clone_from(&config.data.train);
    let text = chain(&run(&config, &scenes.out("overlap"), &Silent, &StopFlag::default()).unwrap_err());
    assert!(text.contains("overlap") && text.contains(&first(&scenes)), "{text}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let scenes = Scenes::new(14);
    let taken = scenes.out("taken");
    std::fs::write(&taken, "a file").unwrap();
    let text = chain(&run(&scenes.search(1), &taken.join("search"), &Silent, &StopFlag::default()).unwrap_err());
    assert!(text.contains(taken.to_str().unwrap()), "{text}");
    assert_eq!(std::fs::read(&taken).unwrap(), b"a file");
}

/// The weights of the fixture's fusion network, changed tensor by tensor; `None` leaves one out.
fn changed(scenes: &Scenes, change: impl Fn(&str, &HostTensor) -> Option<HostTensor>) -> Weights {
    let graph = scenes.search(1).fusion.network.graph().unwrap();
    let mut weights = Weights::new();
    for (name, tensor) in fixture::weights(&graph, 15).iter() {
        if let Some(tensor) = change(name, tensor) {
            weights.insert(name, tensor).unwrap();
        }
    }
    weights.set_metadata("network", "caf");
    weights.set_metadata("config", scenes.search(1).fusion.network.settings().to_string());
    weights
}

#[test]
fn weights_that_do_not_fit_are_listed_whole() {
    let scenes = Scenes::new(15);
    let mut weights = changed(&scenes, |name, tensor| match name {
        "encoder2.0.weight" => None,
        "fuse.0.0.bias" => Some(HostTensor::from_f32(&[3], &[0.0; 3]).unwrap()),
        "fuse.2.0.bias" => Some(HostTensor::from_i64(tensor.shape(), &vec![1; tensor.len()]).unwrap()),
        _ => Some(tensor.clone()),
    });
    weights.insert("stray.weight", HostTensor::from_f32(&[1], &[0.0]).unwrap()).unwrap();
    let path = scenes.out("misfit.safetensors");
    save_safetensors(&weights, &path).unwrap();
    let mut config = scenes.search(1);
    config.fusion.init = Some(path.clone());
    let out = scenes.out("search");
    let error = run(&config, &out, &Silent, &StopFlag::default()).unwrap_err();
    assert!(matches!(error, SearchError::Weights(WeightsError::Mismatch { .. })), "{error}");
    let text = chain(&error);
    for part in [path.to_str().unwrap(), "encoder2.0.weight", "fuse.0.0.bias", "[3]", "fuse.2.0.bias", "stray.weight"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert_eq!(left_behind(&out), Vec::<String>::new());
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_every_program() {
    let scenes = Scenes::new(16);
    let weights = changed(&scenes, |name, tensor| match name {
        "dense.1.0.weight" => {
            let mut values = tensor.to_f32_vec().unwrap();
            values[7] = f32::NAN;
            values[9] = f32::INFINITY;
            Some(HostTensor::from_f32(tensor.shape(), &values).unwrap())
        }
        _ => Some(tensor.clone()),
    });
    let path = scenes.out("nan.safetensors");
    save_safetensors(&weights, &path).unwrap();
    let mut config = scenes.search(1);
    config.fusion.init = Some(path.clone());
    let searched = run(&config, &scenes.out("search"), &Silent, &StopFlag::default()).unwrap_err();
    let fuser = Fuser::new(&Method::Network(path.clone()), tch::Device::Cpu).unwrap_err();
    let exported = caf_export::model::FusionFile::open(&path).unwrap_err();
    for text in [chain(&searched), chain(&fuser), chain(&exported)] {
        for part in ["nan.safetensors", "dense.1.0.weight", "2 element(s)", "7"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
    let damaged = scenes.out("damaged.safetensors");
    std::fs::write(&damaged, &std::fs::read(&path).unwrap()[..1000]).unwrap();
    let text = chain(&Fuser::new(&Method::Network(damaged), tch::Device::Cpu).unwrap_err());
    assert!(text.contains("damaged.safetensors"), "{text}");
}

#[test]
fn fused_images_that_do_not_belong_to_the_pairs_are_listed() {
    let scenes = Scenes::new(17);
    let fused = scenes.out("fused");
    std::fs::create_dir(&fused).unwrap();
    let dataset = scenes.dataset("train.txt");
    let names: Vec<&str> = dataset.names().collect();
    write_rgb8(&fused.join(format!("{}.png", names[0])), &Rgb8::filled(Size::new(SIZE.height, SIZE.width), 5).unwrap())
        .unwrap();
    let error = TaskImages::open(&dataset, &ImageSource::Folder(fused), Annotation::Boxes, 0).unwrap_err();
    let text = chain(&error);
    assert!(names.iter().all(|name| text.contains(name)), "{text}");

    // An image that is damaged after the check stops the training before it has written any weights.
    let damaged = dataset.entries()[1].vi.clone();
    cut(&damaged);
    let (mut config, out) = (scenes.task(Path::new("")), scenes.out("task"));
    config.images = ImageSource::Visible;
    let text = chain(&task_training::train(&config, &out, &Silent, &StopFlag::default()).unwrap_err());
    assert!(text.contains(damaged.to_str().unwrap()), "{text}");
    let left = left_behind(&out);
    assert!(left.iter().all(|file| !file.ends_with(".safetensors")), "{left:?}");
}
