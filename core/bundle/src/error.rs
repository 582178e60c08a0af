//! What can be wrong with a bundle.

use crate::key::{KeyError, PublicKey, SIGNATURE_BYTES};
use crate::name::NameFault;
use crate::probes::ProbeError;
use crate::{FORMAT, MANIFEST, MOST_MANIFEST_BYTES, VERSION};
use caf_contract::{Mismatch, list};
use caf_file::Sha256Hash;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

/// Faults of files that a message names; the rest is counted.
const PRINTED: usize = 50;

/// Why a bundle is refused or cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// There is no such folder.
    #[error("{}: expected a bundle (a folder by caf-export bundle), found {found}", path.display())]
    NoFolder {
        /// What was named.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// The folder has no manifest.
    #[error("{}: no bundle: it has no {MANIFEST}", folder.display())]
    NoManifest {
        /// The folder.
        folder: PathBuf,
    },
    /// The manifest is not one that can be used.
    #[error("{}: {fault}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        fault: ManifestFault,
    },
    /// A key is demanded, and the bundle names no signer.
    #[error("{}: not signed; expected a signature by {}", folder.display(), keys(expected))]
    NotSigned {
        /// The bundle.
        folder: PathBuf,
        /// The keys that would do.
        expected: Vec<PublicKey>,
    },
    /// The manifest names a signer, and there is no signature.
    #[error("{}: missing; the manifest says that it is signed", path.display())]
    SignatureMissing {
        /// Where it should lie.
        path: PathBuf,
    },
    /// The signature has another length.
    #[error("{}: expected a signature of {SIGNATURE_BYTES} bytes, found {found}", path.display())]
    SignatureLength {
        /// The signature.
        path: PathBuf,
        /// Its bytes.
        found: u64,
    },
    /// The bundle is signed by somebody else.
    #[error("{}: signed by another key: expected {}, found {found}", folder.display(), keys(expected))]
    WrongKey {
        /// The bundle.
        folder: PathBuf,
        /// The keys that would do.
        expected: Vec<PublicKey>,
        /// The signer that the manifest names.
        found: PublicKey,
    },
    /// The signature is not one over this manifest.
    #[error("{}: not a signature by {} over this {MANIFEST}: one of the two was changed", path.display(), keys(expected))]
    BadSignature {
        /// The signature.
        path: PathBuf,
        /// The keys it was verified with.
        expected: Vec<PublicKey>,
    },
    /// Files are missing, too many, or not as the manifest has them.
    #[error("{}: {} not as {MANIFEST} says:{}", folder.display(), count(faults), lines(faults))]
    Files {
        /// The bundle.
        folder: PathBuf,
        /// Every fault, sorted by file.
        faults: Vec<Fault>,
    },
    /// A model promises something else than the manifest says of it.
    #[error("{}: `{model}` and {MANIFEST} contradict each other:{}", folder.display(), list(found))]
    Contradiction {
        /// The bundle.
        folder: PathBuf,
        /// The model.
        model: String,
        /// Every difference: the manifest's word is expected, the model's is found.
        found: Vec<Mismatch>,
    },
    /// The probe set is not one that can be used.
    #[error("{}: {source}", path.display())]
    Probes {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ProbeError,
    },
    /// A file without a key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something is there already.
    #[error("{}: is there already; --overwrite writes the bundle anew", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// What is there is not only a bundle, so that it is not replaced by one.
    #[error("{}: is replaced only where it is a bundle and nothing else: {why}", path.display())]
    NotReplaced {
        /// The folder.
        path: PathBuf,
        /// What is there besides.
        why: String,
    },
    /// A bundle cannot be put together: two files of one name, a name that is none, values out of range.
    #[error("the bundle cannot be put together: {0}")]
    Draft(ManifestFault),
    /// The bundle cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestFault {
    /// It is longer than any manifest.
    #[error("expected at most {MOST_MANIFEST_BYTES} bytes, found {found}")]
    Long {
        /// Its bytes.
        found: u64,
    },
    /// It is no text.
    #[error("expected UTF-8 text, found byte {at} that is none")]
    NoText {
        /// Where it stops being one.
        at: usize,
    },
    /// Its last line is not its checksum.
    #[error("the last line is not the checksum: the file was cut off, changed or written by hand")]
    NoChecksum,
    /// It was changed.
    #[error("changed: its last line says SHA-256 {expected}, the lines above have {found}")]
    Checksum {
        /// What the last line says.
        expected: Sha256Hash,
        /// What the lines above have.
        found: Sha256Hash,
    },
    /// It is another format.
    #[error("expected format `{FORMAT}`, found `{found}`")]
    Format {
        /// What it says.
        found: String,
    },
    /// It is of another version.
    #[error("expected version {VERSION}, found {found}: made by a later or earlier program")]
    Version {
        /// What it says.
        found: u32,
    },
    /// A name that leads elsewhere or is none.
    #[error("the file name `{name}` {fault}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// A file is listed twice.
    #[error("`{name}` is listed twice")]
    Duplicate {
        /// The file.
        name: String,
    },
    /// Two names that are one where case does not count.
    #[error("`{first}` and `{second}` are one file on systems where case does not count")]
    Case {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// It is no TOML, or has other keys or types.
    #[error("{0}")]
    Toml(Box<toml::de::Error>),
    /// It contradicts itself, or a value is impossible.
    #[error("contradicts itself:{}", list(.0))]
    Inconsistent(Vec<Mismatch>),
}

