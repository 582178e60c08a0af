//! How infrared counts become \[0,1\]: a property of the network, carried from its training through the weight file and the
//! contract to the vehicle.
//!
//! Cameras deliver 14 or 16 bits of which one scene uses a small part, so that somebody chooses which counts are black and
//! which white. The network learns from images made by that choice and must be shown images made by the same one. Images of
//! 8 bits were mapped by whoever wrote them: they are always divided by 255, and no range applies.

use crate::error::ContractError;
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

/// Values that 16 bits can take.
const LEVELS: usize = 1 << 16;

/// An image that uses less of the range than this share is nearly black, white or gray to the network.
pub const LEAST_USED_SHARE: f32 = 0.05;

/// Share of an image's values that is left out at either end when its spread is measured: dead and hot pixels.
const OUTLIERS_PERCENT: f32 = 0.1;

/// Which infrared values become 0 and 1; what lies between is linear, what lies outside is cut.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum IrRange {
    /// All that 16 bits hold, 0 to 65535.
    #[default]
    Full,
    /// A fixed window, the same for every image: what a radiometric camera should have.
    Window {
        /// Becomes 0; in the unit of the file, which is counts, kelvin or degrees Celsius.
        min: f32,
        /// Becomes 1; above `min`.
        max: f32,
    },
    /// The smallest and largest value of each image.
    MinMax,
    /// Two percentiles of each image: robust against dead pixels.
    Percentile {
        /// Becomes 0; in \[0,100), below `high`.
        low: f32,
        /// Becomes 1; in (0,100\].
        high: f32,
    },
}

/// Memory that is used again from image to image.
#[derive(Debug, Clone, Default)]
pub struct IrScratch {
    /// How often each of the 65536 values occurs; empty before the first use.
    counts: Vec<u32>,
    /// Finite values of a float image.
    floats: Vec<f32>,
}

/// The values that become 0 and 1 in one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IrLimits {
    /// Becomes 0.
    pub low: f32,
    /// Becomes 1; not above `low` for an image without any spread, which becomes 0 everywhere.
    pub high: f32,
}

/// What a mapped value is stored as.
pub trait IrSample: Copy {
    /// From a value in \[0,1\].
    fn from_unit(value: f32) -> Self;
}

impl IrSample for f32 {
    fn from_unit(value: f32) -> Self {
        value
    }
}

impl IrSample for u8 {
    /// Times 255, rounded. The full range has no ties: `v · 255 / 65535 = v / 257`.
    fn from_unit(value: f32) -> Self {
        (value * 255.0).round() as u8
    }
}

