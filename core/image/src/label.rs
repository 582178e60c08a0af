//! Labelled boxes, relative to the image as on disk, and label files in the form of YOLO.
//!
//! A line is `class cx cy w h`, or `class x1 y1 x2 y2 x3 y3 …` for an outline, which becomes its box. What labelling tools and
//! converters really write is read: classes as `0.0`, edges a rounding outside the image, boxes that reach over its edge (cut and
//! counted; refused where less than half is left), the same line twice (once and counted).

use std::fmt::{self, Write as _};

use caf_geometry::{Cxcywh, Size, Xyxy};
use serde::{Deserialize, Serialize};

use crate::raster::Gray8;

/// How far a box edge may lie outside \[0,1\] before the box counts as reaching over the image's edge: about one pixel of a
/// 500-pixel image, which is what rounding to whole pixels and to a few digits can produce.
pub const EDGE_TOLERANCE: f64 = 2e-3;

/// A box of which a smaller share than this lies in the image is refused: it is more likely in other units, or of another image.
pub const LEAST_SHARE_INSIDE: f64 = 0.5;

/// Class numbers are below this: tables of classes by classes are kept in memory.
pub const MAX_CLASSES: u32 = 4096;

/// A box as YOLO label files hold it: centre and size relative to the image, all in \[0,1\].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// Index into the data set's class names.
    pub class: u32,
    /// Centre, relative to the width.
    pub cx: f32,
    /// Centre, relative to the height.
    pub cy: f32,
    /// Width, relative to the width; above 0.
    pub w: f32,
    /// Height, relative to the height; above 0.
    pub h: f32,
}

impl Label {
    /// The label of a box in pixels of an image of this size.
    #[must_use]
    pub fn from_pixels(class: u32, bounds: Xyxy, image: Size) -> Self {
        let Cxcywh { cx, cy, w, h } = Cxcywh::from(bounds).to_fractions(image);
        Self { class, cx, cy, w, h }
    }

    /// The box in pixels of an image of this size.
    #[must_use]
    pub fn to_pixels(&self, image: Size) -> Xyxy {
        Xyxy::from(Cxcywh::new(self.cx, self.cy, self.w, self.h).to_pixels(image))
    }
}

/// An object's outline.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// Index into the data set's class names.
    pub class: u32,
    /// Corners in order, each x relative to the width and y relative to the height, as written.
    pub points: Vec<[f64; 2]>,
}

/// What was set right while label files were read; said once for all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LabelNotes {
    /// Lines that say what another line of their file says; dropped.
    pub duplicates: usize,
    /// Boxes that reach over the edge of their image; cut there.
    pub clipped: usize,
    /// Outlines, read as their boxes.
    pub outlines: usize,
}

impl LabelNotes {
    /// Adds those of another file.
    pub fn add(&mut self, other: Self) {
        self.duplicates += other.duplicates;
        self.clipped += other.clipped;
        self.outlines += other.outlines;
    }

    /// Whether nothing had to be set right.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// `2 repeated lines dropped, 1 box cut at the edge of its image, 3 outlines read as their boxes`.
impl fmt::Display for LabelNotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |n: usize, one: &str, many: &str| (n > 0).then(|| format!("{n} {}", if n == 1 { one } else { many }));
        let said = [
            one(self.duplicates, "repeated line dropped", "repeated lines dropped"),
            one(self.clipped, "box cut at the edge of its image", "boxes cut at the edge of their images"),
            one(self.outlines, "outline read as its box", "outlines read as their boxes"),
        ];
        f.write_str(&said.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// A line that is no label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct LineProblem {
    /// Line number, from 1.
    pub line: usize,
    /// What the line should hold.
    pub expected: String,
    /// What it holds.
    pub found: String,
}

/// The content of a label file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LabelFile {
    /// The boxes, each inside the image.
    pub labels: Vec<Label>,
    /// The outlines among them.
    pub outlines: Vec<Outline>,
    /// What was set right.
    pub notes: LabelNotes,
    /// Bad lines.
    pub problems: Vec<LineProblem>,
}

