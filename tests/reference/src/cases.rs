//! At least one case for each op: sizes that are no multiples of anything, borders, ties, values beyond every limit.

use crate::array::{Array, noise};
use caf_geometry::Size;
use caf_net::{
    Activation, Builder, Conv, Dim, DropUnit, Element, Extent, Graph, LayerNorm, Linear, MeanWindows, Norm, Op,
    ParamId, ParamRole, TensorType, Value,
};
use caf_weights::{HostTensor, Weights};

/// A graph of one op with weights and inputs.
pub struct Case {
    /// The op and what is special.
    pub name: String,
    /// Output `y`.
    pub graph: Graph,
    /// Its parameters.
    pub weights: Weights,
    /// In the order of the graph; whole numbers where the graph takes bytes.
    pub inputs: Vec<Array>,
}

impl Case {
    /// The same with every extent fixed to that of the inputs; nothing when none is open.
    pub fn bound(&self) -> Option<Case> {
        let mut extents: Vec<(String, usize)> = Vec::new();
        for (input, array) in self.graph.inputs().iter().zip(&self.inputs) {
            for (dim, extent) in self.graph.type_of(input.value).dims.iter().zip(&array.shape) {
                if let Dim::Named(name) = dim
                    && !extents.iter().any(|(known, _)| known == name)
                {
                    extents.push((name.clone(), *extent));
                }
            }
        }
        let extents: Vec<(&str, usize)> = extents.iter().map(|(name, extent)| (name.as_str(), *extent)).collect();
        (!extents.is_empty()).then(|| Case {
            name: format!("{}, fixed", self.name),
            graph: self.graph.bind(&extents).unwrap(),
            weights: self.weights.clone(),
            inputs: self.inputs.clone(),
        })
    }
}

/// Floats whose extents are numbers or names, as `n 3 h w`.
fn input(b: &mut Builder, name: &str, dims: &str, element: Element) -> Value {
    let dim = |text: &str| text.parse().map_or_else(|_| Dim::Named(text.to_owned()), Dim::Fixed);
    b.input(name, TensorType { element, dims: dims.split(' ').map(dim).collect() }).unwrap()
}

struct Made {
    cases: Vec<Case>,
}

impl Made {
    /// An op without parameters on inputs of these extents.
    fn add(&mut self, what: &str, op: Op, inputs: &[(&str, Array)]) {
        self.add_of(Element::F32, what, op, inputs);
    }

    fn add_of(&mut self, element: Element, what: &str, op: Op, inputs: &[(&str, Array)]) {
        let mut b = Builder::new("case");
        let name = format!("{} {what}", op.kind());
        let values: Vec<Value> =
            inputs.iter().enumerate().map(|(i, (dims, _))| input(&mut b, &format!("x{i}"), dims, element)).collect();
        let y = b.node("op", op, &values).unwrap();
        b.output("y", y);
        let inputs = inputs.iter().map(|(_, array)| array.clone()).collect();
        self.cases.push(Case { name, graph: b.finish(), weights: Weights::new(), inputs });
    }

    /// An op with parameters of these shapes, drawn from these ranges.
    fn add_with(
        &mut self,
        what: &str,
        params: &[(&[usize], ParamRole, [f64; 2])],
        op: impl Fn(&[ParamId]) -> Op,
        (dims, x): (&str, Array),
    ) {
        let (mut b, mut weights) = (Builder::new("case"), Weights::new());
        let value = input(&mut b, "x0", dims, Element::F32);
        let mut ids = Vec::new();
        for (i, (shape, role, range)) in params.iter().enumerate() {
            let name = format!("p{i}");
            ids.push(b.param(&name, shape, *role).unwrap());
            let tensor = match role {
                ParamRole::BatchCount => HostTensor::from_i64(shape, &[9]),
                _ => {
                    let drawn = noise(shape, *range, 100 + i as u64);
                    HostTensor::from_f32(shape, &drawn.values.iter().map(|v| *v as f32).collect::<Vec<_>>())
                }
            };
            weights.insert(name, tensor.unwrap()).unwrap();
        }
        let op = op(&ids);
        let name = format!("{} {what}", op.kind());
        let y = b.node("op", op, &[value]).unwrap();
        b.output("y", y);
        self.cases.push(Case { name, graph: b.finish(), weights, inputs: vec![x] });
    }
}

