//! Arguments that several subcommands share.

use std::path::PathBuf;

use caf_detect::NmsSettings;
use clap::Args;

use crate::session::ModelOptions;
use crate::session::provider::ProviderChoice;

/// The model and where it runs.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// Model written by `caf-export onnx`.
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    /// Hardware; anything but `auto` fails when it is not there.
    #[arg(long, value_enum, default_value_t)]
    pub provider: ProviderChoice,
    /// CPU threads of one operator; as many as there are cores by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}

impl ModelArgs {
    /// As options for loading.
    pub fn options(&self) -> ModelOptions {
        ModelOptions { provider: self.provider, threads: self.threads.map(usize::from) }
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
}

impl DetectorArgs {
    /// As settings of the suppression.
    pub fn settings(&self) -> NmsSettings {
        NmsSettings { conf: self.conf as f32, iou: self.iou, ..NmsSettings::default() }
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
        Ok(v) if v.abs() <= 60_000.0 => Ok((v * 1e6).round() as i64),
        _ => Err("expected milliseconds from -60000 to 60000".to_owned()),
    }
}
