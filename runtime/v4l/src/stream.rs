//! The streaming loop: which buffer is whose, and what each answer of the driver means.
//!
//! A buffer is the driver's from the moment it is queued until it is dequeued; then it is lent to whoever holds its [`Lease`], and
//! queued again when that is dropped, from whatever thread. Nothing else queues a buffer: not a timeout, and not an error. A [`Lease`] may outlive the stream; its memory then goes
//! with it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::abi::{BUF_FLAG_ERROR, MOST_PLANES};
use super::device::{BufferMemory, Device, Errno, Filled, Used, Wake};

/// Buffers that stay with the driver whatever is lent out: one that is being filled, one for the next frame.
pub const KEPT: usize = 2;
/// Fewer buffers than this make no stream: the driver's, and one in use.
pub const FEWEST: usize = KEPT + 1;

/// Why a stream ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The device has gone.
    #[error("it is gone ({0})")]
    Gone(&'static str),
    /// The driver refuses a call.
    #[error("{call} fails: {errno}{}", advice(*errno))]
    Call {
        /// Which.
        call: &'static str,
        /// Why.
        errno: Errno,
    },
    /// The driver reports an error while it is waited for.
    #[error("the driver has stopped with an error")]
    Stopped,
    /// Too few buffers.
    #[error("the driver gives {found} buffers, expected at least {FEWEST}")]
    Buffers {
        /// How many.
        found: u32,
    },
    /// The driver hands out a buffer that it does not have.
    #[error("the driver hands out buffer {index}, which it does not have (a fault of the driver)")]
    NotItsOwn {
        /// Which.
        index: usize,
    },
}

/// What may help.
fn advice(errno: Errno) -> &'static str {
    match errno {
        Errno::BUSY => " (another program uses the camera)",
        Errno::NOSPC => " (the USB bus has no bandwidth left: a smaller size, a lower rate, or another bus)",
        Errno::ACCESS | Errno::PERM => " (the user may not use it; members of the group `video` may)",
        _ => "",
    }
}

impl StreamError {
    /// From the answer to a call. A device that was unplugged answers none any more.
    pub fn call(call: &'static str) -> impl FnOnce(Errno) -> Self {
        move |errno| match errno {
            Errno::NODEV | Errno::NXIO => Self::Gone(call),
            errno => Self::Call { call, errno },
        }
    }
}

/// What came of one wait.
#[derive(Debug)]
pub enum Step {
    /// A frame.
    Frame(Lease),
    /// Nothing in time.
    Nothing,
    /// A frame that was given back at once: the driver says that it is damaged, or it is too short.
    Damaged,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Driver,
    User,
}

#[derive(Debug)]
struct State {
    /// Cleared before streaming stops: a buffer given back afterwards goes nowhere.
    streams: bool,
    owners: Vec<Owner>,
    /// Why a buffer could not be queued, by whoever gave it back; the stream ends with it.
    fault: Option<Errno>,
}

struct Shared {
    device: Arc<dyn Device>,
    buffers: Vec<BufferMemory>,
    state: Mutex<State>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Shared {
    /// What runs under the lock leaves the state consistent at every point, so a poisoned one still is.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a buffer that is ours. The lock is held across the call, so that the driver cannot hand the buffer out again before it counts as its own.
    fn queue(&self, index: usize) {
        let mut state = self.lock();
        if !state.streams {
            return;
        }
        match self.device.queue(index) {
            Ok(()) => {
                if let Some(owner) = state.owners.get_mut(index) {
                    *owner = Owner::Driver;
                }
            }
            Err(errno) => {
                state.fault.get_or_insert(errno);
            }
        }
    }
}

/// A buffer that is ours for as long as this lives.
#[derive(Debug)]
pub struct Lease {
    shared: Arc<Shared>,
    filled: Filled,
}

impl Lease {
    /// What the driver says of the frame.
    #[must_use]
    pub fn filled(&self) -> &Filled {
        &self.filled
    }

    /// The bytes of a plane that hold data: not the whole of its memory. Empty where there is no such plane.
    #[must_use]
    pub fn plane(&self, plane: usize) -> &[u8] {
        let memory = self.shared.buffers.get(self.filled.index).and_then(|planes| planes.get(plane));
        let used = self.filled.used.get(plane).copied().unwrap_or_default();
        memory.and_then(|memory| memory.bytes().get(used.from..used.to)).unwrap_or_default()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shared.queue(self.filled.index);
    }
}

/// What became of the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounts {
    /// Frames that the driver could not deliver, by the gaps in its numbers.
    pub missed: u64,
    /// Frames that the driver says are damaged, or that are too short.
    pub damaged: u64,
}

/// A camera that streams.
#[derive(Debug)]
pub struct Stream {
    shared: Arc<Shared>,
    /// Bytes that each plane of a whole frame has at least.
    needs: [usize; MOST_PLANES],
    last_sequence: Option<u32>,
    counts: StreamCounts,
}

