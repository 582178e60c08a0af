//! TensorFlow checkpoints of format V2: an index, `NAME.index`, and the tensors' bytes in `NAME.data-00000-of-00001` and so on.
//!
//! The index is a sorted table: blocks of keys and values, whose keys leave out what they share with the one before; a block that
//! says where the blocks are; a footer that says where that one is. The empty key holds the number of data files, every other key
//! is a variable's name and holds element type, extents, place and checksum as a protocol buffer. Blocks and tensors have CRC-32C
//! checksums, and both are checked.

use crate::dtype::DType;
use crate::error::ImportCause;
use crate::tensor::{HostTensor, byte_len};
use crate::weights::Weights;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Last bytes of an index.
const MAGIC: [u8; 8] = 0xdb47_7524_8b80_fb57_u64.to_le_bytes();
/// Bytes of the footer, of which the last are the magic number.
const FOOTER: usize = 48;
/// Bytes behind a block: how it is compressed, and its checksum.
const TRAILER: usize = 5;
/// Longest accepted index: real ones hold some thousand names.
const MAX_INDEX: u64 = 64 << 20;
/// Ends of names that optimisers give to their own state.
const OPTIMISER: [&str; 6] = ["/Adam", "/Adam_1", "/RMSProp", "/RMSProp_1", "/Momentum", "/Adagrad"];

/// Whether a file ends as an index does; leaves the position at the start.
pub(super) fn is_index(mut file: &File, file_len: u64) -> Result<bool, ImportCause> {
    let mut tail = Vec::with_capacity(MAGIC.len());
    let start = file_len.saturating_sub(MAGIC.len() as u64);
    file.seek(SeekFrom::Start(start)).map_err(ImportCause::Io)?;
    file.take(MAGIC.len() as u64).read_to_end(&mut tail).map_err(ImportCause::Io)?;
    file.seek(SeekFrom::Start(0)).map_err(ImportCause::Io)?;
    Ok(tail == MAGIC)
}

/// The variables of a checkpoint in the order of its index, and the names of those that are left out: no numbers, or an optimiser's.
pub(super) fn read(path: &Path, mut index: File, file_len: u64) -> Result<(Weights, Vec<String>), ImportCause> {
    ImportCause::at_most("bytes of the index", file_len, MAX_INDEX)?;
    let mut bytes = Vec::new();
    index.read_to_end(&mut bytes).map_err(ImportCause::Io)?;
    let mut shards = None;
    let (mut weights, mut ignored) = (Weights::new(), Vec::new());
    for (key, value) in table(&bytes)? {
        if key.is_empty() {
            shards = Some(Shards::new(path, &value)?);
            continue;
        }
        let name = String::from_utf8(key).map_err(|_| damaged("a name is no UTF-8"))?;
        let shards = shards.as_mut().ok_or_else(|| damaged("the header is missing"))?;
        let entry = Entry::read(&value)?;
        let Some(dtype) = entry.dtype().filter(|_| !OPTIMISER.iter().any(|end| name.ends_with(end))) else {
            ignored.push(name);
            continue;
        };
        let tensor = shards.tensor(&entry, dtype, &name)?;
        weights.add(name, tensor)?;
    }
    Ok((weights, ignored))
}

fn damaged(what: impl Into<String>) -> ImportCause {
    ImportCause::TensorFlow(what.into())
}

/// Bytes that are read from the front.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], ImportCause> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| damaged("it ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ImportCause> {
        self.take(N)?.try_into().map_err(|_| damaged("it ends early"))
    }

    fn fixed32(&mut self) -> Result<u32, ImportCause> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Seven bits a byte, the lowest first; the highest bit says that more follow.
    fn varint(&mut self) -> Result<u64, ImportCause> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(damaged("a number has too many bytes"))
    }

    fn size(&mut self) -> Result<usize, ImportCause> {
        usize::try_from(self.varint()?).map_err(|_| damaged("a number is too large"))
    }
}

/// Keys and values of an index.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn table(bytes: &[u8]) -> Result<Pairs, ImportCause> {
    let footer = bytes.len().checked_sub(FOOTER).and_then(|start| bytes.get(start..));
    let mut footer = Cursor(footer.ok_or_else(|| damaged("it is too short"))?);
    // The first place is that of a block about the table itself.
    let (_, _) = (footer.size()?, footer.size()?);
    let mut all = Vec::new();
    for (_, place) in pairs(block(bytes, &mut footer)?)? {
        all.append(&mut pairs(block(bytes, &mut Cursor(&place))?)?);
    }
    Ok(all)
}

