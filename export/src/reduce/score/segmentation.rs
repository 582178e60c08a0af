//! Class maps of a model against the masks of a data set with the same classes.

use super::TaskScore;
use crate::error::ExportError;
use crate::reduce::frames::Frame;
use caf_contract::SegmentationContract;
use caf_engine::View;
use caf_eval::segmentation::{ConfusionMatrix, Convention};

/// Counts the pixels of all pairs with masks.
pub(super) struct ClassMaps {
    matrix: ConfusionMatrix,
    convention: Convention,
}

impl ClassMaps {
    /// `None` unless the masks have the model's classes in the model's order.
    pub fn new(contract: &SegmentationContract, names: &[String]) -> Option<Self> {
        let convention = Convention::named("mmseg").ok()?;
        let matrix = ConfusionMatrix::new(names.len(), contract.ignored_label);
        (contract.classes == names).then_some(Self { matrix, convention })
    }
}

impl TaskScore for ClassMaps {
    fn add(&mut self, frame: &Frame, output: View<'_>) -> Result<(), ExportError> {
        match (&frame.sample.mask, output) {
            (Some(mask), View::U8(map)) => Ok(self.matrix.accumulate(mask.data(), map)?),
            _ => Ok(()),
        }
    }

    fn labels(&self) -> u64 {
        self.matrix.total()
    }

    fn points(&self) -> Option<f64> {
        self.convention.report(&self.matrix).miou().map(|miou| 100.0 * miou)
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::frame;
    use super::*;
    use caf_geometry::Size;

    #[test]
    fn the_score_is_the_mean_iou_of_known_maps() {
        let classes = ["road", "person", "car"].map(str::to_owned).to_vec();
        let contract = SegmentationContract {
            output: "class_map".into(),
            classes: classes.clone(),
            ignored_label: Some(255),
            palette: None,
        };
        let mut score = ClassMaps::new(&contract, &classes).unwrap();
        assert_eq!((score.points(), score.labels()), (None, 0));
        let masked = |mask: [u8; 6]| frame(Size::new(3, 2), vec![], Some(mask.to_vec()));
        score.add(&masked([0, 0, 0, 1, 1, 255]), View::U8(&[0, 0, 1, 1, 1, 2])).unwrap();
        score.add(&masked([2, 2, 0, 0, 1, 1]), View::U8(&[2, 0, 0, 0, 1, 1])).unwrap();
        // A pair without a mask counts for nothing.
        score.add(&frame(Size::new(3, 2), vec![], None), View::U8(&[2; 6])).unwrap();
        // Road: 4 of 6; person: 4 of 5; car: 1 of 2.
        let expected = 100.0 * (4.0 / 6.0 + 4.0 / 5.0 + 1.0 / 2.0) / 3.0;
        assert!((score.points().unwrap() - expected).abs() < 1e-12, "{:?}", score.points());
        assert_eq!(score.labels(), 11);
        assert!(score.add(&masked([0; 6]), View::U8(&[0; 5])).is_err());
        // The same names in another order are other numbers.
        let turned: Vec<String> = classes.iter().rev().cloned().collect();
        assert!(ClassMaps::new(&contract, &turned).is_none());
    }
}
