//! Names in a pickle and the inert objects made of them.

use super::globals::{self, Function, Global};
use super::stack::{Machine, Sighting, Step, at_most, refused};
use super::value::{MAX_NAME, Ref, Value};

/// A module's state names its parameters among the first attributes; more are not searched.
const MODULE_ATTRIBUTES: usize = 256;
pub(super) const NOT_A_MODULE: &str = "a class outside the list may only be a module with `_parameters` and `_modules`";

/// What a name in a pickle stands for, and the name in full.
pub(super) struct Named {
    full: Box<str>,
    global: Global,
}

impl Named {
    pub(super) fn new(module: &str, name: &str) -> Step<Self> {
        at_most("bytes of a class name", (module.len() + 1 + name.len()) as u64, MAX_NAME as u64)?;
        Ok(Named { full: format!("{module}.{name}").into(), global: globals::lookup(module, name) })
    }
}

impl Machine<'_> {
    /// What a value that is called is called in a message.
    pub(super) fn describe(&self, at: Ref) -> String {
        match self.value(at) {
            Value::Class(name) => name.to_string(),
            Value::Object { .. } => format!("{} (an instance)", self.class_name(at)),
            Value::Function(function) => format!("{function:?}"),
            _ => "a value that is no function".into(),
        }
    }

    fn class_name(&self, object: Ref) -> String {
        match self.value(object) {
            Value::Object { class, .. } => self.describe(*class),
            _ => "no object".into(),
        }
    }

    pub(super) fn global(&mut self, Named { full, global }: Named, here: Sighting) -> Step<()> {
        self.charge("bytes copied by the pickle, the last into a class name", full.len())?;
        match global {
            Global::Function(function) => self.push(Value::Function(function)),
            Global::KnownClass => {
                self.used.insert(full.clone());
                self.push(Value::Class(full))
            }
            Global::ForeignClass => {
                if !self.used.contains(&full) {
                    self.unused.entry(full.clone()).or_insert(here);
                }
                self.push(Value::Class(full))
            }
            Global::Refused(why) => Err(refused(full.into(), why)),
        }
    }

    pub(super) fn instantiate(&mut self, class: Ref, arguments: Ref, here: Sighting) -> Step<()> {
        match self.value(class) {
            Value::Class(name) => {
                let name = name.clone();
                if !matches!(self.value(arguments), Value::Tuple(items) if items.is_empty()) {
                    return Err(refused(name.into(), "it makes an object with arguments"));
                }
                let foreign = !globals::is_known(&name);
                if foreign {
                    self.unused.remove(&name);
                    self.used.insert(name);
                }
                let at = self.add(Value::Object { class, state: None })?;
                if foreign {
                    self.stateless.insert(at, here);
                }
                self.stack.push(at);
                Ok(())
            }
            Value::Function(Function::Dict) => self.push(Value::Dict(Vec::new())),
            _ => Err(refused(self.describe(class), "it makes an object of something that is no module class")),
        }
    }

    pub(super) fn build(&mut self, state: Ref) -> Step<()> {
        let top = self.top()?;
        match self.value(top) {
            Value::Object { .. } => {
                if self.stateless.contains_key(&top) {
                    if !self.is_module_state(state) {
                        return Err(refused(self.class_name(top), NOT_A_MODULE));
                    }
                    self.stateless.remove(&top);
                }
                if let Value::Object { state: slot, .. } = self.value_mut(top)? {
                    *slot = Some(state);
                }
                Ok(())
            }
            // Attributes of a dictionary (`_metadata`) and of values that are not kept.
            Value::Dict(_) | Value::Set(_) | Value::Inert => Ok(()),
            _ => Err(refused(self.describe(top), "it sets attributes of something that is no object")),
        }
    }

    fn is_module_state(&self, state: Ref) -> bool {
        let dict = match self.value(state) {
            Value::Tuple(parts) => parts.first().copied().unwrap_or(state),
            _ => state,
        };
        let Value::Dict(pairs) = self.value(dict) else { return false };
        pairs
            .iter()
            .take(MODULE_ATTRIBUTES)
            .any(|(key, _)| matches!(self.value(*key), Value::Str(k) if matches!(&**k, "_modules" | "_parameters")))
    }
}
