//! The parity table: network × engine × largest error.

use caf_engine::{Array, Values};
use caf_geometry::Size;
use caf_golden::Tally;

/// Boxes as shares of the image's width and height, libtorch against ONNX Runtime and both against the original: what is
/// demanded of every other value. A bound in pixels stands beside it.
pub const RELATIVE_BOXES: f64 = 1e-4;

/// How far two runs in single precision may be apart, as a multiple of what rounding does to one of them: each has its own order of
/// sums, and a folded weight is rounded once more, three errors like the measured one, of which the largest of other draws counts.
const DRAWS: f64 = 4.0;
/// Rounding of the largest value, in units of its last place, where few values were rounded and by chance hardly: to the nearest
/// on both sides, in two layers.
const LEAST_UNITS: f64 = 2.0;

/// How far two engines may be apart on an output that is `single` by one of them and `double` by the same in double precision.
pub fn rounding(single: &[f32], double: &[f32]) -> f64 {
    let largest = double.iter().fold(0.0, |largest, value| f64::max(largest, f64::from(value.abs())));
    DRAWS * Spread::of(single, double).max + LEAST_UNITS * f64::from(f32::EPSILON) * largest
}

/// Distance between equally long lists.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// Largest absolute difference; infinite where one is no number.
    pub max: f64,
    /// Sum of absolute differences.
    pub sum: f64,
    /// Values that differ at all.
    pub unequal: usize,
    /// Values compared.
    pub count: usize,
}

impl Spread {
    /// Of two lists.
    pub fn of<T: Into<f64> + Copy>(found: &[T], expected: &[T]) -> Self {
        assert_eq!(found.len(), expected.len(), "number of values");
        let mut spread = Spread { count: found.len(), ..Spread::default() };
        for (a, b) in found.iter().zip(expected) {
            let gap = ((*a).into() - (*b).into()).abs();
            let gap = if gap.is_nan() { f64::INFINITY } else { gap };
            spread.max = spread.max.max(gap);
            spread.sum += gap;
            spread.unequal += usize::from(gap > 0.0);
        }
        spread
    }

    /// Of two arrays of one shape.
    pub fn of_arrays(found: &Array, expected: &Array) -> Self {
        assert_eq!(found.shape, expected.shape);
        match (&found.values, &expected.values) {
            (Values::F32(a), Values::F32(b)) => Self::of(a, b),
            (Values::U8(a), Values::U8(b)) => Self::of(a, b),
            _ => panic!("floats compared with bytes"),
        }
    }

    /// Mean absolute difference.
    pub fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }
}

/// Rows of a table that belong to one network on one engine.
pub struct Rows<'a> {
    tally: &'a mut Tally,
    network: &'a str,
    engine: &'a str,
}

impl<'a> Rows<'a> {
    /// Adds to this tally.
    pub fn new(tally: &'a mut Tally, network: &'a str, engine: &'a str) -> Self {
        Rows { tally, network, engine }
    }

    /// Adds a comparison, to that of the same name if there is one.
    pub fn add(&mut self, what: &str, spread: Spread, tolerance: f64) {
        let name = format!("{:<26} {:<33} {what}", self.network, self.engine);
        self.tally.add(&name, spread.count, spread.max, tolerance);
    }

    /// Adds lists.
    pub fn close<T: Into<f64> + Copy>(&mut self, what: &str, found: &[T], expected: &[T], tolerance: f64) {
        self.add(what, Spread::of(found, expected), tolerance);
    }

    /// Adds boxes, four coordinates each (x, y, x, y or x, y, width, height), in pixels and as shares of the image they lie in.
    pub fn boxes(&mut self, what: &str, found: &[f32], expected: &[f32], image: Size, tolerance_px: f64) {
        assert!(found.len().is_multiple_of(4), "{what}: {} values are no boxes", found.len());
        self.close(&format!("{what} (px)"), found, expected, tolerance_px);
        let sides = image.wh();
        let share = |boxes: &[f32]| -> Vec<f64> {
            boxes.iter().enumerate().map(|(i, v)| f64::from(*v) / sides[i % 2] as f64).collect()
        };
        self.close(&format!("{what} (of the image)"), &share(found), &share(expected), RELATIVE_BOXES);
    }

    /// Adds decoded detections `[…, columns]`: boxes, and the probabilities behind them.
    pub fn detections(&mut self, what: &str, [found, expected]: [&[f32]; 2], layout: &Layout, tolerances: [f64; 2]) {
        assert_eq!(found.len(), expected.len(), "{what}: number of values");
        let [(boxes, rest), (expected_boxes, expected_rest)] = [found, expected].map(|list| layout.parts(list));
        self.boxes(&format!("{what}, boxes"), &boxes, &expected_boxes, layout.image, tolerances[0]);
        self.close(&format!("{what}, probabilities"), &rest, &expected_rest, tolerances[1]);
    }
}

/// What rows of decoded detections are.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Values of a row: four of the box, objectness, classes.
    pub columns: usize,
    /// Size of the image that boxes lie in.
    pub image: Size,
}

impl Layout {
    /// The boxes of decoded rows, and the probabilities behind them.
    pub fn parts(&self, rows: &[f32]) -> (Vec<f32>, Vec<f32>) {
        assert!(self.columns > 4 && rows.len().is_multiple_of(self.columns), "{} values are no rows", rows.len());
        let rows = rows.chunks_exact(self.columns).map(|row| row.split_at(4));
        let (boxes, rest): (Vec<&[f32]>, Vec<&[f32]>) = rows.unzip();
        (boxes.concat(), rest.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_measured_and_never_less_than_that_of_the_largest_value() {
        let unit = f64::from(f32::EPSILON);
        assert_eq!(rounding(&[1.0, -8.0], &[1.0, -8.0]), 16.0 * unit);
        assert_eq!(rounding(&[1.0 + f32::EPSILON, 0.0], &[1.0, 0.0]), 6.0 * unit);
    }

    #[test]
    fn distances_are_counted() {
        let a = Spread::of(&[1.0f32, 2.0, -3.0], &[1.0, 2.5, -3.25]);
        assert_eq!(a, Spread { max: 0.5, sum: 0.75, unequal: 2, count: 3 });
        assert_eq!(Spread::of(&[f32::NAN], &[f32::NAN]).max, f64::INFINITY);
    }

    #[test]
    #[should_panic(expected = "boxes (of the image): 3.000e-1 > 1e-4")]
    fn boxes_are_also_compared_as_shares_of_the_image() {
        let mut tally = Tally::new("boxes_are_also_compared_as_shares_of_the_image");
        tally.case("one");
        let layout = Layout { columns: 6, image: Size::new(20, 10) };
        let rows = [&[0.0, 0.0, 0.0, 4.0, 0.5, 0.25][..], &[0.0, 0.0, 0.0, 1.0, 0.5, 0.25]];
        Rows::new(&mut tally, "net", "engine").detections("decoded", rows, &layout, [3.0, 1e-5]);
        tally.finish();
    }
}
