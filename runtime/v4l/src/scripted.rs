//! A camera that follows a script, for tests: what the kernel answers, call by call. It keeps the books that the kernel keeps, so that a
//! buffer that is queued twice is noticed, and so is one that is never given back.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use caf_geometry::Size;

use super::abi::{self, MOST_PLANES};
use super::device::{
    BufferMemory, Capabilities, ControlInfo, ControlKind, Device, DeviceFormat, Devices, Errno, Filled, FourCc,
    Identity, Memory, PlaneLayout, Used, Wake,
};

/// What the next wait finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A frame.
    Frame,
    /// A frame after so many that were lost.
    After(u32),
    /// A frame that the driver says is damaged.
    Flagged,
    /// A frame of so many bytes.
    Short(usize),
    /// A frame that claims more bytes than its memory has.
    Beyond,
    /// A buffer that the driver does not have.
    Foreign(usize),
    /// Nothing comes.
    Timeout,
    /// A wake-up without a frame.
    Spurious,
    /// Dequeuing fails.
    Fails(Errno),
    /// Waiting reports an error.
    PollError,
    /// Waiting reports that the device has gone, and every call says so until it is opened again.
    Unplugged,
    /// From now on no buffer can be queued.
    QueueFails(Errno),
}

/// What the camera is.
#[derive(Clone, Debug)]
pub struct Description {
    /// Which camera.
    pub identity: Identity,
    /// The formats it offers.
    pub offered: Vec<FourCc>,
    /// The format it has; the code is set by who opens it.
    pub format: DeviceFormat,
    /// Its controls.
    pub controls: Vec<ControlInfo>,
    /// The byte at a place of a buffer's memory.
    pub fill: fn(buffer: usize, at: usize) -> u8,
    /// Buffers that it gives at most.
    pub most_buffers: u32,
    /// The clock and meaning of its times.
    pub stamp_flags: u32,
    /// From frame to frame.
    pub interval: Option<(u32, u32)>,
}

impl Description {
    /// A camera with rows as dense as they can be.
    pub fn new(code: &[u8; 4], size: Size, stride_bytes: usize, size_bytes: usize) -> Self {
        let mut planes = [PlaneLayout::default(); MOST_PLANES];
        planes[0] = PlaneLayout { size_bytes, stride_bytes };
        let code = FourCc::new(*code);
        Self {
            identity: Identity {
                driver: "script".into(),
                card: "camera".into(),
                bus: "usb-1".into(),
                node: String::new(),
            },
            offered: vec![code],
            format: DeviceFormat {
                code,
                size,
                field: abi::FIELD_NONE,
                colorspace: 8,
                encoding: 0,
                quantization: 0,
                planes,
                plane_count: 1,
            },
            controls: vec![],
            fill: |buffer, at| (buffer * 31 + at * 7) as u8,
            most_buffers: 32,
            stamp_flags: abi::BUF_FLAG_TIMESTAMP_MONOTONIC,
            interval: Some((1, 30)),
        }
    }
}

struct Bytes(Vec<u8>);

impl Memory for Bytes {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What the kernel knows.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// Buffers that the driver has, in their order.
    pub queued: VecDeque<usize>,
    /// Buffers that were queued though the driver had them.
    pub queued_twice: usize,
    /// Whether it streams.
    pub streams: bool,
    /// How often streaming began.
    pub starts: usize,
    /// Buffers there are.
    pub buffers: u32,
    /// Files that are open.
    pub open: usize,
    /// Waits so far.
    pub waits: usize,
    /// Controls that were set.
    pub set: Vec<(u32, i32)>,
    /// Formats and sizes that were asked for.
    pub asked: Vec<(FourCc, Size)>,
    sequence: u32,
    gone: bool,
    queue_fails: Option<Errno>,
    script: VecDeque<Event>,
}

/// A camera with a script; plugged in at any path but those that begin with `/absent`.
#[derive(Clone)]
pub struct Script {
    description: Arc<Mutex<Description>>,
    books: Arc<Mutex<Books>>,
}

impl Script {
    /// A camera that answers so, and says that nothing comes when the script is over.
    pub fn new(description: Description, events: impl IntoIterator<Item = Event>) -> Self {
        let books = Books { script: events.into_iter().collect(), ..Books::default() };
        Self { description: Arc::new(Mutex::new(description)), books: Arc::new(Mutex::new(books)) }
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kernel's books as they are now.
    pub fn books(&self) -> Books {
        self.lock().clone()
    }

    /// Lets the script go on.
    pub fn extend(&self, events: impl IntoIterator<Item = Event>) {
        self.lock().script.extend(events);
    }

    /// What the camera is, to change it.
    pub fn description(&self) -> MutexGuard<'_, Description> {
        self.description.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the camera.
    pub fn device(&self) -> Arc<dyn Device> {
        self.open(Path::new("/dev/video0")).unwrap()
    }
}

impl Devices for Script {
    fn open(&self, path: &Path) -> Result<Arc<dyn Device>, Errno> {
        if path.starts_with("/absent") {
            return Err(Errno::NOENT);
        }
        let mut books = self.lock();
        books.open += 1;
        books.gone = false;
        // The last digits of a node's name are its place.
        let name = path.to_string_lossy().into_owned();
        let place = name.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default().to_owned();
        Ok(Arc::new(Opened(self.clone(), place)))
    }

    fn nodes(&self) -> Vec<PathBuf> {
        vec!["/dev/video0".into(), "/dev/video1".into()]
    }
}

struct Opened(Script, String);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.lock().open -= 1;
    }
}

