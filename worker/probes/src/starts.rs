//! Which code has begun to run, as `sys.monitoring` tells.
//!
//! A callback that has itself called no more for a piece of code, until all that did is watched anew, costs nothing while that runs in a loop.
//! But to watch code anew costs more than a few calls, and so does all other code of the process, which has to see that it isn't meant. So
//! code is left alone only once it has begun often.

use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use crate::python::{
    Object, Py_IncRef, PyErr_NoMemory, PyList_New, PyList_SetItem, PyLong_FromSize_t,
    PyMem_RawCalloc, PyMem_RawFree, identity, none, numbers,
};

/// After how many starts code is left alone. To watch it anew costs about as much as these.
const OFTEN: u8 = 100;

/// How much room there is at first, a power of two.
const ROOM: usize = 1024;

/// What a callback gives that wants to be called no more.
static DISABLE: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

/// The code that is watched: a table by identities, guarded by the GIL.
static TABLE: AtomicPtr<Table> = AtomicPtr::new(null_mut());

/// Identities of code, how often it began, and which has.
struct Table {
    /// At the place that an identity says, or behind; zero where there is none. There is room for twice as many.
    keys: *mut usize,
    counts: *mut u8,
    /// The places of those that have begun, in their order.
    begun: *mut usize,
    room: usize,
    keys_count: usize,
    begun_count: usize,
}

impl Table {
    /// An empty one; none without memory.
    unsafe fn new(room: usize) -> Option<Self> {
        // SAFETY: this asks for memory, and gives back what it got if that wasn't all.
        unsafe {
            let keys = PyMem_RawCalloc(room, size_of::<usize>()).cast::<usize>();
            let counts = PyMem_RawCalloc(room, 1).cast::<u8>();
            let begun = PyMem_RawCalloc(room, size_of::<usize>()).cast::<usize>();
            let table = Self {
                keys,
                counts,
                begun,
                room,
                keys_count: 0,
                begun_count: 0,
            };
            if keys.is_null() || counts.is_null() || begun.is_null() {
                table.free();
                return None;
            }
            Some(table)
        }
    }

    unsafe fn free(&self) {
        // SAFETY: `new` got them from there.
        unsafe {
            PyMem_RawFree(self.keys.cast());
            PyMem_RawFree(self.counts.cast());
            PyMem_RawFree(self.begun.cast());
        }
    }

    /// Where an identity is, or would be.
    unsafe fn place(&self, key: usize) -> usize {
        let mut place = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        loop {
            place &= self.room - 1;
            // SAFETY: there is room for that many, and half of it is never used, so that this ends.
            let known = unsafe { *self.keys.add(place) };
            if known == key || known == 0 {
                return place;
            }
            place += 1;
        }
    }

    /// Adds an identity; false without memory.
    unsafe fn add(&mut self, key: usize) -> bool {
        // SAFETY: the places are below the room.
        unsafe {
            if self.keys_count * 2 >= self.room && !self.grow() {
                return false;
            }
            let place = self.place(key);
            if *self.keys.add(place) == 0 {
                *self.keys.add(place) = key;
                self.keys_count += 1;
            }
            true
        }
    }

    unsafe fn grow(&mut self) -> bool {
        // SAFETY: as above.
        unsafe {
            let Some(mut larger) = Self::new(self.room * 2) else {
                return false;
            };
            for place in 0..self.room {
                let key = *self.keys.add(place);
                if key != 0 {
                    let new = larger.place(key);
                    *larger.keys.add(new) = key;
                    *larger.counts.add(new) = *self.counts.add(place);
                }
            }
            for number in 0..self.begun_count {
                let key = *self.keys.add(*self.begun.add(number));
                *larger.begun.add(number) = larger.place(key);
            }
            (larger.keys_count, larger.begun_count) = (self.keys_count, self.begun_count);
            self.free();
            *self = larger;
            true
        }
    }

    /// Notes that code has begun; whether it is to be left alone.
    unsafe fn begins(&mut self, key: usize) -> bool {
        // SAFETY: as above.
        unsafe {
            let place = self.place(key);
            if *self.keys.add(place) == 0 {
                return true;
            }
            let count = self.counts.add(place);
            if *count == 0 {
                *self.begun.add(self.begun_count) = place;
                self.begun_count += 1;
            }
            *count = (*count + 1).min(OFTEN);
            *count == OFTEN
        }
    }
}

