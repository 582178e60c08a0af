//! What an iteration costs: time, convolution work and passes of each phase on random batches, without data.

use super::config::SearchConfig;
use super::session::{Pairs, Session};
use super::step::Phase;
use crate::error::SearchError;
use crate::layout::{self, LayoutSetting, LayoutTimes};
use crate::loader::{Annotations, PairBatch};
use crate::run_settings::require_count;
use caf_console::{Silent, median};
use caf_fusion_loss::{FusionLoss, Vgg};
use caf_geometry::Size;
use caf_torch::Passes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};

/// How it is measured.
#[derive(Clone, Copy, Debug)]
pub struct BenchSettings {
    /// Iterations that count; one more goes before them.
    pub iterations: usize,
    /// Perceptual terms from features that have learned nothing: time does not depend on their values.
    pub untrained_vgg: bool,
}

/// What was measured; times are medians.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// Width and height, px.
    #[serde(serialize_with = "caf_geometry::size::as_pair::serialize")]
    pub size_px: Size,
    /// Pairs in a batch.
    pub batch: usize,
    /// Terms of the fusion loss.
    pub terms: usize,
    /// Where it ran.
    pub device: String,
    /// Threads of libtorch.
    pub threads: i32,
    /// How convolutions lie in memory on the CPU.
    pub layout: LayoutSetting,
    /// What that was chosen by, where it was measured.
    pub layout_times: Option<LayoutTimes>,
    /// Iterations that count.
    pub iterations: usize,
    /// `task`, `fusion`, `beta` in this order.
    pub phases: Vec<PhaseReport>,
    /// Milliseconds of an iteration: the median of the sums of its phases.
    pub total_ms: f64,
    /// Milliseconds of processor time, all threads together, of an iteration in the mean; none where the system does not tell. Unlike
    /// times by the clock it hardly depends on what else the machine does, as long as there is one thread (more wait for each
    /// other by spinning).
    pub cpu_ms: Option<f64>,
    /// Largest memory of the process so far, MiB; none where the system does not tell. Memory of a GPU is not in it.
    pub peak_mib: Option<u64>,
}

/// A phase of an iteration.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseReport {
    /// Its name.
    pub phase: &'static str,
    /// Milliseconds.
    pub ms: f64,
    /// Operations of convolutions, 10⁹, two for a multiplication and its addition.
    pub conv_gflop: f64,
    /// The same by time.
    pub conv_gflop_per_s: f64,
    /// Passes through each network, in batches: 0.5 is half a batch.
    pub passes: BTreeMap<String, PassReport>,
}

/// Passes of a phase through a network, in batches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PassReport {
    /// Values.
    pub forward: f64,
    /// Derivatives taken backwards.
    pub backward: f64,
    /// Derivatives along a direction.
    pub tangent: f64,
}

/// Names of the phases.
const PHASES: [&str; 3] = ["task", "fusion", "beta"];
/// Classes of the random objects.
const CLASSES: u8 = 6;

/// Measures the iterations of a search with these settings; where its data lie and how long it runs does not matter.
///
/// # Errors
/// On bad settings, and as an iteration of a search.
pub fn bench(config: &SearchConfig, settings: BenchSettings) -> Result<BenchReport, SearchError> {
    config.check()?;
    require_count("iterations", settings.iterations)?;
    let device = config.run.prepare()?;
    let loss = match settings.untrained_vgg {
        true => FusionLoss::with_vgg(&config.loss, Some(Vgg::untrained(device, Kind::Float)?), device, Kind::Float)?,
        false => FusionLoss::new(&config.loss, device, Kind::Float)?,
    };
    let classes: Vec<String> = (0..CLASSES).map(|class| format!("class {class}")).collect();
    let pairs = Pairs { train: config.run.batch, classes: &classes, fingerprints: &[] };
    let mut session = Session::new(config.clone(), loss, &pairs, device)?;
    let run = &mut session.config.run;
    let layout_times = layout::settle(&mut run.layout, run.size_px, session.fusion.graph(), None, device, &Silent)?;
    let mut random = ChaCha8Rng::seed_from_u64(config.run.seed);
    let mut measured: Vec<[Phase; 3]> = Vec::with_capacity(settings.iterations);
    let mut begin = None;
    for _ in 0..=settings.iterations {
        let train = random_batch(config, config.run.batch, &mut random, device)?;
        let val_pairs = config.beta.batch.unwrap_or(config.run.batch);
        let val = match session.beta_is_due() {
            true => Some(random_batch(config, val_pairs, &mut random, device)?),
            false => None,
        };
        let step = session.step(&train, val.as_ref())?;
        if begin.is_some() {
            measured.push(step.phases);
        } else {
            begin = Some(processor_ms());
        }
    }
    let spent = begin.flatten().zip(processor_ms()).map(|(begin, end)| (end - begin) / settings.iterations as f64);
    let ms = |phase: &Phase| phase.time.as_secs_f64() * 1e3;
    let phases = PHASES.iter().enumerate().filter_map(|(i, name)| {
        let of: Vec<&Phase> = measured.iter().filter_map(|phases| phases.get(i)).collect();
        let last = of.last()?;
        let (ms, conv_gflop) = (median(of.iter().map(|p| ms(p)))?, last.work.conv_flop / 1e9);
        let batch = config.run.batch as f64;
        let passes = last.work.passes.iter().map(|(network, passes)| (network.clone(), PassReport::of(passes, batch)));
        let conv_gflop_per_s = conv_gflop / ms * 1e3;
        Some(PhaseReport { phase: name, ms, conv_gflop, conv_gflop_per_s, passes: passes.collect() })
    });
    Ok(BenchReport {
        size_px: config.run.size_px,
        batch: config.run.batch,
        terms: session.loss.active().len(),
        device: format!("{device:?}"),
        threads: tch::get_num_threads(),
        layout: session.config.run.layout,
        layout_times,
        iterations: settings.iterations,
        phases: phases.collect(),
        // There is at least one iteration.
        total_ms: median(measured.iter().map(|phases| phases.iter().map(ms).sum())).unwrap_or_default(),
        cpu_ms: spent,
        peak_mib: status_kib("VmHWM:").map(|kib| kib >> 10),
    })
}

