//! Runs that don't see what tests depend on: `--select off`.

use crate::daemon::{start, warm};
use crate::support::Project;

/// In a fresh interpreter, and in one that is kept warm, whose forks begin with an observer.
fn both(files: &[(&str, &str)]) -> [Project; 2] {
    let kept_warm = warm(files);
    start(&kept_warm);
    [Project::new(files), kept_warm]
}

#[test]
fn what_ran_untracked_runs_again_and_what_was_seen_before_stands() {
    let files = [
        ("pytest.ini", "[pytest]\npythonpath = .\n"),
        ("lib.py", "def f(): return 1\n"),
        ("data.txt", "1"),
        ("test_a.py", "import lib\ndef test_lib(): assert lib.f()\n"),
        (
            "test_b.py",
            "def test_data():\n    with open('data.txt') as file:\n        assert file.read() != '2'\n",
        ),
        ("test_c.py", "def test_none(): pass\n"),
    ];
    for project in both(&files) {
        let tracked = |args: &[&str]| project.test(&[&["-n", "1"], args].concat());
        let untracked = |args: &[&str]| tracked(&[&["--select", "off"], args].concat());
        assert_eq!(untracked(&[]).ran(), 3);
        // Nobody knows whether they would be the same.
        assert_eq!(untracked(&[]).ran(), 3);
        let python = project.python().to_str().expect("works");
        let (code, why, _) = project.dx(&["why", "test_a.py::test_lib", "--python", python]);
        assert_eq!(code, 0, "{why}");
        assert!(why.contains("with tracking off"), "{why}");
        assert_eq!(tracked(&[]).ran(), 3);
        assert_eq!(untracked(&[]).ran(), 0);
        project.write("lib.py", "def f(): return 2\n");
        let run = untracked(&[]);
        assert_eq!(run.ran_tests().collect::<Vec<_>>(), ["test_a.py::test_lib"]);
        project.write("data.txt", "2");
        let run = tracked(&[]);
        let mut ran: Vec<&str> = run.ran_tests().collect();
        ran.sort_unstable();
        assert_eq!(ran, ["test_a.py::test_lib", "test_b.py::test_data"]);
        assert_eq!(run.outcome("test_data"), "failed", "{}", run.out);
    }
}

#[test]
fn a_file_that_was_collected_untracked_is_collected_again() {
    let files = [
        ("data.txt", "1 2"),
        (
            "test_a.py",
            "import pytest\n\n@pytest.mark.parametrize('x', open('data.txt').read().split())\ndef test_x(x): assert x\n",
        ),
    ];
    for project in both(&files) {
        let run = project.test(&["-n", "1", "--select", "off"]);
        assert_eq!(run.ran(), 2, "{}", run.out);
        project.write("data.txt", "2 3 4");
        let run = project.test(&["-n", "1"]);
        assert_eq!(run.ran(), 3, "{}", run.out);
        assert_eq!(run.outcome("test_x[4]"), "passed");
    }
}

/// The value of a cached fixture has an observer of its own.
#[test]
fn a_cached_fixture_is_made_anew_for_what_it_reads_also_untracked() {
    let files = [
        ("data.txt", "1"),
        (
            "conftest.py",
            "import dx_py_test_runner as dx\n\n@dx.fixture(scope='session', cache=True)\ndef data():\n    with open('data.txt') as file:\n        return file.read()\n",
        ),
        (
            "test_a.py",
            "def test_data(data):\n    with open('data.txt') as file:\n        assert data == file.read()\n",
        ),
    ];
    for project in both(&files) {
        for value in ["1", "2", "1"] {
            project.write("data.txt", value);
            let run = project.test(&["-n", "1", "--select", "off"]);
            assert_eq!((run.code, run.ran()), (0, 1), "{}{}", run.out, run.err);
        }
        let (code, out, _) = project.dx(&["fixtures"]);
        assert_eq!(code, 0, "{out}");
        assert!(out.contains("data"), "{out}");
    }
}
