//! YOLO text files: one object a line.

use std::path::Path;

use caf_eval::detection::Label;
use caf_geometry::{Cxcywh, Detection, Size, Xyxy};
use caf_image::label::{LabelFile, LabelNotes, MAX_CLASSES};

use crate::failure::{Offence, Reason};

/// A line of a file.
struct Row {
    class: u32,
    bbox: Cxcywh,
    confidence: f32,
}

/// Labels (or ignore regions) of one image of this size: lines `class cx cy w h`, or outlines, as every program reads them. What
/// was set right is added to `notes`.
pub fn labels(path: &Path, image: Size, notes: &mut LabelNotes, offences: &mut Vec<Offence>) -> Vec<Label> {
    let Some(text) = text(path, offences) else { return vec![] };
    let file = LabelFile::parse(&text, None);
    offences.extend(file.problems.into_iter().map(|problem| {
        let reason = Reason::Line { expected: problem.expected, found: problem.found };
        Offence { place: path.to_owned(), line: Some(problem.line), reason }
    }));
    notes.add(file.notes);
    let bbox = |l: &caf_image::Label| l.to_pixels(image);
    file.labels.iter().map(|l| Label { class: l.class, bbox: bbox(l) }).collect()
}

/// Detections of one image of this size: lines `class cx cy w h confidence`, boxes relative to the image; they may reach over its
/// edges.
pub fn detections(path: &Path, image: Size, offences: &mut Vec<Offence>) -> Vec<Detection> {
    let Some(text) = text(path, offences) else { return vec![] };
    let mut detections = vec![];
    let lines = text.strip_prefix('\u{feff}').unwrap_or(&text).lines().enumerate();
    for (i, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        match row(line) {
            Ok(Row { class, bbox, confidence }) => {
                let Xyxy { x1, y1, x2, y2 } = bbox.to_pixels(image).into();
                detections.push(Detection { x1, y1, x2, y2, score: confidence, class });
            }
            Err(reason) => offences.push(Offence { place: path.to_owned(), line: Some(i + 1), reason }),
        }
    }
    detections
}

fn text(path: &Path, offences: &mut Vec<Offence>) -> Option<String> {
    std::fs::read_to_string(path).map_err(|error| offences.push(Offence::of(path, error.into()))).ok()
}

fn row(line: &str) -> Result<Row, Reason> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let &[class, cx, cy, w, h, confidence] = columns.as_slice() else {
        return Err(Reason::Columns { expected: "class cx cy w h confidence", found: columns.len() });
    };
    let wrong = |column, expected, found: &str| Reason::Value { column, expected, found: found.to_owned() };
    let whole = class.parse::<f64>().ok().filter(|v| v.fract() == 0.0 && (0.0..f64::from(MAX_CLASSES)).contains(v));
    let class = whole.ok_or_else(|| wrong("class", "a whole number from 0 to 4095", class))? as u32;
    let unit = |column, text: &str| match text.parse::<f32>() {
        Ok(v) if (0.0..=1.0).contains(&v) => Ok(v),
        _ => Err(wrong(column, "a number from 0 to 1", text)),
    };
    let side = |column, text: &str| match text.parse::<f32>() {
        // Around any point of the image, twice its size covers all of it.
        Ok(v) if (0.0..=2.0).contains(&v) => Ok(v),
        _ => Err(wrong(column, "a size from 0 to 2", text)),
    };
    let bbox = Cxcywh::new(unit("cx", cx)?, unit("cy", cy)?, side("w", w)?, side("h", h)?);
    Ok(Row { class, bbox, confidence: unit("confidence", confidence)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_and_bad_lines_of_predictions() {
        assert_eq!(row(" 2\t0.5 0.5 0.1 0.2 0.75 ").unwrap().confidence, 0.75);
        assert_eq!(row("2.0 0.5 0.5 0.1 0.2 0.75").unwrap().class, 2);
        assert!(row("0 0.0 1.0 1.5 2 1").is_ok(), "a prediction may reach over the edges");
        assert!(matches!(row("2 0.5 0.5 0.1 0.1"), Err(Reason::Columns { found: 5, .. })));
        for (line, wrong) in [
            ("-1 0.5 0.5 0.1 0.1 1", "class"),
            ("4096 0.5 0.5 0.1 0.1 1", "class"),
            ("1.5 0.5 0.5 0.1 0.1 1", "class"),
            ("1 NaN 0.5 0.1 0.1 1", "cx"),
            ("1 0.5 inf 0.1 0.1 1", "cy"),
            ("1 320 240 64 48 0.5", "cx"),
            ("1 0.5 0.5 64 48 0.5", "w"),
            ("1 0.5 0.5 0.1 -0.1 0.5", "h"),
            ("1 0.5 0.5 0.1 0.1 nan", "confidence"),
            ("1 0.5 0.5 0.1 0.1 1.5", "confidence"),
        ] {
            assert!(matches!(row(line), Err(Reason::Value { column, .. }) if column == wrong), "{line}");
        }
    }
}
