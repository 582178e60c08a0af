use super::confusion::ConfusionMatrix;
use crate::EvalError;
use serde::Serialize;

/// How counts become the published numbers.
#[derive(Clone, Copy, Debug)]
pub struct Convention {
    /// Its name at the command line and in results.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    pub(super) of: fn(&ConfusionMatrix) -> Report,
}

impl Convention {
    /// The convention of a name, without regard to case.
    ///
    /// # Errors
    /// [`EvalError::UnknownConvention`].
    pub fn named(name: &str) -> Result<Self, EvalError> {
        let all = super::CONVENTIONS;
        all.iter().copied().find(|c| c.name.eq_ignore_ascii_case(name)).ok_or_else(|| EvalError::UnknownConvention {
            found: name.to_owned(),
            known: all.iter().map(|c| c.name).collect::<Vec<_>>().join(", "),
        })
    }

    /// The numbers of what was counted.
    pub fn report(&self, matrix: &ConfusionMatrix) -> Report {
        (self.of)(matrix)
    }
}

/// A measure of every class, in [0, 1], and its mean. `None` where it is undefined: 0 of 0 pixels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    /// By class.
    pub classes: Vec<Option<f64>>,
    /// Over the classes, by the rule of the convention.
    pub mean: Option<f64>,
}

/// The published numbers of one data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Name of the convention.
    pub convention: &'static str,
    /// Intersection over union; its mean is mIoU.
    pub iou: Column,
    /// What the convention calls accuracy (Acc); its mean is mAcc. Recall, but for the first port of MFNet.
    pub accuracy: Column,
    /// Precision, where the convention reports it.
    pub precision: Option<Column>,
    /// Part of all pixels that are right (aAcc), as the convention counts them.
    pub all_accuracy: Option<f64>,
}

impl Report {
    /// Intersection over union and recall of every class; `absent` says what a class without pixels counts in their means.
    pub(super) fn new(convention: &'static str, matrix: &ConfusionMatrix, absent: Absent) -> Self {
        Report {
            convention,
            iou: Column::new(ious(matrix), absent),
            accuracy: Column::new(recalls(matrix), absent),
            precision: None,
            all_accuracy: all_accuracy(matrix),
        }
    }

    /// mIoU in [0, 1].
    pub fn miou(&self) -> Option<f64> {
        self.iou.mean
    }

    /// mAcc in [0, 1].
    pub fn macc(&self) -> Option<f64> {
        self.accuracy.mean
    }
}

/// What a class without pixels counts in a mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// Nothing: the mean is over the others.
    LeftOut,
    /// 0.
    Zero,
    /// The mean is undefined as well.
    Undefined,
}

impl Column {
    pub(super) fn new(classes: Vec<Option<f64>>, absent: Absent) -> Self {
        let defined: Vec<f64> = classes.iter().flatten().copied().collect();
        let count = if absent == Absent::LeftOut { defined.len() } else { classes.len() };
        let exists = count > 0 && (absent != Absent::Undefined || defined.len() == count);
        let mean = exists.then(|| defined.iter().sum::<f64>() / count as f64);
        Self { classes, mean }
    }
}

/// `part / whole`, undefined of nothing.
pub(super) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Intersection over union of every class.
fn ious(matrix: &ConfusionMatrix) -> Vec<Option<f64>> {
    let union = |c| matrix.labelled(c) + matrix.predicted(c) - matrix.hits(c);
    (0..matrix.classes()).map(|c| ratio(matrix.hits(c), union(c))).collect()
}

/// Part of each class's labelled pixels that is found.
fn recalls(matrix: &ConfusionMatrix) -> Vec<Option<f64>> {
    (0..matrix.classes()).map(|c| ratio(matrix.hits(c), matrix.labelled(c))).collect()
}

/// Part of each class's predicted pixels that is right.
pub(super) fn precisions(matrix: &ConfusionMatrix) -> Vec<Option<f64>> {
    (0..matrix.classes()).map(|c| ratio(matrix.hits(c), matrix.predicted(c))).collect()
}

/// Part of all pixels that is right.
fn all_accuracy(matrix: &ConfusionMatrix) -> Option<f64> {
    ratio((0..matrix.classes()).map(|c| matrix.hits(c)).sum(), matrix.total())
}

/// Percent with two decimals, as the tables print it; `-` where undefined.
pub fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{:.2}", 100.0 * v))
}

#[cfg(test)]
mod tests {
    use super::super::CONVENTIONS;
    use super::*;

    #[test]
    fn what_an_absent_class_counts() {
        let column = |absent| Column::new(vec![Some(0.5), None, Some(1.0)], absent).mean;
        assert_eq!(column(Absent::LeftOut), Some(0.75));
        assert_eq!(column(Absent::Zero), Some(0.5));
        assert_eq!(column(Absent::Undefined), None);
        assert_eq!(Column::new(vec![None], Absent::LeftOut).mean, None);
        assert_eq!(Column::new(vec![], Absent::Zero).mean, None);
    }

    #[test]
    fn without_a_pixel_nothing_is_defined() {
        for convention in CONVENTIONS {
            assert_eq!(Convention::named(&convention.name.to_uppercase()).unwrap().name, convention.name);
            let report = convention.report(&ConfusionMatrix::new(2, None));
            assert_eq!((report.convention, report.all_accuracy), (convention.name, None));
        }
        assert!(Convention::named("pascal").unwrap_err().to_string().contains("known: mmseg, "));
    }
}
