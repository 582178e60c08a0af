//! Original checkpoints, read without executing anything: those of PyTorch here, those of TensorFlow in `tensorflow`.
//!
//! A `.pth` or `.pt` file is a pickle: a program for a small stack machine. `run` runs that program with every effect
//! removed. A name in the pickle (`GLOBAL`) is never imported; it either is on a short list of functions and types whose results
//! are plain data or are not built at all (`names`), or stands for a class of modules or dictionaries whose instances stay inert, or
//! the file is refused by that name.
//! Opcodes that would call or import anything else are refused by their name. The tensors are found afterwards by walking
//! `_parameters`, `_buffers` and `_modules` as `state_dict` does.
//!
//! Both containers are read: zip archives (torch ≥ 1.6) and the plain files before them. The stack machine's rules are those
//! of Python's `pickletools` documentation; nothing is taken from an implementation.

mod calls;
mod container;
mod facts;
mod gather;
mod machine;
mod names;
mod opcode;
mod run;
mod state;
mod tensorflow;
mod value;

pub use state::ImportOptions;

use crate::error::{ImportCause, WeightsError};
use crate::tidy;
use crate::weights::Weights;
use std::fs::File;
use std::path::Path;

/// What a checkpoint held.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The tensors under their `state_dict` names, in its order. The metadata holds what the checkpoint says of its network:
    /// `classes` (JSON list of names), `class_count`, `strides_px` (JSON list).
    pub weights: Weights,
    /// The dictionary entry they came from, `None` when the file is the network or the state itself.
    pub entry: Option<String>,
    /// The network's class, such as `models.yolo.Model`, where a whole module was pickled.
    pub class: Option<String>,
    /// Names in the state that hold no tensor and were left out.
    pub ignored: Vec<String>,
    /// What was changed on the way, for people: prefixes removed, counters filled in.
    pub notes: Vec<String>,
}

/// Reads an original checkpoint.
///
/// # Errors
/// [`WeightsError::Checkpoint`] with the path and the cause: not a checkpoint, refused by name of the class, function or opcode,
/// damaged, beyond a limit, or without (or with more than one) network inside.
pub fn import_checkpoint(path: impl AsRef<Path>, options: &ImportOptions) -> Result<Imported, WeightsError> {
    let path = path.as_ref();
    import(path, options).map_err(|source| WeightsError::Checkpoint { path: path.to_owned(), source })
}

fn import(path: &Path, options: &ImportOptions) -> Result<Imported, ImportCause> {
    let file = File::open(path).map_err(ImportCause::Io)?;
    let file_len = file.metadata().map_err(ImportCause::Io)?.len();
    if tensorflow::is_index(&file, file_len)? {
        let (mut weights, ignored) = tensorflow::read(path, file, file_len)?;
        if !options.keep_types {
            weights = weights.widened();
        }
        let mut notes = Vec::new();
        let weights = tidy::tidy(weights, options.strip_prefix.is_none(), &mut notes)?;
        return Ok(Imported { weights, entry: None, class: None, ignored, notes });
    }
    if container::is_zip(&file)? {
        let mut archive = container::Archive::open(file, file_len)?;
        let pickle = archive.pickle()?;
        let program = run::run(&pickle, 0)?;
        collect(&program, &mut archive, file_len, options)
    } else {
        let bytes = container::read_legacy(file, file_len)?;
        let (program, mut storages) = container::parse_legacy(&bytes)?;
        collect(&program, &mut storages, file_len, options)
    }
}

fn collect(
    program: &value::Program,
    storages: &mut dyn state::Storages,
    file_len: u64,
    options: &ImportOptions,
) -> Result<Imported, ImportCause> {
    let state::State { mut weights, root, entry, ignored } = state::collect(program, storages, file_len, options)?;
    let mut notes = Vec::new();
    facts::describe(program, storages, root, &mut weights, &mut notes);
    let weights = tidy::tidy(weights, options.strip_prefix.is_none(), &mut notes)?;
    let class = program.class_of(root).map(str::to_owned);
    Ok(Imported { weights, entry, class, ignored, notes })
}

#[cfg(test)]
mod tests;
