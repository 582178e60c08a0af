//! The interpreter against plain loops in float64 and against itself.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails by panicking")]

use caf_net::zoo::caf::{self, CafConfig};
use caf_net::zoo::pipeline::{self, ColourMode, PipelineConfig, Samples};
use caf_net::zoo::yolov5::{self, YoloConfig};
use caf_net::{Graph, Op};
use caf_torch::{GradOptions, Mode, Params, TorchError, forward, gradients};
use tch::{Device, Kind, Tensor};

fn noise(shape: &[i64], seed: u64) -> Tensor {
    let count = shape.iter().product::<i64>() as u64;
    let hash = |i: u64| {
        let mut x = i.wrapping_add(seed << 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x ^= x >> 29;
        x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (x >> 40) as f64 / (1u64 << 24) as f64
    };
    Tensor::from_slice(&(0..count).map(hash).collect::<Vec<f64>>()).view(shape)
}

fn flat(x: &Tensor) -> Vec<f64> {
    Vec::<f64>::try_from(x.contiguous().view([-1]).to_kind(Kind::Double)).unwrap()
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

/// One plane after another, every op of the fusion network as loops.
struct Loops<'a> {
    graph: &'a Graph,
    params: &'a Params,
    height: usize,
    width: usize,
}

impl Loops<'_> {
    fn run(&self, inputs: &[Vec<Vec<f64>>]) -> Vec<Vec<f64>> {
        let mut values: Vec<Vec<Vec<f64>>> = inputs.to_vec();
        for node in self.graph.nodes() {
            let read: Vec<&Vec<Vec<f64>>> = node.inputs.iter().map(|v| &values[v.index()]).collect();
            let made = match &node.op {
                Op::Conv(conv) => {
                    let spec = self.graph.param(conv.weight);
                    let weight = flat(self.params.get(conv.weight));
                    let bias = flat(self.params.get(conv.bias.unwrap()));
                    self.conv(read[0], &weight, &bias, spec.shape[0], spec.shape[2], conv.padding[0])
                }
                Op::Norm(n) => {
                    let [w, b, m, v] =
                        [n.weight, n.bias, n.running_mean, n.running_var].map(|id| flat(self.params.get(id)));
                    let scale = |c: usize, x: &f64| (x - m[c]) / (v[c] + n.eps).sqrt() * w[c] + b[c];
                    read[0].iter().enumerate().map(|(c, p)| p.iter().map(|x| scale(c, x)).collect()).collect()
                }
                Op::Activation(caf_net::Activation::Relu) => map(read[0], |x| x.max(0.0)),
                Op::Activation(caf_net::Activation::Tanh) => map(read[0], f64::tanh),
                Op::Concat { axis: 1 } => read.iter().flat_map(|x| x.iter().cloned()).collect(),
                other => panic!("the fusion network has no {other:?}"),
            };
            values.push(made);
        }
        values[self.graph.outputs()[0].value.index()].clone()
    }

    fn conv(&self, x: &[Vec<f64>], weight: &[f64], bias: &[f64], out: usize, k: usize, pad: usize) -> Vec<Vec<f64>> {
        let (h, w) = (self.height as i64, self.width as i64);
        let at = |plane: &[f64], y: i64, x: i64| {
            if y < 0 || x < 0 || y >= h || x >= w { 0.0 } else { plane[(y * w + x) as usize] }
        };
        let mut result = vec![vec![0.0; (h * w) as usize]; out];
        for (o, plane) in result.iter_mut().enumerate() {
            for y in 0..h {
                for col in 0..w {
                    let mut sum = bias[o];
                    for (c, input) in x.iter().enumerate() {
                        for ky in 0..k {
                            for kx in 0..k {
                                let value = at(input, y + ky as i64 - pad as i64, col + kx as i64 - pad as i64);
                                sum += weight[((o * x.len() + c) * k + ky) * k + kx] * value;
                            }
                        }
                    }
                    plane[(y * w + col) as usize] = sum;
                }
            }
        }
        result
    }
}

fn map(x: &[Vec<f64>], f: impl Fn(f64) -> f64) -> Vec<Vec<f64>> {
    x.iter().map(|p| p.iter().map(|v| f(*v)).collect()).collect()
}

