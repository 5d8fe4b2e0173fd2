//! The Python package `dx_py_test_runner` where it is installed, and the worker of the same name that the binary carries.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Project, python};

/// The interpreter of an environment with pytest and the wheel: `DX_TEST_INSTALLED`, or where `cargo xtask wheel` leaves one.
pub fn installed_python() -> Option<PathBuf> {
    let python = std::env::var_os("DX_TEST_INSTALLED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/wheel-trial/newest/venv/bin/python"),
        PathBuf::from,
    );
    let is_there = python.exists();
    if !is_there {
        eprintln!("skipped: the wheel wasn't built; `cargo xtask wheel` builds and installs it");
    }
    is_there.then_some(python)
}

/// The wheel that `cargo xtask wheel` built.
fn wheel() -> Option<PathBuf> {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/dist");
    let mut files = std::fs::read_dir(dist).into_iter().flatten().flatten();
    let wheel = files.find(|entry| entry.file_name().to_string_lossy().ends_with(".whl"));
    if wheel.is_none() {
        eprintln!("skipped: the wheel wasn't built; `cargo xtask wheel` builds it");
    }
    wheel.map(|entry| entry.path())
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().expect("the program can be started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}{errors}");
    text
}

#[test]
fn one_install_gives_the_command_and_the_package() {
    let Some(wheel) = wheel() else { return };
    let project = Project::new(&[
        ("test_a.py", "def test_one(): pass\ndef test_two(): pass\n"),
        (
            "test_b.py",
            "import dx_py_test_runner as dx\ndef test_three(): assert len(dx.blake3(b'')) == 32\n",
        ),
    ]);
    let base =
        succeed(Command::new(python()).args(["-c", "import sys; print(sys._base_executable)"]));
    // It isn't active, and the project doesn't know of it.
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let venv = folder.path().join("venv");
    succeed(Command::new(base.trim()).args(["-m", "venv"]).arg(&venv));
    let pip = [
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "pytest",
    ];
    succeed(Command::new(venv.join("bin/python")).args(pip).arg(wheel));
    let dx = || {
        let mut command = project.start(&venv.join("bin/dx-py"));
        command.arg("test").env_remove("VIRTUAL_ENV");
        command
    };
    assert!(succeed(&mut dx()).contains("3 passed"));
    assert!(succeed(&mut dx()).contains("nothing to run: 3 fresh"));
    project.write(
        "test_a.py",
        "def test_one(): pass\ndef test_two(): assert True\n",
    );
    assert!(succeed(&mut dx()).contains("1 passed in"));
    let module =
        succeed(
            project
                .start(&venv.join("bin/python"))
                .args(["-m", "dx_py_test_runner", "test"]),
        );
    assert!(module.contains("3 fresh"), "{module}");
}

#[test]
fn a_worker_uses_the_installed_compiled_part_of_its_own_version() {
    let Some(python) = installed_python() else {
        return;
    };
    let mut project = Project::new(&[(
        "test_a.py",
        "import sys\nimport dx_py_test_runner as dx\nfrom dx_py_test_runner import wire\n\
         def test_worker(): assert '/.dx/worker-' in dx.__file__\n\
         def test_ring(): assert wire.RingWriter is sys.modules['dx_py_test_runner._native'].RingWriter\n\
         def test_large(): print('x' * 100_000); assert dx.discover('.')\n",
    )]);
    project.use_python(&python);
    for workers in ["1", "2"] {
        let run = project.test(&["--all", "-n", workers]);
        assert_eq!((run.code, run.ran()), (0, 3), "{}{}", run.out, run.err);
    }
}

#[test]
fn what_a_test_asks_of_dx_py_is_an_input_of_it() {
    let Some(python) = installed_python() else {
        return;
    };
    let mut project = Project::new(&[
        (
            "test_a.py",
            "import dx_py_test_runner as dx\ndef test_sources(): assert dx.discover('.')\n",
        ),
        (
            "test_b.py",
            "import dx_py_test_runner as dx\ndef test_records(): dx.history(root='.')\n",
        ),
        ("test_c.py", "def test_plain(): pass\n"),
        ("other.py", "x = 1\n"),
    ]);
    project.use_python(&python);
    assert_eq!(project.test(&[]).ran(), 3);
    let run = project.test(&[]);
    assert_eq!(run.outcome("test_sources"), "fresh passed", "{}", run.out);
    assert_eq!(run.outcome("test_plain"), "fresh passed");
    assert_eq!(run.outcome("test_records"), "passed", "{}", run.out);
    project.write("other.py", "def test_more(): pass\n");
    let run = project.test(&[]);
    assert_eq!(run.outcome("test_sources"), "passed", "{}", run.out);
    assert_eq!(run.outcome("test_plain"), "fresh passed");
}

