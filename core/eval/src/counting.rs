//! Counting: how many objects of each class were counted in each image, against how many there are.
//!
//! What lies in a region to ignore counts on neither side: objects by the centre of their box, cells of density maps by theirs.

use crate::EvalError;
use crate::detection::Label;
use caf_contract::{CELL_PX, counts};
use caf_geometry::{Size, Xyxy};
use serde::Serialize;

/// How many objects of each of so many classes there are. Those of other classes are left out.
#[must_use]
pub fn labelled(labels: &[Label], ignore: &[Xyxy], classes: usize) -> Vec<f64> {
    let mut found = vec![0.0; classes];
    for label in labels {
        let Xyxy { x1, y1, x2, y2 } = label.bbox;
        let count = usize::try_from(label.class).ok().and_then(|class| found.get_mut(class));
        if let Some(count) = count.filter(|_| !lies_in(ignore, (x1 + x2) / 2.0, (y1 + y2) / 2.0)) {
            *count += 1.0;
        }
    }
    found
}

/// How many objects of each of so many classes the density maps of an image say there are (see [`counts`]).
#[must_use]
pub fn counted(maps: &[f32], classes: usize, image: Size, ignore: &[Xyxy]) -> Vec<f64> {
    if ignore.is_empty() {
        return counts(maps, classes).collect();
    }
    let [rows, columns] = [image.height, image.width].map(|side| side.div_ceil(CELL_PX));
    let centre = |cell: usize| (cell as f32 + 0.5) * CELL_PX as f32;
    let is_out = |i: usize| lies_in(ignore, centre(i % columns.max(1)), centre(i / columns.max(1) % rows.max(1)));
    let kept: Vec<f32> = maps.iter().enumerate().map(|(i, value)| if is_out(i) { 0.0 } else { *value }).collect();
    counts(&kept, classes).collect()
}

fn lies_in(regions: &[Xyxy], x: f32, y: f32) -> bool {
    regions.iter().any(|r| (r.x1..r.x2).contains(&x) && (r.y1..r.y2).contains(&y))
}

/// Labelled and counted objects of every image, by class.
#[derive(Clone, Debug, PartialEq)]
pub struct CountErrors {
    images: usize,
    classes: Vec<Vec<[f64; 2]>>,
}

/// How far counts are from the truth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CountError {
    /// Labelled objects in all images.
    pub objects: f64,
    /// Mean of |counted − labelled|; none without images.
    pub mae: Option<f64>,
    /// Root of the mean of (counted − labelled)², which papers on counting call MSE; none without images.
    pub rmse: Option<f64>,
    /// 1 − Σ |counted − labelled| / Σ labelled: 1 is best, 0 what counting nothing has; none without labelled objects.
    pub accuracy: Option<f64>,
    /// `mae` of whoever looks at no image and says the mean of the labels of all.
    pub blind_mae: Option<f64>,
}

/// The results of a data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CountReport {
    /// Images counted.
    pub images: usize,
    /// Of all classes together: every class of every image is one count, so that what is missing in one class and too much in another
    /// does not cancel out.
    pub all: CountError,
    /// By class.
    pub classes: Vec<CountError>,
}

impl CountErrors {
    /// Nothing counted yet, of so many classes.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        Self { images: 0, classes: vec![vec![]; classes] }
    }

    /// Adds an image: labelled and counted objects by class. Nothing is added on an error.
    ///
    /// # Errors
    /// [`EvalError::Counts`] unless there are two finite numbers for each class.
    pub fn accumulate(&mut self, labelled: &[f64], counted: &[f64]) -> Result<(), EvalError> {
        let classes = self.classes.len();
        for (what, numbers) in [("labelled", labelled), ("counted", counted)] {
            if numbers.len() != classes || !numbers.iter().all(|number| number.is_finite()) {
                return Err(EvalError::Counts { image: self.images, what, classes, found: numbers.to_vec() });
            }
        }
        self.images += 1;
        let pairs = labelled.iter().zip(counted).map(|(labelled, counted)| [*labelled, *counted]);
        self.classes.iter_mut().zip(pairs).for_each(|(class, pair)| class.push(pair));
        Ok(())
    }

    /// The numbers of what was added.
    #[must_use]
    pub fn finish(&self) -> CountReport {
        let classes = self.classes.iter().map(|class| CountError::of(std::slice::from_ref(class))).collect();
        CountReport { images: self.images, all: CountError::of(&self.classes), classes }
    }
}