#[test]
fn the_fusion_network_equals_plain_loops() {
    let graph = caf::graph(&CafConfig { width: 4, depth: 2, normalised: true }).unwrap();
    let params = Params::init(&graph, 5, Device::Cpu, Kind::Double).unwrap();
    for (i, tensor) in params.tensors().iter().enumerate() {
        // Running statistics other than 0 and 1, or a swap of the two would not show.
        if tensor.is_floating_point() && tensor.size().len() == 1 {
            tensor.shallow_clone().copy_(&(noise(&tensor.size(), i as u64) + 0.5));
        }
    }
    let (h, w) = (6, 9);
    let (ir, vi) = (noise(&[1, 1, h, w], 1), noise(&[1, 1, h, w], 2));
    let fused = &forward(&graph, &params, &[&ir, &vi], Mode::Eval).unwrap()[0];
    let loops = Loops { graph: &graph, params: &params, height: h as usize, width: w as usize };
    let expected = loops.run(&[vec![flat(&ir)], vec![flat(&vi)]]);
    let found = flat(fused);
    assert_eq!(found.len(), expected[0].len());
    for (a, b) in found.iter().zip(&expected[0]) {
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    }
}

#[test]
fn only_training_moves_statistics_and_evaluation_of_the_batch_uses_the_batch() {
    let graph = caf::graph(&CafConfig { width: 4, depth: 1, normalised: true }).unwrap();
    let params = Params::init(&graph, 5, Device::Cpu, Kind::Float).unwrap();
    let before = params.deep_clone().unwrap();
    let inputs = [noise(&[2, 1, 8, 8], 1).to_kind(Kind::Float), noise(&[2, 1, 8, 8], 2).to_kind(Kind::Float)];
    let run = |mode| forward(&graph, &params, &[&inputs[0], &inputs[1]], mode).unwrap().remove(0);
    let unchanged = || params.tensors().iter().zip(before.tensors()).all(|(a, b)| a.equal(b));
    let evaluated = run(Mode::Eval);
    let on_batch = run(Mode::BatchStatistics);
    assert!(unchanged());
    assert!(largest_difference(&evaluated, &on_batch) > 1e-4, "the two modes must differ here");
    let trained = run(Mode::Train { seed: 0 });
    assert!(trained.equal(&on_batch), "training uses the batch's statistics");
    assert!(!unchanged());
    let counts = graph.params().iter().position(|p| p.name == "encoder1.1.num_batches_tracked").unwrap();
    assert_eq!(params.tensors()[counts].int64_value(&[]), 1);
}

#[test]
fn statistics_of_a_single_value_are_refused_and_change_nothing() {
    let graph = caf::graph(&CafConfig { width: 4, depth: 1, normalised: true }).unwrap();
    let params = Params::init(&graph, 5, Device::Cpu, Kind::Float).unwrap();
    let before = params.deep_clone().unwrap();
    let zeros = |shape: [i64; 4]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
    let run = |shape, mode| forward(&graph, &params, &[&zeros(shape), &zeros(shape)], mode);
    for mode in [Mode::Train { seed: 0 }, Mode::BatchStatistics] {
        let error = run([1, 1, 1, 1], mode).unwrap_err();
        assert!(matches!(&error, TorchError::Statistics { shape, .. } if shape[2..] == [1, 1]), "{error}");
        assert!(error.to_string().contains("`encoder1.1`"), "{error}");
    }
    assert!(params.tensors().iter().zip(before.tensors()).all(|(a, b)| a.equal(b)));
    run([1, 1, 1, 1], Mode::Eval).unwrap();
    for shape in [[2, 1, 1, 1], [1, 1, 1, 2], [1, 1, 2, 1]] {
        run(shape, Mode::Train { seed: 0 }).unwrap();
        let finite = |t: &Tensor| t.isfinite().all().int64_value(&[]) == 1;
        assert!(params.tensors().iter().all(finite), "{shape:?}");
    }
}

#[test]
fn gradients_equal_central_differences() {
    let graph = caf::graph(&CafConfig { width: 4, depth: 1, normalised: true }).unwrap();
    let mut params = Params::init(&graph, 5, Device::Cpu, Kind::Double).unwrap();
    params.set_requires_grad(true);
    let (ir, vi) = (noise(&[2, 1, 7, 7], 1), noise(&[2, 1, 7, 7], 2));
    let loss =
        |p: &Params| forward(&graph, p, &[&ir, &vi], Mode::BatchStatistics).unwrap()[0].square().mean(Kind::Double);
    let trainable = params.trainable();
    let grads = gradients(&loss(&params), &trainable, GradOptions::default()).unwrap();
    let step = 1e-6;
    for (i, grad) in grads.iter().enumerate() {
        let moved = |by: f64| {
            let others: Vec<Tensor> =
                trainable.iter().enumerate().map(|(j, t)| if i == j { t.detach() + by } else { t.detach() }).collect();
            loss(&params.with_trainable(&others).unwrap()).double_value(&[])
        };
        let difference = (moved(step) - moved(-step)) / (2.0 * step);
        let sum = grad.sum(Kind::Double).double_value(&[]);
        assert!((difference - sum).abs() < 1e-6 * (1.0 + sum.abs()), "tensor {i}: {difference} {sum}");
    }
}

