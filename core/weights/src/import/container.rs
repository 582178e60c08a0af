//! The two containers of checkpoints.
//!
//! Zip archives (torch ≥ 1.6): `PREFIX/data.pkl` and one uncompressed entry `PREFIX/data/KEY` for each storage. Files before torch
//! 1.6: five pickles (magic number, format version, facts about the writing machine, the object, the storage keys), then each storage
//! as an eight-byte element count and its elements.

use super::opcode::Cursor;
use super::run::{MAX_PICKLE, run};
use super::state::Storages;
use super::value::{Program, Value};
use crate::dtype::DType;
use crate::error::{ImportCause, short};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::rc::Rc;
use zip::{CompressionMethod, ZipArchive};

/// Most entries of an archive; a storage each.
const MAX_ENTRIES: u64 = 1_000_000;

/// An open checkpoint archive.
pub(super) struct Archive {
    zip: ZipArchive<BufReader<File>>,
    prefix: String,
    file_len: u64,
    /// Bytes taken out so far: entries that do not overlap never have more than the file.
    total: u64,
    read: HashMap<Box<str>, Rc<[u8]>>,
}

/// Whether the file begins like a zip archive; leaves the position at the start.
pub(super) fn is_zip(mut file: &File) -> Result<bool, ImportCause> {
    let mut head = Vec::with_capacity(4);
    file.take(4).read_to_end(&mut head).map_err(ImportCause::Io)?;
    file.seek(SeekFrom::Start(0)).map_err(ImportCause::Io)?;
    Ok(head == b"PK\x03\x04")
}

fn archive_error(error: zip::result::ZipError) -> ImportCause {
    ImportCause::Archive(error.to_string())
}

impl Archive {
    /// Finds the one pickle; refuses archives that are not checkpoints.
    pub fn open(file: File, file_len: u64) -> Result<Self, ImportCause> {
        let zip = ZipArchive::new(BufReader::new(file)).map_err(archive_error)?;
        ImportCause::at_most("entries in the archive", zip.len() as u64, MAX_ENTRIES)?;
        let mut prefixes = Vec::new();
        for name in zip.file_names() {
            let name = name.map_err(archive_error)?;
            if let Some(prefix) = name.strip_suffix("data.pkl").filter(|p| p.is_empty() || p.ends_with('/')) {
                prefixes.push(prefix.to_owned());
            }
        }
        let prefix = match prefixes.as_slice() {
            [prefix] => prefix.clone(),
            [] => return Err(ImportCause::NotACheckpoint("the zip archive has no data.pkl")),
            _ => return Err(ImportCause::NotACheckpoint("the zip archive has more than one data.pkl")),
        };
        if zip.index_for_name(&format!("{prefix}constants.pkl")).is_some() {
            return Err(ImportCause::NotACheckpoint("it is a TorchScript program; save its state_dict instead"));
        }
        let mut archive = Archive { zip, prefix, file_len, total: 0, read: HashMap::new() };
        archive.check_byte_order()?;
        Ok(archive)
    }

    /// Only newer files say; the rest are little-endian.
    fn check_byte_order(&mut self) -> Result<(), ImportCause> {
        let name = format!("{}byteorder", self.prefix);
        if self.zip.index_for_name(&name).is_none() {
            return Ok(());
        }
        match self.entry(&name)?.as_slice() {
            b"little" => Ok(()),
            _ => Err(ImportCause::NotACheckpoint("its byte order is not little-endian")),
        }
    }

    /// The pickle's bytes.
    pub fn pickle(&mut self) -> Result<Vec<u8>, ImportCause> {
        let name = format!("{}data.pkl", self.prefix);
        let size = self.zip.by_name(&name).map_err(archive_error)?.size();
        ImportCause::at_most("bytes of the pickle", size, MAX_PICKLE)?;
        self.entry(&name)
    }

    /// One entry; torch never compresses, so that no entry can be larger than the file.
    fn entry(&mut self, name: &str) -> Result<Vec<u8>, ImportCause> {
        let shown = short(name);
        let entry = self.zip.by_name(name).map_err(|e| ImportCause::Archive(format!("entry `{shown}`: {e}")))?;
        if entry.compression() != CompressionMethod::Stored || entry.compressed_size() != entry.size() {
            return Err(ImportCause::Archive(format!("entry `{shown}` is compressed, which torch never does")));
        }
        let size = entry.size();
        if size > self.file_len {
            return Err(ImportCause::Archive(format!(
                "entry `{shown}` claims {size} bytes, the whole file has {}",
                self.file_len
            )));
        }
        self.total += size;
        if self.total > self.file_len {
            return Err(ImportCause::Archive(format!(
                "its entries have more than the {} bytes of the file: they overlap",
                self.file_len
            )));
        }
        let mut bytes = Vec::with_capacity(size as usize);
        entry.take(size).read_to_end(&mut bytes).map_err(|e| ImportCause::Archive(format!("entry `{shown}`: {e}")))?;
        Ok(bytes)
    }
}

