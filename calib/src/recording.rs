//! Recorded pairs: reading them, and setting aside what shows nothing.

use std::path::Path;

use caf_geometry::Size;
use caf_image::folder::{Pair, TwoFolders};
use caf_image::{IrRange, Plane, color, read_ir, read_vi};
use rayon::prelude::*;

use crate::error::CalibError;
use crate::plane::Seen;

/// Least side of an image, pixels.
pub const LEAST_SIDE_PX: usize = 96;

/// Standard deviation below which an image is blank: a level and a half of 8 bits.
const BLANK: f32 = 1.5 / 255.0;
/// Share of pixels at the upper limit above which an image is saturated.
const SATURATED: f32 = 0.6;
/// Share of an image that a fill around it may take.
const MOST_FILL: f32 = 0.7;
/// Difference of every cell's mean below which two images are the same: half a level of 8 bits, several times the noise of a mean.
const SAME: f32 = 0.5 / 255.0;
/// Cells of a signature each way.
const CELLS: usize = 12;

/// A pair of images, gray in [0, 1].
#[derive(Clone, Debug)]
pub struct Shot {
    /// Name without extension.
    pub name: String,
    pub(crate) ir: Seen,
    pub(crate) vi: Seen,
}

impl Shot {
    /// A pair of planes in [0, 1]. What a program left as fill around an image, exactly 0 from its border on, counts as not seen.
    #[must_use]
    pub fn new(name: &str, ir: Plane, vi: Plane) -> Shot {
        let seen = |gray: Plane| Seen { seen: without_fill(&gray), gray };
        Shot { name: name.to_owned(), ir: seen(ir), vi: seen(vi) }
    }
}

/// Lists the pairs of two folders.
///
/// # Errors
/// [`CalibError::Image`] for a folder that cannot be read, [`CalibError::Problems`] for what does not belong there.
pub fn list(ir: &Path, vi: &Path) -> Result<Vec<Pair>, CalibError> {
    let mut problems = Vec::new();
    let pairs = TwoFolders::open(ir, vi, &mut problems)?.pairs(&mut problems);
    if problems.is_empty() { Ok(pairs) } else { Err(CalibError::Problems(problems)) }
}

/// At most so many of the pairs, spread evenly.
#[must_use]
pub fn spread(pairs: Vec<Pair>, most: usize) -> Vec<Pair> {
    let (count, most) = (pairs.len(), most.max(1));
    let is_taken = |i: usize| count <= most || (i * most) % count < most;
    pairs.into_iter().enumerate().filter(|(i, _)| is_taken(*i)).map(|(_, pair)| pair).collect()
}

/// Reads pairs.
///
/// # Errors
/// [`CalibError::Image`] with the first file that cannot be read.
pub fn read(pairs: &[Pair], range: IrRange) -> Result<Vec<Shot>, CalibError> {
    let one = |pair: &Pair| -> Result<Shot, CalibError> {
        Ok(Shot::new(&pair.name, read_ir(&pair.ir, range)?, color::luma(&read_vi(&pair.vi)?)))
    };
    pairs.par_iter().map(one).collect()
}

/// What is asked of a pair before it is used.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub name: String,
    /// Infrared, visible.
    pub sizes: [Size; 2],
    flaw: Option<String>,
    signatures: [Vec<f32>; 2],
}

impl Check {
    pub(crate) fn of(shot: &Shot) -> Check {
        let flaws = [("infrared", &shot.ir), ("visible", &shot.vi)].map(|(camera, image)| flaw(camera, image));
        Check {
            name: shot.name.clone(),
            sizes: [shot.ir.size(), shot.vi.size()],
            flaw: flaws.into_iter().flatten().next(),
            signatures: [&shot.ir, &shot.vi].map(signature),
        }
    }
}

/// What is left of a recording.
#[derive(Debug, Default)]
pub(crate) struct Usable {
    /// Places of the pairs that can be used.
    pub kept: Vec<usize>,
    /// Name and reason of the others.
    pub set_aside: Vec<String>,
}

