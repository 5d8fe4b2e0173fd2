//! Fresh or dirty, and why.
//!
//! A test is fresh if some stored first-try pass has an input set in which every digest equals the digest now. Several passes are
//! kept for each test, so that going back to an earlier state needs no run.

use std::fmt;
use std::time::Duration;

use dx_py_core::{Digest, Fact, Input, RelPath, TestStatus, Verdict};

/// An input that isn't what it was at a recorded pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The input.
    pub input: Input,
    /// Its digest at the pass.
    pub before: Digest,
    /// Its digest now.
    pub now: Digest,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.input {
            Input::Unknowable(what) => write!(f, "it depends on {what}"),
            // All of the file counts now: it can't be parsed, say.
            Input::Slice(_) | Input::Symbol(_) if self.now.is_absent() => {
                let file = self.input.part_of_file().map_or("", |(file, _)| file);
                write!(f, "{file} changed")
            }
            input => {
                let how = match (self.before.is_absent(), self.now.is_absent()) {
                    (true, false) => "appeared",
                    (false, true) => "is gone",
                    _ => "changed",
                };
                write!(f, "{input} {how}")
            }
        }
    }
}

/// How a recorded input set compares with the digests now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetState {
    /// Every digest is the same.
    Holds,
    /// These aren't: at least one, those that tell a user most first.
    Broken(Vec<Change>),
}

impl SetState {
    /// Compares recorded facts with the digests now, given pairwise.
    pub fn compare<'a>(facts: impl IntoIterator<Item = (&'a Fact, Digest)>) -> Self {
        let changes: Vec<Change> = facts
            .into_iter()
            .filter(|(fact, now)| fact.digest != *now || matches!(fact.input, Input::Unknowable(_)))
            .map(|(fact, now)| Change {
                input: fact.input.clone(),
                before: fact.digest,
                now,
            })
            .collect();
        Self::of_changes(changes)
    }

    /// The state of a set of whose facts, and those of the set that it is within, only these `changes` were found, parts of files left
    /// aside. A file that changed doesn't count if the set has parts of it, slices or symbols, and they are the same: `parts` gives for
    /// it what isn't as it was among them; none if there are none. Only for changed files it is asked.
    pub fn in_parts<'a>(
        changes: impl IntoIterator<Item = &'a Change>,
        parts: impl Fn(&str) -> Option<Vec<Change>>,
    ) -> Self {
        let mut left: Vec<Change> = Vec::new();
        for change in changes {
            let in_parts = match &change.input {
                Input::File(file) => parts(file),
                _ => None,
            };
            match in_parts {
                Some(broken) => left.extend(broken),
                None => left.push(change.clone()),
            }
        }
        Self::of_changes(left)
    }

    /// The state of a set of these facts, parts of files among them; `now` gives digests.
    pub fn of_facts<'a>(
        facts: impl IntoIterator<Item = &'a Fact>,
        now: impl Fn(&Input) -> Digest,
    ) -> Self {
        let facts = facts.into_iter();
        let (parts, whole): (Vec<&Fact>, Vec<&Fact>) = facts.partition(|fact| fact.input.is_part());
        let whole = Self::compare(whole.into_iter().map(|fact| (fact, now(&fact.input))));
        Self::in_parts(whole.changes(), |file| {
            let of_file = parts.iter().filter(|fact| fact.input.is_part_of(file));
            let of_file: Vec<&Fact> = of_file.copied().collect();
            let state = || Self::compare(of_file.iter().map(|fact| (*fact, now(&fact.input))));
            (!of_file.is_empty()).then(|| state().changes().to_vec())
        })
    }

    /// What isn't as it was.
    pub fn changes(&self) -> &[Change] {
        match self {
            Self::Holds => &[],
            Self::Broken(changes) => changes,
        }
    }

    fn of_changes(mut changes: Vec<Change>) -> Self {
        if changes.is_empty() {
            return Self::Holds;
        }
        changes.sort_by(|a, b| (rank(&a.input), &a.input).cmp(&(rank(&b.input), &b.input)));
        Self::Broken(changes)
    }

    /// Whether every digest is the same.
    pub fn holds(&self) -> bool {
        matches!(self, Self::Holds)
    }

    /// The changes as a phrase: the first in full, and how many more there are.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Holds => None,
            Self::Broken(changes) => {
                let first = changes.first()?;
                Some(match changes.len() {
                    1 => first.to_string(),
                    2 => format!("{first} (and 1 more input)"),
                    count => format!("{first} (and {} more inputs)", count - 1),
                })
            }
        }
    }
}

