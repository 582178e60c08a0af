//! What the command lines of all programs have in common.
//!
//! - results go to standard output ([`out!`]), everything else to standard error ([`say!`]); a reader that has gone away, as
//!   `head` does, is no failure;
//! - progress is a bar on a terminal and a line now and then elsewhere ([`Console`]);
//! - the first interrupt asks for a proper end, the second does not wait for it ([`StopFlag`]);
//! - `--json FILE` writes a report for machines, aside and renamed ([`write_json`]);
//! - the exit code is 0 when the work is done, 1 when it failed, 2 when the call is wrong ([`exit_code`]);
//! - `CAF_LOG` says what is logged ([`start_log`]).

mod exit;
mod output;
mod progress;
mod size;
mod stop;

pub use exit::{WrongCall, exit_code, start_log};
pub use output::{OutputError, claim, print, say, write_json};
pub use progress::{Console, Progress, Silent};
pub use size::{Size, SizeError};
pub use stop::StopFlag;
