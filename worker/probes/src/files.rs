//! What the system tells of files, where it is asked of many or often: Python makes an object of some twenty fields for each answer.

use core::ffi::{CStr, c_char, c_int, c_long};
use core::ptr::null_mut;

use crate::python::{Object, PyBool_FromLong, none, numbers};

/// The numbers of the system calls that tell of an open file, and of one that has a name.
const FSTAT: Option<c_long> = call(5, 80);
const NEWFSTATAT: Option<c_long> = call(262, 79);

/// A system call that Linux has under these numbers, depending on the processor.
const fn call(x86_64: c_long, aarch64: c_long) -> Option<c_long> {
    match () {
        () if cfg!(all(target_os = "linux", target_arch = "x86_64")) => Some(x86_64),
        () if cfg!(all(target_os = "linux", target_arch = "aarch64")) => Some(aarch64),
        () => None,
    }
}

/// `AT_FDCWD`: names are of the folder that the process is in.
const HERE: c_int = -100;

/// Standard output and standard error.
const STREAMS: [c_int; 2] = [1, 2];

/// What Linux tells of a file on these machines, in words: its device, its inode, its size, and when it was changed, in seconds and nanoseconds,
/// are at the same places.
type Status = [u64; 18];
const DEVICE: usize = 0;
const INODE: usize = 1;
const SIZE: usize = 6;
const CHANGED: [usize; 2] = [11, 12];

/// What [`states`] writes of a file.
type State = [u64; 4];
/// What it writes of one that isn't there, or can't be looked at.
const ABSENT: State = [u64::MAX; 4];

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

/// Whether anything was written to the files that captured output goes to: whether one of the standard streams leads elsewhere than to the file with the device and the inode that were given for it, or that file
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

/// Looks at `count` files, whose names follow each other, each ended by a zero byte; writes for each its inode, its size, and when it was
/// changed, to `found`, which has room for all: `states(names, count, found)`. `None` on systems that are asked in another way, else `True`.
///
/// # Safety
/// The interpreter calls it, with the GIL, and `file_states.py`, which keeps what it says.
pub unsafe extern "C" fn states(_module: Object, arguments: *const Object, count: isize) -> Object {
    // SAFETY: the interpreter says so.
    let Some([names, count, found]) = (unsafe { numbers(arguments, count) }) else {
        return null_mut();
    };
    let Some(stat) = NEWFSTATAT else {
        // SAFETY: the GIL is held.
        return unsafe { none() };
    };
    let (found, mut name) = (found as *mut State, names as *const c_char);
    for place in 0..count {
        let mut status: Status = [0; 18];
        // SAFETY: the kernel writes no more than that, a name ends where the next one begins, and there is room for each.
        unsafe {
            let failed = syscall(stat, HERE, name, status.as_mut_ptr(), 0 as c_int) != 0;
            *found.add(place) = match failed {
                true => ABSENT,
                false => [
                    status[INODE],
                    status[SIZE],
                    status[CHANGED[0]],
                    status[CHANGED[1]],
                ],
            };
            name = name.add(CStr::from_ptr(name).count_bytes() + 1);
        }
    }
    // SAFETY: the GIL is held.
    unsafe { PyBool_FromLong(1) }
}
