//! The program, called; small models and images for it.

#![allow(dead_code, unused_imports, reason = "every test program takes a part of it")]

#[path = "../../../tests/common/mod.rs"]
mod made;
pub mod report;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use caf_net::zoo::pipeline::{ColourMode, Samples};
use tempfile::TempDir;

pub use made::*;

/// Runs the program.
pub fn caf_run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_caf-run")).args(arguments).output().unwrap()
}

/// What the program said on its error output.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder with a model that takes any size, and the files of a run.
pub struct Bench {
    /// The folder, removed at the end.
    pub folder: TempDir,
    /// The model.
    pub model: PathBuf,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let model = fusion_model(folder.path(), "m.onnx", Samples::Bytes, ColourMode::Rgb);
        Self { folder, model }
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Runs the program, which must succeed.
pub fn succeeds(arguments: &[&str]) -> String {
    let output = caf_run(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}\n{}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs the program, which must fail with that code and name every one of `words`.
pub fn fails(code: i32, words: &[&str], arguments: &[&str]) {
    let output = caf_run(arguments);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is missing in: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

/// A path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Everything in a folder that looks unfinished.
pub fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(leftovers(&path));
        } else if path.to_string_lossy().contains(".partial") {
            found.push(path);
        }
    }
    found
}
