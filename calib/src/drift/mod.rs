//! Whether a rig still holds on a recording, by how much not, and since when.
//!
//! Each pair is compared with where the rig puts it (`look`). The recording is cut into stretches of some pairs each, side by side: those
//! that overlap would say the same twice. In each, what a mount that gives way changes is measured: shift, turn and growth of the picture.
//! The changes are tested against what the rig says of its own error and against one another (`alarm`), and the first pair of a drift is
//! the one from which on another map than before makes the pairs more alike (`since`).

mod alarm;
mod change;
mod look;
mod since;

use nalgebra::Matrix4;
use serde::Serialize;

use crate::error::CalibError;
use crate::find::{Settings, find};
use crate::map::corner_offsets;
use crate::recording::{Check, Shot, usable};
use alarm::{Fit, Known, covariance_of_pairs, fit, mean, probability};
use change::Change;
use look::Stretch;
use since::{Since, since};

pub use look::{Look, Watch};

/// Pairs that are looked at anew where none of a stretch match.
const AGAIN: usize = 16;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct DriftSettings {
    /// Pairs of a stretch.
    pub stretch: usize,
    /// Probability of an alarm on a recording in which nothing has moved.
    pub false_alarm: f64,
    /// Root mean square, infrared pixels, above 0, of how far scenes at other distances than those of the rig's recording move the corners.
    pub scenes_px: f64,
    /// Of the draws that the probability is found by.
    pub seed: u64,
}

/// What a recording says about a rig.
#[derive(Clone, Debug, Serialize)]
pub struct Drift {
    /// Whether the rig holds.
    pub holds: bool,
    /// Probability of what was found, or of more, where nothing has moved; `None` where the rig is too far off to match at all.
    pub probability: Option<f64>,
    /// Probability below which the rig does not hold.
    pub false_alarm: f64,
    /// How far the map is from the rig's: where the rig holds over the whole recording, else since the drift.
    pub offset: Offset,
    /// Root mean square of how far the rig's own error puts the corners off, infrared pixels, as the rig and the settings say.
    pub rig_known_to_px: f64,
    /// Where a drift began.
    pub since: Option<Beginning>,
    /// Pairs that were used.
    pub pairs: usize,
    /// What each stretch says.
    pub stretches: Vec<StretchOffset>,
    /// Pairs and stretches that were not used, with their reasons.
    pub set_aside: Vec<String>,
}

/// How far a map is from the rig's, infrared pixels.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Offset {
    /// Root mean square of the offsets of the corners.
    pub corners_px: f64,
    /// Its standard deviation.
    pub deviation_px: f64,
    /// What lies in the middle of the infrared image lies so far right and down of where the rig puts it.
    pub shift_px: [f64; 2],
    /// It is turned by so much, clockwise.
    pub turn_deg: f64,
    /// It is larger by so much.
    pub growth_percent: f64,
}

/// The first pair of a drift.
#[derive(Clone, Debug, Serialize)]
pub struct Beginning {
    /// It.
    pub pair: NamedPair,
    /// The earliest that cannot be ruled out (at 1 to 20).
    pub earliest: NamedPair,
    /// The latest.
    pub latest: NamedPair,
    /// Whether the drift may be older than the recording.
    pub may_be_older: bool,
}

/// A pair of the recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamedPair {
    /// From 0 among all that were given.
    pub index: usize,
    /// Name.
    pub name: String,
}

/// What some pairs in a row say.
#[derive(Clone, Debug, Serialize)]
pub struct StretchOffset {
    /// The first.
    pub first: NamedPair,
    /// The last.
    pub last: NamedPair,
    /// How far their map is from the rig's.
    #[serde(flatten)]
    pub offset: Offset,
}

/// A recording as it was cut.
struct Cut<'a> {
    watch: &'a Watch,
    looks: Vec<&'a Look>,
    /// Places of these among all pairs.
    kept: Vec<usize>,
    stretch: usize,
}

