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

/// The program beside the test. `cargo test --workspace` has built it; where this package is tested alone, it is built if it is not there
/// or older than a file it is made of.
fn path_of(program: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().to_owned();
    let path = |name: &str| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    BUILT.call_once(|| {
        if PROGRAMS.iter().all(|name| is_up_to_date(&path(name))) {
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

/// Whether a program is there and no younger file is among its sources, which cargo lists beside it: `PROGRAM: SOURCE SOURCE …`, blanks in
/// names behind a backslash.
fn is_up_to_date(program: &Path) -> bool {
    let changed = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    let sources = std::fs::read_to_string(program.with_extension("d")).unwrap_or_default();
    let Some((_, sources)) = sources.split_once(": ") else { return false };
    let sources = sources.trim_end().replace("\\ ", "\0");
    let built = changed(program);
    // A source that is gone is a change too.
    built.is_some()
        && sources.split(' ').map(|name| name.replace('\0', " ")).all(|name| {
            let source = changed(Path::new(&name));
            source.is_some() && source <= built
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, write};
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_program_older_than_its_sources_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let [program, first, second] = ["program", "first.rs", "a second.rs"].map(at);
        assert!(!is_up_to_date(&program), "there is none");
        let listed = [&first, &second].map(|path| path.to_str().unwrap().replace(' ', "\\ "));
        write(at("program.d"), format!("{}: {}\n", program.display(), listed.join(" "))).unwrap();
        let now = SystemTime::now();
        for (path, seconds) in [(&program, 60), (&first, 10), (&second, 60)] {
            write(path, "").unwrap();
            File::options().write(true).open(path).unwrap().set_modified(now + Duration::from_secs(seconds)).unwrap();
        }
        assert!(is_up_to_date(&program));
        let later = now + Duration::from_secs(61);
        File::options().write(true).open(&second).unwrap().set_modified(later).unwrap();
        assert!(!is_up_to_date(&program), "a source is younger");
        std::fs::remove_file(&second).unwrap();
        assert!(!is_up_to_date(&program), "a source is gone");
        write(&second, "").unwrap();
        std::fs::remove_file(at("program.d")).unwrap();
        assert!(!is_up_to_date(&program), "nothing tells its sources");
    }
}
