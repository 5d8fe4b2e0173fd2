//! `cargo xtask matrix`: the end-to-end tests under older and newer versions of Python and pytest, as far as the machine has them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::demo;
use crate::project::{root, run};

/// All tests.
const ALL: &str = "hash:1/1";

/// Pairs of Python and pytest, and which tests run there: all with the oldest that are supported and with the newest. Those between share
/// them, since what breaks in one of them alone is rare, and all of them take a quarter of an hour for each.
const PAIRS: [(&str, &str, &str); 5] = [
    ("3.9", "7.4.4", ALL),
    ("3.10", "8.0.2", "hash:1/2"),
    ("3.12", "8.4.2", "hash:2/2"),
    ("3.13", "9.2.0", ALL),
    ("3.14", "9.2.0", ALL),
];

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

/// Runs it; says which versions the machine doesn't have.
///
/// # Errors
/// At the first pair whose tests fail.
pub fn matrix() -> Result<()> {
    for (version, pytest, tests) in PAIRS {
        let Some(python) = interpreter(version) else {
            println!("\n══ Python {version} isn't on this machine: left out");
            continue;
        };
        println!("\n══ end-to-end tests: Python {version}, pytest {pytest}");
        let packages = format!("pytest=={pytest}\n");
        let venv = demo::environment_of(&format!("matrix/{version}"), &python, &packages)?;
        run(Command::new("cargo")
            .args(["nextest", "run", "-p", "dx-py", "--no-fail-fast"])
            .args(["-E", "not test(plugins::)", "--partition", tests])
            .args(["--status-level", "fail"])
            .env("DX_TEST_PYTHON", venv.join("bin/python"))
            .current_dir(root()))?;
    }
    Ok(())
}
