//! Step after step.

use super::folder::{Progressed, claim, compare, files, prints, read_json, write_json};
use super::settings::{ChainConfig, Steps};
use crate::ablate::{fuse, render_scenes};
use crate::error::SearchError;
use crate::evaluate::{METRICS, fusion_report};
use crate::file::make_folder;
use crate::fusion::{self, Method};
use crate::fusion_net::FusionNet;
use crate::loader::{ImageSource, TaskImages};
use crate::lock::FolderLock;
use crate::run_settings::DataSettings;
use crate::search;
use crate::task_training;
use crate::tasks::open_task;
use caf_console::{Progress, StopFlag};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;
use tch::Device;

/// What a whole run did.
#[derive(Clone, Debug, Serialize)]
pub struct Finished {
    /// The steps that are done.
    pub steps: Vec<StepReport>,
    /// Whether it was asked to stop before its end; the same call then goes on.
    pub interrupted: bool,
    /// What was measured at the end.
    pub evaluation: Option<Value>,
}

/// A step that is done.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// Its folder.
    pub name: &'static str,
    /// How long it took, seconds, without what came before an interruption.
    pub seconds: f64,
    /// Whether an earlier call had finished it.
    pub was_done: bool,
}

/// Works in a folder; true when it came to its end.
type Work<'a> = Box<dyn Fn(&Path) -> Result<bool, SearchError> + 'a>;

/// A step: its folder, the file in it that the next steps rest on, and its work.
struct Step<'a> {
    name: &'static str,
    result: Option<&'static str>,
    work: Work<'a>,
}

/// Does all steps in the folder `out`, or goes on with those that an earlier call has not finished: see [`files`] for what lies where.
///
/// # Errors
/// [`SearchError::Config`] and [`SearchError::Setting`] for wrong settings; [`SearchError::State`] when the folder is of other settings
/// or pairs, with all that differs, or a result of a finished step has changed; [`SearchError::InUse`] when another run works there;
/// those of the steps.
pub fn run(
    config: &ChainConfig,
    out: &Path,
    progress: &dyn Progress,
    stop: &StopFlag,
) -> Result<Finished, SearchError> {
    let mut steps = config.resolve()?;
    if config.scenes.is_some() {
        steps.data().into_iter().for_each(|data| place_scenes(data, out));
    }
    // Before anything is made.
    let known = if config.scenes.is_none() { Some(prints(&steps)?) } else { None };
    compare(out, config, &steps, known.as_ref())?;
    make_folder(out)?;
    let lock = FolderLock::take(out, progress)?;
    if let Some(scenes) = &config.scenes {
        render_scenes(&out.join(files::SCENES), scenes, progress)?;
    }
    let prints = known.map_or_else(|| prints(&steps), Ok)?;
    if !compare(out, config, &steps, Some(&prints))? {
        claim(out, config, &steps, &prints)?;
    }
    let mut done = Progressed::open(out)?;
    let mut reports = Vec::new();
    for step in &sequence(&steps, out, progress, stop) {
        let folder = out.join(step.name);
        let result = step.result.map(|name| folder.join(name));
        if let Some(earlier) = done.of(step.name, result.as_deref())? {
            reports.push(StepReport { name: step.name, seconds: earlier.seconds, was_done: true });
            continue;
        }
        progress.say(&format!("step {} of {STEPS}: {}", reports.len() + 1, step.name));
        let began = Instant::now();
        let ended = match (step.work)(&folder) {
            Err(SearchError::Interrupted) => false,
            ended => ended?,
        };
        if !ended {
            break;
        }
        let seconds = began.elapsed().as_secs_f64();
        done.add(step.name, seconds, result.as_deref())?;
        reports.push(StepReport { name: step.name, seconds, was_done: false });
    }
    drop(lock);
    let evaluation = read_json(&out.join(files::EVALUATION).join(files::REPORT))?;
    Ok(Finished { interrupted: reports.len() < STEPS, steps: reports, evaluation })
}

/// Number of steps.
const STEPS: usize = 5;

