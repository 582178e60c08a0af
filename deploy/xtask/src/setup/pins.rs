//! Which packages are installed, pinned to the byte, and which of their files are kept.
//!
//! Every wheel is named by the SHA-256 that the package index publishes for it; pip refuses any other file. The wheels
//! for CPython 3.12 are taken whatever Python runs pip: only their shared libraries and headers are used.

/// One wheel of the Python package index.
#[derive(Debug, Clone, Copy)]
pub struct Wheel {
    /// Name of the package.
    pub name: &'static str,
    /// Exact version.
    pub version: &'static str,
    /// SHA-256 of the wheel, lower-case hexadecimal.
    pub sha256: &'static str,
}

/// Which files below a folder of a wheel are kept.
#[derive(Debug, Clone, Copy)]
pub enum Keep {
    /// All of them.
    All,
    /// Shared libraries, but not the ones named.
    LibrariesExcept(&'static [&'static str]),
    /// These files; each of them must exist.
    Named(&'static [&'static str]),
}

/// Files of `wheel` below `from` land below `to` in the installed folder.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Folder in the wheel, ending in `/`.
    pub from: &'static str,
    /// Folder of the installation, ending in `/`.
    pub to: &'static str,
    /// Which files.
    pub keep: Keep,
}

/// A library as it is installed: one folder of the cache.
#[derive(Debug, Clone, Copy)]
pub struct Bundle {
    /// What a person calls it.
    pub title: &'static str,
    /// Name of the folder in the cache.
    pub folder: &'static str,
    /// Size of the download, in MB (10⁶ bytes), as announced to the person who waits for it.
    pub download_mb: u32,
    /// Tag of the machine in wheel names.
    pub machine: &'static str,
    /// Where the files come from.
    pub wheels: &'static [Wheel],
    /// Which files are kept.
    pub rules: &'static [Rule],
    /// Small files that are written besides: path, content.
    pub written: &'static [(&'static str, &'static str)],
    /// Symbolic links: path, what it points to.
    pub links: &'static [(&'static str, &'static str)],
    /// A folder whose shared libraries are linked into `lib`, so that one search path finds them all.
    pub gathered: Option<&'static str>,
}

/// Version of libtorch that `tch` is written for.
pub const LIBTORCH_VERSION: &str = "2.11.0";
/// Version of ONNX Runtime that is installed.
pub const ONNXRUNTIME_VERSION: &str = "1.31.1";
/// Oldest minor version of ONNX Runtime 1 whose interface the `ort` crate can use with feature `api-22`.
pub const ONNXRUNTIME_OLDEST_MINOR: u32 = 22;

const TORCH: Wheel =
    wheel("torch", LIBTORCH_VERSION, "0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756");
const CUDART: Wheel =
    wheel("nvidia-cuda-runtime", "13.0.96", "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548");
const CUPTI: Wheel =
    wheel("nvidia-cuda-cupti", "13.0.85", "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8");

/// torch-sys compares this file with the version it is written for.
const BUILD_VERSION: (&str, &str) = ("build-version", "2.11.0\n");

/// libtorch for the CPU of an x86-64 machine.
///
/// The wheel is the CUDA build: its CPU library names the CUDA runtime and CUPTI as needed, although it runs without
/// either a GPU or a driver. Both come from their own wheels; the libraries that only a GPU uses stay out.
pub const LIBTORCH_CPU: Bundle = Bundle {
    title: "libtorch 2.11.0 for the CPU",
    folder: "libtorch-2.11.0",
    download_mb: 544,
    machine: "x86_64",
    wheels: &[TORCH, CUDART, CUPTI],
    rules: &[
        Rule {
            from: "torch/lib/",
            to: "lib/",
            keep: Keep::Named(&["libc10.so", "libtorch_cpu.so", "libtorch.so", "libgomp.so.1"]),
        },
        Rule { from: "torch/include/", to: "include/", keep: Keep::All },
        Rule { from: "nvidia/cu13/lib/", to: "lib/", keep: Keep::Named(&["libcudart.so.13", "libcupti.so.13"]) },
    ],
    written: &[BUILD_VERSION],
    links: &[],
    gathered: None,
};

