//! Does a written model keep its promise, and does it compute what its weights say?

use crate::error::ExportError;
use caf_contract::{Colour, Contract, Element, Extent, Extents, Mismatch, Port};
use caf_engine::{Array, Engine, Values};
use caf_geometry::Size;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Name of the predictions' boxes, in pixels of the detector's input, after [`by_unit`].
const BOXES: &str = "predictions: boxes";
/// Name of the predictions' objectness and class probabilities after [`by_unit`].
const SCORES: &str = "predictions: scores";
/// Columns of a prediction before its scores.
const BOX_COLUMNS: usize = 4;

/// Images by seed for every input: uniform noise over smooth gradients, so that both flat and busy regions occur. Where the
/// contract leaves the size or the number of images open they are `size` and `batch`. Also what the named extents stand for.
///
/// # Errors
/// [`ExportError::Images`] when `size` and `batch` make an input that no memory holds.
pub fn random_inputs(
    contract: &Contract,
    size: Size,
    batch: usize,
    seed: u64,
) -> Result<(Vec<(String, Array)>, Extents), ExportError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut extents = Extents::default();
    let mut images = Vec::with_capacity(contract.inputs.len());
    for port in &contract.inputs {
        let batch = port.shape.first().and_then(Extent::fixed).unwrap_or(batch);
        let size = port.fixed_size().unwrap_or(size);
        let shape = extents.bind_image(port, batch, size).map_err(ExportError::Images)?;
        let len = shape.iter().product();
        let sample = |i: usize, rng: &mut ChaCha8Rng| {
            let wave = 0.5 + 0.5 * (i as f32 * 0.01).sin();
            (0.5 * wave + 0.5 * rng.random::<f32>()).clamp(0.0, 1.0)
        };
        let values = match port.element {
            Element::F32 => Values::F32((0..len).map(|i| sample(i, &mut rng)).collect()),
            Element::U8 => Values::U8((0..len).map(|i| (sample(i, &mut rng) * 255.0).round() as u8).collect()),
        };
        images.push((port.name.clone(), Array { shape, values }));
    }
    Ok((images, extents))
}

/// Runs a model and checks every output: shape as promised, finite, images within [0, 1]. `extents` are those that `inputs`
/// were made with.
///
/// # Errors
/// [`ExportError::Broken`] with every difference.
pub fn run_checked(
    engine: &mut Engine,
    contract: &Contract,
    extents: &Extents,
    inputs: &[(&str, Array)],
) -> Result<Vec<(String, Array)>, ExportError> {
    let outputs = engine.run(inputs)?;
    let mut found = Vec::new();
    for port in &contract.outputs {
        match outputs.iter().find(|(name, _)| *name == port.name) {
            Some((_, array)) => check_output(port, array, extents, &mut found),
            None => found.push(Mismatch::new(place(port), "a result", "none")),
        }
    }
    if found.is_empty() { Ok(outputs) } else { Err(ExportError::Broken { found }) }
}

fn place(port: &Port) -> String {
    format!("output `{}`", port.name)
}

fn check_output(port: &Port, array: &Array, extents: &Extents, found: &mut Vec<Mismatch>) {
    let fits = |(extent, real): (&Extent, &usize)| match extent {
        Extent::Fixed(n) => n == real,
        Extent::Named(name) => extents.get(name).is_none_or(|n| n == *real),
        Extent::Open => true,
    };
    if array.shape.len() != port.shape.len() || !port.shape.iter().zip(&array.shape).all(fits) {
        found.push(Mismatch::new(place(port), port.to_string(), format!("extents {:?}", array.shape)));
    }
    let Values::F32(values) = &array.values else { return };
    let count = |bad: &dyn Fn(&f32) -> bool| values.iter().filter(|v| bad(v)).count();
    let infinite = count(&|v| !v.is_finite());
    if infinite > 0 {
        found.push(Mismatch::new(place(port), "finite values", format!("{infinite} that are not")));
    }
    let outside = count(&|v| !(0.0..=1.0).contains(v));
    if port.colour != Colour::None && outside > 0 {
        found.push(Mismatch::new(place(port), "values from 0 to 1", format!("{outside} outside")));
    }
}

