//! Where it was seen what tests leave behind, those of one file are told apart by that: a variable that they share by the file's text alone
//! joins none of them. Before Python 3.12 it joins all that mention it.

use crate::functions::{SELECTING, edit_of};
use crate::support::Project;

/// An edit of `test_a.py` runs these tests, and the outcomes are pytest's.
#[track_caller]
fn edit_runs(text: &str, from: &str, to: &str, expected: &[&str]) {
    edit_of("test_a.py", &[("test_a.py", text)], from, to, expected);
}

const FORMS: &str = "\
class Form:
    name = str()
    parts = []

def test_name():
    assert Form.name == ''

def test_other():
    name = 'x'
    assert Form().name + name == 'x'

def test_parts():
    assert not Form.parts
";

#[test]
fn a_variable_in_which_nothing_was_left_joins_no_tests() {
    edit_runs(FORMS, "== ''\n", "== '' * 2\n", &["test_name"]);
    edit_runs(
        FORMS,
        "assert not Form.parts",
        "assert Form.parts == []",
        &["test_parts"],
    );
}

#[test]
fn a_new_test_that_leaves_nothing_runs_alone() {
    edit_runs(
        FORMS,
        "def test_parts",
        "def test_new():\n    assert Form.name == ''\n\ndef test_parts",
        &["test_new"],
    );
}

/// Whoever may find what a test leaves for the first time runs after it.
#[test]
fn an_edit_that_leaves_something_runs_those_that_may_find_it() {
    for (from, to) in [
        (
            "def test_name():\n",
            "def test_name():\n    Form.parts.append(1)\n",
        ),
        (
            "def test_other():\n",
            "def test_new():\n    Form.parts.append(1)\n\ndef test_other():\n",
        ),
    ] {
        let changed = if to.contains("new") {
            "test_new"
        } else {
            "test_name"
        };
        edit_runs(FORMS, from, to, &[changed, "test_parts"]);
    }
}

const STEPS: &str = "\
class TestSteps:
    state = {}

    def test_1_open(self):
        self.state['open'] = True

    def test_2_write(self):
        assert self.state['open']
        self.state['text'] = 'x'

    def test_3_read(self):
        assert self.state['text'] == 'x'

    def test_apart(self):
        assert True
";

/// Steps that need each other run together, whichever is edited: one alone would fail, or pass where it can't.
#[test]
fn tests_that_go_on_from_each_other_run_together() {
    let steps = ["test_1_open", "test_2_write", "test_3_read"];
    edit_runs(STEPS, "= 'x'\n", "= 'x' * 1\n", &steps);
    edit_runs(STEPS, "== 'x'\n", "!= 'y'\n", &steps);
    edit_runs(
        STEPS,
        "assert self.state['open']",
        "assert 'open' in self.state",
        &steps,
    );
    edit_runs(STEPS, "assert True", "assert 1", &["test_apart"]);
}

/// What can't be compared joins all that mention it.
#[test]
fn a_variable_of_unknown_insides_joins_those_that_mention_it() {
    let text = "\
import array

NUMBERS = memoryview(array.array('q', [0]))

def test_set():
    NUMBERS[0] = 1

def test_get():
    assert NUMBERS[0] in (0, 1)

def test_apart():
    assert True
";
    edit_runs(
        text,
        "NUMBERS[0] = 1",
        "NUMBERS[0] = 2",
        &["test_get", "test_set"],
    );
}

/// Of a folder that importing the file has made, each test may come to write what another one reads, which no variable tells.
#[test]
fn a_folder_that_importing_the_file_made_joins_those_that_look_into_it() {
    let text = "\
import pathlib, tempfile

FOLDER = pathlib.Path(tempfile.mkdtemp())

def test_first():
    assert FOLDER.name

def test_missing():
    assert not (FOLDER / 'file').exists()

def test_apart():
    assert True
";
    edit_runs(
        text,
        "assert FOLDER.name",
        "(FOLDER / 'file').touch()",
        &["test_first", "test_missing"],
    );
}

