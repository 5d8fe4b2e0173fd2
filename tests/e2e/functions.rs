//! With `--select symbol` an edit of one function of the project's runs the tests that reach it, and no others: each way in which a test can depend on code that it
//! isn't seen to run is a test here.
//!
//! Where Python doesn't tell which functions run, before 3.12, whole files count: then more is run, and never less.

use crate::support::{Project, python, sees_functions};

pub const SELECTING: [&str; 4] = ["-n", "1", "--select", "symbol"];

/// Runs `files` in one process, makes an edit in `name`, and gives the tests that run then; each must have the outcome that pytest has
/// after the edit.
pub fn ran_after_edit(files: &[(&str, &str)], name: &str, from: &str, to: &str) -> Vec<String> {
    let project = Project::new(files);
    let run = project.test(&SELECTING);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    let (_, text) = files
        .iter()
        .find(|(file, _)| *file == name)
        .expect("there is such a file");
    let edited = text.replacen(from, to, 1);
    assert_ne!(*text, edited, "{from}");
    project.write(name, &edited);
    let run = project.test(&[&SELECTING[..], &["--no-second-opinion"]].concat());
    let expected = project.pytest(&[]).0;
    assert_eq!(run.code, expected, "{}{}", run.out, run.err);
    let mut ran: Vec<String> = run
        .ran_tests()
        .map(|id| id.rsplit("::").next().unwrap_or(id).to_owned())
        .collect();
    ran.sort();
    ran
}

/// An edit in `lib.py` runs `expected` and leaves others fresh, where functions can be told apart; at least these otherwise.
#[track_caller]
pub fn runs(files: &[(&str, &str)], from: &str, to: &str, expected: &[&str]) {
    edit_of("lib.py", files, from, to, expected);
}

/// The same for an edit in another file.
#[track_caller]
pub fn edit_of(name: &str, files: &[(&str, &str)], from: &str, to: &str, expected: &[&str]) {
    let ran = ran_after_edit(files, name, from, to);
    match sees_functions() {
        true => assert_eq!(ran, expected),
        false => assert!(
            expected
                .iter()
                .all(|test| ran.contains(&(*test).to_owned())),
            "{ran:?}"
        ),
    }
}

pub fn lib_and_tests<'a>(lib: &'a str, tests: &'a str) -> [(&'a str, &'a str); 2] {
    [("lib.py", lib), ("test_a.py", tests)]
}

#[test]
fn an_edit_of_one_function_runs_the_tests_that_ran_it() {
    let files = lib_and_tests(
        "def f(): return 1\n\ndef g(): return f()\n\ndef h(): return 3\n",
        "import lib\ndef test_f(): assert lib.f() == 1\ndef test_g(): assert lib.g() == 1\ndef test_other(): assert lib.h() == 3\n",
    );
    runs(&files, "return 1", "return 2", &["test_f", "test_g"]);
    runs(&files, "return 3", "return 4", &["test_other"]);
}

/// By default neither a first run nor `--all` looks at functions: a first edit runs all that import the file, the next ones who run it.
#[test]
fn functions_are_seen_from_the_first_edit_on() {
    let project = Project::new(&lib_and_tests(
        "def f(): return 1\n\ndef g(): return 2\n",
        "import lib\ndef test_f(): assert lib.f()\ndef test_g(): assert lib.g()\n",
    ));
    let after = |from: &str, to: &str| {
        project.write("lib.py", &project.read("lib.py").replace(from, to));
        let run = project.test(&["-n", "1"]);
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        run.ran()
    };
    let of_one = if sees_functions() { 1 } else { 2 };
    assert_eq!(project.test(&["-n", "1"]).ran(), 2);
    assert_eq!(after("return 1", "return 3"), 2);
    assert_eq!(after("return 3", "return 4"), of_one);
    // Its passes tell nothing of functions, and those of before still do.
    assert_eq!(project.test(&["-n", "1", "--all"]).ran(), 2);
    assert_eq!(after("return 4", "return 5"), of_one);
    // By modules who was left fresh hasn't been seen with this file.
    let run = project.test(&["-n", "1", "--select", "module"]);
    assert_eq!(run.ran(), 2 - of_one, "{}", run.out);
    project.write("lib.py", "def f(): return 6\n\ndef g(): return 2\n");
    assert_eq!(project.test(&["-n", "1", "--select", "module"]).ran(), 2);
}

