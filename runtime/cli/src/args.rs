//! Values of arguments that several subcommands share.

use std::time::Duration;

use caf_console::within;
use caf_engine::ProviderChoice;
use caf_runtime::live::WhenLost;
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

/// What a lost camera means, as the user names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum WhenLostName {
    /// It is opened again until it is back; the run goes on.
    #[default]
    GoOn,
    /// The run ends, with exit code 1 unless the camera ended properly.
    End,
}

impl From<WhenLostName> for WhenLost {
    fn from(name: WhenLostName) -> Self {
        match name {
            WhenLostName::GoOn => Self::GoOn,
            WhenLostName::End => Self::End,
        }
    }
}

/// Milliseconds of at most a minute either way, as nanoseconds.
pub fn milliseconds(text: &str) -> Result<i64, String> {
    Ok(nanoseconds(within(text, "milliseconds", -MINUTE_MS, MINUTE_MS)?))
}

/// Milliseconds from 0 to a minute, as nanoseconds.
pub fn distance_ms(text: &str) -> Result<i64, String> {
    Ok(nanoseconds(within(text, "milliseconds", 0.0, MINUTE_MS)?))
}

fn nanoseconds(ms: f64) -> i64 {
    (ms * 1e6).round() as i64
}

/// A time of at least a millisecond and at most a hundred years.
pub fn seconds(text: &str) -> Result<Duration, String> {
    const CENTURY_S: f64 = 100.0 * 365.25 * 86_400.0;
    within(text, "seconds", 0.001, CENTURY_S).map(Duration::from_secs_f64)
}

/// Frames per second of a folder.
pub fn frames_per_second(text: &str) -> Result<f64, String> {
    within(text, "frames per second", *FPS.start(), *FPS.end())
}

/// A whole number from `least` to `most`.
fn whole(text: &str, least: u16, most: u16) -> Result<u16, String> {
    let inside = text.parse().ok().filter(|value| (least..=most).contains(value));
    inside.ok_or_else(|| format!("expected a whole number from {least} to {most}, found `{text}`"))
}

/// Items of a queue.
pub fn queue(text: &str) -> Result<u16, String> {
    whole(text, 1, 64)
}

/// CPU threads.
pub fn threads(text: &str) -> Result<u16, String> {
    whole(text, 1, u16::MAX)
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
        assert_eq!((queue("64"), threads("1")), (Ok(64), Ok(1)));
        for wrong in ["", "x", "nan", "inf", "-inf", "1e300"] {
            assert!(milliseconds(wrong).is_err() && distance_ms(wrong).is_err(), "{wrong}");
            assert!(seconds(wrong).is_err() && frames_per_second(wrong).is_err(), "{wrong}");
            assert!(queue(wrong).is_err() && threads(wrong).is_err(), "{wrong}");
        }
        assert!(distance_ms("-0.001").is_err() && seconds("0").is_err() && frames_per_second("0.001").is_err());
        assert!(queue("65").is_err() && queue("1.5").is_err() && threads("0").is_err());
        assert!(frames_per_second("1001").is_err() && milliseconds("60001").is_err());
    }
}
