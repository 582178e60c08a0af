//! The last table: what ran, how it ended, how long it took.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It did its work.
    Done,
    /// Nothing had to be done.
    Skipped,
    /// The user stopped it.
    Stopped,
    /// It failed.
    Failed,
    /// A step before it did not come to its end.
    NotRun,
}

impl End {
    fn word(self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::Skipped => "up to date",
            Self::Stopped => "stopped",
            Self::Failed => "FAILED",
            Self::NotRun => "not run",
        }
    }
}

/// Steps with their ends and times.
#[derive(Debug)]
pub struct Report {
    begun: Instant,
    rows: Vec<(String, End, Duration)>,
}

impl Report {
    /// An empty report whose total time starts now.
    pub fn new() -> Self {
        Self { begun: Instant::now(), rows: Vec::new() }
    }

    /// Runs one step and notes its end; the error is printed here and remembered as `Failed`.
    pub fn step(&mut self, name: &str, work: impl FnOnce() -> Result<End>) -> End {
        println!("\n== {name}");
        let begun = Instant::now();
        let end = work().unwrap_or_else(|error| {
            eprintln!("error: {name}: {error:#}");
            End::Failed
        });
        self.rows.push((name.to_owned(), end, begun.elapsed()));
        end
    }

    /// Notes a step that is not tried.
    pub fn not_run(&mut self, name: &str) {
        self.rows.push((name.to_owned(), End::NotRun, Duration::ZERO));
    }

    /// Prints the table; fails when a step failed.
    pub fn finish(&self, title: &str) -> Result<()> {
        println!("\n{}", self.table(title));
        let failed: Vec<_> = self.rows.iter().filter(|row| row.1 == End::Failed).map(|row| row.0.as_str()).collect();
        if failed.is_empty() {
            return Ok(());
        }
        bail!("{title}: failed: {}", failed.join(", "))
    }

    fn table(&self, title: &str) -> String {
        let width = self.rows.iter().map(|row| row.0.chars().count()).chain([title.chars().count()]).max().unwrap_or(0);
        let mut lines = vec![format!("{title:<width$}  {:<10}  {:>9}", "end", "time")];
        let line = |(name, end, time): &(String, End, Duration)| {
            format!("{name:<width$}  {:<10}  {:>9}", end.word(), readable(*time))
        };
        lines.extend(self.rows.iter().map(line));
        lines.push(format!("{:<width$}  {:<10}  {:>9}", "total", "", readable(self.begun.elapsed())));
        lines.join("\n")
    }
}

/// A time as a person reads it: `0.4 s`, `12.3 s`, `4 min 05 s`.
pub fn readable(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 99.95 {
        return format!("{seconds:.1} s");
    }
    let whole = time.as_secs();
    format!("{} min {:02} s", whole / 60, whole % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_makes_the_report_fail_and_is_named() {
        let mut report = Report::new();
        assert_eq!(report.step("good", || Ok(End::Done)), End::Done);
        assert!(report.finish("tests").is_ok());
        assert_eq!(report.step("bad", || bail!("broken")), End::Failed);
        report.not_run("later");
        let error = report.finish("tests").unwrap_err().to_string();
        assert!(error.contains("bad") && !error.contains("good"), "{error}");
        assert!(report.table("tests").contains("not run"));
    }

    #[test]
    fn times_are_readable() {
        assert_eq!(readable(Duration::from_millis(420)), "0.4 s");
        assert_eq!(readable(Duration::from_secs(245)), "4 min 05 s");
    }
}
