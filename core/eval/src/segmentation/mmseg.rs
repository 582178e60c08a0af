//! The convention of mmseg, and of most published tables. Means are over the classes that have pixels; the variant counts the
//! others as 0 (`nan_to_num = 0`).

use super::report::{Absent, Convention, Report};

/// Means over the classes that are defined.
pub(super) const MMSEG: Convention = Convention {
    name: "mmseg",
    about: "means over the classes that have pixels",
    of: |matrix| Report::new("mmseg", matrix, Absent::LeftOut),
};

/// Undefined classes count as 0.
pub(super) const MMSEG_ABSENT_AS_ZERO: Convention = Convention {
    name: "mmseg-absent-as-zero",
    about: "as mmseg, but a class without pixels counts as 0",
    of: |matrix| Report::new("mmseg-absent-as-zero", matrix, Absent::Zero),
};
