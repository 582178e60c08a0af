//! Curves and bars as SVG.

use crate::error::ReportError;
use crate::labels::{apart, inks, running_mean, short};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

/// A labelled line.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Written at the line's end. What stands before the first full stop is its family, which decides the hue.
    pub label: String,
    /// x, y; gaps are NaN.
    pub points: Vec<(f64, f64)>,
    /// Points whose mean makes one point of the line. Above 1 the values themselves are drawn faintly behind it, as long as
    /// the picture has few lines.
    pub mean_over: usize,
}

/// How values become lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences are equally long.
    Linear,
    /// Equal ratios are equally long; values of 0 and below have no place.
    Log,
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

const SIZE_PX: (u32, u32) = (840, 560);
pub(crate) const FONT: &str = "sans-serif";
/// Height of text. A picture is shown at half its width beside another one, so that this is less than it seems.
pub(crate) const TEXT_PX: i32 = 19;
/// What makes text of that height: plotters counts a font's size from its lowest to its highest point.
pub(crate) const FONT_SIZE: i32 = 23;
/// Distance of two labels.
const LABEL_PX: i32 = TEXT_PX + 3;
/// Length of the hairline from a line's end to its label.
const LEADER_PX: i32 = 22;
/// Pictures of up to so many lines show values behind their means.
const MOST_FAINT: usize = 3;

/// Values beyond this, and on a logarithmic scale below its inverse, have no place in a picture: the arithmetic of axes
/// overflows, and a search that comes near has failed long before.
pub(crate) const MOST: f64 = 1e30;

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(crate) type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Draws curves over a common x axis, each with its label and last value at its end.
///
/// # Errors
/// When no point can be drawn (finite, at most 1e30 in size, and at least 1e-30 on a logarithmic scale) or the file cannot
/// be written.
pub fn curves(path: &Path, chart: &Chart<'_>, list: &[Curve]) -> Result<(), ReportError> {
    let has_place =
        |(x, y): &(f64, f64)| x.abs() <= MOST && y.abs() <= MOST && (chart.scale == Scale::Linear || *y >= 1.0 / MOST);
    let lines: Vec<Line<'_>> = list.iter().map(|curve| Line::new(curve, list.len(), has_place)).collect();
    let points = || lines.iter().flat_map(|l| l.means.iter().chain(&l.faint)).flatten();
    let (Some(x), Some(y)) = (range(points().map(|p| p.0)), range(points().map(|p| p.1))) else {
        return Err(refusal(path, "no value can be drawn"));
    };
    let x = if is_wide(&x) { x } else { x.start..x.start + x.start.abs().max(1.0) };
    save(path, SIZE_PX, |area| match chart.scale {
        Scale::Linear => {
            // A single value stands in the middle.
            let free = if is_wide(&y) { 0.04 * (y.end - y.start) } else { 0.5 * y.start.abs().max(1e-3) };
            draw_curves(area, chart, x, y.start - free..y.end + free, &lines)
        }
        Scale::Log => draw_curves(area, chart, x, (y.start / 1.2..y.end * 1.2).log_scale(), &lines),
    })
}

/// Whether an axis can tell the ends of a range apart; ends that differ by rounding alone leave no room for steps.
fn is_wide(range: &std::ops::Range<f64>) -> bool {
    range.end - range.start > 1e-9 * range.start.abs().max(range.end.abs()).max(1e-3)
}

/// A curve ready to be drawn: stretches without gaps.
struct Line<'a> {
    label: &'a str,
    means: Vec<Vec<(f64, f64)>>,
    /// The values behind the means.
    faint: Vec<Vec<(f64, f64)>>,
}

impl<'a> Line<'a> {
    fn new(curve: &'a Curve, lines: usize, has_place: impl Fn(&(f64, f64)) -> bool + Copy) -> Self {
        let stretches = |points: &[(f64, f64)]| -> Vec<Vec<(f64, f64)>> {
            points.split(|p| !has_place(p)).filter(|s| !s.is_empty()).map(<[_]>::to_vec).collect()
        };
        let with_faint = curve.mean_over > 1 && lines <= MOST_FAINT;
        Line {
            label: &curve.label,
            means: stretches(&running_mean(&curve.points, curve.mean_over)),
            faint: if with_faint { stretches(&curve.points) } else { Vec::new() },
        }
    }

    /// Where the line ends.
    fn end(&self) -> Option<(f64, f64)> {
        self.means.last()?.last().copied()
    }

