//! Bytes and floats, RGB and luma: the same arithmetic in the same order as the other interpreter's.

use super::Site;
use crate::error::ExportError;
use crate::proto::data_type;
use crate::writer::{Attr, Writer};

pub(super) fn unit_from_bytes(w: &mut Writer, site: &Site<'_>) -> Result<(), ExportError> {
    let perm = [("perm", Attr::Ints(vec![0, 3, 1, 2]))];
    let planes = w.node("Transpose", &[site.one()?], site.inner("planes"), &perm)?;
    let to = [("to", Attr::Int(data_type::FLOAT.into()))];
    let floats = w.node("Cast", &[&planes], site.inner("floats"), &to)?;
    let full = w.scalar(255.0)?;
    w.node("Div", &[&floats, &full], site.result(), &[])?;
    Ok(())
}

pub(super) fn bytes_from_unit(w: &mut Writer, site: &Site<'_>) -> Result<(), ExportError> {
    let (zero, one, full) = (w.scalar(0.0)?, w.scalar(1.0)?, w.scalar(255.0)?);
    let clamped = w.node("Clip", &[site.one()?, &zero, &one], site.inner("clamped"), &[])?;
    let scaled = w.node("Mul", &[&clamped, &full], site.inner("scaled"), &[])?;
    // Halves to even, by the definition of the op.
    let rounded = w.node("Round", &[&scaled], site.inner("rounded"), &[])?;
    let to = [("to", Attr::Int(data_type::UINT8.into()))];
    let bytes = w.node("Cast", &[&rounded], site.inner("bytes"), &to)?;
    w.node("Transpose", &[&bytes], site.result(), &[("perm", Attr::Ints(vec![0, 2, 3, 1]))])?;
    Ok(())
}

/// The three channels of the first input.
fn split(w: &mut Writer, site: &Site<'_>) -> Result<[String; 3], ExportError> {
    let sizes = w.ints(&site.inner("each"), &[1, 1, 1])?;
    let parts = [0, 1, 2].map(|i| site.inner(&format!("channel.{i}")));
    let [a, b, c] = &parts;
    w.nodes_out("Split", &[site.one()?, &sizes], &[a, b, c], &[("axis", Attr::Int(1))])?;
    Ok(parts)
}

pub(super) fn ycbcr_from_rgb(w: &mut Writer, site: &Site<'_>) -> Result<(), ExportError> {
    let [r, g, b] = split(w, site)?;
    let mut weighted = Vec::new();
    for (channel, weight, name) in [(&r, 0.299, "red"), (&g, 0.587, "green"), (&b, 0.114, "blue")] {
        let weight = w.scalar(weight)?;
        weighted.push(w.node("Mul", &[channel, &weight], site.inner(name), &[])?);
    }
    let mut luma = String::new();
    for (i, part) in weighted.iter().enumerate() {
        luma = match i {
            0 => part.clone(),
            _ => w.node("Add", &[&luma, part], site.inner(&format!("luma.{i}")), &[])?,
        };
    }
    let half = w.scalar(0.5)?;
    let mut chroma = |channel: &str, range: f64, name: &str| {
        let range = w.scalar(range)?;
        let difference = w.node("Sub", &[channel, &luma], site.inner(&format!("{name}.difference")), &[])?;
        let scaled = w.node("Div", &[&difference, &range], site.inner(&format!("{name}.scaled")), &[])?;
        w.node("Add", &[&scaled, &half], site.inner(name), &[])
    };
    let cb = chroma(&b, 1.772, "cb")?;
    let cr = chroma(&r, 1.402, "cr")?;
    w.node("Concat", &[&luma, &cb, &cr], site.result(), &[("axis", Attr::Int(1))])?;
    Ok(())
}

pub(super) fn rgb_from_ycbcr(w: &mut Writer, site: &Site<'_>) -> Result<(), ExportError> {
    let [luma, cb, cr] = split(w, site)?;
    let half = w.scalar(0.5)?;
    let mut offset = |channel: &str, range: f64, name: &str| {
        let range = w.scalar(range)?;
        let centred = w.node("Sub", &[channel, &half], site.inner(&format!("{name}.centred")), &[])?;
        w.node("Mul", &[&centred, &range], site.inner(&format!("{name}.offset")), &[])
    };
    let blue = offset(&cb, 1.772, "blue")?;
    let red = offset(&cr, 1.402, "red")?;
    let r = w.node("Add", &[&luma, &red], site.inner("r"), &[])?;
    let b = w.node("Add", &[&luma, &blue], site.inner("b"), &[])?;
    let red_share = w.scalar(0.299 / 0.587)?;
    let blue_share = w.scalar(0.114 / 0.587)?;
    let red = w.node("Mul", &[&red, &red_share], site.inner("red.in_green"), &[])?;
    let blue = w.node("Mul", &[&blue, &blue_share], site.inner("blue.in_green"), &[])?;
    let g = w.node("Sub", &[&luma, &red], site.inner("g.without_red"), &[])?;
    let g = w.node("Sub", &[&g, &blue], site.inner("g"), &[])?;
    w.node("Concat", &[&r, &g, &b], site.result(), &[("axis", Attr::Int(1))])?;
    Ok(())
}
