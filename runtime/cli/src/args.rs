//! Arguments that several subcommands share.

use std::path::PathBuf;
use std::time::Duration;

use caf_console::{Paths, say};
use caf_engine::{EngineOptions, Provider, ProviderChoice};
use caf_geometry::NmsSettings;
use caf_runtime::session::Model;
use caf_runtime::source::folder::FPS;
use clap::{Args, ValueEnum};

const MINUTE_MS: f64 = 60_000.0;

/// Hardware as the user names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProviderName {
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU, without engine building.
    Cuda,
    /// An NVIDIA GPU, with engines that are built when the model is loaded.
    Tensorrt,
    /// CUDA where it works, else the CPU.
    #[default]
    Auto,
}

impl From<ProviderName> for ProviderChoice {
    fn from(name: ProviderName) -> Self {
        match name {
            ProviderName::Cpu => Self::Cpu,
            ProviderName::Cuda => Self::Cuda,
            ProviderName::Tensorrt => Self::Tensorrt,
            ProviderName::Auto => Self::Auto,
        }
    }
}

/// The model and where it runs.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// Model written by `caf-export onnx`.
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    /// Hardware; anything but `auto` fails when it is not there.
    #[arg(long, value_enum, default_value_t)]
    pub provider: ProviderName,
    /// CPU threads of one operator; as many as there are cores by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}

impl ModelArgs {
    /// What is read.
    pub fn paths(&self) -> Paths {
        Paths::default().file("--model", self.model.as_path())
    }

    /// As options for loading.
    pub fn options(&self) -> EngineOptions {
        EngineOptions { provider: self.provider.into(), threads: self.threads.map(usize::from) }
    }
}

/// Says where a model runs, where that is not plain: on the CPU of a machine that has nothing else, it is.
pub fn announce(model: &Model) {
    match (model.provider(), model.notice()) {
        (provider, Some(notice)) => say!("provider: {} ({notice})", provider.name()),
        (Provider::Cpu, None) => {}
        (provider, None) => say!("provider: {}", provider.name()),
    }
}

/// Thresholds of the detector.
#[derive(Debug, Args)]
pub struct DetectorArgs {
    /// Least score of a detection, 0 to 1.
    #[arg(long, default_value_t = 0.25, value_parser = unit)]
    pub conf: f64,
    /// Boxes of one class that overlap more than this are one object, 0 to 1.
    #[arg(long, default_value_t = 0.45, value_parser = unit)]
    pub iou: f64,
    /// Every class of a box above --conf is a detection of its own, not just the best one. With --conf 0.001 --iou 0.6 the
    /// detections are those that `caf-search eval` measures.
    #[arg(long)]
    pub multi_label: bool,
}

impl DetectorArgs {
    /// As settings of the suppression.
    pub fn settings(&self) -> NmsSettings {
        let Self { conf, iou, multi_label } = *self;
        NmsSettings { conf: conf as f32, iou, multi_label, ..NmsSettings::default() }
    }
}

fn unit(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(v) if (0.0..=1.0).contains(&v) => Ok(v),
        _ => Err("expected a number from 0 to 1".to_owned()),
    }
}

/// A positive finite number.
pub fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(v) if v.is_finite() && v > 0.0 => Ok(v),
        _ => Err("expected a number above 0".to_owned()),
    }
}

/// Milliseconds of at most a minute either way, as nanoseconds.
pub fn milliseconds(text: &str) -> Result<i64, String> {
    match text.parse::<f64>() {
        Ok(v) if v.abs() <= MINUTE_MS => Ok((v * 1e6).round() as i64),
        _ => Err("expected milliseconds from -60000 to 60000".to_owned()),
    }
}

/// Milliseconds from 0 to a minute, as nanoseconds.
pub fn distance_ms(text: &str) -> Result<i64, String> {
    match milliseconds(text) {
        Ok(ns) if ns >= 0 => Ok(ns),
        _ => Err("expected milliseconds from 0 to 60000".to_owned()),
    }
}

/// A time of at least a millisecond and at most a hundred years.
pub fn seconds(text: &str) -> Result<Duration, String> {
    const CENTURY_S: f64 = 100.0 * 365.25 * 86_400.0;
    match text.parse::<f64>() {
        Ok(v) if (0.001..=CENTURY_S).contains(&v) => Ok(Duration::from_secs_f64(v)),
        _ => Err("expected seconds of at least 0.001".to_owned()),
    }
}

/// Frames per second of a folder.
pub fn frames_per_second(text: &str) -> Result<f64, String> {
    let (least, most) = (FPS.start(), FPS.end());
    match text.parse() {
        Ok(v) if FPS.contains(&v) => Ok(v),
        _ => Err(format!("expected frames per second from {least} to {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_without_sense_are_refused() {
        assert_eq!(milliseconds("-1.5"), Ok(-1_500_000));
        assert_eq!(distance_ms("0.000001"), Ok(1));
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(frames_per_second("0.01"), Ok(0.01));
        for wrong in ["", "x", "nan", "inf", "-inf", "1e300"] {
            assert!(milliseconds(wrong).is_err() && distance_ms(wrong).is_err(), "{wrong}");
            assert!(seconds(wrong).is_err() && frames_per_second(wrong).is_err(), "{wrong}");
            assert!(positive(wrong).is_err() || wrong == "1e300", "{wrong}");
        }
        assert!(distance_ms("-0.001").is_err() && seconds("0").is_err() && frames_per_second("0.001").is_err());
        assert!(frames_per_second("1001").is_err() && milliseconds("60001").is_err());
    }
}
