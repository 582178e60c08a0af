//! From samples to pixels: each surface in a pixel is shaded once, weighted by the samples it covers.

use super::raster::{Raster, Seen};

/// Rays along each side of a pixel.
pub(crate) const SAMPLES: usize = 2;
const PER_PIXEL: usize = SAMPLES * SAMPLES;

/// A surface seen in a pixel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patch {
    pub seen: Seen,
    /// Pane in front of it and the pane's depth.
    pub pane: Option<(u16, f32)>,
    /// Mean sample position and depth.
    pub x: f32,
    pub y: f32,
    pub t: f32,
    /// Share of the pixel.
    pub share: f32,
}

/// The surfaces of pixel (`px`, `py`), and how many there are.
pub(crate) fn patches(raster: &Raster, px: usize, py: usize) -> ([Option<Patch>; PER_PIXEL], usize) {
    let mut found = [None::<Patch>; PER_PIXEL];
    let mut count = 0;
    for i in 0..PER_PIXEL {
        let (x, y) = (px * SAMPLES + i % SAMPLES, py * SAMPLES + i / SAMPLES);
        let at = y * raster.view.size.width + x;
        let (seen, t) = raster.through(at);
        let pane = raster.pane(at);
        let (x, y) = (x as f32 + 0.5, y as f32 + 0.5);
        let same = |patch: &&mut Patch| patch.seen == seen && patch.pane.map(|p| p.0) == pane.map(|p| p.0);
        if let Some(patch) = found.iter_mut().flatten().find(same) {
            (patch.x, patch.y, patch.t, patch.share) = (patch.x + x, patch.y + y, patch.t + t, patch.share + 1.0);
        } else if let Some(slot) = found.get_mut(count) {
            *slot = Some(Patch { seen, pane, x, y, t, share: 1.0 });
            count += 1;
        }
    }
    for patch in found.iter_mut().flatten() {
        let k = 1.0 / patch.share;
        (patch.x, patch.y, patch.t) = (patch.x * k, patch.y * k, patch.t * k);
        patch.share /= PER_PIXEL as f32;
    }
    (found, count)
}