impl Storages for Archive {
    fn bytes(&mut self, key: &str) -> Result<Rc<[u8]>, ImportCause> {
        if let Some(bytes) = self.read.get(key) {
            return Ok(bytes.clone());
        }
        let bytes: Rc<[u8]> = self.entry(&format!("{}data/{key}", self.prefix))?.into();
        self.read.insert(key.into(), bytes.clone());
        Ok(bytes)
    }
}

/// The integer every file before torch 1.6 begins with, little-endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The only format version there was.
const VERSION: i64 = 1001;
/// Where a tar header names itself.
const TAR_MARK: std::ops::Range<usize> = 257..262;
/// Largest file that is read whole.
const MAX_FILE: u64 = 8 << 30;

/// The bytes of a file before torch 1.6.
pub(super) fn read_legacy(file: File, file_len: u64) -> Result<Vec<u8>, ImportCause> {
    ImportCause::at_most("bytes of the file", file_len, MAX_FILE)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(ImportCause::Io)?;
    Ok(bytes)
}

/// Storages of an old file, by key.
pub(super) struct Sections(HashMap<Box<str>, Rc<[u8]>>);

impl Storages for Sections {
    fn bytes(&mut self, key: &str) -> Result<Rc<[u8]>, ImportCause> {
        self.0
            .get(key)
            .cloned()
            .ok_or_else(|| ImportCause::Archive(format!("the file has no storage `{}`", short(key))))
    }
}

/// Runs the pickles of a file before torch 1.6 and cuts out the storages.
pub(super) fn parse_legacy(bytes: &[u8]) -> Result<(Program, Sections), ImportCause> {
    if bytes.get(TAR_MARK) == Some(b"ustar") {
        return Err(ImportCause::NotACheckpoint("a tar file of torch 0.1; load and save it with any later version"));
    }
    let head = bytes.get(..MAX_PICKLE.min(bytes.len() as u64) as usize).unwrap_or(bytes);
    let magic = run(head, 0)?;
    if !matches!(magic.get(magic.root), Value::LongInt(found) if **found == MAGIC) {
        return Err(ImportCause::NotACheckpoint("a plain pickle that torch did not write"));
    }
    let version = run(head, magic.end)?;
    if !matches!(version.get(version.root), Value::Int(VERSION)) {
        return Err(ImportCause::NotACheckpoint("its format version is not 1001"));
    }
    let facts = run(head, version.end)?;
    if let Some(at) = facts.entry(facts.root, "little_endian")
        && matches!(facts.get(at), Value::Bool(false))
    {
        return Err(ImportCause::NotACheckpoint("its byte order is not little-endian"));
    }
    let object = run(head, facts.end)?;
    let keys = run(head, object.end)?;
    let sections = cut(bytes, &object, &keys)?;
    Ok((object, sections))
}

fn cut(bytes: &[u8], object: &Program, keys: &Program) -> Result<Sections, ImportCause> {
    let sizes: HashMap<&str, usize> = object
        .values
        .iter()
        .filter_map(|value| match value {
            Value::Storage(s) => Some((&*s.key, s.dtype.map_or(1, DType::size))),
            _ => None,
        })
        .collect();
    let Value::List(list) = keys.get(keys.root) else {
        return Err(ImportCause::NotACheckpoint("it has no list of storage keys"));
    };
    let mut cursor = Cursor::new(bytes, keys.end);
    let mut sections = HashMap::new();
    for at in list {
        let Some(key) = keys.text(*at) else {
            return Err(ImportCause::NotACheckpoint("a storage key is no text"));
        };
        let named = |what: &str| ImportCause::Archive(format!("storage `{}`: {what}", short(key)));
        let size = *sizes.get(key).ok_or_else(|| named("no tensor says what it holds"))? as u64;
        let count = cursor.u64().map_err(|_| named("the file ends before it"))?;
        let len = count.checked_mul(size).ok_or_else(|| named("its length overflows"))?;
        let data = cursor.take_u64(len).map_err(|_| named("the file ends in the middle of it"))?;
        sections.insert(key.into(), Rc::from(data));
    }
    Ok(Sections(sections))
}
