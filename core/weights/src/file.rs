//! safetensors files.
//!
//! Eight bytes (header length, little-endian), a JSON header, then the tensors one after another. Written with sorted
//! metadata and tensors in the given order, so that equal weights make equal files and equal hashes.

use crate::cause::DuplicateName;
use crate::dtype::DType;
use crate::error::{FileFault, WeightsError};
use crate::header::{Extent, Header};
use crate::tensor::HostTensor;
use crate::weights::Weights;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Longest header that is read: the format's own limit.
const MAX_HEADER: u64 = 100_000_000;

/// The header is padded to this many bytes, so that the tensors are aligned.
const ALIGN: usize = 8;

/// Reads a safetensors file whole; tensors keep the order of their offsets in the file.
///
/// # Errors
/// [`WeightsError`] naming the file and what is wrong: unreadable, truncated, not the format, two tensors of one name, an
/// element type that is not supported.
pub fn load_safetensors(path: impl AsRef<Path>) -> Result<Weights, WeightsError> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(WeightsError::io("read", path))?;
    parse(&bytes).map_err(|source| WeightsError::File { path: path.to_owned(), source })
}

fn parse(bytes: &[u8]) -> Result<Weights, FileFault> {
    let found = bytes.len() as u64;
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(FileFault::Truncated { expected: 8, found });
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER {
        return Err(FileFault::HeaderSize { found: length, limit: MAX_HEADER });
    }
    let Some((json, data)) = rest.split_at_checked(length as usize) else {
        return Err(FileFault::Truncated { expected: 8 + length, found });
    };
    let mut header: Header = serde_json::from_slice(json).map_err(|e| FileFault::Header(e.to_string()))?;
    header.tensors.sort_by_key(|(_, extent)| extent.data_offsets);
    let mut weights = Weights::new();
    let mut expected = 0;
    for (name, Extent { dtype, shape, data_offsets: [begin, end] }) in header.tensors {
        if weights.get(&name).is_some() {
            return Err(DuplicateName { name }.into());
        }
        let Some(dtype) = DType::from_name(&dtype) else {
            return Err(FileFault::ElementType { name, found: dtype });
        };
        if begin != expected || end < begin {
            return Err(FileFault::Offsets { name, begin, end, expected });
        }
        let Some(slice) = data.get(begin..end) else {
            return Err(FileFault::DataLength { expected: end, found: data.len() });
        };
        match HostTensor::of_bytes(dtype, shape, slice.to_vec()) {
            Ok(tensor) => weights.add(name, tensor)?,
            Err(source) => return Err(FileFault::Tensor { name, source }),
        }
        expected = end;
    }
    if expected != data.len() {
        return Err(FileFault::DataLength { expected, found: data.len() });
    }
    for (key, value) in header.metadata {
        if weights.metadata().contains_key(&key) {
            return Err(FileFault::DuplicateMetadata { key });
        }
        weights.set_metadata(key, value);
    }
    Ok(weights)
}

/// Writes a safetensors file: aside first, renamed when it is complete and on disk.
///
/// # Errors
/// [`WeightsError::Io`] naming the file; an existing file is untouched then.
pub fn save_safetensors(weights: &Weights, path: impl AsRef<Path>) -> Result<(), WeightsError> {
    let path = path.as_ref();
    let json = header_of(weights)
        .map_err(|e| WeightsError::File { path: path.to_owned(), source: FileFault::Header(e.to_string()) })?;
    write_all(path, &json, weights).map_err(WeightsError::io("write", path))
}

fn header_of(weights: &Weights) -> serde_json::Result<Vec<u8>> {
    let mut header = Header { metadata: weights.metadata().clone().into_iter().collect(), tensors: Vec::new() };
    let mut begin = 0;
    for (name, tensor) in weights.iter() {
        let end = begin + tensor.bytes().len();
        let extent =
            Extent { dtype: tensor.dtype().name().into(), shape: tensor.shape().to_vec(), data_offsets: [begin, end] };
        header.tensors.push((name.to_owned(), extent));
        begin = end;
    }
    let mut json = serde_json::to_vec(&header)?;
    json.resize(json.len().next_multiple_of(ALIGN), b' ');
    Ok(json)
}

fn write_all(path: &Path, json: &[u8], weights: &Weights) -> std::io::Result<()> {
    let mut out = BufWriter::new(caf_file::begin(path)?);
    out.write_all(&(json.len() as u64).to_le_bytes())?;
    out.write_all(json)?;
    for (_, tensor) in weights.iter() {
        out.write_all(tensor.bytes())?;
    }
    out.into_inner().map_err(|e| e.into_error())?.finish()
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
