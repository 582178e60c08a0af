//! Does a written model keep its promise, and does it compute what its weights say?

use crate::engine::{Array, Engine, EngineError, Values};
use caf_contract::{
    Colour, Contract, ContractError, Element, Extent, METADATA_KEY, MOST_ELEMENTS, OUTPUT_PREDICTIONS, Port, elements,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;

/// What a verification could not do or found broken.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// No usable contract.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// The model is not what it promises; all differences.
    #[error("the model does not keep its contract:{}", list(found))]
    Broken {
        /// Each with place, expectation and finding.
        found: Vec<String>,
    },
    /// An input that no memory holds with the extents chosen for the named ones.
    #[error("input `{input}`: expected from 1 to {MOST_ELEMENTS} elements, found extents {shape:?}")]
    Elements {
        /// The input.
        input: String,
        /// Its extents.
        shape: Vec<usize>,
    },
    /// Two models have other outputs.
    #[error("the two models have no equal outputs: `{first}` against `{second}`")]
    Incomparable {
        /// Outputs of one.
        first: String,
        /// Outputs of the other.
        second: String,
    },
}

fn list(found: &[String]) -> String {
    found.iter().map(|line| format!("\n  {line}")).collect()
}

/// Name of the predictions' boxes, in pixels of the detector's input, after [`by_unit`].
pub const BOXES: &str = "predictions: boxes";
/// Name of the predictions' objectness and class probabilities after [`by_unit`].
pub const SCORES: &str = "predictions: scores";
/// Columns of a prediction before its scores.
const BOX_COLUMNS: usize = 4;

/// Extents chosen for the named ones.
pub type Extents = HashMap<String, usize>;

/// The contract of a loaded model, after comparing it with the model's real inputs and outputs.
///
/// # Errors
/// [`VerifyError::Contract`] without a usable contract, [`VerifyError::Broken`] with every difference.
pub fn contract_of(engine: &Engine) -> Result<Contract, VerifyError> {
    let contract = Contract::from_metadata(engine.metadata(METADATA_KEY).as_deref())?;
    let mut found = Vec::new();
    compare_ports("input", &contract.inputs, &engine.inputs(), &mut found);
    compare_ports("output", &contract.outputs, &engine.outputs(), &mut found);
    if found.is_empty() { Ok(contract) } else { Err(VerifyError::Broken { found }) }
}

fn compare_ports(direction: &str, ports: &[Port], real: &[(String, String, Vec<i64>)], found: &mut Vec<String>) {
    for port in ports {
        let Some((_, element, shape)) = real.iter().find(|(name, ..)| *name == port.name) else {
            found.push(format!("{direction} `{}`: promised, but the graph has none of that name", port.name));
            continue;
        };
        let promised = element_name(port.element);
        let fits = port.shape.len() == shape.len() && port.shape.iter().zip(shape).all(|(extent, n)| extent.is(*n));
        if promised != element || !fits {
            let (name, extents) = (&port.name, &port.shape);
            found.push(format!("{direction} `{name}`: promised {promised} {extents:?}, found {element} {shape:?}"));
        }
    }
    for (name, ..) in real.iter().filter(|(name, ..)| ports.iter().all(|p| p.name != *name)) {
        found.push(format!("{direction} `{name}`: in the graph, but not promised"));
    }
}

fn element_name(element: Element) -> &'static str {
    match element {
        Element::U8 => "u8",
        Element::F32 => "f32",
    }
}

/// Images by seed for every input: uniform noise over smooth gradients, so that both flat and busy regions occur.
///
/// # Errors
/// [`VerifyError::Elements`] when `extents` make an input of none or more than [`MOST_ELEMENTS`] elements.
pub fn random_inputs(contract: &Contract, extents: &Extents, seed: u64) -> Result<Vec<(String, Array)>, VerifyError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let size = |extent: &Extent| match extent {
        Extent::Fixed(n) => *n,
        Extent::Named(name) => extents.get(name).copied().unwrap_or(1),
    };
    let image = |port: &Port| {
        let shape: Vec<usize> = port.shape.iter().map(size).collect();
        let Some(len) = elements(shape.iter().copied()) else {
            return Err(VerifyError::Elements { input: port.name.clone(), shape });
        };
        let sample = |i: usize, rng: &mut ChaCha8Rng| {
            let wave = 0.5 + 0.5 * (i as f32 * 0.01).sin();
            (0.5 * wave + 0.5 * rng.random::<f32>()).clamp(0.0, 1.0)
        };
        let values = match port.element {
            Element::F32 => Values::F32((0..len).map(|i| sample(i, &mut rng)).collect()),
            Element::U8 => Values::U8((0..len).map(|i| (sample(i, &mut rng) * 255.0).round() as u8).collect()),
        };
        Ok((port.name.clone(), Array { shape, values }))
    };
    contract.inputs.iter().map(image).collect()
}

