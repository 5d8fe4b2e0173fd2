//! The virtual environment of a walk: made once, and installed again when a commit changes what an installation reads.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::paths::is_native;
use super::states::Files;
use crate::matrix::interpreter;

/// Fields of `[project]` that only describe: an installation that reads others of them does the same.
const DESCRIBING: [&str; 9] = [
    "authors",
    "classifiers",
    "description",
    "keywords",
    "license",
    "license-files",
    "maintainers",
    "readme",
    "urls",
];
/// Tables of `[tool]` that tell how a project is built.
const BACKENDS: [&str; 10] = [
    "flit",
    "hatch",
    "maturin",
    "meson-python",
    "pdm",
    "poetry",
    "poetry-dynamic-versioning",
    "scikit-build",
    "setuptools",
    "setuptools_scm",
];
/// Groups of dependencies that hold what the tests need.
const GROUPS: [&str; 2] = ["test", "tests"];
/// Files beside pyproject.toml that an installation reads.
const SCRIPTS: [&str; 4] = ["setup.py", "setup.cfg", "MANIFEST.in", "hatch_build.py"];

/// What is installed beside the project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// Python's version.
    pub python: String,
    /// Requirements, pytest with its version among them.
    pub requires: Vec<String>,
    /// An environment that is used as it is: only the project is installed into it.
    pub given: Option<PathBuf>,
}

/// What of a state an installation reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Differs if the project must be installed again.
    key: String,
    /// The project's groups of dependencies for its tests.
    groups: Vec<String>,
}

impl Needs {
    /// Of the files of a state and the text of its pyproject.toml, those in `subdir` if that isn't empty.
    pub fn new(files: &Files, subdir: &str, pyproject: Option<&str>) -> Self {
        let table = pyproject.map(str::parse::<Table>);
        let (mut parts, groups) = match &table {
            Some(Ok(table)) => (vec![relevant(table).to_string()], groups(table)),
            // pip will say what is wrong with it.
            Some(Err(_)) => (vec![pyproject.unwrap_or_default().to_owned()], Vec::new()),
            None => (Vec::new(), Vec::new()),
        };
        for (path, (_, object)) in files {
            let inner = match subdir {
                "" => Some(path.as_str()),
                folder => path
                    .strip_prefix(folder)
                    .and_then(|rest| rest.strip_prefix('/')),
            };
            let reads = |inner: &str| SCRIPTS.contains(&inner) || is_native(inner);
            if inner.is_some_and(reads) {
                parts.push(format!("{path} {object}"));
            }
        }
        Self {
            key: parts.join("\n"),
            groups,
        }
    }
}

fn all_groups(table: &Table) -> Option<&Table> {
    table.get("dependency-groups").and_then(Value::as_table)
}

fn groups(table: &Table) -> Vec<String> {
    let is_there = |name: &&&str| all_groups(table).is_some_and(|all| all.contains_key(**name));
    let names = GROUPS.iter().filter(is_there);
    names.map(|name| (*name).to_owned()).collect()
}

/// The groups that are installed, with those that they include.
fn groups_that_count(table: &Table) -> Table {
    let mut kept = Table::new();
    let mut pending = groups(table);
    while let Some(name) = pending.pop() {
        let group = all_groups(table).and_then(|all| all.get(&name));
        let Some(group) = group.filter(|_| !kept.contains_key(&name)) else {
            continue;
        };
        let members = group.as_array().into_iter().flatten();
        let included = members.filter_map(|member| member.get("include-group")?.as_str());
        pending.extend(included.map(str::to_owned));
        kept.insert(name, group.clone());
    }
    kept
}

fn relevant(table: &Table) -> Table {
    let mut kept = Table::new();
    if let Some(value) = table.get("build-system") {
        kept.insert("build-system".into(), value.clone());
    }
    let groups = groups_that_count(table);
    kept.insert("dependency-groups".into(), Value::Table(groups));
    if let Some(project) = table.get("project").and_then(Value::as_table) {
        let mut project = project.clone();
        project.retain(|name, _| !DESCRIBING.contains(&name));
        kept.insert("project".into(), Value::Table(project));
    }
    if let Some(tools) = table.get("tool").and_then(Value::as_table) {
        let mut tools = tools.clone();
        tools.retain(|name, _| BACKENDS.contains(&name));
        kept.insert("tool".into(), Value::Table(tools));
    }
    kept
}

/// An environment, and what is installed there.
#[derive(Debug)]
pub struct Environment {
    recipe: Recipe,
    venv: PathBuf,
    /// Holds the key of what is installed.
    installed: PathBuf,
    log: PathBuf,
}

impl Environment {
    /// The environment in a folder of its own, or the one that the recipe gives. Nothing is installed yet.
    pub fn new(recipe: Recipe, home: &Path) -> Self {
        Self {
            venv: recipe.given.clone().unwrap_or_else(|| home.join("venv")),
            recipe,
            installed: home.join("installed"),
            log: home.join("install.txt"),
        }
    }

