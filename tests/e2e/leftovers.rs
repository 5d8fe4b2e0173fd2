//! With `--select symbol` a test that finds what another one left in a variable depends on what that was made of, by whatever name the
//! variable was reached.

use crate::functions::{SELECTING, edit_of};
use crate::support::{Project, Run, sees_functions};

const LIB: &str = "\
THINGS = []
box = type('Box', (), {})()

def fill(things, value):
    things.append(value)

def untouched():
    return 3
";

const TESTS: &str = "\
import lib, user

def test_first():
    user.leave()

def test_second():
    assert FOUND

def test_third():
    assert lib.untouched() == 3
";

/// Whoever runs `user` leaves 1, which `found` finds.
#[track_caller]
fn is_found(user: &str, found: &str) {
    let user = format!("from calc import compute\n{user}");
    let tests = TESTS.replace("FOUND", found);
    let files = [
        ("calc.py", "def compute():\n    return 1\n"),
        ("lib.py", LIB),
        ("pkg/__init__.py", ""),
        ("pkg/mod.py", "LIST = []\n"),
        ("user.py", &user),
        ("test_a.py", &tests),
    ];
    let both = ["test_first", "test_second"];
    edit_of("calc.py", &files, "return 1", "return 0 + 1", &both);
}

#[test]
fn a_variable_may_be_reached_by_an_import() {
    for user in [
        "from lib import THINGS\ndef leave():\n    THINGS.append(compute())\n",
        "def leave():\n    from lib import THINGS\n    THINGS.append(compute())\n",
        "from lib import THINGS as things\ndef leave():\n    things.append(compute())\n",
        "from lib import *\ndef leave():\n    THINGS.append(compute())\n",
        "from lib import THINGS\nalso = THINGS\ndef leave():\n    also.append(compute())\n",
        "import lib\nalso = lib.THINGS\ndef leave():\n    also.append(compute())\n",
        "import lib\ndef leave():\n    lib.THINGS.append(compute())\n",
        "import lib\ndef leave():\n    lib.THINGS[:] = [compute()]\n",
    ] {
        is_found(user, "lib.THINGS == [1]");
    }
}

#[test]
fn a_variable_may_be_handed_to_what_changes_it() {
    for user in [
        "from lib import THINGS, fill\ndef leave():\n    fill(THINGS, compute())\n",
        "from lib import THINGS as things, fill\ndef leave():\n    fill(things, compute())\n",
        "import lib\ndef leave():\n    lib.fill(lib.THINGS, compute())\n",
        "import lib as other\ndef leave():\n    other.fill(other.THINGS, compute())\n",
        "from lib import *\ndef leave():\n    fill(THINGS, compute())\n",
    ] {
        is_found(user, "lib.THINGS == [1]");
    }
    let user = "import pkg.mod, lib\ndef leave():\n    lib.fill(pkg.mod.LIST, compute())\n";
    is_found(user, "__import__('pkg.mod').mod.LIST == [1]");
}

#[test]
fn an_object_of_a_variable_may_be_given_attributes() {
    for user in [
        "import lib\ndef leave():\n    lib.box.value = compute()\n",
        "import lib\ndef leave():\n    give(lib.box)\ndef give(box):\n    box.value = compute()\n",
        "from lib import box\ndef leave():\n    box.value, _ = compute(), 0\n",
    ] {
        is_found(user, "lib.box.value == 1");
    }
}

#[test]
fn a_value_by_default_may_be_kept() {
    let user =
        "def leave(value=None, kept=[]):\n    kept.append(value or compute())\n    return kept\n";
    is_found(user, "user.leave(2) == [1, 2]");
}

#[test]
fn a_variable_of_the_environment_may_be_asked_for_without_its_name() {
    let user = "import os\ndef leave():\n    os.environ['LEFT_HERE'] = str(compute())\n";
    for found in [
        "__import__('os').getenv('LEFT_HERE') == '1'",
        "__import__('os').path.expandvars('$LEFT_HERE') == '1'",
    ] {
        is_found(user, found);
    }
}

