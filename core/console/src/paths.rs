//! What a call reads and what it writes, checked before the work begins.

use crate::WrongCall;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Ends of the names of files that are read because they lie in a folder: images, labels and lists.
const READ_BY_FOLDER: [&str; 7] = ["png", "jpg", "jpeg", "bmp", "tif", "tiff", "txt"];

/// The paths of a call by their options. Inputs must be there, and so must the folders of outputs that the call does not fill itself;
/// outputs must replace no input and no other output.
///
/// Methods take a path or an option of one; what is not given is not checked.
#[derive(Debug, Default)]
pub struct Paths {
    inputs: Vec<Named>,
    outputs: Vec<Named>,
}

#[derive(Debug)]
struct Named {
    option: &'static str,
    path: PathBuf,
    is_folder: bool,
    /// Nothing may be put into it.
    is_sealed: bool,
}

impl Paths {
    /// A file that is read.
    #[must_use]
    pub fn file<'a>(mut self, option: &'static str, path: impl Into<Option<&'a Path>>) -> Self {
        self.inputs.extend(path.into().map(|path| Named {
            option,
            path: path.to_owned(),
            is_folder: false,
            is_sealed: false,
        }));
        self
    }

    /// A folder whose images and texts are read.
    #[must_use]
    pub fn folder<'a>(mut self, option: &'static str, path: impl Into<Option<&'a Path>>) -> Self {
        self.inputs.extend(path.into().map(|path| Named {
            option,
            path: path.to_owned(),
            is_folder: true,
            is_sealed: false,
        }));
        self
    }

    /// A folder that is read whole and into which nothing may be put.
    #[must_use]
    pub fn sealed<'a>(mut self, option: &'static str, path: impl Into<Option<&'a Path>>) -> Self {
        let folder = |path: &Path| Named { option, path: path.to_owned(), is_folder: true, is_sealed: true };
        self.inputs.extend(path.into().map(folder));
        self
    }

    /// A data set in the plain layout: its root and the folders of its images and labels.
    #[must_use]
    pub fn data_set<'a>(self, option: &'static str, root: impl Into<Option<&'a Path>>) -> Self {
        let Some(root) = root.into() else { return self };
        let folders = ["ir", "vi", "labels", "ignore", "masks"].map(|name| root.join(name));
        let there = folders.iter().filter(|folder| folder.is_dir());
        there.fold(self.folder(option, root), |paths, folder| paths.folder(option, folder.as_path()))
    }

    /// A list of names in a data set, whose path begins at its root. One that is no file may be a split of its layout.
    #[must_use]
    pub fn list<'a>(self, option: &'static str, root: &Path, list: impl Into<Option<&'a Path>>) -> Self {
        self.file(option, list.into().map(|list| root.join(list)).filter(|path| path.exists()).as_deref())
    }

    /// A file that is written.
    #[must_use]
    pub fn writes<'a>(mut self, option: &'static str, path: impl Into<Option<&'a Path>>) -> Self {
        self.outputs.extend(path.into().map(|path| Named {
            option,
            path: path.to_owned(),
            is_folder: false,
            is_sealed: false,
        }));
        self
    }

    /// A folder that results are written into.
    #[must_use]
    pub fn fills<'a>(mut self, option: &'static str, path: impl Into<Option<&'a Path>>) -> Self {
        self.outputs.extend(path.into().map(|path| Named {
            option,
            path: path.to_owned(),
            is_folder: true,
            is_sealed: false,
        }));
        self
    }

    /// Checks all of them.
    ///
    /// # Errors
    /// [`WrongCall`] with the options and the path: an input that is absent, a path of the other kind, an output in a folder that is
    /// absent, one that is an input or another output, or that lies in an input folder under the name of an image or a text.
    pub fn check(&self) -> Result<(), WrongCall> {
        for input in &self.inputs {
            match std::fs::metadata(&input.path) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Err(input.refused(&error.to_string())),
                _ => input.check_kind()?,
            }
        }
        for (i, output) in self.outputs.iter().enumerate() {
            output.check_kind()?;
            let place = output.place();
            let is_filled = self.outputs.iter().any(|other| other.is_folder && place.starts_with(other.place()));
            if !is_filled && !place.parent().is_none_or(Path::is_dir) {
                return Err(output.refused("the folder that it should lie in is not there"));
            }
            let (folder, end) =
                (place.parent(), place.extension().map(|end| end.to_string_lossy().to_ascii_lowercase()));
            let is_read_by_folder = !output.is_folder && end.is_some_and(|end| READ_BY_FOLDER.contains(&end.as_str()));
            for input in &self.inputs {
                let read = input.place();
                if input.is_sealed && place.starts_with(&read) {
                    return Err(output.refused(&format!("would put something into what {} reads", input.option)));
                }
                if place == read || (input.is_folder && is_read_by_folder && folder == Some(&read)) {
                    return Err(output.refused(&format!("would replace what {} reads", input.option)));
                }
            }
            if let Some(other) = self.outputs.iter().take(i).find(|other| other.place() == place) {
                return Err(output.refused(&format!("is where {} writes, too", other.option)));
            }
        }
        Ok(())
    }
}

