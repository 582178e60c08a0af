//! Whether a manifest says something that can be.

use crate::error::ManifestFault;
use crate::manifest::{FileEntry, Manifest, MeasuredLoss, Role, TaskEntry};
use crate::name::FileName;
use crate::{MANIFEST, SIGNATURE};
use caf_contract::{Mismatch, Precision, Task};
use std::collections::BTreeMap;

/// Largest file: more than any model of this project by a hundred times, and less than what a wrong number would ask for.
pub const MOST_FILE_BYTES: u64 = 1 << 34;

/// Most detections of an image: as many as the largest accepted detector has boxes.
pub const MOST_DETECTIONS: usize = 100_000;

/// Every file once, whatever the case, and none in the place of the manifest, its signature or another file's folder.
pub fn names<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), ManifestFault> {
    let mut seen: BTreeMap<String, &str> = [MANIFEST, SIGNATURE].map(|name| (name.to_owned(), name)).into();
    let mut folders: BTreeMap<String, &str> = BTreeMap::new();
    let clash = |first: &str, second: &str| match first == second {
        true => ManifestFault::Duplicate { name: first.to_owned() },
        false => ManifestFault::Case { first: first.to_owned(), second: second.to_owned() },
    };
    for name in names {
        if let Some(first) = seen.insert(name.to_ascii_lowercase(), name) {
            return Err(clash(first, name));
        }
        for (at, _) in name.match_indices('/') {
            let (folder, _) = name.split_at(at);
            match folders.insert(folder.to_ascii_lowercase(), folder) {
                Some(first) if first != folder => return Err(clash(first, folder)),
                _ => {}
            }
        }
    }
    match folders.into_iter().find_map(|(lower, folder)| seen.get(&lower).map(|file| (folder, *file))) {
        Some((folder, file)) => Err(clash(file, folder)),
        None => Ok(()),
    }
}

/// Everything that cannot be; empty for a manifest that can be used.
pub fn inconsistencies(manifest: &Manifest) -> Vec<Mismatch> {
    let mut found = vec![];
    values(manifest, &mut found);
    files(manifest, &mut found);
    found
}

fn values(manifest: &Manifest, found: &mut Vec<Mismatch>) {
    let mut wrong = |place: &str, expected: &str, was: String| found.push(Mismatch::new(place, expected, was));
    if let Err(error) = manifest.infrared_range.validate() {
        wrong("infrared_range", "a range", error.to_string());
    }
    let unit = |v: f64| (0.0..=1.0).contains(&v);
    if let Some(detection) = &manifest.detection {
        for (place, value) in [("detection.score", detection.score), ("detection.iou", detection.iou)] {
            if !unit(value) {
                wrong(place, "a number from 0 to 1", value.to_string());
            }
        }
        if !(1..=MOST_DETECTIONS).contains(&detection.max_detections) {
            let expected = format!("a number from 1 to {MOST_DETECTIONS}");
            wrong("detection.max_detections", &expected, detection.max_detections.to_string());
        }
    }
    let known = manifest.tasks.iter().filter_map(|task| Task::named(&task.task));
    let decided = known.into_iter().find(|task| task.has_thresholds);
    match (decided, manifest.detection) {
        (Some(task), None) => wrong("detection", &format!("thresholds of the {}", task.name), "none".to_owned()),
        (None, Some(_)) => wrong("detection", "none without a task that they decide", "thresholds".to_owned()),
        (Some(_), Some(_)) | (None, None) => {}
    }
    for (i, task) in manifest.tasks.iter().enumerate() {
        if Task::named(&task.task).is_none() {
            wrong("tasks", &Task::names("or"), task.task.clone());
        }
        if manifest.tasks.iter().take(i).any(|other| other.task == task.task) {
            wrong("tasks", "each task once", task.task.clone());
        }
        if task.classes.is_empty() {
            wrong(&format!("tasks.{}.classes", task.task), "at least one class", "none".to_owned());
        }
    }
    if let Some(distance_m) = manifest.rig.as_ref().and_then(|rig| rig.distance_m)
        && !(distance_m.is_finite() && distance_m > 0.0)
    {
        wrong("rig.distance_m", "metres above 0", distance_m.to_string());
    }
    if manifest.models.is_empty() {
        wrong("models", "at least one", "none".to_owned());
    }
    for (i, model) in manifest.models.iter().enumerate() {
        let (place, precision) = (format!("models.{}", model.file), model.precision.name());
        if manifest.models.iter().take(i).any(|other| other.precision == model.precision) {
            wrong(&place, "each precision once", precision.to_owned());
        }
        match &model.loss {
            None if model.precision != Precision::Fp32 => {
                wrong(&place, &format!("the measured loss of {precision} against fp32"), "none".to_owned());
            }
            Some(_) if model.precision == Precision::Fp32 => {
                wrong(&place, "no loss of fp32 against itself", "one".to_owned());
            }
            Some(loss) if !can_be(loss, &manifest.tasks) => {
                let expected = "a loss that was measured on pairs: PSNR and SSIM of the fused images (at most 1), finite numbers, points of \
                                the bundle's tasks";
                wrong(&place, expected, format!("{loss:?}"));
            }
            _ => {}
        }
    }
}

