//! How far a study is, told through the progress of what it is made of.

use caf_console::Progress;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

/// Hands the progress of a job on as that of the study.
pub(super) struct Telling<'a> {
    outer: &'a dyn Progress,
    /// Steps of the jobs before this one.
    before: Cell<u64>,
    /// Those of this job that are done.
    done: Cell<u64>,
    /// Steps of this job.
    steps: Cell<u64>,
    job: RefCell<String>,
    stretch: RefCell<(String, u64, u64)>,
    said: RefCell<BTreeSet<String>>,
}

impl<'a> Telling<'a> {
    pub fn new(outer: &'a dyn Progress) -> Self {
        Telling {
            outer,
            before: Cell::new(0),
            done: Cell::new(0),
            steps: Cell::new(0),
            job: RefCell::default(),
            stretch: RefCell::default(),
            said: RefCell::default(),
        }
    }

    /// A job of so many steps begins.
    pub fn job(&self, name: String, before: u64, steps: u64) {
        self.before.set(before);
        self.done.set(0);
        self.steps.set(steps);
        *self.job.borrow_mut() = name;
    }
}

impl Progress for Telling<'_> {
    fn begin(&self, what: &str, total: u64, done: u64) {
        *self.stretch.borrow_mut() = (what.to_owned(), total, done);
    }

    fn advance(&self, done: u64, state: &str) {
        let mut stretch = self.stretch.borrow_mut();
        let (what, total, last) = &mut *stretch;
        // Measuring takes no time beside training and fusing.
        if ["search", "train fusion", "train task", "fuse"].contains(&what.as_str()) {
            self.done.set(self.done.get() + done.saturating_sub(*last));
        }
        *last = done;
        let at = self.before.get() + self.done.get().min(self.steps.get());
        self.outer.advance(at, &format!("{}: {what} {done}/{total} {state}", self.job.borrow()));
    }

    fn end(&self) {}

    /// What every job says is said once.
    fn say(&self, line: &str) {
        if self.said.borrow_mut().insert(line.to_owned()) {
            self.outer.say(&format!("{}: {line}", self.job.borrow()));
        }
    }
}
