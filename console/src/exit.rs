//! How a program begins and ends.

use std::process::ExitCode;

/// Options that do not go together, found where the parser of the command line could not see it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongCall(pub String);

/// Sends log lines to standard error. `CAF_LOG` says which, such as `debug` or `caf_runtime=trace`; warnings without it.
pub fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CAF_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,ort=error"));
    // A second subscriber (in tests) is refused, and the first goes on.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

/// Tells an error to a person and the outcome to the shell: 0 when the work is done, 1 when it failed, 2 when the call is wrong
/// (a [`WrongCall`], or what `is_wrong_call` says).
pub fn exit_code(result: anyhow::Result<()>, is_wrong_call: impl FnOnce(&anyhow::Error) -> bool) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    crate::say!("error: {}", told_once(&error));
    ExitCode::from(if error.is::<WrongCall>() || is_wrong_call(&error) { 2 } else { 1 })
}

/// The error and its causes, without those whose words an outer message holds already.
fn told_once(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |text, cause| {
        let cause = cause.to_string();
        match text.as_str() {
            "" => cause,
            told if told.contains(&cause) => text,
            told => format!("{told}: {cause}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "no such file");
        let error = anyhow::Error::from(missing).context("a.onnx: no such file").context("the model");
        assert_eq!(told_once(&error), "the model: a.onnx: no such file");
    }

    #[test]
    fn wrong_calls_and_failures_differ() {
        let code = |result, wrong| format!("{:?}", exit_code(result, |_| wrong));
        let is = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(code(Ok(()), true), is(0));
        assert_eq!(code(Err(anyhow::anyhow!("no")), false), is(1));
        assert_eq!(code(Err(anyhow::anyhow!("no")), true), is(2));
        assert_eq!(code(Err(WrongCall("no".to_owned()).into()), false), is(2));
    }
}