/// What the task network of a pipeline sees of a fused output: RGB bytes `[n, height, width, 3]`, gray repeated, floats rounded half to
/// even. `None` when it is no image.
pub fn seen_by_task(fused: &Array) -> Option<Array> {
    let &[n, a, b, c] = fused.shape.as_slice() else { return None };
    let (shape, bytes): ([usize; 3], Vec<u8>) = match &fused.values {
        Values::U8(bytes) => ([a, b, c], bytes.clone()),
        Values::F32(values) => {
            let byte = |v: &f32| (v.clamp(0.0, 1.0) * 255.0).round_ties_even() as u8;
            let image = |image: &[f32]| -> Vec<u8> {
                (0..b * c).flat_map(|at| image.iter().skip(at).step_by((b * c).max(1)).map(byte)).collect()
            };
            ([b, c, a], values.chunks_exact((a * b * c).max(1)).flat_map(image).collect())
        }
    };
    let [height, width, channels] = shape;
    let rgb = match channels {
        3 => bytes,
        1 => bytes.iter().flat_map(|v| [*v; 3]).collect(),
        _ => return None,
    };
    Some(Array { shape: vec![n, height, width, 3], values: Values::U8(rgb) })
}

/// Results with the predictions parted into `predictions: boxes` (pixels) and `predictions: scores` (probabilities), which have
/// no common unit.
pub fn by_unit(contract: &Contract, outputs: Vec<(String, Array)>) -> Vec<(String, Array)> {
    let is_predictions = |name: &str| contract.detection().is_some_and(|detection| detection.output == name);
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
    /// Largest absolute difference; bytes count in steps of 1. Of a class map the share of pixels that are of another class.
    pub max_abs: f64,
    /// Mean absolute difference; of a class map the same as `max_abs`.
    pub mean_abs: f64,
    /// Smallest and largest value of the second model's output; where they are equal the comparison says little.
    pub range: [f64; 2],
    /// Number of compared values.
    pub values: usize,
}

/// Compares two models' outputs, those of the tasks by their meaning.
///
/// # Errors
/// [`ExportError::Incomparable`] when names, types or shapes differ.
pub fn distances(
    contract: &Contract,
    first: &[(String, Array)],
    second: &[(String, Array)],
) -> Result<Vec<Distance>, ExportError> {
    let incomparable = || {
        let names = |side: &[(String, Array)]| {
            side.iter().map(|(name, array)| format!("{name} {:?}", array.shape)).collect::<Vec<_>>().join(", ")
        };
        ExportError::Incomparable { first: names(first), second: names(second) }
    };
    if first.len() != second.len() {
        return Err(incomparable());
    }
    let mut distances = Vec::with_capacity(first.len());
    for (name, a) in first {
        let b = second.iter().find(|(other, _)| other == name).map(|(_, b)| b).ok_or_else(incomparable)?;
        let (max_abs, mean_abs, range, values) = match (&a.values, &b.values) {
            (Values::F32(x), Values::F32(y)) if a.shape == b.shape => spread(x.iter().copied(), y.iter().copied()),
            (Values::U8(x), Values::U8(y)) if a.shape == b.shape && is_class_map(contract, name) => {
                let other = x.iter().zip(y).filter(|(x, y)| x != y).count();
                let (_, _, range, values) = spread(x.iter().map(|v| f32::from(*v)), y.iter().map(|v| f32::from(*v)));
                let share = other as f64 / values.max(1) as f64;
                (share, share, range, values)
            }
            (Values::U8(x), Values::U8(y)) if a.shape == b.shape => {
                spread(x.iter().map(|v| f32::from(*v)), y.iter().map(|v| f32::from(*v)))
            }
            _ => return Err(incomparable()),
        };
        distances.push(Distance { output: name.clone(), max_abs, mean_abs, range, values });
    }
    Ok(distances)
}

/// The accepted difference of one output from that of the same weights, not folded, in the unit that [`distances`] gives it in:
/// `tolerance` of images in [0, 1] and of probabilities, of boxes by the longer side of the detector's input; one step of bytes; of
/// a class map's pixels a share, for where two classes are nearly as likely, rounding decides.
pub fn limit(contract: &Contract, output: &str, tolerance: f64) -> f64 {
    /// Share of the pixels that may be of another class.
    const MAP_SHARE: f64 = 1e-3;
    match (Kind::of(contract, output), contract.detection()) {
        (Kind::Boxes, Some(task)) => tolerance * task.input.height.max(task.input.width) as f64,
        (Kind::ClassMap, _) => MAP_SHARE,
        (Kind::Bytes, _) => 1.0,
        _ => tolerance,
    }
}

/// What the values of an output are, after [`by_unit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Images of bytes, in steps.
    Bytes,
    /// Images in [0, 1].
    Floats,
    /// Boxes in pixels of the detector's input.
    Boxes,
    /// Probabilities.
    Scores,
    /// Numbers of classes; differences are shares of pixels.
    ClassMap,
}

impl Kind {
    /// That of an output by its name.
    #[must_use]
    pub fn of(contract: &Contract, output: &str) -> Self {
        let bytes = contract.outputs.iter().any(|p| p.name == output && p.element == Element::U8);
        match output {
            BOXES => Self::Boxes,
            SCORES => Self::Scores,
            _ if is_class_map(contract, output) => Self::ClassMap,
            _ if bytes => Self::Bytes,
            _ => Self::Floats,
        }
    }
}

