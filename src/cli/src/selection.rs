//! Which tests a run is about: patterns, `-k`, `-m`, `--lf`, `--changed-since`.
//!
//! This says nothing of fresh or dirty: a test that is left out here isn't run and isn't reported.

use std::collections::BTreeSet;
use std::iter::zip;
use std::path::{Path, PathBuf};

use dx_py_catalog::Keywords;
use dx_py_core::{Marker, RelPath, TestId, TestStatus};
use globset::{GlobBuilder, GlobMatcher};

use crate::expression::{Expression, ExpressionError};
use crate::named::Named;
use crate::shard::Shard;

/// A pattern, an expression or a revision can't be used. pytest's exit code for it is 4.
#[derive(Debug, thiserror::Error)]
pub enum SelectionError {
    /// A path that isn't there.
    #[error("file or directory not found: {0}")]
    NotFound(String),
    /// A test that isn't in its file.
    #[error("not found: {id}{hint}")]
    NoSuchTest {
        /// Its node ID.
        id: String,
        /// What may have been meant, on a line of its own.
        hint: String,
    },
    /// An invalid glob.
    #[error("the pattern `{pattern}` is not a valid glob: {source}")]
    Glob {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: globset::Error,
    },
    /// An invalid `-k` or `-m`.
    #[error("Wrong expression passed to '{flag}': {text}: {source}")]
    Expression {
        /// `-k` or `-m`.
        flag: &'static str,
        /// The expression.
        text: String,
        /// What is wrong with it.
        source: ExpressionError,
    },
}

/// A file or folder, and the rest of a node ID.
#[derive(Clone, Debug)]
pub struct Place {
    /// The file or folder.
    pub path: RelPath,
    /// The rest; empty if all tests there are meant.
    pub rest: String,
    /// Both, as the user said it.
    pub text: String,
}

impl Place {
    /// Whether a test is meant.
    pub fn includes(&self, test: &TestId) -> bool {
        RelPath::from_text(test.file()).is_some_and(|file| file.is_within(&self.path))
            && (self.rest.is_empty() || name_matches(test.name(), &self.rest))
    }
}

enum Pattern {
    /// Tests at a place.
    Place(Place),
    /// A glob over whole node IDs.
    Glob(GlobMatcher),
}

/// What a run is about.
#[derive(Default)]
pub struct Selection {
    patterns: Vec<Pattern>,
    keywords: Option<Expression>,
    marks: Option<Expression>,
    last_failed: bool,
    shard: Option<Shard>,
    reached: Option<BTreeSet<TestId>>,
    reached_files: BTreeSet<RelPath>,
}

/// The names that `-k` looks into.
#[derive(Clone, Copy)]
pub enum Names<'a> {
    /// These.
    Listed(&'a [String]),
    /// Those of a record, if there is one.
    Recorded(Option<&'a Keywords>),
}

impl Names<'_> {
    fn match_to(self, expression: &Expression) -> bool {
        match self {
            Self::Listed(names) => expression.matches_keywords(names),
            // Of names that can't be read nobody can say that the user didn't mean them.
            Self::Recorded(keywords) => keywords
                .and_then(Keywords::names)
                .is_none_or(|names| expression.matches_keywords(&names)),
        }
    }
}

/// What selection asks of a test.
pub struct Candidate<'a> {
    /// Its ID.
    pub id: &'a TestId,
    /// The names that `-k` looks into.
    pub keywords: Names<'a>,
    /// Its marks.
    pub markers: &'a [Marker],
    /// The outcome of its last run.
    pub last: Option<TestStatus>,
}

impl Selection {
    /// Reads patterns and expressions. A pattern that names something that exists is a path or node ID; else, with a `*`, `?` or
    /// `[…]` in it, a glob over node IDs.
    ///
    /// # Errors
    /// If one can't be used.
    pub fn new(
        patterns: &[String],
        keywords: Option<&str>,
        marks: Option<&str>,
        root: &Path,
        cwd: &Path,
    ) -> Result<Self, SelectionError> {
        let patterns = patterns
            .iter()
            .map(|text| parse_pattern(text, root, cwd))
            .collect::<Result<_, _>>()?;
        let parse = |flag, text: Option<&str>| {
            text.filter(|text| !text.trim().is_empty())
                .map(|text| {
                    Expression::parse(text).map_err(|source| SelectionError::Expression {
                        flag,
                        text: text.to_owned(),
                        source,
                    })
                })
                .transpose()
        };
        Ok(Self {
            patterns,
            keywords: parse("-k", keywords)?,
            marks: parse("-m", marks)?,
            ..Self::default()
        })
    }

