//! Random views for training. All randomness comes from the generator passed in.

use rand::Rng;
use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};

use caf_geometry::Size;
use caf_image::Label;

use crate::error::DataError;
use crate::view::View;

/// Random crops, for training a fusion network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CropSettings {
    /// Size of a crop, each side at least 1.
    pub size: Size,
    /// How often left and right are exchanged, in \[0,1\].
    pub mirror_probability: f64,
    /// How often a crop is placed on an object, where there is one, in \[0,1\]: small crops of large images are mostly empty.
    pub object_probability: f64,
}

impl CropSettings {
    /// A view of exactly the crop's size at a uniformly drawn place of an image of this size; or, as often as the settings
    /// say, at a uniformly drawn place that has the centre of a uniformly drawn one of these objects in it.
    ///
    /// An image smaller than the crop is first enlarged, just enough to cover it: padding would teach the network its
    /// colour, mirroring would add objects without labels.
    ///
    /// # Errors
    /// [`DataError::Setting`] for a probability outside \[0,1\], [`DataError::Shape`] for an empty size.
    pub fn draw<R: Rng + ?Sized>(&self, source: Size, objects: &[Label], rng: &mut R) -> Result<View, DataError> {
        check_range("mirror_probability", self.mirror_probability, 0.0, 1.0)?;
        check_range("object_probability", self.object_probability, 0.0, 1.0)?;
        let target = self.size;
        let enlarge =
            (target.width as f64 / source.width as f64).max(target.height as f64 / source.height as f64).max(1.0);
        let aimed = self.object_probability > 0.0 && rng.random_bool(self.object_probability);
        let aim = if aimed { objects.choose(rng) } else { None };
        let mut shift = |source: usize, target: usize, centre: Option<f64>| {
            let side = enlarge * source as f64;
            let free = (side - target as f64).floor().max(0.0);
            // The crop may start so far before the centre that this lies in its last pixel, and no later than at the centre.
            let (first, last) = centre.map_or((0.0, free), |c| {
                let centre_px = (c * side).floor();
                ((centre_px - target as f64 + 1.0).clamp(0.0, free), centre_px.clamp(0.0, free))
            });
            // Negative: the crop starts that many pixels into the source. Zero minus keeps 0 from becoming -0.
            0.0 - rng.random_range(first as u64..=last as u64) as f64
        };
        let shift = (
            shift(source.width, target.width, aim.map(|o| f64::from(o.cx))),
            shift(source.height, target.height, aim.map(|o| f64::from(o.cy))),
        );
        let view = View::new(source, target, (enlarge, enlarge), shift)?;
        Ok(if rng.random_bool(self.mirror_probability) { view.mirrored() } else { view })
    }
}

/// Random scale, shift and mirroring of whole images, for training a detector.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScaleShiftSettings {
    /// The fitted image is scaled by a factor drawn from \[1 − scale, 1 + scale\]; in \[0,1).
    pub scale: f64,
    /// Its centre moves by up to this fraction of the target's sides in each direction; in \[0,1\].
    pub translate: f64,
    /// How often left and right are exchanged, in \[0,1\].
    pub mirror_probability: f64,
}

impl Default for ScaleShiftSettings {
    /// The values of the detector's original training from scratch: scale 0.5, translate 0.1, mirrored half the time.
    fn default() -> Self {
        Self { scale: 0.5, translate: 0.1, mirror_probability: 0.5 }
    }
}

