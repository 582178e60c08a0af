//! A bundle in the cache: fetched aside, completed, then moved into place.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::pins::Bundle;
use super::stamp::{self, Fault, Stamp};
use super::wheel;

/// Folders of unfinished work begin with this; they are removed by the next set-up.
const ASIDE: &str = ".aside-";

/// The folder that keeps downloaded libraries: `$XDG_CACHE_HOME/caf`, else `~/.cache/caf`.
pub fn cache() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CACHE_HOME").filter(|path| path.is_absolute()).or_else(|| Some(set("HOME")?.join(".cache")));
    Ok(base.context("neither XDG_CACHE_HOME nor HOME is set: nowhere to keep downloaded libraries")?.join("caf"))
}

/// Makes sure that `bundle` lies complete in the cache and returns its folder.
///
/// A complete folder is used as it is, without a download. With `check_only` nothing is installed: an incomplete
/// folder is an error.
pub fn bundle(bundle: &Bundle, check_only: bool) -> Result<PathBuf> {
    let cache = cache()?;
    let folder = cache.join(bundle.folder);
    let Some(fault) = stamp::fault(&folder, bundle) else {
        println!("setup: {} is complete in {}", bundle.title, folder.display());
        return Ok(folder);
    };
    let reason = describe(&fault);
    if check_only {
        bail!("{} is not usable in {}: {reason}; `cargo xtask setup` installs it", bundle.title, folder.display());
    }
    fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
    let _lock = lock(&cache)?;
    // Another set-up may have finished it while this one waited for the lock.
    if stamp::fault(&folder, bundle).is_none() {
        println!("setup: {} is complete in {}", bundle.title, folder.display());
        return Ok(folder);
    }
    remove_leftovers(&cache)?;
    println!("setup: {} into {}: {reason}, downloading {} MB", bundle.title, folder.display(), bundle.download_mb);
    let aside = tempfile::Builder::new()
        .prefix(ASIDE)
        .tempdir_in(&cache)
        .with_context(|| format!("cannot create a folder in {}", cache.display()))?;
    let downloads = subfolder(aside.path(), "wheels")?;
    let tree = subfolder(aside.path(), "tree")?;
    wheel::download(bundle, &downloads)?;
    println!("setup: unpacking {}", bundle.title);
    let files = wheel::unpack(bundle, &downloads, &tree)?;
    complete(bundle, &tree, files)?;
    swap(&tree, &folder, &aside.path().join("replaced"))?;
    println!("setup: {} is complete in {}", bundle.title, folder.display());
    Ok(folder)
}

fn describe(fault: &Fault) -> String {
    match fault {
        Fault::Absent => "not installed yet".to_owned(),
        Fault::NoStamp => "no mark that it is complete".to_owned(),
        Fault::OtherContent => "it holds other versions".to_owned(),
        Fault::Damaged(file) => format!("`{file}` is missing or has another length"),
    }
}

