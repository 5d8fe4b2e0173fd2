//! The writing end of a worker's ring as a class: the fast twin of `PureRingWriter` in `wire.py`.

use std::fs::File;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dx_py_protocol::{ProtocolError, ReportWriter, ResultKind, TestResultMessage};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::of_protocol;

/// Writes reports into the ring whose file is open as `fd`, which stays the caller's. There must be only one for each ring.
///
/// Its methods take less time than it would to let another thread run.
#[pyclass(frozen, module = "dx_py_test_runner._native")]
#[derive(Debug)]
pub struct RingWriter(Mutex<ReportWriter>);

impl RingWriter {
    fn writer(&self) -> MutexGuard<'_, ReportWriter> {
        // A panic can't leave it half changed in a way that counts: the run has ended with it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn header(
    kind: u16,
    sequence: u64,
    duration_ns: u64,
    status: u8,
) -> Result<TestResultMessage, ProtocolError> {
    let mut header = TestResultMessage::new(ResultKind::from_code(kind)?, sequence, 0);
    header.duration_ns = duration_ns;
    header.status = status;
    Ok(header)
}

fn open(fd: RawFd) -> Result<ReportWriter, ProtocolError> {
    if fd < 0 {
        return Err(ProtocolError::NotARing("it has no descriptor"));
    }
    // SAFETY: the descriptor is only used to duplicate it, during this call; the caller holds it open meanwhile. If it doesn't, the
    // system says so, or the file isn't a ring.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let file = borrowed
        .try_clone_to_owned()
        .map_err(ProtocolError::RingSetup)?;
    ReportWriter::new(&File::from(file))
}

#[pymethods]
impl RingWriter {
    #[new]
    #[pyo3(signature = (fd, /))]
    fn new(fd: RawFd) -> PyResult<Self> {
        open(fd)
            .map(|writer| Self(Mutex::new(writer)))
            .map_err(|error| of_protocol(&error))
    }

    /// Keeps a report in the shared memory until the next one is sent; false if there is no room for it.
    #[pyo3(signature = (kind, payload, sequence, duration_ns=0, status=0))]
    fn queue(
        &self,
        kind: u16,
        payload: &[u8],
        sequence: u64,
        duration_ns: u64,
        status: u8,
    ) -> PyResult<bool> {
        let header = header(kind, sequence, duration_ns, status).map_err(|e| of_protocol(&e))?;
        Ok(self.writer().queue(header, payload))
    }

    /// The bytes to send for a report: what waited, its header, and its payload unless that went into the ring.
    #[pyo3(signature = (kind, payload, sequence, duration_ns=0, status=0))]
    fn frame<'py>(
        &self,
        py: Python<'py>,
        kind: u16,
        payload: &[u8],
        sequence: u64,
        duration_ns: u64,
        status: u8,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let frame = header(kind, sequence, duration_ns, status)
            .and_then(|header| self.writer().frame(header, payload))
            .map_err(|error| of_protocol(&error))?;
        Ok(PyBytes::new(py, &frame))
    }

    /// Says that so many bytes were sent: all that the last `frame` gave.
    #[pyo3(signature = (size, /))]
    fn sent(&self, size: usize) {
        self.writer().sent(size);
    }
}
