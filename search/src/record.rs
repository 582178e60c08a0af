//! The log of a run: CSV rows numbered by iteration, and beside it the same for TensorBoard. Of several ranks the first writes it; the others follow what it holds.

use crate::error::SearchError;
use crate::file::write_text;
use crate::state::StateError;
use caf_console::Progress;
use caf_report::EventFile;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Folder of the event files, with a folder in it for each log.
const EVENTS: &str = "tensorboard";

/// A CSV file whose rows are numbered by iteration.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    /// None in a rank that does not write.
    file: Option<File>,
    /// Made with the first row.
    events: Option<EventFile>,
    /// Names of the columns after the first; what stands before a dot groups them in TensorBoard.
    tags: Vec<String>,
    /// Where a run that goes on began.
    next: usize,
    /// Rows from this number on, that [`Record::read`] may find, are another rank's.
    end: usize,
    columns: usize,
    rows: usize,
    last: Option<Row>,
}

/// A row: its number, and the values of the other columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Iteration.
    pub number: usize,
    /// Values; `None` where none was taken.
    pub values: Vec<Option<f64>>,
}

impl Row {
    /// Reads a line. None for one that a kill cut off: its iteration runs again.
    fn read(line: &str, columns: usize) -> Option<Row> {
        let mut fields = line.split(',');
        let number = fields.next()?.parse().ok()?;
        let values = fields
            .map(|field| if field.is_empty() { Some(None) } else { field.parse().ok().map(Some) })
            .collect::<Option<Vec<_>>>()?;
        (values.len() + 1 == columns).then_some(Row { number, values })
    }
}

impl Record {
    /// Opens a log that continues at number `next`: later rows, left by an interrupted run, are dropped.
    ///
    /// # Errors
    /// When the file cannot be written, or has rows to be kept and other columns.
    pub fn open(path: &Path, columns: &[String], next: usize) -> Result<Self, SearchError> {
        let header = columns.join(",");
        let old = match std::fs::read(path) {
            // A row that was cut off may be cut within anything.
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(SearchError::io("read", path)(e)),
        };
        let mut lines = old.split_inclusive('\n');
        let found = lines.next().unwrap_or_default().trim_end();
        if next > 0 && lines.clone().next().is_some() && found != header {
            return Err(StateError::unusable(path, "its columns are those of another run; give another --out").into());
        }
        let mut text = header + "\n";
        let (mut rows, mut last) = (0, None);
        for line in lines.filter(|line| line.ends_with('\n')) {
            if let Some(row) = Row::read(line.trim_end(), columns.len()).filter(|row| row.number < next) {
                text.push_str(line);
                rows += 1;
                last = Some(row);
            }
        }
        let (mut file, mut end) = (None, next);
        if caf_ranks::leads() {
            write_text(path, &text)?;
            let opened = OpenOptions::new().append(true).open(path);
            (file, end) = (Some(opened.map_err(SearchError::io("open", path))?), usize::MAX);
        }
        let tags = columns.iter().skip(1).map(|name| name.replacen('.', "/", 1)).collect();
        Ok(Record { path: path.to_owned(), file, events: None, tags, next, end, columns: columns.len(), rows, last })
    }

    /// All rows, from the file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self) -> Result<Vec<Row>, SearchError> {
        let text = match std::fs::read_to_string(&self.path) {
            Err(e) if self.file.is_none() && e.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.map_err(SearchError::io("read", &self.path))?,
        };
        let rows = text.lines().skip(1).filter_map(|line| Row::read(line, self.columns));
        Ok(rows.filter(|row| row.number < self.end).collect())
    }

    /// Rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Says when a log of every iteration has fewer rows than its state has iterations: somebody removed them.
    pub fn tell_missing(&self, done: usize, progress: &dyn Progress) {
        if self.rows < done {
            progress.say(&format!("{} holds {} of {done} iterations", self.path.display(), self.rows));
        }
    }

    /// The last row.
    pub fn last(&self) -> Option<&Row> {
        self.last.as_ref()
    }

    /// Appends the row of `iteration`; `values` fill the columns after the first. Values that were not taken are `None`.
    ///
    /// # Errors
    /// When the row has another width than the header, or the disk is full.
    pub fn row(&mut self, iteration: usize, values: Vec<Option<f64>>) -> Result<(), SearchError> {
        if values.len() + 1 != self.columns {
            let what = format!("a row has {} values, the log {} columns", values.len() + 1, self.columns);
            return Err(StateError::unusable(&self.path, what).into());
        }
        let mut line = iteration.to_string();
        for value in &values {
            line.push(',');
            if let Some(v) = value {
                line.push_str(&format!("{v}"));
            }
        }
        line.push('\n');
        // One write for one row: a kill leaves at most a cut last line.
        if let Some(file) = &mut self.file {
            file.write_all(line.as_bytes()).map_err(SearchError::io("write", &self.path))?;
            let events = match &mut self.events {
                Some(events) => events,
                None => {
                    let stem = self.path.file_stem().unwrap_or_default();
                    let folder = self.path.with_file_name(EVENTS).join(stem);
                    self.events.insert(EventFile::create(&folder, self.next)?)
                }
            };
            events.add(iteration, self.tags.iter().map(String::as_str).zip(values.iter().copied()))?;
        }
        self.rows += 1;
        self.last = Some(Row { number: iteration, values });
        Ok(())
    }

    /// Brings all rows to the disk. Called before a state is saved, so that no state knows more iterations than its log.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&self) -> Result<(), SearchError> {
        self.file.as_ref().map_or(Ok(()), File::sync_data).map_err(SearchError::io("write", &self.path))
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
        std::fs::write(&path, "iteration,a,b\n0,1,2\n1,3,\n2,5,6\n1,7,0.").unwrap();
        let mut record = Record::open(&path, &columns(), 2).unwrap();
        let kept = Row { number: 1, values: vec![Some(3.0), None] };
        assert_eq!((record.rows(), record.last()), (2, Some(&kept)));
        assert_eq!(record.read().unwrap()[1], kept);
        record.row(2, vec![Some(0.5), None]).unwrap();
        assert_eq!((record.rows(), record.last().map(|r| r.number)), (3, Some(2)));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "iteration,a,b\n0,1,2\n1,3,\n2,0.5,\n");
        let events = std::fs::read_dir(dir.path().join("tensorboard/log")).unwrap().map(|e| e.unwrap().path());
        let events: Vec<_> = events.map(|path| std::fs::read(path).unwrap()).collect();
        let has = |words: &[u8]| events[0].windows(words.len()).any(|part| part == words);
        assert!(events.len() == 1 && has(b"\x01a\x15\0\0\0\x3f") && !has(b"\x01b\x15"), "{events:?}");
    }

    #[test]
    fn another_runs_log_is_refused_unless_nothing_of_it_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.csv");
        std::fs::write(&path, "iteration,x\n0,1\n").unwrap();
        assert!(matches!(Record::open(&path, &columns(), 1), Err(SearchError::State(_))));
        assert_eq!(Record::open(&path, &columns(), 0).unwrap().rows(), 0);
    }
}
