//! The pages of memory that a process shares with the one that it was forked from, until one of them writes there.

use core::ffi::{c_int, c_long};
use core::ptr::null_mut;

use crate::python::{Object, PyBool_FromLong, none, numbers};

/// Has pages as if each had been written to: those that are shared are copied. Linux has it since its version 5.14.
const POPULATE_WRITE: Option<c_int> = match () {
    () if cfg!(target_os = "linux") => Some(23),
    () => None,
};

unsafe extern "C" {
    fn madvise(address: usize, length: usize, advice: c_int) -> c_int;
}

/// Has the pages of so many bytes copied that are shared, and tells whether the system did it: `copy_pages(start, size)`. `None` on systems
/// that don't do it.
///
/// # Safety
/// The interpreter calls it, with the GIL.
pub unsafe extern "C" fn copy_pages(
    _module: Object,
    arguments: *const Object,
    count: isize,
) -> Object {
    // SAFETY: the interpreter says so.
    let Some([start, size]) = (unsafe { numbers(arguments, count) }) else {
        return null_mut();
    };
    let Some(advice) = POPULATE_WRITE else {
        // SAFETY: the GIL is held.
        return unsafe { none() };
    };
    // SAFETY: it changes nothing of what the process reads there, and where it can't be done it says so. The GIL is held.
    unsafe { PyBool_FromLong(c_long::from(madvise(start, size, advice) == 0)) }
}
