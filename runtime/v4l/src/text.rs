//! A camera as the user names it: `v4l2:/dev/v4l/by-id/NAME?format=Y16&size=640x512&fps=30&gain=4`.

use std::path::PathBuf;

use caf_geometry::Size;

use super::device::FourCc;
use super::error::V4lError;
use super::stream::FEWEST;

/// What such a text begins with.
pub const PREFIX: &str = "v4l2:";
/// Buffers where the text says nothing: two with the driver, and what waits in a run's queues.
const BUFFERS: u32 = 8;
/// The most that V4L2 gives.
const MOST_BUFFERS: u32 = 32;

/// What is asked of a camera.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The node, or a link to it.
    pub path: PathBuf,
    /// The format; the best of those that the camera offers where the user says nothing.
    pub format: Option<FourCc>,
    /// The size; the camera's where the user says nothing.
    pub size: Option<Size>,
    /// Frames a second; the camera's where the user says nothing.
    pub fps: Option<f64>,
    /// How many buffers.
    pub buffers: u32,
    /// Controls by name, in their order.
    pub controls: Vec<(String, String)>,
}

impl Request {
    /// Reads the text.
    ///
    /// # Errors
    /// [`V4lError::Text`].
    pub fn parse(text: &str) -> Result<Self, V4lError> {
        let wrong = |reason: String| V4lError::Text { text: text.to_owned(), reason };
        let rest = text.strip_prefix(PREFIX).ok_or_else(|| wrong(format!("it does not begin with `{PREFIX}`")))?;
        let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
        if path.is_empty() {
            return Err(wrong("it names no node".to_owned()));
        }
        let mut request =
            Self { path: path.into(), format: None, size: None, fps: None, buffers: BUFFERS, controls: vec![] };
        let mut seen = vec![];
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (key, value) =
                option.split_once('=').ok_or_else(|| wrong(format!("`{option}` has no `=` and no value")))?;
            if seen.contains(&key) {
                return Err(wrong(format!("`{key}` is there twice")));
            }
            seen.push(key);
            let bad = |expected: &str| wrong(format!("{key}: expected {expected}, found `{value}`"));
            match key {
                "format" => {
                    let four = || bad("a code of four characters such as YUYV or Y16");
                    request.format = Some(FourCc::parse(value).ok_or_else(four)?);
                }
                "size" => request.size = Some(size(value).ok_or_else(|| bad("WIDTHxHEIGHT in pixels"))?),
                "fps" => {
                    let fps = value.parse().ok().filter(|fps| (0.01..=1000.0).contains(fps));
                    request.fps = Some(fps.ok_or_else(|| bad("a number from 0.01 to 1000"))?);
                }
                "buffers" => {
                    let range = FEWEST as u32..=MOST_BUFFERS;
                    let buffers = value.parse().ok().filter(|count| range.contains(count));
                    request.buffers =
                        buffers.ok_or_else(|| bad(&format!("a number from {FEWEST} to {MOST_BUFFERS}")))?;
                }
                control => request.controls.push((control.to_owned(), value.to_owned())),
            }
        }
        Ok(request)
    }
}

fn size(text: &str) -> Option<Size> {
    let (width, height) = text.split_once('x')?;
    let side = |text: &str| text.parse::<u16>().ok().filter(|side| *side > 0).map(usize::from);
    Some(Size::new(side(width)?, side(height)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_the_node_may_be_left_out() {
        let plain = Request::parse("v4l2:/dev/video0").unwrap();
        let expected = Request {
            path: "/dev/video0".into(),
            format: None,
            size: None,
            fps: None,
            buffers: BUFFERS,
            controls: vec![],
        };
        assert_eq!(plain, expected);
        assert_eq!(Request::parse("v4l2:/dev/video0?").unwrap(), expected);
        let full =
            "v4l2:/dev/v4l/by-id/usb-X?format=Y16&size=640x512&fps=8.7&buffers=4&gain=4&power_line_frequency=50 Hz";
        let full = Request::parse(full).unwrap();
        assert_eq!(full.format, Some(FourCc::new(*b"Y16 ")));
        assert_eq!((full.size, full.fps, full.buffers), (Some(Size::new(640, 512)), Some(8.7), 4));
        let controls = [("gain", "4"), ("power_line_frequency", "50 Hz")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(full.controls, controls);
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_expected() {
        for (text, reasons) in [
            ("v4l2:", ["names no node", "v4l2:NODE"]),
            ("v4l2:/dev/video0?gain", ["`gain` has no `=`", "gain"]),
            ("v4l2:/dev/video0?gain=1&gain=2", ["`gain` is there twice", "gain"]),
            ("v4l2:/dev/video0?format=TOOLONG", ["format: expected a code of four", "`TOOLONG`"]),
            ("v4l2:/dev/video0?size=640", ["size: expected WIDTHxHEIGHT", "`640`"]),
            ("v4l2:/dev/video0?size=0x480", ["size: expected WIDTHxHEIGHT", "`0x480`"]),
            ("v4l2:/dev/video0?size=70000x1", ["size: expected WIDTHxHEIGHT", "`70000x1`"]),
            ("v4l2:/dev/video0?fps=0", ["fps: expected a number from 0.01 to 1000", "`0`"]),
            ("v4l2:/dev/video0?fps=nan", ["fps: expected", "`nan`"]),
            ("v4l2:/dev/video0?buffers=2", ["buffers: expected a number from 3 to 32", "`2`"]),
            ("video0", ["does not begin with `v4l2:`", "video0"]),
        ] {
            let error = Request::parse(text).unwrap_err();
            assert!(error.is_wrong_call());
            let error = error.to_string();
            assert!(reasons.iter().all(|reason| error.contains(reason)), "{text}: {error}");
        }
    }
}
