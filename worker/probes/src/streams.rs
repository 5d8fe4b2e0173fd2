//! Whether anything was written to the files that captured output goes to, and whether the standard streams still lead there. Python makes an
//! object of some twenty fields for each look at a file, and two looks are taken after each phase of each test.

use core::ffi::{c_int, c_long};
use core::ptr::null_mut;

use crate::python::{Object, PyBool_FromLong, none, numbers};

/// The number of the system call that tells of an open file.
const FSTAT: Option<c_long> = match () {
    () if cfg!(all(target_os = "linux", target_arch = "x86_64")) => Some(5),
    () if cfg!(all(target_os = "linux", target_arch = "aarch64")) => Some(80),
    () => None,
};

/// Standard output and standard error.
const STREAMS: [c_int; 2] = [1, 2];

/// What Linux tells of a file on these machines, in words: its device, its inode, and its size are at the same places.
type Status = [u64; 18];
const DEVICE: usize = 0;
const INODE: usize = 1;
const SIZE: usize = 6;

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

/// Whether one of the standard streams leads elsewhere than to the file with the device and the inode that were given for it, or that file
/// isn't empty: `is_written(device, inode, device, inode)`. `None` on systems that are asked in another way.
///
/// # Safety
/// The interpreter calls it, with the GIL.
pub unsafe extern "C" fn is_written(
    _module: Object,
    arguments: *const Object,
    count: isize,
) -> Object {
    // SAFETY: the interpreter says so.
    let Some([out_device, out, error_device, error]) = (unsafe { numbers(arguments, count) })
    else {
        return null_mut();
    };
    let Some(fstat) = FSTAT else {
        // SAFETY: the GIL is held.
        return unsafe { none() };
    };
    let expected = [[out_device, out], [error_device, error]];
    let is_empty = |(stream, expected): (c_int, [usize; 2])| {
        let mut status: Status = [0; 18];
        // SAFETY: the kernel writes no more than that.
        let failed = unsafe { syscall(fstat, stream, status.as_mut_ptr()) } != 0;
        let found = [status[DEVICE], status[INODE]].map(usize::try_from);
        !failed && status[SIZE] == 0 && found == expected.map(Ok)
    };
    let mut streams = STREAMS.into_iter().zip(expected);
    // SAFETY: the GIL is held.
    unsafe { PyBool_FromLong(c_long::from(!streams.all(is_empty))) }
}
