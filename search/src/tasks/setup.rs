//! Where a task begins.

use caf_geometry::Size;
use caf_image::IrRange;
use tch::{Device, Kind};
use toml::Table;

/// What a network is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To drive a search: every batch makes one step.
    Search,
    /// To be trained and used.
    Training,
}

/// Where and how a task begins.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// Its settings.
    pub settings: &'a Table,
    /// What for.
    pub purpose: Purpose,
    /// Class names by number.
    pub classes: &'a [String],
    /// Width and height of the training images.
    pub size: Size,
    /// Images in a batch.
    pub batch: usize,
    /// Batches in an epoch.
    pub batches: usize,
    /// Batches in all.
    pub end: usize,
    /// Seed of fresh values.
    pub seed: u64,
    /// How the infrared that its images are made of becomes [0, 1]; none when they are of visible images or of files.
    pub ir_range: Option<IrRange>,
    /// Where it computes.
    pub device: Device,
    /// Element type of its floats.
    pub float: Kind,
}
