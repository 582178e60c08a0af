//! The numbers and names of the format.

/// Name of the manifest.
pub const MANIFEST: &str = "manifest.toml";
/// Name of the signature over the manifest's bytes.
pub const SIGNATURE: &str = "manifest.sig";
/// The version this code writes and reads.
pub const VERSION: u32 = 1;
/// What the manifest's `format` says.
pub(crate) const FORMAT: &str = "caf-bundle";
/// Longest manifest: some thousand files. A longer one is refused unread.
pub const MOST_MANIFEST_BYTES: u64 = 1 << 20;
