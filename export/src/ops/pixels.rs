//! Pooling, resizing, padding; bytes and floats, with the same arithmetic in the same order as the other interpreter's.

use super::site::Site;
use crate::error::ExportError;
use crate::proto::data_type;
use crate::writer::{Attr, Writer};
use caf_geometry::{Letterbox, Size};
use caf_net::MeanWindows;

pub(super) fn max_pool(
    w: &mut Writer,
    site: &Site<'_>,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Result<(), ExportError> {
    let attributes = [
        ("kernel_shape", Attr::Ints(vec![kernel as i64; 2])),
        ("strides", Attr::Ints(vec![stride as i64; 2])),
        ("pads", Attr::Ints(vec![padding as i64; 4])),
        ("dilations", Attr::Ints(vec![1; 2])),
        ("ceil_mode", Attr::Int(0)),
        ("storage_order", Attr::Int(0)),
    ];
    w.node("MaxPool", &[site.one()?], site.result(), &attributes)?;
    Ok(())
}

pub(super) fn mean_pool(
    w: &mut Writer,
    site: &Site<'_>,
    kernel: usize,
    windows: MeanWindows,
) -> Result<(), ExportError> {
    let (stride, padding, is_tiled) = match windows {
        MeanWindows::Sliding { stride, padding } => (stride, padding, false),
        MeanWindows::Tiles => (kernel, 0, true),
    };
    let attributes = [
        ("kernel_shape", Attr::Ints(vec![kernel as i64; 2])),
        ("strides", Attr::Ints(vec![stride as i64; 2])),
        ("pads", Attr::Ints(vec![padding as i64; 4])),
        ("ceil_mode", Attr::Int(is_tiled.into())),
        ("count_include_pad", Attr::Int((!is_tiled).into())),
    ];
    w.node("AveragePool", &[site.one()?], site.result(), &attributes)?;
    Ok(())
}

/// As many rows and columns as the second input has.
pub(super) fn crop(w: &mut Writer, site: &Site<'_>, before: [usize; 2]) -> Result<(), ExportError> {
    let [x, like] = site.pair()?;
    let start = before.map(|n| n as i64);
    let (from, to) = (site.extents(0), site.extents(1));
    let known = match to.as_slice() {
        [_, _, Some(height), Some(width)] => Some([*height as i64, *width as i64]),
        _ => None,
    };
    if known.is_some() && start == [0, 0] && from.get(2..) == to.get(2..) {
        w.node("Identity", &[x], site.result(), &[])?;
        return Ok(());
    }
    let starts = w.ints(&site.inner("starts"), &start)?;
    let ends = match known {
        Some([height, width]) => w.ints(&site.inner("ends"), &[start[0] + height, start[1] + width])?,
        None => {
            let size = w.node("Shape", &[like], site.inner("size"), &[("start", Attr::Int(2))])?;
            w.node("Add", &[&size, &starts], site.inner("ends"), &[])?
        }
    };
    let axes = w.ints(&site.inner("axes"), &[2, 3])?;
    w.node("Slice", &[x, &starts, &ends, &axes], site.result(), &[])?;
    Ok(())
}

pub(super) fn upsample_nearest(w: &mut Writer, site: &Site<'_>, factor: usize) -> Result<(), ExportError> {
    let factor = factor as f32;
    let scales = w.singles(&site.inner("scales"), &[4], &[1.0, 1.0, factor, factor])?;
    let attributes = [
        ("mode", Attr::Text("nearest")),
        ("coordinate_transformation_mode", Attr::Text("asymmetric")),
        ("nearest_mode", Attr::Text("floor")),
    ];
    w.node("Resize", &[site.one()?, "", &scales], site.result(), &attributes)?;
    Ok(())
}

const BILINEAR: [(&str, Attr); 2] =
    [("mode", Attr::Text("linear")), ("coordinate_transformation_mode", Attr::Text("half_pixel"))];

