//! Values of arguments that several subcommands share.

use std::time::Duration;

use caf_engine::ProviderChoice;
use caf_runtime::source::folder::FPS;
use clap::ValueEnum;

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

/// A number from 0 to 1.
pub fn unit(text: &str) -> Result<f64, String> {
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
