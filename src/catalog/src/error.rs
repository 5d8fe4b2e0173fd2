//! What can be wrong with the catalog.

use std::path::PathBuf;

use rusqlite::ErrorCode;

/// The catalog can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// It was written by a later version.
    #[error("{path} has schema {found}, and this dx-py knows schemas up to {known}\nUpgrade dx-py, or delete the database with `dx-py clean`.", path = .path.display())]
    Newer {
        /// The catalog.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest known one.
        known: i64,
    },
    /// There is no room.
    #[error(
        "the disk is full: the catalog can't be written\nFree some space and run again; what was recorded before is kept."
    )]
    Full,
    /// It can't be written.
    #[error("{path} can't be written\nCheck the permissions of the folder.", path = .path.display())]
    ReadOnly {
        /// The catalog.
        path: PathBuf,
    },
    /// Another process has held it for too long.
    #[error(
        "another process holds the catalog\nWait until it has ended, or end it, and run again."
    )]
    Busy,
    /// A damaged catalog can't be moved out of the way.
    #[error("{path} is damaged and can't be set aside", path = .path.display())]
    SetAside {
        /// The catalog.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Anything else that SQLite says.
    #[error("the catalog failed: {0}")]
    Sqlite(rusqlite::Error),
    /// A stored value isn't one.
    #[error("the catalog holds a value that is none: {0}\nDelete the database with `dx-py clean`.")]
    Value(String),
}

impl From<rusqlite::Error> for CatalogError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            _ if is_busy(&error) => Self::Busy,
            _ => Self::Sqlite(error),
        }
    }
}

impl From<dx_py_core::blob::BlobError> for CatalogError {
    fn from(error: dx_py_core::blob::BlobError) -> Self {
        Self::Value(error.to_string())
    }
}

/// Whether an error says that somebody else holds the database.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// Whether an error says that the file isn't a sound database.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt)
    )
}
