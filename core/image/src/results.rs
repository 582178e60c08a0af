//! A folder that a program fills with images: nothing is overwritten unasked, and images of two methods are not mixed.
//!
//! What made the images is recorded beside them in a hidden file, which listings of images pass over.

use std::path::{Path, PathBuf};

use crate::error::ImageError;
use crate::folder;

/// The file that says what made the images of its folder.
pub const RECORD: &str = ".made-by";

/// Begins a line of the record that is for people: origins are told apart by the others.
const NOTE: char = '#';

/// Recorded while images of another origin are being replaced.
const REPLACING: &str = "unfinished: images of another origin are being written anew\n";

/// What is done with images that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// They are an error.
    #[default]
    Refuse,
    /// They stay and are not made again.
    Keep,
    /// They are written anew.
    Replace,
}

impl Existing {
    /// From the options `--resume` and `--overwrite`.
    #[must_use]
    pub fn of_options(resume: bool, overwrite: bool) -> Self {
        match (resume, overwrite) {
            (true, _) => Self::Keep,
            (false, true) => Self::Replace,
            (false, false) => Self::Refuse,
        }
    }
}

/// One thing that images were made by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is, such as `method`.
    name: &'static str,
    /// In one line.
    value: String,
    /// What people call the file that the value stands for.
    file: Option<String>,
}

impl Fact {
    /// A name and a value of one line each, such as `method` and `average`.
    #[must_use]
    pub fn new(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, value: value.into(), file: None }
    }

    /// With the name of the file that the value, such as a hash, stands for. The same file by another name is the same origin.
    #[must_use]
    pub fn of_file(self, path: &Path) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        Self { file: Some(name.escape_debug().to_string()), ..self }
    }

    /// As lines of the record.
    fn lines(&self) -> String {
        let Self { name, value, file } = self;
        let note = file.iter().map(|file| format!("{NOTE} {name}: {file}\n"));
        format!("{name}: {value}\n{}", note.collect::<String>())
    }
}

/// A folder for images `NAME.png`.
#[derive(Debug)]
pub struct ResultFolder {
    path: PathBuf,
    record: String,
    existing: Existing,
    /// Whether images of another origin lie there, which will be replaced.
    replaces: bool,
    begun: bool,
}

