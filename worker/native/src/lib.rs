//! The compiled part of the Python package `dx_py_test_runner`: what `dx-py` knows of sources and of earlier runs, its digest, and the
//! fast end of the ring. Users see it through the package, whose modules give names and types to what comes from here.
//!
//! Nothing here relies on the GIL, so the module says that it needs none; a second interpreter in one process is refused by PyO3, and
//! the package says so.

mod errors;
mod queries;
mod ring;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView, PyString};

use dx_py_core::Digest;
use dx_py_snapshot::index::digest_of;

/// From this size on, other threads may run while a digest is computed; below it, giving way costs more than the digest.
const WORTH_GIVING_WAY: usize = 16 << 10;

/// The BLAKE3 digest of anything that has a buffer of bytes: 32 bytes.
///
/// >>> import dx_py_test_runner as dx
/// >>> dx.blake3(b"").hex()
/// 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'
/// >>> dx.blake3(bytearray(b"x")) == dx.blake3(memoryview(b"x")) == dx.blake3(b"x")
/// True
#[pyfunction]
#[pyo3(signature = (data, /))]
fn blake3<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let py = data.py();
    // Only bytes can't change while they are read. Of everything else that has a buffer a copy is made.
    let data = match data.cast::<PyBytes>() {
        Ok(bytes) => bytes.clone(),
        Err(_) => PyMemoryView::from(data)?
            .call_method0("tobytes")?
            .cast_into::<PyBytes>()?,
    };
    let bytes = data.as_bytes();
    let digest = if bytes.len() < WORTH_GIVING_WAY {
        Digest::of(bytes)
    } else {
        py.detach(|| Digest::of(bytes))
    };
    Ok(PyBytes::new(py, &digest.0))
}

/// The hash of a snapshot, 32 bytes, by its kind and its content, which is `str` or `bytes`.
#[pyfunction]
#[pyo3(signature = (kind, content, /))]
fn snapshot_digest<'py>(kind: &str, content: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let digest = match content.cast::<PyString>() {
        Ok(text) => digest_of(kind, text.encode_utf8()?.as_bytes()),
        Err(_) => digest_of(kind, content.cast::<PyBytes>()?.as_bytes()),
    };
    Ok(PyBytes::new(content.py(), &digest.0))
}

/// The module.
#[pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use super::queries::{discover, outcomes, runs};
    #[pymodule_export]
    use super::ring::RingWriter;
    #[pymodule_export]
    use super::{blake3, snapshot_digest};

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
