//! The settings in force: arguments, dx-py.toml and pytest's own configuration, resolved once. Below this module nobody reads a
//! flag, an environment variable or a configuration file.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use dx_py_core::{RelPath, TestCase};
use dx_py_daemon::Zygotes;
use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::Deserialize;

use crate::auto::{Busyness, free_memory};
use crate::ini::PytestIni;
use crate::invocation::workers_in;

/// After how long without a run a warm interpreter ends.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// How many workers are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// So many.
    Fixed(usize),
    /// As many as keep so many cores busy.
    Auto(usize),
}

impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(count) => write!(f, "{count}"),
            Self::Auto(cores) => write!(f, "auto, at least {cores}"),
        }
    }
}

impl Workers {
    /// The number for tests that take so long one after the other, by what earlier runs tell of the project's.
    pub fn count(self, told: Option<&Busyness>, tests: Duration) -> usize {
        match (self, told) {
            (Self::Fixed(count) | Self::Auto(count), None) | (Self::Fixed(count), _) => count,
            (Self::Auto(cores), Some(told)) => told.workers(tests, cores, free_memory()),
        }
    }
}

/// What dx-py.toml, or `[tool.dx-py]` in pyproject.toml, may say.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ConfigFile {
    /// The interpreter or virtual environment, relative to the root.
    pub python: Option<PathBuf>,
    /// The number of workers.
    pub workers: Option<usize>,
    /// Seconds that a test may take.
    pub timeout: Option<f64>,
    /// Seconds after which it is told what a worker is busy with, 60 if not given; 0 for never.
    pub slow_after: Option<f64>,
    /// Seconds after which a worker that does nothing beside others is ended, 30 if not given; 0 for never.
    pub patience: Option<f64>,
    /// After how many days a pass counts no more, 30 if not given; 0 for never.
    pub expire_days: Option<u32>,
    /// Environment variables whose values count as inputs of every test.
    #[serde(default)]
    pub env: Vec<String>,
    /// Globs of test IDs that run in every run.
    #[serde(default)]
    pub always: Vec<String>,
    /// Globs of files that run alone, after all others, in one worker that collects everything.
    #[serde(default)]
    pub serial: Vec<String>,
    /// More globs of files that hold tests, beside pytest's `python_files`, for `discover`.
    #[serde(default)]
    pub python_files: Vec<String>,
    /// How finely it is told which tests a change can reach, `auto` if not given.
    pub select: Option<Level>,
    /// How many megabytes cached fixtures may take together, 8,000 if not given.
    pub fixtures_mb: Option<u64>,
    /// Whether an interpreter is kept warm between runs.
    pub daemon: Option<bool>,
    /// Installed modules that it imports ahead of time, beside pytest.
    #[serde(default)]
    pub preload: Vec<String>,
    /// Whether it imports what the tests were seen to import as well.
    pub auto_preload: Option<bool>,
}

/// How finely it is told which tests a change can reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As `symbol`, but functions are seen only where a change is what tests run for: first runs and `--all` cost nothing more
    #[default]
    Auto,
    /// By the files that they import and read
    Module,
    /// By the functions of those files that they run, from Python 3.12 on
    Symbol,
    /// As `module`, but it isn't seen what the tests that run depend on: they run again the next time
    Off,
}

impl Level {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Module => "module",
            Self::Symbol => "symbol",
            Self::Off => "off",
        }
    }

    /// Whether functions that were seen to run count.
    pub fn counts_functions(self) -> bool {
        matches!(self, Self::Auto | Self::Symbol)
    }

    /// Whether a run sees what its tests depend on.
    pub fn tracks(self) -> bool {
        self != Self::Off
    }

    /// Whether a run sees which functions its tests run. `is_for_a_change` says that something was recorded, and that tests run only if
    /// that doesn't hold any more.
    pub fn sees_functions(self, is_for_a_change: bool) -> bool {
        match self {
            Self::Auto => is_for_a_change,
            Self::Module | Self::Off => false,
            Self::Symbol => true,
        }
    }
}