/// Two tests that find nothing of each other's, in files that run in one process.
const QUIET: [(&str, &str); 5] = [
    (
        "lib.py",
        "STATE = {'mode': 'plain'}\ndef mode(): return STATE['mode']\n",
    ),
    (
        "calc.py",
        "import lib\ndef work():\n    lib.STATE['mode'] = 'plain'\n    return 1\n",
    ),
    (
        "test_a.py",
        "import calc\ndef test_work(): assert calc.work() == 1\ndef test_other(): assert 1\n",
    ),
    (
        "test_b.py",
        "import calc, lib\ndef test_mode(): assert lib.mode() == 'plain'\ndef test_no_mode(): assert lib.STATE\n",
    ),
    ("test_c.py", "import lib\ndef test_else(): assert lib\n"),
];

/// A change makes a test leave what it didn't leave before: fresh tests that mention the variable run as well, after it and in its process.
#[test]
fn what_is_left_for_the_first_time_runs_fresh_tests_that_may_find_it() {
    edit_of(
        "calc.py",
        &QUIET,
        "= 'plain'",
        "= 'other'",
        &["test_mode", "test_no_mode", "test_work"],
    );
}

/// The same if the run is cut short before they ran.
#[test]
fn who_may_find_what_is_left_runs_next_time_if_the_run_was_cut_short() {
    let project = Project::new(&QUIET);
    assert_eq!(project.test(&SELECTING).code, 0);
    project.write(
        "calc.py",
        "import lib\ndef work():\n    lib.STATE['mode'] = 'other'\n    return 2\n",
    );
    let select = [&SELECTING[..], &["-x"]].concat();
    let run = project.test(&select);
    assert_eq!(run.code, 1, "{}{}", run.out, run.err);
    if sees_functions() {
        let ran = |run: &Run| -> Vec<String> { run.ran_tests().map(str::to_owned).collect() };
        assert_eq!(ran(&run), ["test_a.py::test_work"]);
        project.write(
            "calc.py",
            "import lib\ndef work():\n    lib.STATE['mode'] = 'other'\n    return 1\n",
        );
        let run = project.test(&SELECTING);
        assert_eq!(
            ran(&run),
            [
                "test_a.py::test_work",
                "test_b.py::test_mode",
                "test_b.py::test_no_mode"
            ],
            "{}{}",
            run.out,
            run.err
        );
    }
}

/// Which test is the first to fill a cache differs from run to run, and is no news.
#[test]
fn a_cache_that_another_test_fills_first_is_no_news() {
    let files = [
        (
            "lib.py",
            "import functools\n@functools.lru_cache\ndef table(): return (1, 2)\ndef look(n): return table()[n]\n",
        ),
        ("calc.py", "def one(): return 1\n"),
        (
            "test_a.py",
            "import lib, calc\ndef test_first(): assert lib.look(0) == 1\ndef test_second(): assert lib.look(1) == 1 + calc.one()\n",
        ),
    ];
    edit_of(
        "calc.py",
        &files,
        "return 1",
        "return 0 + 1",
        &["test_second"],
    );
}

/// What is put back is no leftover, whoever does it; nor is what only one test may find.
#[test]
fn what_is_put_back_is_not_left() {
    let lib = "class Box:\n    def __init__(self): self.rows = []\nbox = Box()\nlimit = 3\ndef get(): return limit, box.rows\n";
    for user in [
        "import lib\ndef leave(value):\n    before, lib.limit = lib.limit, value\n    lib.limit = before\n",
        "import lib\ndef leave(value):\n    lib.box.rows.append(value)\n    lib.box.rows.pop()\n",
        "import lib\ndef leave(value):\n    box = lib.Box()\n    box.rows.append(value)\n",
        "import lib, contextlib\n@contextlib.contextmanager\ndef limited(value):\n    before, lib.limit = lib.limit, value\n    yield\n    lib.limit = before\ndef leave(value):\n    with limited(value): lib.get()\n",
    ] {
        let files = [
            ("lib.py", lib),
            ("calc.py", "def compute(): return 1\n"),
            ("user.py", user),
            (
                "test_a.py",
                "import lib, user, calc\ndef test_first(): user.leave(calc.compute())\ndef test_second(): assert lib.get() == (3, [])\n",
            ),
        ];
        edit_of(
            "calc.py",
            &files,
            "return 1",
            "return 0 + 1",
            &["test_first"],
        );
    }
}