/// All cases, open extents as they are; see [`Case::bound`].
pub fn cases() -> Vec<Case> {
    let mut made = Made { cases: Vec::new() };
    with_parameters(&mut made);
    elementwise(&mut made);
    rearranged(&mut made);
    pixels(&mut made);
    made.cases
}

fn image(seed: u64) -> Array {
    noise(&[2, 3, 6, 5], [-1.0, 1.0], seed)
}

fn with_parameters(made: &mut Made) {
    let one = [-1.0, 1.0];
    for (what, out, per_group, kernel, stride, padding, dilation, groups) in [
        ("3×3, stride 2", 4, 2, [3, 3], [2, 2], [1, 1], [1, 1], 1),
        ("1×1 in groups", 6, 1, [1, 1], [1, 1], [0, 0], [1, 1], 2),
        ("depthwise", 2, 1, [3, 3], [1, 1], [1, 1], [1, 1], 2),
        ("uneven, dilated", 3, 2, [2, 3], [1, 2], [0, 2], [2, 1], 1),
        ("kernel = stride", 3, 2, [2, 2], [2, 2], [0, 0], [1, 1], 1),
    ] {
        let weight = [out, per_group, kernel[0], kernel[1]];
        let params: [(&[usize], _, _); 2] =
            [(&weight, ParamRole::ConvWeight, one), (&[out], ParamRole::ConvBias { fan_in: 1 }, one)];
        let x = noise(&[2, 2, 7, 9], one, 7);
        let conv = |weight, bias| Op::Conv(Conv { weight, bias, stride, padding, dilation, groups });
        made.add_with(what, &params, |p| conv(p[0], Some(p[1])), ("n 2 h w", x.clone()));
        made.add_with(&format!("{what}, no bias"), &params[..1], |p| conv(p[0], None), ("n 2 h w", x));
    }
    let norm = |p: &[ParamId]| {
        let [weight, bias, running_mean, running_var, batches] = p[..] else { panic!("five parameters") };
        Op::Norm(Norm { weight, bias, running_mean, running_var, batches, eps: 1e-3, momentum: 0.03 })
    };
    let params: [(&[usize], _, _); 5] = [
        (&[3], ParamRole::NormWeight, [0.5, 2.0]),
        (&[3], ParamRole::NormBias, one),
        (&[3], ParamRole::RunningMean, one),
        (&[3], ParamRole::RunningVar, [0.1, 3.0]),
        (&[], ParamRole::BatchCount, one),
    ];
    made.add_with("", &params, norm, ("n 3 h w", image(1)));
    for (what, slopes) in [("one slope", 1), ("a slope a channel", 3)] {
        let params: [(&[usize], _, _); 1] = [(&[slopes], ParamRole::PReluSlope, one)];
        made.add_with(what, &params, |p| Op::PRelu { slope: p[0] }, ("n 3 h w", noise(&[2, 3, 6, 5], one, 4)));
    }
    for (what, eps, range) in
        [("", 1e-6, one), ("far from zero", 1e-5, [19.0, 21.0]), ("small values", 1e-5, [-1e-3, 1e-3])]
    {
        let params: [(&[usize], _, _); 2] =
            [(&[12], ParamRole::NormWeight, [0.5, 2.0]), (&[12], ParamRole::NormBias, one)];
        let op = |p: &[ParamId]| Op::LayerNorm(LayerNorm { weight: p[0], bias: p[1], eps });
        made.add_with(what, &params, op, ("n h w 12", noise(&[2, 3, 2, 12], range, 2)));
    }
    let params: [(&[usize], _, _); 2] = [(&[5, 7], ParamRole::LinearWeight, one), (&[5], ParamRole::ZeroBias, one)];
    let linear = |weight, bias| Op::Linear(Linear { weight, bias });
    made.add_with("rank 4", &params, |p| linear(p[0], Some(p[1])), ("n h w 7", noise(&[2, 3, 4, 7], one, 3)));
    made.add_with("rank 2, no bias", &params[..1], |p| linear(p[0], None), ("n 7", noise(&[3, 7], one, 3)));
}

