//! Where a run computes.

use caf_torch::TorchError;
use tch::Device;

/// Most threads of libtorch: the thread pool of more would end the program.
pub(crate) const MAX_THREADS: usize = 1024;

/// The device of that name (`cpu`, `cuda`, `cuda:N` or `auto`), with libtorch's threads on the CPU set; 0 leaves their number
/// to it.
///
/// # Errors
/// For an unknown name, and when a GPU or libtorch's CUDA half is missing.
pub fn prepare(name: &str, threads: usize) -> Result<Device, TorchError> {
    let device = caf_torch::device_from_name(name)?;
    if threads > 0 {
        tch::set_num_threads(i32::try_from(threads.min(MAX_THREADS)).unwrap_or(1));
    }
    Ok(device)
}
