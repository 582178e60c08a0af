//! From a model's raw predictions to boxes in pixels of the fused image.

use std::io::Write;

use caf_contract::DetectionContract;
use caf_engine::View;
use caf_geometry::{Detection, GeometryError, Letterbox, NmsCounts, NmsScratch, NmsSettings, Size, nms_into};
use serde::ser::{Serialize, SerializeSeq, SerializeStruct, Serializer};

use super::found::{ClassNames, Found, VehicleTask, class_name};
use crate::draw::Canvas;
use crate::frame::Camera;

/// What was detected; as JSON a list of `{"box": [x1, y1, x2, y2], "score": s, "class": n, "name": "…"}`.
#[derive(Clone, Debug, Default)]
pub struct Detections {
    /// Best first; boxes in pixels of the fused image, which are those of the visible camera.
    pub list: Vec<Detection>,
    /// Class names.
    pub classes: ClassNames,
}

impl Found for Detections {
    fn key(&self) -> &'static str {
        "detections"
    }

    fn clear(&mut self) {
        self.list.clear();
    }

    fn write_json(&self, _: bool, out: &mut dyn Write) -> serde_json::Result<()> {
        serde_json::to_writer(out, self)
    }
}

struct Named<'a>(&'a Detection, &'a str);

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(d, name) = self;
        let mut object = serializer.serialize_struct("detection", 4)?;
        object.serialize_field("box", &[d.x1, d.y1, d.x2, d.y2])?;
        object.serialize_field("score", &d.score)?;
        object.serialize_field("class", &d.class)?;
        object.serialize_field("name", name)?;
        object.end()
    }
}

impl Serialize for Detections {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.list.len()))?;
        for detection in &self.list {
            list.serialize_element(&Named(detection, class_name(&self.classes, detection.class)))?;
        }
        list.end()
    }
}

/// What counts as a detection.
#[derive(Clone, Debug, Default)]
pub struct Thresholds {
    /// In fused images.
    pub nms: NmsSettings,
    /// Least score in images of the infrared and of the visible camera alone, where it is another one.
    pub alone: [Option<f32>; 2],
}

/// Suppresses and maps detections; its buffers stop growing after the busiest image.
#[derive(Debug)]
pub struct Detector {
    classes: ClassNames,
    input: Size,
    settings: NmsSettings,
    /// Least scores in images of both cameras, of the infrared and of the visible one alone.
    scores: [f32; 3],
    scratch: NmsScratch,
}

impl Detector {
    /// A detector with the thresholds of the command line; refuses thresholds outside [0, 1].
    pub fn new(contract: &DetectionContract, thresholds: &Thresholds) -> Result<Self, GeometryError> {
        let Thresholds { nms, alone } = thresholds;
        let [infrared, visible] = alone.map(|score| score.unwrap_or(nms.conf));
        let scores = [nms.conf, infrared, visible];
        scores.iter().try_for_each(|conf| NmsSettings { conf: *conf, ..nms.clone() }.validate())?;
        let classes = contract.classes.as_slice().into();
        Ok(Self { classes, input: contract.input, settings: nms.clone(), scores, scratch: NmsScratch::default() })
    }

    /// Turns rows of `5 + classes` values into detections, best first, with boxes in pixels of the fused image of that size (0 is
    /// the left edge of the first pixel), cut at its borders. Boxes outside are left out.
    pub fn detect(&mut self, rows: &[f32], image: Size, out: &mut Vec<Detection>) -> Result<NmsCounts, GeometryError> {
        let letterbox = Letterbox::within(image, self.input)?;
        let counts = nms_into(rows, self.classes.len(), &self.settings, &mut self.scratch, out)?;
        letterbox.detections_to_source(out);
        Ok(counts)
    }
}

impl VehicleTask for Detector {
    type Found = Detections;
    const COVERS_IMAGE: bool = false;

