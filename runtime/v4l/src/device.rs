//! What the streaming loop asks of a camera: the calls of V4L2 with their quirks of one and of several planes taken out. The kernel answers them
//! ([`super::node`]), and in tests a script does.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use caf_geometry::Size;
pub use rustix::io::Errno;

use super::abi::MOST_PLANES;

/// A code of four characters that names a format, such as `YUYV`. The highest bit says that the high byte of a sample comes first.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FourCc(pub u32);

/// The bit of a code that says so.
const HIGH_BYTE_FIRST: u32 = 1 << 31;

impl FourCc {
    /// From its characters.
    #[must_use]
    pub const fn new(code: [u8; 4]) -> Self {
        Self(u32::from_le_bytes(code))
    }

    /// The same with the high byte first.
    #[must_use]
    pub const fn high_byte_first(self) -> Self {
        Self(self.0 | HIGH_BYTE_FIRST)
    }

    /// As a user writes it: blanks at the end may be left out, and `-BE` says that the high byte comes first.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (code, high_first) = text.strip_suffix("-BE").map_or((text, false), |code| (code, true));
        let bytes = code.as_bytes();
        if bytes.is_empty() || bytes.len() > 4 || !bytes.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let mut four = [b' '; 4];
        four.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        let code = Self::new(four);
        Some(if high_first { code.high_byte_first() } else { code })
    }
}

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = String::from_utf8_lossy(&(self.0 & !HIGH_BYTE_FIRST).to_le_bytes()).into_owned();
        f.write_str(code.trim_end())?;
        if self.0 & HIGH_BYTE_FIRST != 0 { f.write_str("-BE") } else { Ok(()) }
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which camera this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Name of the driver.
    pub driver: String,
    /// Name of the device.
    pub card: String,
    /// Where it is plugged in.
    pub bus: String,
    /// Which of the nodes there, as a depth camera has several: its interface and its place there, by the kernel's count. Empty where the
    /// kernel does not say.
    pub node: String,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} ({})", self.card, self.bus, self.driver)?;
        if self.node.is_empty() { Ok(()) } else { write!(f, ", node {}", self.node) }
    }
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Which camera.
    pub identity: Identity,
    /// Gives images.
    pub captures: bool,
    /// Through buffers.
    pub streams: bool,
}

/// How the planes of an image lie in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlaneLayout {
    /// Bytes of the plane at most.
    pub size_bytes: usize,
    /// From the start of a row to the start of the next one; 0 where the driver does not say.
    pub stride_bytes: usize,
}

/// A format as the driver has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceFormat {
    /// Its code.
    pub code: FourCc,
    /// Of the image.
    pub size: Size,
    /// Order of lines, as V4L2 numbers it.
    pub field: u32,
    /// Colour space, as V4L2 numbers it.
    pub colorspace: u32,
    /// Luma and chroma from red, green and blue, as V4L2 numbers it; 0 for what is usual in the colour space.
    pub encoding: u32,
    /// Full or limited, as V4L2 numbers it; 0 for what is usual in the colour space.
    pub quantization: u32,
    /// Each piece of memory.
    pub planes: [PlaneLayout; MOST_PLANES],
    /// How many pieces, from 1.
    pub plane_count: usize,
}

/// What a control's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlKind {
    /// A number.
    Integer,
    /// 0 or 1.
    Boolean,
    /// One of a list of names.
    Menu,
    /// One of a list of numbers, chosen by its place.
    IntegerMenu,
    /// Bits.
    Bits,
    /// Does something when it is set.
    Button,
    /// 64 bits, a text or a structure: cannot be set by a number.
    Other,
}

/// A control of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlInfo {
    /// Its number.
    pub id: u32,
    /// Its name for people.
    pub title: String,
    /// What its value is.
    pub kind: ControlKind,
    /// Least value.
    pub least: i32,
    /// Greatest value.
    pub greatest: i32,
    /// Whether it can be set.
    pub is_writable: bool,
}

/// Where the data of a plane lies in its memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// First byte.
    pub from: usize,
    /// Beyond the last byte.
    pub to: usize,
}

