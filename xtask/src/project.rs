//! Runs the release binary on a project and reads its report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The root of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Runs a command with its output shown; an error if it fails.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("can't start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

/// Builds the release binary and gives its path.
pub fn build() -> Result<PathBuf> {
    run(Command::new("cargo")
        .args(["build", "--release", "--bin", "dx-py"])
        .current_dir(root()))?;
    Ok(target().join("release/dx-py"))
}

/// Builds the binary for development, which checks for overflows and the like, and gives its path.
pub fn build_for_development() -> Result<PathBuf> {
    run(Command::new("cargo")
        .args(["build", "--bin", "dx-py"])
        .current_dir(root()))?;
    Ok(target().join("debug/dx-py"))
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// What a run reported.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The outcome of each test.
    pub outcomes: BTreeMap<String, String>,
    /// The tests that ran.
    pub ran_tests: std::collections::BTreeSet<String>,
    /// How many that is.
    pub ran: usize,
    /// Tests that were fresh.
    pub fresh: usize,
    /// The exit code.
    pub code: i32,
}

/// A project and how to run its tests.
#[derive(Clone, Debug)]
pub struct Project {
    /// The binary.
    pub dx: PathBuf,
    /// Where the project is.
    pub dir: PathBuf,
    /// The interpreter.
    pub python: Option<PathBuf>,
    /// What dx-py is told to select by.
    pub select: Option<String>,
    /// Arguments for pytest.
    pub args: Vec<String>,
}

impl Project {
    /// `dx-py test` with more arguments, quiet, its report in `json`.
    pub fn command(&self, more: &[&str], json: &Path) -> Command {
        let mut command = Command::new(&self.dx);
        command
            .current_dir(&self.dir)
            .env("DX_PY_DAEMON", "0")
            .args(["test", "-q", "--timeout", "60", "--json"])
            .arg(json)
            .args(more);
        if let Some(level) = &self.select {
            command.arg("--select").arg(level);
        }
        if let Some(python) = &self.python {
            command.arg("--python").arg(python);
        }
        if !self.args.is_empty() {
            command.arg("--").args(&self.args);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Runs it and reads the report.
    pub fn test(&self, more: &[&str], json: &Path) -> Result<Report> {
        let _ = std::fs::remove_file(json);
        let status = self.command(more, json).status()?;
        let mut report = read(json)?;
        report.code = status.code().unwrap_or(-1);
        Ok(report)
    }
}

/// Reads a JSON report; one that isn't there is empty.
pub fn read(json: &Path) -> Result<Report> {
    let Ok(text) = std::fs::read_to_string(json) else {
        return Ok(Report::default());
    };
    let document: Value = serde_json::from_str(&text)?;
    let mut report = Report::default();
    for test in document["tests"].as_array().into_iter().flatten() {
        let (Some(id), Some(outcome)) = (test["id"].as_str(), test["outcome"].as_str()) else {
            bail!("{} has a test without ID or outcome", json.display())
        };
        report.outcomes.insert(id.to_owned(), outcome.to_owned());
        if test["status"] == "ran" {
            report.ran += 1;
            report.ran_tests.insert(id.to_owned());
        } else {
            report.fresh += 1;
        }
    }
    Ok(report)
}

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() || kind.is_symlink() {
            // A warm interpreter's socket is of no use elsewhere.
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Replaces the folder `to` by a copy of `from`.
pub fn replace(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        std::fs::remove_dir_all(to)?;
    }
    copy(from, to)
}

/// A small deterministic generator: SplitMix64 (Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// One of the items, if there are any.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }
}
