//! `rows.csv`: a row for every job that is done.

use super::job::Key;
use super::study::Protocol;
use crate::error::SearchError;
use crate::file::write_text;
use crate::state::StateError;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Columns before the measured ones.
const HEAD: [&str; 4] = ["method", "group", "seed", "protocol"];
/// The last column.
const SECONDS: &str = "seconds";

/// What a job measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Which job.
    pub key: Key,
    /// The family that its method is one of.
    pub group: Option<String>,
    /// In the order of the columns; none where a class has no label or a metric no value.
    pub values: Vec<Option<f64>>,
    /// Time that its last start took.
    pub seconds: f64,
}

/// All rows of a study.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    path: PathBuf,
    /// Names of what is measured.
    pub columns: Vec<String>,
    /// In the order in which they came.
    pub rows: Vec<Row>,
}

impl Rows {
    /// Those of a file; none when there is no file.
    ///
    /// A last line without its end is one that a kill cut off: it is not there, and its job runs again.
    ///
    /// # Errors
    /// [`SearchError::State`] for a file that is none of a study, with the line.
    pub fn read(path: &Path) -> Result<Option<Self>, SearchError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(SearchError::io("read", path)(e)),
        };
        let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::trim_end);
        let head: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
        let columns = head.strip_prefix(&HEAD).and_then(|rest| rest.strip_suffix(&[SECONDS]));
        let columns = columns.ok_or_else(|| {
            let what = format!("expected the columns {} … {SECONDS}, found {}", HEAD.join(","), head.join(","));
            StateError::unusable(path, what)
        })?;
        let mut rows = Vec::new();
        for (number, line) in lines.enumerate() {
            let row = Row::read(line, columns.len()).ok_or_else(|| {
                let what = format!("line {}: expected {} fields of a row, found `{line}`", number + 2, head.len());
                StateError::unusable(path, what)
            })?;
            rows.push(row);
        }
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        Ok(Some(Rows { path: path.to_owned(), columns, rows }))
    }

    /// Those of a file that is made when it is not there. Only the owner of the study's lock may call this.
    ///
    /// # Errors
    /// As [`Rows::read`], and when the file has other columns.
    pub(super) fn open(path: &Path, columns: &[String]) -> Result<Self, SearchError> {
        let rows = Rows { path: path.to_owned(), columns: columns.to_vec(), rows: Vec::new() };
        match Rows::read(path)? {
            None => {
                write_text(path, &rows.header())?;
                Ok(rows)
            }
            Some(found) if found.columns == columns => Ok(found),
            Some(found) => {
                let what = format!("expected the columns {}, found {}", columns.join(","), found.columns.join(","));
                Err(StateError::unusable(path, what).into())
            }
        }
    }

    /// Adds a row, on the disk first. Only the owner of the study's lock may call this. A job that has a row keeps it.
    ///
    /// # Errors
    /// As [`Rows::open`], and when the file cannot be written.
    pub(super) fn add(&mut self, row: Row) -> Result<(), SearchError> {
        // Others may have added some.
        *self = Rows::open(&self.path, &self.columns)?;
        if self.has(&row.key) {
            return Ok(());
        }
        let fail = |action| SearchError::io(action, &self.path);
        let text = std::fs::read_to_string(&self.path).map_err(fail("read"))?;
        if !text.ends_with('\n') {
            // What a kill cut off.
            write_text(&self.path, text.rfind('\n').and_then(|end| text.get(..=end)).unwrap_or_default())?;
        }
        let mut file = OpenOptions::new().append(true).open(&self.path).map_err(fail("open"))?;
        file.write_all(row.line().as_bytes()).and_then(|()| file.sync_data()).map_err(fail("write"))?;
        self.rows.push(row);
        Ok(())
    }

    /// Whether a job has a row.
    pub fn has(&self, key: &Key) -> bool {
        self.rows.iter().any(|row| row.key == *key)
    }

    fn header(&self) -> String {
        let columns = self.columns.iter().map(String::as_str);
        let names: Vec<&str> = HEAD.into_iter().chain(columns).chain([SECONDS]).collect();
        names.join(",") + "\n"
    }
}

impl Row {
    fn line(&self) -> String {
        let Key { method, seed, protocol } = &self.key;
        let seed = seed.map_or_else(String::new, |seed| seed.to_string());
        let mut line = format!("{method},{},{seed},{protocol}", self.group.as_deref().unwrap_or_default());
        for value in &self.values {
            line.push(',');
            line += &value.map_or_else(String::new, |v| v.to_string());
        }
        line + &format!(",{:.1}\n", self.seconds)
    }

    fn read(line: &str, columns: usize) -> Option<Row> {
        let fields: Vec<&str> = line.split(',').collect();
        let [method, group, seed, protocol, rest @ ..] = &fields[..] else { return None };
        let (seconds, values) = rest.split_last()?;
        let given = |text: &str| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) };
        let seed = if seed.is_empty() { None } else { Some(seed.parse().ok()?) };
        let protocol = [Protocol::P1, Protocol::P2].into_iter().find(|p| p.to_string() == *protocol)?;
        let values: Vec<Option<f64>> = values.iter().map(|text| given(text)).collect::<Option<_>>()?;
        (values.len() == columns).then_some(Row {
            key: Key { method: (*method).to_owned(), seed, protocol },
            group: Some((*group).to_owned()).filter(|g| !g.is_empty()),
            values,
            seconds: seconds.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(method: &str, seed: Option<u64>, value: Option<f64>) -> Row {
        let key = Key { method: method.to_owned(), seed, protocol: Protocol::P1 };
        Row { key, group: None, values: vec![value, Some(1.0 / 3.0)], seconds: 2.5 }
    }

    #[test]
    fn rows_come_back_bit_for_bit_and_a_cut_line_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.csv");
        let columns = ["map50", "ap50.person"].map(str::to_owned);
        let mut rows = Rows::open(&path, &columns).unwrap();
        let [a, b] = [row("a", Some(3), Some(0.1 + 0.2)), row("b", None, None)];
        rows.add(a.clone()).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        assert_eq!(whole.lines().next(), Some("method,group,seed,protocol,map50,ap50.person,seconds"));
        std::fs::write(&path, format!("{whole}b,,,p1,0.2")).unwrap();
        assert_eq!(Rows::read(&path).unwrap().unwrap().rows, std::slice::from_ref(&a));
        rows.add(b.clone()).unwrap();
        rows.add(Row { seconds: 9.0, ..a.clone() }).unwrap();
        assert_eq!(Rows::read(&path).unwrap().unwrap().rows, [a, b]);
        assert!(rows.has(&row("b", None, None).key) && !rows.has(&row("b", Some(1), None).key));
    }

    #[test]
    fn another_file_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.csv");
        std::fs::write(&path, "a,b\n1,2\n").unwrap();
        let text = Rows::read(&path).unwrap_err().to_string();
        assert!(text.contains("rows.csv") && text.contains("found a,b"), "{text}");
        std::fs::write(&path, "method,group,seed,protocol,map50,seconds\nx,,1,p1,0.5,2\nx,,1,p3,0.5,2\n").unwrap();
        let text = Rows::read(&path).unwrap_err().to_string();
        assert!(text.contains("line 3") && text.contains("p3"), "{text}");
        std::fs::write(&path, "method,group,seed,protocol,map50,seconds\n").unwrap();
        let text = Rows::open(&path, &["miou".to_owned()]).unwrap_err().to_string();
        assert!(text.contains("miou") && text.contains("map50"), "{text}");
    }
}