/// The configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file couldn't be read.
    #[error("can't read {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file isn't valid, or has a key that doesn't exist.
    #[error("{path} is not valid\n{source}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where and why: the text shows line and column.
        source: Box<toml::de::Error>,
    },
    /// The working directory is gone.
    #[error("the working directory can't be determined")]
    WorkingDirectory(#[source] io::Error),
    /// The folder of the project isn't there.
    #[error("can't look into {path}", path = path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A value is out of range.
    #[error("{what}: {value} is not usable; {hint}")]
    Value {
        /// The flag or key.
        what: &'static str,
        /// What was given.
        value: String,
        /// What to give.
        hint: &'static str,
    },
}

/// Where the project is and how it is configured: what every sub-command needs.
#[derive(Debug, Clone)]
pub struct Project {
    /// The working directory, without links.
    pub cwd: PathBuf,
    /// pytest's root directory; `.dx/` lies here.
    pub root: PathBuf,
    /// What pytest's configuration says.
    pub ini: PytestIni,
    /// What dx-py.toml says.
    pub config: ConfigFile,
    /// The file that it was read from, if any.
    pub config_path: Option<PathBuf>,
    /// Which files may be collected: to compile the patterns takes longer than to compare hundreds of names.
    collected: OnceLock<Collected>,
}

/// Tells which tests found in sources pytest would collect. It predicts: plugins and conftests may decide otherwise.
#[derive(Clone, Debug)]
pub struct Collected {
    files: GlobSet,
    places: Vec<RelPath>,
}

impl Collected {
    /// Whether this test of `file` would be collected. pytest's own `python_functions` takes names that start with `test`; discovery
    /// finds others too, by the end of their name or a mark.
    pub fn test(&self, file: &RelPath, test: &TestCase) -> bool {
        let in_place =
            self.places.is_empty() || self.places.iter().any(|place| file.is_within(place));
        in_place && self.files.is_match(file.file_name()) && test.function.starts_with("test")
    }
}

/// The globs of pytest's configuration that are valid.
fn glob_set<'a>(patterns: impl Iterator<Item = &'a String>) -> GlobSet {
    let mut globs = GlobSetBuilder::new();
    for glob in patterns.filter_map(|pattern| Glob::new(pattern).ok()) {
        globs.add(glob);
    }
    globs.build().unwrap_or_default()
}

/// What an argument of pytest's names before the names of classes and functions, without links; none if it isn't there.
pub fn place_of(argument: &str, cwd: &Path) -> Option<PathBuf> {
    let place = argument.split("::").next().unwrap_or(argument);
    fs::canonicalize(cwd.join(place)).ok()
}

/// The working directory, without links.
///
/// # Errors
/// If it is gone.
pub fn working_directory() -> Result<PathBuf, SettingsError> {
    let cwd = std::env::current_dir().map_err(SettingsError::WorkingDirectory)?;
    fs::canonicalize(&cwd).map_err(|source| SettingsError::Folder { path: cwd, source })
}

impl Project {
    /// How finely it is told which tests a change can reach.
    pub fn level(&self) -> Level {
        self.config.select.unwrap_or_default()
    }

    /// Finds the project around the working directory.
    ///
    /// # Errors
    /// If the working directory is gone, or dx-py.toml is unreadable or invalid.
    pub fn find() -> Result<Self, SettingsError> {
        Self::around(&working_directory()?)
    }

