//! Choosing a device.
//!
//! Programs link libtorch's CPU half only, so that one binary runs on machines with and without CUDA. The CUDA half registers
//! itself when it is loaded; [`device_from_name`] loads it before the first tensor is made, and says so when that fails: a GPU is
//! never silently absent.

use crate::error::TorchError;
use std::sync::OnceLock;
use tch::{Cuda, Device};

const CUDA_LIBRARY: &str = "libtorch_cuda.so";

/// The device of that name: `cpu`, `cuda`, `cuda:N`, or `auto` (the first GPU if there is one, else the CPU).
///
/// # Errors
/// For an unknown name, and for `cuda` when libtorch's CUDA half or a GPU is missing; the message says which.
pub fn device_from_name(name: &str) -> Result<Device, TorchError> {
    match name {
        "cpu" => Ok(Device::Cpu),
        "auto" => Ok(if cuda_devices("auto").is_ok() { Device::Cuda(0) } else { Device::Cpu }),
        _ => {
            let index = match name.strip_prefix("cuda") {
                Some("") => Some(0),
                Some(rest) => rest.strip_prefix(':').and_then(|n| n.parse::<usize>().ok()),
                None => None,
            };
            let index = index.ok_or_else(|| TorchError::DeviceName { found: name.to_owned() })?;
            let count = cuda_devices(name)?;
            if index < count {
                Ok(Device::Cuda(index))
            } else {
                let why = format!("this machine has {count} GPU(s), numbered from 0");
                Err(TorchError::NoCuda { device: name.to_owned(), why })
            }
        }
    }
}

/// Whether libtorch's CUDA half could be loaded, or what the loader said.
pub fn cuda_library_version() -> Result<(), String> {
    static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
    LOADED.get_or_init(load_cuda).clone()
}

fn cuda_devices(name: &str) -> Result<usize, TorchError> {
    let no_cuda = |why: String| TorchError::NoCuda { device: name.to_owned(), why };
    cuda_library_version().map_err(no_cuda)?;
    match usize::try_from(Cuda::device_count()) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(no_cuda("libtorch's CUDA half is there, but it finds no GPU (is the driver loaded?)".to_owned())),
    }
}

#[allow(unsafe_code)]
fn load_cuda() -> Result<(), String> {
    // SAFETY: loading runs the library's static initialisers, which register CUDA kernels with the libtorch that this program
    // already links; it is the library of the same release (checked by its versioned symbols at load time) and is never
    // unloaded, so no pointer into it can dangle.
    match unsafe { libloading::Library::new(CUDA_LIBRARY) } {
        Ok(library) => {
            std::mem::forget(library);
            Ok(())
        }
        Err(error) => Err(format!(
            "{CUDA_LIBRARY} cannot be loaded ({error}); put the folder of libtorch 2.11.0 for CUDA on LD_LIBRARY_PATH"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_understood_or_refused() {
        assert_eq!(device_from_name("cpu").unwrap(), Device::Cpu);
        assert!(device_from_name("auto").is_ok());
        for bad in ["", "gpu", "cuda:", "cuda:x", "cuda1"] {
            assert!(matches!(device_from_name(bad), Err(TorchError::DeviceName { .. })), "{bad}");
        }
    }

    #[test]
    fn cuda_is_there_or_refused_with_a_reason() {
        match device_from_name("cuda:99") {
            Err(TorchError::NoCuda { device, why }) => assert!(device == "cuda:99" && !why.is_empty()),
            other => panic!("expected a refusal, found {other:?}"),
        }
    }
}
