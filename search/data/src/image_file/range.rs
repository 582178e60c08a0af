//! How 16-bit infrared values become \[0,1\].

use serde::{Deserialize, Serialize};

use crate::error::DataError;

/// The mapping of 16-bit infrared values to \[0,1\]. 8-bit pictures are always divided by 255.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum IrRange {
    /// 0 … 65535 becomes 0 … 1: the same scale for every picture.
    #[default]
    Full,
    /// The picture's own smallest and largest value become 0 and 1.
    MinMax,
    /// Two percentiles of the picture become 0 and 1, values outside are cut; robust against dead pixels.
    Percentile {
        /// Lower percentile, in \[0,100), below `high`.
        low: f32,
        /// Upper percentile, in (0,100\].
        high: f32,
    },
}

impl IrRange {
    /// Checks the percentiles.
    ///
    /// # Errors
    /// [`DataError::Setting`] unless 0 ≤ low < high ≤ 100.
    pub fn validate(self) -> Result<(), DataError> {
        match self {
            Self::Percentile { low, high } if !(0.0 <= low && low < high && high <= 100.0) => Err(DataError::Setting {
                name: "ir_range.percentile",
                expected: "0 <= low < high <= 100".into(),
                found: format!("low {low}, high {high}"),
            }),
            _ => Ok(()),
        }
    }

    /// Maps a picture. A picture without any spread becomes 0 everywhere, except with [`IrRange::Full`].
    pub(super) fn map(self, values: &[u16]) -> Vec<f32> {
        let (low, high) = match self {
            Self::Full => (0.0, 65535.0),
            Self::MinMax => {
                let low = values.iter().min().copied().unwrap_or(0);
                let high = values.iter().max().copied().unwrap_or(0);
                (f32::from(low), f32::from(high))
            }
            Self::Percentile { low, high } => {
                let mut sorted = values.to_vec();
                sorted.sort_unstable();
                (percentile(&sorted, low), percentile(&sorted, high))
            }
        };
        if high <= low {
            return vec![0.0; values.len()];
        }
        values.iter().map(|&v| ((f32::from(v) - low) / (high - low)).clamp(0.0, 1.0)).collect()
    }
}

/// Linear interpolation between the two nearest ranks; 0 is the smallest value, 100 the largest.
fn percentile(sorted: &[u16], percent: f32) -> f32 {
    let rank = f64::from(percent) / 100.0 * sorted.len().saturating_sub(1) as f64;
    let below = rank.floor() as usize;
    let at = |i: usize| f64::from(sorted.get(i).or(sorted.last()).copied().unwrap_or(0));
    (at(below) + (at(below + 1) - at(below)) * rank.fract()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_min_max_and_percentile() {
        let values: Vec<u16> = (0..=100).map(|i| 1000 + 10 * i).collect();
        assert_eq!(IrRange::Full.map(&[0, 65535, 13107]), [0.0, 1.0, 13107.0 / 65535.0]);
        let min_max = IrRange::MinMax.map(&values);
        assert_eq!((min_max[0], min_max[50], min_max[100]), (0.0, 0.5, 1.0));
        let cut = IrRange::Percentile { low: 10.0, high: 90.0 }.map(&values);
        assert_eq!((cut[5], cut[10], cut[50], cut[90], cut[99]), (0.0, 0.0, 0.5, 1.0, 1.0));
        assert_eq!(IrRange::MinMax.map(&[7; 3]), [0.0; 3]);
    }

    #[test]
    fn percentiles_out_of_order_are_refused() {
        for (low, high) in [(50.0, 50.0), (-1.0, 99.0), (1.0, 101.0), (f32::NAN, 99.0)] {
            let error = IrRange::Percentile { low, high }.validate();
            assert!(matches!(error, Err(DataError::Setting { .. })), "{low} {high}");
        }
        assert!(IrRange::Percentile { low: 1.0, high: 99.0 }.validate().is_ok());
    }
}