fn elementwise(made: &mut Made) {
    let wide = || noise(&[2, 3, 6, 5], [-6.0, 6.0], 4);
    for activation in [
        Activation::Relu,
        Activation::Silu,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::LeakyRelu { slope: 0.2 },
        Activation::Gelu,
    ] {
        made.add("", Op::Activation(activation), &[("n 3 h w", wide())]);
    }
    for unit in [DropUnit::Sample, DropUnit::Channel, DropUnit::Element] {
        made.add("in evaluation", Op::Dropout { rate: 0.5, unit }, &[("n 3 h w", wide())]);
    }
    for (scale, shift) in [(0.5, 0.5), (1.0, -0.25), (-3.0, 0.0), (1.0, 0.0)] {
        made.add(&format!("{scale}·x + {shift}"), Op::Affine { scale, shift }, &[("n 3 h w", wide())]);
    }
    made.add("", Op::Clamp { min: 0.2, max: 0.6 }, &[("n 3 h w", wide())]);
    let plane = noise(&[2, 1, 6, 5], [-1.0, 1.0], 5);
    let row = noise(&[1, 3, 1, 5], [-1.0, 1.0], 6);
    let column = noise(&[2, 1, 6, 1], [-1.0, 1.0], 8);
    for op in [Op::Add, Op::Sub, Op::Mul] {
        made.add("of equal shapes", op.clone(), &[("n 3 h w", image(4)), ("n 3 h w", image(5))]);
        made.add("with one plane", op.clone(), &[("n 3 h w", image(4)), ("n 1 h w", plane.clone())]);
        made.add("of one plane", op.clone(), &[("n 1 h w", plane.clone()), ("n 3 h w", image(4))]);
        made.add("both repeated", op, &[("1 3 1 w", row.clone()), ("n 1 h 1", column.clone())]);
    }
    let (a, b) = (noise(&[2, 3, 4, 7], [-1.0, 1.0], 9), noise(&[2, 3, 7, 5], [-1.0, 1.0], 10));
    made.add("", Op::MatMul, &[("n 3 q d", a), ("n 3 d k", b)]);
    for axis in [1, 3] {
        made.add(&format!("along {axis}"), Op::Softmax { axis }, &[("n 3 h w", wide())]);
        // Five levels, so that the largest is often there twice.
        let ties = noise(&[2, 3, 6, 5], [0.0, 4.0], 11).map(f64::round);
        made.add(
            &format!("along {axis}, ties"),
            Op::ArgMax { axis },
            &[(if axis == 1 { "n 3 h w" } else { "n c h 5" }, ties)],
        );
    }
}

fn rearranged(made: &mut Made) {
    for axis in 0..4 {
        made.add(&format!("along {axis}"), Op::Indices { axis }, &[("n 3 h w", image(12))]);
    }
    for axis in [1, 3] {
        made.add(&format!("along {axis}"), Op::Concat { axis }, &[("n 3 h w", image(12)), ("n 3 h w", image(13))]);
    }
    made.add("of one", Op::Concat { axis: 1 }, &[("n 3 h w", image(12))]);
    made.add("of channels", Op::Slice { axis: 1, start: 1, len: 2 }, &[("n 3 h w", image(12))]);
    made.add("of columns", Op::Slice { axis: 3, start: 4, len: 1 }, &[("n 3 h 5", image(12))]);
    let of = |input, axis| Extent::Of { input, axis };
    let flat = Op::Reshape { shape: vec![of(0, 0), of(0, 1), Extent::Rest] };
    made.add("to rows", flat, &[("n 3 h w", image(14))]);
    let split = vec![of(0, 0), Extent::Fixed(2), Extent::Fixed(3), of(0, 2), of(0, 3)];
    let six = noise(&[2, 6, 4, 5], [-1.0, 1.0], 15);
    made.add("to a split axis", Op::Reshape { shape: split }, &[("n 6 h w", six.clone())]);
    let back = Op::Reshape { shape: vec![of(0, 0), of(1, 2), of(1, 3), Extent::Fixed(6)] };
    let rows = noise(&[2, 20, 2, 3], [-1.0, 1.0], 16);
    made.add("to the extents of another", back, &[("n m 2 3", rows), ("n 6 h w", six.clone())]);
    let moved = Op::Reshape { shape: vec![of(0, 3), Extent::Rest, of(0, 1)] };
    made.add("to extents in other places", moved, &[("n 6 h w", six)]);
    for order in [[0, 2, 3, 1], [0, 3, 1, 2], [3, 2, 1, 0]] {
        made.add(&format!("{order:?}"), Op::Permute { order: order.to_vec() }, &[("n 3 h w", image(17))]);
    }
    let mut b = Builder::new("case");
    let x = input(&mut b, "x0", "n 3 h w", Element::F32);
    let constant = Op::Constant { shape: vec![1, 3, 1, 1], values: vec![0.5, -2.0, 1e-3] };
    let constant = b.node("constant", constant, &[]).unwrap();
    let sum = b.node("sum", Op::Add, &[x, constant]).unwrap();
    for (name, value) in [("y", sum), ("constant alone", constant)] {
        b.output(name, value);
    }
    let name = "constant, added and shown".to_owned();
    made.cases.push(Case { name, graph: b.finish(), weights: Weights::new(), inputs: vec![image(18)] });
}

