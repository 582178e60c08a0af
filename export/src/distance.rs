//! How far a model's outputs are from what they should be, by the meaning of each output, and how far they may be.

use crate::error::ExportError;
use crate::verify::Named;
use caf_contract::{Contract, Element, Precision, Quantity, TaskContract};
use caf_engine::{Array, Values};

/// Results with the outputs of tasks parted by what their columns are, such as `predictions: boxes` (pixels) and `predictions: scores`
/// (probabilities), which have no common unit.
fn by_unit(contract: &Contract, outputs: &[(String, Array)]) -> Named {
    let mut parted = Vec::with_capacity(outputs.len() + 1);
    for (name, array) in outputs {
        let parts = contract.task_of(name).map(TaskContract::parts).filter(|parts| parts.len() > 1);
        let columns = array.shape.last().copied().filter(|n| *n > 0);
        let (Some(parts), Some(columns), Values::F32(values)) = (parts, columns, &array.values) else {
            parted.push((name.clone(), array.clone()));
            continue;
        };
        let rows = values.len() / columns;
        let mut first = 0;
        for part in parts {
            let width = part.columns.min(columns - first);
            let values = values.chunks_exact(columns).flat_map(|row| row.iter().skip(first).take(width)).copied();
            parted.push((part.title(name), Array { shape: vec![rows, width], values: Values::F32(values.collect()) }));
            first += width;
        }
    }
    parted
}

/// Distance between equally named outputs of two models.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Distance {
    /// The output; boxes and scores of predictions are outputs of their own.
    pub output: String,
    /// Largest absolute difference; bytes count in steps of 1. Of a class map the share of pixels that are of another class.
    pub max_abs: f64,
    /// Mean absolute difference; of a class map the same as `max_abs`.
    pub mean_abs: f64,
    /// Mean square difference, in parts of the square of the largest value that the output can take: 255 of bytes, the longer side of
    /// the detector's input of boxes, what is much of numbers, 1 of all others. Of a class map the same as `max_abs`.
    pub noise: f64,
    /// Smallest and largest value of the second model's output; where they are equal the comparison says little.
    pub range: [f64; 2],
    /// Number of compared values.
    pub values: usize,
}

impl Distance {
    /// [`Distance::noise`] as a ratio in dB, of images the PSNR. Infinite where nothing differs.
    #[must_use]
    pub fn psnr_db(&self) -> f64 {
        -10.0 * self.noise.log10()
    }
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
    let [first, second] = [first, second].map(|outputs| by_unit(contract, outputs));
    let incomparable = || {
        let names = |side: &[(String, Array)]| {
            side.iter().map(|(name, array)| format!("{name} {:?}", array.shape)).collect::<Vec<_>>().join(", ")
        };
        ExportError::Incomparable { first: names(&first), second: names(&second) }
    };
    if first.len() != second.len() {
        return Err(incomparable());
    }
    let mut distances = Vec::with_capacity(first.len());
    for (output, a) in &first {
        let b = second.iter().find(|(other, _)| other == output).map(|(_, b)| b).ok_or_else(incomparable)?;
        let kind = Kind::of(contract, output);
        let gap = |x: f32, y: f32| match kind {
            Kind::Task(Quantity::Classes) => f64::from(u8::from(x != y)),
            // A NaN on either side makes the difference infinite.
            _ => Some((f64::from(x) - f64::from(y)).abs()).filter(|gap| !gap.is_nan()).unwrap_or(f64::INFINITY),
        };
        let gaps = match (&a.values, &b.values) {
            (Values::F32(x), Values::F32(y)) if a.shape == b.shape => {
                Gaps::of(x.iter().copied(), y.iter().copied(), gap)
            }
            (Values::U8(x), Values::U8(y)) if a.shape == b.shape => {
                Gaps::of(x.iter().map(|v| f32::from(*v)), y.iter().map(|v| f32::from(*v)), gap)
            }
            _ => return Err(incomparable()),
        };
        distances.push(gaps.distance(output.clone(), kind));
    }
    Ok(distances)
}

/// Sums over the values of one output.
struct Gaps {
    largest: f64,
    sum: f64,
    squares: f64,
    range: [f64; 2],
    values: usize,
}

impl Gaps {
    fn of(a: impl Iterator<Item = f32>, b: impl Iterator<Item = f32>, gap: impl Fn(f32, f32) -> f64) -> Self {
        let start = Gaps { largest: 0.0, sum: 0.0, squares: 0.0, range: [f64::INFINITY, f64::NEG_INFINITY], values: 0 };
        a.zip(b).fold(start, |s, (x, y)| {
            let (gap, [low, high], y) = (gap(x, y), s.range, f64::from(y));
            Gaps {
                largest: s.largest.max(gap),
                sum: s.sum + gap,
                squares: s.squares + gap * gap,
                range: [low.min(y), high.max(y)],
                values: s.values + 1,
            }
        })
    }

