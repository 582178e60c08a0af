//! Derivatives of a graph along a direction of its parameters, taken forwards.
//!
//! A forward pass leaves a [`Trace`]: the values that the derivatives of its ops need. With it, [`Trace::along`] goes through the
//! graph once more, without computing any value again: about two convolutions for each one, and no backward pass. What it gives is
//! the exact derivative, up to rounding.

use crate::conv::convolve;
use crate::error::TorchError;
use crate::forward::run;
use crate::mode::Mode;
use crate::norm::{Centred, batch_mean, parts_of_batch};
use crate::ops::{Site, apply, window};
use crate::params::Params;
use crate::work::count_passes;
use caf_net::{Activation, Conv, Graph, Node, Norm, Op, ParamId};
use tch::{TchError, Tensor};

/// What a forward pass left for derivatives along a direction.
#[derive(Debug)]
pub struct Trace {
    values: Vec<Option<Tensor>>,
    mode: Mode,
    images: u64,
}

/// [`crate::forward()`], and its trace. The trace shares memory with what autograd keeps, where derivatives are recorded.
///
/// # Errors
/// As [`crate::forward()`].
pub fn forward_traced(
    graph: &Graph,
    params: &Params,
    inputs: &[&Tensor],
    mode: Mode,
) -> Result<(Vec<Tensor>, Trace), TorchError> {
    let mut kept = vec![false; graph.value_count()];
    for node in graph.nodes() {
        let (reads, result) = needs(&node.op);
        for value in node.inputs.iter().filter(|_| reads).chain(result.then_some(&node.output)) {
            kept[value.index()] = true;
        }
    }
    let (outputs, mut values) = run(graph, params, inputs, mode, &kept)?;
    share_parts(graph, &mut values)?;
    let images = inputs.first().and_then(|x| x.size().first().copied()).unwrap_or(1).cast_unsigned();
    Ok((outputs, Trace { values, mode, images }))
}

/// Makes kept values that a kept concatenation repeats parts of it: each is in memory once.
fn share_parts(graph: &Graph, values: &mut [Option<Tensor>]) -> Result<(), TchError> {
    // The last concatenation first, so that parts of its parts are parts of it.
    for node in graph.nodes().iter().rev() {
        let Op::Concat { axis } = node.op else { continue };
        let Some(whole) = values[node.output.index()].as_ref().map(Tensor::shallow_clone) else { continue };
        let mut start = 0;
        for value in &node.inputs {
            let Some(part) = &mut values[value.index()] else { break };
            let extent = part.size().get(axis).copied().unwrap_or(0);
            *part = whole.f_narrow(axis as i64, start, extent)?;
            start += extent;
        }
    }
    Ok(())
}

/// Whether the derivative of an op needs what it reads, and its result.
fn needs(op: &Op) -> (bool, bool) {
    match op {
        Op::Activation(Activation::Relu | Activation::Tanh | Activation::Sigmoid) => (false, true),
        Op::Clamp { .. } | Op::ResizeLike | Op::Crop { .. } => (false, true),
        // Parts of a concatenation only lend their shape, where one does not move.
        Op::Conv(_) | Op::Norm(_) | Op::PRelu { .. } | Op::Mul | Op::Activation(_) | Op::Concat { .. } => (true, false),
        // The places of the maxima.
        Op::MaxPool { .. } => (true, false),
        _ => (false, false),
    }
}

