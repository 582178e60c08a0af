//! Compares what a model promises with what it is, and resolves its shapes for a given image size.

use caf_contract::{
    Contract, DetectorContract, Element, Extent, INPUT_IR, INPUT_VI, MOST_ELEMENTS, OUTPUT_FUSED, OUTPUT_PREDICTIONS,
    Port, Role, elements,
};
use ort::value::{Outlet, TensorElementType, ValueType};

use crate::pixels::channels;

/// Where a promise is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Which input or output.
    pub place: String,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: expected {}, found {}", self.place, self.expected, self.found)
    }
}

fn mismatch(place: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Mismatch {
    Mismatch { place: place.into(), expected: expected.into(), found: found.into() }
}

fn describe_real(outlet: &Outlet) -> String {
    match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => format!("{ty:?} {:?}", shape.iter().as_slice()),
        other => format!("{other:?}"),
    }
}

/// The real inputs or outputs against the promised ones, both ways.
fn against_graph(direction: &str, ports: &[Port], real: &[Outlet], found: &mut Vec<Mismatch>) {
    for port in ports {
        let place = format!("{direction} `{}`", port.name);
        let Some(outlet) = real.iter().find(|o| o.name() == port.name) else {
            let names = real.iter().map(Outlet::name).collect::<Vec<_>>().join(", ");
            found.push(mismatch(place, port.to_string(), format!("none of that name among: {names}")));
            continue;
        };
        let same = match outlet.dtype() {
            ValueType::Tensor { ty, shape, .. } => {
                let element = match port.element {
                    Element::U8 => TensorElementType::Uint8,
                    Element::F32 => TensorElementType::Float32,
                };
                *ty == element
                    && shape.len() == port.shape.len()
                    && port.shape.iter().zip(shape.iter()).all(|(extent, n)| extent.is(*n))
            }
            ValueType::Sequence(_) | ValueType::Map { .. } | ValueType::Optional(_) => false,
        };
        if !same {
            found.push(mismatch(place, port.to_string(), describe_real(outlet)));
        }
    }
    for outlet in real.iter().filter(|o| ports.iter().all(|p| p.name != o.name())) {
        found.push(mismatch(format!("{direction} `{}`", outlet.name()), "nothing", describe_real(outlet)));
    }
}

/// Axes of height, width and channel by element type.
const fn axes(element: Element) -> (usize, usize, usize) {
    match element {
        Element::U8 => (1, 2, 3),
        Element::F32 => (2, 3, 1),
    }
}

fn image_port(place: &str, port: &Port, found: &mut Vec<Mismatch>) {
    let (.., channel) = axes(port.element);
    let n = channels(port.colour);
    let right = port.shape.len() == 4 && n > 0 && port.shape.get(channel) == Some(&Extent::Fixed(n));
    if !right {
        let layout = match port.element {
            Element::U8 => "[batch, height, width, 1 or 3]",
            Element::F32 => "[batch, 1 or 3, height, width]",
        };
        found.push(mismatch(place, format!("an image {layout}, gray or rgb"), port.to_string()));
    }
}

fn predictions_port(port: &Port, detector: Option<&DetectorContract>, found: &mut Vec<Mismatch>) {
    let Some(detector) = detector else {
        found.push(mismatch("detector", "classes and letterbox of the detector", "none"));
        return;
    };
    let columns = detector.classes.len() + 5;
    if port.element != Element::F32 || port.shape.len() != 3 || port.shape.get(2) != Some(&Extent::Fixed(columns)) {
        let expected = format!("f32 [batch, rows, {columns}] for {} classes", detector.classes.len());
        found.push(mismatch("output `predictions`", expected, port.to_string()));
    }
    let l = detector.letterbox;
    let sane = l.ratio.is_finite() && l.ratio > 0.0 && l.pad_left_px.is_finite() && l.pad_top_px.is_finite();
    if !sane || detector.classes.is_empty() {
        found.push(mismatch("detector", "classes and a positive finite scale", format!("{detector:?}")));
    }
}

