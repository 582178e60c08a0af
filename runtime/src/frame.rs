//! One camera image with the time at which it was captured.
//!
//! A frame never holds a copy of a live camera's pixels: it holds the camera's own memory, whatever that is, and gives it back
//! when it is dropped.

use std::time::Instant;

pub use caf_image::Camera;

use caf_contract::IrLimits;
use caf_geometry::Size;
use caf_rig::RigError;

/// Layout of one pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    /// One byte, 0–255.
    Gray8,
    /// Two bytes, little endian, 0–65535.
    Gray16Le,
    /// Four bytes, a float, little endian: kelvin, degrees Celsius or whatever a file's writer chose. Of files alone; no camera
    /// delivers it.
    GrayF32Le,
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
            Self::GrayF32Le => 4,
            Self::Rgb8 => 3,
        }
    }
}

/// Why an image cannot be used. What a camera or a file delivers is never a wrong call.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Too few bytes for the claimed size.
    #[error("a {size} {format:?} image with rows {stride_bytes} bytes apart needs {expected} bytes, found {found}")]
    Short {
        /// Size claimed.
        size: Size,
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
    #[error("a {size} {format:?} image cannot have rows {stride_bytes} bytes apart")]
    Layout {
        /// Size claimed.
        size: Size,
        /// Layout claimed.
        format: PixelFormat,
        /// Distance between rows claimed.
        stride_bytes: usize,
    },
    /// The infrared image is not of the size that the rig was made for.
    #[error("the infrared image does not fit the rig: {0}")]
    Rig(#[from] RigError),
    /// A float image for a network whose range is all that 16 bits hold.
    #[error(
        "the infrared image holds floats, which have no full range: expected a network trained on a range that says which values \
         become 0 and 1 (a window, min_max, percentiles), or an infrared image of 8 or 16 bits"
    )]
    NoRange,
    /// The tensor is larger or smaller than the image.
    #[error("a {size} image with {channels} channels has {expected} values, the tensor holds {found}")]
    Tensor {
        /// Size of the image.
        size: Size,
        /// Channels wanted.
        channels: usize,
        /// Values of such an image.
        expected: usize,
        /// Values of the tensor.
        found: usize,
    },
}

/// Borrowed pixels: rows of an image, `stride_bytes` apart (possibly wider than a row).
#[derive(Clone, Copy, Debug)]
pub struct ImageView<'a> {
    data: &'a [u8],
    size: Size,
    stride_bytes: usize,
    format: PixelFormat,
    limits: IrLimits,
}

/// All that 16 bits hold.
pub(crate) const FULL: IrLimits = IrLimits { low: 0.0, high: 65_535.0 };

impl<'a> ImageView<'a> {
    /// Checks that `data` holds the claimed image; the last row may end at its last pixel.
    pub fn new(data: &'a [u8], size: Size, stride_bytes: usize, format: PixelFormat) -> Result<Self, FrameError> {
        let row = size.width.saturating_mul(format.bytes());
        if size.width == 0 || size.height == 0 || stride_bytes < row {
            return Err(FrameError::Layout { size, format, stride_bytes });
        }
        let expected = stride_bytes.saturating_mul(size.height - 1).saturating_add(row);
        if data.len() < expected {
            let found = data.len();
            return Err(FrameError::Short { size, format, stride_bytes, expected, found });
        }
        Ok(Self { data, size, stride_bytes, format, limits: FULL })
    }

    /// Its size, each side at least 1.
    #[must_use]
    pub const fn size(&self) -> Size {
        self.size
    }

    /// Layout of a pixel.
    #[must_use]
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// The same pixels with other values that count as black and white; images of 8 bits have no others than 0 and 255.
    #[must_use]
    pub const fn with_limits(mut self, limits: IrLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The values of a 16-bit or float image that become 0 and 1: at first all that 16 bits hold.
    #[must_use]
    pub const fn limits(&self) -> IrLimits {
        self.limits
    }

    /// Whether those are all that 16 bits hold.
    #[must_use]
    pub fn is_full_range(&self) -> bool {
        self.limits == FULL
    }

    /// The rows from top to bottom, each `width × format.bytes()` long, without the padding between them.
    pub fn rows(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let row = self.size.width * self.format.bytes();
        self.data.chunks(self.stride_bytes).take(self.size.height).filter_map(move |chunk| chunk.get(..row))
    }
}

/// How pixels lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Size of the image.
    pub size: Size,
    /// Bytes from the start of a row to the start of the next one.
    pub stride_bytes: usize,
    /// Layout of one pixel.
    pub format: PixelFormat,
}

