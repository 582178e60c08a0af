//! Where libtorch and ONNX Runtime lie, and how a child process learns it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The libraries a child process works with.
#[derive(Debug, Clone)]
pub struct Libraries {
    /// The libtorch folder, with `lib` and `include`; `None` when only the runtime was set up.
    pub libtorch: Option<Place>,
    /// The ONNX Runtime library file.
    pub onnxruntime: Place,
}

/// Whose choice a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The path that `.cargo/config.toml` names anyway.
    Default(PathBuf),
    /// A path the caller named by environment variable.
    Own(PathBuf),
}

impl Place {
    /// The path itself.
    pub fn path(&self) -> &Path {
        match self {
            Self::Default(path) | Self::Own(path) => path,
        }
    }
}

/// Variables of `cargo run` that stay meaningful for another cargo; all other `CARGO_…` describe this very program.
const KEPT: &[&str] = &[
    "CARGO_HOME",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_",
    "CARGO_NET_",
    "CARGO_HTTP_",
    "CARGO_TERM_",
    "CARGO_INCREMENTAL",
    "CARGO_PROFILE_",
    "CARGO_REGISTR",
    "CARGO_ENCODED_RUSTFLAGS",
];

fn describes_this_program(variable: &str) -> bool {
    variable.starts_with("CARGO_") && !KEPT.iter().any(|kept| variable.starts_with(kept))
}

impl Libraries {
    /// Prepares a call of cargo, so that it sees what a cargo called by hand sees.
    ///
    /// Variables that cargo set for this program would otherwise reach build scripts that watch them, and every
    /// `cargo xtask` would rebuild what the last `cargo build` had built, and back.
    pub fn for_cargo<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(describes_this_program) {
                command.env_remove(name);
            }
        }
        for (name, place) in [("LIBTORCH", self.libtorch.as_ref()), ("ORT_DYLIB_PATH", Some(&self.onnxruntime))] {
            match place {
                Some(Place::Own(path)) => command.env(name, path),
                // `.cargo/config.toml` sets it again, as it does for everybody.
                Some(Place::Default(_)) | None => command.env_remove(name),
            };
        }
        if let Some(search_path) = self.search_path() {
            command.env("LD_LIBRARY_PATH", search_path);
        }
        command
    }

    /// The variables one of the workspace's own programs needs, in the order they are printed.
    ///
    /// Programs on libtorch find it by their run path. ONNX Runtime's CUDA provider does not know where the CUDA
    /// libraries lie; they come with libtorch.
    pub fn for_program(&self) -> Vec<(&'static str, PathBuf)> {
        let mut variables = vec![("ORT_DYLIB_PATH", self.onnxruntime.path().to_path_buf())];
        let has_cuda = |place: &Place| place.path().join("lib/libtorch_cuda.so").exists();
        if let Some(search_path) = self.search_path().filter(|_| self.libtorch.as_ref().is_some_and(has_cuda)) {
            variables.push(("LD_LIBRARY_PATH", search_path.into()));
        }
        variables
    }

    /// The library search path with libtorch in front of what it was; documentation tests have no run path.
    fn search_path(&self) -> Option<OsString> {
        let libraries = self.libtorch.as_ref()?.path().join("lib");
        let present = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let rest = std::env::split_paths(&present).filter(|path| !path.as_os_str().is_empty() && *path != libraries);
        std::env::join_paths(std::iter::once(libraries.clone()).chain(rest)).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn variable(command: &Command, name: &str) -> Option<Option<OsString>> {
        command.get_envs().find(|(key, _)| *key == OsStr::new(name)).map(|(_, value)| value.map(OsStr::to_os_string))
    }

    #[test]
    fn cargo_is_told_only_what_the_caller_chose() {
        let own = Libraries {
            libtorch: Some(Place::Own("/opt/libtorch".into())),
            onnxruntime: Place::Default("/repo/.deps/onnxruntime/lib/libonnxruntime.so".into()),
        };
        let mut command = Command::new("cargo");
        own.for_cargo(&mut command);
        assert_eq!(variable(&command, "LIBTORCH"), Some(Some("/opt/libtorch".into())));
        assert_eq!(variable(&command, "ORT_DYLIB_PATH"), Some(None));
        let search_path = variable(&command, "LD_LIBRARY_PATH").flatten().unwrap();
        assert!(search_path.to_string_lossy().starts_with("/opt/libtorch/lib"));
        // Cargo sets this for every test.
        assert_eq!(variable(&command, "CARGO_MANIFEST_DIR"), Some(None));
    }

    #[test]
    fn settings_of_cargo_survive_and_descriptions_of_this_program_do_not() {
        for kept in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_BUILD_JOBS", "CARGO_NET_OFFLINE", "CARGO"] {
            assert!(!describes_this_program(kept), "{kept}");
        }
        for dropped in ["CARGO_MANIFEST_DIR", "CARGO_PKG_VERSION", "CARGO_BIN_NAME"] {
            assert!(describes_this_program(dropped), "{dropped}");
        }
    }

    #[test]
    fn programs_are_told_where_onnx_runtime_is_and_cuda_where_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let libraries = Libraries {
            libtorch: Some(Place::Own(folder.path().into())),
            onnxruntime: Place::Own("/opt/libonnxruntime.so".into()),
        };
        let without = libraries.for_program();
        assert_eq!(without, [("ORT_DYLIB_PATH", PathBuf::from("/opt/libonnxruntime.so"))]);
        std::fs::create_dir(folder.path().join("lib")).unwrap();
        std::fs::write(folder.path().join("lib/libtorch_cuda.so"), "").unwrap();
        let told = libraries.for_program();
        let Some(("LD_LIBRARY_PATH", path)) = told.last() else { panic!("{told:?}") };
        // What the caller had set stays behind it.
        assert_eq!(std::env::split_paths(path).next(), Some(folder.path().join("lib")));
        let kept = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        assert!(
            std::env::split_paths(&kept)
                .all(|p| p.as_os_str().is_empty() || std::env::split_paths(path).any(|q| q == p))
        );
    }
}
