//! What dx-py told of a state, against what pytest does.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::outcomes::{Oracle, Outcomes};
use crate::place::DxRun;

/// How dx-py and pytest disagree on a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sort {
    /// It was called fresh, and pytest comes to another outcome.
    Miss,
    /// pytest has it, and dx-py doesn't know of it.
    Unknown,
    /// dx-py still tells of it, and pytest doesn't have it.
    Lost,
    /// It ran, and came to another outcome than in pytest.
    Difference,
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Miss => "miss",
            Self::Unknown => "unknown",
            Self::Lost => "lost",
            Self::Difference => "difference",
        })
    }
}

/// A test on which they disagree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// How.
    pub sort: Sort,
    /// The test.
    pub test: String,
    /// What dx-py says; of a fresh test, what is recorded.
    pub told: Option<String>,
    /// What pytest says.
    pub truth: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |outcome: &Option<String>| outcome.clone().unwrap_or_else(|| "nothing".into());
        let (sort, test) = (self.sort, &self.test);
        let (told, truth) = (said(&self.told), said(&self.truth));
        write!(f, "{sort}: {test}: dx-py says {told}, pytest {truth}")
    }
}

/// Everything on which they disagree, but for what pytest itself isn't sure of.
pub fn compare(oracle: &Oracle, run: &DxRun) -> Vec<Finding> {
    let ran: BTreeSet<&String> = run.ran.iter().collect();
    let mut findings: Vec<Finding> = oracle
        .differences(&run.outcomes)
        .into_iter()
        .map(|one| {
            let is_fresh = run.outcomes.contains_key(&one.test) && !ran.contains(&one.test);
            let sort = match (&one.expected, &one.got) {
                (Some(_), None) => Sort::Unknown,
                (None, _) => Sort::Lost,
                _ if is_fresh => Sort::Miss,
                _ => Sort::Difference,
            };
            Finding {
                sort,
                test: one.test,
                told: one.got,
                truth: one.expected,
            }
        })
        .collect();
    if findings.is_empty() && !oracle.codes.contains(&run.code) {
        let codes: Vec<String> = oracle.codes.iter().map(i32::to_string).collect();
        findings.push(Finding {
            sort: Sort::Difference,
            test: "exit code".into(),
            told: Some(run.code.to_string()),
            truth: Some(codes.join(" or ")),
        });
    }
    findings.sort();
    findings
}

/// What changed in pytest's outcomes from one state to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Tests of both with different outcomes.
    pub changed: usize,
    /// Tests of the later one only.
    pub new: usize,
    /// Tests of the earlier one only.
    pub gone: usize,
}

impl Changes {
    /// Between two states.
    pub fn between(before: &Outcomes, now: &Outcomes) -> Self {
        let both = now.iter().filter(|(test, _)| before.contains_key(*test));
        let (known, changed) = both.fold((0, 0), |(known, changed), (test, outcome)| {
            let differs = before.get(test) != Some(outcome);
            (known + 1, changed + usize::from(differs))
        });
        Self {
            changed,
            new: now.len() - known,
            gone: before.len() - known,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcomes::Run;

    fn outcomes(tests: &[(&str, &str)]) -> Outcomes {
        let tests = tests.iter();
        tests
            .map(|(test, outcome)| ((*test).to_owned(), (*outcome).to_owned()))
            .collect()
    }

    fn oracle(runs: &[&[(&str, &str)]]) -> Oracle {
        let runs = runs.iter().map(|tests| Run {
            outcomes: outcomes(tests),
            ..Run::default()
        });
        Oracle::new(&runs.collect::<Vec<_>>())
    }

    fn dx(tests: &[(&str, &str)], ran: &[&str]) -> DxRun {
        DxRun {
            outcomes: outcomes(tests),
            ran: ran.iter().map(|test| (*test).to_owned()).collect(),
            ..DxRun::default()
        }
    }

    #[test]
    fn only_a_fresh_test_can_be_a_miss() {
        let truth: &[(&str, &str)] = &[("a", "failed"), ("b", "failed"), ("c", "passed")];
        let oracle = oracle(&[truth, truth]);
        let run = dx(&[("a", "passed"), ("b", "passed"), ("d", "passed")], &["b"]);
        let found: Vec<(Sort, String)> = compare(&oracle, &run)
            .into_iter()
            .map(|finding| (finding.sort, finding.test))
            .collect();
        let expected = [
            (Sort::Miss, "a"),
            (Sort::Unknown, "c"),
            (Sort::Lost, "d"),
            (Sort::Difference, "b"),
        ];
        assert_eq!(found, expected.map(|(sort, test)| (sort, test.to_owned())));
    }

    #[test]
    fn what_pytest_is_not_sure_of_is_left_out() {
        let oracle = oracle(&[
            &[("a", "passed"), ("b", "passed")],
            &[("a", "failed"), ("b", "passed")],
        ]);
        let run = dx(&[("a", "passed"), ("b", "passed")], &[]);
        assert_eq!(compare(&oracle, &run), []);
    }

    #[test]
    fn an_exit_code_that_nothing_explains_is_told() {
        let oracle = oracle(&[&[("a", "passed")]]);
        let run = DxRun {
            code: 1,
            ..dx(&[("a", "passed")], &[])
        };
        let found = compare(&oracle, &run);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].sort, Sort::Difference);
    }

    #[test]
    fn changes_are_counted_apart_from_new_and_gone_tests() {
        let before = outcomes(&[("a", "passed"), ("b", "passed"), ("c", "passed")]);
        let now = outcomes(&[("a", "failed"), ("b", "passed"), ("d", "passed")]);
        let expected = Changes {
            changed: 1,
            new: 1,
            gone: 1,
        };
        assert_eq!(Changes::between(&before, &now), expected);
    }
}
