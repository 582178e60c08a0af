//! A kernel to boot, and the modules of a driver.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;

/// A kernel with its modules.
#[derive(Debug)]
pub struct Kernel {
    /// What is booted.
    pub image: PathBuf,
    /// All its modules.
    modules: Vec<PathBuf>,
}

impl Kernel {
    /// The newest kernel in `boot` and `lib/modules` of a folder that has the driver.
    pub fn in_folder(root: &Path) -> Result<Self> {
        let boot = root.join("boot");
        let mut images: Vec<PathBuf> = entries(&boot).filter(|path| version(path).is_some()).collect();
        images.sort();
        for image in images.into_iter().rev() {
            let Some(version) = version(&image) else { continue };
            let mut modules = vec![];
            collect(&root.join("lib").join("modules").join(version), &mut modules);
            let kernel = Self { image, modules };
            // Debian compresses modules since its version 13.
            if kernel.module("vivid").is_some() && std::fs::File::open(&kernel.image).is_ok() {
                return Ok(kernel);
            }
        }
        bail!("no kernel with the module vivid.ko, and not compressed, in {}", root.display())
    }

    /// Debian's kernel, unpacked into a folder: from an earlier run, else fetched.
    pub fn fetched(folder: &Path) -> Result<Self> {
        if let Ok(kernel) = Self::in_folder(folder) {
            return Ok(kernel);
        }
        for tool in ["apt-get", "apt-cache", "dpkg-deb"] {
            if !process::is_installed(tool) {
                bail!("there is no kernel with vivid here, and no {tool} to fetch Debian's (--kernel names one)");
            }
        }
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let depends = process::capture(Command::new("apt-cache").args(["depends", "linux-image-amd64"]))?;
        let package = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
        let package = package.context("apt-cache knows no linux-image-amd64 (apt-get update)")?;
        process::run(Command::new("apt-get").args(["download", package]).current_dir(folder))?;
        let file = entries(folder).find(|path| path.extension().is_some_and(|e| e == "deb"));
        let file = file.with_context(|| format!("apt-get left no package in {}", folder.display()))?;
        process::run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(folder))?;
        std::fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        Self::in_folder(folder)
    }

    /// A module and all that it needs, each behind what it needs itself.
    pub fn modules(&self, name: &str) -> Result<Vec<PathBuf>> {
        let mut found = vec![];
        self.add(name, &mut found)?;
        Ok(found)
    }

    fn add(&self, name: &str, found: &mut Vec<PathBuf>) -> Result<()> {
        let module = self.module(name).with_context(|| format!("the kernel has no module {name}"))?;
        if found.contains(module) {
            return Ok(());
        }
        let content = std::fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
        for need in needs(&content) {
            self.add(&need, found)?;
        }
        found.push(module.clone());
        Ok(())
    }

    /// In names of modules `-` and `_` are the same.
    fn module(&self, name: &str) -> Option<&PathBuf> {
        let plain = |name: &str| name.replace('_', "-");
        self.modules.iter().find(|path| path.file_stem().is_some_and(|s| plain(&s.to_string_lossy()) == plain(name)))
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// All modules below a folder.
fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in entries(folder) {
        if path.is_dir() && !path.is_symlink() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "ko") {
            found.push(path);
        }
    }
}

/// The version of a kernel, from the name of its file.
fn version(image: &Path) -> Option<&str> {
    image.file_name()?.to_str()?.strip_prefix("vmlinuz-")
}

/// The modules that a module says it needs: `depends=a,b` among the texts in it, each of which ends with a zero.
fn needs(content: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = content.windows(KEY.len()).position(|bytes| bytes == KEY) else { return vec![] };
    let rest = content.get(at + KEY.len()..).unwrap_or_default();
    let list = rest.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(list).split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_comes_after_what_it_needs() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("lib/modules/6.1.0-1-amd64/kernel");
        std::fs::create_dir_all(folder.join("deep")).unwrap();
        std::fs::create_dir_all(root.path().join("boot")).unwrap();
        std::fs::write(root.path().join("boot/vmlinuz-6.1.0-1-amd64"), "").unwrap();
        assert!(Kernel::in_folder(root.path()).is_err(), "it has no vivid");
        let module = |name: &str, needs: &str| {
            std::fs::write(folder.join(name), format!("license=GPL\0depends={needs}\0name=x\0")).unwrap();
        };
        module("vivid.ko", "v4l2-tpg,mc");
        module("deep/v4l2-tpg.ko", "video_dev");
        module("mc.ko", "");
        module("deep/video-dev.ko", "mc");
        let kernel = Kernel::in_folder(root.path()).unwrap();
        let order = kernel.modules("vivid").unwrap();
        let names: Vec<_> = order.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["mc", "video-dev", "v4l2-tpg", "vivid"]);
        module("mc.ko", "absent");
        assert!(kernel.modules("vivid").unwrap_err().to_string().contains("no module absent"));
    }
}
