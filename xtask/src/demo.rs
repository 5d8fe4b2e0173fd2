//! `cargo xtask demo`: the main job on a sample project, checked as it is shown.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::project::{build, copy, read, root, run};

/// The newest of the usual interpreters that can be started.
///
/// # Errors
/// If there is none.
pub fn base_python() -> Result<PathBuf> {
    for name in [
        "python3.13",
        "python3.12",
        "python3.11",
        "python3.10",
        "python3",
    ] {
        let works = Command::new(name)
            .args([
                "-c",
                "import venv, sys; sys.exit(sys.version_info < (3, 9))",
            ])
            .output();
        if works.is_ok_and(|output| output.status.success()) {
            return Ok(name.into());
        }
    }
    bail!("no Python from 3.9 on is on PATH: install one, with its venv module")
}

/// A virtual environment of that name with the pinned packages of a file in `testdata/`; made if it isn't there, and again when the
/// file has changed.
///
/// # Errors
/// If it can't be made.
pub fn environment(name: &str, packages: &str) -> Result<PathBuf> {
    let wanted = fs::read_to_string(root().join("testdata").join(packages))?;
    environment_of(name, &base_python()?, &wanted)
}

/// A virtual environment of that name for an interpreter, with these packages, one a line.
///
/// # Errors
/// If it can't be made.
pub fn environment_of(name: &str, python: &Path, wanted: &str) -> Result<PathBuf> {
    let venv = root().join("target").join(name).join("venv");
    let marker = venv.join("installed.txt");
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return Ok(venv);
    }
    println!(
        "making a virtual environment in {} with {}",
        venv.display(),
        wanted
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect::<Vec<_>>()
            .join(" ")
    );
    if venv.exists() {
        fs::remove_dir_all(&venv)?;
    }
    run(Command::new(python).args(["-m", "venv"]).arg(&venv))?;
    let requirements = venv.join("requirements.txt");
    fs::write(&requirements, wanted)?;
    run(Command::new(venv.join("bin/python"))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
        ])
        .arg(&requirements))?;
    fs::write(marker, wanted)?;
    Ok(venv)
}

struct Demo {
    dx: PathBuf,
    venv: PathBuf,
    dir: PathBuf,
}

impl Demo {
    /// Shows a run; gives how many tests ran and how many were fresh.
    fn show(&self, title: &str, args: &[&str], python: Option<&Path>) -> Result<(usize, usize)> {
        println!("\n── {title}\n$ dx-py test {}", args.join(" "));
        let json = self.dir.with_extension("json");
        let mut command = Command::new(&self.dx);
        command
            .arg("test")
            .args(args)
            .arg("--json")
            .arg(&json)
            .current_dir(&self.dir)
            .env("VIRTUAL_ENV", &self.venv)
            .env("DX_PY_DAEMON", "0");
        if let Some(python) = python {
            command.arg("--python").arg(python);
        }
        run(&mut command)?;
        let report = read(&json)?;
        Ok((report.ran, report.fresh))
    }
}

fn expect(holds: bool, what: &str) -> Result<()> {
    if !holds {
        bail!("the demo didn't show what it should: {what}");
    }
    Ok(())
}

/// Runs it.
///
/// # Errors
/// If a step doesn't show what it should.
pub fn demo() -> Result<()> {
    let venv = environment("demo", "requirements.txt")?;
    let dx = build()?;
    let dir = root().join("target/demo/shop");
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    copy(&root().join("testdata/shop"), &dir)?;
    // An interpreter that leaves a line for each of its starts, so that none can go unnoticed.
    let log = root().join("target/demo/starts.txt");
    let python = venv.join("bin/counted-python");
    fs::write(&log, "")?;
    fs::write(
        &python,
        format!(
            "#!/bin/sh\necho started >> '{}'\nexec '{}' \"$@\"\n",
            log.display(),
            venv.join("bin/python").display()
        ),
    )?;
    run(Command::new("chmod").arg("+x").arg(&python))?;
    let starts = || {
        fs::read_to_string(&log)
            .map(|text| text.lines().count())
            .context("the log of starts is gone")
    };
    let demo = Demo {
        dx,
        venv,
        dir: dir.clone(),
    };
    let python = Some(python.as_path());

    let (all, fresh) = demo.show("A first run: every test, on every core", &[], python)?;
    expect(all > 0 && fresh == 0, "a first run runs everything")?;
    let before = starts()?;
    let (ran, fresh) = demo.show("Again, with nothing changed", &[], python)?;
    expect(
        ran == 0 && fresh == all,
        "nothing is run when nothing changed",
    )?;
    expect(
        starts()? == before,
        "no Python is started when nothing changed",
    )?;
    println!("(Python was started {} times)", starts()? - before);

    let module = dir.join("src/shop/pricing.py");
    let original = fs::read_to_string(&module)?;
    println!("\n── An edit of src/shop/pricing.py");
    fs::write(
        &module,
        original.replace("return round(", "return 0.0 + round("),
    )?;
    expect(
        fs::read_to_string(&module)? != original,
        "the module was edited",
    )?;
    let (ran, fresh) = demo.show("Only what the edit can reach", &["--explain"], python)?;
    expect(
        ran > 0 && fresh > 0 && ran + fresh == all,
        "an edit reruns some tests and leaves others fresh",
    )?;

    println!("\n── The edit is taken back");
    fs::write(&module, original)?;
    let before = starts()?;
    let (ran, _) = demo.show("Content decides, not time", &[], python)?;
    expect(ran == 0 && starts()? == before, "a revert needs no run")?;
    println!("\nThe demo showed what it should.");
    Ok(())
}
