//! The real pairs under `data` of the shared folder: every set opens and loads, lists are disjoint.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop at the line that fails")]

use std::path::{Path, PathBuf};

use caf_data::augment::{CropSettings, ScaleShiftSettings};
use caf_data::leakage::{LeakageOptions, check_disjoint};
use caf_data::split::{Scenes, SplitSettings, split};
use caf_data::view::CutRule;
use caf_data::{DataError, Dataset, DatasetOptions, Need};
use caf_geometry::Size;
use caf_golden::{find, folders, say};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

/// Data sets in the plain layout.
fn sets(root: &Path) -> Vec<PathBuf> {
    folders(root, &["ir", "vi"])
}

fn listed(root: &Path, list: &str) -> Dataset {
    let options = DatasetOptions { list: Some(list.into()), labels: Need::Required, ..DatasetOptions::default() };
    Dataset::open(root, &options).unwrap_or_else(|e| panic!("{}: {e}", root.display()))
}

/// Sets with labels and the two lists of a split.
fn split_sets(root: &Path) -> Vec<PathBuf> {
    folders(root, &["ir", "vi", "train.txt", "val.txt"])
}

#[test]
fn every_set_opens_and_loads() {
    let Some(root) = find("every_set_opens_and_loads", "data") else { return };
    let mut pairs = 0;
    for set in sets(&root) {
        let data = Dataset::open(&set, &DatasetOptions::default()).unwrap_or_else(|e| panic!("{e}"));
        // Opening checked all headers; a few pictures of each set are decoded.
        for index in (0..data.len()).step_by(data.len().div_ceil(6)) {
            let sample = data.load(index).unwrap();
            assert!(sample.ir.data().iter().all(|v| (0.0..=1.0).contains(v)), "{}", sample.name);
            assert!(sample.vi_luma().data().iter().all(|v| (0.0..=1.0).contains(v)), "{}", sample.name);
        }
        say(&format!(
            "{}: {} pairs, {} labelled",
            set.display(),
            data.len(),
            data.entries().iter().filter(|e| e.labelled).count()
        ));
        pairs += data.len();
    }
    assert!(pairs > 0);
}

#[test]
fn published_lists_are_disjoint_and_a_list_leaks_into_itself() {
    let Some(root) = find("published_lists_are_disjoint_and_a_list_leaks_into_itself", "data") else {
        return;
    };
    for set in split_sets(&root) {
        let (train, val) = (listed(&set, "train.txt"), listed(&set, "val.txt"));
        let report = check_disjoint(&train, &val, &LeakageOptions::default()).unwrap_or_else(|e| panic!("{e}"));
        say(&format!("{}\n{report}", set.display()));
        let names_only = LeakageOptions { near_picture: None, ..LeakageOptions::default() };
        assert!(
            matches!(check_disjoint(&val, &val, &names_only), Err(DataError::Overlap(r)) if r.shared.len() == val.len())
        );
    }
}

#[test]
fn our_split_of_real_names_is_disjoint() {
    let Some(root) = find("our_split_of_real_names_is_disjoint", "data") else { return };
    for set in split_sets(&root) {
        let data = Dataset::open(&set, &DatasetOptions::default()).unwrap();
        let names: Vec<String> = data.names().map(str::to_owned).collect();
        let settings = SplitSettings::default();
        let scenes = Scenes::by_number(&names, settings.neighbour_gap, settings.longest_scene);
        let result = split(&scenes, &settings).unwrap();
        assert_eq!(result.train.len() + result.val.len() + result.left_out.len(), names.len());
        assert!(result.val.iter().all(|name| !result.train.contains(name)));
        say(&format!(
            "{}: {} names in {} scenes: train {}, val {}, left out {}",
            set.display(),
            names.len(),
            result.scenes,
            result.train.len(),
            result.val.len(),
            result.left_out.len()
        ));
    }
}

#[test]
fn augmented_labels_stay_inside_and_keep_their_count() {
    let Some(root) = find("augmented_labels_stay_inside_and_keep_their_count", "data") else { return };
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let crop = CropSettings { size: Size::new(320, 320), mirror_probability: 0.5, object_probability: 0.5 };
    let (mut before, mut after) = (0, 0);
    for set in split_sets(&root) {
        let data = listed(&set, "val.txt");
        for index in (0..data.len()).step_by(data.len().div_ceil(6)) {
            let sample = data.load(index).unwrap();
            let views = [
                crop.draw(sample.ir.size(), &sample.labels, &mut rng).unwrap(),
                ScaleShiftSettings::default().draw(sample.ir.size(), Size::new(320, 320), &mut rng).unwrap(),
            ];
            for view in views {
                let seen = view.apply(&sample, CutRule::default()).unwrap();
                assert_eq!((seen.ir.size(), seen.vi.size()), (Size::new(320, 320), Size::new(320, 320)));
                for label in &seen.labels {
                    let b = label.to_pixels(Size::new(1, 1));
                    assert!(b.x1 >= -1e-6 && b.y1 >= -1e-6 && b.x2 <= 1.0 + 1e-6 && b.y2 <= 1.0 + 1e-6, "{label:?}");
                }
                before += sample.labels.len();
                after += seen.labels.len();
            }
        }
    }
    say(&format!("{before} labels before, {after} after"));
    assert!(0 < after && after <= before);
}