    /// The label with the value that the line ends at.
    fn text(&self) -> String {
        self.end().map_or_else(|| self.label.to_owned(), |(_, y)| format!("{}  {}", self.label, short(y)))
    }
}

fn draw_curves<Y>(area: &Area<'_>, chart: &Chart<'_>, x: std::ops::Range<f64>, y: Y, lines: &[Line<'_>]) -> Drawn
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let texts: Vec<String> = lines.iter().map(Line::text).collect();
    let longest = texts.iter().map(|t| t.chars().count()).max().unwrap_or(0) as i32;
    // A character of this font is a little wider than half its height.
    let right_px = LEADER_PX + 18 + longest * TEXT_PX * 14 / 25;
    let mut plot = ChartBuilder::on(area)
        .caption(chart.title, (FONT, FONT_SIZE + 4))
        .margin(10)
        .margin_right(right_px)
        .x_label_area_size(60)
        .y_label_area_size(92)
        .build_cartesian_2d(x, y)?;
    plot.configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .axis_style(BLACK.mix(0.5))
        .x_labels(6)
        .y_labels(8)
        .x_label_formatter(&|v| short(*v))
        .y_label_formatter(&|v| short(*v))
        .label_style((FONT, FONT_SIZE))
        .axis_desc_style((FONT, FONT_SIZE))
        .x_desc(chart.x)
        .y_desc(chart.y)
        .draw()?;
    let inks = inks(lines.iter().map(|l| l.label));
    let mut ends = Vec::new();
    for ((line, text), ink) in lines.iter().zip(&texts).zip(&inks) {
        for stretch in &line.faint {
            plot.draw_series(LineSeries::new(stretch.iter().copied(), ink.mix(0.35)))?;
        }
        for stretch in &line.means {
            // A lone point is no line.
            let size = if stretch.len() == 1 { 3 } else { 0 };
            let style = ShapeStyle { color: ink.to_rgba(), filled: size > 0, stroke_width: 3 };
            plot.draw_series(LineSeries::new(stretch.iter().copied(), style).point_size(size))?;
        }
        ends.extend(line.end().map(|end| (plot.backend_coord(&end), text, ink)));
    }
    ends.sort_by_key(|end| end.0.1);
    let wanted: Vec<i32> = ends.iter().map(|end| end.0.1).collect();
    let places = apart(&wanted, LABEL_PX, [TEXT_PX + 20, SIZE_PX.1 as i32 - 40]);
    let labels_px = SIZE_PX.0 as i32 - right_px + LEADER_PX - 6;
    for ((end, text, ink), place) in ends.into_iter().zip(places) {
        area.draw(&PathElement::new(vec![end, (labels_px - 4, place)], ink.mix(0.7)))?;
        let style = (FONT, FONT_SIZE).into_font().color(ink).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(text.as_str(), (labels_px, place), style))?;
    }
    Ok(())
}

/// Smallest to largest; none of nothing.
fn range(values: impl Iterator<Item = f64>) -> Option<std::ops::Range<f64>> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    (low <= high).then_some(low..high)
}

/// Draws horizontal bars, longest first, each with its value.
///
/// # Errors
/// When there is no value above 0 or the file cannot be written.
pub fn bars(path: &Path, title: &str, list: &[(String, f64)]) -> Result<(), ReportError> {
    let inks = inks(list.iter().map(|(name, _)| name.as_str()));
    let mut sorted: Vec<(&(String, f64), HSLColor)> =
        list.iter().zip(inks).filter(|((_, v), _)| v.is_finite()).collect();
    sorted.sort_by(|a, b| b.0.1.total_cmp(&a.0.1));
    let longest = sorted.first().map(|((_, v), _)| *v).filter(|v| *v > 0.0);
    let longest = longest.ok_or_else(|| refusal(path, "no value above 0"))?;
    let named = sorted.iter().map(|((name, _), _)| name.chars().count()).max().unwrap_or(0) as i32;
    let left_px = 32 + named * TEXT_PX * 14 / 25;
    let room_px = f64::from(SIZE_PX.0 as i32 - left_px - 100);
    let row_px = TEXT_PX + 10;
    save(path, (SIZE_PX.0, (62 + row_px * sorted.len() as i32) as u32), |area| {
        area.draw(&Text::new(title, (16, 12), (FONT, FONT_SIZE + 4)))?;
        for (row, ((name, value), ink)) in sorted.iter().enumerate() {
            let top = 48 + row_px * row as i32;
            let end = left_px + (room_px * (value.max(0.0) / longest)).round() as i32;
            let text = |side| (FONT, FONT_SIZE).into_font().color(&BLACK).pos(Pos::new(side, VPos::Center));
            let middle = top + row_px / 2;
            area.draw(&Text::new(name.as_str(), (left_px - 12, middle), text(HPos::Right)))?;
            area.draw(&Rectangle::new([(left_px, top + 3), (end, top + row_px - 4)], ink.filled()))?;
            area.draw(&Text::new(short(*value), (end + 8, middle), text(HPos::Left)))?;
        }
        Ok(())
    })
}

