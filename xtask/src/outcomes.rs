//! What pytest's runs agree on, and what of a run of dx-py's isn't in agreement with it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The outcome of each test.
pub type Outcomes = BTreeMap<String, String>;

/// One run of pytest.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// The outcome of each test.
    pub outcomes: Outcomes,
    /// The exit code.
    pub code: i32,
    /// Wall time.
    pub seconds: f64,
}

impl Run {
    /// Whether pytest could run the tests: it ended with 0 or 1.
    pub fn has_run(&self) -> bool {
        matches!(self.code, 0 | 1)
    }

    /// The form in which it is kept.
    pub fn to_json(&self) -> Value {
        json!({"outcomes": self.outcomes, "code": self.code, "seconds": self.seconds})
    }

    /// Reads that form.
    ///
    /// # Errors
    /// If it is another one.
    pub fn from_json(value: &Value) -> Result<Self> {
        Ok(Self {
            outcomes: serde_json::from_value(value["outcomes"].clone())?,
            code: serde_json::from_value(value["code"].clone())?,
            seconds: value["seconds"].as_f64().context("no wall time")?,
        })
    }
}

/// A test of which two runs say different things; none where the test isn't there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// The test, or all tests of a function whose IDs change from run to run.
    pub test: String,
    /// What pytest says.
    pub expected: Option<String>,
    /// What dx-py says.
    pub got: Option<String>,
}

/// What pytest says in several runs.
#[derive(Debug)]
pub struct Oracle {
    /// What all runs say.
    pub stable: Outcomes,
    /// Tests that are there in each run, with different outcomes.
    pub wavering: BTreeSet<String>,
    /// Functions whose tests aren't the same in each run, since their IDs hold the time or an address: by function, the sorted
    /// outcomes of those tests in each run.
    changing: BTreeMap<String, BTreeSet<Vec<String>>>,
    /// The IDs of such tests.
    pub passing_by: BTreeSet<String>,
    /// The exit codes.
    pub codes: BTreeSet<i32>,
    /// The wall time of the fastest run.
    pub seconds: f64,
}

fn function(test: &str) -> &str {
    test.split('[').next().unwrap_or(test)
}

impl Oracle {
    /// Joins runs.
    pub fn new(runs: &[Run]) -> Self {
        let all: BTreeSet<&String> = runs.iter().flat_map(|run| run.outcomes.keys()).collect();
        let mut oracle = Self {
            stable: Outcomes::new(),
            wavering: BTreeSet::new(),
            changing: BTreeMap::new(),
            passing_by: BTreeSet::new(),
            codes: runs.iter().map(|run| run.code).collect(),
            seconds: runs.iter().map(|run| run.seconds).fold(f64::MAX, f64::min),
        };
        for test in all {
            let outcomes: BTreeSet<Option<&String>> =
                runs.iter().map(|run| run.outcomes.get(test)).collect();
            if outcomes.contains(&None) {
                oracle.passing_by.insert(test.clone());
                oracle
                    .changing
                    .entry(function(test).to_owned())
                    .or_default();
            } else if let [Some(outcome)] = outcomes.iter().collect::<Vec<_>>()[..] {
                oracle.stable.insert(test.clone(), (*outcome).clone());
            } else {
                oracle.wavering.insert(test.clone());
            }
        }
        for run in runs {
            let found = oracle.of_changing(&run.outcomes);
            for (name, outcomes) in found {
                oracle.changing.entry(name).or_default().insert(outcomes);
            }
        }
        oracle
    }

    /// How many tests pytest has, and how many of them are unstable.
    pub fn counts(&self) -> (usize, usize) {
        let changing = self
            .changing
            .values()
            .map(|seen| seen.iter().map(Vec::len).max().unwrap_or(0));
        let unstable = self.wavering.len() + changing.sum::<usize>();
        (self.stable.len() + unstable, unstable)
    }

