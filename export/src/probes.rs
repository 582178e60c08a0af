//! The probe set of a bundle: what goes into a model, what its network makes of it, and how near a model comes to that.

use crate::distance::{Compared, Limit, distances};
use crate::error::ExportError;
use crate::verify::{Named, random_inputs, run_checked};
use caf_bundle::{Probe, ProbeSet};
use caf_contract::{Array, Colour, Contract, Element, Extent, Extents, INPUT_IR, IrSample as _, Port, Values};
use caf_engine::Engine;
use caf_geometry::Size;
use caf_image::color::{luma, quantize};
use caf_image::folder::TwoFolders;
use caf_image::{ImageError, Plane, Rgb8, read_ir, read_vi};
use std::path::Path;

/// What models are given, by probe.
pub type Inputs = Vec<(String, Named)>;

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
        // A name may hold anything; the probe's must not.
        probes.push((format!("pair-{i}"), pair_inputs(&contract.inputs, &infrared, &visible)?));
    }
    Ok(probes)
}

/// What a model is given of one pair, as often as it takes images: bytes as a vehicle makes them, each camera's in its way.
///
/// # Errors
/// [`ExportError::Images`] for a size that the model does not take.
pub(crate) fn pair_inputs(ports: &[Port], ir: &Plane, vi: &Rgb8) -> Result<Named, ExportError> {
    let mut extents = Extents::default();
    let mut inputs = Vec::with_capacity(ports.len());
    for port in ports {
        let batch = port.shape.first().and_then(Extent::fixed).unwrap_or(1);
        let shape = extents.bind_image(port, batch, vi.size()).map_err(ExportError::Images)?;
        let values = match (port.name == INPUT_IR, port.colour) {
            (true, _) => gray(ir, port.element, u8::from_unit),
            (_, Colour::Gray) => gray(&luma(vi), port.element, quantize),
            _ => colour(vi, port.element),
        };
        let values = match values {
            Values::U8(v) => Values::U8(v.repeat(batch)),
            Values::F32(v) => Values::F32(v.repeat(batch)),
        };
        inputs.push((port.name.clone(), Array { shape, values }));
    }
    Ok(inputs)
}

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
        let outputs = run_checked(engine, contract, &Extents::default(), &inputs)?;
        probes.push(Probe { name, inputs, outputs });
    }
    Ok(ProbeSet { reference, probes })
}

/// Runs every probe and compares the outputs with the references.
///
/// # Errors
/// As [`run_checked`], and [`ExportError::Incomparable`] for a probe set of another model.
pub fn compare(engine: &mut Engine, contract: &Contract, set: &ProbeSet) -> Result<Vec<Compared>, ExportError> {
    let mut compared = vec![];
    for probe in &set.probes {
        let found = run_checked(engine, contract, &Extents::default(), &probe.inputs)?;
        compared.extend(distances(contract, &found, &probe.outputs)?.into_iter().map(|distance| {
            let limit = Limit::of_reference(contract, &distance.output);
            Compared { probe: probe.name.clone(), distance, limit }
        }));
    }
    Ok(compared)
}

impl From<ImageError> for ExportError {
    fn from(error: ImageError) -> Self {
        Self::Image(Box::new(error))
    }
}