/// A buffer that the driver has filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Which buffer.
    pub index: usize,
    /// What of each plane holds data.
    pub used: [Used; MOST_PLANES],
    /// Flags, as V4L2 has them.
    pub flags: u32,
    /// Counts the device's frames; a gap means that the driver had to drop some.
    pub sequence: u32,
    /// Time, of the clock that the flags say.
    pub stamp_ns: i64,
}

/// What ended the wait for a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A buffer is there, or the driver thinks so.
    Ready,
    /// Nothing came.
    TimedOut,
    /// The driver reports an error: no buffer will come until streaming starts again.
    Error,
    /// The device has gone.
    HungUp,
}

/// Memory of a plane, which the driver fills.
pub trait Memory: Send + Sync {
    /// All of it.
    fn bytes(&self) -> &[u8];
}

impl Memory for super::sys::Mapping {
    fn bytes(&self) -> &[u8] {
        Self::bytes(self)
    }
}

/// The memory of a buffer, plane by plane.
pub type BufferMemory = Vec<Box<dyn Memory>>;

/// An opened camera. Buffers may be queued from another thread than the one that dequeues.
pub trait Device: Send + Sync {
    /// What it is.
    fn capabilities(&self) -> Result<Capabilities, Errno>;
    /// Its format of that index; none beyond the last.
    fn offered(&self, index: u32) -> Result<Option<FourCc>, Errno>;
    /// The format it has.
    fn format(&self) -> Result<DeviceFormat, Errno>;
    /// Asks for a format and says what the driver made of it.
    fn set_format(&self, code: FourCc, size: Size) -> Result<DeviceFormat, Errno>;
    /// The time from frame to frame, as a fraction of seconds; none where it does not say.
    fn interval(&self) -> Result<Option<(u32, u32)>, Errno>;
    /// Asks for a time from frame to frame and says what the driver made of it; none where it cannot be asked.
    fn set_interval(&self, seconds: (u32, u32)) -> Result<Option<(u32, u32)>, Errno>;
    /// The control after that number; none after the last.
    fn control_after(&self, id: u32) -> Result<Option<ControlInfo>, Errno>;
    /// The entry of a control's list; none where the list has a hole.
    fn menu_entry(&self, control: &ControlInfo, index: i32) -> Result<Option<String>, Errno>;
    /// Sets a control.
    fn set_control(&self, id: u32, value: i32) -> Result<(), Errno>;
    /// Makes that many buffers, or frees them all; says how many there are.
    fn request_buffers(&self, count: u32) -> Result<u32, Errno>;
    /// The memory of a buffer.
    fn map(&self, index: usize) -> Result<BufferMemory, Errno>;
    /// Gives a buffer to the driver.
    fn queue(&self, index: usize) -> Result<(), Errno>;
    /// Takes a filled buffer from the driver; `EAGAIN` when there is none.
    fn dequeue(&self) -> Result<Filled, Errno>;
    /// Starts or stops streaming. Stopping takes all buffers from the driver.
    fn stream(&self, on: bool) -> Result<(), Errno>;
    /// Waits for a filled buffer.
    fn wait(&self, timeout: Duration) -> Result<Wake, Errno>;
}

/// Where cameras are found.
pub trait Devices: Send + Sync {
    /// Opens a node.
    fn open(&self, path: &Path) -> Result<Arc<dyn Device>, Errno>;
    /// All nodes there are.
    fn nodes(&self) -> Vec<PathBuf>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_written_as_they_are_read() {
        for text in ["YUYV", "Y16", "Y16-BE", "GREY", "NV12"] {
            assert_eq!(FourCc::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(FourCc::parse("Y16"), Some(FourCc::new(*b"Y16 ")));
        assert_eq!(FourCc::parse("Y16-BE"), Some(FourCc(0xa036_3159)));
        for wrong in ["", "FIVE5", "a b", "ÄÖ", "-BE"] {
            assert_eq!(FourCc::parse(wrong), None, "{wrong}");
        }
    }
}