pub(super) fn resize_bilinear(w: &mut Writer, site: &Site<'_>, height: usize, width: usize) -> Result<(), ExportError> {
    resize(w, site, [height, width], site.result())?;
    Ok(())
}

/// To a size that is known now.
fn resize(w: &mut Writer, site: &Site<'_>, [height, width]: [usize; 2], output: String) -> Result<String, ExportError> {
    let x = site.inputs.first().copied().unwrap_or_default();
    let size = [height as i64, width as i64];
    let sizes = match site.extents(0).as_slice() {
        [Some(n), Some(c), ..] => w.ints(&site.inner("sizes"), &[*n as i64, *c as i64, size[0], size[1]])?,
        // Batch or channels come from the input; this version of Resize wants all four.
        _ => {
            let shape = w.node("Shape", &[x], site.inner("shape"), &[("end", Attr::Int(2))])?;
            let size = w.ints(&site.inner("size"), &size)?;
            w.node("Concat", &[&shape, &size], site.inner("sizes"), &[("axis", Attr::Int(0))])?
        }
    };
    w.node("Resize", &[x, "", "", &sizes], output, &BILINEAR)
}

pub(super) fn resize_like(w: &mut Writer, site: &Site<'_>) -> Result<(), ExportError> {
    let (x, like) = (site.nth(0, 2)?, site.nth(1, 2)?);
    if let [_, _, Some(height), Some(width)] = site.extents(1).as_slice() {
        resize(w, site, [*height, *width], site.result())?;
        return Ok(());
    }
    let front = w.node("Shape", &[x], site.inner("shape"), &[("end", Attr::Int(2))])?;
    let size = w.node("Shape", &[like], site.inner("size"), &[("start", Attr::Int(2))])?;
    let sizes = w.node("Concat", &[&front, &size], site.inner("sizes"), &[("axis", Attr::Int(0))])?;
    w.node("Resize", &[x, "", "", &sizes], site.result(), &BILINEAR)?;
    Ok(())
}

/// The rule of `caf_geometry::Letterbox` for whatever size the input has. In double precision, as the rule is, so that every
/// rounding falls to the same side; shapes are computed on the host by every provider.
pub(super) fn letterbox(w: &mut Writer, site: &Site<'_>, size: Size, value: f64) -> Result<(), ExportError> {
    let x = site.one()?;
    if let [_, _, Some(height), Some(width)] = site.extents(0).as_slice() {
        return fixed_letterbox(w, site, Size::new(*width, *height), size, value);
    }
    let part = |name: &str| site.inner(name);
    let source = w.node("Shape", &[x], part("source"), &[("start", Attr::Int(2))])?;
    let resized = fitted(w, &part, &source, size)?;

    let axis = [("axis", Attr::Int(0))];
    let front = w.node("Shape", &[x], part("front"), &[("end", Attr::Int(2))])?;
    let sizes = w.node("Concat", &[&front, &resized], part("sizes"), &axis)?;
    let image = w.node("Resize", &[x, "", "", &sizes], part("resized"), &BILINEAR)?;

    let target = w.ints(&part("target"), &[size.height as i64, size.width as i64])?;
    let two = w.ints(&part("two"), &[2])?;
    let rest = w.node("Sub", &[&target, &resized], part("rest"), &[])?;
    let before = w.node("Div", &[&rest, &two], part("before"), &[])?;
    let after = w.node("Sub", &[&rest, &before], part("after"), &[])?;
    let none = w.ints(&part("none"), &[0, 0])?;
    let pads = w.node("Concat", &[&none, &before, &none, &after], part("pads"), &axis)?;
    let value = w.scalar(value)?;
    w.node("Pad", &[&image, &pads, &value], site.result(), &[("mode", Attr::Text("constant"))])?;
    Ok(())
}