/// Draws the same quantities of several runs side by side: one row a quantity, one bar a run, each with its value. `labels` are those of
/// the runs, in the order of the values; NaN where a run has none.
///
/// # Errors
/// When there is no value above 0 or the file cannot be written.
pub fn grouped_bars(path: &Path, title: &str, labels: &[&str], rows: &[(String, Vec<f64>)]) -> Result<(), ReportError> {
    let longest = rows.iter().flat_map(|(_, values)| values).copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
    if longest <= 0.0 || longest > MOST {
        return Err(refusal(path, "no value above 0"));
    }
    let inks = inks(labels.iter().copied());
    let named = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0) as i32;
    let left_px = 32 + named * TEXT_PX * 14 / 25;
    let room_px = f64::from(SIZE_PX.0 as i32 - left_px - 100);
    let (bar_px, gap_px) = (TEXT_PX - 2, 10);
    let row_px = bar_px * labels.len() as i32 + gap_px;
    let head_px = 48 + LABEL_PX * labels.len() as i32;
    let height_px = head_px + row_px * rows.len() as i32 + 14;
    save(path, (SIZE_PX.0, height_px as u32), |area| {
        let text = |side| (FONT, FONT_SIZE).into_font().color(&BLACK).pos(Pos::new(side, VPos::Center));
        area.draw(&Text::new(title, (16, 12), (FONT, FONT_SIZE + 4)))?;
        for (run, (label, ink)) in labels.iter().zip(&inks).enumerate() {
            let middle = 52 + LABEL_PX * run as i32;
            area.draw(&Rectangle::new([(left_px, middle - 7), (left_px + 22, middle + 7)], ink.filled()))?;
            area.draw(&Text::new(*label, (left_px + 30, middle), text(HPos::Left)))?;
        }
        for (row, (name, values)) in rows.iter().enumerate() {
            let top = head_px + row_px * row as i32;
            area.draw(&Text::new(name.as_str(), (left_px - 12, top + (row_px - gap_px) / 2), text(HPos::Right)))?;
            for (run, (value, ink)) in values.iter().zip(&inks).enumerate().filter(|(_, (v, _))| v.is_finite()) {
                let top = top + bar_px * run as i32;
                let end = left_px + (room_px * (value.max(0.0) / longest)).round() as i32;
                area.draw(&Rectangle::new([(left_px, top + 1), (end, top + bar_px - 1)], ink.filled()))?;
                let small = (FONT, FONT_SIZE - 5).into_font().color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center));
                area.draw(&Text::new(short(*value), (end + 8, top + bar_px / 2), small))?;
            }
        }
        Ok(())
    })
}

/// Draws on white and writes the file aside.
pub(crate) fn save(path: &Path, size_px: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<(), ReportError> {
    let mut svg = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut svg, size_px).into_drawing_area();
        let all = || -> Drawn {
            area.fill(&WHITE)?;
            draw(&area)?;
            Ok(area.present()?)
        };
        all()
    };
    drawn.map_err(|e| ReportError::Plot { path: path.to_owned(), message: e.to_string() })?;
    caf_file::write(path, svg.as_bytes()).map_err(ReportError::io("write", path))
}

