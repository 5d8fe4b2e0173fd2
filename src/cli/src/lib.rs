//! The command line of dx-py.
use std::process::ExitCode;
/// Placeholder.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