/// Everything wrong with a model that should fuse (and may detect). Empty when it can be run.
#[must_use]
pub fn check(contract: &Contract, inputs: &[Outlet], outputs: &[Outlet]) -> Vec<Mismatch> {
    let mut found = vec![];
    let (wanted_in, wanted_out): (&[&'static str], &[&'static str]) = match contract.role {
        Role::Fusion => (&[INPUT_IR, INPUT_VI], &[OUTPUT_FUSED]),
        Role::Pipeline => (&[INPUT_IR, INPUT_VI], &[OUTPUT_FUSED, OUTPUT_PREDICTIONS]),
        Role::Detector => {
            return vec![mismatch(
                "role",
                "a model that fuses (`fusion` or `pipeline`)",
                "`detector`, which only detects",
            )];
        }
    };
    let exact = |direction: &str, wanted: &[&str], ports: &[Port], found: &mut Vec<Mismatch>| {
        let names: Vec<&str> = ports.iter().map(|p| p.name.as_str()).collect();
        let same = names.len() == wanted.len() && wanted.iter().all(|w| names.contains(w));
        if !same {
            found.push(mismatch(format!("{direction}s"), wanted.join(", "), names.join(", ")));
        }
    };
    exact("input", wanted_in, &contract.inputs, &mut found);
    exact("output", wanted_out, &contract.outputs, &mut found);
    for port in &contract.inputs {
        image_port(&format!("input `{}`", port.name), port, &mut found);
    }
    for port in &contract.outputs {
        if port.name == OUTPUT_PREDICTIONS {
            predictions_port(port, contract.detector.as_ref(), &mut found);
        } else {
            image_port(&format!("output `{}`", port.name), port, &mut found);
        }
    }
    against_graph("input", &contract.inputs, inputs, &mut found);
    against_graph("output", &contract.outputs, outputs, &mut found);
    found
}

/// The height and width a port is fixed to, where it is.
#[must_use]
pub fn fixed_size(port: &Port) -> (Option<usize>, Option<usize>) {
    let (h, w, _) = axes(port.element);
    let fixed = |axis: usize| match port.shape.get(axis) {
        Some(Extent::Fixed(n)) => Some(*n),
        Some(Extent::Named(_)) | None => None,
    };
    (fixed(h), fixed(w))
}

/// Values of the named extents.
#[derive(Debug, Default)]
pub struct Names<'a>(Vec<(&'a str, usize)>);

impl<'a> Names<'a> {
    /// Concrete shape of an image input of that size, batch 1; remembers what the names stand for.
    pub fn bind_image(&mut self, port: &'a Port, height_px: usize, width_px: usize) -> Result<Vec<usize>, Mismatch> {
        let (h, w, channel) = axes(port.element);
        let mut shape = vec![1; 4];
        for (axis, (slot, extent)) in shape.iter_mut().zip(&port.shape).enumerate() {
            let value = match axis {
                a if a == h => height_px,
                a if a == w => width_px,
                a if a == channel => channels(port.colour),
                _ => 1,
            };
            let known = match extent {
                Extent::Fixed(n) => Some(*n),
                Extent::Named(name) => self.0.iter().find(|(n, _)| n == name).map(|(_, v)| *v),
            };
            match (known, extent) {
                (Some(known), _) if known != value => {
                    let found = format!("an image of {width_px}x{height_px}");
                    return Err(mismatch(format!("input `{}`", port.name), self.wanted(port), found));
                }
                (None, Extent::Named(name)) => self.0.push((name, value)),
                _ => {}
            }
            *slot = value;
        }
        Ok(shape)
    }

    fn wanted(&self, port: &Port) -> String {
        let known: Vec<String> = self.0.iter().map(|(n, v)| format!("{n} = {v}")).collect();
        let so_far = if known.is_empty() { String::new() } else { format!(" with {}", known.join(", ")) };
        format!("{port}{so_far}")
    }

