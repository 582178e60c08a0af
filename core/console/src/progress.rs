//! Telling a person how far the work is: a bar on a terminal, plain lines elsewhere, nothing in tests.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
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

/// Writes to standard error: a bar with the time left on a terminal, else a line every 5 seconds. Many threads may tell it
/// at once.
#[derive(Debug, Default)]
pub struct Console {
    stretch: Mutex<Option<Stretch>>,
}

/// Time between two lines where there is no terminal.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Stretch {
    what: String,
    /// Steps in all, where there is an end.
    total: Option<u64>,
    before: u64,
    began: Instant,
    said: Instant,
    bar: Option<ProgressBar>,
}

impl Stretch {
    /// One line: what, how far, how it goes, time gone and left. Without an end, what and how it goes.
    fn line(&self, done: u64, state: &str) -> String {
        let gone = self.began.elapsed();
        let Some(total) = self.total else { return format!("{}: {state}", self.what) };
        let left = remaining(gone, done.saturating_sub(self.before), total.saturating_sub(done));
        let left = left.map_or_else(String::new, |t| format!(", {} left", clock(t)));
        format!("{} {done}/{total} {state} ({}{left})", self.what, clock(gone))
    }
}

impl Console {
    /// Work without a known end begins: a spinner on a terminal. [`Progress::advance`] and [`Progress::end`] as usual.
    pub fn watch(&self, what: &str) {
        self.start(what, None, 0);
    }

    fn start(&self, what: &str, total: Option<u64>, done: u64) {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            let template = match total {
                Some(_) => "{prefix} {bar:32} {pos}/{len} {elapsed}, {eta} left  {msg}",
                None => "{prefix} {spinner} {msg}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_prefix(what.to_owned());
            bar.set_position(done);
            bar.reset_eta();
            bar
        });
        if let (None, Some(total)) = (&bar, total) {
            let before = if done > 0 { format!(", {done} done already") } else { String::new() };
            crate::say!("{what}: {total} steps{before}");
        }
        let now = Instant::now();
        *self.stretch() = Some(Stretch { what: what.to_owned(), total, before: done, began: now, said: now, bar });
    }

    /// A thread that failed while it told something leaves a valid state.
    fn stretch(&self) -> MutexGuard<'_, Option<Stretch>> {
        self.stretch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Console {
    fn begin(&self, what: &str, total: u64, done: u64) {
        self.start(what, Some(total), done);
    }

    fn advance(&self, done: u64, state: &str) {
        if let Some(stretch) = self.stretch().as_mut() {
            match &stretch.bar {
                Some(bar) => {
                    bar.set_position(done);
                    bar.set_message(state.to_owned());
                }
                None if stretch.said.elapsed() >= PLAIN_INTERVAL || Some(done) == stretch.total => {
                    crate::say!("{}", stretch.line(done, state));
                    stretch.said = Instant::now();
                }
                None => {}
            }
        }
    }

    fn end(&self) {
        if let Some(Stretch { bar: Some(bar), .. }) = self.stretch().take() {
            bar.finish();
        }
    }

    fn say(&self, line: &str) {
        match self.stretch().as_ref().and_then(|s| s.bar.as_ref()) {
            Some(bar) => bar.println(line),
            None => crate::say!("{line}"),
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

    #[test]
    fn lines_say_how_far_the_work_is_where_it_has_an_end() {
        let now = Instant::now();
        let stretch = |total| Stretch { what: "train".to_owned(), total, before: 2, began: now, said: now, bar: None };
        assert_eq!(stretch(Some(4)).line(4, "loss 1"), "train 4/4 loss 1 (0:00, 0:00 left)");
        assert_eq!(stretch(None).line(4, "7 pairs"), "train: 7 pairs");
    }
}
