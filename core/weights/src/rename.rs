//! Published weight files, under whatever names, brought under those of the graph.

use crate::cause::{DuplicateName, RenameError};
use crate::tensor::HostTensor;
use crate::weights::Weights;
use caf_net::zoo::network::{Family, Place, published_names};
use std::collections::BTreeMap;

/// The tensors of a published file of one of the family's networks under the names of its graph, as the network says
/// ([`published_names`]): halves joined, what nothing uses left out, bits unchanged; what was done is said in `notes`. Other weights
/// come back as they are, and so do names that the network does not know, for the check against the graph to list them. Metadata
/// stays.
///
/// # Errors
/// [`RenameError`] naming the parameter.
pub(crate) fn renamed<F: Family + ?Sized>(weights: Weights, notes: &mut Vec<String>) -> Result<Weights, RenameError> {
    let Some(place) = published_names::<F>(&weights) else { return Ok(weights) };
    let (entries, metadata) = weights.into_parts();
    let mut result = Weights::new();
    metadata.into_iter().for_each(|(key, value)| result.set_metadata(key, value));
    let mut halves: BTreeMap<String, [Option<HostTensor>; 2]> = BTreeMap::new();
    let (mut moved, mut unused) = (0, 0);
    for (name, tensor) in entries {
        let (whole, half) = match place(&name) {
            Some(Place::Unused) => {
                unused += 1;
                continue;
            }
            None => (name.clone(), None),
            Some(Place::Whole(whole)) => (whole, None),
            Some(Place::FirstRows(whole)) => (whole, Some(0)),
            Some(Place::LastRows(whole)) => (whole, Some(1)),
        };
        moved += usize::from(whole != name);
        let Some(half) = half else {
            result.add(whole, tensor)?;
            continue;
        };
        let slot = halves.entry(whole.clone()).or_default().get_mut(half);
        if slot.is_some_and(|slot| slot.replace(tensor).is_some()) {
            return Err(DuplicateName { name: whole }.into());
        }
    }
    for (name, pair) in halves {
        let joined = match &pair {
            [Some(first), Some(second)] => joined(&name, first, second)?,
            [None, _] => return Err(RenameError::Half { name, missing: "first" }),
            [_, None] => return Err(RenameError::Half { name, missing: "second" }),
        };
        result.add(name, joined)?;
    }
    if moved > 0 {
        notes.push(format!("{moved} tensors have other names here than in the network, and were renamed"));
    }
    if unused > 0 {
        notes.push(format!("left out {unused} tensor(s) that the network does not use"));
    }
    Ok(result)
}

/// Rows of the first, then those of the second.
fn joined(name: &str, first: &HostTensor, second: &HostTensor) -> Result<HostTensor, RenameError> {
    let mut shape = first.shape().to_vec();
    let (Some(rows), true) = (shape.first_mut(), first.shape() == second.shape() && first.dtype() == second.dtype())
    else {
        let text = |t: &HostTensor| format!("{} {:?}", t.dtype(), t.shape());
        return Err(RenameError::Unequal { name: name.to_owned(), first: text(first), second: text(second) });
    };
    *rows *= 2;
    let bytes = [first.bytes(), second.bytes()].concat();
    HostTensor::of_bytes(first.dtype(), shape, bytes)
        .map_err(|source| RenameError::Tensor { name: name.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_net::zoo::task::TaskNetwork;

    fn weights(entries: &[(&str, &[usize], &[f32])]) -> Weights {
        let mut w = Weights::new();
        for (name, shape, values) in entries {
            w.insert(*name, HostTensor::from_f32(shape, values).unwrap()).unwrap();
        }
        w
    }

    fn renamed(weights: Weights) -> Result<Weights, RenameError> {
        super::renamed::<dyn TaskNetwork>(weights, &mut Vec::new())
    }

    /// What tells a checkpoint with the hub's names of SegFormer.
    const EMBEDDING: &str = "segformer.encoder.patch_embeddings.0.proj.weight";

    #[test]
    fn halves_are_joined_in_their_order_and_the_unused_goes() {
        let hub = weights(&[
            (EMBEDDING, &[1], &[7.0]),
            ("segformer.encoder.block.0.0.attention.self.value.bias", &[2], &[3.0, 4.0]),
            ("segformer.encoder.block.0.0.attention.self.key.bias", &[2], &[1.0, 2.0]),
            ("decode_head.conv_seg.bias", &[1], &[9.0]),
            ("surplus", &[1], &[5.0]),
        ]);
        let found = renamed(hub).unwrap();
        let names: Vec<&str> = found.iter().map(|(n, _)| n).collect();
        assert_eq!(names, ["backbone.patch_embed1.proj.weight", "surplus", "backbone.block1.0.attn.kv.bias"]);
        let joined = found.get("backbone.block1.0.attn.kv.bias").unwrap();
        assert_eq!((joined.shape(), joined.to_f32_vec().unwrap()), (&[4][..], vec![1.0, 2.0, 3.0, 4.0]));
        let other = weights(&[("decode_head.conv_seg.bias", &[1], &[9.0])]);
        assert_eq!(renamed(other).unwrap().len(), 1);
    }

    #[test]
    fn halves_that_are_missing_or_unequal_are_named() {
        let key = "segformer.encoder.block.0.0.attention.self.key.bias";
        let value = "segformer.encoder.block.0.0.attention.self.value.bias";
        let first = (EMBEDDING, &[1][..], &[7.0][..]);
        let error = renamed(weights(&[first, (key, &[1], &[0.0])])).unwrap_err();
        assert_eq!(error, RenameError::Half { name: "backbone.block1.0.attn.kv.bias".into(), missing: "second" });
        let error = renamed(weights(&[first, (key, &[1], &[0.0]), (value, &[2], &[0.0, 1.0])])).unwrap_err();
        assert!(error.to_string().contains("the halves are F32 [1] and F32 [2]"), "{error}");
        let whole = ("backbone.block1.0.attn.kv.bias", &[2][..], &[0.0; 2][..]);
        let both = weights(&[first, (key, &[1], &[0.0]), (value, &[1], &[1.0]), whole]);
        assert!(matches!(renamed(both), Err(RenameError::Duplicate(_))));
    }
}