    /// Keep only tests whose last run failed.
    pub fn only_last_failed(&mut self) {
        self.last_failed = true;
    }

    /// Keep only the tests of one part of the files.
    pub fn only_shard(&mut self, shard: Shard) {
        self.shard = Some(shard);
    }

    /// Whether it is no fault if nothing is left: a part of the files may hold none, and changes may reach no test.
    pub fn may_be_empty(&self) -> bool {
        self.shard.is_some() || self.reached.is_some()
    }

    /// Keep only these tests, and those of these files.
    pub fn only_reached(&mut self, tests: BTreeSet<TestId>, files: BTreeSet<RelPath>) {
        self.reached = Some(tests);
        self.reached_files = files;
    }

    /// The existing files and folders that patterns name, for pytest, absolute.
    pub fn places(&self, root: &Path) -> Vec<PathBuf> {
        self.patterns
            .iter()
            .filter_map(|pattern| match pattern {
                Pattern::Place(place) => Some(place.path.to_path(root)),
                Pattern::Glob(_) => None,
            })
            .collect()
    }

    /// The tests that patterns name. None if something else chooses among them, too.
    pub fn named(&self) -> Named {
        let is_filtered = self.keywords.is_some() || self.marks.is_some() || self.last_failed;
        if is_filtered || self.may_be_empty() {
            return Named::default();
        }
        let places = self.patterns.iter().filter_map(|pattern| match pattern {
            Pattern::Place(place) if !place.rest.is_empty() => Some(place.clone()),
            _ => None,
        });
        places.collect()
    }

    /// Whether a pattern chooses by node IDs, wherever they are.
    pub fn has_globs(&self) -> bool {
        let mut patterns = self.patterns.iter();
        patterns.any(|pattern| matches!(pattern, Pattern::Glob(_)))
    }

    fn is_in_shard(&self, file: &str) -> bool {
        self.shard.is_none_or(|shard| shard.includes(file))
    }

    /// Whether tests of the file with this node ID can be meant.
    pub fn may_include_file(&self, file: &str) -> bool {
        if !self.is_in_shard(file) {
            return false;
        }
        self.patterns.is_empty()
            || self.patterns.iter().any(|pattern| match pattern {
                Pattern::Place(place) => {
                    RelPath::from_text(file).is_some_and(|file| file.is_within(&place.path))
                }
                Pattern::Glob(_) => true,
            })
    }

    /// How many tests are counted for files that may hold some that are meant.
    pub fn count_of<'a>(&self, counts: impl IntoIterator<Item = &'a (String, u32)>) -> usize {
        let meant = counts
            .into_iter()
            .filter(|(file, _)| self.may_include_file(file));
        meant.map(|(_, count)| *count as usize).sum()
    }

    /// Whether a report on the collector with this node ID (a file, a class, a folder) says something of the tests that are meant.
    pub fn concerns(&self, node: &str) -> bool {
        let (place, names) = node.split_once("::").unwrap_or((node, ""));
        let is_met = |pattern: &Pattern| match (pattern, RelPath::from_text(place)) {
            (Pattern::Glob(_), _) => true,
            (Pattern::Place(_), None) => false,
            // To a test that is named, pytest collects only what is around it.
            (Pattern::Place(Place { path, rest, .. }), Some(place))
                if names.is_empty() || rest.is_empty() =>
            {
                place.is_within(path) || names.is_empty() && path.is_within(&place)
            }
            (Pattern::Place(Place { path, rest, .. }), Some(place)) => {
                let mut both = zip(names.split("::"), rest.split("::"));
                place.is_within(path) && both.all(|(name, named)| name == named)
            }
        };
        self.is_in_shard(place) && (self.patterns.is_empty() || self.patterns.iter().any(is_met))
    }

    /// Whether the names that `-k` looks into have to be known.
    pub fn asks_for_keywords(&self) -> bool {
        self.keywords.is_some()
    }

    /// Whether the test is meant.
    pub fn includes(&self, test: &Candidate<'_>) -> bool {
        let by_pattern = self.patterns.is_empty()
            || self.patterns.iter().any(|pattern| match pattern {
                Pattern::Glob(glob) => glob.is_match(test.id.as_str()),
                Pattern::Place(place) => place.includes(test.id),
            });
        by_pattern
            && self.is_in_shard(test.id.file())
            && self
                .keywords
                .as_ref()
                .is_none_or(|expression| test.keywords.match_to(expression))
            && self
                .marks
                .as_ref()
                .is_none_or(|expression| expression.matches_markers(test.markers))
            && (!self.last_failed || test.last.is_some_and(TestStatus::is_bad))
            && self.reached.as_ref().is_none_or(|tests| {
                tests.contains(test.id)
                    || RelPath::from_text(test.id.file())
                        .is_some_and(|file| self.reached_files.contains(&file))
            })
    }
}

