use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::planes::Triple;
use super::{
    Bins, average_gradient, correlation_coefficient, entropy, mean_squared_error, ms_ssim, mutual_information, psnr,
    qabf, spatial_frequency, ssim, standard_deviation, sum_of_correlations_of_differences, vif,
};
use crate::EvalError;

macro_rules! metrics {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal),+ $(,)?) => {
        /// A metric by its usual short name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Metric {
            $($(#[$doc])+ $variant),+
        }

        impl Metric {
            /// All metrics.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name in tables and files.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }
    };
}

metrics! {
    /// Entropy of the fused image in bits.
    En = "EN",
    /// Mutual information in bits, with the published code's saturated histogram.
    Mi = "MI",
    /// Mutual information in bits with one bin a level.
    MiUnsaturated = "MI_unsaturated",
    /// Term of the infrared source in MI.
    MiIr = "MI_ir",
    /// Term of the visible source in MI.
    MiVi = "MI_vi",
    /// Standard deviation of the fused image.
    Sd = "SD",
    /// Spatial frequency.
    Sf = "SF",
    /// Average gradient.
    Ag = "AG",
    /// Mean squared error on [0, 1]; lower is better.
    Mse = "MSE",
    /// Peak signal-to-noise ratio with the published peak.
    Psnr = "PSNR",
    /// Correlation coefficient.
    Cc = "CC",
    /// Sum of the correlations of differences.
    Scd = "SCD",
    /// Visual information fidelity, the sum of both terms.
    Vif = "VIF",
    /// VIF against the infrared source.
    VifIr = "VIF_ir",
    /// VIF against the visible source.
    VifVi = "VIF_vi",
    /// Edge preservation of Xydeas and Petrović.
    Qabf = "Qabf",
    /// Structural similarity with the range 255.
    Ssim = "SSIM_L255",
    /// Structural similarity with the range 1 that many tables used by accident.
    SsimL1 = "SSIM_L1",
    /// Multi-exposure-fusion MS-SSIM.
    MsSsim = "MS_SSIM",
}

impl Metric {
    /// The metrics shown when none are named.
    pub const USUAL: &[Self] = &[
        Self::En,
        Self::Mi,
        Self::Sd,
        Self::Sf,
        Self::Ag,
        Self::Mse,
        Self::Psnr,
        Self::Cc,
        Self::Scd,
        Self::Vif,
        Self::Qabf,
        Self::Ssim,
        Self::MsSsim,
    ];

    /// False for errors.
    pub const fn higher_is_better(self) -> bool {
        !matches!(self, Self::Mse)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl FromStr for Metric {
    type Err = EvalError;

    /// Names are compared without regard to case.
    fn from_str(name: &str) -> Result<Self, EvalError> {
        Self::ALL.iter().copied().find(|m| m.name().eq_ignore_ascii_case(name)).ok_or_else(|| {
            EvalError::UnknownMetric {
                found: name.to_owned(),
                known: Self::ALL.iter().map(|m| m.name()).collect::<Vec<_>>().join(", "),
            }
        })
    }
}

/// The values of one image, in the order asked for. A value is NaN when the image is too small for the metric or the
/// metric is undefined on it, infinite for the PSNR of equal images; [`crate::statistics::Summary`] counts both.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores(Vec<(Metric, f64)>);

impl Scores {
    /// The value of one metric, if it was asked for.
    pub fn get(&self, metric: Metric) -> Option<f64> {
        self.0.iter().find(|(m, _)| *m == metric).map(|(_, v)| *v)
    }

    /// All values.
    pub fn iter(&self) -> impl Iterator<Item = (Metric, f64)> + '_ {
        self.0.iter().copied()
    }
}

/// Computes `metrics` of one triple. One thread; call it in parallel over images.
pub fn score(triple: &Triple<'_>, metrics: &[Metric]) -> Scores {
    let fused = triple.fused();
    let (mut fidelity, mut information) = (None, None);
    let mut value = |metric: Metric| -> Result<f64, EvalError> {
        let mut fidelity = || fidelity.get_or_insert_with(|| vif(triple)).clone();
        let mut information = || *information.get_or_insert_with(|| mutual_information(triple, Bins::Saturated));
        Ok(match metric {
            Metric::En => entropy(fused),
            Metric::Mi => {
                let (ir, vi) = information();
                ir + vi
            }
            Metric::MiIr => information().0,
            Metric::MiVi => information().1,
            Metric::MiUnsaturated => {
                let (ir, vi) = mutual_information(triple, Bins::Full);
                ir + vi
            }
            Metric::Sd => standard_deviation(fused),
            Metric::Sf => spatial_frequency(fused)?,
            Metric::Ag => average_gradient(fused)?,
            Metric::Mse => mean_squared_error(triple),
            Metric::Psnr => psnr(triple),
            Metric::Cc => correlation_coefficient(triple),
            Metric::Scd => sum_of_correlations_of_differences(triple),
            Metric::Vif => fidelity()?.sum(),
            Metric::VifIr => fidelity()?.ir,
            Metric::VifVi => fidelity()?.vi,
            Metric::Qabf => qabf(triple),
            Metric::Ssim => ssim(triple, 255.0),
            Metric::SsimL1 => ssim(triple, 1.0),
            Metric::MsSsim => ms_ssim(triple)?.value(),
        })
    };
    Scores(metrics.iter().map(|&m| (m, value(m).unwrap_or(f64::NAN))).collect())
}

#[cfg(test)]
mod tests {
    use super::super::planes::Gray;
    use super::*;

    #[test]
    fn names_return() {
        for &m in Metric::ALL {
            assert_eq!(m.name().to_lowercase().parse::<Metric>().unwrap(), m);
        }
        assert!(matches!("XYZ".parse::<Metric>(), Err(EvalError::UnknownMetric { .. })));
    }

    #[test]
    fn a_small_image_has_what_it_can_have() {
        let pixels: Vec<u8> = (0..400).map(|i| (i * 89 % 256) as u8).collect();
        let g = Gray::new(&pixels, 20, 20).unwrap();
        let s = score(&Triple::new(g, g, g).unwrap(), Metric::ALL);
        assert!(s.get(Metric::MsSsim).unwrap().is_nan());
        assert!((s.get(Metric::Vif).unwrap() - 2.0).abs() < 1e-8);
        assert_eq!(s.iter().count(), Metric::ALL.len());
    }
}
