//! The shapes that a result takes as a line of JSON: this project's own, and two that other systems read.

use std::fmt::{self, Display, Write as _};
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use caf_geometry::Detection;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;

use crate::json::Object;
use crate::result::PairResult;
use crate::task::class_name;
use crate::task::detection::Detections;

/// What a line of a result looks like. Only this project's own says what a result rests on, and holds what other tasks than detection
/// find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineShape {
    /// This project's own ([`PairResult::write_line`]).
    #[default]
    Own,
    /// The minimal schema of DeepStream's message converter: one object a frame, whose `objects` are texts
    /// `identity|left|top|right|bottom|class|#|confidence`. The identity is -1, for what is not tracked.
    DeepStream,
    /// `vision_msgs/Detection2DArray` of ROS 2 (version 4 of that package), as rosbridge writes messages in JSON.
    Ros,
}

/// The frame that boxes are in, `header.frame_id` and `sensorId`: the visible camera's.
const FRAME: &str = "visible";

impl LineShape {
    /// Writes a result in this shape, without the line's end; `brief` leaves out what is more than a datagram holds. Other systems' shapes
    /// have the time at which the later frame of the pair arrived, by the computer's clock.
    ///
    /// # Errors
    /// When `out` takes no more.
    pub fn write(self, result: &PairResult, brief: bool, out: &mut dyn Write) -> serde_json::Result<()> {
        let at = || SystemTime::now().checked_sub(result.arrived.elapsed()).unwrap_or(UNIX_EPOCH);
        match self {
            Self::Own => result.write_line(brief, out),
            Self::DeepStream => deep_stream(result, at(), out),
            Self::Ros => ros(result, at(), out),
        }
    }
}

/// Writes a list with an element for each detection.
fn each(
    result: &PairResult,
    out: &mut dyn Write,
    mut element: impl FnMut(&Detection, &str, &mut dyn Write) -> serde_json::Result<()>,
) -> serde_json::Result<()> {
    let raw = |out: &mut dyn Write, bytes: &[u8]| out.write_all(bytes).map_err(serde_json::Error::io);
    raw(out, b"[")?;
    for (at, one) in result.image.of::<Detections>().iter().flat_map(|found| found.list.iter().enumerate()) {
        if at > 0 {
            raw(out, b",")?;
        }
        let classes = result.image.of::<Detections>().map_or(&[][..], |found| &found.classes);
        element(one, class_name(classes, one.class), out)?;
    }
    raw(out, b"]")
}

/// The number of the frame that the boxes are in.
fn number(result: &PairResult) -> Option<u64> {
    let [infrared, visible] = result.sequence;
    visible.or(infrared)
}

fn deep_stream(result: &PairResult, at: SystemTime, out: &mut dyn Write) -> serde_json::Result<()> {
    Object::write(out, |line| {
        line.entry("version", "4.0")?;
        line.entry("id", &number(result))?;
        line.entry("@timestamp", &Rfc3339(at))?;
        line.entry("sensorId", FRAME)?;
        line.entry_by("objects", |out| {
            each(result, out, |one, name, out| serde_json::to_writer(out, &Fields(one, name)))
        })
    })
}

/// One object of DeepStream's minimal schema.
struct Fields<'a>(&'a Detection, &'a str);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(d, name) = self;
        serializer.collect_str(&format_args!(
            "-1|{}|{}|{}|{}|{}|#|{}",
            d.x1,
            d.y1,
            d.x2,
            d.y2,
            WithoutBars(name),
            d.score
        ))
    }
}

/// A class name in which the separator of the schema is a slash.
struct WithoutBars<'a>(&'a str);

impl Display for WithoutBars<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| f.write_char(if c == '|' { '/' } else { c }))
    }
}

