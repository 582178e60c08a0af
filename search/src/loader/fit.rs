//! Whether crops fit into the pairs.

use crate::error::SearchError;
use caf_console::Progress;
use caf_data::Dataset;

/// How many small pairs a note names.
const NAMED: usize = 3;

/// Says how many pairs are smaller than the crop (width and height): they are enlarged, just enough to cover it. Published sets
/// mix sizes, so that a few small pairs are no reason to stop; a run in which every pair is one would learn from interpolated
/// pixels alone.
///
/// # Errors
/// [`SearchError::Crop`] when all pairs are smaller.
pub fn check_crop(sets: &[&Dataset], crop_px: [usize; 2], progress: &dyn Progress) -> Result<(), SearchError> {
    let [width, height] = crop_px;
    let entries = || sets.iter().flat_map(|set| set.entries());
    let small: Vec<_> = entries().filter(|e| e.width < width || e.height < height).collect();
    let all = entries().count();
    if small.is_empty() {
        return Ok(());
    }
    if small.len() == all {
        let largest = small.iter().map(|e| (e.width, e.height)).max_by_key(|(w, h)| w * h).unwrap_or_default();
        let root = sets.first().map(|set| set.root().to_owned()).unwrap_or_default();
        return Err(SearchError::Crop { root, pairs: all, crop: (width, height), largest });
    }
    let factor = |w: usize, h: usize| (width as f64 / w as f64).max(height as f64 / h as f64);
    let most = small.iter().map(|e| factor(e.width, e.height)).fold(1.0, f64::max);
    let names: Vec<String> = small.iter().take(NAMED).map(|e| format!("{} {}x{}", e.name, e.width, e.height)).collect();
    let more = if small.len() > NAMED { ", …" } else { "" };
    progress.say(&format!(
        "{} of {all} pairs are smaller than the crop of {width}x{height} and enlarged to cover it, by up to {most:.2}: {}{more}",
        small.len(),
        names.join(", ")
    ));
    Ok(())
}
