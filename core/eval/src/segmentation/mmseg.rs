//! The convention of mmseg, and of most published tables. Means are over the classes that have pixels; the variant counts the
//! others as 0 (`nan_to_num = 0`).

use super::confusion::ConfusionMatrix;
use super::report::{Absent, Column, Convention, Report, all_accuracy, ious, recalls};

/// Means over the classes that are defined.
pub(super) const MMSEG: Convention = Convention {
    name: "mmseg",
    about: "means over the classes that have pixels",
    of: |matrix| report(matrix, "mmseg", Absent::LeftOut),
};

/// Undefined classes count as 0.
pub(super) const MMSEG_ABSENT_AS_ZERO: Convention = Convention {
    name: "mmseg-absent-as-zero",
    about: "as mmseg, but a class without pixels counts as 0",
    of: |matrix| report(matrix, "mmseg-absent-as-zero", Absent::Zero),
};

fn report(matrix: &ConfusionMatrix, convention: &'static str, absent: Absent) -> Report {
    Report {
        convention,
        iou: Column::new(ious(matrix), absent),
        accuracy: Column::new(recalls(matrix), absent),
        precision: None,
        all_accuracy: all_accuracy(matrix),
    }
}