/// A run in which most tests run for the first time is a first run, though a few have been tried before.
#[test]
fn functions_are_not_seen_while_most_tests_have_not_run() {
    let project = Project::new(&lib_and_tests(
        "def f(): return 1\n\ndef g(): return 2\n",
        "import lib\ndef test_f(): assert lib.f()\ndef test_g(): assert lib.g()\ndef test_h(): assert lib.g()\n",
    ));
    let run = |args: &[&str]| project.test(&[&["-n", "1"], args].concat()).ran();
    let edit = |from: &str, to: &str| {
        project.write("lib.py", &project.read("lib.py").replace(from, to));
    };
    assert_eq!(run(&["-k", "test_f"]), 1);
    assert_eq!(run(&[]), 2);
    edit("return 1", "return 3");
    assert_eq!(run(&[]), 3);
    edit("return 3", "return 4");
    assert_eq!(run(&[]), if sees_functions() { 1 } else { 3 });
}

/// Files that pytest is told to pass over, or doesn't come to, are none that have yet to run.
#[test]
fn functions_are_seen_where_most_test_files_are_passed_over() {
    let tests = "import lib\ndef test_f(): assert lib.f()\ndef test_g(): assert lib.g()\n";
    let named = ["-n", "1", "--", "tests", "--ignore=tests/other"];
    let configured = ["-n", "1"];
    let configuration =
        "[pytest]\ntestpaths = tests\naddopts = --ignore=tests/other\npythonpath = .\n";
    for (arguments, configuration) in [
        (&named[..], "[pytest]\npythonpath = .\n"),
        (&configured[..], configuration),
    ] {
        let project = Project::new(&[
            ("pytest.ini", configuration),
            ("lib.py", "def f(): return 1\n\ndef g(): return 2\n"),
            ("tests/test_a.py", tests),
            ("tests/other/test_b.py", tests),
            ("tests/other/test_c.py", tests),
            ("docs/test_d.py", tests),
        ]);
        let after = |from: &str, to: &str| {
            project.write("lib.py", &project.read("lib.py").replace(from, to));
            project.test(arguments).ran()
        };
        assert_eq!(project.test(arguments).ran(), 2);
        assert_eq!(after("return 1", "return 3"), 2);
        assert_eq!(
            after("return 3", "return 4"),
            if sees_functions() { 1 } else { 2 }
        );
    }
}

#[test]
fn comments_and_lines_that_move_run_nothing() {
    let files = lib_and_tests(
        "def f(): return 1\n\ndef g(): return 2\n",
        "import lib\ndef test_f(): assert lib.f() == 1\ndef test_other(): assert lib.g() == 2\n",
    );
    runs(&files, "def f", "# about f\n\n\ndef f", &[]);
}

#[test]
fn what_importing_does_is_an_input_of_all_that_import() {
    let lib = "LIMIT = 3\n\ndef make(): return [LIMIT]\n\nMADE = make()\n\ndef f(x=LIMIT): return x\n\nclass A:\n    size = 1\n";
    let tests =
        "import lib\ndef test_f(): assert lib.f() == 3\ndef test_made(): assert lib.MADE == [3]\n";
    let files = lib_and_tests(lib, tests);
    let both = &["test_f", "test_made"];
    runs(&files, "return [LIMIT]", "return [LIMIT] and [3]", both);
    runs(&files, "size = 1", "size = 2", both);
    runs(&files, "x=LIMIT", "x=4", both);
    runs(
        &files,
        "class A:",
        "@bool\ndef added(): pass\n\nclass A:",
        both,
    );
}

#[test]
fn a_value_that_was_computed_for_another_test_depends_on_what_computed_it() {
    for lib in [
        "import functools\ndef helper(): return 1\n\n@functools.lru_cache\ndef value(): return helper()\n",
        "_value = None\ndef helper(): return 1\n\ndef value():\n    global _value\n    if _value is None:\n        _value = helper()\n    return _value\n",
        "def helper(): return 1\n\nclass Lazy:\n    def __getattr__(self, name):\n        self.found = helper()\n        return self.found\n\nlazy = Lazy()\n\ndef value(): return lazy.found\n",
        "import functools\ndef helper(): return 1\n\nclass Lazy:\n    @functools.cached_property\n    def found(self): return helper()\n\nlazy = Lazy()\n\ndef value(): return lazy.found\n",
        "def helper(): return 1\n\nclass Only:\n    it = None\n    def __init__(self): self.value = helper()\n    @classmethod\n    def get(cls):\n        cls.it = cls.it or cls()\n        return cls.it\n\ndef value(): return Only.get().value\n",
    ] {
        let tests = "import lib\ndef test_first(): assert lib.value() == 1\ndef test_second(): assert lib.value() == 1\n";
        let files = lib_and_tests(lib, tests);
        runs(
            &files,
            "return 1",
            "return 2",
            &["test_first", "test_second"],
        );
    }
}

