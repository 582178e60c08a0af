//! The probe set of a bundle: what goes into a model, what its network makes of it, and how near a model comes to that.

use crate::error::ExportError;
use crate::verify::{Distance, by_unit, distances, random_inputs, run_checked};
use caf_bundle::{Probe, ProbeSet};
use caf_contract::{Array, Colour, Contract, Element, Extents, INPUT_IR, IrSample as _, Precision, Values};
use caf_engine::Engine;
use caf_geometry::Size;
use caf_image::color::{luma, quantize};
use caf_image::folder::TwoFolders;
use caf_image::{ImageError, Plane, Rgb8, read_ir, read_vi};
use std::path::Path;

/// What models are given, by probe.
pub type Inputs = Vec<(String, Vec<(String, Array)>)>;

/// Generated images for `count` probes, one image each, of `size` where the model leaves it open: see [`random_inputs`].
///
/// # Errors
/// As [`random_inputs`].
pub fn generated(contract: &Contract, size: Size, count: usize, seed: u64) -> Result<Inputs, ExportError> {
    let probe = |i: usize| {
        let (inputs, _) = random_inputs(contract, size, 1, seed.wrapping_add(i as u64))?;
        Ok((format!("generated-{i}"), inputs))
    };
    (0..count).map(probe).collect()
}

/// The first `count` pairs of two folders, matched by name, infrared by the model's range.
///
/// # Errors
/// [`ExportError::Image`]; [`ExportError::Settings`] for a model that does not fuse, fewer pairs, images that do not fit together, and
/// a size that the model does not take.
pub fn of_pairs(contract: &Contract, ir: &Path, vi: &Path, count: usize) -> Result<Inputs, ExportError> {
    let mut problems = vec![];
    let folders = TwoFolders::open(ir, vi, &mut problems)?;
    let pairs = folders.pairs(&mut problems);
    if pairs.len() < count {
        let what = format!("expected {count} pairs in {} and {}, found {}", ir.display(), vi.display(), pairs.len());
        return Err(ExportError::settings(what));
    }
    let mut probes = vec![];
    for (i, pair) in pairs.iter().take(count).enumerate() {
        let (infrared, visible) = (read_ir(&pair.ir, contract.infrared_range)?, read_vi(&pair.vi)?);
        if infrared.size() != visible.size() {
            let what = format!("probe `{}`: infrared is {}, visible {}", pair.name, infrared.size(), visible.size());
            return Err(ExportError::settings(what));
        }
        let mut extents = Extents::default();
        let mut inputs = vec![];
        for port in &contract.inputs {
            let shape = extents.bind_image(port, 1, visible.size()).map_err(ExportError::Images)?;
            let values = match (port.name == INPUT_IR, port.colour) {
                (true, _) => gray(&infrared, port.element, u8::from_unit),
                (_, Colour::Gray) => gray(&luma(&visible), port.element, quantize),
                _ => colour(&visible, port.element),
            };
            inputs.push((port.name.clone(), Array { shape, values }));
        }
        // A name may hold anything; the probe's must not.
        probes.push((format!("pair-{i}"), inputs));
    }
    Ok(probes)
}

/// Bytes as a vehicle makes them, each camera's in its way.
fn gray(plane: &Plane, element: Element, byte: fn(f32) -> u8) -> Values {
    match element {
        Element::F32 => Values::F32(plane.data().to_vec()),
        Element::U8 => Values::U8(plane.data().iter().map(|v| byte(*v)).collect()),
    }
}

fn colour(image: &Rgb8, element: Element) -> Values {
    match element {
        Element::U8 => Values::U8(image.data().to_vec()),
        Element::F32 => {
            let channel = |c: usize| image.data().iter().skip(c).step_by(3).map(|v| f32::from(*v) / 255.0);
            Values::F32((0..3).flat_map(channel).collect())
        }
    }
}

/// The outputs of a model for these inputs, as the probe set keeps them. `reference` says for people what computed them.
///
/// # Errors
/// As [`run_checked`].
pub fn computed(
    engine: &mut Engine,
    contract: &Contract,
    inputs: Inputs,
    reference: String,
) -> Result<ProbeSet, ExportError> {
    let mut probes = vec![];
    for (name, inputs) in inputs {
        let outputs = run_checked(engine, contract, &Extents::default(), &borrowed(&inputs))?;
        probes.push(Probe { name, inputs, outputs });
    }
    Ok(ProbeSet { reference, probes })
}

