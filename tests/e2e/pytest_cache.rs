//! pytest's cache after a run with several workers: what pytest itself would have left there.

use std::fs;

use serde_json::Value;

use crate::support::Project;

const CACHE: &str = ".pytest_cache/v/cache";
const FIRST: [(&str, &str); 4] = [
    (
        "test_a.py",
        "import pytest\ndef test_good(): pass\ndef test_bad(): assert 0\n\
         @pytest.fixture\ndef broken(): assert 0\ndef test_setup(broken): pass\n\
         @pytest.fixture\ndef late():\n    yield\n    assert 0\ndef test_teardown(late): pass\n\
         @pytest.mark.xfail\ndef test_expected(): assert 0\n\
         @pytest.mark.xfail(strict=True)\ndef test_strict(): pass\n\
         def test_skipped(): pytest.skip('not now')\n\
         @pytest.mark.parametrize('x', ['é\"', 1])\ndef test_names(x): assert x == 1\n",
    ),
    (
        "test_b.py",
        "class TestB:\n    def test_one(self): assert 0\n    def test_two(self): pass\n",
    ),
    (
        "test_broken.py",
        "import missing_module\ndef test_one(): pass\nclass TestC:\n    def test_two(self): assert 0\n",
    ),
    ("test_other.py", "def test_other(): pass\n"),
];

fn value(project: &Project, folder: &str, name: &str) -> Value {
    let text = fs::read_to_string(project.path().join(folder).join(name)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn values(project: &Project, folder: &str) -> Vec<Value> {
    let names = ["lastfailed", "nodeids"];
    names.map(|name| value(project, folder, name)).to_vec()
}

#[test]
fn it_is_what_pytest_leaves() {
    let (own, oracle) = (Project::new(&FIRST), Project::new(&FIRST));
    for project in [&own, &oracle] {
        // What other sessions left: of a test that this one doesn't know, and of one that passes.
        project.write(
            &format!("{CACHE}/lastfailed"),
            "{\"gone.py::test_gone\": true, \"test_other.py::test_other\": true}",
        );
    }
    let same = |when: &str| {
        let run = own.test(&["-n", "2"]);
        assert_eq!(run.code, 1, "{}{}", run.out, run.err);
        oracle.pytest(&[]);
        let (ours, theirs) = (values(&own, CACHE), values(&oracle, CACHE));
        assert_eq!(ours, theirs, "{when}\n{}", run.out);
    };
    same("at first");
    let failed = value(&own, CACHE, "lastfailed");
    assert!(failed["gone.py::test_gone"] == true && failed["test_broken.py"] == true);

    for project in [&own, &oracle] {
        project.write(
            "test_broken.py",
            &FIRST[2].1.replace("missing_module", "os"),
        );
        project.write("test_b.py", &FIRST[1].1.replace("assert 0", "pass"));
        project.write("test_other.py", "def test_other(): assert 0\n");
    }
    same("after an edit");
    let again = |project: &Project| {
        let (code, outcomes) = project.pytest(&["--lf"]);
        assert_eq!(code, 1);
        outcomes
    };
    let outcomes = again(&own);
    assert_eq!(outcomes, again(&oracle));
    assert_eq!(outcomes["test_other.py::test_other"], "failed");
    assert!(!outcomes.contains_key("test_a.py::test_good"));
}

#[test]
fn it_is_where_the_configuration_says_and_not_made_if_it_is_left_out() {
    let mut files = FIRST.to_vec();
    files.push(("pytest.ini", "[pytest]\ncache_dir = build/cache\n"));
    let project = Project::new(&files);
    project.test(&["-n", "2", "-p", "no:cacheprovider"]);
    assert!(!project.path().join("build").exists());
    project.test(&["-n", "2", "--all"]);
    let failed = value(&project, "build/cache/v/cache", "lastfailed");
    assert_eq!(failed["test_b.py::TestB::test_one"], true, "{failed}");
    for name in [".gitignore", "CACHEDIR.TAG", "README.md"] {
        assert!(project.path().join("build/cache").join(name).exists());
    }
    assert!(!project.path().join(".pytest_cache").exists());
}

/// A child process makes a test depend on the whole project: on all of it but the cache.
#[test]
fn it_is_no_input_wherever_it_is() {
    let child = "import subprocess, sys\ndef test_child(): subprocess.run([sys.executable, '-c', ''], check=True)\n";
    let project = Project::new(&[
        ("pytest.ini", "[pytest]\ncache_dir = build/cache\n"),
        ("test_a.py", child),
        ("test_b.py", child),
    ]);
    for workers in ["1", "2"] {
        let _ = fs::remove_dir_all(project.path().join(".dx"));
        let _ = fs::remove_dir_all(project.path().join("build"));
        assert_eq!(project.test(&["-n", workers]).ran(), 2);
        assert!(project.path().join("build/cache").exists());
        let run = project.test(&["-n", workers, "--explain"]);
        assert_eq!(run.ran(), 0, "-n {workers}\n{}", run.out);
    }
}

/// A controller hears of every test as pytest's session does, and writes what failed; what was collected it doesn't know.
#[test]
fn it_is_the_same_with_a_controller() {
    let mut files = FIRST.to_vec();
    files.push(("conftest.py", "def pytest_terminal_summary(): pass\n"));
    let (own, oracle) = (Project::new(&files), Project::new(&files));
    own.test(&["-n", "2"]);
    oracle.pytest(&[]);
    assert_eq!(values(&own, CACHE), values(&oracle, CACHE));
}
