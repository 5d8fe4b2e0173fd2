//! pytest-cov over several workers, and over a selection.
//!
//! Each worker measures on its own, as under xdist; afterwards a session of pytest-cov's combines the files and reports. Coverage of a
//! part of the tests would look like coverage of all: where it is asked for on the command line everything runs, and where only the
//! configuration asks for it, it is left off while a part of the tests runs.

use std::process::{Command, Stdio};

use anyhow::Context;
use dx_py_daemon::LaunchSpec;

use crate::invocation::Invocation;
use crate::settings::Project;

/// Whether coverage is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Nobody asked for it.
    Absent,
    /// The command line asks for it.
    Asked,
    /// pytest's configuration, or `PYTEST_ADDOPTS`, asks for it.
    Configured,
}

impl Coverage {
    /// What the arguments and the configuration ask for.
    pub fn of(invocation: &Invocation, project: &Project) -> Self {
        let configured = project.addopts();
        Self::from_words(
            invocation.options.iter().map(String::as_str),
            configured.iter().map(String::as_str),
        )
    }

    /// The arguments more that pytest needs to measure it, or not to.
    pub fn arguments(self, is_measured: bool) -> &'static [&'static str] {
        match self {
            Self::Asked | Self::Configured if !is_measured => &["--no-cov"],
            _ => &[],
        }
    }

    fn from_words<'a>(
        given: impl Iterator<Item = &'a str> + Clone,
        configured: impl Iterator<Item = &'a str> + Clone,
    ) -> Self {
        let measures = |word: &str| word == "--cov" || word.starts_with("--cov=");
        if given
            .clone()
            .chain(configured.clone())
            .any(|word| word == "--no-cov")
        {
            Self::Absent
        } else if given.clone().any(measures) {
            Self::Asked
        } else if configured.clone().any(measures) {
            Self::Configured
        } else {
            Self::Absent
        }
    }
}

/// What pytest-cov says at the end.
#[derive(Debug)]
pub struct Report {
    /// Its text for the terminal.
    pub text: String,
    /// Whether there is a report, and the coverage is as much as `--cov-fail-under` wants.
    pub is_good: bool,
}

/// Combines what the workers measured, and reports it as the options say.
///
/// # Errors
/// If the interpreter can't be started.
pub fn report(spec: &LaunchSpec) -> anyhow::Result<Report> {
    let output = Command::new(&spec.python)
        .arg(spec.worker_dir.join("dx_py_test_runner/boot.py"))
        .args(["report", "--"])
        .args(&spec.pytest_args)
        .current_dir(&spec.cwd)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("can't start {}", spec.python.display()))?;
    // Its warnings are that nothing ran, which is so; what went wrong is told.
    let is_there = matches!(output.status.code(), Some(0 | 1 | 5));
    if !is_there {
        eprint!(
            "the coverage can't be reported:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(Report {
        text: String::from_utf8_lossy(&output.stdout).into_owned(),
        is_good: is_there && output.status.code() != Some(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_counts_before_the_configuration() {
        let of = |given: &[&'static str], configured: &[&'static str]| {
            Coverage::from_words(given.iter().copied(), configured.iter().copied())
        };
        assert_eq!(of(&[], &["-ra"]), Coverage::Absent);
        assert_eq!(of(&["--cov=x"], &[]), Coverage::Asked);
        assert_eq!(of(&[], &["--cov"]), Coverage::Configured);
        assert_eq!(of(&["--no-cov"], &["--cov"]), Coverage::Absent);
        assert_eq!(of(&["--cov-report=xml"], &[]), Coverage::Absent);
    }
}