/// Looks at each pair; sizes must agree, a frozen camera is an error, pairs that show nothing or nothing new are set aside.
pub(crate) fn usable(checks: &[Check], least: usize) -> Result<Usable, CalibError> {
    let mut usable = Usable::default();
    if let Some(first) = checks.first() {
        check_size("infrared", checks, first.sizes, |[infrared, _]| infrared)?;
        check_size("visible", checks, first.sizes, |[_, visible]| visible)?;
    }
    let mut signatures: Vec<&[Vec<f32>; 2]> = Vec::new();
    let mut repeated = [0, 0];
    for (place, check) in checks.iter().enumerate() {
        if let Some(flaw) = &check.flaw {
            usable.set_aside.push(format!("{}: {flaw}", check.name));
            continue;
        }
        let signature = &check.signatures;
        let is_same = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < SAME);
        let ir = signatures.iter().any(|[a, _]| is_same(a, &signature[0]));
        let vi = signatures.iter().any(|[_, b]| is_same(b, &signature[1]));
        (repeated[0], repeated[1]) = (repeated[0] + usize::from(ir), repeated[1] + usize::from(vi));
        if ir || vi {
            let camera = if ir { "infrared" } else { "visible" };
            usable.set_aside.push(format!("{}: the {camera} image is that of an earlier pair", check.name));
            continue;
        }
        signatures.push(signature);
        usable.kept.push(place);
    }
    // Before it is asked how many there are: where one pair is enough, the one that is left of a frozen camera is no recording.
    let pairs = usable.kept.len() + repeated[0].max(repeated[1]);
    if usable.kept.len() == 1 && pairs > 1 {
        let camera = if repeated[0] + 1 >= pairs { "infrared" } else { "visible" };
        return Err(CalibError::Frozen { camera, pairs });
    }
    if usable.kept.len() < least.max(1) {
        let (usable, set_aside) = (usable.kept.len(), usable.set_aside);
        return Err(CalibError::TooFew { usable, least: least.max(1), set_aside });
    }
    Ok(usable)
}

fn check_size(
    camera: &'static str,
    checks: &[Check],
    first: [Size; 2],
    of: impl Fn([Size; 2]) -> Size,
) -> Result<(), CalibError> {
    let expected = of(first);
    if expected.width.min(expected.height) < LEAST_SIDE_PX {
        return Err(CalibError::TooSmall { camera, least: LEAST_SIDE_PX, found: expected });
    }
    match checks.iter().find(|check| of(check.sizes) != expected) {
        Some(check) => {
            Err(CalibError::OtherSize { camera, path: (&check.name).into(), expected, found: of(check.sizes) })
        }
        None => Ok(()),
    }
}

/// Why an image shows nothing.
fn flaw(camera: &str, image: &Seen) -> Option<String> {
    let values: Vec<f32> =
        image.gray.data().iter().zip(image.seen.data()).filter(|(_, seen)| **seen > 0.0).map(|(v, _)| *v).collect();
    let count = values.len().max(1) as f32;
    let mean = values.iter().sum::<f32>() / count;
    let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / count).sqrt();
    let high = values.iter().filter(|v| **v >= 0.996).count() as f32 / count;
    if deviation.is_nan() || deviation < BLANK {
        return Some(format!("the {camera} image is blank (all of it near {:.0} % of the range)", 100.0 * mean));
    }
    (high > SATURATED).then(|| {
        format!(
            "the {camera} image is saturated ({:.0} % of it is white); lower gain or exposure, or give its range",
            100.0 * high
        )
    })
}

/// Means of the cells of an image.
fn signature(image: &Seen) -> Vec<f32> {
    let Size { width, height } = image.size();
    let mut sums = vec![(0.0f32, 0.0f32); CELLS * CELLS];
    for (y, row) in image.gray.data().chunks_exact(width).enumerate() {
        for (x, v) in row.iter().enumerate() {
            if let Some((sum, count)) = sums.get_mut(y * CELLS / height * CELLS + x * CELLS / width) {
                (*sum, *count) = (*sum + v, *count + 1.0);
            }
        }
    }
    sums.into_iter().map(|(sum, count)| sum / count).collect()
}