    /// Finds the project in which pytest works if it is started in the working directory with these arguments: that of the places they
    /// name, if they name any.
    ///
    /// # Errors
    /// As [`Project::find`].
    pub fn of_places<'a>(
        arguments: impl IntoIterator<Item = &'a String>,
    ) -> Result<Self, SettingsError> {
        let cwd = working_directory()?;
        let places = arguments.into_iter().map(|argument| {
            // A pattern is looked for here.
            place_of(argument, &cwd).unwrap_or_else(|| cwd.clone())
        });
        let places: Vec<PathBuf> = places.collect();
        Self::of(&cwd, &places)
    }

    /// Finds the project of a test that is named by a part of its ID, or by a place as on pytest's command line. Gives how its ID has that,
    /// which tells files from the project's root.
    ///
    /// # Errors
    /// As [`Project::find`].
    pub fn of_test(text: &str) -> Result<(Self, String), SettingsError> {
        let project = Self::of_places([&text.to_owned()])?;
        let place = place_of(text, &project.cwd);
        let inner = place.and_then(|place| RelPath::new(&project.root, &place));
        let names = text.split_once("::").filter(|(_, names)| !names.is_empty());
        let part = match (inner, names) {
            (Some(inner), Some((_, names))) => format!("{inner}::{names}"),
            (Some(inner), None) => inner.as_str().to_owned(),
            (None, _) => text.to_owned(),
        };
        Ok((project, part))
    }

    /// Finds the project around a folder, as from a process that works there.
    ///
    /// # Errors
    /// If the folder isn't there, or dx-py.toml is unreadable or invalid.
    pub fn around(folder: &Path) -> Result<Self, SettingsError> {
        let cwd = fs::canonicalize(folder).map_err(|source| SettingsError::Folder {
            path: folder.to_path_buf(),
            source,
        })?;
        Self::of(&cwd, &[])
    }

    fn of(cwd: &Path, places: &[PathBuf]) -> Result<Self, SettingsError> {
        let ini = PytestIni::find(cwd, places);
        let root = ini.root.clone();
        let (config, config_path) = load_config(&root)?;
        Ok(Self {
            cwd: cwd.to_path_buf(),
            root,
            ini,
            config,
            config_path,
            collected: OnceLock::new(),
        })
    }

    /// How pytest is told of a file or folder: from the working directory, or, where it lies elsewhere, absolute.
    pub fn argument(&self, place: &Path) -> String {
        let inner = place.strip_prefix(&self.cwd).unwrap_or(place);
        match inner.display().to_string() {
            here if here.is_empty() => ".".to_owned(),
            argument => argument,
        }
    }

    /// The folder of the database.
    pub fn dx_dir(&self) -> PathBuf {
        self.root.join(".dx")
    }

    /// How old a pass may get; none if passes don't expire.
    pub fn expiry(&self) -> Option<Duration> {
        let days = self.config.expire_days.unwrap_or(30);
        (days > 0).then(|| Duration::from_secs(u64::from(days) * 24 * 60 * 60))
    }

    /// Which tests found in sources pytest's configuration lets it collect, when it is started here without paths.
    pub fn collected(&self) -> &Collected {
        self.collected.get_or_init(|| {
            let patterns = self
                .ini
                .python_files
                .iter()
                .chain(&self.config.python_files);
            let paths = if self.cwd == self.root {
                &self.ini.test_paths[..]
            } else {
                &[]
            };
            Collected {
                files: glob_set(patterns),
                places: paths
                    .iter()
                    .filter_map(|path| RelPath::from_text(path))
                    .collect(),
            }
        })
    }

    /// Whether a file is named as test files are.
    pub fn is_test_file(&self, file: &RelPath) -> bool {
        self.collected().files.is_match(file.file_name())
    }

    /// Whether pytest looks into this folder by itself, when it is started here without paths.
    pub fn looks_into(&self, folder: &RelPath) -> bool {
        let passed_over = glob_set(self.ini.no_recurse.iter());
        let mut places = self.collected().places.clone();
        if places.is_empty() {
            places.extend(RelPath::new(&self.root, &self.cwd));
        }
        places.iter().any(|place| {
            folder.is_within(place)
                && std::iter::once(folder.clone())
                    .chain(folder.ancestors())
                    .take_while(|inner| inner != place)
                    .all(|inner| !passed_over.is_match(inner.file_name()))
        })
    }

    /// Where the interpreters are that are kept warm between runs; `None` if none are to be kept.
    ///
    /// What was asked for holds, first in `DX_PY_DAEMON`, then in dx-py.toml. A CI system has nothing from a process that outlives
    /// the run.
    pub fn zygotes(&self) -> Option<Zygotes> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let asked = variable("DX_PY_DAEMON").map(|value| value != "0");
        let wanted = asked
            .or(self.config.daemon)
            .unwrap_or_else(|| variable("CI").is_none());
        wanted.then(|| self.zygotes_of_project())
    }

    /// Where the interpreters are that are kept warm, whether they are wanted or not.
    pub fn zygotes_of_project(&self) -> Zygotes {
        Zygotes {
            folder: self.dx_dir().join("zygote"),
            preload: self.config.preload.clone(),
            auto_preload: self.config.auto_preload.unwrap_or(true),
            idle: IDLE,
        }
    }

    /// The words of pytest's `addopts` and of `PYTEST_ADDOPTS`: good for finding options, not for their values.
    pub fn addopts(&self) -> Vec<String> {
        let variable = std::env::var("PYTEST_ADDOPTS").unwrap_or_default();
        let words = variable.split_whitespace().map(str::to_owned);
        self.ini.addopts.iter().cloned().chain(words).collect()
    }

    /// The number of workers for `-n` (a number, or `auto`), dx-py.toml, or one for each core.
    ///
    /// # Errors
    /// If the flag is neither.
    pub fn workers(&self, flag: Option<&str>) -> Result<Workers, SettingsError> {
        let fixed = |count: usize| Workers::Fixed(count.clamp(1, 1024));
        let addopts = self.addopts();
        let flag = match (flag, self.config.workers) {
            (None, Some(count)) => return Ok(fixed(count)),
            (None, None) => workers_in(&addopts).filter(|text| {
                matches!(*text, "auto" | "logical") || text.parse::<usize>().is_ok()
            }),
            (given, _) => given,
        };
        match flag {
            None => Ok(Workers::Fixed(cores())),
            Some("auto" | "logical") => {
                let of_xdist = std::env::var("PYTEST_XDIST_AUTO_NUM_WORKERS").ok();
                let count = of_xdist.and_then(|count| count.trim().parse().ok());
                Ok(count.map_or(Workers::Auto(cores()), fixed))
            }
            Some(text) => match text.parse() {
                Ok(count @ 0..=1024) => Ok(fixed(count)),
                _ => Err(SettingsError::Value {
                    what: "-n",
                    value: format!("`{text}`"),
                    hint: "give a number from 1 to 1024, or `auto`",
                }),
            },
        }
    }
}

