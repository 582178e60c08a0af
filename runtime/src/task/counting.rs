//! How many objects of each class there are: written, and painted on plates.

use std::io::Write;

use caf_contract::{CountingContract, counts};
use caf_engine::View;
use caf_geometry::{GeometryError, Size};
use serde::ser::{Serialize, SerializeSeq, SerializeStruct, Serializer};

use super::found::{ClassNames, Found, VehicleTask, class_name};
use crate::draw::{Canvas, class_colour, digits};

/// What was counted; as JSON a list of `{"class": n, "name": "…", "count": c}`, one entry for each class.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// By class, 0 or more, not rounded; NaN where the model gave no numbers, which JSON has as `null`.
    pub counts: Vec<f64>,
    /// Class names.
    pub classes: ClassNames,
}

impl Found for Counts {
    fn key(&self) -> &'static str {
        "counts"
    }

    fn clear(&mut self) {
        self.counts.clear();
    }

    fn write_json(&self, _: bool, out: &mut dyn Write) -> serde_json::Result<()> {
        serde_json::to_writer(out, self)
    }
}

struct Named<'a>(u32, &'a str, f64);

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(class, name, count) = self;
        let mut object = serializer.serialize_struct("count", 3)?;
        object.serialize_field("class", class)?;
        object.serialize_field("name", name)?;
        object.serialize_field("count", count)?;
        object.end()
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.counts.len()))?;
        for (class, count) in (0_u32..).zip(&self.counts) {
            list.serialize_element(&Named(class, class_name(&self.classes, class), *count))?;
        }
        list.end()
    }
}

/// Counts by the density maps of a model.
#[derive(Debug)]
pub struct Counter {
    classes: ClassNames,
}

impl Counter {
    /// One for the classes of a contract.
    #[must_use]
    pub fn new(contract: &CountingContract) -> Self {
        Self { classes: contract.classes.as_slice().into() }
    }
}

impl VehicleTask for Counter {
    type Found = Counts;
    const COVERS_IMAGE: bool = false;

    fn read(&mut self, output: View<'_>, _: Size, found: &mut Counts) -> Result<(), GeometryError> {
        found.classes.clone_from(&self.classes);
        found.counts.clear();
        if let View::F32(maps) = output {
            found.counts.extend(counts(maps, self.classes.len()));
        }
        Ok(())
    }

    /// A plate for each class in the upper left corner, with its name and the nearest whole number, `?` where there is none.
    fn paint(&self, found: &Counts, rgb: &mut [u8], size: Size) {
        let Some(mut canvas) = Canvas::new(rgb, size) else { return };
        let mut top = 0;
        for (class, (count, name)) in found.counts.iter().zip(self.classes.iter()).enumerate() {
            let unknown = (!count.is_finite()).then_some('?');
            let number = unknown.is_none().then(|| digits(count.round() as u32));
            let label = name.chars().chain([' ']).chain(unknown).chain(number.into_iter().flatten());
            canvas.label(0, top, class_colour(class), label);
            top += canvas.plate_height();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter() -> Counter {
        let contract = CountingContract { output: "density".into(), classes: vec!["person".into(), "car".into()] };
        Counter::new(&contract)
    }

    #[test]
    fn every_class_is_written_with_its_count() {
        let mut found = Counts::default();
        counter().read(View::F32(&[0.5, 1.0, 0.25, -1.0, 0.25, 0.5]), Size::new(24, 8), &mut found).unwrap();
        let json = serde_json::to_string(&found).unwrap();
        assert_eq!(json, r#"[{"class":0,"name":"person","count":1.75},{"class":1,"name":"car","count":0.0}]"#);
        counter().read(View::F32(&[f32::NAN, 1.0]), Size::new(8, 8), &mut found).unwrap();
        let json = serde_json::to_string(&found).unwrap();
        assert_eq!(json, r#"[{"class":0,"name":"person","count":null},{"class":1,"name":"car","count":1.0}]"#);
    }

    #[test]
    fn a_count_is_drawn_for_each_class_and_inside_small_images_too() {
        let size = Size::new(96, 32);
        let painted = |counts: &[f64], size: Size| {
            let mut rgb = vec![7; size.width * size.height * 3];
            let found = Counts { counts: counts.to_vec(), classes: [].into() };
            counter().paint(&found, &mut rgb, size);
            rgb
        };
        let picture = painted(&[12.4, 3.0], size);
        for class in 0..2 {
            assert!(picture.as_chunks().0.contains(&class_colour(class)), "{class}");
        }
        // What is drawn is the nearest whole number, and another number is another picture.
        assert_eq!(painted(&[11.6, 3.0], size), painted(&[12.4, 3.0], size));
        assert_ne!(painted(&[12.6, 3.0], size), picture);
        assert_ne!(painted(&[f64::NAN, 3.0], size), painted(&[0.0, 3.0], size));
        painted(&[1e300, 0.0], Size::new(3, 2));
    }
}
