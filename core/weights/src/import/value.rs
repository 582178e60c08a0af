//! What a pickle builds: inert data in one arena.
//!
//! Values refer to each other by number, so that shared and even cyclic structures take no more memory than the pickle that
//! describes them, and are dropped without recursion.

use super::globals::Function;
use crate::DType;

/// Most bytes of a name: of a class with its module, of a storage, of a tensor with all modules around it.
pub(super) const MAX_NAME: usize = 4096;

/// A value of one [`Program`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Ref(pub u32);

/// A storage that a tensor looks into; its bytes lie elsewhere in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StorageRef {
    pub key: Box<str>,
    /// `None` for untyped storages, which are counted in bytes.
    pub dtype: Option<DType>,
    pub len: u64,
}

/// A view of a storage, in elements.
#[derive(Clone, Debug)]
pub(super) struct TensorRef {
    pub storage: Ref,
    pub offset: u64,
    pub shape: Vec<u64>,
    pub strides: Vec<u64>,
}

/// One value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// More than 64 bits: little-endian two's complement.
    LongInt(Box<[u8]>),
    /// The number itself is of no use to an import.
    Float,
    Str(Box<str>),
    Bytes,
    Tuple(Vec<Ref>),
    List(Vec<Ref>),
    Dict(Vec<(Ref, Ref)>),
    Set(Vec<Ref>),
    /// A function on the list.
    Function(Function),
    /// A class outside the list; only ever instantiated as an inert [`Value::Object`].
    Class(Box<str>),
    Storage(StorageRef),
    Tensor(TensorRef),
    /// An instance that nothing was run for.
    Object {
        class: Ref,
        state: Option<Ref>,
    },
    /// Harmless and of no use, such as a device.
    Inert,
}

/// What a pickle came to.
#[derive(Debug)]
pub(super) struct Program {
    pub values: Vec<Value>,
    pub root: Ref,
    /// One past the STOP opcode.
    pub end: usize,
}

impl Program {
    pub fn get(&self, at: Ref) -> &Value {
        self.values.get(at.0 as usize).unwrap_or(&Value::None)
    }

    /// The text of a string value.
    pub fn text(&self, at: Ref) -> Option<&str> {
        match self.get(at) {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The entries of a dictionary, whatever their keys.
    pub fn pairs(&self, at: Ref) -> &[(Ref, Ref)] {
        match self.get(at) {
            Value::Dict(pairs) => pairs,
            _ => &[],
        }
    }

    /// The entries of a dictionary, with text keys; other keys are skipped.
    pub fn entries(&self, at: Ref) -> impl Iterator<Item = (&str, Ref)> {
        self.first_entries(at, usize::MAX)
    }

    /// Those of its first `n` entries that have text keys.
    pub fn first_entries(&self, at: Ref, n: usize) -> impl Iterator<Item = (&str, Ref)> {
        self.pairs(at).iter().take(n).filter_map(|(key, value)| Some((self.text(*key)?, *value)))
    }

    /// The value of a dictionary's text key; the last one counts, as in Python.
    pub fn entry(&self, dict: Ref, key: &str) -> Option<Ref> {
        self.entries(dict).filter(|(k, _)| *k == key).last().map(|(_, value)| value)
    }

    /// The attributes of an object, where its state is a dictionary.
    pub fn attributes(&self, object: Ref) -> Option<Ref> {
        match self.get(object) {
            Value::Object { state: Some(state), .. } => match self.get(*state) {
                Value::Dict(_) => Some(*state),
                // A class with slots pickles (dictionary, slots).
                Value::Tuple(parts) => parts.first().copied().filter(|p| matches!(self.get(*p), Value::Dict(_))),
                _ => None,
            },
            _ => None,
        }
    }

    /// The members of a set.
    pub fn members(&self, at: Ref) -> &[Ref] {
        match self.get(at) {
            Value::Set(members) => members,
            _ => &[],
        }
    }

    /// Module and name of an object's class.
    pub fn class_of(&self, object: Ref) -> Option<&str> {
        match self.get(object) {
            Value::Object { class, .. } => match self.get(*class) {
                Value::Class(name) => Some(name),
                _ => None,
            },
            _ => None,
        }
    }
}
