//! The one file with `unsafe`: `ioctl` and `mmap`, behind functions that are safe to call.

#![allow(
    unsafe_code,
    reason = "V4L2 is spoken through ioctl and mmap, for which there is no safe interface; every use says why it is sound"
)]

use std::ffi::c_void;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::NonNull;

use rustix::io::{Errno, Result};
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl, opcode};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::abi::{
    Buffer, Capability, CaptureParameters, Control, FormatDescription, MOST_PLANES, MultiFormat, Plane, QueryControl,
    QueryMenu, RequestBuffers, SingleFormat,
};

/// A call of the kernel's interface and the structure that it takes. The size of the structure is part of the number, and the kernel reads
/// and writes that many bytes.
#[derive(Debug)]
pub struct Call<T> {
    /// The number.
    pub opcode: Opcode,
    takes: PhantomData<T>,
}

impl<T> Clone for Call<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Call<T> {}

/// The letter that all calls of V4L2 have.
const GROUP: u8 = b'V';

impl<T> Call<T> {
    const fn reads(number: u8) -> Self {
        Self { opcode: opcode::read::<T>(GROUP, number), takes: PhantomData }
    }

    const fn writes(number: u8) -> Self {
        Self { opcode: opcode::write::<T>(GROUP, number), takes: PhantomData }
    }

    const fn exchanges(number: u8) -> Self {
        Self { opcode: opcode::read_write::<T>(GROUP, number), takes: PhantomData }
    }
}

/// What the device is.
pub const QUERYCAP: Call<Capability> = Call::reads(0);
/// A format of the device.
pub const ENUM_FMT: Call<FormatDescription> = Call::exchanges(2);
/// The current format.
pub const G_FMT: Call<SingleFormat> = Call::exchanges(4);
/// Sets the format.
pub const S_FMT: Call<SingleFormat> = Call::exchanges(5);
/// The current format, of several planes.
pub const G_FMT_MULTI: Call<MultiFormat> = Call::exchanges(4);
/// Sets the format, of several planes.
pub const S_FMT_MULTI: Call<MultiFormat> = Call::exchanges(5);
/// Makes and frees buffers.
pub const REQBUFS: Call<RequestBuffers> = Call::exchanges(8);
/// Starts streaming.
pub const STREAMON: Call<u32> = Call::writes(18);
/// Stops streaming; every buffer is ours then.
pub const STREAMOFF: Call<u32> = Call::writes(19);
/// The current frame rate.
pub const G_PARM: Call<CaptureParameters> = Call::exchanges(21);
/// Sets the frame rate.
pub const S_PARM: Call<CaptureParameters> = Call::exchanges(22);
/// The value of a control.
pub const G_CTRL: Call<Control> = Call::exchanges(27);
/// Sets a control.
pub const S_CTRL: Call<Control> = Call::exchanges(28);
/// A control of the device.
pub const QUERYCTRL: Call<QueryControl> = Call::exchanges(36);
/// An entry of a control's list.
pub const QUERYMENU: Call<QueryMenu> = Call::exchanges(37);

/// A call about one buffer. Private: its structure may hold an address, which [`call_buffer`] alone sets.
#[derive(Clone, Copy, Debug)]
pub struct BufferCall(Call<Buffer>);

impl BufferCall {
    /// Its number.
    #[must_use]
    pub const fn opcode(self) -> Opcode {
        self.0.opcode
    }
}

/// Where a buffer lies.
pub const QUERYBUF: BufferCall = BufferCall(Call::exchanges(9));
/// Gives a buffer to the driver.
pub const QBUF: BufferCall = BufferCall(Call::exchanges(15));
/// Takes a filled buffer from the driver.
pub const DQBUF: BufferCall = BufferCall(Call::exchanges(17));

struct Exchange<'a, T> {
    opcode: Opcode,
    value: &'a mut T,
}

// SAFETY: the opcode holds the size of `T`, so that the kernel touches no byte outside of `value`, which is borrowed for as long as the call takes.
// Every `T` of a `Call` is made of integers alone, for which any bytes that the kernel writes are a value.
unsafe impl<T> Ioctl for Exchange<'_, T> {
    type Output = ();
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::from_mut(self.value).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> Result<()> {
        Ok(())
    }
}

/// Makes a call. A file that is no V4L2 device answers `ENOTTY`.
///
/// # Errors
/// The kernel's.
pub fn call<T>(file: BorrowedFd<'_>, call: Call<T>, value: &mut T) -> Result<()> {
    // SAFETY: of the kinds of call in this file, none that is public takes a structure with an address in it, and `Exchange` says why
    // the kernel stays within `value`.
    unsafe { ioctl(file, Exchange { opcode: call.opcode, value }) }
}

/// Makes a call about one buffer, with room for all its planes where its images may lie in several; afterwards `buffer.length` says how many
/// there are.
///
/// # Errors
/// The kernel's.
pub fn call_buffer(
    file: BorrowedFd<'_>,
    call: BufferCall,
    buffer: &mut Buffer,
    planes: Option<&mut [Plane; MOST_PLANES]>,
) -> Result<()> {
    // The kernel reads and writes as many planes as the length says.
    (buffer.place, buffer.length) = match planes {
        Some(planes) => (planes.as_mut_ptr() as u64, MOST_PLANES as u32),
        None => (0, 0),
    };
    let opcode = call.0.opcode;
    // SAFETY: as in `call`. The structure may hold an address, the one just set: that of `MOST_PLANES` planes which are borrowed until this
    // function ends, or 0, which the kernel refuses (`EFAULT`) where it needs one.
    unsafe { ioctl(file, Exchange { opcode, value: buffer }) }
}

/// Memory of the driver, mapped for reading, until it is dropped.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the memory is plain bytes that nothing of this process writes, and belongs to no thread.
unsafe impl Send for Mapping {}
// SAFETY: as above; shared references give shared slices only.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `length` bytes, which must not be 0, at the offset that the driver gave.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(file: impl AsFd, offset: u64, length: usize) -> Result<Self> {
        let (access, flags) = (ProtFlags::READ, MapFlags::SHARED);
        // SAFETY: the kernel chooses the place, so that no memory of this process is replaced.
        let start = unsafe { mmap(std::ptr::null_mut(), length, access, flags, file, offset) }?;
        let start = NonNull::new(start.cast()).ok_or(Errno::NOMEM)?;
        Ok(Self { start, length })
    }

    /// The bytes. They hold still between dequeuing the buffer and queuing it; before and after, the camera writes them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `length` bytes from `start` on are mapped for reading as long as `self` lives: the driver keeps the memory of a buffer while it is mapped,
        // also when the device is gone. Nothing of this process writes there; the camera does while a buffer is queued, when nothing here reads it:
        // `Stream` hands out a buffer's bytes only through a `Lease`, which ends before the buffer is queued.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the whole mapping that `new` made, and no slice of it outlives `self`. A failure, which only wrong arguments have, leaves it mapped.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}
