//! The exported file against its weights: how far, and how far it may be.

use std::path::Path;

use caf_report::html::{Cell, Table, short};
use serde::Deserialize;

use crate::demo::files;

#[derive(Debug, Deserialize)]
pub struct Checked {
    median_ms: f64,
    against_weights: Option<Vec<Distance>>,
}

#[derive(Debug, Deserialize)]
struct Distance {
    output: String,
    max_abs: f64,
    limit: Limit,
    range: [f64; 2],
    values: usize,
}

/// Of a model in fp32 the largest difference is limited.
#[derive(Debug, Deserialize)]
struct Limit {
    max_abs: f64,
}

impl Checked {
    /// Reads what the check left; an error is what the page says in its place.
    pub fn read(out: &Path) -> Result<Self, String> {
        files::read_json(out, files::VERIFIED)
    }

    /// The check in one sentence.
    pub fn sentence(&self) -> String {
        let all: Vec<&Distance> = self.against_weights.iter().flatten().collect();
        if all.is_empty() {
            return "The exported file keeps its contract.".to_owned();
        }
        let difference = |distance: &&Distance| format!("{} in {}", short(distance.max_abs), named(&distance.output));
        let is_far = |distance: &&&Distance| distance.max_abs.is_nan() || distance.max_abs > distance.limit.max_abs;
        let far: Vec<String> = all
            .iter()
            .filter(is_far)
            .map(|distance| format!("{}, where {} is accepted", difference(distance), short(distance.limit.max_abs)))
            .collect();
        if !far.is_empty() {
            return format!(
                "The exported file does not compute what its weights say: it differs by {}.",
                far.join("; ")
            );
        }
        let differences: Vec<String> = all.iter().map(difference).collect();
        format!("The exported file computes what its weights say, but for at most {}.", differences.join("; "))
    }

    /// Differences by output.
    pub fn table(&self) -> String {
        let caption = format!(
            "ONNX Runtime on the CPU, images of noise over gradients: the file against the same weights without folding. One run \
             takes {:.0} ms (median).",
            self.median_ms
        );
        let mut table =
            Table::new(&caption, &["output", "values compared", "from", "to", "largest difference", "accepted"]);
        for Distance { output, max_abs, limit, range: [low, high], values } in self.against_weights.iter().flatten() {
            table.row(vec![
                Cell::Head(named(output)),
                Cell::Number(values.to_string()),
                Cell::Number(short(*low)),
                Cell::Number(short(*high)),
                Cell::Shaded(short(*max_abs), max_abs / limit.max_abs),
                Cell::Number(short(limit.max_abs)),
            ]);
        }
        table.html()
    }
}

/// The output with its unit.
fn named(output: &str) -> String {
    match output {
        "fused" => "the fused image (0 to 255)".to_owned(),
        "predictions: boxes" => "boxes (pixels of the detector's input)".to_owned(),
        "predictions: scores" => "scores (0 to 1)".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_difference_is_shown_beside_its_limit() {
        let out = tempfile::tempdir().unwrap();
        fs::create_dir(out.path().join("model")).unwrap();
        let json = r#"{"median_ms": 31.4, "model": "m", "against_weights": [
            {"output": "predictions: boxes", "max_abs": 2.5e-4, "limit": {"max_abs": 0.0256}, "range": [-3.5, 260.0], "values": 4032},
            {"output": "fused", "max_abs": 1.0, "limit": {"max_abs": 1.0}, "range": [0, 255], "values": 147456}]}"#;
        fs::write(out.path().join(files::VERIFIED), json).unwrap();
        let checked = Checked::read(out.path()).unwrap();
        let html = checked.table();
        assert!(html.contains("<td>4032</td><td>-3.50</td><td>260</td>"), "{html}");
        assert!(html.contains(">2.5e-4</td><td>0.026</td>") && html.contains("31 ms"), "{html}");
        let sentence = checked.sentence();
        assert!(sentence.contains("computes what its weights say"), "{sentence}");
        assert!(sentence.contains("2.5e-4 in boxes") && sentence.contains("1.00 in the fused image"), "{sentence}");
        let json = json.replace("\"fused\", \"max_abs\": 1.0", "\"fused\", \"max_abs\": 4.0");
        fs::write(out.path().join(files::VERIFIED), json).unwrap();
        let sentence = Checked::read(out.path()).unwrap().sentence();
        assert!(sentence.contains("does not compute what its weights say"), "{sentence}");
        assert!(
            sentence.contains("4.00 in the fused image (0 to 255), where 1.00") && !sentence.contains("boxes"),
            "{sentence}"
        );
    }
}
