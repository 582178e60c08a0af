//! Libraries that the caller names by environment variable: they are checked, never changed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::pins;

/// The value of a variable as an absolute path (cargo and build scripts start in folders of their own), unless it is unset,
/// empty, or what `.cargo/config.toml` sets by default.
pub fn named(variable: &str, default: &Path) -> Option<PathBuf> {
    chosen(std::env::var_os(variable).map(PathBuf::from), default)
}

fn chosen(value: Option<PathBuf>, default: &Path) -> Option<PathBuf> {
    let path = value.filter(|path| !path.as_os_str().is_empty() && path != default)?;
    Some(std::path::absolute(&path).unwrap_or(path))
}

/// Checks a libtorch folder of the caller: its libraries, its headers and their version.
pub fn check_libtorch(folder: &Path) -> Result<()> {
    for file in
        ["lib/libtorch.so", "lib/libtorch_cpu.so", "lib/libc10.so", "include/torch/csrc/api/include/torch/torch.h"]
    {
        let path = folder.join(file);
        if !path.is_file() {
            bail!("LIBTORCH names {}, but {} does not exist", folder.display(), path.display());
        }
    }
    let header = folder.join("include/torch/headeronly/version.h");
    let text = fs::read_to_string(&header)
        .with_context(|| format!("LIBTORCH names {}, but {} cannot be read", folder.display(), header.display()))?;
    let found = header_version(&text).with_context(|| format!("{} names no version", header.display()))?;
    if found != pins::LIBTORCH_VERSION {
        bail!("LIBTORCH names {}: expected libtorch {}, found {found}", folder.display(), pins::LIBTORCH_VERSION);
    }
    Ok(())
}

/// The version in libtorch's version header, as `major.minor.patch`.
fn header_version(header: &str) -> Option<String> {
    let number = |name: &str| {
        header.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next()? == "#define" && words.next()? == name).then(|| words.next()?.parse::<u32>().ok())?
        })
    };
    let (major, minor) = (number("TORCH_VERSION_MAJOR")?, number("TORCH_VERSION_MINOR")?);
    Some(format!("{major}.{minor}.{}", number("TORCH_VERSION_PATCH")?))
}

/// Checks an ONNX Runtime library of the caller and returns its version.
pub fn check_onnxruntime(library: &Path) -> Result<String> {
    let bytes = fs::read(library)
        .with_context(|| format!("ORT_DYLIB_PATH names {}, which cannot be read", library.display()))?;
    if !bytes.starts_with(b"\x7fELF") {
        bail!("ORT_DYLIB_PATH names {}, which is no shared library", library.display());
    }
    let found = symbol_version(&bytes)
        .with_context(|| format!("ORT_DYLIB_PATH names {}, which is no ONNX Runtime", library.display()))?;
    let mut numbers = found.split('.').map(|part| part.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(1), Some(minor)) if minor >= pins::ONNXRUNTIME_OLDEST_MINOR => Ok(found),
        _ => bail!(
            "ORT_DYLIB_PATH names {}: expected ONNX Runtime 1.{} or later, found {found}",
            library.display(),
            pins::ONNXRUNTIME_OLDEST_MINOR
        ),
    }
}

/// ONNX Runtime versions its exported symbols: the library holds the text `VERS_1.31.1`.
fn symbol_version(library: &[u8]) -> Option<String> {
    const MARK: &[u8] = b"VERS_";
    let start = library.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    let text = library.get(start..)?.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.');
    let version: String = text.map(|byte| char::from(*byte)).collect();
    version.contains('.').then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_of_the_cargo_configuration_is_not_the_callers_choice() {
        let default = Path::new("/repo/.deps/libtorch");
        assert_eq!(chosen(None, default), None);
        assert_eq!(chosen(Some(PathBuf::new()), default), None);
        assert_eq!(chosen(Some(default.to_path_buf()), default), None);
        assert_eq!(chosen(Some(PathBuf::from("/opt/libtorch")), default), Some(PathBuf::from("/opt/libtorch")));
        assert!(chosen(Some(PathBuf::from("libtorch")), default).is_some_and(|p| p.is_absolute()));
    }

    #[test]
    fn the_version_is_read_from_the_header() {
        let header = "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 11\n#define TORCH_VERSION_PATCH 0\n";
        assert_eq!(header_version(header).as_deref(), Some("2.11.0"));
        assert_eq!(header_version("#define TORCH_VERSION_MAJOR 2\n"), None);
    }

    #[test]
    fn a_libtorch_of_another_version_or_without_files_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let missing = check_libtorch(folder.path()).unwrap_err().to_string();
        assert!(missing.contains("lib/libtorch.so"), "{missing}");
        for file in
            ["lib/libtorch.so", "lib/libtorch_cpu.so", "lib/libc10.so", "include/torch/csrc/api/include/torch/torch.h"]
        {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let header = folder.path().join("include/torch/headeronly/version.h");
        fs::create_dir_all(header.parent().unwrap()).unwrap();
        let write = |minor| {
            let text = format!(
                "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR {minor}\n#define TORCH_VERSION_PATCH 0\n"
            );
            fs::write(&header, text).unwrap();
        };
        write(8);
        let other = check_libtorch(folder.path()).unwrap_err().to_string();
        assert!(other.contains("expected libtorch 2.11.0, found 2.8.0"), "{other}");
        write(11);
        check_libtorch(folder.path()).unwrap();
    }

    #[test]
    fn an_onnx_runtime_is_known_by_its_symbol_version() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("libonnxruntime.so");
        let check = |bytes: &[u8]| {
            fs::write(&library, bytes).unwrap();
            check_onnxruntime(&library)
        };
        assert_eq!(check(b"\x7fELF..VERS_1.31.1\0..").unwrap(), "1.31.1");
        assert!(check(b"\x7fELF..VERS_1.16.3\0..").unwrap_err().to_string().contains("found 1.16.3"));
        assert!(check(b"\x7fELF nothing").unwrap_err().to_string().contains("no ONNX Runtime"));
        assert!(check(b"text").unwrap_err().to_string().contains("no shared library"));
    }
}
