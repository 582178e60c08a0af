//! One interface to both engines.

use crate::arrays::{bytes, floats};
use caf_engine::{Array, Engine, EngineOptions, Values};
use caf_export::{ExportOptions, onnx};
use caf_net::Graph;
use caf_torch::{Mode, Params, forward};
use caf_weights::Weights;
use tch::{Device, Kind, Tensor};

/// A network loaded by an engine.
pub trait Runner {
    /// Runs it; inputs in the order of the graph, outputs likewise.
    fn run(&mut self, inputs: &[Array]) -> Vec<Array>;
}

/// Loads a graph in evaluation mode.
pub type Load = fn(&Graph, &Weights) -> Box<dyn Runner>;

/// libtorch on the CPU, in single precision.
pub const LIBTORCH: (&str, Load) = ("libtorch", |graph, weights| load_libtorch(graph, weights, Kind::Float));

/// libtorch on the CPU, in double precision; outputs are rounded to single.
pub const LIBTORCH_DOUBLE: (&str, Load) =
    ("libtorch, double", |graph, weights| load_libtorch(graph, weights, Kind::Double));

/// ONNX Runtime on the CPU, normalisations folded into convolutions.
pub const ONNX_FOLDED: (&str, Load) = ("ONNX Runtime, folded", |graph, weights| load_onnx(graph, weights, true));

/// ONNX Runtime on the CPU, normalisations written as they are.
pub const ONNX_UNFOLDED: (&str, Load) = ("ONNX Runtime, unfolded", |graph, weights| load_onnx(graph, weights, false));

struct Libtorch {
    graph: Graph,
    params: Params,
}

fn load_libtorch(graph: &Graph, weights: &Weights, kind: Kind) -> Box<dyn Runner> {
    let params = Params::from_weights(graph, weights, Device::Cpu, kind).unwrap();
    Box::new(Libtorch { graph: graph.clone(), params })
}

impl Runner for Libtorch {
    fn run(&mut self, inputs: &[Array]) -> Vec<Array> {
        let kind = self.params.kind();
        let of_kind = |t: Tensor| if t.kind() == Kind::Float { t.to_kind(kind) } else { t };
        let inputs: Vec<Tensor> = inputs.iter().map(|input| of_kind(tensor(input))).collect();
        let refs: Vec<&Tensor> = inputs.iter().collect();
        let outputs = tch::no_grad(|| forward(&self.graph, &self.params, &refs, Mode::Eval)).unwrap();
        outputs.iter().map(array).collect()
    }
}

struct OnnxRuntime {
    engine: Engine,
    inputs: Vec<String>,
    outputs: Vec<String>,
}

fn load_onnx(graph: &Graph, weights: &Weights, fold: bool) -> Box<dyn Runner> {
    let model = onnx(graph, weights, &ExportOptions { fold, ..ExportOptions::default() }).unwrap();
    Box::new(OnnxRuntime {
        engine: Engine::from_bytes(graph.name(), &model, EngineOptions::CPU).unwrap(),
        inputs: graph.inputs().iter().map(|i| i.name.clone()).collect(),
        outputs: graph.outputs().iter().map(|o| o.name.clone()).collect(),
    })
}

impl Runner for OnnxRuntime {
    fn run(&mut self, inputs: &[Array]) -> Vec<Array> {
        let given: Vec<(&str, Array)> = self.inputs.iter().map(String::as_str).zip(inputs.iter().cloned()).collect();
        let (names, arrays): (Vec<_>, Vec<_>) = self.engine.run(&given).unwrap().into_iter().unzip();
        assert_eq!(names, self.outputs, "names of the outputs");
        arrays
    }
}

/// An array in libtorch.
pub fn tensor(array: &Array) -> Tensor {
    let shape: Vec<i64> = array.shape.iter().map(|n| *n as i64).collect();
    match &array.values {
        Values::F32(values) => Tensor::from_slice(values).view(shape.as_slice()),
        Values::U8(values) => Tensor::from_slice(values).view(shape.as_slice()),
    }
}

/// A tensor of floats or bytes in host memory.
pub fn array(tensor: &Tensor) -> Array {
    let shape: Vec<usize> = tensor.size().iter().map(|n| *n as usize).collect();
    let flat = tensor.detach().contiguous().view([-1]);
    match flat.kind() {
        Kind::Float | Kind::Double => floats(&shape, Vec::try_from(&flat.to_kind(Kind::Float)).unwrap()),
        Kind::Uint8 => bytes(&shape, Vec::try_from(&flat).unwrap()),
        other => panic!("expected floats or bytes, found {other:?}"),
    }
}