impl ScaleShiftSettings {
    /// A view that fits a `source` into `target`, centred, then scales and
    /// shifts it; what the image does not reach is border.
    ///
    /// # Errors
    /// [`DataError::Setting`] for a setting outside its range, [`DataError::Shape`] for an empty size.
    pub fn draw<R: Rng + ?Sized>(&self, source: Size, target: Size, rng: &mut R) -> Result<View, DataError> {
        // A scale of 1 could draw an image of no size.
        check_range("scale", self.scale, 0.0, 0.99)?;
        check_range("translate", self.translate, 0.0, 1.0)?;
        check_range("mirror_probability", self.mirror_probability, 0.0, 1.0)?;
        let fit = (target.width as f64 / source.width as f64).min(target.height as f64 / source.height as f64);
        let gain = rng.random_range(1.0 - self.scale..=1.0 + self.scale);
        let mut offset = |side: usize| rng.random_range(-self.translate..=self.translate) * side as f64;
        let offset_px = (offset(target.width), offset(target.height));
        let view = View::centred(source, target, fit * gain, offset_px)?;
        Ok(if rng.random_bool(self.mirror_probability) { view.mirrored() } else { view })
    }
}

/// Another brightness, contrast and gamma of a plane, for networks that are to know more cameras than the pairs come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tone {
    gamma: f32,
    contrast: f32,
    brightness: f32,
}

impl Tone {
    /// Nothing changes.
    pub const SAME: Tone = Tone { gamma: 1.0, contrast: 1.0, brightness: 0.0 };

    /// Gamma and contrast up to twice or half as large, brightness up to a quarter of the range away at a `strength` of 1; less in
    /// proportion below, and nothing, without a draw, at 0.
    pub fn draw<R: Rng + ?Sized>(strength: f64, rng: &mut R) -> Self {
        if strength <= 0.0 {
            return Tone::SAME;
        }
        let mut even = || (strength * rng.random_range(-1.0..=1.0)) as f32;
        Tone { gamma: even().exp2(), contrast: even().exp2(), brightness: 0.25 * even() }
    }

    /// What becomes of a value in \[0,1\], again in \[0,1\].
    #[must_use]
    pub fn of(&self, value: f32) -> f32 {
        if *self == Tone::SAME {
            return value;
        }
        ((value.powf(self.gamma) - 0.5) * self.contrast + 0.5 + self.brightness).clamp(0.0, 1.0)
    }
}

