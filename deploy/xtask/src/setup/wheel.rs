//! Wheels: fetched by pip, then unpacked as far as a bundle's rules go.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use zip::ZipArchive;

use super::pins::{Bundle, Keep, Rule, Wheel};

/// glibc versions (minor) that the wheels' tags name; pip compares tags literally, so that all must be listed.
const NEWEST_GLIBC: u32 = 28;
const OLDEST_GLIBC: u32 = 5;

/// Downloads the bundle's wheels into `folder` with pip, which checks every file against its pinned hash.
pub fn download(bundle: &Bundle, folder: &Path) -> Result<()> {
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, requirement_lines(bundle.wheels))
        .with_context(|| format!("cannot write {}", requirements.display()))?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--require-hashes",
        "--no-cache-dir",
        "--disable-pip-version-check",
    ])
    .args(["--only-binary=:all:", "--python-version=3.12", "--implementation=cp", "--abi=cp312"])
    .args(platforms(bundle.machine).iter().map(|tag| format!("--platform={tag}")))
    .arg("--dest")
    .arg(folder)
    .arg("--requirement")
    .arg(&requirements);
    println!("$ python3 -m pip download --no-deps --require-hashes {}", names(bundle.wheels));
    let status = pip.status().context("cannot start python3")?;
    if !status.success() {
        bail!("cannot download {}: pip ended with {status}", bundle.title);
    }
    Ok(())
}

fn names(wheels: &[Wheel]) -> String {
    wheels.iter().map(|wheel| format!("{}=={}", wheel.name, wheel.version)).collect::<Vec<_>>().join(" ")
}

fn requirement_lines(wheels: &[Wheel]) -> String {
    let line = |wheel: &Wheel| format!("{}=={} --hash=sha256:{}\n", wheel.name, wheel.version, wheel.sha256);
    wheels.iter().map(line).collect()
}

/// Platform tags of wheels that run on a Linux machine with glibc 2.28, newest first.
fn platforms(machine: &str) -> Vec<String> {
    let numbered = (OLDEST_GLIBC..=NEWEST_GLIBC).rev().map(|minor| format!("manylinux_2_{minor}_{machine}"));
    let named = ["manylinux2014", "manylinux2010", "manylinux1"].into_iter().map(|name| format!("{name}_{machine}"));
    numbered.chain(named).collect()
}

/// Unpacks the wheels that lie in `downloads` into `target`; returns every file with its length in bytes.
pub fn unpack(bundle: &Bundle, downloads: &Path, target: &Path) -> Result<BTreeMap<String, u64>> {
    let mut files = BTreeMap::new();
    for wheel in bundle.wheels {
        let path = find(downloads, wheel)?;
        unpack_one(&path, bundle.rules, target, &mut files)
            .with_context(|| format!("cannot unpack {}", path.display()))?;
    }
    for rule in bundle.rules {
        let Keep::Named(names) = rule.keep else { continue };
        if let Some(missing) = names.iter().find(|name| !files.contains_key(&format!("{}{name}", rule.to))) {
            bail!("the wheels of {} hold no {}{missing}", bundle.title, rule.from);
        }
    }
    Ok(files)
}

/// The downloaded file of a wheel: its name begins with the package's name and version.
fn find(downloads: &Path, wheel: &Wheel) -> Result<PathBuf> {
    let start = format!("{}-{}-", wheel.name.replace('-', "_"), wheel.version);
    let entries = fs::read_dir(downloads).with_context(|| format!("cannot list {}", downloads.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("cannot list {}", downloads.display()))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with(&start) && name.ends_with(".whl") {
            return Ok(path);
        }
    }
    bail!("pip left no file {start}….whl in {}", downloads.display())
}

fn unpack_one(wheel: &Path, rules: &[Rule], target: &Path, files: &mut BTreeMap<String, u64>) -> Result<()> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(wheel)?))?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        if !entry.is_file() {
            continue;
        }
        let entry_name = entry.name()?.into_owned();
        if entry.enclosed_name().is_none() {
            bail!("entry `{entry_name}` leads out of the archive");
        }
        let Some(name) = destination(rules, &entry_name) else { continue };
        let path = target.join(&name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        }
        let mut file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let bytes = std::io::copy(&mut entry, &mut file).with_context(|| format!("cannot write {}", path.display()))?;
        make_executable(&file, entry.unix_mode()).with_context(|| format!("cannot write {}", path.display()))?;
        files.insert(name, bytes);
    }
    Ok(())
}

#[cfg(unix)]
fn make_executable(file: &File, mode: Option<u32>) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let executable = mode.is_some_and(|mode| mode & 0o111 != 0);
    file.set_permissions(fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))
}

#[cfg(not(unix))]
fn make_executable(_file: &File, _mode: Option<u32>) -> std::io::Result<()> {
    Ok(())
}

/// Where an entry of a wheel lands, or `None` when no rule keeps it.
fn destination(rules: &[Rule], entry: &str) -> Option<String> {
    rules.iter().find_map(|rule| {
        let below = entry.strip_prefix(rule.from)?;
        let file = below.rsplit('/').next()?;
        let kept = match rule.keep {
            Keep::All => true,
            Keep::LibrariesExcept(names) => is_library(file) && !names.contains(&file),
            Keep::Named(names) => names.contains(&below),
        };
        kept.then(|| format!("{}{below}", rule.to))
    })
}

