//! The bundle: the one folder that a vehicle gets, and refuses anything else.
//!
//! ```text
//! bundle/
//! ├── manifest.toml                 what the bundle is, and every other file with role, bytes, SHA-256
//! ├── manifest.sig                  64 bytes: ed25519 over the bytes of manifest.toml (where a key was given)
//! ├── model.fp32.onnx               one or more models, the same network at one precision each
//! ├── model.fp32.onnx.data          its weights, where they do not lie inside
//! ├── model.fp32.onnx.modelinfo     the same ports for GStreamer's inference elements
//! ├── detection.classes.txt         class names, one a line
//! ├── rig.toml                      where the cameras look
//! ├── probes.safetensors            inputs and what the network should make of them
//! └── provenance/beta.toml, …       what the model was made by
//! ```
//!
//! # The way of the data
//!
//! **Writing** ([`Draft::write`]). All bytes are in memory. They are written into a hidden folder beside the target, each file and
//! each folder brought to the disk, opened as a vehicle would open it, and only then renamed. A folder that is there already is
//! exchanged in one step, and only where it is a bundle and nothing but a bundle. An error or a kill on the way leaves what was there.
//! The same inputs make the same bytes: files are sorted, keys are in one order, and no clock is read.
//!
//! **Opening** ([`Bundle::open`]), before anything is used:
//!
//! 1. the bytes of the manifest are read once, at most [`MOST_MANIFEST_BYTES`];
//! 2. where a key is demanded ([`Trust::Keys`]) the signature over these bytes is verified, strictly, before a parser sees them: the
//!    bytes of a stranger decide nothing but the words of a refusal;
//! 3. the checksum in the last line, format, version, every name, then everything else; unknown keys are refused;
//! 4. a manifest that names its signer must carry that signer's signature, whether a key is demanded or not;
//! 5. the folder is walked: what is missing, what is too much, what is a link or no ordinary file;
//! 6. every file is read **once**: its size is compared before, its SHA-256 after.
//!
//! All faults of files are told at once, each by name with expectation and finding ([`Fault`]).
//!
//! **What was hashed is what is used.** The bytes that were hashed stay in memory and are handed out; the folder is not looked at again.
//! Open descriptors would not do: whoever can write to a file changes what an open descriptor or a mapping reads, after the check. The
//! price is one copy of the models until their sessions are made (megabytes, for the networks of this project). ONNX Runtime takes a
//! model and its external data from memory, so that external data needs no folder either; it lies beside its model, and the name in
//! the model is its file name.
//!
//! # What is trusted
//!
//! - With [`Trust::Integrity`] a bundle is whole and consistent: any flipped byte of any file is found, the manifest's by its checksum
//!   line. It may have been made by anybody.
//! - With [`Trust::Keys`] it was made by whoever holds one of the keys. Losing the signature, another key's signature and a wrong
//!   signature are told apart.
//!
//! Verification works on the stored bytes and never writes a manifest anew, so that no change of a formatter breaks a signature:
//! `openssl pkeyutl -verify -rawin -pubin -inkey public.pem -in manifest.toml -sigfile manifest.sig` says the same.
//!
//! Names are relative, of few characters, unique whatever the case: no path leaves the folder on any system. A folder within that is a
//! link counts as a link. The folder of the bundle itself may be reached through links (`current -> v7`), and hard links are
//! ordinary files: what they lead to is read once and hashed like any other.

mod bundle;
mod draft;
mod error;
mod folder;
mod key;
mod manifest;
pub mod modelinfo;
mod name;
mod probes;
mod text;
mod validate;

pub use bundle::{Bundle, Model};
pub use caf_file::Sha256Hash;
pub use draft::{Draft, Existing};
pub use error::{BundleError, Fault, FileFault, ManifestFault};
pub use key::{KeyError, PublicKey, SecretKey, Trust};
pub use manifest::{FileEntry, Made, Manifest, MeasuredLoss, ModelEntry, RigEntry, Role, TaskEntry, Thresholds};
pub use name::{FileName, NameFault};
pub use probes::{Probe, ProbeError, ProbeSet};
pub use validate::MOST_DETECTIONS;

/// Name of the manifest.
pub const MANIFEST: &str = "manifest.toml";
/// Name of the signature over the manifest's bytes.
pub const SIGNATURE: &str = "manifest.sig";
/// The version this code writes and reads.
pub const VERSION: u32 = 1;
/// What the manifest's `format` says.
const FORMAT: &str = "caf-bundle";
/// Longest manifest: some thousand files. A longer one is refused unread.
pub const MOST_MANIFEST_BYTES: u64 = 1 << 20;
