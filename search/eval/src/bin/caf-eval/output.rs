//! Result files and tables.

use std::io::Write;
use std::path::Path;

use serde_json::Value;

use crate::failure::Failure;

/// Writes `bytes` aside and renames: the file is there completely or not at all.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    caf_file::write(path, bytes).map_err(|source| Failure::Write { path: path.to_owned(), source })
}

/// Writes a JSON value with a final line end.
pub fn write_json(path: &Path, value: &Value) -> Result<(), Failure> {
    write_file(path, format!("{value:#}\n").as_bytes())
}

/// A number for JSON: NaN and infinities, which JSON lacks, as the strings "NaN", "Inf" and "-Inf".
pub fn json_number(value: f64) -> Value {
    if value.is_finite() { Value::from(value) } else { Value::from(text_number(value)) }
}

/// A number for CSV, in the shortest form that reads back to the same value.
pub fn text_number(value: f64) -> String {
    match value {
        v if v.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        v => v.to_string(),
    }
}

/// Prints `text`; a reader that has gone away, as `head` does, is no failure.
pub fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(source) if source.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Write { path: "standard output".into(), source })
        }
        _ => Ok(()),
    }
}

/// Rows of equal length as columns; the first is aligned left, the others right.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(i, (cell, &w))| if i == 0 { format!("{cell:<w$}") } else { format!("{cell:>w$}") });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}
