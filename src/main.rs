//! The `dx-py` binary: everything it does is in the `dx-py-cli` crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    dx_py_cli::main()
}
