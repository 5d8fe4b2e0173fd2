//! The same outcomes as pytest's, and what goes wrong.

use crate::support::{Project, python};

const EVERYTHING: &str = r#"
import unittest
import pytest

@pytest.fixture
def broken():
    raise RuntimeError("set-up")

@pytest.fixture
def late():
    yield
    raise RuntimeError("teardown")

def test_passes(): pass
def test_fails(): assert 1 == 2
def test_error(broken): pass
def test_late(late): pass
def test_both(late): assert 0
@pytest.mark.skip(reason="why not")
def test_skip(): pass
@pytest.mark.xfail
def test_xfail(): assert 0
@pytest.mark.xfail
def test_xpass(): pass
@pytest.mark.xfail(strict=True)
def test_strict(): pass
@pytest.mark.parametrize("x", ["a", "é", "a/b", "a::b"])
def test_params(x): assert x
class TestClass:
    def test_method(self): pass
class Case(unittest.TestCase):
    def test_unit(self): self.assertEqual(1, 1)
    @unittest.skip("no")
    def test_unit_skip(self): pass
"#;

#[test]
fn every_kind_of_outcome_is_that_of_pytest() {
    let project = Project::new(&[
        ("test_a.py", EVERYTHING),
        (
            "sub/test_b.py",
            "import pytest\n\npytest.importorskip('no_such_module')\n\ndef test_x():\n    pass\n",
        ),
        ("test_c.py", "def test_broken(:\n    pass\n"),
        ("test_d.py", "def test_after():\n    pass\n"),
    ]);
    let (code, expected) = project.pytest(&[]);
    for args in [&["-n", "2"][..], &["-n", "1"], &["--all"], &[]] {
        let run = project.test(args);
        assert_eq!(
            run.outcomes(),
            expected,
            "{args:?}\n{}\n{}",
            run.out,
            run.err
        );
        assert_eq!(run.code, code);
        assert_eq!(run.json["collection_errors"][0]["node"], "test_c.py");
    }
}

#[test]
fn a_class_that_cannot_be_collected_is_told_of_until_it_can() {
    const BROKEN: &str = "import pytest\n\ndef test_beside():\n    pass\n\nclass TestBroken:\n    @pytest.mark.parametrize('x', [1, 2], ids=['one'])\n    def test_x(self, x):\n        pass\n\nclass TestWhole:\n    def test_y(self):\n        pass\n";
    let project = Project::new(&[
        ("test_a.py", BROKEN),
        ("test_b.py", "def test_b():\n    pass\n"),
    ]);
    let agrees = |args: &[&str], node: &str| {
        let mut of_pytest = vec!["--continue-on-collection-errors"];
        of_pytest.extend(args.iter().filter(|arg| arg.starts_with("test_")));
        let (code, expected) = project.pytest(&of_pytest);
        let run = project.test(args);
        let said = format!("{args:?}\n{}\n{}", run.out, run.err);
        assert_eq!((run.code, run.outcomes()), (code, expected), "{said}");
        assert_eq!(
            run.json["collection_errors"][0]["node"].as_str(),
            (!node.is_empty()).then_some(node),
            "{said}"
        );
    };
    const BROKEN_CLASS: &str = "test_a.py::TestBroken";
    for args in [&["-n", "2"][..], &[], &["--all"], &["test_a.py"]] {
        agrees(args, BROKEN_CLASS);
    }
    agrees(&["test_b.py"], "");
    agrees(&["test_a.py::test_beside"], "");
    agrees(&["test_a.py::TestWhole"], "");
    project.write("test_b.py", "def test_b():\n    assert True\n");
    agrees(&[], BROKEN_CLASS);
    // In a file that has come since pytest was asked which there are.
    project.write("test_c.py", BROKEN);
    project.write("test_a.py", &BROKEN.replace(", ids=['one']", ""));
    for _ in 0..2 {
        agrees(&[], "test_c.py::TestBroken");
    }
    project.write("test_c.py", &BROKEN.replace(", ids=['one']", ""));
    agrees(&[], "");
}

