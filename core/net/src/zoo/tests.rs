//! What holds for every network of the lists, and how configurations are written.

#[path = "example.rs"]
mod example;

use super::network::{Kind, kind_of, kinds_of, recognise};
use super::*;
use crate::Dim;
use crate::zoo::caf::CafConfig;
use crate::zoo::deeplab::{self, Backbone, DeepLabConfig, MobileNet, OutputStride};
use crate::zoo::segformer::SegFormerConfig;
use crate::zoo::task::TaskNetworkConfig;
use crate::zoo::yolov5::{Variant, YoloConfig};
use caf_geometry::Size;
use serde_json::json;
use std::collections::HashMap;

/// Names and shapes of a graph's parameters, as its weight file has them.
struct File(HashMap<String, (Vec<usize>, Option<Vec<f32>>)>);

impl File {
    fn of(graph: &Graph) -> Self {
        let entry = |p: &crate::ParamSpec| (p.name.clone(), (p.shape.clone(), p.given.clone()));
        File(graph.params().iter().map(entry).collect())
    }
}

impl network::Tensors for File {
    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.0.get(name).map(|(shape, _)| shape.as_slice())
    }

    fn values(&self, name: &str) -> Option<Vec<f64>> {
        let (_, values) = self.0.get(name)?;
        values.as_ref().map(|values| values.iter().map(|v| f64::from(*v)).collect())
    }
}

#[test]
fn kinds_are_unique_and_every_network_says_what_it_is() {
    let mut seen = Vec::new();
    let all = FUSION_NETWORKS.iter().map(|k| (k.kind, k.facts)).chain(TASK_NETWORKS.iter().map(|k| (k.kind, k.facts)));
    for (kind, facts) in all {
        assert!(!seen.contains(&kind), "{kind} twice");
        seen.push(kind);
        for text in [facts.title, facts.paper, facts.licence, facts.parity] {
            assert!(text.len() >= "MIT".len(), "{kind}: {facts:?}");
        }
    }
}

#[test]
fn every_fusion_network_is_recognised_by_its_own_tensors_and_by_no_other() {
    for kind in FUSION_NETWORKS {
        let config = kind.parse(json!({})).unwrap();
        let found = recognise::<dyn FusionNetwork>(&File::of(&config.graph().unwrap())).unwrap();
        assert_eq!((found.config, found.kernels), (config, network::KernelLayout::Oihw));
    }
    let yolo: TaskNetworkConfig = YoloConfig::new(Variant::N, 4).into();
    assert_eq!(recognise::<dyn FusionNetwork>(&File::of(&yolo.graph().unwrap())), None);
}

#[test]
fn every_task_network_is_recognised_and_gives_what_its_task_promises() {
    for kind in TASK_NETWORKS {
        let config = kind.parse(json!({"classes": 3})).unwrap();
        let graph = config.graph().unwrap();
        let found = recognise::<dyn TaskNetwork>(&File::of(&graph)).unwrap().config;
        assert_eq!((found.kind(), found.classes(), found.task()), (kind.kind, 3, config.task()));
        assert_eq!(found.graph().unwrap().params(), graph.params(), "{}", kind.kind);
        assert_eq!(recognise::<dyn FusionNetwork>(&File::of(&graph)), None);
        let sized = graph.bind(&[("batch", 2), ("height", 64), ("width", 96)]).unwrap();
        // The ports of the promise, their element types and whatever extents the classes and the image fix.
        let classes = ["a", "b", "c"].map(str::to_owned).to_vec();
        let promise = (config.task().contract)(classes, Size::new(96, 64));
        let promised = promise.port();
        let [output] = sized.outputs() else { panic!("{}: {:?}", kind.kind, sized.outputs()) };
        let ty = sized.type_of(output.value);
        assert_eq!(output.name, promised.name);
        assert_eq!(format!("{:?}", ty.element), format!("{:?}", promised.element), "{}", kind.kind);
        assert_eq!(ty.dims.len(), promised.shape.len(), "{}", kind.kind);
        for (dim, extent) in ty.dims.iter().zip(&promised.shape) {
            let expected = match extent {
                caf_contract::Extent::Fixed(n) => *n,
                caf_contract::Extent::Named(name) if name == "batch" => 2,
                caf_contract::Extent::Named(name) if name == "height" => 64,
                caf_contract::Extent::Named(name) if name == "width" => 96,
                caf_contract::Extent::Named(_) | caf_contract::Extent::Open => continue,
            };
            assert_eq!(*dim, Dim::Fixed(expected), "{}: {ty} against {promised}", kind.kind);
        }
        for (dim, extent) in ty.dims.iter().zip(promise.output_shape(Size::new(96, 64)).unwrap_or_default()).skip(1) {
            assert_eq!(*dim, Dim::Fixed(extent), "{}: {ty}", kind.kind);
        }
        let raw = graph.with_outputs(config.raw()).unwrap();
        assert!(raw.nodes().len() < graph.nodes().len() && raw.params() == graph.params(), "{}", kind.kind);
    }
}

#[test]
fn a_detector_is_recognised_with_widths_classes_and_anchors() {
    for variant in Variant::ALL {
        let mut config = YoloConfig::new(variant, 7);
        config.anchors_px[1][2] = [64.0, 128.0];
        let graph = TaskNetworkConfig::from(config.clone()).graph().unwrap();
        let found = recognise::<dyn TaskNetwork>(&File::of(&graph)).unwrap().config;
        assert_eq!(found.graph().unwrap().params(), graph.params(), "{variant:?}");
        assert_eq!((found.kind(), found.classes()), ("yolov5", 7));
    }
}

