//! Plots and pages for people.
//!
//! [`Log`] reads the CSV log of a run, [`curves`], [`bars`], [`grouped_bars`], [`dots()`] and [`boxes()`] draw SVG, [`Run`] knows which plots a folder of a
//! search, of a fusion network's training or of a task's training holds, and [`run_page`] puts settings, plots and pictures of one into
//! a single HTML file. [`EventFile`] writes what TensorBoard reads. [`html`] has the pieces that pages are made of.

pub mod html;

mod boxes;
mod dots;
mod embed;
mod error;
mod events;
mod frame;
mod labels;
mod log;
mod page;
mod plot;
mod run;

pub use boxes::boxes;
pub use dots::{Dots, dots};
pub use embed::figure;
pub use error::ReportError;
pub use events::EventFile;
pub use log::Log;
pub use page::run_page;
pub use plot::{Chart, Curve, Scale, bars, curves, grouped_bars};
pub use run::{Figure, Run, RunKind, ScoreChart, Weights, beta_comparison};