#[test]
fn a_worker_that_dies_costs_only_the_test_that_it_ran() {
    let project = Project::new(&[(
        "test_a.py",
        "import os, signal\n\ndef test_1(): pass\ndef test_exit(): os._exit(3)\ndef test_2(): pass\ndef test_kill(): os.kill(os.getpid(), signal.SIGKILL)\ndef test_3(): pass\n",
    )]);
    let run = project.test(&["-n", "2"]);
    let outcomes: Vec<&str> = run.tests.values().map(String::as_str).collect();
    assert_eq!((run.code, run.tests.len()), (1, 5));
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| **outcome == "passed")
            .count(),
        3
    );
    assert!(
        run.out.contains("exit code 3 while it ran this test"),
        "{}",
        run.out
    );
    assert!(run.out.contains("signal 9"), "{}", run.out);
}

#[test]
fn a_test_that_hangs_is_ended_and_its_stacks_are_shown() {
    let project = Project::new(&[(
        "test_a.py",
        "import time\n\ndef test_hangs():\n    the_line_that_hangs = time.sleep(100)\n\ndef test_after(): pass\n",
    )]);
    let run = project.test(&["--timeout", "1.5"]);
    assert_eq!(
        (run.outcome("test_hangs"), run.outcome("test_after")),
        ("failed", "passed")
    );
    assert!(run.out.contains("timed out after 1.5 s"), "{}", run.out);
    assert!(run.out.contains("in test_hangs"), "{}", run.out);
}

#[test]
fn it_is_said_which_test_takes_long() {
    let project = Project::new(&[
        ("dx-py.toml", "slow-after = 0.2\n"),
        (
            "test_a.py",
            "import time\ntime.sleep(0.7)\ndef test_slow(): time.sleep(0.7)\ndef test_quick(): pass\n",
        ),
    ]);
    let run = project.test(&[]);
    assert_eq!(run.outcome("test_slow"), "passed");
    for said in [
        "⚠ slow worker gw0 has been collecting for ",
        "⚠ slow test_a.py::test_slow has been running for ",
    ] {
        assert!(run.out.contains(said), "{}", run.out);
    }
    assert!(!run.out.contains("slow test_a.py::test_quick"));

    project.write("dx-py.toml", "slow-after = 0\n");
    let run = project.test(&["--all"]);
    assert!(!run.out.contains("has been"), "{}", run.out);
}

#[test]
fn selection_by_keyword_mark_and_pattern_is_that_of_pytest() {
    let project = Project::new(&[
        ("pytest.ini", "[pytest]\nmarkers =\n    slow: x\n"),
        (
            "test_a.py",
            "import pytest\n\n@pytest.mark.slow\ndef test_one(): pass\ndef test_two(): pass\nclass TestK:\n    def test_three(self): pass\n",
        ),
        ("sub/test_b.py", "def test_one(): pass\n"),
    ]);
    for args in [
        &["-k", "one"][..],
        &["-k", "TestK or (two and not slow)"],
        &["-m", "slow"],
        &["-m", "not slow"],
        &["sub"],
        &["test_a.py::TestK"],
    ] {
        let (code, expected) = project.pytest(args);
        let run = project.test(args);
        assert_eq!((run.outcomes(), run.code), (expected, code), "{args:?}");
    }
    assert_eq!(project.test(&["*three*"]).tests.len(), 1);
    assert_eq!(project.test(&["-k", "nothing_has_this"]).code, 5);
    let wrong = project.test(&["-k", "a b"]);
    assert!(
        wrong.code == 4 && wrong.err.contains("at column 3: expected end of input"),
        "{}",
        wrong.err
    );
    let missing = project.test(&["nowhere.py"]);
    assert!(
        missing.code == 4
            && missing
                .err
                .contains("file or directory not found: nowhere.py"),
        "{}",
        missing.err
    );
}

#[test]
fn stopping_after_failures() {
    let project = Project::new(&[(
        "test_a.py",
        "def test_1(): assert 0\ndef test_2(): assert 0\ndef test_3(): pass\n",
    )]);
    let run = project.test(&["-x"]);
    assert_eq!((run.code, run.tests.len()), (1, 1));
    assert!(run.out.contains("stopping after 1 failure"), "{}", run.out);
    let failed = project.test(&["--lf"]);
    assert_eq!(
        failed.tests.keys().map(String::as_str).collect::<Vec<_>>(),
        ["test_a.py::test_1"]
    );
}

#[test]
fn a_conftest_that_cannot_be_imported_is_told_as_pytest_tells_it() {
    let project = Project::new(&[
        ("conftest.py", "import no_such_module\n"),
        ("test_a.py", "def test_a(): pass\n"),
    ]);
    let run = project.test(&[]);
    assert_eq!(run.code, 4);
    assert!(
        run.err.contains("ImportError while loading conftest")
            && run.err.contains("no_such_module"),
        "{}",
        run.err
    );
}

