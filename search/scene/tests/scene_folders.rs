//! Rendered data sets and clips on disk.

// Helpers of tests may fail loudly too.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop at the line that fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use caf_data::{Dataset, DatasetOptions};
use caf_geometry::Size;
use caf_rig::Rig;
use caf_scene::{ClipSpec, Condition, DatasetSpec, SceneError, offset_rig, write_clip, write_dataset};

fn spec() -> DatasetSpec {
    DatasetSpec {
        count: 20,
        seed: 11,
        size: Size::new(96, 72),
        conditions: Vec::new(),
        frames_per_scene: 2,
        val_share: 0.5,
        replace: false,
    }
}

/// Every file below `root`, by its path.
fn contents(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
    found
}

fn relative(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let prefix = root.display().to_string();
    contents(root).into_iter().map(|(path, bytes)| (path.replace(&prefix, ""), bytes)).collect()
}

#[test]
fn a_data_set_reads_back_and_does_not_depend_on_the_number_of_threads() {
    let parent = tempfile::tempdir().unwrap();
    let (one, many) = (parent.path().join("one"), parent.path().join("many"));
    let done = AtomicUsize::new(0);
    let progress = |n: usize| {
        done.fetch_max(n, Ordering::Relaxed);
    };
    let summary = write_dataset(&one, &spec(), &progress).unwrap();
    assert_eq!((summary.train, summary.val, done.load(Ordering::Relaxed)), (10, 10, 20));
    let single = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    single.install(|| write_dataset(&many, &spec(), &|_| ())).unwrap();
    assert_eq!(relative(&one), relative(&many));
    assert_eq!(relative(&one).len(), 5 * 20 + 6, "five files a pair, four lists, the rig and the record");

    let data = Dataset::open(&one, &DatasetOptions::default()).unwrap();
    assert_eq!(data.len(), 20);
    let labels: usize = (0..20).map(|i| data.load(i).unwrap().labels.len()).sum();
    assert_eq!(labels, summary.labels.iter().sum::<usize>());
    assert!(Rig::read(&one.join("rig.toml")).is_ok());

    let scene_of = |list: &str| -> Vec<String> {
        let text = fs::read_to_string(one.join(list)).unwrap();
        text.lines().map(|name| name.split('_').next().unwrap().to_owned()).collect()
    };
    let val = scene_of("val.txt");
    assert!(scene_of("train.txt").iter().all(|scene| !val.contains(scene)));
}

#[test]
fn a_full_folder_is_kept_unless_it_may_be_replaced() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("set");
    let small = DatasetSpec { count: 2, ..spec() };
    write_dataset(&root, &small, &|_| ()).unwrap();
    let before = relative(&root);
    assert!(matches!(write_dataset(&root, &small, &|_| ()), Err(SceneError::NotEmpty { .. })));
    assert_eq!(relative(&root), before);
    write_dataset(&root, &DatasetSpec { count: 3, replace: true, ..spec() }, &|_| ()).unwrap();
    assert_eq!(fs::read_dir(root.join("ir")).unwrap().count(), 3);
    let refused = write_dataset(&root, &DatasetSpec { size: Size::new(8, 72), replace: true, ..spec() }, &|_| ());
    assert!(matches!(refused, Err(SceneError::Size { .. })));
    assert_eq!(fs::read_dir(root.join("ir")).unwrap().count(), 3, "a failed request leaves the old set");
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1, "nothing is left beside it");
    let below_a_file = root.join("classes.txt").join("set");
    assert!(matches!(write_dataset(&below_a_file, &small, &|_| ()), Err(SceneError::Io { .. })));
}

#[test]
fn a_clip_has_frames_times_and_its_rig() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("clip");
    let rig = offset_rig(Size::new(96, 72));
    let clip = ClipSpec {
        seed: 4,
        size: Size::new(96, 72),
        condition: Some(Condition::Night),
        seconds: 0.5,
        fps: 10.0,
        infrared_skew_ms: -15.0,
        rig: Some(rig),
        replace: false,
    };
    let summary = write_clip(&root, &clip, &|_| ()).unwrap();
    assert_eq!((summary.frames, summary.condition), (5, Condition::Night));
    for folder in ["ir", "vi"] {
        for frame in 0..5 {
            let size = image::image_dimensions(root.join(folder).join(format!("{frame:06}.png"))).unwrap();
            assert_eq!(size, (96, 72));
        }
    }
    assert_eq!(Rig::read(&root.join("rig.toml")).unwrap(), rig);
    let times = fs::read_to_string(root.join("timestamps.csv")).unwrap();
    let rows: Vec<&str> = times.lines().collect();
    assert_eq!(rows.len(), 6);
    assert_eq!(rows[..3], ["frame,visible_s,infrared_s", "0,0.015000,0.000000", "1,0.115000,0.100000"]);
    for (broken, name) in [
        (ClipSpec { fps: 0.0, ..clip.clone() }, "fps"),
        (ClipSpec { seconds: f64::NAN, ..clip.clone() }, "seconds"),
        (ClipSpec { infrared_skew_ms: f64::INFINITY, ..clip.clone() }, "infrared_skew_ms"),
    ] {
        let error = write_clip(&parent.path().join("broken"), &broken, &|_| ()).unwrap_err();
        assert!(matches!(error, SceneError::Setting { setting, .. } if setting == name), "{error}");
    }
}
