//! With `--select symbol` what importing a file of tests runs, and collecting it, is a matter of those that import the file: unless it leaves
//! something for others.

use crate::functions::{edit_of, lib_and_tests};

const LIB: &str = "\
import os
THINGS = []
MODE = ['plain']

class Box:
    value = 0

def f(): return 1

def fill(things):
    things.append(f())

def h(): return 3
";

/// Two files of tests; of `second` all but its imports is the body of a test.
#[track_caller]
fn edit_of_what_import_runs(
    more: &[(&str, &str)],
    first: &str,
    second: [&str; 2],
    expected: &[&str],
) {
    let first = format!("import lib, pytest\n{first}\n");
    let first = match first.contains("def test_first") {
        true => first,
        false => format!("{first}def test_first(): assert lib.h() == 3\n"),
    };
    let [imports, body] = second;
    let second = format!("import lib\n{imports}\ndef test_second(): assert {body}\n");
    let files = [
        more,
        &[
            ("lib.py", LIB),
            ("test_a.py", &first),
            ("test_b.py", &second),
        ],
    ]
    .concat();
    edit_of("lib.py", &files, "return 1", "return 0 + 1", expected);
}

#[test]
fn what_importing_a_file_of_tests_runs_is_its_own_matter() {
    let more = [("late.py", "import lib\nVALUE = lib.h()\n")];
    for (first, ran) in [
        ("VALUE = lib.f()", "test_first"),
        (
            "@pytest.mark.parametrize('value', [lib.f()])\ndef test_first(value): assert value == 1",
            "test_first[1]",
        ),
        (
            "@pytest.mark.parametrize('value', [2], ids=lambda value: str(lib.f()))\ndef test_first(value): assert value == 2",
            "test_first[1]",
        ),
        (
            "@pytest.mark.skipif(lib.f() == 2, reason='no')\ndef test_first(): assert lib.h() == 3",
            "test_first",
        ),
        (
            "class TestA:\n    value = lib.f()\n    def test_first(self): assert self.value == 1",
            "test_first",
        ),
        ("def made(): return lib.f()\nVALUE = made()", "test_first"),
        ("lib.Box().value = lib.f()", "test_first"),
        ("import late\nVALUE = lib.f()", "test_first"),
    ] {
        edit_of_what_import_runs(&more, first, ["", "lib.h() == 3"], &[ran]);
    }
}

#[test]
fn what_importing_a_file_of_tests_leaves_is_everybodys() {
    for (first, second) in [
        ("lib.THINGS.append(lib.f())", "lib.THINGS == [1]"),
        ("lib.fill(lib.THINGS)", "lib.THINGS == [1]"),
        ("lib.Box.value = lib.f()", "lib.Box.value == 1"),
        ("lib.h.value = lib.f()", "lib.h.value == 1"),
        ("lib.value = lib.f()", "lib.value == 1"),
        (
            "lib.os.environ['DX_LEFT'] = str(lib.f())",
            "lib.os.getenv('DX_LEFT') == '1'",
        ),
        ("lib.os.dx_left = lib.f()", "lib.os.dx_left == 1"),
        (
            "import late\nlate.VALUE = lib.f()",
            "__import__('late').VALUE == 1",
        ),
    ] {
        // This one imports before what the other uses.
        let zero = "import lib\ndef test_zero(): assert lib.h() == 3\n";
        let more = [("late.py", "VALUE = 2\n"), ("test_0.py", zero)];
        let all = ["test_first", "test_second", "test_zero"];
        edit_of_what_import_runs(&more, first, ["", second], &all);
    }
}

#[test]
fn who_imports_a_file_of_tests_depends_on_what_that_ran() {
    let both = ["test_first", "test_second"];
    let second = ["from test_a import VALUE", "VALUE == 1"];
    edit_of_what_import_runs(&[], "VALUE = lib.f()", second, &both);
    let second = ["", "__import__('test_a').VALUE == 1"];
    edit_of_what_import_runs(&[], "VALUE = lib.f()", second, &both);
}

/// What a module finds when it is imported is kept by it.
#[test]
fn what_ran_before_a_module_was_imported_is_its_importers() {
    let late = "import lib\nVALUE = lib.MODE[0]\n";
    let first = "lib.MODE[0] = lib.f()\nimport late\nlib.MODE[0] = 'plain'\n";
    let second = ["import late", "late.VALUE == 1"];
    let both = ["test_first", "test_second"];
    edit_of_what_import_runs(&[("late.py", late)], first, second, &both);
    // What it runs itself is theirs in any case.
    let late = "import lib\nVALUE = lib.f()\n";
    let second = ["import late", "late.VALUE == 1"];
    edit_of_what_import_runs(&[("late.py", late)], "import late", second, &both);
}

#[test]
fn what_runs_beside_an_import_is_everybodys() {
    let first = "\
import threading
go, done = threading.Event(), threading.Event()
def work():
    go.wait()
    lib.fill(lib.THINGS)
    done.set()
thread = threading.Thread(target=work, daemon=True)
thread.start()
VALUE = lib.f()
def test_first():
    go.set()
    done.wait()
";
    let both = ["test_first", "test_second"];
    edit_of_what_import_runs(&[], first, ["", "lib.h() == 3"], &both);
}

/// A function on the stack of whoever reads may have kept that: then the test has left something.
#[test]
fn what_a_test_read_is_an_input_of_those_who_find_what_it_left() {
    let lib = "\
import os, subprocess
PATH = os.path.join(os.path.dirname(__file__), 'data.txt')
kept = None

def call(load): return load()

def read(): return open(PATH).read()

def ask(): return subprocess.run(['cat', PATH], capture_output=True, text=True).stdout

def keep(load):
    global kept
    kept = call(load)
    return kept

def get(): return kept
";
    for (first, second, expected) in [
        ("call(lib.read)", "call(lambda: 'one')", &["test_first"][..]),
        ("call(lib.ask)", "call(lambda: 'one')", &["test_first"]),
        (
            "keep(lib.read)",
            "get() or 'one'",
            &["test_first", "test_second"],
        ),
        (
            "keep(lib.ask)",
            "get() or 'one'",
            &["test_first", "test_second"],
        ),
    ] {
        let tests = format!(
            "import lib\ndef test_first(): assert lib.{first} == 'one'\ndef test_second(): assert lib.{second} in ('one', 'two')\n"
        );
        let files = [&lib_and_tests(lib, &tests)[..], &[("data.txt", "one")]].concat();
        edit_of("data.txt", &files, "one", "two", expected);
    }
}

#[test]
fn what_a_thread_read_is_an_input_of_those_that_ask_it() {
    let lib = "\
import _thread, os, queue
PATH = os.path.join(os.path.dirname(__file__), 'data.txt')
asked, answers = queue.Queue(), queue.Queue()

def answer(known):
    if not known:
        known.append(open(PATH).read())
    return known[0]

def serve():
    known = []
    while True:
        asked.get()
        answers.put(answer(known))

_thread.start_new_thread(serve, ())

def ask():
    asked.put(None)
    return answers.get()
";
    let tests = "\
import lib
def test_first(): assert lib.ask() in ('one', 'two')
def test_second(): assert lib.ask() in ('one', 'two')
";
    let files = [&lib_and_tests(lib, tests)[..], &[("data.txt", "one")]].concat();
    let expected = ["test_first", "test_second"];
    edit_of("data.txt", &files, "one", "two", &expected);
}
