//! DeepLabV3+ on libtorch against values of the original: both output strides, double precision, names, sizes. ONNX Runtime goes through
//! the same comparison in `onnx_parity`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop at the line that fails")]

use caf_golden::{Tally, count, find, items, json, number};
use caf_net::zoo::deeplab::{DeepLabConfig, Variant};
use caf_net::zoo::task::TaskNetworkConfig;
use caf_tests::arrays::{as_floats, stored};
use caf_tests::deeplab::{STORED, STRIDES, compare, config, graph, published, weights};
use caf_tests::engine::{LIBTORCH, LIBTORCH_DOUBLE};
use caf_tests::parity::Spread;
use caf_torch::{Mode, Params, forward};
use caf_weights::load_safetensors;
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};

/// The published sizes by their names in `models.json`.
const PUBLISHED: [(&str, Variant); 3] = [
    ("deeplabv3plus_mobilenet", Variant::MobileNet),
    ("deeplabv3plus_resnet50", Variant::ResNet50),
    ("deeplabv3plus_resnet101", Variant::ResNet101),
];

#[test]
fn deeplab_on_libtorch_equals_the_original() {
    let test = "deeplab_on_libtorch_equals_the_original";
    let Some(folder) = find(test, "golden/deeplab") else { return };
    let mut tally = Tally::new(test);
    compare(&mut tally, &folder, LIBTORCH);
    tally.finish();
}

/// What is stored is the original's float32, and how far that is from its float64: as far must it be from ours.
#[test]
fn in_double_precision_the_originals_rounding_is_left() {
    let test = "in_double_precision_the_originals_rounding_is_left";
    let Some(folder) = find(test, "golden/deeplab") else { return };
    let mut tally = Tally::new(test);
    let golden = load_safetensors(folder.join("tiny.safetensors")).unwrap();
    let results = json(&folder.join("tiny.json"));
    for (begin, output_stride) in STRIDES {
        tally.case(begin);
        let stated = &results["results"][begin];
        let config = config(&folder, output_stride);
        let (_, load) = LIBTORCH_DOUBLE;
        let pixels = stored(golden.get("pixel_values").unwrap());
        let found = load(&graph(&config), &weights(&folder, &config)).run(&[pixels]);
        for (what, found) in STORED.into_iter().zip(&found) {
            let expected = stored(golden.get(&format!("{begin}.{what}")).unwrap());
            let shape: Vec<usize> = items(&stated["shapes"][what]).iter().map(count).collect();
            tally.equal("shapes", &found.shape, &shape);
            let gap = Spread::of_arrays(found, &expected).max;
            // Ours is rounded to float32 once, at the end: half a unit in the last place of values below 8, and of below 16.
            let rounding = 8.0 * f64::from(f32::EPSILON) / 2.0;
            tally.close("float32 minus float64", &[gap], &[number(&stated["f32_minus_f64_maxabs"][what])], rounding);
            let largest = as_floats(found).iter().fold(0.0f64, |most, v| most.max(f64::from(v.abs())));
            tally.close("largest values", &[largest], &[number(&stated["absmax"][what])], 2e-5);
        }
        let sum: f64 = as_floats(&found[4]).iter().map(|v| f64::from(*v)).sum();
        // Of 241,433 values, each within 8.3e-6, with any sign.
        tally.close("sum of the output", &[sum], &[number(&stated["output_sum"])], 2e-2);
    }
    tally.finish();
}

#[test]
fn the_published_sizes_have_the_published_parameters() {
    let test = "the_published_sizes_have_the_published_parameters";
    let Some(folder) = find(test, "golden/deeplab") else { return };
    let mut tally = Tally::new(test);
    for (name, variant) in PUBLISHED {
        tally.case(name);
        let stated = published(&folder, name);
        let config = DeepLabConfig::new(variant, count(&stated["num_classes"]));
        assert_eq!(config.output_stride.px(), count(&stated["output_stride"]));
        let graph = TaskNetworkConfig::from(config).graph().unwrap();
        let trainable = |begin: &str| {
            let of_part = graph.params().iter().filter(|p| p.role.is_trainable() && p.name.starts_with(begin));
            of_part.map(|p| p.len()).sum::<usize>()
        };
        let found = ["", "backbone.", "classifier.", "classifier.aspp."].map(trainable);
        let expected = ["total_params", "backbone_params", "head_params", "aspp_params"].map(|key| count(&stated[key]));
        tally.equal("parameters", &found, &expected);
        tally.equal("entries", &[graph.params().len()], &[count(&stated["state_dict_entries"])]);
        let Some(state) = stated["state_dict"].as_object() else { continue };
        let expected: BTreeMap<String, Vec<usize>> =
            state.iter().map(|(name, shape)| (name.clone(), items(shape).iter().map(count).collect())).collect();
        let found: BTreeMap<String, Vec<usize>> =
            graph.params().iter().map(|p| (p.name.clone(), p.shape.clone())).collect();
        tally.equal("names and shapes", &Vec::from_iter(found), &Vec::from_iter(expected));
    }
    tally.finish();
}

/// In training, normalisation is by the batch, and its statistics move by a tenth; what is dropped behind the pyramid is a tenth.
#[test]
fn training_moves_the_statistics_and_drops_behind_the_pyramid() {
    let config = DeepLabConfig { head_width: 16, fine_width: 8, ..DeepLabConfig::new(Variant::MobileNet, 3) };
    let names = ["classifier.aspp.convs.4.1", "classifier.aspp.project.2", "classifier.aspp.project.3"];
    let graph = TaskNetworkConfig::from(config).graph().unwrap().with_outputs(&names).unwrap();
    let params = Params::init(&graph, 5, Device::Cpu, Kind::Double).unwrap();
    tch::manual_seed(3);
    let image = Tensor::rand([2, 3, 65, 97], (Kind::Double, Device::Cpu));
    let found = forward(&graph, &params, &[&image], Mode::train(1, 1)).unwrap();
    let [mean, before, after] = &found[..] else { panic!("three outputs") };
    let at = |name: &str| params.tensors()[graph.params().iter().position(|p| p.name == name).unwrap()].shallow_clone();
    let expected = mean.mean_dim([0i64, 2, 3].as_slice(), false, None::<Kind>) * 0.1;
    let moved = at("classifier.aspp.convs.4.2.running_mean");
    assert!((moved - expected).abs().max().double_value(&[]) < 1e-12);
    let kept = after.ne(0.0).to_kind(Kind::Double) * before.ne(0.0).to_kind(Kind::Double);
    let gap = (after - before / 0.9) * &kept;
    assert!(gap.abs().max().double_value(&[]) < 1e-9);
    let share = kept.sum(Kind::Double).double_value(&[])
        / before.ne(0.0).to_kind(Kind::Double).sum(Kind::Double).double_value(&[]);
    // About a thousand values are not zero: one sigma is 0.01.
    assert!((share - 0.9).abs() < 0.06, "{share}");
}
