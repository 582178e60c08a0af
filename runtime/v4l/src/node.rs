//! The kernel's cameras: each question of [`Device`] as calls of V4L2.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use caf_geometry::Size;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, fstat};

use super::abi::{self, Buffer, Capability, MOST_PLANES, Plane};
use super::device::{
    BufferMemory, Capabilities, ControlInfo, ControlKind, Device, DeviceFormat, Devices, Errno, Filled, FourCc,
    Identity, Memory, PlaneLayout, Used, Wake,
};
use super::place::place;
use super::sys::{self, Call, Mapping};

/// The nodes under `/dev`.
#[derive(Clone, Copy, Debug)]
pub struct Kernel;

impl Devices for Kernel {
    fn open(&self, path: &Path) -> Result<Arc<dyn Device>, Errno> {
        Ok(Arc::new(Node::open(path)?))
    }

    fn nodes(&self) -> Vec<PathBuf> {
        let number = |path: &Path| path.file_name()?.to_str()?.strip_prefix("video")?.parse::<u32>().ok();
        let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
        let mut nodes: Vec<(u32, PathBuf)> =
            entries.filter_map(|entry| Some((number(&entry.path())?, entry.path()))).collect();
        nodes.sort();
        nodes.into_iter().map(|(_, path)| path).collect()
    }
}

/// An opened node. What it gives is not waited for: nothing here blocks but [`Device::wait`].
#[derive(Debug)]
pub struct Node {
    file: OwnedFd,
    capability: Capability,
    /// Which of the nodes of its device.
    place: String,
    /// The buffer type: images in one piece of memory, or possibly in several.
    kind: u32,
}

