//! Telling a person how far the work is: bars on a terminal, plain lines elsewhere, nothing in tests.

use indicatif::{ProgressBar, ProgressStyle};
use std::cell::RefCell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Somebody who is told about progress.
pub trait Progress {
    /// A stretch of work of `total` steps begins, of which `done` are done already.
    fn begin(&self, what: &str, total: u64, done: u64);
    /// `done` steps are done; `state` says how it goes.
    fn advance(&self, done: u64, state: &str);
    /// The stretch is over.
    fn end(&self);
    /// Something worth a line of its own.
    fn say(&self, line: &str);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: u64, _: u64) {}
    fn advance(&self, _: u64, _: &str) {}
    fn end(&self) {}
    fn say(&self, _: &str) {}
}

/// Writes to standard error: a bar with the time left on a terminal, else a line every [`PLAIN_INTERVAL`].
#[derive(Debug, Default)]
pub struct Console {
    stretch: RefCell<Option<Stretch>>,
}

/// Time between two lines where there is no terminal.
pub const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Stretch {
    what: String,
    total: u64,
    before: u64,
    began: Instant,
    said: Instant,
    bar: Option<ProgressBar>,
}

impl Stretch {
    /// One line: what, how far, how it goes, time left.
    fn line(&self, done: u64, state: &str) -> String {
        let left = remaining(self.began.elapsed(), done.saturating_sub(self.before), self.total.saturating_sub(done));
        let left = left.map_or_else(String::new, |t| format!(", {} left", clock(t)));
        format!("{} {done}/{} {state} ({}{left})", self.what, self.total, clock(self.began.elapsed()))
    }
}

impl Progress for Console {
    fn begin(&self, what: &str, total: u64, done: u64) {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total);
            let template = "{prefix} {bar:32} {pos}/{len} {elapsed}, {eta} left  {msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_prefix(what.to_owned());
            bar.set_position(done);
            bar.reset_eta();
            bar
        });
        if bar.is_none() {
            eprintln!(
                "{what}: {total} steps{}",
                if done > 0 { format!(", {done} done already") } else { String::new() }
            );
        }
        let now = Instant::now();
        *self.stretch.borrow_mut() =
            Some(Stretch { what: what.to_owned(), total, before: done, began: now, said: now, bar });
    }

    fn advance(&self, done: u64, state: &str) {
        if let Some(stretch) = self.stretch.borrow_mut().as_mut() {
            match &stretch.bar {
                Some(bar) => {
                    bar.set_position(done);
                    bar.set_message(state.to_owned());
                }
                None if stretch.said.elapsed() >= PLAIN_INTERVAL || done == stretch.total => {
                    eprintln!("{}", stretch.line(done, state));
                    stretch.said = Instant::now();
                }
                None => {}
            }
        }
    }

    fn end(&self) {
        if let Some(Stretch { bar: Some(bar), .. }) = self.stretch.borrow_mut().take() {
            bar.finish();
        }
    }

    fn say(&self, line: &str) {
        match self.stretch.borrow().as_ref().and_then(|s| s.bar.as_ref()) {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }
}

/// Time for `left` steps at the pace of the `done` ones.
fn remaining(elapsed: Duration, done: u64, left: u64) -> Option<Duration> {
    (done > 0).then(|| elapsed.div_f64(done as f64).mul_f64(left as f64))
}

/// `1:02:03` or `2:03`.
fn clock(time: Duration) -> String {
    let s = time.as_secs();
    if s >= 3600 {
        format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    } else {
        format!("{}:{:02}", s / 60, s % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_like_a_clock() {
        assert_eq!(clock(Duration::from_secs(7)), "0:07");
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
    }

    #[test]
    fn time_left_follows_the_pace_since_the_start() {
        assert_eq!(remaining(Duration::from_secs(10), 5, 15), Some(Duration::from_secs(30)));
        assert_eq!(remaining(Duration::from_secs(10), 0, 15), None);
    }
}
