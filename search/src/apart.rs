//! Whether what is validated on has been trained on.

use crate::error::SearchError;
use crate::run_settings::DataSettings;
use caf_console::Progress;
use caf_data::leakage::{LeakageOptions, check_disjoint};
use caf_data::{DataError, Dataset};

/// Refuses pairs that are both trained and validated on, by name or by picture, unless `data.allow_overlap` is set; says how many pairs
/// are close to one of the other side. Reads all pixels, but where an overlap is allowed.
///
/// # Errors
/// [`SearchError::Overlap`] with all of them; when an image cannot be read.
pub(crate) fn require_apart(
    data: &DataSettings,
    train: &Dataset,
    val: &Dataset,
    progress: &dyn Progress,
) -> Result<(), SearchError> {
    if data.allow_overlap {
        return Ok(());
    }
    let report = match check_disjoint(train, val, &LeakageOptions::default()) {
        Err(DataError::Overlap(report)) => return Err(SearchError::Overlap(report)),
        report => report?,
    };
    let (near, neighbours) = (report.near_pictures.len(), report.neighbours.len());
    if near + neighbours > 0 {
        progress.say(&format!(
            "training and validation are close: {near} near duplicates, {neighbours} neighbouring frames (`split --check` lists them)"
        ));
    }
    Ok(())
}
