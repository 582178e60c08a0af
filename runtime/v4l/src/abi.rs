//! What the kernel and a program say to each other about a camera: the structures and numbers of `linux/videodev2.h`, as far as they
//! are used here.
//!
//! The header belongs to the kernel's stable interface, and these structures are the same on every 64-bit Linux of low byte order. `tests/abi.rs`
//! compares sizes, offsets and numbers with the header itself through a C compiler. (The bindings of the crates `v4l` and `v4l2r` are made by bindgen while
//! they are built, which takes libclang on every build machine, and know images in one piece of memory only or not at all.)

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
compile_error!("caf-v4l knows the kernel's structures of 64-bit Linux with the low byte first only");

/// Most pieces of memory that one image can lie in.
pub const MOST_PLANES: usize = 8;

/// A buffer type: images from a camera, in one piece of memory.
pub const VIDEO_CAPTURE: u32 = 1;
/// A buffer type: images from a camera, possibly in several pieces.
pub const VIDEO_CAPTURE_MPLANE: u32 = 9;
/// Buffers are the driver's memory, mapped by us.
pub const MEMORY_MMAP: u32 = 1;

/// Capabilities.
pub const CAP_VIDEO_CAPTURE: u32 = 0x0000_0001;
/// Images possibly in several pieces of memory.
pub const CAP_VIDEO_CAPTURE_MPLANE: u32 = 0x0000_1000;
/// Buffers can be streamed.
pub const CAP_STREAMING: u32 = 0x0400_0000;
/// `device_caps` says what this node can, not what the whole device can.
pub const CAP_DEVICE_CAPS: u32 = 0x8000_0000;

/// Lines of both fields in their order.
pub const FIELD_NONE: u32 = 1;
/// Only one of the two fields in each buffer, by turns.
pub const FIELD_ALTERNATE: u32 = 7;

/// The driver says that the data in the buffer may be damaged.
pub const BUF_FLAG_ERROR: u32 = 0x0000_0040;
/// Which clock a buffer's time is of.
pub const BUF_FLAG_TIMESTAMP_MASK: u32 = 0x0000_e000;
/// `CLOCK_MONOTONIC`.
pub const BUF_FLAG_TIMESTAMP_MONOTONIC: u32 = 0x0000_2000;
/// What a buffer's time means.
pub const BUF_FLAG_TSTAMP_SRC_MASK: u32 = 0x0007_0000;
/// The start of the exposure; without it the end of the frame.
pub const BUF_FLAG_TSTAMP_SRC_SOE: u32 = 0x0001_0000;

/// The colour space of JPEG files.
pub const COLORSPACE_JPEG: u32 = 7;
/// The colour space of high-definition television.
pub const COLORSPACE_REC709: u32 = 3;
/// Luma and chroma by BT.709.
pub const YCBCR_ENC_709: u32 = 2;
/// Samples use all values.
pub const QUANTIZATION_FULL: u32 = 1;
/// Luma from 16 to 235, chroma from 16 to 240.
pub const QUANTIZATION_LIMITED: u32 = 2;

/// Frame rates can be set.
pub const CAP_TIMEPERFRAME: u32 = 0x1000;

/// Ask for the control after this one.
pub const CTRL_FLAG_NEXT_CTRL: u32 = 0x8000_0000;
/// The control is switched off for good.
pub const CTRL_FLAG_DISABLED: u32 = 0x0001;
/// The control cannot be set.
pub const CTRL_FLAG_READ_ONLY: u32 = 0x0004;
/// A number.
pub const CTRL_TYPE_INTEGER: u32 = 1;
/// 0 or 1.
pub const CTRL_TYPE_BOOLEAN: u32 = 2;
/// One of a list of names.
pub const CTRL_TYPE_MENU: u32 = 3;
/// Does something when it is set.
pub const CTRL_TYPE_BUTTON: u32 = 4;
/// A heading.
pub const CTRL_TYPE_CLASS: u32 = 6;
/// Bits.
pub const CTRL_TYPE_BITMASK: u32 = 8;
/// One of a list of numbers.
pub const CTRL_TYPE_INTEGER_MENU: u32 = 9;

/// `v4l2_capability`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Capability {
    /// Name of the driver.
    pub driver: [u8; 16],
    /// Name of the device.
    pub card: [u8; 32],
    /// Where it is plugged in.
    pub bus_info: [u8; 32],
    /// Of the kernel.
    pub version: u32,
    /// Of the whole device.
    pub capabilities: u32,
    /// Of this node.
    pub device_caps: u32,
    /// Zero.
    pub reserved: [u32; 3],
}

/// `v4l2_fmtdesc`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FormatDescription {
    /// Which format of the device.
    pub index: u32,
    /// Buffer type.
    pub kind: u32,
    /// Compressed or emulated.
    pub flags: u32,
    /// Name for people.
    pub description: [u8; 32],
    /// Its code of four characters.
    pub pixelformat: u32,
    /// Zero.
    pub mbus_code: u32,
    /// Zero.
    pub reserved: [u32; 3],
}

