//! What a test compared, printed even when it passes.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io::Write;

/// Writes a line that the test harness does not capture: what was compared, or skipped, is part of the result.
pub fn say(line: &str) {
    // In one piece, and on a line of its own: the harness has often begun one. A closed standard error is no reason to fail.
    let _ = std::io::stderr().write_all(format!("\n{line}\n").as_bytes());
}

/// Counts what one test compares, and keeps the largest error of each kind of value.
///
/// Values that must be equal stop the test at once; others are judged together at the end, so that a failing test shows all its
/// errors.
pub struct Tally {
    test: String,
    cases: BTreeSet<String>,
    case: String,
    rows: Vec<Row>,
}

struct Row {
    what: String,
    values: usize,
    largest: f64,
    tolerance: f64,
    /// The case of the largest error.
    case: String,
}

impl Row {
    /// What it is, without the spaces that make columns of it.
    fn name(&self) -> String {
        self.what.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Error as a share of what is allowed; an error of zero is none of anything.
    fn share(&self) -> f64 {
        if self.largest == 0.0 { 0.0 } else { self.largest / self.tolerance }
    }
}

impl Tally {
    /// Nothing compared yet.
    pub fn new(test: &str) -> Self {
        Tally { test: test.to_owned(), cases: BTreeSet::new(), case: String::new(), rows: Vec::new() }
    }

    /// What follows belongs to this case.
    pub fn case(&mut self, name: &str) {
        name.clone_into(&mut self.case);
        self.cases.insert(name.to_owned());
    }

    /// Adds values of one kind by the largest of their errors. NaN is an error without bound.
    pub fn add(&mut self, what: &str, values: usize, error: f64, tolerance: f64) {
        let error = if error.is_nan() { f64::INFINITY } else { error };
        match self.rows.iter_mut().find(|r| r.what == what && r.tolerance == tolerance) {
            Some(row) => {
                row.values += values;
                if error > row.largest {
                    row.largest = error;
                    row.case.clone_from(&self.case);
                }
            }
            None => {
                let (what, case) = (what.to_owned(), self.case.clone());
                self.rows.push(Row { what, values, largest: error, tolerance, case });
            }
        }
    }

    /// Adds equally long lists by their largest absolute difference.
    pub fn close<A, B>(&mut self, what: &str, found: &[A], expected: &[B], tolerance: f64)
    where
        A: Into<f64> + Copy,
        B: Into<f64> + Copy,
    {
        assert_eq!(found.len(), expected.len(), "{}: number of values", self.place(what));
        let gaps = found.iter().zip(expected).map(|(a, b)| ((*a).into() - (*b).into()).abs());
        let largest = gaps.fold(0.0, |largest, gap| if gap.is_nan() { f64::INFINITY } else { f64::max(largest, gap) });
        self.add(what, found.len(), largest, tolerance);
    }

    /// Adds lists that must be equal.
    pub fn equal<A: PartialEq<B> + Debug, B: Debug>(&mut self, what: &str, found: &[A], expected: &[B]) {
        assert_eq!(found.len(), expected.len(), "{}: number of values", self.place(what));
        if let Some(at) = found.iter().zip(expected).position(|(a, b)| a != b) {
            panic!("{}: value {at} is {:?}, expected {:?}", self.place(what), found[at], expected[at]);
        }
        self.add(what, found.len(), 0.0, 0.0);
    }

    fn place(&self, what: &str) -> String {
        format!("{}, {}: {what}", self.test, self.case)
    }

    /// Prints the closing line, with a row for each kind of value before it when there are several. Stops the test when nothing
    /// was compared or something is beyond its tolerance.
    pub fn finish(self) {
        let mut text = String::new();
        if self.rows.len() > 1 {
            let width = self.rows.iter().map(|r| r.what.chars().count()).max().unwrap_or(0);
            text =
                format!("{}\n  {:<width$} {:>10} {:>11} {:>11}\n", self.test, "", "values", "max error", "tolerance");
            for r in &self.rows {
                text += &format!("  {:<width$} {:>10} {:>11.2e} {:>11.0e}\n", r.what, r.values, r.largest, r.tolerance);
            }
        }
        let values: usize = self.rows.iter().map(|r| r.values).sum();
        text += &format!("{}: {} cases, {values} values", self.test, self.cases.len());
        if let Some(worst) = self.rows.iter().max_by(|a, b| a.share().total_cmp(&b.share())) {
            text += &match worst.share() {
                0.0 => ", largest error 0".to_owned(),
                _ => format!(
                    ", largest error {:.1e} of {:.0e} allowed ({}: {})",
                    worst.largest,
                    worst.tolerance,
                    worst.case,
                    worst.name()
                ),
            };
        }
        say(&text);
        assert!(!self.cases.is_empty() && values > 0, "{}: nothing was compared", self.test);
        let beyond = self.rows.iter().filter(|r| r.largest > r.tolerance);
        let beyond: Vec<String> =
            beyond.map(|r| format!("{}, {}: {:.3e} > {:.0e}", r.case, r.name(), r.largest, r.tolerance)).collect();
        assert!(beyond.is_empty(), "{}: {}", self.test, beyond.join("; "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(test: &str) -> Tally {
        let mut tally = Tally::new(test);
        tally.case("one");
        tally
    }

    #[test]
    #[should_panic(expected = "two, heads: 5.000e-1 > 1e-1")]
    fn an_error_beyond_its_tolerance_names_its_case() {
        let mut tally = tally("an_error_beyond_its_tolerance_names_its_case");
        tally.close("heads", &[1.0f32], &[1.0], 0.1);
        tally.case("two");
        tally.close("heads", &[1.0f32, 2.0], &[1.5, 2.0], 0.1);
        tally.case("three");
        tally.close("heads", &[1.0f32], &[1.25], 0.1);
        tally.finish();
    }

    #[test]
    #[should_panic(expected = "one, heads: inf > 1e0")]
    fn nothing_equals_nan() {
        let mut tally = tally("nothing_equals_nan");
        tally.close("heads", &[f32::NAN, 1.0], &[f32::NAN, 1.0], 1.0);
        tally.finish();
    }

    #[test]
    #[should_panic(expected = "value 1 is 2, expected 3")]
    fn unequal_values_are_named() {
        tally("unequal_values_are_named").equal("counts", &[1, 2], &[1, 3]);
    }

    #[test]
    #[should_panic(expected = "number of values")]
    fn a_shorter_list_fails() {
        tally("a_shorter_list_fails").close("heads", &[1.0], &[1.0, 1.0], 1.0);
    }

    #[test]
    #[should_panic(expected = "nothing was compared")]
    fn a_test_that_compares_nothing_fails() {
        tally("a_test_that_compares_nothing_fails").finish();
    }
}