impl LabelFile {
    /// Reads the text of a label file; empty lines are allowed. `class_count` of `None` leaves class numbers below
    /// [`MAX_CLASSES`] unchecked.
    #[must_use]
    pub fn parse(text: &str, class_count: Option<usize>) -> Self {
        let mut file = Self::default();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            if let Err((expected, found)) = file.add(line, class_count) {
                file.problems.push(LineProblem { line: index + 1, expected, found });
            }
        }
        file
    }

    fn add(&mut self, line: &str, class_count: Option<usize>) -> Result<(), (String, String)> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let form = || "class cx cy w h, or class and at least three points x y".to_owned();
        let (class, numbers) = match fields.split_first() {
            Some((class, rest)) if rest.len() == 4 || (rest.len() >= 6 && rest.len().is_multiple_of(2)) => {
                (class, rest)
            }
            _ => return Err((form(), format!("{} fields", fields.len()))),
        };
        let class = class_of(class, class_count)?;
        let mut values = Vec::with_capacity(numbers.len());
        for text in numbers {
            match text.parse::<f64>() {
                Ok(value) if value.is_finite() => values.push(value),
                _ => return Err(("finite numbers".to_owned(), format!("{text:?}"))),
            }
        }
        let (bounds, outline) = match *values.as_slice() {
            [cx, cy, w, h] => {
                if w <= 0.0 || h <= 0.0 {
                    return Err(("a box with extent, w and h above 0".to_owned(), format!("w {w}, h {h}")));
                }
                (Bounds { x1: cx - w / 2.0, y1: cy - h / 2.0, x2: cx + w / 2.0, y2: cy + h / 2.0 }, None)
            }
            _ => {
                let points: Vec<[f64; 2]> = values.as_chunks::<2>().0.to_vec();
                (Bounds::around(&points)?, Some(Outline { class, points }))
            }
        };
        // As written where nothing is outside: cutting goes through edges and back, which would move the last bits.
        let written = match *values.as_slice() {
            [cx, cy, w, h] => Some(Label { class, cx: cx as f32, cy: cy as f32, w: w as f32, h: h as f32 }),
            _ => None,
        };
        self.insert(class, bounds, written, outline)
    }

    /// Adds a box given by its edges as fractions of the image (left, top, right, bottom), by the rules of lines: cut at the
    /// image's edge and counted, refused where less than half is left, once where it is there already.
    ///
    /// # Errors
    /// What was expected and what was found, for a box that is refused.
    pub fn add_edges(&mut self, class: u32, [x1, y1, x2, y2]: [f64; 4]) -> Result<(), (String, String)> {
        if !(x1 < x2 && y1 < y2 && [x1, y1, x2, y2].iter().all(|v| v.is_finite())) {
            let found = format!("edges x {x1}..{x2}, y {y1}..{y2}");
            return Err(("a box with extent, left before right and top above bottom".to_owned(), found));
        }
        self.insert(class, Bounds { x1, y1, x2, y2 }, None, None)
    }

    fn insert(
        &mut self,
        class: u32,
        bounds: Bounds,
        written: Option<Label>,
        outline: Option<Outline>,
    ) -> Result<(), (String, String)> {
        let inside = bounds.inside()?;
        let label = written.filter(|_| inside == bounds).unwrap_or_else(|| inside.label(class));
        if self.labels.contains(&label) && outline.as_ref().is_none_or(|o| self.outlines.contains(o)) {
            self.notes.duplicates += 1;
            return Ok(());
        }
        self.notes.clipped += usize::from(bounds.outside_by() > EDGE_TOLERANCE);
        self.labels.push(label);
        if let Some(outline) = outline {
            self.notes.outlines += 1;
            self.outlines.push(outline);
        }
        Ok(())
    }
}

/// A class number; whole numbers written as floats are read.
fn class_of(text: &str, class_count: Option<usize>) -> Result<u32, (String, String)> {
    let whole = text.parse::<f64>().ok().filter(|v| v.fract() == 0.0 && (0.0..f64::from(MAX_CLASSES)).contains(v));
    let class = whole.ok_or_else(|| (format!("a class number from 0 to {}", MAX_CLASSES - 1), format!("{text:?}")))?;
    match class_count.filter(|&count| class >= count as f64) {
        Some(count) => Err((format!("a class below {count}, the number of class names"), text.to_owned())),
        None => Ok(class as u32),
    }
}

/// Edges relative to the image.
#[derive(Clone, Copy, PartialEq)]
struct Bounds {
    x1: f64,
    y1: f64,
    x2: f64,
    y2: f64,
}

impl Bounds {
    /// The box of some points.
    fn around(points: &[[f64; 2]]) -> Result<Self, (String, String)> {
        let mut b = Self { x1: f64::INFINITY, y1: f64::INFINITY, x2: f64::NEG_INFINITY, y2: f64::NEG_INFINITY };
        for [x, y] in points {
            b = Self { x1: b.x1.min(*x), y1: b.y1.min(*y), x2: b.x2.max(*x), y2: b.y2.max(*y) };
        }
        if b.x1 < b.x2 && b.y1 < b.y2 {
            Ok(b)
        } else {
            Err(("an outline with extent".to_owned(), "points on a line".to_owned()))
        }
    }

    fn outside_by(self) -> f64 {
        (-self.x1).max(-self.y1).max(self.x2 - 1.0).max(self.y2 - 1.0)
    }