/// 0 where a row or a column is exactly 0 from the border on, else 1; 1 everywhere in an image that is mostly so.
fn without_fill(gray: &Plane) -> Plane {
    let Size { width, height } = gray.size();
    let mut seen = Plane::like(gray, 1.0);
    let data = gray.data();
    let marks = seen.data_mut();
    let mut run = |indices: &mut dyn Iterator<Item = usize>| {
        for i in indices {
            match (data.get(i), marks.get_mut(i)) {
                (Some(0.0), Some(mark)) => *mark = 0.0,
                _ => break,
            }
        }
    };
    for y in 0..height {
        run(&mut (y * width..(y + 1) * width));
        run(&mut (y * width..(y + 1) * width).rev());
    }
    for x in 0..width {
        run(&mut (x..width * height).step_by(width));
        run(&mut (x..width * height).step_by(width).rev());
    }
    let filled = seen.data().iter().filter(|v| **v == 0.0).count() as f32;
    if filled > MOST_FILL * (width * height) as f32 { Plane::like(gray, 1.0) } else { seen }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(seed: usize) -> Plane {
        let size = Size::new(120, 100);
        let value =
            |i: usize| 0.2 + 0.6 * ((((i % 120) / 10 * 7 + (i / 1200) * 13 + seed * 29) * 37 % 101) as f32 / 101.0);
        Plane::new(size, (0..12_000).map(value).collect()).unwrap()
    }

    fn shots(count: usize) -> Vec<Shot> {
        (0..count).map(|i| Shot::new(&format!("p{i}"), plane(i), plane(i + 50))).collect()
    }

    fn usable_of(shots: &[Shot], least: usize) -> Result<Usable, CalibError> {
        usable(&shots.iter().map(Check::of).collect::<Vec<_>>(), least)
    }

    #[test]
    fn pairs_that_show_nothing_are_set_aside_with_their_reason() {
        let mut shots = shots(6);
        let flat = |v: f32| Plane::filled(Size::new(120, 100), v).unwrap();
        shots[1] = Shot::new("grey", flat(0.5), plane(1));
        shots[2] = Shot::new("dark", plane(2), flat(0.0));
        let mut white = plane(3);
        white.data_mut().iter_mut().take(9000).for_each(|v| *v = 1.0);
        shots[3] = Shot::new("white", white, plane(3));
        let left = usable_of(&shots, 3).unwrap();
        assert_eq!(left.kept, [0, 4, 5]);
        let told = left.set_aside.join("\n");
        for word in [
            "grey: the infrared image is blank",
            "dark: the visible image is blank",
            "white: the infrared image is saturated",
        ] {
            assert!(told.contains(word), "{told}");
        }
        let error = usable_of(&shots, 4).unwrap_err().to_string();
        assert!(error.contains("3 usable pairs: expected at least 4") && error.contains("record ten"), "{error}");
        assert!(matches!(usable(&[], 1), Err(CalibError::TooFew { usable: 0, least: 1, .. })));
    }

    #[test]
    fn a_frozen_camera_is_named() {
        let mut frozen = shots(5);
        let still = frozen[0].ir.clone();
        frozen.iter_mut().for_each(|shot| shot.ir = still.clone());
        let error = usable_of(&frozen, 4).unwrap_err();
        assert!(matches!(error, CalibError::Frozen { camera: "infrared", pairs: 5 }), "{error}");
        let mut frozen = shots(5);
        let still = frozen[0].vi.clone();
        frozen.iter_mut().for_each(|shot| shot.vi = still.clone());
        assert!(matches!(usable_of(&frozen, 4), Err(CalibError::Frozen { camera: "visible", pairs: 5 })));
        assert!(matches!(usable_of(&frozen, 1), Err(CalibError::Frozen { camera: "visible", pairs: 5 })));
        // One that sticks now and then costs the pairs in which it did.
        let mut sticky = shots(6);
        sticky[3].vi = sticky[2].vi.clone();
        let usable = usable_of(&sticky, 4).unwrap();
        assert_eq!((usable.kept.len(), usable.set_aside.len()), (5, 1));
    }

    #[test]
    fn sizes_must_agree_and_be_large_enough() {
        let mut other = shots(4);
        other[2].vi.gray = Plane::filled(Size::new(121, 100), 0.5).unwrap();
        let error = usable_of(&other, 4).unwrap_err();
        let told = error.to_string();
        assert!(told.contains("p2") && told.contains("120x100") && told.contains("121x100"), "{told}");
        let small = Plane::filled(Size::new(200, 60), 0.5).unwrap();
        let error = usable_of(&[Shot::new("s", small.clone(), small)], 1).unwrap_err();
        assert!(matches!(error, CalibError::TooSmall { camera: "infrared", .. }), "{error}");
    }

    #[test]
    fn fill_around_an_image_is_not_seen_and_dark_places_inside_are() {
        let mut gray = plane(0);
        for (i, v) in gray.data_mut().iter_mut().enumerate() {
            if i % 120 < 7 || (i % 120 == 60 && i / 120 == 50) {
                *v = 0.0;
            }
        }
        let seen = without_fill(&gray);
        assert!(seen.data().iter().enumerate().all(|(i, v)| (*v == 0.0) == (i % 120 < 7)));
    }

    #[test]
    fn a_long_recording_is_thinned_evenly() {
        let pair = |i: usize| Pair { name: format!("{i:03}"), ir: "a".into(), vi: "b".into() };
        let names = |n, most| spread((0..n).map(pair).collect(), most).into_iter().map(|p| p.name).collect::<Vec<_>>();
        assert_eq!(names(10, 4), ["000", "003", "005", "008"]);
        assert_eq!(names(3, 4).len(), 3);
        assert_eq!(names(1000, 24).len(), 24);
    }
}
