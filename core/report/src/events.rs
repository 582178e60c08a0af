//! Event files, which TensorBoard reads: numbers over steps, as they come.
//!
//! A file is a sequence of TFRecords: length, checksum of the length, data, checksum of the data, all little-endian. The data is a protocol
//! buffer `tensorflow.Event` (`wall_time` 1, `step` 2, `file_version` 3, `summary` 5, `session_log` 7), a summary repeats `Value` (1: `tag` 1,
//! `simple_value` 2). A checksum is CRC-32C, turned and shifted so that one of checksums is not taken for one of data.

use crate::error::ReportError;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Whatever reads the file expects this version.
const VERSION: &[u8] = b"brain.Event:2";
/// `SessionLog.status`: a start, before which all later steps are void.
const START: u64 = 1;

/// An event file that grows.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// A new file in a folder, which is made. Steps from `next` on that earlier files there hold count no longer: a run that goes on from
    /// its saved state writes them again.
    ///
    /// # Errors
    /// [`ReportError::Io`] when folder or file cannot be made or written.
    pub fn create(folder: &Path, next: usize) -> Result<Self, ReportError> {
        std::fs::create_dir_all(folder).map_err(ReportError::io("create folder", folder))?;
        let now = now();
        // Readers take the files of a folder in the order of their names.
        let path = folder.join(format!("events.out.tfevents.{:010}.{:09}.caf", now.as_secs(), now.subsec_nanos()));
        let file = File::create_new(&path).map_err(ReportError::io("create", &path))?;
        let mut events = EventFile { path, file };
        let mut head = record(&event(0, 3, VERSION));
        if next > 0 {
            let mut start = Vec::new();
            field_number(&mut start, 1, START);
            head.extend(record(&event(next, 7, &start)));
        }
        events.write(&head)?;
        Ok(events)
    }

    /// Adds what was measured at a step. What no number was taken of is left out.
    ///
    /// # Errors
    /// [`ReportError::Io`] when the disk refuses.
    pub fn add<'a>(
        &mut self,
        step: usize,
        values: impl IntoIterator<Item = (&'a str, Option<f64>)>,
    ) -> Result<(), ReportError> {
        let mut summary = Vec::new();
        for (tag, value) in values {
            let Some(value) = value else { continue };
            let mut entry = Vec::new();
            field_bytes(&mut entry, 1, tag.as_bytes());
            key(&mut entry, 2, 5);
            entry.extend((value as f32).to_le_bytes());
            field_bytes(&mut summary, 1, &entry);
        }
        self.write(&record(&event(step, 5, &summary)))
    }

    /// One write for each call: a kill leaves at most a cut last record, which readers leave out.
    fn write(&mut self, bytes: &[u8]) -> Result<(), ReportError> {
        self.file.write_all(bytes).map_err(ReportError::io("write", &self.path))
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// An `Event` of now with one field beside time and step.
fn event(step: usize, field: u32, content: &[u8]) -> Vec<u8> {
    let mut event = Vec::new();
    key(&mut event, 1, 1);
    event.extend(now().as_secs_f64().to_le_bytes());
    field_number(&mut event, 2, step as u64);
    field_bytes(&mut event, field, content);
    event
}

fn key(to: &mut Vec<u8>, field: u32, wire_type: u32) {
    number(to, u64::from(field << 3 | wire_type));
}

fn field_number(to: &mut Vec<u8>, field: u32, value: u64) {
    key(to, field, 0);
    number(to, value);
}

fn field_bytes(to: &mut Vec<u8>, field: u32, content: &[u8]) {
    key(to, field, 2);
    number(to, content.len() as u64);
    to.extend(content);
}

/// Seven bits a byte, the lowest first; all bytes but the last have the highest bit set.
fn number(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(&length).to_le_bytes(), data, &masked(data).to_le_bytes()].concat()
}

