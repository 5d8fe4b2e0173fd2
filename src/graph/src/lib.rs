//! The import graph of a Python project, from its sources alone.
//!
//! [`imports`] extracts what a file imports; [`resolve`] finds the project's files that an import runs, as Python does;
//! [`inert`] tells which modules do nothing when they are imported; [`environment`] finds folders of the project that are on the
//! interpreter's path; [`graph`] is the graph, and [`store`] its file.

pub mod environment;
pub mod graph;
pub mod imports;
pub mod inert;
pub mod resolve;
pub mod store;

pub use graph::{EdgeKind, FileNode, ImportGraph};
pub use imports::{FileImports, Import, extract};
pub use resolve::Resolver;
pub use store::LoadError;