/// Looks whether a rig holds on pairs in the order of their times. `again` reads pairs of these places once more: those that match
/// nowhere near the rig.
///
/// # Errors
/// Those of a recording that cannot be used, and [`CalibError::NoAnswer`] where its last part shows nothing that can be compared.
pub fn drift(
    watch: &Watch,
    looks: &[Look],
    settings: &DriftSettings,
    again: impl FnOnce(&[usize]) -> Result<Vec<Shot>, CalibError>,
) -> Result<Drift, CalibError> {
    let checks: Vec<Check> = looks.iter().map(|look| look.check.clone()).collect();
    let usable = usable(&checks, 2 * settings.stretch.max(1))?;
    let kept = usable.kept.iter().filter_map(|place| looks.get(*place));
    let cut = Cut { watch, looks: kept.collect(), kept: usable.kept, stretch: settings.stretch.max(1) };
    let measured: Vec<Option<Stretch>> = (0..cut.count()).map(|i| watch.measure(cut.pairs(i))).collect();
    let is_silent = |i: &usize| measured.get(*i).is_some_and(Option::is_none);
    let mut set_aside = usable.set_aside;
    for [first, last] in (0..cut.count()).filter(is_silent).map(|i| cut.ends(i)) {
        set_aside
            .push(format!("{} to {}: the images match nowhere near where the rig puts them", first.name, last.name));
    }
    let stretches: Vec<Stretch> = measured.iter().flatten().cloned().collect();
    let known = Known { rig: watch.known_to, scenes: watch.corners.isotropic(settings.scenes_px) };
    let of_pair = covariance_of_pairs(&stretches);
    let told = |change: &Change, pairs: f64| watch.offset(change, &(of_pair / pairs.max(1.0) + known.scenes));
    let of_stretch = |(i, stretch): (usize, &Option<Stretch>)| {
        let (stretch, [first, last]) = (stretch.as_ref()?, cut.ends(i));
        Some(StretchOffset { first, last, offset: told(&stretch.change, stretch.residuals.len() as f64) })
    };
    let (change, pairs) = mean(&stretches);
    let mut out = Drift {
        holds: true,
        probability: None,
        false_alarm: settings.false_alarm,
        offset: told(&change, pairs),
        rig_known_to_px: watch.corners.spread(&watch.known_to),
        since: None,
        pairs: cut.looks.len(),
        stretches: measured.iter().enumerate().filter_map(of_stretch).collect(),
        set_aside,
    };
    // One stretch alone does not tell what pairs differ by.
    let best = if stretches.len() < 2 { None } else { fit(&stretches, &known) };
    out.probability = best.and_then(|best| probability(&stretches, &known, best.statistic, settings.seed));
    if let (Some(best), Some(_)) = (best, out.probability.filter(|chance| *chance <= settings.false_alarm)) {
        let (change, since) = cut.beginning(&best, &stretches);
        out.offset = told(&change, (cut.looks.len() - since.first) as f64);
        out.since = Some(cut.told(&since));
        out.holds = false;
        return Ok(out);
    }
    let trailing = (0..cut.count()).rev().take_while(is_silent).count();
    if trailing > 0 {
        return cut.far(cut.count() - trailing, out, again);
    }
    if out.probability.is_none() {
        let reason = format!("expected two windows or more in which the images match, found {}", stretches.len());
        return Err(CalibError::NoAnswer { reason });
    }
    let after = looks.len() - cut.kept.last().map_or(0, |last| last + 1);
    if after >= cut.stretch {
        let (name, why) = (cut.named(cut.looks.len() - 1).name, out.set_aside.last().cloned().unwrap_or_default());
        let reason =
            format!("of the {after} pairs after {name} none can be used ({why}), whatever the pairs before say");
        return Err(CalibError::NoAnswer { reason });
    }
    Ok(out)
}

