//! The machine's registers: stack, marks, memo and the arena of values.

use super::opcode::Cursor;
use super::value::{Ref, Value};
use std::collections::{HashMap, HashSet};

/// Most values a pickle may build, and most of them it may remember.
const MAX_VALUES: usize = 4_000_000;

/// An opcode that failed, before its name and place are known.
pub(super) enum Fault {
    Damaged(&'static str),
    Refused { name: String, why: &'static str },
    Limit { what: &'static str, found: u64, limit: u64 },
}

impl From<&'static str> for Fault {
    fn from(what: &'static str) -> Self {
        Fault::Damaged(what)
    }
}

pub(super) type Step<T> = Result<T, Fault>;

const UNDERFLOW: &str = "the stack is too short";
const NO_MARK: &str = "there is no mark on the stack";

/// Where a name was first met.
pub(super) struct Sighting {
    pub opcode: &'static str,
    pub offset: usize,
}

pub(super) struct Machine<'a> {
    pub(super) cursor: Cursor<'a>,
    pub(super) values: Vec<Value>,
    pub(super) stack: Vec<Ref>,
    pub(super) marks: Vec<usize>,
    pub(super) memo: HashMap<u32, Ref>,
    /// Classes outside the list that nothing has been made of yet.
    pub(super) unused: HashMap<Box<str>, Sighting>,
    pub(super) used: HashSet<Box<str>>,
    /// Objects of classes outside the list that have neither a module's state nor items yet.
    pub(super) stateless: HashMap<Ref, Sighting>,
    /// Classes outside the list whose objects have had items.
    pub(super) dictionaries: HashSet<Box<str>>,
    /// Bytes copied out of earlier values so far, and how many may be.
    pub(super) copied: u64,
    pub(super) most_copied: u64,
}

pub(super) fn refused(name: String, why: &'static str) -> Fault {
    Fault::Refused { name, why }
}

/// Refuses more than the limit.
pub(super) fn at_most(what: &'static str, found: u64, limit: u64) -> Step<()> {
    if found > limit { Err(Fault::Limit { what, found, limit }) } else { Ok(()) }
}

impl<'a> Machine<'a> {
    /// Before the first opcode, which lies at `start`.
    pub(super) fn new(bytes: &'a [u8], start: usize, most_copied: u64) -> Self {
        Machine {
            cursor: Cursor::new(bytes, start),
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            unused: HashMap::new(),
            used: HashSet::new(),
            stateless: HashMap::new(),
            dictionaries: HashSet::new(),
            copied: 0,
            most_copied,
        }
    }
}

impl Machine<'_> {
    pub(super) fn add(&mut self, value: Value) -> Step<Ref> {
        at_most("values in the pickle", self.values.len() as u64 + 1, MAX_VALUES as u64)?;
        let at = Ref(self.values.len() as u32);
        self.values.push(value);
        Ok(at)
    }

    /// Counts bytes that were copied out of earlier values. Few bytes of a pickle can name a long value again and again, so
    /// that copies are not bounded by the pickle's length as everything else is.
    pub(super) fn charge(&mut self, what: &'static str, bytes: usize) -> Step<()> {
        self.copied = self.copied.saturating_add(bytes as u64);
        at_most(what, self.copied, self.most_copied)
    }

    pub(super) fn push(&mut self, value: Value) -> Step<()> {
        let at = self.add(value)?;
        self.stack.push(at);
        Ok(())
    }

    /// Values below the newest mark belong to an outer structure.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    pub(super) fn pop(&mut self) -> Step<Ref> {
        if self.stack.len() <= self.floor() {
            return Err(UNDERFLOW.into());
        }
        self.stack.pop().ok_or(UNDERFLOW.into())
    }

    pub(super) fn top(&self) -> Step<Ref> {
        if self.stack.len() <= self.floor() {
            return Err(UNDERFLOW.into());
        }
        self.stack.last().copied().ok_or(UNDERFLOW.into())
    }

    pub(super) fn pop_mark(&mut self) -> Step<Vec<Ref>> {
        let mark = self.marks.pop().ok_or(NO_MARK)?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    pub(super) fn value(&self, at: Ref) -> &Value {
        self.values.get(at.0 as usize).unwrap_or(&Value::None)
    }

    pub(super) fn value_mut(&mut self, at: Ref) -> Step<&mut Value> {
        self.values.get_mut(at.0 as usize).ok_or(Fault::Damaged(UNDERFLOW))
    }

    pub(super) fn tuple(&mut self, n: usize) -> Step<()> {
        let start = self.stack.len().checked_sub(n).filter(|s| *s >= self.floor()).ok_or(UNDERFLOW)?;
        let items = self.stack.split_off(start);
        self.push(Value::Tuple(items))
    }

    pub(super) fn remember(&mut self, key: u32) -> Step<()> {
        let top = self.top()?;
        self.memo.insert(key, top);
        at_most("values remembered by the pickle", self.memo.len() as u64, MAX_VALUES as u64)
    }

    pub(super) fn recall(&mut self, key: u32) -> Step<()> {
        let at = *self.memo.get(&key).ok_or("it recalls what was never remembered")?;
        self.stack.push(at);
        Ok(())
    }
}