/// Height and width after resizing, from those of the source: whole numbers along the last axis.
fn fitted(w: &mut Writer, part: &dyn Fn(&str) -> String, source: &str, size: Size) -> Result<String, ExportError> {
    let to_double = [("to", Attr::Int(data_type::DOUBLE.into()))];
    let to_int = [("to", Attr::Int(data_type::INT64.into()))];
    let last = [("axes", Attr::Ints(vec![-1])), ("keepdims", Attr::Int(1))];
    let source = w.node("Cast", &[source], part("source.double"), &to_double)?;
    let target = w.doubles(&part("target.double"), &[size.height as f64, size.width as f64])?;
    let ratios = w.node("Div", &[&target, &source], part("ratios"), &[])?;
    let ratio = w.node("ReduceMin", &[&ratios], part("ratio"), &last)?;
    let exact = w.node("Mul", &[&source, &ratio], part("resized.exact"), &[])?;
    let rounded = w.node("Round", &[&exact], part("resized.rounded"), &[])?;
    let one = w.doubles(&part("least"), &[1.0])?;
    let at_least = w.node("Max", &[&rounded, &one], part("resized.at_least_one"), &[])?;
    let limited = w.node("Min", &[&at_least, &target], part("resized.double"), &[])?;
    w.node("Cast", &[&limited], part("resized.size"), &to_int)
}

fn fixed_letterbox(w: &mut Writer, site: &Site<'_>, source: Size, size: Size, value: f64) -> Result<(), ExportError> {
    let fit = Letterbox::within(source, size)?;
    let (resized, borders) = (fit.resized, [fit.top_bottom, fit.left_right]);
    let mut image = site.one()?.to_owned();
    let padded = borders != [(0, 0); 2];
    if resized != source {
        let output = if padded { site.inner("resized") } else { site.result() };
        image = resize(w, site, [resized.height, resized.width], output)?;
    }
    if padded {
        let [(top, bottom), (left, right)] = borders.map(|(a, b)| (a as i64, b as i64));
        let pads = w.ints(&site.inner("pads"), &[0, 0, top, left, 0, 0, bottom, right])?;
        let value = w.scalar(value)?;
        w.node("Pad", &[&image, &pads, &value], site.result(), &[("mode", Attr::Text("constant"))])?;
    } else if resized == source {
        w.node("Identity", &[&image], site.result(), &[])?;
    }
    Ok(())
}

pub(super) fn pad(
    w: &mut Writer,
    site: &Site<'_>,
    [top, bottom, left, right]: [usize; 4],
    value: f64,
) -> Result<(), ExportError> {
    let [top, bottom, left, right] = [top, bottom, left, right].map(|n| n as i64);
    let pads = w.ints(&site.inner("pads"), &[0, 0, top, left, 0, 0, bottom, right])?;
    let value = w.scalar(value)?;
    w.node("Pad", &[site.one()?, &pads, &value], site.result(), &[("mode", Attr::Text("constant"))])?;
    Ok(())
}

pub(super) fn reflect_pad(
    w: &mut Writer,
    site: &Site<'_>,
    [top, bottom, left, right]: [usize; 4],
) -> Result<(), ExportError> {
    let [top, bottom, left, right] = [top, bottom, left, right].map(|n| n as i64);
    let pads = w.ints(&site.inner("pads"), &[0, 0, top, left, 0, 0, bottom, right])?;
    w.node("Pad", &[site.one()?, &pads], site.result(), &[("mode", Attr::Text("reflect"))])?;
    Ok(())
}

pub(super) fn unit_from_bytes(w: &mut Writer, site: &Site<'_>) -> Result<(), ExportError> {
    let perm = [("perm", Attr::Ints(vec![0, 3, 1, 2]))];
    let planes = w.node("Transpose", &[site.one()?], site.inner("planes"), &perm)?;
    let to = [("to", Attr::Int(data_type::FLOAT.into()))];
    let floats = w.node("Cast", &[&planes], site.inner("floats"), &to)?;
    let full = w.factor(255.0)?;
    w.node("Div", &[&floats, &full], site.result(), &[])?;
    Ok(())
}

