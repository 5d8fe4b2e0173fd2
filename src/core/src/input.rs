//! What the outcome of a test can depend on.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// Something that an outcome depends on and whose state now has a digest. Paths are relative to the project's root where they lie
/// below it, else absolute, so that sets of inputs mean the same on every machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Input {
    /// The content of a file, or its absence.
    File(String),
    /// The slice of a test: the part of a file that it can reach, by the file's path, `::` and the function's name. A change of the
    /// file that leaves it as it is doesn't count. Behind a `|` follow the names, with commas, of the only variables of the file that
    /// count as shared by its tests, where it was seen what these leave behind.
    Slice(String),
    /// The functions of one name in a file of the project, by the file's path, `::` and the name; with no name all of the file but the
    /// bodies of its functions. A change of the file that leaves all those that a test reached as they are doesn't count.
    Symbol(String),
    /// What kind of thing a path is: a file, a folder, nothing.
    Existence(String),
    /// The names in a folder with their kinds.
    Listing(String),
    /// The names in a folder that matter to collection: folders and Python files.
    PythonListing(String),
    /// The sections of a configuration file that pytest reads.
    PytestSection(String),
    /// Where a top-level module comes from: the first entry of the interpreter's path that has it.
    ModuleOrigin(String),
    /// The value of an environment variable.
    Variable(String),
    /// Interpreter, platform, `.pth` files and `pyvenv.cfg`.
    Interpreter,
    /// The pytest plugins that installed distributions declare.
    Plugins,
    /// What the invocation says that bears on outcomes: arguments passed on to pytest, `CI`, working directory, umask …
    Invocation,
    /// The content of every file below the root.
    Project,
    /// Something that no digest stands for (the network, say): never equal to anything.
    Unknowable(String),
}

/// Before the name of functions of a symbol whose code was looked at and not run.
pub const LOOKED_AT: char = '=';

impl Input {
    /// The name of the kind and the key, as the catalog stores them.
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::File(path) => ("file", path),
            Self::Slice(place) => ("slice", place),
            Self::Symbol(place) => ("symbol", place),
            Self::Existence(path) => ("existence", path),
            Self::Listing(path) => ("listing", path),
            Self::PythonListing(path) => ("python-listing", path),
            Self::PytestSection(path) => ("pytest-section", path),
            Self::ModuleOrigin(name) => ("module-origin", name),
            Self::Variable(name) => ("variable", name),
            Self::Interpreter => ("interpreter", ""),
            Self::Plugins => ("plugins", ""),
            Self::Invocation => ("invocation", ""),
            Self::Project => ("project", ""),
            Self::Unknowable(what) => ("unknowable", what),
        }
    }

    /// The slice of the test functions of that name in a file.
    pub fn slice(file: &str, function: &str) -> Self {
        Self::Slice(format!("{file}::{function}"))
    }

    /// The same where it was seen what tests leave behind, and it was in these variables alone: behind each the test functions that did, or
    /// none if any that mentions it may have.
    pub fn slice_by_leftovers<'a>(
        file: &str,
        function: &str,
        variables: impl IntoIterator<Item = (&'a str, Vec<&'a str>)>,
    ) -> Self {
        let variables = variables.into_iter();
        let said = variables.map(|(name, leavers)| match leavers.is_empty() {
            true => name.to_owned(),
            false => format!("{name}={}", leavers.join("+")),
        });
        let said: Vec<String> = said.collect();
        Self::Slice(format!("{file}::{function}|{}", said.join(",")))
    }

    /// Whether it is a part of a file that only stands for what a test reaches where it was seen what tests run and leave.
    pub fn needs_functions_seen(&self) -> bool {
        match self {
            Self::Symbol(_) => true,
            Self::Slice(_) => self
                .part_of_file()
                .is_some_and(|(_, part)| part.contains('|')),
            _ => false,
        }
    }

    /// The functions of that name in a file; if it is empty, what the file is without the bodies of its functions.
    pub fn symbol(file: &str, name: &str) -> Self {
        Self::Symbol(format!("{file}::{name}"))
    }

    /// The code of functions of that name in a file, which was looked at and not run.
    pub fn code_of(file: &str, name: &str) -> Self {
        Self::Symbol(format!("{file}::{LOOKED_AT}{name}"))
    }

    /// Of a slice or a symbol the file that it is a part of, and the name of the functions; none for other inputs.
    pub fn part_of_file(&self) -> Option<(&str, &str)> {
        match self {
            Self::Slice(place) | Self::Symbol(place) => place.split_once("::"),
            _ => None,
        }
    }

    /// Whether it is a part of a file: a slice or a symbol.
    pub fn is_part(&self) -> bool {
        matches!(self, Self::Slice(_) | Self::Symbol(_))
    }

    /// Whether it is a part of that file. Nothing is searched for, which matters where each of many inputs is asked.
    pub fn is_part_of(&self, file: &str) -> bool {
        match self {
            Self::Slice(place) | Self::Symbol(place) => place
                .strip_prefix(file)
                .is_some_and(|rest| rest.starts_with("::")),
            _ => false,
        }
    }

    /// The input that [`Input::parts`] took apart; `None` for a kind that this version doesn't know.
    pub fn from_parts(kind: &str, key: &str) -> Option<Self> {
        let key = key.to_owned();
        Some(match kind {
            "file" => Self::File(key),
            "slice" => Self::Slice(key),
            "symbol" => Self::Symbol(key),
            "existence" => Self::Existence(key),
            "listing" => Self::Listing(key),
            "python-listing" => Self::PythonListing(key),
            "pytest-section" => Self::PytestSection(key),
            "module-origin" => Self::ModuleOrigin(key),
            "variable" => Self::Variable(key),
            "interpreter" => Self::Interpreter,
            "plugins" => Self::Plugins,
            "invocation" => Self::Invocation,
            "project" => Self::Project,
            "unknowable" => Self::Unknowable(key),
            _ => return None,
        })
    }
}

