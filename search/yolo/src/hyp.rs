//! Settings of the loss.

use crate::error::YoloError;
use serde::{Deserialize, Serialize};

/// Settings of the loss, before they are scaled to a network. The defaults are those the original trains small networks from
/// scratch with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hyp {
    /// Gain of the box loss.
    pub box_gain: f64,
    /// Gain of the class loss, for 80 classes.
    pub cls_gain: f64,
    /// Gain of the objectness loss, for 640 pixels.
    pub obj_gain: f64,
    /// Weight of positive examples in the class loss.
    pub cls_pw: f64,
    /// Weight of positive examples in the objectness loss.
    pub obj_pw: f64,
    /// Focal exponent of both cross-entropies; 0 is off.
    pub fl_gamma: f64,
    /// An anchor fits an object when no side is this many times longer or shorter.
    pub anchor_t: f64,
    /// Share of a class target given to the other side: positives 1 − ε/2, negatives ε/2.
    pub label_smoothing: f64,
    /// Share of the CIoU in the objectness target, the rest is 1.
    pub gr: f64,
    /// Whether the weights of the levels follow their objectness losses.
    pub autobalance: bool,
}

impl Default for Hyp {
    fn default() -> Self {
        Hyp {
            box_gain: 0.05,
            cls_gain: 0.5,
            obj_gain: 1.0,
            cls_pw: 1.0,
            obj_pw: 1.0,
            fl_gamma: 0.0,
            anchor_t: 4.0,
            label_smoothing: 0.0,
            gr: 1.0,
            autobalance: false,
        }
    }
}

/// Gains scaled to one network and one image size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gains {
    /// Of the box loss.
    pub boxes: f64,
    /// Of the objectness loss.
    pub objectness: f64,
    /// Of the class loss.
    pub classes: f64,
}

impl Hyp {
    /// Gains for a network with `classes` classes and `levels` levels on images of `image_size_px` (the longer side): box · 3/levels,
    /// class · classes/80 · 3/levels, objectness · (size/640)² · 3/levels.
    pub fn gains(&self, classes: usize, levels: usize, image_size_px: usize) -> Gains {
        let per_level = 3.0 / levels.max(1) as f64;
        let size = image_size_px as f64 / 640.0;
        Gains {
            boxes: self.box_gain * per_level,
            objectness: self.obj_gain * (size * size) * per_level,
            classes: self.cls_gain * (classes as f64 / 80.0) * per_level,
        }
    }

    /// Refuses settings out of range.
    ///
    /// # Errors
    /// [`YoloError::Setting`] with the name and the value.
    pub fn check(&self) -> Result<(), YoloError> {
        let at_least_zero = |v: f64| v.is_finite() && v >= 0.0;
        let share = |v: f64| (0.0..=1.0).contains(&v);
        let rules: [(&'static str, f64, bool, &'static str); 9] = [
            ("box_gain", self.box_gain, at_least_zero(self.box_gain), "a number ≥ 0"),
            ("cls_gain", self.cls_gain, at_least_zero(self.cls_gain), "a number ≥ 0"),
            ("obj_gain", self.obj_gain, at_least_zero(self.obj_gain), "a number ≥ 0"),
            ("cls_pw", self.cls_pw, at_least_zero(self.cls_pw), "a number ≥ 0"),
            ("obj_pw", self.obj_pw, at_least_zero(self.obj_pw), "a number ≥ 0"),
            ("fl_gamma", self.fl_gamma, at_least_zero(self.fl_gamma), "a number ≥ 0"),
            ("anchor_t", self.anchor_t, self.anchor_t.is_finite() && self.anchor_t > 1.0, "a number > 1"),
            ("label_smoothing", self.label_smoothing, share(self.label_smoothing), "0 to 1"),
            ("gr", self.gr, share(self.gr), "0 to 1"),
        ];
        match rules.into_iter().find(|(_, _, good, _)| !good) {
            Some((name, found, _, expected)) => Err(YoloError::Setting { name, expected, found }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_follow_classes_levels_and_size() {
        let gains = Hyp::default().gains(3, 3, 128);
        assert!((gains.boxes - 0.05).abs() < 1e-15);
        assert!((gains.classes - 0.01875).abs() < 1e-15);
        assert!((gains.objectness - 0.04).abs() < 1e-15);
    }

    #[test]
    fn a_setting_out_of_range_is_named() {
        let error = Hyp { label_smoothing: 1.5, ..Hyp::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "setting label_smoothing: expected 0 to 1, found 1.5");
        let error = Hyp { anchor_t: f64::NAN, ..Hyp::default() }.check().unwrap_err();
        assert!(error.to_string().starts_with("setting anchor_t"), "{error}");
        Hyp::default().check().unwrap();
    }
}