/// Whether a loss can have been measured.
fn can_be(loss: &MeasuredLoss, tasks: &[TaskEntry]) -> bool {
    let MeasuredLoss { pairs, fused_psnr_db, fused_ssim, mutual_information_lost, vif_lost, points_lost } = loss;
    let lost = [mutual_information_lost, vif_lost].into_iter().flatten().chain(points_lost.values());
    *pairs > 0
        && fused_psnr_db.is_some_and(f64::is_finite)
        && fused_ssim.is_some_and(|ssim| (-1.0..=1.0).contains(&ssim))
        && lost.into_iter().all(|lost| lost.is_finite())
        && points_lost.keys().all(|name| tasks.iter().any(|task| task.task == *name))
}

fn files(manifest: &Manifest, found: &mut Vec<Mismatch>) {
    let mut wrong = |place: &str, expected: &str, was: &str| found.push(Mismatch::new(place, expected, was));
    if !manifest.files.is_sorted_by(|a, b| a.path < b.path) {
        wrong("files", "sorted by path", "another order");
    }
    for file in manifest.files.iter().filter(|file| file.bytes > MOST_FILE_BYTES) {
        wrong(file.path.as_str(), &format!("at most {MOST_FILE_BYTES} bytes"), &file.bytes.to_string());
    }
    let mut wanted: Vec<(&FileName, Role)> = vec![(&manifest.probes, Role::Probes)];
    wanted.extend(manifest.tasks.iter().map(|task| (&task.classes_file, Role::Classes)));
    wanted.extend(manifest.rig.iter().map(|rig| (&rig.file, Role::Rig)));
    wanted.extend(manifest.made.beta.iter().chain(&manifest.made.run).map(|file| (file, Role::Provenance)));
    for model in &manifest.models {
        wanted.extend([(&model.file, Role::Model), (&model.modelinfo, Role::Modelinfo)]);
        wanted.extend(model.external_data.iter().map(|file| (file, Role::ExternalData)));
        for file in &model.external_data {
            if model.file.beside(file.last()).as_ref() != Ok(file) {
                wrong(file.as_str(), &format!("a file beside `{}`", model.file), "one elsewhere");
            }
        }
    }
    for (i, (name, role)) in wanted.iter().enumerate() {
        match manifest.file(name) {
            None => wrong(name.as_str(), "an entry in `files`", "none"),
            Some(file) if file.role != *role => wrong(name.as_str(), role.name(), file.role.name()),
            Some(_) if wanted.iter().take(i).any(|(other, _)| other == name) => {
                wrong(name.as_str(), "one use", "two");
            }
            Some(_) => {}
        }
    }
    // Nothing rides along under a role that has a meaning.
    let free = |file: &&FileEntry| matches!(file.role, Role::Report | Role::Provenance);
    for file in manifest.files.iter().filter(|file| !free(file)) {
        if wanted.iter().all(|(name, _)| **name != file.path) {
            wrong(file.path.as_str(), &format!("a {} that something uses", file.role.name()), "one that nothing uses");
        }
    }
}
