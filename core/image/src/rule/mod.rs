//! Ways of fusing a pair that learn nothing: what every network must beat.
//!
//! A new one is a line in [`RULES`]; studies, `caf-search fuse` and `caf-search compare` find it there by its name.

mod guided;
mod laplacian;

use crate::error::ImageError;
use crate::raster::Plane;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Infrared and visible luma of one size to the fused luma, which may leave \[0,1\].
type Of = fn(&Plane, &Plane) -> Result<Plane, ImageError>;

/// A way of fusing that learns nothing.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Its name in settings, options and tables.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    of: Of,
}

/// The visible luma.
pub const VISIBLE: Rule = Rule { name: "visible", about: "the visible image alone", of: |_, vi| Ok(vi.clone()) };
/// The infrared image.
pub const INFRARED: Rule = Rule { name: "infrared", about: "the infrared image alone", of: |ir, _| Ok(ir.clone()) };
/// The mean of both.
pub const AVERAGE: Rule =
    Rule { name: "average", about: "the mean of both", of: |ir, vi| by_pixel(ir, vi, |a, b| 0.5 * (a + b)) };
/// The larger of both at every pixel.
pub const MAX: Rule = Rule { name: "max", about: "the larger at every pixel", of: |ir, vi| by_pixel(ir, vi, f32::max) };
/// The stronger detail of both at every pixel of a Laplacian pyramid, the mean of what is left.
pub const LAPLACIAN: Rule = Rule {
    name: "laplacian",
    about: "Laplacian pyramid of four levels, the stronger detail (Burt and Adelson 1983)",
    of: laplacian::fuse,
};
/// Two scales, each weighted by saliency that a guided filter has fitted to the images.
pub const GUIDED: Rule = Rule {
    name: "guided",
    about: "two scales, weighted by saliency through a guided filter (Li, Kang and Hu 2013)",
    of: guided::fuse,
};

/// Every rule.
pub const RULES: &[Rule] = &[VISIBLE, INFRARED, AVERAGE, MAX, LAPLACIAN, GUIDED];

impl Rule {
    /// The rule of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        RULES.iter().copied().find(|rule| rule.name == name)
    }

    /// The fused luma of infrared and visible luma in \[0,1\], clamped to \[0,1\].
    ///
    /// # Errors
    /// [`ImageError::Shape`] when the two differ in size.
    pub fn fuse(&self, ir: &Plane, vi: &Plane) -> Result<Plane, ImageError> {
        if ir.size() != vi.size() {
            return Err(ImageError::Shape {
                what: "visible image",
                expected: format!("{} as the infrared image", ir.size()),
                found: vi.size().to_string(),
            });
        }
        let mut fused = (self.of)(ir, vi)?;
        fused.data_mut().iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
        Ok(fused)
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Rule {}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({})", self.name)
    }
}

/// As its name.
impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = || RULES.iter().map(|rule| rule.name).collect::<Vec<_>>().join(", ");
        Rule::named(&name).ok_or_else(|| D::Error::custom(format!("expected one of {}, found `{name}`", known())))
    }
}

fn by_pixel(a: &Plane, b: &Plane, of: impl Fn(f32, f32) -> f32) -> Result<Plane, ImageError> {
    Plane::new(a.size(), a.data().iter().zip(b.data()).map(|(a, b)| of(*a, *b)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_geometry::Size;
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    /// Noise over a step and a ramp, values in \[0,1\].
    pub(super) fn plane(seed: u64, size: Size) -> Plane {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let edge = (size.width as f32 * random.random_range(0.3..0.7)) as usize;
        let value = |i: usize| {
            let (x, y) = (i % size.width, i / size.width);
            let scene = if x < edge { 0.2 } else { 0.6 } + 0.2 * y as f32 / size.height as f32;
            (scene + random.random_range(-0.15..0.15f32)).clamp(0.0, 1.0)
        };
        let pixels = size.width * size.height;
        Plane::new(size, (0..pixels).map(value).collect()).unwrap()
    }

    /// Largest difference of two planes.
    pub(super) fn apart(a: &[f32], b: &[f64]) -> f64 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn rules_are_found_by_names_that_differ() {
        for rule in RULES {
            assert_eq!(Rule::named(rule.name), Some(*rule));
            assert_eq!(RULES.iter().filter(|other| other.name == rule.name).count(), 1);
        }
        assert_eq!(Rule::named("mean"), None);
    }

    #[test]
    fn what_is_the_same_in_both_stays_and_every_size_is_taken() {
        for size in [[1, 1], [1, 9], [2, 2], [3, 50], [17, 16], [64, 33]].map(|[w, h]| Size::new(w, h)) {
            let image = plane(3, size);
            let exact: Vec<f64> = image.data().iter().map(|v| f64::from(*v)).collect();
            for rule in RULES {
                let fused = rule.fuse(&image, &image).unwrap();
                let apart = apart(fused.data(), &exact);
                // Sums of five levels in single precision.
                assert!(apart < 5e-7, "{rule:?} {size}: {apart}");
            }
        }
    }

    #[test]
    fn only_the_single_images_depend_on_the_order() {
        let size = Size::new(45, 38);
        let (a, b) = (plane(1, size), plane(2, size));
        for rule in RULES.iter().filter(|rule| **rule != VISIBLE && **rule != INFRARED) {
            let other: Vec<f64> = rule.fuse(&b, &a).unwrap().data().iter().map(|v| f64::from(*v)).collect();
            let fused = rule.fuse(&a, &b).unwrap();
            assert!(apart(fused.data(), &other) < 1e-6, "{rule:?}");
            assert_ne!(fused, AVERAGE.fuse(&a, &a).unwrap(), "{rule:?}");
        }
        assert_eq!((VISIBLE.fuse(&a, &b).unwrap(), INFRARED.fuse(&a, &b).unwrap()), (b, a));
    }

    #[test]
    fn images_of_two_sizes_are_refused() {
        let error = MAX.fuse(&plane(1, Size::new(4, 3)), &plane(1, Size::new(3, 4))).unwrap_err().to_string();
        assert!(error.contains("4x3") && error.contains("3x4"), "{error}");
    }
}
