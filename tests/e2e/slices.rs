//! An edit of a test file runs the tests whose slice of it changed; whatever could see more of the file counts all of it.

use crate::support::Project;

const FILE: &str = "\
import pytest

LIMIT = 3

def helper():
    return LIMIT

def test_a():
    assert helper() == 3

class TestK:
    def twice(self):
        return 2

    @pytest.mark.parametrize('n', [1, 2])
    def test_m(self, n):
        assert n <= self.twice()

def test_z():
    assert LIMIT
";

fn project(more: &[(&str, &str)]) -> Project {
    let mut files = vec![
        ("test_a.py", FILE),
        ("test_other.py", "def test_o(): pass\n"),
    ];
    files.extend(more);
    let project = Project::new(&files);
    assert_eq!(project.test(&[]).code, 0);
    assert_eq!(project.test(&[]).ran(), 0);
    project
}

/// Edits `test_a.py` and gives the names of the tests that ran; all have pytest's outcomes, fresh or not.
fn ran_after(project: &Project, from: &str, to: &str) -> Vec<String> {
    let before = project.read("test_a.py");
    assert!(before.contains(from), "{from} is in {before}");
    project.write("test_a.py", &before.replace(from, to));
    let run = project.test(&["--explain"]);
    let (code, expected) = project.pytest(&[]);
    assert_eq!((run.code, run.outcomes()), (code, expected), "{}", run.out);
    let ran = run
        .tests
        .iter()
        .filter(|(_, outcome)| !outcome.starts_with("fresh"));
    let name = |id: &String| id.rsplit("::").next().unwrap_or_default().to_owned();
    let mut ran: Vec<String> = ran.map(|(id, _)| name(id)).collect();
    ran.sort();
    ran
}

#[test]
fn an_edit_of_one_test_runs_that_test_alone() {
    let project = project(&[]);
    assert_eq!(
        ran_after(&project, "helper() == 3", "helper() == 4"),
        ["test_a"]
    );
    assert_eq!(
        ran_after(&project, "helper() == 4", "helper() < 4"),
        ["test_a"]
    );
    assert_eq!(
        ran_after(&project, "n <= self.twice()", "n < 3"),
        ["test_m[1]", "test_m[2]"]
    );
    assert_eq!(
        ran_after(&project, "[1, 2]", "[1, 2, 0]"),
        ["test_m[0]", "test_m[1]", "test_m[2]"]
    );
}

#[test]
fn a_new_test_runs_alone_and_one_that_is_gone_is_not_told() {
    let project = project(&[]);
    let new = "def test_new():\n    assert not LIMIT\n\ndef test_z():";
    assert_eq!(ran_after(&project, "def test_z():", new), ["test_new"]);
    assert_eq!(
        ran_after(&project, "def test_new():\n    assert not LIMIT\n", ""),
        [""; 0]
    );
}

#[test]
fn comments_and_layout_run_nothing() {
    let project = project(&[]);
    assert_eq!(
        ran_after(&project, "import pytest\n", "# a\nimport pytest  # b\n\n\n"),
        [""; 0]
    );
    assert_eq!(
        ran_after(
            &project,
            "    assert LIMIT",
            "    # c\n\n    assert  LIMIT  # d"
        ),
        [""; 0]
    );
}

#[test]
fn an_edit_of_what_tests_have_in_common_runs_all_of_the_file() {
    for (from, to) in [
        ("LIMIT = 3", "LIMIT = 2 + 1"),
        ("return LIMIT", "return +LIMIT"),
        ("return 2", "return 4"),
        ("import pytest\n", "import pytest, os\n"),
        (
            "def test_a():",
            "def keep(f): return f\n\n@keep\ndef test_a():",
        ),
    ] {
        let project = project(&[]);
        assert_eq!(ran_after(&project, from, to).len(), 4, "{from} -> {to}");
    }
}

#[test]
fn tests_that_are_given_a_wide_fixture_count_all_of_their_file() {
    let conftest = "import pytest\n@pytest.fixture(scope='session')\ndef db(): return []\n@pytest.fixture\ndef row(db): return db\n";
    let file =
        "def test_a(db): db.append(1)\ndef test_b(row): assert row == [1]\ndef test_c(): pass\n";
    let project = Project::new(&[
        ("conftest.py", conftest),
        ("test_a.py", file),
        ("test_o.py", "def test_o(): pass\n"),
    ]);
    assert_eq!(project.test(&[]).code, 0);
    assert_eq!(
        ran_after(&project, "db.append(1)", "db.append(2)"),
        ["test_a", "test_b"]
    );
}

