//! What the command line says to pytest, taken apart: paths choose tests, everything else bears on outcomes.

use std::path::Path;

use dx_py_core::{Digest, Hasher};

use crate::settings::Project;

/// Short options of pytest that take a value in the next argument.
const SHORT_WITH_VALUE: &str = "cpoWkmrn";
/// Long options of pytest and its common plugins that take a value in the next argument, if it isn't joined with `=`.
const LONG_WITH_VALUE: [&str; 23] = [
    "--cov",
    "--ignore",
    "--ignore-glob",
    "--deselect",
    "--rootdir",
    "--confcutdir",
    "--basetemp",
    "--import-mode",
    "--maxfail",
    "--tb",
    "--capture",
    "--color",
    "--durations",
    "--junit-xml",
    "--junitxml",
    "--log-level",
    "--log-file",
    "--override-ini",
    "--pythonwarnings",
    "--timeout",
    "--dist",
    "--cov-report",
    "--cov-config",
];
/// Variables that pytest itself reads.
const VARIABLES: [&str; 5] = [
    "PYTEST_ADDOPTS",
    "PYTEST_PLUGINS",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD",
    "CI",
    "COLUMNS",
];

/// The arguments for pytest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Paths and node IDs.
    pub paths: Vec<String>,
    /// Everything else, in order.
    pub options: Vec<String>,
    /// Whether output isn't captured.
    pub no_capture: bool,
}

impl Invocation {
    /// Takes the arguments apart: what exists as a path and isn't the value of an option is a path.
    pub fn new(arguments: &[String], no_capture: bool, cwd: &Path) -> Self {
        let mut invocation = Self {
            no_capture,
            ..Self::default()
        };
        let mut value_expected = false;
        for argument in arguments {
            let place = argument.split("::").next().unwrap_or(argument);
            if value_expected || argument.starts_with('-') || !cwd.join(place).exists() {
                value_expected = !value_expected && takes_value(argument);
                invocation.options.push(argument.clone());
            } else {
                invocation.paths.push(argument.clone());
            }
        }
        invocation
    }

    /// The digest of all that bears on outcomes beside what is an input of its own.
    pub fn digest(&self, project: &Project) -> Digest {
        let mut hasher = Hasher::new();
        hasher
            .field("pytest")
            .field(if self.no_capture { "s" } else { "" });
        for option in &self.options {
            hasher.field(option);
        }
        for name in VARIABLES {
            let value = std::env::var_os(name).unwrap_or_default();
            hasher.field(name).field(value.as_encoded_bytes());
        }
        let here = project
            .cwd
            .strip_prefix(&project.root)
            .unwrap_or(&project.cwd);
        hasher.field(here.as_os_str().as_encoded_bytes());
        hasher.field(format!("{:o}", umask()));
        hasher.finish()
    }

    /// The digest of the paths that pytest starts from: those that are given, else `testpaths`.
    pub fn base_digest(&self, project: &Project) -> Digest {
        let mut hasher = Hasher::new();
        let configured = if project.cwd == project.root {
            &project.ini.test_paths[..]
        } else {
            &[]
        };
        let paths = if self.paths.is_empty() {
            configured
        } else {
            &self.paths[..]
        };
        for path in paths {
            hasher.field(path.trim_end_matches('/'));
        }
        hasher.finish()
    }

    /// The arguments for a worker.
    pub fn worker_arguments(&self) -> Vec<String> {
        let mut arguments = self.options.clone();
        if self.no_capture {
            arguments.push("-s".into());
        }
        arguments.extend(self.paths.iter().cloned());
        arguments
    }

    /// The first option with which pytest does something else than run tests, or needs the terminal for itself.
    pub fn needs_pytest_itself(&self) -> Option<&str> {
        const OTHER: [&str; 16] = [
            "--collect-only",
            "--co",
            "--fixtures",
            "--fixtures-per-test",
            "--funcargs",
            "--markers",
            "--help",
            "-h",
            "--version",
            "-V",
            "--pdb",
            "--trace",
            "--setup-plan",
            "--setup-only",
            "--cache-show",
            "--setup-show",
        ];
        self.options
            .iter()
            .map(String::as_str)
            .find(|option| OTHER.contains(option))
    }
}

fn takes_value(argument: &str) -> bool {
    match argument.strip_prefix('-') {
        Some(letter) if letter.len() == 1 => SHORT_WITH_VALUE.contains(letter),
        _ => LONG_WITH_VALUE.contains(&argument),
    }
}

/// The process's umask. There is no way to read it without setting it; no other thread makes files at this time.
fn umask() -> u32 {
    let mode = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(mode);
    mode.bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_options_are_no_paths() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["tests", "conf"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let arguments: Vec<String> = [
            "-c", "conf", "tests", "--ignore", "tests", "tests::x", "-m", "not conf", "-x",
        ]
        .map(str::to_owned)
        .to_vec();
        let invocation = Invocation::new(&arguments, false, dir.path());
        assert_eq!(invocation.paths, ["tests", "tests::x"]);
        assert_eq!(
            invocation.options,
            ["-c", "conf", "--ignore", "tests", "-m", "not conf", "-x"]
        );
    }
}
