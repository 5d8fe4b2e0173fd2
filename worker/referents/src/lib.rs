//! Finds which of many Python objects don't refer to what they did: what a worker asks after each test, of thousands of objects.
//!
//! A worker loads it with `ctypes`, since it must do so in whatever interpreter a project has, and the binary brings it along, built for no
//! particular one: it knows of Python only the three functions below. `gc.get_referents` gives the same answer. It takes a reference to each
//! referent, though, and so has all of them fetched from memory, where this compares their addresses alone.

#![no_std]

use core::ffi::{c_int, c_void};
use core::ptr::null_mut;
use core::slice;

/// A Python object. Its type is the second word of it, in the builds of CPython for which a worker loads this.
type Object = *mut c_void;

/// A `visitproc`.
type Visit = unsafe extern "C" fn(Object, *mut c_void) -> c_int;

/// A `traverseproc`.
type Traverse = unsafe extern "C" fn(Object, Visit, *mut c_void) -> c_int;

/// `Py_tp_traverse`.
const TRAVERSE: c_int = 71;

unsafe extern "C" {
    fn PyType_GetSlot(of: Object, slot: c_int) -> Option<Traverse>;
    fn PyObject_IS_GC(object: Object) -> c_int;
    fn PyDict_Next(dict: Object, place: *mut isize, key: *mut Object, value: *mut Object) -> c_int;
}

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

/// Finds which of `count` objects refer to others than before, or to the same in another order. `keyed[i]` isn't 0 for a dictionary whose
/// keys count; they come after its referents. The i-th object referred to the `counts[i]` objects in `flat` from `starts[i]` on. The places
/// of those that differ are written to `found`, which has room for all; gives how many these are.
///
/// # Safety
/// The GIL is held, `objects` are alive, those that are keyed are dictionaries, and each pointer leads to as much as is said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dx_py_find_changed(
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
/// As for [`dx_py_find_changed`].
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

/// Nothing here panics; a library without the standard one has to say what would happen.
#[cfg(carried)]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
