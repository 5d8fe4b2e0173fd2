//! Snapshots: what tests' values were accepted to be.
//!
//! The accepted ones of a test file lie in one text file beside it, those that are pending in another, and an index has the hash of
//! each, so that a value that matches costs no look at its content. `dx_py_test_runner` reads and writes the same bytes in Python.

pub mod diff;
mod error;
mod files;
pub mod index;
mod inline;
mod place;
mod store;
pub mod text;

pub use error::SnapshotError;
pub use index::Index;
pub use store::{Check, Store};
pub use text::{Damaged, Entries, Entry};

/// The folder beside test files that holds their snapshots.
pub const FOLDER: &str = "__snapshots__";
/// How the name of a file with accepted snapshots ends.
pub const ACCEPTED: &str = ".snap";
/// How the name of a file with pending snapshots ends.
pub const PENDING: &str = ".snap.new";
