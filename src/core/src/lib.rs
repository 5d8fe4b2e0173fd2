//! The shared vocabulary of dx-py: what the other crates pass between them.
//!
//! This crate holds types and their serialised form, and no I/O: it knows nothing of files, processes, SQL or the terminal.

pub mod blob;
mod digest;
mod engine;
mod event;
mod input;
mod path;
mod result;
mod stat;
mod test;

pub use digest::{Digest, Hasher};
pub use engine::Engine;
pub use event::{Doing, Event, RunSummary, SnapshotName, SnapshotSummary, Verdict};
pub use input::{Fact, Input, LOOKED_AT};
pub use path::RelPath;
pub use result::{AssertionStats, Phase, PhaseReport, TestResult, TestStatus};
pub use stat::FileStat;
pub use test::{FixtureId, Marker, TestCase, TestId};