/// What changes without a name of its own being said: at second hand, by a name that is made up, in an object that a container holds.
#[test]
fn a_change_at_second_hand_is_seen() {
    for user in [
        "import lib\ndef put(rows, value): rows.append(value)\ndef leave():\n    rows = lib.THINGS\n    put(rows, compute())\n",
        "import lib\ndef leave():\n    getattr(lib, 'THI' + 'NGS').append(compute())\n",
        "import lib\ndef leave():\n    lib.fill(lib.THINGS, compute())\n",
        "import lib\nlib.THINGS.append([])\ndef leave():\n    lib.THINGS[0].append(compute())\n    lib.THINGS[:] = lib.THINGS[0]\n",
    ] {
        is_found(user, "lib.THINGS == [1]");
    }
}

/// What is left in modules and classes that aren't the project's.
#[test]
fn what_is_left_in_modules_of_others_is_seen() {
    is_found(
        "import colorsys\ndef leave(): colorsys.ONE_SIXTH = compute()\n",
        "__import__('colorsys').ONE_SIXTH == 1",
    );
    is_found(
        "from argparse import Action as Other\ndef leave(): Other.format_usage = compute()\n",
        "__import__('argparse').Action.format_usage == 1",
    );
}

/// A module that a test makes for itself, and its objects, go away as they do in pytest.
#[test]
fn what_a_test_makes_for_itself_is_not_held() {
    let test = "import gc, sys, weakref\ndef test_first(tmp_path, monkeypatch):\n    (tmp_path / 'made_here.py').write_text('class A: pass\\na = A()\\ndef f(x=a): return x\\n')\n    monkeypatch.syspath_prepend(tmp_path)\n    import made_here\n    gone = weakref.ref(made_here.a)\n    del sys.modules['made_here'], made_here\n    gc.collect()\n    assert gone() is None\ndef test_second(): pass\n";
    let project = Project::new(&[("test_a.py", test)]);
    let run = project.test(&SELECTING);
    assert_eq!(
        (run.code, run.tests.len()),
        (0, 2),
        "{}{}",
        run.out,
        run.err
    );
    assert_eq!(project.pytest(&[]).0, 0);
}

/// A test that runs alone is recorded without what others leave. If they then leave something else, it runs with them.
#[test]
fn what_is_left_otherwise_runs_tests_that_were_last_run_without_it() {
    let project = Project::new(&[
        (
            "lib.py",
            "VALUE = {}\ndef made():\n    return 1\ndef put():\n    VALUE['x'] = made()\n\ndef get():\n    return VALUE.get('x', 1)\n",
        ),
        (
            "test_a.py",
            "import lib\ndef test_put():\n    lib.put()\n\ndef test_get():\n    assert lib.get() == 1\n\ndef test_else(): pass\n",
        ),
    ]);
    assert_eq!(project.test(&SELECTING).code, 0);
    let edit = |name: &str, from: &str, to: &str| {
        project.write(name, &project.read(name).replace(from, to));
    };
    edit("test_a.py", "lib.get() == 1", "lib.get() == 0 + 1");
    let run = project.test(&SELECTING);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    for (from, to, code) in [("return 1", "return 2", 1), ("return 2", "return 1", 0)] {
        edit("lib.py", from, to);
        let run = project.test(&SELECTING);
        assert_eq!(run.code, code, "{}{}", run.out, run.err);
        assert_eq!(project.pytest(&[]).0, code);
    }
}

