//! Random views for training. All randomness comes from the generator passed in.

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::view::View;

/// Random crops, for training a fusion network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CropSettings {
    /// Columns of a crop, at least 1.
    pub width_px: usize,
    /// Rows of a crop, at least 1.
    pub height_px: usize,
    /// How often left and right are exchanged, in \[0,1\].
    pub mirror_probability: f64,
}

impl CropSettings {
    /// A view of exactly the crop's size at a uniformly drawn place of an image of this size.
    ///
    /// An image smaller than the crop is first enlarged, just enough to cover it: padding would teach the network its
    /// colour, mirroring would add objects without labels.
    ///
    /// # Errors
    /// [`DataError::Setting`] for a probability outside \[0,1\], [`DataError::Shape`] for an empty size.
    pub fn draw<R: Rng + ?Sized>(&self, source_wh: (usize, usize), rng: &mut R) -> Result<View, DataError> {
        check_range("mirror_probability", self.mirror_probability, 0.0, 1.0)?;
        let target_wh = (self.width_px, self.height_px);
        let enlarge = (target_wh.0 as f64 / source_wh.0 as f64).max(target_wh.1 as f64 / source_wh.1 as f64).max(1.0);
        let mut shift = |source: usize, target: usize| {
            let free = (enlarge * source as f64 - target as f64).floor().max(0.0) as u64;
            // Negative: the crop starts that many pixels into the source. Zero minus keeps 0 from becoming -0.
            0.0 - rng.random_range(0..=free) as f64
        };
        let shift = (shift(source_wh.0, target_wh.0), shift(source_wh.1, target_wh.1));
        let view = View::new(source_wh, target_wh, (enlarge, enlarge), shift)?;
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
    /// A view that fits an image of `source_wh` into `target_wh`, centred, then scales and
    /// shifts it; what the image does not reach is border.
    ///
    /// # Errors
    /// [`DataError::Setting`] for a setting outside its range, [`DataError::Shape`] for an empty size.
    pub fn draw<R: Rng + ?Sized>(
        &self,
        source_wh: (usize, usize),
        target_wh: (usize, usize),
        rng: &mut R,
    ) -> Result<View, DataError> {
        // A scale of 1 could draw an image of no size.
        check_range("scale", self.scale, 0.0, 0.99)?;
        check_range("translate", self.translate, 0.0, 1.0)?;
        check_range("mirror_probability", self.mirror_probability, 0.0, 1.0)?;
        let fit = (target_wh.0 as f64 / source_wh.0 as f64).min(target_wh.1 as f64 / source_wh.1 as f64);
        let gain = rng.random_range(1.0 - self.scale..=1.0 + self.scale);
        let mut offset = |side: usize| rng.random_range(-self.translate..=self.translate) * side as f64;
        let offset_px = (offset(target_wh.0), offset(target_wh.1));
        let view = View::centred(source_wh, target_wh, fit * gain, offset_px)?;
        Ok(if rng.random_bool(self.mirror_probability) { view.mirrored() } else { view })
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
    use crate::label::Label;
    use crate::view::CutRule;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn crops_have_their_size_reach_every_border_and_are_inside() {
        let settings = CropSettings { width_px: 8, height_px: 6, mirror_probability: 0.5 };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (mut corners, mut mirrored) = (std::collections::BTreeSet::new(), 0);
        for _ in 0..400 {
            let view = settings.draw((10, 7), &mut rng).unwrap();
            assert_eq!(view.target_wh(), (8, 6));
            let frame = caf_detect::Xyxy::new(0.0, 0.0, 8.0, 6.0);
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
        let settings = CropSettings { width_px: 32, height_px: 32, mirror_probability: 0.0 };
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let image = crate::Plane::filled(40, 16, 0.5).unwrap();
        for _ in 0..50 {
            let view = settings.draw((40, 16), &mut rng).unwrap();
            // Any border would show, for it is not 0.5.
            assert!(view.render(&image, 9.0).unwrap().data().iter().all(|&v| (v - 0.5).abs() < 1e-6));
        }
    }

    #[test]
    fn the_same_generator_gives_the_same_views() {
        let settings = ScaleShiftSettings::default();
        let draw = |seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            (0..8).map(|_| settings.draw((50, 33), (64, 64), &mut rng).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn without_randomness_the_image_is_fitted_and_centred() {
        let settings = ScaleShiftSettings { scale: 0.0, translate: 0.0, mirror_probability: 0.0 };
        let view = settings.draw((40, 20), (80, 80), &mut ChaCha8Rng::seed_from_u64(0)).unwrap();
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
            assert!(matches!(bad.draw((4, 4), (4, 4), &mut rng), Err(DataError::Setting { .. })), "{bad:?}");
        }
        let empty = CropSettings { width_px: 0, height_px: 4, mirror_probability: 0.0 };
        assert!(matches!(empty.draw((4, 4), &mut rng), Err(DataError::Shape { .. })));
    }
}
