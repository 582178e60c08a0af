//! Segmentation: class maps against labelled class maps.
//!
//! [`ConfusionMatrix`] counts the pixels of all images of a data set; a [`Convention`] makes [`Report`]s of the counts. The mean of
//! IoUs of single images is another number, which nobody publishes.
//!
//! A convention is one file here and one line in [`CONVENTIONS`]. They differ in what an absent class counts: on data where every
//! class is labelled and predicted, `mmseg` and `mfnet` agree.

mod confusion;
mod mfnet;
mod mfnet_first_port;
mod mmseg;
mod report;

pub use caf_contract::IGNORED_LABEL;
pub use confusion::ConfusionMatrix;
pub use report::{Column, Convention, Report, percent};

/// All conventions; the first is the usual one.
pub const CONVENTIONS: &[Convention] = &[
    mmseg::MMSEG,
    mmseg::MMSEG_ABSENT_AS_ZERO,
    mfnet::MFNET,
    mfnet::MFNET_ABSENT_AS_ZERO,
    mfnet_first_port::MFNET_FIRST_PORT,
];
