//! Where things lie in the checkout.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The checkout this program was built from.
#[derive(Debug, Clone)]
pub struct Repo {
    root: PathBuf,
}

impl Repo {
    /// Finds the checkout: the folder two levels above this crate.
    ///
    /// Cargo names the crate's folder when it runs the program; the folder it was compiled in serves a program that
    /// was started by hand.
    pub fn find() -> Result<Self> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .ancestors()
            .nth(2)
            .filter(|root| root.join("Cargo.toml").is_file())
            .with_context(|| format!("{} does not lie two folders below the workspace root", manifest.display()))?;
        Ok(Self { root: root.to_path_buf() })
    }

    /// A checkout at a given place.
    #[cfg(test)]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    /// The folder with the workspace's `Cargo.toml`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where `.cargo/config.toml` expects libtorch.
    pub fn libtorch(&self) -> PathBuf {
        self.root.join(".deps").join("libtorch")
    }

    /// Where `.cargo/config.toml` expects ONNX Runtime.
    pub fn onnxruntime(&self) -> PathBuf {
        self.root.join(".deps").join("onnxruntime")
    }

    /// `path` relative to the root when it lies inside, for commands that are shorter to read and to paste.
    pub fn short<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

/// `path` as seen from the caller's folder, absolute.
pub fn from_caller(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot make {} absolute", path.display()))
}
