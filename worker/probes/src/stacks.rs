//! Whose code is on the stack: what a worker asks whenever something is read, of stacks of dozens of frames.

use core::ffi::c_void;
use core::ptr::null_mut;

use crate::python::{
    Object, Py_DecRef, PyDict_GetItemWithError, PyErr_NoMemory, PyErr_Occurred, PyFrame_GetBack,
    PyFrame_GetCode, PyList_Append, PyList_GetItem, PyList_New, PyList_SetSlice, PyList_Size,
    PyLong_AsLong, PyLong_FromSize_t, PyObject_CallFunctionObjArgs, identity, is_none, is_text,
    none,
};

/// What code can be that isn't owned by anybody, by the numbers of `readers.py`: what keeps nothing of what is read while it runs, where the
/// search ends, and whose reading isn't meant to bear on anything. All other may keep something.
const FLEETING: i64 = 3;
const INTERNAL: i64 = 4;
const UNMEANT: i64 = 5;

/// What comes after a frame.
enum Next {
    /// The one that called it.
    Caller,
    /// Nothing: here the search ends.
    End,
    /// A Python error is set.
    Error,
}

/// `owners(frame, known, look_at) -> list`: the owners of the code in that frame and in those that called it, the nearest first and each
/// once, up to code that is internal; nothing if some isn't meant to read. At the end there is `None` if other code on the stack may keep
/// what it reads.
///
/// `known` tells by the identity of code its owner or its kind; where it doesn't, `look_at(code)` does, and may add it. Owners that are equal
/// are the same object.
///
/// # Safety
/// The interpreter calls it, with the GIL.
pub unsafe extern "C" fn owners(_: Object, arguments: *const Object, count: isize) -> Object {
    // SAFETY: the interpreter says so, and `readers.py` gives a frame or `None`, a dictionary and a function.
    unsafe {
        if count != 3 {
            return PyErr_NoMemory();
        }
        let (first, known, look_at) = (*arguments, *arguments.add(1), *arguments.add(2));
        let found = PyList_New(0);
        if found.is_null() {
            return found;
        }
        let mut may_keep = false;
        // The first is the caller's; each of the others is a reference of its own.
        let mut frame = if is_none(first) { null_mut() } else { first };
        let mut is_right = true;
        while !frame.is_null() {
            let code = PyFrame_GetCode(frame);
            let next = add(found, code, known, look_at, &mut may_keep);
            Py_DecRef(code);
            let caller = match next {
                Next::Caller => PyFrame_GetBack(frame),
                Next::End => null_mut(),
                Next::Error => {
                    is_right = false;
                    null_mut()
                }
            };
            if frame != first {
                Py_DecRef(frame);
            }
            frame = caller;
        }
        if is_right && may_keep {
            let none = none();
            is_right = PyList_Append(found, none) == 0;
            Py_DecRef(none);
        }
        if is_right {
            return found;
        }
        Py_DecRef(found);
        null_mut()
    }
}

/// Adds the owner of code to those that were found, if it has one that isn't there.
///
/// # Safety
/// As for [`owners`].
unsafe fn add(
    found: Object,
    code: Object,
    known: Object,
    look_at: Object,
    may_keep: &mut bool,
) -> Next {
    // SAFETY: the caller says so. What the dictionary has is borrowed, and used before anything else runs.
    unsafe {
        let key = PyLong_FromSize_t(identity(code));
        if key.is_null() {
            return Next::Error;
        }
        let kept = PyDict_GetItemWithError(known, key);
        Py_DecRef(key);
        if !kept.is_null() {
            return add_owner(found, kept, may_keep);
        }
        if !PyErr_Occurred().is_null() {
            return Next::Error;
        }
        let new = PyObject_CallFunctionObjArgs(look_at, code, null_mut::<c_void>());
        if new.is_null() {
            return Next::Error;
        }
        let next = add_owner(found, new, may_keep);
        Py_DecRef(new);
        next
    }
}

/// Adds an owner, or heeds what code is that has none.
///
/// # Safety
/// As for [`owners`].
unsafe fn add_owner(found: Object, what: Object, may_keep: &mut bool) -> Next {
    // SAFETY: the caller says so; the places are those of the list.
    unsafe {
        if is_text(what) {
            let count = PyList_Size(found);
            let is_there = (0..count).any(|place| PyList_GetItem(found, place) == what);
            return match is_there || PyList_Append(found, what) == 0 {
                true => Next::Caller,
                false => Next::Error,
            };
        }
        match PyLong_AsLong(what) {
            FLEETING => Next::Caller,
            INTERNAL => Next::End,
            UNMEANT => {
                *may_keep = false;
                match PyList_SetSlice(found, 0, PyList_Size(found), null_mut()) {
                    0 => Next::End,
                    _ => Next::Error,
                }
            }
            -1 if !PyErr_Occurred().is_null() => Next::Error,
            _ => {
                *may_keep = true;
                Next::Caller
            }
        }
    }
}
