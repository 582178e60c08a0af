//! How a program begins and ends.

use std::error::Error;
use std::process::ExitCode;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// What is logged where `CAF_LOG` says nothing.
const LOGGED: &str = "warn,ort=error";

/// Exit code of a program that was interrupted, as shells have it.
pub(crate) const INTERRUPTED: u8 = 130;

/// What a program's help says about its exit code.
pub const EXIT_CODES: &str = "Exit codes: 0 done, 1 the work failed, 2 the call is wrong, 130 interrupted.";

/// What was typed is wrong in itself, found where the parser of the command line could not see it: options that do not go together,
/// values out of range, settings that are unknown or no TOML, a path that leads nowhere or to the wrong kind of thing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongCall(pub String);

/// The work was stopped on request, before its end; what became of it has been said.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Sends log lines to standard error. `CAF_LOG` says which, by level or by crate and level: `debug`, `warn,caf_runtime=trace`. Warnings
/// without it; what it says wrongly is told.
pub fn start_log() {
    let text = std::env::var("CAF_LOG").unwrap_or_else(|_| LOGGED.to_owned());
    let targets = text.parse::<Targets>().unwrap_or_else(|error| {
        crate::say!("CAF_LOG={text}: {error}; going on with {LOGGED}");
        Targets::new().with_default(LevelFilter::WARN).with_target("ort", LevelFilter::ERROR)
    });
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(targets);
    // A second subscriber (in tests) is refused, and the first goes on.
    let _ = tracing_subscriber::registry().with(lines).try_init();
}

/// Tells an error to a person and the outcome to the shell: 0 when the work is done; 2 when what was typed is wrong in itself (a
/// [`WrongCall`], or what `is_wrong_call` says); 130 when the work was [`Interrupted`], which is no error to be told; 1 when the
/// work failed, as it does by the contents of files, by devices and by disks.
pub fn exit_code(result: anyhow::Result<()>, is_wrong_call: impl FnOnce(&anyhow::Error) -> bool) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    if error.is::<Interrupted>() {
        return ExitCode::from(INTERRUPTED);
    }
    crate::say!("error: {}", told(error.as_ref()));
    ExitCode::from(if error.is::<WrongCall>() || is_wrong_call(&error) { 2 } else { 1 })
}

/// An error and its causes in one line, without those whose words an outer message holds already.
#[must_use]
pub fn told(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes
        .map(ToString::to_string)
        .fold(error.to_string(), |text, cause| if text.contains(&cause) { text } else { format!("{text}: {cause}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "no such file");
        let error = anyhow::Error::from(missing).context("a.onnx: no such file").context("the model");
        assert_eq!(told(error.as_ref()), "the model: a.onnx: no such file");
    }

    #[test]
    fn wrong_calls_and_failures_differ() {
        let code = |result, wrong| format!("{:?}", exit_code(result, |_| wrong));
        let is = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(code(Ok(()), true), is(0));
        assert_eq!(code(Err(anyhow::anyhow!("no")), false), is(1));
        assert_eq!(code(Err(anyhow::anyhow!("no")), true), is(2));
        assert_eq!(code(Err(WrongCall("no".to_owned()).into()), false), is(2));
        assert_eq!(code(Err(Interrupted.into()), true), is(130));
    }
}
