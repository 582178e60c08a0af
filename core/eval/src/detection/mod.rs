//! Average precision of detections.
//!
//! Two rules of precision: [`yolo`] is what a YOLOv5 training reports, [`coco`] what the COCO benchmark reports. On the same detections
//! the first is the higher number (0.375 against 0.335 in the reference data), so a comparison must name its rule.
//!
//! # Ignore regions
//!
//! Regions of an image that are neither right nor wrong, for all classes. A detection that matches no label at an IoU
//! threshold and of whose own area at least [`IGNORE_COVERAGE`] lies in one region counts neither as hit nor as false
//! positive at that threshold. This is COCO's treatment of crowds (intersection over the detection's area) with one fixed
//! threshold.

pub mod coco;
pub mod confusion;
mod curves;
mod matching;
mod record;
mod rule;
pub mod yolo;

pub use curves::{average_precision, box_smooth, interpolate};
pub use matching::{IOU_THRESHOLDS, Outcome, iou_thresholds, match_image};
pub use record::{IGNORE_COVERAGE, ImageRecord, Label};
pub use rule::{Column, Findings, Measure, Rule};

/// All rules. A rule is one file here and one line in this list.
pub const RULES: &[Rule] = &[yolo::RULE, coco::RULE, confusion::RULE];
