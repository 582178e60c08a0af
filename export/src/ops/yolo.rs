//! Decoding of one head level: `[n, anchors·columns, ny, nx]` → `[n, anchors·ny·nx, columns]`.

use super::Site;
use crate::error::ExportError;
use crate::proto::data_type;
use crate::writer::{Attr, Writer};
use caf_net::YoloLevel;

pub(super) fn decode(w: &mut Writer, site: &Site<'_>, level: &YoloLevel) -> Result<(), ExportError> {
    let head = site.one()?;
    let (anchors, columns) = (level.anchors_px.len() as i64, 5 + level.classes as i64);
    let cells = match site.extents().as_slice() {
        [_, _, Some(ny), Some(nx)] => fixed_cells(w, site, anchors, columns, *ny, *nx)?,
        _ => cells_of_input(w, site, anchors, columns)?,
    };
    let split = w.node("Reshape", &[head, &cells.shape], site.inner("split"), &[("allowzero", Attr::Int(0))])?;
    let perm = [("perm", Attr::Ints(vec![0, 1, 3, 4, 2]))];
    let last = w.node("Transpose", &[&split], site.inner("columns_last"), &perm)?;
    let s = w.node("Sigmoid", &[&last], site.inner("sigmoid"), &[])?;

    let lengths = w.ints(&site.inner("lengths"), &[1, 1, 2, columns - 4])?;
    let [x, y, wh, rest] = ["x", "y", "wh", "rest"].map(|part| site.inner(&format!("raw.{part}")));
    w.nodes_out("Split", &[&s, &lengths], &[&x, &y, &wh, &rest], &[("axis", Attr::Int(4))])?;

    let (two, half, stride) = (w.scalar(2.0)?, w.scalar(0.5)?, w.scalar(level.stride as f64)?);
    let mut centre = |part: &str, cell: &str, name: &str| {
        let part = w.node("Mul", &[part, &two], site.inner(&format!("{name}.doubled")), &[])?;
        let part = w.node("Sub", &[&part, &half], site.inner(&format!("{name}.in_cell")), &[])?;
        let part = w.node("Add", &[&part, cell], site.inner(&format!("{name}.cells")), &[])?;
        w.node("Mul", &[&part, &stride], site.inner(name), &[])
    };
    let cx = centre(&x, &cells.columns, "cx")?;
    let cy = centre(&y, &cells.rows, "cy")?;

    let flat: Vec<f32> = level.anchors_px.iter().flatten().map(|v| *v as f32).collect();
    let anchor = w.floats(&site.inner("anchors"), &[1, level.anchors_px.len(), 1, 1, 2], &flat)?;
    let wh = w.node("Mul", &[&wh, &two], site.inner("wh.doubled"), &[])?;
    let wh = w.node("Mul", &[&wh, &wh], site.inner("wh.squared"), &[])?;
    let wh = w.node("Mul", &[&wh, &anchor], site.inner("wh"), &[])?;

    let joined = w.node("Concat", &[&cx, &cy, &wh, &rest], site.inner("joined"), &[("axis", Attr::Int(4))])?;
    // Zero keeps the batch, minus one takes what is left: the rows.
    let rows = w.ints(&site.inner("rows_shape"), &[0, -1, columns])?;
    w.node("Reshape", &[&joined, &rows], site.result(), &[("allowzero", Attr::Int(0))])?;
    Ok(())
}

/// Names of the grid's constants or values.
struct Cells {
    /// `[batch, anchors, columns, ny, nx]`
    shape: String,
    /// x of each cell, `[1, 1, 1, nx, 1]`
    columns: String,
    /// y of each cell, `[1, 1, ny, 1, 1]`
    rows: String,
}

fn fixed_cells(
    w: &mut Writer,
    site: &Site<'_>,
    anchors: i64,
    columns: i64,
    ny: usize,
    nx: usize,
) -> Result<Cells, ExportError> {
    let count = |n: usize| (0..n).map(|i| i as f32).collect::<Vec<f32>>();
    Ok(Cells {
        shape: w.ints(&site.inner("split_shape"), &[0, anchors, columns, ny as i64, nx as i64])?,
        columns: w.floats(&site.inner("cell.x"), &[1, 1, 1, nx, 1], &count(nx))?,
        rows: w.floats(&site.inner("cell.y"), &[1, 1, ny, 1, 1], &count(ny))?,
    })
}

/// The grid of whatever size the input has.
fn cells_of_input(w: &mut Writer, site: &Site<'_>, anchors: i64, columns: i64) -> Result<Cells, ExportError> {
    let head = site.one()?;
    let front = w.ints(&site.inner("front"), &[0, anchors, columns])?;
    let sides = w.node("Shape", &[head], site.inner("sides"), &[("start", Attr::Int(2))])?;
    let shape = w.node("Concat", &[&front, &sides], site.inner("split_shape"), &[("axis", Attr::Int(0))])?;
    let (zero, one) = (w.scalar(0.0)?, w.scalar(1.0)?);
    let mut count = |axis: i64, name: &str, shape: [i64; 5]| {
        let bounds = [("start", Attr::Int(axis)), ("end", Attr::Int(axis + 1))];
        let side = w.node("Shape", &[head], site.inner(&format!("{name}.side")), &bounds)?;
        let to = [("to", Attr::Int(data_type::FLOAT.into()))];
        let side = w.node("Cast", &[&side], site.inner(&format!("{name}.float")), &to)?;
        let side = w.node("Squeeze", &[&side], site.inner(&format!("{name}.scalar")), &[])?;
        let count = w.node("Range", &[&zero, &side, &one], site.inner(&format!("{name}.count")), &[])?;
        let shape = w.ints(&site.inner(&format!("{name}.shape")), &shape)?;
        w.node("Reshape", &[&count, &shape], site.inner(name), &[("allowzero", Attr::Int(0))])
    };
    let rows = count(2, "cell.y", [1, 1, -1, 1, 1])?;
    let columns = count(3, "cell.x", [1, 1, 1, -1, 1])?;
    Ok(Cells { shape, columns, rows })
}
