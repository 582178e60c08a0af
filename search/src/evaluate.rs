//! Measuring fused images: fusion metrics against their sources.

use crate::error::SearchError;
use crate::named_images::{Misfits, images_of};
use caf_console::{Progress, StopFlag};
use caf_data::{Dataset, Sample};
use caf_eval::EvalError;
use caf_eval::fusion::{Gray, MI, Metric, PROFILES, Picture, Profile, SCD, SD, Triple, VIF, gray_from_rgb, score};
use caf_geometry::Size;
use caf_image::color::quantized;
use caf_image::{Gray8, Plane, Rgb8};
use caf_image::{Visible, decode, visible};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The metrics shown by default, `linfeng` definitions.
pub const METRICS: [Metric; 4] = [MI, SD, VIF, SCD];

/// Mean of a metric over a data set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// Mean of the finite values; none when there is no such value.
    pub mean: Option<f64>,
    /// How many there were.
    pub finite: usize,
    /// How many were not finite and left out.
    pub left_out: usize,
}

impl Mean {
    /// The mean of some values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let (finite, rest): (Vec<f64>, Vec<f64>) = values.into_iter().partition(|v| v.is_finite());
        let mean = (!finite.is_empty()).then(|| finite.iter().sum::<f64>() / finite.len() as f64);
        Mean { mean, finite: finite.len(), left_out: rest.len() }
    }
}

/// Fusion metrics by name (`linfeng` definitions, on 8-bit gray images).
pub type FusionReport = BTreeMap<String, Mean>;

/// Compares `images/NAME.png` (or another known extension) with the pair of that name.
///
/// # Errors
/// [`SearchError::Images`] with all images that are missing, unreadable or of another size than their pair;
/// [`SearchError::Interrupted`] when asked to stop before the last pair.
pub fn fusion_report(
    dataset: &Dataset,
    images: &Path,
    metrics: &[Metric],
    progress: &dyn Progress,
    stop: &StopFlag,
) -> Result<FusionReport, SearchError> {
    let mut offenders = Vec::new();
    let paths = images_of(dataset, images, &mut offenders)?;
    let misfits = |offenders| Misfits { folder: images.to_owned(), offenders };
    if !offenders.is_empty() {
        return Err(misfits(offenders).into());
    }
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(paths.len());
    progress.begin("measure", paths.len() as u64, 0);
    let indexed: Vec<(usize, &Path)> = paths.iter().map(PathBuf::as_path).enumerate().collect();
    let mut done = 0;
    for some in indexed.chunks(rayon::current_num_threads().max(1)) {
        if stop.is_raised() {
            return Err(SearchError::Interrupted);
        }
        let measured: Vec<Result<Vec<f64>, SearchError>> = some
            .par_iter()
            .map(|(index, path)| {
                let sample = dataset.load(*index)?;
                measure_file(&sample, path, &PROFILES[0], metrics)
            })
            .collect();
        for one in measured {
            match one {
                Ok(row) => rows.push(row),
                Err(error) => offenders.push(caf_console::told(&error)),
            }
        }
        done += some.len();
        progress.advance(done as u64, "images");
    }
    progress.end();
    if !offenders.is_empty() {
        return Err(misfits(offenders).into());
    }
    let column = |i: usize| Mean::of(rows.iter().filter_map(|row| row.get(i).copied()));
    Ok(metrics.iter().enumerate().map(|(i, metric)| (metric.name().to_owned(), column(i))).collect())
}

