//! Curves and bars.

use super::axis::{Axis, Scale};
use super::svg::{Anchor, CHARACTER_PX, Look, Picture, Point, TEXT_PX, looks};
use crate::error::SearchError;
use crate::file::write_text;
use std::path::Path;

/// A labelled line.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Written at the line's end. What stands before the first full stop decides the colour.
    pub label: String,
    /// x, y; gaps are NaN.
    pub points: Vec<(f64, f64)>,
    /// Points whose mean makes one point of the line. Above 1 the values themselves are drawn faintly behind it, as long as
    /// the picture has few lines.
    pub mean_over: usize,
}

/// What a picture of curves says beside its lines.
#[derive(Clone, Copy, Debug)]
pub struct Chart<'a> {
    /// What is seen.
    pub title: &'a str,
    /// Quantity along the bottom.
    pub x: &'a str,
    /// Quantity along the left, with its unit where it has one.
    pub y: &'a str,
    /// How the values at the left become lengths.
    pub scale: Scale,
}

const SIZE: [f64; 2] = [840.0, 560.0];
const TOP_PX: f64 = 48.0;
const BOTTOM_PX: f64 = SIZE[1] - 66.0;
const LEFT_PX: f64 = 92.0;
/// Length of the hairline from a line's end to its label.
const LEADER_PX: f64 = 22.0;
/// Distance of two labels.
const LABEL_PX: f64 = TEXT_PX + 3.0;
/// Pictures of up to so many lines show values behind their means.
const MOST_FAINT: usize = 3;

/// Draws curves over a common x axis, each with its label and last value at its end.
///
/// # Errors
/// When no point is finite (and above 0 on a logarithmic scale) or the file cannot be written.
pub fn curves(path: &Path, chart: &Chart<'_>, list: &[Curve]) -> Result<(), SearchError> {
    let svg = curves_svg(chart, list).ok_or_else(|| nothing(path, "no value is finite"))?;
    write_text(path, &svg)
}

fn nothing(path: &Path, why: &str) -> SearchError {
    SearchError::Plot { path: path.to_owned(), message: format!("nothing to draw: {why}") }
}

fn curves_svg(chart: &Chart<'_>, list: &[Curve]) -> Option<String> {
    let means: Vec<Vec<(f64, f64)>> = list.iter().map(|c| running_mean(&c.points, c.mean_over)).collect();
    let with_faint = |curve: &Curve| curve.mean_over > 1 && list.len() <= MOST_FAINT;
    let drawn = || list.iter().filter(|c| with_faint(c)).map(|c| &c.points).chain(&means).flatten();
    let texts: Vec<String> = list.iter().zip(&means).map(|(c, mean)| end_text(&c.label, mean)).collect();
    let longest = texts.iter().map(|t| t.chars().count()).max().unwrap_or(0);
    let right_px = SIZE[0] - LEADER_PX - 18.0 - CHARACTER_PX * longest as f64;
    let x = Axis::around(drawn().map(|p| p.0), Scale::Linear, 0.0, [LEFT_PX, right_px])?;
    let y = Axis::around(drawn().map(|p| p.1), chart.scale, 0.04, [BOTTOM_PX, TOP_PX])?;

    let mut picture = Picture::new(SIZE, chart.title);
    frame(&mut picture, chart, &x, &y, right_px);
    let looks = looks(list.iter().map(|c| c.label.as_str()));
    let mut ends: Vec<(Point, &str, Look)> = Vec::new();
    let lines = list.iter().zip(&means).zip(&texts).zip(&looks);
    for (((curve, mean), text), look) in lines {
        if with_faint(curve) {
            stroke(&mut picture, &curve.points, [&x, &y], Look { dashes: "", ..*look }, [1.2, 0.35], text);
        }
        if let Some(end) = stroke(&mut picture, mean, [&x, &y], *look, [2.6, 1.0], text) {
            ends.push((end, text, *look));
        }
    }
    label(&mut picture, ends, right_px);
    Some(picture.finish())
}

