//! What a run did, for machines and for people.

use std::fmt::Write as _;

use caf_engine::Provider;
use serde::Serialize;

use crate::frame::Camera;
use crate::pair::PairCount;
use crate::queue::LaneCount;
use crate::result::{Stage, StageTimes};
use crate::sink::lane::SinkSummary;
use crate::source::port::SourceReport;
use crate::stats::{Histogram, Percentiles};

/// Frames of one camera. `delivered` is the sum of `dropped_before_pairing`, `beyond_limit`, `left_over` and all numbers of
/// `pairing` but `offered`.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct CameraSummary {
    /// Frames that the camera delivered.
    pub delivered: u64,
    /// Frames given up because newer ones came before they could be paired.
    pub dropped_before_pairing: u64,
    /// Frames captured after the run's time was over.
    pub beyond_limit: u64,
    /// Frames not yet decided on when the run failed.
    pub left_over: u64,
    /// Where the others went.
    pub pairing: PairCount,
    /// How the source was at the end, and how often it was lost.
    #[serde(flatten)]
    pub source: SourceReport,
}

impl CameraSummary {
    /// From the counts of the capture queue and of the pairing.
    #[must_use]
    pub fn new(lane: LaneCount, beyond_limit: u64, pairing: PairCount, source: SourceReport) -> Self {
        let LaneCount { pushed: delivered, dropped: dropped_before_pairing, .. } = lane;
        let left_over = delivered.saturating_sub(dropped_before_pairing + beyond_limit + pairing.decided());
        Self { delivered, dropped_before_pairing, beyond_limit, left_over, pairing, source }
    }
}

/// Pairs. `paired = dropped_before_inference + left_over + fused`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PairSummary {
    /// Pairs found.
    pub paired: u64,
    /// Pairs given up because newer ones came while the model was busy.
    pub dropped_before_inference: u64,
    /// Pairs not yet fused when the run failed, and the one it failed with.
    pub left_over: u64,
    /// Pairs fused.
    pub fused: u64,
}

/// Percentiles of a stage.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StageSummary {
    /// Its name.
    pub stage: &'static str,
    /// Its durations.
    #[serde(flatten)]
    pub percentiles: Percentiles,
}

/// A finished run.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Where the model ran.
    pub provider: Provider,
    /// Why there, when the choice was left to the program.
    pub provider_reason: Option<String>,
    /// `realtime` or `every-frame`.
    pub pace: &'static str,
    /// Seconds from the start of the cameras to the end of the last sink.
    pub seconds: f64,
    /// Pairs fused per second.
    pub fps: f64,
    /// The infrared camera.
    pub infrared: CameraSummary,
    /// The visible camera.
    pub visible: CameraSummary,
    /// The pairs.
    pub pairs: PairSummary,
    /// Detections in the pairs fused; none of a model that does not detect.
    pub detections: Option<u64>,
    /// Absolute difference of capture times within the pairs fused.
    pub skew: Percentiles,
    /// Durations by stage.
    pub stages: Vec<StageSummary>,
    /// The sinks.
    pub sinks: Vec<SinkSummary>,
    /// What ended the run.
    pub ended_by: EndedBy,
    /// What failed, when something did.
    pub failure: Option<String>,
}

/// What ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// A source ended, and with it the pairs.
    Sources,
    /// The time was over.
    Seconds,
    /// The user.
    Interrupt,
    /// A camera was lost.
    Lost,
    /// A source, the model or every sink failed.
    Failure,
}

/// Histograms by stage.
pub struct StageHistograms([Histogram; Stage::ALL.len()]);

impl Default for StageHistograms {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Histogram::default()))
    }
}

impl StageHistograms {
    /// Adds the times of one pair.
    pub fn add(&mut self, times: &StageTimes) {
        self.0.iter_mut().zip(Stage::ALL).for_each(|(h, stage)| h.add(times.get(stage)));
    }

    /// Percentiles of every stage.
    #[must_use]
    pub fn summary(&self) -> Vec<StageSummary> {
        let one = |(h, stage): (&Histogram, Stage)| StageSummary { stage: stage.name(), percentiles: h.percentiles() };
        self.0.iter().zip(Stage::ALL).map(one).collect()
    }
}

impl Summary {
    /// The summary as a table.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_table(&mut out);
        out
    }

    fn write_table(&self, out: &mut String) -> std::fmt::Result {
        let p = self.pairs;
        writeln!(
            out,
            "{} pairs in {:.1} s ({:.1} per second) on {}{}",
            p.fused,
            self.seconds,
            self.fps,
            self.provider.name(),
            self.detections.map_or_else(String::new, |count| format!(", {count} detections"))
        )?;
        if p.fused > 0 {
            writeln!(out, "\n{}", Percentiles::HEADER)?;
            for stage in &self.stages {
                writeln!(out, "{}", stage.percentiles.row(stage.stage))?;
            }
            writeln!(out, "{}", self.skew.row("skew"))?;
        }
        for (camera, c) in Camera::BOTH.into_iter().zip([self.infrared, self.visible]) {
            write!(out, "\n{}: {} frames, {} paired", camera.name(), c.delivered, c.pairing.paired)?;
            let PairCount { no_partner, partner_nearer_to_another, not_later, window_full, .. } = c.pairing;
            list(
                out,
                &[
                    (c.dropped_before_pairing, "dropped before pairing"),
                    (no_partner, "without a partner"),
                    (partner_nearer_to_another, "whose partner was nearer to another"),
                    (not_later, "not later than the one before"),
                    (window_full, "that waited among too many"),
                    (c.beyond_limit, "after the end"),
                    (c.left_over, "left over"),
                ],
            )?;
            if c.source.lost > 0 {
                write!(out, "; lost {} times, {} times back", c.source.lost, c.source.returned)?;
            }
        }
        write!(out, "\n\npairs: {} found, {} fused", p.paired, p.fused)?;
        list(out, &[(p.dropped_before_inference, "dropped before inference"), (p.left_over, "left over")])?;
        for s in &self.sinks {
            write!(out, "\n{}: {}", s.sink, s.place)?;
            if let Some(method) = s.method {
                write!(out, " by {method}")?;
            }
            write!(out, ", {} written", s.written)?;
            list(out, &[(s.dropped, "dropped"), (s.undelivered, "not delivered"), (s.missed, "after it failed")])?;
        }
        writeln!(out)
    }
}

/// What there is of each.
fn list(out: &mut String, counts: &[(u64, &str)]) -> std::fmt::Result {
    counts.iter().filter(|(count, _)| *count > 0).try_for_each(|(count, what)| write!(out, ", {count} {what}"))
}