impl Opened {
    fn present(&self) -> Result<MutexGuard<'_, Books>, Errno> {
        let books = self.0.lock();
        if books.gone { Err(Errno::NODEV) } else { Ok(books) }
    }
}

impl Device for Opened {
    fn capabilities(&self) -> Result<Capabilities, Errno> {
        drop(self.present()?);
        let identity = Identity { node: self.1.clone(), ..self.0.description().identity.clone() };
        Ok(Capabilities { identity, captures: true, streams: true })
    }

    fn offered(&self, index: u32) -> Result<Option<FourCc>, Errno> {
        drop(self.present()?);
        Ok(self.0.description().offered.get(index as usize).copied())
    }

    fn format(&self) -> Result<DeviceFormat, Errno> {
        drop(self.present()?);
        Ok(self.0.description().format)
    }

    fn set_format(&self, code: FourCc, size: Size) -> Result<DeviceFormat, Errno> {
        self.present()?.asked.push((code, size));
        let mut description = self.0.description();
        if description.offered.contains(&code) {
            description.format.code = code;
        }
        Ok(description.format)
    }

    fn interval(&self) -> Result<Option<(u32, u32)>, Errno> {
        drop(self.present()?);
        Ok(self.0.description().interval)
    }

    fn set_interval(&self, _: (u32, u32)) -> Result<Option<(u32, u32)>, Errno> {
        self.interval()
    }

    fn control_after(&self, id: u32) -> Result<Option<ControlInfo>, Errno> {
        drop(self.present()?);
        Ok(self.0.description().controls.iter().find(|c| c.id > id).cloned())
    }

    fn menu_entry(&self, control: &ControlInfo, index: i32) -> Result<Option<String>, Errno> {
        drop(self.present()?);
        Ok((control.kind == ControlKind::Menu && index != 1).then(|| format!("Entry {index}")))
    }

    fn set_control(&self, id: u32, value: i32) -> Result<(), Errno> {
        self.present()?.set.push((id, value));
        Ok(())
    }

    fn request_buffers(&self, count: u32) -> Result<u32, Errno> {
        let mut books = self.present()?;
        books.buffers = count.min(self.0.description().most_buffers);
        Ok(books.buffers)
    }

    fn map(&self, index: usize) -> Result<BufferMemory, Errno> {
        drop(self.present()?);
        let Description { format, fill, .. } = self.0.description().clone();
        let bytes = |plane: &PlaneLayout| (0..plane.size_bytes).map(|at| fill(index, at)).collect();
        Ok(format
            .planes
            .iter()
            .take(format.plane_count)
            .map(|p| Box::new(Bytes(bytes(p))) as Box<dyn Memory>)
            .collect())
    }

    fn queue(&self, index: usize) -> Result<(), Errno> {
        let mut books = self.present()?;
        if let Some(errno) = books.queue_fails {
            return Err(errno);
        }
        if books.queued.contains(&index) {
            books.queued_twice += 1;
            return Err(Errno::INVAL);
        }
        books.queued.push_back(index);
        Ok(())
    }

    fn dequeue(&self) -> Result<Filled, Errno> {
        let planes = self.0.description().format.planes;
        let stamp_flags = self.0.description().stamp_flags;
        let mut books = self.present()?;
        let event = books.script.pop_front().unwrap_or(Event::Spurious);
        let mut used = planes.map(|plane| Used { from: 0, to: plane.size_bytes });
        let mut flags = stamp_flags;
        match event {
            Event::Frame | Event::Foreign(_) => {}
            Event::After(lost) => books.sequence = books.sequence.wrapping_add(lost),
            Event::Flagged => flags |= abi::BUF_FLAG_ERROR,
            Event::Short(bytes) => used[0].to = bytes,
            Event::Beyond => used[0].to += 1,
            Event::Fails(errno) => return Err(errno),
            _ => return Err(Errno::AGAIN),
        }
        let index = match event {
            Event::Foreign(index) => index,
            _ => books.queued.pop_front().ok_or(Errno::AGAIN)?,
        };
        let sequence = books.sequence;
        books.sequence = books.sequence.wrapping_add(1);
        Ok(Filled { index, used, flags, sequence, stamp_ns: i64::from(sequence) * 33_333_333 })
    }

    fn stream(&self, on: bool) -> Result<(), Errno> {
        let mut books = self.present()?;
        books.streams = on;
        if on {
            books.starts += 1;
        } else {
            books.queued.clear();
        }
        Ok(())
    }

    fn wait(&self, _: Duration) -> Result<Wake, Errno> {
        let mut books = self.present()?;
        books.waits += 1;
        Ok(match books.script.front().copied() {
            None => {
                drop(books);
                // A script that is over must not keep a core busy.
                std::thread::sleep(Duration::from_millis(1));
                Wake::TimedOut
            }
            Some(Event::Timeout) => {
                books.script.pop_front();
                Wake::TimedOut
            }
            Some(Event::PollError) => {
                books.script.pop_front();
                Wake::Error
            }
            Some(Event::Unplugged) => {
                books.script.pop_front();
                books.gone = true;
                books.queued.clear();
                Wake::HungUp
            }
            Some(Event::QueueFails(errno)) => {
                books.script.pop_front();
                books.queue_fails = Some(errno);
                Wake::TimedOut
            }
            Some(_) => Wake::Ready,
        })
    }
}