/// The block at a place, an offset and a length.
fn block<'a>(bytes: &'a [u8], place: &mut Cursor<'_>) -> Result<&'a [u8], ImportCause> {
    let (start, len) = (place.size()?, place.size()?);
    let whole = start.checked_add(len).and_then(|end| bytes.get(start..end.checked_add(TRAILER)?));
    let mut whole = Cursor(whole.ok_or_else(|| damaged("a block lies outside of the file"))?);
    let checked = whole.0.get(..=len).unwrap_or_default();
    let content = whole.take(len)?;
    let [compression] = whole.array()?;
    if masked_crc(checked) != whole.fixed32()? {
        return Err(damaged("a block has another checksum"));
    }
    if compression != 0 {
        return Err(damaged("its blocks are compressed, which TensorFlow does not do by itself"));
    }
    Ok(content)
}

fn pairs(block: &[u8]) -> Result<Pairs, ImportCause> {
    // At the end, places where keys are whole, and how many of them.
    let count = block.last_chunk().map(|n| u32::from_le_bytes(*n) as usize);
    let places = count.and_then(|count| count.checked_add(1)?.checked_mul(4));
    let end = places.and_then(|places| block.len().checked_sub(places));
    let mut rest = Cursor(end.and_then(|end| block.get(..end)).ok_or_else(|| damaged("a block ends early"))?);
    let (mut all, mut key) = (Pairs::new(), Vec::new());
    while !rest.0.is_empty() {
        let (shared, own, len) = (rest.size()?, rest.size()?, rest.size()?);
        if shared > key.len() {
            return Err(damaged("a key shares more than the one before has"));
        }
        key.truncate(shared);
        key.extend_from_slice(rest.take(own)?);
        all.push((key.clone(), rest.take(len)?.to_vec()));
    }
    Ok(all)
}

/// One field of a protocol buffer.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a protocol buffer by their numbers.
fn fields(message: &[u8]) -> Result<Vec<(u64, Field<'_>)>, ImportCause> {
    let (mut rest, mut all) = (Cursor(message), Vec::new());
    while !rest.0.is_empty() {
        let tag = rest.varint()?;
        let field = match tag & 7 {
            0 => Field::Number(rest.varint()?),
            1 => Field::Number(u64::from_le_bytes(rest.array()?)),
            2 => {
                let len = rest.size()?;
                Field::Bytes(rest.take(len)?)
            }
            5 => Field::Number(rest.fixed32()?.into()),
            _ => return Err(damaged("an entry is no protocol buffer")),
        };
        all.push((tag >> 3, field));
    }
    Ok(all)
}

/// What the index says of a variable.
#[derive(Debug, Default)]
struct Entry {
    dtype: u64,
    shape: Vec<usize>,
    shard: u64,
    offset: u64,
    size: u64,
    crc: u32,
    is_sliced: bool,
}

impl Entry {
    fn read(message: &[u8]) -> Result<Self, ImportCause> {
        let mut entry = Entry::default();
        for field in fields(message)? {
            match field {
                (1, Field::Number(dtype)) => entry.dtype = dtype,
                (2, Field::Bytes(shape)) => entry.shape = extents(shape)?,
                (3, Field::Number(shard)) => entry.shard = shard,
                (4, Field::Number(offset)) => entry.offset = offset,
                (5, Field::Number(size)) => entry.size = size,
                (6, Field::Number(crc)) => entry.crc = u32::try_from(crc).unwrap_or_default(),
                (7, _) => entry.is_sliced = true,
                _ => {}
            }
        }
        Ok(entry)
    }

    /// The element type; none for strings and other things that are no weights.
    fn dtype(&self) -> Option<DType> {
        Some(match self.dtype {
            1 => DType::F32,
            2 => DType::F64,
            3 => DType::I32,
            4 => DType::U8,
            9 => DType::I64,
            14 => DType::BF16,
            19 => DType::F16,
            _ => return None,
        })
    }
}

/// The extents of a shape: of each dimension its size, which is left out where it is 0.
fn extents(shape: &[u8]) -> Result<Vec<usize>, ImportCause> {
    let dimensions = fields(shape)?.into_iter().filter_map(|(number, field)| match (number, field) {
        (2, Field::Bytes(dimension)) => Some(dimension),
        _ => None,
    });
    let extent = |dimension| {
        let mut extent = 0;
        for field in fields(dimension)? {
            if let (1, Field::Number(size)) = field {
                extent = usize::try_from(size).map_err(|_| damaged("an extent is too large"))?;
            }
        }
        Ok(extent)
    };
    dimensions.map(extent).collect()
}

/// The data files beside an index.
struct Shards {
    prefix: PathBuf,
    count: u64,
    open: Option<(u64, File)>,
}

