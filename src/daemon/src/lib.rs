//! The pool of Python interpreters that run tests.
//!
//! [`launch`] starts one interpreter and speaks the protocol with it; [`pool`] keeps account of which are free. What the interpreters
//! are given to do is decided elsewhere.

pub mod launch;
pub mod output;
pub mod pool;

pub use launch::{ConnectionError, ExitCause, Interpreter, LaunchError, LaunchSpec};
pub use pool::{Grant, Pool};
