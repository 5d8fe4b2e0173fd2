//! What the command line says to pytest, taken apart: paths choose tests, everything else bears on outcomes.

use std::path::Path;

use dx_py_core::{Digest, Engine, Hasher, RelPath};

use crate::pytest_options;
use crate::settings::{Project, place_of};

/// Variables that pytest itself reads, and those by which Python finds modules and decides how it runs them.
const VARIABLES: [&str; 14] = [
    "PYTEST_ADDOPTS",
    "PYTEST_PLUGINS",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD",
    "CI",
    "COLUMNS",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSAFEPATH",
    "PYTHONNOUSERSITE",
    "PYTHONOPTIMIZE",
    "PYTHONWARNINGS",
    "PYTHONDEVMODE",
    "PYTHONUTF8",
    "PYTHONIOENCODING",
];

/// The arguments for pytest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Paths and node IDs.
    pub paths: Vec<String>,
    /// Everything else, in order.
    pub options: Vec<String>,
    /// Those of the paths that may be values of the options before them, which nobody here knows.
    pub doubtful: Vec<String>,
    /// Whether output isn't captured.
    pub no_capture: bool,
    /// What runs the tests.
    pub engine: Engine,
}

impl Invocation {
    /// Takes the arguments apart: what exists as a path and isn't the value of an option is a path.
    pub fn new(arguments: &[String], no_capture: bool, cwd: &Path) -> Self {
        let mut invocation = Self {
            no_capture,
            ..Self::default()
        };
        let (mut value_expected, mut in_doubt) = (false, false);
        for argument in arguments {
            let place = argument.split("::").next().unwrap_or(argument);
            if value_expected || argument.starts_with('-') || !cwd.join(place).exists() {
                let is_option = !value_expected && argument.starts_with('-');
                in_doubt = is_option && pytest_options::may_take_next(argument);
                value_expected = !value_expected && pytest_options::takes_next(argument);
                invocation.options.push(argument.clone());
            } else {
                if std::mem::take(&mut in_doubt) {
                    invocation.doubtful.push(argument.clone());
                }
                invocation.paths.push(argument.clone());
            }
        }
        invocation
    }

    /// Lets `-k` and `-m` of dx-py's own replace those of `addopts`, as they would on pytest's command line. What pytest then has
    /// before it to select from isn't what it has without them, which the digest tells.
    pub fn override_selection(&mut self, addopts: &[String], keywords: bool, marks: bool) {
        for (flag, is_given) in [("-k", keywords), ("-m", marks)] {
            if is_given && addopts.iter().any(|word| word.starts_with(flag)) {
                self.options.splice(0..0, [flag.to_owned(), String::new()]);
            }
        }
    }

    /// The digest of all that bears on outcomes beside what is an input of its own.
    pub fn digest(&self, project: &Project) -> Digest {
        let mut hasher = Hasher::new();
        hasher
            .field(self.engine.as_str())
            .field(if self.no_capture { "s" } else { "" });
        let mut shown = false;
        for option in &self.options {
            // An option and its value are left out together.
            let value_of_shown = std::mem::take(&mut shown);
            if !value_of_shown && pytest_options::only_displays(option) {
                shown = pytest_options::takes_next(option);
            } else if !value_of_shown {
                hasher.field(option);
            }
        }
        for word in &self.doubtful {
            hasher.field(word);
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
        hasher.field(format!("{:o}", dx_py_daemon::umask()));
        hasher.finish()
    }

    /// The digest of the paths that pytest starts from: those that are given, else `testpaths`.
    pub fn base_digest(&self, project: &Project) -> Digest {
        let mut hasher = Hasher::new();
        for path in self.base(project) {
            hasher.field(path.trim_end_matches('/'));
        }
        hasher.finish()
    }

    /// The files and folders that pytest starts from: those that are given, else `testpaths`, else the working directory. None if one of
    /// them isn't there, or isn't in the project: a pattern, or the name of a package.
    pub fn starting_points(&self, project: &Project) -> Option<Vec<RelPath>> {
        let base = self.base(project);
        if base.is_empty() {
            return Some(vec![RelPath::new(&project.root, &project.cwd)?]);
        }
        let places = base
            .iter()
            .map(|argument| RelPath::new(&project.root, &place_of(argument, &project.cwd)?));
        let mut points: Vec<RelPath> = places.collect::<Option<_>>()?;
        points.sort();
        points.dedup();
        Some(points)
    }

    fn base<'a>(&'a self, project: &'a Project) -> &'a [String] {
        if !self.paths.is_empty() {
            &self.paths
        } else if project.cwd == project.root {
            &project.ini.test_paths
        } else {
            &[]
        }
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

    /// How many workers the arguments for pytest ask xdist for.
    pub fn workers(&self) -> Option<&str> {
        workers_in(&self.options)
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

/// The value of xdist's `-n` or `--numprocesses`, the last one counting.
pub fn workers_in(words: &[String]) -> Option<&str> {
    let mut found = None;
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if word == "-n" || word == "--numprocesses" {
            found = rest.next().map(String::as_str).or(found);
        } else if let Some(value) = word
            .strip_prefix("--numprocesses=")
            .or_else(|| word.strip_prefix("-n"))
        {
            found = Some(value);
        }
    }
    found
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
        assert_eq!(invocation.doubtful, [""; 0]);
    }

    #[test]
    fn what_may_be_the_value_of_an_unknown_option_counts() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["one.ini", "two.ini"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let project = Project::around(dir.path()).unwrap();
        let of = |arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
            Invocation::new(&arguments, false, dir.path()).digest(&project)
        };
        assert_ne!(of(&["--db", "one.ini"]), of(&["--db", "two.ini"]));
        assert_eq!(of(&["-x", "one.ini"]), of(&["-x", "two.ini"]));
        assert_eq!(of(&["--db=1", "one.ini"]), of(&["--db=1", "two.ini"]));
    }
}
