//! Tests that the user names by their IDs: one that isn't there is a mistake, and not a run with less to do.

use dx_py_core::{RelPath, TestId};

use crate::plan::Plan;
use crate::selection::{Place, SelectionError};
use crate::session::Session;

/// How much a name must be like another one to be what may have been meant, from 0 to 1.
const ALIKE: f32 = 0.6;

/// What was named and hasn't been found yet.
#[derive(Clone, Debug, Default)]
pub struct Named(Vec<Place>);

impl FromIterator<Place> for Named {
    fn from_iter<I: IntoIterator<Item = Place>>(places: I) -> Self {
        Self(places.into_iter().collect())
    }
}

impl Named {
    /// There is that test.
    pub fn meet(&mut self, test: &TestId) {
        self.0.retain(|place| !place.includes(test));
    }

    /// Of the file with this node ID it can't be told which tests there are.
    pub fn give_up(&mut self, file: &str) {
        let file = RelPath::from_text(file);
        let is_around = |place: &Place| {
            file.as_ref()
                .is_some_and(|file| file.is_within(&place.path))
        };
        self.0.retain(|place| !is_around(place));
    }

    /// What is left, as the user said it.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|place| &*place.text)
    }

    /// Fails if a test is named that isn't there, by what is known of files that aren't collected again: before anything runs, as pytest does.
    ///
    /// # Errors
    /// With the first of them.
    pub fn check(mut self, session: &Session, plan: &Plan) -> Result<(), SelectionError> {
        let left_out = session.file_list.iter().flat_map(|list| &list.deselected);
        let untold = left_out.map(|(file, _)| file);
        for file in untold.chain(plan.collected_files()) {
            self.give_up(file);
        }
        for place in &self.0 {
            let mut files = session.state.files.iter();
            let Some(file) = files.find(|file| file.path == place.path.as_str()) else {
                continue;
            };
            let mut tests = file.tests.iter();
            if tests.any(|test| place.includes(&test.id)) {
                continue;
            }
            let known = file.tests.iter().map(|test| test.id.name());
            return Err(SelectionError::NoSuchTest {
                id: place.text.clone(),
                hint: hint(&place.rest, known, place.path.as_str()),
            });
        }
        Ok(())
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
        let place = Place {
            path: RelPath::from_text("tests/test_a.py").unwrap(),
            rest: rest.to_owned(),
            text: format!("test_a.py::{rest}"),
        };
        Named::from_iter([place])
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
