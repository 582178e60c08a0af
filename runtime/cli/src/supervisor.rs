//! What the system's service manager is told of a live run (`sd_notify`): that it is ready, how it is, that it lives, that it ends.
//!
//! Without `NOTIFY_SOCKET` in the environment nothing is said. What is said is the truth of `/ready` and `/live`
//! ([`caf_runtime::probe`]): a run whose cameras deliver, whose results are fresh and whose sinks work is ready; one that hangs, or a stage of
//! which does, gives no sign of life.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use caf_console::say;
use caf_runtime::board::{Board, Phase};
use caf_runtime::probe::{Known, live, ready};
use caf_runtime::result::ResultState;

/// How often it is looked how the run is, where no shorter time is asked for.
const LOOK: Duration = Duration::from_millis(500);
/// How often it is said how the run is.
const SAY: Duration = Duration::from_secs(5);

/// Where the environment says who listens, and how often they want to hear of us.
#[derive(Debug, Default)]
pub struct Environment {
    /// `NOTIFY_SOCKET`: a path, or a name in the abstract namespace after an `@`.
    pub socket: Option<OsString>,
    /// `WATCHDOG_USEC`.
    pub watchdog_us: Option<OsString>,
    /// `WATCHDOG_PID`: whom that concerns.
    pub watchdog_pid: Option<OsString>,
}

impl Environment {
    /// That of the process.
    pub fn of_process() -> Self {
        let [socket, watchdog_us, watchdog_pid] =
            ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"].map(std::env::var_os);
        Self { socket, watchdog_us, watchdog_pid }
    }

    /// The time from one sign of life to the next that is expected at most.
    fn watchdog(&self) -> Result<Option<Duration>, String> {
        let Some(text) = &self.watchdog_us else { return Ok(None) };
        let number = |text: &OsString| text.to_str().and_then(|text| text.parse::<u64>().ok());
        let wrong = |name: &str, text: &OsString| format!("{name}: expected a number, found `{}`", text.display());
        if let Some(pid) = &self.watchdog_pid
            && number(pid).ok_or_else(|| wrong("WATCHDOG_PID", pid))? != u64::from(std::process::id())
        {
            return Ok(None);
        }
        let us = number(text).filter(|us| *us > 0).ok_or_else(|| wrong("WATCHDOG_USEC", text))?;
        Ok(Some(Duration::from_micros(us)))
    }

    fn address(&self) -> Result<Option<SocketAddr>, String> {
        let Some(text) = &self.socket else { return Ok(None) };
        let address = match text.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            [b'/', ..] => SocketAddr::from_pathname(text),
            _ => return Err(format!("NOTIFY_SOCKET: expected a path or a name after @, found `{}`", text.display())),
        };
        address.map(Some).map_err(|e| format!("NOTIFY_SOCKET `{}`: {e}", text.display()))
    }
}

/// Tells the service manager how a run is.
#[derive(Debug)]
pub struct Supervisor {
    to: Option<(UnixDatagram, SocketAddr)>,
    /// From one sign of life to the next.
    beat: Option<Duration>,
    look: Duration,
    looked: Option<Instant>,
    beaten: Option<Instant>,
    said: Option<Instant>,
    is_ready: bool,
    ends: bool,
    has_failed: bool,
}

impl Supervisor {
    /// As the environment asks for it; what makes no sense there is said, and nothing else happens.
    pub fn new(environment: &Environment) -> Self {
        let opened = environment.address().and_then(|address| {
            let Some(address) = address else { return Ok(None) };
            let socket = UnixDatagram::unbound().and_then(|s| s.set_nonblocking(true).map(|()| s));
            Ok(Some((socket.map_err(|e| format!("NOTIFY_SOCKET: {e}"))?, address)))
        });
        let to = opened.unwrap_or_else(|why| {
            say!("{why}: the service manager is told nothing");
            None
        });
        let watchdog = environment.watchdog().unwrap_or_else(|why| {
            say!("{why}: no signs of life are given");
            None
        });
        // Twice as often as is asked for, which is what sd_watchdog_enabled(3) recommends.
        let beat = watchdog.map(|time| time / 2);
        let look = beat.map_or(LOOK, |beat| LOOK.min(beat / 4));
        let (looked, beaten, said) = (None, None, None);
        Self { to, beat, look, looked, beaten, said, is_ready: false, ends: false, has_failed: false }
    }

    /// Looks at the run and says what there is to say. Called often; looks now and then, and never waits.
    pub fn look(&mut self, board: &Board, now: Instant) {
        let is_due = |last: Option<Instant>, every: Duration| {
            last.is_none_or(|last| now.saturating_duration_since(last) >= every)
        };
        if self.to.is_none() || !is_due(self.looked, self.look) {
            return;
        }
        self.looked = Some(now);
        let mut text = String::new();
        Known::look(board, |known| {
            let (lives, ready) = (live(known), ready(known));
            if ready.ok && !self.is_ready {
                self.is_ready = true;
                self.said = None;
                text += "READY=1\n";
            }
            if known.status.phase == Phase::Ending && !self.ends {
                self.ends = true;
                self.said = None;
                text += "STOPPING=1\n";
            }
            if self.beat.is_some_and(|beat| is_due(self.beaten, beat)) && lives.ok {
                self.beaten = Some(now);
                text += "WATCHDOG=1\n";
            }
            if is_due(self.said, SAY) {
                self.said = Some(now);
                let fused = known.status.results.get(ResultState::Fused as usize).copied().unwrap_or(0);
                let others = known.status.results.iter().sum::<u64>().saturating_sub(fused);
                text += &format!("STATUS={fused} pairs fused, {others} other results");
                ready.reasons.iter().for_each(|reason| text += &format!("; {}", reason.replace('\n', " ")));
                text.push('\n');
            }
        });
        if !text.is_empty() {
            self.send(&text);
        }
    }

    /// The run has ended, perhaps sooner than it was looked at again.
    pub fn end(&mut self) {
        if !std::mem::replace(&mut self.ends, true) {
            self.send("STOPPING=1\n");
        }
    }

    fn send(&mut self, text: &str) {
        let Some((socket, address)) = &self.to else { return };
        if let Err(error) = socket.send_to_addr(text.as_bytes(), address)
            && !std::mem::replace(&mut self.has_failed, true)
        {
            say!("the service manager is not told how the run is: {error}");
        }
    }
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
