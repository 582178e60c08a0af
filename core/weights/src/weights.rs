//! Named tensors in order.

use crate::cause::DuplicateName;
use crate::error::WeightsError;
use crate::tensor::HostTensor;
use std::collections::{BTreeMap, HashMap};

/// Tensors by name, in the order they were put in, with string metadata.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    entries: Vec<(String, HostTensor)>,
    index: HashMap<String, usize>,
    metadata: BTreeMap<String, String>,
}

impl Weights {
    /// No tensors, no metadata.
    pub fn new() -> Self {
        Weights::default()
    }

    /// Appends a tensor.
    ///
    /// # Errors
    /// [`WeightsError::Duplicate`] when the name is taken; nothing changes then.
    pub fn insert(&mut self, name: impl Into<String>, tensor: HostTensor) -> Result<(), WeightsError> {
        Ok(self.add(name, tensor)?)
    }

    /// [`Weights::insert`] with the cause alone, for errors that have more to say.
    pub(crate) fn add(&mut self, name: impl Into<String>, tensor: HostTensor) -> Result<(), DuplicateName> {
        let name = name.into();
        if self.index.contains_key(&name) {
            return Err(DuplicateName { name });
        }
        self.index.insert(name.clone(), self.entries.len());
        self.entries.push((name, tensor));
        Ok(())
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&HostTensor> {
        self.index.get(name).and_then(|i| self.entries.get(*i)).map(|(_, tensor)| tensor)
    }

    /// Puts another tensor in an existing tensor's place; returns the old one, or `None` (and does nothing) when there is
    /// no such name.
    pub fn replace(&mut self, name: &str, tensor: HostTensor) -> Option<HostTensor> {
        let slot = self.index.get(name).and_then(|i| self.entries.get_mut(*i))?;
        Some(std::mem::replace(&mut slot.1, tensor))
    }

    /// Names and tensors in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &HostTensor)> {
        self.entries.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no tensors.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Strings that travel with the tensors, such as the kind of network.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Sets one metadata string, replacing an earlier one.
    pub fn set_metadata(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.metadata.insert(key.into(), value.into());
    }

    /// Turns every tensor of four extents from height, width, in, out (TensorFlow's convolutions) to out, in, height, width;
    /// returns how many.
    pub fn transpose_hwio(&mut self) -> usize {
        let kernels = self.entries.iter_mut().filter(|(_, tensor)| tensor.shape().len() == 4);
        kernels.map(|(_, tensor)| *tensor = tensor.permuted([3, 2, 0, 1])).count()
    }

    /// Names and tensors in order, and the metadata.
    pub(crate) fn into_parts(self) -> (Vec<(String, HostTensor)>, BTreeMap<String, String>) {
        (self.entries, self.metadata)
    }

    /// The same tensors with every float type turned into F32.
    pub fn widened(&self) -> Weights {
        Weights {
            entries: self.entries.iter().map(|(name, tensor)| (name.clone(), tensor.widened())).collect(),
            index: self.index.clone(),
            metadata: self.metadata.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_refuses_a_second_of_one_name() {
        let mut w = Weights::new();
        let t = HostTensor::from_f32(&[1], &[1.0]).unwrap();
        w.insert("b", t.clone()).unwrap();
        w.insert("a", t.clone()).unwrap();
        assert_eq!(w.add("b", t.clone()), Err(DuplicateName { name: "b".into() }));
        assert_eq!(w.iter().map(|(n, _)| n).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!((w.len(), w.get("a"), w.get("c")), (2, Some(&t), None));
        let other = HostTensor::from_f32(&[1], &[2.0]).unwrap();
        assert_eq!(w.replace("a", other.clone()), Some(t));
        assert_eq!(w.get("a"), Some(&other));
        assert_eq!(w.replace("zzz", other), None);
    }
}
