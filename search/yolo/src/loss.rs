//! The training loss.

use crate::assign::{Grid, Matches, Target, assign};
use crate::ciou::ciou;
use crate::error::YoloError;
use crate::hyp::{Gains, Hyp};
use crate::ignore::{IgnoreRegion, objectness_weights};
use caf_net::zoo::yolov5::YoloConfig;
use tch::{Device, Kind, Reduction, Tensor};

/// Weights of the objectness loss of the three levels, finest first.
const BALANCE: [f64; 3] = [4.0, 1.0, 0.4];

/// The level whose weight stays 1 under autobalance: that of stride 16.
const REFERENCE_LEVEL: usize = 1;

/// Share of the past in an automatic weight.
const AUTOBALANCE_MEMORY: f64 = 0.9999;

/// Share of positive examples in the focal loss.
const FOCAL_ALPHA: f64 = 0.25;

/// The loss of one detector. Immutable during [`YoloLoss::compute`], so that looking at a loss has no side effect.
#[derive(Clone, Debug)]
pub struct YoloLoss {
    classes: usize,
    anchors_cells: Vec<Vec<[f32; 2]>>,
    hyp: Hyp,
    gains: Gains,
    balance: Vec<f64>,
}

/// A loss and its parts.
#[derive(Debug)]
pub struct LossValue {
    /// (boxes + objectness + classes) × batch size; differentiable, scalar. Of several ranks each has its share of these parts and the
    /// size of the whole batch, so that the mean over the ranks is the loss of that.
    pub total: Tensor,
    /// Box part, gain included; detached scalar.
    pub boxes: Tensor,
    /// Objectness part, gain included; detached scalar.
    pub objectness: Tensor,
    /// Class part, gain included; detached scalar.
    pub classes: Tensor,
    /// Mean objectness cross-entropy of each level without weights; detached scalars, finest level first.
    pub level_objectness: Vec<Tensor>,
}

/// Tensors of the matches of one level.
struct MatchTensors {
    index: [Tensor; 4],
    boxes: Tensor,
    anchors: Tensor,
    classes: Tensor,
}

impl YoloLoss {
    /// The loss for a network; `image_size_px` is the longer side of the training images.
    ///
    /// # Errors
    /// When a setting is out of range or an anchor is not positive.
    pub fn new(network: &YoloConfig, hyp: &Hyp, image_size_px: usize) -> Result<Self, YoloError> {
        hyp.check()?;
        let levels = network.levels();
        let mut anchors_cells = Vec::with_capacity(levels.len());
        for level in &levels {
            let stride = level.stride as f64;
            let cells = level.anchors_px.iter().map(|px| px.map(|v| (v / stride) as f32)).collect::<Vec<_>>();
            if let Some(bad) = cells.iter().flatten().find(|v| !(v.is_finite() && **v > 0.0)) {
                return Err(YoloError::Setting { name: "anchors_px", expected: "numbers > 0", found: f64::from(*bad) });
            }
            anchors_cells.push(cells);
        }
        Ok(YoloLoss {
            classes: network.classes,
            gains: hyp.gains(network.classes, levels.len(), image_size_px),
            anchors_cells,
            hyp: hyp.clone(),
            balance: BALANCE.to_vec(),
        })
    }

    /// Gains in use.
    pub fn gains(&self) -> Gains {
        self.gains
    }

    /// Weights of the levels' objectness losses, finest first.
    pub fn balance(&self) -> &[f64] {
        &self.balance
    }

    /// Sets the weights, as saved by an earlier run.
    ///
    /// # Errors
    /// When their number is not that of the levels.
    pub fn set_balance(&mut self, balance: &[f64]) -> Result<(), YoloError> {
        if balance.len() != self.balance.len() {
            return Err(YoloError::Count { what: "level weights", expected: self.balance.len(), found: balance.len() });
        }
        self.balance = balance.to_vec();
        Ok(())
    }

