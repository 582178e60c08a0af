//! The pickle machine with every effect removed.
//!
//! One loop, no recursion. Each opcode makes at most one value, which takes memory of three kinds: a fixed size, bytes of
//! its own argument and references taken off the stack, which are all within a constant factor of the pickle's length, and
//! copies of what earlier values hold (names, references, extents), for which there is a budget ([`Machine::charge`]).
//! [`MAX_PICKLE`] bounds the length.

use super::calls::{NOT_INERT, Named};
use super::machine::{Fault, Machine, Sighting, Step, refused};
use super::opcode::{self as op};
use super::value::{Program, Ref, Value, constant};
use crate::error::{ImportCause, short};

/// Longest pickle that is run; those of the largest detectors have less than 1 MiB.
pub(super) const MAX_PICKLE: u64 = 64 << 20;
/// Highest protocol: that of Python 3.8 and later.
const MAX_PROTOCOL: u8 = 5;
/// Bytes that may be copied out of earlier values: some for each byte of the pickle, and some that every pickle may.
/// Real checkpoints, which copy class names, extents and storage keys, stay below the second alone.
const COPIES_PER_BYTE: u64 = 4;
const COPIES: u64 = 64 << 20;

/// Runs the pickle that begins at `start`.
pub(super) fn run(bytes: &[u8], start: usize) -> Result<Program, ImportCause> {
    let most_copied = COPIES_PER_BYTE * bytes.len().saturating_sub(start) as u64 + COPIES;
    let mut machine = Machine::new(bytes, start, most_copied);
    loop {
        let offset = machine.cursor.position();
        let byte = machine.cursor.u8().map_err(|what| ImportCause::Damaged { opcode: "STOP", offset, what })?;
        let Some(opcode) = op::name(byte) else {
            return Err(ImportCause::NotAPickle { offset, byte });
        };
        if byte == op::STOP {
            let root = machine.pop().map_err(|fault| place(fault, opcode, offset))?;
            return machine.finish(root);
        }
        machine.step(byte, Sighting { opcode, offset }).map_err(|fault| place(fault, opcode, offset))?;
    }
}

fn place(fault: Fault, opcode: &'static str, offset: usize) -> ImportCause {
    match fault {
        Fault::Damaged(what) => ImportCause::Damaged { opcode, offset, what },
        Fault::Refused { name, why } => ImportCause::Refused { name: short(&name), opcode, offset, why },
        Fault::Limit { what, found, limit } => ImportCause::Limit { what, found, limit },
    }
}

