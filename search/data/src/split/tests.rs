use super::*;
use std::collections::BTreeSet;

fn names(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|n| format!("clip_{n:05}")).collect()
}

#[test]
fn names_come_apart_around_their_last_number() {
    let parse = |name| NumberedName::parse(name).map(|n| (n.prefix, n.number, n.suffix));
    assert_eq!(parse("FLIR_video_00069"), Some(("FLIR_video_".into(), 69, String::new())));
    assert_eq!(parse("00004N"), Some((String::new(), 4, "N".into())));
    assert_eq!(parse("cam2-0031b"), Some(("cam2-".into(), 31, "b".into())));
    assert_eq!(parse("street"), None);
    assert_eq!(parse("99999999999999999999999"), None);
}

#[test]
fn runs_are_scenes_and_long_runs_are_cut() {
    let list = names([1, 2, 5, 40, 41, 900]);
    let scenes = Scenes::by_number(&list, 3, 100);
    assert_eq!(scenes.scene_of(), [0, 0, 0, 1, 1, 2]);
    assert_eq!(scenes.sizes(), [3, 2, 1]);
    assert_eq!(Scenes::by_number(&names(0..100), 1, 30).sizes(), [25; 4]);
    let mixed: Vec<String> = ["a1", "street", "b2", "a2"].map(str::to_owned).to_vec();
    assert_eq!(Scenes::by_number(&mixed, 1, 9).scene_of(), [0, 1, 2, 0]);
}

#[test]
fn whole_scenes_are_drawn_and_the_share_is_reached() {
    let list = names((0..40u64).flat_map(|scene| (0..5).map(move |i| scene * 100 + i)));
    let scenes = Scenes::by_number(&list, 10, 100);
    let settings = SplitSettings { val_fraction: 0.25, seed: 3, ..SplitSettings::default() };
    let result = split(&scenes, &settings).unwrap();
    assert_eq!((result.scenes, result.val.len(), result.train.len(), result.left_out.len()), (40, 50, 150, 0));
    let scene = |name: &String| name.trim_start_matches("clip_").parse::<u64>().unwrap() / 100;
    let train: BTreeSet<u64> = result.train.iter().map(scene).collect();
    assert!(result.val.iter().all(|name| !train.contains(&scene(name))));
    assert_eq!(split(&scenes, &settings).unwrap(), result);
    assert_ne!(split(&scenes, &SplitSettings { seed: 4, ..settings }).unwrap().val, result.val);
}

#[test]
fn a_cut_recording_keeps_its_distance() {
    let scenes = Scenes::by_number(&names(0..1000), 10, 50);
    let settings = SplitSettings { val_fraction: 0.2, neighbour_gap: 10, longest_scene: 50, seed: 1 };
    let result = split(&scenes, &settings).unwrap();
    assert_eq!(result.val.len() + result.train.len() + result.left_out.len(), 1000);
    assert!(!result.left_out.is_empty());
    let number = |name: &String| NumberedName::parse(name).unwrap().number;
    let val: BTreeSet<u64> = result.val.iter().map(number).collect();
    let distance = |n: u64| val.iter().map(|v| v.abs_diff(n)).min().unwrap();
    assert!(result.train.iter().all(|name| distance(number(name)) > 10));
    assert!(result.left_out.iter().all(|name| (1..=10).contains(&distance(number(name)))));
}

#[test]
fn a_scenes_file_overrides_numbers() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("scenes.txt");
    let list: Vec<String> = ["a b 1", "x7", "x8", "x90"].map(str::to_owned).to_vec();
    let by_number = Scenes::by_number(&list, 1, 9);
    assert_eq!(by_number.scene_of(), [0, 1, 1, 2]);
    std::fs::write(&path, "# places\na b 1   bridge\nx90 bridge\nx8 tunnel\n").unwrap();
    let scenes = by_number.clone().with_file(&path).unwrap();
    assert_eq!((scenes.scene_of(), scenes.count()), ([0, 1, 2, 0].as_slice(), 3));
    for (text, line) in [("x7\n", 1), ("x7 s\nnobody s\n", 2), ("x7 s\n\nx7 t\n", 3)] {
        std::fs::write(&path, text).unwrap();
        let error = by_number.clone().with_file(&path).unwrap_err();
        assert!(matches!(error, DataError::Line { line: found, .. } if found == line), "{error}");
    }
}

#[test]
fn impossible_splits_say_why() {
    let one = Scenes::by_number(&names(0..5), 1, 100);
    assert!(matches!(split(&one, &SplitSettings::default()), Err(DataError::Split { scenes: 1, .. })));
    let crowded = Scenes::by_number(&names(0..6), 10, 3);
    assert!(matches!(split(&crowded, &SplitSettings::default()), Err(DataError::Split { scenes: 2, .. })));
    for val_fraction in [0.0, 1.0, f64::NAN] {
        let settings = SplitSettings { val_fraction, ..SplitSettings::default() };
        assert!(matches!(split(&one, &settings), Err(DataError::Setting { .. })));
    }
    // The share is smaller than any scene: the smallest one is taken.
    let two = Scenes::by_number(&names([1, 2, 3, 100, 101]), 5, 9);
    let tiny = split(&two, &SplitSettings { val_fraction: 0.01, ..SplitSettings::default() }).unwrap();
    assert_eq!((tiny.val.len(), tiny.train.len()), (2, 3));
}