#[test]
fn bad_configuration_and_missing_interpreters_are_told() {
    let project = Project::new(&[("test_a.py", "def test_a(): pass\n")]);
    let missing = project.dx(&["test", "--python", "nowhere/python"]);
    assert!(
        missing.0 == 4 && missing.2.contains("nowhere/python"),
        "{missing:?}"
    );
    let (code, _, err) = project.dx(&["test", "--no-such-flag"]);
    assert!(code == 4 && err.contains("--no-such-flag"), "{err}");
    project.write("dx-py.toml", "workers = 2\nwrong = 1\n");
    let (code, _, err) = project.dx(&["test"]);
    assert!(code == 4 && err.contains("line 2, column 1"), "{err}");
}

#[test]
fn an_interpreter_without_pytest_says_how_to_install_it() {
    let project = Project::new(&[("test_a.py", "def test_a(): pass\n")]);
    project.write(
        "bare-python",
        &format!("#!/bin/sh\nexec '{}' -S \"$@\"\n", python().display()),
    );
    std::process::Command::new("chmod")
        .arg("+x")
        .arg(project.path().join("bare-python"))
        .status()
        .unwrap();
    let (code, _, err) = project.dx(&["test", "--python", "./bare-python"]);
    assert!(
        code == 4
            && err.contains("pytest is not installed")
            && err.contains("-m pip install pytest"),
        "{code} {err}"
    );
}

#[test]
fn a_damaged_catalog_is_set_aside_and_a_newer_one_refused() {
    let project = Project::new(&[("test_a.py", "def test_a(): pass\n")]);
    project.test(&[]);
    project.write(".dx/catalog.db", &"not a database at all ".repeat(100));
    for name in ["catalog.db-wal", "catalog.db-shm"] {
        let _ = std::fs::remove_file(project.path().join(".dx").join(name));
    }
    project.write(".dx/index.dxti", "damaged");
    project.write(".dx/graph.bin", "damaged");
    let run = project.test(&[]);
    assert_eq!((run.code, run.ran()), (0, 1));
    assert!(run.out.contains("the catalog was damaged"), "{}", run.out);
    assert_eq!(project.test(&[]).ran(), 0);
}

#[test]
fn sources_that_are_no_text_are_collection_errors_and_the_rest_runs() {
    let project = Project::new(&[("test_good.py", "def test_a(): pass\n")]);
    std::fs::write(project.path().join("test_bad.py"), b"x = '\xff\xfe'\n").unwrap();
    let run = project.test(&[]);
    assert_eq!((run.code, run.outcome("test_a")), (1, "passed"));
    assert_eq!(run.json["collection_errors"][0]["node"], "test_bad.py");
}

#[test]
fn junit_goes_to_a_file_or_to_standard_output() {
    let project = Project::new(&[("test_a.py", EVERYTHING)]);
    let run = project.test(&["--junit-xml", "out/junit.xml"]);
    assert_eq!(run.code, 1);
    let xml = std::fs::read_to_string(project.path().join("out/junit.xml")).unwrap();
    assert!(
        xml.contains("<testsuites") && xml.contains("classname=\"test_a.TestClass\""),
        "{xml}"
    );
    let python = python().display().to_string();
    let (_, out, err) = project.dx(&["test", "--python", &python, "--junit-xml", "-"]);
    assert!(out.starts_with("<?xml") && err.contains("failed"), "{out}");
}

#[test]
fn history_why_discover_graph_and_clean_answer() {
    let project = Project::new(&[
        ("lib.py", ""),
        (
            "test_a.py",
            "import lib\n\ndef test_a(): pass\ndef other_test(): pass\n",
        ),
    ]);
    project.test(&[]);
    let python = python().display().to_string();
    let (code, out, _) = project.dx(&["why", "test_a.py::test_a", "--python", &python]);
    assert!(
        code == 0 && out.contains("is fresh") && out.contains("lib.py"),
        "{out}"
    );
    let (_, out, _) = project.dx(&["history"]);
    assert!(out.contains("1 ran"), "{out}");
    let (_, out, _) = project.dx(&["history", "test_a"]);
    assert!(
        out.contains("passed") && out.contains("test_a.py::test_a"),
        "{out}"
    );
    let (_, out, _) = project.dx(&["discover"]);
    assert!(
        out.contains("test_a.py::other_test  (not collected by pytest's configuration)"),
        "{out}"
    );
    let (_, out, _) = project.dx(&["graph", "lib.py"]);
    assert!(out.contains("← test_a.py (import)"), "{out}");
    assert_eq!(project.dx(&["flaky"]).0, 0);
    assert_eq!(project.dx(&["config", "show", "--python", &python]).0, 0);
    assert_eq!(project.dx(&["clean"]).0, 0);
    assert!(!project.path().join(".dx").exists());
}

