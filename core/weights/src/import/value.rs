//! What a pickle builds: inert data in one arena, and how the opcodes of constants make it.
//!
//! Values refer to each other by number, so that shared and even cyclic structures take no more memory than the pickle that
//! describes them, and are dropped without recursion.

use super::names::Function;
use super::opcode::{self as op, Cursor};
use crate::dtype::DType;

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
    /// A value that is never built, such as a path, a date or a device.
    Opaque,
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

/// Reads the argument of an opcode that pushes one constant.
pub(super) fn constant(byte: u8, cursor: &mut Cursor<'_>) -> Result<Value, &'static str> {
    Ok(match byte {
        op::NONE => Value::None,
        op::NEWTRUE => Value::Bool(true),
        op::NEWFALSE => Value::Bool(false),
        op::BININT => Value::Int(cursor.i32()?.into()),
        op::BININT1 => Value::Int(cursor.u8()?.into()),
        op::BININT2 => Value::Int(cursor.u16()?.into()),
        op::INT => match cursor.line()? {
            "00" => Value::Bool(false),
            "01" => Value::Bool(true),
            digits => decimal(digits)?,
        },
        op::LONG => {
            let line = cursor.line()?;
            decimal(line.strip_suffix('L').unwrap_or(line))?
        }
        op::LONG1 => {
            let n = cursor.u8()?;
            long(cursor.take(n.into())?)
        }
        op::LONG4 => {
            let n = u64::try_from(cursor.i32()?).map_err(|_| "its length is negative")?;
            long(cursor.take_u64(n)?)
        }
        op::FLOAT => {
            cursor.line()?.trim().parse::<f64>().map_err(|_| "the number is no number")?;
            Value::Float
        }
        op::BINFLOAT => {
            cursor.take(8)?;
            Value::Float
        }
        op::STRING => {
            let line = cursor.line()?;
            let quoted = line.strip_prefix('\'').and_then(|s| s.strip_suffix('\''));
            let quoted = quoted.or_else(|| line.strip_prefix('"').and_then(|s| s.strip_suffix('"')));
            plain(quoted.ok_or("the string has no quotes")?)?
        }
        op::UNICODE => plain(cursor.line()?)?,
        op::BINSTRING => {
            let n = u64::try_from(cursor.i32()?).map_err(|_| "its length is negative")?;
            python2_text(cursor.take_u64(n)?)
        }
        op::SHORT_BINSTRING => {
            let n = cursor.u8()?;
            python2_text(cursor.take(n.into())?)
        }
        op::SHORT_BINUNICODE => {
            let n = cursor.u8()?;
            text(cursor.take(n.into())?)?
        }
        op::BINUNICODE => {
            let n = cursor.u32()?;
            text(cursor.take_u64(n.into())?)?
        }
        op::BINUNICODE8 => {
            let n = cursor.u64()?;
            text(cursor.take_u64(n)?)?
        }
        op::SHORT_BINBYTES => {
            let n = cursor.u8()?;
            cursor.take(n.into())?;
            Value::Bytes
        }
        op::BINBYTES => {
            let n = cursor.u32()?;
            cursor.take_u64(n.into())?;
            Value::Bytes
        }
        op::BINBYTES8 | op::BYTEARRAY8 => {
            let n = cursor.u64()?;
            cursor.take_u64(n)?;
            Value::Bytes
        }
        _ => return Err("this opcode is not understood"),
    })
}

fn decimal(digits: &str) -> Result<Value, &'static str> {
    match digits.trim().parse::<i64>() {
        Ok(value) => Ok(Value::Int(value)),
        Err(_) => Err("the number is no 64-bit integer"),
    }
}

/// Little-endian two's complement of any length.
fn long(bytes: &[u8]) -> Value {
    let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
    let mut wide = if negative { [0xff; 8] } else { [0; 8] };
    match wide.get_mut(..bytes.len()) {
        Some(low) => {
            low.copy_from_slice(bytes);
            Value::Int(i64::from_le_bytes(wide))
        }
        None => Value::LongInt(bytes.into()),
    }
}

fn text(bytes: &[u8]) -> Result<Value, &'static str> {
    Ok(Value::Str(std::str::from_utf8(bytes).map_err(|_| "the text is not UTF-8")?.into()))
}

/// Strings of Python 2: UTF-8 where it is, else one character a byte.
fn python2_text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::Str(text.into()),
        Err(_) => Value::Str(bytes.iter().map(|b| char::from(*b)).collect::<String>().into()),
    }
}

/// Text of protocol 0, where a backslash begins an escape.
fn plain(line: &str) -> Result<Value, &'static str> {
    if line.contains('\\') {
        return Err("escapes in text of protocol 0 are not supported");
    }
    Ok(Value::Str(line.into()))
}