/// Where many tests leave something, what the project does there counts for all that may find it, and not what one more test does.
#[test]
fn in_what_many_tests_fill_the_edit_of_one_is_its_own_matter() {
    let tests: String = (0..20)
        .map(|n| format!("def test_{n}():\n    assert lib.add({n}) == {n}\n\n"))
        .collect();
    let project = Project::new(&[
        (
            "lib.py",
            "KNOWN = {}\ndef made(key):\n    return key\n\ndef add(key):\n    if key not in KNOWN:\n        KNOWN[key] = made(key)\n    return KNOWN[key]\n\n\
             def known(key):\n    return KNOWN.get(key)\n",
        ),
        ("test_a.py", &format!("import lib\n{tests}")),
        (
            "test_b.py",
            "import lib\ndef test_finds(): assert lib.known(1) in (1, 2, None)\n\ndef test_else(): pass\n",
        ),
    ]);
    assert_eq!(project.test(&SELECTING).code, 0);
    let ran = |name: &str, from: &str, to: &str| {
        project.write(name, &project.read(name).replace(from, to));
        let run = project.test(&SELECTING);
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        let mut ran: Vec<String> = run.ran_tests().map(str::to_owned).collect();
        ran.sort();
        ran
    };
    // Twice: once recorded with all others, and once alone.
    for to in ["lib.add(0) == 0 + 0", "lib.add(0) == 0 - 0"] {
        let run = ran("test_a.py", "lib.add(0) == 0", to);
        assert_eq!(run, ["test_a.py::test_0"]);
    }
    let run = ran("lib.py", "return key\n", "return 0 + key\n");
    let finds = "test_b.py::test_finds".to_owned();
    assert!(run.contains(&finds), "{run:?}");
    assert_eq!(run.len(), if sees_functions() { 21 } else { 22 });
}

/// A stream that pytest puts in place of a standard one is nothing that a test leaves.
#[test]
fn how_tests_are_captured_is_not_left() {
    let files = [
        (
            "lib.py",
            "import contextlib, io, sys\n@contextlib.contextmanager\ndef caught():\n    before, sys.stdout = sys.stdout, io.StringIO()\n    yield sys.stdout\n    sys.stdout = before\n",
        ),
        ("calc.py", "def one(): return 1\n"),
        (
            "test_a.py",
            "import lib, calc, sys\ndef test_first():\n    with lib.caught():\n        assert calc.one() == 1\ndef test_second():\n    with lib.caught():\n        print()\n",
        ),
        (
            "test_b.py",
            "import lib, sys\ndef test_third(capsys):\n    print('x', file=sys.stdout)\n    assert capsys.readouterr().out == 'x\\n'\ndef test_fourth():\n    with lib.caught():\n        print()\n",
        ),
    ];
    edit_of(
        "calc.py",
        &files,
        "return 1",
        "return 0 + 1",
        &["test_first"],
    );
}