/// Whether a file name is that of a shared library, with or without a version: `libx.so`, `libx.so.1`.
pub fn is_library(name: &str) -> bool {
    name.starts_with("lib") && (name.ends_with(".so") || name.contains(".so."))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use zip::write::SimpleFileOptions;

    use super::super::pins::{LIBTORCH_CPU, LIBTORCH_CUDA, ONNXRUNTIME_CPU};
    use super::*;

    fn archive(path: &Path, entries: &[(&str, &str)]) {
        let mut writer = zip::ZipWriter::new(File::create(path).unwrap());
        for (name, content) in entries {
            writer.start_file(*name, SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
        writer.finish().unwrap();
    }

    #[test]
    fn the_cpu_keeps_four_libraries_and_all_headers() {
        let keep = |entry| destination(LIBTORCH_CPU.rules, entry);
        assert_eq!(keep("torch/lib/libtorch_cpu.so").as_deref(), Some("lib/libtorch_cpu.so"));
        assert_eq!(keep("torch/include/c10/core/Device.h").as_deref(), Some("include/c10/core/Device.h"));
        assert_eq!(keep("nvidia/cu13/lib/libcudart.so.13").as_deref(), Some("lib/libcudart.so.13"));
        for entry in ["torch/lib/libtorch_cuda.so", "torch/nn/functional.py", "nvidia/cu13/lib/libnvperf_host.so"] {
            assert_eq!(keep(entry), None, "{entry}");
        }
    }

    #[test]
    fn with_cuda_every_library_is_kept_but_those_of_python() {
        let keep = |entry| destination(LIBTORCH_CUDA.rules, entry);
        assert_eq!(keep("torch/lib/libtorch_cuda.so").as_deref(), Some("lib/libtorch_cuda.so"));
        assert_eq!(keep("nvidia/cudnn/lib/libcudnn.so.9").as_deref(), Some("nvidia/cudnn/lib/libcudnn.so.9"));
        assert_eq!(keep("torch/lib/libtorch_python.so"), None);
        assert_eq!(keep("nvidia/cudnn/include/cudnn.h"), None);
    }

    #[test]
    fn a_wheel_is_unpacked_by_the_rules_and_its_files_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("onnxruntime-1.31.1-cp312-cp312-manylinux_2_28_x86_64.whl");
        archive(
            &wheel,
            &[
                ("onnxruntime/capi/libonnxruntime.so.1.31.1", "library"),
                ("onnxruntime/capi/libonnxruntime_providers_shared.so", "shared"),
                ("onnxruntime/__init__.py", "python"),
            ],
        );
        let target = folder.path().join("out");
        let files = unpack(&ONNXRUNTIME_CPU, folder.path(), &target).unwrap();
        assert_eq!(files.get("lib/libonnxruntime.so.1.31.1"), Some(&7));
        assert_eq!(files.len(), 2, "{files:?}");
        assert_eq!(fs::read_to_string(target.join("lib/libonnxruntime.so.1.31.1")).unwrap(), "library");
    }

    #[test]
    fn a_wheel_without_a_named_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("onnxruntime-1.31.1-cp312-cp312-manylinux_2_28_x86_64.whl");
        archive(&wheel, &[("onnxruntime/capi/libonnxruntime.so.1.31.1", "library")]);
        let error = unpack(&ONNXRUNTIME_CPU, folder.path(), &folder.path().join("out")).unwrap_err().to_string();
        assert!(error.contains("libonnxruntime_providers_shared.so"), "{error}");
    }

    #[test]
    fn an_entry_that_leads_out_of_the_archive_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("onnxruntime-1.31.1-cp312-cp312-manylinux_2_28_x86_64.whl");
        archive(&wheel, &[("onnxruntime/capi/../../../../libonnxruntime.so.1.31.1", "library")]);
        assert!(unpack(&ONNXRUNTIME_CPU, folder.path(), &folder.path().join("out")).is_err());
    }

    #[test]
    fn a_truncated_wheel_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("onnxruntime-1.31.1-cp312-cp312-manylinux_2_28_x86_64.whl");
        archive(&wheel, &[("onnxruntime/capi/libonnxruntime.so.1.31.1", "library")]);
        let bytes = fs::read(&wheel).unwrap();
        fs::write(&wheel, &bytes[..bytes.len() / 2]).unwrap();
        let error = format!("{:#}", unpack(&ONNXRUNTIME_CPU, folder.path(), &folder.path().join("out")).unwrap_err());
        assert!(error.contains("cannot unpack"), "{error}");
    }

    #[test]
    fn pip_is_told_every_hash_and_every_tag() {
        let lines = requirement_lines(LIBTORCH_CPU.wheels);
        assert!(lines.contains("torch==2.11.0 --hash=sha256:0f68f4ac"), "{lines}");
        assert_eq!(lines.lines().count(), 3);
        let tags = platforms("x86_64");
        for tag in ["manylinux_2_28_x86_64", "manylinux_2_18_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64"] {
            assert!(tags.iter().any(|found| found == tag), "{tag}");
        }
    }
}
