//! Everything in which a file and a network differ.

use crate::dtype::DType;
use std::fmt;

/// A tensor of another shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshapen {
    /// Its name.
    pub name: String,
    /// The network's shape.
    pub expected: Vec<usize>,
    /// The file's shape.
    pub found: Vec<usize>,
}

/// A tensor of a wrong element type: floats where the network counts, or integers where it computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untyped {
    /// Its name.
    pub name: String,
    /// What the network needs.
    pub expected: Kind,
    /// The file's element type.
    pub found: DType,
}

/// Floats or integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// F16, BF16, F32 or F64.
    Floats,
    /// Any integer type.
    Integers,
}

/// A tensor with NaN or infinite elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NonFinite {
    /// Its name.
    pub name: String,
    /// How many of its elements.
    pub count: usize,
    /// Row-major position of the first.
    pub first: usize,
}

/// A tensor whose values the network fixes, with other values.
#[derive(Clone, Debug, PartialEq)]
pub struct Differing {
    /// Its name.
    pub name: String,
    /// Row-major position of the first that differs.
    pub first: usize,
    /// The network's value there.
    pub expected: f32,
    /// The file's value there.
    pub found: f32,
}

/// A tensor that the network has and the file lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// A file that does not fit a network; at least one of its lists is not empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch(Box<Differences>);

impl Mismatch {
    /// Of lists of which at least one is not empty.
    pub(crate) fn of(differences: Differences) -> Self {
        Mismatch(Box::new(differences))
    }
}

impl std::ops::Deref for Mismatch {
    type Target = Differences;

    fn deref(&self) -> &Differences {
        &self.0
    }
}

impl std::error::Error for Mismatch {}

/// All differences between a file and a network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Differences {
    /// In the network, not in the file; in the network's order.
    pub missing: Vec<Wanted>,
    /// In the file, not in the network; in the file's order.
    pub extra: Vec<String>,
    /// In both, with different shapes.
    pub misshapen: Vec<Misshapen>,
    /// In both, with an element type that cannot serve.
    pub untyped: Vec<Untyped>,
    /// In both, with NaN or infinite elements.
    pub non_finite: Vec<NonFinite>,
    /// In both, but the network fixes other values (anchors).
    pub differing: Vec<Differing>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the tensors do not fit the network:")?;
        for Wanted { name, shape } in &self.missing {
            write!(f, "\n  missing   {name} {shape:?}")?;
        }
        for name in &self.extra {
            write!(f, "\n  extra     {name}")?;
        }
        for Misshapen { name, expected, found } in &self.misshapen {
            write!(f, "\n  misshapen {name}: expected {expected:?}, found {found:?}")?;
        }
        for Untyped { name, expected, found } in &self.untyped {
            let expected = match expected {
                Kind::Floats => "floats",
                Kind::Integers => "integers",
            };
            write!(f, "\n  type      {name}: expected {expected}, found {found}")?;
        }
        for NonFinite { name, count, first } in &self.non_finite {
            write!(f, "\n  not finite {name}: {count} element(s), the first at {first}")?;
        }
        for Differing { name, first, expected, found } in &self.differing {
            write!(f, "\n  differs   {name}: the network fixes {expected} at {first}, found {found}")?;
        }
        Ok(())
    }
}