    /// The loss of a batch: `heads` are the raw outputs of the network, `[n, 3·(5 + classes), rows, columns]` each, finest first,
    /// floating. Boxes are formed as in the network's decoding, so `total` has gradients with respect to everything that the
    /// heads depend on. Without targets only objectness is left. Without regions the values are those of the original.
    ///
    /// # Errors
    /// When heads, targets or regions do not fit the network and the batch.
    pub fn compute(
        &self,
        heads: &[&Tensor],
        targets: &[Target],
        regions: &[IgnoreRegion],
    ) -> Result<LossValue, YoloError> {
        if heads.len() != self.anchors_cells.len() {
            return Err(YoloError::Levels { expected: self.anchors_cells.len(), found: heads.len() });
        }
        let sizes =
            heads.iter().enumerate().map(|(l, head)| self.check_head(l, head)).collect::<Result<Vec<_>, _>>()?;
        let images = sizes.first().map_or(0, |s| s.0);
        if let Some((level, _)) = sizes.iter().enumerate().find(|(_, s)| s.0 != images) {
            return Err(head_error(level, heads[level], format!("a batch of {images} as in level 0")));
        }
        self.check_targets(targets, images)?;
        check_regions(regions, images)?;

        let first = heads[0];
        let zero = || Tensor::f_zeros([], (first.kind(), first.device()));
        let (mut boxes, mut objectness, mut classes) = (zero()?, zero()?, zero()?);
        let mut level_objectness = Vec::with_capacity(heads.len());
        let assigned: Vec<Matches> = (self.anchors_cells.iter().zip(&sizes))
            .map(|(anchors, (_, grid))| assign(targets, *grid, anchors, self.hyp.anchor_t as f32))
            .collect();
        // Parts of a mean over the matches of a level: by the matches that all ranks have of it.
        let counts: Vec<f64> = assigned.iter().map(|matches| matches.len() as f64).collect();
        let usual = caf_ranks::mean_numbers(counts.clone())?;
        for (l, ((head, (_, grid)), matches)) in heads.iter().zip(&sizes).zip(&assigned).enumerate() {
            let anchors = &self.anchors_cells[l];
            let view = self.cells_view(head, images, anchors.len(), *grid)?;
            let wanted = Tensor::f_zeros(view.size().get(..4).unwrap_or(&[]), (head.kind(), head.device()))?;
            let wanted = if matches.is_empty() {
                wanted
            } else {
                let share = counts.get(l).zip(usual.get(l)).map_or(1.0, |(own, usual)| own / usual);
                let rows = MatchTensors::new(matches, self.classes, head.kind(), head.device())?;
                let (box_loss, class_loss, overlap) = self.matched(&view, &rows)?;
                boxes = boxes.f_add(&box_loss.f_mul_scalar(share)?)?;
                if let Some(class_loss) = class_loss {
                    classes = classes.f_add(&class_loss.f_mul_scalar(share)?)?;
                }
                self.write_overlap(wanted, matches, &overlap, anchors.len(), *grid)?
            };
            let counted = if regions.is_empty() {
                None
            } else {
                let counted = objectness_weights(regions, matches, images, anchors.len(), *grid);
                Some(
                    Tensor::f_from_slice(&counted)?
                        .f_to_device(head.device())?
                        .f_to_kind(head.kind())?
                        .f_view(wanted.size().as_slice())?,
                )
            };
            let of_level = self.cross_entropy(&view.f_select(4, 4)?, &wanted, self.hyp.obj_pw, counted.as_ref())?;
            level_objectness.push(of_level.f_detach()?);
            let weight = self.balance.get(l).copied().unwrap_or(1.0);
            objectness = objectness.f_add(&of_level.f_mul_scalar(weight)?)?;
        }
        let boxes = boxes.f_mul_scalar(self.gains.boxes)?;
        let objectness = objectness.f_mul_scalar(self.gains.objectness)?;
        let classes = classes.f_mul_scalar(self.gains.classes)?;
        let batch = (images * caf_ranks::size()) as f64;
        let total = boxes.f_add(&objectness)?.f_add(&classes)?.f_mul_scalar(batch)?;
        Ok(LossValue {
            total,
            boxes: boxes.f_detach()?,
            objectness: objectness.f_detach()?,
            classes: classes.f_detach()?,
            level_objectness,
        })
    }

    /// Moves the weights of the levels towards the inverse of their objectness losses; does nothing when autobalance is off.
    /// Called once per training batch, after [`YoloLoss::compute`].
    ///
    /// # Errors
    /// When a value cannot be read from the device.
    pub fn rebalance(&mut self, value: &LossValue) -> Result<(), YoloError> {
        if !self.hyp.autobalance {
            return Ok(());
        }
        let losses = value.level_objectness.iter().map(f64::try_from).collect::<Result<Vec<_>, _>>()?;
        for (weight, loss) in self.balance.iter_mut().zip(caf_ranks::mean_numbers(losses)?) {
            *weight = *weight * AUTOBALANCE_MEMORY + (1.0 - AUTOBALANCE_MEMORY) / loss;
        }
        let reference = self.balance.get(REFERENCE_LEVEL).copied().unwrap_or(1.0);
        for weight in &mut self.balance {
            *weight /= reference;
        }
        Ok(())
    }

