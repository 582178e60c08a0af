//! Runs a model on pairs of images with memory that is made once for each image size.

use std::time::{Duration, Instant};

use caf_contract::{Colour, Contract, Extents, INPUT_IR, INPUT_VI, Mismatch, OUTPUT_FUSED, Port, check_elements};
use caf_engine::{Binding, Engine, Slot, View, ViewMut};
use caf_geometry::Size;

use super::Model;
use crate::error::RuntimeError;
use crate::frame::{FrameError, ImageView, PixelFormat};
use crate::pixels;

/// How long the parts of one run took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// Copying pixels into the input tensors.
    pub pre: Duration,
    /// Inference, copies to and from a device included.
    pub infer: Duration,
}

/// Everything bound for one pair of image sizes.
struct Bound {
    binding: Binding,
    ir: Size,
    vi: Size,
    /// Place and meaning of the fused output.
    fused: (usize, Colour),
}

/// A model with its memory.
pub struct Runner {
    engine: Engine,
    contract: Contract,
    bound: Option<Bound>,
}

/// What one run produced; borrowed from the runner until the next run.
pub struct Fused<'a> {
    binding: &'a Binding,
    fused: (usize, Colour),
    /// Size of the fused image.
    pub size: Size,
    /// How long it took.
    pub timings: Timings,
}

impl Fused<'_> {
    /// Copies the fused image to `width × height × 3` bytes of RGB.
    ///
    /// # Errors
    /// When `rgb` has another length.
    pub fn write_rgb(&self, rgb: &mut [u8]) -> Result<(), FrameError> {
        let (place, colour) = self.fused;
        match self.binding.output(place) {
            Some(View::U8(values)) => pixels::bytes_to_rgb(values, colour, rgb),
            Some(View::F32(values)) => pixels::floats_to_rgb(values, colour, rgb),
            None => pixels::bytes_to_rgb(&[], colour, rgb),
        }
    }

    /// The elements of an output, by its place in the contract.
    #[must_use]
    pub fn output(&self, place: usize) -> Option<View<'_>> {
        self.binding.output(place)
    }
}

impl Runner {
    /// Takes a model; memory is bound at the first run.
    #[must_use]
    pub fn new(model: Model) -> Self {
        let Model { engine, contract } = model;
        Self { engine, contract, bound: None }
    }

    /// Fuses a black pair when the model's size is fixed, so that what the first run costs (memory, kernels, engines) is paid
    /// before a camera starts. `None` when the size is not known yet.
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub fn warm_up(&mut self) -> Result<Option<Duration>, RuntimeError> {
        let size = |name| self.contract.input(name).ok().and_then(Port::fixed_size);
        let (Some(ir), Some(vi)) = (size(INPUT_IR), size(INPUT_VI)) else { return Ok(None) };
        let rgb = |size: Size| {
            check_elements("the model's images", &[size.height, size.width, 3]).map_err(RuntimeError::Images)
        };
        let black = vec![0; rgb(ir)?.max(rgb(vi)?)];
        let view = |s: Size| ImageView::new(&black, s, s.width * 3, PixelFormat::Rgb8);
        let (Ok(ir), Ok(vi)) = (view(ir), view(vi)) else { return Ok(None) };
        let start = Instant::now();
        self.run(&ir, &vi)?;
        Ok(Some(start.elapsed()))
    }

    /// Fuses a pair. The first run, and the first after a change of size, binds memory; every other run allocates nothing
    /// here.
    ///
    /// # Errors
    /// When the model takes no images of that size, or inference fails.
    pub fn run(&mut self, ir: &ImageView<'_>, vi: &ImageView<'_>) -> Result<Fused<'_>, RuntimeError> {
        let start = Instant::now();
        let [ir_size, vi_size] = [ir, vi].map(|image| image.size());
        let mut bound = match self.bound.take() {
            Some(bound) if (bound.ir, bound.vi) == (ir_size, vi_size) => bound,
            _ => bind(&self.engine, &self.contract, ir_size, vi_size)?,
        };
        for (place, port) in self.contract.inputs.iter().enumerate() {
            let image = if port.name == INPUT_IR { ir } else { vi };
            match bound.binding.input(place) {
                Some(ViewMut::U8(values)) => pixels::to_bytes(image, port.colour, values)?,
                Some(ViewMut::F32(values)) => pixels::to_floats(image, port.colour, values)?,
                None => {}
            }
        }
        let filled = Instant::now();
        self.engine.run_bound(&mut bound.binding)?;
        let timings = Timings { pre: filled - start, infer: filled.elapsed() };
        let Bound { binding, vi, fused, .. } = self.bound.insert(bound);
        Ok(Fused { binding, fused: *fused, size: *vi, timings })
    }
}

fn bind(engine: &Engine, contract: &Contract, ir: Size, vi: Size) -> Result<Bound, RuntimeError> {
    let mut extents = Extents::default();
    let mut inputs = vec![];
    for port in &contract.inputs {
        let size = if port.name == INPUT_IR { ir } else { vi };
        let shape = extents.bind_image(port, 1, size).map_err(|mismatch| match port.fixed_size() {
            Some(expected) if expected != size => RuntimeError::FixedSize { expected, found: size },
            _ => RuntimeError::Images(mismatch),
        })?;
        inputs.push(Slot { name: &port.name, element: port.element, shape });
    }
    let mut outputs = vec![];
    let mut fused = None;
    for (place, port) in contract.outputs.iter().enumerate() {
        let of_task = contract.task_of(&port.name).and_then(|task| task.output_shape(vi));
        let shape = of_task.map_or_else(|| extents.shape_of(port), |shape| extents.shape_as(port, shape));
        let shape = shape.map_err(RuntimeError::Images)?;
        if port.name == OUTPUT_FUSED {
            check_fused(port, &shape, vi).map_err(RuntimeError::Images)?;
            fused = Some((place, port.colour));
        }
        outputs.push(Slot { name: &port.name, element: port.element, shape });
    }
    // The contract was checked when the model was loaded, so that this cannot be met; it is still an error.
    let fused = fused.ok_or_else(|| RuntimeError::Images(Mismatch::new("outputs", "a fused image", "none")))?;
    Ok(Bound { binding: engine.bind(&inputs, &outputs)?, ir, vi, fused })
}

/// The fused image must be one image of the visible image's size.
fn check_fused(port: &Port, shape: &[usize], vi: Size) -> Result<(), Mismatch> {
    let (height, width, channel) = port.element.image_axes();
    let side = |axis: usize| shape.get(axis).copied();
    let found = [side(0), side(height), side(width), side(channel)];
    if found == [Some(1), Some(vi.height), Some(vi.width), Some(port.colour.channels())] {
        return Ok(());
    }
    Err(Mismatch::new("output `fused`", format!("one image of {vi}"), port.to_string()))
}
