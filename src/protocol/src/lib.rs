//! The binary messages between the orchestrator and its Python workers.
//!
//! Commands ([`TestMessage`], 32 bytes) go to a worker, reports ([`TestResultMessage`], 40 bytes) come back; both are followed by a
//! payload. Everything is little-endian. Only this crate knows bytes; the Python twin is `worker/dx_py_test_runner/wire.py`.

mod alike;
pub mod codec;
pub mod command;
mod error;
pub mod message;
mod parts;
pub mod payload;
pub mod ring;
pub mod stream;
mod writer;

pub use command::Command;
pub use error::ProtocolError;
pub use message::{MessageKind, ResultKind, TestMessage, TestResultMessage};
pub use payload::{
    Collected, CollectedItem, CollectionDone, CollectionReport, EngineReport, Hello, Left, Load,
    Preloadable, Read, Report, SnapshotReport, Trace,
};
pub use ring::{Ring, RingConsumer, RingProducer};
pub use stream::FrameDecoder;
pub use writer::ReportWriter;
