//! Fuses the pairs of two folders.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use caf_contract::{DETECTION, SEGMENTATION};
use caf_engine::Provider;
use caf_file::Sha256Hash;
use caf_geometry::NmsSettings;
use caf_image::folder::TwoFolders;
pub use caf_image::results::Existing;
use caf_image::results::{Fact, ResultFolder};
use caf_image::{ImageError, ImageProblem, IrRange, inspect};
use serde::Serialize;

use crate::error::RuntimeError;
use crate::frame::{Camera, PixelFormat};
use crate::fusion::{FrameFusion, FusionSettings, PairTimes};
use crate::image_file::{self, Decoded};
use crate::json::Object;
use crate::session::Model;
use crate::sink::jsonl::JsonLines;
use crate::stats::{Histogram, Percentiles};
use crate::task::FusedImage;
use crate::task::detection::Detections;
use crate::task::segmentation::ClassMap;

/// What to fuse.
#[derive(Clone, Debug)]
pub struct FuseConfig {
    /// Hash of the model's file. Images of another model do not come among those that are there.
    pub model: Sha256Hash,
    /// Folder of infrared images.
    pub ir: PathBuf,
    /// Folder of visible images, matched by stem.
    pub vi: PathBuf,
    /// Where `STEM.png` is written.
    pub out: PathBuf,
    /// File of JSON lines with what the tasks found in every pair.
    pub detections: Option<PathBuf>,
    /// Where the class maps are written, `STEM.png`: gray, each pixel the number of its class.
    pub class_maps: Option<PathBuf>,
    /// What is done with images that are there already.
    pub existing: Existing,
    /// Leave out what does not fit or cannot be read, and fuse the rest.
    pub keep_going: bool,
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
    /// Whether it was stopped before the last pair. What was asked for beside the images, the lines of results, is not there then.
    pub stopped: bool,
    /// One line for every image that was left out.
    pub left_out: Vec<String>,
    /// Detections in the images fused; none of a model that does not detect.
    pub detections: Option<usize>,
    /// Reading two images.
    pub read: Percentiles,
    /// Copying pixels into tensors.
    pub pre: Percentiles,
    /// Inference.
    pub infer: Percentiles,
    /// Writing the fused image.
    pub write: Percentiles,
}

/// The images of two folders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// What belongs together and can be fused, as far as can be told without decoding a pixel.
    pub pairs: Vec<FilePair>,
    /// One line for everything else.
    pub offenders: Vec<String>,
}

