//! The programs of the workspace, for tests that call several of them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

/// What the tests call.
const PROGRAMS: [&str; 4] = ["caf-search", "caf-export", "caf-run", "caf-eval"];

/// How a call ended.
#[derive(Debug)]
pub struct Said {
    /// The program and its command.
    pub what: String,
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Everything it said.
    pub text: String,
}

/// Calls a program by its name and expects no panic.
pub fn call<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Said {
    let mut command = Command::new(path_of(program));
    let output = command.args(arguments).env_remove("CAF_LOG").output().unwrap();
    let text = [output.stderr, output.stdout].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let command = arguments.first().map(|word| word.as_ref().to_string_lossy().into_owned()).unwrap_or_default();
    assert!(!text.contains("panicked"), "{program} {command}: {text}");
    Said { what: format!("{program} {command}"), code: output.status.code(), text }
}

/// The program beside the test. `cargo test --workspace` has built it; where this package is tested alone, the one that is there is
/// taken, and built only where there is none.
fn path_of(program: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().to_owned();
    let path = |name: &str| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    BUILT.call_once(|| {
        if PROGRAMS.iter().all(|name| path(name).is_file()) {
            return;
        }
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.arg("build").args(PROGRAMS.iter().flat_map(|name| ["--package", name]));
        if let Some(profile) = folder.file_name().filter(|name| *name != "debug") {
            cargo.arg("--profile").arg(profile);
        }
        assert!(cargo.status().unwrap().success(), "the programs cannot be built");
    });
    path(program)
}
