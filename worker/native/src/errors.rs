//! Errors as the exceptions of `dx_py_test_runner.errors`. The classes are Python's, so that they are there without this module too.

use std::error::Error;

use dx_py_catalog::CatalogError;
use dx_py_cli::library::QueryError;
use dx_py_protocol::ProtocolError;
use pyo3::PyErr;

mod raised {
    #![allow(missing_docs)] // The macro's types; the classes are documented where they are defined.
    pyo3::import_exception!(dx_py_test_runner.errors, CatalogError);
    pyo3::import_exception!(dx_py_test_runner.errors, ConfigurationError);
    pyo3::import_exception!(dx_py_test_runner.errors, PathError);
    pyo3::import_exception!(dx_py_test_runner.errors, RingError);
}

/// What went wrong, and why, as far as the text doesn't say it already.
fn text(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            text.push_str("\n  ");
            text.push_str(&told);
        }
        cause = error.source();
    }
    text
}

/// The exception for a question that can't be answered.
pub fn of_query(error: &QueryError) -> PyErr {
    let text = text(error);
    match error {
        QueryError::Settings(_) => raised::ConfigurationError::new_err(text),
        QueryError::Catalog(_) => raised::CatalogError::new_err(text),
        QueryError::NotFound { .. } | QueryError::Outside { .. } => {
            raised::PathError::new_err(text)
        }
    }
}

/// The exception for records that can't be read.
pub fn of_catalog(error: &CatalogError) -> PyErr {
    raised::CatalogError::new_err(text(error))
}

/// The exception for a ring or a report that isn't one.
pub fn of_protocol(error: &ProtocolError) -> PyErr {
    raised::RingError::new_err(text(error))
}
