//! Rendered data sets in the plain layout.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use caf_geometry::Size;
use caf_rig::{Camera, Rig};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::folder::{Staged, io, label_text, write_gray, write_json, write_rgb, write_text};
use super::noise::hash;
use super::{Class, Condition, FIELD_OF_VIEW_DEG, Label, Scene, SceneError, SceneSpec};

/// Seconds between the frames of one scene.
const FRAME_GAP_S: f64 = 0.7;

/// Which data set to render.
#[derive(Clone, Debug, PartialEq)]
pub struct DatasetSpec {
    /// Pairs in all.
    pub count: usize,
    /// The scenes' seeds follow from it.
    pub seed: u64,
    /// Size of both images.
    pub size: Size,
    /// Conditions that the scenes go through in turn; all when empty.
    pub conditions: Vec<Condition>,
    /// Pairs of each scene, 0.7 s apart; at least 1.
    pub frames_per_scene: usize,
    /// Share of the scenes whose pairs go to `val.txt`, 0–1. Whole rounds of conditions are chosen, so that both lists hold
    /// every condition; of fewer scenes than that needs, the last go to `val.txt`: at least one of two.
    pub val_share: f64,
    /// Replace a folder that holds a rendered data set.
    pub replace: bool,
}

/// One pair of a rendered data set, as in `scenes.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneEntry {
    /// Name of the pair.
    pub name: String,
    /// Scene number; pairs of one scene are never in both lists.
    pub scene: usize,
    /// Seed of the scene.
    pub seed: u64,
    /// Condition of the scene.
    pub condition: Condition,
    /// Seconds after the scene's start.
    pub t_s: f64,
    /// `train` or `val`.
    pub split: String,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DatasetSummary {
    /// Pairs in `train.txt`.
    pub train: usize,
    /// Pairs in `val.txt`.
    pub val: usize,
    /// Labels by class id.
    pub labels: [usize; Class::ALL.len()],
    /// Ignore regions.
    pub ignored: usize,
}

#[derive(Serialize)]
struct Record<'a> {
    version: u32,
    seed: u64,
    width_px: usize,
    height_px: usize,
    classes: Vec<&'static str>,
    mask_values: &'static str,
    pairs: &'a [SceneEntry],
}