/// A test that comes to change a file of the project runs those that read it, in the same run.
#[test]
fn a_file_that_a_test_comes_to_write_joins_those_that_read_it() {
    let text = "\
import pathlib

PATH = pathlib.Path(__file__).with_name('written.txt')

def test_first():
    assert PATH.name

def test_missing():
    assert not PATH.exists() or PATH.read_text()

def test_list():
    assert list(PATH.parent.iterdir())

def test_apart():
    assert True
";
    edit_runs(
        text,
        "assert PATH.name",
        "PATH.write_text('1')",
        &["test_first", "test_list", "test_missing"],
    );
}

#[test]
fn a_lock_that_is_held_and_an_attribute_of_a_foreign_module_are_left() {
    let text = "\
import json, threading

LOCK = threading.Lock()

def test_first():
    assert LOCK

def test_lock():
    assert LOCK.locked() in (True, False)

def test_attribute():
    assert getattr(json, 'extra', 1)

def test_apart():
    assert True
";
    edit_runs(
        text,
        "assert LOCK\n",
        "LOCK.acquire()\n",
        &["test_first", "test_lock"],
    );
    let text = text.replace(
        "'extra', 1)",
        "'extra', 1) and not hasattr(json, 'extra') or json.extra",
    );
    edit_runs(
        &text,
        "assert LOCK\n",
        "json.extra = 1\n",
        &["test_attribute", "test_first"],
    );
}

/// A run that doesn't look at functions sees nothing of what tests leave, so there all count that share a variable by the file's text.
#[test]
fn at_the_level_of_modules_the_text_alone_counts() {
    let project = Project::new(&[("test_a.py", FORMS)]);
    assert_eq!(project.test(&SELECTING).code, 0);
    project.write("test_a.py", &FORMS.replace("== ''\n", "== '' * 2\n"));
    let run = project.test(&["-n", "1", "--select", "module"]);
    let mut ran: Vec<&str> = run.ran_tests().collect();
    ran.sort_unstable();
    assert!(
        ran.contains(&"test_a.py::test_other") && ran.contains(&"test_a.py::test_name"),
        "{ran:?}"
    );
}

const ROWS: &str = "\
import pytest

@pytest.fixture(scope='module')
def rows():
    return []

def test_append(rows):
    rows.append(1)

def test_read(rows):
    assert rows in ([], [1])

def test_kind(rows):
    assert type(rows)

def test_apart():
    assert True
";

/// The value of a wide fixture is like a variable: who leaves something in it runs before those that may find it.
#[test]
fn a_wide_fixture_joins_tests_with_those_that_leave_something_in_its_value() {
    edit_runs(
        ROWS,
        "assert type(rows)",
        "assert type(rows) is list",
        &["test_append", "test_kind"],
    );
    edit_runs(
        ROWS,
        "append(1)",
        "append(0 + 1)",
        &["test_append", "test_kind", "test_read"],
    );
    let quiet = ROWS.replace("rows.append(1)", "assert rows == []");
    edit_runs(
        &quiet,
        "assert rows == []",
        "assert not rows",
        &["test_append"],
    );
}

/// Of one that isn't the file's own all count that are given it, if one of them leaves something: which it may be that they rely on.
#[test]
fn a_wide_fixture_of_a_conftest_joins_all_if_one_of_them_leaves_something() {
    let (head, tests) = ROWS
        .split_once("def test_append")
        .expect("it has that test");
    let tests = format!("def test_append{tests}");
    let edit = ("assert type(rows)", "assert type(rows) is list");
    for (text, expected) in [
        (
            tests.clone(),
            &["test_append", "test_kind", "test_read"][..],
        ),
        (
            tests.replace("rows.append(1)", "assert rows == []"),
            &["test_kind"],
        ),
    ] {
        let files = [("conftest.py", head), ("test_a.py", &*text)];
        edit_of("test_a.py", &files, edit.0, edit.1, expected);
    }
}

