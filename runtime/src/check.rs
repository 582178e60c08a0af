//! Looks a model over: what it promises, what it can run on here, how long one pair takes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use caf_contract::{Contract, Role};
use serde::Serialize;

use crate::frame::{ImageView, PixelFormat};
use crate::session::library::library;
use crate::session::provider::{Provider, probe};
use crate::session::{Model, ModelOptions, Runner, SessionError, ports};

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

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// The ONNX Runtime in use.
    pub onnxruntime: PathBuf,
    /// Its description of itself.
    pub build: String,
    /// What the model promises.
    pub contract: Contract,
    /// Every provider.
    pub providers: Vec<ProviderReport>,
    /// Where the timed run took place.
    pub provider: Provider,
    /// Why there, when the choice was left to the program.
    pub provider_reason: Option<String>,
    /// Width of the images of the timed run in pixels.
    pub width_px: usize,
    /// Height of the images of the timed run in pixels.
    pub height_px: usize,
    /// The first run, which binds memory and warms up.
    pub first_ms: f64,
    /// Copying pixels into tensors in the second run.
    pub pre_ms: f64,
    /// Inference in the second run.
    pub infer_ms: f64,
}

/// Loads a model, probes every provider and fuses one black pair twice. `size_px` is width and height for a model that takes
/// any.
pub fn check(path: &Path, options: ModelOptions, size_px: (usize, usize)) -> Result<CheckReport, SessionError> {
    let model = Model::load(path, options)?;
    let library = library()?;
    let providers = Provider::ALL
        .into_iter()
        .map(|provider| {
            let reason = probe(provider, &library).err().map(|e| e.to_string());
            ProviderReport { provider, usable: reason.is_none(), reason }
        })
        .collect();
    let contract = model.contract().clone();
    let (provider, provider_reason) = (model.provider(), model.reason().map(str::to_owned));
    let (height, width) = model.fixed_size();
    let (width_px, height_px) = (width.unwrap_or(size_px.0), height.unwrap_or(size_px.1));
    let black = vec![0; width_px * height_px * 3];
    let image = |format: PixelFormat| {
        ImageView::new(&black, width_px, height_px, width_px * format.bytes(), format).map_err(|e| {
            let expected = "an image of at least one pixel".to_owned();
            SessionError::Images(ports::Mismatch { place: "size".to_owned(), expected, found: e.to_string() })
        })
    };
    let (ir, vi) = (image(PixelFormat::Gray8)?, image(PixelFormat::Rgb8)?);
    let mut runner = Runner::new(model);
    let ms = |d: Duration| d.as_secs_f64() * 1e3;
    let first = runner.run(&ir, &vi)?.timings;
    let second = runner.run(&ir, &vi)?.timings;
    Ok(CheckReport {
        onnxruntime: library.path,
        build: ort::info().to_owned(),
        contract,
        providers,
        provider,
        provider_reason,
        width_px,
        height_px,
        first_ms: ms(first.pre + first.infer),
        pre_ms: ms(second.pre),
        infer_ms: ms(second.infer),
    })
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
        let role = match c.role {
            Role::Fusion => "fuses",
            Role::Pipeline => "fuses and detects",
            Role::Detector => "detects",
        };
        writeln!(out, "model      {role}, {}, contract version {}", c.precision, c.version)?;
        for port in &c.inputs {
            writeln!(out, "  input    {}", ports::describe(port))?;
        }
        for port in &c.outputs {
            writeln!(out, "  output   {}", ports::describe(port))?;
        }
        if let Some(detector) = &c.detector {
            let l = detector.letterbox;
            writeln!(out, "  detector {}x{} pixels, scale {:.4}", l.width_px, l.height_px, l.ratio)?;
            writeln!(out, "  classes  {}", detector.classes.join(", "))?;
        }
        for source in &c.sources {
            writeln!(out, "  source   {} sha256 {}", source.role, source.sha256)?;
        }
        writeln!(out, "runtime    {}", self.onnxruntime.display())?;
        for p in &self.providers {
            let state = p.reason.as_deref().unwrap_or("usable");
            writeln!(out, "  {:<9}{state}", p.provider.name())?;
        }
        let reason = self.provider_reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
        writeln!(
            out,
            "one pair   {}x{} on {}{reason}: first {:.1} ms, then {:.2} ms in and {:.2} ms inference",
            self.width_px,
            self.height_px,
            self.provider.name(),
            self.first_ms,
            self.pre_ms,
            self.infer_ms
        )
    }
}
