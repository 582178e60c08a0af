//! Several measurements of several things: a row for each, a dot for each measurement, the mean and its spread.

use crate::error::ReportError;
use crate::frame::Frame;
use crate::labels::inks;
use crate::plot::{MOST, refusal};
use plotters::prelude::*;
use std::path::Path;

/// A row of dots.
#[derive(Clone, Debug, PartialEq)]
pub struct Dots {
    /// Written at its left.
    pub name: String,
    /// Family, which decides the colour.
    pub family: String,
    /// The measurements.
    pub values: Vec<f64>,
    /// Standard deviation, drawn to both sides of the mean; none where there is none.
    pub sd: Option<f64>,
}

/// Draws rows of dots over one axis, in the order given, each with its mean at the right; `x` names the quantity.
///
/// # Errors
/// When there is no value that can be drawn, or the file cannot be written.
pub fn dots(path: &Path, title: &str, x: &str, rows: &[Dots]) -> Result<(), ReportError> {
    let finite = |row: &Dots| row.values.iter().copied().filter(|v| v.abs() <= MOST).collect::<Vec<f64>>();
    let values: Vec<Vec<f64>> = rows.iter().map(finite).collect();
    let mean = |values: &[f64]| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
    let spread = |row: &Dots| row.sd.filter(|sd| *sd <= MOST);
    let ends = rows.iter().zip(&values).flat_map(|(row, values)| {
        let sd = spread(row).unwrap_or(0.0);
        let around = mean(values).map(|middle| [middle - sd, middle + sd]);
        values.iter().copied().chain(around.into_iter().flatten()).collect::<Vec<f64>>()
    });
    let frame = Frame::new(rows.iter().map(|row| row.name.as_str()), ends);
    let frame = frame.ok_or_else(|| refusal(path, "no value can be drawn"))?;
    let inks = inks(rows.iter().map(|row| row.family.as_str()));
    let named: Vec<(&str, Option<f64>)> =
        rows.iter().zip(&values).map(|(row, v)| (row.name.as_str(), mean(v))).collect();
    frame.draw(path, [title, x], &named, |area, number, y| {
        let (Some(row), Some(values), Some(ink)) = (rows.get(number), values.get(number), inks.get(number)) else {
            return Ok(());
        };
        let Some(middle) = mean(values) else { return Ok(()) };
        if let Some(sd) = spread(row) {
            let ends = [(frame.place(middle - sd), y - 3), (frame.place(middle + sd), y + 3)];
            area.draw(&Rectangle::new(ends, ink.mix(0.3).filled()))?;
        }
        for value in values {
            area.draw(&Circle::new((frame.place(*value), y), 4, ink.mix(0.75).filled()))?;
        }
        let at = frame.place(middle);
        area.draw(&Rectangle::new([(at - 1, y - 10), (at + 1, y + 10)], BLACK.filled()))?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, values: &[f64], sd: Option<f64>) -> Dots {
        Dots { name: name.to_owned(), family: "one".to_owned(), values: values.to_vec(), sd }
    }

    fn numbers(svg: &str, element: &str, attribute: &str) -> Vec<f64> {
        let of = |part: &str| part.split(&format!("{attribute}=\"")).nth(1)?.split('"').next()?.parse().ok();
        svg.split(&format!("<{element} ")).skip(1).filter_map(of).collect()
    }

    #[test]
    fn dots_lie_where_their_values_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.svg");
        let rows = [row("first", &[0.1, 0.3, f64::NAN], Some(0.1)), row("none", &[], None), row("last", &[0.2], None)];
        dots(&path, "Title", "AP@.5", &rows).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        assert!(["Title", "AP@.5", "first", "none", "last", "0.2"].iter().all(|word| svg.contains(word)), "{svg}");
        let x = numbers(&svg, "circle", "cx");
        assert_eq!(x.len(), 3, "{svg}");
        assert!((x[2] - 0.5 * (x[0] + x[1])).abs() <= 1.0 && x[0] < x[1], "{x:?}");
        assert!(numbers(&svg, "circle", "cy")[2] > numbers(&svg, "circle", "cy")[0]);
        assert!(dots(&path, "T", "x", &[row("none", &[f64::INFINITY], None)]).is_err());
        dots(&path, "T", "x", &[row("same", &[0.5, 0.5], Some(0.0))]).unwrap();
    }
}
