//! `cargo xtask wheel`: what pip installs, built, checked, and tried in new virtual environments.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::project::{replace, root, run};
use crate::{demo, matrix};

/// What the wheel is tried with: a name for the environment, an interpreter, and a version of pytest.
struct Trial<'a> {
    name: &'a str,
    python: PathBuf,
    pytest: &'a str,
}

/// The oldest Python and pytest that are supported, if the machine has it, and the newest.
fn trials() -> Result<Vec<Trial<'static>>> {
    let mut trials = Vec::new();
    match matrix::interpreter("3.9") {
        Some(python) => trials.push(Trial {
            name: "oldest",
            python,
            pytest: "7.4.4",
        }),
        None => println!("\n── Python 3.9 isn't on this machine: left out"),
    }
    trials.push(Trial {
        name: "newest",
        python: demo::base_python()?,
        pytest: "9.2.0",
    });
    Ok(trials)
}

fn step(title: &str, command: &mut Command) -> Result<()> {
    println!("\n── {title}");
    run(command.current_dir(root()))
}

/// Where the wheel and the source distribution are put.
fn dist() -> PathBuf {
    root().join("target/dist")
}

/// The only file in `target/dist` with that ending.
fn built(ending: &str) -> Result<PathBuf> {
    let files = fs::read_dir(dist())?.flatten().map(|entry| entry.path());
    let mut found = files.filter(|path| path.to_string_lossy().ends_with(ending));
    match (found.next(), found.next()) {
        (Some(path), None) => Ok(path),
        _ => bail!("{} doesn't hold one file *{ending}", dist().display()),
    }
}

/// A program of the virtual environment with the packaging tools, which are found by name too.
fn tool(venv: &Path, name: &str) -> Command {
    let bin = venv.join("bin");
    let mut command = Command::new(bin.join(name));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(bin).chain(std::env::split_paths(&path));
    if let Ok(path) = std::env::join_paths(folders) {
        command.env("PATH", path);
    }
    command.env_remove("VIRTUAL_ENV");
    command
}

/// Builds both, checks and tries them; gives the wheel.
///
/// # Errors
/// At the first step that fails.
pub fn wheel() -> Result<PathBuf> {
    let tools = demo::environment("packaging", "packaging.txt")?;
    if dist().exists() {
        fs::remove_dir_all(dist())?;
    }
    fs::create_dir_all(dist())?;
    step(
        "the source distribution",
        tool(&tools, "python")
            .args([
                "-c",
                "import sys, dx_py_build; dx_py_build.build_sdist(sys.argv[1])",
            ])
            .arg(dist())
            .env("PYTHONPATH", "worker/build"),
    )?;
    step(
        "the wheel",
        tool(&tools, "python")
            .args(["-m", "pip", "wheel", ".", "--quiet", "--no-deps"])
            .args(["--disable-pip-version-check", "--no-build-isolation"])
            // A platform that PyPI takes: the oldest glibc that will do.
            .args(["--config-settings", "build-args=--compatibility pypi"])
            .arg("--wheel-dir")
            .arg(dist()),
    )?;
    let (wheel, sdist) = (built(".whl")?, built(".tar.gz")?);
    step(
        "twine",
        tool(&tools, "twine")
            .args(["check", "--strict"])
            .args([&wheel, &sdist]),
    )?;
    step(
        "abi3audit: only what Python 3.9 and all later ones have",
        tool(&tools, "abi3audit")
            .args(["--strict", "--summary"])
            .arg(&wheel),
    )?;
    check_platform(&tools, &wheel)?;
    check_sources(&sdist)?;
    let times = trials()?
        .iter()
        .map(|trial| try_it(&wheel, &tools, trial))
        .collect::<Result<Vec<_>>>()?;
    println!();
    for path in [&wheel, &sdist] {
        let size = fs::metadata(path)?.len() as f64 / f64::from(1 << 20);
        println!("{} {size:.1} MiB", path.display());
    }
    for time in times {
        println!("{time}");
    }
    Ok(wheel)
}

/// Whether the source distribution holds all that is compiled.
fn check_sources(sdist: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    step(
        "what the source distribution holds, compiled",
        Command::new("tar")
            // As of now: cargo would take older ones for what it compiled the last time.
            .args(["--touch", "-xzf"])
            .arg(sdist)
            .arg("-C")
            .arg(folder.path()),
    )?;
    let name = sdist.file_name().unwrap_or_default().to_string_lossy();
    let sources = folder.path().join(name.trim_end_matches(".tar.gz"));
    run(Command::new("cargo")
        .args(["check", "--quiet", "--locked", "--target-dir"])
        .arg(root().join("target/sdist"))
        .args(["--package", "dx-py", "--package", "dx-py-native"])
        .current_dir(sources))
}