/// libtorch with CUDA 13 for an x86-64 machine, with every NVIDIA library the wheel declares.
pub const LIBTORCH_CUDA: Bundle = Bundle {
    title: "libtorch 2.11.0 with CUDA 13",
    folder: "libtorch-2.11.0-cuda",
    download_mb: 2513,
    machine: "x86_64",
    wheels: &[
        TORCH,
        CUDART,
        CUPTI,
        wheel("nvidia-cublas", "13.1.0.3", "ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171"),
        wheel("nvidia-cuda-nvrtc", "13.0.88", "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575"),
        wheel("nvidia-cudnn-cu13", "9.19.0.56", "d20e1734305e9d68889a96e3f35094d733ff1f83932ebe462753973e53a572bf"),
        wheel("nvidia-cufft", "12.0.0.61", "6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3"),
        wheel("nvidia-cufile", "1.15.1.6", "08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44"),
        wheel("nvidia-curand", "10.4.0.35", "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc"),
        wheel("nvidia-cusolver", "12.0.4.66", "0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112"),
        wheel("nvidia-cusparse", "12.6.3.3", "2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b"),
        wheel("nvidia-cusparselt-cu13", "0.8.0", "25e30a8a7323935d4ad0340b95a0b69926eee755767e8e0b1cf8dd85b197d3fd"),
        wheel("nvidia-nccl-cu13", "2.28.9", "e4553a30f34195f3fa1da02a6da3d6337d28f2003943aa0a3d247bbc25fefc42"),
        wheel("nvidia-nvjitlink", "13.0.88", "13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b"),
        wheel("nvidia-nvshmem-cu13", "3.4.5", "290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80"),
        wheel("nvidia-nvtx", "13.0.85", "4936d1d6780fbe68db454f5e72a42ff64d1fd6397df9f363ae786930fd5c1cd4"),
    ],
    rules: &[
        Rule {
            from: "torch/lib/",
            to: "lib/",
            // Both belong to the Python module; nothing else loads them.
            keep: Keep::LibrariesExcept(&["libtorch_python.so", "libshm.so"]),
        },
        Rule { from: "torch/include/", to: "include/", keep: Keep::All },
        Rule { from: "nvidia/", to: "nvidia/", keep: Keep::LibrariesExcept(&[]) },
    ],
    written: &[BUILD_VERSION],
    links: &[],
    gathered: Some("nvidia"),
};

const ONNXRUNTIME_RULES: &[Rule] = &[Rule {
    from: "onnxruntime/capi/",
    to: "lib/",
    keep: Keep::Named(&["libonnxruntime.so.1.31.1", "libonnxruntime_providers_shared.so"]),
}];
const ONNXRUNTIME_LINKS: &[(&str, &str)] = &[("lib/libonnxruntime.so", "libonnxruntime.so.1.31.1")];

/// ONNX Runtime for the CPU of an x86-64 machine.
pub const ONNXRUNTIME_CPU: Bundle = Bundle {
    title: "ONNX Runtime 1.31.1 for the CPU",
    folder: "onnxruntime-1.31.1",
    download_mb: 24,
    machine: "x86_64",
    wheels: &[wheel(
        "onnxruntime",
        ONNXRUNTIME_VERSION,
        "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536",
    )],
    rules: ONNXRUNTIME_RULES,
    written: &[],
    links: ONNXRUNTIME_LINKS,
    gathered: None,
};

/// ONNX Runtime for the CPU of a 64-bit Arm machine.
pub const ONNXRUNTIME_CPU_ARM: Bundle = Bundle {
    machine: "aarch64",
    wheels: &[wheel(
        "onnxruntime",
        ONNXRUNTIME_VERSION,
        "0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc",
    )],
    ..ONNXRUNTIME_CPU
};

/// ONNX Runtime with the CUDA 13 provider for an x86-64 machine.
///
/// The provider finds the CUDA libraries among those of [`LIBTORCH_CUDA`]. TensorRT is not part of it.
pub const ONNXRUNTIME_CUDA: Bundle = Bundle {
    title: "ONNX Runtime 1.31.1 with CUDA 13",
    folder: "onnxruntime-1.31.1-cuda",
    download_mb: 256,
    wheels: &[wheel(
        "onnxruntime-gpu",
        ONNXRUNTIME_VERSION,
        "05d548956197b9d01f59b625de740e0d6be3593f874e241a12dc0362650ecdf7",
    )],
    rules: &[Rule { from: "onnxruntime/capi/", to: "lib/", keep: Keep::LibrariesExcept(&[]) }],
    ..ONNXRUNTIME_CPU
};

const fn wheel(name: &'static str, version: &'static str, sha256: &'static str) -> Wheel {
    Wheel { name, version, sha256 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ALL: [Bundle; 5] = [LIBTORCH_CPU, LIBTORCH_CUDA, ONNXRUNTIME_CPU, ONNXRUNTIME_CPU_ARM, ONNXRUNTIME_CUDA];

    #[test]
    fn every_wheel_is_pinned_by_a_whole_hash_and_named_once() {
        for bundle in ALL {
            let names: BTreeSet<_> = bundle.wheels.iter().map(|wheel| wheel.name).collect();
            assert_eq!(names.len(), bundle.wheels.len(), "{}", bundle.title);
            for wheel in bundle.wheels {
                let hexadecimal = wheel.sha256.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
                assert!(wheel.sha256.len() == 64 && hexadecimal, "{}: {}", wheel.name, wheel.sha256);
            }
            for rule in bundle.rules {
                assert!(rule.from.ends_with('/') && rule.to.ends_with('/'), "{}: {rule:?}", bundle.title);
            }
        }
    }

    #[test]
    fn versions_in_names_follow_the_constants() {
        for bundle in [LIBTORCH_CPU, LIBTORCH_CUDA] {
            assert!(bundle.title.contains(LIBTORCH_VERSION) && bundle.folder.contains(LIBTORCH_VERSION));
        }
        for bundle in [ONNXRUNTIME_CPU, ONNXRUNTIME_CPU_ARM, ONNXRUNTIME_CUDA] {
            assert!(bundle.title.contains(ONNXRUNTIME_VERSION) && bundle.folder.contains(ONNXRUNTIME_VERSION));
        }
        assert_eq!(BUILD_VERSION.1.trim(), LIBTORCH_VERSION);
    }
}
