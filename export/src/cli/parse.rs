//! Values of options.

use caf_contract::Precision;
use caf_export::ExportError;
use std::path::Path;

/// A number of images at once; `any` leaves it open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch(pub Option<usize>);

/// `1`, `8`, `any`.
pub(crate) fn batch(text: &str) -> Result<Batch, String> {
    match (text, text.parse::<usize>()) {
        ("any", _) => Ok(Batch(None)),
        (_, Ok(n @ 1..=4096)) => Ok(Batch(Some(n))),
        _ => Err(format!("expected a number from 1 to 4096 or `any`, found `{text}`")),
    }
}

/// A largest accepted difference. Not a number would accept every difference.
pub(crate) fn tolerance(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .filter(|t| t.is_finite() && *t >= 0.0)
        .ok_or_else(|| format!("expected a number of at least 0, found `{text}`"))
}

/// `fp32`, `fp16` or `int8`.
pub(crate) fn precision(text: &str) -> Result<Precision, String> {
    let all = [Precision::Fp32, Precision::Fp16, Precision::Int8];
    let found = all.into_iter().find(|precision| precision.name() == text);
    found.ok_or_else(|| format!("expected one of {}, found `{text}`", all.map(Precision::name).join(", ")))
}

/// Points that may be lost; `any` leaves it open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Points(pub Option<f64>);

/// `0.5`, `any`.
pub(crate) fn points(text: &str) -> Result<Points, String> {
    match text {
        "any" => Ok(Points(None)),
        _ => tolerance(text).map(Some).map(Points),
    }
}

/// Class names, one a line, read as every program reads them.
pub(crate) fn class_names(path: &Path) -> Result<Vec<String>, ExportError> {
    let text = std::fs::read_to_string(path).map_err(|source| ExportError::Text { path: path.to_owned(), source })?;
    let (names, problems) = caf_contract::classes::parse(&text);
    match problems.into_iter().next() {
        Some(problem) => Err(ExportError::Classes { path: path.to_owned(), problem }),
        None => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_numbers_or_any() {
        assert_eq!(batch("any").unwrap().0, None);
        assert_eq!(batch("8").unwrap().0, Some(8));
        assert!(batch("0").is_err() && batch("-1").is_err());
    }

    #[test]
    fn a_tolerance_that_accepts_everything_is_none() {
        assert_eq!(tolerance("1e-4").unwrap(), 1e-4);
        for wrong in ["nan", "inf", "-1", "", "x"] {
            assert!(tolerance(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn class_lists_are_read_as_everywhere_and_faults_name_file_and_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "\u{feff}person\r\n car \r\n\n").unwrap();
        assert_eq!(class_names(file.path()).unwrap(), ["person", "car"]);
        for (wrong, line) in [("person\n\ncar\n", "line 2"), ("person\ncar\nperson\n", "line 3")] {
            std::fs::write(file.path(), wrong).unwrap();
            let error = class_names(file.path()).unwrap_err().to_string();
            assert!(error.contains(line) && error.contains(&file.path().display().to_string()), "{error}");
        }
        assert!(class_names(Path::new("/nonexistent/classes.txt")).is_err());
    }
}