    fn area(self) -> f64 {
        (self.x2 - self.x1).max(0.0) * (self.y2 - self.y1).max(0.0)
    }

    /// What lies in the image.
    fn inside(self) -> Result<Self, (String, String)> {
        let cut = |v: f64| v.clamp(0.0, 1.0);
        let inside = Self { x1: cut(self.x1), y1: cut(self.y1), x2: cut(self.x2), y2: cut(self.y2) };
        let share = inside.area() / self.area();
        if self.outside_by() > EDGE_TOLERANCE && share < LEAST_SHARE_INSIDE {
            return Err((
                "a box of which at least half lies in the image, in fractions of its size".to_owned(),
                format!(
                    "edges x {:.6}..{:.6}, y {:.6}..{:.6}, {:.0} % inside",
                    self.x1,
                    self.x2,
                    self.y1,
                    self.y2,
                    share * 100.0
                ),
            ));
        }
        // A sliver at the very edge within the tolerance may have nothing left.
        let label = inside.label(0);
        if label.w > 0.0 && label.h > 0.0 {
            Ok(inside)
        } else {
            Err(("a box with extent in the image".to_owned(), format!("w {:e}, h {:e} inside", label.w, label.h)))
        }
    }

    fn label(self, class: u32) -> Label {
        Label {
            class,
            cx: ((self.x1 + self.x2) / 2.0) as f32,
            cy: ((self.y1 + self.y2) / 2.0) as f32,
            w: (self.x2 - self.x1) as f32,
            h: (self.y2 - self.y1) as f32,
        }
    }
}

impl Outline {
    /// Writes `id` to the pixels whose centres lie in the outline (even-odd rule).
    pub fn draw(&self, id: u8, mask: &mut Gray8) {
        let Size { width, height } = mask.size();
        let ends = self.points.iter().skip(1).chain(self.points.first());
        let edges: Vec<([f64; 2], [f64; 2])> = self.points.iter().copied().zip(ends.copied()).collect();
        let mut crossings = Vec::new();
        for (y, row) in mask.data_mut().chunks_exact_mut(width).enumerate() {
            let centre = (y as f64 + 0.5) / height as f64;
            crossings.clear();
            for ([x1, y1], [x2, y2]) in &edges {
                if (*y1 <= centre) != (*y2 <= centre) {
                    crossings.push((x1 + (centre - y1) / (y2 - y1) * (x2 - x1)) * width as f64);
                }
            }
            crossings.sort_unstable_by(f64::total_cmp);
            for pair in crossings.as_chunks::<2>().0 {
                // Pixels with their centre in [first, second).
                let [first, last] = pair.map(|x| (x - 0.5).ceil().clamp(0.0, width as f64) as usize);
                row.get_mut(first..last.max(first)).unwrap_or_default().fill(id);
            }
        }
    }
}