pub(crate) fn refusal(path: &Path, why: &str) -> ReportError {
    ReportError::Plot { path: path.to_owned(), message: format!("nothing to draw: {why}") }
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
        let list = [curve("one", &[(0.0, 0.5), (1.0, f64::NAN), (2.0, 1.0), (3.0, 2.0)]), curve("two", &[(3.0, 0.5)])];
        for scale in [Scale::Linear, Scale::Log] {
            curves(&path, &Chart { scale, ..CHART }, &list).unwrap();
            let svg = std::fs::read_to_string(&path).unwrap();
            for word in ["A title", "steps", "metres", "one  2", "two  0.5"] {
                assert!(svg.contains(word), "{word}: {svg}");
            }
            // The first of `one` and the only point of `two` are lone points.
            assert_eq!(svg.matches("<circle").count(), 2, "{svg}");
        }
    }

    #[test]
    fn bars_are_ordered_and_scaled() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.svg");
        bars(&path, "T", &[("small".to_owned(), 1.0), ("large".to_owned(), 2.0)]).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        assert!(svg.find("large").unwrap() < svg.find("small").unwrap());
        let width =
            |bar: &str| -> f64 { bar.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap() };
        // The first rectangle is the paper.
        let widths: Vec<f64> = svg.split("<rect").skip(2).map(width).collect();
        assert!(widths.len() == 2 && (widths[0] - 2.0 * widths[1]).abs() <= 1.0, "{widths:?}");
    }

    #[test]
    fn bars_of_runs_stand_in_rows_and_share_one_scale() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("g.svg");
        let rows = [("ssim.ir".to_owned(), vec![0.5, 0.25]), ("l1.vi".to_owned(), vec![f64::NAN, 0.125])];
        grouped_bars(&path, "T", &["detection", "segmentation"], &rows).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        assert!(["detection", "segmentation", "ssim.ir", "l1.vi"].iter().all(|word| svg.contains(word)), "{svg}");
        let width =
            |bar: &str| -> f64 { bar.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap() };
        // Paper, two keys of the legend, then three bars; the missing one is not drawn.
        let widths: Vec<f64> = svg.split("<rect").skip(4).map(width).collect();
        assert!(widths.len() == 3 && (widths[0] - 2.0 * widths[1]).abs() <= 1.0, "{widths:?}");
        assert!((widths[1] - 2.0 * widths[2]).abs() <= 1.0, "{widths:?}");
        assert!(grouped_bars(&path, "T", &["a"], &[("x".to_owned(), vec![f64::NAN])]).is_err());
        assert!(grouped_bars(&path, "T", &["a"], &[("x".to_owned(), vec![f64::MAX])]).is_err());
    }

    #[test]
    fn extreme_values_make_a_picture_or_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.svg");
        let near = 1.0 + f64::EPSILON;
        let values = [1e308, -1e308, f64::MAX, 5e-324, -5e-324, 0.0, 1e-30, 1e30, near * 1e30, 1.0, near, 3e-310];
        let (mut pictures, mut refused) = (0, 0);
        let mut draw = |scale, points: &[(f64, f64)], mean_over| {
            let list = [Curve { label: "x".to_owned(), points: points.to_vec(), mean_over }];
            match curves(&path, &Chart { scale, ..CHART }, &list) {
                Ok(()) => pictures += 1,
                Err(ReportError::Plot { .. }) => refused += 1,
                Err(other) => panic!("{points:?}: {other}"),
            }
        };
        for (a, b) in values.iter().flat_map(|a| values.iter().map(move |b| (*a, *b))) {
            for scale in [Scale::Linear, Scale::Log] {
                draw(scale, &[(0.0, a), (1.0, b), (2.0, a)], 1);
                draw(scale, &[(0.0, a), (1.0, b), (2.0, a)], 3);
                draw(scale, &[(a, 1.0), (b, 2.0)], 1);
            }
            if a > 0.0 {
                bars(&path, "T", &[("a".to_owned(), a), ("b".to_owned(), b)]).unwrap();
            }
        }
        assert!(pictures > 200 && refused > 100, "{pictures} {refused}");
        // One value beyond all others costs itself, not the picture.
        curves(&path, &CHART, &[curve("x", &[(0.0, 1.0), (1.0, 1e308), (2.0, 3.0)])]).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().contains("x  3"));
    }

    #[test]
    fn nothing_finite_is_an_error_not_an_empty_picture() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.svg");
        let refused = |chart: &Chart<'_>, y| curves(&path, chart, &[curve("x", &[(0.0, y)])]).unwrap_err();
        assert!(matches!(refused(&CHART, f64::NAN), ReportError::Plot { .. }));
        assert!(matches!(refused(&Chart { scale: Scale::Log, ..CHART }, 0.0), ReportError::Plot { .. }));
        assert!(bars(&path, "T", &[("x".to_owned(), 0.0)]).is_err());
        assert!(!path.exists());
    }
}
