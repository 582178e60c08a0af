//! The convention of the first PyTorch port of MFNet, whose numbers are in early papers and cannot be compared with later ones:
//! its accuracy divides by the predicted pixels (that is precision), class 0 takes no part in the unions and enters the mean IoU
//! as 0, and the accuracy over all pixels is over those not labelled class 0.

use super::confusion::ConfusionMatrix;
use super::report::{Absent, Column, Convention, Report, precisions, ratio};

/// As the port prints it.
pub(super) const MFNET_FIRST_PORT: Convention = Convention {
    name: "mfnet-first-port",
    about: "first PyTorch port of MFNet: accuracy is precision, class 0 counts as 0",
    of: report,
};

fn report(matrix: &ConfusionMatrix) -> Report {
    let classes = 1..matrix.classes();
    let labelled = |c: usize| matrix.labelled(c) - matrix.count(c, 0);
    let predicted = |c: usize| matrix.predicted(c) - matrix.count(0, c);
    let iou = |c: usize| ratio(matrix.hits(c), labelled(c) + predicted(c) - matrix.hits(c));
    let or_zero = |v: Option<f64>| Some(v.unwrap_or(0.0));
    let ious = (0..matrix.classes()).map(|c| or_zero((c > 0).then(|| iou(c)).flatten()));
    let found: u64 = classes.clone().map(|c| matrix.hits(c)).sum();
    Report {
        convention: "mfnet-first-port",
        iou: Column::new(ious.collect(), Absent::Zero),
        accuracy: Column::new(precisions(matrix).into_iter().map(or_zero).collect(), Absent::Zero),
        precision: None,
        all_accuracy: ratio(found, classes.map(|c| matrix.labelled(c)).sum()),
    }
}
