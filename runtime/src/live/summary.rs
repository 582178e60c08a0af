//! What a run did, for machines and for people.

use std::fmt::Write as _;

use caf_engine::Provider;
use serde::Serialize;

use crate::frame::Camera;
use crate::pair::PairCount;
use crate::queue::LaneCount;
use crate::result::{ResultState, Stage, StageTimes};
use crate::sink::lane::SinkSummary;
use crate::source::report::{Intake, SourceReport, SourceState};
use crate::stats::{Histogram, Percentiles};

/// Frames of one camera. `delivered` is the sum of `refused`, `dropped_before_pairing`, `beyond_limit`, `left_over` and all numbers of
/// `pairing` but `offered`. What was paired or went on alone is the sum of `dropped_before_inference`, `left_over_before_inference` and
/// `in_results`.
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
    /// Frames given up, alone or in pairs, because newer ones came while the model was busy.
    pub dropped_before_inference: u64,
    /// Frames that the model had not yet got when the run failed, and the ones it failed with.
    pub left_over_before_inference: u64,
    /// Frames in results.
    pub in_results: u64,
    /// How the source was at the end, and how often it was lost.
    #[serde(flatten)]
    pub source: SourceReport,
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

/// Results that rest on one camera, or on none: `ordered = dropped_before_inference + left_over + results`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AloneSummary {
    /// How many there were to be.
    pub ordered: u64,
    /// Given up because newer frames came while the model was busy.
    pub dropped_before_inference: u64,
    /// Not yet made when the run failed, and the one it failed with.
    pub left_over: u64,
    /// How many there are.
    pub results: u64,
}

/// What the pairing stage leaves behind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Paired {
    /// Where the frames went, infrared first.
    pub counts: [PairCount; 2],
    /// Frames captured after the time of the run was over.
    pub beyond_limit: [u64; 2],
    /// Orders for results, by [`ResultState`].
    pub ordered: [u64; 4],
    /// Of these, given up because newer ones came while the model was busy.
    pub dropped: [u64; 4],
}

/// Where the frames went, from the cameras to the results.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Account {
    /// The infrared camera.
    pub infrared: CameraSummary,
    /// The visible camera.
    pub visible: CameraSummary,
    /// The pairs.
    pub pairs: PairSummary,
    /// Results of the visible camera alone.
    pub visible_only: AloneSummary,
    /// Results of the infrared camera alone.
    pub infrared_only: AloneSummary,
    /// Results that say that both cameras are out.
    pub offline: AloneSummary,
}

impl Account {
    /// From the counts of the capture queue, of the pairing and of the model (by [`ResultState`]).
    #[must_use]
    pub fn new(lanes: [LaneCount; 2], paired: &Paired, made: [u64; 4], reports: [SourceReport; 2]) -> Self {
        let alone = |state: ResultState| {
            let i = state as usize;
            let (ordered, dropped_before_inference, results) = (paired.ordered[i], paired.dropped[i], made[i]);
            let left_over = ordered.saturating_sub(dropped_before_inference + results);
            AloneSummary { ordered, dropped_before_inference, left_over, results }
        };
        let pairs = alone(ResultState::Fused);
        let camera = |camera: Camera| {
            let (i, one) = (camera.index(), alone(ResultState::alone(camera)));
            let LaneCount { pushed, dropped: dropped_before_pairing, .. } = lanes[i];
            let delivered = pushed + reports[i].refused;
            let (beyond_limit, pairing) = (paired.beyond_limit[i], paired.counts[i]);
            CameraSummary {
                delivered,
                dropped_before_pairing,
                beyond_limit,
                left_over: pushed.saturating_sub(dropped_before_pairing + beyond_limit + pairing.decided()),
                pairing,
                dropped_before_inference: pairs.dropped_before_inference + one.dropped_before_inference,
                left_over_before_inference: pairs.left_over + one.left_over,
                in_results: pairs.results + one.results,
                source: reports[i],
            }
        };
        let AloneSummary { ordered, dropped_before_inference, left_over, results } = pairs;
        Self {
            infrared: camera(Camera::Infrared),
            visible: camera(Camera::Visible),
            pairs: PairSummary { paired: ordered, dropped_before_inference, left_over, fused: results },
            visible_only: alone(ResultState::VisibleOnly),
            infrared_only: alone(ResultState::InfraredOnly),
            offline: alone(ResultState::Offline),
        }
    }

    /// Results of every kind.
    #[must_use]
    pub const fn results(&self) -> u64 {
        self.pairs.fused + self.visible_only.results + self.infrared_only.results + self.offline.results
    }