/// Runs a model and checks every output: shape as promised, finite, images within [0, 1]. `extents` are those that `inputs`
/// were made with.
///
/// # Errors
/// [`VerifyError::Broken`] with every difference.
pub fn run_checked(
    engine: &mut Engine,
    contract: &Contract,
    extents: &Extents,
    inputs: &[(&str, Array)],
) -> Result<Vec<(String, Array)>, VerifyError> {
    let outputs = engine.run(inputs)?;
    let mut found = Vec::new();
    for port in &contract.outputs {
        let Some((_, array)) = outputs.iter().find(|(name, _)| *name == port.name) else {
            found.push(format!("output `{}`: not among the results", port.name));
            continue;
        };
        let fits = |(extent, real): (&Extent, &usize)| match extent {
            Extent::Fixed(n) => n == real,
            Extent::Named(name) => extents.get(name).is_none_or(|n| n == real),
        };
        if array.shape.len() != port.shape.len() || !port.shape.iter().zip(&array.shape).all(fits) {
            let (name, promised, shape) = (&port.name, &port.shape, &array.shape);
            found.push(format!("output `{name}`: promised extents {promised:?}, found {shape:?}"));
        }
        if let Values::F32(values) = &array.values {
            let bad = values.iter().filter(|v| !v.is_finite()).count();
            if bad > 0 {
                found.push(format!("output `{}`: {bad} values are not finite", port.name));
            }
            let outside = values.iter().filter(|v| !(0.0..=1.0).contains(*v)).count();
            if port.colour != Colour::None && outside > 0 {
                found.push(format!("output `{}`: {outside} values lie outside [0, 1]", port.name));
            }
        }
    }
    if found.is_empty() { Ok(outputs) } else { Err(VerifyError::Broken { found }) }
}

/// Results with the predictions parted into `predictions: boxes` (pixels) and `predictions: scores` (probabilities), which have
/// no common unit.
pub fn by_unit(contract: &Contract, outputs: Vec<(String, Array)>) -> Vec<(String, Array)> {
    let is_predictions = |name: &str| name == OUTPUT_PREDICTIONS && contract.detector.is_some();
    let mut parted = Vec::with_capacity(outputs.len() + 1);
    for (name, array) in outputs {
        let columns = array.shape.last().copied().filter(|n| *n > BOX_COLUMNS);
        let (Some(columns), Values::F32(values), true) = (columns, &array.values, is_predictions(&name)) else {
            parted.push((name, array));
            continue;
        };
        let rows: Vec<&[f32]> = values.chunks_exact(columns).collect();
        let part = |take: fn(&[f32]) -> &[f32], width: usize| Array {
            shape: vec![rows.len(), width],
            values: Values::F32(rows.iter().flat_map(|row| take(row)).copied().collect()),
        };
        parted.push((BOXES.to_owned(), part(|row| row.split_at(BOX_COLUMNS).0, BOX_COLUMNS)));
        parted.push((SCORES.to_owned(), part(|row| row.split_at(BOX_COLUMNS).1, columns - BOX_COLUMNS)));
    }
    parted
}

/// Largest distance between equally named outputs of two models.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Distance {
    /// The output.
    pub output: String,
    /// Largest absolute difference; bytes count in steps of 1.
    pub max_abs: f64,
    /// Smallest and largest value of the second model's output; where they are equal the comparison says little.
    pub range: [f64; 2],
    /// Number of compared values.
    pub values: usize,
}

/// Compares two models' outputs.
///
/// # Errors
/// [`VerifyError::Incomparable`] when names, types or shapes differ.
pub fn distances(first: &[(String, Array)], second: &[(String, Array)]) -> Result<Vec<Distance>, VerifyError> {
    let incomparable = || {
        let names = |side: &[(String, Array)]| {
            side.iter().map(|(name, array)| format!("{name} {:?}", array.shape)).collect::<Vec<_>>().join(", ")
        };
        VerifyError::Incomparable { first: names(first), second: names(second) }
    };
    if first.len() != second.len() {
        return Err(incomparable());
    }
    let mut distances = Vec::with_capacity(first.len());
    for (name, a) in first {
        let b = second.iter().find(|(other, _)| other == name).map(|(_, b)| b).ok_or_else(incomparable)?;
        let (max_abs, range, values) = match (&a.values, &b.values) {
            (Values::F32(x), Values::F32(y)) if a.shape == b.shape => spread(x.iter().copied(), y.iter().copied()),
            (Values::U8(x), Values::U8(y)) if a.shape == b.shape => {
                spread(x.iter().map(|v| f32::from(*v)), y.iter().map(|v| f32::from(*v)))
            }
            _ => return Err(incomparable()),
        };
        distances.push(Distance { output: name.clone(), max_abs, range, values });
    }
    Ok(distances)
}