/// The table, made when it is first asked for; none without memory.
///
/// # Safety
/// The GIL is held, and none that was given before is in use. What makes objects while one is doesn't run other code: wherever there is
/// `sys.monitoring`, garbage is collected between instructions alone.
unsafe fn table() -> Option<&'static mut Table> {
    // SAFETY: the caller says so; nothing frees it.
    unsafe {
        if TABLE.load(Relaxed).is_null() {
            let memory = PyMem_RawCalloc(1, size_of::<Table>()).cast::<Table>();
            if memory.is_null() {
                return None;
            }
            memory.write(Table::new(ROOM)?);
            TABLE.store(memory, Relaxed);
        }
        TABLE.load(Relaxed).as_mut()
    }
}

/// `watch(identity, disable) -> None`: know code by its identity from now on, and what a callback gives that wants to be called no more.
pub unsafe extern "C" fn watch(_: Object, arguments: *const Object, count: isize) -> Object {
    // SAFETY: called by the interpreter, which holds the GIL.
    unsafe {
        let Some([key]) = numbers::<1>(arguments, count.min(1)) else {
            return null_mut();
        };
        if count != 2 {
            return PyErr_NoMemory();
        }
        if DISABLE.load(Relaxed).is_null() {
            let disable = *arguments.add(1);
            Py_IncRef(disable);
            DISABLE.store(disable, Relaxed);
        }
        match table().is_some_and(|table| table.add(key)) {
            true => none(),
            false => PyErr_NoMemory(),
        }
    }
}

/// `begins(code, offset) -> None or what disables`: the callback.
pub unsafe extern "C" fn begins(_: Object, arguments: *const Object, count: isize) -> Object {
    // SAFETY: called by the interpreter, which holds the GIL, with a code object at first.
    unsafe {
        if count < 1 {
            return PyErr_NoMemory();
        }
        let is_enough = match table() {
            Some(table) => table.begins(identity(*arguments)),
            None => false,
        };
        let disable = DISABLE.load(Relaxed);
        if is_enough && !disable.is_null() {
            Py_IncRef(disable);
            return disable;
        }
        none()
    }
}

/// The table, and how many of those that have begun a function is told of; else a Python error is set.
///
/// # Safety
/// As for [`table`], and `arguments` are `count` objects.
unsafe fn told(arguments: *const Object, count: isize) -> Option<(&'static mut Table, usize)> {
    // SAFETY: the caller says so.
    unsafe {
        let [number] = numbers(arguments, count)?;
        let Some(table) = table() else {
            PyErr_NoMemory();
            return None;
        };
        let number = number.min(table.begun_count);
        Some((table, number))
    }
}

/// `begun(first) -> list of identities`: which code has begun since `forget`, without as many as are known of.
pub unsafe extern "C" fn begun(_: Object, arguments: *const Object, count: isize) -> Object {
    // SAFETY: called by the interpreter, which holds the GIL.
    unsafe {
        let Some((table, first)) = told(arguments, count) else {
            return null_mut();
        };
        list(table.begun_count - first, |number| {
            *table.keys.add(*table.begun.add(first + number))
        })
    }
}

/// `forget(count) -> list of identities`: forget that the first of them have begun; gives which of them are left alone since.
pub unsafe extern "C" fn forget(_: Object, arguments: *const Object, count: isize) -> Object {
    // SAFETY: called by the interpreter, which holds the GIL.
    unsafe {
        let Some((table, first)) = told(arguments, count) else {
            return null_mut();
        };
        let mut often = 0;
        for number in 0..first {
            let place = *table.begun.add(number);
            if *table.counts.add(place) == OFTEN {
                // What is forgotten makes room for it.
                *table.begun.add(often) = place;
                often += 1;
            }
            *table.counts.add(place) = 0;
        }
        let found = list(often, |number| *table.keys.add(*table.begun.add(number)));
        for number in first..table.begun_count {
            *table.begun.add(number - first) = *table.begun.add(number);
        }
        table.begun_count -= first;
        found
    }
}

/// A list of so many numbers.
///
/// # Safety
/// The GIL is held.
unsafe fn list(count: usize, number: impl Fn(usize) -> usize) -> Object {
    // SAFETY: the list is new, and has as many places.
    unsafe {
        let list = PyList_New(count.cast_signed());
        if list.is_null() {
            return list;
        }
        for place in 0..count {
            let item = PyLong_FromSize_t(number(place));
            if item.is_null() {
                crate::python::Py_DecRef(list);
                return item;
            }
            PyList_SetItem(list, place.cast_signed(), item);
        }
        list
    }
}
