//! One camera image with the time at which it was captured.
//!
//! A frame never owns a copy of a live camera's pixels: it holds the camera's own buffer, mapped for reading, and gives it
//! back when it is dropped.

use std::time::Instant;

use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

/// Which of the two cameras.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Camera {
    /// The thermal camera.
    Infrared,
    /// The visible-light camera.
    Visible,
}

impl Camera {
    /// Both, infrared first.
    pub const BOTH: [Self; 2] = [Self::Infrared, Self::Visible];

    /// 0 for infrared, 1 for visible.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Infrared => 0,
            Self::Visible => 1,
        }
    }

    /// The other camera.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Infrared => Self::Visible,
            Self::Visible => Self::Infrared,
        }
    }

    /// Name in messages and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Infrared => "infrared",
            Self::Visible => "visible",
        }
    }
}

/// Layout of one pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    /// One byte, 0–255.
    Gray8,
    /// Two bytes, little endian, 0–65535.
    Gray16Le,
    /// Three bytes: red, green, blue.
    Rgb8,
}

impl PixelFormat {
    /// Bytes of one pixel.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Gray8 => 1,
            Self::Gray16Le => 2,
            Self::Rgb8 => 3,
        }
    }

    /// The name GStreamer gives it.
    #[must_use]
    pub const fn gst_name(self) -> &'static str {
        match self {
            Self::Gray8 => "GRAY8",
            Self::Gray16Le => "GRAY16_LE",
            Self::Rgb8 => "RGB",
        }
    }
}

/// Why pixels cannot be viewed as an image.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Too few bytes for the claimed size.
    #[error(
        "a {width_px}x{height_px} {format:?} image with rows {stride_bytes} bytes apart needs {expected} bytes, found {found}"
    )]
    Short {
        /// Width claimed.
        width_px: usize,
        /// Height claimed.
        height_px: usize,
        /// Layout claimed.
        format: PixelFormat,
        /// Distance between rows claimed.
        stride_bytes: usize,
        /// Bytes needed.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// Rows overlap or there are none.
    #[error("a {width_px}x{height_px} {format:?} image cannot have rows {stride_bytes} bytes apart")]
    Layout {
        /// Width claimed.
        width_px: usize,
        /// Height claimed.
        height_px: usize,
        /// Layout claimed.
        format: PixelFormat,
        /// Distance between rows claimed.
        stride_bytes: usize,
    },
    /// A layout nobody asked for.
    #[error("the camera delivers {found}, expected GRAY8, GRAY16_LE or RGB")]
    Format {
        /// GStreamer's name of what came.
        found: String,
    },
    /// The buffer could not be mapped.
    #[error("the {width_px}x{height_px} buffer of the camera cannot be read")]
    Map {
        /// Width from the stream's description.
        width_px: u32,
        /// Height from the stream's description.
        height_px: u32,
    },
}

/// Borrowed pixels: `height_px` rows of `width_px` pixels, `stride_bytes` apart (possibly wider than a row).
#[derive(Clone, Copy, Debug)]
pub struct ImageView<'a> {
    data: &'a [u8],
    width_px: usize,
    height_px: usize,
    stride_bytes: usize,
    format: PixelFormat,
}

impl<'a> ImageView<'a> {
    /// Checks that `data` holds the claimed image; the last row may end at its last pixel.
    pub fn new(
        data: &'a [u8],
        width_px: usize,
        height_px: usize,
        stride_bytes: usize,
        format: PixelFormat,
    ) -> Result<Self, FrameError> {
        let row = width_px.saturating_mul(format.bytes());
        if width_px == 0 || height_px == 0 || stride_bytes < row {
            return Err(FrameError::Layout { width_px, height_px, format, stride_bytes });
        }
        let expected = stride_bytes.saturating_mul(height_px - 1).saturating_add(row);
        if data.len() < expected {
            let found = data.len();
            return Err(FrameError::Short { width_px, height_px, format, stride_bytes, expected, found });
        }
        Ok(Self { data, width_px, height_px, stride_bytes, format })
    }

    /// Width in pixels, at least 1.
    #[must_use]
    pub const fn width_px(&self) -> usize {
        self.width_px
    }

    /// Height in pixels, at least 1.
    #[must_use]
    pub const fn height_px(&self) -> usize {
        self.height_px
    }

    /// Layout of a pixel.
    #[must_use]
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// The rows from top to bottom, each `width_px × format.bytes()` long, without the padding between them.
    pub fn rows(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let row = self.width_px * self.format.bytes();
        self.data.chunks(self.stride_bytes).take(self.height_px).filter_map(move |chunk| chunk.get(..row))
    }
}

/// Where the pixels lie.
#[allow(clippy::large_enum_variant, reason = "a box would be an allocation for every live frame")]
enum Pixels {
    /// A camera's buffer; unmapped and returned to its pool when dropped.
    Mapped { frame: gst_video::VideoFrame<gst_video::video_frame::Readable>, format: PixelFormat },
    /// Decoded from a file.
    Owned { data: Vec<u8>, width_px: usize, height_px: usize, stride_bytes: usize, format: PixelFormat },
}

