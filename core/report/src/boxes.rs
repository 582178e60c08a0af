//! How the values of several things are spread: a row for each, with a box over its middle half.

use crate::error::ReportError;
use crate::frame::Frame;
use crate::labels::inks;
use crate::plot::{MOST, refusal};
use plotters::prelude::*;
use std::path::Path;

/// Whiskers reach to the last value within so many heights of the box.
const REACH: f64 = 1.5;

/// Draws a box plot: a row for each name over one axis, in the order given. The box holds the middle half of the values, its line is
/// their median, which stands at the right, too; whiskers reach to the last value within one and a half boxes of it, what lies beyond is a
/// dot each, and the cross is the mean. `x` names the quantity.
///
/// # Errors
/// When there is no value that can be drawn, or the file cannot be written.
pub fn boxes(path: &Path, title: &str, x: &str, rows: &[(String, Vec<f64>)]) -> Result<(), ReportError> {
    let sorted: Vec<Vec<f64>> = rows
        .iter()
        .map(|(_, values)| {
            let mut values: Vec<f64> = values.iter().copied().filter(|v| v.abs() <= MOST).collect();
            values.sort_by(f64::total_cmp);
            values
        })
        .collect();
    let names = rows.iter().map(|(name, _)| name.as_str());
    let frame = Frame::new(names.clone(), sorted.iter().flatten().copied());
    let frame = frame.ok_or_else(|| refusal(path, "no value can be drawn"))?;
    let inks = inks(names.clone());
    let medians: Vec<(&str, Option<f64>)> = names.zip(&sorted).map(|(name, v)| (name, quantile(v, 0.5))).collect();
    frame.draw(path, [title, x], &medians, |area, row, y| {
        let (Some(values), Some(ink)) = (sorted.get(row), inks.get(row)) else { return Ok(()) };
        let quartiles = [0.25, 0.5, 0.75].map(|share| quantile(values, share));
        let [Some(first), Some(median), Some(third)] = quartiles else { return Ok(()) };
        let reach = REACH * (third - first);
        let is_near = |v: &f64| (first - reach..=third + reach).contains(v);
        let near = values.iter().copied().filter(is_near);
        let (low, high) = near.fold((first, third), |(l, h), v| (l.min(v), h.max(v)));
        let line = |from: f64, to: f64| PathElement::new(vec![(frame.place(from), y), (frame.place(to), y)], ink);
        area.draw(&line(low, first))?;
        area.draw(&line(third, high))?;
        area.draw(&Rectangle::new([(frame.place(first), y - 8), (frame.place(third), y + 8)], ink.mix(0.35).filled()))?;
        for value in values.iter().filter(|v| !is_near(v)) {
            area.draw(&Circle::new((frame.place(*value), y), 2, ink.mix(0.6).filled()))?;
        }
        let at = frame.place(median);
        area.draw(&Rectangle::new([(at - 1, y - 9), (at + 1, y + 9)], BLACK.filled()))?;
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        area.draw(&Cross::new((frame.place(mean), y), 4, BLACK.stroke_width(1)))?;
        Ok(())
    })
}

/// The value below which a share of sorted values lies, on the line between the two nearest; none of none.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let at = share * (sorted.len().checked_sub(1)?) as f64;
    let (below, above) = (sorted.get(at.floor() as usize)?, sorted.get(at.ceil() as usize)?);
    Some(below + (at - at.floor()) * (above - below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_the_nearest_values() {
        let values = [1.0, 2.0, 4.0, 8.0];
        for (share, expected) in [(0.0, 1.0), (0.25, 1.75), (0.5, 3.0), (0.75, 5.0), (1.0, 8.0)] {
            assert_eq!(quantile(&values, share), Some(expected));
        }
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[7.0], 0.25), Some(7.0));
    }

    #[test]
    fn a_box_holds_the_middle_half_and_what_is_far_off_is_a_dot() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.svg");
        let values: Vec<f64> = (0..=100).map(f64::from).chain([400.0, f64::NAN]).collect();
        let rows = [("wide".to_owned(), values), ("none".to_owned(), vec![]), ("even".to_owned(), vec![50.0; 5])];
        boxes(&path, "Title", "MI", &rows).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        assert!(["Title", "MI", "wide", "none", "even"].iter().all(|word| svg.contains(word)), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 1, "{svg}");
        let number = |rect: &str, name: &str| -> f64 {
            rect.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
        };
        // The paper, then of each row the box and the line of the median.
        let rects: Vec<(f64, f64)> =
            svg.split("<rect ").skip(2).map(|r| (number(r, "x"), number(r, "width"))).collect();
        let [(left, width), (median, _), (even, even_width), _] = rects[..] else { panic!("{rects:?}") };
        let middle = left + width / 2.0;
        assert!((middle - median - 1.0).abs() <= 1.5 && width > 50.0 && even_width == 0.0, "{rects:?}");
        assert!(even > left && even < left + width, "{rects:?}");
        assert!(boxes(&path, "T", "x", &[("none".to_owned(), vec![f64::INFINITY])]).is_err());
    }
}
