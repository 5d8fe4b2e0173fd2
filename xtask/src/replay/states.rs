//! The states of a walk: each commit, and what lies between it and the one before.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::paths::is_of_tests;

/// The files of a tree: mode and object of each path, as git has them.
pub type Files = BTreeMap<String, (String, String)>;

/// What a state is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The commit itself.
    Plain,
    /// The commit's source with the tests of the commit before.
    NewSource,
    /// The source of the commit before with the commit's tests.
    NewTests,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::NewSource => "new source, old tests",
            Self::NewTests => "old source, new tests",
        })
    }
}

/// The states for a commit, in their order: its source with the old tests, the commit, the old source with its tests. So each state
/// is an edit of one side only: the next commit's source comes to this commit's tests, which are there. A crossed state that is the
/// same as the commit before or after it, since the commit touches one side only, is left out.
pub fn states_of(old: Option<&Files>, new: &Files, crossed: bool) -> Vec<(Kind, Files)> {
    let mut states = vec![(Kind::Plain, new.clone())];
    if let Some(old) = old.filter(|_| crossed) {
        let (early, late) = (mixed(new, old), mixed(old, new));
        if early != *new && early != *old {
            states.insert(0, (Kind::NewSource, early));
        }
        if late != *new && late != *old {
            states.push((Kind::NewTests, late));
        }
    }
    states
}

/// The source of one tree with the tests of another.
fn mixed(source: &Files, tests: &Files) -> Files {
    let of_source = source.iter().filter(|(path, _)| !is_of_tests(path));
    let of_tests = tests.iter().filter(|(path, _)| is_of_tests(path));
    of_source
        .chain(of_tests)
        .map(|(path, file)| (path.clone(), file.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> Files {
        let list = list.iter();
        list.map(|(path, object)| {
            let file = ("100644".to_owned(), (*object).to_owned());
            ((*path).to_owned(), file)
        })
        .collect()
    }

    fn kinds(old: &Files, new: &Files) -> Vec<Kind> {
        let states = states_of(Some(old), new, true);
        states.into_iter().map(|(kind, _)| kind).collect()
    }

    #[test]
    fn a_commit_of_both_sides_is_crossed_both_ways() {
        let old = files(&[("a.py", "1"), ("tests/test_a.py", "1"), ("gone.py", "1")]);
        let new = files(&[
            ("a.py", "2"),
            ("tests/test_a.py", "2"),
            ("tests/test_b.py", "1"),
        ]);
        let states = states_of(Some(&old), &new, true);
        let expected = [
            (
                Kind::NewSource,
                files(&[("a.py", "2"), ("tests/test_a.py", "1")]),
            ),
            (Kind::Plain, new.clone()),
            (
                Kind::NewTests,
                files(&[
                    ("a.py", "1"),
                    ("gone.py", "1"),
                    ("tests/test_a.py", "2"),
                    ("tests/test_b.py", "1"),
                ]),
            ),
        ];
        assert_eq!(states, expected);
        assert_eq!(states_of(Some(&old), &new, false).len(), 1);
        assert_eq!(states_of(None, &new, true).len(), 1);
    }

    #[test]
    fn each_state_is_an_edit_of_one_side() {
        let trees = [
            files(&[("a.py", "1"), ("tests/test_a.py", "1")]),
            files(&[("a.py", "2"), ("tests/test_a.py", "2")]),
            files(&[("a.py", "3"), ("tests/test_a.py", "3")]),
        ];
        let mut walk = states_of(None, &trees[0], true);
        for pair in trees.windows(2) {
            walk.extend(states_of(Some(&pair[0]), &pair[1], true));
        }
        assert_eq!(walk.len(), 7);
        for pair in walk.windows(2) {
            let differs = |path: &str| pair[0].1.get(path) != pair[1].1.get(path);
            assert_ne!(differs("a.py"), differs("tests/test_a.py"));
        }
    }

    #[test]
    fn a_commit_of_one_side_has_no_crossed_states() {
        let old = files(&[("a.py", "1"), ("tests/test_a.py", "1")]);
        let source = files(&[("a.py", "2"), ("tests/test_a.py", "1")]);
        let tests = files(&[("a.py", "1"), ("tests/test_a.py", "2")]);
        assert_eq!(kinds(&old, &source), [Kind::Plain]);
        assert_eq!(kinds(&old, &tests), [Kind::Plain]);
    }
}
