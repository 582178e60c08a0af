use super::PROFILES;
use super::metric::Metric;
use super::planes::{Picture, Triple};
use crate::EvalError;

/// What a profile does with colour images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// All images are turned to gray first.
    ToGray,
    /// A colour fused image is measured channel by channel against the channels of the sources, a gray source against each.
    /// Against a gray fused image colour sources are turned to gray.
    ByChannel,
}

/// A set of definitions under which published tables are made. The same short name is another number in another profile.
#[derive(Debug)]
pub struct Profile {
    /// Its name.
    pub name: &'static str,
    /// Where its numbers are found, in a line.
    pub about: &'static str,
    /// What it does with colour.
    pub colour: Colour,
    /// The metrics of its published tables.
    pub metrics: &'static [Metric],
    /// Terms and variants, computed when asked for.
    pub extras: &'static [Metric],
}

impl Profile {
    /// The profile of a name, without regard to case.
    ///
    /// # Errors
    /// [`EvalError::UnknownProfile`].
    pub fn named(name: &str) -> Result<&'static Self, EvalError> {
        PROFILES.iter().find(|p| p.name.eq_ignore_ascii_case(name)).ok_or_else(|| EvalError::UnknownProfile {
            found: name.to_owned(),
            known: PROFILES.iter().map(|p| p.name).collect::<Vec<_>>().join(", "),
        })
    }

    /// All metrics, extras last.
    pub fn all(&self) -> impl Iterator<Item = Metric> + '_ {
        self.metrics.iter().chain(self.extras).copied()
    }

    /// The metric of a name, without regard to case.
    ///
    /// # Errors
    /// [`EvalError::UnknownMetric`].
    pub fn metric(&self, name: &str) -> Result<Metric, EvalError> {
        self.all().find(|m| m.name().eq_ignore_ascii_case(name)).ok_or_else(|| EvalError::UnknownMetric {
            found: name.to_owned(),
            profile: self.name,
            known: self.all().map(|m| m.name()).collect::<Vec<_>>().join(", "),
        })
    }

    /// The metrics of a list of names parted by commas, each once; `all` is every one, without a list those of the published tables.
    ///
    /// # Errors
    /// [`EvalError::UnknownMetric`].
    pub fn chosen(&self, list: Option<&str>) -> Result<Vec<Metric>, EvalError> {
        let Some(list) = list else { return Ok(self.metrics.to_vec()) };
        if list.eq_ignore_ascii_case("all") {
            return Ok(self.all().collect());
        }
        let mut metrics: Vec<Metric> = vec![];
        for name in list.split(',') {
            let metric = self.metric(name.trim())?;
            if metrics.iter().all(|m| m.name() != metric.name()) {
                metrics.push(metric);
            }
        }
        Ok(metrics)
    }

    /// The planes that this profile measures: one triple, or three of colour.
    ///
    /// # Errors
    /// [`EvalError::Sizes`] when the images differ in size.
    pub fn planes<'a>(
        &self,
        ir: &'a Picture,
        vi: &'a Picture,
        fused: &'a Picture,
    ) -> Result<Vec<Triple<'a>>, EvalError> {
        if self.colour == Colour::ToGray || !fused.is_rgb() {
            return Ok(vec![Triple::new(ir.to_gray(), vi.to_gray(), fused.to_gray())?]);
        }
        let sources = ir.to_channels().into_iter().zip(vi.to_channels());
        sources.zip(fused.to_channels()).map(|((ir, vi), fused)| Triple::new(ir, vi, fused)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::score;
    use super::*;
    use caf_geometry::Size;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_found_and_unique() {
        for profile in PROFILES {
            assert_eq!(Profile::named(&profile.name.to_uppercase()).unwrap().name, profile.name);
            let names: BTreeSet<String> = profile.all().map(|m| m.name().to_lowercase()).collect();
            assert_eq!(names.len(), profile.all().count(), "{}", profile.name);
            for metric in profile.all() {
                assert_eq!(profile.metric(&metric.name().to_lowercase()).unwrap().name(), metric.name());
            }
            assert!(profile.metric("XYZ").unwrap_err().is_wrong_call());
        }
        let linfeng = Profile::named("linfeng").unwrap();
        let names = |list| linfeng.chosen(list).map(|list| list.iter().map(Metric::name).collect::<Vec<_>>());
        assert_eq!(names(Some("VIF, en,vif")).unwrap(), ["VIF", "EN"]);
        assert_eq!([None, Some("all")].map(|list| names(list).unwrap().len()), [13, 22]);
        assert!(names(Some("EN,")).unwrap_err().is_wrong_call());
        assert!(Profile::named("pascal").unwrap_err().is_wrong_call());
    }

    #[test]
    fn colour_is_measured_as_the_profile_says() {
        let size = Size::new(48, 50);
        let bytes = |seed: usize, count: usize| (0..count).map(|i| ((i * 89 + i * i * seed) % 256) as u8).collect();
        let ir = Picture::gray(bytes(1, 48 * 50), size).unwrap();
        let [vi, fused] = [2, 3].map(|seed| Picture::rgb(bytes(seed, 3 * 48 * 50), size).unwrap());
        for profile in PROFILES {
            let planes = profile.planes(&ir, &vi, &fused).unwrap();
            let expected = if profile.colour == Colour::ByChannel { 3 } else { 1 };
            assert_eq!(planes.len(), expected, "{}", profile.name);
            let scores = score(&planes, &profile.all().collect::<Vec<_>>());
            // Noise has levels of both signs, of which MS_SSIM has no real power.
            let finite = |(name, v): (&str, f64)| v.is_finite() || name == "MS_SSIM";
            assert!(scores.iter().all(finite), "{}: {scores:?}", profile.name);
            // Against gray there is one plane, whatever the sources are.
            assert_eq!(profile.planes(&ir, &vi, &ir).unwrap().len(), 1);
        }
    }

    #[test]
    fn a_small_image_has_what_it_can_have() {
        let size = Size::new(20, 20);
        let image = Picture::gray((0..400).map(|i| (i * 89 % 256) as u8).collect(), size).unwrap();
        let linfeng = Profile::named("linfeng").unwrap();
        let scores = score(&linfeng.planes(&image, &image, &image).unwrap(), &linfeng.all().collect::<Vec<_>>());
        assert!(scores.get("MS_SSIM").unwrap().is_nan());
        assert!((scores.get("VIF").unwrap() - 2.0).abs() < 1e-8);
        assert_eq!(scores.iter().count(), linfeng.all().count());
    }
}
