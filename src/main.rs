//! The `dx-py` binary: everything it does is in the `dx-py-cli` crate.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A run that finds nothing to do is mostly the making of many small values on two threads: a tenth to a fifth faster than with glibc's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    dx_py_cli::main()
}
