//! Programs on a disk that takes no more.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a program in `folder`, where it may write files of at most `limit_kib` KiB: a write beyond that fails, as on a full disk. The
/// limit is the process's own, so it needs neither privileges nor a small disk.
///
/// The program must end with 1, without a panic, and its error must name `place`. Returns the files that are new or other than
/// before, by their paths below `folder`.
pub fn fails_on_full_disk(program: &str, limit_kib: usize, folder: &Path, line: &str, place: &str) -> Vec<String> {
    let before = contents(folder);
    // The limit counts blocks of 512 bytes. Without the trap the system would end the program instead of failing the write.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f \"$0\" && exec \"$@\"", &(2 * limit_kib).to_string(), program])
        .args(line.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let call = format!("{program} {line}, files of at most {limit_kib} KiB");
    assert_eq!(output.status.code(), Some(1), "{call}: {said}");
    assert!(said.contains("error: ") && said.contains(place), "{call}: `{place}` is not in: {said}");
    assert!(!said.contains("panicked"), "{call}: {said}");
    let after = contents(folder);
    assert!(before.keys().all(|path| after.contains_key(path)), "{call}: a file is gone");
    let changed = after.into_iter().filter(|(path, bytes)| before.get(path) != Some(bytes));
    changed.map(|(path, _)| path.strip_prefix(folder).unwrap().to_string_lossy().into_owned()).collect()
}

/// Every file below a folder.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut contents(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of the test's own, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let folder = Folder(std::env::temp_dir().join(format!("caf-golden-{name}-{}", std::process::id())));
            std::fs::create_dir(&folder.0).unwrap();
            folder
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_a_failed_copy_leaves_is_told() {
        let folder = Folder::new("told");
        std::fs::write(
            folder.0.join("script"),
            "cp script copy; head -c 3000 /dev/zero > big || echo error: big >&2; exit 1",
        )
        .unwrap();
        let left = fails_on_full_disk("sh", 1, &folder.0, "script", "big");
        assert_eq!(left, ["big", "copy"]);
        assert_eq!(std::fs::metadata(folder.0.join("big")).unwrap().len(), 1024);
    }

    #[test]
    #[should_panic(expected = "left: Some(0)")]
    fn a_program_that_claims_success_fails() {
        let folder = Folder::new("claims");
        std::fs::write(folder.0.join("script"), "exit 0").unwrap();
        fails_on_full_disk("sh", 1, &folder.0, "script", "");
    }
}