#[test]
fn colour_survives_a_fusion_that_returns_the_luma() {
    let config = PipelineConfig {
        fusion: CafConfig { width: 2, depth: 1, normalised: false }.into(),
        samples: Samples::Bytes,
        colour: ColourMode::Rgb,
        size: None,
        batch: None,
        tasks: vec![],
    };
    let graph = pipeline::graph(&config).unwrap();
    let params = Params::init(&graph, 1, Device::Cpu, Kind::Float).unwrap();
    let rgb = (noise(&[1, 5, 7, 3], 3) * 255.0).round().to_kind(Kind::Uint8);
    let ir = (noise(&[1, 5, 7, 1], 4) * 255.0).round().to_kind(Kind::Uint8);
    let fused = forward(&graph, &params, &[&ir, &rgb], Mode::Eval).unwrap().remove(0);
    assert_eq!((fused.size(), fused.kind()), (vec![1, 5, 7, 3], Kind::Uint8));
    // Cb and Cr of the result are those of the visible image wherever nothing was clipped.
    let (a, b) = (rgb.to_kind(Kind::Double), fused.to_kind(Kind::Double));
    let change = &b - &a;
    let spread = change.amax([3], true) - change.amin([3], true);
    let clipped = b.eq(0.0).logical_or(&b.eq(255.0)).any_dim(3, true);
    let worst = spread.masked_fill(&clipped, 0.0).max().double_value(&[]);
    assert!(worst <= 1.0, "channels moved apart by {worst} levels, rounding allows 1");
}

#[test]
fn decoded_rows_follow_the_formula() {
    let config = YoloConfig { depth: 0.33, width: 0.125, classes: 2, anchors_px: yolov5::COCO_ANCHORS_PX };
    let graph = yolov5::graph(&config).unwrap();
    let params = Params::init(&graph, 9, Device::Cpu, Kind::Double).unwrap();
    let outputs = forward(&graph, &params, &[&noise(&[1, 3, 64, 96], 6)], Mode::Eval).unwrap();
    let (rows, mut row) = (&outputs[3], 0);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    for (level, head) in outputs[..3].iter().enumerate() {
        let (ny, nx) = (head.size()[2], head.size()[3]);
        for anchor in 0..3i64 {
            for (y, x) in (0..ny).flat_map(|y| (0..nx).map(move |x| (y, x))) {
                let s = |k: i64| sigmoid(head.double_value(&[0, anchor * 7 + k, y, x]));
                let stride = yolov5::STRIDES[level] as f64;
                let size = config.anchors_px[level][anchor as usize];
                let expected = [
                    (2.0 * s(0) - 0.5 + x as f64) * stride,
                    (2.0 * s(1) - 0.5 + y as f64) * stride,
                    (2.0 * s(2)).powi(2) * size[0],
                    (2.0 * s(3)).powi(2) * size[1],
                    s(4),
                    s(5),
                    s(6),
                ];
                for (k, e) in expected.into_iter().enumerate() {
                    assert!((rows.double_value(&[0, row, k as i64]) - e).abs() < 1e-9);
                }
                row += 1;
            }
        }
    }
    assert_eq!(row, rows.size()[1]);
}

#[test]
fn wrong_inputs_are_errors_that_name_the_node() {
    let graph = caf::graph(&CafConfig { width: 4, depth: 1, normalised: true }).unwrap();
    let params = Params::init(&graph, 5, Device::Cpu, Kind::Float).unwrap();
    let x = Tensor::zeros([1, 1, 8, 8], (Kind::Float, Device::Cpu));
    let other = Tensor::zeros([1, 1, 8, 9], (Kind::Float, Device::Cpu));
    assert!(matches!(
        forward(&graph, &params, &[&x], Mode::Eval),
        Err(TorchError::Inputs { expected: 2, found: 1, .. })
    ));
    let error = forward(&graph, &params, &[&x, &other], Mode::Eval).unwrap_err().to_string();
    assert!(error.contains("`encoders`"), "{error}");
    let foreign =
        Params::init(&yolov5::graph(&YoloConfig::new(yolov5::Variant::N, 2)).unwrap(), 1, Device::Cpu, Kind::Float);
    assert!(matches!(forward(&graph, &foreign.unwrap(), &[&x, &x], Mode::Eval), Err(TorchError::ForeignParams { .. })));
}