    fn distance(self, output: String, kind: Kind) -> Distance {
        let count = self.values.max(1) as f64;
        let mean_abs = self.sum / count;
        Distance {
            output,
            max_abs: if kind == Kind::Task(Quantity::Classes) { mean_abs } else { self.largest },
            mean_abs,
            noise: self.squares / count / kind.peak().powi(2),
            range: self.range,
            values: self.values,
        }
    }
}

/// What the values of an output are, after [`by_unit`].
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Images of bytes, in steps.
    Bytes,
    /// Images in [0, 1].
    Floats,
    /// What a task found; of classes differences are shares of pixels.
    Task(Quantity),
}

impl Kind {
    /// That of an output by its name.
    fn of(contract: &Contract, output: &str) -> Self {
        let bytes = contract.outputs.iter().any(|p| p.name == output && p.element == Element::U8);
        contract.quantity(output).map_or(if bytes { Self::Bytes } else { Self::Floats }, Self::Task)
    }

    /// The largest value, of boxes the longer side of the detector's input.
    fn peak(self) -> f64 {
        match self {
            Self::Bytes => 255.0,
            Self::Task(Quantity::Pixels { longer_px }) => longer_px as f64,
            Self::Task(Quantity::Numbers { much }) => much,
            Self::Floats | Self::Task(Quantity::Classes) => 1.0,
        }
    }
}

/// How far an output may be from its reference, in the units of [`Distance`]; what is `None` may be any.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Limit {
    /// Largest difference.
    pub max_abs: Option<f64>,
    /// Mean difference.
    pub mean_abs: Option<f64>,
    /// Least [`Distance::psnr_db`].
    pub psnr_db: Option<f64>,
}

impl Limit {
    /// Of a model in fp32 from the same weights not folded, where a task sees the same image: `tolerance` of images in [0, 1], of a task's
    /// numbers by what is much, of boxes by the longer side of the detector's input; one step of bytes; of a class map's pixels a share, for
    /// where two classes are nearly as likely, rounding decides. Of less precision as [`Limit::of_reference`].
    #[must_use]
    pub fn of_weights(contract: &Contract, output: &str, tolerance: f64) -> Self {
        /// Share of the pixels that may be of another class.
        const MAP_SHARE: f64 = 1e-3;
        if contract.precision != Precision::Fp32 {
            return Self::of_reference(contract, output);
        }
        let kind = Kind::of(contract, output);
        let max_abs = match kind {
            Kind::Task(Quantity::Classes) => MAP_SHARE,
            Kind::Bytes => 1.0,
            Kind::Floats | Kind::Task(Quantity::Numbers { .. } | Quantity::Pixels { .. }) => tolerance * kind.peak(),
        };
        Self { max_abs: Some(max_abs), ..Self::default() }
    }

    /// Of a model from a stored reference, where a task sees the model's own image.
    ///
    /// Of fp32 only roundings differ. An engine may sum in another order, so that a fused value on the border of two bytes falls on its
    /// other side; where a task follows, its network sees that byte. Measured on real pairs with published weights, folded and optimised
    /// against neither: bytes 1 step at most and 3e-5 on average, scores 2e-3 and 2e-6, boxes 0.3 and 1e-3 of 640 pixels.
    ///
    /// Of less precision this finds broken models only: what they cost is measured on many pairs. Measured on real pairs, of the published
    /// fusion network's bytes: fp16 62 dB, where 45 dB is what the gate asks for; int8 1.1 to 1.2 on average (44 dB), where 6 are
    /// allowed, for networks with less contrast to spare. The marks of what tasks make are chosen.
    #[must_use]
    pub fn of_reference(contract: &Contract, output: &str) -> Self {
        use Quantity::{Classes, Numbers, Pixels};
        let kind = Kind::of(contract, output);
        let abs = |max, mean| Self { max_abs: max, mean_abs: Some(mean), psnr_db: None };
        let peak = kind.peak();
        match (contract.precision, kind) {
            (Precision::Fp32, Kind::Bytes) => abs(Some(1.0), 1e-3),
            (Precision::Fp32, Kind::Floats) => abs(Some(1e-4), 1e-5),
            (Precision::Fp32, Kind::Task(Numbers { .. })) => abs(Some(2e-2 * peak), 2e-5 * peak),
            (Precision::Fp32, Kind::Task(Pixels { .. })) => abs(Some(5e-3 * peak), 2e-5 * peak),
            (Precision::Fp32, Kind::Task(Classes)) => abs(None, 2e-3),
            (Precision::Fp16, Kind::Bytes | Kind::Floats) => Self { psnr_db: Some(45.0), ..Self::default() },
            (Precision::Fp16, Kind::Task(Numbers { .. } | Pixels { .. })) => abs(None, 5e-3 * peak),
            (Precision::Fp16, Kind::Task(Classes)) => abs(None, 2e-2),
            (Precision::Int8, Kind::Bytes) => abs(None, 6.0),
            (Precision::Int8, Kind::Floats) => abs(None, 6.0 / 255.0),
            (Precision::Int8, Kind::Task(Numbers { .. } | Pixels { .. })) => abs(None, 5e-2 * peak),
            (Precision::Int8, Kind::Task(Classes)) => abs(None, 1e-1),
        }
    }
}