impl Trace {
    /// d outputs(ω + t `direction`) / dt at t = 0, in the order of the outputs; `direction` is in the order of
    /// [`Params::trainable`], and the inputs do not move.
    ///
    /// `params` are those of the forward pass.
    ///
    /// # Errors
    /// [`TorchError::NoTangent`] for an op without a rule here, and when libtorch refuses.
    pub fn along(mut self, graph: &Graph, params: &Params, direction: &[Tensor]) -> Result<Vec<Tensor>, TorchError> {
        let _guard = tch::no_grad_guard();
        let direction = params.with_trainable(direction)?;
        let mut left = vec![0usize; graph.value_count()];
        for value in graph.nodes().iter().flat_map(|n| &n.inputs).chain(graph.outputs().iter().map(|o| &o.value)) {
            left[value.index()] += 1;
        }
        // None does not move.
        let mut tangents: Vec<Option<Tensor>> = (0..graph.inputs().len()).map(|_| None).collect();
        for node in graph.nodes() {
            let rule = Rule { graph, node, trace: &self, params, direction: &direction };
            let moving: Vec<Option<Tensor>> =
                node.inputs.iter().map(|v| tangents[v.index()].as_ref().map(Tensor::shallow_clone)).collect();
            let tangent = rule.apply(&moving)?;
            tangents.push(tangent);
            for value in &node.inputs {
                left[value.index()] -= 1;
                if left[value.index()] == 0 {
                    tangents[value.index()] = None;
                    self.values[value.index()] = None;
                }
            }
        }
        count_passes(graph.name(), |passes| passes.tangent += self.images);
        let still = |output: &caf_net::Output| TorchError::Op {
            op: "output",
            node: output.name.clone(),
            source: TchError::Shape("does not depend on any parameter".to_owned()),
        };
        graph.outputs().iter().map(|o| tangents[o.value.index()].take().ok_or_else(|| still(o))).collect()
    }
}

/// The rule of one node.
struct Rule<'a> {
    graph: &'a Graph,
    node: &'a Node,
    trace: &'a Trace,
    params: &'a Params,
    direction: &'a Params,
}

