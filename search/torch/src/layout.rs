//! How the values that convolutions read and write lie in memory on a CPU.
//!
//! Which order is faster depends on the processor: with AVX-512 channels innermost wins everywhere, with AVX2 alone the derivative by the
//! weight is about twice as slow so. Both give the same values up to rounding, so that a run must keep to one choice.

use std::cell::Cell;

/// The order of values in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// All channels of a pixel side by side.
    ChannelsLast,
    /// One plane after the other.
    Planar,
}

/// The order for each kind of pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layouts {
    /// Where values alone are computed.
    pub values: Layout,
    /// Where derivatives are recorded too.
    pub derivatives: Layout,
}

impl Default for Layouts {
    fn default() -> Self {
        Layouts { values: Layout::ChannelsLast, derivatives: Layout::ChannelsLast }
    }
}

thread_local! {
    static LAYOUTS: Cell<Layouts> = Cell::new(Layouts::default());
}

/// Decides how convolutions that this thread computes on the CPU lie from now on; other devices choose for themselves.
pub fn set_layouts(layouts: Layouts) {
    LAYOUTS.set(layouts);
}

/// What was decided for this thread.
pub fn layouts() -> Layouts {
    LAYOUTS.get()
}