impl IrLimits {
    /// A value in \[0,1\]. What is not a number becomes 0.
    #[must_use]
    pub fn unit(self, value: f32) -> f32 {
        let extent = self.high - self.low;
        // Also when an end is not a number.
        if extent > 0.0 && !value.is_nan() { ((value - self.low) / extent).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The share of these limits that values between `least` and `greatest` use, in \[0,1\].
    fn used_by(self, least: f32, greatest: f32) -> f32 {
        let inside = greatest.min(self.high) - least.max(self.low);
        if self.high > self.low { (inside / (self.high - self.low)).clamp(0.0, 1.0) } else { 0.0 }
    }
}

impl IrRange {
    /// Checks the numbers.
    ///
    /// # Errors
    /// Unless a window's ends are finite with min < max, and percentiles obey 0 ≤ low < high ≤ 100.
    pub fn validate(self) -> Result<(), ContractError> {
        self.fault().map_or(Ok(()), |(expected, found)| Err(ContractError::IrRange { expected, found }))
    }

    /// What is wrong with the numbers: expectation and finding.
    pub(crate) fn fault(self) -> Option<(&'static str, String)> {
        match self {
            Self::Percentile { low, high } if !(0.0 <= low && low < high && high <= 100.0) => {
                Some(("percentiles with 0 <= low < high <= 100", self.to_string()))
            }
            Self::Window { min, max } if !(min.is_finite() && max.is_finite() && min < max) => {
                Some(("a window of two finite numbers, min below max", self.to_string()))
            }
            _ => None,
        }
    }

    /// The limits where they are the same for every 16-bit image.
    #[must_use]
    pub fn fixed(self) -> Option<IrLimits> {
        match self {
            Self::Full => Some(IrLimits { low: 0.0, high: (LEVELS - 1) as f32 }),
            Self::Window { min, max } => Some(IrLimits { low: min, high: max }),
            Self::MinMax | Self::Percentile { .. } => None,
        }
    }

    /// The limits of an image of 16-bit values. Looks at them only where the range depends on them, and allocates nothing once
    /// `scratch` was used.
    #[must_use]
    pub fn limits_u16(self, values: impl IntoIterator<Item = u16>, scratch: &mut IrScratch) -> IrLimits {
        if let Some(fixed) = self.fixed() {
            return fixed;
        }
        let (low, high) = self.percentiles();
        let count = scratch.count(values);
        IrLimits { low: scratch.percentile_u16(count, low), high: scratch.percentile_u16(count, high) }
    }

    /// Maps an image of 16-bit values; `dst` takes as many as both have. Allocates nothing once `scratch` was used.
    pub fn map_u16<T: IrSample>(self, src: &[u16], dst: &mut [T], scratch: &mut IrScratch) {
        let limits = self.limits_u16(src.iter().copied(), scratch);
        for (out, v) in dst.iter_mut().zip(src) {
            *out = T::from_unit(limits.unit(f32::from(*v)));
        }
    }

    /// The limits of an image of floats: kelvin, degrees Celsius or whatever its writer chose. Values that are not finite do not
    /// count. `None` with [`IrRange::Full`]: floats have no full range.
    #[must_use]
    pub fn limits_f32(self, values: &[f32], scratch: &mut IrScratch) -> Option<IrLimits> {
        match self {
            Self::Full => None,
            Self::Window { min, max } => Some(IrLimits { low: min, high: max }),
            Self::MinMax | Self::Percentile { .. } => {
                let (low, high) = self.percentiles();
                scratch.sort(values);
                Some(IrLimits { low: scratch.percentile_f32(low), high: scratch.percentile_f32(high) })
            }
        }
    }

    /// The share of a fixed range that an image of 16-bit values uses, in \[0,1\], leaving out the outermost 0.1 % at either end;
    /// `None` where the range follows the image, and for an image without values. Below [`LEAST_USED_SHARE`] a warning is due.
    #[must_use]
    pub fn used_share_u16(
        self,
        values: impl IntoIterator<Item = impl Borrow<u16>>,
        scratch: &mut IrScratch,
    ) -> Option<f32> {
        let limits = self.fixed()?;
        let count = scratch.count(values.into_iter().map(|v| *v.borrow()));
        if count == 0 {
            return None;
        }
        let [low, high] = [OUTLIERS_PERCENT, 100.0 - OUTLIERS_PERCENT].map(|p| scratch.percentile_u16(count, p));
        Some(limits.used_by(low, high))
    }

    /// As [`IrRange::used_share_u16`], of a float image.
    #[must_use]
    pub fn used_share_f32(self, values: &[f32], scratch: &mut IrScratch) -> Option<f32> {
        let Self::Window { min, max } = self else { return None };
        scratch.sort(values);
        if scratch.floats.is_empty() {
            return None;
        }
        let [low, high] = [OUTLIERS_PERCENT, 100.0 - OUTLIERS_PERCENT].map(|p| scratch.percentile_f32(p));
        Some(IrLimits { low: min, high: max }.used_by(low, high))
    }

    fn percentiles(self) -> (f32, f32) {
        match self {
            Self::Percentile { low, high } => (low, high),
            Self::Full | Self::Window { .. } | Self::MinMax => (0.0, 100.0),
        }
    }
}

impl IrScratch {
    /// Counts the values; returns how many there are.
    fn count(&mut self, values: impl IntoIterator<Item = u16>) -> u64 {
        self.counts.clear();
        self.counts.resize(LEVELS, 0);
        let mut count = 0;
        for value in values {
            if let Some(slot) = self.counts.get_mut(usize::from(value)) {
                *slot += 1;
                count += 1;
            }
        }
        count
    }

    /// The value of a percentile, linear between the two nearest ranks; 0 is the smallest value, 100 the largest.
    fn percentile_u16(&self, count: u64, percent: f32) -> f32 {
        let rank = f64::from(percent) / 100.0 * count.saturating_sub(1) as f64;
        let first = rank.floor() as u64;
        // The value at rank `first`, and the next greater one that occurs.
        let (mut seen, mut below) = (0, None);
        for (value, &n) in self.counts.iter().enumerate().filter(|(_, n)| **n > 0) {
            seen += u64::from(n);
            match below {
                None if seen > first + 1 => return value as f32,
                None if seen > first => below = Some(value as f64),
                None => {}
                Some(below) => return (below + (value as f64 - below) * rank.fract()) as f32,
            }
        }
        below.unwrap_or_default() as f32
    }

    fn sort(&mut self, values: &[f32]) {
        self.floats.clear();
        self.floats.extend(values.iter().filter(|v| v.is_finite()));
        self.floats.sort_unstable_by(f32::total_cmp);
    }

    fn percentile_f32(&self, percent: f32) -> f32 {
        let rank = f64::from(percent) / 100.0 * self.floats.len().saturating_sub(1) as f64;
        let at = |i: usize| self.floats.get(i).or(self.floats.last()).map_or(0.0, |v| f64::from(*v));
        let below = rank.floor() as usize;
        (at(below) + (at(below + 1) - at(below)) * rank.fract()) as f32
    }
}

/// As on a command line: `full`, `min_max`, `1,99` (percentiles), `7000..9000` (a window).
impl fmt::Display for IrRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::MinMax => f.write_str("min_max"),
            Self::Percentile { low, high } => write!(f, "{low},{high}"),
            Self::Window { min, max } => write!(f, "{min}..{max}"),
        }
    }
}