/// Largest difference, range of the second, count. A NaN on either side makes the difference infinite.
fn spread(a: impl Iterator<Item = f32>, b: impl Iterator<Item = f32>) -> (f64, [f64; 2], usize) {
    let start = (0.0, [f64::INFINITY, f64::NEG_INFINITY], 0);
    a.zip(b).fold(start, |(max, [low, high], n), (x, y)| {
        let (x, y) = (f64::from(x), f64::from(y));
        let gap = (x - y).abs();
        let gap = if gap.is_nan() { f64::INFINITY } else { gap };
        (f64::max(max, gap), [low.min(y), high.max(y)], n + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(name: &str, values: &[f32]) -> (String, Array) {
        (name.to_owned(), Array { shape: vec![values.len()], values: Values::F32(values.to_vec()) })
    }

    #[test]
    fn distances_name_the_output_and_see_nan() {
        let d = distances(&[floats("y", &[1.0, -3.0])], &[floats("y", &[1.5, -3.0])]).unwrap();
        assert_eq!(d, [Distance { output: "y".into(), max_abs: 0.5, range: [-3.0, 1.5], values: 2 }]);
        let d = distances(&[floats("y", &[f32::NAN])], &[floats("y", &[0.0])]).unwrap();
        assert_eq!(d[0].max_abs, f64::INFINITY);
        assert!(distances(&[floats("y", &[0.0])], &[floats("z", &[0.0])]).is_err());
        assert!(distances(&[floats("y", &[0.0])], &[floats("y", &[0.0, 0.0])]).is_err());
    }

    #[test]
    fn boxes_and_scores_are_compared_apart() {
        let letterbox = caf_contract::LetterboxContract {
            height_px: 32,
            width_px: 32,
            ratio: 1.0,
            pad_left_px: 0.0,
            pad_top_px: 0.0,
        };
        let contract = Contract {
            version: caf_contract::VERSION,
            role: caf_contract::Role::Detector,
            precision: "fp32".into(),
            inputs: vec![],
            outputs: vec![],
            detector: Some(caf_contract::DetectorContract { classes: vec!["a".into()], letterbox }),
            sources: vec![],
        };
        let rows = (0..12u8).map(f32::from).collect();
        let array = Array { shape: vec![1, 2, 6], values: Values::F32(rows) };
        let parted = by_unit(&contract, vec![(OUTPUT_PREDICTIONS.into(), array), floats("fused", &[0.5])]);
        let expected = [
            (BOXES.to_owned(), vec![2, 4], vec![0.0, 1.0, 2.0, 3.0, 6.0, 7.0, 8.0, 9.0]),
            (SCORES.to_owned(), vec![2, 2], vec![4.0, 5.0, 10.0, 11.0]),
            ("fused".to_owned(), vec![1], vec![0.5]),
        ];
        let expected = expected.map(|(name, shape, v)| (name, Array { shape, values: Values::F32(v) }));
        assert_eq!(parted, expected);
    }

    #[test]
    fn ports_are_compared_both_ways() {
        let port = Port {
            name: "ir".into(),
            element: Element::U8,
            shape: vec![Extent::Fixed(1), Extent::Named("height".into())],
            colour: Colour::Gray,
        };
        let check = |real: &[(String, String, Vec<i64>)]| {
            let mut found = Vec::new();
            compare_ports("input", std::slice::from_ref(&port), real, &mut found);
            found
        };
        assert!(check(&[("ir".into(), "u8".into(), vec![1, -1])]).is_empty());
        assert_eq!(check(&[("ir".into(), "f32".into(), vec![1, -1])]).len(), 1);
        assert_eq!(check(&[("ir".into(), "u8".into(), vec![1, 480])]).len(), 1);
        assert_eq!(check(&[("vi".into(), "u8".into(), vec![1, -1])]).len(), 2);
    }
}
