//! Reporters: each renders the events of a run in its own form and knows nothing of the runner.

pub mod github;
pub mod json;
pub mod junit;
pub mod style;
pub mod terminal;

use std::io::{self, Write};
use std::path::Path;

use dx_py_core::Event;

/// Renders events.
pub trait Reporter {
    /// Takes in an event.
    ///
    /// # Errors
    /// If the report can't be written.
    fn event(&mut self, event: &Event) -> io::Result<()>;
}

/// Writes a whole report to `target`: standard output for `-`, else a file that is replaced at once; folders are made.
///
/// # Errors
/// If it can't be written; the error names the target.
pub(crate) fn write_report(target: &Path, content: &[u8]) -> io::Result<()> {
    if target.as_os_str() == "-" {
        return io::stdout().lock().write_all(content);
    }
    let write = || {
        let folder = target
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(content)?;
        file.persist(target).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("can't write {}: {error}", target.display()),
        )
    })
}
