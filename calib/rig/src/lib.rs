//! Camera geometry, the rig file and remap tables.
//!
//! # Conventions
//!
//! - **Pixels.** Pixel i covers [i, i + 1), its centre is at i + 0.5; x grows to the right, y downwards. An image that is
//!   `width_px` wide covers [0, `width_px`). Calibrations by OpenCV count from the first pixel's centre instead: add 0.5 to
//!   their principal points.
//! - **Camera frame.** x right, y down, z forward along the optical axis, metres; the origin is the projection centre.
//! - **Transforms** are named `to_from_source`: `vis_from_ir` takes a point of the infrared camera's frame into the visible
//!   camera's frame, `x_vis = R · x_ir + t`. [`Rig::vis_from_ir_at`] takes infrared pixels to visible pixels.
//! - **Depth** is the z coordinate in the named camera's frame, not the length of the ray.
//!
//! A rig file holds two cameras and their pose ([`Rig`]), or the map between their images alone ([`PlaneRig`]); [`Geometry`] is either.
//!
//! Geometry is computed in `f64` once; what runs per frame is the integer arithmetic of [`RemapTable`].

mod camera;
mod error;
mod file;
mod geometry;
mod matrix;
mod plane;
mod remap;
mod rig;

pub use camera::Camera;
pub use error::RigError;
pub use geometry::{DEFAULT_DISTANCE_M, Geometry};
pub use matrix::{Homography, Mat3, Vec3};
pub use plane::{Measured, PlaneRig};
pub use remap::{PlaneMut, PlaneRef, RemapTable, Sample};
pub use rig::{Latency, Pose, Rig};
