//! `cargo xtask docs`: the chapters of the book that are written from the code.

use std::process::Command;

use anyhow::Result;

use crate::project::{root, run};

/// Writes them. It is an example of the command line's crate that does it, so that the chores needn't be built with all of dx-py.
///
/// # Errors
/// If it can't be built, or a file can't be written.
pub fn docs() -> Result<()> {
    run(Command::new("cargo")
        .args(["run", "--quiet", "-p", "dx-py-cli", "--example"])
        .arg("reference")
        .arg("docs/src")
        .current_dir(root()))
}