/// How many processors this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn load_config(root: &Path) -> Result<(ConfigFile, Option<PathBuf>), SettingsError> {
    let path = root.join("dx-py.toml");
    if let Some(text) = read_optional(&path)? {
        let config = toml::from_str(&text).map_err(|source| SettingsError::Invalid {
            path: path.clone(),
            source: Box::new(source),
        })?;
        return Ok((config, Some(path)));
    }
    let path = root.join("pyproject.toml");
    if let Some(text) = read_optional(&path)?
        && text.contains("dx-py")
    {
        #[derive(Deserialize)]
        struct Document {
            tool: Option<Tool>,
        }
        #[derive(Deserialize)]
        struct Tool {
            #[serde(rename = "dx-py")]
            dx_py: Option<ConfigFile>,
        }
        let document: Document =
            toml::from_str(&text).map_err(|source| SettingsError::Invalid {
                path: path.clone(),
                source: Box::new(source),
            })?;
        if let Some(config) = document.tool.and_then(|tool| tool.dx_py) {
            return Ok((config, Some(path)));
        }
    }
    Ok((ConfigFile::default(), None))
}

fn read_optional(path: &Path) -> Result<Option<String>, SettingsError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SettingsError::Read {
            path: path.to_path_buf(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_file_is_told_with_line_and_column() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("dx-py.toml"), "workers = 2\nwrokers = 3\n").unwrap();
        let error = load_config(dir.path()).unwrap_err().to_string();
        assert!(error.contains("dx-py.toml is not valid"), "{error}");
        assert!(error.contains("line 2, column 1"), "{error}");
        assert!(error.contains("wrokers"), "{error}");
    }

    #[test]
    fn pyproject_serves_where_there_is_no_file_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join("pyproject.toml"),
            "[tool.dx-py]\nenv = ['DB']\n",
        )
        .unwrap();
        let (config, path) = load_config(dir.path()).unwrap();
        assert_eq!(config.env, ["DB"]);
        assert_eq!(path, Some(dir.path().join("pyproject.toml")));
    }
}
