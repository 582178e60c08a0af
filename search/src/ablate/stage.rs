//! Pieces that jobs are made of.

use crate::error::SearchError;
use crate::file::write_text;
use crate::fusion::{FuseJob, Fuser, Method, fuse_folder};
use crate::run_loop::LOG;
use crate::state::StateError;
use caf_console::{Progress, StopFlag};
use caf_data::Dataset;
use caf_image::ImageError;
use caf_image::results::Existing;
use std::path::Path;
use tch::Device;

/// Fuses pairs into a folder, with the colours of the visible image unless it is the infrared image itself. Those that are there are
/// taken as they are.
///
/// # Errors
/// [`SearchError::Interrupted`] when asked to stop before the last; those of fusing.
pub(crate) fn fuse(
    pairs: &Dataset,
    method: &Method,
    colour: bool,
    out: &Path,
    device: Device,
    progress: &dyn Progress,
    stop: &StopFlag,
) -> Result<(), SearchError> {
    let (fuser, colour) = (Fuser::new(method, device)?, colour && method.shows_visible());
    let job = FuseJob { dataset: pairs, fuser: &fuser, method, out, colour, existing: Existing::Keep };
    let report = match fuse_folder(&job, progress, stop) {
        // A kill came between the first image and the record of what made it.
        Err(SearchError::Image(ImageError::OtherOrigin { .. })) => {
            remove_folder(out)?;
            fuse_folder(&job, progress, stop)
        }
        report => report,
    }?;
    if report.written + report.skipped < pairs.len() { Err(SearchError::Interrupted) } else { Ok(()) }
}

/// Goes on with a training in a folder of the study. What lies there from the same study in another place, whose paths its state
/// names, starts again.
pub(super) fn resumable<T>(
    work: &Path,
    progress: &dyn Progress,
    run: impl Fn() -> Result<T, SearchError>,
) -> Result<T, SearchError> {
    match run() {
        Err(SearchError::State(StateError::Foreign { differing, .. })) => {
            progress.say(&format!("{}: starts again: {}", work.display(), differing.join("; ")));
            remove_folder(work)?;
            run()
        }
        done => done,
    }
}

/// Moves a result to where it is kept.
pub(super) fn keep(from: &Path, to: &Path) -> Result<(), SearchError> {
    std::fs::rename(from, to).map_err(SearchError::io("keep", to))
}

/// Copies a log. The result, which says that the work is done, is moved after it.
pub(super) fn keep_log(work: &Path, to: &Path) -> Result<(), SearchError> {
    let text = std::fs::read_to_string(work.join(LOG)).map_err(SearchError::io("read", work))?;
    write_text(to, &text)
}

/// Removes a folder that may not be there.
pub(super) fn remove_folder(folder: &Path) -> Result<(), SearchError> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(SearchError::io("remove", folder)(e)),
        _ => Ok(()),
    }
}
