//! The log of a search: one CSV row for each iteration.

use crate::error::SearchError;
use crate::file::write_text;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A CSV file whose rows are numbered by iteration.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    file: File,
    columns: usize,
}

impl Record {
    /// Opens a log that continues at iteration `next`: rows of later iterations, left by an interrupted run, are dropped.
    ///
    /// # Errors
    /// When the file cannot be written, or an existing one has other columns.
    pub fn open(path: &Path, columns: &[String], next: usize) -> Result<Self, SearchError> {
        let header = columns.join(",");
        let old = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(SearchError::io("read", path)(e)),
        };
        let mut lines = old.lines();
        let mut text = header.clone() + "\n";
        if let Some(found) = lines.next()
            && next > 0
        {
            if found != header {
                return Err(SearchError::Resume {
                    path: path.to_owned(),
                    what: "its columns are those of another search; give another --out".to_owned(),
                });
            }
            // A row cut off by a kill has too few fields; its iteration runs again.
            let whole = |line: &&str| line.split(',').count() == columns.len();
            let number = |line: &str| line.split(',').next().and_then(|n| n.parse::<usize>().ok());
            for line in lines.filter(whole).filter(|l| number(l).is_some_and(|n| n < next)) {
                text.push_str(line);
                text.push('\n');
            }
        }
        write_text(path, &text)?;
        let file = OpenOptions::new().append(true).open(path).map_err(SearchError::io("open", path))?;
        Ok(Record { path: path.to_owned(), file, columns: columns.len() })
    }

    /// Appends the row of `iteration`; `values` fill the columns after the first. Values that were not taken are `None`.
    ///
    /// # Errors
    /// When the row has another width than the header, or the disk is full.
    pub fn row(&mut self, iteration: usize, values: &[Option<f64>]) -> Result<(), SearchError> {
        if values.len() + 1 != self.columns {
            return Err(SearchError::Resume {
                path: self.path.clone(),
                what: format!("a row has {} values, the log {} columns", values.len() + 1, self.columns),
            });
        }
        let mut line = iteration.to_string();
        for value in values {
            line.push(',');
            if let Some(v) = value {
                line.push_str(&format!("{v}"));
            }
        }
        line.push('\n');
        // One write for one row: a kill leaves at most a cut last line.
        self.file.write_all(line.as_bytes()).map_err(SearchError::io("write", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<String> {
        ["iteration", "a", "b"].map(str::to_owned).to_vec()
    }

    #[test]
    fn rows_after_the_checkpoint_and_cut_rows_are_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.csv");
        std::fs::write(&path, "iteration,a,b\n0,1,2\n1,3,\n2,5,6\n3,7").unwrap();
        let mut record = Record::open(&path, &columns(), 2).unwrap();
        record.row(2, &[Some(0.5), None]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "iteration,a,b\n0,1,2\n1,3,\n2,0.5,\n");
    }

    #[test]
    fn another_searchs_log_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.csv");
        std::fs::write(&path, "iteration,x\n0,1\n").unwrap();
        assert!(matches!(Record::open(&path, &columns(), 1), Err(SearchError::Resume { .. })));
    }
}
