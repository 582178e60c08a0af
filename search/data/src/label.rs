//! Labelled boxes, relative to the image as on disk, and the reading and writing of label files.

use std::fmt::Write as _;
use std::path::Path;

use caf_geometry::{Cxcywh, Xyxy};
use serde::{Deserialize, Serialize};

use crate::error::{DataError, Offence};
use crate::image_file::write_bytes;

/// How far a box edge may lie outside \[0,1\] before the line is refused: about one pixel of a 500-pixel image, which
/// is what rounding to whole pixels and to a few digits can produce. Such boxes are cut at the image's edge.
pub const EDGE_TOLERANCE: f32 = 2e-3;

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
    pub fn from_pixels(class: u32, bounds: Xyxy, width: usize, height: usize) -> Self {
        let Cxcywh { cx, cy, w, h } = Cxcywh::from(bounds).to_fractions(height, width);
        Self { class, cx, cy, w, h }
    }

    /// The box in pixels of an image of this size.
    #[must_use]
    pub fn to_pixels(&self, width: usize, height: usize) -> Xyxy {
        Xyxy::from(Cxcywh::new(self.cx, self.cy, self.w, self.h).to_pixels(height, width))
    }
}

/// Reads the text of a label file: one `class cx cy w h` a line, empty lines allowed. Every bad line becomes one entry
/// of `offences` (with `path` and the line number, from 1); the good ones are returned.
///
/// `class_count` of `None` leaves class numbers unchecked.
pub fn parse_labels(text: &str, path: &Path, class_count: Option<usize>, offences: &mut Vec<Offence>) -> Vec<Label> {
    let mut labels = Vec::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        match parse_line(line, class_count) {
            Ok(label) => labels.push(label),
            Err((expected, found)) => {
                offences.push(Offence::LabelLine { path: path.to_owned(), line: index + 1, expected, found });
            }
        }
    }
    labels
}

fn parse_line(line: &str, class_count: Option<usize>) -> Result<Label, (String, String)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let &[class, cx, cy, w, h] = fields.as_slice() else {
        return Err(("five fields, class cx cy w h".into(), format!("{} fields", fields.len())));
    };
    let class: u32 = class.parse().map_err(|_| ("a class number".to_owned(), format!("{class:?}")))?;
    if let Some(count) = class_count.filter(|&count| class as usize >= count) {
        return Err((format!("a class below {count}, the number of names in classes.txt"), class.to_string()));
    }
    let number = |name: &str, text: &str| match text.parse::<f32>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err((format!("{name} in [0,1]"), format!("{text:?}"))),
    };
    let label = Label { class, cx: number("cx", cx)?, cy: number("cy", cy)?, w: number("w", w)?, h: number("h", h)? };
    if label.w <= 0.0 || label.h <= 0.0 {
        return Err(("a box with extent, w and h above 0".into(), format!("w {w}, h {h}")));
    }
    inside(label)
}

/// Cuts edges that lie outside by rounding only; refuses those further out.
fn inside(label: Label) -> Result<Label, (String, String)> {
    let edges = label.to_pixels(1, 1);
    let out = (-edges.x1).max(-edges.y1).max(edges.x2 - 1.0).max(edges.y2 - 1.0);
    if out > EDGE_TOLERANCE {
        return Err((
            format!("a box inside the image (edges in [0,1], {EDGE_TOLERANCE} allowed)"),
            format!("edges x {:.6}..{:.6}, y {:.6}..{:.6}", edges.x1, edges.x2, edges.y1, edges.y2),
        ));
    }
    // Left as written when inside: cutting goes through edges and back, which would move the last bits.
    Ok(if out > 0.0 { Label::from_pixels(label.class, edges.clip(1, 1), 1, 1) } else { label })
}

/// The text of a label file for these boxes, six digits after the point.
#[must_use]
pub fn format_labels(labels: &[Label]) -> String {
    let mut text = String::new();
    for l in labels {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {:.6} {:.6} {:.6} {:.6}", l.class, l.cx, l.cy, l.w, l.h);
    }
    text
}

/// Writes a label file, aside first and then renamed.
///
/// # Errors
/// [`DataError::Write`] with the path.
pub fn write_labels(path: &Path, labels: &[Label]) -> Result<(), DataError> {
    write_bytes(path, format_labels(labels).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, classes: Option<usize>) -> (Vec<Label>, Vec<String>) {
        let mut offences = Vec::new();
        let labels = parse_labels(text, Path::new("labels/a.txt"), classes, &mut offences);
        (labels, offences.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn good_lines_are_read_as_written() {
        let (labels, offences) = parse("\u{feff}1 0.5 0.25 0.1 0.2\r\n\n 0 .5 .5 1 1\n", Some(2));
        assert!(offences.is_empty(), "{offences:?}");
        assert_eq!(labels[0], Label { class: 1, cx: 0.5, cy: 0.25, w: 0.1, h: 0.2 });
        assert_eq!(labels[1].w, 1.0);
    }

    #[test]
    fn every_bad_line_is_named_with_its_number() {
        let text = "0 0.5 0.5 0.1\n2 0.5 0.5 0.1 0.1\nx 0.5 0.5 0.1 0.1\n0 0.5 1.5 0.1 0.1\n0 nan 0.5 0.1 0.1\n\
                    0 0.5 0.5 0 0.1\n0 0.01 0.5 0.1 0.1\n-1 0.5 0.5 0.1 0.1\n1 0.5 0.5 0.1 0.1\n";
        let (labels, offences) = parse(text, Some(2));
        assert_eq!(labels.len(), 1);
        assert_eq!(offences.len(), 8, "{offences:#?}");
        for (index, offence) in offences.iter().enumerate() {
            assert!(offence.contains(&format!("labels/a.txt:{}:", index + 1)), "{offence}");
        }
        assert!(parse("7 0.5 0.5 0.1 0.1", None).1.is_empty());
    }

    #[test]
    fn edges_out_by_rounding_are_cut() {
        let (labels, offences) = parse("0 0.0495 0.5 0.1 0.1", Some(1));
        assert!(offences.is_empty());
        let edges = labels[0].to_pixels(1, 1);
        assert!(edges.x1.abs() < 1e-7 && (edges.x2 - 0.0995).abs() < 1e-6, "{edges:?}");
    }

    #[test]
    fn pixels_and_back() {
        let label = Label { class: 3, cx: 0.25, cy: 0.5, w: 0.125, h: 0.25 };
        let pixels = label.to_pixels(64, 32);
        assert_eq!((pixels.x1, pixels.y1, pixels.x2, pixels.y2), (12.0, 12.0, 20.0, 20.0));
        assert_eq!(Label::from_pixels(3, pixels, 64, 32), label);
        assert_eq!(format_labels(&[label]), "3 0.250000 0.500000 0.125000 0.250000\n");
    }
}