/// Where it can't be seen what tests leave, each counts that is given the fixture.
#[test]
fn a_wide_fixture_of_unknown_insides_joins_all_that_are_given_it() {
    for value in [
        "return memoryview(bytearray(1))",
        "threading.Thread(target=print).start()\n    return 1",
        "subprocess.run(['true'])\n    return 1",
        "socket.socket().bind(('127.0.0.1', 0))\n    return 1",
    ] {
        let text = ROWS
            .replace(
                "import pytest\n",
                "import pytest, socket, subprocess, threading\n",
            )
            .replace("return []", value)
            .replace("rows.append(1)", "assert rows")
            .replace("rows in ([], [1])", "rows");
        edit_runs(
            &text,
            "assert type(rows)",
            "assert type(rows) is not str",
            &["test_append", "test_kind", "test_read"],
        );
    }
}

/// What a test file does to find its own folder, what it imports and the names in its strings don't tell it about the rest of itself.
#[test]
fn a_file_that_asks_where_it_is_has_its_tests_told_apart() {
    let text = "\
import inspect, os, pathlib

FOLDER = pathlib.Path(__file__).resolve().parent
REAL = os.path.realpath(__file__)

class Thing: pass

def test_folder():
    assert FOLDER.is_dir() and os.path.exists(REAL)

def test_name():
    assert repr(Thing()).startswith('<test_a.Thing object at')

def test_globals():
    assert Thing.globals == 1

Thing.globals = 1
";
    edit_runs(text, "FOLDER.is_dir()", "FOLDER.exists()", &["test_folder"]);
}

/// A library that asks where the module of who calls it is learns nothing of its text.
#[test]
fn a_module_that_is_asked_for_by_its_own_code_is_no_input_of_others() {
    let test = |name: &str| {
        format!(
            "import lib\ndef test_{name}(): assert lib.place(__name__)\ndef test_{name}2(): assert 1\n"
        )
    };
    let files = [
        (
            "lib.py",
            "import importlib.util\ndef place(name): return importlib.util.find_spec(name)\n",
        ),
        ("test_a.py", &*test("a")),
        ("test_b.py", &*test("b")),
    ];
    edit_of("test_b.py", &files, "assert 1", "assert 2", &["test_b2"]);
}

/// The text of a traceback is that of the test in which it was made.
#[test]
fn lines_that_are_shown_in_a_traceback_are_an_input_of_that_test_alone() {
    let guard = "import logging, traceback\ndef guard(call):\n    try:\n        call()\n    except Exception:\n        logging.exception('oh')\n        return traceback.format_exc()\n";
    let files = [
        ("lib.py", guard),
        (
            "test_a.py",
            "import lib\ndef test_shown(): assert 'fails' in lib.guard(fails)\ndef fails(): 1 / 0\ndef test_else(): assert 1\n",
        ),
        (
            "test_b.py",
            "import lib\ndef test_quiet(): assert lib.guard(int) is None\n",
        ),
    ];
    edit_of(
        "test_a.py",
        &files,
        "assert 1",
        "assert 2",
        &["test_else", "test_shown"],
    );
}

/// Who finds what another test left doesn't see the lines that the other one saw: that one runs again, and leaves something else if they matter.
#[test]
fn lines_that_one_test_sees_are_no_matter_of_those_that_find_what_it_left() {
    let files = [
        (
            "lib.py",
            "import sys\nCACHE = []\ndef where(): return sys._getframe().f_lineno\n\ndef fill():\n    CACHE.append(where() and 1)\n\ndef look(): return CACHE\n\ndef other(): return 3\n",
        ),
        (
            "test_a.py",
            "import lib\ndef test_fill(): lib.fill()\ndef test_look(): assert lib.look() in ([], [1])\ndef test_other(): assert lib.other() == 3\n",
        ),
    ];
    edit_of(
        "lib.py",
        &files,
        "return 3",
        "return 2 + 1",
        &["test_fill", "test_other"],
    );
}
