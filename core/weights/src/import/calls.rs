//! Names, calls and objects, with every effect removed: what a pickle would call is told apart by its name, and comes to plain data,
//! to an inert value, or to a refusal.

use super::machine::{Machine, Sighting, Step, at_most, refused};
use super::names::{self, Function, Global};
use super::value::{MAX_NAME, Ref, StorageRef, TensorRef, Value};

/// A module's state names its parameters among the first attributes; more are not searched.
const MODULE_ATTRIBUTES: usize = 256;
pub(super) const NOT_INERT: &str = "a class outside the list may only be a module with `_parameters` and `_modules`, or a dictionary or list with items";

/// What a name in a pickle stands for, and the name in full.
pub(super) struct Named {
    full: Box<str>,
    global: Global,
}

impl Named {
    pub(super) fn new(module: &str, name: &str) -> Step<Self> {
        at_most("bytes of a class name", (module.len() + 1 + name.len()) as u64, MAX_NAME as u64)?;
        Ok(Named { full: format!("{module}.{name}").into(), global: names::lookup(module, name) })
    }
}

/// Whether a full name is written like a class, with a capital letter; functions are not.
fn is_class_name(full: &str) -> bool {
    let name = full.rsplit_once('.').map_or(full, |(_, name)| name);
    name.trim_start_matches('_').starts_with(|c: char| c.is_uppercase())
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

    /// NEWOBJ: an instance of a class, before it has a state.
    pub(super) fn instantiate(&mut self, class: Ref, arguments: Ref, here: Sighting) -> Step<()> {
        match self.value(class) {
            Value::Class(name) => {
                let name = name.clone();
                if !matches!(self.value(arguments), Value::Tuple(items) if items.is_empty()) {
                    return Err(refused(name.into(), "it makes an object with arguments"));
                }
                let foreign = !names::is_known(&name);
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
            Value::Function(Function::Dict | Function::DefaultDict) => self.push(Value::Dict(Vec::new())),
            Value::Function(Function::Opaque) => self.push(Value::Opaque),
            _ => Err(refused(self.describe(class), "it makes an object of something that is no module class")),
        }
    }

    /// BUILD: the state of an object.
    pub(super) fn build(&mut self, state: Ref) -> Step<()> {
        let top = self.top()?;
        match self.value(top) {
            Value::Object { .. } => {
                if self.stateless.contains_key(&top) {
                    if !self.is_module_state(state) {
                        return Err(refused(self.class_name(top), NOT_INERT));
                    }
                    self.stateless.remove(&top);
                }
                if let Value::Object { state: slot, .. } = self.value_mut(top)? {
                    *slot = Some(state);
                }
                Ok(())
            }
            // Attributes of containers (`_metadata`) and of values that are not built.
            Value::Dict(_) | Value::Set(_) | Value::List(_) | Value::Opaque => Ok(()),
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

    /// APPEND, APPENDS, ADDITEMS.
    pub(super) fn append(&mut self, items: Vec<Ref>) -> Step<()> {
        let top = self.top()?;
        if !items.is_empty() {
            self.becomes(top, Value::List(Vec::new()))?;
        }
        match self.value_mut(top)? {
            Value::List(list) | Value::Set(list) => list.extend(items),
            Value::Opaque => {}
            _ => return Err("it appends to something that is no list".into()),
        }
        Ok(())
    }

    /// SETITEM, SETITEMS: keys and values in turn.
    pub(super) fn set_items(&mut self, items: &[Ref]) -> Step<()> {
        let pairs = items.chunks_exact(2);
        if !pairs.remainder().is_empty() {
            return Err("a key has no value".into());
        }
        let pairs: Vec<(Ref, Ref)> = pairs.filter_map(|p| Some((*p.first()?, *p.get(1)?))).collect();
        let top = self.top()?;
        if !pairs.is_empty() {
            self.becomes(top, Value::Dict(Vec::new()))?;
        }
        match self.value_mut(top)? {
            Value::Dict(dict) => dict.extend(pairs),
            Value::Opaque => {}
            _ => return Err("it sets items of something that is no dictionary".into()),
        }
        Ok(())
    }

    /// An object of a class outside the list that is given items is of a subclass of `dict` or `list`: that container stays, the class
    /// goes.
    fn becomes(&mut self, at: Ref, container: Value) -> Step<()> {
        if self.stateless.remove(&at).is_some() {
            self.dictionaries.insert(self.class_name(at).into());
            *self.value_mut(at)? = container;
        }
        Ok(())
    }

    /// REDUCE: what a call comes to.
    pub(super) fn reduce(&mut self, function: Ref, arguments: Ref, here: Sighting) -> Step<()> {
        let function = match self.value(function) {
            Value::Function(function) => *function,
            // `SimpleNamespace()`, and dictionaries of a class of their own before their items.
            Value::Class(name)
                if is_class_name(name) && matches!(self.value(arguments), Value::Tuple(items) if items.is_empty()) =>
            {
                return self.instantiate(function, arguments, here);
            }
            _ => return Err(refused(self.describe(function), "only functions that build plain data may be called")),
        };
        let Value::Tuple(arguments) = self.value(arguments) else {
            return Err("the arguments are no tuple".into());
        };
        let first = arguments.first().copied();
        let value = match function {
            Function::Dict => self.dictionary(first)?,
            Function::DefaultDict => {
                let items = arguments.get(1).copied();
                self.dictionary(items)?
            }
            Function::Set => {
                let members = first.and_then(|at| self.items(at)).unwrap_or_default().to_vec();
                self.charge("bytes copied by the pickle, the last into a set", size_of_val(members.as_slice()))?;
                Value::Set(members)
            }
            Function::Size => match first {
                Some(items) => {
                    self.stack.push(items);
                    return Ok(());
                }
                None => Value::Tuple(Vec::new()),
            },
            Function::Opaque => Value::Opaque,
            Function::Parameter => {
                let tensor = first.filter(|at| matches!(self.value(*at), Value::Tensor(_)));
                self.stack.push(tensor.ok_or("a parameter is made of something that is no tensor")?);
                return Ok(());
            }
            Function::Tensor => {
                let tensor = self.tensor(arguments)?;
                let extents = size_of_val(tensor.shape.as_slice()) + size_of_val(tensor.strides.as_slice());
                self.charge("bytes copied by the pickle, the last into a tensor's extents", extents)?;
                Value::Tensor(tensor)
            }
            Function::Storage(_) => return Err(refused("a torch storage class".into(), "it is called")),
        };
        self.push(value)
    }

    /// A dictionary of a list of two-element tuples or lists, of another dictionary, or of nothing.
    fn dictionary(&mut self, items: Option<Ref>) -> Step<Value> {
        let pairs = match items.map(|at| (at, self.value(at))) {
            None => Vec::new(),
            Some((_, Value::Dict(pairs))) => pairs.clone(),
            Some((at, _)) => self.pairs(at)?,
        };
        self.charge("bytes copied by the pickle, the last into a dictionary", size_of_val(pairs.as_slice()))?;
        Ok(Value::Dict(pairs))
    }

    fn pairs(&self, at: Ref) -> Step<Vec<(Ref, Ref)>> {
        const SHAPE: &str = "an ordered dictionary is made of something that is no list of pairs";
        let items = self.items(at).ok_or(SHAPE)?;
        let mut pairs = Vec::with_capacity(items.len());
        for item in items {
            match self.items(*item) {
                Some([key, value]) => pairs.push((*key, *value)),
                _ => return Err(SHAPE.into()),
            }
        }
        Ok(pairs)
    }

    fn items(&self, at: Ref) -> Option<&[Ref]> {
        match self.value(at) {
            Value::Tuple(items) | Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// `(storage, offset, size, stride, …)`, counted in elements.
    fn tensor(&self, arguments: &[Ref]) -> Step<TensorRef> {
        let [storage, offset, shape, strides, ..] = arguments else {
            return Err("a tensor is made of less than storage, offset, size and stride".into());
        };
        if !matches!(self.value(*storage), Value::Storage(_)) {
            return Err("a tensor is made of something that is no storage".into());
        }
        let shape = self.extents(*shape)?;
        let strides = self.extents(*strides)?;
        if shape.len() != strides.len() {
            return Err("a tensor's size and stride differ in length".into());
        }
        Ok(TensorRef { storage: *storage, offset: self.natural(*offset)?, shape, strides })
    }

    fn extents(&self, at: Ref) -> Step<Vec<u64>> {
        /// PyTorch's own limit on the number of extents.
        const MAX_RANK: usize = 64;
        let items = self.items(at).ok_or("a tensor's size or stride is no tuple")?;
        if items.len() > MAX_RANK {
            return Err("a tensor has more than 64 extents".into());
        }
        items.iter().map(|item| self.natural(*item)).collect()
    }

    fn natural(&self, at: Ref) -> Step<u64> {
        match self.value(at) {
            Value::Int(n) => Ok(u64::try_from(*n).map_err(|_| "an extent is negative")?),
            _ => Err("an extent is no integer".into()),
        }
    }

    /// BINPERSID: `('storage', class, key, location, elements)`; the oldest files add a view, which must be none.
    pub(super) fn storage(&self, id: Ref) -> Step<StorageRef> {
        const SHAPE: &str = "the persistent id is no storage";
        let Value::Tuple(parts) = self.value(id) else { return Err(SHAPE.into()) };
        let [kind, class, key, _location, len, view @ ..] = parts.as_slice() else { return Err(SHAPE.into()) };
        if !matches!(self.value(*kind), Value::Str(kind) if &**kind == "storage") {
            return Err(SHAPE.into());
        }
        let Value::Function(Function::Storage(dtype)) = self.value(*class) else {
            return Err(refused(self.describe(*class), "it stands where a storage class belongs"));
        };
        if view.iter().any(|v| !matches!(self.value(*v), Value::None)) {
            return Err("views of storages are not supported".into());
        }
        let key = match self.value(*key) {
            Value::Str(key) => {
                at_most("bytes of a storage's key", key.len() as u64, MAX_NAME as u64)?;
                key.clone()
            }
            Value::Int(key) => key.to_string().into(),
            _ => return Err(SHAPE.into()),
        };
        Ok(StorageRef { key, dtype: *dtype, len: self.natural(*len)? })
    }
}
