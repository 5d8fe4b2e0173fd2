//! Which of many objects don't refer to what they did: what a worker asks after each test, of thousands of objects.
//!
//! `gc.get_referents` gives the same answer. It takes a reference to each referent, though, and so has all of them fetched from memory, where
//! this compares their addresses alone.

use core::ffi::{c_int, c_void};
use core::ptr::null_mut;
use core::slice;

use crate::python::{
    Object, PyBytes_AsString, PyBytes_FromStringAndSize, PyDict_Next, PyErr_NoMemory,
    PyList_GetItem, PyList_Size, PyLong_FromSize_t, PyObject_IS_GC, PyType_GetSlot, TRAVERSE,
    Traverse, numbers,
};

/// How many bytes an identity has.
const WORD: isize = size_of::<Object>().cast_signed();

/// What an object referred to and hasn't been met yet, in the order in which it tells.
struct Expected<'a> {
    rest: &'a [Object],
    is_met: bool,
}

/// Takes the next referent; ends the walk at the first that is another than before.
unsafe extern "C" fn visit(referent: Object, expected: *mut c_void) -> c_int {
    // SAFETY: it is only called with what `is_as_it_was` hands to `traverse`.
    let expected = unsafe { &mut *expected.cast::<Expected<'_>>() };
    match expected.rest.split_first() {
        Some((first, rest)) if *first == referent => {
            expected.rest = rest;
            0
        }
        _ => {
            expected.is_met = false;
            1
        }
    }
}

/// `find_changed(objects, keyed, starts, counts, flat, count, found) -> int`, all of them numbers, and addresses but for one: see [`find`].
pub unsafe extern "C" fn find_changed(_: Object, arguments: *const Object, count: isize) -> Object {
    // SAFETY: called by the interpreter, which holds the GIL, and by `compared.py`, which keeps what it says.
    unsafe {
        let Some([objects, keyed, starts, counts, flat, count, found]) = numbers(arguments, count)
        else {
            return null_mut();
        };
        PyLong_FromSize_t(find(
            objects as *const Object,
            keyed as *const u8,
            starts as *const usize,
            counts as *const usize,
            flat as *const Object,
            count,
            found as *mut usize,
        ))
    }
}

/// The identities of what is in a list, 8 bytes each, in their order: `identities(objects) -> bytes`.
///
/// # Safety
/// The interpreter calls it, with the GIL.
pub unsafe extern "C" fn identities(_: Object, arguments: *const Object, count: isize) -> Object {
    // SAFETY: the interpreter says so. What isn't a list has no size as one.
    unsafe {
        if count != 1 {
            return PyErr_NoMemory();
        }
        let list = *arguments;
        let size = PyList_Size(list);
        if size < 0 {
            return null_mut();
        }
        let bytes = PyBytes_FromStringAndSize(core::ptr::null(), size * WORD);
        if !bytes.is_null() {
            let words = PyBytes_AsString(bytes).cast::<Object>();
            for place in 0..size {
                words
                    .offset(place)
                    .write_unaligned(PyList_GetItem(list, place));
            }
        }
        bytes
    }
}

/// Finds which of `count` objects refer to others than before, or to the same in another order. `keyed[i]` isn't 0 for a dictionary whose
/// keys count; they come after its referents. The i-th object referred to the `counts[i]` objects in `flat` from `starts[i]` on. The places
/// of those that differ are written to `found`, which has room for all; gives how many these are.
///
/// # Safety
/// The GIL is held, `objects` are alive, those that are keyed are dictionaries, and each pointer leads to as much as is said.
unsafe fn find(
    objects: *const Object,
    keyed: *const u8,
    starts: *const usize,
    counts: *const usize,
    flat: *const Object,
    count: usize,
    found: *mut usize,
) -> usize {
    // SAFETY: the caller says so.
    let (objects, keyed, starts, counts, found) = unsafe {
        (
            slice::from_raw_parts(objects, count),
            slice::from_raw_parts(keyed, count),
            slice::from_raw_parts(starts, count),
            slice::from_raw_parts(counts, count),
            slice::from_raw_parts_mut(found, count),
        )
    };
    let places = objects.iter().zip(keyed).zip(starts.iter().zip(counts));
    let mut room = found.iter_mut();
    let mut changed = 0;
    let mut known: (Object, Option<Traverse>) = (null_mut(), None);
    for (place, ((&object, &keyed), (&start, &count))) in places.enumerate() {
        // SAFETY: the caller says so; walking over an object runs no Python code and changes nothing.
        let is_as_it_was = unsafe {
            let kind = *object.cast::<Object>().add(1);
            if kind != known.0 {
                known = (kind, PyType_GetSlot(kind, TRAVERSE));
            }
            // If no object refers to anything there is no such memory.
            let expected = match count {
                0 => &[],
                _ => slice::from_raw_parts(flat.add(start), count),
            };
            is_as_it_was(object, known.1, keyed != 0, expected)
        };
        if !is_as_it_was && let Some(found) = room.next() {
            *found = place;
            changed += 1;
        }
    }
    changed
}

/// Whether an object of a type with this `tp_traverse` refers to what is expected.
///
/// # Safety
/// As for [`find`].
unsafe fn is_as_it_was(
    object: Object,
    traverse: Option<Traverse>,
    is_keyed: bool,
    expected: &[Object],
) -> bool {
    let mut expected = Expected {
        rest: expected,
        is_met: true,
    };
    let told = (&raw mut expected).cast::<c_void>();
    // SAFETY: the caller says so.
    unsafe {
        if let Some(traverse) = traverse
            && PyObject_IS_GC(object) != 0
        {
            traverse(object, visit, told);
        }
        if is_keyed && expected.is_met {
            let (mut place, mut key) = (0, null_mut());
            while PyDict_Next(object, &mut place, &mut key, null_mut()) != 0 {
                if visit(key, told) != 0 {
                    break;
                }
            }
        }
    }
    expected.is_met && expected.rest.is_empty()
}
