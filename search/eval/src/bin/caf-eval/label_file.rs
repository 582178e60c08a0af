//! YOLO text files: one object a line.

use std::path::Path;

use caf_detect::{Cxcywh, Detection, Xyxy};
use caf_eval::detection::Label;

use crate::failure::{Offence, Reason};

/// Class numbers are below this: tables of classes by classes are kept in memory.
const MAX_CLASSES: u32 = 4096;

/// A line of a label, ignore or prediction file.
struct Row {
    class: u32,
    bbox: Cxcywh,
    confidence: Option<f32>,
}

/// Labels of one image of `hw` pixels: `class cx cy w h`, relative to the image.
pub fn labels(path: &Path, hw: (usize, usize), offences: &mut Vec<Offence>) -> Vec<Label> {
    let rows = rows(path, false, offences);
    rows.into_iter().map(|r| Label { class: r.class, bbox: pixels(r.bbox, hw) }).collect()
}

/// Detections of one image of `hw` pixels: `class cx cy w h confidence`, boxes relative to the image.
pub fn detections(path: &Path, hw: (usize, usize), offences: &mut Vec<Offence>) -> Vec<Detection> {
    let rows = rows(path, true, offences);
    rows.into_iter()
        .map(|r| {
            let Xyxy { x1, y1, x2, y2 } = pixels(r.bbox, hw);
            Detection { x1, y1, x2, y2, score: r.confidence.unwrap_or_default(), class: r.class }
        })
        .collect()
}

fn pixels(bbox: Cxcywh, (height, width): (usize, usize)) -> Xyxy {
    bbox.to_pixels(height, width).into()
}

fn rows(path: &Path, with_confidence: bool, offences: &mut Vec<Offence>) -> Vec<Row> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            offences.push(Offence::of(path, error.into()));
            return vec![];
        }
    };
    let mut rows = vec![];
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match row(line, with_confidence) {
            Ok(row) => rows.push(row),
            Err(reason) => offences.push(Offence { place: path.to_owned(), line: Some(i + 1), reason }),
        }
    }
    rows
}

fn row(line: &str, with_confidence: bool) -> Result<Row, Reason> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let number = |column, text: &str| match text.parse::<f32>() {
        Ok(v) if v.is_finite() => Ok(v),
        _ => Err(Reason::Value { column, expected: "a finite number", found: text.to_owned() }),
    };
    let (class, cx, cy, w, h, confidence) = match (columns.as_slice(), with_confidence) {
        ([class, cx, cy, w, h], false) => (class, cx, cy, w, h, None),
        ([class, cx, cy, w, h, confidence], true) => (class, cx, cy, w, h, Some(number("confidence", confidence)?)),
        (_, with) => {
            let expected = if with { "class cx cy w h confidence" } else { "class cx cy w h" };
            return Err(Reason::Columns { expected, found: columns.len() });
        }
    };
    let class = class.parse().ok().filter(|class| *class < MAX_CLASSES).ok_or_else(|| Reason::Value {
        column: "class",
        expected: "a whole number from 0 to 4095",
        found: (*class).to_owned(),
    })?;
    let side = |column, text: &str| match number(column, text)? {
        v if v >= 0.0 => Ok(v),
        _ => Err(Reason::Value { column, expected: "a size of at least 0", found: text.to_owned() }),
    };
    let bbox = Cxcywh::new(number("cx", cx)?, number("cy", cy)?, side("w", w)?, side("h", h)?);
    Ok(Row { class, bbox, confidence })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_and_bad_lines() {
        assert_eq!(row("2 0.5 0.5 0.1 0.2", false).unwrap().class, 2);
        assert_eq!(row(" 2\t0.5 0.5 0.1 0.2 0.75 ", true).unwrap().confidence, Some(0.75));
        assert!(matches!(row("2 0.5 0.5 0.1", false), Err(Reason::Columns { found: 4, .. })));
        assert!(matches!(row("2 0.5 0.5 0.1 0.1 0.9", false), Err(Reason::Columns { found: 6, .. })));
        assert!(matches!(row("-1 0.5 0.5 0.1 0.1", false), Err(Reason::Value { column: "class", .. })));
        assert!(matches!(row("4096 0.5 0.5 0.1 0.1", false), Err(Reason::Value { column: "class", .. })));
        assert!(matches!(row("1 NaN 0.5 0.1 0.1", false), Err(Reason::Value { column: "cx", .. })));
        assert!(matches!(row("1 0.5 0.5 -0.1 0.1", false), Err(Reason::Value { column: "w", .. })));
    }
}
