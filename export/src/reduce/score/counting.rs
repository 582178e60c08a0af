//! Counts of a model against those of a data set's boxes, whose classes are found by their names.

use super::TaskScore;
use crate::error::ExportError;
use crate::reduce::frames::Frame;
use caf_contract::CountingContract;
use caf_engine::View;
use caf_eval::counting::{CountErrors, counted, labelled};
use caf_eval::detection::Label;

/// Counts on labelled frames.
pub(super) struct Counts {
    /// For each class of the data set the model's, where it has one of that name.
    classes: Vec<Option<u32>>,
    /// Classes of the model.
    number: usize,
    errors: CountErrors,
}

impl Counts {
    /// `None` unless all classes of the model are the data set's: an object that nobody labels would be counted wrongly.
    pub fn new(contract: &CountingContract, names: &[String]) -> Option<Self> {
        let of = |name: &String| contract.classes.iter().position(|n| n == name).and_then(|i| u32::try_from(i).ok());
        let number = contract.classes.len();
        let is_labelled = contract.classes.iter().all(|class| names.contains(class));
        let classes = names.iter().map(of).collect();
        is_labelled.then(|| Counts { classes, number, errors: CountErrors::new(number) })
    }
}

impl TaskScore for Counts {
    fn add(&mut self, frame: &Frame, output: View<'_>) -> Result<(), ExportError> {
        let (true, View::F32(maps)) = (frame.is_labelled, output) else { return Ok(()) };
        let size = frame.sample.ir.size();
        let of = |class: u32| self.classes.get(usize::try_from(class).ok()?).copied().flatten();
        let label = |l: &caf_image::Label| Some(Label { class: of(l.class)?, bbox: l.to_pixels(size) });
        let labels: Vec<Label> = frame.sample.labels.iter().filter_map(label).collect();
        let ignore: Vec<_> = frame.sample.ignore.iter().map(|l| l.to_pixels(size)).collect();
        let found = counted(maps, self.number, size, &ignore);
        Ok(self.errors.accumulate(&labelled(&labels, &ignore, self.number), &found)?)
    }

    fn labels(&self) -> u64 {
        self.errors.finish().all.objects as u64
    }

    fn points(&self) -> Option<f64> {
        self.errors.finish().all.accuracy.map(|accuracy| 100.0 * accuracy)
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::frame;
    use super::*;
    use caf_geometry::Size;

    #[test]
    fn the_score_is_the_accuracy_of_known_counts() {
        let names = ["person", "lamp", "car"].map(str::to_owned);
        let contract = |classes: &[&str]| CountingContract {
            output: "density".into(),
            classes: classes.iter().map(|class| (*class).to_owned()).collect(),
        };
        let mut score = Counts::new(&contract(&["car", "person"]), &names).unwrap();
        assert_eq!((score.points(), score.labels()), (None, 0));
        let label = |class| caf_image::Label { class, cx: 0.5, cy: 0.5, w: 0.2, h: 0.2 };
        let size = Size::new(16, 8);
        // Two cells of cars, two of people: 1.5 cars and 2.25 people, of 2 and 2. The lamp is no class of the model.
        let labels = vec![label(0), label(2), label(1), label(0), label(2)];
        score.add(&frame(size, labels, None), View::F32(&[1.0, 0.5, 2.0, 0.25])).unwrap();
        score.add(&frame(size, vec![], None), View::F32(&[0.0, 0.25, 0.0, -1.0])).unwrap();
        assert_eq!((score.points(), score.labels()), (Some(100.0 * (1.0 - 1.0 / 4.0)), 4));
        let unlabelled = Frame { is_labelled: false, ..frame(size, vec![], None) };
        score.add(&unlabelled, View::F32(&[9.0; 4])).unwrap();
        assert_eq!(score.points(), Some(75.0));
        assert!(Counts::new(&contract(&["car", "bus"]), &names).is_none());
    }
}
