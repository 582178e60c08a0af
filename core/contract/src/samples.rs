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

/// A promise of a task with so many classes, whose input is 640×640 where it has one.
pub fn sample(task: &Task, count: usize) -> TaskContract {
    (task.contract)(classes(count), Size::new(640, 640))
}

/// A detector.
pub fn detection(count: usize) -> TaskContract {
    sample(&DETECTION, count)
}

/// A segmentation.
pub fn segmentation(count: usize) -> TaskContract {
    sample(&SEGMENTATION, count)
}

/// A model that fuses pairs of any size and does `tasks`.
pub fn fusion(tasks: Vec<TaskContract>) -> Contract {
    let image = |name, channels, colour| port(name, Element::U8, &["1", "height", "width", channels], colour);
    let mut outputs = vec![image(OUTPUT_FUSED, "3", Colour::Rgb)];
    // As a graph for one image of any size has them.
    let extent = |extent: Extent| match extent {
        Extent::Named(name) if name == "batch" => Extent::Fixed(1),
        Extent::Named(name) if name != "height" && name != "width" => Extent::Open,
        other => other,
    };
    outputs.extend(tasks.iter().map(|task| {
        let port = task.port();
        Port { shape: port.shape.into_iter().map(extent).collect(), ..port }
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
