//! Tests that the user names by their IDs: one that isn't there is a mistake, and not a run with less to do.

use dx_py_core::{RelPath, TestId};

use crate::selection::{SelectionError, name_matches};
use crate::session::Session;

/// How much a name must be like another one to be what may have been meant, from 0 to 1.
const ALIKE: f32 = 0.6;

/// What was named and hasn't been found yet.
#[derive(Clone, Debug, Default)]
pub struct Named(Vec<Name>);

/// A file or folder, and the rest of a node ID.
#[derive(Clone, Debug)]
struct Name {
    /// As the user said it.
    text: String,
    path: RelPath,
    rest: String,
}

impl Named {
    /// Adds what the user said.
    pub fn add(&mut self, text: &str, path: &RelPath, rest: &str) {
        self.0.push(Name {
            text: text.to_owned(),
            path: path.clone(),
            rest: rest.to_owned(),
        });
    }

    /// There is that test.
    pub fn meet(&mut self, test: &TestId) {
        if !self.0.is_empty() {
            self.0.retain(|name| !name.is_met_by(test));
        }
    }

    /// Of the file with this node ID it can't be told which tests there are.
    pub fn give_up(&mut self, file: &str) {
        let file = RelPath::from_text(file);
        let is_around = |name: &Name| file.as_ref().is_some_and(|file| file.is_within(&name.path));
        self.0.retain(|name| !is_around(name));
    }

    /// What is left, as the user said it.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &*name.text)
    }

    /// Fails if a test is named that isn't there, by what is known of files that aren't collected again: before anything runs, as pytest does.
    ///
    /// # Errors
    /// With the first of them.
    pub fn check(
        &self,
        session: &Session,
        is_collected: impl Fn(&str) -> bool,
    ) -> Result<(), SelectionError> {
        for name in &self.0 {
            let mut files = session.state.files.iter();
            let Some(file) = files.find(|file| file.path == name.path.as_str()) else {
                continue;
            };
            let mut tests = file.tests.iter();
            if is_collected(&file.file) || tests.any(|test| name.is_met_by(&test.id)) {
                continue;
            }
            let known = file.tests.iter().map(|test| test.id.name());
            return Err(SelectionError::NoSuchTest {
                id: name.text.clone(),
                hint: hint(&name.rest, known, name.path.as_str()),
            });
        }
        Ok(())
    }
}

impl Name {
    fn is_met_by(&self, test: &TestId) -> bool {
        let file = RelPath::from_text(test.file());
        file.is_some_and(|file| file.is_within(&self.path)) && name_matches(test.name(), &self.rest)
    }
}

/// What may have been meant, to be put behind what wasn't found.
fn hint<'a>(rest: &str, known: impl Iterator<Item = &'a str>, file: &str) -> String {
    // With parameters, if the user says some; else each function is one.
    let known: Vec<&str> = match rest.contains('[') {
        true => known.collect(),
        false => known
            .map(|name| name.split_once('[').map_or(name, |(function, _)| function))
            .collect(),
    };
    match similar::get_close_matches(rest, &known, 1, ALIKE).first() {
        Some(name) => format!("\nDid you mean {file}::{name}?"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(rest: &str) -> Named {
        let mut named = Named::default();
        let path = RelPath::from_text("tests/test_a.py").unwrap();
        named.add(&format!("test_a.py::{rest}"), &path, rest);
        named
    }

    #[test]
    fn what_is_named_is_missing_until_it_is_met() {
        let mut one = named("test_x");
        one.meet(&TestId::new("tests/test_b.py::test_x"));
        one.meet(&TestId::new("tests/test_a.py::test_xy"));
        assert_eq!(one.missing().collect::<Vec<_>>(), ["test_a.py::test_x"]);
        one.meet(&TestId::new("tests/test_a.py::test_x[1]"));
        assert_eq!(one.missing().count(), 0);
        let mut other = named("TestX");
        other.give_up("tests/test_b.py");
        assert_eq!(other.missing().count(), 1);
        other.give_up("tests/test_a.py");
        assert_eq!(other.missing().count(), 0);
    }

    #[test]
    fn what_may_have_been_meant_is_told() {
        let known = ["TestB::test_close", "test_open[1]", "test_open[2]"];
        let told = |rest: &str| hint(rest, known.into_iter(), "test_a.py");
        assert_eq!(told("test_opne"), "\nDid you mean test_a.py::test_open?");
        assert_eq!(
            told("test_open[3]"),
            "\nDid you mean test_a.py::test_open[1]?"
        );
        assert_eq!(
            told("TestB::test_closed"),
            "\nDid you mean test_a.py::TestB::test_close?"
        );
        assert_eq!(told("nothing_like_it"), "");
    }
}