#[test]
fn an_interrupted_run_ends_its_workers_and_keeps_what_it_recorded() {
    let project = Project::new(&[
        ("test_a.py", "def test_quick(): pass\n"),
        (
            "test_b.py",
            "import os, pathlib, time\n\ndef test_slow():\n    pathlib.Path('pid').write_text(str(os.getpid()))\n    time.sleep(60)\n",
        ),
    ]);
    let python = python().display().to_string();
    let mut child = project
        .command(&["test", "-n", "2", "--python", &python])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let pid_file = project.path().join("pid");
    let began = std::time::Instant::now();
    let pid = loop {
        if let Some(pid) = std::fs::read_to_string(&pid_file)
            .ok()
            .filter(|text| !text.is_empty())
        {
            break pid;
        }
        assert!(began.elapsed().as_secs() < 30, "the slow test never began");
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    std::thread::sleep(std::time::Duration::from_millis(300));
    std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(2));
    let alive = std::process::Command::new("kill")
        .args(["-0", &pid])
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(!alive.success(), "the worker is still there");
    let run = project.test(&["-k", "quick"]);
    assert_eq!(run.outcome("test_quick"), "fresh passed");
}

#[test]
fn whoever_reads_the_output_may_stop_at_any_line() {
    let project = Project::new(&[("test_a.py", "def test_a(): pass\n")]);
    assert_eq!(project.test(&[]).code, 0);
    let python = python().display().to_string();
    for verb in [
        &["why", "test_a", "--python", &python][..],
        &["history"],
        &["discover"],
        &[
            "test",
            "--all",
            "--dry-run",
            "--explain",
            "--python",
            &python,
        ],
    ] {
        let mut command = project.command(verb);
        let (reader, writer) = std::io::pipe().expect("a pipe can be made");
        drop(reader);
        let output = command
            .stdout(writer)
            .stderr(std::process::Stdio::piped())
            .output()
            .expect("the binary can be started");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!errors.contains("panicked"), "{verb:?}: {errors}");
        assert_eq!(output.status.code(), Some(2), "{verb:?}: {errors}");
    }
}

#[test]
fn a_dry_run_without_records_predicts_what_pytest_would_collect() {
    let project = Project::new(&[
        ("test_a.py", "def test_a(): pass\ndef test_b(): pass\n"),
        ("helpers.py", "def test_helper(): pass\n"),
    ]);
    let run = project.test(&["--dry-run", "-k", "test_b"]);
    assert!(run.out.contains("test_a.py::test_b"), "{}", run.out);
    assert!(run.out.contains("1 would run"), "{}", run.out);
    let run = project.test(&["--dry-run"]);
    assert!(run.out.contains("2 would run"), "{}", run.out);
}

#[test]
fn shells_complete_commands_and_options() {
    let project = Project::new(&[]);
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = project.dx(&["completions", shell]);
        assert!(code == 0 && out.contains("changed-since"), "{shell}: {out}");
    }
    assert_eq!(project.dx(&["completions", "shell"]).0, 4);
}

