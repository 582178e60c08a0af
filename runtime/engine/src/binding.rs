//! Memory of a model's inputs and outputs, made once and used for every frame.

use caf_contract::Element;
use ort::memory::{Allocator, MemoryInfo};
use ort::session::{IoBinding, Session};
use ort::value::Tensor;

/// An input or output to make memory for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot<'a> {
    /// Its name.
    pub name: &'a str,
    /// Type of its elements.
    pub element: Element,
    /// Its extents; `None` for an output whose extents only the graph knows.
    pub shape: Option<Vec<usize>>,
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

/// Memory of one input or output; absent until the first run where only the graph knows how much.
struct Memory {
    name: String,
    element: Element,
    tensor: Option<TensorOf>,
}

enum TensorOf {
    U8(Tensor<u8>),
    F32(Tensor<f32>),
}

impl Memory {
    fn new(slot: &Slot<'_>) -> ort::Result<Self> {
        let make = |shape: &Vec<usize>| {
            let allocator = Allocator::default();
            match slot.element {
                Element::U8 => Tensor::new(&allocator, shape.clone()).map(TensorOf::U8),
                Element::F32 => Tensor::new(&allocator, shape.clone()).map(TensorOf::F32),
            }
        };
        let tensor = slot.shape.as_ref().map(make).transpose()?;
        Ok(Self { name: slot.name.to_owned(), element: slot.element, tensor })
    }

    fn bind_input(&self, io: &mut IoBinding) -> ort::Result<()> {
        match &self.tensor {
            Some(TensorOf::U8(tensor)) => io.bind_input(self.name.as_str(), tensor),
            Some(TensorOf::F32(tensor)) => io.bind_input(self.name.as_str(), tensor),
            None => Ok(()),
        }
    }

    fn bind_output(&mut self, io: &mut IoBinding) -> ort::Result<()> {
        match &mut self.tensor {
            Some(TensorOf::U8(tensor)) => io.bind_output(self.name.as_str(), tensor),
            Some(TensorOf::F32(tensor)) => io.bind_output(self.name.as_str(), tensor),
            None => io.bind_output_to_device(self.name.as_str(), &MemoryInfo::default()),
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

    pub(crate) fn run(&mut self, session: &mut Session) -> ort::Result<()> {
        let Self { io, outputs, .. } = self;
        let mut results = session.run_binding(io)?;
        let open = outputs.iter_mut().filter(|output| output.tensor.is_none());
        let mut found = false;
        for output in open {
            found = true;
            // What ONNX Runtime has just made is used from now on.
            output.tensor = match (results.remove(&output.name), output.element) {
                (Some(value), Element::U8) => Some(TensorOf::U8(value.downcast()?)),
                (Some(value), Element::F32) => Some(TensorOf::F32(value.downcast()?)),
                (None, _) => None,
            };
        }
        drop(results);
        io.synchronize_outputs()?;
        if found { outputs.iter_mut().try_for_each(|output| output.bind_output(io)) } else { Ok(()) }
    }

    /// Where the elements of an input are written, by its place among the inputs of [`crate::Engine::bind`].
    pub fn input(&mut self, index: usize) -> Option<ViewMut<'_>> {
        self.inputs.get_mut(index)?.tensor.as_mut().map(|tensor| match tensor {
            TensorOf::U8(tensor) => ViewMut::U8(tensor.extract_tensor_mut().1),
            TensorOf::F32(tensor) => ViewMut::F32(tensor.extract_tensor_mut().1),
        })
    }

    /// The elements of an output, by its place among the outputs of [`crate::Engine::bind`]; `None` before the first run where
    /// only the graph knows how many there are.
    #[must_use]
    pub fn output(&self, index: usize) -> Option<View<'_>> {
        self.outputs.get(index)?.tensor.as_ref().map(|tensor| match tensor {
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
