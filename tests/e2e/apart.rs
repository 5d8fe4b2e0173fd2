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
