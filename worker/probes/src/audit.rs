//! The audit hook: what an event costs that nobody is to be told of.
//!
//! For a hook in Python the interpreter makes an object of the event's name, looks for an attribute of the hook, and calls it, a microsecond
//! for each of the thousands of times that code looks at a frame, or pytest at the code of a function. This asks for a hash of the name.

use core::ffi::{c_char, c_int, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::python::{
    Object, Py_DecRef, Py_IncRef, PyErr_NoMemory, PyErr_Occurred, PyInterpreterState_Get,
    PyLong_FromSize_t, PyObject_CallFunctionObjArgs, PySys_AddAuditHook,
    PyThreadState_EnterTracing, PyThreadState_Get, PyThreadState_LeaveTracing, PyTuple_GetItem,
    PyTuple_Size, PyUnicode_AsUTF8AndSize, PyUnicode_FromString, none, numbers,
};

/// How many hooks there may be.
const HOOKS: usize = 2;

/// Room for twice the names that may be heeded, a power of two.
const ROOM: usize = 128;

/// A hook.
struct Hook {
    /// What is told; none if it isn't to be any more.
    callable: AtomicPtr<c_void>,
    /// The interpreter that it is of: others in the process have events of their own.
    interpreter: AtomicPtr<c_void>,
    /// The hashes of the names of events, at the places that they say or behind. None of them is zero.
    names: [AtomicU64; ROOM],
}

impl Hook {
    const fn new() -> Self {
        Self {
            callable: AtomicPtr::new(null_mut()),
            interpreter: AtomicPtr::new(null_mut()),
            names: [const { AtomicU64::new(0) }; ROOM],
        }
    }

    fn heeds(&self, hash: u64) -> bool {
        places(hash).any_of(|place| match self.names[place].load(Relaxed) {
            0 => Some(false),
            known => (known == hash).then_some(true),
        })
    }

    /// Heeds an event as well; false if there is no room.
    fn heed(&self, hash: u64) -> bool {
        places(hash).any_of(|place| {
            let name = &self.names[place];
            match name.load(Relaxed) {
                0 => {
                    name.store(hash, Relaxed);
                    Some(true)
                }
                known => (known == hash).then_some(true),
            }
        })
    }
}

static ALL: [Hook; HOOKS] = [const { Hook::new() }; HOOKS];
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The places at which a hash may be, in their order.
struct Places(usize);

fn places(hash: u64) -> Places {
    #[expect(clippy::cast_possible_truncation, reason = "any part of it will do")]
    Places(hash as usize)
}

impl Places {
    /// What the first of them says that says anything; false if none does.
    fn any_of(self, mut says: impl FnMut(usize) -> Option<bool>) -> bool {
        for step in 0..ROOM {
            if let Some(said) = says(self.0.wrapping_add(step) % ROOM) {
                return said;
            }
        }
        false
    }
}

/// The hash of a name: FNV-1a, and never zero.
fn hash_of(name: impl Iterator<Item = u8>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash | 1
}

/// The bytes of a text that ends with a zero.
///
/// # Safety
/// It is one, and stays there.
unsafe fn bytes_of(text: *const c_char) -> impl Iterator<Item = u8> {
    let mut at = text.cast::<u8>();
    core::iter::from_fn(move || {
        // SAFETY: the caller says that it is a text, which this leaves at its end.
        unsafe {
            let byte = *at;
            (byte != 0).then(|| {
                at = at.add(1);
                byte
            })
        }
    })
}

/// The hook of the interpreter's.
unsafe extern "C" fn hear(event: *const c_char, arguments: Object, told: *mut c_void) -> c_int {
    // SAFETY: `add_hook` hands over one of `ALL`, and the interpreter a name, a tuple, and the GIL.
    unsafe {
        let hook = &*told.cast::<Hook>();
        let callable = hook.callable.load(Relaxed);
        if callable.is_null()
            || !hook.heeds(hash_of(bytes_of(event)))
            || PyInterpreterState_Get() != hook.interpreter.load(Relaxed)
        {
            return 0;
        }
        let name = PyUnicode_FromString(event);
        if name.is_null() {
            return -1;
        }
        let thread = PyThreadState_Get();
        // As for a hook in Python: debuggers aren't to step into it.
        PyThreadState_EnterTracing(thread);
        let result = PyObject_CallFunctionObjArgs(callable, name, arguments, null_mut::<c_void>());
        PyThreadState_LeaveTracing(thread);
        Py_DecRef(name);
        if result.is_null() {
            return -1;
        }
        Py_DecRef(result);
        0
    }
}

/// `add_hook(callable) -> number or None`: have a function told of audit events, which are none until `heed` is called; `None` if there are
/// too many hooks, or another one forbids it.
pub unsafe extern "C" fn add_hook(_: Object, arguments: *const Object, count: isize) -> Object {
    let number = COUNT.load(Relaxed);
    // SAFETY: called by the interpreter, which holds the GIL.
    unsafe {
        let Some(hook) = ALL.get(number).filter(|_| count == 1) else {
            return none();
        };
        hook.interpreter.store(PyInterpreterState_Get(), Relaxed);
        if PySys_AddAuditHook(hear, (&raw const *hook).cast_mut().cast()) < 0 {
            if PyErr_Occurred().is_null() {
                return none();
            }
            return null_mut();
        }
        COUNT.store(number + 1, Relaxed);
        Py_IncRef(*arguments);
        hook.callable.store(*arguments, Relaxed);
        PyLong_FromSize_t(number)
    }
}

/// `heed(number, names) -> None`: let that hook be told of these events, a tuple of their names, and of no others.
pub unsafe extern "C" fn heed(_: Object, arguments: *const Object, count: isize) -> Object {
    // SAFETY: called by the interpreter, which holds the GIL.
    unsafe {
        let Some([number]) = numbers::<1>(arguments, count.min(1)) else {
            return null_mut();
        };
        let Some(hook) = ALL.get(number).filter(|_| count == 2) else {
            return PyErr_NoMemory();
        };
        for name in &hook.names {
            name.store(0, Relaxed);
        }
        let names = *arguments.add(1);
        for place in 0..PyTuple_Size(names) {
            let mut length = 0;
            let text = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(names, place), &raw mut length);
            if text.is_null() {
                return null_mut();
            }
            let text = core::slice::from_raw_parts(text, length.unsigned_abs());
            if !hook.heed(hash_of(text.iter().copied())) {
                return PyErr_NoMemory();
            }
        }
        none()
    }
}
