//! Sub-tests: pytest 9's own, and those of pytest-subtests, which is for older versions.

use serde_json::{Value, json};

use super::{OTHER, ini, same_as_pytest};
use crate::support::{Project, Run, python_with_plugins_and_pytest_8};

const TESTS: &str = "import pytest, unittest\n\
    def test_mixed(subtests):\n    print('outside')\n    for i in range(4):\n        with subtests.test(msg='part', i=i):\n            \
    print('inside', i)\n            if i == 3: pytest.skip('not now')\n            assert i % 2 == 0\n\
    def test_good(subtests):\n    with subtests.test('x'):\n        pass\n\
    def test_skips(subtests):\n    with subtests.test('x'):\n        pytest.skip('never')\n\
    def test_xfails(subtests):\n    with subtests.test('x'):\n        pytest.xfail('known')\n\
    def test_fails_as_well(subtests):\n    with subtests.test('x'):\n        assert 0, 'inner'\n    assert 0, 'outer'\n\
    class TestUnit(unittest.TestCase):\n    def test_unit(self):\n        for i in range(3):\n            \
    with self.subTest('u', i=i):\n                self.assertNotEqual(i, 1)\n                if i == 2: self.skipTest('two')\n\
    \x20   def test_good(self):\n        with self.subTest(i=1): pass\n";

/// What a run told of each test, in the form of the oracle.
fn told(run: &Run) -> Value {
    let mut tests = serde_json::Map::new();
    for test in run.json["tests"].as_array().into_iter().flatten() {
        let reports = test["reports"].as_array().into_iter().flatten();
        let reports = reports.map(|report| {
            let bad = matches!(report["outcome"].as_str(), Some("failed" | "error"));
            let text = &report[if bad { "text" } else { "message" }];
            json!([report["phase"], report["outcome"], text])
        });
        let sections = test["sections"].as_array().into_iter().flatten();
        let sections = sections.map(|section| json!([section["title"], section["text"]]));
        let id = test["id"].as_str().unwrap_or_default().to_owned();
        let told = json!({"reports": reports.collect::<Vec<_>>(), "sections": sections.collect::<Vec<_>>(), "properties": []});
        tests.insert(id, told);
    }
    tests.into()
}

#[test]
fn subtests_of_pytest_itself() {
    same_as_pytest(&Project::with_plugins(&[
        (
            "test_a.py",
            "def test_all(subtests):\n    for i in range(4):\n        with subtests.test(i=i):\n            assert i % 2 == 0\n\
             def test_good(subtests):\n    with subtests.test('x'):\n        pass\n",
        ),
        OTHER,
    ]));
}

#[test]
fn pytest_subtests() {
    let project = Project::with_plugins_and_pytest_8(&[
        ("pytest.ini", &ini("pytest_subtests.plugin --tb=short", "")),
        ("test_a.py", TESTS),
        OTHER,
    ]);
    same_as_pytest(&project);
    let (code, _, details) = project.pytest_in_detail(&[]);
    for workers in ["1", "2"] {
        let run = project.test(&["-n", workers, "--all"]);
        assert_eq!(told(&run), details["tests"], "-n {workers}\n{}", run.out);
        for line in [
            "FAILED test_a.py::test_mixed - [part] (i=1) assert (1 % 2) == 0\n",
            "FAILED test_a.py::test_fails_as_well - [x] AssertionError: inner\n",
            "FAILED test_a.py::test_fails_as_well - AssertionError: outer\n",
            "FAILED test_a.py::TestUnit::test_unit - [u] (i=1) AssertionError: 1 == 1\n",
        ] {
            assert!(run.out.contains(line), "{line}{}", run.out);
        }
        // Again: what passed, was skipped or failed as expected is fresh, also where a sub-test was.
        let again = project.test(&["-n", workers]);
        assert_eq!((again.code, again.ran()), (code, 3), "{}", again.out);
        assert_eq!(again.outcomes(), run.outcomes());
    }
}

/// A plugin that reports gets reports of sub-tests as the plugin has made them, also from several workers.
#[test]
fn pytest_subtests_with_a_controller() {
    let project = Project::with_plugins_and_pytest_8(&[
        ("pytest.ini", &ini("pytest_subtests.plugin", "")),
        (
            "conftest.py",
            "def pytest_terminal_summary(terminalreporter):\n    kinds = terminalreporter.stats\n    \
             terminalreporter.write_line('kinds: %s' % sorted((k, len(v)) for k, v in kinds.items() if k))\n",
        ),
        ("test_a.py", TESTS),
        OTHER,
    ]);
    let output = project
        .start(&python_with_plugins_and_pytest_8())
        .args(["-m", "pytest"])
        .output()
        .expect("pytest can be started");
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = out.lines().find(|line| line.starts_with("kinds: "));
    let line = line.expect("the conftest says it");
    for workers in ["1", "2"] {
        let run = project.test(&["-n", workers, "--all"]);
        assert!(run.out.contains(line), "{line}\n{}", run.out);
    }
}