/// Renders a data set to `root`: `ir/`, `vi/`, `labels/`, `ignore/`, `masks/` (0 background, class id + 1, 255 ignored),
/// `classes.txt`, `mask_classes.txt`, `train.txt` and `val.txt` (no scene is in both), `rig.toml`, `scenes.json`. The folder appears complete or
/// not at all; pairs are rendered on all cores, with the same bytes on any number of them. `progress` is told the number of
/// pairs done.
///
/// # Errors
/// [`SceneError::Setting`] and [`SceneError::Size`] for a request that cannot be met, [`SceneError::NotEmpty`] when `root`
/// holds something (something other than a rendered data set, with [`DatasetSpec::replace`]), and the errors of writing.
pub fn write_dataset(
    root: &Path,
    spec: &DatasetSpec,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<DatasetSummary, SceneError> {
    let entries = plan(spec)?;
    let staged = Staged::new(root, spec.replace)?;
    for folder in ["ir", "vi", "labels", "ignore", "masks"] {
        let path = staged.path().join(folder);
        fs::create_dir(&path).map_err(io(&path, "creating the folder"))?;
    }
    let done = AtomicUsize::new(0);
    let counts = entries
        .par_iter()
        .map(|entry| {
            let counts = write_pair(staged.path(), spec, entry)?;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            Ok(counts)
        })
        .collect::<Result<Vec<_>, SceneError>>()?;
    let names =
        |split: &str| -> Vec<&str> { entries.iter().filter(|e| e.split == split).map(|e| e.name.as_str()).collect() };
    let (train, val) = (names("train"), names("val"));
    write_text(&staged.path().join("train.txt"), &lines(&train))?;
    write_text(&staged.path().join("val.txt"), &lines(&val))?;
    let classes = Class::ALL.map(Class::name);
    write_text(&staged.path().join("classes.txt"), &lines(&classes))?;
    let of_masks: Vec<&str> = std::iter::once("background").chain(classes).collect();
    write_text(&staged.path().join("mask_classes.txt"), &lines(&of_masks))?;
    let camera = Camera::with_field_of_view(spec.size, FIELD_OF_VIEW_DEG);
    Rig::aligned(camera).write(&staged.path().join("rig.toml"))?;
    let record = Record {
        version: 1,
        seed: spec.seed,
        width_px: spec.size.width,
        height_px: spec.size.height,
        classes: classes.to_vec(),
        mask_values: "0 background, class id + 1, 255 ignored",
        pairs: &entries,
    };
    write_json(&staged.path().join("scenes.json"), &record)?;
    staged.finish()?;
    let mut summary = DatasetSummary { train: train.len(), val: val.len(), labels: [0; Class::ALL.len()], ignored: 0 };
    for (labels, ignored) in counts {
        for (sum, n) in summary.labels.iter_mut().zip(labels) {
            *sum += n;
        }
        summary.ignored += ignored;
    }
    Ok(summary)
}

fn lines(names: &[&str]) -> String {
    names.iter().map(|name| format!("{name}\n")).collect()
}

/// Most pairs of one data set.
const MAX_PAIRS: usize = 1_000_000;

fn plan(spec: &DatasetSpec) -> Result<Vec<SceneEntry>, SceneError> {
    let refuse = |setting, expected, found: String| Err(SceneError::Setting { setting, expected, found });
    if !(1..=MAX_PAIRS).contains(&spec.count) {
        return refuse("count", "1 to 1000000 pairs", spec.count.to_string());
    }
    if spec.frames_per_scene == 0 {
        return refuse("frames_per_scene", "at least 1", spec.frames_per_scene.to_string());
    }
    if !(0.0..=1.0).contains(&spec.val_share) {
        return refuse("val_share", "0 to 1", spec.val_share.to_string());
    }
    let conditions = if spec.conditions.is_empty() { &Condition::ALL[..] } else { &spec.conditions };
    // Every time the running share passes a whole number, that round of conditions goes to val.
    let passed = |round: usize| (round as f64 * spec.val_share + 1e-9).floor();
    let scenes = spec.count.div_ceil(spec.frames_per_scene);
    let no_round = passed(scenes.div_ceil(conditions.len())) == 0.0 && spec.val_share > 0.0;
    let last = if no_round { (scenes as f64 * spec.val_share).round().max(1.0) as usize } else { 0 };
    let first_of_last = scenes - last.min(scenes - 1);
    let digits = (spec.count / spec.frames_per_scene).to_string().len().max(4);
    let mut entries = Vec::with_capacity(spec.count);
    for index in 0..spec.count {
        let (scene, frame) = (index / spec.frames_per_scene, index % spec.frames_per_scene);
        let round = scene / conditions.len();
        let Some(condition) = conditions.get(scene % conditions.len()) else { continue };
        let held_out = passed(round + 1) > passed(round) || scene >= first_of_last;
        entries.push(SceneEntry {
            name: format!("s{scene:0digits$}_{frame}"),
            scene,
            seed: scene_seed(spec.seed, scene),
            condition: *condition,
            t_s: frame as f64 * FRAME_GAP_S,
            split: if held_out { "val" } else { "train" }.to_owned(),
        });
    }
    Ok(entries)
}

/// Neighbouring data-set seeds share no scene.
fn scene_seed(seed: u64, scene: usize) -> u64 {
    let (low, high) = (seed as u32, (seed >> 32) as u32);
    let part = |salt| u64::from(hash(scene as i32, high as i32, salt, low));
    part(1) << 32 | part(2)
}

fn write_pair(
    root: &Path,
    spec: &DatasetSpec,
    entry: &SceneEntry,
) -> Result<([usize; Class::ALL.len()], usize), SceneError> {
    let scene =
        Scene::generate(&SceneSpec { seed: entry.seed, size: spec.size, condition: Some(entry.condition), rig: None })?;
    let pair = scene.render(entry.t_s);
    let file = |folder: &str, extension: &str| root.join(folder).join(format!("{}.{extension}", entry.name));
    write_gray(&file("ir", "png"), &pair.ir, pair.ir_size)?;
    write_rgb(&file("vi", "png"), &pair.vi, pair.vi_size)?;
    write_gray(&file("masks", "png"), &pair.mask, pair.vi_size)?;
    write_text(&file("labels", "txt"), &label_text(&pair.labels))?;
    write_text(&file("ignore", "txt"), &label_text(&pair.ignore))?;
    Ok((count(&pair.labels), pair.ignore.len()))
}

fn count(labels: &[Label]) -> [usize; Class::ALL.len()] {
    let mut counts = [0; Class::ALL.len()];
    for label in labels {
        if let Some(count) = counts.get_mut(label.class.id()) {
            *count += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> DatasetSpec {
        DatasetSpec {
            count: 30,
            seed: 3,
            size: Size::new(64, 48),
            conditions: Vec::new(),
            frames_per_scene: 2,
            val_share: 1.0 / 3.0,
            replace: false,
        }
    }

    #[test]
    fn no_scene_is_in_both_lists_and_every_condition_is() {
        let entries = plan(&spec()).unwrap();
        assert_eq!(entries.len(), 30);
        let of = |split: &str| entries.iter().filter(|e| e.split == split).collect::<Vec<_>>();
        let (train, val) = (of("train"), of("val"));
        assert_eq!((train.len(), val.len()), (20, 10));
        assert!(train.iter().all(|t| val.iter().all(|v| v.scene != t.scene && v.seed != t.seed)));
        for condition in Condition::ALL {
            assert!(val.iter().any(|e| e.condition == condition));
        }
    }

    #[test]
    fn both_lists_hold_something_from_two_scenes_on() {
        for (scenes, frames_per_scene, val_share) in
            (2..=25).flat_map(|n| [1, 3].map(|f| (n, f))).flat_map(|(n, f)| [0.01, 0.25, 0.5, 0.99].map(|s| (n, f, s)))
        {
            // The last scene is cut short.
            let count = scenes * frames_per_scene - (frames_per_scene - 1);
            let entries = plan(&DatasetSpec { count, frames_per_scene, val_share, ..spec() }).unwrap();
            let scenes_of = |split: &str| -> std::collections::BTreeSet<usize> {
                entries.iter().filter(|e| e.split == split).map(|e| e.scene).collect()
            };
            let (train, val) = (scenes_of("train"), scenes_of("val"));
            assert!(!train.is_empty() && !val.is_empty(), "{scenes} scenes, share {val_share}");
            assert!(train.is_disjoint(&val));
            assert_eq!(train.len() + val.len(), scenes);
        }
        let split_of = |count, val_share| -> Vec<String> {
            let entries = plan(&DatasetSpec { count, frames_per_scene: 1, val_share, ..spec() }).unwrap();
            entries.into_iter().map(|e| e.split).collect()
        };
        assert_eq!(split_of(8, 0.25), ["train", "train", "train", "train", "train", "train", "val", "val"]);
        assert_eq!(split_of(1, 0.25), ["train"], "one scene is trained on");
        assert!(split_of(30, 0.0).iter().all(|s| s == "train"), "none are asked for");
        assert!(split_of(3, 1.0).iter().all(|s| s == "val"), "all are asked for");
    }

    #[test]
    fn requests_that_cannot_be_met_are_refused() {
        for (broken, name) in [
            (DatasetSpec { count: 0, ..spec() }, "count"),
            (DatasetSpec { frames_per_scene: 0, ..spec() }, "frames_per_scene"),
            (DatasetSpec { count: usize::MAX, ..spec() }, "count"),
            (DatasetSpec { val_share: f64::NAN, ..spec() }, "val_share"),
        ] {
            assert!(matches!(plan(&broken), Err(SceneError::Setting { setting, .. }) if setting == name));
        }
    }
}