/// What several tests leave alike, as each does that comes first, comes of the project: an edit of the one that came first is its own matter.
#[test]
fn of_what_tests_leave_alike_the_edit_of_one_is_its_own_matter() {
    let lib = "STATE = {}\ndef made():\n    return []\n\ndef add(value):\n    if 'rows' not in STATE:\n        STATE['rows'] = made()\n    rows = STATE['rows']\n    rows.append(value)\n    return rows.pop()\n";
    let tests = |name: &str| {
        let function =
            |n: usize| format!("def test_{name}{n}():\n    assert lib.add({n}) == {n}\n\n");
        format!("import lib\n{}", (0..3).map(function).collect::<String>())
    };
    let project = Project::new(&[
        ("lib.py", lib),
        ("test_a.py", &tests("a")),
        ("test_b.py", &tests("b")),
    ]);
    let ran = |name: &str, from: &str, to: &str| {
        project.write(name, &project.read(name).replace(from, to));
        let run = project.test(&SELECTING);
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        let mut ran: Vec<String> = run.ran_tests().map(str::to_owned).collect();
        ran.sort();
        ran
    };
    assert_eq!(ran("lib.py", "", "").len(), 6);
    if !sees_functions() {
        return;
    }
    // Only the first was seen to leave it, and comes first again.
    assert_eq!(ran("test_a.py", "(0) == 0", "(0) == 0 + 0").len(), 6);
    // From now on another one was, which is left to come first.
    project.write("test_a.py", "");
    assert_eq!(ran("lib.py", "return []", "return list()").len(), 3);
    project.write("test_a.py", &tests("a"));
    assert_eq!(ran("lib.py", "return list()", "return [*()]").len(), 6);
    assert_eq!(
        ran("test_a.py", "(0) == 0", "(0) == 0 - 0"),
        ["test_a.py::test_a0"]
    );
    // But what the project does there bears on all of them.
    assert_eq!(ran("lib.py", "return [*()]", "return [][:]").len(), 6);
}

/// Of what several tests fill alike it matters what all of them ran, not what the one ran beside that came first.
#[test]
fn what_bears_on_a_fill_is_what_all_ran_that_made_it() {
    let lib = "CACHE = {}\ndef table():\n    if 'rows' not in CACHE:\n        CACHE['rows'] = made()\n    return CACHE['rows']\n\ndef made():\n    return (1, 2)\n\ndef one():\n    return 1\n\ndef two():\n    return 2\n";
    let tests = "import lib\ndef test_a(): assert lib.table()[0] == lib.one()\ndef test_b(): assert lib.table()[1] == lib.two()\ndef test_c(): assert lib.table()\n";
    let project = Project::new(&[("lib.py", lib), ("test_x.py", tests)]);
    let ran = |from: &str, to: &str| {
        project.write("lib.py", &project.read("lib.py").replace(from, to));
        let run = project.test(&SELECTING);
        let ran = run
            .ran_tests()
            .map(|test| test[test.len() - 1..].to_owned());
        let mut ran: Vec<String> = ran.collect();
        ran.sort();
        (ran.concat(), run.code)
    };
    let passed = |tests: &str| (tests.to_owned(), 0);
    assert_eq!(ran("", ""), passed("abc"));
    if !sees_functions() {
        return;
    }
    assert_eq!(ran("return 2", "return 1 + 1"), passed("b"));
    // The first one was seen to make it, and now another one.
    assert_eq!(ran("return 1\n", "return 0 + 1\n"), passed("ac"));
    assert_eq!(ran("return 0 + 1", "return 2 - 1"), passed("a"));
    assert_eq!(ran("return (1, 2)", "return (1, 1 + 1)"), passed("abc"));
    // It is made in another function, which bears on it from then on.
    let parted = "return rows()\n\ndef rows():\n    return (1, 2)";
    assert_eq!(ran("return (1, 1 + 1)", parted), passed("abc"));
    assert_eq!(ran("return (1, 2)", "return (1, 3 - 1)"), passed("abc"));
    // Of one alone all that it runs does, until another one has made the same in the new way.
    assert_eq!(ran("return 2 - 1", "return 1 + 0"), passed("abc"));
    assert_eq!(ran("return 1 + 1", "return 4 - 2"), passed("b"));
    assert_eq!(ran("return 1 + 0", "return 1 * 1"), passed("ac"));
    assert_eq!(ran("return 1 * 1", "return 1 // 1"), passed("a"));
    // What one of them leaves otherwise is news to all.
    let otherwise = "CACHE['rows'] = ()\n    return 1";
    let (ran, code) = ran("return 1 // 1", otherwise);
    assert!(code == 1 && ran.contains('c'), "{ran}");
}