fn masked(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit-reversed.
fn crc32c(data: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let mut crc = i as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
                bit += 1;
            }
            table[i] = crc;
            i += 1;
        }
        table
    };
    !data.iter().fold(!0, |crc, byte| crc >> 8 ^ TABLE[(crc as u8 ^ byte) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// The checksum by its definition: the remainder of a division of polynomials, a bit at a time.
    fn crc_by_division(data: &[u8]) -> u32 {
        let mut remainder = !0u32;
        for bit in data.iter().flat_map(|byte| (0..8).map(move |i| u32::from(byte >> i & 1))) {
            let carry = (remainder ^ bit) & 1;
            remainder = (remainder >> 1) ^ (carry * 0x1edc_6f41u32.reverse_bits());
        }
        !remainder
    }

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
        let data: Vec<u8> = (0..1000u32).map(|i| ((i * i) >> 3) as u8).collect();
        assert_eq!(crc32c(&data), crc_by_division(&data));
    }

    #[derive(Debug, Default, PartialEq)]
    struct Read {
        step: u64,
        version: Option<String>,
        starts: bool,
        values: BTreeMap<String, f32>,
    }

    /// A protocol buffer as fields with numbers: whole numbers and bits of floats, or bytes.
    fn fields(mut from: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
        fn varint(from: &mut &[u8]) -> u64 {
            let mut value = 0;
            for shift in (0..).step_by(7) {
                let byte = from[0];
                *from = &from[1..];
                value |= u64::from(byte & 0x7f) << shift;
                if byte < 0x80 {
                    break;
                }
            }
            value
        }
        let mut found = Vec::new();
        while !from.is_empty() {
            let key = varint(&mut from);
            let (value, bytes) = match key & 7 {
                0 => (varint(&mut from), 0),
                1 => (u64::from_le_bytes(from[..8].try_into().unwrap()), 8),
                2 => (0, varint(&mut from) as usize),
                5 => (u64::from(u32::from_le_bytes(from[..4].try_into().unwrap())), 4),
                other => panic!("wire type {other}"),
            };
            found.push((key >> 3, value, from[..bytes].to_vec()));
            from = &from[bytes..];
        }
        found
    }

    /// Reads a file by the description of the format, with checksums by their definition.
    fn read(folder: &Path) -> Vec<Read> {
        let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        paths.sort();
        let bytes: Vec<u8> = paths.iter().flat_map(|path| std::fs::read(path).unwrap()).collect();
        let mut from = bytes.as_slice();
        let mut events = Vec::new();
        while !from.is_empty() {
            let length = u64::from_le_bytes(from[..8].try_into().unwrap()) as usize;
            let data = &from[12..12 + length];
            for (of, at) in [(&from[..8], 8), (data, 12 + length)] {
                let crc = crc_by_division(of);
                let masked = crc.rotate_right(15).wrapping_add(0xa282_ead8);
                assert_eq!(u32::from_le_bytes(from[at..at + 4].try_into().unwrap()), masked);
            }
            from = &from[16 + length..];
            let mut event = Read::default();
            for (field, value, content) in fields(data) {
                match field {
                    1 => assert!((f64::from_bits(value) - now().as_secs_f64()).abs() < 3600.0),
                    2 => event.step = value,
                    3 => event.version = Some(String::from_utf8(content).unwrap()),
                    5 => {
                        for (field, _, entry) in fields(&content) {
                            assert_eq!(field, 1);
                            let entry = fields(&entry);
                            let [(1, _, tag), (2, bits, _)] = &entry[..] else { panic!("{entry:?}") };
                            let tag = String::from_utf8(tag.clone()).unwrap();
                            event.values.insert(tag, f32::from_bits(*bits as u32));
                        }
                    }
                    7 => {
                        assert_eq!(fields(&content), [(1, 1, Vec::new())]);
                        event.starts = true;
                    }
                    other => panic!("field {other}"),
                }
            }
            events.push(event);
        }
        events
    }

    #[test]
    fn what_is_written_is_read_by_the_description_of_the_format() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("log");
        let mut events = EventFile::create(&folder, 0).unwrap();
        events.add(0, [("task/total", Some(0.5)), ("task/none", None)]).unwrap();
        let long = "x".repeat(300);
        events.add(70_000, [(long.as_str(), Some(-1e-9)), ("nan", Some(f64::NAN))]).unwrap();
        // Goes on from a state after 5 steps.
        EventFile::create(&folder, 5).unwrap().add(5, [("task/total", Some(2.0))]).unwrap();

        let version = || Read { version: Some("brain.Event:2".to_owned()), ..Read::default() };
        let of = |step, tag: &str, value| Read { step, values: [(tag.to_owned(), value)].into(), ..Read::default() };
        let found = read(&folder);
        assert_eq!(found[..2], [version(), of(0, "task/total", 0.5)]);
        assert_eq!((found[2].step, found[2].values[&long]), (70_000, -1e-9));
        assert!(found[2].values["nan"].is_nan());
        let start = Read { step: 5, starts: true, ..Read::default() };
        assert_eq!(found[3..], [version(), start, of(5, "task/total", 2.0)]);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let error = EventFile::create(&dir.path().join("file/log"), 0).unwrap_err().to_string();
        assert!(error.contains("cannot create folder") && error.contains("file/log"), "{error}");
    }
}