impl Rule<'_> {
    /// The tangent of the result, none where it does not move.
    fn apply(&self, moving: &[Option<Tensor>]) -> Result<Option<Tensor>, TorchError> {
        let op = &self.node.op;
        let no_tangent = || TorchError::NoTangent { op: op.kind(), node: self.node.name.clone() };
        let has_parameters =
            matches!(op, Op::Conv(_) | Op::Norm(_) | Op::PRelu { .. } | Op::LayerNorm(_) | Op::Linear(_));
        if !has_parameters && moving.iter().all(Option::is_none) {
            return Ok(None);
        }
        let first = moving.first().and_then(Option::as_ref);
        let found = match op {
            Op::Conv(conv) => self.conv(conv, first),
            Op::Norm(norm) => self.norm(norm, first),
            Op::Activation(activation) => self.activation(*activation, first),
            Op::PRelu { slope } => self.prelu(*slope, first),
            Op::Add | Op::Sub if self.is_repeated(moving) => return Err(no_tangent()),
            Op::Add | Op::Sub => self.sum(moving),
            Op::Mul => self.product(moving),
            Op::Affine { scale, .. } => one(first).and_then(|t| t.f_mul_scalar(*scale)),
            Op::Concat { axis } => self.concat(*axis, moving),
            Op::Slice { .. }
            | Op::Permute { .. }
            | Op::ReflectPad { .. }
            | Op::UpsampleNearest { .. }
            | Op::PixelShuffle { .. }
            | Op::MeanPool { .. }
            | Op::GlobalMean => one(first).and_then(|t| self.linear(op, t)),
            // Their second input lends nothing but its extents, which the result has.
            Op::ResizeLike | Op::Crop { .. } if first.is_none() => return Ok(None),
            Op::ResizeLike | Op::Crop { .. } => one(first).and_then(|t| self.linear_like(op, t)),
            Op::MaxPool { kernel, stride, padding } => {
                one(first).and_then(|t| self.max_pool([*kernel, *stride, *padding], t))
            }
            // What lies at a limit was limited.
            Op::Clamp { min, max } => one(first).and_then(|t| self.result()?.f_hardtanh_backward(t, *min, *max)),
            Op::Pad { top, bottom, left, right, .. } => {
                let zeros = Op::Pad { top: *top, bottom: *bottom, left: *left, right: *right, value: 0.0 };
                one(first).and_then(|t| self.linear(&zeros, t))
            }
            // Named one by one, so that a new op has to be decided on here as well.
            Op::LayerNorm(_)
            | Op::Linear(_)
            | Op::Dropout { .. }
            | Op::MatMul
            | Op::Softmax { .. }
            | Op::ArgMax { .. }
            | Op::Constant { .. }
            | Op::Indices { .. }
            | Op::Reshape { .. }
            | Op::ResizeBilinear { .. }
            | Op::Letterbox { .. }
            | Op::UnitFromBytes
            | Op::BytesFromUnit => return Err(no_tangent()),
        };
        let error = |source| TorchError::Op { op: op.kind(), node: self.node.name.clone(), source };
        found.map(Some).map_err(error)
    }

    fn read(&self, i: usize) -> Result<&Tensor, TchError> {
        let value = self.node.inputs.get(i).and_then(|v| self.trace.values.get(v.index())?.as_ref());
        value.ok_or_else(|| TchError::Shape(format!("input {i} is not in the trace")))
    }

    fn result(&self) -> Result<&Tensor, TchError> {
        let value = self.trace.values.get(self.node.output.index()).and_then(Option::as_ref);
        value.ok_or_else(|| TchError::Shape("the result is not in the trace".to_owned()))
    }

    fn conv(&self, conv: &Conv, moving: Option<&Tensor>) -> Result<Tensor, TchError> {
        let window = window(conv);
        let bias = conv.bias.map(|id| self.direction.get(id));
        let mut tangent = convolve(self.read(0)?, self.direction.get(conv.weight), bias, &window)?;
        if let Some(moving) = moving {
            let _ = tangent.f_add_(&convolve(moving, self.params.get(conv.weight), None, &window)?)?;
        }
        Ok(tangent)
    }

    /// With x̂ = (x − μ) / σ and y = γ x̂ + β: dy = γ dx̂ + dγ x̂ + dβ, where for statistics of the batch
    /// dx̂ = (dx − mean(dx) − x̂ mean(x̂ dx)) / σ, and for the running ones dx / σ.
    fn norm(&self, norm: &Norm, moving: Option<&Tensor>) -> Result<Tensor, TchError> {
        let x = self.read(0)?;
        let by_channel = |t: &Tensor| t.f_view([1, -1, 1, 1]);
        let none = None::<&Tensor>;
        let (mut normalised, over_sigma) = match self.trace.mode {
            Mode::Eval => {
                let [mean, variance] = [norm.running_mean, norm.running_var].map(|id| by_channel(self.params.get(id)));
                let over_sigma = variance?.f_add_scalar(norm.eps)?.f_rsqrt()?;
                (x.f_sub(&mean?)?.f_mul_(&over_sigma)?, over_sigma)
            }
            Mode::BatchStatistics | Mode::Train { .. } if parts_of_batch() > 1 => {
                let Centred { mut x, over_sigma, .. } = Centred::of(x, norm.eps)?;
                (x.f_mul_(&over_sigma)?, over_sigma)
            }
            Mode::BatchStatistics | Mode::Train { .. } => {
                let (normalised, _, over_sigma) = x.f_native_batch_norm(none, none, none, none, true, 0.0, norm.eps)?;
                (normalised, by_channel(&over_sigma)?)
            }
        };
        let [d_scale, d_shift] = [norm.weight, norm.bias].map(|id| by_channel(self.direction.get(id)));
        let (mut along_normalised, mut constant) = (d_scale?, d_shift?);
        let Some(moving) = moving else {
            return normalised.f_mul(&along_normalised)?.f_add(&constant);
        };
        let slope = by_channel(self.params.get(norm.weight))?.f_mul(&over_sigma)?;
        if self.trace.mode != Mode::Eval {
            along_normalised = along_normalised.f_sub(&slope.f_mul(&batch_mean(&normalised.f_mul(moving)?)?)?)?;
            constant = constant.f_sub(&slope.f_mul(&batch_mean(moving)?)?)?;
        }
        normalised.f_mul_(&along_normalised)?.f_add_(&constant)?.f_addcmul_(moving, &slope)
    }

    fn activation(&self, activation: Activation, moving: Option<&Tensor>) -> Result<Tensor, TchError> {
        let moving = one(moving)?;
        match activation {
            Activation::Relu => self.result()?.f_threshold_backward(moving, 0.0),
            Activation::Tanh => Tensor::f_tanh_backward(moving, self.result()?),
            Activation::Sigmoid => Tensor::f_sigmoid_backward(moving, self.result()?),
            Activation::LeakyRelu { slope } => self.read(0)?.f_leaky_relu_backward(moving, slope, false),
            Activation::Silu => self.read(0)?.f_silu_backward(moving),
            Activation::Gelu => self.read(0)?.f_gelu_backward(moving, "none"),
        }
    }

    /// With y = max(x, 0) + a min(x, 0): dy = dx above zero, a dx below, and da min(x, 0).
    fn prelu(&self, slope: ParamId, moving: Option<&Tensor>) -> Result<Tensor, TchError> {
        let x = self.read(0)?;
        let by_channel = |params: &Params| params.get(slope).f_view([1, -1, 1, 1]);
        let turned = x.f_clamp_max(0.0)?.f_mul(&by_channel(self.direction)?)?;
        let Some(moving) = moving else { return Ok(turned) };
        moving.f_where_self(&x.f_gt(0.0)?, &moving.f_mul(&by_channel(self.params)?)?)?.f_add(&turned)
    }

    /// Whether a lone moving summand is of a smaller shape than the sum.
    fn is_repeated(&self, moving: &[Option<Tensor>]) -> bool {
        let dims = |value| &self.graph.type_of(value).dims;
        let lone = moving.iter().any(Option::is_none);
        let smaller = |(value, tangent): (&caf_net::Value, &Option<Tensor>)| {
            tangent.is_some() && dims(*value) != dims(self.node.output)
        };
        lone && self.node.inputs.iter().zip(moving).any(smaller)
    }

    fn sum(&self, moving: &[Option<Tensor>]) -> Result<Tensor, TchError> {
        match moving {
            [Some(a), Some(b)] if matches!(self.node.op, Op::Sub) => a.f_sub(b),
            [Some(a), Some(b)] => a.f_add(b),
            [Some(a), None] => Ok(a.shallow_clone()),
            [None, Some(b)] if matches!(self.node.op, Op::Sub) => b.f_neg(),
            [None, Some(b)] => Ok(b.shallow_clone()),
            _ => Err(nothing()),
        }
    }

    fn product(&self, moving: &[Option<Tensor>]) -> Result<Tensor, TchError> {
        let part = |i: usize, other: usize| match moving.get(i).and_then(Option::as_ref) {
            Some(tangent) => Ok::<_, TchError>(Some(tangent.f_mul(self.read(other)?)?)),
            None => Ok(None),
        };
        match (part(0, 1)?, part(1, 0)?) {
            (Some(a), Some(b)) => a.f_add(&b),
            (Some(a), None) | (None, Some(a)) => Ok(a),
            (None, None) => Err(nothing()),
        }
    }

    fn concat(&self, axis: usize, moving: &[Option<Tensor>]) -> Result<Tensor, TchError> {
        let part = |(i, tangent): (usize, &Option<Tensor>)| match tangent {
            Some(tangent) => Ok(tangent.shallow_clone()),
            None => self.read(i)?.f_zeros_like(),
        };
        let parts = moving.iter().enumerate().map(part).collect::<Result<Vec<_>, TchError>>()?;
        Tensor::f_cat(&parts, axis as i64)
    }

    fn linear(&self, op: &Op, tangent: &Tensor) -> Result<Tensor, TchError> {
        self.of_tangents(op, &[tangent.shallow_clone()])
    }

    /// The same for an op whose second input lends its extents to the result.
    fn linear_like(&self, op: &Op, tangent: &Tensor) -> Result<Tensor, TchError> {
        self.of_tangents(op, &[tangent.shallow_clone(), self.result()?.shallow_clone()])
    }

    /// The tangents of the places that the maxima come from.
    fn max_pool(&self, window: [usize; 3], tangent: &Tensor) -> Result<Tensor, TchError> {
        let [kernel, stride, padding] = window.map(|v| [v as i64; 2]);
        let (largest, places) = self.read(0)?.f_max_pool2d_with_indices(kernel, stride, padding, [1, 1], false)?;
        tangent.f_flatten(2, 3)?.f_gather(2, &places.f_flatten(2, 3)?, false)?.f_view_as(&largest)
    }

    fn of_tangents(&self, op: &Op, inputs: &[Tensor]) -> Result<Tensor, TchError> {
        let site = Site {
            params: self.params,
            inputs,
            mode: self.trace.mode,
            place: self.node.output.index(),
            is_centred: false,
        };
        apply(op, &site)
    }
}