/// `v4l2_pix_format` within `v4l2_format`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SingleFormat {
    /// Buffer type.
    pub kind: u32,
    /// Zero: the union after it begins at a multiple of eight.
    pub padding: u32,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Code of four characters.
    pub pixelformat: u32,
    /// Order of lines.
    pub field: u32,
    /// From the start of a row to the start of the next one.
    pub bytesperline: u32,
    /// Bytes of an image at most.
    pub sizeimage: u32,
    /// Colour space.
    pub colorspace: u32,
    /// Whether what follows is valid.
    pub private: u32,
    /// Flags.
    pub flags: u32,
    /// Luma and chroma from red, green, blue.
    pub ycbcr_enc: u32,
    /// Full or limited.
    pub quantization: u32,
    /// Transfer function.
    pub xfer_func: u32,
    /// Rest of the union.
    pub rest: [u64; 19],
}

/// `v4l2_plane_pix_format`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct PlaneFormat {
    /// Bytes of the plane at most.
    pub sizeimage: u32,
    /// From the start of a row to the start of the next one.
    pub bytesperline: u32,
    /// Zero.
    pub reserved: [u16; 6],
}

/// `v4l2_pix_format_mplane` within `v4l2_format`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MultiFormat {
    /// Buffer type.
    pub kind: u32,
    /// Zero: the union after it begins at a multiple of eight.
    pub padding: u32,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Code of four characters.
    pub pixelformat: u32,
    /// Order of lines.
    pub field: u32,
    /// Colour space.
    pub colorspace: u32,
    /// Every piece of memory.
    pub plane_fmt: [PlaneFormat; MOST_PLANES],
    /// How many pieces.
    pub num_planes: u8,
    /// Flags.
    pub flags: u8,
    /// Luma and chroma from red, green, blue.
    pub ycbcr_enc: u8,
    /// Full or limited.
    pub quantization: u8,
    /// Transfer function.
    pub xfer_func: u8,
    /// Zero.
    pub reserved: [u8; 7],
    /// Rest of the union.
    pub rest: [u64; 1],
}

/// `v4l2_captureparm` within `v4l2_streamparm`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CaptureParameters {
    /// Buffer type.
    pub kind: u32,
    /// What can be set.
    pub capability: u32,
    /// Mode.
    pub capturemode: u32,
    /// Seconds from frame to frame: numerator.
    pub numerator: u32,
    /// Denominator.
    pub denominator: u32,
    /// Of the driver.
    pub extendedmode: u32,
    /// For reading without mapping.
    pub readbuffers: u32,
    /// Zero, and the rest of the union.
    pub rest: [u32; 44],
}

/// `v4l2_requestbuffers`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestBuffers {
    /// How many; the driver may give more or less.
    pub count: u32,
    /// Buffer type.
    pub kind: u32,
    /// Whose memory.
    pub memory: u32,
    /// What the driver can.
    pub capabilities: u32,
    /// Flags and zero.
    pub flags: u32,
}

/// `v4l2_plane`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Plane {
    /// Bytes that hold data, `data_offset` included.
    pub bytesused: u32,
    /// Bytes of the memory.
    pub length: u32,
    /// Where to map it: the union's offset.
    pub mem_offset: u32,
    /// Rest of the union.
    pub union_rest: u32,
    /// Where the data begins.
    pub data_offset: u32,
    /// Zero.
    pub reserved: [u32; 11],
}

/// `v4l2_buffer`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Buffer {
    /// Which buffer.
    pub index: u32,
    /// Buffer type.
    pub kind: u32,
    /// Bytes that hold data, of a single plane.
    pub bytesused: u32,
    /// Flags.
    pub flags: u32,
    /// Order of lines.
    pub field: u32,
    /// Zero: the time after it begins at a multiple of eight.
    pub padding: u32,
    /// Time: seconds.
    pub seconds: i64,
    /// Time: microseconds.
    pub microseconds: i64,
    /// Timecode; not used.
    pub timecode: [u32; 4],
    /// Counts the frames of the device.
    pub sequence: u32,
    /// Whose memory.
    pub memory: u32,
    /// Where to map a single plane (its lower half), or the address of the planes.
    pub place: u64,
    /// Bytes of a single plane's memory, or how many planes there are.
    pub length: u32,
    /// Zero.
    pub reserved: u32,
    /// Zero.
    pub request: u32,
    /// Zero.
    pub end: u32,
}

/// `v4l2_queryctrl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct QueryControl {
    /// Which control.
    pub id: u32,
    /// What kind of value it has.
    pub kind: u32,
    /// Name for people.
    pub name: [u8; 32],
    /// Least value.
    pub minimum: i32,
    /// Greatest value.
    pub maximum: i32,
    /// From value to value.
    pub step: i32,
    /// Value at first.
    pub default: i32,
    /// Flags.
    pub flags: u32,
    /// Zero.
    pub reserved: [u32; 2],
}

/// `v4l2_querymenu`.
#[repr(C, packed)]
#[derive(Clone, Copy, Debug, Default)]
pub struct QueryMenu {
    /// Which control.
    pub id: u32,
    /// Which entry.
    pub index: u32,
    /// Its name, or in its first eight bytes its number.
    pub name: [u8; 32],
    /// Zero.
    pub reserved: u32,
}

/// `v4l2_control`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Control {
    /// Which control.
    pub id: u32,
    /// Its value.
    pub value: i32,
}

/// The text before the first zero byte.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or(bytes)).trim().to_owned()
}
