//! Curves and bars as SVG.

use crate::error::SearchError;
use crate::file::write_text;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::Path;

/// A labelled line.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Shown in the legend.
    pub label: String,
    /// x, y; gaps are NaN.
    pub points: Vec<(f64, f64)>,
}

const SIZE: (u32, u32) = (960, 540);
const FONT: &str = "sans-serif";

/// Seventeen colours that differ in hue or lightness, so that every term has one of its own.
fn colour(index: usize, count: usize) -> HSLColor {
    let hue = index as f64 / count.max(1) as f64;
    HSLColor(hue, 0.65, if index.is_multiple_of(2) { 0.40 } else { 0.56 })
}

/// Draws curves over a common x axis, labels sorted by their last value so that the legend reads like the right edge.
///
/// # Errors
/// When no point is finite or the file cannot be written.
pub fn curves(path: &Path, title: &str, x_label: &str, y_label: &str, list: &[Curve]) -> Result<(), SearchError> {
    let finite: Vec<(f64, f64)> =
        list.iter().flat_map(|c| &c.points).copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let refuse = |message: String| SearchError::Plot { path: path.to_owned(), message };
    let range = |pick: fn(&(f64, f64)) -> f64| {
        let low = finite.iter().map(pick).fold(f64::INFINITY, f64::min);
        let high = finite.iter().map(pick).fold(f64::NEG_INFINITY, f64::max);
        (low <= high).then_some((low, high))
    };
    let (Some((x0, x1)), Some((y0, y1))) = (range(|p| p.0), range(|p| p.1)) else {
        return Err(refuse("nothing to draw: no value is finite".to_owned()));
    };
    let margin = if y1 > y0 { 0.05 * (y1 - y0) } else { 0.5 * y1.abs().max(1e-3) };
    let x_end = if x1 > x0 { x1 } else { x0 + 1.0 };
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut order: Vec<(usize, &Curve)> = list.iter().enumerate().collect();
        let last = |c: &Curve| c.points.iter().rev().map(|p| p.1).find(|y| y.is_finite()).unwrap_or(f64::NEG_INFINITY);
        order.sort_by(|a, b| last(b.1).total_cmp(&last(a.1)));
        draw_curves(&area, title, [x_label, y_label], (x0..x_end, y0 - margin..y1 + margin), &order)
            .map_err(|e| refuse(e.to_string()))?;
    }
    write_text(path, &svg)
}

fn draw_curves(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    [x_label, y_label]: [&str; 2],
    (x, y): (std::ops::Range<f64>, std::ops::Range<f64>),
    list: &[(usize, &Curve)],
) -> Result<(), Box<dyn std::error::Error>> {
    area.fill(&WHITE)?;
    let (left, right) = area.split_horizontally(SIZE.0 - 190);
    let mut chart = ChartBuilder::on(&left)
        .caption(title, (FONT, 20))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(64)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .x_desc(x_label)
        .y_desc(y_label)
        .light_line_style(WHITE)
        .axis_desc_style((FONT, 15))
        .draw()?;
    for (row, (index, curve)) in list.iter().enumerate() {
        let style = colour(*index, list.len()).stroke_width(2);
        for run in curve.points.split(|(x, y)| !x.is_finite() || !y.is_finite()).filter(|run| !run.is_empty()) {
            chart.draw_series(LineSeries::new(run.iter().copied(), style))?;
        }
        let top = 48 + 22 * row as i32;
        right.draw(&PathElement::new(vec![(0, top), (22, top)], colour(*index, list.len()).stroke_width(3)))?;
        right.draw(&Text::new(curve.label.clone(), (28, top - 7), (FONT, 14)))?;
    }
    area.present()?;
    Ok(())
}

/// Draws horizontal bars, longest first, each with its value.
///
/// # Errors
/// When there is no finite value or the file cannot be written.
pub fn bars(path: &Path, title: &str, unit: &str, list: &[(String, f64)]) -> Result<(), SearchError> {
    let mut sorted: Vec<&(String, f64)> = list.iter().filter(|(_, v)| v.is_finite()).collect();
    sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
    let refuse = |message: String| SearchError::Plot { path: path.to_owned(), message };
    let longest = sorted.first().map(|(_, v)| v.abs()).filter(|v| *v > 0.0);
    let longest = longest.ok_or_else(|| refuse("nothing to draw: no value above 0".to_owned()))?;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (SIZE.0, 84 + 26 * sorted.len() as u32)).into_drawing_area();
        draw_bars(&area, title, unit, longest, &sorted, list).map_err(|e| refuse(e.to_string()))?;
    }
    write_text(path, &svg)
}

fn draw_bars(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    unit: &str,
    longest: f64,
    sorted: &[&(String, f64)],
    list: &[(String, f64)],
) -> Result<(), Box<dyn std::error::Error>> {
    area.fill(&WHITE)?;
    area.draw(&Text::new(format!("{title} ({unit})"), (20, 16), (FONT, 20)))?;
    for (row, (name, value)) in sorted.iter().enumerate() {
        let top = 52 + 26 * row as i32;
        let length = (640.0 * value.max(0.0) / longest).round() as i32;
        let index = list.iter().position(|(n, _)| n == name).unwrap_or(row);
        area.draw(&Text::new(name.clone(), (20, top + 3), (FONT, 15)))?;
        area.draw(&Rectangle::new([(160, top), (160 + length, top + 20)], colour(index, list.len()).filled()))?;
        area.draw(&Text::new(format!("{value:.4}"), (170 + length, top + 3), (FONT, 14)))?;
    }
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_and_label_is_in_the_picture() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.svg");
        let list: Vec<Curve> = ["one", "two"]
            .iter()
            .enumerate()
            .map(|(i, l)| Curve {
                label: (*l).to_owned(),
                points: vec![(0.0, i as f64), (1.0, f64::NAN), (2.0, 1.0), (3.0, 2.0)],
            })
            .collect();
        curves(&path, "A title", "steps", "units", &list).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        for word in ["A title", "steps", "units", "one", "two", "polyline"] {
            assert!(svg.contains(word), "{word}");
        }
    }

    #[test]
    fn bars_are_ordered_and_scaled() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.svg");
        bars(&path, "T", "u", &[("small".to_owned(), 1.0), ("large".to_owned(), 2.0)]).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        assert!(svg.find("large").unwrap() < svg.find("small").unwrap());
        assert!(svg.contains("width=\"640\"") && svg.contains("width=\"320\""), "{svg}");
    }

    #[test]
    fn nothing_finite_is_an_error_not_an_empty_picture() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.svg");
        let list = [Curve { label: "x".to_owned(), points: vec![(0.0, f64::NAN)] }];
        assert!(matches!(curves(&path, "t", "x", "y", &list), Err(SearchError::Plot { .. })));
        assert!(!path.exists());
    }
}