fn one(tangent: Option<&Tensor>) -> Result<&Tensor, TchError> {
    tangent.ok_or_else(nothing)
}

fn nothing() -> TchError {
    TchError::Shape("nothing moves".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_net::zoo::caf::{CafConfig, graph};
    use tch::{Device, Kind};

    fn small() -> (Graph, Params, [Tensor; 2]) {
        let graph = graph(&CafConfig { width: 4, depth: 2, normalised: true }).unwrap();
        let params = Params::init(&graph, 3, Device::Cpu, Kind::Double).unwrap();
        let image = |phase: f64| {
            (Tensor::arange(2 * 6 * 8, (Kind::Double, Device::Cpu)) * 0.37 + phase).sin().reshape([2, 1, 6, 8])
        };
        (graph, params, [image(0.0), image(1.3)])
    }

    #[test]
    fn a_trace_holds_what_was_concatenated_once() {
        let (graph, params, [ir, vi]) = small();
        let trace = forward_traced(&graph, &params, &[&ir, &vi], Mode::BatchStatistics).unwrap().1;
        let last = graph.nodes().iter().rev().find(|node| matches!(node.op, Op::Concat { .. })).unwrap();
        let begins_and_ends = |value: &caf_net::Value| {
            let tensor = trace.values[value.index()].as_ref().unwrap();
            // An element is 8 bytes; of channels side by side the last channel of the first pixel ends the part.
            let begin = tensor.data_ptr() as usize;
            (begin, begin + 8 * tensor.size()[1] as usize)
        };
        let whole = begins_and_ends(&last.output);
        for node in graph.nodes().iter().filter(|node| matches!(node.op, Op::Concat { .. })) {
            for value in &node.inputs {
                let part = begins_and_ends(value);
                assert!(whole.0 <= part.0 && part.1 <= whole.1, "{}: {part:?} in {whole:?}", node.name);
            }
        }
    }

    /// The statistics of the batch take the bias out again; without them, or without a normalisation, it counts.
    #[test]
    fn a_bias_before_a_normalisation_has_no_derivative() {
        let (graph, params, [ir, vi]) = small();
        for (mode, counts) in [(Mode::BatchStatistics, false), (Mode::Train { seed: 1 }, false), (Mode::Eval, true)] {
            let (recording, leaves) = params.recording().unwrap();
            let fused = crate::forward(&graph, &recording, &[&ir, &vi], mode).unwrap().remove(0);
            let weights = (Tensor::arange(2 * 6 * 8, (Kind::Double, Device::Cpu)) * 0.9).cos().reshape([2, 1, 6, 8]);
            let found = crate::gradients(&(fused * weights).sum(Kind::Double), &leaves, Default::default()).unwrap();
            let trainable = graph.params().iter().filter(|spec| spec.role.is_trainable());
            let of = |name: &str| {
                let at = trainable.clone().position(|spec| spec.name == name).unwrap();
                found[at].abs().max().double_value(&[])
            };
            assert_eq!(of("dense.0.0.bias") > 0.0, counts, "{mode:?}");
            assert!(of("fuse.0.0.bias") > 0.0 && of("dense.0.0.weight") > 0.0, "{mode:?}");
        }
    }
}
