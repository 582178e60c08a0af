//! Metrics of one fused image against its two sources.
//!
//! Notation: A = infrared, B = visible, F = fused; 8-bit gray planes of one size; all arithmetic in double precision.
//! The definitions are those of the MATLAB evaluation set behind most published tables (profile `linfeng`), its quirks
//! included where a published number can only be compared with them; each quirk is named at its function.
//!
//! Where the published code returns NaN the rules here are: an undefined correlation counts as 0, a VIF term against a
//! constant source is 0, Qabf without any gradient is 0. An image too small for a metric is refused.

mod correlation;
mod differences;
mod entropy;
mod metric;
mod ms_ssim;
mod planes;
mod qabf;
mod separable;
mod ssim;
mod vif;

pub use correlation::{correlation_coefficient, sum_of_correlations_of_differences};
pub use differences::{average_gradient, mean_squared_error, psnr, spatial_frequency, standard_deviation};
pub use entropy::{Bins, entropy, mutual_information};
pub use metric::{Metric, Scores, score};
pub use ms_ssim::{MsSsim, ms_ssim};
pub use planes::{Gray, Triple, gray_from_rgb};
pub use qabf::qabf;
pub use ssim::ssim;
pub use vif::{Vif, vif};