/// Grid, axes, their values and names.
fn frame(picture: &mut Picture, chart: &Chart<'_>, x: &Axis, y: &Axis, right_px: f64) {
    for (value, text) in y.ticks(8) {
        if let Some(at) = y.px(value) {
            picture.rule("grid", [LEFT_PX, at], [right_px, at]);
            picture.text([LEFT_PX - 10.0, at + 0.35 * TEXT_PX], Anchor::End, None, &text);
        }
    }
    for (value, text) in x.ticks(6) {
        if let Some(at) = x.px(value) {
            picture.rule("axis", [at, BOTTOM_PX], [at, BOTTOM_PX + 6.0]);
            picture.text([at, BOTTOM_PX + 10.0 + TEXT_PX], Anchor::Middle, None, &text);
        }
    }
    picture.rule("axis", [LEFT_PX, BOTTOM_PX], [right_px, BOTTOM_PX]);
    picture.axis_name([(LEFT_PX + right_px) / 2.0, SIZE[1] - 12.0], false, chart.x);
    picture.axis_name([TEXT_PX + 4.0, (TOP_PX + BOTTOM_PX) / 2.0], true, chart.y);
}

/// Draws a line, interrupted at gaps; a lone point becomes a short dash. Returns where it ends.
fn stroke(
    picture: &mut Picture,
    points: &[(f64, f64)],
    [x, y]: [&Axis; 2],
    look: Look,
    [width, opacity]: [f64; 2],
    name: &str,
) -> Option<Point> {
    let places: Vec<Option<Point>> = points.iter().map(|(a, b)| Some([x.px(*a)?, y.px(*b)?])).collect();
    for run in places.split(Option::is_none) {
        match run.iter().flatten().copied().collect::<Vec<Point>>().as_slice() {
            [] => {}
            [[px, py]] => picture.path(&[[px - 3.0, *py], [px + 3.0, *py]], look, width, opacity, name),
            line => picture.path(line, look, width, opacity, name),
        }
    }
    places.iter().rev().flatten().next().copied()
}

/// Writes the labels at the right edge in the order of the ends, moved apart so that each can be read.
fn label(picture: &mut Picture, mut ends: Vec<(Point, &str, Look)>, right_px: f64) {
    ends.sort_by(|a, b| a.0[1].total_cmp(&b.0[1]));
    let wanted: Vec<f64> = ends.iter().map(|end| end.0[1]).collect();
    let places = apart(&wanted, LABEL_PX, [TOP_PX, BOTTOM_PX + 2.0 * LABEL_PX]);
    for ((end, text, look), at) in ends.into_iter().zip(places) {
        picture.path(&[end, [right_px + LEADER_PX - 4.0, at]], Look { dashes: "", ..look }, 1.0, 0.7, text);
        picture.text([right_px + LEADER_PX, at + 0.35 * TEXT_PX], Anchor::Start, Some(look.colour), text);
    }
}

/// Sorted places moved as little as needed to lie at least `gap` apart, between `low` and `high` as far as there is room.
fn apart(wanted: &[f64], gap: f64, [low, high]: [f64; 2]) -> Vec<f64> {
    let mut places: Vec<f64> = Vec::with_capacity(wanted.len());
    for want in wanted {
        places.push(places.last().map_or(want.max(low), |last| want.max(last + gap)));
    }
    let mut below = high + gap;
    for place in places.iter_mut().rev() {
        *place = place.min(below - gap);
        below = *place;
    }
    places
}

/// A label with the value that the line ends at.
fn end_text(label: &str, points: &[(f64, f64)]) -> String {
    match points.iter().rev().map(|p| p.1).find(|y| y.is_finite()) {
        Some(last) => format!("{label}  {}", short(last)),
        None => label.to_owned(),
    }
}

/// Three significant digits.
fn short(value: f64) -> String {
    let decimals = (2.0 - value.abs().max(1e-9).log10().floor()).clamp(0.0, 4.0) as usize;
    format!("{value:.decimals$}")
}

/// The mean of each point and those before it, `over` in all. Gaps stay gaps and count in no mean.
fn running_mean(points: &[(f64, f64)], over: usize) -> Vec<(f64, f64)> {
    let at = |i: usize, x: f64, y: f64| {
        let window = points.get((i + 1).saturating_sub(over.max(1))..=i).unwrap_or_default();
        let finite: Vec<f64> = window.iter().map(|p| p.1).filter(|v| v.is_finite()).collect();
        let mean = finite.iter().sum::<f64>() / finite.len().max(1) as f64;
        (x, if y.is_finite() { mean } else { f64::NAN })
    };
    points.iter().enumerate().map(|(i, (x, y))| at(i, *x, *y)).collect()
}

