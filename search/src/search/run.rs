//! The loop of a search.

use super::beta_file::BetaFile;
use super::config::SearchConfig;
use super::halves::Halves;
use super::session::{Pairs, Session};
use super::step::Measured;
use crate::error::SearchError;
use crate::file::write_toml;
use crate::layout;
use crate::loader::{Feed, HostPairs, PairBatch};
use crate::run_loop::{CONFIG, Step, Training, run_loop};
use caf_console::{Progress, StopFlag, median};
use caf_fusion_loss::FusionLoss;
use serde::Serialize;
use std::path::Path;
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
/// A search may be resumed with another number of iterations. Where the task network's learning rate falls towards that number,
/// the bits are then those of neither straight search.
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
    let device = config.run.prepare()?;
    let halves = Halves::open(config, progress)?;
    let loss = FusionLoss::new(&config.loss, device, Kind::Float)?;
    let pairs = Pairs { train: halves.train.len(), classes: &halves.classes, fingerprints: &halves.fingerprints() };
    let mut session = Session::new(config.clone(), loss, &pairs, device)?;
    let run = &mut session.config.run;
    layout::settle(&mut run.layout, run.size_px, session.fusion.graph(), Some(out), device, progress)?;
    session.fusion.tell(progress);
    progress.say(&session.loss.status());
    session.task.network().started().into_iter().for_each(|words| progress.say(words));
    if session.beta_steps(session.end) == 0 {
        progress.say(&format!(
            "the weights will not move: beta.freeze_iterations is {} and the search ends after {} iterations",
            config.beta.freeze_iterations, session.end
        ));
    }
    let mut search = Search { session, halves, feeds: None, times: Vec::new() };
    let finished = run_loop(&mut search, out, config.run.save_every, progress, stop)?;
    Ok(Finished {
        beta: search.session.beta_file()?,
        iterations: search.session.iteration,
        interrupted: !finished,
        median_ms: medians(&search.times),
    })
}

/// A search within the loop.
struct Search {
    session: Session,
    halves: Halves,
    feeds: Option<[Feed<HostPairs>; 2]>,
    /// Milliseconds of the task, fusion and β step of every iteration.
    times: Vec<[f64; 3]>,
}

impl Training for Search {
    fn name(&self) -> &'static str {
        "search"
    }

    fn columns(&self) -> Vec<String> {
        let session = &self.session;
        let words = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let named = |prefix: &'static str| session.loss.active().iter().map(move |t| format!("{prefix}.{t}"));
        let mut columns = words(&["ms_task", "ms_fusion", "ms_beta"]);
        columns.extend(session.config.task.kind().parts.iter().map(|part| format!("task_{part}")));
        let fixed = [
            "fusion_total",
            "fusion_gradient",
            "val_total",
            "v_norm",
            "radius",
            "fd_exact_distance",
            "fd_exact_cosine",
            "own_gradient_cosine",
            "own_gradient_signs",
            "beta_rate",
        ];
        columns.extend(words(&fixed));
        columns.extend(named("term").chain(named("beta")).chain(named("weight")).chain(named("gradient")));
        // Of the hypergradient over the last β steps.
        columns.extend(named("gradient_mean").chain(named("gradient_sd")));
        columns
    }

    fn iteration(&self) -> usize {
        self.session.iteration
    }

    fn end(&self) -> usize {
        self.session.end
    }

    fn restore(&mut self, out: &Path) -> Result<bool, SearchError> {
        self.session.restore(out)
    }

    fn feed(&mut self) -> Result<(), SearchError> {
        let Session { config, iteration, end, .. } = &self.session;
        let beta = [*iteration, *end].map(|iterations| self.session.beta_steps(iterations));
        self.feeds = Some(self.halves.feeds(config, [*iteration, *end], beta)?);
        Ok(())
    }

    fn open(&mut self, out: &Path) -> Result<(), SearchError> {
        if !caf_ranks::leads() {
            return Ok(());
        }
        self.halves.write_lists(out)?;
        write_toml(&out.join(CONFIG), &self.session.config)
    }

    fn step(&mut self) -> Result<Step, SearchError> {
        let session = &mut self.session;
        let [train, val] = self.feeds.as_mut().ok_or(SearchError::FeedGone)?;
        let train = PairBatch::new(train.next_batch()?, session.device, Kind::Float)?;
        let val = match session.beta_is_due() {
            true => Some(PairBatch::new(val.next_batch()?, session.device, Kind::Float)?),
            false => None,
        };
        let rate = session.beta_rate();
        let measured = session.step(&train, val.as_ref())?;
        self.times.push(measured.phases.each_ref().map(|phase| phase.time.as_secs_f64() * 1e3));
        Ok(Step { values: row(session, &measured, rate)?, state: state(&measured) })
    }

    fn save(&self, out: &Path) -> Result<(), SearchError> {
        self.session.save(out)
    }

    fn write_results(&self, out: &Path) -> Result<(), SearchError> {
        self.session.beta_file()?.write(&out.join("beta.toml"))?;
        self.session.fusion.write(&out.join("fusion.safetensors"), self.session.config.data.ir_range)?;
        self.session.write_task(&out.join("task.safetensors"))
    }
}

fn row(session: &Session, m: &Measured, beta_rate: f64) -> Result<Vec<Option<f64>>, SearchError> {
    let (logits, weights) = session.beta()?;
    let result = m.beta.as_ref().map(|b| &b.result);
    let distance = m.beta.as_ref().and_then(|b| b.result.distance);
    let own = m.beta.as_ref().and_then(|b| b.own);
    let mut row: Vec<Option<f64>> = m.phases.iter().map(|phase| Some(phase.time.as_secs_f64() * 1e3)).collect();
    let parts = session.config.task.kind().parts.len();
    match &m.task {
        Some(values) => row.extend(values.iter().copied().map(Some)),
        None => row.extend(std::iter::repeat_n(None, parts)),
    }
    row.extend([
        Some(m.fusion.total),
        Some(m.fusion.gradient),
        result.map(|r| r.validation_loss),
        result.map(|r| r.v_norm),
        result.and_then(|r| r.radius),
        distance.map(|d| d.relative),
        distance.map(|d| d.cosine),
        own.map(|a| a.cosine),
        own.map(|a| a.signs),
        Some(beta_rate),
    ]);
    row.extend(m.fusion.terms.iter().copied().map(Some));
    row.extend(logits.into_iter().map(Some));
    row.extend(weights.into_iter().map(Some));
    match result {
        Some(r) => row.extend(r.gradient.iter().copied().map(Some)),
        None => row.extend(std::iter::repeat_n(None, session.loss.active().len())),
    }
    let signal = match result {
        Some(_) => session.signal.statistics(session.loss.active().len()),
        None => vec![None; session.loss.active().len()],
    };
    row.extend(signal.iter().map(|s| s.map(|[mean, _]| mean)).chain(signal.iter().map(|s| s.map(|[_, sd]| sd))));
    Ok(row)
}

fn state(m: &Measured) -> String {
    let val = m.beta.as_ref().map_or_else(String::new, |b| format!("  val {:.3}", b.result.validation_loss));
    let task = m.task.as_ref().and_then(|parts| parts.first()).map_or_else(String::new, |t| format!("task {t:.3}  "));
    format!("{task}fusion {:.4}{val}", m.fusion.total)
}

fn medians(times: &[[f64; 3]]) -> Option<[f64; 3]> {
    let of = |phase: fn(&[f64; 3]) -> f64| median(times.iter().map(phase));
    Some([of(|[task, ..]| *task)?, of(|[_, fusion, _]| *fusion)?, of(|[.., beta]| *beta)?])
}
