//! Folders that appear complete or not at all, and the files in them.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use caf_geometry::Size;
use image::ExtendedColorType;
use serde::Serialize;
use tempfile::TempDir;

use super::{Label, SceneError};

/// A folder of ours has this file; nothing else is ever replaced.
const MARK: &str = "rig.toml";

pub(crate) fn io(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> SceneError {
    let path = path.to_owned();
    move |source| SceneError::Io { path, doing, source }
}

/// A folder that is filled beside its place and then renamed to it; dropped unfinished, it leaves nothing.
pub(crate) struct Staged {
    aside: TempDir,
    inner: PathBuf,
    target: PathBuf,
}

impl Staged {
    pub fn new(target: &Path, replace: bool) -> Result<Staged, SceneError> {
        if target.exists() {
            let listed = fs::read_dir(target).map_err(io(target, "listing the folder"))?;
            let empty = listed.count() == 0;
            if !(empty || replace && target.join(MARK).is_file()) {
                return Err(SceneError::NotEmpty { path: target.to_owned() });
            }
        }
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        fs::create_dir_all(&parent).map_err(io(&parent, "creating the folder"))?;
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix(".scenes-").suffix(".partial");
        let aside = builder.tempdir_in(&parent).map_err(io(&parent, "creating a folder in it"))?;
        // The temporary folder itself is private to the user; the one inside gets the usual permissions.
        let inner = aside.path().join("new");
        fs::create_dir(&inner).map_err(io(&inner, "creating the folder"))?;
        Ok(Staged { aside, inner, target: target.to_owned() })
    }

    pub fn path(&self) -> &Path {
        &self.inner
    }

    /// Puts the folder in its place. What it replaces is deleted only after that.
    pub fn finish(self) -> Result<(), SceneError> {
        let old = self.aside.path().join("old");
        if self.target.exists() {
            fs::rename(&self.target, &old).map_err(io(&self.target, "moving the old folder aside"))?;
        }
        if let Err(source) = fs::rename(&self.inner, &self.target) {
            if old.exists() {
                fs::rename(&old, &self.target).map_err(io(&self.target, "putting the old folder back"))?;
            }
            return Err(io(&self.target, "moving the new folder to its place")(source));
        }
        let path = self.aside.path().to_owned();
        self.aside.close().map_err(io(&path, "removing the folder"))
    }
}

/// The folder is renamed when all is written, so that its files need no care of their own.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<(), SceneError> {
    fs::write(path, text).map_err(io(path, "writing"))
}

pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), SceneError> {
    let text =
        serde_json::to_string_pretty(value).map_err(|source| SceneError::Json { path: path.to_owned(), source })?;
    write_text(path, &(text + "\n"))
}

pub(crate) fn write_gray(path: &Path, levels: &[u8], size: Size) -> Result<(), SceneError> {
    write_image(path, levels, size, ExtendedColorType::L8)
}

pub(crate) fn write_rgb(path: &Path, levels: &[u8], size: Size) -> Result<(), SceneError> {
    write_image(path, levels, size, ExtendedColorType::Rgb8)
}

fn write_image(path: &Path, levels: &[u8], size: Size, colour: ExtendedColorType) -> Result<(), SceneError> {
    // A scene has at most 4096 pixels a side.
    let [width, height] = size.wh().map(|side| side as u32);
    image::save_buffer_with_format(path, levels, width, height, colour, image::ImageFormat::Png)
        .map_err(|source| SceneError::Image { path: path.to_owned(), source })
}

/// YOLO lines: class, centre x and y, width, height.
pub(crate) fn label_text(labels: &[Label]) -> String {
    let mut text = String::new();
    for Label { class, cx, cy, w, h } in labels {
        // Eight decimals keep a thousandth of a pixel at any supported size; writing to a String cannot fail.
        let _ = writeln!(text, "{} {cx:.8} {cy:.8} {w:.8} {h:.8}", class.id());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_folder_is_never_replaced() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("mine");
        fs::create_dir(&target).unwrap();
        assert!(Staged::new(&target, false).is_ok(), "an empty folder is taken");
        fs::write(target.join("thesis.txt"), "words").unwrap();
        for replace in [false, true] {
            assert!(matches!(Staged::new(&target, replace), Err(SceneError::NotEmpty { .. })));
        }
        fs::write(target.join(MARK), "").unwrap();
        assert!(matches!(Staged::new(&target, false), Err(SceneError::NotEmpty { .. })));
        let staged = Staged::new(&target, true).unwrap();
        fs::write(staged.path().join("new.txt"), "").unwrap();
        staged.finish().unwrap();
        let left: Vec<_> = fs::read_dir(&target).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["new.txt"]);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn an_unfinished_folder_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("deep/er/set");
        let staged = Staged::new(&target, false).unwrap();
        fs::write(staged.path().join("half.txt"), "").unwrap();
        drop(staged);
        assert!(!target.exists());
        assert_eq!(fs::read_dir(parent.path().join("deep/er")).unwrap().count(), 0);
    }
}
