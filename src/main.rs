//! The `dx-py` binary: everything it does is in the `dx-py-cli` crate.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A run that finds nothing to do is mostly the making of many small values on two threads: a tenth to a fifth faster than with glibc's.
///
/// Its feature `no_thp` leaves huge pages alone. A run lives too short for them: the system clears 2 MB for each of which a part is used,
/// and after some seconds in which a virtual machine had nothing to do it has to have that memory given back to it first.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    dx_py_cli::main()
}
