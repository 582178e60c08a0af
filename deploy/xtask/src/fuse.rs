//! `cargo xtask fuse`: the fused picture of one pair, with the weights that come with this project.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::process;
use crate::repo::{Repo, from_caller};
use crate::setup;

/// Our own student; see `deploy/weights/MODEL_CARD.md`.
const WEIGHTS: &str = "deploy/weights/student.safetensors";
/// What the pair is called while it is a data set of its own.
const NAME: &str = "pair";

/// What to fuse.
#[derive(Debug, Args)]
pub struct FuseArguments {
    /// Infrared image.
    #[arg(long, value_name = "FILE")]
    ir: PathBuf,
    /// Visible image of the same size, aligned with it.
    #[arg(long, value_name = "FILE")]
    vi: PathBuf,
    /// The fused image, a PNG that is not there yet.
    #[arg(long, value_name = "FILE", default_value = "fused.png")]
    out: PathBuf,
    /// Weights of a fusion network [default: deploy/weights/student.safetensors]
    #[arg(long, value_name = "FILE")]
    fusion: Option<PathBuf>,
}

/// Sets up, builds `caf-search`, and fuses the pair with it as a data set of one pair.
pub fn run(repo: &Repo, arguments: &FuseArguments) -> Result<()> {
    let [ir, vi, out] = [&arguments.ir, &arguments.vi, &arguments.out].map(|path| from_caller(path));
    let (ir, vi, out) = (ir?, vi?, out?);
    let weights =
        arguments.fusion.as_deref().map(from_caller).transpose()?.unwrap_or_else(|| repo.root().join(WEIGHTS));
    check([("--ir", &ir), ("--vi", &vi), ("--fusion", &weights)], &out)?;
    let libraries = setup::run(repo, &setup::Options::everything())?;
    let pairs = tempfile::tempdir().context("cannot make a folder for the pair")?;
    offer(pairs.path(), "ir", &ir)?;
    offer(pairs.path(), "vi", &vi)?;
    let fused = pairs.path().join("fused");
    let mut cargo = Command::new("cargo");
    // The development profile, as the demo: libtorch does the work.
    cargo.args(["run", "--locked", "--package", "caf-search", "--", "fuse", "--device", "cpu", "--data"]);
    cargo.arg(pairs.path()).arg("--fusion").arg(&weights).arg("--out").arg(&fused).current_dir(repo.root());
    process::run(libraries.for_cargo(&mut cargo))?;
    let picture = fused.join(NAME).with_extension("png");
    let bytes = std::fs::read(&picture).with_context(|| format!("cannot read {}", picture.display()))?;
    caf_file::write(&out, &bytes).with_context(|| format!("cannot write {}", out.display()))?;
    println!("fused: {}", out.display());
    Ok(())
}

/// Before anything is installed or built.
fn check(files: [(&str, &PathBuf); 3], out: &Path) -> Result<()> {
    if let Some((option, path)) = files.into_iter().find(|(_, path)| !path.is_file()) {
        bail!("{option}: expected a file, found none at {}", path.display());
    }
    if !out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")) {
        bail!("--out: expected a name that ends in .png, found {}", out.display());
    }
    if out.exists() {
        bail!("--out: {} is there already", out.display());
    }
    Ok(())
}

/// Links an image as the only one of a folder of the data set.
fn offer(pairs: &Path, folder: &str, image: &Path) -> Result<()> {
    let folder = pairs.join(folder);
    let mut place = folder.join(NAME);
    if let Some(extension) = image.extension() {
        place.set_extension(extension);
    }
    std::fs::create_dir(&folder)
        .and_then(|()| symlink(image, &place))
        .with_context(|| format!("cannot link {}", place.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_call_is_said_before_anything_is_built() {
        let dir = tempfile::tempdir().unwrap();
        let [image, missing] = ["a.png", "b.png"].map(|name| dir.path().join(name));
        std::fs::write(&image, "").unwrap();
        let said = |files, out: &str| check(files, &dir.path().join(out)).map_err(|error| error.to_string());
        let all = [("--ir", &image), ("--vi", &image), ("--fusion", &image)];
        assert_eq!(said(all, "new.png"), Ok(()));
        for (error, word) in [
            (said([all[0], ("--vi", &missing), all[2]], "new.png"), "--vi"),
            (said(all, "new.jpg"), "new.jpg"),
            (said(all, "a.png"), "there already"),
        ] {
            assert!(error.clone().unwrap_err().contains(word), "{error:?}");
        }
    }
}
