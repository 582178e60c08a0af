//! `cargo xtask fuse`: the fused picture of one pair, with the weights that come with this project.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use caf_console::WrongCall;
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
    check(&ir, &vi, &weights, &out)?;
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

/// Before anything is installed or built: all files are there, and the two images are images of one size.
fn check(ir: &Path, vi: &Path, weights: &Path, out: &Path) -> Result<()> {
    for (option, path) in [("--ir", ir), ("--vi", vi), ("--fusion", weights)] {
        ensure_call(path.is_file(), || format!("{option}: expected a file, found none at {}", path.display()))?;
    }
    let size = |option: &str, path: &Path| {
        caf_image::image_size(path).map_err(|error| WrongCall(format!("{option}: {}", caf_console::told(&error))))
    };
    let (ir, vi) = (size("--ir", ir)?, size("--vi", vi)?);
    ensure_call(ir == vi, || format!("--vi: expected an image of {ir} pixels as --ir is, found {vi}"))?;
    let is_png = out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
    ensure_call(is_png, || format!("--out: expected a name that ends in .png, found {}", out.display()))?;
    ensure_call(!out.exists(), || format!("--out: {} is there already", out.display()))
}

fn ensure_call(right: bool, wrong: impl FnOnce() -> String) -> Result<()> {
    if right { Ok(()) } else { Err(WrongCall(wrong()).into()) }
}

/// Links an image as the only one of a folder of the data set; what kind it is of is decided by its bytes.
fn offer(pairs: &Path, folder: &str, image: &Path) -> Result<()> {
    let folder = pairs.join(folder);
    let place = folder.join(NAME).with_extension("png");
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
        let at = |name: &str| dir.path().join(name);
        for (name, size) in [("a.png", "24 16"), ("wide.dat", "25 16")] {
            let bytes = format!("P5\n{size}\n255\n").into_bytes();
            std::fs::write(at(name), [bytes, vec![9; 25 * 16]].concat()).unwrap();
        }
        std::fs::write(at("page.txt"), "by hand").unwrap();
        let said = |ir: &str, vi: &str, weights: &str, out: &str| {
            check(&at(ir), &at(vi), &at(weights), &at(out)).map_err(|error| {
                assert!(error.is::<WrongCall>(), "{error}");
                error.to_string()
            })
        };
        assert_eq!(said("a.png", "a.png", "page.txt", "new.png"), Ok(()));
        for (said, words) in [
            (said("a.png", "b.png", "page.txt", "new.png"), ["--vi", "b.png"]),
            (said("page.txt", "a.png", "page.txt", "new.png"), ["--ir", "page.txt"]),
            (said("a.png", "wide.dat", "page.txt", "new.png"), ["24x16", "25x16"]),
            (said("a.png", "a.png", "none", "new.png"), ["--fusion", "none"]),
            (said("a.png", "a.png", "page.txt", "new.jpg"), ["--out", "new.jpg"]),
            (said("a.png", "a.png", "page.txt", "a.png"), ["--out", "there already"]),
        ] {
            let said = said.unwrap_err();
            assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
        }
    }
}
