//! Memory of a model's inputs and outputs, made once and used for every frame.

use caf_contract::Element;
use ort::memory::Allocator;
use ort::session::{IoBinding, Session};
use ort::value::Tensor;

/// An input or output to make memory for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot<'a> {
    /// Its name.
    pub name: &'a str,
    /// Type of its elements.
    pub element: Element,
    /// Its extents.
    pub shape: Vec<usize>,
}

/// Elements to read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum View<'a> {
    /// Bytes.
    U8(&'a [u8]),
    /// Floats.
    F32(&'a [f32]),
}

/// Elements to write.
#[derive(Debug, PartialEq)]
pub enum ViewMut<'a> {
    /// Bytes.
    U8(&'a mut [u8]),
    /// Floats.
    F32(&'a mut [f32]),
}

/// Memory of one input or output.
struct Memory {
    name: String,
    tensor: TensorOf,
}

enum TensorOf {
    U8(Tensor<u8>),
    F32(Tensor<f32>),
}

impl Memory {
    fn new(slot: &Slot<'_>) -> ort::Result<Self> {
        let allocator = Allocator::default();
        let tensor = match slot.element {
            Element::U8 => Tensor::new(&allocator, slot.shape.clone()).map(TensorOf::U8),
            Element::F32 => Tensor::new(&allocator, slot.shape.clone()).map(TensorOf::F32),
        };
        Ok(Self { name: slot.name.to_owned(), tensor: tensor? })
    }

    fn bind_input(&self, io: &mut IoBinding) -> ort::Result<()> {
        match &self.tensor {
            TensorOf::U8(tensor) => io.bind_input(self.name.as_str(), tensor),
            TensorOf::F32(tensor) => io.bind_input(self.name.as_str(), tensor),
        }
    }

    fn bind_output(&mut self, io: &mut IoBinding) -> ort::Result<()> {
        match &mut self.tensor {
            TensorOf::U8(tensor) => io.bind_output(self.name.as_str(), tensor),
            TensorOf::F32(tensor) => io.bind_output(self.name.as_str(), tensor),
        }
    }
}

/// Memory of all inputs and outputs, bound to a session.
pub struct Binding {
    io: IoBinding,
    inputs: Vec<Memory>,
    outputs: Vec<Memory>,
}

impl Binding {
    pub(crate) fn new(session: &Session, inputs: &[Slot<'_>], outputs: &[Slot<'_>]) -> ort::Result<Self> {
        let make = |slots: &[Slot<'_>]| slots.iter().map(Memory::new).collect::<ort::Result<Vec<_>>>();
        let mut binding = Self { io: session.create_binding()?, inputs: make(inputs)?, outputs: make(outputs)? };
        binding.bind_inputs()?;
        let Self { io, outputs, .. } = &mut binding;
        outputs.iter_mut().try_for_each(|output| output.bind_output(io))?;
        Ok(binding)
    }

    pub(crate) fn bind_inputs(&mut self) -> ort::Result<()> {
        let Self { io, inputs, .. } = self;
        inputs.iter().try_for_each(|input| input.bind_input(io))
    }

    pub(crate) fn run(&self, session: &mut Session) -> ort::Result<()> {
        session.run_binding(&self.io).map(drop)?;
        self.io.synchronize_outputs()
    }

    /// Where the elements of an input are written, by its place among the inputs of [`crate::Engine::bind`].
    pub fn input(&mut self, index: usize) -> Option<ViewMut<'_>> {
        self.inputs.get_mut(index).map(|memory| match &mut memory.tensor {
            TensorOf::U8(tensor) => ViewMut::U8(tensor.extract_tensor_mut().1),
            TensorOf::F32(tensor) => ViewMut::F32(tensor.extract_tensor_mut().1),
        })
    }

    /// The elements of an output, by its place among the outputs of [`crate::Engine::bind`].
    #[must_use]
    pub fn output(&self, index: usize) -> Option<View<'_>> {
        self.outputs.get(index).map(|memory| match &memory.tensor {
            TensorOf::U8(tensor) => View::U8(tensor.extract_tensor().1),
            TensorOf::F32(tensor) => View::F32(tensor.extract_tensor().1),
        })
    }
}

impl std::fmt::Debug for Binding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = |memory: &[Memory]| memory.iter().map(|m| m.name.clone()).collect::<Vec<_>>();
        f.debug_struct("Binding")
            .field("inputs", &names(&self.inputs))
            .field("outputs", &names(&self.outputs))
            .finish_non_exhaustive()
    }
}
