//! What is put right in a file that other programs wrote, so that it fits its network.

use crate::cause::DuplicateName;
use crate::tensor::HostTensor;
use crate::weights::Weights;
use std::collections::HashSet;

/// What the wrappers of a training put before every name: data-parallel and compiled modules.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];
/// Wrappers inside each other that are removed.
const MAX_NESTED: usize = 4;

const MEAN: &str = "running_mean";
const VARIANCE: &str = "running_var";
const COUNTER: &str = "num_batches_tracked";

/// Removes wrappers' prefixes where every name has them (if `strip`), and fills in the counters of normalisations that files before
/// PyTorch 0.4.1 and some converters leave out; they steer no inference. Says both in `notes`.
pub(crate) fn tidy(mut weights: Weights, strip: bool, notes: &mut Vec<String>) -> Result<Weights, DuplicateName> {
    if strip {
        weights = without_wrappers(weights, notes)?;
    }
    with_counters(weights, notes)
}

fn without_wrappers(mut weights: Weights, notes: &mut Vec<String>) -> Result<Weights, DuplicateName> {
    for _ in 0..MAX_NESTED {
        let everywhere = |prefix: &&&str| !weights.is_empty() && weights.iter().all(|(n, _)| n.starts_with(**prefix));
        let Some(prefix) = WRAPPERS.iter().find(everywhere) else { break };
        notes.push(format!("removed `{prefix}` from the front of all {} names", weights.len()));
        let (entries, metadata) = weights.into_parts();
        weights = Weights::new();
        for (name, tensor) in entries {
            weights.add(name.strip_prefix(prefix).unwrap_or(&name), tensor)?;
        }
        metadata.into_iter().for_each(|(key, value)| weights.set_metadata(key, value));
    }
    Ok(weights)
}

/// What stands before the name of a variance: nothing, or a place in the network and a dot.
fn place_of_variance(name: &str) -> Option<&str> {
    name.strip_suffix(VARIANCE).filter(|place| place.is_empty() || place.ends_with('.'))
}

/// A normalisation is a mean and a variance of one place in the network.
fn with_counters(weights: Weights, notes: &mut Vec<String>) -> Result<Weights, DuplicateName> {
    let lacking: HashSet<String> = weights
        .iter()
        .filter_map(|(name, _)| place_of_variance(name))
        .filter(|place| weights.get(&format!("{place}{MEAN}")).is_some())
        .filter(|place| weights.get(&format!("{place}{COUNTER}")).is_none())
        .map(str::to_owned)
        .collect();
    if lacking.is_empty() {
        return Ok(weights);
    }
    notes.push(format!(
        "filled in {} missing counter(s) `num_batches_tracked` with 0, which inference does not use",
        lacking.len()
    ));
    let (entries, metadata) = weights.into_parts();
    let mut filled = Weights::new();
    for (name, tensor) in entries {
        let place = place_of_variance(&name).filter(|place| lacking.contains(*place)).map(str::to_owned);
        filled.add(name, tensor)?;
        if let (Some(place), Ok(zero)) = (place, HostTensor::from_i64(&[], &[0])) {
            filled.add(format!("{place}{COUNTER}"), zero)?;
        }
    }
    metadata.into_iter().for_each(|(key, value)| filled.set_metadata(key, value));
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(names: &[&str]) -> Weights {
        let mut weights = Weights::new();
        for name in names {
            weights.insert(*name, HostTensor::from_f32(&[1], &[1.0]).unwrap()).unwrap();
        }
        weights.set_metadata("kept", "yes");
        weights
    }

    fn tidied(names: &[&str], strip: bool) -> (Vec<String>, Vec<String>) {
        let mut notes = Vec::new();
        let got = tidy(weights(names), strip, &mut notes).unwrap();
        assert_eq!(got.metadata()["kept"], "yes");
        (got.iter().map(|(name, _)| name.to_owned()).collect(), notes)
    }

    #[test]
    fn wrappers_before_every_name_are_removed_and_said() {
        let (names, notes) = tidied(&["_orig_mod.module.a.weight", "_orig_mod.module.b.weight"], true);
        assert_eq!(names, ["a.weight", "b.weight"]);
        assert!(notes[0].contains("`_orig_mod.`") && notes[1].contains("`module.`") && notes.len() == 2, "{notes:?}");
        // Part of a network may be called so.
        let some = ["module.a.weight", "head.weight"];
        assert_eq!(tidied(&some, true), (some.map(str::to_owned).to_vec(), vec![]));
        assert_eq!(tidied(&["module.a.weight"], false).0, ["module.a.weight"]);
    }

    #[test]
    fn counters_of_normalisations_are_filled_in_behind_their_variance() {
        let norm = ["n.weight", "n.bias", "n.running_mean", "n.running_var", "o.weight"];
        let mut notes = Vec::new();
        let got = tidy(weights(&norm), true, &mut notes).unwrap();
        let names: Vec<&str> = got.iter().map(|(name, _)| name).collect();
        assert_eq!(names[3..], ["n.running_var", "n.num_batches_tracked", "o.weight"]);
        assert_eq!(got.get("n.num_batches_tracked"), Some(&HostTensor::from_i64(&[], &[0]).unwrap()));
        assert!(notes.len() == 1 && notes[0].contains("1 missing"), "{notes:?}");
        // With a counter, or without a mean, nothing is missing.
        for whole in [&["n.running_mean", "n.running_var", "n.num_batches_tracked"][..], &["n.running_var"]] {
            assert!(tidied(whole, true).1.is_empty());
        }
    }
}