    /// What does not add up, if anything: frames in are results and counted drops, for each camera. `failed` of a run that did, in which
    /// frames may be left over.
    #[must_use]
    pub fn imbalance(&self, failed: bool) -> Option<String> {
        let p = &self.pairs;
        let kinds =
            [("visible only", &self.visible_only), ("infrared only", &self.infrared_only), ("offline", &self.offline)];
        let mut sums: Vec<(String, u64, u64, u64)> = vec![];
        for (camera, c, one) in [
            (Camera::Infrared, &self.infrared, &self.infrared_only),
            (Camera::Visible, &self.visible, &self.visible_only),
        ] {
            let name = camera.name();
            let drops = c.source.refused + c.dropped_before_pairing + c.beyond_limit + c.left_over;
            sums.push((format!("{name} frames"), c.delivered, drops + c.pairing.decided(), c.left_over));
            let after = c.dropped_before_inference + c.left_over_before_inference + c.in_results;
            let went_on = c.pairing.paired + c.pairing.alone;
            sums.push((format!("{name} frames for the model"), went_on, after, c.left_over_before_inference));
            sums.push((format!("{name} frames in pairs"), c.pairing.paired, p.paired, 0));
            sums.push((format!("{name} frames alone"), c.pairing.alone, one.ordered, 0));
        }
        sums.push(("pairs".to_owned(), p.paired, p.dropped_before_inference + p.left_over + p.fused, p.left_over));
        for (name, k) in kinds {
            let sum = k.dropped_before_inference + k.left_over + k.results;
            sums.push((format!("results {name}"), k.ordered, sum, k.left_over));
        }
        sums.into_iter().find_map(|(what, in_, out, left)| match (in_ == out, left) {
            (false, _) => Some(format!("{what}: {in_} in, {out} accounted for")),
            (true, 1..) if !failed => Some(format!("{what}: {left} left over in a run that did not fail")),
            _ => None,
        })
    }
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
    /// Results per second.
    pub fps: f64,
    /// Where the frames went.
    #[serde(flatten)]
    pub account: Account,
    /// Detections in the results; none of a model that does not detect.
    pub detections: Option<u64>,
    /// Absolute difference of capture times within the pairs fused.
    pub skew: Percentiles,
    /// Durations by stage.
    pub stages: Vec<StageSummary>,
    /// How often the two cameras' clocks were found to have drifted apart by half of what a pair may be.
    pub drifts: u64,
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
        let (a, p) = (&self.account, self.account.pairs);
        writeln!(
            out,
            "{} pairs in {:.1} s ({:.1} per second) on {}{}",
            p.fused,
            self.seconds,
            self.fps,
            self.provider.name(),
            self.detections.map_or_else(String::new, |count| format!(", {count} detections"))
        )?;
        if a.results() > 0 {
            writeln!(out, "\n{}", Percentiles::HEADER)?;
            for stage in &self.stages {
                writeln!(out, "{}", stage.percentiles.row(stage.stage))?;
            }
            writeln!(out, "{}", self.skew.row("skew"))?;
        }
        for (camera, c) in Camera::BOTH.into_iter().zip([a.infrared, a.visible]) {
            write!(out, "\n{}: {} frames, {} paired", camera.name(), c.delivered, c.pairing.paired)?;
            let PairCount { alone, unfit, no_partner, partner_nearer_to_another, not_later, window_full, .. } =
                c.pairing;
            list(
                out,
                &[
                    (alone, "alone"),
                    (unfit, "unfit"),
                    (c.source.refused, "of another size"),
                    (c.dropped_before_pairing, "dropped before pairing"),
                    (no_partner, "without a partner"),
                    (partner_nearer_to_another, "whose partner was nearer to another"),
                    (not_later, "not later than the one before"),
                    (window_full, "that waited among too many"),
                    (c.beyond_limit, "after the end"),
                    (c.left_over, "left over"),
                ],
            )?;
            let Intake { missed, damaged, overtaken, passed_over, copied, restarts } = c.source.intake;
            let missing = [
                (missed, "missed by its driver"),
                (damaged, "damaged"),
                (overtaken, "overtaken by newer ones"),
                (passed_over, "passed over at its beginning"),
                (copied, "copied for want of buffers"),
                (restarts, "restarts"),
            ];
            list(out, &missing)?;
            if c.source.lost > 0 {
                write!(out, "; lost {} times, {} times back", c.source.lost, c.source.returned)?;
            }
            if c.source.clock_jumps > 0 {
                write!(out, "; its clock jumped {} times", c.source.clock_jumps)?;
            }
        }
        write!(out, "\n\npairs: {} found, {} fused", p.paired, p.fused)?;
        list(out, &[(p.dropped_before_inference, "dropped before inference"), (p.left_over, "left over")])?;
        let [_, others @ ..] = ResultState::ALL;
        for (state, k) in others.into_iter().zip([a.visible_only, a.infrared_only, a.offline]) {
            if k.ordered > 0 {
                write!(out, "\n{}: {} results", state.name(), k.results)?;
                list(out, &[(k.dropped_before_inference, "dropped before inference"), (k.left_over, "left over")])?;
            }
        }
        for s in &self.sinks {
            write!(out, "\n{}: {}", s.sink, s.place)?;
            if let Some(method) = s.method {
                write!(out, " by {method}")?;
            }
            write!(out, ", {} written", s.written)?;
            list(out, &[(s.dropped, "dropped"), (s.undelivered, "not delivered"), (s.missed, "after it failed")])?;
        }
        for (camera, c) in Camera::BOTH.into_iter().zip([a.infrared, a.visible]) {
            if c.source.state == SourceState::Lost {
                write!(out, "\nthe {} camera was still lost when the run ended", camera.name())?;
            }
        }
        writeln!(out)
    }
}

/// What there is of each.
fn list(out: &mut String, counts: &[(u64, &str)]) -> std::fmt::Result {
    counts.iter().filter(|(count, _)| *count > 0).try_for_each(|(count, what)| write!(out, ", {count} {what}"))
}
