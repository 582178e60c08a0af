//! Keys and signatures: ed25519, as OpenSSL writes them.

use caf_file::{from_hexadecimal, hexadecimal};
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::{fmt, io};
use zeroize::Zeroizing;

/// Bytes of a signature.
pub(crate) const SIGNATURE_BYTES: usize = Signature::BYTE_SIZE;

/// Why a file gives no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds no key of the kind that is wanted.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What it holds.
        found: String,
    },
}

impl KeyError {
    /// Whether another file should have been named.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        match self {
            Self::Read { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Kind { .. } => true,
        }
    }
}

/// Who must have made a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Anybody: the bundle must be whole, and signed by the signer it names, if it names one.
    Integrity,
    /// The holder of one of these keys; several while a key is replaced by the next.
    Keys(Vec<PublicKey>),
}

/// A public key, which tells whose a signature is; as text 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

/// A secret key, which signs. Its memory is cleared when it is dropped, and nothing prints it.
pub struct SecretKey(SigningKey);

impl PublicKey {
    /// Reads a key: PEM, as `openssl pkey -in secret.pem -pubout` writes it, or its 32 bytes as 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`KeyError::Read`] and [`KeyError::Kind`].
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        const EXPECTED: &str = "an ed25519 public key (PEM, or 64 hexadecimal digits)";
        let text = text(path)?;
        let wrong = |found: &str| KeyError::Kind { path: path.to_owned(), expected: EXPECTED, found: found.to_owned() };
        let key = if text.contains("-----BEGIN") {
            if !text.contains("BEGIN PUBLIC KEY") {
                return Err(wrong(label(&text)));
            }
            VerifyingKey::from_public_key_pem(text.trim()).map_err(|error| wrong(&error.to_string()))?
        } else {
            let bytes = from_hexadecimal(&Zeroizing::new(text.trim().to_ascii_lowercase()))
                .ok_or_else(|| wrong("another text"))?;
            VerifyingKey::from_bytes(&bytes).map_err(|_| wrong("64 digits that are no point of the curve"))?
        };
        Self::strong(key).ok_or_else(|| wrong("a weak key, under which anything verifies"))
    }

    /// A key of small order is none: signatures under it prove nothing.
    fn strong(key: VerifyingKey) -> Option<Self> {
        (!key.is_weak()).then(|| Self(key.to_bytes()))
    }

    /// Whether the signature over these bytes is this key's. Strict: one signature for one message and key, RFC 8032 without
    /// the freedoms of its batch form.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        let signature = Signature::from_bytes(signature);
        VerifyingKey::from_bytes(&self.0).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
    }
}

impl SecretKey {
    /// Reads a key: PEM (PKCS#8), as `openssl genpkey -algorithm ed25519` writes it, or its 32 bytes as 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`KeyError::Read`] and [`KeyError::Kind`].
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        const EXPECTED: &str = "an ed25519 secret key (PEM without a password, or 64 hexadecimal digits)";
        let text = text(path)?;
        let wrong = |found: &str| KeyError::Kind { path: path.to_owned(), expected: EXPECTED, found: found.to_owned() };
        if text.contains("-----BEGIN") {
            if !text.contains("BEGIN PRIVATE KEY") {
                return Err(wrong(label(&text)));
            }
            return SigningKey::from_pkcs8_pem(text.trim()).map(Self).map_err(|error| wrong(&error.to_string()));
        }
        let digits = Zeroizing::new(text.trim().to_ascii_lowercase());
        let bytes = Zeroizing::new(from_hexadecimal(&digits).ok_or_else(|| wrong("another text"))?);
        Ok(Self(SigningKey::from_bytes(&bytes)))
    }

    /// The key that tells its signatures.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.0.sign(message).to_bytes()
    }
}

/// Longest file that is looked at for a key.
const MOST_BYTES: u64 = 16 * 1024;

fn text(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    use std::io::Read as _;
    let read = |source| KeyError::Read { path: path.to_owned(), source };
    let mut text = Zeroizing::new(String::new());
    std::fs::File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text)).map_err(read)?;
    Ok(text)
}

/// What a PEM file says it holds.
fn label(text: &str) -> &str {
    let rest = text.split_once("-----BEGIN ").map_or("", |(_, rest)| rest);
    rest.split_once("-----").map_or("PEM without a label", |(label, _)| label)
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hexadecimal(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey of {}", self.public())
    }
}

impl TryFrom<String> for PublicKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let key =
            from_hexadecimal(&text).and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok()).and_then(Self::strong);
        key.ok_or_else(|| format!("expected an ed25519 public key of 64 lower-case hexadecimal digits, found `{text}`"))
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}
