//! The module `_probes`: its functions, and how the interpreter finds it.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char};
use core::ptr::null;

use crate::python::{ABI, FASTCALL, Function, Method, ModuleDefinition, Object, PyModule_Create2};
use crate::{audit, files, pages, referents, stacks, starts};

/// What the interpreter is handed and changes while it holds the GIL.
struct Shared<T>(UnsafeCell<T>);

// SAFETY: nothing but the interpreter looks at it.
unsafe impl<T> Sync for Shared<T> {}

const fn method(name: &'static CStr, function: Function) -> Method {
    Method {
        name: name.as_ptr(),
        function: Some(function),
        flags: FASTCALL,
        doc: null::<c_char>(),
    }
}

static METHODS: Shared<[Method; 13]> = Shared(UnsafeCell::new([
    method(c"add_hook", audit::add_hook),
    method(c"heed", audit::heed),
    method(c"find_changed", referents::find_changed),
    method(c"identities", referents::identities),
    method(c"owners", stacks::owners),
    method(c"watch", starts::watch),
    method(c"begins", starts::begins),
    method(c"begun", starts::begun),
    method(c"forget", starts::forget),
    method(c"is_written", files::is_written),
    method(c"states", files::states),
    method(c"copy_pages", pages::copy_pages),
    Method {
        name: null(),
        function: None,
        flags: 0,
        doc: null(),
    },
]));

static DEFINITION: Shared<ModuleDefinition> = Shared(UnsafeCell::new(ModuleDefinition {
    head: [1, 0],
    base: [0; 3],
    name: c"_probes".as_ptr(),
    doc: null(),
    size: -1,
    methods: METHODS.0.get().cast(),
    more: [0; 4],
}));

/// What the interpreter calls when the module is imported.
#[unsafe(no_mangle)]
pub extern "C" fn PyInit__probes() -> Object {
    // SAFETY: the interpreter calls it, which holds the GIL.
    unsafe { PyModule_Create2(DEFINITION.0.get(), ABI) }
}
