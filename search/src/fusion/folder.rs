//! Fusing a data set into a folder of images.

use super::method::{Fuser, Method};
use crate::error::SearchError;
use caf_console::{Progress, StopFlag};
use caf_data::{Dataset, Sample};
use caf_image::color::{luma, quantize, quantized};
use caf_image::results::{Existing, Fact, ResultFolder};
use caf_image::{Plane, Rgb8};
use caf_image::{write_gray8, write_rgb8};
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
    /// What the fuser was made of, for the folder's record.
    pub method: &'a Method,
    /// Folder of the results: `NAME.png`.
    pub out: &'a Path,
    /// Keep the colours of the visible image (BT.601: its Cb and Cr) instead of writing gray images.
    pub colour: bool,
    /// What is done with results that are there already.
    pub existing: Existing,
}

impl FuseJob<'_> {
    /// Looks at the folder of the results, which need not exist, with what will make them.
    ///
    /// # Errors
    /// Those of [`ResultFolder::open`], and when the network's file cannot be read.
    pub(crate) fn open(&self, existing: Existing) -> Result<ResultFolder, SearchError> {
        let method = Fact::new("method", self.method.describe()?);
        let facts = [
            Fact::new("made by", "caf-search fuse"),
            match self.method {
                Method::Network(path) => method.of_file(path),
                Method::Rule(_) => method,
            },
            Fact::new("infrared range", self.dataset.ir_range().to_string()),
            Fact::new("colours", if self.colour { "of the visible image" } else { "none" }),
        ];
        Ok(ResultFolder::open(self.out, &facts, self.dataset.names(), existing)?)
    }

    /// Fuses a pair and writes its image; how many milliseconds the fusing took.
    ///
    /// # Errors
    /// When the pair cannot be fused or its image not written.
    pub(crate) fn put(&self, sample: &Sample, folder: &mut ResultFolder) -> Result<f64, SearchError> {
        let began = Instant::now();
        let luma = self.fuser.luma(sample)?;
        let took_ms = began.elapsed().as_secs_f64() * 1e3;
        folder.put(&sample.name, |path| -> Result<(), SearchError> {
            if self.colour && !sample.vi_is_gray {
                Ok(write_rgb8(path, &coloured(&sample.vi, &luma)?)?)
            } else {
                Ok(write_gray8(path, &quantized(&luma))?)
            }
        })?;
        Ok(took_ms)
    }
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

/// Fuses every pair. Each file is written aside and renamed, so that none is ever half there. The folder is made when the first
/// image is ready, with a record of the method, the weights' hash and the infrared range.
///
/// # Errors
/// [`SearchError::Sources`] when a result would replace an image of the data set; those of [`ResultFolder::open`]; when a pair
/// cannot be read or a result not written.
pub fn fuse_folder(job: &FuseJob<'_>, progress: &dyn Progress, stop: &StopFlag) -> Result<FuseReport, SearchError> {
    keep_sources(job)?;
    let mut folder = job.open(job.existing)?;
    let total = job.dataset.len();
    progress.begin("fuse", total as u64, 0);
    let mut report = FuseReport { written: 0, skipped: 0, fuse_ms: 0.0 };
    for (index, entry) in job.dataset.entries().iter().enumerate() {
        if stop.is_raised() {
            break;
        }
        if folder.keeps(&entry.name) {
            report.skipped += 1;
        } else {
            report.fuse_ms += job.put(&job.dataset.load(index)?, &mut folder)?;
            report.written += 1;
        }
        progress.advance(index as u64 + 1, &entry.name);
    }
    progress.end();
    if report.written + report.skipped == total {
        folder.finish()?;
    }
    report.fuse_ms /= report.written.max(1) as f64;
    Ok(report)
}

/// Refuses a folder that the pairs lie in: results have their names.
fn keep_sources(job: &FuseJob<'_>) -> Result<(), SearchError> {
    let Ok(out) = job.out.canonicalize() else { return Ok(()) };
    let mut folders = job.dataset.entries().iter().flat_map(|entry| [&entry.ir, &entry.vi]).filter_map(|p| p.parent());
    match folders.find(|folder| folder.canonicalize().is_ok_and(|folder| folder == out)) {
        Some(_) => Err(SearchError::Sources { path: job.out.to_owned() }),
        None => Ok(()),
    }
}

/// The fused luma with the visible image's Cb and Cr. Replacing Y alone moves red, green and blue by the same amount.
pub(super) fn coloured(vi: &Rgb8, fused: &Plane) -> Result<Rgb8, SearchError> {
    let before = luma(vi);
    let mut rgb = Vec::with_capacity(vi.data().len());
    for (pixel, (y, fused)) in vi.pixels().zip(before.data().iter().zip(fused.data())) {
        rgb.extend(pixel.map(|channel| quantize(f32::from(channel) / 255.0 + (fused - y))));
    }
    Ok(Rgb8::new(fused.size(), rgb)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Folder;
    use caf_console::Silent;
    use caf_geometry::Size;
    use caf_image::rule::AVERAGE;
    use tch::Device;

    fn fuse(folder: &Folder, out: &Path) -> Result<FuseReport, SearchError> {
        let method = Method::Rule(AVERAGE);
        let fuser = Fuser::new(&method, Device::Cpu).unwrap();
        let (dataset, existing) = (folder.dataset(), Existing::Refuse);
        let job = FuseJob { dataset: &dataset, fuser: &fuser, method: &method, out, colour: true, existing };
        fuse_folder(&job, &Silent, &StopFlag::default())
    }

    #[test]
    fn no_folder_is_made_for_pairs_that_cannot_be_read() {
        let folder = Folder::new(2, Size::new(40, 30));
        let out = folder.path().join("fused");
        let pixels = folder.path().join("vi/scene0.png");
        let bytes = std::fs::read(&pixels).unwrap();
        std::fs::write(&pixels, &bytes[..bytes.len() / 2]).unwrap();
        assert!(fuse(&folder, &out).is_err() && !out.exists());
        std::fs::write(&pixels, bytes).unwrap();
        assert_eq!(fuse(&folder, &out).unwrap().written, 2);
    }

    #[test]
    fn the_sources_are_never_replaced() {
        let folder = Folder::new(1, Size::new(40, 30));
        let before = std::fs::read(folder.path().join("vi/scene0.png")).unwrap();
        for out in ["vi", "ir", "ir/../vi/."] {
            let error = fuse(&folder, &folder.path().join(out)).unwrap_err();
            assert!(matches!(error, SearchError::Sources { .. }), "{out}: {error}");
        }
        assert_eq!(std::fs::read(folder.path().join("vi/scene0.png")).unwrap(), before);
    }
}