impl Named {
    fn refused(&self, why: &str) -> WrongCall {
        WrongCall(format!("{}: {}: {why}", self.option, self.path.display()))
    }

    /// What is there must be a folder where one is meant, and none where a file is meant.
    fn check_kind(&self) -> Result<(), WrongCall> {
        match (self.path.is_dir(), self.is_folder) {
            (true, false) => Err(self.refused("expected a file, found a folder")),
            (false, true) if self.path.exists() => Err(self.refused("expected a folder, found a file")),
            _ => Ok(()),
        }
    }

    fn place(&self) -> PathBuf {
        place(&self.path)
    }
}

/// Where a path leads: without links and detours as far as it exists.
fn place(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        match (absolute.parent(), absolute.file_name()) {
            (Some(parent), Some(name)) => place(parent).join(name),
            _ => absolute,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A data set and a file of weights.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for part in ["set/ir", "set/vi"] {
            std::fs::create_dir_all(folder.path().join(part)).unwrap();
        }
        std::fs::write(folder.path().join("w"), "weights").unwrap();
        std::fs::write(folder.path().join("set/vi/x.png"), "pixels").unwrap();
        folder
    }

    fn refused(paths: &Paths, words: &[&str]) {
        let text = paths.check().unwrap_err().to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{words:?}: {text}");
    }

    #[test]
    fn inputs_are_there_and_of_their_kind() {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        let good = || Paths::default().file("--w", at("w").as_path()).data_set("--data", at("set").as_path());
        good().file("--v", None).check().unwrap();
        refused(&good().file("--v", at("absent").as_path()), &["--v", "absent", "os error 2"]);
        refused(&good().file("--v", at("set").as_path()), &["--v", "expected a file"]);
        refused(&good().folder("--v", at("w").as_path()), &["--v", "expected a folder"]);
    }

    #[test]
    fn outputs_replace_no_input() {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        let with = || {
            let paths = Paths::default().file("--w", at("w").as_path()).data_set("--data", at("set").as_path());
            paths.list("--list", &at("set"), Path::new("val.lst")).list("--split", &at("set"), Path::new("val"))
        };
        std::fs::write(at("set/val.lst"), "x").unwrap();
        std::fs::create_dir(at("set/out")).unwrap();
        for good in ["out", "set/report.json", "set/out/x.png"] {
            with().writes("--json", at(good).as_path()).check().unwrap();
        }
        refused(&with().writes("--json", at("out/x.json").as_path()), &["--json", "out/x.json", "is not there"]);
        with().writes("--json", at("out/x.json").as_path()).fills("--out", at("out").as_path()).check().unwrap();
        for wrong in ["w", "set/../w", "set/vi/x.png", "set/vi/new.PNG", "set/train.txt"] {
            let option = if wrong.ends_with('w') { "--w" } else { "--data" };
            refused(&with().writes("--json", at(wrong).as_path()), &["--json", option, wrong]);
        }
        refused(&with().writes("--json", at("set/val.lst").as_path()), &["--json", "--list", "val.lst"]);
        with().fills("--out", at("set/out").as_path()).check().unwrap();
        for wrong in ["set", "set/vi", "set/./ir/../vi"] {
            refused(&with().fills("--out", at(wrong).as_path()), &["--out", "--data", wrong]);
        }
        refused(&with().fills("--out", at("w").as_path()), &["--out", "expected a folder"]);
        // A folder that is taken as a whole.
        let sealed = || Paths::default().sealed("--bundle", at("set/vi").as_path());
        sealed().writes("--json", at("set/report.json").as_path()).check().unwrap();
        for wrong in ["set/vi/report.json", "set/vi", "set/vi/deep/report.json"] {
            refused(&sealed().writes("--json", at(wrong).as_path()), &["--json"]);
            refused(&sealed().fills("--out", at(wrong).as_path()), &["--out", "--bundle"]);
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_to_what_they_stand_for() {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink(at("set/vi"), at("link")).unwrap();
        refused(
            &Paths::default().data_set("--data", at("set").as_path()).fills("--out", at("link").as_path()),
            &["--data"],
        );
    }

    #[test]
    fn outputs_differ() {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("deep")).unwrap();
        let two =
            |b: &str| Paths::default().writes("--jsonl", at("deep/new").as_path()).writes("--json", at(b).as_path());
        two("deep/other").check().unwrap();
        refused(&two("deep/./new"), &["--jsonl", "--json", "deep/./new"]);
    }
}
