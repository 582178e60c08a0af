//! A bundle that was checked, with its contents in memory.

use crate::error::{BundleError, Fault, FileFault, ManifestFault};
use crate::folder;
use crate::key::{PublicKey, SIGNATURE_BYTES, Trust};
use crate::manifest::{Manifest, ModelEntry};
use crate::name::FileName;
use crate::probes::ProbeSet;
use crate::text;
use crate::{MANIFEST, MOST_MANIFEST_BYTES, SIGNATURE};
use caf_contract::{Contract, Mismatch, Precision, TaskContract, classes};
use caf_file::Sha256Hash;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A bundle every file of which is as its manifest says. Its bytes are those that were hashed.
#[derive(Clone, Debug)]
pub struct Bundle {
    folder: PathBuf,
    manifest: Manifest,
    identity: Sha256Hash,
    files: BTreeMap<FileName, Arc<[u8]>>,
}

/// A model of a bundle.
#[derive(Clone, Debug)]
pub struct Model<'a> {
    /// What the manifest says of it.
    pub entry: &'a ModelEntry,
    /// What messages call it: its path.
    pub path: PathBuf,
    /// The ONNX file.
    pub onnx: &'a [u8],
    /// Its external data, each under the name by which the ONNX file refers to it.
    pub external_data: Vec<(&'a str, Arc<[u8]>)>,
}

impl Bundle {
    /// Opens a bundle after checking all of it; see the crate's documentation for the order.
    ///
    /// # Errors
    /// [`BundleError::NoFolder`], [`BundleError::NoManifest`], [`BundleError::Read`]; [`BundleError::Manifest`] for what the manifest
    /// says; [`BundleError::NotSigned`], [`BundleError::SignatureMissing`], [`BundleError::SignatureLength`],
    /// [`BundleError::WrongKey`], [`BundleError::BadSignature`]; [`BundleError::Files`] with every fault of a file.
    pub fn open(folder: &Path, trust: &Trust) -> Result<Self, BundleError> {
        let none = |found| BundleError::NoFolder { path: folder.to_owned(), found };
        match std::fs::metadata(folder) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(none("a file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(none("nothing")),
            Err(source) => return Err(BundleError::Read { path: folder.to_owned(), source }),
        }
        let bytes = manifest_bytes(folder)?;
        if let Trust::Keys(keys) = trust {
            demand_signature(folder, &bytes, keys)?;
        }
        let refuse = |fault| BundleError::Manifest { path: folder.join(MANIFEST), fault };
        let manifest = text::read(&bytes).map_err(refuse)?;
        if let Some(signer) = manifest.signer {
            let signature = signature(folder)?.ok_or_else(|| missing(folder))?;
            if !signer.verifies(&bytes, &signature) {
                return Err(bad(folder, &[signer]));
            }
        }
        let mut faults = folder::strangers(folder, &manifest.files, manifest.signer.is_some())?;
        let mut files = BTreeMap::new();
        for entry in &manifest.files {
            match folder::verified(folder, entry) {
                Ok(bytes) => drop(files.insert(entry.path.clone(), bytes)),
                Err(fault) => faults.push(Fault { name: entry.path.to_string(), fault }),
            }
        }
        let bundle = Self { folder: folder.to_owned(), manifest, identity: Sha256Hash::of(&bytes), files };
        if faults.is_empty() {
            faults = bundle.classes_that_differ();
        }
        if faults.is_empty() {
            return Ok(bundle);
        }
        faults.sort_by(|a, b| a.name.cmp(&b.name));
        Err(BundleError::Files { folder: folder.to_owned(), faults })
    }

    /// Where it was read from.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of its manifest, and through that of all of it.
    #[must_use]
    pub fn identity(&self) -> Sha256Hash {
        self.identity
    }

    /// The bytes of a file.
    #[must_use]
    pub fn bytes(&self, name: &FileName) -> Option<&Arc<[u8]>> {
        self.files.get(name)
    }

    /// A path for messages.
    #[must_use]
    pub fn path_of(&self, name: &FileName) -> PathBuf {
        self.folder.join(name.to_path())
    }

    /// The models, the one to use where nobody chooses first.
    pub fn models(&self) -> impl Iterator<Item = Model<'_>> {
        // All were read when the bundle was opened.
        self.manifest.models.iter().filter_map(|entry| {
            let external = entry.external_data.iter();
            Some(Model {
                entry,
                path: self.path_of(&entry.file),
                onnx: self.files.get(&entry.file)?,
                external_data: external
                    .map(|name| Some((name.last(), self.files.get(name)?.clone())))
                    .collect::<Option<_>>()?,
            })
        })
    }

