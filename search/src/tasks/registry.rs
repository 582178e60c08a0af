//! All tasks.

use super::detection::Detection;
use super::segmentation::Segmentation;
use super::task::TaskKind;

/// All tasks. The first is the default.
pub const TASKS: &[&dyn TaskKind] = &[&Detection, &Segmentation];
