//! What a worker asks the interpreter so often that Python code would be too slow: which of many objects don't refer to what they did,
//! which code has begun to run, which audit events it is to be told of, whose code is on the stack, and whether a test has printed anything.
//! And what Python code can't ask the system for: that memory be copied before it is written to.
//!
//! The binary brings it along as an extension module that is built for no particular interpreter: it knows of Python only the functions that
//! are declared in `python`, all of which are there from 3.11 on. Workers do without it where it can't be loaded.

#![no_std]

mod audit;
mod files;
mod module;
mod pages;
mod python;
mod referents;
mod stacks;
mod starts;

/// Nothing here panics; a library without the standard one has to say what would happen.
#[cfg(carried)]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