impl ResultFolder {
    /// Looks at a folder, which need not exist, before images of these names are written there. `facts` are what makes them.
    ///
    /// # Errors
    /// * [`ImageError::Existing`] under [`Existing::Refuse`] when an image of one of the names is there;
    /// * [`ImageError::OtherOrigin`] when images that stay were made otherwise, or under [`Existing::Keep`] nobody knows how;
    /// * [`ImageError::Read`] when the folder cannot be read.
    pub fn open<'a>(
        path: &Path,
        facts: &[Fact],
        names: impl IntoIterator<Item = &'a str>,
        existing: Existing,
    ) -> Result<Self, ImageError> {
        let record: String = facts.iter().map(Fact::lines).collect();
        let mut this = Self { path: path.to_owned(), record, existing, replaces: false, begun: false };
        if !path.exists() {
            return Ok(this);
        }
        let (mut names_count, mut there) = (0, Vec::new());
        for name in names {
            names_count += 1;
            there.extend(Some(this.target(name)).filter(|target| target.is_file()));
        }
        let others = folder::with_extension(path, "png")?.files.len().saturating_sub(there.len());
        let recorded = match std::fs::read_to_string(path.join(RECORD)) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => return Err(ImageError::Read { path: path.join(RECORD), source }),
        };
        let other = |what: String| Err(ImageError::OtherOrigin { path: path.to_owned(), what });
        let is_same = recorded.as_ref().is_some_and(|recorded| compared(recorded) == compared(&this.record));
        let staying = others + if existing == Existing::Replace { 0 } else { there.len() };
        match &recorded {
            Some(recorded) if !is_same && staying > 0 => {
                return other(format!(
                    "{staying} images there were made otherwise: {}",
                    differences(recorded, &this.record)
                ));
            }
            None if existing == Existing::Keep && !there.is_empty() => {
                return other(format!("no file {RECORD} says what made the {} images there", there.len()));
            }
            _ => {}
        }
        if let (Existing::Refuse, Some(first)) = (existing, there.first()) {
            return Err(ImageError::Existing { first: first.clone(), there: there.len(), of: names_count });
        }
        this.replaces = !is_same && !there.is_empty();
        Ok(this)
    }

    /// Where the image of a name lies.
    #[must_use]
    pub fn target(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.png"))
    }

    /// Whether the image of a name is there and stays.
    #[must_use]
    pub fn keeps(&self, name: &str) -> bool {
        self.existing == Existing::Keep && self.target(name).is_file()
    }

    /// Writes the image of a name at the path that `write` is given. The folder is made for the first, and its record follows that
    /// image, so that a disk that takes neither is left as it was; before images of another origin are replaced, the record says so.
    ///
    /// # Errors
    /// [`ImageError::Write`] with the folder or the record; those of `write`.
    pub fn put<E: From<ImageError>>(
        &mut self,
        name: &str,
        write: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        let is_first = !std::mem::replace(&mut self.begun, true);
        if is_first {
            let made = std::fs::create_dir_all(&self.path);
            made.map_err(|source| ImageError::Write { path: self.path.clone(), source })?;
            if self.replaces {
                self.record(REPLACING)?;
            }
        }
        write(&self.target(name))?;
        if is_first && !self.replaces {
            self.record("")?;
        }
        Ok(())
    }

    /// Records that all images are written.
    ///
    /// # Errors
    /// [`ImageError::Write`] with the record.
    pub fn finish(self) -> Result<(), ImageError> {
        if self.begun && self.replaces { self.record("") } else { Ok(()) }
    }

    fn record(&self, note: &str) -> Result<(), ImageError> {
        let path = self.path.join(RECORD);
        let text = format!("{note}{}", self.record);
        caf_file::write(&path, text.as_bytes()).map_err(|source| ImageError::Write { path, source })
    }
}

/// The lines of a record by which origins are told apart.
fn compared(record: &str) -> Vec<&str> {
    record.lines().filter(|line| !line.starts_with(NOTE)).collect()
}

