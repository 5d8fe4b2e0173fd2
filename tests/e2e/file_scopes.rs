//! What only the variables of one file of tests lead to is found by that file's tests alone; but where other code gets at the file, by
//! whatever way, its tests find it too.

use crate::functions::edit_of;
use crate::support::sees_functions;

const LIB: &str = "\
REGISTRY = []

class Base:
    flag = 0

def one():
    return 1

def flags():
    return [each.flag for each in Base.__subclasses__()]
";

const LEAVES: &str = "\
import lib
box = []

def test_leaves():
    box.append(lib.one())

def test_finds():
    assert box == [1] * len(box)
";

/// An edit of `lib.one`, which a test of `test_a.py` leaves the value of, runs these tests.
#[track_caller]
fn edit_runs(a: &str, b: &str, more: &[(&str, &str)], expected: &[&str]) {
    let mut files = vec![
        ("pytest.ini", "[pytest]\npythonpath = .\n"),
        ("lib.py", LIB),
        ("test_a.py", a),
        ("test_b.py", b),
    ];
    files.extend(more);
    edit_of("lib.py", &files, "return 1", "return 0 + 1", expected);
}

#[test]
fn variables_of_the_same_name_in_two_files_are_two() {
    let other = "box = []\n\ndef test_other():\n    assert box == []\n";
    edit_runs(LEAVES, other, &[], &["test_finds", "test_leaves"]);
}

#[test]
fn what_cannot_be_compared_is_the_files_own_too() {
    let leaves = LEAVES
        .replace("box = []", "import random\nbox = random.Random(3)")
        .replace("box.append(lib.one())", "box.seed(lib.one())")
        .replace("box == [1] * len(box)", "box.random()");
    let other =
        "import random\nbox = random.Random(3)\n\ndef test_other():\n    assert box.random()\n";
    edit_runs(&leaves, other, &[], &["test_finds", "test_leaves"]);
}

#[test]
fn fixtures_of_the_same_name_in_two_files_are_two() {
    let leaves = LEAVES
        .replace(
            "box = []",
            "import pytest\n\n@pytest.fixture(scope='module')\ndef box():\n    return []",
        )
        .replace("()", "(box)")
        .replace("def box(box)", "def box()")
        .replace("lib.one(box)", "lib.one()");
    let other = "import pytest\n\n@pytest.fixture(scope='module')\ndef box():\n    return []\n\ndef test_other(box):\n    assert box == []\n";
    edit_runs(&leaves, other, &[], &["test_finds", "test_leaves"]);
}

#[test]
fn who_imports_a_file_finds_what_its_tests_leave() {
    for found in [
        "from test_a import box\n\ndef test_other():\n    assert box\n",
        "def test_other():\n    from test_a import box\n    assert box\n",
        "import test_a\n\ndef test_other():\n    assert test_a.box\n",
        "import test_a as others\n\ndef test_other():\n    assert getattr(others, 'box')\n",
        "import helper\n\ndef test_other():\n    assert helper.get()\n",
        "def test_other():\n    import helper\n    assert helper.get()\n",
    ] {
        is_found_by(found);
    }
}

/// By whole modules nobody sees that: what tests leave for each other is seen with functions.
#[test]
fn who_gets_at_a_file_by_a_text_finds_what_its_tests_leave() {
    if !sees_functions() {
        return;
    }
    for found in [
        "import importlib\n\ndef test_other():\n    assert importlib.import_module('test_a').box\n",
        "import sys\n\ndef test_other():\n    assert sys.modules['test_a'].box\n",
        "import pytest\n\ndef test_other():\n    assert pytest.importorskip('test_a').box\n",
    ] {
        is_found_by(found);
    }
}

#[track_caller]
fn is_found_by(other: &str) {
    let helper = "def get():\n    import test_a\n    return test_a.box\n";
    let expected = ["test_finds", "test_leaves", "test_other"];
    edit_runs(LEAVES, other, &[("helper.py", helper)], &expected);
}

#[test]
fn what_others_come_to_have_is_found_by_those_who_mention_that() {
    let leaves = LEAVES.replace(
        "def test_leaves",
        "def test_hands_over():\n    lib.REGISTRY.append(box)\n\ndef test_leaves",
    );
    let other = "import lib\n\ndef test_other():\n    assert lib.REGISTRY == [[1]]\n";
    let expected = ["test_finds", "test_hands_over", "test_leaves", "test_other"];
    edit_runs(&leaves, other, &[], &expected);
}

#[test]
fn a_function_that_others_were_given_takes_its_file_along() {
    let leaves = LEAVES
        .replace(
            "def test_leaves",
            "def call():\n    return box\n\nlib.REGISTRY.append(call)\n\ndef test_leaves",
        )
        .replace("import lib", "import lib, weakref");
    let weakly = leaves.replace("append(call)", "append(weakref.ref(call))");
    for (a, call) in [(&leaves, "each()"), (&weakly, "each()()")] {
        let other = format!(
            "import lib\n\ndef test_other():\n    assert [{call} for each in lib.REGISTRY] == [[1]]\n"
        );
        let expected = ["test_finds", "test_leaves", "test_other"];
        edit_runs(a, &other, &[], &expected);
    }
    // What those do to it is found, too.
    let fills = leaves.replace("return box", "box.append(lib.one())");
    let fills = fills.replace(
        "    box.append(lib.one())\n\ndef test_finds",
        "    pass\n\ndef test_finds",
    );
    let first = "import lib, test_a\n\ndef test_other():\n    [each() for each in lib.REGISTRY]\n";
    let files = [
        (
            "pytest.ini",
            "[pytest]\npythonpath = .\naddopts = -p no:randomly\n",
        ),
        (
            "conftest.py",
            "def pytest_collection_modifyitems(items):\n    items.reverse()\n",
        ),
        ("lib.py", LIB),
        ("test_a.py", &fills),
        ("test_b.py", &first.replace(", test_a", "")),
    ];
    let expected = ["test_finds", "test_other"];
    edit_of("lib.py", &files, "return 1", "return 0 + 1", &expected);
}

#[test]
fn a_class_that_is_derived_from_one_of_the_projects_is_everybodys() {
    let leaves = LEAVES
        .replace("box = []", "class Own(lib.Base):\n    pass")
        .replace("box.append(lib.one())", "Own.flag = lib.one()")
        .replace("box == [1] * len(box)", "Own.flag == 1");
    let other = "import lib\n\ndef test_other():\n    assert lib.flags() == [1]\n";
    let expected = ["test_finds", "test_leaves", "test_other"];
    edit_runs(&leaves, other, &[], &expected);
}
