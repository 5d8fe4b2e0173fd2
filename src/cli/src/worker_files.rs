//! The worker's Python sources, which the binary carries, put where an interpreter can read them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use dx_py_core::Hasher;

const FILES: &[(&str, &str)] = &[
    (
        "__init__.py",
        include_str!("../../../worker/dx_py_test_runner/__init__.py"),
    ),
    (
        "boot.py",
        include_str!("../../../worker/dx_py_test_runner/boot.py"),
    ),
    (
        "outcome.py",
        include_str!("../../../worker/dx_py_test_runner/outcome.py"),
    ),
    (
        "controller.py",
        include_str!("../../../worker/dx_py_test_runner/controller.py"),
    ),
    (
        "needs.py",
        include_str!("../../../worker/dx_py_test_runner/needs.py"),
    ),
    (
        "speech.py",
        include_str!("../../../worker/dx_py_test_runner/speech.py"),
    ),
    (
        "session.py",
        include_str!("../../../worker/dx_py_test_runner/session.py"),
    ),
    (
        "observe.py",
        include_str!("../../../worker/dx_py_test_runner/observe.py"),
    ),
    (
        "temporary.py",
        include_str!("../../../worker/dx_py_test_runner/temporary.py"),
    ),
    (
        "trace.py",
        include_str!("../../../worker/dx_py_test_runner/trace.py"),
    ),
    (
        "warning_messages.py",
        include_str!("../../../worker/dx_py_test_runner/warning_messages.py"),
    ),
    (
        "wire.py",
        include_str!("../../../worker/dx_py_test_runner/wire.py"),
    ),
];

/// The folder below `dx` that holds the package of this very version; written if it isn't there yet.
///
/// # Errors
/// If it can't be written.
pub fn unpack(dx: &Path) -> io::Result<PathBuf> {
    let mut hasher = Hasher::new();
    for (name, text) in FILES.iter().copied() {
        hasher.field(name).field(text);
    }
    let folder = dx.join(format!("worker-{}", hasher.finish()));
    if folder.join("dx_py_test_runner").is_dir() {
        return Ok(folder);
    }
    let temporary = tempfile::Builder::new().prefix("worker-").tempdir_in(dx)?;
    let package = temporary.path().join("dx_py_test_runner");
    fs::create_dir(&package)?;
    for (name, text) in FILES.iter().copied() {
        fs::write(package.join(name), text)?;
    }
    match fs::rename(temporary.path(), &folder) {
        Ok(()) => {
            let _ = temporary.keep();
            Ok(folder)
        }
        // Another process was faster.
        Err(_) if folder.join("dx_py_test_runner").is_dir() => Ok(folder),
        Err(error) => Err(error),
    }
}
