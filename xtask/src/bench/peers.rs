//! The runners that are compared: where each is installed, and how it is called so that it does its best.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::project::root;
use crate::{demo, matrix};

/// A runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// pytest, which all are compared with.
    Pytest,
    /// pytest-xdist.
    Xdist,
    /// karva.
    Karva,
    /// rustest.
    Rustest,
    /// tiderace.
    Tiderace,
    /// pytest-testmon.
    Testmon,
    /// dx-py, in pytest's environment.
    Dx,
}

/// Those that are installed.
pub const PEERS: [Peer; 6] = [
    Peer::Pytest,
    Peer::Xdist,
    Peer::Karva,
    Peer::Rustest,
    Peer::Tiderace,
    Peer::Testmon,
];

impl Peer {
    /// The name of its package.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pytest => "pytest",
            Self::Xdist => "pytest-xdist",
            Self::Karva => "karva",
            Self::Rustest => "rustest",
            Self::Tiderace => "tiderace",
            Self::Testmon => "pytest-testmon",
            Self::Dx => "dx-py",
        }
    }

    /// Its arguments. Each may use so many workers, and none prints a line for each test.
    pub fn arguments(self, workers: usize) -> Vec<String> {
        let number = workers.to_string();
        let words: Vec<&str> = match self {
            Self::Pytest => vec!["-m", "pytest", "-q"],
            Self::Xdist => vec!["-m", "pytest", "-q", "-n", &number],
            Self::Karva => vec!["test", "--status-level", "fail", "-n", &number],
            Self::Rustest => vec!["--pytest-compat", "--color", "never", "-n", &number],
            // Its other scheduler, the default, packs by package, and then tests get the package fixtures of other packages.
            Self::Tiderace => vec![
                "run",
                "-q",
                "--scheduler",
                "round-robin",
                "-n",
                &number,
                ".",
            ],
            Self::Testmon => vec!["-m", "pytest", "-q", "--testmon"],
            Self::Dx => vec!["test", "-q", "-n", &number],
        };
        words.into_iter().map(str::to_owned).collect()
    }

    /// Whether it takes no `pythonpath` from pytest's configuration.
    pub fn reads_no_ini(self) -> bool {
        matches!(self, Self::Karva | Self::Rustest | Self::Tiderace)
    }

    /// What it is called with, for readers.
    pub fn call(self, workers: usize) -> String {
        let program = match self {
            Self::Pytest | Self::Xdist | Self::Testmon => "python",
            other => other.name(),
        };
        format!("{program} {}", self.arguments(workers).join(" "))
    }
}

/// The newest interpreter that the machine has, of versions that all peers support.
fn python() -> Result<PathBuf> {
    ["3.13", "3.12", "3.11", "3.10"]
        .iter()
        .find_map(|version| matrix::interpreter(version))
        .context("no Python from 3.10 on is installed, with its venv module")
}

/// A runner that can be called, or why it can't.
#[derive(Debug)]
pub struct Installed {
    /// Which.
    pub peer: Peer,
    /// Its version.
    pub version: String,
    /// Its environment.
    pub venv: Result<PathBuf>,
}

/// The version that a list of pinned packages gives for a name.
fn pinned(pins: &str, name: &str) -> Option<String> {
    pins.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix("=="))
        .map(str::to_owned)
}

/// Installs the peers, each at its pinned version in an environment of its own.
///
/// # Errors
/// If the pins can't be read, or pytest can't be installed.
pub fn install() -> Result<Vec<Installed>> {
    let python = python()?;
    let mut all = Vec::new();
    for peer in PEERS {
        let name = peer.name();
        let pins = fs::read_to_string(root().join(format!("testdata/peers/{name}.txt")))?;
        let version = pinned(&pins, name).with_context(|| format!("{name} isn't pinned"))?;
        let venv = demo::environment_of(&format!("bench/peers/{name}"), &python, &pins);
        match &venv {
            Err(error) if peer == Peer::Pytest => anyhow::bail!("no pytest: {error:#}"),
            Err(error) => eprintln!("{name} can't be installed: {error:#}"),
            Ok(_) => {}
        }
        all.push(Installed {
            peer,
            version,
            venv,
        });
    }
    Ok(all)
}

/// The command that runs all tests of a folder with an environment.
///
/// # Errors
/// If the environment's path can't stand in `PATH`.
pub fn command(peer: Peer, dx: &Path, venv: &Path, dir: &Path, workers: usize) -> Result<Command> {
    let mut command = plain(peer, dx, venv, dir)?;
    command.args(peer.arguments(workers));
    Ok(command)
}

/// A runner without arguments, and without variables that would change what it does.
///
/// # Errors
/// If the environment's path can't stand in `PATH`.
pub fn plain(peer: Peer, dx: &Path, venv: &Path, dir: &Path) -> Result<Command> {
    let bin = venv.join("bin");
    let program = match peer {
        Peer::Pytest | Peer::Xdist | Peer::Testmon => bin.join("python"),
        Peer::Dx => dx.to_path_buf(),
        other => bin.join(other.name()),
    };
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let prefixes = [
            "PYTEST_",
            "PYTHON",
            "DX_",
            "TIDERACE_",
            "KARVA_",
            "CARGO",
            "RUST",
        ];
        if text == "CI" || prefixes.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    path.insert(0, bin.clone());
    command
        .current_dir(dir)
        .env("VIRTUAL_ENV", venv)
        .env("PATH", std::env::join_paths(path)?);
    if peer.reads_no_ini() && dir.join("src").exists() {
        command.env("PYTHONPATH", dir.join("src"));
    }
    if peer == Peer::Dx {
        // It would be warm in the second run; the rows where it is say so.
        command.env("DX_PY_DAEMON", "0");
    }
    if peer == Peer::Tiderace {
        command.env("TIDERACE_PYTHON", bin.join("python"));
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_is_pinned() {
        for peer in PEERS {
            let file = root().join(format!("testdata/peers/{}.txt", peer.name()));
            let pins = fs::read_to_string(file).unwrap();
            assert!(pinned(&pins, peer.name()).is_some(), "{}", peer.name());
            assert!(pinned(&pins, "pytest").is_some(), "projects import pytest");
        }
    }
}
