//! The formats that are read, and what becomes of each.

use caf_geometry::Size;
use caf_runtime::frame::{Camera, PixelFormat};

use super::abi::{
    COLORSPACE_JPEG, COLORSPACE_REC709, FIELD_ALTERNATE, MOST_PLANES, QUANTIZATION_FULL, QUANTIZATION_LIMITED,
    YCBCR_ENC_709,
};
use super::device::{DeviceFormat, FourCc};
use super::error::V4lError;
use super::yuv::{Matrix, Range};

/// How the samples of a format lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Samples {
    /// A byte a pixel.
    Gray8,
    /// 16 bits a pixel, of which the lower `bits` are used.
    Gray16 {
        /// From 9 to 16.
        bits: u8,
        /// Otherwise the low byte.
        high_byte_first: bool,
    },
    /// Four pixels of ten bits in five bytes: the upper eight of each, then the lower two of all, the first pixel's lowest.
    Packed10,
    /// Two pixels of twelve bits in three bytes: the upper eight of each, then the lower four of both, the first pixel's lowest.
    Packed12,
    /// Two pixels in four bytes: luma, blueness, luma, redness.
    Yuyv,
    /// Two pixels in four bytes: blueness, luma, redness, luma.
    Uyvy,
    /// A plane of luma, and one of half the size with blueness and redness by turns: in the same memory.
    Nv12,
    /// The same in two pieces of memory.
    Nv12InTwo,
    /// Three bytes a pixel.
    Rgb,
    /// Three bytes a pixel, blue first.
    Bgr,
    /// A JPEG file for each frame.
    Jpeg,
}

const fn gray16(code: [u8; 4], bits: u8) -> (FourCc, Samples) {
    (FourCc::new(code), Samples::Gray16 { bits, high_byte_first: false })
}

/// Every format that is read. Of several that a camera offers, infrared takes the first, which keeps most of its values.
pub const FORMATS: &[(FourCc, Samples)] = &[
    gray16(*b"Y16 ", 16),
    (FourCc::new(*b"Y16 ").high_byte_first(), Samples::Gray16 { bits: 16, high_byte_first: true }),
    gray16(*b"Y14 ", 14),
    gray16(*b"Y12 ", 12),
    (FourCc::new(*b"Y12P"), Samples::Packed12),
    gray16(*b"Y10 ", 10),
    (FourCc::new(*b"Y10P"), Samples::Packed10),
    (FourCc::new(*b"GREY"), Samples::Gray8),
    (FourCc::new(*b"YUYV"), Samples::Yuyv),
    (FourCc::new(*b"UYVY"), Samples::Uyvy),
    (FourCc::new(*b"NV12"), Samples::Nv12),
    (FourCc::new(*b"NM12"), Samples::Nv12InTwo),
    (FourCc::new(*b"RGB3"), Samples::Rgb),
    (FourCc::new(*b"BGR3"), Samples::Bgr),
    (FourCc::new(*b"MJPG"), Samples::Jpeg),
    (FourCc::new(*b"JPEG"), Samples::Jpeg),
];

impl Samples {
    /// How the samples of a format lie; none of one that is not read.
    #[must_use]
    pub fn of(code: FourCc) -> Option<Self> {
        FORMATS.iter().find(|(known, _)| *known == code).map(|(_, samples)| *samples)
    }

    /// Whether it is colour, or may be.
    const fn is_colour(self) -> bool {
        !matches!(self, Self::Gray8 | Self::Gray16 { .. } | Self::Packed10 | Self::Packed12)
    }

    /// Bytes of a row of so many pixels; none of a format without rows.
    const fn row_bytes(self, width: usize) -> Option<usize> {
        Some(match self {
            Self::Gray8 | Self::Nv12 | Self::Nv12InTwo => width,
            Self::Gray16 { .. } => width * 2,
            Self::Packed10 => width.div_ceil(4) * 5,
            Self::Packed12 => width.div_ceil(2) * 3,
            Self::Yuyv | Self::Uyvy => width.div_ceil(2) * 4,
            Self::Rgb | Self::Bgr => width * 3,
            Self::Jpeg => return None,
        })
    }
}

/// The best of the formats that a camera offers: of infrared the one that keeps most of its values, of visible one in colour that is not compressed.
#[must_use]
pub fn choose(camera: Camera, offered: &[FourCc]) -> Option<FourCc> {
    let known = || FORMATS.iter().filter(|(code, _)| offered.contains(code));
    let colour = || known().filter(|(_, samples)| samples.is_colour());
    let found = match camera {
        Camera::Infrared => known().next(),
        Camera::Visible => colour().next().or_else(|| known().next()),
    };
    found.map(|(code, _)| *code)
}