impl Shards {
    fn new(index: &Path, header: &[u8]) -> Result<Self, ImportCause> {
        let (mut count, mut is_big_endian) = (0, false);
        for field in fields(header)? {
            match field {
                (1, Field::Number(shards)) => count = shards,
                (2, Field::Number(order)) => is_big_endian = order != 0,
                _ => {}
            }
        }
        if is_big_endian {
            return Err(damaged("its numbers are big-endian"));
        }
        Ok(Shards { prefix: index.with_extension(""), count, open: None })
    }

    fn file(&mut self, shard: u64) -> Result<&mut File, ImportCause> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != shard) {
            let mut path = self.prefix.clone().into_os_string();
            path.push(format!(".data-{shard:05}-of-{:05}", self.count));
            let file = File::open(&path).map_err(|error| {
                damaged(format!("its data, which should lie beside it as {}: {error}", PathBuf::from(&path).display()))
            })?;
            self.open = Some((shard, file));
        }
        self.open.as_mut().map(|(_, file)| file).ok_or_else(|| damaged("no data"))
    }

    fn tensor(&mut self, entry: &Entry, dtype: DType, name: &str) -> Result<HostTensor, ImportCause> {
        let wrong = |what: String| ImportCause::Tensor { name: name.to_owned(), what };
        if entry.is_sliced {
            return Err(wrong("expected it whole, found it in slices of a partitioned variable".to_owned()));
        }
        let expected = byte_len(dtype, &entry.shape).map(|n| n as u64);
        if expected != Some(entry.size) {
            return Err(wrong(format!("expected the bytes of {:?}, found {}", entry.shape, entry.size)));
        }
        let file = self.file(entry.shard)?;
        // Nothing is set aside for more than the file has.
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(entry.offset)).map_err(ImportCause::Io)?;
        file.take(entry.size).read_to_end(&mut bytes).map_err(ImportCause::Io)?;
        if bytes.len() as u64 != entry.size {
            return Err(wrong(format!("expected {} bytes of data, found {}", entry.size, bytes.len())));
        }
        if masked_crc(&bytes) != entry.crc {
            return Err(wrong("its data has another checksum than the index says".to_owned()));
        }
        HostTensor::of_bytes(dtype, entry.shape.clone(), bytes).map_err(|error| wrong(error.to_string()))
    }
}

