//! Runs a model on pairs of images with memory that is bound once for each image size.

use std::time::{Duration, Instant};

use caf_contract::{Colour, Element, INPUT_IR, INPUT_VI, OUTPUT_FUSED, OUTPUT_PREDICTIONS, Port};
use ort::memory::Allocator;
use ort::session::{IoBinding, Session};
use ort::value::Tensor;

use super::ports::{Mismatch, Names, check_elements, fixed_size};
use super::provider::Provider;
use super::{Model, SessionError};
use crate::frame::{ImageView, PixelFormat};
use crate::pixels;

/// How long the parts of one run took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// Copying pixels into the input tensors.
    pub pre: Duration,
    /// Inference, copies to and from a device included.
    pub infer: Duration,
}

/// Memory of one input or output.
enum Memory {
    Bytes(Tensor<u8>),
    Floats(Tensor<f32>),
}

impl Memory {
    fn new(element: Element, shape: &[usize]) -> ort::Result<Self> {
        let allocator = Allocator::default();
        match element {
            Element::U8 => Tensor::new(&allocator, shape.to_vec()).map(Self::Bytes),
            Element::F32 => Tensor::new(&allocator, shape.to_vec()).map(Self::Floats),
        }
    }

    fn bind_input(&self, io: &mut IoBinding, name: &str) -> ort::Result<()> {
        match self {
            Self::Bytes(t) => io.bind_input(name, t),
            Self::Floats(t) => io.bind_input(name, t),
        }
    }

    fn bind_output(&mut self, io: &mut IoBinding, name: &str) -> ort::Result<()> {
        match self {
            Self::Bytes(t) => io.bind_output(name, t),
            Self::Floats(t) => io.bind_output(name, t),
        }
    }
}

/// An input or output with its memory.
struct Bound {
    name: &'static str,
    colour: Colour,
    memory: Memory,
}

impl Bound {
    fn new(name: &'static str, port: &Port, shape: &[usize]) -> ort::Result<Self> {
        Ok(Self { name, colour: port.colour, memory: Memory::new(port.element, shape)? })
    }

    fn fill(&mut self, image: &ImageView<'_>) -> Result<(), pixels::PixelError> {
        match &mut self.memory {
            Memory::Bytes(t) => pixels::to_bytes(image, self.colour, t.extract_tensor_mut().1),
            Memory::Floats(t) => pixels::to_floats(image, self.colour, t.extract_tensor_mut().1),
        }
    }
}

/// Everything bound for one pair of image sizes.
struct Binding {
    io: IoBinding,
    ir_hw: (usize, usize),
    vi_hw: (usize, usize),
    ir: Bound,
    vi: Bound,
    fused: Bound,
    fused_hw: (usize, usize),
    predictions: Option<Tensor<f32>>,
}

/// A model with its memory.
pub struct Runner {
    session: Session,
    contract: caf_contract::Contract,
    provider: Provider,
    binding: Option<Binding>,
}

/// What one run produced; borrowed from the runner until the next run.
pub struct Fused<'a> {
    fused: &'a Bound,
    /// Width of the fused image.
    pub width_px: usize,
    /// Height of the fused image.
    pub height_px: usize,
    /// Decoded detections that are not yet suppressed, `5 + classes` values a row, when the model detects.
    pub predictions: Option<&'a [f32]>,
    /// How long it took.
    pub timings: Timings,
}

impl Fused<'_> {
    /// Copies the fused image to `width × height × 3` bytes of RGB.
    pub fn write_rgb(&self, rgb: &mut [u8]) -> Result<(), pixels::PixelError> {
        match &self.fused.memory {
            Memory::Bytes(t) => pixels::bytes_to_rgb(t.extract_tensor().1, self.fused.colour, rgb),
            Memory::Floats(t) => pixels::floats_to_rgb(t.extract_tensor().1, self.fused.colour, rgb),
        }
    }
}

impl Runner {
    /// Takes a model; memory is bound at the first run.
    #[must_use]
    pub fn new(model: Model) -> Self {
        let Model { session, contract, provider, .. } = model;
        Self { session, contract, provider, binding: None }
    }

    /// Fuses a black pair when the model's size is fixed, so that what the first run costs (memory, kernels, engines) is paid
    /// before a camera starts. `None` when the size is not known yet.
    pub fn warm_up(&mut self) -> Result<Option<Duration>, SessionError> {
        let ports = (self.contract.input(INPUT_IR), self.contract.input(INPUT_VI));
        let (Ok(ir), Ok(vi)) = ports else { return Ok(None) };
        let ((Some(ir_h), Some(ir_w)), (Some(vi_h), Some(vi_w))) = (fixed_size(ir), fixed_size(vi)) else {
            return Ok(None);
        };
        let rgb = |h, w| check_elements("the model's images", &[h, w, 3]).map_err(SessionError::Images);
        let black = vec![0; rgb(ir_h, ir_w)?.max(rgb(vi_h, vi_w)?)];
        let view = |h: usize, w: usize| ImageView::new(&black, w, h, w * 3, PixelFormat::Rgb8);
        let (Ok(ir), Ok(vi)) = (view(ir_h, ir_w), view(vi_h, vi_w)) else { return Ok(None) };
        let start = Instant::now();
        self.run(&ir, &vi)?;
        Ok(Some(start.elapsed()))
    }

