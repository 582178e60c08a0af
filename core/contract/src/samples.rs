//! Contracts for the tests.

use crate::*;
use caf_geometry::Size;

/// A port; extents are numbers, names or `?`.
pub fn port(name: &str, element: Element, shape: &[&str], colour: Colour) -> Port {
    let extent = |s: &&str| match s.parse() {
        Ok(n) => Extent::Fixed(n),
        Err(_) if *s == "?" => Extent::Open,
        Err(_) => Extent::Named((*s).to_owned()),
    };
    Port { name: name.to_owned(), element, shape: shape.iter().map(extent).collect(), colour }
}

fn classes(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("class {i}")).collect()
}

/// A detector with 640×640 input.
pub fn detection(count: usize) -> TaskContract {
    let input = Size::new(640, 640);
    TaskContract::Detection(DetectionContract { output: OUTPUT_PREDICTIONS.into(), classes: classes(count), input })
}

/// A segmentation.
pub fn segmentation(count: usize) -> TaskContract {
    TaskContract::Segmentation(SegmentationContract {
        output: OUTPUT_CLASS_MAP.into(),
        classes: classes(count),
        ignored_label: Some(255),
        palette: None,
    })
}

/// A model that fuses pairs of any size and does `tasks`.
pub fn fusion(tasks: Vec<TaskContract>) -> Contract {
    let image = |name, channels, colour| port(name, Element::U8, &["1", "height", "width", channels], colour);
    let mut outputs = vec![image(OUTPUT_FUSED, "3", Colour::Rgb)];
    outputs.extend(tasks.iter().map(|task| {
        let columns = (task.classes().len() + 5).to_string();
        match task {
            TaskContract::Detection(t) => port(&t.output, Element::F32, &["1", "?", &columns], Colour::None),
            TaskContract::Segmentation(t) => port(&t.output, Element::U8, &["1", "height", "width"], Colour::None),
        }
    }));
    Contract {
        version: VERSION,
        precision: Precision::Fp32,
        inputs: vec![image(INPUT_IR, "1", Colour::Gray), image(INPUT_VI, "3", Colour::Rgb)],
        outputs,
        infrared_range: IrRange::Full,
        tasks,
        sources: vec![],
    }
}