#[test]
fn a_kept_value_may_be_asked_for_by_another_name() {
    let helper = "import functools\ndef helper(): return 1\n\n";
    let kept = "@functools.lru_cache\ndef value(): return helper()\n";
    for (lib, again) in [
        (format!("{kept}\nother = value\n"), "from lib import other\n"),
        (
            "def compute(): return helper()\n\nvalue = functools.lru_cache(compute)\nother = value\n".to_owned(),
            "from lib import other\n",
        ),
        (kept.to_owned(), "from lib import value as other\n"),
        (
            kept.to_owned(),
            "import lib\nclass Again:\n    there = staticmethod(lib.value)\n\ndef other(): return Again.there()\n",
        ),
    ] {
        let lib = format!("{helper}{lib}");
        let tests = "import again, lib\ndef test_first(): assert lib.value() == 1\ndef test_second(): assert again.other() == 1\n";
        let files = [("lib.py", &*lib), ("again.py", again), ("test_a.py", tests)];
        runs(
            &files,
            "return 1",
            "return 2",
            &["test_first", "test_second"],
        );
    }
}

#[test]
fn what_another_test_left_behind_depends_on_what_left_it() {
    for (lib, see) in [
        (
            "registry = []\n\ndef fill(): registry.append(1)\n",
            "len(lib.registry) == 1",
        ),
        (
            "class A:\n    items = []\n    def fill(self): self.items.append(1)\n\ndef fill(): A().fill()\n",
            "len(lib.A.items) == 1",
        ),
        (
            "flag = 0\n\ndef fill():\n    global flag\n    flag = 1\n",
            "lib.flag == 1",
        ),
        (
            "class A: pass\n\na = A()\n\ndef fill(): a.flag = 1\n",
            "lib.a.flag == 1",
        ),
        (
            "registry = {}\n\ndef put(into): into['x'] = 1\n\ndef fill(): put(registry)\n",
            "lib.registry == {'x': 1}",
        ),
        (
            "registry = []\n\ndef fill():\n    known = registry\n    known.append(1)\n",
            "len(lib.registry) == 1",
        ),
    ] {
        let tests =
            format!("import lib\ndef test_fill(): lib.fill()\ndef test_see(): assert {see}\n");
        let files = lib_and_tests(lib, &tests);
        let (from, to) = match lib.contains("into['x'] = 1") {
            true => ("= 1\n", "= 2\n"),
            false if lib.contains("append(1)") => ("append(1)", "extend([1, 2])"),
            false if lib.contains("a.flag = 1") => ("a.flag = 1", "a.flag = 2"),
            false => ("    flag = 1", "    flag = 2"),
        };
        runs(&files, from, to, &["test_fill", "test_see"]);
    }
}

#[test]
fn what_a_test_patches_is_put_back_unless_the_fixture_is_another_one() {
    let lib = "class A:\n    def __init__(self): self.size = 1\n\na = A()\n\ndef f(): return a.size\n\ndef other(): return 2\n";
    let tests = "import lib\ndef test_first(monkeypatch):\n    monkeypatch.setattr(lib.a, 'size', lib.other())\n    assert lib.f() == 2\ndef test_second(): assert lib.f() == EXPECTED\n";
    let patched = tests.replace("EXPECTED", "1");
    runs(
        &lib_and_tests(lib, &patched),
        "return 2",
        "return 3",
        &["test_first"],
    );
    let lasting = tests.replace("EXPECTED", "2");
    let conftest = "import pytest\n@pytest.fixture(scope='session')\ndef monkeypatch():\n    patch = pytest.MonkeyPatch()\n    yield patch\n    patch.undo()\n";
    let files = [
        ("lib.py", lib),
        ("conftest.py", conftest),
        ("test_a.py", &*lasting),
    ];
    runs(
        &files,
        "return 2",
        "return 3",
        &["test_first", "test_second"],
    );
}

