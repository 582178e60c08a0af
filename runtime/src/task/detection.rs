//! From a model's raw predictions to boxes in pixels of the fused image.

use caf_contract::DetectionContract;
use caf_engine::View;
use caf_geometry::{Detection, GeometryError, Letterbox, NmsCounts, NmsScratch, NmsSettings, Size, nms_into};

use super::reading::{ClassNames, FusedImage, VehicleTask};
use crate::draw::Canvas;

/// Suppresses and maps detections; its buffers stop growing after the busiest image.
#[derive(Debug)]
pub struct Detector {
    contract: DetectionContract,
    settings: NmsSettings,
    scratch: NmsScratch,
}

impl Detector {
    /// A detector with the thresholds of the command line; refuses thresholds outside [0, 1].
    pub fn new(contract: DetectionContract, settings: NmsSettings) -> Result<Self, GeometryError> {
        settings.validate()?;
        Ok(Self { contract, settings, scratch: NmsScratch::default() })
    }

    /// The name of a class, `?` for a number the contract does not name.
    #[must_use]
    pub fn class_name(&self, class: u32) -> &str {
        class_name(&self.contract.classes, class)
    }

    /// Turns rows of `5 + classes` values into detections, best first, with boxes in pixels of the fused image of that size (0 is
    /// the left edge of the first pixel), cut at its borders. Boxes outside are left out.
    pub fn detect(&mut self, rows: &[f32], image: Size, out: &mut Vec<Detection>) -> Result<NmsCounts, GeometryError> {
        let letterbox = Letterbox::within(image, self.contract.input)?;
        let counts = nms_into(rows, self.contract.classes.len(), &self.settings, &mut self.scratch, out)?;
        letterbox.detections_to_source(out);
        Ok(counts)
    }
}

impl VehicleTask for Detector {
    fn name_classes(&self, names: &mut ClassNames) {
        names.detection = self.contract.classes.as_slice().into();
    }

    fn read(&mut self, output: View<'_>, image: Size, out: &mut FusedImage) -> Result<(), GeometryError> {
        let View::F32(rows) = output else { return Ok(()) };
        let counts = self.detect(rows, image, &mut out.detections)?;
        if counts.not_finite > 0 {
            tracing::warn!(rows = counts.not_finite, "the detector gives values that are not finite");
        }
        Ok(())
    }

    fn covers_image(&self) -> bool {
        false
    }

    fn paint(&self, image: Size, out: &mut FusedImage) {
        let Some(mut canvas) = Canvas::new(&mut out.rgb, image) else { return };
        for d in &out.detections {
            let class = usize::try_from(d.class).unwrap_or(0);
            canvas.detection([d.x1, d.y1, d.x2, d.y2], class, self.class_name(d.class), d.score);
        }
    }
}

/// The name of a class, `?` for a number without one.
#[must_use]
pub fn class_name(classes: &[String], class: u32) -> &str {
    usize::try_from(class).ok().and_then(|c| classes.get(c)).map_or("?", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    fn detector() -> Detector {
        let input = Size::new(320, 320);
        let contract =
            DetectionContract { output: "predictions".into(), classes: vec!["person".into(), "car".into()], input };
        Detector::new(contract, NmsSettings::default()).unwrap()
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
        assert_eq!((detector().class_name(1), detector().class_name(9)), ("car", "?"));
    }

    #[test]
    fn thresholds_out_of_range_are_refused() {
        let contract = detector().contract;
        assert!(Detector::new(contract, NmsSettings { conf: 1.5, ..NmsSettings::default() }).is_err());
    }
}
