//! `cargo xtask matrix`: the end-to-end tests under older and newer versions of Python and pytest, as far as the machine has them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::demo;
use crate::project::{root, run};

/// A part of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    number: u32,
    of: u32,
}

/// All tests.
const ALL: Part = Part { number: 1, of: 1 };

/// Pairs of Python and pytest, and which tests run there: all with the newest and with the oldest that are supported. Those between share
/// them, since what breaks in one of them alone is rare, and all of them take a quarter of an hour for each.
const PAIRS: [(&str, &str, Part); 5] = [
    ("3.14", "9.2.0", ALL),
    ("3.13", "9.2.0", ALL),
    ("3.9", "7.4.4", ALL),
    ("3.12", "8.4.2", Part { number: 2, of: 2 }),
    ("3.10", "8.0.2", Part { number: 1, of: 2 }),
];

/// The smallest part that is worth a start, one of so many.
const SMALLEST: u32 = 8;

/// How much time there is: a slow machine runs less of the matrix, not past its time.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// When it has to be done.
    pub until: Instant,
    /// How long all tests took with one pair, or a guess.
    pub whole: Duration,
}

impl Budget {
    /// The part of those tests that can be run from `now` on; none if it would be a very small one.
    fn cut(&self, part: Part, now: Instant) -> Option<Part> {
        let left = self.until.saturating_duration_since(now);
        let mut cut = part;
        while self.whole / cut.of > left {
            cut.of *= 2;
            if cut.of > SMALLEST {
                return None;
            }
        }
        Some(cut)
    }
}

/// An interpreter of that version: on `PATH`, or one that pyenv has installed.
pub fn interpreter(version: &str) -> Option<PathBuf> {
    let mut candidates = vec![PathBuf::from(format!("python{version}"))];
    let installed = std::env::home_dir().map(|home| home.join(".pyenv/versions"));
    for entry in std::fs::read_dir(installed?)
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&format!("{version}.")) {
            candidates.push(entry.path().join("bin/python3"));
        }
    }
    candidates.into_iter().find(|python| works(python, version))
}

fn works(python: &Path, version: &str) -> bool {
    let code = "import sys, venv; print('%d.%d' % sys.version_info[:2])";
    Command::new(python)
        .args(["-c", code])
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == version)
}

/// Runs it; says which versions the machine doesn't have, and what there was no time for.
///
/// # Errors
/// At the first pair whose tests fail.
pub fn matrix(mut budget: Option<Budget>) -> Result<()> {
    for (version, pytest, tests) in PAIRS {
        let Some(python) = interpreter(version) else {
            println!("\n══ Python {version} isn't on this machine: left out");
            continue;
        };
        let began = Instant::now();
        let part = match &budget {
            Some(budget) => budget.cut(tests, began),
            None => Some(tests),
        };
        let Some(part) = part else {
            println!("\n══ end-to-end tests: no time is left for Python {version}");
            continue;
        };
        let Part { number, of } = part;
        let cut = if part == tests {
            ""
        } else {
            ", for lack of time"
        };
        println!(
            "\n══ end-to-end tests: Python {version}, pytest {pytest}, part {number} of {of}{cut}"
        );
        let packages = format!("pytest=={pytest}\n");
        let venv = demo::environment_of(&format!("matrix/{version}"), &python, &packages)?;
        run(Command::new("cargo")
            .args(["nextest", "run", "-p", "dx-py", "--no-fail-fast"])
            .args(["-E", "not test(plugins::)"])
            .args(["--partition", &format!("hash:{number}/{of}")])
            .args(["--status-level", "fail"])
            .env("DX_TEST_PYTHON", venv.join("bin/python"))
            .current_dir(root()))?;
        if let Some(budget) = &mut budget {
            budget.whole = began.elapsed() * of;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_cut_to_the_time_that_is_left() {
        let now = Instant::now();
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let half = Part { number: 2, of: 2 };
        let cut = |left: u64, part: Part| {
            let budget = Budget {
                until: now + minutes(left),
                whole: minutes(16),
            };
            budget.cut(part, now).map(|part| (part.number, part.of))
        };
        assert_eq!(cut(16, ALL), Some((1, 1)));
        assert_eq!(cut(15, ALL), Some((1, 2)));
        assert_eq!(cut(15, half), Some((2, 2)));
        assert_eq!(cut(7, half), Some((2, 4)));
        assert_eq!(cut(2, ALL), Some((1, 8)));
        assert_eq!(cut(1, ALL), None);
        let late = Budget {
            until: now,
            whole: minutes(16),
        };
        assert_eq!(late.cut(ALL, now + minutes(1)), None);
    }
}