#[test]
fn what_sets_up_a_fixture_that_tests_share_is_an_input_of_each_of_them() {
    let lib = "def make(): return 1\n\ndef h(): return 3\n";
    for scope in ["module", "class", "session"] {
        let tests = format!(
            "import lib, pytest\n@pytest.fixture(scope='{scope}')\ndef made(): return lib.make()\nclass TestA:\n    def test_first(self, made): assert made == 1\n    def test_second(self, made): assert made == 1\n"
        );
        let files = lib_and_tests(lib, &tests);
        runs(
            &files,
            "return 1",
            "return 2",
            &["test_first", "test_second"],
        );
    }
    let tests = "import lib\nclass TestA:\n    @classmethod\n    def setup_class(cls): cls.made = lib.make()\n    def test_first(self): assert self.made == 1\n    def test_second(self): assert self.made == 1\n";
    runs(
        &lib_and_tests(lib, tests),
        "return 1",
        "return 2",
        &["test_first", "test_second"],
    );
    let tests = "import lib, pytest\n@pytest.fixture(scope='session')\ndef made(): return lib.make()\ndef test_first(request): assert request.getfixturevalue('made') == 1\ndef test_second(request): assert request.getfixturevalue('made') == 1\n";
    runs(
        &lib_and_tests(lib, tests),
        "return 1",
        "return 2",
        &["test_first", "test_second"],
    );
}

#[test]
fn a_fixture_of_one_test_is_an_input_of_those_that_ask_for_it() {
    let lib = "def make(): return 1\n\ndef h(): return 3\n";
    let files = [
        ("lib.py", lib),
        (
            "conftest.py",
            "import lib, pytest\n@pytest.fixture\ndef made(): return lib.make()\n",
        ),
        (
            "test_a.py",
            "import lib\ndef test_made(made): assert made == 1\ndef test_other(): assert lib.h() == 3\n",
        ),
    ];
    runs(&files, "return 1", "return 2", &["test_made"]);
}

#[test]
fn nested_and_generated_code_belongs_to_the_function_around_it() {
    for lib in [
        "def outer():\n    def inner(): return 1\n    return inner\n\nf = outer()\n",
        "def outer():\n    return lambda: 1\n\nf = outer()\n",
        "def outer():\n    return [x for x in (1,)][0]\n\ndef f(): return outer()\n",
        "def outer():\n    names = {}\n    exec('def made(): return 1', names)\n    return names['made']\n\nf = outer()\n",
        "def outer(function):\n    def inner(): return function() + 0 * 1\n    return inner\n\n@outer\ndef f(): return 1\n",
    ] {
        let tests = "import lib\ndef test_f(): assert lib.f() == 1\n";
        let (from, to) = match lib.contains("0 * 1") {
            true => ("0 * 1", "1"),
            false if lib.contains("(1,)") => ("(1,)", "(2,)"),
            false if lib.contains("lambda: 1") => ("lambda: 1", "lambda: 2"),
            false => ("return 1", "return 2"),
        };
        runs(&lib_and_tests(lib, tests), from, to, &["test_f"]);
    }
}

#[test]
fn generators_and_coroutines_count_where_they_go_on() {
    let lib = "import asyncio\n\ndef rows():\n    yield 1\n    yield 2\n\nasync def wait():\n    await asyncio.sleep(0)\n    return 1\n\nheld = rows()\n\ndef h(): return 3\n";
    let tests = "import asyncio, lib\ndef test_first(): assert next(lib.held) == 1\ndef test_second(): assert next(lib.held) == 2\ndef test_wait(): assert asyncio.run(lib.wait()) == 1\ndef test_other(): assert lib.h() == 3\n";
    let files = lib_and_tests(lib, tests);
    runs(&files, "yield 2", "yield 3", &["test_first", "test_second"]);
    runs(&files, "    return 1", "    return 2", &["test_wait"]);
}

#[test]
fn threads_and_what_is_thrown_in_count() {
    let lib = "import threading\n\ndef work(found): found.append(1)\n\ndef rows():\n    try:\n        yield 1\n    except ValueError:\n        yield caught()\n\ndef caught(): return 2\n\ndef run():\n    found = []\n    thread = threading.Thread(target=work, args=(found,))\n    thread.start()\n    thread.join()\n    return found\n";
    let tests = "import lib\ndef test_run(): assert lib.run() == [1]\ndef test_thrown():\n    rows = lib.rows()\n    next(rows)\n    assert rows.throw(ValueError()) == 2\n";
    let files = lib_and_tests(lib, tests);
    runs(&files, "found.append(1)", "found.append(2)", &["test_run"]);
    runs(&files, "return 2", "return 3", &["test_thrown"]);
}

