//! From pairs to the map, coarse to fine.

use caf_geometry::Size;
use rayon::prelude::*;

use crate::coarse;
use crate::field::Field;
use crate::map::{AFFINE, DISTORTED, HOMOGRAPHY, Map, Matrix, PARAMETERS, SIMILARITY, Vector};
use crate::plane::Seen;
use crate::surface::{Prior, Surfaces};

/// Farthest shift that a step looks at, pixels of its level.
const REACH_PX: usize = 4;
/// Side of the blocks, pixels of their level.
const BLOCK_PX: usize = 32;
/// Steps on a level at most.
const STEPS: usize = 4;
/// A step that moves less ends its level, pixels.
const SETTLED_PX: f64 = 0.02;
/// Side of a cell of the checkerboard that halves single pairs, pixels of the finest level.
pub(crate) const CELL_PX: usize = 64;
/// What the cameras of a rig are expected to be before anything is seen, in the information of one pair about scale and rotation:
/// pixels are square (aspect and shear), image planes nearly parallel (perspective), lenses alike (radial distortion). It keeps the map of
/// a pair without structure in a corner sane there; larger weights pull the perspective of a known rig by more than its other errors.
const EXPECTED: [f64; PARAMETERS] = [0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.05, 0.05, 0.5];

/// How far rigs usually are from what is expected of them, in pixels of the parameters: aspect and shear stand for pixels that are not quite
/// square and for lenses not quite alike, perspective for cameras that are turned against one another by a few degrees.
const USUAL_PX: [f64; PARAMETERS] = [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 4.0, 4.0, 1.0];
/// Side, in blocks, of the clusters of one pair whose displacements count as independent: those of neighbouring blocks are not.
const CLUSTER: usize = 4;

/// A pair at several levels, each half as large as the one before.
#[derive(Clone, Debug)]
pub(crate) struct Pyramid {
    pub ir: Vec<Seen>,
    pub vi: Vec<Seen>,
}

impl Pyramid {
    /// `None` for images that are too small for so many levels.
    pub(crate) fn new(ir: Seen, vi: Seen, levels: usize) -> Option<Pyramid> {
        let pyramid = |image: Seen| {
            let mut all = vec![image];
            while all.len() < levels {
                let next = all.last()?.halved()?;
                all.push(next);
            }
            Some(all)
        };
        Some(Pyramid { ir: pyramid(ir)?, vi: pyramid(vi)? })
    }
}

/// Which part of the infrared images counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All.
    Whole,
    /// The cells of one colour of a checkerboard.
    Cells {
        /// Which colour.
        odd: bool,
    },
}

impl Part {
    /// Whether it contains a cell.
    pub(crate) fn shows(self, column: usize, row: usize) -> bool {
        match self {
            Part::Whole => true,
            Part::Cells { odd } => ((column + row) % 2 == 1) == odd,
        }
    }
}

/// The infrared fields of a level.
pub(crate) fn fields(pairs: &[&Pyramid], level: usize, part: Part) -> Vec<Field> {
    let field = |pair: &&Pyramid| {
        let mut field = Field::of(pair.ir.get(level)?);
        if part != Part::Whole {
            field.hide_cells((CELL_PX >> level).max(1), |column, row| !part.shows(column, row));
        }
        Some(field)
    };
    pairs.par_iter().filter_map(field).collect()
}