fn pixels(made: &mut Made) {
    let open = "n 3 h w";
    for (kernel, stride, padding) in [(5, 1, 2), (3, 2, 1), (2, 2, 0)] {
        let op = Op::MaxPool { kernel, stride, padding };
        made.add(&format!("{kernel}, stride {stride}, padding {padding}"), op, &[(open, image(19))]);
    }
    let sliding = |stride, padding| MeanWindows::Sliding { stride, padding };
    for (kernel, windows) in [
        (3, sliding(2, 1)),
        (3, sliding(1, 1)),
        (2, sliding(3, 0)),
        (2, MeanWindows::Tiles),
        (4, MeanWindows::Tiles),
        (1, MeanWindows::Tiles),
    ] {
        made.add(&format!("{kernel}, {windows:?}"), Op::MeanPool { kernel, windows }, &[(open, image(27))]);
    }
    made.add("", Op::GlobalMean, &[(open, image(28))]);
    made.add("", Op::UpsampleNearest { factor: 2 }, &[(open, image(20))]);
    for (height, width) in [(9, 13), (3, 2), (6, 5), (17, 4)] {
        made.add(&format!("to {height}×{width}"), Op::ResizeBilinear { height, width }, &[(open, image(21))]);
        let like = noise(&[1, 2, height, width], [0.0, 1.0], 22);
        made.add(&format!("{height}×{width}"), Op::ResizeLike, &[(open, image(21)), ("m 2 rows columns", like)]);
    }
    for (factor, channels) in [(1, 2), (2, 12), (3, 9)] {
        let x = noise(&[2, channels, 3, 4], [-1.0, 1.0], 27);
        made.add(&format!("by {factor}"), Op::PixelShuffle { factor }, &[(&format!("n {channels} h w"), x)]);
    }
    let [rows, columns] = [image(28).shape[2], image(28).shape[3]];
    for (height, width, top, left) in
        [(rows, columns, 0, 0), (rows - 1, columns, 0, 0), (1, columns - 2, 0, 0), (2, columns - 2, 1, 2)]
    {
        let like = noise(&[1, 1, height, width], [0.0, 1.0], 29);
        let op = Op::Crop { top, left };
        made.add(&format!("{height}×{width} from {top}, {left}"), op, &[(open, image(28)), ("m 1 rows columns", like)]);
    }
    made.add("", Op::Pad { top: 1, bottom: 2, left: 3, right: 0, value: 0.25 }, &[(open, image(23))]);
    made.add("", Op::ReflectPad { top: 1, bottom: 5, left: 4, right: 2 }, &[(open, image(24))]);
    for (width, height) in [(16, 8), (8, 16), (5, 6), (10, 12), (4, 3), (7, 2), (1, 1), (32, 6)] {
        let op = Op::Letterbox { size: Size { width, height }, value: 114.0 / 255.0 };
        made.add(&format!("into {width}×{height}"), op.clone(), &[(open, image(25))]);
        made.add(&format!("of a line into {width}×{height}"), op, &[(open, noise(&[1, 3, 1, 40], [0.0, 1.0], 26))]);
    }
    let levels = Array::build(&[1, 16, 16, 3], |at| ((at[1] * 16 + at[2]) * 7 + at[3] * 80) as f64 % 256.0);
    made.add_of(Element::U8, "", Op::UnitFromBytes, &[("n h w 3", levels)]);
    // −0.1 and 1.5 are clamped; the others lie a tenth of a level and more from a half.
    let levels = Array::build(&[1, 2, 3, 5], |at| {
        let level = (at[1] * 15 + at[2] * 5 + at[3]) as f64 * 9.0 + 0.4 * ((at[3] % 3) as f64 - 1.0);
        f64::from((level / 255.0) as f32)
    });
    let beyond = levels.map(|v| {
        if v < 0.1 {
            v - 0.1
        } else if v > 0.9 {
            v + 0.5
        } else {
            v
        }
    });
    made.add("", Op::BytesFromUnit, &[("n 2 h w", beyond)]);
}
