//! A project in a temporary folder, and the built binary on it: one line a step.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

/// The interpreter with pytest: `DX_TEST_PYTHON`, which `cargo xtask ci` sets.
pub fn python() -> PathBuf {
    match std::env::var_os("DX_TEST_PYTHON") {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/ci/venv/bin/python"),
    }
}

/// Whether this Python tells which functions run: from 3.12 on.
pub fn sees_functions() -> bool {
    static SEES: OnceLock<bool> = OnceLock::new();
    *SEES.get_or_init(|| {
        let code = "import sys; raise SystemExit(not hasattr(sys, 'monitoring'))";
        let status = Command::new(python()).args(["-c", code]).status();
        status.is_ok_and(|status| status.success())
    })
}

/// Whether the lean engine knows this pytest: 8.4 to 9. Others get the whole protocol.
pub fn is_known() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        let code =
            "import pytest; raise SystemExit(not (8, 4) <= pytest.version_tuple[:2] < (10, 0))";
        let status = Command::new(python()).args(["-c", code]).status();
        status.is_ok_and(|status| status.success())
    })
}

/// The interpreter with the plugins of `testdata/plugins.txt`: `DX_TEST_PLUGINS`, which `cargo xtask ci` sets.
pub fn python_with_plugins() -> PathBuf {
    match std::env::var_os("DX_TEST_PLUGINS") {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/plugins/venv/bin/python"),
    }
}