/// The inverse of its display.
impl FromStr for IrRange {
    type Err = ContractError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ContractError::IrRange {
            expected: "full, min_max, two percentiles such as 1,99, or a window such as 7000..9000",
            found: format!("`{text}`"),
        };
        let two = |(a, b): (&str, &str)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?));
        let range = match text.trim() {
            "full" => Self::Full,
            "min_max" => Self::MinMax,
            window if window.contains("..") => {
                let (min, max) = window.split_once("..").and_then(two).ok_or_else(wrong)?;
                Self::Window { min, max }
            }
            percentiles => {
                let (low, high) = percentiles.split_once(',').and_then(two).ok_or_else(wrong)?;
                Self::Percentile { low, high }
            }
        };
        range.validate()?;
        Ok(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(range: IrRange, values: &[u16]) -> Vec<f32> {
        let mut out = vec![-1.0; values.len()];
        range.map_u16(values, &mut out, &mut IrScratch::default());
        out
    }

    #[test]
    fn every_range_maps_its_ends_to_0_and_1() {
        let values: Vec<u16> = (0..=100).map(|i| 1000 + 10 * i).collect();
        assert_eq!(mapped(IrRange::Full, &[0, 65535, 13107]), [0.0, 1.0, 13107.0 / 65535.0]);
        let min_max = mapped(IrRange::MinMax, &values);
        assert_eq!((min_max[0], min_max[50], min_max[100]), (0.0, 0.5, 1.0));
        let cut = mapped(IrRange::Percentile { low: 10.0, high: 90.0 }, &values);
        assert_eq!((cut[0], cut[10], cut[50], cut[90], cut[100]), (0.0, 0.0, 0.5, 1.0, 1.0));
        let window = mapped(IrRange::Window { min: 1200.0, max: 1600.0 }, &values);
        assert_eq!((window[0], window[20], window[40], window[60], window[100]), (0.0, 0.0, 0.5, 1.0, 1.0));
        for flat in [IrRange::MinMax, IrRange::Percentile { low: 1.0, high: 99.0 }] {
            assert_eq!(mapped(flat, &[7, 7, 7]), [0.0; 3]);
            assert!(mapped(flat, &[]).is_empty());
        }
    }

    #[test]
    fn percentiles_of_counts_are_those_of_the_sorted_values() {
        // Sorting is the definition; the histogram must give its bits.
        let mut state = 12345_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16
        };
        let mut scratch = IrScratch::default();
        for length in [1, 2, 3, 10, 999, 4096] {
            for spread in [1, 5, 300, 65536] {
                let values: Vec<u16> = (0..length).map(|_| (next() % spread) as u16).collect();
                let mut sorted = values.clone();
                sorted.sort_unstable();
                for (low, high) in [(0.0, 100.0), (0.1, 99.9), (1.0, 99.0), (12.5, 50.0), (33.3, 66.7)] {
                    let by_rank = |percent: f32| {
                        let rank = f64::from(percent) / 100.0 * (length - 1) as f64;
                        let at = |i: usize| f64::from(sorted[i.min(length as usize - 1)]);
                        let below = rank.floor() as usize;
                        (at(below) + (at(below + 1) - at(below)) * rank.fract()) as f32
                    };
                    let limits = IrRange::Percentile { low, high }.limits_u16(values.iter().copied(), &mut scratch);
                    assert_eq!(
                        (limits.low, limits.high),
                        (by_rank(low), by_rank(high)),
                        "{length} {spread} {low} {high}"
                    );
                    let floats: Vec<f32> = values.iter().map(|v| f32::from(*v)).collect();
                    assert_eq!(IrRange::Percentile { low, high }.limits_f32(&floats, &mut scratch), Some(limits));
                }
            }
        }
    }

    #[test]
    fn bytes_of_the_full_range_are_the_exact_quotients() {
        let values: Vec<u16> = (0..=u16::MAX).collect();
        let mut bytes = vec![0_u8; values.len()];
        IrRange::Full.map_u16(&values, &mut bytes, &mut IrScratch::default());
        for (v, byte) in values.iter().zip(bytes) {
            assert_eq!(u32::from(byte), (u32::from(*v) + 128) / 257, "{v}");
        }
    }

    #[test]
    fn floats_need_a_stated_range_and_bad_pixels_do_not_count() {
        let kelvin = [280.0, f32::NAN, 300.0, f32::INFINITY, 320.0];
        let mut scratch = IrScratch::default();
        assert_eq!(IrRange::Full.limits_f32(&kelvin, &mut scratch), None);
        let limits = IrRange::MinMax.limits_f32(&kelvin, &mut scratch).unwrap();
        assert_eq!(limits, IrLimits { low: 280.0, high: 320.0 });
        assert_eq!(kelvin.map(|v| limits.unit(v)), [0.0, 0.0, 0.5, 1.0, 1.0]);
        let window = IrRange::Window { min: -40.0, max: 360.0 };
        assert_eq!(window.limits_f32(&kelvin, &mut scratch).unwrap().unit(60.0), 0.25);
        assert!((window.used_share_f32(&kelvin, &mut scratch).unwrap() - 0.1).abs() < 1e-3);
        assert_eq!(window.used_share_f32(&[f32::NAN], &mut scratch), None);
    }

    #[test]
    fn a_camera_of_14_bits_uses_little_of_the_full_range_and_a_dead_pixel_hides_nothing() {
        let mut values: Vec<u16> = (0..5000).map(|i| 7300 + (i % 1021)).collect();
        values[17] = 0;
        values[4000] = 65535;
        let mut scratch = IrScratch::default();
        let full = IrRange::Full.used_share_u16(&values, &mut scratch).unwrap();
        assert!((full - 1020.0 / 65535.0).abs() < 1e-4 && full < LEAST_USED_SHARE, "{full}");
        let window = IrRange::Window { min: 7000.0, max: 9000.0 };
        assert!((window.used_share_u16(&values, &mut scratch).unwrap() - 0.51).abs() < 1e-3);
        let beside = IrRange::Window { min: 0.0, max: 1000.0 };
        assert_eq!(beside.used_share_u16(&values, &mut scratch), Some(0.0));
        assert_eq!(IrRange::MinMax.used_share_u16(&values, &mut scratch), None, "it follows the image");
    }

    #[test]
    fn ranges_survive_text_and_json() {
        let ranges = [
            (IrRange::Full, "full", r#""full""#),
            (IrRange::MinMax, "min_max", r#""min_max""#),
            (IrRange::Percentile { low: 1.0, high: 99.5 }, "1,99.5", r#"{"percentile":{"low":1.0,"high":99.5}}"#),
            (IrRange::Window { min: -40.0, max: 7320.5 }, "-40..7320.5", r#"{"window":{"min":-40.0,"max":7320.5}}"#),
        ];
        for (range, text, json) in ranges {
            assert_eq!((range.to_string().as_str(), text.parse::<IrRange>().unwrap()), (text, range));
            assert_eq!(serde_json::to_string(&range).unwrap(), json);
            assert_eq!(serde_json::from_str::<IrRange>(json).unwrap(), range);
        }
        assert_eq!(" 1 , 99 ".parse::<IrRange>().unwrap(), IrRange::Percentile { low: 1.0, high: 99.0 });
        for wrong in ["", "half", "1", "99,1", "1,x", "-1,99", "9..7", "7..7", "..9", "1..inf", "nan..9"] {
            assert!(wrong.parse::<IrRange>().is_err(), "{wrong}");
        }
    }
}