    fn read(&mut self, output: View<'_>, image: Size, found: &mut Detections) -> Result<(), GeometryError> {
        found.classes.clone_from(&self.classes);
        found.list.clear();
        let View::F32(rows) = output else { return Ok(()) };
        let counts = self.detect(rows, image, &mut found.list)?;
        if counts.not_finite > 0 {
            tracing::warn!(rows = counts.not_finite, "the detector gives values that are not finite");
        }
        Ok(())
    }

    fn set_alone(&mut self, camera: Option<Camera>) {
        let [both, infrared, visible] = self.scores;
        self.settings.conf = match camera {
            None => both,
            Some(Camera::Infrared) => infrared,
            Some(Camera::Visible) => visible,
        };
    }

    fn paint(&self, found: &Detections, rgb: &mut [u8], size: Size) {
        let Some(mut canvas) = Canvas::new(rgb, size) else { return };
        for d in &found.list {
            let class = usize::try_from(d.class).unwrap_or(0);
            canvas.detection([d.x1, d.y1, d.x2, d.y2], class, class_name(&self.classes, d.class), d.score);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn contract() -> DetectionContract {
        let input = Size::new(320, 320);
        let classes = vec!["person".into(), "car".into()];
        DetectionContract { output: "predictions".into(), classes, input }
    }

    fn detector() -> Detector {
        Detector::new(&contract(), &Thresholds::default()).unwrap()
    }

    #[test]
    fn boxes_come_back_to_image_pixels_and_are_cut_at_its_borders() {
        // 640×480 image, halved to 320×240 and padded by 40 above and below.
        let rows = [
            [100.0, 140.0, 20.0, 40.0, 0.9, 1.0, 0.0],
            [0.0, 40.0, 20.0, 20.0, 0.8, 0.0, 1.0],
            [160.0, 20.0, 10.0, 10.0, 0.9, 1.0, 0.0],
        ];
        let mut out = vec![];
        let counts = detector().detect(rows.as_flattened(), Size::new(640, 480), &mut out).unwrap();
        assert_eq!(counts.kept, 3);
        let boxes: Vec<_> = out.iter().map(|d| (d.class, [d.x1, d.y1, d.x2, d.y2])).collect();
        assert_eq!(boxes, [(0, [180.0, 160.0, 220.0, 240.0]), (1, [0.0, 0.0, 20.0, 20.0])]);
    }

    #[test]
    fn thresholds_out_of_range_are_refused() {
        let nms = NmsSettings { conf: 1.5, ..NmsSettings::default() };
        assert!(Detector::new(&contract(), &Thresholds { nms, alone: [None; 2] }).is_err());
        let alone = Thresholds { alone: [None, Some(-0.5)], ..Thresholds::default() };
        assert!(Detector::new(&contract(), &alone).is_err());
    }

    #[test]
    fn one_camera_alone_has_a_threshold_of_its_own() {
        let mut detector =
            Detector::new(&contract(), &Thresholds { alone: [Some(0.9), None], ..Thresholds::default() }).unwrap();
        let row = [100.0, 140.0, 20.0, 40.0, 0.8, 1.0, 0.0];
        let mut found = |alone| {
            detector.set_alone(alone);
            let mut out = vec![];
            detector.detect(&row, Size::new(640, 480), &mut out).unwrap();
            out.len()
        };
        assert_eq!([None, Some(Camera::Infrared), Some(Camera::Visible), None].map(&mut found), [1, 0, 1, 1]);
    }

    #[test]
    fn a_detection_is_written_with_its_name() {
        let one = Detection { x1: 1.5, y1: 2.0, x2: 3.0, y2: 4.0, score: 0.5, class: 1 };
        let classes = ["person".to_owned(), "car".to_owned()].into();
        let text =
            serde_json::to_string(&Detections { list: vec![one, Detection { class: 9, ..one }], classes }).unwrap();
        let expected = r#"[{"box":[1.5,2.0,3.0,4.0],"score":0.5,"class":1,"name":"car"},{"box":[1.5,2.0,3.0,4.0],"score":0.5,"class":9,"name":"?"}]"#;
        assert_eq!(text, expected);
    }
}
