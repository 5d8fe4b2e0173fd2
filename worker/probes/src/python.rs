//! What is known of Python: no more than is the same in all the versions that load this.

use core::ffi::{c_char, c_int, c_long, c_void};

/// An object. Its type is the second word of it, in the builds for which a worker loads this.
pub type Object = *mut c_void;

/// A `visitproc`.
pub type Visit = unsafe extern "C" fn(Object, *mut c_void) -> c_int;

/// A `traverseproc`.
pub type Traverse = unsafe extern "C" fn(Object, Visit, *mut c_void) -> c_int;

/// A function that takes its arguments as an array: `METH_FASTCALL`.
pub type Function = unsafe extern "C" fn(Object, *const Object, isize) -> Object;

/// A `Py_AuditHookFunction`.
pub type AuditHook = unsafe extern "C" fn(*const c_char, Object, *mut c_void) -> c_int;

/// `Py_tp_traverse`.
pub const TRAVERSE: c_int = 71;

/// `METH_FASTCALL`.
pub const FASTCALL: c_int = 0x80;

/// `PYTHON_ABI_VERSION`: that of modules which keep to what is stable.
pub const ABI: c_int = 3;

/// A `PyMethodDef`.
#[repr(C)]
pub struct Method {
    pub name: *const c_char,
    pub function: Option<Function>,
    pub flags: c_int,
    pub doc: *const c_char,
}

/// A `PyModuleDef`.
#[repr(C)]
pub struct ModuleDefinition {
    /// How often it is referred to, and its type.
    pub head: [usize; 2],
    /// What the interpreter keeps: how it is made, its index, and a copy of its variables.
    pub base: [usize; 3],
    pub name: *const c_char,
    pub doc: *const c_char,
    /// -1: there is one in a process.
    pub size: isize,
    pub methods: *const Method,
    /// Slots, and what traverses, clears and frees it: none.
    pub more: [usize; 4],
}

unsafe extern "C" {
    static _Py_NoneStruct: c_void;
    static PyUnicode_Type: c_void;
    pub fn PyBool_FromLong(value: c_long) -> Object;
    pub fn PyBytes_AsString(bytes: Object) -> *mut u8;
    pub fn PyBytes_FromStringAndSize(text: *const c_char, length: isize) -> Object;
    pub fn PyDict_GetItemWithError(dict: Object, key: Object) -> Object;
    pub fn PyDict_Next(
        dict: Object,
        place: *mut isize,
        key: *mut Object,
        value: *mut Object,
    ) -> c_int;
    pub fn PyErr_NoMemory() -> Object;
    pub fn PyErr_Occurred() -> Object;
    pub fn PyFrame_GetBack(frame: Object) -> Object;
    pub fn PyFrame_GetCode(frame: Object) -> Object;
    pub fn PyInterpreterState_Get() -> *mut c_void;
    pub fn PyList_Append(list: Object, item: Object) -> c_int;
    pub fn PyList_GetItem(list: Object, place: isize) -> Object;
    pub fn PyList_New(length: isize) -> Object;
    pub fn PyList_SetItem(list: Object, place: isize, item: Object) -> c_int;
    pub fn PyList_SetSlice(list: Object, from: isize, to: isize, items: Object) -> c_int;
    pub fn PyList_Size(list: Object) -> isize;
    pub fn PyLong_AsLong(number: Object) -> c_long;
    pub fn PyLong_AsSize_t(number: Object) -> usize;
    pub fn PyLong_FromSize_t(number: usize) -> Object;
    pub fn PyMem_RawCalloc(count: usize, size: usize) -> *mut c_void;
    pub fn PyMem_RawFree(memory: *mut c_void);
    pub fn PyModule_Create2(definition: *mut ModuleDefinition, abi: c_int) -> Object;
    pub fn PyObject_CallFunctionObjArgs(callable: Object, ...) -> Object;
    pub fn PyObject_IS_GC(object: Object) -> c_int;
    pub fn PySys_AddAuditHook(hook: AuditHook, told: *mut c_void) -> c_int;
    pub fn PyThreadState_EnterTracing(thread: *mut c_void);
    pub fn PyThreadState_Get() -> *mut c_void;
    pub fn PyThreadState_LeaveTracing(thread: *mut c_void);
    pub fn PyTuple_GetItem(tuple: Object, place: isize) -> Object;
    pub fn PyTuple_Size(tuple: Object) -> isize;
    pub fn PyType_GetSlot(of: Object, slot: c_int) -> Option<Traverse>;
    pub fn PyUnicode_AsUTF8AndSize(text: Object, length: *mut isize) -> *const u8;
    pub fn PyUnicode_FromString(text: *const c_char) -> Object;
    pub fn Py_DecRef(object: Object);
    pub fn Py_IncRef(object: Object);
}

/// The numbers that a function was given, if there are as many as it takes; else a Python error is set.
///
/// # Safety
/// The GIL is held, and `arguments` are `count` objects.
pub unsafe fn numbers<const N: usize>(
    arguments: *const Object,
    count: isize,
) -> Option<[usize; N]> {
    let mut found = [0; N];
    if usize::try_from(count) != Ok(N) {
        // SAFETY: the GIL is held. It isn't about memory; any error will do for what only this package's code calls.
        unsafe { PyErr_NoMemory() };
        return None;
    }
    for (place, number) in found.iter_mut().enumerate() {
        // SAFETY: the caller says so.
        unsafe {
            *number = PyLong_AsSize_t(*arguments.add(place));
            if *number == usize::MAX && !PyErr_Occurred().is_null() {
                return None;
            }
        }
    }
    Some(found)
}

/// The identity of an object, as `object.__hash__` gives it.
pub fn identity(object: Object) -> usize {
    (object as usize).rotate_right(4)
}

/// Whether an object is a text, and of no class below that.
///
/// # Safety
/// It is an object.
pub unsafe fn is_text(object: Object) -> bool {
    // SAFETY: the caller says so; the second word is its type.
    unsafe { *object.cast::<*const c_void>().add(1) == &raw const PyUnicode_Type }
}

/// Whether an object is `None`.
pub fn is_none(object: Object) -> bool {
    object.cast_const() == &raw const _Py_NoneStruct
}

/// A new reference to `None`.
///
/// # Safety
/// The GIL is held.
pub unsafe fn none() -> Object {
    // SAFETY: it is an object as long as there is an interpreter.
    unsafe {
        let none = (&raw const _Py_NoneStruct).cast_mut();
        Py_IncRef(none);
        none
    }
}
