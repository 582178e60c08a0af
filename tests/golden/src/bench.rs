//! Timing for `cargo bench`: medians of samples that are long enough for the clock.
//!
//! Every check of the workspace builds its benches, and the kept libraries cost more to build than five small programs are worth:
//! criterion without its default features 17 crates and 32 CPU-seconds, divan 4 crates and 20; this costs none. What criterion adds,
//! statistics over past runs, nobody here reads.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long code runs before it is measured, so that caches, clocks and branch predictors have settled.
const WARM_UP: Duration = Duration::from_millis(200);
/// Shortest sample: the clock's own cost is below a thousandth of it.
const SAMPLE: Duration = Duration::from_millis(10);
/// Samples of which the median is told.
const SAMPLES: usize = 31;

/// The benchmarks of one program.
///
/// `cargo bench -- WORD` runs those whose name contains `WORD`. Without `--bench`, which `cargo bench` gives, each runs once: so that a
/// test run says whether they still work.
#[derive(Debug)]
pub struct Bench {
    wanted: Option<String>,
    is_measuring: bool,
}

impl Bench {
    /// Reads the program's arguments.
    pub fn from_args() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        Bench {
            wanted: arguments.iter().find(|argument| !argument.starts_with('-')).cloned(),
            is_measuring: arguments.iter().any(|argument| argument == "--bench"),
        }
    }

    /// Measures one piece of work and prints the median of its samples, with the fastest and the slowest.
    pub fn run<T>(&self, name: &str, work: impl FnMut() -> T) {
        self.measure(name, None, work);
    }

    /// The same for work over so many elements, of which it prints how many are done in a second.
    pub fn run_over<T>(&self, name: &str, elements: usize, work: impl FnMut() -> T) {
        self.measure(name, Some(elements), work);
    }

    fn measure<T>(&self, name: &str, elements: Option<usize>, mut work: impl FnMut() -> T) {
        if self.wanted.as_ref().is_some_and(|wanted| !name.contains(wanted)) {
            return;
        }
        if !self.is_measuring {
            black_box(work());
            println!("{name:<44} ran once");
            return;
        }
        let samples = samples(&mut work);
        let [fastest, median, slowest] = [0, samples.len() / 2, samples.len() - 1].map(|at| samples[at]);
        let rate = elements.map_or_else(String::new, |n| format!("{:9.1} M/s", n as f64 / median * 1e-6));
        println!("{name:<44} {}   {} to {}{rate}", time(median), time(fastest), time(slowest));
    }
}

/// Seconds of one call in each sample, fastest first.
fn samples<T>(work: &mut impl FnMut() -> T) -> Vec<f64> {
    let (begun, mut calls) = (Instant::now(), 0_u32);
    while begun.elapsed() < WARM_UP {
        black_box(work());
        calls += 1;
    }
    let call = begun.elapsed().as_secs_f64() / f64::from(calls);
    let calls = (SAMPLE.as_secs_f64() / call).ceil().max(1.0) as u32;
    let mut samples: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let begun = Instant::now();
            for _ in 0..calls {
                black_box(work());
            }
            begun.elapsed().as_secs_f64() / f64::from(calls)
        })
        .collect();
    samples.sort_by(f64::total_cmp);
    samples
}

/// A time with three digits and a unit.
fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 1e-6 => (s * 1e9, "ns"),
        s if s < 1e-3 => (s * 1e6, "µs"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s => (s, "s "),
    };
    let decimals = (2.0 - value.max(1.0).log10().floor()).clamp(0.0, 2.0) as usize;
    format!("{value:7.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_is_measured_as_long_as_it_is() {
        // A sleep is never shorter, and on a busy machine longer.
        let samples = samples(&mut || std::thread::sleep(Duration::from_millis(5)));
        assert_eq!(samples.len(), SAMPLES);
        assert!(samples[0] >= 0.005, "{}", samples[0]);
    }

    #[test]
    fn times_are_readable() {
        for (seconds, text) in
            [(1.2345e-7, "    123 ns"), (5e-6, "   5.00 µs"), (0.0421, "   42.1 ms"), (2.0, "   2.00 s ")]
        {
            assert_eq!(time(seconds), text);
        }
    }
}
