//! Compiles the shim against the headers of the libtorch that `torch-sys` links, and tells the linker where that lies.

use std::error::Error;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=shim");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let libtorch = std::env::var_os("LIBTORCH").map(PathBuf::from);
    let libtorch = libtorch.ok_or("LIBTORCH is not set: `cargo xtask setup` places libtorch and sets it")?;
    let include = libtorch.join("include");
    let header = include.join("torch/csrc/distributed/c10d/ProcessGroupGloo.hpp");
    if !header.exists() {
        return Err(format!("{}: not there; expected libtorch with its c10d headers", header.display()).into());
    }
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .include(Path::new("shim"))
        .include(include.join("torch/csrc/api/include"))
        .include(include)
        .flag("-D_GLIBCXX_USE_CXX11_ABI=1")
        // Those of libtorch's headers.
        .warnings(false)
        .file("shim/ranks.cpp")
        .compile("caf_ranks_shim");
    let lib = libtorch.join("lib");
    println!("cargo:rustc-link-search=native={}", lib.display());
    println!("cargo:rustc-link-lib=torch_cpu");
    println!("cargo:rustc-link-lib=c10");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib");
    Ok(())
}
