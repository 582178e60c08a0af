//! The shim's functions, safe to call.

#![allow(unsafe_code)]

use crate::error::RanksError;
use std::ffi::{CStr, CString, c_char, c_int};
use tch::Tensor;

/// A tensor of libtorch.
#[repr(C)]
struct AtTensor {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    fn caf_ranks_free(words: *mut c_char);
    fn caf_ranks_open(
        host: *const c_char,
        port: u16,
        serves: bool,
        prefix: *const c_char,
        size: c_int,
        timeout_ms: i64,
    ) -> *mut c_char;
    fn caf_ranks_connect(
        rank: c_int,
        size: c_int,
        address: *const c_char,
        interface: *const c_char,
        timeout_ms: i64,
    ) -> *mut c_char;
    fn caf_ranks_put(key: *const c_char, value: *const c_char) -> *mut c_char;
    fn caf_ranks_get(key: *const c_char, value: *mut *mut c_char) -> *mut c_char;
    fn caf_ranks_sum(input: *const AtTensor, result: *mut *mut AtTensor) -> *mut c_char;
    fn caf_ranks_give_up();
}

/// Text that the shim has handed over.
fn taken(words: *mut c_char) -> Option<String> {
    if words.is_null() {
        return None;
    }
    // SAFETY: the shim returns null or a string that ends with zero and is the caller's; it is copied and freed once, here.
    unsafe {
        let text = CStr::from_ptr(words).to_string_lossy().into_owned();
        caf_ranks_free(words);
        Some(text)
    }
}

fn done(error: *mut c_char) -> Result<(), RanksError> {
    taken(error).map_or(Ok(()), |words| Err(RanksError::Engine(words)))
}

/// Text for the shim; what follows a zero is not ours.
fn text(words: &str) -> CString {
    CString::new(words.split('\0').next().unwrap_or_default()).unwrap_or_default()
}

/// Joins the store of a group; this process `serves` it or not.
pub fn open(host: &str, port: u16, serves: bool, prefix: &str, size: usize, timeout_ms: i64) -> Result<(), RanksError> {
    let (host, prefix) = (text(host), text(prefix));
    // SAFETY: the strings live until the call returns, and the shim keeps copies only.
    done(unsafe { caf_ranks_open(host.as_ptr(), port, serves, prefix.as_ptr(), size as c_int, timeout_ms) })
}

/// Connects this rank with all others, at an address of this machine, or that of a network interface where one is named.
pub fn connect(
    rank: usize,
    size: usize,
    address: &str,
    interface: Option<&str>,
    timeout_ms: i64,
) -> Result<(), RanksError> {
    let (address, interface) = (text(address), text(interface.unwrap_or_default()));
    let (rank, size) = (rank as c_int, size as c_int);
    // SAFETY: as in `open`.
    done(unsafe { caf_ranks_connect(rank, size, address.as_ptr(), interface.as_ptr(), timeout_ms) })
}

/// Puts a text into the store.
pub fn put(key: &str, value: &str) -> Result<(), RanksError> {
    let (key, value) = (text(key), text(value));
    // SAFETY: as in `open`.
    done(unsafe { caf_ranks_put(key.as_ptr(), value.as_ptr()) })
}

/// A text of the store, as soon as it is there.
pub fn get(key: &str) -> Result<String, RanksError> {
    let key = text(key);
    let mut value = std::ptr::null_mut();
    // SAFETY: the key lives until the call returns; `value` is written to, or stays null where the call fails.
    done(unsafe { caf_ranks_get(key.as_ptr(), &raw mut value) })?;
    Ok(taken(value).unwrap_or_default())
}

/// The sum of a tensor over all ranks. Derivatives are recorded where those of the tensor are.
pub fn sum(tensor: &Tensor) -> Result<Tensor, RanksError> {
    let mut result: *mut AtTensor = std::ptr::null_mut();
    // SAFETY: tch's handle is a pointer to an `at::Tensor` of the libtorch that the shim is compiled against, and lives until the call
    // returns. What the shim returns without an error is a new `at::Tensor` on the heap, as tch's own functions return it, and is
    // handed over to tch once.
    unsafe {
        done(caf_ranks_sum(tensor.as_ptr().cast(), &raw mut result))?;
        Ok(Tensor::from_ptr(result.cast()))
    }
}

/// Ends all waiting for other ranks, now and later.
pub fn give_up() {
    // SAFETY: the function takes nothing and only sets a flag under a lock.
    unsafe { caf_ranks_give_up() }
}
