//! Sets a machine up: says what is there, installs what is missing.
//!
//! Three things are needed: GStreamer and a compiler from the distribution, libtorch, and ONNX Runtime. Each is looked
//! for first; only what is missing is installed, so that a second run changes nothing and touches no network.

mod debian;
mod install;
mod libraries;
mod own;
mod pins;
mod stamp;
mod wheel;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

pub use libraries::{Libraries, Place};
use pins::Bundle;

use crate::process;
use crate::repo::Repo;

/// What the machine is set up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Search, training, export and runtime.
    Everything,
    /// The runtime alone: no libtorch.
    Runtime,
}

/// Where networks shall run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// The processor alone.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
}

impl Device {
    /// The device that was asked for, else a GPU where its driver is found.
    pub fn choose(cpu: bool, cuda: bool) -> Self {
        let found = || Path::new("/proc/driver/nvidia").is_dir() || process::is_installed("nvidia-smi");
        if cuda || (!cpu && found()) { Self::Cuda } else { Self::Cpu }
    }
}

/// How to set up.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What for.
    pub scope: Scope,
    /// Which libraries.
    pub device: Device,
    /// Only look; an error names what is missing.
    pub check_only: bool,
}

impl Options {
    /// Everything, for the device that is found.
    pub fn everything() -> Self {
        Self { scope: Scope::Everything, device: Device::choose(false, false), check_only: false }
    }
}

/// What is downloaded when the caller names no library of his own.
#[derive(Debug, Clone, Copy)]
struct Bundles {
    libtorch: Option<Bundle>,
    onnxruntime: Option<Bundle>,
}

/// The bundles for a machine, or `None` where no package fits it.
fn bundles(architecture: &str, device: Device) -> Bundles {
    match (architecture, device) {
        ("x86_64", Device::Cpu) => {
            Bundles { libtorch: Some(pins::LIBTORCH_CPU), onnxruntime: Some(pins::ONNXRUNTIME_CPU) }
        }
        ("x86_64", Device::Cuda) => {
            Bundles { libtorch: Some(pins::LIBTORCH_CUDA), onnxruntime: Some(pins::ONNXRUNTIME_CUDA) }
        }
        // A Jetson's GPU needs the libraries that belong to its JetPack; those on the package index are for servers.
        ("aarch64", Device::Cpu) => Bundles { libtorch: None, onnxruntime: Some(pins::ONNXRUNTIME_CPU_ARM) },
        _ => Bundles { libtorch: None, onnxruntime: None },
    }
}

/// Sets the machine up and tells where the libraries are.
pub fn run(repo: &Repo, options: &Options) -> Result<Libraries> {
    if std::env::consts::OS != "linux" {
        bail!("only Linux is supported, this is {}", std::env::consts::OS);
    }
    let bundles = bundles(std::env::consts::ARCH, options.device);
    let default_library = repo.onnxruntime().join("lib").join("libonnxruntime.so");
    let own_libtorch = own::named("LIBTORCH", &repo.libtorch());
    let own_onnxruntime = own::named("ORT_DYLIB_PATH", &default_library);

    let libtorch = (options.scope == Scope::Everything)
        .then(|| source("libtorch", own_libtorch, bundles.libtorch, "LIBTORCH (a folder with lib and include)"))
        .transpose()?;
    let onnxruntime =
        source("ONNX Runtime", own_onnxruntime, bundles.onnxruntime, "ORT_DYLIB_PATH (the file libonnxruntime.so)")?;
    let downloads = libtorch.as_ref().is_some_and(Source::is_incomplete) || onnxruntime.is_incomplete();

    debian::ensure(debian::Parts { compiler: libtorch.is_some(), pip: downloads }, options.check_only)?;
    let libtorch = match libtorch {
        None => None,
        Some(Source::Own(folder)) => {
            own::check_libtorch(&folder)?;
            println!("setup: libtorch {} is the one LIBTORCH names, {}", pins::LIBTORCH_VERSION, folder.display());
            Some(Place::Own(folder))
        }
        Some(Source::Package(bundle)) => {
            let folder = install::bundle(&bundle, options.check_only)?;
            Some(Place::Default(offer(repo, &repo.libtorch(), &folder, options.check_only)?))
        }
    };
    let onnxruntime = match onnxruntime {
        Source::Own(library) => {
            let version = own::check_onnxruntime(&library)?;
            println!("setup: ONNX Runtime {version} is the one ORT_DYLIB_PATH names, {}", library.display());
            Place::Own(library)
        }
        Source::Package(bundle) => {
            let folder = install::bundle(&bundle, options.check_only)?;
            offer(repo, &repo.onnxruntime(), &folder, options.check_only)?;
            Place::Default(default_library)
        }
    };
    println!("setup: done");
    Ok(Libraries { libtorch, onnxruntime })
}

/// Where a library comes from.
#[derive(Debug)]
enum Source {
    Own(PathBuf),
    Package(Bundle),
}

impl Source {
    fn is_incomplete(&self) -> bool {
        match self {
            Self::Own(_) => false,
            Self::Package(bundle) => {
                install::cache().map_or(true, |cache| stamp::fault(&cache.join(bundle.folder), bundle).is_some())
            }
        }
    }
}

fn source(title: &str, own: Option<PathBuf>, bundle: Option<Bundle>, variable: &str) -> Result<Source> {
    if let Some(path) = own {
        return Ok(Source::Own(path));
    }
    bundle.map(Source::Package).with_context(|| {
        format!(
            "no package of {title} is known to fit this machine ({}); name yours by {variable}. On 64-bit Arm \
             `cargo xtask setup --runtime --cpu` sets up the runtime for the CPU; search and training need x86-64, \
             and a Jetson's GPU needs the libraries of its JetPack",
            std::env::consts::ARCH
        )
    })
}

/// Links an installed folder to where `.cargo/config.toml` looks for it.
fn offer(repo: &Repo, place: &Path, folder: &Path, check_only: bool) -> Result<PathBuf> {
    let linked = place.canonicalize().ok() == folder.canonicalize().ok();
    if !linked && check_only {
        bail!("{} does not lead to {}; `cargo xtask setup` links it", repo.short(place).display(), folder.display());
    }
    if !linked {
        install::link(place, folder)?;
        println!("setup: linked {} to {}", repo.short(place).display(), folder.display());
    }
    Ok(place.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_package_is_told_which_variable_helps() {
        let on_arm = bundles("aarch64", Device::Cpu);
        assert!(on_arm.onnxruntime.is_some());
        let error = source("libtorch", None, on_arm.libtorch, "LIBTORCH").unwrap_err().to_string();
        assert!(error.contains("LIBTORCH") && error.contains("JetPack"), "{error}");
        assert!(matches!(source("libtorch", Some("/opt/libtorch".into()), None, "LIBTORCH"), Ok(Source::Own(_))));
    }

    #[test]
    fn a_gpu_gets_the_cuda_packages() {
        let folder = |device| bundles("x86_64", device).libtorch.map(|bundle| bundle.folder);
        assert_eq!(folder(Device::Cpu), Some("libtorch-2.11.0"));
        assert_eq!(folder(Device::Cuda), Some("libtorch-2.11.0-cuda"));
    }
}
