//! One fused pair on its way to the sinks.

use std::time::{Duration, Instant};

use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};

use crate::fusion::FusedImage;
use crate::sink::jsonl::Detections;

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// From the arrival of the later frame of a pair to the decision that it is one.
    Pair,
    /// Waiting for the model.
    Queue,
    /// Alignment and copying pixels into tensors.
    Pre,
    /// Inference.
    Infer,
    /// Copying the fused image out of its tensor.
    Post,
    /// Suppressing and mapping boxes.
    Nms,
    /// Painting boxes and labels.
    Draw,
    /// Handing the image to the video encoder.
    Sink,
    /// From the arrival of the later frame of a pair until its last sink has it.
    EndToEnd,
}

impl Stage {
    /// All, in the order of work.
    pub const ALL: [Self; 9] = [
        Self::Pair,
        Self::Queue,
        Self::Pre,
        Self::Infer,
        Self::Post,
        Self::Nms,
        Self::Draw,
        Self::Sink,
        Self::EndToEnd,
    ];

    /// Name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::Queue => "queue",
            Self::Pre => "pre",
            Self::Infer => "infer",
            Self::Post => "post",
            Self::Nms => "nms",
            Self::Draw => "draw",
            Self::Sink => "sink",
            Self::EndToEnd => "end_to_end",
        }
    }
}

/// A duration for every stage.
#[derive(Clone, Copy, Debug, Default)]
pub struct StageTimes([Duration; Stage::ALL.len()]);

impl StageTimes {
    /// The duration of a stage.
    #[must_use]
    pub fn get(&self, stage: Stage) -> Duration {
        self.0[stage as usize]
    }

    /// Sets the duration of a stage.
    pub fn set(&mut self, stage: Stage, duration: Duration) {
        self.0[stage as usize] = duration;
    }
}

/// Milliseconds by stage name, without the end-to-end time, which is not over while a line is written.
impl Serialize for StageTimes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(Stage::ALL.len() - 1))?;
        for stage in Stage::ALL.into_iter().filter(|s| *s != Stage::EndToEnd) {
            map.serialize_entry(stage.name(), &(self.get(stage).as_nanos() as f64 / 1e6))?;
        }
        map.end()
    }
}

/// A fused image with everything known about it. Slots are made once and go round between the stages.
#[derive(Debug)]
pub struct Slot {
    /// The image and what was found in it.
    pub image: FusedImage,
    /// Capture time of the visible frame, nanoseconds since the start of the run.
    pub time_ns: i64,
    /// Sequence numbers of the infrared and the visible frame.
    pub sequence: [u64; 2],
    /// Capture time of the visible frame minus that of the infrared one.
    pub skew_ns: i64,
    /// Frames per second the visible camera claims.
    pub rate: (i32, i32),
    /// When the later frame of the pair arrived.
    pub arrived: Instant,
    /// How long it took so far.
    pub stages: StageTimes,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            image: FusedImage::default(),
            time_ns: 0,
            sequence: [0; 2],
            skew_ns: 0,
            rate: (0, 1),
            arrived: Instant::now(),
            stages: StageTimes::default(),
        }
    }
}

/// A slot as a line of JSON.
#[derive(Debug)]
pub struct Line<'a> {
    /// The slot.
    pub slot: &'a Slot,
    /// Class names.
    pub classes: &'a [String],
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { slot, classes } = self;
        let mut line = serializer.serialize_struct("pair", 6)?;
        line.serialize_field("t_ns", &slot.time_ns)?;
        line.serialize_field("seq_ir", &slot.sequence[0])?;
        line.serialize_field("seq_vi", &slot.sequence[1])?;
        line.serialize_field("skew_ms", &(slot.skew_ns as f64 / 1e6))?;
        line.serialize_field("detections", &Detections { list: &slot.image.detections, classes })?;
        line.serialize_field("stages_ms", &slot.stages)?;
        line.end()
    }
}