/// A time as RFC 3339 writes it, in UTC with milliseconds.
struct Rfc3339(SystemTime);

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let t = OffsetDateTime::from(self.0);
        let (year, month, day) = (t.year(), u8::from(t.month()), t.day());
        let (hour, minute, second, ms) = (t.hour(), t.minute(), t.second(), t.millisecond());
        serializer
            .collect_str(&format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z"))
    }
}

fn ros(result: &PairResult, at: SystemTime, out: &mut dyn Write) -> serde_json::Result<()> {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let stamp = Stamp { sec: since.as_secs(), nanosec: since.subsec_nanos() };
    let header = Header { stamp, frame_id: FRAME };
    Object::write(out, |line| {
        line.entry("header", &header)?;
        line.entry_by("detections", |out| {
            each(result, out, |one, name, out| serde_json::to_writer(out, &Detection2D::new(&header, one, name)))
        })
    })
}

/// `builtin_interfaces/Time`.
#[derive(Serialize)]
struct Stamp {
    sec: u64,
    nanosec: u32,
}

/// `std_msgs/Header`.
#[derive(Serialize)]
struct Header {
    stamp: Stamp,
    frame_id: &'static str,
}

/// `vision_msgs/Detection2D`.
#[derive(Serialize)]
struct Detection2D<'a> {
    header: &'a Header,
    results: [Hypothesis<'a>; 1],
    bbox: BoundingBox2D,
    /// Of a tracked object; of none here.
    id: &'static str,
}

/// `vision_msgs/ObjectHypothesisWithPose`. A detector of images knows no pose: the identity, with zeros for the covariance, which stand for unknown.
#[derive(Serialize)]
struct Hypothesis<'a> {
    hypothesis: ClassScore<'a>,
    pose: PoseWithCovariance,
}

/// `vision_msgs/ObjectHypothesis`.
#[derive(Serialize)]
struct ClassScore<'a> {
    class_id: &'a str,
    score: f32,
}

/// `geometry_msgs/PoseWithCovariance`.
#[derive(Serialize)]
struct PoseWithCovariance {
    pose: Pose,
    covariance: Zeros,
}

/// The covariance, six times six numbers: arrays of more than 32 have no derived form.
struct Zeros;

impl Serialize for Zeros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(std::iter::repeat_n(0.0, 36))
    }
}

/// `geometry_msgs/Pose`.
#[derive(Default, Serialize)]
struct Pose {
    position: Point,
    orientation: Quaternion,
}

/// `geometry_msgs/Point`.
#[derive(Default, Serialize)]
struct Point {
    x: f64,
    y: f64,
    z: f64,
}

/// `geometry_msgs/Quaternion`.
#[derive(Serialize)]
struct Quaternion {
    x: f64,
    y: f64,
    z: f64,
    w: f64,
}

impl Default for Quaternion {
    fn default() -> Self {
        Self { x: 0.0, y: 0.0, z: 0.0, w: 1.0 }
    }
}

/// `vision_msgs/BoundingBox2D`, pixels: 0 is the left edge of the first one.
#[derive(Serialize)]
struct BoundingBox2D {
    center: Pose2D,
    size_x: f32,
    size_y: f32,
}

/// `vision_msgs/Pose2D`.
#[derive(Serialize)]
struct Pose2D {
    position: Point2D,
    theta: f64,
}

/// `vision_msgs/Point2D`.
#[derive(Serialize)]
struct Point2D {
    x: f32,
    y: f32,
}

