//! Whether crops fit into the pairs.

use crate::error::SearchError;
use caf_console::Progress;
use caf_data::Dataset;
use caf_geometry::Size;

/// How many small pairs a note names.
const NAMED: usize = 3;

/// Says how many pairs are smaller than the crop: they are enlarged, just enough to cover it. Published sets
/// mix sizes, so that a few small pairs are no reason to stop; a run in which every pair is one would learn from interpolated
/// pixels alone.
///
/// # Errors
/// [`SearchError::Crop`] when all pairs are smaller.
pub fn check_crop(sets: &[&Dataset], crop: Size, progress: &dyn Progress) -> Result<(), SearchError> {
    let entries = || sets.iter().flat_map(|set| set.entries());
    let small: Vec<_> = entries().filter(|e| e.size.width < crop.width || e.size.height < crop.height).collect();
    let all = entries().count();
    if small.is_empty() {
        return Ok(());
    }
    if small.len() == all {
        let largest = small.iter().map(|e| e.size).max_by_key(|size| size.pixels()).unwrap_or_default();
        let root = sets.first().map(|set| set.root().to_owned()).unwrap_or_default();
        return Err(SearchError::Crop { root, pairs: all, crop, largest });
    }
    let factor = |size: Size| (crop.width as f64 / size.width as f64).max(crop.height as f64 / size.height as f64);
    let most = small.iter().map(|e| factor(e.size)).fold(1.0, f64::max);
    let names: Vec<String> = small.iter().take(NAMED).map(|e| format!("{} {}", e.name, e.size)).collect();
    let more = if small.len() > NAMED { ", …" } else { "" };
    progress.say(&format!(
        "{} of {all} pairs are smaller than the crop of {crop} and enlarged to cover it, by up to {most:.2}: {}{more}",
        small.len(),
        names.join(", ")
    ));
    Ok(())
}