#[test]
fn methods_that_come_come_to_be_hidden_or_go_are_seen() {
    let lib = "class Base:\n    def f(self): return 1\n\nclass Child(Base):\n    pass\n\ndef unused(): return 1\n";
    let tests = "import lib\ndef test_f(): assert lib.Child().f() == 1\n";
    let files = lib_and_tests(lib, tests);
    runs(
        &files,
        "    pass\n",
        "    def f(self): return 2\n",
        &["test_f"],
    );
    runs(
        &files,
        "def unused(): return 1\n",
        "def __getattr__(name): return 1\n",
        &["test_f"],
    );
    runs(&files, "def unused", "def unuse", &[]);
}

#[test]
fn who_looks_at_the_code_of_a_function_depends_on_it() {
    for look in [
        "lib.f.__code__.co_consts[-1] == 1",
        "'return 1' in inspect.getsource(lib.f)",
        "'return 1' in linecache.getline(lib.__file__, 1)",
        "'return 1' in open(lib.__file__).read()",
        "types.FunctionType(lib.f.__code__.replace(co_name='g'), {})() == 1",
    ] {
        let tests =
            format!("import inspect, lib, linecache, types\ndef test_look(): assert {look}\n");
        runs(
            &lib_and_tests("def f(): return 1\n", &tests),
            "return 1",
            "return 2",
            &["test_look"],
        );
    }
}

#[test]
fn who_only_asks_where_the_code_of_a_function_begins_runs_nothing_of_it() {
    let lib = "import inspect, typing\n\n@typing.overload\ndef f(a: int) -> int: ...\n@typing.overload\ndef f(a: str) -> str: ...\ndef f(a): return a\n\ndef g(a): return a\n\ndef h(): return 3\n\nARGUMENTS = len(inspect.signature(g).parameters)\n";
    let tests = "import lib\ndef test_f(): assert lib.f(1) == 1\ndef test_g(): assert lib.g(1) == lib.ARGUMENTS\ndef test_h(): assert lib.h() == 3\n";
    let files = lib_and_tests(lib, tests);
    let edited = "def f(a): return +a";
    runs(&files, "def f(a): return a", edited, &["test_f"]);
    let edited = "def g(a): return +a";
    runs(&files, "def g(a): return a", edited, &["test_g"]);
    // What has that name elsewhere may ask for all.
    let own = "def overload(f): return f.__code__.co_code and f\n";
    let lib = lib.replace("import inspect, typing", "import inspect, own as typing");
    let files = [&lib_and_tests(&lib, tests)[..], &[("own.py", own)]].concat();
    let all = ["test_f", "test_g", "test_h"];
    let edited = "def f(a): return +a";
    runs(&files, "def f(a): return a", edited, &all);
}

#[test]
fn whoever_asks_for_lines_depends_on_the_whole_file() {
    let lib = "import sys\ndef unused(): pass\n\ndef where(): return sys._getframe().f_lineno\n\ndef h(): return 3\n";
    let tests = "import lib\ndef test_where(): assert lib.where() == 4\ndef test_other(): assert lib.h() == 3\n";
    runs(
        &lib_and_tests(lib, tests),
        "def unused(): pass\n",
        "def unused(): pass\n\n",
        &["test_where"],
    );
}

/// A file of tests that asks for lines when it is imported was collected by pytest: who gets at it later by a text wasn't there. Who imports it may
/// have come first.
#[test]
fn a_collected_file_that_asks_for_lines_shows_them_to_its_importers_alone() {
    let lib = "import importlib\n\ndef load(name):\n    return importlib.import_module(name)\n\ndef one():\n    return 1\n";
    let asks = "from traceback import format_exception\n\ndef make():\n    return 1\n\nMADE = make()\n\ndef test_lines():\n    assert MADE\n";
    for (by_text, expected) in [
        (true, &["test_one"][..]),
        (false, &["test_loads", "test_one", "test_other"]),
    ] {
        let loads = if by_text {
            "import lib\n\ndef test_loads():\n    assert lib.load('test_lines').MADE\n"
        } else {
            "import lib\nimport test_lines\n\ndef test_loads():\n    assert test_lines.MADE\n"
        };
        let first = format!("{loads}\ndef test_other():\n    assert lib.__name__\n");
        let files = [
            ("pytest.ini", "[pytest]\npythonpath = .\n"),
            ("lib.py", lib),
            ("test_a.py", &first),
            ("test_lines.py", asks),
            (
                "test_one.py",
                "import lib\n\ndef test_one():\n    assert lib.one()\n",
            ),
        ];
        runs(&files, "return 1", "return 2", expected);
    }
}