impl<'a> Detection2D<'a> {
    fn new(header: &'a Header, d: &Detection, name: &'a str) -> Self {
        let hypothesis = ClassScore { class_id: name, score: d.score };
        let pose = PoseWithCovariance { pose: Pose::default(), covariance: Zeros };
        let position = Point2D { x: (d.x1 + d.x2) / 2.0, y: (d.y1 + d.y2) / 2.0 };
        let center = Pose2D { position, theta: 0.0 };
        let bbox = BoundingBox2D { center, size_x: d.x2 - d.x1, size_y: d.y2 - d.y1 };
        Self { header, results: [Hypothesis { hypothesis, pose }], bbox, id: "" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn result() -> PairResult {
        let classes = ["person".to_owned(), "car|van".to_owned()].into();
        let one = Detection { x1: 0.5, y1: 1.0, x2: 2.5, y2: 5.0, score: 0.75, class: 0 };
        let list = vec![one, Detection { class: 1, ..one }];
        let mut result = PairResult { sequence: [Some(3), Some(5)], ..PairResult::default() };
        result.image.found = vec![Box::new(Detections { list, classes })];
        result
    }

    fn value(write: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>) -> Value {
        let mut text = vec![];
        write(&mut text).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// 2018-04-11T04:59:59.828Z, and the leap day that a century leaves out or not.
    const AT: [(u64, u32, &str); 3] = [
        (1_523_422_799, 828_999_999, "2018-04-11T04:59:59.828Z"),
        (951_782_400, 0, "2000-02-29T00:00:00.000Z"),
        (4_107_542_399, 0, "2100-02-28T23:59:59.000Z"),
    ];

    #[test]
    fn deep_stream_gets_its_minimal_schema() {
        for (seconds, nanos, text) in AT {
            let at = UNIX_EPOCH + Duration::new(seconds, nanos);
            let found = value(|out| deep_stream(&result(), at, out));
            let objects = ["-1|0.5|1|2.5|5|person|#|0.75", "-1|0.5|1|2.5|5|car/van|#|0.75"];
            let expected = serde_json::json!({
                "version": "4.0", "id": 5, "@timestamp": text, "sensorId": "visible", "objects": objects,
            });
            assert_eq!(found, expected);
        }
        let alone = PairResult { sequence: [Some(3), None], ..PairResult::default() };
        let found = value(|out| deep_stream(&alone, UNIX_EPOCH, out));
        assert_eq!((found["id"].as_u64(), found["objects"].as_array().map(Vec::len)), (Some(3), Some(0)));
    }

    #[test]
    fn ros_gets_a_detection_2d_array() {
        let at = UNIX_EPOCH + Duration::new(1_523_422_799, 828_999_999);
        let found = value(|out| ros(&result(), at, out));
        let header =
            serde_json::json!({"stamp": {"sec": 1_523_422_799, "nanosec": 828_999_999}, "frame_id": "visible"});
        assert_eq!(found["header"], header);
        let detections = found["detections"].as_array().unwrap();
        assert_eq!(detections.len(), 2);
        let first = &detections[0];
        assert_eq!(first["header"], header);
        assert_eq!(first["results"][0]["hypothesis"], serde_json::json!({"class_id": "person", "score": 0.75}));
        let bbox = serde_json::json!({"center": {"position": {"x": 1.5, "y": 3.0}, "theta": 0.0}, "size_x": 2.0, "size_y": 4.0});
        assert_eq!((&first["bbox"], first["id"].as_str()), (&bbox, Some("")));
        assert_eq!(first["results"][0]["pose"]["covariance"].as_array().map(Vec::len), Some(36));
        assert_eq!(detections[1]["results"][0]["hypothesis"]["class_id"], "car|van");
    }

    #[test]
    fn other_shapes_have_the_time_of_arrival() {
        let before = SystemTime::now();
        let late = PairResult { arrived: std::time::Instant::now(), ..result() };
        let found = value(|out| LineShape::Ros.write(&late, true, out));
        let sec = found["header"]["stamp"]["sec"].as_u64().unwrap();
        let seconds = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!((seconds(before).saturating_sub(1)..=seconds(SystemTime::now()) + 1).contains(&sec), "{found}");
        let own = value(|out| LineShape::Own.write(&late, true, out));
        assert_eq!((own["seq_vi"].as_u64(), own["detections"].as_array().map(Vec::len)), (Some(5), Some(2)));
    }
}
