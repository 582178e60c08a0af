//! A CSV log of numbers.

use crate::error::ReportError;
use std::path::{Path, PathBuf};

/// Columns of numbers by name; an empty field is NaN.
#[derive(Clone, Debug)]
pub struct Log {
    path: PathBuf,
    names: Vec<String>,
    columns: Vec<Vec<f64>>,
}

impl Log {
    /// Reads a file. A last row that was cut off is left out.
    ///
    /// # Errors
    /// When the file cannot be read, holds no rows, or a field is no number (line and column are named).
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let text = std::fs::read_to_string(path).map_err(ReportError::io("read", path))?;
        let log = Log::parse(path, &text)?;
        if log.columns.first().is_none_or(Vec::is_empty) {
            let message = "the log has no complete row yet".to_owned();
            return Err(ReportError::Log { path: path.to_owned(), message });
        }
        Ok(log)
    }

    /// The same for a log that need not be there, nor hold anything yet.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub fn read_if_begun(path: &Path) -> Result<Option<Self>, ReportError> {
        match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ReportError::io("read", path)(error)),
            Ok(text) => Ok(Some(Log::parse(path, &text)?).filter(|log| !log.columns.iter().all(Vec::is_empty))),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ReportError> {
        let refuse = |message: String| ReportError::Log { path: path.to_owned(), message };
        let mut lines = text.lines();
        let names: Vec<String> =
            lines.next().ok_or_else(|| refuse("the log is empty".to_owned()))?.split(',').map(str::to_owned).collect();
        let mut columns = vec![Vec::new(); names.len()];
        for (i, line) in lines.enumerate() {
            let fields: Vec<&str> = line.split(',').collect();
            if fields.len() != names.len() {
                continue;
            }
            for ((field, column), name) in fields.iter().zip(&mut columns).zip(&names) {
                let value = if field.is_empty() { Ok(f64::NAN) } else { field.parse::<f64>() };
                column.push(value.map_err(|_| {
                    refuse(format!("line {}, column `{name}`: expected a number, found `{field}`", i + 2))
                })?);
            }
        }
        Ok(Log { path: path.to_owned(), names, columns })
    }

    /// Names of the columns, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The values of a column.
    ///
    /// # Errors
    /// When there is no such column; those there are are listed.
    pub fn column(&self, name: &str) -> Result<Vec<f64>, ReportError> {
        self.names.iter().position(|n| n == name).and_then(|i| self.columns.get(i)).cloned().ok_or_else(|| {
            ReportError::Log {
                path: self.path.clone(),
                message: format!("no column `{name}`; there are: {}", self.names.join(", ")),
            }
        })
    }

    /// Name and values of the first column.
    ///
    /// # Errors
    /// Never for a log that was read.
    pub fn first(&self) -> Result<(String, Vec<f64>), ReportError> {
        let name = self.names.first().cloned().unwrap_or_default();
        Ok((name.clone(), self.column(&name)?))
    }

    /// Columns whose names start with `prefix`, without it, in order.
    pub fn group(&self, prefix: &str) -> Vec<(String, Vec<f64>)> {
        self.names
            .iter()
            .zip(&self.columns)
            .filter_map(|(name, values)| Some((name.strip_prefix(prefix)?.to_owned(), values.clone())))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_gaps_and_skips_a_cut_row() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.csv");
        std::fs::write(&path, "iteration,weight.a,weight.b\n0,0.5,\n1,0.25,1\n2,0.1").unwrap();
        let log = Log::read(&path).unwrap();
        assert_eq!(log.column("iteration").unwrap(), [0.0, 1.0]);
        let group = log.group("weight.");
        assert_eq!((group[0].0.as_str(), group[1].1[1]), ("a", 1.0));
        assert!(group[1].1[0].is_nan());
        assert!(log.column("x").unwrap_err().to_string().contains("weight.a"));
    }

    #[test]
    fn a_log_that_has_not_begun_is_none_where_it_may_be_absent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.csv");
        assert!(Log::read_if_begun(&path).unwrap().is_none());
        std::fs::write(&path, "a,b\n").unwrap();
        assert!(Log::read_if_begun(&path).unwrap().is_none());
        assert!(Log::read(&path).unwrap_err().to_string().contains("no complete row"));
        std::fs::write(&path, "a,b\n1,2\n").unwrap();
        assert_eq!(Log::read_if_begun(&path).unwrap().unwrap().column("b").unwrap(), [2.0]);
    }

    #[test]
    fn a_word_among_numbers_is_placed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.csv");
        std::fs::write(&path, "a,b\n1,2\n1,x\n").unwrap();
        let error = Log::read(&path).unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains("`b`") && error.contains("`x`"), "{error}");
    }
}