/// Rule 15: who is told the lines that it is called from sees every line above.
#[test]
fn code_that_sees_the_lines_of_its_callers_makes_all_of_their_file_count() {
    for lib in [
        "import sys\ndef where(): return sys._getframe(1).f_lineno\n",
        "import inspect\ndef where(): return inspect.stack()[1].code_context[0].strip().count('where')\n",
    ] {
        let line = if lib.contains("f_lineno") { 5 } else { 1 };
        let file = format!(
            "from lib import where\n\n\ndef test_b():\n    assert where() == {line}\n\ndef test_z(): pass\n"
        );
        let project = Project::new(&[
            ("lib.py", lib),
            ("test_a.py", &file),
            ("test_o.py", "def test_o(): pass\n"),
        ]);
        assert_eq!(project.test(&[]).code, 0);
        let ran = ran_after(&project, "\n\n\ndef test_b", "\n\n\n\ndef test_b");
        assert_eq!(ran, ["test_b", "test_z"], "{lib}");
    }
}

#[test]
fn a_file_that_cannot_be_collected_has_no_fresh_tests() {
    let project = project(&[]);
    for broken in [
        "def test_a(:",
        "@pytest.mark.parametrize('x', [UNKNOWN])\ndef test_a():",
    ] {
        project.write("test_a.py", &FILE.replace("def test_a():", broken));
        let run = project.test(&[]);
        assert_eq!(
            (run.code, run.ran()),
            (project.pytest(&[]).0.min(1), 0),
            "{}",
            run.out
        );
        assert_eq!(
            run.outcomes().len(),
            1,
            "only the other file's test is told: {}",
            run.out
        );
        project.write("test_a.py", FILE);
        assert_eq!(project.test(&[]).ran(), 0, "as before");
    }
}

#[test]
fn inherited_tests_and_those_that_call_each_other_follow_each_other() {
    let file = "\
import unittest
class Base(unittest.TestCase):
    def test_one(self): self.assertEqual(1, 1)
class TestB(Base):
    def test_two(self): super().test_one()
    def test_three(self): pass
";
    let project = Project::new(&[("test_a.py", file), ("test_o.py", "def test_o(): pass\n")]);
    assert_eq!(project.test(&[]).code, 0);
    assert_eq!(
        ran_after(&project, "assertEqual(1, 1)", "assertEqual(2, 2)"),
        ["test_one", "test_one", "test_two"]
    );
    assert_eq!(
        ran_after(
            &project,
            "test_three(self): pass",
            "test_three(self): return"
        ),
        ["test_three"]
    );
}

/// The recipe of pytest's documentation for tests that depend on each other.
#[test]
fn where_hooks_let_tests_depend_on_each_other_all_of_the_file_counts() {
    let conftest = "\
import pytest
FAILED = set()
def pytest_runtest_makereport(item, call):
    if call.excinfo is not None: FAILED.add(item.cls)
def pytest_runtest_setup(item):
    if item.cls in FAILED: pytest.xfail('an earlier one failed')
";
    let file = "class TestA:\n    def test_a(self): assert 1\n    def test_b(self): assert 1\n";
    let project = Project::new(&[
        ("conftest.py", conftest),
        ("test_a.py", file),
        ("test_o.py", "def test_o(): pass\n"),
    ]);
    assert_eq!(project.test(&[]).code, 0);
    let ran = ran_after(&project, "test_a(self): assert 1", "test_a(self): assert 0");
    assert_eq!(ran, ["test_a", "test_b"]);

    let counted = "def pytest_collection_modifyitems(items):\n    for item in items: item.count = len(items)\n";
    let project = Project::new(&[
        ("conftest.py", counted),
        (
            "test_a.py",
            "def test_a(request): assert request.node.count == 2\ndef test_b(): pass\n",
        ),
    ]);
    assert_eq!(project.test(&[]).code, 0);
    let ran = ran_after(&project, "def test_b", "def test_c(): pass\ndef test_b");
    assert_eq!(ran, ["test_a", "test_b", "test_c"]);
}
