//! Splits that keep scenes apart: neighbouring frames of a recording are nearly the same picture, so a random split
//! would measure memory.

mod scenes;

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::error::DataError;
pub use crate::name::NumberedName;
pub use scenes::Scenes;

/// How to split.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitSettings {
    /// Fraction of the names that should go to validation, in (0,1); reached as closely as whole scenes allow.
    pub val_fraction: f64,
    /// Seed of the draw.
    pub seed: u64,
    /// Names whose numbers differ by at most this belong together.
    pub neighbour_gap: u64,
    /// Longer runs of neighbours are cut into scenes of about this many names, at least 1. Where a cut separates
    /// training from validation, training names within `neighbour_gap` of a validation name are left out of both.
    pub longest_scene: usize,
}

impl Default for SplitSettings {
    /// A third to validation, seed 0, ten numbers apart, 100 names a scene.
    fn default() -> Self {
        Self { val_fraction: 1.0 / 3.0, seed: 0, neighbour_gap: 10, longest_scene: 100 }
    }
}

/// Names of two disjoint sets of scenes. Each list is in the order of the names given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Names for training.
    pub train: Vec<String>,
    /// Names for validation.
    pub val: Vec<String>,
    /// Names in neither, for they are too close to validation.
    pub left_out: Vec<String>,
    /// Scenes that were drawn from.
    pub scenes: usize,
}

/// Draws whole scenes for validation until its share is reached. The same names, settings and scenes give the same
/// split on every machine.
///
/// # Errors
/// [`DataError::Setting`] for a fraction outside (0,1); [`DataError::Split`] when there are fewer than two scenes or
/// nothing would be left for training.
pub fn split(scenes: &Scenes, settings: &SplitSettings) -> Result<Split, DataError> {
    if !(settings.val_fraction > 0.0 && settings.val_fraction < 1.0) {
        return Err(DataError::Setting {
            name: "val_fraction",
            expected: "above 0, below 1".into(),
            found: settings.val_fraction.to_string(),
        });
    }
    let impossible =
        |reason: &str| DataError::Split { names: scenes.names().len(), scenes: scenes.count(), reason: reason.into() };
    if scenes.count() < 2 {
        return Err(impossible("two scenes are needed, one for each part"));
    }
    let in_val = draw(scenes, settings);
    let part = |wanted: bool| -> Vec<&str> {
        let members = scenes.names().iter().zip(scenes.scene_of());
        members.filter(|(_, scene)| in_val.get(**scene) == Some(&wanted)).map(|(name, _)| name.as_str()).collect()
    };
    let val = part(true);
    let (left_out, train): (Vec<&str>, Vec<&str>) = {
        let near = scenes::Near::new(&val, settings.neighbour_gap);
        part(false).into_iter().partition(|name| near.contains(name))
    };
    if train.is_empty() {
        return Err(impossible("every training name is a neighbour of a validation name"));
    }
    let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
    Ok(Split { train: owned(train), val: owned(val), left_out: owned(left_out), scenes: scenes.count() })
}

/// Which scenes go to validation: in random order, each that does not lead past the target; at least one.
fn draw(scenes: &Scenes, settings: &SplitSettings) -> Vec<bool> {
    let sizes = scenes.sizes();
    let target = (settings.val_fraction * scenes.names().len() as f64).round() as usize;
    let mut order: Vec<(usize, usize)> = sizes.iter().copied().enumerate().collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(settings.seed));
    let mut in_val = vec![false; sizes.len()];
    let mut taken = 0;
    for &(scene, size) in &order {
        if taken + size <= target
            && let Some(slot) = in_val.get_mut(scene)
        {
            *slot = true;
            taken += size;
        }
    }
    if taken == 0
        && let Some(slot) = order.iter().min_by_key(|(_, size)| *size).and_then(|&(scene, _)| in_val.get_mut(scene))
    {
        *slot = true;
    }
    in_val
}

#[cfg(test)]
mod tests;
