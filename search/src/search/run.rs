//! The loop of a search.

use super::beta_file::BetaFile;
use super::config::{DataSettings, SearchConfig};
use super::record::Record;
use super::session::{STATE, Session};
use super::step::Measured;
use crate::error::SearchError;
use crate::file::{make_folder, write_toml};
use crate::pairs::{CropPlan, Feed, PairBatch, PairStore, Stream};
use caf_console::{Progress, StopFlag};
use caf_data::augment::CropSettings;
use caf_data::leakage::{LeakageOptions, check_disjoint};
use caf_data::split::{Scenes, SplitSettings, split};
use caf_data::{Dataset, DatasetOptions, Need};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
    /// Median milliseconds of the task, fusion and β step in this run.
    pub median_ms: [f64; 3],
}

/// Searches, or goes on with a search that was interrupted, in the folder `out`.
///
/// Makes there `config.toml` (resolved), `train.txt` and `val.txt` (the halves used), `log.csv`, `state.safetensors` (everything the
/// next iteration depends on), and as results `beta.toml`, `fusion.safetensors`, `task.safetensors`.
///
/// A search may be resumed with another number of iterations. The task network's learning rate falls towards that number, so the
/// bits are then those of neither straight search.
///
/// # Errors
/// On bad settings or data, when `out` belongs to another search, or when a value stops being a number.
pub fn run(
    config: &SearchConfig,
    out: &Path,
    progress: &dyn Progress,
    stop: &StopFlag,
) -> Result<Finished, SearchError> {
    config.check()?;
    let device = caf_torch::device_from_name(&config.device)?;
    if config.threads > 0 {
        tch::set_num_threads(i32::try_from(config.threads).unwrap_or(i32::MAX));
    }
    let [train, val] = halves(config, out, progress)?;
    make_folder(out)?;
    let classes = train.dataset().classes().to_vec();
    let pairs = train.dataset().len();
    let mut session = Session::new(config.clone(), classes, pairs, device)?;
    progress.say(&session.loss.status());
    if out.join(STATE).exists() {
        session.restore(out)?;
        progress.say(&format!("going on after {} iterations", session.iteration));
    }
    write_toml(&out.join("config.toml"), config)?;
    let mut record = Record::open(&out.join("log.csv"), &columns(&session), session.iteration)?;
    let mut feeds = Vec::new();
    for (store, stream) in [(train, Stream::Train), (val, Stream::Validation)] {
        let plan = plan(config, stream, store.dataset().len());
        feeds.push(Feed::start(store, plan, session.iteration, session.end)?);
    }
    progress.begin("search", session.end as u64, session.iteration as u64);
    let mut times: Vec<[f64; 3]> = Vec::new();
    let mut unsaved = false;
    while session.iteration < session.end && !stop.is_raised() {
        let began = Instant::now();
        let batch = |feed: &Feed| -> Result<Option<PairBatch>, SearchError> {
            feed.next_batch()?.map(|host| PairBatch::new(host, device, Kind::Float)).transpose()
        };
        let (Some(train), Some(val)) = (batch(&feeds[0])?, batch(&feeds[1])?) else { break };
        let rate = session.beta_rate();
        let measured = session.step(&train, &val)?;
        let done = session.iteration;
        record.row(done - 1, &row(&session, &measured, rate, began.elapsed().as_secs_f64() * 1e3)?)?;
        times.push(measured.time.map(|t| t.as_secs_f64() * 1e3));
        unsaved = !done.is_multiple_of(session.config.save_every);
        if !unsaved {
            session.save(out)?;
        }
        progress.advance(done as u64, &state(&measured));
    }
    progress.end();
    if unsaved {
        session.save(out)?;
    }
    let beta = session.beta_file()?;
    beta.write(&out.join("beta.toml"))?;
    session.fusion.write(&out.join("fusion.safetensors"))?;
    session.write_task(&out.join("task.safetensors"))?;
    let interrupted = session.iteration < session.end;
    Ok(Finished { beta, iterations: session.iteration, interrupted, median_ms: medians(&times) })
}

/// The half that trains the networks and the half whose task loss moves β.
fn halves(config: &SearchConfig, out: &Path, progress: &dyn Progress) -> Result<[Arc<PairStore>; 2], SearchError> {
    let DataSettings { root, train, val, neighbour_gap, ir_range, saliency, cache_mib } = &config.data;
    let open = |list: Option<PathBuf>| {
        Dataset::open(root, &DatasetOptions { list, labels: Need::Required, ir_range: *ir_range })
    };
    let (train_list, val_list) = match val {
        Some(val) => (train.clone(), Some(val.clone())),
        None => {
            let whole = open(train.clone())?;
            let names: Vec<String> = whole.names().map(str::to_owned).collect();
            let settings = SplitSettings {
                val_fraction: 0.5,
                seed: config.seed,
                neighbour_gap: *neighbour_gap,
                ..SplitSettings::default()
            };
            let scenes = Scenes::by_number(&names, settings.neighbour_gap, settings.longest_scene);
            let parts = split(&scenes, &settings)?;
            make_folder(out)?;
            let lists = [out.join("train.txt"), out.join("val.txt")].map(absolute);
            for (list, part, what) in
                [(&lists[0], &parts.train, "train the networks"), (&lists[1], &parts.val, "move beta")]
            {
                caf_data::dataset::write_name_list(list, &format!("pairs that {what}"), part)?;
            }
            progress.say(&format!(
                "halved {} pairs: {} train, {} validate",
                names.len(),
                parts.train.len(),
                parts.val.len()
            ));
            let [train, val] = lists;
            (Some(train), Some(val))
        }
    };
    let (train, val) = (open(train_list)?, open(val_list)?);
    check_disjoint(&train, &val, &LeakageOptions::default())?;
    let limit = cache_mib.saturating_mul(1 << 20) / 2;
    Ok([train, val].map(|d| Arc::new(PairStore::new(d, *saliency, limit))))
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn plan(config: &SearchConfig, stream: Stream, pairs: usize) -> CropPlan {
    let [width_px, height_px] = config.crop_px;
    let crop = CropSettings { width_px, height_px, mirror_probability: 0.5 };
    CropPlan { seed: config.seed, stream, pairs, batch: config.batch, crop }
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

fn medians(times: &[[f64; 3]]) -> [f64; 3] {
    [0, 1, 2].map(|k| {
        let mut column: Vec<f64> = times.iter().map(|t| t[k]).collect();
        column.sort_by(f64::total_cmp);
        column.get(column.len() / 2).copied().unwrap_or(0.0)
    })
}