impl Machine<'_> {
    fn finish(self, root: Ref) -> Result<Program, ImportCause> {
        if let Some((name, Sighting { opcode, offset })) = self.unused.into_iter().min_by_key(|(_, s)| s.offset) {
            let why = "a name outside the list may only be the class of a module or a dictionary";
            return Err(ImportCause::Refused { name: short(&name), opcode, offset, why });
        }
        let end = self.cursor.position();
        let program = Program { values: self.values, root, end };
        // An empty dictionary has no items to be known by; others of its class may have had some.
        let dictionaries = &self.dictionaries;
        let unproven = |at: &Ref| !program.class_of(*at).is_some_and(|class| dictionaries.contains(class));
        let first = self.stateless.into_iter().filter(|(at, _)| unproven(at)).min_by_key(|(_, s)| s.offset);
        if let Some((at, Sighting { opcode, offset })) = first {
            let name = short(program.class_of(at).unwrap_or("object"));
            return Err(ImportCause::Refused { name, opcode, offset, why: NOT_INERT });
        }
        Ok(program)
    }

    fn step(&mut self, byte: u8, here: Sighting) -> Step<()> {
        match byte {
            op::PROTO => match self.cursor.u8()? {
                0..=MAX_PROTOCOL => Ok(()),
                _ => Err("the protocol is newer than 5".into()),
            },
            op::FRAME => self.cursor.u64().map(drop).map_err(Fault::from),
            op::MARK => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            op::POP => {
                // A mark on top is popped like a value.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                    return Ok(());
                }
                self.pop().map(drop)
            }
            op::POP_MARK => self.pop_mark().map(drop),
            op::DUP => {
                let top = self.top()?;
                self.stack.push(top);
                Ok(())
            }
            op::GET => {
                let key = self.cursor.line()?.parse().map_err(|_| "the memo key is no number")?;
                self.recall(key)
            }
            op::BINGET => {
                let key = self.cursor.u8()?;
                self.recall(key.into())
            }
            op::LONG_BINGET => {
                let key = self.cursor.u32()?;
                self.recall(key)
            }
            op::PUT => {
                let key = self.cursor.line()?.parse().map_err(|_| "the memo key is no number")?;
                self.remember(key)
            }
            op::BINPUT => {
                let key = self.cursor.u8()?;
                self.remember(key.into())
            }
            op::LONG_BINPUT => {
                let key = self.cursor.u32()?;
                self.remember(key)
            }
            op::MEMOIZE => self.remember(self.memo.len() as u32),
            op::EMPTY_TUPLE => self.push(Value::Tuple(Vec::new())),
            op::TUPLE1 => self.tuple(1),
            op::TUPLE2 => self.tuple(2),
            op::TUPLE3 => self.tuple(3),
            op::TUPLE => {
                let items = self.pop_mark()?;
                self.push(Value::Tuple(items))
            }
            op::EMPTY_LIST => self.push(Value::List(Vec::new())),
            op::LIST => {
                let items = self.pop_mark()?;
                self.push(Value::List(items))
            }
            op::APPEND => {
                let item = self.pop()?;
                self.append(vec![item])
            }
            op::APPENDS | op::ADDITEMS => {
                let items = self.pop_mark()?;
                self.append(items)
            }
            op::EMPTY_DICT => self.push(Value::Dict(Vec::new())),
            op::DICT => {
                let items = self.pop_mark()?;
                self.push(Value::Dict(Vec::new()))?;
                self.set_items(&items)
            }
            op::SETITEM => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(&[key, value])
            }
            op::SETITEMS => {
                let items = self.pop_mark()?;
                self.set_items(&items)
            }
            op::EMPTY_SET => self.push(Value::Set(Vec::new())),
            op::FROZENSET => {
                let items = self.pop_mark()?;
                self.push(Value::Set(items))
            }
            op::GLOBAL => {
                let module = self.cursor.line()?;
                let name = self.cursor.line()?;
                self.global(Named::new(module, name)?, here)
            }
            op::STACK_GLOBAL => {
                let name = self.pop()?;
                let module = self.pop()?;
                let (Value::Str(module), Value::Str(name)) = (self.value(module), self.value(name)) else {
                    return Err("the names are not strings".into());
                };
                let global = Named::new(module, name)?;
                self.global(global, here)
            }
            op::INST => {
                let module = self.cursor.line()?;
                let name = self.cursor.line()?;
                Err(refused(format!("{module}.{name}"), "this opcode calls a class"))
            }
            op::OBJ => {
                let items = self.pop_mark()?;
                let name = items.first().map_or_else(|| here.opcode.to_owned(), |at| self.describe(*at));
                Err(refused(name, "this opcode calls a class"))
            }
            op::EXT1 | op::EXT2 | op::EXT4 => {
                Err(refused(here.opcode.to_owned(), "it stands for a name that is registered elsewhere"))
            }
            op::PERSID => Err(refused(here.opcode.to_owned(), "no checkpoint has text persistent ids")),
            op::NEXT_BUFFER | op::READONLY_BUFFER => {
                Err(refused(here.opcode.to_owned(), "it takes data from outside the file"))
            }
            op::NEWOBJ_EX => {
                let _keywords = self.pop()?;
                let _arguments = self.pop()?;
                let class = self.pop()?;
                Err(refused(self.describe(class), "it makes an object with arguments"))
            }
            op::NEWOBJ => {
                let arguments = self.pop()?;
                let class = self.pop()?;
                self.instantiate(class, arguments, here)
            }
            op::BUILD => {
                let state = self.pop()?;
                self.build(state)
            }
            op::REDUCE => {
                let arguments = self.pop()?;
                let function = self.pop()?;
                self.reduce(function, arguments, here)
            }
            op::BINPERSID => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.charge("bytes copied by the pickle, the last into a storage's key", storage.key.len())?;
                self.push(Value::Storage(storage))
            }
            _ => {
                let value = constant(byte, &mut self.cursor)?;
                self.push(value)
            }
        }
    }
}