    /// The model of a precision, or the one to use where nobody chooses; none where there is no such model.
    #[must_use]
    pub fn model(&self, precision: Option<Precision>) -> Option<Model<'_>> {
        self.models().find(|model| precision.is_none_or(|precision| model.entry.precision == precision))
    }

    /// The text of the rig file and its path for messages; none of a bundle without a rig.
    #[must_use]
    pub fn rig(&self) -> Option<(String, PathBuf)> {
        let name = &self.manifest.rig.as_ref()?.file;
        Some((String::from_utf8_lossy(self.files.get(name)?).into_owned(), self.path_of(name)))
    }

    /// The probe set.
    ///
    /// # Errors
    /// [`BundleError::Probes`] when the file is none.
    pub fn probes(&self) -> Result<ProbeSet, BundleError> {
        let name = &self.manifest.probes;
        let bytes = self.files.get(name).map_or(&[][..], |bytes| bytes);
        ProbeSet::from_bytes(bytes).map_err(|source| BundleError::Probes { path: self.path_of(name), source })
    }

    /// Compares what a model promises with what the manifest says of it.
    ///
    /// # Errors
    /// [`BundleError::Contradiction`] with every difference.
    pub fn check_contract(&self, model: &ModelEntry, contract: &Contract) -> Result<(), BundleError> {
        let found = self.manifest.against(model.precision, contract);
        if found.is_empty() {
            return Ok(());
        }
        Err(BundleError::Contradiction { folder: self.folder.clone(), model: model.file.to_string(), found })
    }

    /// Lists of classes whose file says something else than the manifest.
    fn classes_that_differ(&self) -> Vec<Fault> {
        let fault = |task: &crate::manifest::TaskEntry| {
            let bytes = self.files.get(&task.classes_file)?;
            let (found, problems) = classes::parse(&String::from_utf8_lossy(bytes));
            let fault = FileFault::Contents { expected: task.classes.join(", "), found: found.join(", ") };
            (found != task.classes || !problems.is_empty())
                .then(|| Fault { name: task.classes_file.to_string(), fault })
        };
        self.manifest.tasks.iter().filter_map(fault).collect()
    }
}

impl Manifest {
    /// Every difference between what the manifest says of a model of this precision and what the model promises.
    #[must_use]
    pub fn against(&self, precision: Precision, contract: &Contract) -> Vec<Mismatch> {
        let mut found = vec![];
        let mut compare = |place: &str, expected: String, was: String| {
            if expected != was {
                found.push(Mismatch::new(place, expected, was));
            }
        };
        compare("precision", precision.name().to_owned(), contract.precision.name().to_owned());
        compare("infrared range", self.infrared_range.to_string(), contract.infrared_range.to_string());
        let own = self.tasks.iter().map(|task| (task.task.as_str(), task.classes.as_slice()));
        compare(
            "tasks",
            tasks(own),
            tasks(contract.tasks.iter().map(|task| (TaskContract::name(task), task.classes()))),
        );
        found
    }
}

fn tasks<'a>(tasks: impl Iterator<Item = (&'a str, &'a [String])>) -> String {
    let text = tasks.map(|(name, classes)| format!("{name} ({})", classes.join(", "))).collect::<Vec<_>>().join(", ");
    if text.is_empty() { "none".to_owned() } else { text }
}

/// The bytes of the manifest, read once.
fn manifest_bytes(folder: &Path) -> Result<Vec<u8>, BundleError> {
    let path = folder.join(MANIFEST);
    let (file, found) = match folder::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(BundleError::NoManifest { folder: folder.to_owned() });
        }
        Err(source) => return Err(BundleError::Read { path, source }),
        Ok(Err(fault)) => return Err(lone(folder, MANIFEST, fault)),
        Ok(Ok(opened)) => opened,
    };
    let long = |found| BundleError::Manifest { path: path.clone(), fault: ManifestFault::Long { found } };
    if found > MOST_MANIFEST_BYTES {
        return Err(long(found));
    }
    let bytes =
        folder::read(file, MOST_MANIFEST_BYTES).map_err(|source| BundleError::Read { path: path.clone(), source })?;
    if bytes.len() as u64 > MOST_MANIFEST_BYTES { Err(long(bytes.len() as u64)) } else { Ok(bytes) }
}

/// The signature, where there is one.
fn signature(folder: &Path) -> Result<Option<[u8; SIGNATURE_BYTES]>, BundleError> {
    let path = folder.join(SIGNATURE);
    let read = |source| BundleError::Read { path: path.clone(), source };
    let (file, found) = match folder::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(read(source)),
        Ok(Err(fault)) => return Err(lone(folder, SIGNATURE, fault)),
        Ok(Ok(opened)) => opened,
    };
    let bytes = folder::read(file, SIGNATURE_BYTES as u64).map_err(read)?;
    let signature = <[u8; SIGNATURE_BYTES]>::try_from(bytes);
    signature.map(Some).map_err(|_| BundleError::SignatureLength { path, found })
}

/// One of the keys must have signed these bytes. Only where none has, the manifest is looked into for the reason.
fn demand_signature(folder: &Path, bytes: &[u8], keys: &[PublicKey]) -> Result<(), BundleError> {
    let signature = signature(folder)?;
    if let Some(signature) = &signature
        && keys.iter().any(|key| key.verifies(bytes, signature))
    {
        return Ok(());
    }
    let (folder, expected) = (folder.to_owned(), keys.to_vec());
    Err(match (signer(bytes), signature) {
        (None, None) => BundleError::NotSigned { folder, expected },
        (Some(_), None) => missing(&folder),
        (Some(found), Some(_)) if !keys.contains(&found) => BundleError::WrongKey { folder, expected, found },
        (_, Some(_)) => bad(&folder, keys),
    })
}

/// The signer that a manifest names, as far as that can be told.
fn signer(bytes: &[u8]) -> Option<PublicKey> {
    #[derive(Deserialize)]
    struct Signed {
        signer: PublicKey,
    }
    let text = std::str::from_utf8(bytes).ok()?;
    toml::from_str::<Signed>(text).ok().map(|signed| signed.signer)
}

fn lone(folder: &Path, name: &str, fault: FileFault) -> BundleError {
    BundleError::Files { folder: folder.to_owned(), faults: vec![Fault { name: name.to_owned(), fault }] }
}

fn missing(folder: &Path) -> BundleError {
    BundleError::SignatureMissing { path: folder.join(SIGNATURE) }
}

fn bad(folder: &Path, expected: &[PublicKey]) -> BundleError {
    BundleError::BadSignature { path: folder.join(SIGNATURE), expected: expected.to_vec() }
}
