//! Files that are replaced at once.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::FOLDER;
use crate::error::{SnapshotError, io_error};
use crate::text::{self, Entries};

/// Replaces a snapshot file at once; without entries there is none.
pub(crate) fn write(path: &Path, entries: &Entries) -> Result<(), SnapshotError> {
    match entries.is_empty() {
        true => remove(path),
        false => put(path, text::render(entries).as_bytes()),
    }
}

/// Puts a new file in the place of `path` at once; it keeps the mode of the one before.
pub(crate) fn put(path: &Path, content: &[u8]) -> Result<(), SnapshotError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mode = fs::metadata(path).map(|metadata| metadata.permissions());
    let write = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut builder = tempfile::Builder::new();
        // What the umask leaves of it, as for any new file.
        builder
            .permissions(Permissions::from_mode(0o666))
            .prefix(".snap");
        let mut file = builder.tempfile_in(folder)?;
        if let Ok(mode) = mode {
            file.as_file().set_permissions(mode)?;
        }
        file.write_all(content)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(io_error("write", path))
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), SnapshotError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", path)(error))
        }
        _ => {
            // A folder for one test file's content goes with the last of it.
            if let Some(folder) = path
                .parent()
                .filter(|folder| folder.file_name().is_some_and(|name| name != FOLDER))
            {
                let _ = fs::remove_dir(folder);
            }
            Ok(())
        }
    }
}