/// Whether an output is a class map: its numbers are names, so that 3 is no nearer to 2 than to 7.
fn is_class_map(contract: &Contract, output: &str) -> bool {
    contract.segmentation().is_some_and(|segmentation| segmentation.output == output)
}

/// Largest and mean difference, range of the second, count. A NaN on either side makes the difference infinite.
fn spread(a: impl Iterator<Item = f32>, b: impl Iterator<Item = f32>) -> (f64, f64, [f64; 2], usize) {
    let start = (0.0, 0.0, [f64::INFINITY, f64::NEG_INFINITY], 0_usize);
    let (max, sum, range, n) = a.zip(b).fold(start, |(max, sum, [low, high], n), (x, y)| {
        let (x, y) = (f64::from(x), f64::from(y));
        let gap = (x - y).abs();
        let gap = if gap.is_nan() { f64::INFINITY } else { gap };
        (f64::max(max, gap), sum + gap, [low.min(y), high.max(y)], n + 1)
    });
    (max, sum / n.max(1) as f64, range, n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_contract::{DetectionContract, IrRange, OUTPUT_PREDICTIONS, Precision, SegmentationContract, TaskContract};

    fn contract(tasks: Vec<TaskContract>) -> Contract {
        Contract {
            version: caf_contract::VERSION,
            precision: Precision::Fp32,
            inputs: vec![],
            outputs: vec![],
            infrared_range: IrRange::Full,
            tasks,
            sources: vec![],
        }
    }

    #[test]
    fn class_maps_are_compared_by_the_share_of_other_classes() {
        let map =
            |values: &[u8]| vec![("map".to_owned(), Array { shape: vec![4], values: Values::U8(values.to_vec()) })];
        let segmentation = SegmentationContract {
            output: "map".into(),
            classes: vec!["a".into()],
            ignored_label: None,
            palette: None,
        };
        let contract = contract(vec![TaskContract::Segmentation(segmentation)]);
        let found = distances(&contract, &map(&[0, 7, 2, 2]), &map(&[0, 1, 2, 2])).unwrap();
        assert_eq!((found[0].max_abs, found[0].values), (0.25, 4));
    }

    fn floats(name: &str, values: &[f32]) -> (String, Array) {
        (name.to_owned(), Array { shape: vec![values.len()], values: Values::F32(values.to_vec()) })
    }

    #[test]
    fn a_task_sees_rgb_bytes_whatever_leaves_the_graph() {
        let bytes = |shape: &[usize], v: &[u8]| Array { shape: shape.to_vec(), values: Values::U8(v.to_vec()) };
        let floats = |shape: &[usize], v: &[f32]| Array { shape: shape.to_vec(), values: Values::F32(v.to_vec()) };
        let gray = bytes(&[1, 1, 2, 3], &[7, 7, 7, 9, 9, 9]);
        assert_eq!(seen_by_task(&bytes(&[1, 1, 2, 1], &[7, 9])), Some(gray.clone()));
        assert_eq!(seen_by_task(&floats(&[1, 1, 1, 2], &[7.0 / 255.0, 8.6 / 255.0])), Some(gray));
        // Planes become pixels.
        let planes = floats(&[1, 3, 1, 2], &[0.0, 1.0, 0.2, 0.4, -1.0, 2.0]);
        assert_eq!(seen_by_task(&planes), Some(bytes(&[1, 1, 2, 3], &[0, 51, 0, 255, 102, 255])));
        assert_eq!(seen_by_task(&bytes(&[1, 1, 1, 2], &[7, 9])), None);
    }

    #[test]
    fn distances_name_the_output_and_see_nan() {
        let none = contract(vec![]);
        let d = distances(&none, &[floats("y", &[1.0, -3.0])], &[floats("y", &[1.5, -3.0])]).unwrap();
        assert_eq!(d, [Distance { output: "y".into(), max_abs: 0.5, mean_abs: 0.25, range: [-3.0, 1.5], values: 2 }]);
        let d = distances(&none, &[floats("y", &[f32::NAN])], &[floats("y", &[0.0])]).unwrap();
        assert_eq!(d[0].max_abs, f64::INFINITY);
        assert!(distances(&none, &[floats("y", &[0.0])], &[floats("z", &[0.0])]).is_err());
        assert!(distances(&none, &[floats("y", &[0.0])], &[floats("y", &[0.0, 0.0])]).is_err());
    }

    #[test]
    fn boxes_and_scores_are_compared_apart() {
        let input = Size::new(32, 32);
        let output = OUTPUT_PREDICTIONS.to_owned();
        let task = TaskContract::Detection(DetectionContract { output, classes: vec!["a".into()], input });
        let contract = contract(vec![task]);
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
}
