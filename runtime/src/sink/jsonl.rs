//! One JSON object a line for every fused pair.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use caf_file::Aside;
use caf_geometry::Detection;
use serde::ser::{Serialize, SerializeSeq, SerializeStruct, Serializer};

use super::SinkError;
use crate::detect::class_name;

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

    /// Adds a line.
    pub fn write(&mut self, line: &impl Serialize) -> Result<(), SinkError> {
        let written = serde_json::to_writer(&mut self.out, line).map_err(std::io::Error::from);
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

/// Detections with their class names, as a JSON list of
/// `{"box": [x1, y1, x2, y2], "score": s, "class": n, "name": "…"}`.
#[derive(Clone, Copy, Debug)]
pub struct Detections<'a> {
    /// Boxes in pixels of the fused image, which are those of the visible camera.
    pub list: &'a [Detection],
    /// Class names.
    pub classes: &'a [String],
}

struct Named<'a>(&'a Detection, &'a str);

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(d, name) = self;
        let mut object = serializer.serialize_struct("detection", 4)?;
        object.serialize_field("box", &[d.x1, d.y1, d.x2, d.y2])?;
        object.serialize_field("score", &d.score)?;
        object.serialize_field("class", &d.class)?;
        object.serialize_field("name", name)?;
        object.end()
    }
}

impl Serialize for Detections<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.list.len()))?;
        for detection in self.list {
            list.serialize_element(&Named(detection, class_name(self.classes, detection.class)))?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_appear_together_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        let list = [Detection { x1: 1.5, y1: 2.0, x2: 3.0, y2: 4.0, score: 0.5, class: 1 }];
        let classes = ["person".to_owned(), "car".to_owned()];
        let mut lines = JsonLines::create(&path).unwrap();
        lines.write(&Detections { list: &list, classes: &classes }).unwrap();
        lines.write(&Detections { list: &[], classes: &[] }).unwrap();
        assert!(!path.exists());
        lines.finish().unwrap();
        let expected = "[{\"box\":[1.5,2.0,3.0,4.0],\"score\":0.5,\"class\":1,\"name\":\"car\"}]\n[]\n";
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        assert!(JsonLines::create(&folder.path().join("absent/out.jsonl")).is_err());
    }
}
