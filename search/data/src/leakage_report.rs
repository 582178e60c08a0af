//! The result of a comparison, for people and for machines.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Two pairs that look alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NearPicture {
    /// The training pair.
    pub train: String,
    /// The validation pair.
    pub val: String,
    /// Correlation of the thumbnails, the smaller one of the two cameras.
    pub correlation: f32,
    /// Whether the thumbnails are equal: the same pictures.
    pub identical: bool,
}

/// Two names with nearly the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// The training pair.
    pub train: String,
    /// The validation pair.
    pub val: String,
    /// Difference of the numbers, at least 1.
    pub distance: u64,
}

/// How far training and validation are apart. Each validation pair appears at most once in each list.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LeakageReport {
    /// Pairs in training.
    pub train_pairs: usize,
    /// Pairs in validation.
    pub val_pairs: usize,
    /// Names in both.
    pub shared: Vec<String>,
    /// The same pictures under two names.
    pub identical: Vec<NearPicture>,
    /// Pictures that look alike, most alike first.
    pub near_pictures: Vec<NearPicture>,
    /// Neighbouring numbers, nearest first.
    pub neighbours: Vec<Neighbour>,
}

impl LeakageReport {
    /// Whether a pair is in both: a shared name or the same pictures.
    #[must_use]
    pub fn overlaps(&self) -> bool {
        !self.shared.is_empty() || !self.identical.is_empty()
    }
}

/// Lines of each kind in the text.
const SHOWN: usize = 10;

impl fmt::Display for LeakageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "train {} pairs, val {} pairs", self.train_pairs, self.val_pairs)?;
        let of = self.val_pairs;
        list(f, "names in both", of, &self.shared, |f, name| write!(f, "{name}"))?;
        list(f, "same pictures under two names", of, &self.identical, |f, n| write!(f, "{} = {}", n.val, n.train))?;
        list(f, "pictures that look alike", of, &self.near_pictures, |f, n| {
            write!(f, "{} ~ {} (correlation {:.4})", n.val, n.train, n.correlation)
        })?;
        list(f, "neighbouring numbers", of, &self.neighbours, |f, n| {
            write!(f, "{} - {} ({} apart)", n.val, n.train, n.distance)
        })
    }
}

fn list<T>(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    of: usize,
    items: &[T],
    show: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    writeln!(f, "{what}: {} of {of} validation pairs", items.len())?;
    for item in items.iter().take(SHOWN) {
        write!(f, "  ")?;
        show(f, item)?;
        writeln!(f)?;
    }
    match items.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => writeln!(f, "  … and {more} more"),
        _ => Ok(()),
    }
}