/// A file that is not as the manifest has it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}`: {fault}")]
pub struct Fault {
    /// The file, relative to the bundle.
    pub name: String,
    /// What is wrong with it.
    pub fault: FileFault,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    /// It is listed and not there.
    #[error("missing")]
    Missing,
    /// It is there and not listed.
    #[error("not listed")]
    Extra,
    /// It is a link.
    #[error("expected a file, found a link")]
    Link,
    /// It is a folder, a pipe, a device or a socket.
    #[error("expected a file, found {found}")]
    NoFile {
        /// What it is.
        found: &'static str,
    },
    /// It has another size.
    #[error("expected {expected} bytes, found {found}")]
    Size {
        /// What the manifest says.
        expected: u64,
        /// What was found.
        found: u64,
    },
    /// It was changed.
    #[error("expected SHA-256 {expected}, found {found}")]
    Hash {
        /// What the manifest says.
        expected: Sha256Hash,
        /// What was found.
        found: Sha256Hash,
    },
    /// It cannot be read, or memory cannot hold it.
    #[error("cannot be read: {reason}")]
    Unreadable {
        /// Why.
        reason: String,
    },
    /// Its contents are not those that the manifest gives it.
    #[error("expected {expected}, found {found}")]
    Contents {
        /// What the manifest says.
        expected: String,
        /// What was found.
        found: String,
    },
}

impl BundleError {
    /// Whether what was asked for is wrong, rather than a bundle, a file or a disk: a folder that is none, a file without a key, a
    /// place that is taken.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        match self {
            Self::NoFolder { .. }
            | Self::NoManifest { .. }
            | Self::Exists { .. }
            | Self::NotReplaced { .. }
            | Self::Draft(_) => true,
            Self::Key(error) => error.is_wrong_call(),
            Self::Manifest { .. }
            | Self::NotSigned { .. }
            | Self::SignatureMissing { .. }
            | Self::SignatureLength { .. }
            | Self::WrongKey { .. }
            | Self::BadSignature { .. }
            | Self::Files { .. }
            | Self::Contradiction { .. }
            | Self::Probes { .. }
            | Self::Read { .. }
            | Self::Write { .. } => false,
        }
    }
}

fn keys(keys: &[PublicKey]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

fn count(faults: &[Fault]) -> String {
    if faults.len() == 1 { "one file is".to_owned() } else { format!("{} files are", faults.len()) }
}

fn lines(faults: &[Fault]) -> String {
    let mut text = String::new();
    for fault in faults.iter().take(PRINTED) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {fault}");
    }
    if faults.len() > PRINTED {
        let _ = write!(text, "\n  and {} more", faults.len() - PRINTED);
    }
    text
}
