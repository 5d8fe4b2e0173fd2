//! How workers run tests.

use std::fmt;
use std::str::FromStr;

/// What runs tests in a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// Loops of our own over pytest's objects, where nobody can tell the difference.
    #[default]
    Lean,
    /// pytest's protocol, with every hook.
    Pytest,
}

impl Engine {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lean => "lean",
            Self::Pytest => "pytest",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Lean, Self::Pytest]
            .into_iter()
            .find(|engine| engine.as_str() == text)
            .ok_or_else(|| "the engines are `lean` and `pytest`".to_owned())
    }
}
