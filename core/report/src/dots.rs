//! Several measurements of several things: a row for each, a dot for each measurement, the mean and its spread.

use crate::error::ReportError;
use crate::labels::{inks, short};
use crate::plot::{FONT, FONT_SIZE, TEXT_PX, refusal, save};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
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

const WIDTH_PX: i32 = 1000;
const ROW_PX: i32 = TEXT_PX + 7;
const HEAD_PX: i32 = 50;
const FOOT_PX: i32 = 62;

/// Draws rows of dots over one axis, in the order given, each with its mean at the right; `x` names the quantity.
///
/// # Errors
/// When there is no value that can be drawn, or the file cannot be written.
pub fn dots(path: &Path, title: &str, x: &str, rows: &[Dots]) -> Result<(), ReportError> {
    const MOST: f64 = 1e30;
    let finite = |row: &Dots| row.values.iter().copied().filter(|v| v.abs() <= MOST).collect::<Vec<f64>>();
    let values: Vec<Vec<f64>> = rows.iter().map(finite).collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let ends = rows.iter().zip(&values).filter(|(_, values)| !values.is_empty()).flat_map(|(row, values)| {
        let sd = row.sd.filter(|sd| *sd <= MOST).unwrap_or(0.0);
        let middle = mean(values);
        values.iter().copied().chain([middle - sd, middle + sd]).collect::<Vec<f64>>()
    });
    let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        return Err(refusal(path, "no value can be drawn"));
    }
    let free = (0.04 * (high - low)).max(1e-3 * high.abs()).max(1e-6);
    let (low, high) = (low - free, high + free);
    let named = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0) as i32;
    let left_px = 32 + named * TEXT_PX * 14 / 25;
    let right_px = WIDTH_PX - 90;
    let height_px = HEAD_PX + ROW_PX * rows.len() as i32 + FOOT_PX;
    let place = |v: f64| left_px + ((v - low) / (high - low) * f64::from(right_px - left_px)).round() as i32;
    let inks = inks(rows.iter().map(|row| row.family.as_str()));
    save(path, (WIDTH_PX as u32, height_px as u32), |area| {
        let text = |side, size: i32| (FONT, size).into_font().color(&BLACK).pos(Pos::new(side, VPos::Center));
        area.draw(&Text::new(title, (16, 12), (FONT, FONT_SIZE + 4)))?;
        let bottom = HEAD_PX + ROW_PX * rows.len() as i32;
        for tick in ticks(low, high) {
            let at = place(tick);
            area.draw(&PathElement::new(vec![(at, HEAD_PX), (at, bottom)], BLACK.mix(0.12)))?;
            area.draw(&Text::new(short(tick), (at, bottom + 14), text(HPos::Center, FONT_SIZE - 2)))?;
        }
        area.draw(&Text::new(x, ((left_px + right_px) / 2, bottom + 40), text(HPos::Center, FONT_SIZE)))?;
        for (number, ((row, values), ink)) in rows.iter().zip(&values).zip(&inks).enumerate() {
            let y = HEAD_PX + ROW_PX * number as i32 + ROW_PX / 2;
            area.draw(&Text::new(row.name.as_str(), (left_px - 12, y), text(HPos::Right, FONT_SIZE)))?;
            if values.is_empty() {
                continue;
            }
            let middle = mean(values);
            if let Some(sd) = row.sd.filter(|sd| *sd <= MOST) {
                let ends = [(place(middle - sd), y - 3), (place(middle + sd), y + 3)];
                area.draw(&Rectangle::new(ends, ink.mix(0.3).filled()))?;
            }
            for value in values {
                area.draw(&Circle::new((place(*value), y), 4, ink.mix(0.75).filled()))?;
            }
            let at = place(middle);
            area.draw(&Rectangle::new([(at - 1, y - 10), (at + 1, y + 10)], BLACK.filled()))?;
            area.draw(&Text::new(short(middle), (right_px + 10, y), text(HPos::Left, FONT_SIZE)))?;
        }
        Ok(())
    })
}

/// Round numbers between two others, four to ten of them.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let raw = (high - low) / 5.0;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().map(|m| m * power).rfind(|step| *step <= raw).unwrap_or(power);
    let first = (low / step).ceil();
    (0..=((high / step).floor() - first).max(0.0) as usize).map(|i| (first + i as f64) * step).collect()
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

    #[test]
    fn ticks_are_round_and_inside() {
        for (low, high) in [(0.21, 0.35), (-3.0, 41.0), (1e-4, 1.7e-4)] {
            let ticks = ticks(low, high);
            assert!((4..=12).contains(&ticks.len()), "{ticks:?}");
            assert!(ticks.iter().all(|t| (low..=high).contains(t)), "{ticks:?}");
        }
    }
}