/// Draws horizontal bars, longest first, each with its value.
///
/// # Errors
/// When there is no value above 0 or the file cannot be written.
pub fn bars(path: &Path, title: &str, list: &[(String, f64)]) -> Result<(), SearchError> {
    let looks = looks(list.iter().map(|(name, _)| name.as_str()));
    let mut sorted: Vec<(&(String, f64), Look)> = list.iter().zip(looks).filter(|((_, v), _)| v.is_finite()).collect();
    sorted.sort_by(|a, b| b.0.1.total_cmp(&a.0.1));
    let longest = sorted.first().map(|((_, v), _)| *v).filter(|v| *v > 0.0);
    let longest = longest.ok_or_else(|| nothing(path, "no value above 0"))?;
    let named = sorted.iter().map(|((name, _), _)| name.chars().count()).max().unwrap_or(0);
    let left = 32.0 + CHARACTER_PX * named as f64;
    let room = SIZE[0] - left - 100.0;
    let row_px = TEXT_PX + 10.0;
    let mut picture = Picture::new([SIZE[0], TOP_PX + 14.0 + row_px * sorted.len() as f64], title);
    for (row, ((name, value), look)) in sorted.iter().enumerate() {
        let top = TOP_PX + row_px * row as f64;
        let length = room * value.max(0.0) / longest;
        picture.text([left - 12.0, top + TEXT_PX], Anchor::End, None, name);
        picture.bar([left, top + 3.0], [length, row_px - 7.0], look.colour);
        picture.text([left + length + 8.0, top + TEXT_PX], Anchor::Start, None, &short(*value));
    }
    write_text(path, &picture.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(label: &str, points: &[(f64, f64)]) -> Curve {
        Curve { label: label.to_owned(), points: points.to_vec(), mean_over: 1 }
    }

    const CHART: Chart<'_> = Chart { title: "A title", x: "steps", y: "metres", scale: Scale::Linear };

    #[test]
    fn every_curve_label_and_axis_is_in_the_picture() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.svg");
        let list = [curve("one", &[(0.0, 0.0), (1.0, f64::NAN), (2.0, 1.0), (3.0, 2.0)]), curve("two", &[(3.0, 0.5)])];
        curves(&path, &CHART, &list).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        for word in ["A title", ">steps<", ">metres<", ">one  2.00<", ">two  0.500<", ">1.5<"] {
            assert!(svg.contains(word), "{word}: {svg}");
        }
        // Two runs of `one` (the first a lone point), one of `two`, and two hairlines.
        assert_eq!(svg.matches("stroke-opacity").count(), 5, "{svg}");
    }

    #[test]
    fn labels_keep_their_order_and_distance_inside_the_picture() {
        for (wanted, expected) in [
            (vec![10.0, 50.0], vec![10.0, 50.0]),
            (vec![10.0, 12.0, 13.0], vec![10.0, 20.0, 30.0]),
            (vec![95.0, 97.0, 99.0], vec![80.0, 90.0, 100.0]),
            (vec![-5.0, 50.0], vec![0.0, 50.0]),
        ] {
            assert_eq!(apart(&wanted, 10.0, [0.0, 100.0]), expected);
        }
    }

    #[test]
    fn running_means_leave_gaps_and_do_not_look_ahead() {
        let mean = running_mean(&[(0.0, 1.0), (1.0, 3.0), (2.0, f64::NAN), (3.0, 5.0)], 2);
        assert_eq!((mean[0].1, mean[1].1, mean[3].1), (1.0, 2.0, 5.0));
        assert!(mean[2].1.is_nan());
    }

    #[test]
    fn bars_are_ordered_and_scaled() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.svg");
        bars(&path, "T", &[("small".to_owned(), 1.0), ("large".to_owned(), 2.0)]).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        assert!(svg.find("large").unwrap() < svg.find("small").unwrap());
        let widths: Vec<f64> = svg
            .split("<rect x=")
            .skip(1)
            .map(|bar| bar.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect();
        assert!((widths[0] - 2.0 * widths[1]).abs() < 0.2, "{widths:?}");
    }

    #[test]
    fn nothing_finite_is_an_error_not_an_empty_picture() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.svg");
        let refused = |chart: &Chart<'_>, y| curves(&path, chart, &[curve("x", &[(0.0, y)])]).unwrap_err();
        assert!(matches!(refused(&CHART, f64::NAN), SearchError::Plot { .. }));
        assert!(matches!(refused(&Chart { scale: Scale::Log, ..CHART }, 0.0), SearchError::Plot { .. }));
        assert!(bars(&path, "T", &[("x".to_owned(), 0.0)]).is_err());
        assert!(!path.exists());
    }
}