/// Broad causes first, since they explain the rest; then files, then what is derived from them.
fn rank(input: &Input) -> u8 {
    match input {
        Input::Interpreter | Input::Plugins | Input::Invocation => 0,
        Input::PytestSection(_) => 1,
        Input::File(_) | Input::Slice(_) | Input::Symbol(_) => 2,
        Input::Variable(_) => 3,
        Input::Existence(_) | Input::Listing(_) | Input::PythonListing(_) => 4,
        Input::ModuleOrigin(_) => 5,
        Input::Project => 6,
        Input::Unknowable(_) => 7,
    }
}

/// A stored pass, with its input set compared.
#[derive(Clone, Debug)]
pub struct PassState<'a> {
    /// The recorded outcome.
    pub status: TestStatus,
    /// The recorded duration.
    pub duration: Duration,
    /// Its input set, compared.
    pub set: &'a SetState,
    /// A file that the test's file now reaches through its import statements and that the pass knew nothing of.
    pub unknown_import: Option<RelPath>,
    /// Whether it is older than passes may get.
    pub expired: bool,
}

/// What is known of a test when its verdict is asked for.
#[derive(Clone, Debug, Default)]
pub struct Subject<'a> {
    /// Its stored passes, the newest first.
    pub passes: Vec<PassState<'a>>,
    /// The outcome of its last run, if it ever ran.
    pub last: Option<TestStatus>,
    /// Why it is to run whatever is recorded, if the user said so.
    pub forced: Option<String>,
}

/// The verdict on one test.
pub fn verdict(subject: &Subject<'_>) -> Verdict {
    if let Some(reason) = &subject.forced {
        return Verdict::Dirty {
            reason: reason.clone(),
        };
    }
    let matching = subject
        .passes
        .iter()
        .find(|pass| pass.set.holds() && pass.unknown_import.is_none() && !pass.expired);
    if let Some(pass) = matching {
        return Verdict::Fresh {
            status: pass.status,
            duration: pass.duration,
        };
    }
    let reason = match (subject.last, subject.passes.first()) {
        (None, _) => "it never ran".to_owned(),
        (Some(status), _) if status.is_bad() => format!("{} at its last run", bad_verb(status)),
        (Some(_), None) => "its last run left no pass that can be reused".to_owned(),
        (Some(_), Some(pass)) => match (pass.set.reason(), &pass.unknown_import) {
            (Some(reason), _) => reason,
            (None, Some(file)) => format!("its imports now reach {file}"),
            (None, None) => "its recorded pass is too old".to_owned(),
        },
    };
    Verdict::Dirty { reason }
}

