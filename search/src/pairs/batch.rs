//! Batches, first as plain numbers, then on a device.

use super::plan::CropPlan;
use super::store::PairStore;
use crate::error::SearchError;
use caf_data::view::CutRule;
use caf_data::{Label, Plane, Rgb8, color};
use caf_yolo::{IgnoreRegion, Target};
use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

/// A batch in host memory, planes row-major one pair after the other.
#[derive(Clone, Debug, Default)]
pub struct HostBatch {
    /// Names of the pairs.
    pub names: Vec<String>,
    /// Height and width of every plane.
    pub size: [usize; 2],
    /// Infrared in [0, 1].
    pub ir: Vec<f32>,
    /// Visible luma in [0, 1].
    pub luma: Vec<f32>,
    /// Visible RGB minus luma, three planes for each pair.
    pub colour: Vec<f32>,
    /// Saliency weight of infrared in [0, 1].
    pub mask: Vec<f32>,
    /// Objects.
    pub targets: Vec<Target>,
    /// Regions without a verdict.
    pub regions: Vec<IgnoreRegion>,
}

/// One pair's part of a batch.
struct Part {
    name: String,
    ir: Plane,
    vi: Rgb8,
    mask: Plane,
    labels: Vec<Label>,
    ignore: Vec<Label>,
}

impl HostBatch {
    /// Loads and crops the pairs of one iteration.
    ///
    /// # Errors
    /// When a pair cannot be read.
    pub fn load(store: &PairStore, plan: &CropPlan, iteration: usize) -> Result<Self, SearchError> {
        let members = plan.members(iteration);
        let parts: Vec<Part> = members
            .par_iter()
            .enumerate()
            .map(|(slot, index)| part(store, plan, iteration, slot, *index))
            .collect::<Result<_, SearchError>>()?;
        let size = [plan.crop.height_px, plan.crop.width_px];
        let mut batch = HostBatch { size, ..HostBatch::default() };
        for (image, part) in parts.into_iter().enumerate() {
            let luma = color::luma(&part.vi);
            batch.ir.extend_from_slice(part.ir.data());
            batch.mask.extend_from_slice(part.mask.data());
            for channel in 0..3 {
                let above = |(rgb, y): (&[u8; 3], &f32)| f32::from(rgb[channel]) / 255.0 - y;
                batch.colour.extend(part.vi.data().as_chunks::<3>().0.iter().zip(luma.data()).map(above));
            }
            batch.luma.extend_from_slice(luma.data());
            batch.targets.extend(part.labels.iter().map(|l| target(image, l)));
            batch.regions.extend(part.ignore.iter().map(|l| region(image, l)));
            batch.names.push(part.name);
        }
        Ok(batch)
    }
}

fn part(store: &PairStore, plan: &CropPlan, iteration: usize, slot: usize, index: usize) -> Result<Part, SearchError> {
    let pair = store.get(index)?;
    let view = plan.view(iteration, slot, pair.ir.size_wh(), &pair.labels)?;
    let labels = view.map_labels(&pair.labels, CutRule::default());
    let everything = CutRule { min_side_px: 0.0, min_area_fraction: 0.0 };
    let mut ignore = view.map_labels(&pair.ignore, everything).kept;
    ignore.extend(labels.remainders);
    Ok(Part {
        name: pair.name.clone(),
        ir: view.render(&pair.ir, 0.0)?,
        vi: view.render(&pair.vi, 0)?,
        mask: view.render(&pair.mask, 0.5)?,
        labels: labels.kept,
        ignore,
    })
}

fn target(image: usize, l: &Label) -> Target {
    Target { image, class: l.class as usize, cx: l.cx, cy: l.cy, w: l.w, h: l.h }
}

fn region(image: usize, l: &Label) -> IgnoreRegion {
    IgnoreRegion { image, cx: l.cx, cy: l.cy, w: l.w, h: l.h }
}

/// A batch on a device; planes are `[n, 1, h, w]`.
#[derive(Debug)]
pub struct PairBatch {
    /// Names of the pairs.
    pub names: Vec<String>,
    /// Infrared in [0, 1].
    pub ir: Tensor,
    /// Visible luma in [0, 1].
    pub vi: Tensor,
    /// Visible RGB minus luma, `[n, 3, h, w]`: added to a fused luma it gives the fused colour image, since Cb and Cr are kept.
    pub colour: Tensor,
    /// Saliency weight of infrared in [0, 1].
    pub mask: Tensor,
    /// Objects.
    pub targets: Vec<Target>,
    /// Regions without a verdict.
    pub regions: Vec<IgnoreRegion>,
}

impl PairBatch {
    /// Copies a batch to a device.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn new(host: HostBatch, device: Device, kind: Kind) -> Result<Self, SearchError> {
        let n = host.names.len();
        let plane =
            |values: &[f32], channels| plane_tensor(values, [n, channels, host.size[0], host.size[1]], device, kind);
        Ok(PairBatch {
            ir: plane(&host.ir, 1)?,
            vi: plane(&host.luma, 1)?,
            colour: plane(&host.colour, 3)?,
            mask: plane(&host.mask, 1)?,
            names: host.names,
            targets: host.targets,
            regions: host.regions,
        })
    }
}

/// Row-major values as a tensor of the given shape.
///
/// # Errors
/// When their number does not fit or memory runs out.
pub fn plane_tensor(values: &[f32], shape: [usize; 4], device: Device, kind: Kind) -> Result<Tensor, SearchError> {
    let shape = shape.map(|n| n as i64);
    Ok(Tensor::f_from_slice(values)?.f_reshape(shape)?.f_to_kind(kind)?.f_to_device(device)?)
}
