//! A trained detector, as its file describes it.

use super::evaluate::{EvalSettings, evaluate};
use super::network::Detector;
use super::settings::{DetectionSettings, KIND, SIDES};
use crate::error::SearchError;
use crate::ir_range;
use crate::loader::{Annotation, TaskImages};
use crate::tasks::task::{TaskReport, Trained, require_network_classes, require_size};
use caf_console::{Progress, StopFlag};
use caf_geometry::Size;
use caf_image::IrRange;
use caf_net::zoo::yolov5::YoloConfig;
use caf_torch::Params;
use caf_weights::TaskFile;
use tch::{Device, Kind};

/// A trained detector.
#[derive(Debug)]
pub struct TrainedDetector {
    detector: Detector,
    params: Params,
    classes: Option<Vec<String>>,
    image_size_px: Option<[usize; 2]>,
    ir_range: Option<IrRange>,
}

impl TrainedDetector {
    /// That of a weight file; none when the file holds another network.
    ///
    /// # Errors
    /// When libtorch cannot hold it.
    pub fn open(file: &TaskFile, device: Device) -> Result<Option<Self>, SearchError> {
        let Some(config) = file.network.typed::<YoloConfig>() else { return Ok(None) };
        let detector = Detector::new(config)?;
        let ir_range = ir_range::of_file(&file.metadata, &file.path)?;
        let params = Params::from_weights(detector.graph(), &file.weights, device, Kind::Float)?;
        let classes = file.metadata.classes.clone();
        Ok(Some(TrainedDetector {
            detector,
            params,
            classes,
            image_size_px: file.metadata.image_size.map(Size::wh),
            ir_range,
        }))
    }
}

impl Trained for TrainedDetector {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn annotation(&self) -> Annotation {
        Annotation::Boxes
    }

    fn classes(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    fn image_size_px(&self) -> Option<[usize; 2]> {
        self.image_size_px
    }

    fn ir_range(&self) -> Option<IrRange> {
        self.ir_range
    }

    fn evaluate(
        &self,
        images: &TaskImages,
        size_px: [usize; 2],
        batch: usize,
        progress: &dyn Progress,
        stop: &StopFlag,
    ) -> Result<TaskReport, SearchError> {
        require_size(SIDES, size_px)?;
        require_network_classes(self.classes(), self.detector.config().classes, images)?;
        let settings = EvalSettings { size_px, batch, nms: DetectionSettings::default().nms };
        evaluate(&self.detector, &self.params, images, &settings, progress, stop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_net::zoo::yolov5::Variant;
    use caf_weights::initial;
    use std::path::Path;

    #[test]
    fn a_detector_is_recognised_with_what_its_file_says_and_without() {
        let d = Detector::new(YoloConfig { width: 0.125, ..YoloConfig::new(Variant::N, 2) }).unwrap();
        let mut weights = initial(d.graph().params(), 5).unwrap();
        let open = |weights: &caf_weights::Weights| {
            TrainedDetector::open(&TaskFile::of(weights.clone(), Path::new("x")).unwrap(), Device::Cpu)
                .unwrap()
                .unwrap()
        };
        let original = open(&weights);
        // Factors cannot be told from tensors, widths can.
        assert_eq!(original.detector.graph().params(), d.graph().params());
        assert_eq!((original.classes(), original.image_size_px()), (None, None));
        d.describe(&mut weights, &["a".to_owned(), "b".to_owned()], [64, 32]);
        let found = open(&weights);
        assert_eq!(found.detector.config(), d.config());
        assert_eq!(found.classes().map(<[_]>::len), Some(2));
        assert_eq!(found.image_size_px(), Some([64, 32]));
    }
}
