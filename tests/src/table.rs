//! What a test compared, printed even when it passes.

use crate::arrays::Spread;
use std::io::Write;

/// Writes a line that the test harness does not capture: what was compared, or skipped, is part of the result.
pub fn say(line: &str) {
    // A closed standard error is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{line}");
}

struct Row {
    network: String,
    engine: String,
    what: String,
    spread: Spread,
    tolerance: f64,
}

/// The parity table of one test: network × engine × largest error.
pub struct Table {
    test: String,
    rows: Vec<Row>,
}

impl Table {
    /// An empty table.
    pub fn new(test: &str) -> Self {
        Table { test: test.to_owned(), rows: Vec::new() }
    }

    /// Adds a comparison, to that of the same name if there is one.
    pub fn add(&mut self, network: &str, engine: &str, what: &str, spread: Spread, tolerance: f64) {
        let same = |r: &&mut Row| r.network == network && r.engine == engine && r.what == what;
        match self.rows.iter_mut().find(same) {
            Some(row) => row.spread = row.spread.and(spread),
            None => self.rows.push(Row {
                network: network.to_owned(),
                engine: engine.to_owned(),
                what: what.to_owned(),
                spread,
                tolerance,
            }),
        }
    }

    /// Prints the table, then stops the test when it is empty or a row is beyond its tolerance.
    pub fn finish(self) {
        let mut text = format!(
            "{}\n  {:<26} {:<33} {:<41} {:>10} {:>11} {:>11}",
            self.test, "network", "engine", "compared", "values", "max error", "tolerance"
        );
        for r in &self.rows {
            text.push_str(&format!(
                "\n  {:<26} {:<33} {:<41} {:>10} {:>11.2e} {:>11.0e}",
                r.network, r.engine, r.what, r.spread.count, r.spread.max, r.tolerance
            ));
        }
        say(&text);
        assert!(self.rows.iter().any(|r| r.spread.count > 0), "{}: nothing was compared", self.test);
        let beyond: Vec<String> = self
            .rows
            .iter()
            .filter(|r| r.spread.count == 0 || r.spread.max > r.tolerance)
            .map(|r| format!("{} {} {}: {:.3e} > {:.0e}", r.network, r.engine, r.what, r.spread.max, r.tolerance))
            .collect();
        assert!(beyond.is_empty(), "{}: {}", self.test, beyond.join("; "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "net engine heads: 5.000e-1 > 1e-1")]
    fn a_row_beyond_its_tolerance_fails_by_name() {
        let mut table = Table::new("a_row_beyond_its_tolerance_fails_by_name");
        table.add("net", "engine", "heads", Spread::of(&[1.0f32], &[1.0]), 0.1);
        table.add("net", "engine", "heads", Spread::of(&[1.0f32], &[1.5]), 0.1);
        table.finish();
    }

    #[test]
    #[should_panic(expected = "nothing was compared")]
    fn an_empty_table_fails() {
        Table::new("an_empty_table_fails").finish();
    }
}