/// The metrics of a file with the fused image of a pair, in the order asked for; NaN where a metric is undefined on it.
///
/// # Errors
/// When it cannot be read, or has another size.
pub(crate) fn measure_file(
    sample: &Sample,
    fused: &Path,
    profile: &Profile,
    metrics: &[Metric],
) -> Result<Vec<f64>, SearchError> {
    let picture = |visible: Visible| match visible {
        Visible::Gray(gray) => Picture::gray(gray.data().to_vec(), gray.size()),
        Visible::Rgb(rgb) => Picture::rgb(rgb.data().to_vec(), rgb.size()),
    };
    let ir = picture(Visible::Gray(quantized(&sample.ir)))?;
    // A gray visible image has three equal channels.
    let vi = Picture::rgb(sample.vi.data().to_vec(), sample.vi.size())?;
    let fused = picture(visible(decode(fused)?, fused)?)?;
    let scores = score(&profile.planes(&ir, &vi, &fused)?, metrics);
    Ok(metrics.iter().map(|m| scores.get(m.name()).unwrap_or(f64::NAN)).collect())
}

/// The metrics of one fused image, in the order asked for; NaN where a metric is undefined on it.
///
/// # Errors
/// When sizes differ.
pub(crate) fn measure(ir: &Plane, vi: &Rgb8, fused: &Gray8, metrics: &[Metric]) -> Result<Vec<f64>, EvalError> {
    let (ir, vi_gray) = (quantized(ir), gray_from_rgb(vi.data()));
    let triple = Triple::new(
        Gray::new(ir.data(), Size::new(ir.width(), ir.height()))?,
        Gray::new(&vi_gray, Size::new(vi.width(), vi.height()))?,
        Gray::new(fused.data(), Size::new(fused.width(), fused.height()))?,
    )?;
    let scores = score(&[triple], metrics);
    Ok(metrics.iter().map(|m| scores.get(m.name()).unwrap_or(f64::NAN)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Folder;
    use caf_console::Silent;
    use caf_image::{write_gray8, write_rgb8};

    #[test]
    fn every_image_that_does_not_fit_is_named_in_one_error() {
        let folder = Folder::new(4, Size::new(40, 30));
        let fused = tempfile::tempdir().unwrap();
        let file = |name: &str| fused.path().join(name);
        write_gray8(&file("scene0.png"), &Gray8::filled(Size::new(40, 30), 1).unwrap()).unwrap();
        write_rgb8(&file("scene1.png"), &Rgb8::filled(Size::new(41, 30), 1).unwrap()).unwrap();
        std::fs::write(file("scene2.png"), b"no picture").unwrap();
        let report = || fusion_report(&folder.dataset(), fused.path(), &METRICS, &Silent, &StopFlag::default());
        let text = report().unwrap_err().to_string();
        for part in
            ["3 problem(s)", "scene1.png: expected 40x30 as the pair, found 41x30", "scene2.png", "scene3: no image"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        // Two files with good headers whose pixels cannot be read.
        for name in ["scene1.png", "scene2.png", "scene3.png"] {
            write_gray8(&file(name), &Gray8::filled(Size::new(40, 30), 1).unwrap()).unwrap();
        }
        for name in ["scene1.png", "scene3.png"] {
            let bytes = std::fs::read(file(name)).unwrap();
            std::fs::write(file(name), &bytes[..bytes.len() - 20]).unwrap();
        }
        let text = report().unwrap_err().to_string();
        assert!(text.contains("2 problem(s)") && text.contains("scene1.png") && text.contains("scene3.png"), "{text}");
    }

    #[test]
    fn means_leave_out_what_is_not_finite_and_say_so() {
        assert_eq!(Mean::of([1.0, f64::NAN, 3.0]), Mean { mean: Some(2.0), finite: 2, left_out: 1 });
        assert_eq!(Mean::of([f64::INFINITY]), Mean { mean: None, finite: 0, left_out: 1 });
    }

    #[test]
    fn a_request_to_stop_is_followed() {
        let folder = Folder::new(2, Size::new(40, 30));
        let stop = StopFlag::default();
        stop.raise();
        let error = fusion_report(&folder.dataset(), &folder.path().join("vi"), &METRICS, &Silent, &stop).unwrap_err();
        assert!(matches!(error, SearchError::Interrupted), "{error}");
    }
}
