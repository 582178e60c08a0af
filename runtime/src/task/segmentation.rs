//! A class for every pixel: painted over the image, counted, coded as runs.

use std::io::Write;

use caf_contract::SegmentationContract;
use caf_engine::View;
use caf_geometry::{GeometryError, Size};
use serde::ser::{Serialize, SerializeSeq, SerializeStruct, Serializer};

use super::found::{ClassNames, Found, VehicleTask, class_name};
use crate::draw::{Rgb, class_colour};

/// Names of classes that are no object: they are not painted, so that the picture stays as it is where nothing was found.
const BACKGROUND: [&str; 5] = ["background", "unlabelled", "unlabeled", "void", "other"];

/// The classes of a segmentation with their colours.
#[derive(Debug)]
pub struct Segmenter {
    classes: ClassNames,
    /// By class; `None` is not painted.
    colours: Vec<Option<Rgb>>,
}

impl Segmenter {
    /// Classes and colours of a contract: those of its palette, in which black is not painted, else our own, in which a class called
    /// background is not.
    #[must_use]
    pub fn new(contract: &SegmentationContract) -> Self {
        let colour = |(class, name): (usize, &String)| match &contract.palette {
            Some(palette) => palette.get(class).copied().filter(|colour| *colour != [0; 3]),
            None => (!BACKGROUND.contains(&name.to_lowercase().as_str())).then(|| class_colour(class)),
        };
        let colours = contract.classes.iter().enumerate().map(colour).collect();
        Self { classes: contract.classes.as_slice().into(), colours }
    }

    /// Blends the colours of the classes half and half with an RGB image of the map's size.
    pub fn blend(&self, map: &[u8], rgb: &mut [u8]) {
        for (class, pixel) in map.iter().zip(rgb.as_chunks_mut::<3>().0) {
            if let Some(Some(colour)) = self.colours.get(usize::from(*class)) {
                for (value, colour) in pixel.iter_mut().zip(colour) {
                    *value = ((u16::from(*value) + u16::from(*colour)) / 2) as u8;
                }
            }
        }
    }
}

impl VehicleTask for Segmenter {
    type Found = ClassMap;
    const COVERS_IMAGE: bool = true;

    fn read(&mut self, output: View<'_>, _: Size, found: &mut ClassMap) -> Result<(), GeometryError> {
        found.classes.clone_from(&self.classes);
        found.map.clear();
        if let View::U8(map) = output {
            found.map.extend_from_slice(map);
        }
        Ok(())
    }

    fn paint(&self, found: &ClassMap, rgb: &mut [u8], _: Size) {
        self.blend(&found.map, rgb);
    }
}

/// How many pixels of each of 256 classes a map has.
#[must_use]
pub fn counts(map: &[u8]) -> [u32; 256] {
    let mut counts = [0; 256];
    for class in map {
        counts[usize::from(*class)] += 1;
    }
    counts
}

/// The class of every pixel.
///
/// As JSON for every class that occurs, in the order of the numbers,
/// `{"class": n, "name": "…", "share": s, "runs": [first, length, first, length, …]}`. `share` is its part of all pixels, in (0, 1].
/// A run is pixels of the class one after the other, row by row: the number of its first pixel, `y · width + x`, and how many there
/// are. In brief there are the shares alone.
#[derive(Clone, Debug, Default)]
pub struct ClassMap {
    /// Row-major.
    pub map: Vec<u8>,
    /// Class names.
    pub classes: ClassNames,
}

impl Found for ClassMap {
    fn key(&self) -> &'static str {
        "class_map"
    }

    fn clear(&mut self) {
        self.map.clear();
    }

    fn write_json(&self, brief: bool, out: &mut dyn Write) -> serde_json::Result<()> {
        serde_json::to_writer(out, &Coded { map: &self.map, classes: &self.classes, runs: !brief })
    }
}

/// A class map as JSON.
#[derive(Clone, Copy)]
struct Coded<'a> {
    map: &'a [u8],
    classes: &'a [String],
    /// Whether runs are written, or the shares alone.
    runs: bool,
}

struct OneClass<'a> {
    map: Coded<'a>,
    class: u8,
    pixels: u32,
}

/// The runs of a class.
struct Runs<'a> {
    map: &'a [u8],
    class: u8,
}

impl Serialize for Coded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for (class, pixels) in (0..=u8::MAX).zip(counts(self.map)).filter(|(_, pixels)| *pixels > 0) {
            list.serialize_element(&OneClass { map: *self, class, pixels })?;
        }
        list.end()
    }
}

impl Serialize for OneClass<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Coded { map, classes, runs } = self.map;
        let mut object = serializer.serialize_struct("class", 3 + usize::from(runs))?;
        object.serialize_field("class", &self.class)?;
        object.serialize_field("name", class_name(classes, u32::from(self.class)))?;
        object.serialize_field("share", &(f64::from(self.pixels) / map.len() as f64))?;
        if runs {
            object.serialize_field("runs", &Runs { map, class: self.class })?;
        }
        object.end()
    }
}

impl Serialize for Runs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        let mut first = 0_usize;
        for run in self.map.chunk_by(|a, b| a == b) {
            if run.first() == Some(&self.class) {
                list.serialize_element(&first)?;
                list.serialize_element(&run.len())?;
            }
            first += run.len();
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(palette: Option<Vec<[u8; 3]>>) -> SegmentationContract {
        let classes = ["background", "road", "person"].map(str::to_owned).to_vec();
        SegmentationContract { output: "class_map".into(), classes, ignored_label: Some(255), palette }
    }

    #[test]
    fn a_map_is_coded_as_runs_and_shares() {
        let map = [0, 0, 2, 2, 0, 1, 2, 2];
        let classes = contract(None).classes;
        let json = |runs| serde_json::to_value(Coded { map: &map, classes: &classes, runs }).unwrap();
        let expected = serde_json::json!([
            {"class": 0, "name": "background", "share": 0.375, "runs": [0, 2, 4, 1]},
            {"class": 1, "name": "road", "share": 0.125, "runs": [5, 1]},
            {"class": 2, "name": "person", "share": 0.5, "runs": [2, 2, 6, 2]},
        ]);
        assert_eq!(json(true), expected);
        assert_eq!(json(false)[2], serde_json::json!({"class": 2, "name": "person", "share": 0.5}));
        // The runs give back the map.
        let mut back = [9; 8];
        for class in json(true).as_array().unwrap() {
            let runs: Vec<usize> =
                class["runs"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
            for run in runs.chunks(2) {
                back[run[0]..run[0] + run[1]].fill(class["class"].as_u64().unwrap() as u8);
            }
        }
        assert_eq!(back, map);
    }

    #[test]
    fn classes_are_blended_and_the_background_is_left() {
        let map = [0, 1, 2, 7];
        let mut rgb = [100; 12];
        Segmenter::new(&contract(Some(vec![[0; 3], [200, 0, 50], [0, 0, 255]]))).blend(&map, &mut rgb);
        assert_eq!(rgb, [100, 100, 100, 150, 50, 75, 50, 50, 177, 100, 100, 100]);
        let mut rgb = [100; 12];
        Segmenter::new(&contract(None)).blend(&map, &mut rgb);
        assert_eq!(rgb[..3], [100; 3]);
        assert!(rgb[3..6] != [100; 3] && rgb[6..9] != rgb[3..6]);
    }
}