fn bad_verb(status: TestStatus) -> &'static str {
    match status {
        TestStatus::Error => "it had an error",
        _ => "it failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fact(name: &str, content: &str) -> Fact {
        Fact {
            input: Input::File(name.into()),
            digest: Digest::of(content.as_bytes()),
        }
    }

    fn pass(set: &SetState) -> PassState<'_> {
        PassState {
            status: TestStatus::Passed,
            duration: Duration::from_millis(1),
            set,
            unknown_import: None,
            expired: false,
        }
    }

    #[test]
    fn a_changed_file_counts_only_if_the_slice_of_it_changed() {
        let (file, other) = (fact("t.py", "1"), fact("lib.py", "1"));
        let slice = Change {
            input: Input::Slice("t.py::test_a".into()),
            before: Digest::of(b"s"),
            now: Digest::of(b"x"),
        };
        let state = |set: &SetState, parts: Option<&[Change]>| {
            SetState::in_parts(set.changes(), |file| {
                parts.filter(|_| file == "t.py").map(<[Change]>::to_vec)
            })
        };
        let edited = SetState::compare([(&file, Digest::of(b"2")), (&other, other.digest)]);
        assert!(state(&edited, Some(&[])).holds());
        assert_eq!(
            state(&edited, Some(&[slice])).reason().as_deref(),
            Some("what t.py::test_a uses of its file changed")
        );
        assert_eq!(state(&edited, None), edited);
        let both = SetState::compare([(&file, Digest::of(b"2")), (&other, Digest::of(b"2"))]);
        assert_eq!(
            state(&both, Some(&[])).reason().as_deref(),
            Some("lib.py changed")
        );
        let holds = SetState::compare([(&file, file.digest)]);
        let never = |_: &str| panic!("of a file that is as it was nobody asks for parts");
        assert!(SetState::in_parts(holds.changes(), never).holds());
    }

    #[test]
    fn parts_among_facts_count_for_their_own_file_alone() {
        let part = |place: &str| Fact {
            input: Input::Slice(place.into()),
            digest: Digest::of(b"s"),
        };
        let facts = [
            fact("t.py", "1"),
            part("t.py::test_a"),
            part("u.py::test_b"),
        ];
        let now = |slice: &'static [u8]| {
            let state = SetState::of_facts(&facts, |input| match input {
                Input::File(_) => Digest::of(b"2"),
                Input::Slice(place) if place.starts_with("t.py") => Digest::of(slice),
                _ => Digest::of(b"of a file that nobody asked for"),
            });
            state.reason()
        };
        assert_eq!(now(b"s"), None);
        let changed = "what t.py::test_a uses of its file changed";
        assert_eq!(now(b"x").as_deref(), Some(changed));
        let whole = SetState::of_facts(&facts[..1], |_| Digest::of(b"2"));
        assert_eq!(whole.reason().as_deref(), Some("t.py changed"));
    }

    #[test]
    fn an_older_pass_that_matches_makes_a_reverted_test_fresh() {
        let a = fact("a.py", "1");
        let broken = SetState::compare([(&a, Digest::of(b"2"))]);
        let holds = SetState::compare([(&a, a.digest)]);
        let subject = Subject {
            passes: vec![pass(&broken), pass(&holds)],
            last: Some(TestStatus::Failed),
            forced: None,
        };
        assert!(matches!(verdict(&subject), Verdict::Fresh { .. }));
    }

    #[test]
    fn reasons_name_what_changed() {
        let a = fact("a.py", "1");
        let gone = SetState::compare([(&a, Digest::ABSENT)]);
        assert_eq!(gone.reason().unwrap(), "a.py is gone");
        let network = Fact {
            input: Input::Unknowable("a connection to example.org".into()),
            digest: Digest::ABSENT,
        };
        let state = SetState::compare([(&network, Digest::ABSENT)]);
        assert_eq!(
            state.reason().unwrap(),
            "it depends on a connection to example.org"
        );
        let never = Subject::default();
        assert_eq!(
            verdict(&never),
            Verdict::Dirty {
                reason: "it never ran".into()
            }
        );
    }

    #[test]
    fn an_import_that_now_resolves_elsewhere_is_dirty_although_every_digest_holds() {
        let holds = SetState::Holds;
        let mut state = pass(&holds);
        state.unknown_import = RelPath::from_text("src/json.py");
        let subject = Subject {
            passes: vec![state],
            last: Some(TestStatus::Passed),
            forced: None,
        };
        assert_eq!(
            verdict(&subject),
            Verdict::Dirty {
                reason: "its imports now reach src/json.py".into()
            }
        );
    }

    proptest! {
        #[test]
        fn a_test_is_fresh_exactly_if_one_of_its_passes_matches_every_digest(
            now in prop::collection::vec(0u8..3, 4),
            sets in prop::collection::vec(prop::collection::btree_map(0usize..4, 0u8..3, 0..4), 0..4),
        ) {
            let states: Vec<SetState> = sets
                .iter()
                .map(|set| {
                    let facts: Vec<(Fact, Digest)> = set
                        .iter()
                        .map(|(file, content)| (fact(&file.to_string(), &content.to_string()), Digest::of(now[*file].to_string().as_bytes())))
                        .collect();
                    SetState::compare(facts.iter().map(|(fact, digest)| (fact, *digest)))
                })
                .collect();
            let expected = sets.iter().any(|set| set.iter().all(|(file, content)| now[*file] == *content));
            let subject = Subject { passes: states.iter().map(pass).collect(), last: Some(TestStatus::Passed), forced: None };
            prop_assert_eq!(matches!(verdict(&subject), Verdict::Fresh { .. }), expected);
        }
    }
}
