//! Folders, files, and the numbers in JSON files.

use crate::say;
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The variable that makes a missing folder a failure.
const SWITCH: &str = "CAF_GOLDEN";

/// A folder or file of the shared data by its path in it, as `golden/caf`; `None`, after a line that begins with `SKIP` and names
/// what is missing, when it is not there. Where `CAF_GOLDEN=required` promises the data the test fails instead.
pub fn find(test: &str, path: &str) -> Option<PathBuf> {
    let found = shared(std::env::var_os("CAF_SHARED").map(PathBuf::from)).join(path);
    if found.exists() {
        return Some(found);
    }
    absent(test, &found, is_required(std::env::var_os(SWITCH).as_deref()));
    None
}

/// Says that something is missing, or fails where it must not be.
fn absent(test: &str, path: &Path, required: bool) {
    let place = path.display();
    assert!(
        !required,
        "{test}: {place} is missing, and {SWITCH}=required promises it (CAF_SHARED names another folder)"
    );
    say(&format!("SKIP {test}: {place} is missing (CAF_SHARED names another folder)"));
}

/// The meaning of `CAF_GOLDEN`. A misspelt promise would be none.
fn is_required(value: Option<&OsStr>) -> bool {
    match value {
        None => false,
        Some(value) if value.is_empty() || value == "optional" => false,
        Some(value) if value == "required" => true,
        Some(other) => panic!("{SWITCH}: expected required, optional or nothing, found {}", other.display()),
    }
}

/// The folder `shared` beside the checkout unless another one is given. A checkout may lie inside another one.
fn shared(given: Option<PathBuf>) -> PathBuf {
    let beside = || {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(2);
        let mut candidates = checkout.map(|folder| folder.join("../shared"));
        candidates.find(|folder| folder.is_dir()).unwrap_or_else(|| PathBuf::from("../shared"))
    };
    given.unwrap_or_else(beside)
}

/// Files of a folder whose names begin and end so, sorted; at least one.
pub fn files(folder: &Path, begin: &str, end: &str) -> Vec<PathBuf> {
    let fits = |name: &str| name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end);
    entries(folder, &format!("{begin}*{end}"), |path| {
        path.is_file() && path.file_name().and_then(|n| n.to_str()).is_some_and(fits)
    })
}

/// Folders of a folder in which all these files are, sorted; at least one.
pub fn folders(folder: &Path, with: &[&str]) -> Vec<PathBuf> {
    entries(folder, &format!("folder with {}", with.join(" and ")), |path| {
        with.iter().all(|file| path.join(file).exists())
    })
}

fn entries(folder: &Path, what: &str, fits: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let all = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut found: Vec<PathBuf> = all.map(|entry| entry.unwrap().path()).filter(|path| fits(path)).collect();
    found.sort();
    assert!(!found.is_empty(), "{} holds no {what}", folder.display());
    found
}

/// A file's name without its extension, or a folder's name.
pub fn stem(path: &Path) -> String {
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    name.unwrap().to_string_lossy().into_owned()
}

/// A JSON file.
pub fn json(path: &Path) -> Value {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A number.
pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("expected a number, found {value}"))
}

/// A whole number.
pub fn count(value: &Value) -> usize {
    value.as_u64().unwrap_or_else(|| panic!("expected a whole number, found {value}")) as usize
}

/// A list.
pub fn items(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("expected a list, found {value}"))
}

/// A list of numbers.
pub fn numbers(value: &Value) -> Vec<f64> {
    items(value).iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_is_taken() {
        assert_eq!(shared(Some("/elsewhere".into())), Path::new("/elsewhere"));
        assert!(shared(None).ends_with("../shared"));
    }

    #[test]
    fn missing_data_is_told_unless_it_is_promised() {
        absent("missing_data_is_told_unless_it_is_promised", Path::new("/nowhere"), false);
        let required = |value: &str| is_required(Some(OsStr::new(value)));
        assert!(!is_required(None) && !required("") && !required("optional") && required("required"));
    }

    #[test]
    #[should_panic(expected = "/nowhere is missing, and CAF_GOLDEN=required promises it")]
    fn promised_data_that_is_missing_fails() {
        absent("promised_data_that_is_missing_fails", Path::new("/nowhere"), true);
    }

    #[test]
    #[should_panic(expected = "expected required, optional or nothing, found yes")]
    fn a_misspelt_promise_fails() {
        is_required(Some(OsStr::new("yes")));
    }

    #[test]
    fn cases_are_found_by_their_names() {
        let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let found: Vec<String> = files(&crate_folder.join("src"), "", ".rs").iter().map(|p| stem(p)).collect();
        assert_eq!(found, ["bench", "disk", "folder", "lib", "stop", "tally"]);
        assert_eq!(folders(crate_folder, &["lib.rs", "tally.rs"]), [crate_folder.join("src")]);
    }

    #[test]
    #[should_panic(expected = "holds no case_*.json")]
    fn a_folder_without_a_case_fails() {
        files(Path::new(env!("CARGO_MANIFEST_DIR")), "case_", ".json");
    }
}
