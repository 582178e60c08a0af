//! Tells the linker where libtorch lies, so that programs and tests start without `LD_LIBRARY_PATH`.
//!
//! Shared by every crate that links libtorch. `LIBTORCH` is set in `.cargo/config.toml` to what `cargo xtask setup` placed,
//! unless the environment names another.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    if let Some(libtorch) = std::env::var_os("LIBTORCH") {
        let lib = std::path::Path::new(&libtorch).join("lib");
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
        // Beside the program, for a folder that is carried to another machine.
        println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib");
    }
}
