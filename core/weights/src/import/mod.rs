//! Original PyTorch checkpoints, read without executing anything.
//!
//! A `.pth` or `.pt` file is a pickle: a program for a small stack machine. `machine` runs that program with every effect
//! removed. A name in the pickle (`GLOBAL`) is never imported; it either is on a short list of functions whose results are
//! plain data (`globals`), or stands for a module class whose instances stay inert, or the file is refused by that name.
//! Opcodes that would call or import anything else are refused by their name. The tensors are found afterwards by walking
//! `_parameters`, `_buffers` and `_modules` as `state_dict` does.
//!
//! Both containers are read: zip archives (torch ≥ 1.6) and the plain files before them. The stack machine's rules are those
//! of Python's `pickletools` documentation; nothing is taken from an implementation.

mod archive;
mod cursor;
mod error;
mod gather;
mod globals;
mod legacy;
mod machine;
mod objects;
mod opcode;
mod reduce;
mod scalar;
mod stack;
mod state;
mod value;

pub use error::{ImportCause, ImportError};

use crate::Weights;
use std::fs::File;
use std::path::Path;

/// How to read a checkpoint.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Which entry of the checkpoint's dictionary holds the network. `None`: the only one that does, and `ema` before
    /// `model` where both do, as YOLOv5 itself chooses.
    pub entry: Option<String>,
    /// Removed from the front of every name, such as `module.` of a data-parallel training.
    pub strip_prefix: Option<String>,
    /// Keep half and double precision as they are; otherwise every float becomes F32.
    pub keep_types: bool,
}

/// What a checkpoint held.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The tensors under their `state_dict` names, in its order.
    pub weights: Weights,
    /// The dictionary entry they came from, `None` when the file is the network or the state itself.
    pub entry: Option<String>,
    /// The network's class, such as `models.yolo.Model`, where a whole module was pickled.
    pub class: Option<String>,
    /// Names in the state that hold no tensor and were left out.
    pub ignored: Vec<String>,
}

/// Reads an original checkpoint.
///
/// # Errors
/// [`ImportError`] with the path and the cause: not a checkpoint, refused by name of the class, function or opcode, damaged,
/// beyond a limit, or without (or with more than one) network inside.
pub fn import_checkpoint(path: impl AsRef<Path>, options: &ImportOptions) -> Result<Imported, ImportError> {
    let path = path.as_ref();
    import(path, options).map_err(|cause| ImportError { path: path.to_owned(), cause })
}

fn import(path: &Path, options: &ImportOptions) -> Result<Imported, ImportCause> {
    let file = File::open(path).map_err(ImportCause::Io)?;
    let file_len = file.metadata().map_err(ImportCause::Io)?.len();
    if archive::is_zip(&file)? {
        let mut archive = archive::Archive::open(file, file_len)?;
        let pickle = archive.pickle()?;
        let program = machine::run(&pickle, 0)?;
        state::collect(&program, &mut archive, file_len, options)
    } else {
        let bytes = legacy::read(file, file_len)?;
        let (program, mut storages) = legacy::parse(&bytes)?;
        state::collect(&program, &mut storages, file_len, options)
    }
}

#[cfg(test)]
mod tests;