    /// Concrete shape of an output; a name that no input fixes is an error, for it cannot be allocated beforehand, and so
    /// are more than [`MOST_ELEMENTS`] elements.
    pub fn resolve(&self, port: &Port) -> Result<Vec<usize>, Mismatch> {
        let extent = |extent: &Extent| match extent {
            Extent::Fixed(n) => Ok(*n),
            Extent::Named(name) => self.0.iter().find(|(n, _)| n == name).map(|(_, v)| *v).ok_or_else(|| {
                mismatch(
                    format!("output `{}`", port.name),
                    format!("`{name}` to be an extent of an input"),
                    port.to_string(),
                )
            }),
        };
        let shape: Vec<usize> = port.shape.iter().map(extent).collect::<Result<_, _>>()?;
        check_elements(format!("output `{}`", port.name), &shape)?;
        Ok(shape)
    }
}

/// The number of elements of a tensor; none, or more than memory should be asked for, are a mismatch.
pub fn check_elements(place: impl Into<String>, shape: &[usize]) -> Result<usize, Mismatch> {
    elements(shape.iter().copied())
        .ok_or_else(|| mismatch(place, format!("from 1 to {MOST_ELEMENTS} elements"), format!("extents {shape:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_contract::Colour;

    fn port(name: &str, element: Element, shape: &[&str], colour: Colour) -> Port {
        let extent = |s: &&str| s.parse().map_or_else(|_| Extent::Named((*s).to_owned()), Extent::Fixed);
        Port { name: name.to_owned(), element, shape: shape.iter().map(extent).collect(), colour }
    }

    #[test]
    fn equal_names_mean_equal_extents() {
        let ir = port("ir", Element::U8, &["1", "height", "width", "1"], Colour::Gray);
        let vi = port("vi", Element::F32, &["batch", "3", "height", "width"], Colour::Rgb);
        let mut names = Names::default();
        assert_eq!(names.bind_image(&ir, 48, 65).unwrap(), [1, 48, 65, 1]);
        let error = names.bind_image(&vi, 48, 64).unwrap_err();
        assert_eq!(error.found, "an image of 64x48");
        assert!(error.expected.contains("width = 65"), "{error}");
        assert_eq!(names.bind_image(&vi, 48, 65).unwrap(), [1, 3, 48, 65]);
        let fused = port("fused", Element::U8, &["batch", "height", "width", "3"], Colour::Rgb);
        assert_eq!(names.resolve(&fused).unwrap(), [1, 48, 65, 3]);
        let open = port("predictions", Element::F32, &["1", "rows", "7"], Colour::None);
        assert!(names.resolve(&open).unwrap_err().expected.contains("rows"));
        let huge = port("fused", Element::U8, &["1", "height", "99999999", "3"], Colour::Rgb);
        assert_eq!(names.resolve(&huge).unwrap_err().found, "extents [1, 48, 99999999, 3]");
    }

    #[test]
    fn a_fixed_size_is_kept() {
        let ir = port("ir", Element::F32, &["1", "1", "480", "640"], Colour::Gray);
        assert_eq!(fixed_size(&ir), (Some(480), Some(640)));
        let error = Names::default().bind_image(&ir, 480, 641).unwrap_err().to_string();
        assert!(error.contains("[1, 1, 480, 640]") && error.contains("641x480"), "{error}");
    }

    #[test]
    fn a_contract_that_contradicts_itself_is_refused() {
        let contract = Contract {
            version: caf_contract::VERSION,
            role: Role::Pipeline,
            precision: "fp32".into(),
            inputs: vec![port("ir", Element::U8, &["1", "1", "8", "8"], Colour::Gray)],
            outputs: vec![
                port("fused", Element::U8, &["1", "8", "8", "3"], Colour::Gray),
                port("predictions", Element::U8, &["1", "3"], Colour::None),
            ],
            detector: None,
            sources: vec![],
        };
        let found = check(&contract, &[], &[]);
        for place in ["inputs", "input `ir`", "output `fused`", "detector", "output `predictions`"] {
            assert!(found.iter().any(|m| m.place == place), "{place} in {found:?}");
        }
        let detector = Contract { role: Role::Detector, ..contract };
        assert_eq!(check(&detector, &[], &[])[0].place, "role");
    }
}
