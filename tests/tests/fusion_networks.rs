//! What holds for every fusion network of the zoo, whichever it is: nothing here names one.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use caf_export::model::{FusionFile, Model, Parts, Settings};
use caf_golden::Tally;
use caf_image::IrRange;
use caf_net::zoo::FUSION_NETWORKS;
use caf_net::zoo::fusion::{FusionConfig, WHOLE_IMAGE};
use caf_net::zoo::pipeline::{ColourMode, Samples};
use caf_search::fusion_net::FusionNet;
use caf_tests::arrays::{as_floats, floats};
use caf_tests::engine::{LIBTORCH, LIBTORCH_DOUBLE, ONNX_FOLDED, ONNX_UNFOLDED};
use caf_tests::fixture;
use caf_tests::parity::{Rows, Spread, rounding};
use caf_torch::{Mode, Params, forward};
use caf_weights::{Weights, load_safetensors, save_safetensors};
use tch::{Device, Kind, Tensor};

/// Every network at its published widths, with seeded weights.
fn networks() -> Vec<(FusionConfig, Weights)> {
    let all = FUSION_NETWORKS.iter().map(|kind| kind.parse(serde_json::json!({})).unwrap());
    all.map(|config| (config.clone(), fixture::weights(&config.graph().unwrap(), 21))).collect()
}

/// Sides from the smallest the network takes, height and width unequal and odd where it can.
fn sizes(config: &FusionConfig) -> [[usize; 2]; 3] {
    let sides = config.sides();
    let up = |n: usize| n.max(sides.least_px).next_multiple_of(sides.multiple_of_px);
    [[up(1), up(1)], [up(1), up(9)], [up(23), up(31)]]
}

#[test]
fn engines_agree_from_the_smallest_size_on_and_stay_in_the_declared_range() {
    let mut tally = Tally::new("engines_agree_from_the_smallest_size_on_and_stay_in_the_declared_range");
    for (config, weights) in networks() {
        let graph = config.graph().unwrap();
        let [mut libtorch, mut double] = [LIBTORCH, LIBTORCH_DOUBLE].map(|(_, load)| load(&graph, &weights));
        for (engine, load) in [ONNX_FOLDED, ONNX_UNFOLDED] {
            let mut onnx = load(&graph, &weights);
            for [height, width] in sizes(&config) {
                tally.case(&format!("{} {height}x{width}", config.kind()));
                let image = |seed| floats(&[2, 1, height, width], fixture::image(2 * height * width, width, seed));
                let inputs = [image(1), image(2)];
                let [found, expected, exact] =
                    [&mut onnx, &mut libtorch, &mut double].map(|engine| engine.run(&inputs).remove(0));
                // Both engines compute one definition: what is between them is rounding.
                let tolerance = rounding(as_floats(&expected), as_floats(&exact));
                assert_eq!(found.shape, [2, 1, height, width]);
                let name = config.to_string();
                Rows::new(&mut tally, &name, engine).add("fused", Spread::of_arrays(&found, &expected), tolerance);
                let [min, max] = config.output_range();
                for value in as_floats(&found).iter().chain(as_floats(&expected)) {
                    assert!((min..=max).contains(&f64::from(*value)), "{name}: {value} is not in {min} to {max}");
                }
            }
        }
    }
    tally.finish();
}

/// The derivative of the middle pixel is exactly 0 outside the receptive field, and reaches each of its edges.
#[test]
fn the_receptive_field_is_the_declared_one() {
    for (config, weights) in networks() {
        let (graph, field) = (config.graph().unwrap(), config.receptive_field_px());
        let is_whole = field == WHOLE_IMAGE;
        let side = if is_whole { config.sides().least_px + 6 } else { field + 6 };
        let side = side.next_multiple_of(config.sides().multiple_of_px);
        let field = if is_whole { side } else { field };
        let params = Params::from_weights(&graph, &weights, Device::Cpu, Kind::Double).unwrap();
        let image = |seed| {
            let plane = Tensor::from_slice(&fixture::image(side * side, side, seed)).to_kind(Kind::Double);
            plane.view([1, 1, side as i64, side as i64]).set_requires_grad(true)
        };
        let (ir, vi) = (image(3), image(4));
        let fused = forward(&graph, &params, &[&ir, &vi], Mode::Eval).unwrap().remove(0);
        let middle = side as i64 / 2;
        fused.get(0).get(0).get(middle).get(middle).backward();
        for (name, input) in [("ir", &ir), ("vi", &vi)] {
            let reached: Vec<f64> = Vec::try_from(input.grad().abs().view([-1])).unwrap();
            let pixels = reached.iter().enumerate().filter(|(_, slope)| **slope > 0.0);
            let (rows, columns): (Vec<usize>, Vec<usize>) = pixels.map(|(i, _)| (i / side, i % side)).unzip();
            for axis in [&rows, &columns] {
                let extent = axis.iter().max().unwrap() - axis.iter().min().unwrap() + 1;
                assert_eq!(extent, field, "{config}: pixels of {name} that reach the middle");
            }
        }
    }
}

#[test]
fn a_written_file_is_recognised_with_and_without_its_metadata_by_search_and_export() {
    let dir = tempfile::tempdir().unwrap();
    for (config, _) in networks() {
        let path = dir.path().join(format!("{}.safetensors", config.kind()));
        let net = FusionNet::fresh(config.clone(), 5, Device::Cpu).unwrap();
        net.write(&path, IrRange::Full).unwrap();
        let written = load_safetensors(&path).unwrap();
        assert_eq!(written.metadata()["network"], config.kind());
        let mut bare = Weights::new();
        written.iter().for_each(|(name, tensor)| bare.insert(name, tensor.clone()).unwrap());
        let stripped = dir.path().join(format!("{}-bare.safetensors", config.kind()));
        save_safetensors(&bare, &stripped).unwrap();
        for path in [path, stripped] {
            assert_eq!(FusionNet::read(&path, Device::Cpu).unwrap().config(), &config, "{}", path.display());
            let file = FusionFile::open(&path).unwrap();
            assert_eq!(file.network(), &config, "{}", path.display());
            let settings = Settings { samples: Samples::Bytes, colour: ColourMode::Rgb, ..Settings::default() };
            let model = Model::new(Parts::Fusion(&file), &settings).unwrap();
            assert_eq!(model.graph().trainable_count(), config.graph().unwrap().trainable_count());
        }
    }
}

#[test]
fn sizes_that_a_network_does_not_take_are_refused_before_it_runs() {
    for (config, weights) in networks() {
        let sides = config.sides();
        let Some(small) = sides.least_px.checked_sub(1).filter(|side| *side > 0) else { continue };
        let graph = config.graph().unwrap();
        let error = graph.bind(&[("batch", 1), ("height", small), ("width", sides.least_px)]).unwrap_err();
        assert!(matches!(error, caf_net::GraphError::Shape { .. }), "{error}");
        let params = Params::from_weights(&graph, &weights, Device::Cpu, Kind::Float).unwrap();
        let net = FusionNet::fresh(config.clone(), 1, Device::Cpu).unwrap();
        let plane = Tensor::zeros([1, 1, small as i64, 8], (Kind::Float, Device::Cpu));
        let error = net.fuse(&params, &plane, &plane, Mode::Eval).unwrap_err().to_string();
        assert!(error.contains(config.kind()) && error.contains(&sides.to_string()), "{error}");
    }
}