#[test]
fn a_segmentation_network_is_recognised_with_its_sizes() {
    for variant in segformer::Variant::ALL {
        let config = SegFormerConfig::new(variant, 9);
        let network = TaskNetworkConfig::from(config.clone());
        let graph = network.graph().unwrap();
        let found = recognise::<dyn TaskNetwork>(&File::of(&graph)).unwrap().config;
        assert_eq!(found, config.into(), "{variant:?}");
        let classes = graph.output("class_map").unwrap();
        assert_eq!(graph.type_of(classes).to_string(), "u8[batch, height, width]");
    }
}

#[test]
fn a_deeplab_is_recognised_with_its_sizes_but_not_its_output_stride() {
    let found = |config: &DeepLabConfig| {
        let network = TaskNetworkConfig::from(config.clone());
        recognise::<dyn TaskNetwork>(&File::of(&network.graph().unwrap())).map(|found| found.config)
    };
    let small = MobileNet { stem: 8, widths: [4, 8, 8, 12, 16, 20, 24], blocks: [2, 1, 3, 1, 2, 1, 1], expansion: 3 };
    let mobile = DeepLabConfig::new(deeplab::Variant::MobileNet, 9);
    let with =
        |net| DeepLabConfig { backbone: Backbone::MobileNet(net), fine_width: 6, head_width: 10, ..mobile.clone() };
    let published = deeplab::Variant::ALL.map(|variant| DeepLabConfig::new(variant, 9));
    for config in published.into_iter().chain([with(small)]) {
        assert_eq!(found(&config), Some(config.clone().into()));
        let finer = DeepLabConfig { output_stride: OutputStride::Eight, ..config.clone() };
        assert_eq!(found(&finer), Some(config.into()), "weights fit both");
    }
    // Where one group ends and the next begins, widths alone do not tell.
    assert_eq!(found(&with(MobileNet { widths: [4, 8, 12, 12, 16, 20, 24], ..small })), None);
}

#[test]
fn a_configuration_survives_json_and_its_kind_may_be_left_out() {
    let config = FusionConfig::from(CafConfig { width: 8, depth: 2, normalised: false });
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(text, r#"{"kind":"caf","depth":2,"normalised":false,"width":8}"#);
    assert_eq!(serde_json::from_str::<FusionConfig>(&text).unwrap(), config);
    let short = serde_json::from_value::<FusionConfig>(json!({"width": 8, "depth": 2, "normalised": false})).unwrap();
    assert_eq!(short, config);
    assert_eq!(serde_json::from_value::<FusionConfig>(json!({})).unwrap(), FusionConfig::default());
    let task = TaskNetworkConfig::from(YoloConfig::new(Variant::N, 4));
    assert_eq!(serde_json::from_str::<TaskNetworkConfig>(&serde_json::to_string(&task).unwrap()).unwrap(), task);
}

#[test]
fn unknown_kinds_and_keys_are_named_with_what_there_is() {
    let error = |value: serde_json::Value| serde_json::from_value::<FusionConfig>(value).unwrap_err().to_string();
    let kinds = kinds_of::<dyn FusionNetwork>();
    for (value, parts) in [
        (json!({"kind": "cafe"}), ["`cafe`", kinds.as_str()]),
        (json!({"kind": 3}), ["`kind`", kinds.as_str()]),
        (json!({"widht": 3}), ["`widht`", "`width`"]),
        (json!({"width": "wide"}), ["wide", "caf"]),
    ] {
        let error = error(value);
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    assert!(matches!(kind_of::<dyn TaskNetwork>("caf"), Err(GraphError::Kind { .. })));
    let error = serde_json::from_value::<TaskNetworkConfig>(json!({})).unwrap_err().to_string();
    assert!(error.contains("`kind` is missing"), "{error}");
}

#[test]
fn the_example_of_the_page_on_adding_a_network_is_one() {
    let page = include_str!("../../../../docs/add-a-network.md");
    let code = format!("```rust\n{}```\n", include_str!("example.rs"));
    assert!(page.contains(&code), "docs/add-a-network.md shows another text than core/net/src/zoo/example.rs");
    const EXAMPLE: Kind<dyn FusionNetwork> = Kind::of::<example::ExampleConfig>();
    let config = EXAMPLE.parse(json!({"width": 24})).unwrap();
    let graph = config.graph().unwrap();
    let found = EXAMPLE.recognise(&File::of(&graph)).unwrap();
    assert_eq!((&found.config, found.kernels), (&config, network::KernelLayout::Oihw));
    assert_eq!(config.macs_per_pixel().unwrap(), 9 * (2 * 24 + 24));
    let sized = graph.bind(&[("batch", 1), ("height", 7), ("width", 9)]).unwrap();
    assert_eq!(sized.type_of(sized.output("fused").unwrap()).to_string(), "f32[1, 1, 7, 9]");
    assert!(EXAMPLE.parse(json!({"wide": 24})).is_err());
    assert_eq!(recognise::<dyn FusionNetwork>(&File::of(&graph)), None, "no other network takes its tensors");
}