/// Memory with pixels that somebody lends: a camera's buffer, a decoded file.
pub trait Pixels: Send {
    /// The bytes, from the first pixel on.
    fn bytes(&self) -> &[u8];

    /// Takes the memory back when the frame is dropped. A source that reuses its boxes allocates nothing for a frame.
    fn give_back(self: Box<Self>) {}
}

impl Pixels for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
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
    /// The same on the clock of the run, from when the source hands it over.
    pub delivered_ns: i64,
    /// Whether the capture time is a guess, because the camera's clock has just jumped.
    pub time_is_guess: bool,
    /// Frames per second the camera claims to deliver, as a fraction; a numerator of 0 means that it does not say.
    pub rate: (i32, i32),
    layout: Layout,
    /// Taken only when the frame is dropped.
    pixels: Option<Box<dyn Pixels>>,
}

impl Drop for Frame {
    fn drop(&mut self) {
        if let Some(pixels) = self.pixels.take() {
            pixels.give_back();
        }
    }
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
    /// Wraps pixels without copying them; they are given back at once when they are no such image.
    pub fn new(
        camera: Camera,
        sequence: u64,
        capture_ns: i64,
        layout: Layout,
        pixels: Box<dyn Pixels>,
    ) -> Result<Self, FrameError> {
        let (arrived, pixels) = (Instant::now(), Some(pixels));
        let frame = Self {
            camera,
            sequence,
            capture_ns,
            arrived,
            delivered_ns: 0,
            time_is_guess: false,
            rate: (0, 1),
            layout,
            pixels,
        };
        frame.view()?;
        Ok(frame)
    }

    /// Its size in pixels.
    #[must_use]
    pub const fn size(&self) -> Size {
        self.layout.size
    }

    /// The pixels.
    pub fn view(&self) -> Result<ImageView<'_>, FrameError> {
        let Layout { size, stride_bytes, format } = self.layout;
        let bytes = self.pixels.as_deref().map_or(&[][..], Pixels::bytes);
        ImageView::new(bytes, size, stride_bytes, format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn rows_skip_the_padding_and_the_last_row_may_be_short() {
        let data: Vec<u8> = (0..8 * 2 + 5).collect();
        let view = ImageView::new(&data, Size::new(5, 3), 8, PixelFormat::Gray8).unwrap();
        let rows: Vec<&[u8]> = view.rows().collect();
        assert_eq!(rows, [&data[0..5], &data[8..13], &data[16..21]]);
    }

    #[test]
    fn impossible_images_are_refused() {
        assert!(matches!(
            ImageView::new(&[0; 20], Size::new(5, 3), 8, PixelFormat::Gray8),
            Err(FrameError::Short { expected: 21, found: 20, .. })
        ));
        assert!(matches!(
            ImageView::new(&[0; 99], Size::new(5, 3), 4, PixelFormat::Gray8),
            Err(FrameError::Layout { .. })
        ));
        assert!(matches!(
            ImageView::new(&[0; 99], Size::new(0, 3), 4, PixelFormat::Gray8),
            Err(FrameError::Layout { .. })
        ));
        assert!(ImageView::new(&[], Size::new(usize::MAX, usize::MAX), usize::MAX, PixelFormat::Rgb8).is_err());
    }

    #[test]
    fn the_memory_goes_back_once_and_only_when_the_frame_is_dropped() {
        /// Memory that counts how often it is given back.
        struct Lent(Vec<u8>, Arc<AtomicUsize>);
        impl Pixels for Lent {
            fn bytes(&self) -> &[u8] {
                &self.0
            }
            fn give_back(self: Box<Self>) {
                self.1.fetch_add(1, Ordering::SeqCst);
            }
        }
        let returned = Arc::new(AtomicUsize::new(0));
        let layout = Layout { size: Size::new(5, 2), stride_bytes: 8, format: PixelFormat::Gray8 };
        let lend = |bytes: usize| {
            let pixels = Box::new(Lent(vec![7; bytes], Arc::clone(&returned)));
            Frame::new(Camera::Infrared, 0, 0, layout, pixels)
        };
        let frame = lend(13).unwrap();
        assert!(frame.view().unwrap().rows().eq([[7; 5], [7; 5]]));
        assert_eq!(returned.load(Ordering::SeqCst), 0);
        drop(frame);
        assert_eq!(returned.load(Ordering::SeqCst), 1);
        assert!(matches!(lend(12), Err(FrameError::Short { expected: 13, found: 12, .. })));
        assert_eq!(returned.load(Ordering::SeqCst), 2);
    }
}
