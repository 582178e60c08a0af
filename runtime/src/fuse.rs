//! Fuses the pairs of two folders.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use caf_engine::Provider;
use caf_geometry::Size;
use caf_image::folder::TwoFolders;
use caf_image::{ImageError, ImageProblem, inspect};
use serde::Serialize;

use crate::fusion::{FrameFusion, FusionSettings, PairError, PairTimes};
use crate::image::FusedImage;
use crate::image_file::{self, Decoded};
use crate::result::Detections;
use crate::session::Model;
use crate::sink::jsonl::JsonLines;
use crate::sink::kind::SinkError;
use crate::stats::{Histogram, Percentiles};
use crate::task::segmentation::ClassMap;

/// Offenders printed; the rest is only counted.
const PRINTED: usize = 50;

/// Why the pairs of two folders cannot be fused.
#[derive(Debug, thiserror::Error)]
pub enum FuseError {
    /// The folders do not match.
    #[error("{} of the two folders' images do not match:{}", offenders.len(), list(offenders))]
    Pairs {
        /// One line an offender.
        offenders: Vec<String>,
    },
    /// There is nothing to do.
    #[error("{ir} and {vi} hold no images")]
    Empty {
        /// Infrared folder.
        ir: PathBuf,
        /// Visible folder.
        vi: PathBuf,
    },
    /// Results of a task were asked of a model that only fuses.
    #[error("detections or a class map were asked for, and the model only fuses: export it with --task")]
    NoTask,
    /// Class maps were asked of a model that does not segment.
    #[error("class maps were asked for, and the model does not segment: export it with a segmentation as --task")]
    NoSegmentation,
    /// The output folder cannot be made.
    #[error("{path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// An image cannot be read or written.
    #[error(transparent)]
    File(#[from] ImageError),
    /// The settings do not fit the model.
    #[error(transparent)]
    Settings(#[from] PairError),
    /// A pair cannot be fused.
    #[error("{name}: {source}")]
    Pair {
        /// Stem of the pair.
        name: String,
        /// The cause.
        source: PairError,
    },
    /// A file of detections cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl FuseError {
    /// True when the call was wrong rather than the work failing.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        match self {
            Self::NoTask | Self::NoSegmentation => true,
            Self::Settings(error) => error.is_wrong_call(),
            Self::Pairs { .. }
            | Self::Empty { .. }
            | Self::Folder { .. }
            | Self::File(_)
            | Self::Pair { .. }
            | Self::Sink(_) => false,
        }
    }
}

fn list(offenders: &[String]) -> String {
    let mut text = String::new();
    for offender in offenders.iter().take(PRINTED) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {offender}");
    }
    if offenders.len() > PRINTED {
        let _ = write!(text, "\n  and {} more", offenders.len() - PRINTED);
    }
    text
}

/// What to fuse.
#[derive(Clone, Debug)]
pub struct FuseConfig {
    /// Folder of infrared images.
    pub ir: PathBuf,
    /// Folder of visible images, matched by stem.
    pub vi: PathBuf,
    /// Where `STEM.png` is written.
    pub out: PathBuf,
    /// File of JSON lines with the detections and the class map of every pair.
    pub detections: Option<PathBuf>,
    /// Where the class maps are written, `STEM.png`: gray, each pixel the number of its class.
    pub class_maps: Option<PathBuf>,
    /// Leave images alone that exist already.
    pub resume: bool,
    /// How to fuse.
    pub fusion: FusionSettings,
}

/// A pair of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePair {
    /// Their common stem.
    pub name: String,
    /// Infrared image.
    pub ir: PathBuf,
    /// Visible image.
    pub vi: PathBuf,
}

/// What was done.
#[derive(Clone, Debug, Serialize)]
pub struct FuseSummary {
    /// Where the model ran.
    pub provider: Provider,
    /// Why there, when the choice was left to the program.
    pub provider_reason: Option<String>,
    /// Images fused.
    pub fused: usize,
    /// Images that existed already.
    pub skipped: usize,
    /// Detections in the images fused.
    pub detections: usize,
    /// Reading two images.
    pub read: Percentiles,
    /// Copying pixels into tensors.
    pub pre: Percentiles,
    /// Inference.
    pub infer: Percentiles,
    /// Writing the fused image.
    pub write: Percentiles,
}

/// Matches two folders by name; everything that does not fit is listed in one error: images without a partner, names that occur
/// twice, files that are no images, links that lead nowhere, images that are broken or cut off, pairs of different sizes.
pub fn match_folders(ir: &Path, vi: &Path) -> Result<Vec<FilePair>, FuseError> {
    let mut problems = Vec::new();
    let folders = TwoFolders::open(ir, vi, &mut problems)?;
    if folders.is_empty() && problems.is_empty() {
        return Err(FuseError::Empty { ir: ir.to_path_buf(), vi: vi.to_path_buf() });
    }
    let mut pairs = vec![];
    for pair in folders.pairs(&mut problems) {
        let mut about =
            |path: &Path| inspect(path).map_err(|error| problems.push(ImageProblem::of_header(path, &error))).ok();
        if let (Some(a), Some(b)) = (about(&pair.ir), about(&pair.vi)) {
            if a.size == b.size {
                pairs.push(FilePair { name: pair.name, ir: pair.ir, vi: pair.vi });
            } else {
                problems.push(ImageProblem::SizeMismatch {
                    name: pair.name,
                    first: pair.ir,
                    first_size: a.size,
                    second: pair.vi,
                    second_size: b.size,
                    turned: a.turned || b.turned,
                });
            }
        }
    }
    let offenders: Vec<String> = problems.iter().map(ToString::to_string).collect();
    if offenders.is_empty() { Ok(pairs) } else { Err(FuseError::Pairs { offenders }) }
}

