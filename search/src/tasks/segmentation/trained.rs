//! A trained segmentation network, as its file describes it.

use super::evaluate::evaluate;
use super::network::Segmenter;
use super::settings::{KIND, SIDES};
use crate::error::SearchError;
use crate::ir_range;
use crate::loader::{Annotation, TaskImages};
use crate::tasks::task::{TaskReport, Trained, require_network_classes, require_size};
use caf_console::{Progress, StopFlag};
use caf_geometry::Size;
use caf_image::IrRange;
use caf_net::zoo::segformer::SegFormerConfig;
use caf_torch::Params;
use caf_weights::TaskFile;
use tch::{Device, Kind};

/// A trained segmentation network.
#[derive(Debug)]
pub(super) struct TrainedSegmenter {
    segmenter: Segmenter,
    params: Params,
    number: usize,
    classes: Option<Vec<String>>,
    image_size_px: Option<[usize; 2]>,
    ir_range: Option<IrRange>,
}

impl TrainedSegmenter {
    /// That of a weight file; none when the file holds another network.
    ///
    /// # Errors
    /// When libtorch cannot hold it.
    pub fn open(file: &TaskFile, device: Device) -> Result<Option<Self>, SearchError> {
        let Some(config) = file.network.typed::<SegFormerConfig>() else { return Ok(None) };
        let (number, segmenter) = (config.classes, Segmenter::new(config)?);
        let ir_range = ir_range::of_file(&file.metadata, &file.path)?;
        let params = Params::from_weights(segmenter.graph(), &file.weights, device, Kind::Float)?;
        let (classes, image_size_px) = (file.metadata.classes.clone(), file.metadata.image_size.map(Size::wh));
        Ok(Some(TrainedSegmenter { segmenter, params, number, classes, image_size_px, ir_range }))
    }
}

impl Trained for TrainedSegmenter {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn annotation(&self) -> Annotation {
        Annotation::Masks
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
        require_network_classes(self.classes(), self.number, images)?;
        evaluate(self.segmenter.graph(), &self.params, images, batch, progress, stop)
    }
}
