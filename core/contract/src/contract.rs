//! The promise.

use crate::error::ContractError;
use crate::ir_range::IrRange;
use crate::port::{Extent, Port, elements};
use crate::task::{Quantity, Task, TaskContract};
use serde::{Deserialize, Serialize};

/// Name of the infrared input.
pub const INPUT_IR: &str = "ir";
/// Name of the visible input.
pub const INPUT_VI: &str = "vi";
/// Name of the input of a model that does not fuse.
pub const INPUT_IMAGE: &str = "image";
/// Name of the fused output.
pub const OUTPUT_FUSED: &str = "fused";

/// Numeric precision of weights and arithmetic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Fp32,
    /// 16-bit floats.
    Fp16,
    /// 8-bit integers with scales.
    Int8,
}

impl Precision {
    /// Its name, as the JSON has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
        }
    }
}

/// A file the model was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What it holds: `fusion` or `task`.
    pub role: String,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub sha256: String,
}

/// The whole promise: `ir`, `vi` → `fused` and the outputs of the tasks, which see the fused image; or `image` → the outputs of
/// the tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// [`crate::VERSION`] at the time of writing.
    pub version: u32,
    /// Numeric precision of the weights and arithmetic.
    pub precision: Precision,
    /// Inputs in graph order.
    pub inputs: Vec<Port>,
    /// Outputs in graph order.
    pub outputs: Vec<Port>,
    /// How 16-bit infrared becomes [0, 1] before it enters the model: as in the training of its network.
    pub infrared_range: IrRange,
    /// What the model does besides fusing.
    pub tasks: Vec<TaskContract>,
    /// Files the weights came from.
    pub sources: Vec<Source>,
}

impl Contract {
    /// Checks that every input and output has between 1 and [`MOST_ELEMENTS`](crate::MOST_ELEMENTS) elements where its open extents are 1.
    ///
    /// # Errors
    /// [`ContractError::Elements`] for the first that has not.
    pub fn check_extents(&self) -> Result<(), ContractError> {
        let extent = |extent: &Extent| extent.fixed().unwrap_or(1);
        let impossible = |port: &&Port| elements(port.shape.iter().map(extent)).is_none();
        match self.inputs.iter().chain(&self.outputs).find(impossible) {
            Some(port) => Err(ContractError::Elements { port: port.to_string() }),
            None => Ok(()),
        }
    }

    /// Whether the model fuses pairs; otherwise it runs its tasks on single images.
    #[must_use]
    pub fn fuses(&self) -> bool {
        self.outputs.iter().any(|port| port.name == OUTPUT_FUSED)
    }

    /// What the model does, for people: `fuses`, `detects`, `fuses, detects and segments`.
    #[must_use]
    pub fn summary(&self) -> String {
        let fuses = self.fuses().then_some("fuses");
        let verbs: Vec<&str> = fuses.into_iter().chain(self.tasks.iter().map(TaskContract::verb)).collect();
        match verbs.as_slice() {
            [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
            _ => verbs.concat(),
        }
    }

    /// Whether the model does a task.
    #[must_use]
    pub fn does(&self, task: &Task) -> bool {
        self.tasks.iter().any(|promise| promise.task() == task)
    }

    /// The task that has this output.
    #[must_use]
    pub fn task_of(&self, output: &str) -> Option<&TaskContract> {
        self.tasks.iter().find(|task| task.output() == output)
    }

    /// What the values of the part of a task's output with this title are; none of what is no such.
    #[must_use]
    pub fn quantity(&self, title: &str) -> Option<Quantity> {
        let titled = |task: &TaskContract| task.parts().into_iter().find(|part| part.title(task.output()) == title);
        self.tasks.iter().find_map(titled).map(|part| part.quantity)
    }

    /// The input of that name.
    ///
    /// # Errors
    /// [`ContractError::Port`] with the names there are.
    pub fn input(&self, name: &str) -> Result<&Port, ContractError> {
        find(&self.inputs, name, "input")
    }

    /// The output of that name.
    ///
    /// # Errors
    /// [`ContractError::Port`] with the names there are.
    pub fn output(&self, name: &str) -> Result<&Port, ContractError> {
        find(&self.outputs, name, "output")
    }
}

fn find<'a>(ports: &'a [Port], name: &str, direction: &'static str) -> Result<&'a Port, ContractError> {
    ports.iter().find(|p| p.name == name).ok_or_else(|| ContractError::Port {
        direction,
        name: name.to_owned(),
        present: ports.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(", "),
    })
}