/// The text of a label file for these boxes, six digits after the point.
#[must_use]
pub fn format(labels: &[Label]) -> String {
    let mut text = String::new();
    for l in labels {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {:.6} {:.6} {:.6} {:.6}", l.class, l.cx, l.cy, l.w, l.h);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(label: &Label) -> [f32; 4] {
        let b = label.to_pixels(Size::new(1, 1));
        [b.x1, b.y1, b.x2, b.y2]
    }

    #[test]
    fn good_lines_are_read_as_written() {
        let file = LabelFile::parse("\u{feff}1 0.5 0.25 0.1 0.2\r\n\n 0 .5 .5 1 1\n", Some(2));
        assert_eq!(file.problems, []);
        assert_eq!(file.labels[0], Label { class: 1, cx: 0.5, cy: 0.25, w: 0.1, h: 0.2 });
        assert_eq!(file.labels[1].w, 1.0);
        assert!(file.notes.is_empty());
    }

    #[test]
    fn every_bad_line_is_named_with_its_number() {
        let text = "0 0.5 0.5 0.1\n2 0.5 0.5 0.1 0.1\nx 0.5 0.5 0.1 0.1\n0 0.5 1.5 0.1 0.1\n0 nan 0.5 0.1 0.1\n\
                    0 0.5 0.5 0 0.1\n0 320 240 64 48\n-1 0.5 0.5 0.1 0.1\n1.5 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1 0.1 0.9\n\
                    0 0.1 0.1 0.2 0.2 0.3 0.3 0.4\n0 0.1 0.1 0.2 0.2 0.3 inf\n4096 0.5 0.5 0.1 0.1\n0 0.1 0.1 0.2 0.1 0.3 0.1\n\
                    1 0.5 0.5 0.1 0.1\n";
        let file = LabelFile::parse(text, Some(2));
        assert_eq!(file.labels.len(), 1);
        let lines: Vec<usize> = file.problems.iter().map(|p| p.line).collect();
        assert_eq!(lines, (1..=14).collect::<Vec<_>>(), "{:#?}", file.problems);
        assert!(LabelFile::parse("7 0.5 0.5 0.1 0.1", None).problems.is_empty());
    }

    #[test]
    fn edges_out_by_rounding_are_tolerated() {
        let file = LabelFile::parse("0 0.5 0.5 1.0000001 1\n0 0.0495 0.5 0.1 0.1\n", Some(1));
        assert!(file.problems.is_empty() && file.notes.is_empty(), "{file:?}");
        assert_eq!(edges(&file.labels[0]), [0.0, 0.0, 1.0, 1.0]);
        assert!(edges(&file.labels[1])[0].abs() < 1e-7 && (edges(&file.labels[1])[2] - 0.0995).abs() < 1e-6);
    }

    #[test]
    fn boxes_over_the_edge_are_cut_and_counted_while_half_is_left() {
        // 60 %, 52 % in both directions together, then 48 % and nothing.
        let text = "0 0.02 0.5 0.2 0.1\n0 0.02 0.02 0.092 0.1\n0 -0.002 0.5 0.1 0.1\n0 -0.3 0.5 0.2 0.1\n";
        let file = LabelFile::parse(text, Some(1));
        assert_eq!((file.labels.len(), file.notes.clipped), (2, 2), "{file:?}");
        assert!((edges(&file.labels[0])[2] - 0.12).abs() < 1e-6 && edges(&file.labels[0])[0].abs() < 1e-7);
        assert_eq!(file.problems.iter().map(|p| p.line).collect::<Vec<_>>(), [3, 4]);
        assert!(file.problems[0].found.contains("48 % inside"), "{:?}", file.problems);
    }

    #[test]
    fn repeated_lines_count_once() {
        let text = "0 0.5 0.5 0.1 0.1\n1 0.5 0.5 0.1 0.1\n0 0.50 0.5 0.100 0.1\n0.0 0.5 0.5 0.1 0.1\n";
        let file = LabelFile::parse(text, Some(2));
        assert_eq!((file.labels.len(), file.notes.duplicates), (2, 2));
        assert_eq!(file.notes.to_string(), "2 repeated lines dropped");
    }

    #[test]
    fn whole_classes_written_as_floats_are_read() {
        let file = LabelFile::parse("1.0 0.5 0.5 0.1 0.1\n0.000000e+00 0.2 0.5 0.1 0.1\n", Some(2));
        assert_eq!(file.labels.iter().map(|l| l.class).collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn an_outline_becomes_its_box_and_its_mask() {
        // A right triangle over half of the square between 0.2 and 0.6, and a square.
        let text = "1 0.2 0.2 0.6 0.2 0.2 0.6\n0 0.5 0.5 0.9 0.5 0.9 0.9 0.5 0.9\n1 0.2 0.2 0.6 0.2 0.2 0.6\n";
        let file = LabelFile::parse(text, Some(2));
        assert_eq!((file.labels.len(), file.outlines.len()), (2, 2));
        assert_eq!(file.notes, LabelNotes { duplicates: 1, clipped: 0, outlines: 2 });
        let found = edges(&file.labels[0]);
        assert!(found.iter().zip([0.2, 0.2, 0.6, 0.6]).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
        let mut mask = Gray8::filled(Size::new(100, 100), 0).unwrap();
        file.outlines.iter().for_each(|o| o.draw(o.class as u8 + 1, &mut mask));
        // By the definition, pixel centre by pixel centre.
        for (i, id) in mask.data().iter().enumerate() {
            let (x, y) = ((i % 100) as f64 + 0.5, (i / 100) as f64 + 0.5);
            if x + y == 80.0 && x < 60.0 {
                continue; // On the edge itself either is right.
            }
            let triangle = x > 20.0 && y > 20.0 && x + y < 80.0;
            let square = (50.0..90.0).contains(&x) && (50.0..90.0).contains(&y);
            assert_eq!(
                *id,
                if square {
                    1
                } else if triangle {
                    2
                } else {
                    0
                },
                "({x}, {y})"
            );
        }
    }

    #[test]
    fn pixels_and_back() {
        let label = Label { class: 3, cx: 0.25, cy: 0.5, w: 0.125, h: 0.25 };
        let pixels = label.to_pixels(Size::new(64, 32));
        assert_eq!((pixels.x1, pixels.y1, pixels.x2, pixels.y2), (12.0, 12.0, 20.0, 20.0));
        assert_eq!(Label::from_pixels(3, pixels, Size::new(64, 32)), label);
        assert_eq!(format(&[label]), "3 0.250000 0.500000 0.125000 0.250000\n");
    }
}
