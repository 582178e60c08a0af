//! A bundle that is being put together, and its way onto the disk.

use crate::bundle::Bundle;
use crate::error::{BundleError, ManifestFault};
use crate::key::{SecretKey, Trust};
use crate::manifest::{FileEntry, Made, Manifest, ModelEntry, RigEntry, Role, TaskEntry, Thresholds};
use crate::name::FileName;
use crate::text;
use crate::{FORMAT, MANIFEST, SIGNATURE, VERSION};
use caf_contract::IrRange;
use caf_file::Sha256Hash;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// How the name of an unfinished bundle begins; see caf-file.
const PREFIX: &str = ".partial-";

/// What is done where a bundle lies already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It is an error.
    Refuse,
    /// It is replaced in one step. What is there must be a bundle and nothing else, or an empty folder.
    Replace,
}

/// The contents of a bundle before it is written: the manifest without what can be computed, and the files.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Program and version, weights β, run record, weight files.
    pub made: Made,
    /// As in the models' contracts.
    pub infrared_range: IrRange,
    /// As in the models' contracts.
    pub tasks: Vec<TaskEntry>,
    /// What counts as a detection, where the models detect.
    pub detection: Option<Thresholds>,
    /// Where the cameras look.
    pub rig: Option<RigEntry>,
    /// The probe set.
    pub probes: FileName,
    /// The models, the one to use where nobody chooses first.
    pub models: Vec<ModelEntry>,
    /// Every file.
    pub files: Vec<(FileName, Role, Vec<u8>)>,
}

impl Draft {
    /// Writes the bundle. It appears complete and checked, or not at all: see the crate's documentation.
    ///
    /// # Errors
    /// [`BundleError::Draft`] when it contradicts itself; [`BundleError::Exists`] and [`BundleError::NotReplaced`] for what is there
    /// already; [`BundleError::Write`]. Nothing is left behind then, and what was there is untouched.
    pub fn write(&self, folder: &Path, key: Option<&SecretKey>, existing: Existing) -> Result<Bundle, BundleError> {
        let manifest = self.manifest(key);
        let bytes = text::write(&manifest).map_err(BundleError::Draft)?;
        let replaces = existing.check(folder)?;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| BundleError::Write { path, source }
        };
        if folder.file_name().is_none() {
            return Err(failed(folder)(io::Error::new(io::ErrorKind::InvalidInput, "is not a folder's name")));
        }
        let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        // The name of the folder aside means nothing to the caller.
        let aside = builder.tempdir_in(parent).map_err(|error| failed(folder)(error.kind().into()))?;
        let files = self.files.iter().map(|(name, _, bytes)| (name.to_path(), bytes.as_slice()));
        let signature = key.map(|key| key.sign(&bytes));
        let own = [(PathBuf::from(MANIFEST), bytes.as_slice())];
        let sig = signature.iter().map(|signature| (PathBuf::from(SIGNATURE), signature.as_slice()));
        for (name, bytes) in files.chain(own).chain(sig) {
            put(aside.path(), &name, bytes).map_err(failed(&folder.join(name)))?;
        }
        let mut folders: BTreeSet<&str> = self.files.iter().flat_map(|(name, ..)| name.folders()).collect();
        folders.insert("");
        for inner in folders {
            sync(&aside.path().join(inner)).map_err(failed(&folder.join(inner)))?;
        }
        // As a vehicle would: what is not accepted does not get its name.
        Bundle::open(aside.path(), &key.map_or(Trust::Integrity, |key| Trust::Keys(vec![key.public()])))?;
        if replaces { exchange(aside.path(), folder) } else { place(aside.path(), folder) }.map_err(failed(folder))?;
        let landed = sync(parent).map_err(failed(parent)).and_then(|()| Bundle::open(folder, &Trust::Integrity));
        if landed.is_err() {
            // Back to what was there: the new bundle goes with the folder aside.
            if replaces { exchange(aside.path(), folder) } else { fs::rename(folder, aside.path()) }
                .map_err(failed(folder))?;
        }
        // Empty, or the bundle that was replaced; what cannot be removed of it is hidden and does no harm.
        drop(aside);
        landed
    }

    fn manifest(&self, key: Option<&SecretKey>) -> Manifest {
        let entry = |(path, role, bytes): &(FileName, Role, Vec<u8>)| FileEntry {
            path: path.clone(),
            role: *role,
            bytes: bytes.len() as u64,
            sha256: Sha256Hash::of(bytes),
        };
        let mut files: Vec<FileEntry> = self.files.iter().map(entry).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Manifest {
            format: FORMAT.to_owned(),
            version: VERSION,
            signer: key.map(SecretKey::public),
            probes: self.probes.clone(),
            infrared_range: self.infrared_range,
            made: self.made.clone(),
            tasks: self.tasks.clone(),
            detection: self.detection,
            rig: self.rig.clone(),
            models: self.models.clone(),
            files,
        }
    }
}

impl Existing {
    /// Whether something is there that will be replaced: what [`Draft::write`] asks first, for a caller with work before it.
    ///
    /// # Errors
    /// [`BundleError::Exists`] and [`BundleError::NotReplaced`]; [`BundleError::Write`] when it cannot be looked at.
    pub fn check(self, folder: &Path) -> Result<bool, BundleError> {
        let path = || folder.to_owned();
        match fs::symlink_metadata(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(BundleError::Write { path: path(), source }),
            Ok(_) if self == Existing::Refuse => return Err(BundleError::Exists { path: path() }),
            Ok(metadata) if !metadata.is_dir() => {
                let why = if metadata.is_symlink() { "it is a link" } else { "it is a file" };
                return Err(BundleError::NotReplaced { path: path(), why: why.to_owned() });
            }
            Ok(_) => {}
        }
        let read = |source| BundleError::Write { path: path(), source };
        if fs::read_dir(folder).map_err(read)?.next().is_none() {
            return Ok(true);
        }
        // A damaged bundle may be replaced: of its manifest only the list of files counts.
        let why = |why: String| BundleError::NotReplaced { path: path(), why };
        let bytes = fs::read(folder.join(MANIFEST)).map_err(|_| why(format!("it has no {MANIFEST}")))?;
        let manifest = text::read(&bytes).map_err(|fault: ManifestFault| why(format!("{MANIFEST}: {fault}")))?;
        match crate::folder::strangers(folder, &manifest.files, true)?.as_slice() {
            [] => Ok(true),
            [first, ..] => Err(why(format!("`{}` is not part of it", first.name))),
        }
    }
}

/// Writes a file of the folder aside, with the folders on its way, and brings it to the disk.
fn put(folder: &Path, name: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = folder.join(name);
    if let Some(inner) = path.parent() {
        fs::create_dir_all(inner)?;
    }
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Gives the folder aside its name, where nothing has it yet.
fn place(aside: &Path, folder: &Path) -> io::Result<()> {
    match renameat_with(CWD, aside, CWD, folder, RenameFlags::NOREPLACE) {
        // File systems without this flag; a rename replaces an empty folder at most.
        Err(Errno::INVAL | Errno::NOSYS) => fs::rename(aside, folder),
        done => Ok(done?),
    }
}

/// Swaps the folder aside and the old one in one step, or where the file system cannot do that, in two.
fn exchange(aside: &Path, folder: &Path) -> io::Result<()> {
    match renameat_with(CWD, aside, CWD, folder, RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS) => {}
        done => return Ok(done?),
    }
    let old = aside.with_extension("old");
    fs::rename(folder, &old)?;
    if let Err(error) = fs::rename(aside, folder) {
        fs::rename(&old, folder)?;
        return Err(error);
    }
    fs::rename(&old, aside)
}
