//! Decides which tests are fresh and which are dirty, and why.
//!
//! Everything here is a pure function of what was recorded and of the digests now: there is no I/O. Whoever calls reads the
//! catalog and the file system and hands both in; property tests drive the same functions with made-up worlds.
//!
//! - [`observation`] turns what workers observed into the inputs of each test.
//! - [`verdict`] compares recorded inputs with the digests now.

pub mod observation;
pub mod verdict;

pub use observation::{ByFunctions, Inputs, Observation, Read, ReadKind};
pub use verdict::{Change, SetState, Subject, verdict};