/// Held while the cache is changed; the operating system releases it with the process.
fn lock(cache: &Path) -> Result<File> {
    let path = cache.join(".lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    if file.try_lock().is_err() {
        println!("setup: waiting for another set-up that holds {}", path.display());
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(file)
}

fn remove_leftovers(cache: &Path) -> Result<()> {
    for entry in fs::read_dir(cache).with_context(|| format!("cannot list {}", cache.display()))? {
        let entry = entry.with_context(|| format!("cannot list {}", cache.display()))?;
        if entry.file_name().to_string_lossy().starts_with(ASIDE) {
            fs::remove_dir_all(entry.path()).with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
    }
    Ok(())
}

fn subfolder(parent: &Path, name: &str) -> Result<PathBuf> {
    let path = parent.join(name);
    fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(path)
}

/// Adds to the unpacked files what the bundle writes and links, and the stamp.
fn complete(bundle: &Bundle, tree: &Path, mut files: BTreeMap<String, u64>) -> Result<()> {
    for (name, content) in bundle.written {
        let path = tree.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        files.insert((*name).to_owned(), content.len() as u64);
    }
    for (name, points_to) in bundle.links {
        link(&tree.join(name), Path::new(points_to))?;
    }
    if let Some(gathered) = bundle.gathered {
        let libraries: Vec<_> = files.keys().filter(|name| name.starts_with(&format!("{gathered}/"))).collect();
        for name in libraries {
            let Some(file) = Path::new(name).file_name() else { continue };
            let path = tree.join("lib").join(file);
            if !path.exists() {
                link(&path, &Path::new("..").join(name))?;
            }
        }
    }
    Stamp::new(bundle, files).write(tree)
}

/// Puts `tree` in the place of `folder`; what was there goes to `replaced`, so that at no time half a folder is seen.
fn swap(tree: &Path, folder: &Path, replaced: &Path) -> Result<()> {
    if folder.exists() {
        fs::rename(folder, replaced).with_context(|| format!("cannot move {} away", folder.display()))?;
    }
    fs::rename(tree, folder).with_context(|| format!("cannot move {} to {}", tree.display(), folder.display()))
}

/// Makes `path` a symbolic link to `points_to`, replacing an older link in one step.
///
/// # Errors
///
/// When something that is no link is in the place.
pub fn link(path: &Path, points_to: &Path) -> Result<()> {
    let context = || format!("cannot link {} to {}", path.display(), points_to.display());
    if fs::read_link(path).is_ok_and(|found| found == points_to) {
        return Ok(());
    }
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_symlink()) {
        bail!("{} is in the place of a link to {}; move it away", path.display(), points_to.display());
    }
    let parent = path.parent().with_context(context)?;
    fs::create_dir_all(parent).with_context(context)?;
    let aside = tempfile::tempdir_in(parent).with_context(context)?;
    let fresh = aside.path().join("link");
    std::os::unix::fs::symlink(points_to, &fresh).with_context(context)?;
    fs::rename(&fresh, path).with_context(context)
}

#[cfg(test)]
mod tests {
    use super::super::pins::{Keep, Rule};
    use super::*;

    const SMALL: Bundle = Bundle {
        title: "small",
        folder: "small",
        download_mb: 0,
        machine: "x86_64",
        wheels: &[],
        rules: &[Rule { from: "a/", to: "lib/", keep: Keep::All }],
        written: &[("build-version", "1\n")],
        links: &[("lib/liba.so", "liba.so.1")],
        gathered: Some("nvidia"),
    };

    #[test]
    fn a_completed_tree_has_its_links_its_files_and_its_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir_all(tree.join("lib")).unwrap();
        fs::create_dir_all(tree.join("nvidia/cu13/lib")).unwrap();
        fs::write(tree.join("lib/liba.so.1"), "a").unwrap();
        fs::write(tree.join("nvidia/cu13/lib/libcublas.so.13"), "blas").unwrap();
        let files =
            BTreeMap::from([("lib/liba.so.1".to_owned(), 1), ("nvidia/cu13/lib/libcublas.so.13".to_owned(), 4)]);
        complete(&SMALL, &tree, files).unwrap();
        assert_eq!(stamp::fault(&tree, &SMALL), None);
        assert_eq!(fs::read_to_string(tree.join("lib/liba.so")).unwrap(), "a");
        assert_eq!(fs::read_to_string(tree.join("lib/libcublas.so.13")).unwrap(), "blas");

        let place = folder.path().join("place");
        fs::create_dir(&place).unwrap();
        fs::write(place.join("old"), "old").unwrap();
        swap(&tree, &place, &folder.path().join("replaced")).unwrap();
        assert_eq!(stamp::fault(&place, &SMALL), None);
        assert!(!place.join("old").exists());
    }

    #[test]
    fn a_link_is_replaced_but_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deps/library");
        link(&path, Path::new("one")).unwrap();
        link(&path, Path::new("two")).unwrap();
        assert_eq!(fs::read_link(&path).unwrap(), Path::new("two"));

        let real = folder.path().join("real");
        fs::create_dir(&real).unwrap();
        let error = link(&real, Path::new("two")).unwrap_err().to_string();
        assert!(error.contains("in the place of a link"), "{error}");
        assert!(real.is_dir());
    }

    #[test]
    fn only_unfinished_folders_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".aside-1")).unwrap();
        fs::create_dir(folder.path().join("libtorch-2.11.0")).unwrap();
        remove_leftovers(folder.path()).unwrap();
        assert!(!folder.path().join(".aside-1").exists());
        assert!(folder.path().join("libtorch-2.11.0").exists());
    }
}
