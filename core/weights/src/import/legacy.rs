//! Checkpoints before torch 1.6: five pickles (magic number, format version, facts about the writing machine, the object,
//! the storage keys), then each storage as an eight-byte element count and its elements.

use super::cursor::Cursor;
use super::error::{ImportCause, short};
use super::machine::{self, MAX_PICKLE};
use super::state::Storages;
use super::value::{Program, Value};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::rc::Rc;

/// The integer every such file begins with, little-endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The only format version there was.
const VERSION: i64 = 1001;
/// Where a tar header names itself.
const TAR_MARK: std::ops::Range<usize> = 257..262;
/// Largest file that is read whole.
const MAX_FILE: u64 = 8 << 30;

/// The file's bytes.
pub(super) fn read(file: File, file_len: u64) -> Result<Vec<u8>, ImportCause> {
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

/// Runs the pickles and cuts out the storages.
pub(super) fn parse(bytes: &[u8]) -> Result<(Program, Sections), ImportCause> {
    if bytes.get(TAR_MARK) == Some(b"ustar") {
        return Err(ImportCause::NotACheckpoint("a tar file of torch 0.1; load and save it with any later version"));
    }
    let head = bytes.get(..MAX_PICKLE.min(bytes.len() as u64) as usize).unwrap_or(bytes);
    let magic = machine::run(head, 0)?;
    if !matches!(magic.get(magic.root), Value::LongInt(found) if **found == MAGIC) {
        return Err(ImportCause::NotACheckpoint("a plain pickle that torch did not write"));
    }
    let version = machine::run(head, magic.end)?;
    if !matches!(version.get(version.root), Value::Int(VERSION)) {
        return Err(ImportCause::NotACheckpoint("its format version is not 1001"));
    }
    let facts = machine::run(head, version.end)?;
    if let Some(at) = facts.entry(facts.root, "little_endian")
        && matches!(facts.get(at), Value::Bool(false))
    {
        return Err(ImportCause::NotACheckpoint("its byte order is not little-endian"));
    }
    let object = machine::run(head, facts.end)?;
    let keys = machine::run(head, object.end)?;
    let sections = cut(bytes, &object, &keys)?;
    Ok((object, sections))
}

fn cut(bytes: &[u8], object: &Program, keys: &Program) -> Result<Sections, ImportCause> {
    let sizes: HashMap<&str, usize> = object
        .values
        .iter()
        .filter_map(|value| match value {
            Value::Storage(s) => Some((&*s.key, s.dtype.map_or(1, crate::DType::size))),
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
