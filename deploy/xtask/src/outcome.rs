//! How a call can end other than well: exit codes 2 and 130, as opposed to work that failed (1).

use std::fmt;

/// The call itself is wrong (exit code 2), as opposed to work that failed (exit code 1).
#[derive(Debug)]
pub struct WrongCall(pub String);

impl fmt::Display for WrongCall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for WrongCall {}

/// The user asked for an end (exit code 130, as shells have it).
#[derive(Debug)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("stopped; the same call goes on")
    }
}

impl std::error::Error for Stopped {}
