//! `cargo xtask ci`: sets up what is missing, then every check.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::matrix::{Budget, matrix};
use crate::project::{root, run};
use crate::{demo, wheel};

/// When it has to be done: on a machine that is slower than usual, the matrix of versions is what gets less. The rest takes half of this.
const LIMIT: Duration = Duration::from_secs(80 * 60);

fn step(title: &str, command: &mut Command) -> Result<()> {
    println!("\n══ {title}");
    run(command.current_dir(root()))
}

fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(args);
    command
}

fn has(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Runs it.
///
/// # Errors
/// At the first check that fails.
pub fn ci() -> Result<()> {
    let began = Instant::now();
    let venv = demo::environment("ci", "requirements.txt")?;
    let plugins = demo::environment("plugins", "plugins.txt")?;
    let plugins_pytest8 = demo::environment("plugins-pytest8", "plugins-pytest8.txt")?;
    if !has("cargo", &["nextest", "--version"]) {
        step(
            "cargo-nextest is missing: installing it",
            &mut cargo(&["install", "cargo-nextest", "--locked"]),
        )?;
    }
    step("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    step(
        "lints",
        &mut cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]),
    )?;
    let bin = venv.join("bin");
    let worker = Path::new("worker/dx_py_test_runner");
    let python = ["worker", "tests/python"];
    step(
        "the Python code's format",
        Command::new(bin.join("ruff"))
            .args(["format", "--check", "--config", "worker/pyproject.toml"])
            .args(python),
    )?;
    step(
        "the Python code's lints",
        Command::new(bin.join("ruff"))
            .args(["check", "--config", "worker/pyproject.toml"])
            .args(python),
    )?;
    step(
        "the package's types",
        Command::new(bin.join("mypy"))
            .args(["--config-file", "worker/pyproject.toml"])
            .arg(worker),
    )?;
    if has("cargo", &["deny", "--version"]) {
        step(
            "licences and sources of dependencies",
            &mut cargo(&["deny", "check", "licenses", "bans", "sources"]),
        )?;
    } else {
        println!(
            "\n══ cargo-deny isn't installed: licences and sources of dependencies are not checked"
        );
    }
    println!("\n══ demo");
    demo::demo()?;
    wheel::wheel()?;
    let before = Instant::now();
    step(
        "tests",
        cargo(&["nextest", "run", "--workspace", "--no-fail-fast"])
            // The least that each property is tried with.
            .env("PROPTEST_CASES", "1000")
            .env("DX_TEST_PYTHON", bin.join("python"))
            .env("DX_TEST_PLUGINS", plugins.join("bin/python"))
            .env(
                "DX_TEST_PLUGINS_PYTEST8",
                plugins_pytest8.join("bin/python"),
            ),
    )?;
    matrix(Some(Budget {
        until: began + LIMIT,
        whole: before.elapsed(),
    }))
}
