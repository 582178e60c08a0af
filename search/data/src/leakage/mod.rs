//! Whether training and validation are apart: shared names, the same picture twice, near duplicates, neighbouring
//! frames.

use std::collections::{BTreeMap, HashSet};

use caf_image::ImageError;
use rayon::prelude::*;

use crate::dataset::Dataset;
use crate::error::DataError;
pub use crate::leakage_report::{LeakageReport, NearPicture, Neighbour};
use crate::name::NumberedName;
use crate::thumbnail::Thumbnail;

/// What counts as suspiciously close.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeakageOptions {
    /// Names whose numbers differ by at most this are neighbours (of one root folder only); 0 switches this off.
    pub neighbour_gap: u64,
    /// Pairs whose 16×16 thumbnails correlate above this in both cameras are near duplicates; `None` leaves pictures
    /// unread, which also leaves copies under other names undiscovered.
    pub near_picture: Option<f32>,
}

impl Default for LeakageOptions {
    /// Ten numbers apart; correlation 0.9 in both cameras. Among the 221 RoadScene pairs exactly three combinations are
    /// above it (0.96, 0.95, 0.92), all of one place within seconds; the next one, of two streets, has 0.85.
    fn default() -> Self {
        Self { neighbour_gap: 10, near_picture: Some(0.9) }
    }
}

/// Compares two data sets. Reads all pixels of both unless `near_picture` is `None`.
///
/// # Errors
/// [`DataError::Image`] when a root folder cannot be resolved, and those of [`Dataset::load`].
pub fn compare(train: &Dataset, val: &Dataset, options: &LeakageOptions) -> Result<LeakageReport, DataError> {
    let mut report = LeakageReport { train_pairs: train.len(), val_pairs: val.len(), ..LeakageReport::default() };
    // Two data sets often number their files alike; only under one root does the same name mean the same pair.
    if canonical(train)? == canonical(val)? {
        let names: HashSet<&str> = train.names().collect();
        report.shared = val.names().filter(|name| names.contains(name)).map(str::to_owned).collect();
        report.neighbours = neighbours(train, val, options.neighbour_gap);
    }
    if let Some(threshold) = options.near_picture {
        let shared: HashSet<&str> = report.shared.iter().map(String::as_str).collect();
        let train_pictures = thumbnails(train)?;
        let val_pictures = thumbnails(val)?;
        let close: Vec<NearPicture> = (0..val.len())
            .into_par_iter()
            .filter_map(|index| closest(val, &val_pictures, index, train, &train_pictures, threshold))
            .filter(|near| !(near.train == near.val && shared.contains(near.val.as_str())))
            .collect();
        (report.identical, report.near_pictures) = close.into_iter().partition(|near| near.identical);
        report.near_pictures.sort_by(|a, b| b.correlation.total_cmp(&a.correlation));
    }
    Ok(report)
}

/// Compares two data sets and refuses an overlap: shared names, or the same pictures under other names. Near
/// duplicates and neighbours are reported only, since a publisher's split may have them.
///
/// # Errors
/// [`DataError::Overlap`] with the whole report, and those of [`compare`].
pub fn check_disjoint(train: &Dataset, val: &Dataset, options: &LeakageOptions) -> Result<LeakageReport, DataError> {
    let report = compare(train, val, options)?;
    if report.overlaps() { Err(DataError::Overlap(Box::new(report))) } else { Ok(report) }
}

/// The thumbnails of all pairs, in order; reads all pixels, on all cores.
///
/// # Errors
/// Those of [`Dataset::load`].
fn thumbnails(data: &Dataset) -> Result<Vec<Thumbnail>, DataError> {
    (0..data.len()).into_par_iter().map(|index| data.load(index).map(|sample| Thumbnail::of(&sample))).collect()
}

fn canonical(data: &Dataset) -> Result<std::path::PathBuf, DataError> {
    let path = data.root();
    let read = |source| ImageError::Read { path: path.to_owned(), source };
    Ok(path.canonicalize().map_err(read)?)
}

/// For each validation name the nearest training name within the gap, nearest first.
fn neighbours(train: &Dataset, val: &Dataset, gap: u64) -> Vec<Neighbour> {
    let mut numbers: BTreeMap<(String, String), BTreeMap<u64, &str>> = BTreeMap::new();
    for name in train.names() {
        if let Some(n) = NumberedName::parse(name) {
            numbers.entry((n.prefix, n.suffix)).or_default().insert(n.number, name);
        }
    }
    let mut found: Vec<Neighbour> = val
        .names()
        .filter_map(|name| {
            let n = NumberedName::parse(name)?;
            let near = numbers.get(&(n.prefix, n.suffix))?;
            near.range(n.number.saturating_sub(gap)..=n.number.saturating_add(gap))
                .map(|(number, train)| (number.abs_diff(n.number), *train))
                .filter(|&(distance, _)| distance > 0)
                .min()
                .map(|(distance, train)| Neighbour { train: train.to_owned(), val: name.to_owned(), distance })
        })
        .collect();
    found.sort_by_key(|neighbour| neighbour.distance);
    found
}

/// The most similar training pair of one validation pair, when it is similar enough.
fn closest(
    val: &Dataset,
    val_pictures: &[Thumbnail],
    index: usize,
    train: &Dataset,
    train_pictures: &[Thumbnail],
    threshold: f32,
) -> Option<NearPicture> {
    let (name, picture) = (val.names().nth(index)?, val_pictures.get(index)?);
    let (train_name, near, correlation) = train
        .names()
        .zip(train_pictures)
        .map(|(train_name, near)| (train_name, near, picture.correlation(near)))
        .max_by(|a, b| a.2.total_cmp(&b.2))?;
    let identical = train.names().zip(train_pictures).find(|(_, near)| *near == picture);
    let (train_name, identical) = identical.map_or((train_name, near == picture), |(found, _)| (found, true));
    (identical || correlation > threshold).then(|| NearPicture {
        train: train_name.to_owned(),
        val: name.to_owned(),
        correlation,
        identical,
    })
}

#[cfg(test)]
mod tests;