/// A line of the detections.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    width_px: usize,
    height_px: usize,
    detections: Detections<'a>,
    /// Absent when the model does not segment.
    #[serde(skip_serializing_if = "Option::is_none")]
    class_map: Option<ClassMap<'a>>,
}

/// Fuses every pair; `done` is called after each with the number done and the number there are.
pub fn run(model: Model, config: &FuseConfig, done: &mut dyn FnMut(usize, usize)) -> Result<FuseSummary, FuseError> {
    let pairs = match_folders(&config.ir, &config.vi)?;
    let folder = |path: &PathBuf| {
        std::fs::create_dir_all(path).map_err(|source| FuseError::Folder { path: path.clone(), source })
    };
    let (provider, provider_reason) = (model.provider(), model.reason().map(str::to_owned));
    let mut fusion = FrameFusion::new(model, &config.fusion)?;
    let names = fusion.class_names();
    let (detects, segments) = (!names.detection.is_empty(), !names.segmentation.is_empty());
    if !detects && !segments && (config.detections.is_some() || config.fusion.draw) {
        return Err(FuseError::NoTask);
    }
    if !segments && config.class_maps.is_some() {
        return Err(FuseError::NoSegmentation);
    }
    folder(&config.out)?;
    config.class_maps.as_ref().map_or(Ok(()), folder)?;
    let mut lines = config.detections.as_deref().map(JsonLines::create).transpose()?;
    let mut image = FusedImage::default();
    let mut times: [Histogram; 4] = std::array::from_fn(|_| Histogram::default());
    let (mut fused, mut skipped, mut detections) = (0, 0, 0);
    for (index, pair) in pairs.iter().enumerate() {
        let target = config.out.join(format!("{}.png", pair.name));
        if config.resume && target.is_file() {
            skipped += 1;
            done(index + 1, pairs.len());
            continue;
        }
        let start = Instant::now();
        let (ir, vi) = (image_file::read(&pair.ir)?, image_file::read(&pair.vi)?);
        let read = start.elapsed();
        let took = fuse(&mut fusion, &ir, &vi, &mut image)
            .map_err(|source| FuseError::Pair { name: pair.name.clone(), source })?;
        let (width_px, height_px) = image.size_px;
        if let Some(lines) = &mut lines {
            let detections = Detections { list: &image.detections, classes: &names.detection };
            let map = ClassMap { map: &image.class_map, classes: &names.segmentation, runs: true };
            let class_map = segments.then_some(map);
            lines.write(&Line { name: &pair.name, width_px, height_px, detections, class_map })?;
        }
        let start = Instant::now();
        let size = Size::new(width_px, height_px);
        if let Some(folder) = &config.class_maps {
            let target = folder.join(format!("{}.png", pair.name));
            caf_image::write_gray(&target, &image.class_map, size)?;
        }
        caf_image::write_rgb(&target, &image.rgb, size)?;
        let durations = [read, took.pre, took.infer, start.elapsed()];
        times.iter_mut().zip(durations).for_each(|(h, d)| h.add(d));
        fused += 1;
        detections += image.detections.len();
        done(index + 1, pairs.len());
    }
    if let Some(lines) = lines {
        lines.finish()?;
    }
    let [read, pre, infer, write] = times.map(|h| h.percentiles());
    Ok(FuseSummary { provider, provider_reason, fused, skipped, detections, read, pre, infer, write })
}

fn fuse(fusion: &mut FrameFusion, ir: &Decoded, vi: &Decoded, image: &mut FusedImage) -> Result<PairTimes, PairError> {
    fusion.infer(&ir.view()?, &vi.view()?)?.finish(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offender_is_listed_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let [ir, vi] = ["ir", "vi"].map(|n| folder.path().join(n));
        assert!(matches!(match_folders(&ir, &vi), Err(FuseError::File(_))));
        std::fs::create_dir_all(&ir).unwrap();
        std::fs::create_dir_all(&vi).unwrap();
        assert!(matches!(match_folders(&ir, &vi), Err(FuseError::Empty { .. })));
        let image = |path: PathBuf, w: usize, h: usize| {
            caf_image::write_rgb(&path, &vec![0; w * h * 3], Size::new(w, h)).unwrap()
        };
        image(ir.join("good.png"), 5, 3);
        image(vi.join("good.png"), 5, 3);
        assert_eq!(match_folders(&ir, &vi).unwrap()[0].name, "good");
        image(ir.join("sizes.png"), 5, 3);
        image(vi.join("sizes.png"), 3, 5);
        image(ir.join("lonely_ir.png"), 5, 3);
        image(vi.join("lonely_vi.png"), 5, 3);
        image(ir.join("damaged.png"), 5, 3);
        std::fs::write(vi.join("damaged.png"), b"\x89PNG").unwrap();
        std::fs::write(vi.join("good.jpg"), b"").unwrap();
        let Err(FuseError::Pairs { offenders }) = match_folders(&ir, &vi) else { panic!("offenders pass") };
        assert_eq!(offenders.len(), 6, "{offenders:?}");
        let text = FuseError::Pairs { offenders }.to_string();
        for name in ["sizes.png is 5x3", "lonely_ir", "lonely_vi", "damaged.png", "good."] {
            assert!(text.contains(name), "{name} in {text}");
        }
    }
}
