//! Measuring a network that sees every image at its own size.

use super::task::Measured;
use crate::error::SearchError;
use crate::loader::{Pixels, byte_tensor};
use caf_geometry::Size;
use caf_torch::{Mode, forward, only};
use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

/// Runs the network (RGB in [0, 1]) on all images, and hands each over in order: its number, its pixels, and what the network makes of it,
/// on the CPU.
///
/// What an exported model gives on a vehicle is what is measured here. Images of one size that follow each other share a batch.
///
/// # Errors
/// When an image cannot be read, or the parameters do not fit the network; [`SearchError::Interrupted`] when asked to stop before the
/// last image; those of `each`.
pub(super) fn at_own_size(
    of: &Measured<'_>,
    what: &str,
    mut each: impl FnMut(usize, &Pixels, &Tensor) -> Result<(), SearchError>,
) -> Result<(), SearchError> {
    let &Measured { graph, params, images, batch, progress, stop, .. } = of;
    let sizes: Vec<Size> = images.images().iter().map(|image| image.size).collect();
    progress.begin(what, images.len() as u64, 0);
    let mut done = 0;
    for same in sizes.chunk_by(|a, b| a == b) {
        for chunk in same.chunks(batch.max(1)) {
            if stop.is_raised() {
                return Err(SearchError::Interrupted);
            }
            let indices: Vec<usize> = (done..done + chunk.len()).collect();
            let loaded = indices.par_iter().map(|index| images.load(*index)).collect::<Result<Vec<_>, _>>()?;
            let outputs = tch::no_grad(|| -> Result<Tensor, SearchError> {
                let bytes =
                    loaded.iter().map(|p| byte_tensor(&p.image, params.device())).collect::<Result<Vec<_>, _>>()?;
                let input =
                    Tensor::f_cat(&bytes, 0)?.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?;
                Ok(only(forward(graph, params, &[&input], Mode::Eval)?)?.f_to_device(Device::Cpu)?)
            })?;
            for ((at, index), pixels) in (0..).zip(indices).zip(&loaded) {
                each(index, pixels, &outputs.f_get(at)?)?;
            }
            done += chunk.len();
            progress.advance(done as u64, "images");
        }
    }
    progress.end();
    Ok(())
}