impl Node {
    /// Opens a node.
    ///
    /// # Errors
    /// The kernel's; `ENOTTY` for a file that is no V4L2 device.
    pub fn open(path: &Path) -> Result<Self, Errno> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty())?;
        let mut capability = Capability::default();
        sys::call(file.as_fd(), sys::QUERYCAP, &mut capability)?;
        let multi = Self::abilities(&capability) & abi::CAP_VIDEO_CAPTURE == 0;
        let kind = if multi { abi::VIDEO_CAPTURE_MPLANE } else { abi::VIDEO_CAPTURE };
        let place = place(fstat(&file)?.st_rdev);
        Ok(Self { file, capability, place, kind })
    }

    /// What this node can.
    fn abilities(capability: &Capability) -> u32 {
        let Capability { capabilities, device_caps, .. } = *capability;
        if capabilities & abi::CAP_DEVICE_CAPS == 0 { capabilities } else { device_caps }
    }

    fn is_multi(&self) -> bool {
        self.kind == abi::VIDEO_CAPTURE_MPLANE
    }

    /// Makes a call; again when a signal interrupted it.
    fn call<T>(&self, call: Call<T>, value: &mut T) -> Result<(), Errno> {
        rustix::io::retry_on_intr(|| sys::call(self.file.as_fd(), call, value))
    }

    /// As [`Node::call`]; none when the device has no more of what was asked for (`EINVAL`).
    fn call_for_more<T>(&self, call: Call<T>, mut value: T) -> Result<Option<T>, Errno> {
        match self.call(call, &mut value) {
            Ok(()) => Ok(Some(value)),
            Err(Errno::INVAL) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A call about a buffer; with its planes, of which a single one is put together from the buffer's own fields.
    fn call_buffer(&self, call: sys::BufferCall, index: u32) -> Result<(Buffer, [Plane; MOST_PLANES]), Errno> {
        let mut buffer = Buffer { index, kind: self.kind, memory: abi::MEMORY_MMAP, ..Buffer::default() };
        let mut planes = [Plane::default(); MOST_PLANES];
        rustix::io::retry_on_intr(|| {
            let planes = self.is_multi().then_some(&mut planes);
            sys::call_buffer(self.file.as_fd(), call, &mut buffer, planes)
        })?;
        if !self.is_multi() {
            // Of the union of the place, an offset is the lower half.
            let mem_offset = buffer.place as u32;
            let (bytesused, length) = (buffer.bytesused, buffer.length);
            planes[0] = Plane { bytesused, length, mem_offset, ..Plane::default() };
            buffer.length = 1;
        }
        Ok((buffer, planes))
    }

    fn of_single(f: &abi::SingleFormat) -> DeviceFormat {
        let mut planes = [PlaneLayout::default(); MOST_PLANES];
        planes[0] = PlaneLayout { size_bytes: f.sizeimage as usize, stride_bytes: f.bytesperline as usize };
        DeviceFormat {
            code: FourCc(f.pixelformat),
            size: Size::new(f.width as usize, f.height as usize),
            field: f.field,
            colorspace: f.colorspace,
            encoding: f.ycbcr_enc,
            quantization: f.quantization,
            planes,
            plane_count: 1,
        }
    }

    fn of_multi(f: &abi::MultiFormat) -> DeviceFormat {
        let layout = |p: abi::PlaneFormat| PlaneLayout {
            size_bytes: p.sizeimage as usize,
            stride_bytes: p.bytesperline as usize,
        };
        DeviceFormat {
            code: FourCc(f.pixelformat),
            size: Size::new(f.width as usize, f.height as usize),
            field: f.field,
            colorspace: f.colorspace,
            encoding: u32::from(f.ycbcr_enc),
            quantization: u32::from(f.quantization),
            planes: f.plane_fmt.map(layout),
            plane_count: usize::from(f.num_planes).clamp(1, MOST_PLANES),
        }
    }

    fn single(&self) -> abi::SingleFormat {
        // All zero but the type.
        abi::SingleFormat {
            kind: self.kind,
            padding: 0,
            width: 0,
            height: 0,
            pixelformat: 0,
            field: 0,
            bytesperline: 0,
            sizeimage: 0,
            colorspace: 0,
            private: 0,
            flags: 0,
            ycbcr_enc: 0,
            quantization: 0,
            xfer_func: 0,
            rest: [0; 19],
        }
    }

    fn multi(&self) -> abi::MultiFormat {
        abi::MultiFormat {
            kind: self.kind,
            padding: 0,
            width: 0,
            height: 0,
            pixelformat: 0,
            field: 0,
            colorspace: 0,
            plane_fmt: [abi::PlaneFormat::default(); MOST_PLANES],
            num_planes: 0,
            flags: 0,
            ycbcr_enc: 0,
            quantization: 0,
            xfer_func: 0,
            reserved: [0; 7],
            rest: [0],
        }
    }

    fn parameters(&self) -> abi::CaptureParameters {
        abi::CaptureParameters {
            kind: self.kind,
            capability: 0,
            capturemode: 0,
            numerator: 0,
            denominator: 0,
            extendedmode: 0,
            readbuffers: 0,
            rest: [0; 44],
        }
    }

    /// What a driver says of the time from frame to frame. Those that say nothing have no such call, or a fraction without sense.
    fn interval_of(
        answer: Result<(), Errno>,
        parameters: &abi::CaptureParameters,
    ) -> Result<Option<(u32, u32)>, Errno> {
        match answer {
            Ok(()) => {
                let (seconds, frames) = (parameters.numerator, parameters.denominator);
                Ok((seconds > 0 && frames > 0).then_some((seconds, frames)))
            }
            Err(Errno::NOTTY | Errno::INVAL) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Device for Node {
    fn capabilities(&self) -> Result<Capabilities, Errno> {
        let c = &self.capability;
        let abilities = Self::abilities(c);
        Ok(Capabilities {
            identity: Identity {
                driver: abi::text(&c.driver),
                card: abi::text(&c.card),
                bus: abi::text(&c.bus_info),
                node: self.place.clone(),
            },
            captures: abilities & (abi::CAP_VIDEO_CAPTURE | abi::CAP_VIDEO_CAPTURE_MPLANE) != 0,
            streams: abilities & abi::CAP_STREAMING != 0,
        })
    }

    fn offered(&self, index: u32) -> Result<Option<FourCc>, Errno> {
        let asked = abi::FormatDescription { index, kind: self.kind, ..abi::FormatDescription::default() };
        Ok(self.call_for_more(sys::ENUM_FMT, asked)?.map(|found| FourCc(found.pixelformat)))
    }

    fn format(&self) -> Result<DeviceFormat, Errno> {
        if self.is_multi() {
            let mut format = self.multi();
            self.call(sys::G_FMT_MULTI, &mut format)?;
            return Ok(Self::of_multi(&format));
        }
        let mut format = self.single();
        self.call(sys::G_FMT, &mut format)?;
        Ok(Self::of_single(&format))
    }

    fn set_format(&self, code: FourCc, size: Size) -> Result<DeviceFormat, Errno> {
        let [width, height] = [size.width, size.height].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
        let (pixelformat, field) = (code.0, abi::FIELD_NONE);
        if self.is_multi() {
            let mut format = abi::MultiFormat { width, height, pixelformat, field, ..self.multi() };
            self.call(sys::S_FMT_MULTI, &mut format)?;
            return Ok(Self::of_multi(&format));
        }
        let mut format = abi::SingleFormat { width, height, pixelformat, field, ..self.single() };
        self.call(sys::S_FMT, &mut format)?;
        Ok(Self::of_single(&format))
    }

    fn interval(&self) -> Result<Option<(u32, u32)>, Errno> {
        let mut parameters = self.parameters();
        let answer = self.call(sys::G_PARM, &mut parameters);
        Self::interval_of(answer, &parameters)
    }

    fn set_interval(&self, (numerator, denominator): (u32, u32)) -> Result<Option<(u32, u32)>, Errno> {
        let mut parameters = abi::CaptureParameters { numerator, denominator, ..self.parameters() };
        let answer = self.call(sys::S_PARM, &mut parameters);
        let can = parameters.capability & abi::CAP_TIMEPERFRAME != 0;
        Ok(Self::interval_of(answer, &parameters)?.filter(|_| can))
    }

    fn control_after(&self, id: u32) -> Result<Option<ControlInfo>, Errno> {
        let asked = abi::QueryControl { id: id | abi::CTRL_FLAG_NEXT_CTRL, ..abi::QueryControl::default() };
        let found = match self.call_for_more(sys::QUERYCTRL, asked) {
            // A device without controls.
            Err(Errno::NOTTY) => None,
            answer => answer?,
        };
        Ok(found.map(|c| ControlInfo {
            id: c.id,
            title: abi::text(&c.name),
            kind: match c.kind {
                abi::CTRL_TYPE_INTEGER => ControlKind::Integer,
                abi::CTRL_TYPE_BOOLEAN => ControlKind::Boolean,
                abi::CTRL_TYPE_MENU => ControlKind::Menu,
                abi::CTRL_TYPE_INTEGER_MENU => ControlKind::IntegerMenu,
                abi::CTRL_TYPE_BITMASK => ControlKind::Bits,
                abi::CTRL_TYPE_BUTTON => ControlKind::Button,
                _ => ControlKind::Other,
            },
            least: c.minimum,
            greatest: c.maximum,
            is_writable: c.kind != abi::CTRL_TYPE_CLASS
                && c.flags & (abi::CTRL_FLAG_DISABLED | abi::CTRL_FLAG_READ_ONLY) == 0,
        }))
    }

    fn menu_entry(&self, control: &ControlInfo, index: i32) -> Result<Option<String>, Errno> {
        let Ok(index) = u32::try_from(index) else { return Ok(None) };
        let asked = abi::QueryMenu { id: control.id, index, ..abi::QueryMenu::default() };
        let found = self.call_for_more(sys::QUERYMENU, asked)?;
        Ok(found.map(|entry| {
            let name = entry.name;
            match (control.kind, name.first_chunk::<8>()) {
                (ControlKind::IntegerMenu, Some(number)) => i64::from_le_bytes(*number).to_string(),
                _ => abi::text(&name),
            }
        }))
    }

    fn set_control(&self, id: u32, value: i32) -> Result<(), Errno> {
        self.call(sys::S_CTRL, &mut abi::Control { id, value })
    }

    fn request_buffers(&self, count: u32) -> Result<u32, Errno> {
        let (kind, memory) = (self.kind, abi::MEMORY_MMAP);
        let mut request = abi::RequestBuffers { count, kind, memory, ..abi::RequestBuffers::default() };
        self.call(sys::REQBUFS, &mut request)?;
        Ok(request.count)
    }

    fn map(&self, index: usize) -> Result<BufferMemory, Errno> {
        let index = u32::try_from(index).map_err(|_| Errno::INVAL)?;
        let (buffer, planes) = self.call_buffer(sys::QUERYBUF, index)?;
        let map = |plane: &Plane| -> Result<Box<dyn Memory>, Errno> {
            let length = plane.length as usize;
            Ok(Box::new(Mapping::new(&self.file, u64::from(plane.mem_offset), length)?))
        };
        planes.iter().take(buffer.length as usize).map(map).collect()
    }

    fn queue(&self, index: usize) -> Result<(), Errno> {
        let index = u32::try_from(index).map_err(|_| Errno::INVAL)?;
        self.call_buffer(sys::QBUF, index).map(drop)
    }

    fn dequeue(&self) -> Result<Filled, Errno> {
        let (buffer, planes) = self.call_buffer(sys::DQBUF, 0)?;
        let mut used = [Used::default(); MOST_PLANES];
        for (used, plane) in used.iter_mut().zip(&planes).take(buffer.length as usize) {
            *used = Used { from: plane.data_offset as usize, to: plane.bytesused as usize };
        }
        let stamp_ns = buffer.seconds.saturating_mul(1_000_000_000).saturating_add(buffer.microseconds * 1000);
        let Buffer { index, flags, sequence, .. } = buffer;
        Ok(Filled { index: index as usize, used, flags, sequence, stamp_ns })
    }

    fn stream(&self, on: bool) -> Result<(), Errno> {
        let mut kind = self.kind;
        self.call(if on { sys::STREAMON } else { sys::STREAMOFF }, &mut kind)
    }

    fn wait(&self, timeout: Duration) -> Result<Wake, Errno> {
        let timeout = Timespec::try_from(timeout).map_err(|_| Errno::INVAL)?;
        let mut watched = [PollFd::new(&self.file, PollFlags::IN)];
        let ready = match poll(&mut watched, Some(&timeout)) {
            // The caller looks at the clock and waits again.
            Err(Errno::INTR) => 0,
            ready => ready?,
        };
        let events = watched[0].revents();
        Ok(if ready == 0 {
            Wake::TimedOut
        } else if events.contains(PollFlags::HUP) {
            Wake::HungUp
        } else if events.intersects(PollFlags::ERR | PollFlags::NVAL) {
            Wake::Error
        } else {
            Wake::Ready
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_camera_says_so() {
        assert_eq!(Node::open(Path::new("/dev/null")).unwrap_err(), Errno::NOTTY);
        assert_eq!(Node::open(Path::new("/dev/there-is-no-such-node")).unwrap_err(), Errno::NOENT);
    }

    #[test]
    fn a_buffer_of_several_planes_is_no_matter_for_a_file_that_has_none() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let mut buffer = Buffer { kind: abi::VIDEO_CAPTURE_MPLANE, ..Buffer::default() };
        let mut planes = [Plane::default(); MOST_PLANES];
        let answer = sys::call_buffer(file.as_fd(), sys::QUERYBUF, &mut buffer, Some(&mut planes));
        assert_eq!(answer, Err(Errno::NOTTY));
        assert_eq!(buffer.length as usize, MOST_PLANES);
    }
}
