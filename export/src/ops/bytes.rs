//! Bytes and floats: the same arithmetic in the same order as the other interpreter's.

use super::site::Site;
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