/// What is said before the slash of a folder.
fn folder(path: &str) -> &str {
    match path {
        "" => ".",
        "/" => "",
        path => path,
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.write_str(path),
            Self::Slice(place) => {
                let test = place.split_once('|').map_or(&**place, |(test, _)| test);
                write!(f, "what {test} uses of its file")
            }
            // What isn't in a function, or all of it.
            Self::Symbol(place) => {
                let place = place.trim_end_matches("::").trim_end_matches("::*");
                match place.split_once("::") {
                    Some((file, name)) => {
                        write!(f, "{file}::{}", name.trim_start_matches(LOOKED_AT))
                    }
                    None => f.write_str(place),
                }
            }
            Self::Existence(path) => write!(f, "existence of {path}"),
            Self::Listing(path) => write!(f, "names in {}/", folder(path)),
            Self::PythonListing(path) => write!(f, "Python files in {}/", folder(path)),
            Self::PytestSection(path) => write!(f, "pytest's settings in {path}"),
            Self::ModuleOrigin(name) => write!(f, "where module `{name}` comes from"),
            Self::Variable(name) if name == "*" => f.write_str("an environment variable"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Interpreter => f.write_str("the Python interpreter"),
            Self::Plugins => f.write_str("the installed pytest plugins"),
            Self::Invocation => f.write_str("the invocation"),
            Self::Project => f.write_str("some file of the project"),
            Self::Unknowable(what) => f.write_str(what),
        }
    }
}

/// An input together with the digest that it had at some moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fact {
    /// The input.
    pub input: Input,
    /// Its digest at that moment.
    pub digest: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projects_root_is_told_from_that_of_the_system() {
        for (path, said) in [("", "./"), ("/", "/"), ("a/b", "a/b/"), ("/a", "/a/")] {
            let listing = Input::Listing(path.to_owned()).to_string();
            assert_eq!(listing, format!("names in {said}"));
            let listing = Input::PythonListing(path.to_owned()).to_string();
            assert_eq!(listing, format!("Python files in {said}"));
        }
    }

    #[test]
    fn every_input_comes_back_from_its_parts() {
        let key = || "a/b".to_owned();
        let inputs = [
            Input::File(key()),
            Input::Slice(key()),
            Input::Symbol(key()),
            Input::Existence(key()),
            Input::Listing(key()),
            Input::PythonListing(key()),
            Input::PytestSection(key()),
            Input::ModuleOrigin(key()),
            Input::Variable(key()),
            Input::Interpreter,
            Input::Plugins,
            Input::Invocation,
            Input::Project,
            Input::Unknowable(key()),
        ];
        for input in inputs {
            let (kind, text) = input.parts();
            assert_eq!(Input::from_parts(kind, text), Some(input.clone()));
        }
        assert_eq!(Input::from_parts("moon", "full"), None);
    }

    #[test]
    fn parts_are_of_one_file() {
        let part = Input::symbol("a/b.py", "A.f");
        assert_eq!(part.part_of_file(), Some(("a/b.py", "A.f")));
        assert!(part.is_part() && part.is_part_of("a/b.py"));
        assert!(!part.is_part_of("a/b") && !part.is_part_of("b.py"));
        let file = Input::File("a/b.py".to_owned());
        assert!(!file.is_part() && !file.is_part_of("a/b.py"));
    }
}
