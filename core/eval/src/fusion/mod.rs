//! Metrics of one fused image against its two sources, without a reference.
//!
//! Notation: A = infrared, B = visible, F = fused; 8-bit planes of one size; all arithmetic in double precision.
//!
//! A [`Profile`] is a set of definitions behind published tables: the same name is another number in another profile. Quirks of
//! the published code are kept where a published number can only be compared with them; each is named at its function. Where that
//! code returns NaN the rules here are: an undefined correlation counts as 0, a VIF term against a constant source is 0 (1 in
//! `cddfuse`), Qabf without any gradient is 0. An image too small for a metric has no value.
//!
//! A metric is one file here with a function and a [`Metric`], and one line in the list of each profile that has it. What several
//! metrics need of the same image is computed once (`Gray::shared`, `Triple::shared`); over a data set the values accumulate in a
//! [`Summary`](crate::statistics::Summary).

mod correlation;
mod cross_entropy;
mod deviation;
mod edges;
mod entropy;
mod error;
mod frequency;
mod gradient;
mod information;
mod metric;
mod ms_ssim;
mod planes;
mod profile;
mod qabf;
mod qcb;
mod qcv;
mod separable;
mod shared;
mod spectrum;
mod ssim;
mod stretch;
mod vif;

pub use correlation::{CC, SCD};
pub use deviation::SD;
pub use entropy::EN;
pub use information::MI;
pub use metric::{Metric, Scores, score};
pub use planes::{Gray, Picture, Triple, gray_from_rgb};
pub use profile::{Colour, Profile};
pub use vif::VIF;

/// All profiles; the first is the usual one.
pub const PROFILES: &[Profile] = &[
    Profile {
        name: "linfeng",
        about: "the MATLAB set behind most published tables; colour is turned to gray",
        colour: Colour::ToGray,
        metrics: &[
            entropy::EN,
            information::MI,
            deviation::SD,
            frequency::SF,
            gradient::AG,
            error::MSE,
            error::PSNR,
            correlation::CC,
            correlation::SCD,
            vif::VIF,
            qabf::QABF,
            ssim::SSIM_L255,
            ms_ssim::MS_SSIM,
        ],
        extras: &[
            information::MI_UNSATURATED,
            information::MI_IR,
            information::MI_VI,
            vif::VIF_IR,
            vif::VIF_VI,
            ssim::SSIM_L1,
            ms_ssim::MS_SSIM_LEVELS[0],
            ms_ssim::MS_SSIM_LEVELS[1],
            ms_ssim::MS_SSIM_LEVELS[2],
        ],
    },
    Profile {
        name: "vifb",
        about: "the VIFB benchmark (Zhang 2020); colour is measured by channel",
        colour: Colour::ByChannel,
        metrics: &[
            gradient::AG.named("Avg_gradient"),
            cross_entropy::CROSS_ENTROPY,
            edges::EDGE_INTENSITY,
            entropy::EN.named("Entropy"),
            information::MUTINF,
            error::PSNR_OF_RMSE,
            qabf::QABF_SCALED,
            qcb::QCB,
            qcv::QCV,
            error::RMSE,
            frequency::SPATIAL_FREQUENCY,
            ssim::SSIM_VALID,
            deviation::SD.named("Variance"),
        ],
        extras: &[],
    },
    Profile {
        name: "cddfuse",
        about: "the Python evaluator of CDDFuse; colour is turned to gray",
        colour: Colour::ToGray,
        metrics: &[
            entropy::EN,
            deviation::SD,
            frequency::SF,
            gradient::AG_MEAN,
            information::MI_NATS,
            error::MSE_OF_LEVELS,
            error::PSNR_OF_PEAK,
            correlation::CC,
            correlation::SCD,
            vif::VIF_ALL_SCALES,
            qabf::QABF,
            ssim::SSIM_UNIFORM,
        ],
        extras: &[],
    },
];
