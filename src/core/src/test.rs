//! What a test is called and what is known of it before it runs.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::RelPath;

/// A test ID: pytest's node ID, such as `tests/test_a.py::TestB::test_c[x-1]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TestId(Arc<str>);

impl TestId {
    /// The ID with that text.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first `::`: the file, relative to pytest's root directory.
    pub fn file(&self) -> &str {
        self.0.split_once("::").map_or(&*self.0, |(file, _)| file)
    }

    /// The test function, whatever its parameters: the part before the first `[`.
    pub fn function(&self) -> &str {
        self.0
            .split_once('[')
            .map_or(&*self.0, |(function, _)| function)
    }

    /// The part after the first `::`, empty if there is none.
    pub fn name(&self) -> &str {
        self.0.split_once("::").map_or("", |(_, name)| name)
    }
}

impl fmt::Display for TestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// Names a fixture: the file that defines it and the name that tests ask for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FixtureId {
    /// The file of the definition.
    pub file: RelPath,
    /// The fixture's name.
    pub name: String,
}

/// A mark on a test, such as `@pytest.mark.skipif(condition, reason="…")`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Marker {
    /// The name after `pytest.mark.`.
    pub name: String,
    /// The source or `repr` of the positional arguments.
    pub args: Vec<String>,
    /// The names and the source or `repr` of the keyword arguments.
    pub kwargs: Vec<(String, String)>,
}

impl Marker {
    /// A mark without arguments.
    pub fn bare(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            args: Vec::new(),
            kwargs: Vec::new(),
        }
    }
}

/// A test that discovery found in a source, or that a worker collected. A parametrised function that only discovery has seen
/// is one test case; collected, it is one for each set of parameters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TestCase {
    /// The test ID.
    pub id: TestId,
    /// The file that defines it.
    pub file: RelPath,
    /// The class, if it is a method; nested classes are joined by `::`.
    pub class: Option<String>,
    /// The function's name, without parameters.
    pub function: String,
    /// The line of `def`, from 1.
    pub line: u32,
    /// The marks written on the function and on its classes, the nearest first.
    pub markers: Vec<Marker>,
}