/// The interpreter with pytest 8 and the plugins of `testdata/plugins-pytest8.txt`: `DX_TEST_PLUGINS_PYTEST8`, which `cargo xtask ci`
/// sets.
pub fn python_with_plugins_and_pytest_8() -> PathBuf {
    match std::env::var_os("DX_TEST_PLUGINS_PYTEST8") {
        Some(path) => path.into(),
        None => {
            Path::new(env!("CARGO_MANIFEST_DIR")).join("target/plugins-pytest8/venv/bin/python")
        }
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Run {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// The outcome of each test, with `fresh` before it if it didn't run.
    pub tests: BTreeMap<String, String>,
    /// The JSON document.
    pub json: serde_json::Value,
}

impl Run {
    /// The IDs of the tests that ran, sorted.
    pub fn ran_tests(&self) -> impl Iterator<Item = &str> {
        let ran = self.tests.iter();
        ran.filter(|(_, outcome)| !outcome.starts_with("fresh"))
            .map(|(id, _)| id.as_str())
    }

    /// How many tests ran.
    pub fn ran(&self) -> usize {
        self.ran_tests().count()
    }

    /// The outcome of the test whose ID ends with `name`.
    pub fn outcome(&self, name: &str) -> &str {
        self.tests
            .iter()
            .find(|(id, _)| id.ends_with(name))
            .map_or("absent", |(_, outcome)| outcome.as_str())
    }

    /// The outcomes without the difference between ran and fresh.
    pub fn outcomes(&self) -> BTreeMap<String, String> {
        let plain = |outcome: &String| outcome.trim_start_matches("fresh ").to_owned();
        self.tests
            .iter()
            .map(|(id, outcome)| (id.clone(), plain(outcome)))
            .collect()
    }
}

/// What a script printed that the interpreter with pytest ran, with the worker's files at hand.
pub fn with_worker<S: AsRef<OsStr>>(script: &str, args: impl IntoIterator<Item = S>) -> Vec<u8> {
    let worker = Path::new(env!("CARGO_MANIFEST_DIR")).join("worker");
    let mut command = Command::new(python());
    command.args(["-c", script]).args(args);
    let output = command.env("PYTHONPATH", worker).output();
    let output = output.expect("it starts");
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// The interpreter with pytest, in an environment where each of its starts leaves a line.
pub struct CountedPython {
    prefix: TempDir,
}

impl CountedPython {
    /// Makes it.
    pub fn new() -> Self {
        let prefix = TempDir::new().expect("a temporary folder can be made");
        let (real, own) = (python(), prefix.path());
        let environment = real.parent().and_then(Path::parent);
        let environment = environment.expect("it is in an environment's bin");
        for name in ["lib", "pyvenv.cfg"] {
            let link = std::os::unix::fs::symlink(environment.join(name), own.join(name));
            link.expect("links can be made");
        }
        std::fs::create_dir(own.join("bin")).expect("folders can be made");
        let script = format!(
            "#!/bin/sh\necho started >> '{}'\nexec '{}' \"$@\"\n",
            own.join("starts").display(),
            real.display()
        );
        let counted = Self { prefix };
        std::fs::write(counted.path(), script).expect("files can be written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(counted.path(), mode).expect("modes can be set");
        counted
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.prefix.path().join("bin/python")
    }

    /// How often it was started.
    pub fn starts(&self) -> usize {
        let log = std::fs::read_to_string(self.prefix.path().join("starts"));
        log.map_or(0, |log| log.lines().count())
    }
}

/// A project.
pub struct Project {
    dir: TempDir,
    python: PathBuf,
    env: Vec<(&'static str, OsString)>,
    /// In which of its folders everything is started.
    folder: PathBuf,
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("folders can be made");
    for entry in std::fs::read_dir(from)
        .expect("the project is there")
        .flatten()
    {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("files can be copied");
        }
    }
}

impl Project {
    /// A project with these files.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let project = Self {
            dir: TempDir::new().expect("a temporary folder can be made"),
            python: python(),
            env: Vec::new(),
            folder: PathBuf::new(),
        };
        if !files.iter().any(|(name, _)| *name == "pytest.ini") {
            project.write("pytest.ini", "[pytest]\n");
        }
        for (name, text) in files {
            project.write(name, text);
        }
        project
    }

    /// A copy of the project in a folder.
    pub fn copy_of(folder: &Path) -> Self {
        let project = Self::new(&[]);
        project.remove("pytest.ini");
        copy(folder, project.path());
        project
    }

    /// The same, with an interpreter that has plugins. Those that aren't named by `-p` in the project's `addopts` don't load.
    pub fn with_plugins(files: &[(&str, &str)]) -> Self {
        let mut project = Self::new(files);
        project.python = python_with_plugins();
        project.set("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1");
        project
    }

    /// The same, with plugins that are for pytest 8.
    pub fn with_plugins_and_pytest_8(files: &[(&str, &str)]) -> Self {
        let mut project = Self::with_plugins(files);
        project.python = python_with_plugins_and_pytest_8();
        project
    }

    /// The same, with an environment variable set for pytest and for dx-py.
    pub fn with_variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.set(name, value);
        self
    }

    /// Sets an environment variable for what is run from now on.
    pub fn set(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.env.push((name, value.into()));
    }

    /// The interpreter that runs the tests.
    pub fn python(&self) -> &Path {
        &self.python
    }

    /// Starts everything in this folder of the project from now on.
    pub fn enter(&mut self, folder: &str) {
        self.folder = folder.into();
    }

    /// Lets another interpreter run the tests.
    pub fn use_python(&mut self, python: &Path) {
        self.python = python.to_path_buf();
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it is below the project"))
            .expect("folders can be made");
        std::fs::write(path, text).expect("files can be written");
    }

    /// Makes a file a program.
    pub fn make_executable(&self, name: &str) {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(self.path().join(name), mode).expect("modes can be set");
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).expect("the file can be read")
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.path().join(name)).expect("the file is there");
    }

    /// The binary, in the project, with the interpreter that has pytest.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.start(Path::new(env!("CARGO_BIN_EXE_dx-py")));
        command.args(args).env_remove("VIRTUAL_ENV");
        command
    }

    /// A program in the project. Both sides of a comparison get this environment, since plugins behave differently where they see
    /// signs of a CI system.
    pub fn start(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path().join(&self.folder))
            .stdin(Stdio::null());
        for name in ["CI", "GITHUB_ACTIONS", "PYTEST_ADDOPTS", "PYTHONHASHSEED"] {
            command.env_remove(name);
        }
        // Bytecode goes by seconds and size; tests rewrite files faster than that.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        // Hundreds of projects would leave as many interpreters behind.
        command.env("DX_PY_DAEMON", "0");
        command.envs(self.env.iter().cloned());
        command
    }

    /// Runs any sub-command; gives exit code, output and errors.
    pub fn dx(&self, args: &[&str]) -> (i32, String, String) {
        let output = self
            .command(args)
            .output()
            .expect("the binary can be started");
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code().unwrap_or(-1),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    /// Runs `dx-py audit`.
    pub fn audit(&self, args: &[&str]) -> (i32, String, String) {
        let python = python();
        let python = python.to_str().expect("the path is UTF-8");
        self.dx(&[&["audit", "--python", python], args].concat())
    }

    /// Runs `dx-py test`.
    pub fn test(&self, args: &[&str]) -> Run {
        let json = self.dir.path().with_extension("json");
        let (own, python) = (
            json.display().to_string(),
            self.python.display().to_string(),
        );
        let mut all = vec!["test", "--json", &own, "--python", &python];
        all.extend(args);
        let (code, out, err) = self.dx(&all);
        let json: serde_json::Value = std::fs::read_to_string(&json)
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        let _ = std::fs::remove_file(self.dir.path().with_extension("json"));
        let tests = json["tests"].as_array().into_iter().flatten().map(|test| {
            let text = |key: &str| test[key].as_str().unwrap_or_default().to_owned();
            let fresh = if text("status") == "fresh" {
                "fresh "
            } else {
                ""
            };
            (text("id"), format!("{fresh}{}", text("outcome")))
        });
        Run {
            code,
            out,
            err,
            tests: tests.collect(),
            json,
        }
    }

    /// What pytest itself says of each test, by a plugin that listens to its reports; and its exit code.
    pub fn pytest(&self, args: &[&str]) -> (i32, BTreeMap<String, String>) {
        let (code, outcomes, _) = self.pytest_in_detail(args);
        (code, outcomes)
    }

    /// The same, and all else that pytest's terminal would show, in the form of `testdata/oracle_of_dx.py`.
    pub fn pytest_in_detail(
        &self,
        args: &[&str],
    ) -> (i32, BTreeMap<String, String>, serde_json::Value) {
        let plugins = TempDir::new().expect("a temporary folder can be made");
        let (out, details) = (
            plugins.path().join("out.json"),
            plugins.path().join("details.json"),
        );
        std::fs::write(plugins.path().join("oracle_of_dx.py"), ORACLE)
            .expect("files can be written");
        let status = self
            .start(&self.python)
            .args([
                "-m",
                "pytest",
                "-q",
                "-p",
                "oracle_of_dx",
                "--continue-on-collection-errors",
            ])
            .args(args)
            .env("PYTHONPATH", plugins.path())
            .env("ORACLE_OUT", &out)
            .env("ORACLE_DETAILS", &details)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("pytest can be started");
        let read = |path| std::fs::read_to_string(path).expect("the oracle wrote its report");
        (
            status.code().unwrap_or(-1),
            serde_json::from_str(&read(out)).expect("the oracle writes JSON"),
            serde_json::from_str(&read(details)).expect("the oracle writes JSON"),
        )
    }
}

const ORACLE: &str = include_str!("../../testdata/oracle_of_dx.py");
