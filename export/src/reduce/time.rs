//! How long models take, in turn.

use super::watch::Watch;
use crate::error::ExportError;
use crate::verify::Named;
use caf_console::median;
use caf_engine::Engine;
use serde::Serialize;
use std::time::Instant;

/// Times of one model, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timed {
    /// Least.
    pub min_ms: f64,
    /// The middle one.
    pub median_ms: f64,
    /// Runs that were timed.
    pub runs: usize,
}

/// What is timed: a model with its inputs, or several that run one after the other.
pub type Chain = Vec<(Engine, Named)>;

/// Runs chains of models in turn, `rounds` times after one run that is not counted: what else the machine does meets all alike.
///
/// # Errors
/// When a run fails, or somebody asks for the end.
pub fn alternate(chains: &mut [Chain], rounds: usize, watch: Watch<'_>) -> Result<Vec<Timed>, ExportError> {
    let mut times = vec![Vec::with_capacity(rounds); chains.len()];
    for round in 0..=rounds {
        for (chain, times) in chains.iter_mut().zip(&mut times) {
            let start = Instant::now();
            for (engine, inputs) in chain {
                engine.run(inputs)?;
            }
            if round > 0 {
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        watch.advance(round as u64, "rounds")?;
    }
    let timed = |times: Vec<f64>| Timed {
        min_ms: times.iter().copied().fold(f64::INFINITY, f64::min),
        // There is at least one round.
        median_ms: median(times.iter().copied()).unwrap_or(f64::INFINITY),
        runs: times.len(),
    };
    Ok(times.into_iter().map(timed).collect())
}