impl Stream {
    /// Makes about `wanted` buffers, gives all of them to the driver and starts it. A frame counts as whole when each of its planes has as
    /// many bytes as `needs` says.
    ///
    /// # Errors
    /// What the driver refuses; it has no buffers then.
    pub fn start(device: Arc<dyn Device>, wanted: u32, needs: [usize; MOST_PLANES]) -> Result<Self, StreamError> {
        let found = device.request_buffers(wanted).map_err(StreamError::call("VIDIOC_REQBUFS"))?;
        let buffers = if found as usize >= FEWEST {
            (0..found as usize).map(|index| device.map(index)).collect::<Result<Vec<_>, _>>()
        } else {
            // Best effort: the device is closed next.
            let _ = device.request_buffers(0);
            return Err(StreamError::Buffers { found });
        };
        let buffers = buffers.map_err(StreamError::call("mapping a buffer"))?;
        let state = State { streams: true, owners: vec![Owner::User; buffers.len()], fault: None };
        let shared = Arc::new(Shared { device, buffers, state: Mutex::new(state) });
        // From here on a failure drops the stream, which stops it.
        let stream = Self { shared, needs, last_sequence: None, counts: StreamCounts::default() };
        (0..stream.shared.buffers.len()).for_each(|index| stream.shared.queue(index));
        stream.fault()?;
        stream.shared.device.stream(true).map_err(StreamError::call("VIDIOC_STREAMON"))?;
        Ok(stream)
    }

    /// Waits for the next frame.
    ///
    /// # Errors
    /// What ends the stream.
    pub fn next(&mut self, timeout: Duration) -> Result<Step, StreamError> {
        self.fault()?;
        match self.shared.device.wait(timeout).map_err(StreamError::call("poll"))? {
            Wake::TimedOut => return Ok(Step::Nothing),
            Wake::HungUp => return Err(StreamError::Gone("poll reports a hang-up")),
            Wake::Error => return Err(StreamError::Stopped),
            Wake::Ready => {}
        }
        let filled = match self.shared.device.dequeue() {
            Ok(filled) => filled,
            Err(Errno::AGAIN) => {
                // A driver that wakes for nothing must not keep a core busy.
                std::thread::sleep(Duration::from_millis(1));
                return Ok(Step::Nothing);
            }
            // `EIO` leaves open whose the buffer is: only stopping makes all of them ours again.
            Err(errno) => return Err(StreamError::call("VIDIOC_DQBUF")(errno)),
        };
        let lease = self.lend(filled)?;
        self.count_missed(filled.sequence);
        if filled.flags & BUF_FLAG_ERROR != 0 || !self.is_whole(&lease) {
            self.counts.damaged += 1;
            return Ok(Step::Damaged);
        }
        Ok(Step::Frame(lease))
    }

    /// Buffers that the driver has.
    #[must_use]
    pub fn with_driver(&self) -> usize {
        self.shared.lock().owners.iter().filter(|owner| **owner == Owner::Driver).count()
    }

    /// What became of the frames so far.
    #[must_use]
    pub fn counts(&self) -> StreamCounts {
        self.counts
    }

    /// Why a buffer could not be given back.
    fn fault(&self) -> Result<(), StreamError> {
        self.shared.lock().fault.map_or(Ok(()), |errno| Err(StreamError::call("VIDIOC_QBUF")(errno)))
    }

    fn lend(&self, filled: Filled) -> Result<Lease, StreamError> {
        let index = filled.index;
        let mut state = self.shared.lock();
        match state.owners.get_mut(index) {
            Some(owner @ Owner::Driver) => *owner = Owner::User,
            _ => return Err(StreamError::NotItsOwn { index }),
        }
        Ok(Lease { shared: Arc::clone(&self.shared), filled })
    }

    /// Counts the numbers between this frame and the one before. Drivers that do not number, or begin again, leave no gap.
    fn count_missed(&mut self, sequence: u32) {
        if let Some(last) = self.last_sequence.replace(sequence) {
            let gap = sequence.wrapping_sub(last).wrapping_sub(1);
            if gap < 1 << 31 {
                self.counts.missed += u64::from(gap);
            }
        }
    }

    /// Whether every plane has the bytes that a frame needs, within its memory.
    fn is_whole(&self, lease: &Lease) -> bool {
        let planes = lease.filled.used.iter().zip(self.needs).enumerate();
        planes.filter(|(_, (_, needs))| *needs > 0).all(|(plane, (Used { from, to }, needs))| {
            to.checked_sub(*from).is_some_and(|used| used >= needs) && lease.plane(plane).len() >= needs
        })
    }
}

impl Drop for Stream {
    /// Stops the driver, which makes all buffers ours, and frees those that are not lent. A device that has gone refuses both, and there is nothing else to undo.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.streams = false;
        let _ = self.shared.device.stream(false);
        let _ = self.shared.device.request_buffers(0);
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
