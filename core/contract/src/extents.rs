//! What the named extents of a model stand for, once the images are known.

use crate::error::Mismatch;
use crate::port::{Extent, MOST_ELEMENTS, Port, elements};
use caf_geometry::Size;

/// Values of the named extents.
#[derive(Clone, Debug, Default)]
pub struct Extents(Vec<(String, usize)>);

impl Extents {
    /// Concrete shape of an input for `batch` images of one size; remembers what the names stand for.
    ///
    /// # Errors
    /// When the model has another size, or the same name stands for another number already.
    pub fn bind_image(&mut self, port: &Port, batch: usize, size: Size) -> Result<Vec<usize>, Mismatch> {
        let (height, width, channel) = port.element.image_axes();
        let mut shape = Vec::with_capacity(port.shape.len());
        for (axis, extent) in port.shape.iter().enumerate() {
            let value = match axis {
                a if a == height => size.height,
                a if a == width => size.width,
                a if a == channel => port.colour.channels(),
                _ => batch,
            };
            let known = match extent {
                Extent::Fixed(n) => Some(*n),
                Extent::Named(name) => self.get(name),
                Extent::Open => None,
            };
            match (known, extent) {
                (Some(known), _) if known != value => {
                    let images = if batch == 1 { "an image".to_owned() } else { format!("{batch} images") };
                    let found = format!("{images} of {size}");
                    return Err(Mismatch::new(format!("input `{}`", port.name), self.wanted(port), found));
                }
                (None, Extent::Named(name)) => self.0.push((name.clone(), value)),
                _ => {}
            }
            shape.push(value);
        }
        check_elements(format!("input `{}`", port.name), &shape)?;
        Ok(shape)
    }

    /// Concrete shape of an output.
    ///
    /// # Errors
    /// An extent that no input fixes, for it cannot be allocated beforehand, and none or more than [`MOST_ELEMENTS`] elements.
    pub fn shape_of(&self, port: &Port) -> Result<Vec<usize>, Mismatch> {
        let place = || format!("output `{}`", port.name);
        let extent = |extent: &Extent| {
            let expected = || format!("`{extent}` to be an extent of an input");
            self.known(extent).ok_or_else(|| Mismatch::new(place(), expected(), port.to_string()))
        };
        let shape = port.shape.iter().map(extent).collect::<Result<Vec<_>, _>>()?;
        check_elements(place(), &shape)?;
        Ok(shape)
    }

    /// Concrete shape of an output that is to be this one, which says also what no input fixes.
    ///
    /// # Errors
    /// For a port that is of another shape, and none or more than [`MOST_ELEMENTS`] elements.
    pub fn shape_as(&self, port: &Port, expected: Vec<usize>) -> Result<Vec<usize>, Mismatch> {
        let place = || format!("output `{}`", port.name);
        let agrees = |(extent, expected): (&Extent, &usize)| self.known(extent).is_none_or(|known| known == *expected);
        if port.shape.len() != expected.len() || !port.shape.iter().zip(&expected).all(agrees) {
            return Err(Mismatch::new(place(), format!("extents {expected:?}"), port.to_string()));
        }
        check_elements(place(), &expected)?;
        Ok(expected)
    }

    fn known(&self, extent: &Extent) -> Option<usize> {
        match extent {
            Extent::Fixed(n) => Some(*n),
            Extent::Named(name) => self.get(name),
            Extent::Open => None,
        }
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<usize> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| *v)
    }

    fn wanted(&self, port: &Port) -> String {
        let known: Vec<String> = self.0.iter().map(|(n, v)| format!("{n} = {v}")).collect();
        let so_far = if known.is_empty() { String::new() } else { format!(" with {}", known.join(", ")) };
        format!("{port}{so_far}")
    }
}

/// The number of elements of a tensor.
///
/// # Errors
/// None, or more than [`MOST_ELEMENTS`].
pub fn check_elements(place: impl Into<String>, shape: &[usize]) -> Result<usize, Mismatch> {
    elements(shape.iter().copied()).ok_or_else(|| {
        Mismatch::new(place, format!("from 1 to {MOST_ELEMENTS} elements"), format!("extents {shape:?}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::{Colour, Element};
    use crate::samples::port;

    #[test]
    fn equal_names_mean_equal_extents() {
        let ir = port("ir", Element::U8, &["batch", "height", "width", "1"], Colour::Gray);
        let vi = port("vi", Element::F32, &["batch", "3", "height", "width"], Colour::Rgb);
        let mut names = Extents::default();
        assert_eq!(names.bind_image(&ir, 2, Size::new(65, 48)).unwrap(), [2, 48, 65, 1]);
        let error = names.bind_image(&vi, 2, Size::new(64, 48)).unwrap_err();
        assert_eq!(error.found, "2 images of 64x48");
        assert!(error.expected.contains("width = 65"), "{error}");
        assert_eq!(names.bind_image(&vi, 2, Size::new(65, 48)).unwrap(), [2, 3, 48, 65]);
        let fused = port("fused", Element::U8, &["batch", "height", "width", "3"], Colour::Rgb);
        assert_eq!(names.shape_of(&fused).unwrap(), [2, 48, 65, 3]);
        for unknown in ["rows", "?"] {
            let rows = port("predictions", Element::F32, &["1", unknown, "7"], Colour::None);
            assert!(names.shape_of(&rows).unwrap_err().expected.starts_with(&format!("`{unknown}` to be")));
        }
        let huge = port("fused", Element::U8, &["1", "height", "99999999", "3"], Colour::Rgb);
        assert_eq!(names.shape_of(&huge).unwrap_err().found, "extents [1, 48, 99999999, 3]");
    }

    #[test]
    fn what_a_task_says_of_its_output_must_agree_with_the_port() {
        let ir = port("ir", Element::U8, &["1", "height", "width", "1"], Colour::Gray);
        let mut names = Extents::default();
        names.bind_image(&ir, 1, Size::new(5, 3)).unwrap();
        let map = |shape: &[&str]| port("map", Element::U8, shape, Colour::None);
        for shape in [&["1", "height", "width"][..], &["1", "?", "5"], &["1", "rows", "columns"]] {
            assert_eq!(names.shape_as(&map(shape), vec![1, 3, 5]).unwrap(), [1, 3, 5]);
        }
        for shape in [&["1", "width", "height"][..], &["2", "height", "width"], &["1", "?", "6"], &["1", "3"]] {
            let text = names.shape_as(&map(shape), vec![1, 3, 5]).unwrap_err().to_string();
            assert!(text.contains("`map`") && text.contains("extents [1, 3, 5]"), "{text}");
        }
        assert!(names.shape_as(&map(&["?"]), vec![MOST_ELEMENTS + 1]).is_err());
    }

    #[test]
    fn a_fixed_size_is_kept() {
        let ir = port("ir", Element::F32, &["1", "1", "480", "640"], Colour::Gray);
        let error = Extents::default().bind_image(&ir, 1, Size::new(641, 480)).unwrap_err().to_string();
        assert!(error.contains("[1, 1, 480, 640]") && error.contains("an image of 641x480"), "{error}");
        assert!(Extents::default().bind_image(&ir, 2, Size::new(640, 480)).is_err());
    }
}