/// How the frames of a camera become images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Size of the images.
    pub size: Size,
    /// How the samples lie.
    pub samples: Samples,
    /// From row to row of each piece of memory.
    pub strides: [usize; 2],
    /// Bytes that each plane of a whole frame has at least.
    pub needs: [usize; MOST_PLANES],
    /// What frames become.
    pub output: PixelFormat,
    /// Luma and chroma.
    pub matrix: Matrix,
}

impl Plan {
    /// What becomes of the frames of a format.
    ///
    /// # Errors
    /// A format that is not read, fields in buffers of their own, rows that overlap.
    pub fn new(format: &DeviceFormat, camera: Camera) -> Result<Self, V4lError> {
        let DeviceFormat { code, size, .. } = *format;
        let samples = Samples::of(code).ok_or(V4lError::Unread { code })?;
        if format.field == FIELD_ALTERNATE {
            return Err(V4lError::Fields { code });
        }
        let impossible = |what: String| V4lError::Layout { code, size, what };
        if size.width == 0 || size.height == 0 {
            return Err(impossible("no pixels".to_owned()));
        }
        let mut plan = Self {
            size,
            samples,
            strides: [0; 2],
            needs: [0; MOST_PLANES],
            output: output(samples, camera),
            matrix: matrix(format),
        };
        let Some(row) = samples.row_bytes(size.width) else {
            plan.needs[0] = 1;
            return Ok(plan);
        };
        let chroma_row = size.width.div_ceil(2) * 2;
        let [first, second, ..] = format.planes;
        // 0: the driver says nothing, and rows are dense.
        let or_dense = |stride: usize, row: usize| if stride == 0 { row } else { stride };
        plan.strides = [or_dense(first.stride_bytes, row), or_dense(second.stride_bytes, chroma_row)];
        let bytes = |stride: usize, rows: usize, row: usize| stride.saturating_mul(rows - 1).saturating_add(row);
        let chroma_rows = size.height.div_ceil(2);
        let (least, in_memory) = match samples {
            Samples::Nv12 => {
                plan.strides[1] = plan.strides[0];
                (chroma_row, bytes(plan.strides[0], size.height + chroma_rows, chroma_row))
            }
            _ => (row, bytes(plan.strides[0], size.height, row)),
        };
        plan.needs[0] = in_memory;
        if samples == Samples::Nv12InTwo {
            plan.needs[1] = bytes(plan.strides[1], chroma_rows, chroma_row);
        }
        if plan.strides[0] < least || plan.strides[1] < chroma_row && samples == Samples::Nv12InTwo {
            return Err(impossible(format!("rows {:?} bytes apart, expected at least {least}", plan.strides)));
        }
        let has = |plane: usize| format.planes[plane].size_bytes;
        let pieces = if samples == Samples::Nv12InTwo { 2 } else { 1 };
        if format.plane_count != pieces || (0..pieces).any(|plane| has(plane) < plan.needs[plane]) {
            let found = format.planes.iter().take(format.plane_count).map(|p| p.size_bytes.to_string());
            let found = found.collect::<Vec<_>>().join(" + ");
            return Err(impossible(format!("buffers of {found} bytes, expected {:?}", &plan.needs[..pieces])));
        }
        Ok(plan)
    }

    /// Whether the driver's memory is the image as it is.
    #[must_use]
    pub const fn is_direct(&self) -> bool {
        match self.samples {
            Samples::Gray8 | Samples::Rgb => true,
            Samples::Gray16 { high_byte_first, .. } => !high_byte_first && matches!(self.output, PixelFormat::Gray16Le),
            _ => false,
        }
    }
}

/// What frames become. Infrared keeps its counts, whatever their bits: the network's range says which are black and white. Of colour it takes the luma,
/// where the format has one. Visible has eight bits.
const fn output(samples: Samples, camera: Camera) -> PixelFormat {
    match (samples, camera) {
        (Samples::Gray8, _) => PixelFormat::Gray8,
        (Samples::Gray16 { .. } | Samples::Packed10 | Samples::Packed12, Camera::Infrared) => PixelFormat::Gray16Le,
        (Samples::Gray16 { .. } | Samples::Packed10 | Samples::Packed12, Camera::Visible) => PixelFormat::Gray8,
        (Samples::Yuyv | Samples::Uyvy | Samples::Nv12 | Samples::Nv12InTwo, Camera::Infrared) => PixelFormat::Gray8,
        _ => PixelFormat::Rgb8,
    }
}

