//! How many objects there are, from maps of how dense they are.

use super::{Part, Promise, Quantity, Task, TaskContract};
use crate::port::{Colour, Element, Extent, Port};
use caf_geometry::Size;
use serde::{Deserialize, Serialize};

/// Pixels of the image for each row and each column of a density map; those of the last ones may be fewer.
pub const CELL_PX: usize = 8;

/// What is much in a cell: objects stand for Gaussians whose deviation is some cells, and overlap in crowds.
const MUCH: f64 = 0.1;

/// The task.
pub const COUNTING: Task = Task {
    name: "counting",
    verb: "counts",
    output: "density",
    is_fitted: false,
    has_thresholds: false,
    score: "count accuracy",
    contract: |classes, _| TaskContract::Counting(CountingContract { output: COUNTING.output.to_owned(), classes }),
};

/// Counting. Its output is f32 `[batch, classes, rows, columns]`, how many objects of each class there are in each cell of
/// [`CELL_PX`] × [`CELL_PX`] pixels of the image, at the image's own size. [`counts`] says how many that are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountingContract {
    /// Name of the output.
    pub output: String,
    /// Class names in the order of the maps.
    pub classes: Vec<String>,
}

impl Promise for CountingContract {
    fn task(&self) -> &'static Task {
        &COUNTING
    }

    fn output(&self) -> &str {
        &self.output
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn input(&self) -> Option<Size> {
        None
    }

    fn port(&self) -> Port {
        let named = |name: &str| Extent::Named(name.to_owned());
        let shape = vec![named("batch"), Extent::Fixed(self.classes.len()), named("rows"), named("columns")];
        Port { name: self.output.clone(), element: Element::F32, shape, colour: Colour::None }
    }

    fn output_shape(&self, image: Size) -> Option<Vec<usize>> {
        Some(vec![1, self.classes.len(), image.height.div_ceil(CELL_PX), image.width.div_ceil(CELL_PX)])
    }

    fn fault(&self) -> Option<(String, String)> {
        self.classes.is_empty().then(|| ("at least one class".to_owned(), "none".to_owned()))
    }

    fn parts(&self) -> Vec<Part> {
        vec![Part::whole(Quantity::Numbers { much: MUCH })]
    }
}

/// How many objects of each of so many classes the density maps of an image say there are: the sum of each map, in double precision, as an
/// image has thousands of cells; 0 where it is below. NaN where a cell is no number.
pub fn counts(maps: &[f32], classes: usize) -> impl Iterator<Item = f64> {
    let cells = maps.len() / classes.max(1);
    let sums = maps.chunks_exact(cells.max(1)).map(|map| map.iter().copied().map(f64::from).sum::<f64>());
    // `f64::max` would take a NaN for 0.
    sums.map(|sum| if sum < 0.0 { 0.0 } else { sum })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_the_sums_of_the_maps() {
        let of = |maps: &[f32], classes| counts(maps, classes).collect::<Vec<_>>();
        assert_eq!(of(&[0.5, 1.0, 0.25, -1.0, 0.25, 0.5], 2), [1.75, 0.0]);
        assert!(of(&[f32::NAN, 1.0], 2)[0].is_nan());
        // In single precision every further cell would be lost.
        let many: Vec<f32> = std::iter::once(1.0).chain([1e-8; 1000]).collect();
        assert!((of(&many, 1)[0] - 1.000_01).abs() < 1e-9);
        assert!(of(&[], 3).is_empty() && of(&[], 0).is_empty());
    }
}