/// One image of one camera.
pub struct Frame {
    /// Who took it.
    pub camera: Camera,
    /// Counts the frames this camera delivered, from 0; a gap means that frames were dropped after capture.
    pub sequence: u64,
    /// When the light fell on the sensor, in nanoseconds since the start of the run: presentation time minus the
    /// camera's latency, and so possibly below zero.
    pub capture_ns: i64,
    /// When it reached this program.
    pub arrived: Instant,
    /// Frames per second the camera claims to deliver, as a fraction; a numerator of 0 means that it does not say.
    pub rate: (i32, i32),
    pixels: Pixels,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame")
            .field("camera", &self.camera)
            .field("sequence", &self.sequence)
            .field("capture_ns", &self.capture_ns)
            .finish_non_exhaustive()
    }
}

impl Frame {
    /// Wraps a GStreamer buffer without copying it; strides in the buffer's video meta are honoured.
    pub fn from_buffer(
        camera: Camera,
        sequence: u64,
        capture_ns: i64,
        buffer: gstreamer::Buffer,
        info: &gst_video::VideoInfo,
    ) -> Result<Self, FrameError> {
        let format = match info.format() {
            gst_video::VideoFormat::Gray8 => PixelFormat::Gray8,
            gst_video::VideoFormat::Gray16Le => PixelFormat::Gray16Le,
            gst_video::VideoFormat::Rgb => PixelFormat::Rgb8,
            other => return Err(FrameError::Format { found: other.to_string() }),
        };
        let frame = gst_video::VideoFrame::from_buffer_readable(buffer, info)
            .map_err(|_| FrameError::Map { width_px: info.width(), height_px: info.height() })?;
        let rate = (info.fps().numer(), info.fps().denom());
        let pixels = Pixels::Mapped { frame, format };
        let frame = Self { camera, sequence, capture_ns, arrived: Instant::now(), rate, pixels };
        frame.view()?;
        Ok(frame)
    }

    /// Takes pixels decoded from a file.
    pub fn from_pixels(
        camera: Camera,
        sequence: u64,
        capture_ns: i64,
        data: Vec<u8>,
        size_px: (usize, usize),
        stride_bytes: usize,
        format: PixelFormat,
    ) -> Result<Self, FrameError> {
        let (width_px, height_px) = size_px;
        let pixels = Pixels::Owned { data, width_px, height_px, stride_bytes, format };
        let frame = Self { camera, sequence, capture_ns, arrived: Instant::now(), rate: (0, 1), pixels };
        frame.view()?;
        Ok(frame)
    }

    /// The pixels.
    pub fn view(&self) -> Result<ImageView<'_>, FrameError> {
        match &self.pixels {
            Pixels::Mapped { frame, format } => {
                let (width, height) = (frame.width(), frame.height());
                let unreadable = FrameError::Map { width_px: width, height_px: height };
                let Ok(data) = frame.plane_data(0) else { return Err(unreadable) };
                let stride = frame.plane_stride().first().copied().and_then(|s| usize::try_from(s).ok());
                let Some(stride) = stride else { return Err(unreadable) };
                ImageView::new(data, width as usize, height as usize, stride, *format)
            }
            Pixels::Owned { data, width_px, height_px, stride_bytes, format } => {
                ImageView::new(data, *width_px, *height_px, *stride_bytes, *format)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn rows_skip_the_padding_and_the_last_row_may_be_short() {
        let data: Vec<u8> = (0..8 * 2 + 5).collect();
        let view = ImageView::new(&data, 5, 3, 8, PixelFormat::Gray8).unwrap();
        let rows: Vec<&[u8]> = view.rows().collect();
        assert_eq!(rows, [&data[0..5], &data[8..13], &data[16..21]]);
    }

    #[test]
    fn impossible_images_are_refused() {
        assert!(matches!(
            ImageView::new(&[0; 20], 5, 3, 8, PixelFormat::Gray8),
            Err(FrameError::Short { expected: 21, found: 20, .. })
        ));
        assert!(matches!(ImageView::new(&[0; 99], 5, 3, 4, PixelFormat::Gray8), Err(FrameError::Layout { .. })));
        assert!(matches!(ImageView::new(&[0; 99], 0, 3, 4, PixelFormat::Gray8), Err(FrameError::Layout { .. })));
        assert!(ImageView::new(&[], usize::MAX, usize::MAX, usize::MAX, PixelFormat::Rgb8).is_err());
    }

    #[test]
    fn a_buffer_goes_back_only_when_the_frame_is_dropped() {
        gstreamer::init().unwrap();
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Gray8, 5, 2).build().unwrap();
        /// Memory that tells when it is given back.
        struct Watched(Vec<u8>, Arc<AtomicBool>);
        impl AsRef<[u8]> for Watched {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        impl Drop for Watched {
            fn drop(&mut self) {
                self.1.store(true, Ordering::SeqCst);
            }
        }
        let returned = Arc::new(AtomicBool::new(false));
        let buffer = gstreamer::Buffer::from_slice(Watched(vec![7; info.size()], Arc::clone(&returned)));
        let frame = Frame::from_buffer(Camera::Infrared, 0, 0, buffer, &info).unwrap();
        assert!(frame.view().unwrap().rows().eq([[7; 5], [7; 5]]));
        assert!(!returned.load(Ordering::SeqCst));
        drop(frame);
        assert!(returned.load(Ordering::SeqCst));
    }
}
