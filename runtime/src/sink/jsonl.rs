//! One JSON object a line for every fused pair.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use caf_file::Aside;

use super::error::SinkError;
use super::kind::{DropPolicy, Sent, Sink, SinkKind};
use crate::line::LineShape;
use crate::result::PairResult;

/// A file of lines.
pub const KIND: SinkKind = SinkKind {
    option: "--jsonl",
    value: "FILE",
    help: "What the tasks find, one JSON object per pair and line",
    writes_file: true,
    drops: DropPolicy::BeyondBacklog,
    open: |place| {
        let lines = JsonLines::create(Path::new(place))?;
        Ok(Box::new(ResultLines { lines, shape: LineShape::default(), written: 0, broken: false }))
    },
};

/// A file of lines being written: beside its place until it is finished.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    out: BufWriter<Aside>,
}

impl JsonLines {
    /// Claims the file's place.
    pub fn create(path: &Path) -> Result<Self, SinkError> {
        let aside = caf_file::begin(path).map_err(|source| SinkError::Write { path: path.to_path_buf(), source })?;
        Ok(Self { path: path.to_path_buf(), out: BufWriter::new(aside) })
    }

    /// Adds the line that `write` writes.
    pub fn write(
        &mut self,
        write: impl FnOnce(&mut dyn std::io::Write) -> serde_json::Result<()>,
    ) -> Result<(), SinkError> {
        let written = write(&mut self.out).map_err(std::io::Error::from);
        let written = written.and_then(|()| self.out.write_all(b"\n"));
        written.map_err(|source| SinkError::Write { path: self.path.clone(), source })
    }

    /// Puts the file in its place.
    pub fn finish(self) -> Result<(), SinkError> {
        let Self { path, out } = self;
        let aside = out.into_inner().map_err(std::io::IntoInnerError::into_error);
        aside.and_then(Aside::finish).map_err(|source| SinkError::Write { path, source })
    }
}

/// Results as lines.
struct ResultLines {
    lines: JsonLines,
    shape: LineShape,
    written: u64,
    /// A line was not written whole: the file is given up.
    broken: bool,
}

impl Sink for ResultLines {
    fn shape(&mut self, lines: LineShape) {
        self.shape = lines;
    }

    fn write(&mut self, result: &PairResult) -> Result<Sent, SinkError> {
        let written = self.lines.write(|out| self.shape.write(result, false, out));
        self.broken = written.is_err();
        self.written += 1;
        written.map(|()| Sent::Written)
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        if self.broken || self.written == 0 { Ok(()) } else { self.lines.finish() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_appear_together_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        let mut lines = JsonLines::create(&path).unwrap();
        lines.write(|out| serde_json::to_writer(out, &[1, 2])).unwrap();
        lines.write(|out| serde_json::to_writer(out, "x")).unwrap();
        assert!(!path.exists());
        lines.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[1,2]\n\"x\"\n");
        assert!(JsonLines::create(&folder.path().join("absent/out.jsonl")).is_err());
    }
}
