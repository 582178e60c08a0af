//! Weight files of every kind, told apart by their content.

use crate::error::WeightsError;
use crate::file::load_safetensors;
use crate::import::{ImportOptions, import_checkpoint};
use crate::tidy::tidy;
use crate::weights::Weights;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Names without a tensor that a note lists.
const MAX_LISTED: usize = 10;

/// A weight file as it was found.
#[derive(Clone, Debug)]
pub struct WeightFile {
    /// Its tensors with the file's metadata; every float is F32.
    pub weights: Weights,
    /// What was changed or left out on the way, for people: wrappers' prefixes removed, counters filled in.
    pub notes: Vec<String>,
}

/// Reads safetensors, an original PyTorch checkpoint (zip archive or the older plain file) without executing anything in it, or that of
/// TensorFlow by its index. The content decides, not the file's name. Half and double precision become single precision.
///
/// # Errors
/// [`WeightsError`] with the path: unreadable, damaged, refused, or of no kind that is read, with what it is instead where that can be
/// told.
pub fn read_weights(path: impl AsRef<Path>) -> Result<WeightFile, WeightsError> {
    let path = path.as_ref();
    match sniff(&head_of(path)?) {
        Kind::Checkpoint => {
            let found = import_checkpoint(path, &ImportOptions::default())?;
            let mut notes = found.notes;
            if !found.ignored.is_empty() {
                let listed = found.ignored.iter().take(MAX_LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
                notes.push(format!("left out {} entries that are no tensors: {listed}", found.ignored.len()));
            }
            Ok(WeightFile { weights: found.weights, notes })
        }
        Kind::Safetensors => {
            let mut notes = Vec::new();
            let weights = tidy(load_safetensors(path)?.widened(), true, &mut notes)
                .map_err(|source| WeightsError::Names { path: path.to_owned(), source })?;
            Ok(WeightFile { weights, notes })
        }
        Kind::Other(found) => Err(WeightsError::Format { path: path.to_owned(), found: found.to_owned() }),
    }
}

/// Whether a file begins as safetensors do.
///
/// # Errors
/// When it cannot be read.
pub fn is_safetensors(path: impl AsRef<Path>) -> Result<bool, WeightsError> {
    Ok(matches!(sniff(&head_of(path.as_ref())?), Kind::Safetensors))
}

/// Whether the beginning of a file is text, perhaps cut within a character.
fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(head.get(..error.valid_up_to()).unwrap_or(head)).unwrap_or("\0")
        }
        Err(_) => return false,
    };
    text.chars().all(|c| !c.is_control() || c.is_whitespace())
}

/// What a file is in place of weights, where its beginning tells; none for files that may be weights.
///
/// # Errors
/// When it cannot be read.
pub fn other_kind(path: &Path) -> Result<Option<&'static str>, WeightsError> {
    Ok(match sniff(&head_of(path)?) {
        Kind::Other(UNKNOWN) | Kind::Checkpoint | Kind::Safetensors => None,
        Kind::Other(what) => Some(what),
    })
}

/// What a file is called whose beginning tells nothing.
const UNKNOWN: &str = "neither a safetensors header, nor a zip archive, a pickle or a TensorFlow index";

enum Kind {
    Checkpoint,
    Safetensors,
    /// What it is instead.
    Other(&'static str),
}

fn head_of(path: &Path) -> Result<Vec<u8>, WeightsError> {
    let mut head = Vec::new();
    let file = File::open(path).map_err(WeightsError::io("open", path))?;
    file.take(64).read_to_end(&mut head).map_err(WeightsError::io("read", path))?;
    Ok(head)
}

fn sniff(head: &[u8]) -> Kind {
    /// Beginnings of files that are taken for weights by mistake.
    const OTHERS: [(&[u8], &str); 6] = [
        (b"version https://git-lfs", "a Git LFS pointer: the file itself was not downloaded (git lfs pull)"),
        (b"<", "a web page or XML: the download went wrong"),
        (b"\x89HDF", "HDF5 (Keras): convert it to safetensors first"),
        (b"\x08", "ONNX or another protocol buffer: weights of an exported model are not read back"),
        (b"\x1f\x8b", "a gzip archive: unpack it first"),
        (b"\x89PNG", "a PNG image"),
    ];
    match head {
        [] => Kind::Other("an empty file"),
        [b'P', b'K', 3, 4, ..] => Kind::Checkpoint,
        // The index of a TensorFlow checkpoint: an empty key, whose value begins with the number of data files.
        [0, 0, _, 8, ..] => Kind::Checkpoint,
        // A pickle of protocol 2 or later; protocol 2 is what torch writes.
        [0x80, 2..=5, ..] => Kind::Checkpoint,
        // Eight bytes of length, then a JSON object. A torch file before 1.6 never has a brace there.
        [_, _, _, _, _, _, _, _, b'{', ..] => Kind::Safetensors,
        _ => match OTHERS.iter().find(|(begin, _)| head.starts_with(begin)) {
            Some((_, what)) => Kind::Other(what),
            None if is_text(head) => Kind::Other("a text file"),
            None => Kind::Other(UNKNOWN),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HostTensor, save_safetensors};

    fn error(bytes: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        read_weights(file.path()).unwrap_err().to_string()
    }

    #[test]
    fn safetensors_are_read_whatever_they_are_called() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weights.pth");
        let mut weights = Weights::new();
        weights.insert("module.w", HostTensor::from_f32(&[1], &[2.0]).unwrap()).unwrap();
        weights.set_metadata("network", "caf");
        save_safetensors(&weights, &path).unwrap();
        let read = read_weights(&path).unwrap();
        assert_eq!(read.weights.get("w"), weights.get("module.w"));
        assert_eq!(read.weights.metadata(), weights.metadata());
        assert!(read.notes[0].contains("`module.`"), "{:?}", read.notes);
    }

    #[test]
    fn what_is_no_weight_file_is_called_what_it_is() {
        for (bytes, found) in [
            (&b""[..], "an empty file"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
            (b"<!DOCTYPE html><html>", "web page"),
            (b"\x89HDF\r\n\x1a\n", "HDF5"),
            (b"hello", "a text file"),
            ("# Gewichte: grün\n".as_bytes(), "a text file"),
            (b"\x01\x02hello", "neither"),
        ] {
            let text = error(bytes);
            assert!(text.contains("expected safetensors or a PyTorch checkpoint") && text.contains(found), "{text}");
        }
        // A safetensors file of the right beginning and nothing else.
        assert!(error(b"\x10\0\0\0\0\0\0\0{").contains("not a usable safetensors file"));
    }
}