fn place_scenes(data: &mut DataSettings, out: &Path) {
    data.root = out.join(files::SCENES);
    data.train.get_or_insert_with(|| "train.txt".into());
    data.val.get_or_insert_with(|| "val.txt".into());
}

fn sequence<'a>(steps: &'a Steps, out: &'a Path, progress: &'a dyn Progress, stop: &'a StopFlag) -> [Step<'a>; STEPS] {
    let fused = out.join(files::FUSED);
    let network = out.join(files::FUSION).join("fusion.safetensors");
    let task = {
        let images = ImageSource::Folder(fused.clone());
        task_training::TaskTrainConfig { images, ..steps.train_task.clone() }
    };
    let fusion = {
        let beta = out.join(files::SEARCH).join("beta.toml");
        fusion::FusionTrainConfig { beta, ..steps.train_fusion.clone() }
    };
    [
        Step {
            name: files::SEARCH,
            result: Some("beta.toml"),
            work: Box::new(move |folder| Ok(!search::run(&steps.search, folder, progress, stop)?.interrupted)),
        },
        Step {
            name: files::FUSION,
            result: Some("fusion.safetensors"),
            work: Box::new(move |folder| Ok(!fusion::train(&fusion, folder, progress, stop)?.interrupted)),
        },
        Step {
            name: files::FUSED,
            result: None,
            work: Box::new(move |folder| fuse_pairs(steps, &network, folder, progress, stop)),
        },
        Step {
            name: files::TASK,
            result: Some(steps.evaluation.network.file()),
            work: Box::new(move |folder| Ok(!task_training::train(&task, folder, progress, stop)?.interrupted)),
        },
        Step {
            name: files::EVALUATION,
            result: Some(files::REPORT),
            work: Box::new(move |folder| measure(steps, &fused, out, folder, progress, stop)),
        },
    ]
}

/// Fuses the pairs that the task network is trained and measured on.
fn fuse_pairs(
    steps: &Steps,
    network: &Path,
    fused: &Path,
    progress: &dyn Progress,
    stop: &StopFlag,
) -> Result<bool, SearchError> {
    let device = steps.train_fusion.run.prepare()?;
    let data = &steps.train_task.data;
    let range = FusionNet::read(network, Device::Cpu)?.ir_range();
    let seen = DataSettings { ir_range: range.unwrap_or(data.ir_range), ..data.clone() };
    let method = Method::Network(network.to_owned());
    for list in [&data.train, &data.val] {
        fuse(&seen.open(list.as_deref(), None)?, &method, seen.colour, fused, device, progress, stop)?;
    }
    Ok(true)
}

/// Measures the task network on the fused validation pairs, and these against their sources.
fn measure(
    steps: &Steps,
    fused: &Path,
    out: &Path,
    folder: &Path,
    progress: &dyn Progress,
    stop: &StopFlag,
) -> Result<bool, SearchError> {
    let (data, settings) = (&steps.train_task.data, &steps.evaluation);
    let file = settings.network.file();
    let network = open_task(&out.join(files::TASK).join(file), steps.train_task.run.prepare()?)?;
    let val = data.open(data.val.as_deref(), Some(network.annotation()))?;
    let images = TaskImages::open(&val, &ImageSource::Folder(fused.to_owned()), network.annotation(), 0)?;
    let report = network.evaluate(&images, None, settings.batch, progress, stop)?;
    let metrics = match settings.metrics {
        true => Some(fusion_report(&val, fused, &METRICS, progress, stop)?),
        false => None,
    };
    let scores: Vec<Value> =
        network.task().scores.iter().zip(&report.scores).map(|(name, score)| json!([name, score])).collect();
    let shown: Vec<&str> = val.names().take(4).collect();
    make_folder(folder)?;
    let evaluation = json!({
        "task": report.kind,
        "network": file,
        "images": val.len(),
        "scores": scores,
        "fusion": metrics,
        "details": report.details,
        "table": report.table,
        "shown": shown,
    });
    write_json(&folder.join(files::REPORT), &evaluation)?;
    Ok(true)
}