/// The map from the infrared to the visible images of the finest level. Without `begin` it is looked for around `start`, else refined from
/// there. `None` where the pairs say nothing.
pub(crate) fn solve(pairs: &[&Pyramid], part: Part, start: &Map, begin: Option<&Map>) -> Option<Map> {
    let levels = pairs.first()?.ir.len();
    let mut map = *begin.unwrap_or(start);
    // A map that is only refined is near already.
    let top = if begin.is_some() { levels.min(2) } else { levels };
    for level in (0..top).rev() {
        let factor = 0.5f64.powi(level as i32);
        let fixed = fields(pairs, level, part);
        let mut here = map.scaled(factor, factor);
        let is_first = level + 1 == levels;
        if is_first && begin.is_none() {
            let visible: Vec<&Seen> = pairs.iter().filter_map(|pair| pair.vi.get(level)).collect();
            here = coarse::search(&fixed, &visible, &here)?;
        }
        for step in 0..STEPS {
            let free = match (is_first, step, level) {
                (true, 0 | 1, _) => &SIMILARITY,
                (true, ..) => &AFFINE,
                (_, _, 0) => &DISTORTED,
                _ => &HOMOGRAPHY,
            };
            let all = surfaces(pairs, &fixed, level, &here, REACH_PX, BLOCK_PX);
            let sum = all.into_iter().reduce(|a, b| a.add(&b))?;
            let p = sum.best(here.frame(), &Vector::zeros(), free, &expectation(&here, &sum, pairs.len()));
            here = here.after(&p);
            if p.amax() < SETTLED_PX {
                break;
            }
        }
        map = here.scaled(1.0 / factor, 1.0 / factor);
    }
    Some(map)
}

/// The surfaces of each pair around a map of a level.
pub(crate) fn surfaces(
    pairs: &[&Pyramid],
    fixed: &[Field],
    level: usize,
    map: &Map,
    reach: usize,
    block_px: usize,
) -> Vec<Surfaces> {
    let of_pair = |(pair, fixed): (&&Pyramid, &Field)| {
        let size = Size::new(fixed.size.width + 2 * reach, fixed.size.height + 2 * reach);
        let moved = Field::of(&pair.vi.get(level)?.warped(map, size, reach)?);
        Some(Surfaces::correlate(fixed, &moved, reach, block_px))
    };
    pairs.par_iter().zip(fixed).filter_map(of_pair).collect()
}

/// What is expected of the whole map, weighed against what one pair says.
fn expectation(map: &Map, all: &Surfaces, pairs: usize) -> Prior {
    let (_, _, bend) = all.total(map.frame(), &Vector::zeros());
    let one = 0.5 * (bend[(2, 2)].abs() + bend[(3, 3)].abs()) / pairs.max(1) as f64;
    Prior { already: map.departure(), weight: Vector::from(EXPECTED) * one }
}

/// Covariance of the parameters at a solution: the sandwich estimator, with the gradients of the pairs (of fewer than four, of clusters of
/// blocks) as samples, and what the expectation pulls by where a rig is not as expected.
pub(crate) fn covariance(pairs: &[&Pyramid], map: &Map) -> Option<Matrix> {
    let fixed = fields(pairs, 0, Part::Whole);
    let each = surfaces(pairs, &fixed, 0, map, 2, BLOCK_PX);
    let sum = each.iter().cloned().reduce(|a, b| a.add(&b))?;
    let zero = Vector::zeros();
    let prior = expectation(map, &sum, pairs.len());
    let (_, _, bend) = prior.added(sum.total(map.frame(), &zero), &zero);
    let slopes: Vec<Vector> = match pairs.len() {
        0..4 => each.iter().flat_map(|s| s.slopes(map.frame(), CLUSTER)).collect(),
        _ => each.iter().map(|s| s.total(map.frame(), &zero).1).collect(),
    };
    let shown: Vec<&Vector> = slopes.iter().filter(|s| s.amax() > 0.0).collect();
    let count = shown.len() as f64;
    let mean = shown.iter().copied().sum::<Vector>() / count.max(1.0);
    let between: Matrix = shown.iter().map(|s| (*s - mean) * (*s - mean).transpose()).sum();
    let pulled = prior.weight.component_mul(&Vector::from(USUAL_PX));
    let spread = between * (count / (count - 1.0).max(1.0)) + Matrix::from_diagonal(&pulled.component_mul(&pulled));
    let inverse = bend.cholesky()?.inverse();
    Some(inverse * spread * inverse)
}
