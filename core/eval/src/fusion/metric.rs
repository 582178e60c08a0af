use std::fmt;

use super::planes::Triple;
use crate::EvalError;

/// A value of one plane of each image.
type OfPlanes = fn(&Triple<'_>) -> Result<f64, EvalError>;
/// A value of all channels at once.
type OfChannels = fn(&[Triple<'_>]) -> Result<f64, EvalError>;

/// A metric of one fused image against its two sources, as one profile defines and names it.
#[derive(Clone, Copy)]
pub struct Metric {
    name: &'static str,
    about: &'static str,
    higher_is_better: bool,
    of: OfPlanes,
    of_channels: Option<OfChannels>,
}

impl Metric {
    /// A metric that is better when higher; `about` says in a line what it is, `of` computes it.
    pub(super) const fn higher(name: &'static str, about: &'static str, of: OfPlanes) -> Self {
        Self { name, about, higher_is_better: true, of, of_channels: None }
    }

    /// A metric that is better when lower.
    pub(super) const fn lower(name: &'static str, about: &'static str, of: OfPlanes) -> Self {
        Self { higher_is_better: false, ..Self::higher(name, about, of) }
    }

    /// The same under the name that another profile uses.
    pub(super) const fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// On colour images computed by `of_channels` instead of as the mean over the channels.
    pub(super) const fn on_colour(self, of_channels: OfChannels) -> Self {
        Self { of_channels: Some(of_channels), ..self }
    }

    /// The name in tables and files.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What it is, in a line.
    pub const fn about(&self) -> &'static str {
        self.about
    }

    /// False for errors and distances.
    pub const fn higher_is_better(&self) -> bool {
        self.higher_is_better
    }

    /// The value of one image: of its only plane, or of all channels together (the mean over them unless the metric says
    /// otherwise).
    ///
    /// # Errors
    /// [`EvalError::TooSmall`] when the image is too small for the metric to have a value, [`EvalError::NoPlanes`] without any.
    pub fn of(&self, channels: &[Triple<'_>]) -> Result<f64, EvalError> {
        match (channels, self.of_channels) {
            ([], _) => Err(EvalError::NoPlanes),
            ([one], _) => (self.of)(one),
            (several, Some(of_channels)) => of_channels(several),
            (several, None) => {
                let sum = several.iter().try_fold(0.0, |sum, channel| Ok(sum + (self.of)(channel)?))?;
                Ok(sum / several.len() as f64)
            }
        }
    }
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metric({})", self.name)
    }
}

/// The values of one image, in the order asked for. A value is NaN when the image is too small for the metric or the
/// metric is undefined on it, infinite for the PSNR of equal images; [`crate::statistics::Summary`] counts both.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores(Vec<(&'static str, f64)>);

impl Scores {
    /// The value of one metric, if it was asked for.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
    }

    /// All values by the names of their metrics.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        self.0.iter().copied()
    }
}

/// Computes `metrics` of one image: of its only plane, or of its channels. One thread; call it in parallel over images.
pub fn score(channels: &[Triple<'_>], metrics: &[Metric]) -> Scores {
    Scores(metrics.iter().map(|m| (m.name, m.of(channels).unwrap_or(f64::NAN))).collect())
}