#[test]
fn what_is_on_record_is_there_for_scripts_too() {
    let project = Project::new(&[
        ("lib.py", "VALUE = 1\n"),
        (
            "test_a.py",
            "import lib\ndef test_a(): assert lib.VALUE == 1\ndef test_b(): pass\n",
        ),
    ]);
    let python = crate::support::python();
    let python = python.to_str().expect("the path is UTF-8");
    let json = |args: &[&str]| -> serde_json::Value {
        let (code, out, err) = project.dx(args);
        assert_eq!(code, 0, "{err}");
        serde_json::from_str(&out).expect("it is JSON")
    };
    project.test(&[]);
    project.write("lib.py", "VALUE = 2\n");
    project.test(&[]);
    let why = json(&["why", "test_a.py::test_a", "--json", "--python", python]);
    assert_eq!(why[0]["test"], "test_a.py::test_a");
    assert_eq!(why[0]["verdict"], "dirty");
    assert_eq!(why[0]["changes"], serde_json::json!(["lib.py changed"]));
    assert!(
        why[0]["depends_on"].to_string().contains("test_a.py"),
        "{why}"
    );
    let runs = json(&["history", "--json"]);
    assert_eq!(runs.as_array().map(Vec::len), Some(2));
    assert_eq!(
        (&runs[0]["exit_code"], &runs[0]["ran"]),
        (&1.into(), &2.into())
    );
    let rows = json(&["history", "test_a.py::test_a", "--json"]);
    assert_eq!(
        (&rows[0]["outcome"], &rows[1]["outcome"]),
        (&"failed".into(), &"passed".into())
    );
    let flaky = json(&["flaky", "--json"]);
    assert_eq!(flaky[0]["flips"], 1, "{flaky}");
    assert!(
        flaky[0]["probability"].is_null(),
        "its inputs changed: {flaky}"
    );
    let (_, out, _) = project.dx(&["history", "test_a.py::test_b"]);
    assert!(out.contains("oldest first"), "{out}");
}

#[test]
fn a_test_whose_outcome_differs_for_the_same_inputs_is_flaky() {
    // The folder of earlier runs' records is no input, so nothing that the tests depend on changes from run to run.
    let project = Project::new(&[
        (
            "test_a.py",
            "import os\ndef test_third(): \n    path = '.hypothesis/count'\n    os.makedirs('.hypothesis', exist_ok=True)\n    with open(path, 'a+') as file:\n        file.seek(0)\n        count = len(file.read())\n        file.write('x')\n    assert count % 3\n",
        ),
        (
            "test_b.py",
            "import lib\ndef test_changes(): assert lib.GOOD\n",
        ),
        ("lib.py", "GOOD = True\n"),
    ]);
    let git = |arguments: &[&str]| {
        let done = std::process::Command::new("git")
            .current_dir(project.path())
            .args(["-c", "user.name=n", "-c", "user.email=e@x"])
            .args(arguments)
            .output();
        assert!(
            done.is_ok_and(|done| done.status.success()),
            "{arguments:?}"
        );
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "one"]);
    for good in ["True", "True", "True", "False", "True"] {
        project.write("lib.py", &format!("GOOD = {good}\n"));
        project.test(&["--all", "--no-second-opinion", "-n", "1"]);
    }
    let (code, out, _) = project.dx(&["flaky"]);
    assert_eq!(code, 0);
    let (flaky, changing) = out.split_once("Went back and forth").expect(&out);
    assert!(flaky.contains(" 40 %  test_a.py::test_third"), "{out}");
    assert!(
        flaky.contains("2 of 5 tries with the same inputs failed, in runs 4, 1"),
        "{out}"
    );
    assert!(
        changing.contains("2 flips, 4 good, 1 bad  test_b.py::test_changes"),
        "{out}"
    );
    let (_, out, _) = project.dx(&["flaky", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&out).expect(&out);
    assert_eq!(rows[0]["probability"], 0.4);
    assert_eq!(rows[0]["runs"], serde_json::json!(["4", "1"]));
    let (_, history, _) = project.dx(&["history", "test_third", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&history).expect(&history);
    let commit = rows[0]["commit"].as_str().expect(&history);
    assert_eq!(commit.len(), 40);
    let (_, history, _) = project.dx(&["history", "test_third"]);
    assert!(history.contains(&commit[..8]), "{history}");
}

/// As the libraries of `cffi` do.
#[test]
fn what_poses_as_a_module_is_not_taken_for_one() {
    let project = Project::new(&[
        (
            "posing.py",
            "import sys, types\n\nclass Library:\n    __class__ = types.ModuleType\n    \
             def __getattr__(self, name): raise RuntimeError(name)\n\nsys.modules['posing.lib'] = Library()\n",
        ),
        (
            "test_a.py",
            "import posing\ndef test_a(): assert posing.Library\n",
        ),
    ]);
    for args in [&[][..], &["--all", "-n", "2"]] {
        let run = project.test(args);
        let (code, expected) = project.pytest(&[]);
        assert_eq!((run.outcomes(), run.code), (expected, code), "{}", run.out);
    }
}