    fn check_head(&self, level: usize, head: &Tensor) -> Result<(usize, Grid), YoloError> {
        let channels = self.anchors_cells[level].len() * (5 + self.classes);
        let floating = matches!(head.kind(), Kind::Float | Kind::Double);
        match head.size().as_slice() {
            [n, c, rows, columns] if floating && *n > 0 && *c == channels as i64 && *rows > 0 && *columns > 0 => {
                Ok((*n as usize, Grid { rows: *rows as usize, columns: *columns as usize }))
            }
            _ => Err(head_error(level, head, format!("f32 or f64 of shape [n, {channels}, rows, columns]"))),
        }
    }

    fn check_targets(&self, targets: &[Target], images: usize) -> Result<(), YoloError> {
        let wrong =
            |index, expected: String, found: String| YoloError::Target { what: "object", index, expected, found };
        for (i, t) in targets.iter().enumerate() {
            if t.image >= images {
                return Err(wrong(i, format!("an image below {images}"), t.image.to_string()));
            }
            if t.class >= self.classes {
                return Err(wrong(i, format!("a class below {}", self.classes), t.class.to_string()));
            }
            if ![t.cx, t.cy, t.w, t.h].iter().all(|v| v.is_finite()) {
                return Err(wrong(i, "a finite box".into(), format!("{} {} {} {}", t.cx, t.cy, t.w, t.h)));
            }
        }
        Ok(())
    }

    /// `[n, anchors, rows, columns, 5 + classes]`, a view.
    fn cells_view(&self, head: &Tensor, images: usize, anchors: usize, grid: Grid) -> Result<Tensor, YoloError> {
        let shape = [images, anchors, 5 + self.classes, grid.rows, grid.columns].map(|v| v as i64);
        Ok(head.f_reshape(shape)?.f_permute([0, 1, 3, 4, 2])?)
    }

    /// Box loss, class loss (none for one class) and the objectness targets of the matches of a level.
    fn matched(&self, view: &Tensor, rows: &MatchTensors) -> Result<(Tensor, Option<Tensor>, Tensor), YoloError> {
        let index: Vec<Option<&Tensor>> = rows.index.iter().map(Some).collect();
        let predicted = view.f_index(&index)?;
        let centre = predicted.f_narrow(1, 0, 2)?.f_sigmoid()?.f_mul_scalar(2.0)?.f_sub_scalar(0.5)?;
        let size = predicted.f_narrow(1, 2, 2)?.f_sigmoid()?.f_mul_scalar(2.0)?.f_square()?.f_mul(&rows.anchors)?;
        let overlap = ciou(&Tensor::f_cat(&[centre, size], 1)?, &rows.boxes)?;
        let box_loss = overlap.f_neg()?.f_add_scalar(1.0)?.f_mean(None::<Kind>)?;
        let overlap = overlap.f_detach()?.f_clamp_min(0.0)?;
        let overlap = overlap.f_mul_scalar(self.hyp.gr)?.f_add_scalar(1.0 - self.hyp.gr)?;
        let class_loss = if self.classes > 1 {
            let logits = predicted.f_narrow(1, 5, self.classes as i64)?;
            let (on, off) = (1.0 - 0.5 * self.hyp.label_smoothing, 0.5 * self.hyp.label_smoothing);
            let wanted = rows.classes.f_mul_scalar(on - off)?.f_add_scalar(off)?;
            Some(self.cross_entropy(&logits, &wanted, self.hyp.cls_pw, None)?)
        } else {
            None
        };
        Ok((box_loss, class_loss, overlap))
    }

