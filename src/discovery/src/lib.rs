//! Finds tests in Python sources without starting an interpreter, and keeps what it found in the binary test index.
//!
//! What is found here predicts what pytest will collect; the worker's collection decides.

pub mod index;
pub mod parse;
pub mod parsed;
pub mod scan;
pub mod slice;
pub mod symbols;
mod syntax;
mod tokens;
pub mod walk;

pub use index::{Index, IndexError};
pub use parsed::Parsed;
pub use scan::{Scan, ScannedFile, Visitor, scan};
pub use slice::Slices;
pub use symbols::Symbols;
pub use walk::{WalkOptions, walk};