fn check_range(name: &'static str, value: f64, low: f64, high: f64) -> Result<(), DataError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(DataError::Setting { name, expected: format!("{low} to {high}"), found: value.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::CutRule;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn crop(width: usize, height: usize) -> CropSettings {
        CropSettings { size: Size { width, height }, mirror_probability: 0.5, object_probability: 0.0 }
    }

    #[test]
    fn tones_rise_with_the_value_stay_in_range_and_are_as_far_from_it_as_asked() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let values: Vec<f32> = (0..=20).map(|i| i as f32 / 20.0).collect();
        let mut farthest = [0.0f32; 3];
        for (strength, farthest) in [0.0, 0.1, 1.0].into_iter().zip(&mut farthest) {
            for _ in 0..200 {
                let tone = Tone::draw(strength, &mut rng);
                let seen: Vec<f32> = values.iter().map(|v| tone.of(*v)).collect();
                assert!(seen.is_sorted() && seen.iter().all(|v| (0.0..=1.0).contains(v)), "{tone:?}: {seen:?}");
                *farthest = values.iter().zip(&seen).map(|(a, b)| (a - b).abs()).fold(*farthest, f32::max);
            }
        }
        assert!(farthest[0] == 0.0 && (0.05..0.12).contains(&farthest[1]) && farthest[2] > 0.4, "{farthest:?}");
    }

    #[test]
    fn crops_on_objects_have_a_centre_in_them_wherever_it_lies_and_come_as_often_as_asked() {
        let at = |cx, cy| Label { class: 0, cx, cy, w: 0.1, h: 0.1 };
        let objects = [at(0.0, 0.0), at(1.0, 1.0), at(0.5, 0.03), at(0.31, 0.77)];
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut hits = |object_probability, objects: &[Label]| {
            let settings = CropSettings { object_probability, ..crop(10, 8) };
            let hit = |view: View| {
                let part = view.unmap_box(caf_geometry::Xyxy::new(0.0, 0.0, 10.0, 8.0));
                assert!(part.x1 >= 0.0 && part.y1 >= 0.0 && part.x2 <= 100.0 && part.y2 <= 80.0, "{part:?}");
                let inside = |o: &Label| {
                    let (x, y) = (o.cx * 100.0, o.cy * 80.0);
                    part.x1 <= x && x <= part.x2 && part.y1 <= y && y <= part.y2
                };
                objects.iter().any(inside)
            };
            (0..400).filter(|_| hit(settings.draw(Size::new(100, 80), objects, &mut rng).unwrap())).count()
        };
        assert_eq!(hits(1.0, &objects), 400);
        // A crop covers a hundredth of the image.
        assert!(hits(0.0, &objects) < 40);
        assert!((160..280).contains(&hits(0.5, &objects)));
        assert_eq!(hits(1.0, &[]), 0, "without objects any place will do");
    }

    #[test]
    fn crops_have_their_size_reach_every_border_and_are_inside() {
        let settings = crop(8, 6);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (mut corners, mut mirrored) = (std::collections::BTreeSet::new(), 0);
        for _ in 0..400 {
            let view = settings.draw(Size::new(10, 7), &[], &mut rng).unwrap();
            assert_eq!(view.target(), Size::new(8, 6));
            let frame = caf_geometry::Xyxy::new(0.0, 0.0, 8.0, 6.0);
            let part = view.unmap_box(frame);
            assert!(part.x1 >= 0.0 && part.y1 >= 0.0 && part.x2 <= 10.0 && part.y2 <= 7.0, "{part:?}");
            corners.insert((part.x1 as u32, part.y1 as u32));
            mirrored += usize::from(view.is_mirrored());
        }
        assert_eq!(corners.len(), 6, "three columns times two rows of places");
        assert!((120..280).contains(&mirrored), "{mirrored} of 400");
    }

    #[test]
    fn small_images_are_enlarged_to_cover_the_crop() {
        let settings = crop(32, 32);
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let image = caf_image::Plane::filled(Size::new(40, 16), 0.5).unwrap();
        for _ in 0..50 {
            let view = settings.draw(Size::new(40, 16), &[], &mut rng).unwrap();
            // Any border would show, for it is not 0.5.
            assert!(view.render(&image, 9.0).unwrap().data().iter().all(|&v| (v - 0.5).abs() < 1e-6));
        }
    }

    #[test]
    fn the_same_generator_gives_the_same_views() {
        let settings = ScaleShiftSettings::default();
        let draw = |seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            (0..8).map(|_| settings.draw(Size::new(50, 33), Size::new(64, 64), &mut rng).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn without_randomness_the_image_is_fitted_and_centred() {
        let settings = ScaleShiftSettings { scale: 0.0, translate: 0.0, mirror_probability: 0.0 };
        let view = settings.draw(Size::new(40, 20), Size::new(80, 80), &mut ChaCha8Rng::seed_from_u64(0)).unwrap();
        let whole = Label { class: 0, cx: 0.5, cy: 0.5, w: 1.0, h: 1.0 };
        let mapped = view.map_labels(&[whole], CutRule::default()).kept;
        assert_eq!(mapped, [Label { class: 0, cx: 0.5, cy: 0.5, w: 1.0, h: 0.5 }]);
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        for bad in [
            ScaleShiftSettings { scale: 1.0, ..Default::default() },
            ScaleShiftSettings { translate: -0.1, ..Default::default() },
            ScaleShiftSettings { mirror_probability: f64::NAN, ..Default::default() },
        ] {
            assert!(
                matches!(bad.draw(Size::new(4, 4), Size::new(4, 4), &mut rng), Err(DataError::Setting { .. })),
                "{bad:?}"
            );
        }
        assert!(matches!(crop(0, 4).draw(Size::new(4, 4), &[], &mut rng), Err(DataError::Shape { .. })));
        let often = CropSettings { object_probability: 1.5, ..crop(2, 2) };
        assert!(matches!(
            often.draw(Size::new(4, 4), &[], &mut rng),
            Err(DataError::Setting { name: "object_probability", .. })
        ));
    }
}