/// BT.601 unless the driver says BT.709; limited unless it says full, as V4L2 defines what is left open.
fn matrix(format: &DeviceFormat) -> Matrix {
    let is_709 = match format.encoding {
        0 => format.colorspace == COLORSPACE_REC709,
        encoding => encoding == YCBCR_ENC_709,
    };
    let range = match format.quantization {
        QUANTIZATION_FULL => Range::Full,
        QUANTIZATION_LIMITED => Range::Limited,
        _ if format.colorspace == COLORSPACE_JPEG => Range::Full,
        _ => Range::Limited,
    };
    if is_709 { Matrix::bt709(range) } else { Matrix::bt601(range) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Description;

    fn format(code: &[u8; 4], stride: usize, bytes: usize) -> DeviceFormat {
        Description::new(code, Size::new(6, 4), stride, bytes).format
    }

    #[test]
    fn infrared_keeps_most_values_and_visible_its_colours() {
        let codes = |list: &[&[u8; 4]]| list.iter().map(|code| FourCc::new(**code)).collect::<Vec<_>>();
        let thermal = codes(&[b"YUYV", b"GREY", b"Y14 ", b"XXXX"]);
        assert_eq!(choose(Camera::Infrared, &thermal), Some(FourCc::new(*b"Y14 ")));
        assert_eq!(choose(Camera::Visible, &thermal), Some(FourCc::new(*b"YUYV")));
        assert_eq!(choose(Camera::Visible, &codes(&[b"MJPG", b"RGB3"])), Some(FourCc::new(*b"RGB3")));
        assert_eq!(choose(Camera::Visible, &codes(&[b"GREY"])), Some(FourCc::new(*b"GREY")));
        assert_eq!(choose(Camera::Infrared, &codes(&[b"XXXX"])), None);
    }

    #[test]
    fn the_bytes_of_a_whole_frame_are_those_of_its_rows() {
        for (code, stride, needs) in [
            (b"GREY", 8, 8 * 3 + 6),
            (b"Y16 ", 12, 48),
            (b"Y10P", 0, 10 * 4),
            (b"Y12P", 16, 16 * 3 + 9),
            (b"YUYV", 12, 48),
            (b"NV12", 8, 8 * 5 + 6),
            (b"RGB3", 24, 24 * 3 + 18),
            (b"MJPG", 0, 1),
        ] {
            let plan = Plan::new(&format(code, stride, 4096), Camera::Infrared).unwrap();
            assert_eq!(plan.needs[0], needs, "{}", FourCc::new(*code));
        }
        let mut two = format(b"NM12", 8, 32);
        two.plane_count = 2;
        two.planes[1] = crate::device::PlaneLayout { size_bytes: 16, stride_bytes: 8 };
        let plan = Plan::new(&two, Camera::Visible).unwrap();
        assert_eq!((plan.needs[0], plan.needs[1]), (8 * 3 + 6, 8 + 6));
    }

    #[test]
    fn impossible_layouts_are_refused() {
        let refused = |format: &DeviceFormat| Plan::new(format, Camera::Visible).unwrap_err().to_string();
        assert!(refused(&format(b"GREY", 5, 4096)).contains("rows [5, 6] bytes apart, expected at least 6"));
        assert!(refused(&format(b"GREY", 8, 29)).contains("buffers of 29 bytes, expected [30]"));
        assert!(refused(&format(b"H264", 0, 4096)).contains("H264"));
        let fields = DeviceFormat { field: FIELD_ALTERNATE, ..format(b"GREY", 8, 4096) };
        assert!(refused(&fields).contains("field"));
        let mut two = format(b"YUYV", 12, 4096);
        two.plane_count = 2;
        assert!(refused(&two).contains("buffers of 4096 + 0 bytes"));
    }

    #[test]
    fn only_what_is_an_image_already_is_lent() {
        let direct = |code, camera| Plan::new(&format(code, 0, 4096), camera).unwrap().is_direct();
        assert!(direct(b"Y16 ", Camera::Infrared) && !direct(b"Y16 ", Camera::Visible));
        assert!(direct(b"Y14 ", Camera::Infrared) && direct(b"GREY", Camera::Infrared));
        assert!(direct(b"RGB3", Camera::Visible) && !direct(b"BGR3", Camera::Visible));
        assert!(!direct(b"YUYV", Camera::Infrared));
    }

    #[test]
    fn what_v4l2_leaves_open_is_limited_bt601_and_what_the_driver_says_counts() {
        let of = |colorspace, encoding, quantization| {
            matrix(&DeviceFormat { colorspace, encoding, quantization, ..format(b"YUYV", 0, 4096) })
        };
        assert_eq!(of(8, 0, 0), Matrix::bt601(Range::Limited));
        assert_eq!(of(COLORSPACE_JPEG, 0, 0), Matrix::bt601(Range::Full));
        assert_eq!(of(COLORSPACE_REC709, 0, 0), Matrix::bt709(Range::Limited));
        assert_eq!(of(8, YCBCR_ENC_709, QUANTIZATION_FULL), Matrix::bt709(Range::Full));
        assert_eq!(of(COLORSPACE_REC709, 1, QUANTIZATION_LIMITED), Matrix::bt601(Range::Limited));
    }
}