    /// Fuses a pair. The first run, and the first after a change of size, binds memory; every other run allocates nothing
    /// here.
    pub fn run(&mut self, ir: &ImageView<'_>, vi: &ImageView<'_>) -> Result<Fused<'_>, SessionError> {
        let start = Instant::now();
        let (ir_hw, vi_hw) = ((ir.height_px(), ir.width_px()), (vi.height_px(), vi.width_px()));
        let mut binding = match self.binding.take() {
            Some(binding) if (binding.ir_hw, binding.vi_hw) == (ir_hw, vi_hw) => binding,
            _ => bind(&self.session, &self.contract, ir_hw, vi_hw)?,
        };
        binding.ir.fill(ir)?;
        binding.vi.fill(vi)?;
        if self.provider != Provider::Cpu {
            // A device's copy of an input is made when it is bound.
            for input in [&binding.ir, &binding.vi] {
                input.memory.bind_input(&mut binding.io, input.name).map_err(SessionError::Run)?;
            }
        }
        let filled = Instant::now();
        self.session.run_binding(&binding.io).map_err(SessionError::Run).map(drop)?;
        binding.io.synchronize_outputs().map_err(SessionError::Run)?;
        let timings = Timings { pre: filled - start, infer: filled.elapsed() };
        let binding = self.binding.insert(binding);
        Ok(Fused {
            fused: &binding.fused,
            width_px: binding.fused_hw.1,
            height_px: binding.fused_hw.0,
            predictions: binding.predictions.as_ref().map(|t| t.extract_tensor().1),
            timings,
        })
    }
}

fn bind(
    session: &Session,
    contract: &caf_contract::Contract,
    ir_hw: (usize, usize),
    vi_hw: (usize, usize),
) -> Result<Binding, SessionError> {
    // The contract was checked when the model was loaded, so a missing port cannot be met here; it is still an error.
    let absent = |e: caf_contract::ContractError| {
        SessionError::Images(Mismatch {
            place: "contract".into(),
            expected: "a checked contract".into(),
            found: e.to_string(),
        })
    };
    let (ir_port, vi_port) = (contract.input(INPUT_IR).map_err(absent)?, contract.input(INPUT_VI).map_err(absent)?);
    let fused_port = contract.output(OUTPUT_FUSED).map_err(absent)?;
    let mut names = Names::default();
    let ir_shape = names.bind_image(ir_port, ir_hw.0, ir_hw.1).map_err(SessionError::Images)?;
    let vi_shape = names.bind_image(vi_port, vi_hw.0, vi_hw.1).map_err(SessionError::Images)?;
    let fused_shape = names.resolve(fused_port).map_err(SessionError::Images)?;
    let fused_hw = match (fused_port.element, fused_shape.as_slice()) {
        (Element::U8, [1, h, w, _]) | (Element::F32, [1, _, h, w]) => (*h, *w),
        _ => {
            let (expected, found) = ("one image".into(), format!("{fused_shape:?}"));
            return Err(SessionError::Images(Mismatch { place: "output `fused`".into(), expected, found }));
        }
    };
    let run = SessionError::Run;
    let ir = Bound::new(INPUT_IR, ir_port, &ir_shape).map_err(run)?;
    let vi = Bound::new(INPUT_VI, vi_port, &vi_shape).map_err(run)?;
    let mut fused = Bound::new(OUTPUT_FUSED, fused_port, &fused_shape).map_err(run)?;
    let mut io = session.create_binding().map_err(run)?;
    ir.memory.bind_input(&mut io, INPUT_IR).map_err(run)?;
    vi.memory.bind_input(&mut io, INPUT_VI).map_err(run)?;
    fused.memory.bind_output(&mut io, OUTPUT_FUSED).map_err(run)?;
    let mut predictions = None;
    if let Ok(port) = contract.output(OUTPUT_PREDICTIONS) {
        let shape = names.resolve(port).map_err(SessionError::Images)?;
        let mut tensor = Tensor::<f32>::new(&Allocator::default(), shape).map_err(run)?;
        io.bind_output(OUTPUT_PREDICTIONS, &mut tensor).map_err(run)?;
        predictions = Some(tensor);
    }
    Ok(Binding { io, ir_hw, vi_hw, ir, vi, fused, fused_hw, predictions })
}