impl Cut<'_> {
    fn count(&self) -> usize {
        (self.looks.len() / self.stretch).max(1)
    }

    fn range(&self, i: usize) -> std::ops::Range<usize> {
        i * self.looks.len() / self.count()..(i + 1) * self.looks.len() / self.count()
    }

    fn pairs(&self, i: usize) -> &[&Look] {
        self.looks.get(self.range(i)).unwrap_or_default()
    }

    fn named(&self, at: usize) -> NamedPair {
        let name = self.looks.get(at).map(|look| look.check.name.clone()).unwrap_or_default();
        NamedPair { index: self.kept.get(at).copied().unwrap_or(at), name }
    }

    /// The first and the last pair of a stretch.
    fn ends(&self, i: usize) -> [NamedPair; 2] {
        let range = self.range(i);
        [self.named(range.start), self.named(range.end.saturating_sub(1))]
    }

    /// The change since a drift, and its first pair.
    fn beginning(&self, best: &Fit, stretches: &[Stretch]) -> (Change, Since) {
        let after = mean(stretches.get(best.first..).unwrap_or_default()).0;
        let gain = |look: &&Look| self.watch.likeness(look, &after) - self.watch.likeness(look, &best.before);
        let found = since(&self.looks.iter().map(gain).collect::<Vec<f64>>());
        let moved = self.looks.get(found.first..).unwrap_or_default();
        // A few pairs at the end may not do alone.
        let alone = if moved.len() < self.stretch { None } else { self.watch.measure(moved) };
        (alone.map_or(after, |stretch| stretch.change), found)
    }

    fn told(&self, since: &Since) -> Beginning {
        let [earliest, latest] = since.between.map(|at| self.named(at));
        Beginning { pair: self.named(since.first), earliest, latest, may_be_older: since.between[0] == 0 }
    }

    /// From stretch `first` on nothing matches near the rig: the cameras look elsewhere, or show nothing in common.
    fn far(
        &self,
        first: usize,
        mut out: Drift,
        again: impl FnOnce(&[usize]) -> Result<Vec<Shot>, CalibError>,
    ) -> Result<Drift, CalibError> {
        let silent = self.kept.get(self.range(first).start..).unwrap_or_default();
        let places: Vec<usize> = silent.iter().step_by(silent.len().div_ceil(AGAIN).max(1)).copied().collect();
        let [earliest, latest] = self.ends(first);
        let watch = self.watch;
        let no_answer = |why: &str| {
            let (name, count) = (&earliest.name, silent.len());
            let reason = format!(
                "from {name} on ({count} pairs) the images of the two cameras match nowhere near where the rig puts them{why}"
            );
            CalibError::NoAnswer { reason }
        };
        let settings = Settings { scale: Some(watch.scale), least_pairs: places.len().min(4) };
        let found = match find(&again(&places)?, &settings, "") {
            Ok(found) => found.rig,
            Err(CalibError::NotHeld { .. } | CalibError::TooFew { .. } | CalibError::Frozen { .. }) => {
                return Err(no_answer(", and under no other map either"));
            }
            Err(error) => return Err(error),
        };
        let offsets = corner_offsets(&watch.vis_from_ir, &found.vis_from_ir, watch.infrared);
        let change = -watch.corners.change(&offsets);
        let spread = found.measured.map(|m| watch.corners.covariance(&m.corner_covariance_px2)).unwrap_or_default();
        out.offset = watch.offset(&change, &spread);
        if !watch.is_beyond_reach(&change) {
            return Err(no_answer(" well enough"));
        }
        out.since = Some(Beginning { pair: earliest.clone(), earliest, latest, may_be_older: first == 0 });
        out.holds = false;
        out.probability = None;
        Ok(out)
    }
}

impl Watch {
    fn offset(&self, change: &Change, covariance: &Matrix4<f64>) -> Offset {
        let [corners_px, deviation_px] = self.corners.distance(change, covariance);
        let [turn_deg, growth] = self.corners.turn_and_growth(change);
        let shift_px = [change[0], change[1]];
        Offset { corners_px, deviation_px, shift_px, turn_deg, growth_percent: 100.0 * growth }
    }
}
