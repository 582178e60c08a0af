//! What a training writes for people: one line an epoch.

use super::error::TaskError;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::Path;

/// First line of the log.
pub const HEADER: &str =
    "epoch,box_loss,objectness_loss,class_loss,learning_rate,precision,recall,map50,map50_95,fitness,seconds";

/// One epoch. Losses are means over its batches, gains included; the rest is of the validation images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRow {
    /// From 1.
    pub epoch: usize,
    /// Box loss.
    pub boxes: f64,
    /// Objectness loss.
    pub objectness: f64,
    /// Class loss.
    pub classes: f64,
    /// Learning rate of the kernels in the last iteration.
    pub rate: f64,
    /// Results, when the epoch was validated.
    pub scores: Option<Scores>,
    /// Time of the epoch, validation included; since the last start when the training was resumed within it.
    pub seconds: f64,
}

/// Results of a validation, means over the classes that have labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Precision at the confidence with the best mean F1.
    pub precision: f64,
    /// Recall there.
    pub recall: f64,
    /// Average precision at IoU 0.5.
    pub map50: f64,
    /// Mean of the average precisions at IoU 0.5, 0.55 … 0.95.
    pub map50_95: f64,
}

impl Scores {
    /// What the best epoch is chosen by: 0.1 mAP50 + 0.9 mAP50-95.
    pub fn fitness(&self) -> f64 {
        0.1 * self.map50 + 0.9 * self.map50_95
    }
}

/// The whole log.
pub fn csv(rows: &[EpochRow]) -> String {
    let mut text = format!("{HEADER}\n");
    for r in rows {
        // Writing to a String cannot fail.
        let _ = write!(text, "{},{:.6},{:.6},{:.6},{:.8}", r.epoch, r.boxes, r.objectness, r.classes, r.rate);
        let _ = match r.scores {
            Some(s) => {
                write!(text, ",{:.5},{:.5},{:.5},{:.5},{:.5}", s.precision, s.recall, s.map50, s.map50_95, s.fitness())
            }
            None => write!(text, ",,,,,"),
        };
        let _ = writeln!(text, ",{:.2}", r.seconds);
    }
    text
}

/// Writes the log, aside first and then renamed.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, rows: &[EpochRow]) -> Result<(), TaskError> {
    Ok(caf_data::image_file::write_bytes(path, csv(rows).as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_the_columns_of_the_header() {
        let row = EpochRow {
            epoch: 1,
            boxes: 0.1,
            objectness: 0.2,
            classes: 0.0,
            rate: 0.01,
            scores: Some(Scores { precision: 0.5, recall: 0.25, map50: 0.4, map50_95: 0.2 }),
            seconds: 3.0,
        };
        let text = csv(&[row, EpochRow { epoch: 2, scores: None, ..row }]);
        let columns: Vec<usize> = text.lines().map(|l| l.split(',').count()).collect();
        assert_eq!(columns, [11, 11, 11]);
        assert!(text.contains("0.40000,0.20000,0.22000,3.00"), "{text}");
    }
}
