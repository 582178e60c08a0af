//! What a program says: results, notes, reports.

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A result that could not be handed over.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Standard output is closed or full.
    #[error("cannot write to standard output")]
    Stdout(#[source] io::Error),
    /// A file.
    #[error("cannot write {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A value that JSON cannot hold.
    #[error("{}: the report cannot be put into JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// Writes a line to standard output: [`print`](crate::print) with the words of `format!`.
#[macro_export]
macro_rules! out {
    ($($word:tt)*) => { $crate::print(&format!("{}\n", format_args!($($word)*))) };
}

/// Writes a line to standard error with the words of `format!`.
#[macro_export]
macro_rules! say {
    ($($word:tt)*) => { $crate::say(format_args!($($word)*)) };
}

/// Writes text to standard output. A reader that has gone away, as `head` does, is no failure.
///
/// # Errors
/// [`OutputError::Stdout`], for example when standard output is a file on a full disk.
pub fn print(text: &str) -> Result<(), OutputError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => Err(OutputError::Stdout(source)),
        _ => Ok(()),
    }
}

/// Writes a line to standard error; see [`say!`](crate::say!). Where nobody listens, nothing is lost and nothing fails.
pub fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Says what was changed while a file was read, a line each.
pub fn tell_notes(path: &Path, notes: &[String]) {
    for note in notes {
        crate::say!("{}: {note}", path.display());
    }
}

/// The middle of measured values, such as times, of which other work on the machine lengthens some; `None` without any.
#[must_use]
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// Writes a report for machines as indented JSON, if one is asked for: aside, then renamed.
///
/// # Errors
/// [`OutputError::File`] or [`OutputError::Json`]; what was at `path` is untouched then.
pub fn write_json(path: Option<&Path>, report: &impl serde::Serialize) -> Result<(), OutputError> {
    let Some(path) = path else { return Ok(()) };
    let mut text =
        serde_json::to_vec_pretty(report).map_err(|source| OutputError::Json { path: path.to_owned(), source })?;
    text.push(b'\n');
    caf_file::write(path, &text).map_err(|source| OutputError::File { path: path.to_owned(), source })
}

/// Fails now when the report could not be written later, so that hours of work do not end in a misspelt folder.
///
/// # Errors
/// [`OutputError::File`].
pub fn claim(path: Option<&Path>) -> Result<(), OutputError> {
    let Some(path) = path else { return Ok(()) };
    caf_file::begin(path).map(drop).map_err(|source| OutputError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_indented_and_ends_in_a_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.json");
        claim(Some(&path)).unwrap();
        assert!(!path.exists());
        write_json(Some(&path), &serde_json::json!({ "a": 1 })).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\n  \"a\": 1\n}\n");
        write_json(None, &1).unwrap();
    }

    #[test]
    fn the_median_is_a_measured_value() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(3.0));
        assert_eq!(median([]), None);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named_before_and_after_the_work() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent/r.json");
        for error in [claim(Some(&path)).unwrap_err(), write_json(Some(&path), &1).unwrap_err()] {
            assert!(error.to_string().contains("absent/r.json"), "{error}");
        }
    }
}
