//! The loop of a search.

use super::beta_file::BetaFile;
use super::config::SearchConfig;
use super::halves::Halves;
use super::session::Session;
use super::step::Measured;
use crate::device;
use crate::error::SearchError;
use crate::file::{make_folder, write_toml};
use crate::record::Record;
use crate::state::resumed;
use caf_console::{Progress, StopFlag};
use serde::Serialize;
use std::path::Path;
use std::time::Instant;
use tch::Kind;

/// How a search ended.
#[derive(Clone, Debug, Serialize)]
pub struct Finished {
    /// The result, also in `beta.toml`.
    pub beta: BetaFile,
    /// Iterations done in all.
    pub iterations: usize,
    /// Whether it was asked to stop before its end.
    pub interrupted: bool,
    /// Median milliseconds of the task, fusion and β step; none when no iteration was left to do.
    pub median_ms: Option<[f64; 3]>,
}

/// Searches, or goes on with a search that was interrupted, in the folder `out`.
///
/// Makes there `config.toml` (resolved), `train.txt` and `val.txt` (the halves, when the search made them), `log.csv`,
/// `state.safetensors` (everything the next iteration depends on), and as results `beta.toml`, `fusion.safetensors`,
/// `task.safetensors`. Nothing is made before settings, pairs, weights and the first batch have proved good.
///
/// A row of the log is written before the state that follows it, and rows beyond the state are dropped on resuming: whatever the
/// moment of an interruption, log and state agree. A search may be resumed with another number of iterations. The task network's
/// learning rate falls towards that number, so the bits are then those of neither straight search.
///
/// # Errors
/// On bad settings or data, when `out` belongs to another run, or when a value stops being a number.
pub fn run(
    config: &SearchConfig,
    out: &Path,
    progress: &dyn Progress,
    stop: &StopFlag,
) -> Result<Finished, SearchError> {
    config.check()?;
    let device = device::prepare(&config.device, config.threads)?;
    let halves = Halves::open(config, progress)?;
    let mut session = Session::new(config.clone(), &halves, device)?;
    session.fusion.tell(progress);
    progress.say(&session.loss.status());
    if session.restore(out)? {
        progress.say(&resumed(session.iteration, session.end));
    }
    let [mut train, mut val] = halves.feeds(config, session.iteration, session.end)?;
    make_folder(out)?;
    halves.write_lists(out)?;
    write_toml(&out.join("config.toml"), config)?;
    let mut record = Record::open(&out.join("log.csv"), &columns(&session), session.iteration)?;
    record.tell_missing(session.iteration, progress);
    progress.begin("search", session.end as u64, session.iteration as u64);
    let mut times: Vec<[f64; 3]> = Vec::new();
    let mut unsaved = false;
    while session.iteration < session.end && !stop.is_raised() {
        let began = Instant::now();
        let train = train.next_batch(device, Kind::Float)?;
        let val = val.next_batch(device, Kind::Float)?;
        let rate = session.beta_rate();
        let measured = session.step(&train, &val)?;
        let done = session.iteration;
        record.row(done - 1, row(&session, &measured, rate, began.elapsed().as_secs_f64() * 1e3)?)?;
        times.push(measured.time.map(|t| t.as_secs_f64() * 1e3));
        unsaved = !done.is_multiple_of(session.config.save_every);
        if !unsaved {
            record.sync()?;
            session.save(out)?;
        }
        progress.advance(done as u64, &state(&measured));
    }
    progress.end();
    if unsaved {
        record.sync()?;
        session.save(out)?;
    }
    let beta = session.beta_file()?;
    beta.write(&out.join("beta.toml"))?;
    session.fusion.write(&out.join("fusion.safetensors"), config.data.ir_range)?;
    session.write_task(&out.join("task.safetensors"))?;
    let interrupted = session.iteration < session.end;
    Ok(Finished { beta, iterations: session.iteration, interrupted, median_ms: medians(&times) })
}

fn columns(session: &Session) -> Vec<String> {
    let fixed = [
        "iteration",
        "ms_total",
        "ms_task",
        "ms_fusion",
        "ms_beta",
        "task_total",
        "task_box",
        "task_objectness",
        "task_class",
        "fusion_total",
        "val_total",
        "v_norm",
        "radius",
        "fd_exact_distance",
        "fd_exact_cosine",
        "beta_rate",
    ];
    let names = |prefix: &'static str| session.loss.active().iter().map(move |t| format!("{prefix}.{t}"));
    let fixed = fixed.into_iter().map(str::to_owned);
    fixed.chain(names("term")).chain(names("beta")).chain(names("weight")).chain(names("gradient")).collect()
}

fn row(session: &Session, m: &Measured, beta_rate: f64, ms: f64) -> Result<Vec<Option<f64>>, SearchError> {
    let (logits, weights) = session.beta()?;
    let result = m.beta.as_ref().map(|b| &b.result);
    let distance = m.beta.as_ref().and_then(|b| b.distance);
    let mut row = vec![Some(ms)];
    row.extend(m.time.map(|t| Some(t.as_secs_f64() * 1e3)));
    row.extend(m.task.map(Some));
    row.extend([
        Some(m.fusion_total),
        result.map(|r| r.validation_loss),
        result.map(|r| r.v_norm),
        result.and_then(|r| r.radius),
        distance.map(|d| d.relative),
        distance.map(|d| d.cosine),
        Some(beta_rate),
    ]);
    row.extend(m.terms.iter().copied().map(Some));
    row.extend(logits.into_iter().map(Some));
    row.extend(weights.into_iter().map(Some));
    match result {
        Some(r) => row.extend(r.gradient.iter().copied().map(Some)),
        None => row.extend(std::iter::repeat_n(None, session.loss.active().len())),
    }
    Ok(row)
}

fn state(m: &Measured) -> String {
    let val = m.beta.as_ref().map_or_else(String::new, |b| format!("  val {:.3}", b.result.validation_loss));
    format!("task {:.3}  fusion {:.4}{val}", m.task[0], m.fusion_total)
}

fn medians(times: &[[f64; 3]]) -> Option<[f64; 3]> {
    let median = |k: usize| {
        let mut column: Vec<f64> = times.iter().filter_map(|t| t.get(k).copied()).collect();
        column.sort_by(f64::total_cmp);
        column.get(column.len() / 2).copied()
    };
    Some([median(0)?, median(1)?, median(2)?])
}