    /// Writes the overlaps into the cells; where several objects share one, the last in list order stays.
    fn write_overlap(
        &self,
        wanted: Tensor,
        matches: &Matches,
        overlap: &Tensor,
        anchors: usize,
        grid: Grid,
    ) -> Result<Tensor, YoloError> {
        let (from, to): (Vec<i64>, Vec<i64>) =
            matches.last_writers(anchors, grid).into_iter().map(|(i, cell)| (i as i64, cell as i64)).unzip();
        let from = Tensor::f_from_slice(&from)?.f_to_device(wanted.device())?;
        let to = Tensor::f_from_slice(&to)?.f_to_device(wanted.device())?;
        let mut flat = wanted.f_view([-1])?;
        // Every index occurs once: the result does not depend on the order of writes.
        let _ = flat.f_index_put_(&[Some(to)], &overlap.f_index_select(0, &from)?, false)?;
        Ok(wanted)
    }

    /// Mean binary cross-entropy with logits, focal when a gamma is set, each element times what it is `counted`.
    fn cross_entropy(
        &self,
        logits: &Tensor,
        wanted: &Tensor,
        positive_weight: f64,
        counted: Option<&Tensor>,
    ) -> Result<Tensor, YoloError> {
        let weight = if positive_weight == 1.0 {
            None
        } else {
            Some(Tensor::f_from_slice(&[positive_weight])?.f_to_kind(logits.kind())?.f_to_device(logits.device())?)
        };
        let gamma = self.hyp.fl_gamma;
        if gamma == 0.0 && counted.is_none() {
            return Ok(logits.f_binary_cross_entropy_with_logits(wanted, None, weight.as_ref(), Reduction::Mean)?);
        }
        let mut loss = logits.f_binary_cross_entropy_with_logits(wanted, None, weight.as_ref(), Reduction::None)?;
        if gamma > 0.0 {
            let share = logits.f_sigmoid()?;
            let negative = wanted.f_neg()?.f_add_scalar(1.0)?;
            let right = wanted.f_mul(&share)?.f_add(&negative.f_mul(&share.f_neg()?.f_add_scalar(1.0)?)?)?;
            let alpha = wanted.f_mul_scalar(FOCAL_ALPHA)?.f_add(&negative.f_mul_scalar(1.0 - FOCAL_ALPHA)?)?;
            loss = loss.f_mul(&alpha.f_mul(&right.f_neg()?.f_add_scalar(1.0)?.f_pow_tensor_scalar(gamma)?)?)?;
        }
        if let Some(counted) = counted {
            loss = loss.f_mul(counted)?;
        }
        Ok(loss.f_mean(None::<Kind>)?)
    }
}

impl MatchTensors {
    fn new(matches: &Matches, classes: usize, kind: Kind, device: Device) -> Result<Self, YoloError> {
        let n = matches.len() as i64;
        let index =
            |list: &[i64]| -> Result<Tensor, YoloError> { Ok(Tensor::f_from_slice(list)?.f_to_device(device)?) };
        let floats = |values: &[f32], columns: i64| -> Result<Tensor, YoloError> {
            Ok(Tensor::f_from_slice(values)?.f_view([n, columns])?.f_to_device(device)?.f_to_kind(kind)?)
        };
        let mut one_hot = vec![0.0f32; matches.len() * classes];
        for (row, class) in one_hot.chunks_exact_mut(classes.max(1)).zip(&matches.class) {
            if let Some(slot) = row.get_mut(*class as usize) {
                *slot = 1.0;
            }
        }
        Ok(MatchTensors {
            index: [index(&matches.image)?, index(&matches.anchor)?, index(&matches.row)?, index(&matches.column)?],
            boxes: floats(matches.box_cells.as_flattened(), 4)?,
            anchors: floats(matches.anchor_cells.as_flattened(), 2)?,
            classes: floats(&one_hot, classes as i64)?,
        })
    }
}

fn check_regions(regions: &[IgnoreRegion], images: usize) -> Result<(), YoloError> {
    for (index, r) in regions.iter().enumerate() {
        if r.image >= images || ![r.cx, r.cy, r.w, r.h].iter().all(|v| v.is_finite()) {
            return Err(YoloError::Target {
                what: "ignore region",
                index,
                expected: format!("an image below {images} and a finite box"),
                found: format!("image {}, {} {} {} {}", r.image, r.cx, r.cy, r.w, r.h),
            });
        }
    }
    Ok(())
}

fn head_error(level: usize, head: &Tensor, expected: String) -> YoloError {
    YoloError::Head { level, expected, found: head.size(), kind: head.kind() }
}

#[cfg(test)]
#[path = "loss_tests.rs"]
mod tests;
