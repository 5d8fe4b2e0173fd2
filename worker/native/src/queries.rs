//! What is known of a project's sources and of its earlier runs, as tuples: `queries.py` gives them names.

use std::path::PathBuf;

use dx_py_catalog::{Catalog, CatalogError, HistoryRow, RunRow};
use dx_py_cli::library;
use dx_py_core::TestCase;
use pyo3::prelude::*;

use crate::errors::{of_catalog, of_query};

/// Name, positional arguments and keyword arguments, as the source has them.
type Mark = (String, Vec<String>, Vec<(String, String)>);
/// ID, file, line, class, function, marks, and whether pytest's configuration lets it collect the test.
type Found = (String, String, u32, Option<String>, String, Vec<Mark>, bool);
/// A file, and why it couldn't be read.
type Problem = (String, String);
/// Number, start in milliseconds since 1970, wall time in seconds, exit code, how many ran, how many were fresh, and the command.
type Run = (String, i64, Option<f64>, Option<u8>, usize, usize, String);
/// Test, run, the run's start in milliseconds since 1970, outcome, duration in seconds, and message.
type Outcome = (String, String, i64, &'static str, f64, String);

fn found((test, is_collected): (TestCase, bool)) -> Found {
    let marks = test
        .markers
        .into_iter()
        .map(|marker| (marker.name, marker.args, marker.kwargs));
    (
        test.id.as_str().to_owned(),
        test.file.as_str().to_owned(),
        test.line,
        test.class,
        test.function,
        marks.collect(),
        is_collected,
    )
}

/// The tests that the sources of the project around `folder` define, and the files that couldn't be read, each with the reason.
#[pyfunction]
pub fn discover(
    py: Python<'_>,
    folder: PathBuf,
    paths: Vec<PathBuf>,
) -> PyResult<(Vec<Found>, Vec<Problem>)> {
    py.detach(|| {
        let discovery = library::discover(&folder, &paths)?;
        let problems = discovery
            .problems
            .into_iter()
            .map(|(file, problem)| (file.as_str().to_owned(), problem));
        Ok((
            discovery.tests.into_iter().map(found).collect(),
            problems.collect(),
        ))
    })
    .map_err(|error| of_query(&error))
}

/// Reads from the records of the project around `folder`; an empty list if there are none.
fn read<T: Send>(
    py: Python<'_>,
    folder: PathBuf,
    rows: impl FnOnce(&Catalog) -> Result<Vec<T>, CatalogError> + Send,
) -> PyResult<Vec<T>> {
    py.detach(|| match library::records(&folder) {
        Ok(Some((catalog, _))) => rows(&catalog).map_err(|error| of_catalog(&error)),
        Ok(None) => Ok(Vec::new()),
        Err(error) => Err(of_query(&error)),
    })
}

/// The newest runs of the project around `folder`, at most `limit`.
#[pyfunction]
pub fn runs(py: Python<'_>, folder: PathBuf, limit: usize) -> PyResult<Vec<Run>> {
    let told = |run: RunRow| {
        (
            run.id.to_string(),
            run.started,
            run.wall.map(|wall| wall.as_secs_f64()),
            run.exit_code,
            run.ran,
            run.fresh,
            run.command,
        )
    };
    read(py, folder, |catalog| {
        Ok(catalog.runs(limit)?.into_iter().map(told).collect())
    })
}

/// The newest outcomes of the tests that `wanted` means, in the project around `folder`, at most `limit`.
#[pyfunction]
pub fn outcomes(
    py: Python<'_>,
    folder: PathBuf,
    wanted: String,
    limit: usize,
) -> PyResult<Vec<Outcome>> {
    let told = |row: HistoryRow| {
        (
            row.test,
            row.run.to_string(),
            row.started,
            row.status.as_str(),
            row.duration.as_secs_f64(),
            row.message,
        )
    };
    read(py, folder, |catalog| {
        let rows = catalog.history(library::is_meant(&wanted), limit)?;
        Ok(rows.into_iter().map(told).collect())
    })
}