    /// The outcomes of the tests that aren't in all runs, by function.
    fn of_changing(&self, outcomes: &Outcomes) -> BTreeMap<String, Vec<String>> {
        let mut found: BTreeMap<String, Vec<String>> = self
            .changing
            .keys()
            .map(|name| (name.clone(), Vec::new()))
            .collect();
        for (test, outcome) in outcomes {
            if !self.stable.contains_key(test)
                && !self.wavering.contains(test)
                && let Some(list) = found.get_mut(function(test))
            {
                list.push(outcome.clone());
            }
        }
        for list in found.values_mut() {
            list.sort();
        }
        found
    }

    /// What differs. Of tests with changing IDs, as many as in one of pytest's runs must be there, with the same outcomes.
    pub fn differences(&self, got: &Outcomes) -> Vec<Difference> {
        let mut different = Vec::new();
        let ids: BTreeSet<&String> = self.stable.keys().chain(got.keys()).collect();
        for test in ids {
            let (expected, found) = (self.stable.get(test), got.get(test));
            let free =
                self.wavering.contains(test) || expected.is_none() && self.changes(function(test));
            if expected != found && !free {
                different.push(Difference {
                    test: test.clone(),
                    expected: expected.cloned(),
                    got: found.cloned(),
                });
            }
        }
        for test in &self.wavering {
            if !got.contains_key(test) {
                different.push(Difference {
                    test: test.clone(),
                    expected: Some("one outcome or another".into()),
                    got: None,
                });
            }
        }
        for (name, outcomes) in self.of_changing(got) {
            let seen = &self.changing[&name];
            let known = seen.contains(&outcomes)
                || seen.len() > 1 && seen.iter().any(|one| one.len() == outcomes.len());
            if !known {
                different.push(Difference {
                    test: format!("{name}[…]"),
                    expected: seen.iter().next().map(|one| one.join(", ")),
                    got: Some(outcomes.join(", ")),
                });
            }
        }
        different.sort();
        different
    }

    fn changes(&self, name: &str) -> bool {
        self.changing.contains_key(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(tests: &[(&str, &str)]) -> Run {
        let pairs = tests.iter();
        Run {
            outcomes: pairs
                .map(|(test, outcome)| ((*test).to_owned(), (*outcome).to_owned()))
                .collect(),
            ..Run::default()
        }
    }

    #[test]
    fn ids_with_the_time_of_day_are_unstable_on_both_sides() {
        let oracle = Oracle::new(&[
            run(&[("t::a", "passed"), ("t::b[x-10:01]", "passed")]),
            run(&[("t::a", "passed"), ("t::b[x-10:02]", "passed")]),
        ]);
        assert_eq!(oracle.counts(), (2, 1));
        let same = run(&[("t::a", "passed"), ("t::b[x-10:03]", "passed")]);
        assert!(oracle.differences(&same.outcomes).is_empty());
        let failed = run(&[("t::a", "passed"), ("t::b[x-10:03]", "failed")]);
        assert_eq!(oracle.differences(&failed.outcomes).len(), 1);
        let lost = run(&[("t::a", "passed")]);
        assert_eq!(oracle.differences(&lost.outcomes).len(), 1);
    }

    #[test]
    fn what_wavers_in_pytest_may_waver_but_must_be_there() {
        let oracle = Oracle::new(&[run(&[("t::a", "passed")]), run(&[("t::a", "failed")])]);
        assert!(
            oracle
                .differences(&run(&[("t::a", "failed")]).outcomes)
                .is_empty()
        );
        assert_eq!(oracle.differences(&Outcomes::new()).len(), 1);
    }

    #[test]
    fn tests_that_only_one_side_has_differ() {
        let oracle = Oracle::new(&[run(&[("t::a[1]", "passed")]), run(&[("t::a[1]", "passed")])]);
        let got = run(&[("t::a[2]", "passed")]);
        assert_eq!(oracle.differences(&got.outcomes).len(), 2);
    }
}
