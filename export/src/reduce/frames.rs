//! Pairs of a data set as the inputs of a model, and the choice of those that stand for all.

use crate::error::ExportError;
use crate::probes::pair_inputs;
use crate::verify::Named;
use caf_contract::{Contract, Port, Quantity, TaskContract};
use caf_data::view::{CutRule, View};
use caf_data::{Dataset, DatasetOptions, Need, Sample};
use caf_geometry::Size;
use caf_image::color::luma;
use caf_net::{Dim, Graph};
use rayon::prelude::*;
use std::path::Path;

/// Pairs of a data set, for one model.
#[derive(Clone, Debug)]
pub struct Frames {
    dataset: Dataset,
    inputs: Vec<Port>,
}

/// One pair, resampled where the model takes one size only.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The pair with what is said about it, at the size of the inputs.
    pub sample: Sample,
    /// The model's inputs.
    pub inputs: Named,
    /// Whether somebody looked for objects in it.
    pub is_labelled: bool,
}

impl Frames {
    /// All pairs of a folder, or those of a list in it, for a model with this contract. A model that does not fuse sees the visible
    /// images.
    ///
    /// # Errors
    /// [`ExportError::Data`] for a folder that is no data set, with everything that does not fit.
    pub fn open(root: &Path, list: Option<&Path>, contract: &Contract) -> Result<Self, ExportError> {
        let has_maps = contract.tasks.iter().flat_map(TaskContract::parts).any(|p| p.quantity == Quantity::Classes);
        let options = DatasetOptions {
            list: list.map(Path::to_owned),
            labels: Need::Optional,
            masks: if has_maps { Need::Optional } else { Need::Ignore },
            ir_range: contract.infrared_range,
            ..DatasetOptions::default()
        };
        let dataset = Dataset::open(root, &options).map_err(|e| ExportError::Data(Box::new(e)))?;
        Ok(Self { dataset, inputs: contract.inputs.clone() })
    }

    /// How many pairs there are, at least 1.
    #[must_use]
    pub fn count(&self) -> usize {
        self.dataset.len()
    }

    /// The names of the pairs, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.dataset.names()
    }

    /// Class names of boxes.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        self.dataset.classes()
    }

    /// Class names of masks.
    #[must_use]
    pub fn mask_classes(&self) -> &[String] {
        self.dataset.mask_classes()
    }

    /// The largest size among the inputs.
    #[must_use]
    pub fn largest(&self) -> Size {
        let fixed = self.inputs.iter().find_map(Port::fixed_size);
        let sizes = self.dataset.entries().iter().map(|entry| entry.size);
        let join = |a: Size, b: Size| Size::new(a.width.max(b.width), a.height.max(b.height));
        fixed.or(sizes.reduce(join)).unwrap_or(Size::new(1, 1))
    }

    /// A graph with one image at once, of the largest size.
    pub(super) fn bind(&self, graph: &Graph) -> Result<Graph, ExportError> {
        let size = self.largest();
        let known = [("batch", 1), ("height", size.height), ("width", size.width)];
        let named = |name: &str| {
            let mut dims = graph.inputs().iter().flat_map(|i| &graph.type_of(i.value).dims);
            dims.any(|d| matches!(d, Dim::Named(n) if n == name))
        };
        Ok(graph.bind(&known.into_iter().filter(|(name, _)| named(name)).collect::<Vec<_>>())?)
    }

    /// Reads a pair.
    ///
    /// # Errors
    /// [`ExportError::Data`] when a file cannot be read.
    pub fn load(&self, index: usize) -> Result<Frame, ExportError> {
        let sample = self.dataset.load(index).map_err(|e| ExportError::Data(Box::new(e)))?;
        let is_labelled = self.dataset.entries().get(index).is_some_and(|entry| entry.labelled);
        let fixed = self.inputs.iter().find_map(Port::fixed_size).filter(|size| *size != sample.ir.size());
        match fixed {
            None => self.frame(sample, is_labelled),
            Some(size) => {
                let from = sample.ir.size();
                let scale = (size.width as f64 / from.width as f64, size.height as f64 / from.height as f64);
                self.seen(&sample, View::new(from, size, scale, (0.0, 0.0)), is_labelled)
            }
        }
    }

    /// Reads the middle of a pair, of at most this size; the whole where the model takes one size only.
    ///
    /// # Errors
    /// As [`Frames::load`].
    pub fn load_middle(&self, index: usize, most: Size) -> Result<Frame, ExportError> {
        let whole = self.load(index)?;
        let size = whole.sample.ir.size();
        let part = Size::new(size.width.min(most.width), size.height.min(most.height));
        if part == size || self.inputs.iter().any(|port| port.fixed_size().is_some()) {
            return Ok(whole);
        }
        let (x, y) = ((size.width - part.width) / 2, (size.height - part.height) / 2);
        self.seen(&whole.sample, View::crop(size, x, y, part), whole.is_labelled)
    }

    fn seen(
        &self,
        sample: &Sample,
        view: Result<View, caf_data::DataError>,
        is_labelled: bool,
    ) -> Result<Frame, ExportError> {
        let seen = view.and_then(|view| view.apply(sample, CutRule::default()));
        self.frame(seen.map_err(|e| ExportError::Data(Box::new(e)))?, is_labelled)
    }

    fn frame(&self, sample: Sample, is_labelled: bool) -> Result<Frame, ExportError> {
        let inputs = pair_inputs(&self.inputs, &sample.ir, &sample.vi)?;
        Ok(Frame { sample, inputs, is_labelled })
    }

    /// `count` pairs that differ most in brightness and contrast of both images, in the order in which each adds most to those before
    /// it; the first is the most usual one. All pairs when there are not more.
    ///
    /// # Errors
    /// [`ExportError::Data`] when a file cannot be read.
    pub fn representative(&self, count: usize) -> Result<Vec<usize>, ExportError> {
        let all: Vec<usize> = (0..self.count()).collect();
        let looks = all.par_iter().map(|index| {
            let sample = self.dataset.load(*index).map_err(|e| ExportError::Data(Box::new(e)))?;
            let [ir, vi] = [look(sample.ir.data()), look(luma(&sample.vi).data())];
            Ok([ir.0, ir.1, vi.0, vi.1])
        });
        let looks = looks.collect::<Result<Vec<_>, ExportError>>()?;
        Ok(spread(&looks, count))
    }
}

