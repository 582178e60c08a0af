//! YOLO text files: one object a line.

use std::path::Path;

use caf_eval::detection::Label;
use caf_geometry::{Cxcywh, Detection, Xyxy};

use crate::failure::{Offence, Reason};

/// Class numbers are below this: tables of classes by classes are kept in memory.
const MAX_CLASSES: u32 = 4096;

/// How far the edges of a label may lie outside the image: about a pixel of 500, which rounding can produce.
const EDGE_TOLERANCE: f32 = 2e-3;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `class cx cy w h`, boxes within the image.
    Labels,
    /// `class cx cy w h confidence`; boxes may reach over the image's edges.
    Predictions,
}

/// A line of a file.
struct Row {
    class: u32,
    bbox: Cxcywh,
    confidence: f32,
}

/// Labels (or ignore regions) of one image of `hw` pixels: `class cx cy w h`, relative to the image.
pub fn labels(path: &Path, hw: (usize, usize), offences: &mut Vec<Offence>) -> Vec<Label> {
    let rows = rows(path, Kind::Labels, offences);
    rows.into_iter().map(|r| Label { class: r.class, bbox: pixels(r.bbox, hw) }).collect()
}

/// Detections of one image of `hw` pixels: `class cx cy w h confidence`, boxes relative to the image.
pub fn detections(path: &Path, hw: (usize, usize), offences: &mut Vec<Offence>) -> Vec<Detection> {
    let rows = rows(path, Kind::Predictions, offences);
    rows.into_iter()
        .map(|r| {
            let Xyxy { x1, y1, x2, y2 } = pixels(r.bbox, hw);
            Detection { x1, y1, x2, y2, score: r.confidence, class: r.class }
        })
        .collect()
}

fn pixels(bbox: Cxcywh, (height, width): (usize, usize)) -> Xyxy {
    bbox.to_pixels(height, width).into()
}

fn rows(path: &Path, kind: Kind, offences: &mut Vec<Offence>) -> Vec<Row> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            offences.push(Offence::of(path, error.into()));
            return vec![];
        }
    };
    let mut rows = vec![];
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    for (i, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        match row(line, kind) {
            Ok(row) => rows.push(row),
            Err(reason) => offences.push(Offence { place: path.to_owned(), line: Some(i + 1), reason }),
        }
    }
    rows
}

fn row(line: &str, kind: Kind) -> Result<Row, Reason> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let (class, cx, cy, w, h, confidence) = match (columns.as_slice(), kind) {
        ([class, cx, cy, w, h], Kind::Labels) => (class, cx, cy, w, h, "1"),
        ([class, cx, cy, w, h, confidence], Kind::Predictions) => (class, cx, cy, w, h, *confidence),
        (_, Kind::Labels) => return Err(Reason::Columns { expected: "class cx cy w h", found: columns.len() }),
        (_, Kind::Predictions) => {
            return Err(Reason::Columns { expected: "class cx cy w h confidence", found: columns.len() });
        }
    };
    let wrong = |column, expected, found: &str| Reason::Value { column, expected, found: found.to_owned() };
    let number = class.parse().ok().filter(|class| *class < MAX_CLASSES);
    let class = number.ok_or_else(|| wrong("class", "a whole number from 0 to 4095", class))?;
    let unit = |column, text: &str| match text.parse::<f32>() {
        Ok(v) if (0.0..=1.0).contains(&v) => Ok(v),
        _ => Err(wrong(column, "a number from 0 to 1", text)),
    };
    let side = |column, text: &str| match (text.parse::<f32>(), kind) {
        (Ok(v), Kind::Labels) if v > 0.0 && v <= 1.0 => Ok(v),
        (_, Kind::Labels) => Err(wrong(column, "a size above 0 and up to 1", text)),
        // Around any point of the image, twice its size covers all of it.
        (Ok(v), Kind::Predictions) if (0.0..=2.0).contains(&v) => Ok(v),
        (_, Kind::Predictions) => Err(wrong(column, "a size from 0 to 2", text)),
    };
    let bbox = Cxcywh::new(unit("cx", cx)?, unit("cy", cy)?, side("w", w)?, side("h", h)?);
    let edges = Xyxy::from(bbox);
    let out = (-edges.x1).max(-edges.y1).max(edges.x2 - 1.0).max(edges.y2 - 1.0);
    if kind == Kind::Labels && out > EDGE_TOLERANCE {
        return Err(wrong("box", "edges within the image", line.trim()));
    }
    Ok(Row { class, bbox, confidence: unit("confidence", confidence)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_and_bad_lines() {
        use Kind::{Labels, Predictions};
        assert_eq!(row("2 0.5 0.5 0.1 0.2", Labels).unwrap().class, 2);
        assert_eq!(row(" 2\t0.5 0.5 0.1 0.2 0.75 ", Predictions).unwrap().confidence, 0.75);
        assert!(row("0 0.0 1.0 1.5 2 1", Predictions).is_ok(), "a prediction may reach over the edges");
        assert!(row("0 0.999 0.5 0.005 1", Labels).is_ok(), "rounding may put an edge outside");
        assert!(matches!(row("2 0.5 0.5 0.1", Labels), Err(Reason::Columns { found: 4, .. })));
        assert!(matches!(row("2 0.5 0.5 0.1 0.1 0.9", Labels), Err(Reason::Columns { found: 6, .. })));
        for (line, kind, wrong) in [
            ("-1 0.5 0.5 0.1 0.1", Labels, "class"),
            ("4096 0.5 0.5 0.1 0.1", Labels, "class"),
            ("1 NaN 0.5 0.1 0.1", Labels, "cx"),
            ("1 0.5 inf 0.1 0.1", Labels, "cy"),
            ("1 0.5 0.5 -0.1 0.1", Labels, "w"),
            ("1 0.5 0.5 0.1 0", Labels, "h"),
            ("1 0.9 0.5 0.4 0.1", Labels, "box"),
            ("1 0.5 1.2 0.4 0.1", Labels, "cy"),
            ("1 320 240 64 48 0.5", Predictions, "cx"),
            ("1 0.5 0.5 64 48 0.5", Predictions, "w"),
            ("1 0.5 0.5 0.1 0.1 nan", Predictions, "confidence"),
            ("1 0.5 0.5 0.1 0.1 1.5", Predictions, "confidence"),
        ] {
            assert!(matches!(row(line, kind), Err(Reason::Value { column, .. }) if column == wrong), "{line}");
        }
    }
}
