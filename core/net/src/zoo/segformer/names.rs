//! Names in published checkpoints: the original's are the graph's, the hub's are mapped.

use crate::zoo::network::Place;

/// Where a tensor belongs by its name in a published checkpoint, original (`backbone.…`) or hub (`segformer.…`; both have
/// `decode_head.…`); `None` for a name of neither.
pub fn place(name: &str) -> Option<Place> {
    if name.starts_with("decode_head.conv_seg.") {
        return Some(Place::Unused);
    }
    if name.starts_with("backbone.") {
        return Some(Place::Whole(name.to_owned()));
    }
    if let Some(rest) = name.strip_prefix("decode_head.") {
        return Some(Place::Whole(format!("decode_head.{}", head(rest))));
    }
    let rest = name.strip_prefix("segformer.encoder.")?;
    let (kind, rest) = rest.split_once('.')?;
    let (stage, rest) = rest.split_once('.')?;
    let stage = stage.parse::<usize>().ok()?.checked_add(1)?;
    match kind {
        "patch_embeddings" => {
            let rest = rest.strip_prefix("layer_norm.").map_or_else(|| rest.to_owned(), |end| format!("norm.{end}"));
            Some(Place::Whole(format!("backbone.patch_embed{stage}.{rest}")))
        }
        "layer_norm" => Some(Place::Whole(format!("backbone.norm{stage}.{rest}"))),
        "block" => {
            let (block, rest) = rest.split_once('.')?;
            Some(in_block(&format!("backbone.block{stage}.{block}"), rest))
        }
        _ => None,
    }
}

fn head(rest: &str) -> String {
    if let Some((stage, end)) = rest.strip_prefix("linear_c.").and_then(|r| r.split_once('.'))
        && let Some(stage) = stage.parse::<usize>().ok().and_then(|s| s.checked_add(1))
    {
        return format!("linear_c{stage}.{end}");
    }
    for (hub, original) in
        [("linear_fuse.", "linear_fuse.conv."), ("batch_norm.", "linear_fuse.bn."), ("classifier.", "linear_pred.")]
    {
        // The original's own `linear_fuse.conv` and `linear_fuse.bn` have one more part.
        if let Some(end) = rest.strip_prefix(hub)
            && !end.contains('.')
        {
            return format!("{original}{end}");
        }
    }
    rest.to_owned()
}

fn in_block(block: &str, rest: &str) -> Place {
    for (hub, original) in [("attention.self.key.", "attn.kv."), ("attention.self.value.", "attn.kv.")] {
        if let Some(end) = rest.strip_prefix(hub) {
            let name = format!("{block}.{original}{end}");
            return if hub.contains("key") { Place::FirstRows(name) } else { Place::LastRows(name) };
        }
    }
    for (hub, original) in [
        ("layer_norm_1.", "norm1."),
        ("layer_norm_2.", "norm2."),
        ("attention.self.query.", "attn.q."),
        ("attention.self.sr.", "attn.sr."),
        ("attention.self.layer_norm.", "attn.norm."),
        ("attention.output.dense.", "attn.proj."),
        ("mlp.dense1.", "mlp.fc1."),
        ("mlp.dense2.", "mlp.fc2."),
    ] {
        if let Some(end) = rest.strip_prefix(hub) {
            return Place::Whole(format!("{block}.{original}{end}"));
        }
    }
    Place::Whole(format!("{block}.{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_schemes_find_their_place() {
        let whole = |name: &str| Some(Place::Whole(name.to_owned()));
        for (published, expected) in [
            ("backbone.block1.0.attn.q.weight", whole("backbone.block1.0.attn.q.weight")),
            ("segformer.encoder.block.0.1.attention.self.query.bias", whole("backbone.block1.1.attn.q.bias")),
            (
                "segformer.encoder.block.2.0.attention.self.key.weight",
                Some(Place::FirstRows("backbone.block3.0.attn.kv.weight".into())),
            ),
            (
                "segformer.encoder.block.2.0.attention.self.value.bias",
                Some(Place::LastRows("backbone.block3.0.attn.kv.bias".into())),
            ),
            ("segformer.encoder.patch_embeddings.3.layer_norm.weight", whole("backbone.patch_embed4.norm.weight")),
            ("segformer.encoder.patch_embeddings.3.proj.weight", whole("backbone.patch_embed4.proj.weight")),
            ("segformer.encoder.layer_norm.0.bias", whole("backbone.norm1.bias")),
            ("segformer.encoder.block.0.0.mlp.dwconv.dwconv.bias", whole("backbone.block1.0.mlp.dwconv.dwconv.bias")),
            ("decode_head.linear_c.2.proj.weight", whole("decode_head.linear_c3.proj.weight")),
            ("decode_head.linear_c3.proj.weight", whole("decode_head.linear_c3.proj.weight")),
            ("decode_head.linear_fuse.weight", whole("decode_head.linear_fuse.conv.weight")),
            ("decode_head.linear_fuse.conv.weight", whole("decode_head.linear_fuse.conv.weight")),
            ("decode_head.batch_norm.running_var", whole("decode_head.linear_fuse.bn.running_var")),
            ("decode_head.classifier.bias", whole("decode_head.linear_pred.bias")),
            ("decode_head.conv_seg.weight", Some(Place::Unused)),
            ("model.0.conv.weight", None),
            ("segformer.encoder.block.x.0.norm", None),
        ] {
            assert_eq!(place(published), expected, "{published}");
        }
    }
}
