//! Measuring fused images: fusion metrics against their sources.

use crate::error::SearchError;
use caf_data::{Dataset, Rgb8, Sample};
use caf_eval::fusion::{Gray, Metric, Triple, gray_from_rgb, score};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Mean of a metric over a data set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// Mean of the finite values.
    pub mean: f64,
    /// How many there were.
    pub finite: usize,
    /// How many were not finite and left out.
    pub left_out: usize,
}

/// Fusion metrics by name (`linfeng` definitions, on 8-bit gray images).
pub type FusionReport = BTreeMap<String, Mean>;

/// Compares `images/NAME.png` (or another known extension) with the pair of that name.
///
/// # Errors
/// When a fused image is missing, unreadable or of another size than its pair.
pub fn fusion_report(dataset: &Dataset, images: &Path, metrics: &[Metric]) -> Result<FusionReport, SearchError> {
    let rows: Vec<Vec<f64>> = (0..dataset.len())
        .into_par_iter()
        .map(|index| {
            let sample = dataset.load(index)?;
            let fused = find(images, &sample.name)?;
            one(&sample, &fused, metrics)
        })
        .collect::<Result<_, SearchError>>()?;
    Ok(metrics
        .iter()
        .enumerate()
        .map(|(i, metric)| {
            let finite: Vec<f64> = rows.iter().map(|r| r[i]).filter(|v| v.is_finite()).collect();
            let mean = finite.iter().sum::<f64>() / finite.len().max(1) as f64;
            let left_out = rows.len() - finite.len();
            (metric.name().to_owned(), Mean { mean, finite: finite.len(), left_out })
        })
        .collect())
}

fn find(folder: &Path, name: &str) -> Result<Rgb8, SearchError> {
    let known = caf_data::image_file::EXTENSIONS;
    let path = known
        .iter()
        .map(|e| folder.join(format!("{name}.{e}")))
        .find(|p| p.exists())
        .unwrap_or_else(|| folder.join(format!("{name}.png")));
    Ok(caf_data::image_file::read_vi(&path)?)
}

fn one(sample: &Sample, fused: &Rgb8, metrics: &[Metric]) -> Result<Vec<f64>, SearchError> {
    let (width, height) = sample.ir.size_wh();
    let ir: Vec<u8> = sample.ir.data().iter().map(|v| (v * 255.0).clamp(0.0, 255.0).round_ties_even() as u8).collect();
    let (vi, fused) = (gray_from_rgb(sample.vi.data()), gray_from_rgb(fused.data()));
    let plane = |pixels| Gray::new(pixels, height, width);
    let triple = Triple::new(plane(&ir)?, plane(&vi)?, plane(&fused)?)?;
    let scores = score(&triple, metrics);
    Ok(metrics.iter().map(|m| scores.get(*m).unwrap_or(f64::NAN)).collect())
}
