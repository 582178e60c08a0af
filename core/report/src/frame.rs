//! Rows of a picture over one axis: names at the left, a number at the right.

use crate::error::ReportError;
use crate::labels::short;
use crate::plot::{Area, Drawn, FONT, FONT_SIZE, MOST, TEXT_PX, save};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

const WIDTH_PX: i32 = 1000;
const ROW_PX: i32 = TEXT_PX + 7;
const HEAD_PX: i32 = 50;
const FOOT_PX: i32 = 62;
const RIGHT_PX: i32 = WIDTH_PX - 90;

/// The axis of a picture, and where its rows lie.
pub(crate) struct Frame {
    low: f64,
    high: f64,
    left_px: i32,
}

impl Frame {
    /// For rows of these names and values; none when there is no value below [`MOST`] in size.
    pub(crate) fn new<'a>(names: impl Iterator<Item = &'a str>, values: impl Iterator<Item = f64>) -> Option<Self> {
        let places = values.filter(|v| v.abs() <= MOST);
        let (low, high) = places.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high {
            return None;
        }
        let free = (0.04 * (high - low)).max(1e-3 * high.abs()).max(1e-6);
        let named = names.map(|name| name.chars().count()).max().unwrap_or(0) as i32;
        Some(Frame { low: low - free, high: high + free, left_px: 32 + named * TEXT_PX * 14 / 25 })
    }

    /// Where a value lies, px from the left.
    pub(crate) fn place(&self, value: f64) -> i32 {
        let share = (value - self.low) / (self.high - self.low);
        self.left_px + (share * f64::from(RIGHT_PX - self.left_px)).round() as i32
    }

    /// Draws the frame, and in it each row by its name, the number at its right, and `row` with its number and its middle, px from
    /// the top.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn draw(
        &self,
        path: &Path,
        [title, x]: [&str; 2],
        rows: &[(&str, Option<f64>)],
        mut row: impl FnMut(&Area<'_>, usize, i32) -> Drawn,
    ) -> Result<(), ReportError> {
        let bottom = HEAD_PX + ROW_PX * rows.len() as i32;
        save(path, (WIDTH_PX as u32, (bottom + FOOT_PX) as u32), |area| {
            let text = |side, size: i32| (FONT, size).into_font().color(&BLACK).pos(Pos::new(side, VPos::Center));
            area.draw(&Text::new(title, (16, 12), (FONT, FONT_SIZE + 4)))?;
            for tick in ticks(self.low, self.high) {
                let at = self.place(tick);
                area.draw(&PathElement::new(vec![(at, HEAD_PX), (at, bottom)], BLACK.mix(0.12)))?;
                area.draw(&Text::new(short(tick), (at, bottom + 14), text(HPos::Center, FONT_SIZE - 2)))?;
            }
            area.draw(&Text::new(x, ((self.left_px + RIGHT_PX) / 2, bottom + 40), text(HPos::Center, FONT_SIZE)))?;
            for (number, (name, value)) in rows.iter().enumerate() {
                let y = HEAD_PX + ROW_PX * number as i32 + ROW_PX / 2;
                area.draw(&Text::new(*name, (self.left_px - 12, y), text(HPos::Right, FONT_SIZE)))?;
                row(area, number, y)?;
                if let Some(value) = value {
                    area.draw(&Text::new(short(*value), (RIGHT_PX + 10, y), text(HPos::Left, FONT_SIZE)))?;
                }
            }
            Ok(())
        })
    }
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

    #[test]
    fn ticks_are_round_and_inside() {
        for (low, high) in [(0.21, 0.35), (-3.0, 41.0), (1e-4, 1.7e-4)] {
            let ticks = ticks(low, high);
            assert!((4..=12).contains(&ticks.len()), "{ticks:?}");
            assert!(ticks.iter().all(|t| (low..=high).contains(t)), "{ticks:?}");
        }
    }
}