pub(super) fn bytes_from_unit(w: &mut Writer, site: &Site<'_>) -> Result<(), ExportError> {
    let (zero, one, full) = (w.scalar(0.0)?, w.scalar(1.0)?, w.factor(255.0)?);
    let clamped = w.node("Clip", &[site.one()?, &zero, &one], site.inner("clamped"), &[])?;
    let scaled = w.node("Mul", &[&clamped, &full], site.inner("scaled"), &[])?;
    // Halves to even, by the definition of the op.
    let rounded = w.node("Round", &[&scaled], site.inner("rounded"), &[])?;
    let to = [("to", Attr::Int(data_type::UINT8.into()))];
    let bytes = w.node("Cast", &[&rounded], site.inner("bytes"), &to)?;
    w.node("Transpose", &[&bytes], site.result(), &[("perm", Attr::Ints(vec![0, 2, 3, 1]))])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto;
    use caf_engine::{Array, Engine, EngineOptions, Values, library};
    use prost::Message;

    /// A model of the arithmetic alone: `source` `[sizes, 2]` to `resized`, both in floats.
    fn model(size: Size) -> Vec<u8> {
        let mut w = Writer::default();
        let float = [("to", Attr::Int(data_type::FLOAT.into()))];
        let resized = fitted(&mut w, &|name| name.to_owned(), "source", size).unwrap();
        w.node("Cast", &[&resized], "resized".to_owned(), &float).unwrap();
        let port = |name: &str| {
            let dim = [Some(proto::Extent::Named("sizes".to_owned())), Some(proto::Extent::Fixed(2))]
                .map(|value| proto::Dimension { value });
            let shape = Some(proto::Shape { dim: dim.to_vec() });
            let ty = proto::TensorType { elem_type: data_type::FLOAT, shape };
            proto::ValueInfo { name: name.to_owned(), r#type: Some(proto::Type { tensor_type: Some(ty) }) }
        };
        let model = proto::Model {
            ir_version: proto::IR_VERSION,
            graph: Some(w.finish("fitted", vec![port("source")], vec![port("resized")])),
            opset_import: vec![proto::OperatorSet { domain: String::new(), version: proto::OPSET }],
            ..proto::Model::default()
        };
        model.encode_to_vec()
    }

    #[test]
    fn every_size_up_to_2000_is_resized_to_what_the_plain_rule_says() {
        let test = "every_size_up_to_2000_is_resized_to_what_the_plain_rule_says";
        if let Err(error) = library() {
            assert!(std::env::var_os("ORT_DYLIB_PATH").is_none(), "{test}: {error}");
            caf_golden::say(&format!("SKIP {test}: {error}"));
            return;
        }
        for (width, height) in [(640, 640), (640, 512), (320, 416), (1, 7)] {
            let mut engine = Engine::from_bytes("fitted", &model(Size { width, height }), EngineOptions::CPU).unwrap();
            for h in 1..=2000usize {
                let source = (1..=2000usize).flat_map(|w| [h as f32, w as f32]).collect();
                let source = Array { shape: vec![2000, 2], values: Values::F32(source) };
                let found = engine.run(&[("source", source)]).unwrap().remove(0).1;
                let Values::F32(found) = found.values else { panic!("floats expected") };
                for (w, found) in (1..=2000).zip(found.chunks_exact(2)) {
                    let fit = Letterbox::within(Size::new(w, h), Size { width, height }).unwrap();
                    let expected = [fit.resized.height as f32, fit.resized.width as f32];
                    assert_eq!(found, expected, "{w}x{h} into {width}x{height}");
                    // The graph halves the rest with whole numbers.
                    let halves = [height - fit.resized.height, width - fit.resized.width].map(|rest| rest / 2);
                    assert_eq!(halves, [fit.top_bottom.0, fit.left_right.0], "{w}x{h} into {width}x{height}");
                }
            }
        }
    }
}