/// Matches two folders by name; everything that does not fit is listed: images without a partner, names that occur
/// twice, files that are no images, links that lead nowhere, images that are broken or cut off, pairs of different sizes.
pub fn match_folders(ir: &Path, vi: &Path) -> Result<Matched, RuntimeError> {
    let mut problems = Vec::new();
    let folders = TwoFolders::open(ir, vi, &mut problems)?;
    if folders.is_empty() && problems.is_empty() {
        return Err(RuntimeError::Empty { ir: ir.to_path_buf(), vi: vi.to_path_buf() });
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
    let offenders = problems.iter().map(ToString::to_string).collect();
    Ok(Matched { pairs, offenders })
}

/// Fuses every pair, until `stop` says so; `done` is called after each with the number done and the number there are.
pub fn run(
    model: Model,
    config: &FuseConfig,
    stop: &dyn Fn() -> bool,
    done: &mut dyn FnMut(usize, usize),
) -> Result<FuseSummary, RuntimeError> {
    let Matched { pairs, offenders: mut left_out } = match_folders(&config.ir, &config.vi)?;
    if !left_out.is_empty() && (pairs.is_empty() || !config.keep_going) {
        return Err(RuntimeError::Offenders { offenders: left_out });
    }
    let (provider, provider_reason) = (model.provider(), model.reason().map(str::to_owned));
    let range = model.contract().infrared_range;
    let read = |(path, camera): (&PathBuf, Camera)| match image_file::read(path, camera) {
        Ok(image) if image.format == PixelFormat::GrayF32Le && range == IrRange::Full => {
            Err(ImageError::NoRange { path: path.clone(), found: "float samples".to_owned() })
        }
        found => found,
    };
    let facts = facts(&model, config);
    let contract = model.contract();
    if contract.tasks.is_empty() && (config.detections.is_some() || config.fusion.draw) {
        return Err(RuntimeError::NoTask);
    }
    if !contract.does(&SEGMENTATION) && config.class_maps.is_some() {
        return Err(RuntimeError::NoSegmentation);
    }
    let detects = contract.does(&DETECTION);
    let mut fusion = FrameFusion::new(model, &config.fusion)?;
    let open =
        |path: &Path| ResultFolder::open(path, &facts, pairs.iter().map(|pair| pair.name.as_str()), config.existing);
    let mut images = open(&config.out)?;
    let mut class_maps = config.class_maps.as_deref().map(open).transpose()?;
    let mut lines = config.detections.as_deref().map(JsonLines::create).transpose()?;
    let mut image = FusedImage::default();
    let mut times: [Histogram; 4] = std::array::from_fn(|_| Histogram::default());
    let (mut fused, mut skipped, mut detections) = (0, 0, 0);
    let mut stopped = false;
    for (index, pair) in pairs.iter().enumerate() {
        stopped = stop();
        if stopped {
            break;
        }
        if images.keeps(&pair.name) {
            skipped += 1;
            done(index + 1, pairs.len());
            continue;
        }
        let start = Instant::now();
        let (ir, vi) = match [(&pair.ir, Camera::Infrared), (&pair.vi, Camera::Visible)].map(read) {
            [Ok(ir), Ok(vi)] => (ir, vi),
            [ir, vi] if config.keep_going => {
                left_out.extend([ir, vi].into_iter().filter_map(Result::err).map(|error| error.to_string()));
                done(index + 1, pairs.len());
                continue;
            }
            [ir, vi] => (ir?, vi?),
        };
        let read = start.elapsed();
        let took = fuse(&mut fusion, &ir, &vi, &mut image)
            .map_err(|source| RuntimeError::Named { name: pair.name.clone(), source: Box::new(source) })?;
        if let Some(lines) = &mut lines {
            lines.write(|out| write_line(&pair.name, &image, out))?;
        }
        let start = Instant::now();
        if let (Some(maps), Some(found)) = (&mut class_maps, image.of::<ClassMap>()) {
            maps.put(&pair.name, |path| caf_image::write_gray(path, &found.map, image.size))?;
        }
        images.put(&pair.name, |path| caf_image::write_rgb(path, &image.rgb, image.size))?;
        let durations = [read, took.pre, took.infer, start.elapsed()];
        times.iter_mut().zip(durations).for_each(|(h, d)| h.add(d));
        fused += 1;
        detections += image.of::<Detections>().map_or(0, |found| found.list.len());
        done(index + 1, pairs.len());
    }
    // Lines of some of the pairs would be taken for those of all.
    if let Some(lines) = lines.filter(|_| !stopped) {
        lines.finish()?;
    }
    images.finish()?;
    class_maps.map_or(Ok(()), ResultFolder::finish)?;
    let [read, pre, infer, write] = times.map(|h| h.percentiles());
    let detections = detects.then_some(detections);
    Ok(FuseSummary {
        provider,
        provider_reason,
        fused,
        skipped,
        stopped,
        left_out,
        detections,
        read,
        pre,
        infer,
        write,
    })
}

/// Writes what was found in a pair as a line of JSON without its end.
fn write_line(name: &str, image: &FusedImage, out: &mut dyn Write) -> serde_json::Result<()> {
    Object::write(out, |line| {
        line.entry("name", name)?;
        line.entry("width_px", &image.size.width)?;
        line.entry("height_px", &image.size.height)?;
        image.write_found(false, line)
    })
}

/// What makes the images, for the record in their folder.
fn facts(model: &Model, config: &FuseConfig) -> Vec<Fact> {
    let contract = model.contract();
    let weights: Vec<String> =
        contract.sources.iter().map(|source| format!("{} {}", source.role, source.sha256)).collect();
    let mut facts = vec![
        Fact::new("made by", "caf-run fuse"),
        Fact::new("model (SHA-256)", config.model.to_string()).of_file(Path::new(model.name())),
        Fact::new("weights (SHA-256)", weights.join(", ")),
        Fact::new("precision", contract.precision.name()),
        Fact::new("infrared range", contract.infrared_range.to_string()),
    ];
    if config.fusion.draw {
        let NmsSettings { conf, iou, multi_label, .. } = &config.fusion.nms;
        facts.push(Fact::new("drawn", format!("conf {conf}, iou {iou}, multi_label {multi_label}")));
    }
    facts
}

fn fuse(
    fusion: &mut FrameFusion,
    ir: &Decoded,
    vi: &Decoded,
    image: &mut FusedImage,
) -> Result<PairTimes, RuntimeError> {
    fusion.infer(&ir.view()?, &vi.view()?)?.finish(image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_geometry::Size;

    #[test]
    fn every_offender_is_listed_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let [ir, vi] = ["ir", "vi"].map(|n| folder.path().join(n));
        assert!(matches!(match_folders(&ir, &vi), Err(RuntimeError::File(_))));
        std::fs::create_dir_all(&ir).unwrap();
        std::fs::create_dir_all(&vi).unwrap();
        assert!(matches!(match_folders(&ir, &vi), Err(RuntimeError::Empty { .. })));
        let image = |path: PathBuf, w: usize, h: usize| {
            caf_image::write_rgb(&path, &vec![0; w * h * 3], Size::new(w, h)).unwrap()
        };
        image(ir.join("good.png"), 5, 3);
        image(vi.join("good.png"), 5, 3);
        assert_eq!(match_folders(&ir, &vi).unwrap().pairs[0].name, "good");
        image(ir.join("sizes.png"), 5, 3);
        image(vi.join("sizes.png"), 3, 5);
        image(ir.join("lonely_ir.png"), 5, 3);
        image(vi.join("lonely_vi.png"), 5, 3);
        image(ir.join("damaged.png"), 5, 3);
        std::fs::write(vi.join("damaged.png"), b"\x89PNG").unwrap();
        std::fs::write(vi.join("good.jpg"), b"").unwrap();
        let Matched { pairs, offenders } = match_folders(&ir, &vi).unwrap();
        assert_eq!((pairs.len(), offenders.len()), (0, 6), "{offenders:?}");
        let text = RuntimeError::Offenders { offenders }.to_string();
        for name in ["sizes.png is 5x3", "lonely_ir", "lonely_vi", "damaged.png", "good."] {
            assert!(text.contains(name), "{name} in {text}");
        }
    }
}