/// Tests that see which package the worker is made of.
const LOOKS: &str = "import os, sys\nimport dx_py_test_runner as dx\nfrom dx_py_test_runner import wire\n\
    def test_worker(): assert '/.dx/worker-' in dx.__file__ and '/.dx/worker-' in wire.__file__\n\
    def test_all_of_it():\n\
    \x20   parts = [m for name, m in sys.modules.items() if name.startswith('dx_py_test_runner.')]\n\
    \x20   assert parts and all('/.dx/worker-' in part.__file__ for part in parts)\n\
    def test_ring(): assert wire.RingWriter is wire.PureRingWriter\n\
    def test_api():\n\
    \x20   try: dx.discover('.')\n\
    \x20   except ImportError as error: assert 'pip install dx-py==' + dx.__version__ in str(error)\n\
    \x20   else: assert False\n";

#[test]
fn an_installed_package_of_another_version_does_not_shadow_the_worker() {
    let site = tempfile::tempdir().expect("a temporary folder can be made");
    let write = |name: &str, text: &str| {
        let path = site.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it has a folder"))
            .expect("folders can be made");
        std::fs::write(path, text).expect("files can be written");
    };
    write("dx_py_test_runner/__init__.py", "__version__ = '9.9.9'\n");
    for module in ["wire", "observe", "trace", "session", "errors"] {
        let text = "raise RuntimeError('another version was imported')\n";
        write(&format!("dx_py_test_runner/{module}.py"), text);
    }
    write("dx_py_test_runner/_native.abi3.so", "not even a library");
    write(
        "dx_py-9.9.9.dist-info/METADATA",
        "Name: dx-py\nVersion: 9.9.9\n",
    );
    // It is there before the worker begins.
    write("sitecustomize.py", "import dx_py_test_runner\n");
    for (name, value) in [("", ""), ("PYTHONSAFEPATH", "1")] {
        let mut project = Project::new(&[("test_a.py", LOOKS)]);
        if !name.is_empty() {
            project.set(name, value);
        }
        project.set("PYTHONPATH", site.path());
        for workers in ["1", "2"] {
            let run = project.test(&["--all", "-n", workers]);
            assert_eq!((run.code, run.ran()), (0, 4), "{}{}", run.out, run.err);
        }
    }
}

#[test]
fn a_path_that_was_declared_safe_keeps_its_first_entry() {
    let lib = tempfile::tempdir().expect("a temporary folder can be made");
    std::fs::write(lib.path().join("named_first.py"), "x = 1\n").expect("files can be written");
    let mut project = Project::new(&[
        (
            "pytest.ini",
            "[pytest]\naddopts = --import-mode=importlib\n",
        ),
        ("in_folder.py", "x = 1\n"),
        (
            "test_a.py",
            "def test_named(): import named_first\ndef test_not_named(): import in_folder\n",
        ),
    ]);
    project.set("PYTHONSAFEPATH", "1");
    project.set("PYTHONPATH", lib.path());
    // As with `python -m pytest`, which leaves the working directory out then, from Python 3.11 on.
    let code = "import sys; print('failed' if hasattr(sys.flags, 'safe_path') else 'passed')";
    let left_out = succeed(Command::new(python()).args(["-c", code]));
    for workers in ["1", "2"] {
        let run = project.test(&["--all", "-n", workers, "--no-second-opinion"]);
        let outcomes = [run.outcome("test_named"), run.outcome("test_not_named")];
        let expected = ["passed", left_out.trim()];
        assert_eq!(outcomes, expected, "{}{}", run.out, run.err);
    }
}

#[test]
fn a_dry_run_is_told_as_json_too() {
    let project = Project::new(&[
        ("test_a.py", "def test_one(): pass\n"),
        ("test_b.py", "def test_two(): pass\n"),
    ]);
    let forecast = project.test(&["--dry-run"]).json;
    assert_eq!(forecast["would_run"][0]["id"], "test_a.py::test_one");
    assert_eq!(forecast["would_run"][1]["predicted"], true);
    assert!(forecast["would_ask_pytest"].is_string(), "{forecast}");
    assert_eq!(project.test(&[]).ran(), 2);
    project.write("test_b.py", "def test_two(): assert True\n");
    let forecast = project.test(&["--dry-run"]).json;
    let would_run = forecast["would_run"].as_array().map(Vec::len);
    assert_eq!(would_run, Some(1), "{forecast}");
    assert_eq!(forecast["would_run"][0]["predicted"], false);
    assert_eq!(forecast["fresh"], 1);
}
