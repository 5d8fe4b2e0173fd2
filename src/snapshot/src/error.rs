//! What can go wrong with snapshots.

use std::io;
use std::path::{Path, PathBuf};

use crate::text::Damaged;

/// Snapshots can't be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A file can't be read or written.
    #[error("can't {what} {path}", path = path.display())]
    Io {
        /// `read`, `write`, `lock`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file isn't one of snapshots.
    #[error("{path} can't be read as snapshots", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Damaged,
    },
    /// A snapshot names a content file outside of its folder.
    #[error("{path}: the file `{file}` would lie outside of the snapshots' folder", path = path.display())]
    Outside {
        /// The snapshot file.
        path: PathBuf,
        /// What it names.
        file: String,
    },
    /// A path isn't that of a snapshot file.
    #[error("{path} is no file of snapshots", path = path.display())]
    Foreign {
        /// The path.
        path: PathBuf,
    },
    /// The source isn't as it was when the test ran.
    #[error("{path} has changed since the test ran; run the test again", path = path.display())]
    SourceChanged {
        /// The source.
        path: PathBuf,
    },
    /// An inline snapshot was compared with several values.
    #[error("{path}, line {line}: the inline snapshot has several values; give each a name instead", path = path.display())]
    SeveralValues {
        /// The source.
        path: PathBuf,
        /// The line.
        line: String,
    },
}

/// Says what couldn't be done with which file.
pub(crate) fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    let path = path.to_owned();
    move |source| SnapshotError::Io { what, path, source }
}
