//! What the command lines of all programs have in common.
//!
//! - results go to standard output ([`out!`]), everything else to standard error ([`say!`]); a reader that has gone away, as
//!   `head` does, is no failure;
//! - progress is a bar on a terminal and a line now and then elsewhere ([`Console`]);
//! - the first interrupt asks for a proper end, the second does not wait for it ([`StopFlag`]);
//! - `--json FILE` writes a report for machines, aside and renamed ([`write_json`]);
//! - inputs are there, and no output replaces one of them or another output ([`Paths`]);
//! - numbers are read one way ([`within`]);
//! - the exit code is 0 when the work is done; 2 when what was typed is wrong in itself: options that do not go together, values out
//!   of range, settings that are unknown or no TOML, an input that is not there or of another kind; 130 when it was interrupted; 1
//!   when the work failed, by the contents of files, by missing devices or libraries, or by disks ([`exit_code`]);
//! - `CAF_LOG` says what is logged ([`start_log`]).

mod exit;
mod output;
mod parse;
mod paths;
mod progress;
mod stop;

pub use exit::{EXIT_CODES, Interrupted, WrongCall, exit_code, start_log, told};
pub use output::{OutputError, claim, median, print, say, tell_notes, write_json};
pub use parse::{positive, unit, within};
pub use paths::Paths;
pub use progress::{Console, Progress, Silent};
pub use stop::StopFlag;
