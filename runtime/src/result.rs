//! What every sink gets: a fused pair, one camera's image while the other is out, or a picture that says that both are.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::frame::Camera;
use crate::health::Faults;
use crate::json::Object;
use crate::task::FusedImage;

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

/// What a result rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultState {
    /// Both cameras.
    #[default]
    Fused,
    /// The visible camera; the infrared one is out.
    VisibleOnly,
    /// The infrared camera; the visible one is out.
    InfraredOnly,
    /// Nothing: both are out, and the picture says so.
    Offline,
}

impl ResultState {
    /// All.
    pub const ALL: [Self; 4] = [Self::Fused, Self::VisibleOnly, Self::InfraredOnly, Self::Offline];

    /// From whether there is an infrared and a visible frame.
    #[must_use]
    pub const fn of(frames: [bool; 2]) -> Self {
        match frames {
            [true, true] => Self::Fused,
            [false, true] => Self::VisibleOnly,
            [true, false] => Self::InfraredOnly,
            [false, false] => Self::Offline,
        }
    }

    /// Of one camera's frame.
    #[must_use]
    pub const fn alone(camera: Camera) -> Self {
        match camera {
            Camera::Infrared => Self::InfraredOnly,
            Camera::Visible => Self::VisibleOnly,
        }
    }

    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fused => "fused",
            Self::VisibleOnly => "visible only",
            Self::InfraredOnly => "infrared only",
            Self::Offline => "offline",
        }
    }
}

/// A fused image with everything known about it. Sinks share one result and only read it.
#[derive(Debug)]
pub struct PairResult {
    /// The image and what was found in it.
    pub image: FusedImage,
    /// What it rests on.
    pub state: ResultState,
    /// Why each camera takes no part, infrared first.
    pub faults: Faults,
    /// Nanoseconds since the start of the run: capture time of the visible frame, without one of the infrared frame, without either the
    /// time at which a frame would have been captured. It grows from result to result.
    pub time_ns: i64,
    /// Capture times of the infrared and the visible frame.
    pub captured_ns: [Option<i64>; 2],
    /// Sequence numbers of the infrared and the visible frame.
    pub sequence: [Option<u64>; 2],
    /// Capture time of the visible frame minus that of the infrared one; never beyond the run's bound.
    pub skew_ns: Option<i64>,
    /// Frames per second the visible camera claims, or the one whose image it is.
    pub rate: (i32, i32),
    /// When the later frame of the pair arrived, or the only one.
    pub arrived: Instant,
    /// How long it took so far.
    pub stages: StageTimes,
}

impl Default for PairResult {
    fn default() -> Self {
        Self {
            image: FusedImage::default(),
            state: ResultState::default(),
            faults: [None; 2],
            time_ns: 0,
            captured_ns: [None; 2],
            sequence: [None; 2],
            skew_ns: None,
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

impl PairResult {
    /// Writes it as a line of JSON without its end; `brief` leaves out what is more than a datagram holds.
    ///
    /// # Errors
    /// When `out` takes no more.
    pub fn write_line(&self, brief: bool, out: &mut dyn Write) -> serde_json::Result<()> {
        Object::write(out, |line| {
            line.entry("t_ns", &self.time_ns)?;
            line.entry("state", &self.state)?;
            line.entry_by("faults", |out| self.write_faults(out))?;
            line.entry("seq_ir", &self.sequence[0])?;
            line.entry("seq_vi", &self.sequence[1])?;
            line.entry("t_ir_ns", &self.captured_ns[0])?;
            line.entry("t_vi_ns", &self.captured_ns[1])?;
            line.entry("skew_ms", &self.skew_ns.map(|ns| ns as f64 / 1e6))?;
            self.image.write_found(brief, line)?;
            line.entry("stages_ms", &self.stages)
        })
    }

    /// Writes why each camera takes no part, with an entry for those that take none.
    fn write_faults(&self, out: &mut dyn Write) -> serde_json::Result<()> {
        Object::write(out, |faults| {
            let mut both = Camera::BOTH.into_iter().zip(self.faults);
            both.try_for_each(|(camera, fault)| fault.map_or(Ok(()), |fault| faults.entry(camera.name(), &fault)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Fault;
    use crate::task::Found;
    use crate::task::detection::Detections;
    use crate::task::segmentation::ClassMap;
    use caf_geometry::Detection;

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
    fn a_line_has_its_keys_in_their_places() {
        let classes: crate::task::ClassNames = ["a".to_owned(), "b".to_owned()].into();
        let one = Detection { x1: 0.5, y1: 1.0, x2: 2.0, y2: 3.0, score: 0.75, class: 1 };
        let detections: Box<dyn Found> = Box::new(Detections { list: vec![one], classes: Arc::clone(&classes) });
        let map: Box<dyn Found> = Box::new(ClassMap { map: vec![0, 0, 1, 1], classes });
        let mut result = PairResult {
            time_ns: 4,
            captured_ns: [Some(1_500_004), Some(4)],
            sequence: [Some(3), Some(5)],
            skew_ns: Some(-1_500_000),
            ..PairResult::default()
        };
        let mut line = |found, brief| {
            result.image.found = found;
            let mut text = vec![];
            result.write_line(brief, &mut text).unwrap();
            String::from_utf8(text).unwrap()
        };
        let head = r#"{"t_ns":4,"state":"fused","faults":{},"seq_ir":3,"seq_vi":5,"t_ir_ns":1500004,"t_vi_ns":4,"skew_ms":-1.5,"detections":"#;
        let tail = format!(r#","stages_ms":{}}}"#, serde_json::to_string(&StageTimes::default()).unwrap());
        let found = r#"[{"box":[0.5,1.0,2.0,3.0],"score":0.75,"class":1,"name":"b"}]"#;
        let runs = r#","class_map":[{"class":0,"name":"a","share":0.5,"runs":[0,2]},{"class":1,"name":"b","share":0.5,"runs":[2,2]}]"#;
        let shares = r#","class_map":[{"class":0,"name":"a","share":0.5},{"class":1,"name":"b","share":0.5}]"#;
        assert_eq!(line(vec![], false), format!("{head}[]{tail}"));
        assert_eq!(line(vec![detections, map], false), format!("{head}{found}{runs}{tail}"));
        let map = Box::new(ClassMap { map: vec![0, 0, 1, 1], classes: ["a".to_owned(), "b".to_owned()].into() });
        assert_eq!(line(vec![map], true), format!("{head}[]{shares}{tail}"));
    }

    #[test]
    fn a_result_of_one_camera_says_why() {
        let result = PairResult {
            state: ResultState::VisibleOnly,
            faults: [Some(Fault::Frozen), None],
            time_ns: 4,
            captured_ns: [None, Some(4)],
            sequence: [None, Some(5)],
            ..PairResult::default()
        };
        let mut text = vec![];
        result.write_line(false, &mut text).unwrap();
        let expected = r#"{"t_ns":4,"state":"visible_only","faults":{"infrared":"frozen"},"seq_ir":null,"seq_vi":5,"t_ir_ns":null,"t_vi_ns":4,"skew_ms":null,"detections":[]"#;
        assert!(String::from_utf8(text).unwrap().starts_with(expected));
    }
}
