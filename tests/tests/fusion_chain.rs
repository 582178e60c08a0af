//! Another fusion network than the default one through everything that a fusion network goes through: settings, search, training,
//! its file, fused images, ONNX.

#![allow(clippy::unwrap_used, reason = "helpers of tests stop at the line that fails")]

use caf_console::{Silent, StopFlag};
use caf_export::model::{FusionFile, Model, Parts, Settings};
use caf_golden::Tally;
use caf_image::{IrRange, read_ir, read_vi};
use caf_net::zoo::fusion::FusionConfig;
use caf_search::fusion::{Method, train};
use caf_search::search::run;
use caf_search::settings::load;
use caf_tests::arrays::{as_bytes, plane_bytes, rgb_bytes};
use caf_tests::engine::{LIBTORCH, ONNX_FOLDED, ONNX_UNFOLDED};
use caf_tests::parity::{Rows, Spread};
use caf_tests::scenes::{Scenes, differing};
use caf_weights::load_safetensors;

/// Narrow, visible first, from settings as a caller gives them.
fn network() -> FusionConfig {
    let overrides = ["kind=u2fusion", "width=6", "depth=2", "decoder=[8, 6, 4]", "first=vi"];
    load(None, &overrides.map(str::to_owned)).unwrap()
}

#[test]
fn u2fusion_is_searched_with_trained_fused_with_and_exported() {
    let scenes = Scenes::new(31);
    let stop = StopFlag::default();
    let mut config = scenes.search(2);
    config.fusion.network = network();
    let searched = scenes.out("search");
    let found = run(&config, &searched, &Silent, &stop).unwrap();
    assert!(found.iterations == 2 && found.beta.weights.values().any(|w| (w - 1.0 / 13.0).abs() > 1e-4), "{found:?}");

    // Trained in two parts and in one: the same bits.
    let mut config = scenes.fusion(searched.join("beta.toml"), 3);
    config.fusion.network = network();
    let [whole, parts] = ["whole", "parts"].map(|name| scenes.out(name));
    train(&config, &whole, &Silent, &stop).unwrap();
    config.run.iterations = Some(2);
    train(&config, &parts, &Silent, &stop).unwrap();
    config.run.iterations = Some(3);
    train(&config, &parts, &Silent, &stop).unwrap();
    let path = whole.join("fusion.safetensors");
    assert_eq!(differing(&path, &parts.join("fusion.safetensors")), Vec::<String>::new());
    let metadata = load_safetensors(&path).unwrap().metadata().clone();
    assert_eq!(metadata["network"], "u2fusion");
    assert!(metadata["config"].contains(r#""first":"vi""#), "{}", metadata["config"]);

    let (fused, dataset) = (scenes.out("fused"), scenes.dataset("val.txt"));
    let method = Method::Network(path.clone());
    assert_eq!(scenes.fuse("val.txt", &method, &fused).unwrap().written, dataset.len());

    let file = FusionFile::open(&path).unwrap();
    assert_eq!(file.network(), &network());
    let model = Model::new(Parts::Fusion(&file), &Settings::default()).unwrap();
    let mut tally = Tally::new("u2fusion_is_searched_with_trained_fused_with_and_exported");
    let [mut libtorch, mut folded, mut unfolded] =
        [LIBTORCH, ONNX_FOLDED, ONNX_UNFOLDED].map(|(_, load)| load(model.graph(), model.weights()));
    for entry in dataset.entries() {
        tally.case(&entry.name);
        let (ir, vi) = (read_ir(&entry.ir, IrRange::Full).unwrap(), read_vi(&entry.vi).unwrap());
        let input = [plane_bytes(&ir), rgb_bytes(&vi)];
        let [expected, onnx, plain] = [&mut libtorch, &mut folded, &mut unfolded].map(|r| r.run(&input).remove(0));
        let mut rows = Rows::new(&mut tally, "U2Fusion, narrow", "ONNX Runtime - libtorch");
        rows.add("fused (levels)", Spread::of_arrays(&onnx, &expected), 1.0);
        rows.add("fused, unfolded (levels)", Spread::of_arrays(&plain, &expected), 1.0);
        // The program that fuses folders and the model on the vehicle show the same image.
        let written = read_vi(&fused.join(format!("{}.png", entry.name))).unwrap();
        let mut rows = Rows::new(&mut tally, "U2Fusion, narrow", "ONNX Runtime - `fuse`");
        rows.close("fused (levels)", as_bytes(&onnx), written.data(), 1.0);
    }
    tally.finish();
}

/// A file that is started from brings its network along; settings that say another one are refused, settings that fit go first.
#[test]
fn settings_and_the_file_that_is_started_from_must_agree() {
    let scenes = Scenes::new(32);
    let stop = StopFlag::default();
    let beta = scenes.out("beta.toml");
    std::fs::write(&beta, "[weights]\n\"l1.ir\" = 1.0\n").unwrap();
    let mut config = scenes.fusion(beta, 1);
    config.fusion.network = network();
    let first = scenes.out("first");
    train(&config, &first, &Silent, &stop).unwrap();
    config.fusion.init = Some(first.join("fusion.safetensors"));
    for (overrides, parts) in [
        (["kind=u2fusion", "width=7"], ["fusion.safetensors", "misshapen Generator/encoder/conv1_1/kernel"]),
        (["kind=caf", "width=8"], ["expected a caf network", "found a u2fusion network"]),
    ] {
        config.fusion.network = load(None, &overrides.map(str::to_owned)).unwrap();
        let error = train(&config, &scenes.out("refused"), &Silent, &stop).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    let settings = network().settings().to_string().replace(r#""vi""#, r#""ir""#);
    config.fusion.network = toml_of(&settings);
    let second = scenes.out("second");
    train(&config, &second, &Silent, &stop).unwrap();
    let metadata = load_safetensors(second.join("fusion.safetensors")).unwrap().metadata().clone();
    assert!(metadata["config"].contains(r#""first":"ir""#), "{}", metadata["config"]);
}

fn toml_of(settings: &str) -> FusionConfig {
    let mut value: serde_json::Value = serde_json::from_str(settings).unwrap();
    value["kind"] = "u2fusion".into();
    serde_json::from_value(value).unwrap()
}
