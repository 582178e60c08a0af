//! Fusing a data set into a folder of images.

use super::method::Fuser;
use crate::error::SearchError;
use crate::file::make_folder;
use caf_console::{Progress, StopFlag};
use caf_data::image_file::{write_gray8, write_rgb8};
use caf_data::{Dataset, Gray8, Plane, Rgb8, Sample};
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// What to fuse and where to.
#[derive(Debug)]
pub struct FuseJob<'a> {
    /// The pairs.
    pub dataset: &'a Dataset,
    /// How.
    pub fuser: &'a Fuser,
    /// Folder of the results: `NAME.png`.
    pub out: &'a Path,
    /// Keep the colours of the visible image (BT.601: its Cb and Cr) instead of writing gray images.
    pub colour: bool,
    /// Skip pairs whose result exists.
    pub resume: bool,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FuseReport {
    /// Images written.
    pub written: usize,
    /// Images that existed.
    pub skipped: usize,
    /// Mean milliseconds to fuse one pair, files not counted.
    pub fuse_ms: f64,
}

/// Fuses every pair. Each file is written aside and renamed, so that none is ever half there.
///
/// # Errors
/// When a pair cannot be read or a result not written.
pub fn fuse_folder(job: &FuseJob<'_>, progress: &dyn Progress, stop: &StopFlag) -> Result<FuseReport, SearchError> {
    make_folder(job.out)?;
    let total = job.dataset.len();
    progress.begin("fuse", total as u64, 0);
    let mut report = FuseReport { written: 0, skipped: 0, fuse_ms: 0.0 };
    for (index, entry) in job.dataset.entries().iter().enumerate() {
        if stop.is_raised() {
            break;
        }
        let path = job.out.join(format!("{}.png", entry.name));
        if job.resume && path.exists() {
            report.skipped += 1;
        } else {
            let sample = job.dataset.load(index)?;
            let began = Instant::now();
            let luma = job.fuser.luma(&sample)?;
            report.fuse_ms += began.elapsed().as_secs_f64() * 1e3;
            if job.colour && !sample.vi_is_gray {
                write_rgb8(&path, &coloured(&sample, &luma)?)?;
            } else {
                write_gray8(&path, &gray(&luma)?)?;
            }
            report.written += 1;
        }
        progress.advance(index as u64 + 1, &entry.name);
    }
    progress.end();
    report.fuse_ms /= report.written.max(1) as f64;
    Ok(report)
}

/// The luma in 256 levels, halves to even.
pub(super) fn gray(luma: &Plane) -> Result<Gray8, SearchError> {
    let (width, height) = luma.size_wh();
    Ok(Gray8::new(width, height, luma.data().iter().map(|v| level(*v)).collect())?)
}

/// The fused luma with the visible image's Cb and Cr. Replacing Y alone moves red, green and blue by the same amount.
pub(super) fn coloured(sample: &Sample, luma: &Plane) -> Result<Rgb8, SearchError> {
    let before = sample.vi_luma();
    let (width, height) = luma.size_wh();
    let mut rgb = Vec::with_capacity(width * height * 3);
    let pixels = sample.vi.data().as_chunks::<3>().0;
    for (pixel, (y, fused)) in pixels.iter().zip(before.data().iter().zip(luma.data())) {
        rgb.extend(pixel.map(|channel| level(f32::from(channel) / 255.0 + (fused - y))));
    }
    Ok(Rgb8::new(width, height, rgb)?)
}

fn level(v: f32) -> u8 {
    (v * 255.0).clamp(0.0, 255.0).round_ties_even() as u8
}
