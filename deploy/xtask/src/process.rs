//! Other programs: printed as a line that can be pasted into a shell, then run.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// How often the log of a running program is looked into.
const POLL: Duration = Duration::from_millis(100);

/// `text` as one word of a POSIX shell.
pub fn quoted(text: &OsStr) -> String {
    let text = text.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The command as one shell line, without its environment.
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

/// Prints the command, runs it with this program's own input and output, and fails when it fails.
pub fn run(command: &mut Command) -> Result<()> {
    println!("$ {}", line(command));
    let status = command.status().with_context(|| format!("cannot start `{}`", line(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", line(command));
    }
    Ok(())
}

/// Runs a command that adds all it says to the file `log`, below its own `line`, and shows it here as it comes.
///
/// The program writes the file itself, so that it goes on when nobody shows it any more.
pub fn run_logged(command: &mut Command, line: &str, log: &Path) -> Result<ExitStatus> {
    let cannot_log = || format!("cannot write the log {}", log.display());
    let mut file = OpenOptions::new().create(true).append(true).open(log).with_context(cannot_log)?;
    let mut shown = std::fs::File::open(log).with_context(cannot_log)?;
    shown.seek(SeekFrom::End(0)).with_context(cannot_log)?;
    writeln!(file, "$ {line}").with_context(cannot_log)?;
    let errors = file.try_clone().with_context(cannot_log)?;
    command.stdin(Stdio::null()).stdout(file).stderr(errors);
    let mut child = command.spawn().with_context(|| format!("cannot start `{line}`"))?;
    loop {
        // Looked at before the log, so that the last words of a program that ended are shown too.
        let ended = child.try_wait().with_context(|| format!("cannot wait for `{line}`"))?;
        // A terminal that has gone away is no reason to stop the work.
        let _ = io::copy(&mut shown, &mut io::stdout());
        match ended {
            Some(status) => return Ok(status),
            None => std::thread::sleep(POLL),
        }
    }
}

/// Runs the command and returns what it printed; its errors go where this program's errors go.
pub fn capture(command: &mut Command) -> Result<String> {
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start `{}`", line(command)))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", line(command), output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` printed bytes that are not UTF-8", line(command)))
}

/// Whether the command can be started and ends well; it prints nothing.
pub fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let quiet =
        Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// Whether a program of this name lies in one of the folders of `PATH`.
pub fn is_installed(program: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else { return false };
    std::env::split_paths(&path).any(|folder| is_executable(&folder.join(program)))
}

#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &Path) -> bool {
    file.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_a_shell_would_split_are_quoted() {
        assert_eq!(quoted(OsStr::new("a/b-c_1.txt")), "a/b-c_1.txt");
        assert_eq!(quoted(OsStr::new("two words")), "'two words'");
        assert_eq!(quoted(OsStr::new("it's")), r"'it'\''s'");
        assert_eq!(quoted(OsStr::new("")), "''");
        assert_eq!(quoted(OsStr::new("a;b")), "'a;b'");
    }

    #[test]
    fn a_shell_reads_the_line_back_as_the_same_words() {
        let words = ["plain", "two words", "it's", "$HOME", "", "a\"b", "*"];
        let mut command = Command::new("printf");
        command.arg("%s\\n").args(words);
        let printed = capture(Command::new("sh").arg("-c").arg(line(&command))).unwrap();
        assert_eq!(printed.lines().collect::<Vec<_>>(), words);
    }

    #[test]
    fn what_a_program_says_is_added_to_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let run = |script: &str| run_logged(Command::new("sh").args(["-c", script]), script, &log).unwrap();
        assert!(run("echo out; echo err >&2").success());
        assert_eq!(run("echo more; exit 3").code(), Some(3));
        assert_eq!(
            std::fs::read_to_string(&log).unwrap(),
            "$ echo out; echo err >&2\nout\nerr\n$ echo more; exit 3\nmore\n"
        );
        assert!(run_logged(&mut Command::new("no-such-program-here"), "", &log).is_err());
    }

    #[test]
    fn a_failing_program_is_an_error_that_names_it() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err().to_string();
        assert!(error.contains("sh -c 'exit 3'") && error.contains('3'), "{error}");
        assert!(run(&mut Command::new("no-such-program-here")).is_err());
    }
}
