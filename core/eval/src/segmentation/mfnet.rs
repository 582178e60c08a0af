//! The convention of the published MFNet tables since RTFNet: all nine classes, unlabeled included; Acc is recall; precision as
//! well. One class without pixels makes the mean undefined; the variant counts it as 0.

use super::confusion::ConfusionMatrix;
use super::report::{Absent, Column, Convention, Report, precisions};

/// Means over all classes, undefined if one of them is.
pub(super) const MFNET: Convention = Convention {
    name: "mfnet",
    about: "means over all classes, undefined when one has no pixels; with precision",
    of: |matrix| report("mfnet", matrix, Absent::Undefined),
};

/// Undefined classes count as 0.
pub(super) const MFNET_ABSENT_AS_ZERO: Convention = Convention {
    name: "mfnet-absent-as-zero",
    about: "as mfnet, but a class without pixels counts as 0",
    of: |matrix| report("mfnet-absent-as-zero", matrix, Absent::Zero),
};

fn report(convention: &'static str, matrix: &ConfusionMatrix, absent: Absent) -> Report {
    let precision = Some(Column::new(precisions(matrix), absent));
    Report { precision, ..Report::new(convention, matrix, absent) }
}
