//! The probe set: inputs of the model, and what the network should make of them.
//!
//! Stored as safetensors: `NAME.input.PORT` and `NAME.output.PORT`; the metadata say under the key `caf.probes.1` what computed the
//! outputs.

use caf_contract::{Array, Values};
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView, serialize};
use std::collections::{BTreeMap, HashMap};

/// Key of the metadata that tells the format and its version; its value is the reference.
const FORMAT: &str = "caf.probes.1";

/// One set of inputs with its outputs, each under the name of its port.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Probe {
    /// What it is called; no dots.
    pub name: String,
    /// What the model is given.
    pub inputs: Vec<(String, Array)>,
    /// What it should give.
    pub outputs: Vec<(String, Array)>,
}

/// Probes, and what computed their outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeSet {
    /// What computed the outputs, for people: an engine, its version, how it was used.
    pub reference: String,
    /// The probes, at least one, by name.
    pub probes: Vec<Probe>,
}

/// Why bytes are no probe set.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// They are no safetensors file.
    #[error("no safetensors file: {0}")]
    File(#[from] SafeTensorError),
    /// The metadata says something else.
    #[error("expected the key `{FORMAT}` in its metadata, found {found}")]
    Format {
        /// What it says.
        found: String,
    },
    /// A tensor that is none of a probe's.
    #[error("tensor `{tensor}`: expected {expected}, found {found}")]
    Tensor {
        /// Its name.
        tensor: String,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// There is nothing to compare.
    #[error("expected at least one probe with inputs and outputs, found {found}")]
    Empty {
        /// The probe without, or none at all.
        found: String,
    },
}

impl ProbeSet {
    /// Reads a probe set.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProbeError> {
        let (_, metadata) = SafeTensors::read_metadata(bytes)?;
        let said = metadata.metadata().clone().unwrap_or_default();
        let Some(reference) = said.get(FORMAT).cloned() else {
            let mut keys: Vec<&str> = said.keys().map(String::as_str).collect();
            keys.sort_unstable();
            return Err(ProbeError::Format { found: format!("the keys `{}`", keys.join(", ")) });
        };
        let file = SafeTensors::deserialize(bytes)?;
        let mut names = file.names();
        names.sort_unstable();
        let mut probes: BTreeMap<&str, Probe> = BTreeMap::new();
        for tensor in names {
            let wrong = |expected, found| ProbeError::Tensor { tensor: tensor.to_owned(), expected, found };
            let parts: Vec<&str> = tensor.splitn(3, '.').collect();
            let &[name, side @ ("input" | "output"), port] = parts.as_slice() else {
                return Err(wrong("a name PROBE.input.PORT or PROBE.output.PORT", "another".to_owned()));
            };
            let view = file.tensor(tensor)?;
            let values = match view.dtype() {
                Dtype::U8 => Values::U8(view.data().to_vec()),
                Dtype::F32 => Values::F32(view.data().as_chunks().0.iter().map(|v| f32::from_le_bytes(*v)).collect()),
                other => return Err(wrong("bytes (U8) or floats (F32)", format!("{other:?}"))),
            };
            let array = Array { shape: view.shape().to_vec(), values };
            let probe = probes.entry(name).or_insert_with(|| Probe { name: name.to_owned(), ..Probe::default() });
            let list = if side == "input" { &mut probe.inputs } else { &mut probe.outputs };
            list.push((port.to_owned(), array));
        }
        let half = probes.values().find(|probe| probe.inputs.is_empty() || probe.outputs.is_empty());
        match half {
            Some(probe) => Err(ProbeError::Empty { found: format!("`{}`", probe.name) }),
            None if probes.is_empty() => Err(ProbeError::Empty { found: "none".to_owned() }),
            None => Ok(Self { reference, probes: probes.into_values().collect() }),
        }
    }

    /// The bytes of the file; the same for the same set.
    ///
    /// # Errors
    /// When a shape does not fit its elements.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ProbeError> {
        let mut stored: Vec<(String, Dtype, &[usize], Vec<u8>)> = vec![];
        for probe in &self.probes {
            for (side, list) in [("input", &probe.inputs), ("output", &probe.outputs)] {
                for (port, array) in list {
                    let (dtype, bytes) = match &array.values {
                        Values::U8(values) => (Dtype::U8, values.clone()),
                        Values::F32(values) => (Dtype::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
                    };
                    stored.push((format!("{}.{side}.{port}", probe.name), dtype, &array.shape, bytes));
                }
            }
        }
        let mut views = Vec::with_capacity(stored.len());
        for (name, dtype, shape, bytes) in &stored {
            views.push((name.as_str(), TensorView::new(*dtype, shape.to_vec(), bytes)?));
        }
        // One key: a map of several has no order, and the same set must give the same bytes.
        let metadata = HashMap::from([(FORMAT.to_owned(), self.reference.clone())]);
        Ok(serialize(views, Some(metadata))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> ProbeSet {
        let bytes = |v: &[u8]| Array { shape: vec![1, 1, v.len(), 1], values: Values::U8(v.to_vec()) };
        let floats = |v: &[f32]| Array { shape: vec![v.len()], values: Values::F32(v.to_vec()) };
        let probe = |name: &str, seed: u8| Probe {
            name: name.into(),
            inputs: vec![("ir".into(), bytes(&[seed, 7])), ("vi".into(), bytes(&[1, 2, 3]))],
            outputs: vec![("fused".into(), bytes(&[9])), ("predictions".into(), floats(&[0.5, f32::MIN_POSITIVE]))],
        };
        ProbeSet { reference: "by hand".into(), probes: vec![probe("0", 3), probe("1", 4)] }
    }

    #[test]
    fn survives_the_round_trip_and_has_one_form() {
        let bytes = set().to_bytes().unwrap();
        assert_eq!(ProbeSet::from_bytes(&bytes).unwrap(), set());
        for _ in 0..8 {
            assert_eq!(set().to_bytes().unwrap(), bytes);
        }
    }

    #[test]
    fn what_is_no_probe_set_is_refused() {
        assert!(matches!(ProbeSet::from_bytes(b"{}"), Err(ProbeError::File(_))));
        let bytes = set().to_bytes().unwrap();
        let cut = &bytes[..bytes.len() - 1];
        assert!(matches!(ProbeSet::from_bytes(cut), Err(ProbeError::File(_))));
        let foreign = serialize(Vec::<(String, TensorView<'_>)>::new(), None).unwrap();
        assert!(matches!(ProbeSet::from_bytes(&foreign), Err(ProbeError::Format { .. })));
        let none = ProbeSet { probes: vec![], ..set() };
        assert!(matches!(ProbeSet::from_bytes(&none.to_bytes().unwrap()), Err(ProbeError::Empty { .. })));
        let mut half = set();
        half.probes[1].outputs.clear();
        let error = ProbeSet::from_bytes(&half.to_bytes().unwrap()).unwrap_err();
        assert!(matches!(&error, ProbeError::Empty { found } if found == "`1`"), "{error}");
        let mut misshapen = set();
        misshapen.probes[0].inputs[0].1.shape = vec![5];
        assert!(misshapen.to_bytes().is_err());
    }
}
