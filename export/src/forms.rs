//! The values of a graph in the forms that nodes of different precision read them in.

use crate::error::ExportError;
use crate::precision::{Arithmetic, Plan, Steps};
use crate::proto::data_type;
use crate::writer::{Attr, Writer};
use caf_net::Value;
use std::collections::{HashMap, HashSet};

/// Names in the ONNX file of values in single and in half precision and as floats that were integers, by the names of the values. Made
/// when first read.
pub(crate) struct Forms<'a> {
    plan: &'a Plan,
    /// Values that leave the file, which are in single precision under their own names.
    outputs: HashSet<&'a str>,
    single: HashMap<String, String>,
    half: HashMap<String, String>,
    integers: HashMap<String, String>,
}

impl<'a> Forms<'a> {
    pub fn new(plan: &'a Plan, inputs: impl Iterator<Item = &'a str>, outputs: HashSet<&'a str>) -> Self {
        let single = inputs.map(|name| (name.to_owned(), name.to_owned())).collect();
        Self { plan, outputs, single, half: HashMap::new(), integers: HashMap::new() }
    }

    /// What a node of this arithmetic reads of a value.
    pub fn read(
        &mut self,
        w: &mut Writer,
        value: Value,
        name: &str,
        arithmetic: Arithmetic,
    ) -> Result<String, ExportError> {
        let (there, other) = match arithmetic {
            Arithmetic::Single => (&mut self.single, &self.half),
            Arithmetic::Half => (&mut self.half, &self.single),
            Arithmetic::Int8 => (&mut self.integers, &self.single),
        };
        if let Some(form) = there.get(name) {
            return Ok(form.clone());
        }
        let source = other.get(name).map_or(name, String::as_str);
        let form = match arithmetic {
            Arithmetic::Single => cast(w, source, format!("{name}/single"), data_type::FLOAT)?,
            Arithmetic::Half if self.plan.imitates() => rounded(w, source, format!("{name}/half"))?,
            Arithmetic::Half => cast(w, source, format!("{name}/half"), data_type::FLOAT16)?,
            Arithmetic::Int8 => match self.plan.int8().and_then(|plan| plan.steps(value)) {
                Some(steps) => w.through_integers(source, format!("{name}/integers"), steps)?,
                None => source.to_owned(),
            },
        };
        there.insert(name.to_owned(), form.clone());
        Ok(form)
    }

    /// The name that the node which makes a value gives its result.
    pub fn target(&self, value: Value, name: &str, arithmetic: Arithmetic) -> String {
        match arithmetic {
            Arithmetic::Single | Arithmetic::Int8 if self.stored(value).is_some() && self.outputs.contains(name) => {
                format!("{name}/exact")
            }
            Arithmetic::Single | Arithmetic::Int8 => name.to_owned(),
            Arithmetic::Half if self.plan.imitates() => format!("{name}/exact"),
            Arithmetic::Half if self.outputs.contains(name) => format!("{name}/half"),
            Arithmetic::Half => name.to_owned(),
        }
    }

    /// Adds what follows the node that made a value under the name of [`Forms::target`].
    pub fn made(
        &mut self,
        w: &mut Writer,
        value: Value,
        name: &str,
        arithmetic: Arithmetic,
    ) -> Result<(), ExportError> {
        let target = self.target(value, name, arithmetic);
        match (arithmetic, self.stored(value)) {
            (Arithmetic::Single | Arithmetic::Int8, None) => {
                self.single.insert(name.to_owned(), target);
            }
            (Arithmetic::Single | Arithmetic::Int8, Some(steps)) => {
                // All read the integers, so that the engine need not make floats as well.
                let form = if target == name { format!("{name}/integers") } else { name.to_owned() };
                w.through_integers(&target, form.clone(), steps)?;
                self.single.insert(name.to_owned(), form.clone());
                self.integers.insert(name.to_owned(), form);
            }
            (Arithmetic::Half, _) if self.plan.imitates() => {
                rounded(w, &target, name.to_owned())?;
                self.single.insert(name.to_owned(), name.to_owned());
                self.half.insert(name.to_owned(), name.to_owned());
            }
            (Arithmetic::Half, _) => {
                if target != name {
                    cast(w, &target, name.to_owned(), data_type::FLOAT)?;
                    self.single.insert(name.to_owned(), name.to_owned());
                }
                self.half.insert(name.to_owned(), target);
            }
        }
        Ok(())
    }
}

impl Forms<'_> {
    fn stored(&self, value: Value) -> Option<Steps> {
        self.plan.int8().and_then(|plan| plan.stored(value))
    }
}

fn cast(w: &mut Writer, from: &str, name: String, to: i32) -> Result<String, ExportError> {
    w.node("Cast", &[from], name, &[("to", Attr::Int(to.into()))])
}

/// Rounded to half precision and back; ONNX Runtime keeps such pairs of casts.
fn rounded(w: &mut Writer, from: &str, name: String) -> Result<String, ExportError> {
    let half = cast(w, from, format!("{name}/rounded"), data_type::FLOAT16)?;
    cast(w, &half, name, data_type::FLOAT)
}
