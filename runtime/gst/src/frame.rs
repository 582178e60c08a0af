//! A camera's buffer as a frame: mapped, never copied, and back in its pool when the frame is dropped.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use caf_geometry::Size;
use caf_runtime::frame::{Camera, Frame, Layout, PixelFormat, Pixels};
use gstreamer as gst;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

use super::error::GstError;

/// Boxes that wait for the next buffer; more are given to the allocator.
const BOXES: usize = 64;

/// The name GStreamer gives a format.
pub const fn format_name(format: PixelFormat) -> &'static str {
    match format {
        PixelFormat::Gray8 => "GRAY8",
        PixelFormat::Gray16Le => "GRAY16_LE",
        // GStreamer has none, and no camera delivers it.
        PixelFormat::GrayF32Le => "GRAY_F32",
        PixelFormat::Rgb8 => "RGB",
    }
}

type Shelf = Mutex<Vec<Box<Mapped>>>;

/// A mapped buffer in a box that is used again for the next one.
struct Mapped {
    frame: Option<gst_video::VideoFrame<gst_video::video_frame::Readable>>,
    shelf: Weak<Shelf>,
}

impl Pixels for Mapped {
    fn bytes(&self) -> &[u8] {
        self.frame.as_ref().and_then(|frame| frame.plane_data(0).ok()).unwrap_or_default()
    }

    fn give_back(mut self: Box<Self>) {
        // Unmaps the buffer and lets it go back to its pool.
        self.frame = None;
        if let Some(shelf) = self.shelf.upgrade() {
            let mut boxes = shelf.lock().unwrap_or_else(PoisonError::into_inner);
            if boxes.len() < BOXES {
                boxes.push(self);
            }
        }
    }
}

/// Makes frames of buffers.
pub struct Frames {
    shelf: Arc<Shelf>,
}

impl Default for Frames {
    fn default() -> Self {
        Self { shelf: Arc::new(Mutex::new(Vec::with_capacity(BOXES))) }
    }
}

impl Frames {
    /// Wraps a buffer without copying it; strides in the buffer's video meta are honoured.
    pub fn wrap(
        &self,
        camera: Camera,
        sequence: u64,
        capture_ns: i64,
        buffer: gst::Buffer,
        info: &gst_video::VideoInfo,
    ) -> Result<Frame, GstError> {
        let format = match info.format() {
            gst_video::VideoFormat::Gray8 => PixelFormat::Gray8,
            gst_video::VideoFormat::Gray16Le => PixelFormat::Gray16Le,
            gst_video::VideoFormat::Rgb => PixelFormat::Rgb8,
            other => return Err(GstError::Format { found: other.to_string() }),
        };
        let unreadable = || GstError::Map { size: Size::new(info.width() as usize, info.height() as usize) };
        let frame = gst_video::VideoFrame::from_buffer_readable(buffer, info).map_err(|_| unreadable())?;
        let stride = frame.plane_stride().first().copied().and_then(|s| usize::try_from(s).ok());
        let stride_bytes = stride.ok_or_else(unreadable)?;
        let size = Size::new(frame.width() as usize, frame.height() as usize);
        let used = self.shelf.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut mapped = used.unwrap_or_else(|| Box::new(Mapped { frame: None, shelf: Arc::downgrade(&self.shelf) }));
        mapped.frame = Some(frame);
        let mut frame = Frame::new(camera, sequence, capture_ns, Layout { size, stride_bytes, format }, mapped)?;
        frame.rate = (info.fps().numer(), info.fps().denom());
        Ok(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

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

    #[test]
    fn a_buffer_goes_back_only_when_the_frame_is_dropped() {
        gst::init().unwrap();
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Gray8, 5, 2).build().unwrap();
        let frames = Frames::default();
        for value in [7, 8] {
            let returned = Arc::new(AtomicBool::new(false));
            let buffer = gst::Buffer::from_slice(Watched(vec![value; info.size()], Arc::clone(&returned)));
            let frame = frames.wrap(Camera::Infrared, 0, 0, buffer, &info).unwrap();
            assert!(frame.view().unwrap().rows().eq([[value; 5], [value; 5]]));
            assert!(!returned.load(Ordering::SeqCst));
            drop(frame);
            assert!(returned.load(Ordering::SeqCst));
            assert_eq!(frames.shelf.lock().unwrap().len(), 1, "the box is used again");
        }
        // A frame may outlive the source.
        let returned = Arc::new(AtomicBool::new(false));
        let buffer = gst::Buffer::from_slice(Watched(vec![9; info.size()], Arc::clone(&returned)));
        let frame = frames.wrap(Camera::Infrared, 0, 0, buffer, &info).unwrap();
        drop(frames);
        drop(frame);
        assert!(returned.load(Ordering::SeqCst));
    }

    #[test]
    fn another_format_is_named() {
        gst::init().unwrap();
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, 4, 2).build().unwrap();
        let buffer = gst::Buffer::from_slice(vec![0_u8; info.size()]);
        let Err(error) = Frames::default().wrap(Camera::Visible, 0, 0, buffer, &info) else { panic!("I420 passes") };
        assert!(error.to_string().contains("delivers I420"), "{error}");
    }
}
