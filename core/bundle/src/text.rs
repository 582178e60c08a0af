//! The manifest as bytes.
//!
//! UTF-8 with `\n`, keys in the order of [`Manifest`], files sorted by name. The last line is a comment with the SHA-256 of all bytes
//! before it, so that an accident to the manifest is found without a key.

use crate::error::ManifestFault;
use crate::manifest::Manifest;
use crate::name::FileName;
use crate::validate::{inconsistencies, names};
use crate::{FORMAT, MOST_MANIFEST_BYTES, VERSION};
use caf_file::Sha256Hash;
use serde::Deserialize;

/// How the last line begins.
const CHECKSUM: &str = "# sha256 of the lines above: ";

/// The bytes of a manifest.
///
/// # Errors
/// When it contradicts itself, or would be too long.
pub fn write(manifest: &Manifest) -> Result<Vec<u8>, ManifestFault> {
    names(manifest.files.iter().map(|file| file.path.as_str()))?;
    check(manifest)?;
    let cannot = |error: toml::ser::Error| {
        ManifestFault::Inconsistent(vec![caf_contract::Mismatch::new(
            "the manifest",
            "values TOML has",
            error.to_string(),
        )])
    };
    let mut text = toml::to_string(manifest).map_err(cannot)?;
    let hash = Sha256Hash::of(text.as_bytes());
    text += &format!("{CHECKSUM}{hash}\n");
    let found = text.len() as u64;
    if found > MOST_MANIFEST_BYTES { Err(ManifestFault::Long { found }) } else { Ok(text.into_bytes()) }
}

/// The manifest of these bytes: one that this version knows and that does not contradict itself.
///
/// # Errors
/// The first fault, in the order: text, checksum, format, version, names, keys and types; then every contradiction.
pub fn read(bytes: &[u8]) -> Result<Manifest, ManifestFault> {
    /// Only what says how to read the rest.
    #[derive(Deserialize)]
    struct Head {
        format: String,
        version: u32,
    }
    /// Only the names, so that a wrong one is named before anything is made of it.
    #[derive(Deserialize)]
    struct Names {
        files: Vec<Named>,
    }
    #[derive(Deserialize)]
    struct Named {
        path: String,
    }
    let text = std::str::from_utf8(bytes).map_err(|error| ManifestFault::NoText { at: error.valid_up_to() })?;
    let (body, expected) = checksum(text).ok_or(ManifestFault::NoChecksum)?;
    let found = Sha256Hash::of(body.as_bytes());
    if found != expected {
        return Err(ManifestFault::Checksum { expected, found });
    }
    let toml = |error| ManifestFault::Toml(Box::new(error));
    let Head { format, version } = toml::from_str(body).map_err(toml)?;
    if format != FORMAT {
        return Err(ManifestFault::Format { found: format });
    }
    if version != VERSION {
        return Err(ManifestFault::Version { found: version });
    }
    let Names { files } = toml::from_str(body).map_err(toml)?;
    for Named { path } in &files {
        FileName::new(path.as_str()).map_err(|fault| ManifestFault::Name { name: path.clone(), fault })?;
    }
    names(files.iter().map(|file| file.path.as_str()))?;
    let manifest = toml::from_str(body).map_err(toml)?;
    check(&manifest)?;
    Ok(manifest)
}

/// The lines above the last one, and what the last one says of them.
fn checksum(text: &str) -> Option<(&str, Sha256Hash)> {
    let lines = text.strip_suffix('\n')?;
    let at = lines.rfind('\n')? + 1;
    let (body, last) = text.split_at(at);
    let hash = last.strip_prefix(CHECKSUM)?.strip_suffix('\n')?;
    Some((body, hash.parse().ok()?))
}

fn check(manifest: &Manifest) -> Result<(), ManifestFault> {
    let found = inconsistencies(manifest);
    if found.is_empty() { Ok(()) } else { Err(ManifestFault::Inconsistent(found)) }
}