impl CountError {
    fn of(classes: &[Vec<[f64; 2]>]) -> Self {
        let (mut numbers, mut objects, mut absolute, mut squared, mut blind) = (0, 0.0, 0.0, 0.0, 0.0);
        for class in classes {
            let of_class: f64 = class.iter().map(|[labelled, _]| labelled).sum();
            let mean = of_class / class.len().max(1) as f64;
            for [labelled, counted] in class {
                absolute += (counted - labelled).abs();
                squared += (counted - labelled).powi(2);
                blind += (mean - labelled).abs();
            }
            (numbers, objects) = (numbers + class.len(), objects + of_class);
        }
        let mean = |sum: f64| (numbers > 0).then(|| sum / numbers as f64);
        CountError {
            objects,
            mae: mean(absolute),
            rmse: mean(squared).map(f64::sqrt),
            accuracy: (objects > 0.0).then(|| 1.0 - absolute / objects),
            blind_mae: mean(blind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_those_of_the_definition() {
        let images = [([2.0, 0.0], [1.5, 1.0]), ([0.0, 0.0], [0.0, 2.0]), ([10.0, 0.0], [13.0, 1.0])];
        let mut errors = CountErrors::new(2);
        for (labelled, counted) in &images {
            errors.accumulate(labelled, counted).unwrap();
        }
        let report = errors.finish();
        assert_eq!((report.images, report.classes.len()), (3, 2));
        let near = |found: CountError, [objects, mae, squares, accuracy, blind]: [f64; 5]| {
            let found = [found.objects, found.mae.unwrap(), found.rmse.unwrap(), found.accuracy.unwrap_or(f64::NAN)]
                .into_iter()
                .chain(found.blind_mae);
            for (found, expected) in found.zip([objects, mae, squares.sqrt(), accuracy, blind]) {
                assert!((found - expected).abs() < 1e-14 || found.is_nan() && expected.is_nan(), "{found} {expected}");
            }
        };
        // The mean of 2, 0 and 10 is 4.
        near(report.classes[0], [12.0, 3.5 / 3.0, 9.25 / 3.0, 1.0 - 3.5 / 12.0, 4.0]);
        near(report.classes[1], [0.0, 4.0 / 3.0, 6.0 / 3.0, f64::NAN, 0.0]);
        near(report.all, [12.0, 7.5 / 6.0, 15.25 / 6.0, 1.0 - 7.5 / 12.0, 2.0]);
    }

    #[test]
    fn nothing_counted_has_no_error_and_no_numbers_are_no_count() {
        let mut errors = CountErrors::new(1);
        let none = CountError { objects: 0.0, mae: None, rmse: None, accuracy: None, blind_mae: None };
        assert_eq!(errors.finish().all, none);
        for (labelled, counted) in [(&[1.0][..], &[f64::NAN][..]), (&[1.0, 2.0], &[1.0]), (&[1.0], &[])] {
            let text = errors.accumulate(labelled, counted).unwrap_err().to_string();
            assert!(text.contains("image 0") && text.contains("1 finite"), "{text}");
        }
        assert_eq!(errors, CountErrors::new(1));
    }

    #[test]
    fn what_is_to_be_ignored_counts_on_neither_side() {
        let at =
            |class, x: f32, y: f32| Label { class, bbox: Xyxy { x1: x - 4.0, y1: y - 4.0, x2: x + 4.0, y2: y + 4.0 } };
        let labels = [at(0, 10.0, 10.0), at(1, 20.0, 4.0), at(1, 4.0, 20.0), at(7, 4.0, 4.0)];
        let region = Xyxy { x1: 8.0, y1: 0.0, x2: 24.0, y2: 12.0 };
        assert_eq!(labelled(&labels, &[], 2), [1.0, 2.0]);
        assert_eq!(labelled(&labels, &[region], 2), [0.0, 1.0]);
        // Three columns and three rows, the last ones cut; the region holds the centres of the second and third cell of the first row.
        let maps: Vec<f32> = (1..=18).map(|i| i as f32).collect();
        let image = Size::new(23, 21);
        assert_eq!(counted(&maps, 2, image, &[]), [45.0, 126.0]);
        assert_eq!(counted(&maps, 2, image, &[region]), [45.0 - 2.0 - 3.0, 126.0 - 11.0 - 12.0]);
    }
}
