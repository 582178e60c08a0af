//! How the C library keeps freed memory.

/// Keeps freed memory in the process instead of giving it back to the system, for programs that compute the same again and again.
///
/// The GNU C library maps every block above 32 MiB from the system and gives it back when it is freed. A feature map of 64 channels
/// at 256×192 px, batch 4, is 48 MiB: filling its fresh pages takes ten times as long as adding two of them. Called once, before
/// much memory is in use. Does nothing with another C library; memory is then handled as that library does.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    keep();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn keep() {
    /// Bytes asked from the system at a time beyond what is needed.
    const AHEAD: libc::c_int = 64 << 20;
    // SAFETY: mallopt changes parameters of the allocator under its own lock; these three only decide when memory is taken from and
    // given back to the system. A value it does not take leaves the parameter as it was.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
        libc::mallopt(libc::M_TOP_PAD, AHEAD);
    }
}