/// CRC-32C, turned and shifted so that a checksum of bytes that hold checksums is none of them.
fn masked_crc(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = crc_table();
    let step = |crc: u32, byte: &u8| {
        let at = (crc ^ u32::from(*byte)) & 0xff;
        TABLE.get(at as usize).copied().unwrap_or_default() ^ (crc >> 8)
    };
    let crc = !bytes.iter().fold(u32::MAX, step);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

const fn crc_table() -> [u32; 256] {
    /// The polynomial of Castagnoli, reflected.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::{ImportOptions, Imported, import_checkpoint};
    use super::*;

    fn varint(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    fn field(number: u64, wire: u64, content: &[u8]) -> Vec<u8> {
        let mut bytes = varint(number << 3 | wire);
        if wire == 2 {
            bytes.extend(varint(content.len() as u64));
        }
        bytes.extend(content);
        bytes
    }

    fn number(at: u64, value: u64) -> Vec<u8> {
        field(at, 0, &varint(value))
    }

    /// A block of pairs whose keys share what they can, with its trailer.
    fn block_of(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let (mut bytes, mut last) = (Vec::new(), "");
        for (key, value) in pairs {
            let shared = key.bytes().zip(last.bytes()).take_while(|(a, b)| a == b).count();
            for n in [shared, key.len() - shared, value.len()] {
                bytes.extend(varint(n as u64));
            }
            bytes.extend(&key.as_bytes()[shared..]);
            bytes.extend(value);
            last = key;
        }
        for place in [0u32, 1] {
            bytes.extend(place.to_le_bytes());
        }
        bytes.push(0);
        let crc = masked_crc(&bytes);
        bytes.extend(crc.to_le_bytes());
        bytes
    }

    fn handle(start: usize, block: &[u8]) -> Vec<u8> {
        [varint(start as u64), varint((block.len() - TRAILER) as u64)].concat()
    }

    /// An index with two blocks of pairs, as a writer makes it.
    fn index_of(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let (first, second) = pairs.split_at(2);
        let (mut bytes, mut handles) = (Vec::new(), Vec::new());
        for pairs in [first, second] {
            let block = block_of(pairs);
            handles.push((pairs.last().unwrap().0, handle(bytes.len(), &block)));
            bytes.extend(block);
        }
        let mut footer = Vec::new();
        for block in [block_of(&[]), block_of(&handles)] {
            footer.extend(handle(bytes.len(), &block));
            bytes.extend(block);
        }
        footer.resize(FOOTER - MAGIC.len(), 0);
        bytes.extend(footer);
        bytes.extend(MAGIC);
        bytes
    }

    fn entry(dtype: u64, shape: &[u64], shard: u64, offset: u64, data: &[u8]) -> Vec<u8> {
        let dimensions: Vec<u8> = shape.iter().flat_map(|n| field(2, 2, &number(1, *n))).collect();
        let mut bytes = [number(1, dtype), field(2, 2, &dimensions), number(3, shard), number(4, offset)].concat();
        bytes.extend(number(5, data.len() as u64));
        bytes.extend(field(6, 5, &masked_crc(data).to_le_bytes()));
        bytes
    }

    struct Checkpoint {
        dir: tempfile::TempDir,
        index: Vec<u8>,
    }

    /// `a/kernel` and `a/bias` in single precision in one data file, `b/half` and what is no weight in another.
    fn checkpoint() -> Checkpoint {
        let dir = tempfile::tempdir().unwrap();
        let floats = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let (kernel, bias, half) = (floats(&[1.0, -2.5, 3.0, 0.1, 5.0, 6.0]), floats(&[0.5]), vec![0x00, 0x3c]);
        let index = index_of(&[
            ("", [number(1, 2), number(2, 0)].concat()),
            ("a/bias", entry(1, &[], 0, 0, &bias)),
            ("a/kernel", entry(1, &[2, 3], 0, 4, &kernel)),
            ("a/kernel/Adam", entry(1, &[2, 3], 0, 4, &kernel)),
            ("b/half", entry(19, &[1], 1, 3, &half)),
            ("c/words", entry(7, &[1], 1, 0, b"abc")),
        ]);
        std::fs::write(dir.path().join("m.ckpt.data-00000-of-00002"), [bias, kernel].concat()).unwrap();
        std::fs::write(dir.path().join("m.ckpt.data-00001-of-00002"), [b"abc".to_vec(), half].concat()).unwrap();
        Checkpoint { dir, index }
    }

    impl Checkpoint {
        fn import(&self) -> Result<Imported, String> {
            let path = self.dir.path().join("m.ckpt.index");
            std::fs::write(&path, &self.index).unwrap();
            let chain = |error: crate::WeightsError| match std::error::Error::source(&error) {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            };
            import_checkpoint(&path, &ImportOptions::default()).map_err(chain)
        }
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        // RFC 3720, B.4: 32 bytes of zeros and of ones.
        for (bytes, crc) in [([0u8; 32], 0x8a91_36aa_u32), ([0xff; 32], 0x62a8_ab43)] {
            assert_eq!(masked_crc(&bytes), crc.rotate_right(15).wrapping_add(0xa282_ead8));
        }
    }

    #[test]
    fn variables_of_all_data_files_are_read_and_the_rest_is_named() {
        let found = checkpoint().import().unwrap();
        let names: Vec<&str> = found.weights.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a/bias", "a/kernel", "b/half"]);
        let kernel = found.weights.get("a/kernel").unwrap();
        assert_eq!((kernel.shape(), kernel.to_f32_vec().unwrap()[3]), (&[2, 3][..], 0.1));
        assert_eq!(found.weights.get("a/bias").unwrap().shape(), [0usize; 0]);
        assert_eq!(found.weights.get("b/half").unwrap().to_f32_vec().unwrap(), [1.0]);
        assert_eq!(found.ignored, ["a/kernel/Adam", "c/words"]);
    }

    #[test]
    fn damage_is_found_wherever_it_is() {
        let whole = checkpoint();
        let body = whole.index.len() - FOOTER;
        for at in (0..body).step_by(3) {
            let mut broken = checkpoint();
            broken.index[at] ^= 0x20;
            // The block about the table itself is not read.
            let error = broken.import().err();
            let is_unread = broken.index[at..].len() > FOOTER && table(&broken.index).is_ok();
            assert_eq!(error.is_none(), is_unread, "{at}: {error:?}");
        }
        for len in [0, 7, FOOTER - 1, FOOTER, body] {
            let mut short = checkpoint();
            short.index.drain(..short.index.len() - len);
            assert!(short.import().is_err(), "{len}");
        }
        let data = whole.dir.path().join("m.ckpt.data-00000-of-00002");
        let mut bytes = std::fs::read(&data).unwrap();
        bytes[5] ^= 1;
        std::fs::write(&data, &bytes).unwrap();
        assert!(whole.import().unwrap_err().contains("`a/kernel`: its data has another checksum"));
        std::fs::write(&data, &bytes[..9]).unwrap();
        assert!(whole.import().unwrap_err().contains("expected 24 bytes of data, found 5"));
        std::fs::remove_file(&data).unwrap();
        let error = whole.import().unwrap_err();
        assert!(error.contains("m.ckpt.data-00000-of-00002"), "{error}");
    }
}
