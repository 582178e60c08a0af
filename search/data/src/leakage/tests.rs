use super::*;
use crate::dataset::DatasetOptions;
use caf_geometry::Size;
use caf_image::list::write_names as write_name_list;
use caf_image::{Gray8, write_gray8};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::path::Path;
use tempfile::TempDir;

/// Writes a pair whose pictures are drawn from `seed`, with `noise` gray levels of difference drawn from the name.
fn pair(root: &Path, name: &str, seed: u64, noise: u8) {
    for (camera, offset) in [("ir", 0), ("vi", 1000)] {
        let mut picture = ChaCha8Rng::seed_from_u64(seed + offset);
        let mut jitter = ChaCha8Rng::seed_from_u64(name.bytes().map(u64::from).sum());
        let data = (0..32 * 32)
            .map(|_| picture.random_range(30..200u8) + if noise > 0 { jitter.random_range(0..=noise) } else { 0 })
            .collect();
        std::fs::create_dir_all(root.join(camera)).unwrap();
        write_gray8(&root.join(format!("{camera}/{name}.png")), &Gray8::new(Size::new(32, 32), data).unwrap()).unwrap();
    }
}

fn open(root: &Path, names: &[&str]) -> Dataset {
    let list = root.join(format!("{}.txt", names.join("+")));
    write_name_list(&list, "", names).unwrap();
    Dataset::open(root, &DatasetOptions { list: Some(list), ..DatasetOptions::default() }).unwrap()
}

#[test]
fn every_kind_of_leak_is_found() {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    for (name, seed, noise) in [
        ("f_001", 1, 0),
        ("f_050", 2, 0),
        ("g_001", 3, 0),
        ("f_004", 4, 0),
        ("h_9", 2, 3),
        ("k_9", 3, 0),
        ("z_1", 5, 0),
    ] {
        pair(root, name, seed, noise);
    }
    let train = open(root, &["f_001", "f_050", "g_001"]);
    let val = open(root, &["f_001", "f_004", "h_9", "k_9", "z_1"]);
    let report = compare(&train, &val, &LeakageOptions::default()).unwrap();
    assert_eq!(report.shared, ["f_001"]);
    assert_eq!(report.neighbours, [Neighbour { train: "f_001".into(), val: "f_004".into(), distance: 3 }]);
    assert_eq!(report.near_pictures.len(), 1, "{report}");
    assert_eq!((report.near_pictures[0].train.as_str(), report.near_pictures[0].val.as_str()), ("f_050", "h_9"));
    assert_eq!(report.identical.len(), 1, "{report}");
    assert_eq!((report.identical[0].train.as_str(), report.identical[0].val.as_str()), ("g_001", "k_9"));
    assert!(report.overlaps());
    let text = report.to_string();
    assert!(text.contains("names in both: 1 of 5") && text.contains("f_004 - f_001 (3 apart)"), "{text}");
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<LeakageReport>(&json).unwrap(), report);

    assert!(matches!(check_disjoint(&train, &val, &LeakageOptions::default()), Err(DataError::Overlap(_))));
    let apart = check_disjoint(&train, &open(root, &["f_004", "h_9", "z_1"]), &LeakageOptions::default()).unwrap();
    assert_eq!((apart.neighbours.len(), apart.near_pictures.len()), (1, 1), "reported, not refused");
    let off = LeakageOptions { neighbour_gap: 0, near_picture: None };
    let quiet = compare(&train, &open(root, &["f_004", "k_9"]), &off).unwrap();
    assert!(!quiet.overlaps() && quiet.neighbours.is_empty() && quiet.near_pictures.is_empty());
}

#[test]
fn equal_names_under_two_roots_are_no_leak_but_equal_pictures_are() {
    let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    pair(one.path(), "00001", 1, 0);
    pair(two.path(), "00001", 2, 0);
    let options = LeakageOptions::default();
    let report = check_disjoint(&open(one.path(), &["00001"]), &open(two.path(), &["00001"]), &options).unwrap();
    assert!(report.shared.is_empty() && report.near_pictures.is_empty());
    pair(two.path(), "00001", 1, 0);
    let error = check_disjoint(&open(one.path(), &["00001"]), &open(two.path(), &["00001"]), &options).unwrap_err();
    assert!(error.to_string().contains("same pictures under two names: 1 of 1"), "{error}");
}