fn borrowed(arrays: &[(String, Array)]) -> Vec<(&str, Array)> {
    arrays.iter().map(|(name, array)| (name.as_str(), array.clone())).collect()
}

/// How far one output of one probe is from its reference, and how far it may be.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Compared {
    /// The probe.
    pub probe: String,
    /// How far.
    #[serde(flatten)]
    pub distance: Distance,
    /// How far it may be.
    pub limit: Limit,
}

impl Compared {
    /// Whether it is within its limit.
    #[must_use]
    pub fn is_near(&self) -> bool {
        self.distance.mean_abs <= self.limit.mean_abs
            && self.limit.max_abs.is_none_or(|max| self.distance.max_abs <= max)
    }
}

/// How far an output may be from its reference, in the unit that [`distances`] gives it in.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Limit {
    /// Largest difference; `None` where single values may differ by any amount.
    pub max_abs: Option<f64>,
    /// Mean difference.
    pub mean_abs: f64,
}

/// Runs every probe and compares the outputs with the references.
///
/// # Errors
/// As [`run_checked`], and [`ExportError::Incomparable`] for a probe set of another model.
pub fn compare(engine: &mut Engine, contract: &Contract, set: &ProbeSet) -> Result<Vec<Compared>, ExportError> {
    let mut compared = vec![];
    for probe in &set.probes {
        let found = run_checked(engine, contract, &Extents::default(), &borrowed(&probe.inputs))?;
        let found = distances(contract, &by_unit(contract, found), &by_unit(contract, probe.outputs.clone()))?;
        compared.extend(found.into_iter().map(|distance| {
            let limit = limit(contract, &distance.output);
            Compared { probe: probe.name.clone(), distance, limit }
        }));
    }
    Ok(compared)
}

/// The accepted distance of an output from its reference, by the model's precision.
///
/// Of fp32 only roundings differ. An engine may sum in another order, so that a fused value on the border of two bytes falls on its
/// other side; where a task follows, its network sees that byte. Measured on real pairs with published weights, folded and optimised
/// against neither: bytes 1 step at most and 3e-5 on average, scores 2e-3 and 2e-6, boxes 0.3 and 1e-3 of 640 pixels. Of lower precisions this finds broken models only: what they cost is
/// measured on many pairs and stands in the manifest.
fn limit(contract: &Contract, output: &str) -> Limit {
    use crate::verify::Kind;
    let limit = |max_abs, mean_abs| Limit { max_abs, mean_abs };
    let longer_px = contract.detection().map_or(1.0, |task| task.input.height.max(task.input.width) as f64);
    match (contract.precision, Kind::of(contract, output)) {
        (Precision::Fp32, Kind::Bytes) => limit(Some(1.0), 1e-3),
        (Precision::Fp32, Kind::Floats) => limit(Some(1e-4), 1e-5),
        (Precision::Fp32, Kind::Scores) => limit(Some(2e-2), 2e-5),
        (Precision::Fp32, Kind::Boxes) => limit(Some(5e-3 * longer_px), 2e-5 * longer_px),
        (Precision::Fp32, Kind::ClassMap) => limit(None, 2e-3),
        // 45 dB are a mean square difference of 1.43 steps.
        (Precision::Fp16, Kind::Bytes) => limit(None, 1.43),
        (Precision::Fp16, Kind::Floats) => limit(None, 1.43 / 255.0),
        (Precision::Fp16, Kind::Scores) => limit(None, 5e-3),
        (Precision::Fp16, Kind::Boxes) => limit(None, 5e-3 * longer_px),
        (Precision::Fp16, Kind::ClassMap) => limit(None, 2e-2),
        (Precision::Int8, Kind::Bytes) => limit(None, 6.0),
        (Precision::Int8, Kind::Floats) => limit(None, 6.0 / 255.0),
        (Precision::Int8, Kind::Scores) => limit(None, 5e-2),
        (Precision::Int8, Kind::Boxes) => limit(None, 5e-2 * longer_px),
        (Precision::Int8, Kind::ClassMap) => limit(None, 1e-1),
    }
}

impl From<ImageError> for ExportError {
    fn from(error: ImageError) -> Self {
        Self::Image(Box::new(error))
    }
}
