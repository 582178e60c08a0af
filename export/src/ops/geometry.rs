//! Cutting, pooling, resizing and padding.

use super::Site;
use crate::error::ExportError;
use crate::writer::{Attr, Writer};

pub(super) fn channels(w: &mut Writer, site: &Site<'_>, start: usize, len: usize) -> Result<(), ExportError> {
    let starts = w.ints(&site.inner("start"), &[start as i64])?;
    let ends = w.ints(&site.inner("end"), &[(start + len) as i64])?;
    let axes = w.ints(&site.inner("axis"), &[1])?;
    w.node("Slice", &[site.one()?, &starts, &ends, &axes], site.result(), &[])?;
    Ok(())
}

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

pub(super) fn upsample_nearest(w: &mut Writer, site: &Site<'_>, factor: usize) -> Result<(), ExportError> {
    let factor = factor as f32;
    let scales = w.floats(&site.inner("scales"), &[4], &[1.0, 1.0, factor, factor])?;
    let attributes = [
        ("mode", Attr::Text("nearest")),
        ("coordinate_transformation_mode", Attr::Text("asymmetric")),
        ("nearest_mode", Attr::Text("floor")),
    ];
    w.node("Resize", &[site.one()?, "", &scales], site.result(), &attributes)?;
    Ok(())
}

pub(super) fn resize_bilinear(w: &mut Writer, site: &Site<'_>, height: usize, width: usize) -> Result<(), ExportError> {
    let size = [height as i64, width as i64];
    let sizes = match site.extents().as_slice() {
        [Some(n), Some(c), ..] => w.ints(&site.inner("sizes"), &[*n as i64, *c as i64, size[0], size[1]])?,
        // Batch or channels come from the input; this version of Resize wants all four.
        _ => {
            let shape = w.node("Shape", &[site.one()?], site.inner("shape"), &[("end", Attr::Int(2))])?;
            let size = w.ints(&site.inner("size"), &size)?;
            w.node("Concat", &[&shape, &size], site.inner("sizes"), &[("axis", Attr::Int(0))])?
        }
    };
    let attributes = [("mode", Attr::Text("linear")), ("coordinate_transformation_mode", Attr::Text("half_pixel"))];
    w.node("Resize", &[site.one()?, "", "", &sizes], site.result(), &attributes)?;
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