impl PassReport {
    fn of(passes: &Passes, batch: f64) -> Self {
        let batches = |images: u64| images as f64 / batch;
        PassReport {
            forward: batches(passes.forward),
            backward: batches(passes.backward),
            tangent: batches(passes.tangent),
        }
    }
}

fn random_batch(
    config: &SearchConfig,
    n: usize,
    random: &mut ChaCha8Rng,
    device: Device,
) -> Result<PairBatch, SearchError> {
    let size = config.run.size_px;
    let Size { width, height } = size;
    let mut plane = |channels: usize, largest: f32| {
        let values: Vec<f32> = (0..n * channels * width * height).map(|_| random.random::<f32>() * largest).collect();
        crate::loader::plane_tensor(&values, [n, channels, height, width], device, Kind::Float)
    };
    let [ir, vi, saliency]: [Result<Tensor, SearchError>; 3] = [0; 3].map(|_| plane(1, 1.0));
    let colour = plane(3, 0.1)?;
    let annotations = Annotations::random(config.task.kind().annotation, n, size, CLASSES, random);
    let names = (0..n).map(|i| format!("random {i}")).collect();
    Ok(PairBatch { names, ir: ir?, vi: vi?, colour, saliency: saliency?, annotations })
}

/// A number of KiB that Linux tells of this process.
fn status_kib(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// Processor time of this process, all threads together, in steps of 10 ms.
fn processor_ms() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in brackets, may hold anything; user and system time are the twelfth and thirteenth field after it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    // Linux tells these in hundredths of a second on every architecture.
    Some((ticks()? + ticks()?) * 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::load;

    #[test]
    fn all_tasks_are_measured_and_their_passes_counted() {
        for (task, network) in [("detection", "yolov5"), ("segmentation", "segformer"), ("counting", "density")] {
            let mut set =
                vec!["run.size_px=[64, 64]".to_owned(), "run.batch=2".to_owned(), "run.device=cpu".to_owned()];
            set.push(format!("task.kind={task}"));
            if task == "detection" {
                set.push("task.variant=n".to_owned());
            }
            let config: SearchConfig = load(None, &set).unwrap();
            let report = bench(&config, BenchSettings { iterations: 1, untrained_vgg: false }).unwrap();
            assert_eq!(report.phases.iter().map(|p| p.phase).collect::<Vec<_>>(), PHASES);
            assert_eq!(report.terms, 13);
            let [task, fusion, beta] = &report.phases[..] else { panic!("three phases") };
            for phase in [task, beta] {
                let passes = phase.passes.get(network).unwrap_or_else(|| panic!("{network}: {:?}", phase.passes));
                assert_eq!((passes.forward, passes.backward), (1.0, 1.0), "{}", phase.phase);
            }
            assert!(task.ms > 0.0 && task.conv_gflop > 0.0 && fusion.passes.is_empty());
            assert!(report.total_ms >= task.ms && report.peak_mib.is_none_or(|mib| mib > 10));
        }
    }
}