/// How far one output is from its reference, and how far it may be.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Compared {
    /// What was run: the name of a probe, or of what else the model was given.
    pub probe: String,
    /// How far.
    #[serde(flatten)]
    pub distance: Distance,
    /// How far it may be.
    pub limit: Limit,
}

impl Compared {
    /// Whether it is within its limit.
    #[must_use]
    pub fn is_near(&self) -> bool {
        let Self { distance, limit, .. } = self;
        limit.max_abs.is_none_or(|most| distance.max_abs <= most)
            && limit.mean_abs.is_none_or(|most| distance.mean_abs <= most)
            && limit.psnr_db.is_none_or(|least| distance.psnr_db() >= least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_contract::{DETECTION, IrRange, SEGMENTATION};
    use caf_geometry::Size;

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
        let output = SEGMENTATION.output.to_owned();
        let map = |values: &[u8]| vec![(output.clone(), Array { shape: vec![4], values: Values::U8(values.to_vec()) })];
        let contract = contract(vec![(SEGMENTATION.contract)(vec!["a".into()], Size::new(4, 1))]);
        let found = distances(&contract, &map(&[0, 7, 2, 2]), &map(&[0, 1, 2, 2])).unwrap();
        assert_eq!((found[0].max_abs, found[0].mean_abs, found[0].noise, found[0].values), (0.25, 0.25, 0.25, 4));
    }

    fn floats(name: &str, values: &[f32]) -> (String, Array) {
        (name.to_owned(), Array { shape: vec![values.len()], values: Values::F32(values.to_vec()) })
    }

    #[test]
    fn distances_name_the_output_and_see_nan() {
        let none = contract(vec![]);
        let d = distances(&none, &[floats("y", &[1.0, -3.0])], &[floats("y", &[1.5, -3.0])]).unwrap();
        let (output, range) = ("y".to_owned(), [-3.0, 1.5]);
        assert_eq!(d, [Distance { output, max_abs: 0.5, mean_abs: 0.25, noise: 0.125, range, values: 2 }]);
        assert!((d[0].psnr_db() - 9.0309).abs() < 1e-4);
        let d = distances(&none, &[floats("y", &[f32::NAN])], &[floats("y", &[0.0])]).unwrap();
        assert_eq!((d[0].max_abs, d[0].psnr_db()), (f64::INFINITY, f64::NEG_INFINITY));
        assert!(distances(&none, &[floats("y", &[0.0])], &[floats("z", &[0.0])]).is_err());
        assert!(distances(&none, &[floats("y", &[0.0])], &[floats("y", &[0.0, 0.0])]).is_err());
    }

    #[test]
    fn boxes_and_scores_are_compared_apart() {
        let contract = contract(vec![(DETECTION.contract)(vec!["a".into()], Size::new(32, 32))]);
        let rows = (0..12u8).map(f32::from).collect();
        let array = Array { shape: vec![1, 2, 6], values: Values::F32(rows) };
        let parted = by_unit(&contract, &[(DETECTION.output.into(), array), floats("fused", &[0.5])]);
        let expected = [
            ("predictions: boxes".to_owned(), vec![2, 4], vec![0.0, 1.0, 2.0, 3.0, 6.0, 7.0, 8.0, 9.0]),
            ("predictions: scores".to_owned(), vec![2, 2], vec![4.0, 5.0, 10.0, 11.0]),
            ("fused".to_owned(), vec![1], vec![0.5]),
        ];
        let expected = expected.map(|(name, shape, v)| (name, Array { shape, values: Values::F32(v) }));
        assert_eq!(parted, expected);
        // A box that is a hundredth of the input's longer side away, of four numbers one.
        let rows = |x: f32| {
            vec![(
                DETECTION.output.to_owned(),
                Array { shape: vec![1, 1, 6], values: Values::F32(vec![x, 0.0, 0.0, 0.0, 0.5, 0.5]) },
            )]
        };
        let found = distances(&contract, &rows(1.0), &rows(1.32)).unwrap();
        assert!((found[0].noise - 1e-4 / 4.0).abs() < 1e-9 && found[1].noise == 0.0, "{found:?}");
    }
}
