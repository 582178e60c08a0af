//! One fused pair: what every sink gets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use caf_geometry::Detection;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, SerializeStruct, Serializer};

use crate::task::detection::class_name;
use crate::task::segmentation::ClassMap;
use crate::task::{ClassNames, FusedImage};

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
    /// Reading the results of the tasks: suppressing and mapping boxes, copying the class map.
    Read,
    /// Painting class maps, boxes and labels.
    Draw,
    /// From the arrival of the later frame of a pair until the result is there.
    EndToEnd,
}

impl Stage {
    /// All, in the order of work.
    pub const ALL: [Self; 8] =
        [Self::Pair, Self::Queue, Self::Pre, Self::Infer, Self::Post, Self::Read, Self::Draw, Self::EndToEnd];

    /// Name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::Queue => "queue",
            Self::Pre => "pre",
            Self::Infer => "infer",
            Self::Post => "post",
            Self::Read => "read",
            Self::Draw => "draw",
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

/// Milliseconds by stage name, without the end-to-end time.
impl Serialize for StageTimes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(Stage::ALL.len() - 1))?;
        for stage in Stage::ALL.into_iter().filter(|s| *s != Stage::EndToEnd) {
            map.serialize_entry(stage.name(), &(self.get(stage).as_nanos() as f64 / 1e6))?;
        }
        map.end()
    }
}

/// A fused image with everything known about it. Sinks share one result and only read it.
#[derive(Debug)]
pub struct PairResult {
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

impl Default for PairResult {
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

/// Results that are made once and used again as soon as no sink reads them any more, the one used last first: its memory is
/// still in the cache.
#[derive(Debug)]
pub struct ResultPool(Vec<Arc<PairResult>>);

impl ResultPool {
    /// A pool for `count` results in use at a time; it grows when there are more.
    #[must_use]
    pub fn new(count: usize) -> Self {
        let mut results = Vec::with_capacity(count + 1);
        results.resize_with(count, Arc::default);
        Self(results)
    }

    /// A result that nobody else holds.
    #[must_use]
    pub fn take(&mut self) -> Arc<PairResult> {
        let free = self.0.iter_mut().position(|result| Arc::get_mut(result).is_some());
        free.map_or_else(Arc::default, |free| self.0.remove(free))
    }

    /// Takes a result back, whoever still reads it.
    pub fn give_back(&mut self, result: Arc<PairResult>) {
        self.0.insert(0, result);
    }
}

/// A result as a line of JSON.
#[derive(Debug)]
pub struct Line<'a> {
    /// The result.
    pub result: &'a PairResult,
    /// Class names.
    pub names: &'a ClassNames,
    /// Whether class maps are written as runs, or only their shares.
    pub runs: bool,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { result, names, runs } = *self;
        let segments = !result.image.class_map.is_empty();
        let mut line = serializer.serialize_struct("pair", 6 + usize::from(segments))?;
        line.serialize_field("t_ns", &result.time_ns)?;
        line.serialize_field("seq_ir", &result.sequence[0])?;
        line.serialize_field("seq_vi", &result.sequence[1])?;
        line.serialize_field("skew_ms", &(result.skew_ns as f64 / 1e6))?;
        let detections = Detections { list: &result.image.detections, classes: &names.detection };
        line.serialize_field("detections", &detections)?;
        if segments {
            let map = ClassMap { map: &result.image.class_map, classes: &names.segmentation, runs };
            line.serialize_field("class_map", &map)?;
        }
        line.serialize_field("stages_ms", &result.stages)?;
        line.end()
    }
}

/// Detections with their class names, as a JSON list of
/// `{"box": [x1, y1, x2, y2], "score": s, "class": n, "name": "…"}`.
#[derive(Clone, Copy, Debug)]
pub struct Detections<'a> {
    /// Boxes in pixels of the fused image, which are those of the visible camera.
    pub list: &'a [Detection],
    /// Class names.
    pub classes: &'a [String],
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

impl Serialize for Detections<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.list.len()))?;
        for detection in self.list {
            list.serialize_element(&Named(detection, class_name(self.classes, detection.class)))?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_used_again_only_when_nobody_reads_it() {
        let mut pool = ResultPool::new(2);
        let first = pool.take();
        let reader = Arc::clone(&first);
        let address = Arc::as_ptr(&first);
        pool.give_back(first);
        let second = pool.take();
        assert_ne!(Arc::as_ptr(&second), address);
        drop(reader);
        pool.give_back(second);
        let again = pool.take();
        assert_ne!(Arc::as_ptr(&again), address, "the one used last comes first");
        assert_eq!(Arc::as_ptr(&pool.take()), address);
        // More than there are: the pool gives new ones.
        assert_eq!(Arc::strong_count(&pool.take()), 1);
    }

    #[test]
    fn a_detection_is_written_with_its_name() {
        let list = [Detection { x1: 1.5, y1: 2.0, x2: 3.0, y2: 4.0, score: 0.5, class: 1 }];
        let classes = ["person".to_owned(), "car".to_owned()];
        let text = serde_json::to_string(&Detections { list: &list, classes: &classes }).unwrap();
        assert_eq!(text, r#"[{"box":[1.5,2.0,3.0,4.0],"score":0.5,"class":1,"name":"car"}]"#);
    }
}
