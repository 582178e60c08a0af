//! Looks a model over: what it promises, what it can run on here, how long a pair takes.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use caf_contract::{Contract, check_elements};
use caf_engine::{EngineError, EngineOptions, Provider, library, probe};
use caf_geometry::Size;
use serde::Serialize;

use crate::error::RuntimeError;
use crate::frame::{ImageView, PixelFormat};
use crate::fusion::{FrameFusion, FusionSettings};
use crate::session::Model;
use crate::stats::{Histogram, Percentiles};
use crate::task::FusedImage;

/// Pairs fused before the timed ones: memory is bound, kernels are chosen, caches are filled.
const WARM_UP: u32 = 3;

/// Whether a provider works here.
#[derive(Clone, Debug, Serialize)]
pub struct ProviderReport {
    /// Which one.
    pub provider: Provider,
    /// Whether sessions can be made on it.
    pub usable: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// Where the timed pairs were fused.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Name of the processor, where the system tells it.
    pub cpu: Option<String>,
    /// Threads that the processor runs at once.
    pub hardware_threads: usize,
    /// Threads of one operator; `None`: ONNX Runtime's choice, one for each core.
    pub operator_threads: Option<usize>,
}

/// How long a pair took, in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Timing {
    /// Width of the images in pixels.
    pub width_px: usize,
    /// Height of the images in pixels.
    pub height_px: usize,
    /// Pairs fused before the timed ones.
    pub warm_up: u32,
    /// The first pair of all.
    pub first_ms: f64,
    /// Copying pixels into tensors.
    pub pre: Percentiles,
    /// Inference.
    pub infer: Percentiles,
    /// Copying the fused image out, and reading the results of the tasks.
    pub post: Percentiles,
    /// All of it.
    pub whole: Percentiles,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// The model.
    pub model: PathBuf,
    /// What it promises.
    pub contract: Contract,
    /// The ONNX Runtime in use.
    pub onnxruntime: PathBuf,
    /// Its description of itself.
    pub build: String,
    /// Every provider.
    pub providers: Vec<ProviderReport>,
    /// The one that was timed.
    pub provider: Provider,
    /// Why that one, when the choice was left to the program.
    pub provider_reason: Option<String>,
    /// Where it was timed.
    pub machine: Machine,
    /// How long a pair took.
    pub timing: Timing,
}

/// Probes every provider and fuses a black pair `runs` times, of `size` for a model that takes any. `options` are those that the model
/// was loaded with. `done` is called after each pair, those that warm up included, with the number done and the number there are.
pub fn check(
    model: Model,
    options: EngineOptions,
    size: Size,
    runs: u32,
    done: &mut dyn FnMut(u32, u32),
) -> Result<CheckReport, RuntimeError> {
    let library = library().map_err(EngineError::from)?;
    let providers = Provider::ALL
        .into_iter()
        .map(|provider| {
            let reason = probe(provider, &library).err().map(|e| e.to_string());
            ProviderReport { provider, usable: reason.is_none(), reason }
        })
        .collect();
    let contract = model.contract().clone();
    let (provider, provider_reason) = (model.provider(), model.reason().map(str::to_owned));
    Ok(CheckReport {
        model: model.name().into(),
        contract,
        build: library.build(),
        onnxruntime: library.path,
        providers,
        provider,
        provider_reason,
        machine: Machine {
            cpu: cpu_name(),
            hardware_threads: std::thread::available_parallelism().map_or(1, usize::from),
            operator_threads: options.threads,
        },
        timing: time(model, size, runs, done)?,
    })
}

fn time(model: Model, size: Size, runs: u32, done: &mut dyn FnMut(u32, u32)) -> Result<Timing, RuntimeError> {
    let size = model.fixed_size().unwrap_or(size);
    let bytes = check_elements("the timed images", &[size.height, size.width, 3]).map_err(RuntimeError::Images)?;
    let black = vec![0; bytes];
    let image = |format: PixelFormat| ImageView::new(&black, size, size.width * format.bytes(), format);
    let (ir, vi) = (image(PixelFormat::Gray8)?, image(PixelFormat::Rgb8)?);
    let mut fusion = FrameFusion::new(model, &FusionSettings::default())?;
    let mut fused = FusedImage::default();
    let (mut pairs, total) = (0, runs.saturating_add(WARM_UP));
    let mut pair = || -> Result<_, RuntimeError> {
        let start = Instant::now();
        let times = fusion.infer(&ir, &vi)?.finish(&mut fused)?;
        let whole = start.elapsed();
        pairs += 1;
        done(pairs, total);
        Ok([times.pre, times.infer, times.post + times.read, whole])
    };
    let [.., first] = pair()?;
    for _ in 1..WARM_UP {
        pair()?;
    }
    let mut histograms: [Histogram; 4] = std::array::from_fn(|_| Histogram::default());
    for _ in 0..runs {
        histograms.iter_mut().zip(pair()?).for_each(|(h, took)| h.add(took));
    }
    let [pre, infer, post, whole] = histograms.map(|h| h.percentiles());
    let first_ms = first.as_secs_f64() * 1e3;
    Ok(Timing { width_px: size.width, height_px: size.height, warm_up: WARM_UP, first_ms, pre, infer, post, whole })
}

/// The processor as Linux names it: x86 as `model name`, ARM boards as `Model`.
fn cpu_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let value = |key: &str| {
        let named =
            |line: &str| line.split_once(':').filter(|(k, _)| k.trim() == key).map(|(_, v)| v.trim().to_owned());
        text.lines().find_map(named)
    };
    value("model name").or_else(|| value("Model"))
}

impl CheckReport {
    /// The report for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_text(&mut out);
        out
    }

    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        let c = &self.contract;
        let (model, precision) = (self.model.display(), c.precision.name());
        writeln!(out, "model      {model}: {}, {precision}, contract version {}", c.summary(), c.version)?;
        for (direction, ports) in [("input ", &c.inputs), ("output", &c.outputs)] {
            for port in ports {
                writeln!(out, "  {direction}   {port}")?;
            }
        }
        for task in &c.tasks {
            writeln!(out, "  {task}")?;
            writeln!(out, "  classes  {}", task.classes().join(", "))?;
        }
        writeln!(out, "  infrared of 16 bits: range {}", c.infrared_range)?;
        for source in &c.sources {
            writeln!(out, "  source   {} sha256 {}", source.role, source.sha256)?;
        }
        writeln!(out, "runtime    ONNX Runtime at {}", self.onnxruntime.display())?;
        for p in &self.providers {
            let state = p.reason.as_deref().unwrap_or("usable");
            writeln!(out, "  {:<9}{state}", p.provider.name())?;
        }
        writeln!(out, "timed on   {}", self.provider.name())?;
        let Machine { cpu, hardware_threads, operator_threads } = &self.machine;
        let cpu = cpu.as_deref().unwrap_or("a processor without a name");
        let threads =
            operator_threads.map_or("ONNX Runtime's choice of threads".to_owned(), |n| format!("--threads {n}"));
        writeln!(out, "  machine  {cpu}, {hardware_threads} hardware threads; {threads}")?;
        let t = &self.timing;
        writeln!(
            out,
            "  pairs    {}x{} pixels, {} runs after {} to warm up (the first took {:.1} ms)",
            t.width_px, t.height_px, t.whole.count, t.warm_up, t.first_ms
        )?;
        writeln!(out, "{}", Percentiles::HEADER)?;
        for (name, percentiles) in [("in", &t.pre), ("inference", &t.infer), ("out", &t.post), ("whole", &t.whole)] {
            writeln!(out, "{}", percentiles.row(name))?;
        }
        Ok(())
    }
}