#[test]
fn what_a_module_runs_when_a_test_imports_it_is_every_importers() {
    let files = [
        ("lib.py", "def make(): return 1\n\ndef h(): return 3\n"),
        ("late.py", "import lib\nMADE = lib.make()\n"),
        (
            "test_a.py",
            "def test_first():\n    import late\n    assert late.MADE == 1\ndef test_second():\n    import late\n    assert late.MADE == 1\n",
        ),
    ];
    runs(
        &files,
        "return 1",
        "return 2",
        &["test_first", "test_second"],
    );
}

/// A function that has told that it runs, in the same test, runs again in the body of a module that later tests find imported.
#[test]
fn what_a_module_runs_after_its_importer_ran_it_is_every_importers() {
    let files = [
        ("lib.py", "def size():\n    return 1\n"),
        ("part.py", "import lib\n\nSIZE = lib.size()\n"),
        (
            "test_a.py",
            "\
import lib

def test_first():
    assert lib.size() > 0
    import part

def test_second():
    import part
    assert part.SIZE > 0

def test_other():
    assert lib.__name__ == \"lib\"
",
        ),
    ];
    let all = ["test_first", "test_other", "test_second"];
    runs(&files, "return 1", "return 2", &all);
}

/// However many others of its file a function runs in, it matters to a test that it runs in it, or in a module that it imports.
#[test]
fn what_most_tests_of_a_file_run_is_not_what_all_run() {
    let most: String = (0..12)
        .map(|number| format!("def test_most{number}(): assert lib.size()\n"))
        .collect();
    let first =
        format!("import lib\n{most}def test_imports():\n    import part\ndef test_none(): pass\n");
    let of_most = (0..12).map(|number| format!("test_most{number}"));
    let mut expected: Vec<String> = of_most.collect();
    for (part, is_run) in [
        ("SIZE = 1\n", false),
        ("import lib\nSIZE = lib.size()\n", true),
    ] {
        let files = [
            ("lib.py", "def size():\n    return 1\n"),
            ("part.py", part),
            ("test_a.py", &first),
            (
                "test_b.py",
                "import lib\n\ndef test_other():\n    import part\n    assert part.SIZE > 0\n",
            ),
        ];
        if is_run {
            // What runs in a module's body is every test's.
            expected.extend(["test_imports", "test_none", "test_other"].map(str::to_owned));
        }
        expected.sort();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        runs(&files, "return 1", "return 2", &expected);
    }
}