    /// Where it is.
    pub fn venv(&self) -> &Path {
        &self.venv
    }

    /// Installs the project that lies in `source`, if what an installation reads differs from what is installed. Gives whether it
    /// was.
    ///
    /// # Errors
    /// If the environment can't be made, or the project can't be installed.
    pub fn install(&self, needs: &Needs, source: &Path) -> Result<bool> {
        let key = format!("{}\n{:?}\n{}", source.display(), self.recipe, needs.key);
        if fs::read_to_string(&self.installed).is_ok_and(|installed| installed == key) {
            return Ok(false);
        }
        // Until the installation has ended, nobody can say what is there.
        let _ = fs::remove_file(&self.installed);
        if !self.venv.join("bin/python").exists() {
            if self.recipe.given.is_some() {
                bail!("{} is no virtual environment", self.venv.display());
            }
            // uv knows of those on PATH, and fetches others, where it can.
            let python = interpreter(&self.recipe.python);
            let python = python.unwrap_or_else(|| PathBuf::from(&self.recipe.python));
            let mut command = Command::new("uv");
            command.args(["venv", "--quiet", "--python"]).arg(python);
            self.run(command.arg(&self.venv), source)?;
        }
        let mut command = Command::new("uv");
        command
            .args(["pip", "install", "--python"])
            .arg(self.venv.join("bin/python"))
            .args(["--editable", "."]);
        if self.recipe.given.is_none() {
            command.args(&self.recipe.requires);
            for group in &needs.groups {
                command.args(["--group", group]);
            }
        }
        self.run(&mut command, source)?;
        fs::write(&self.installed, key)?;
        Ok(true)
    }

    fn run(&self, command: &mut Command, source: &Path) -> Result<()> {
        let log = fs::File::create(&self.log)?;
        let status = command
            .current_dir(source)
            .env_remove("VIRTUAL_ENV")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .status()
            .context("can't start uv")?;
        if !status.success() {
            let said = fs::read_to_string(&self.log).unwrap_or_default();
            let said = said.lines().find(|line| !line.trim().is_empty());
            bail!(
                "it can't be installed: {} (see {})",
                said.unwrap_or_default().trim(),
                self.log.display()
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PYPROJECT: &str = "[project]\nname = 'a'\nversion = '1'\ndescription = 'x'\n\
        [dependency-groups]\ntests = ['pytest', {include-group = 'base'}]\n\
        base = ['pretend']\ndev = ['ruff']\n[tool.ruff]\nfix = true\n[tool.flit.module]\nname = 'a'\n";

    fn needs(pyproject: &str, files: &[(&str, &str)]) -> Needs {
        let files = files.iter();
        let files: Files = files
            .map(|(path, object)| {
                let file = ("100644".to_owned(), (*object).to_owned());
                ((*path).to_owned(), file)
            })
            .collect();
        Needs::new(&files, "", Some(pyproject))
    }

    #[test]
    fn what_no_installation_reads_needs_none() {
        let before = needs(PYPROJECT, &[("a.py", "1")]);
        for (from, to) in [
            ("description = 'x'", "description = 'y'"),
            ("fix = true", "fix = false"),
            ("'ruff'", "'ruff', 'tox'"),
        ] {
            assert_eq!(
                before,
                needs(&PYPROJECT.replace(from, to), &[("a.py", "2")])
            );
        }
        assert_eq!(before.groups, ["tests"]);
    }

    #[test]
    fn what_an_installation_reads_needs_another() {
        let before = needs(PYPROJECT, &[("setup.py", "1"), ("a.c", "1")]);
        for (from, to) in [
            ("version = '1'", "version = '2'"),
            ("name = 'a'", "name = 'b'"),
            ("['pytest'", "['pytest', 'trio'"),
            ("['pretend']", "['pretend', 'trio']"),
            ("[project]", "not valid"),
        ] {
            let text = PYPROJECT.replace(from, to);
            assert_ne!(before, needs(&text, &[("setup.py", "1"), ("a.c", "1")]));
        }
        assert_ne!(before, needs(PYPROJECT, &[("setup.py", "2"), ("a.c", "1")]));
        assert_ne!(before, needs(PYPROJECT, &[("setup.py", "1"), ("a.c", "2")]));
    }

    #[test]
    fn a_folder_of_its_own_has_scripts_of_its_own() {
        let file = |object: &str| ("100644".to_owned(), object.to_owned());
        let mut files = Files::from([("setup.py".to_owned(), file("1"))]);
        let before = Needs::new(&files, "core", None);
        files.insert("setup.py".into(), file("2"));
        assert_eq!(before, Needs::new(&files, "core", None));
        files.insert("core/setup.py".into(), file("1"));
        assert_ne!(before, Needs::new(&files, "core", None));
    }
}