/// What two records say differently, with the names of files that they note.
fn differences(before: &str, now: &str) -> String {
    let only = |these: &str, those: &str| {
        let those = compared(those);
        let told = |line: &str| {
            let name = line.split_once(": ").map_or(line, |(name, _)| name);
            let file = these
                .lines()
                .find_map(|note| note.strip_prefix(NOTE)?.trim_start().strip_prefix(name)?.strip_prefix(": "));
            file.map_or_else(|| line.to_owned(), |file| format!("{line} ({file})"))
        };
        let lines: Vec<String> = compared(these).into_iter().filter(|line| !those.contains(line)).map(told).collect();
        if lines.is_empty() { "nothing more".to_owned() } else { lines.join(", ") }
    };
    format!("recorded {}; now {}", only(before, now), only(now, before))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raster::Gray8;
    use crate::write::write_gray8;
    use caf_geometry::Size;

    fn average() -> Vec<Fact> {
        vec![Fact::new("method", "average"), Fact::new("colours", "kept")]
    }

    fn largest() -> Vec<Fact> {
        vec![Fact::new("method", "max"), Fact::new("colours", "kept")]
    }

    /// Writes all but the kept images of the names, each of one value; how many it wrote.
    fn fill(path: &Path, facts: &[Fact], names: &[&str], existing: Existing, value: u8) -> Result<usize, ImageError> {
        let mut folder = ResultFolder::open(path, facts, names.iter().copied(), existing)?;
        let mut written = 0;
        for name in names {
            if folder.keeps(name) {
                continue;
            }
            let image = Gray8::filled(Size::new(3, 2), value)?;
            folder.put(name, |path| write_gray8(path, &image))?;
            written += 1;
        }
        folder.finish()?;
        Ok(written)
    }

    #[test]
    fn what_is_there_is_refused_kept_or_replaced() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("deep/out");
        assert_eq!(fill(&path, &average(), &["a", "b"], Existing::Refuse, 1).unwrap(), 2);
        assert!(folder::images(&path).unwrap().problems.is_empty(), "the record is no image and disturbs no listing");
        let error = fill(&path, &average(), &["b", "c"], Existing::Refuse, 2).unwrap_err();
        assert!(error.is_wrong_call());
        let text = error.to_string();
        for word in ["1 of 2", "b.png", "--resume", "--overwrite"] {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert_eq!(fill(&path, &average(), &["b", "c"], Existing::Keep, 3).unwrap(), 1);
        assert_eq!(fill(&path, &average(), &["a"], Existing::Replace, 4).unwrap(), 1);
        let value = |name: &str| crate::read_vi(&path.join(name)).unwrap().data()[0];
        assert_eq!(["a.png", "b.png", "c.png"].map(value), [4, 1, 3]);
        assert_eq!(fill(&path, &average(), &["d"], Existing::Refuse, 5).unwrap(), 1, "other names of the same origin");
    }

    #[test]
    fn images_of_two_origins_do_not_come_together() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("out");
        fill(&path, &average(), &["a", "b"], Existing::Refuse, 1).unwrap();
        for (names, existing) in [
            (&["a", "b"][..], Existing::Keep),
            (&["a", "b"], Existing::Refuse),
            (&["c"], Existing::Keep),
            (&["c"], Existing::Refuse),
            (&["a"], Existing::Replace),
        ] {
            let error = fill(&path, &largest(), names, existing, 2).unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, ImageError::OtherOrigin { .. }) && error.is_wrong_call(), "{names:?}: {text}");
            assert!(text.contains("recorded method: average; now method: max"), "{text}");
        }
        assert_eq!(fill(&path, &largest(), &["a", "b"], Existing::Replace, 2).unwrap(), 2);
        assert_eq!(fill(&path, &largest(), &["a", "b"], Existing::Keep, 3).unwrap(), 0);
        std::fs::remove_file(path.join(RECORD)).unwrap();
        let text = fill(&path, &largest(), &["a", "c"], Existing::Keep, 3).unwrap_err().to_string();
        assert!(text.contains(RECORD) && text.contains("1 images"), "{text}");
    }

    #[test]
    fn a_replacement_that_was_cut_off_is_not_resumed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("out");
        fill(&path, &average(), &["a", "b"], Existing::Refuse, 1).unwrap();
        let mut folder = ResultFolder::open(&path, &largest(), ["a", "b"], Existing::Replace).unwrap();
        let image = Gray8::filled(Size::new(3, 2), 2).unwrap();
        folder.put("a", |path| write_gray8(path, &image)).unwrap();
        drop(folder);
        for facts in [average(), largest()] {
            let text = fill(&path, &facts, &["a", "b"], Existing::Keep, 3).unwrap_err().to_string();
            assert!(text.contains("unfinished"), "{text}");
        }
        fill(&path, &largest(), &["a", "b"], Existing::Replace, 2).unwrap();
        assert_eq!(fill(&path, &largest(), &["a", "b"], Existing::Keep, 3).unwrap(), 0);
    }

    #[test]
    fn weights_are_told_by_their_hash_and_their_name() {
        let root = tempfile::tempdir().unwrap();
        let of = |hash: &str, file: &str| {
            [Fact::new("weights", hash).of_file(Path::new(file)), Fact::new("colours", "kept")]
        };
        assert_eq!(fill(root.path(), &of("ab12", "runs/a.onnx"), &["a"], Existing::Refuse, 1).unwrap(), 1);
        let renamed = of("ab12", "b.onnx");
        assert_eq!(
            fill(root.path(), &renamed, &["a", "b"], Existing::Keep, 2).unwrap(),
            1,
            "the same file by another name"
        );
        let text = fill(root.path(), &of("cd34", "c.onnx"), &["c"], Existing::Refuse, 3).unwrap_err().to_string();
        assert!(text.contains("recorded weights: ab12 (b.onnx); now weights: cd34 (c.onnx)"), "{text}");
        assert!(!text.contains("colours"), "{text}");
    }
}