/// Mean and standard deviation.
fn look(values: &[f32]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
    let variance = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

/// Indices of points, each as far as possible from those before it, every axis in units of its spread; the first is nearest to the
/// mean of all.
fn spread<const N: usize>(points: &[[f64; N]], count: usize) -> Vec<usize> {
    let axis = |i: usize| look(&points.iter().filter_map(|p| p.get(i).map(|v| *v as f32)).collect::<Vec<f32>>());
    let axes: Vec<(f64, f64)> = (0..N).map(axis).collect();
    let scaled = |p: &[f64; N]| -> Vec<f64> {
        p.iter().zip(&axes).map(|(v, (mean, deviation))| (v - mean) / deviation.max(1e-6)).collect()
    };
    let points: Vec<Vec<f64>> = points.iter().map(scaled).collect();
    let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    let from_mean = |p: &Vec<f64>| distance(p, &[0.0; N]);
    let first = (0..points.len()).min_by(|a, b| {
        let of = |i: &usize| points.get(*i).map_or(f64::INFINITY, from_mean);
        of(a).total_cmp(&of(b))
    });
    let mut chosen: Vec<usize> = first.into_iter().take(count).collect();
    let mut nearest = vec![f64::INFINITY; points.len()];
    while let Some(last) = chosen.last().and_then(|i| points.get(*i)).filter(|_| chosen.len() < count.min(points.len()))
    {
        for (near, point) in nearest.iter_mut().zip(&points) {
            *near = near.min(distance(point, last));
        }
        let rest = (0..points.len()).filter(|i| !chosen.contains(i));
        let of = |i: &usize| nearest.get(*i).copied().unwrap_or(0.0);
        // Of equal ones the first.
        let Some(next) = rest.max_by(|a, b| of(a).total_cmp(&of(b)).then(b.cmp(a))) else { break };
        chosen.push(next);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_differ_most_are_chosen_and_the_usual_one_first() {
        let mut points = vec![[0.5, 0.2]; 20];
        points.push([0.1, 0.2]);
        points.push([0.9, 0.2]);
        points.push([0.5, 0.9]);
        let chosen = spread(&points, 4);
        assert!(chosen[0] < 20, "{chosen:?}");
        let mut odd = chosen[1..].to_vec();
        odd.sort_unstable();
        assert_eq!(odd, [20, 21, 22]);
        assert_eq!(spread(&points, 100).len(), 23);
        assert_eq!(spread::<2>(&[], 3), Vec::<usize>::new());
        assert_eq!(spread(&points, 0), Vec::<usize>::new());
    }
}
