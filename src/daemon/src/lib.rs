//! The pool of Python interpreters that run tests.
//!
//! [`launch`] starts one interpreter and speaks the protocol with it; [`zygote`] knows of those that fork others, [`preloads`] of what these import; [`pool`] keeps
//! account of which are free; [`controller`] starts the session for plugins that report. What the interpreters are given to do is decided elsewhere.

pub mod controller;
mod cpu;
pub mod launch;
pub mod output;
pub mod pool;
pub mod preloads;
mod surroundings;
pub mod zygote;

pub use controller::{Controller, ControllerEnd, ControllerError};
pub use launch::{ConnectionError, ExitCause, Interpreter, LaunchError, LaunchSpec, Role};
pub use pool::{Grant, Pool};
pub use preloads::Preloads;
pub use surroundings::umask;
pub use zygote::{Status, Zygotes};