/// Shows what auditwheel says, and whether the wheel's name says so too: of the command, maturin doesn't look at what it needs.
fn check_platform(tools: &Path, wheel: &Path) -> Result<()> {
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    println!("\n── auditwheel");
    let shown = tool(tools, "auditwheel").arg("show").arg(wheel).output()?;
    let text = String::from_utf8_lossy(&shown.stdout);
    print!("{text}");
    let name = wheel.file_stem().unwrap_or_default().to_string_lossy();
    let mut tags = name.rsplit('-').next().unwrap_or_default().split('.');
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_told = tags.any(|tag| words.contains(&format!("platform tag: \"{tag}\"")));
    if !shown.status.success() || !is_told {
        bail!("{name} doesn't run on all that its name says");
    }
    Ok(())
}

/// Installs the wheel in a new environment and does with it what users do; gives a line that says how long it took to install.
fn try_it(wheel: &Path, tools: &Path, trial: &Trial<'_>) -> Result<String> {
    let folder = root().join("target/wheel-trial").join(trial.name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let (venv, tests) = (folder.join("venv"), folder.join("tests"));
    step(
        &format!(
            "a new environment: {}, pytest {}, the wheel",
            trial.python.display(),
            trial.pytest
        ),
        Command::new(&trial.python).args(["-m", "venv"]).arg(&venv),
    )?;
    let bin = venv.join("bin");
    let install = |what: &std::ffi::OsStr| {
        let mut pip = Command::new(bin.join("python"));
        pip.args(["-m", "pip", "install", "--quiet"])
            .args(["--disable-pip-version-check", "--no-warn-script-location"])
            .arg(what);
        run(&mut pip)
    };
    install(format!("pytest=={}", trial.pytest).as_ref())?;
    let began = Instant::now();
    install(wheel.as_ref())?;
    let time = format!(
        "pip install of the wheel, {}: {:.1} s",
        trial.name,
        began.elapsed().as_secs_f64()
    );

    replace(&root().join("tests/python"), &tests)?;
    let here = |program: &str| {
        let mut command = Command::new(bin.join(program));
        command
            .current_dir(&tests)
            .env("VIRTUAL_ENV", &venv)
            .env("DX_PY_DAEMON", "0");
        command
    };
    fs::write(tests.join("pytest.ini"), "[pytest]\n")?;
    println!("\n── the tests of the API, by pytest");
    run(here("python").args(["-m", "pytest", "-q"]))?;
    println!("\n── the same, by dx-py, and then again");
    run(here("dx-py").args(["test", "-q"]))?;
    run(here("dx-py").arg("test"))?;
    println!("\n── a sample project");
    let shop = tests.with_file_name("shop");
    replace(&root().join("testdata/shop"), &shop)?;
    let shown = here("dx-py").current_dir(&shop).arg("test").output()?;
    let text = String::from_utf8_lossy(&shown.stdout);
    print!("{text}");
    // As a plugin that is installed the package may not be what pytest warns of.
    if !shown.status.success() || text.contains("warnings summary") {
        bail!("the sample project shall pass, without a warning");
    }

    if trial.name == "newest" {
        types(tools, &venv, &tests)?;
    }
    Ok(time)
}

/// Compares the stubs with what is there, and checks a program that uses the API.
fn types(tools: &Path, venv: &Path, tests: &Path) -> Result<()> {
    println!("\n── types");
    let code = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let packages = Command::new(venv.join("bin/python"))
        .args(["-c", code])
        .output()?;
    let packages = String::from_utf8(packages.stdout).context("the environment's path")?;
    run(tool(tools, "python")
        .args(["-m", "mypy.stubtest", "dx_py_test_runner._native"])
        .env("PYTHONPATH", packages.trim())
        .current_dir(tests))?;
    run(tool(tools, "mypy")
        .args(["--strict", "--python-executable"])
        .arg(venv.join("bin/python"))
        .arg("typed_program.py")
        .current_dir(tests))?;
    run(tool(tools, "pyright")
        .arg("--pythonpath")
        .arg(venv.join("bin/python"))
        .arg("typed_program.py")
        .arg(Path::new(packages.trim()).join("dx_py_test_runner/__init__.py"))
        .arg(Path::new(packages.trim()).join("dx_py_test_runner/queries.py"))
        .arg(Path::new(packages.trim()).join("dx_py_test_runner/command.py"))
        .current_dir(tests))
}