#[test]
fn the_tests_of_one_function_count_as_one_and_other_functions_apart() {
    let files = lib_and_tests(
        "def one():\n    return 1\n\ndef two():\n    return 2\n",
        "\
import lib, pytest

@pytest.mark.parametrize(\"name\", [\"one\", \"two\"])
def test_named(name):
    assert getattr(lib, name)() > 0

def test_one():
    assert lib.one() > 0
",
    );
    let named = ["test_named[one]", "test_named[two]"];
    runs(&files, "return 2", "return 3", &named);
    let all = [named[0], named[1], "test_one"];
    runs(&files, "return 1", "return 3", &all);
}

#[test]
fn what_runs_while_tests_are_collected_decides_which_there_are() {
    let files = lib_and_tests(
        "def rows(): return [1, 2]\n\ndef h(): return 3\n",
        "import lib, pytest\n@pytest.mark.parametrize('x', lib.rows())\ndef test_row(x): assert x\n",
    );
    let project = Project::new(&files);
    assert_eq!(project.test(&SELECTING).ran(), 2);
    project.write(
        "lib.py",
        "def rows(): return [1, 2, 3]\n\ndef h(): return 3\n",
    );
    let run = project.test(&SELECTING);
    assert_eq!((run.code, run.ran()), (0, 3), "{}", run.out);
    // What they don't reach has no say in it.
    project.write(
        "lib.py",
        "def rows(): return [1, 2, 3]\n\ndef h(): return 4\n",
    );
    let run = project.test(&SELECTING);
    let expected = if sees_functions() { 0 } else { 3 };
    assert_eq!(run.ran(), expected, "{}", run.out);
}

#[test]
fn tests_that_take_the_interpreters_monitoring_away_count_whole_files() {
    if !sees_functions() {
        return;
    }
    let tests = "import lib, sys\ndef test_first():\n    for tool in range(6):\n        if sys.monitoring.get_tool(tool):\n            sys.monitoring.free_tool_id(tool)\ndef test_second(): assert lib.f() == 1\n";
    let files = lib_and_tests("def f(): return 1\n", tests);
    runs(
        &files,
        "return 1",
        "return 2",
        &["test_first", "test_second"],
    );
}

#[test]
fn a_file_that_no_longer_parses_counts_as_a_whole() {
    let files = lib_and_tests(
        "def f(): return 1\n\ndef h(): return 3\n",
        "import lib\ndef test_f(): assert lib.f() == 1\n",
    );
    let project = Project::new(&files);
    assert_eq!(project.test(&SELECTING).code, 0);
    project.write("lib.py", "def f(): return 1\n\ndef h(: return 3\n");
    let run = project.test(&SELECTING);
    assert_eq!(run.code, project.pytest(&[]).0.min(1), "{}", run.out);
    project.write("lib.py", "def f(): return 1\n\ndef h(): return 3\n");
    assert_eq!(project.test(&SELECTING).code, 0);
}

/// Where the library's data is.
const PATH: &str =
    "import os\nPATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'data.txt')\n";

#[test]
fn what_a_function_read_is_an_input_of_those_who_reach_it() {
    for load in [
        "def load(): return open(PATH).read()\n",
        "import pathlib\ndef read(): return pathlib.Path(PATH).read_text()\ndef load(): return read()\n",
        "import subprocess\ndef load(): return subprocess.run(['cat', PATH], capture_output=True, text=True).stdout\n",
        "def load():\n    texts = (open(path).read() for path in [PATH])\n    return [text for text in texts][0]\n",
    ] {
        let lib = format!("{PATH}{load}\ndef h(): return 3\n");
        let files = [
            ("lib.py", &*lib),
            ("data.txt", "one"),
            (
                "test_a.py",
                "import lib\ndef test_load(): assert lib.load() == 'one'\ndef test_other(): assert lib.h() == 3\n",
            ),
        ];
        edit_of("data.txt", &files, "one", "two", &["test_load"]);
    }
}

#[test]
fn a_variable_that_a_function_asks_for_is_an_input_of_those_who_reach_it() {
    for ask in [
        "os.environ.get('DX_E2E')",
        "dict(os.environ.items()).get('DX_E2E')",
    ] {
        let lib = format!("import os\ndef f(): return {ask}\n\ndef h(): return 3\n");
        let project = Project::new(&[
            ("lib.py", &*lib),
            (
                "test_a.py",
                "import lib\ndef test_variable(): assert lib.f() != '1'\ndef test_other(): assert lib.h() == 3\n",
            ),
        ]);
        assert_eq!(project.test(&SELECTING).code, 0);
        let output = project
            .command(&["test", "--python", &python().display().to_string()])
            .args(SELECTING)
            .env("DX_E2E", "1")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(told.contains("FAILED test_a.py::test_variable"), "{told}");
        if sees_functions() {
            assert!(told.contains("1 fresh"), "{told}");
        }
    }
}

#[test]
fn what_a_test_itself_read_is_no_input_of_its_neighbours() {
    let tests = "import pathlib\ndef test_read(): assert pathlib.Path(__file__).with_name('data.txt').read_text() == 'one'\ndef test_other(): pass\n";
    let files = [("data.txt", "one"), ("test_a.py", tests)];
    edit_of("data.txt", &files, "one", "two", &["test_read"]);
}

#[test]
fn what_was_read_for_another_test_and_kept_is_an_input() {
    for lib in [
        "import functools\n@functools.lru_cache\ndef f(): return open(PATH).read()\n\ng = f\n",
        "text = ''\ndef load(): return open(PATH).read()\n\ndef f():\n    global text\n    text = load()\n    return text\n\ndef g(): return text\n",
        "class Config:\n    def load(self):\n        self.text = open(PATH).read()\n        return self.text\n\nconfig = Config()\n\ndef f(): return config.load()\n\ndef g(): return config.text\n",
        "import functools\nclass Config:\n    @functools.cached_property\n    def text(self): return open(PATH).read()\n\nconfig = Config()\n\ndef f(): return config.text\n\ndef g(): return vars(config)['text']\n",
        "import linecache\ndef f(): return linecache.getline(PATH, 1).strip()\n\ndef g(): return linecache.getline(PATH, 1).strip()\n",
        "import mimetypes\ndef f():\n    mimetypes.init([PATH])\n    return mimetypes.guess_type('a.kind')[0]\n\ndef g(): return mimetypes.guess_type('a.kind')[0]\n",
        "import threading\ntexts = {}\ndef load(): texts['it'] = open(PATH).read()\n\ndef f():\n    thread = threading.Thread(target=load)\n    thread.start()\n    thread.join()\n    return texts['it']\n\ndef g(): return texts['it']\n",
    ] {
        let is_of_types = lib.contains("mimetypes");
        let (one, two) = match is_of_types {
            true => ("a/one kind\n", "a/two kind\n"),
            false => ("a/one\n", "a/two\n"),
        };
        let lib = format!("{PATH}{lib}");
        let files = [
            ("lib.py", &*lib),
            ("data.txt", one),
            (
                "test_a.py",
                "import lib\ndef test_first(): assert lib.f().strip() == 'a/one'\ndef test_second(): assert lib.g().strip() == 'a/one'\n",
            ),
        ];
        edit_of("data.txt", &files, one, two, &["test_first", "test_second"]);
    }
}

#[test]
fn what_is_read_for_a_fixture_that_tests_share_is_an_input_of_each_of_them() {
    for scope in ["module", "session"] {
        let conftest = format!(
            "import pathlib, pytest\n@pytest.fixture(scope='{scope}')\ndef text(): return pathlib.Path(__file__).with_name('data.txt').read_text()\n"
        );
        let files = [
            ("conftest.py", &*conftest),
            ("data.txt", "one"),
            (
                "test_a.py",
                "def test_first(text): assert text == 'one'\ndef test_second(text): assert text == 'one'\n",
            ),
        ];
        edit_of(
            "data.txt",
            &files,
            "one",
            "two",
            &["test_first", "test_second"],
        );
    }
}

#[test]
fn what_a_module_reads_when_it_is_imported_is_every_importers() {
    let lib = format!(
        "{PATH}def load(): return open(PATH).read()\n\nTEXT = load()\n\ndef h(): return 3\n"
    );
    let files = [
        ("lib.py", &*lib),
        ("data.txt", "one"),
        (
            "test_a.py",
            "import lib\ndef test_text(): assert lib.TEXT == 'one'\ndef test_h(): assert lib.h() == 3\n",
        ),
    ];
    edit_of("data.txt", &files, "one", "two", &["test_h", "test_text"]);
}

/// What a function leaves behind it may have been given by a test, or by a function that did otherwise for another one.
#[test]
fn what_was_given_to_the_one_that_left_it_is_an_input_of_those_who_find_it() {
    let variable = "\
KEPT = {}

def put(value):
    KEPT[\"x\"] = value

def get():
    return KEPT.get(\"x\")
";
    let attribute = "\
class Settings:
    value = None

    def set(self, value):
        self.value = value

SETTINGS = Settings()

def put(value):
    SETTINGS.set(value)

def get():
    return SETTINGS.value
";
    let moved = "\
FIRST, KEPT = {}, {}

def put(value):
    FIRST[\"x\"] = value

def move():
    KEPT[\"x\"] = FIRST.get(\"x\")

def get():
    move()
    return KEPT.get(\"x\")
";
    let made = "
def one():
    return inner()

def inner():
    return 1

def two():
    return 2

def other():
    return 3

def store(which):
    put(one() if which else two())
";
    let by_test = "\
import lib

def test_first():
    lib.put(lib.one())

def test_second():
    assert lib.get() in (1, 2)

def test_third():
    assert lib.other() == 3
";
    let by_helper = "\
import lib

def test_first():
    lib.store(True)

def test_second():
    assert lib.get() in (1, 2)
    lib.store(False)

def test_third():
    assert lib.other() == 3
";
    let both = ["test_first", "test_second"];
    for library in [variable, attribute, moved] {
        for tests in [by_test, by_helper] {
            let lib = format!("{library}{made}");
            let files = lib_and_tests(&lib, tests);
            runs(&files, "return 1", "return 0 + 1", &both);
        }
    }
}

#[test]
fn a_file_that_parses_and_cannot_be_compiled_runs_all_who_import_it() {
    for (body, later) in [
        ("break", true),
        ("break", false),
        ("nonlocal x", true),
        ("return '\\d'", true),
    ] {
        let import = if later {
            "def test_h():\n    import lib\n"
        } else {
            "import lib\ndef test_h():\n"
        };
        let tests = format!("{import}    assert lib.h() == 3\n");
        let files = lib_and_tests("def unused(): return 1\ndef h(): return 3\n", &tests);
        let expected = if later { &["test_h"][..] } else { &[] };
        runs(&files, "return 1", body, expected);
    }
}