/// Whether a test's name is what `rest` names: itself, a class that holds it, or a function with any parameters.
fn name_matches(name: &str, rest: &str) -> bool {
    name.strip_prefix(rest)
        .is_some_and(|tail| tail.is_empty() || tail.starts_with("::") || tail.starts_with('['))
}

fn parse_pattern(text: &str, root: &Path, cwd: &Path) -> Result<Pattern, SelectionError> {
    let (place, rest) = text.split_once("::").unwrap_or((text, ""));
    let path = cwd.join(place);
    if path.exists() {
        let path = path.canonicalize().unwrap_or(path);
        if let Some(path) = RelPath::new(root, &path) {
            return Ok(Pattern::Place(Place {
                path,
                rest: rest.to_owned(),
                text: text.to_owned(),
            }));
        }
    }
    if !text.contains(['*', '?', '[']) {
        return Err(SelectionError::NotFound(text.to_owned()));
    }
    GlobBuilder::new(text)
        .literal_separator(false)
        .build()
        .map(|glob| Pattern::Glob(glob.compile_matcher()))
        .map_err(|source| SelectionError::Glob {
            pattern: text.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn selection(dir: &Path, patterns: &[&str]) -> Result<Selection, SelectionError> {
        let patterns: Vec<String> = patterns.iter().map(|text| (*text).to_owned()).collect();
        Selection::new(&patterns, None, None, dir, dir)
    }

    fn includes(selection: &Selection, id: &str) -> bool {
        selection.includes(&Candidate {
            id: &TestId::new(id),
            keywords: Names::Listed(&[]),
            markers: &[],
            last: None,
        })
    }

    #[test]
    fn patterns_are_paths_node_ids_or_globs() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        std::fs::create_dir(dir.join("tests")).unwrap();
        std::fs::write(dir.join("tests/test_a.py"), "").unwrap();
        let by = |pattern: &str, id: &str| includes(&selection(&dir, &[pattern]).unwrap(), id);
        assert!(by("tests", "tests/test_a.py::test_x"));
        assert!(by("tests/test_a.py", "tests/test_a.py::test_x"));
        assert!(!by("tests/test_a.py", "tests/test_ab.py::test_x"));
        assert!(by("tests/test_a.py::test_x", "tests/test_a.py::test_x[1]"));
        assert!(!by("tests/test_a.py::test_x", "tests/test_a.py::test_xy"));
        assert!(by(
            "tests/test_a.py::TestB",
            "tests/test_a.py::TestB::test_x"
        ));
        assert!(by("*test_x*", "tests/test_a.py::test_x[1]"));
        assert!(!by("*test_y*", "tests/test_a.py::test_x[1]"));
        let missing = selection(&dir, &["nowhere.py"]).err().unwrap();
        assert_eq!(
            missing.to_string(),
            "file or directory not found: nowhere.py"
        );
    }

    proptest! {
        // Property 18: test pattern filtering
        #[test]
        fn a_glob_keeps_exactly_the_ids_that_match_it(
            ids in prop::collection::vec("[ab]{1,4}", 1..20),
            prefix in "[ab]{0,2}",
            suffix in "[ab]{0,2}",
        ) {
            let dir = std::env::temp_dir();
            let pattern = format!("{prefix}*{suffix}");
            let selection = selection(&dir, &[&pattern]).unwrap();
            for id in ids {
                let expected = id.len() >= prefix.len() + suffix.len() && id.starts_with(&prefix) && id.ends_with(&suffix);
                prop_assert_eq!(includes(&selection, &id), expected, "{} over {}", pattern, id);
            }
        }
    }
}
