//! The persistent record of tests, inputs, outcomes and durations: `.dx/catalog.db`.
//!
//! Only this crate knows SQL. Every write is one immediate transaction, so a process that is killed leaves a consistent catalog, and
//! several processes can use one at once.

mod error;
mod history;
mod load;
mod open;
mod parsed;
mod passes;
mod sets;
mod tests;

pub use error::CatalogError;
pub use history::{Evidence, FlakyRow, HistoryRow, RunRow};
pub use open::{Catalog, SetAside, now_ms};
pub use parsed::{FrameRow, ParsedReader, ParsedRow};
pub use sets::{FactTable, RecordedSet, SetId};
pub use tests::{
    CollectedFile, CollectedTest, Keywords, KnownFile, KnownTest, Pass, PassId, UniverseId,
    UniverseState,
};

use dx_py_core::{Digest, FileStat};

/// The identity of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub(crate) i64);

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What is known of a file that was hashed: while its stat is the same, so is its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatRow {
    /// Its stat.
    pub stat: FileStat,
    /// The content's digest.
    pub digest: Digest,
    /// When it was hashed, in nanoseconds of the file system's clock.
    pub checked_ns: i64,
}
