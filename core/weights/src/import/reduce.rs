//! REDUCE and persistent ids: the few calls whose results are plain data.

use super::globals::Function;
use super::stack::{Machine, Step, at_most, refused};
use super::value::{MAX_NAME, Ref, StorageRef, TensorRef, Value};

impl Machine<'_> {
    /// What a call comes to.
    pub(super) fn reduce(&mut self, function: Ref, arguments: Ref) -> Step<Ref> {
        let Value::Function(function) = *self.value(function) else {
            return Err(refused(self.describe(function), "only functions that build plain data may be called"));
        };
        let Value::Tuple(arguments) = self.value(arguments) else {
            return Err("the arguments are no tuple".into());
        };
        let first = arguments.first().copied();
        match function {
            Function::Dict => {
                let pairs = match first {
                    Some(pairs) => self.pairs(pairs)?,
                    None => Vec::new(),
                };
                self.charge("bytes copied by the pickle, the last into a dictionary", size_of_val(pairs.as_slice()))?;
                self.add(Value::Dict(pairs))
            }
            Function::Set => {
                let members = first.and_then(|at| self.items(at)).unwrap_or_default().to_vec();
                self.charge("bytes copied by the pickle, the last into a set", size_of_val(members.as_slice()))?;
                self.add(Value::Set(members))
            }
            Function::Size => match first {
                Some(items) => Ok(items),
                None => self.add(Value::Tuple(Vec::new())),
            },
            Function::Inert => self.add(Value::Inert),
            Function::Parameter => {
                let tensor = first.filter(|at| matches!(self.value(*at), Value::Tensor(_)));
                Ok(tensor.ok_or("a parameter is made of something that is no tensor")?)
            }
            Function::Tensor => {
                let tensor = self.tensor(arguments)?;
                let extents = size_of_val(tensor.shape.as_slice()) + size_of_val(tensor.strides.as_slice());
                self.charge("bytes copied by the pickle, the last into a tensor's extents", extents)?;
                self.add(Value::Tensor(tensor))
            }
            Function::Storage(_) => Err(refused("a torch storage class".into(), "it is called")),
        }
    }

    /// A list of two-element tuples or lists.
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

    /// `('storage', class, key, location, elements)`; the oldest files add a view, which must be none.
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
