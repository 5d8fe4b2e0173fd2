//! With `--select symbol` a plain definition or import at the top of a file runs the tests that reach a mention of its name: each way in
//! which a test may see it without that is a test here.

use crate::functions::{SELECTING, edit_of, lib_and_tests, ran_after_edit, runs};
use crate::support::{Project, sees_functions};

/// A library with a constant and a helper, of which one test uses neither.
const PLAIN: &str = "import os\n\nLIMIT = 3\n\ndef helper(n=1): return n\n\ndef f(): return LIMIT\n\ndef g(): return helper()\n\ndef h(): return 3\n";
const PLAIN_TESTS: &str = "import lib\ndef test_f(): assert lib.f() == 3\ndef test_g(): assert lib.g() == 1\ndef test_h(): assert lib.h() == 3\n";

#[test]
fn a_constant_runs_the_tests_that_reach_a_mention_of_it() {
    let files = lib_and_tests(PLAIN, PLAIN_TESTS);
    runs(&files, "LIMIT = 3", "LIMIT = 4", &["test_f"]);
    runs(&files, "LIMIT = 3", "", &["test_f"]);
}

#[test]
fn a_signature_runs_the_tests_that_reach_a_mention_of_the_function() {
    let files = lib_and_tests(PLAIN, PLAIN_TESTS);
    runs(&files, "helper(n=1)", "helper(n=2)", &["test_g"]);
}

#[test]
fn a_new_constant_or_function_runs_nothing_that_does_not_mention_it() {
    let files = lib_and_tests(PLAIN, PLAIN_TESTS);
    for new in [
        "import json\nfrom functools import wraps, partial as p\n",
        "from collections.abc import Sequence\n",
        "import logging, re, contextlib\nfrom typing import Any, TypeVar\n",
        "OTHER = 1\n",
        "def other(a, b=2): return LIMIT\n",
        "__version__ = '2'\n",
    ] {
        runs(&files, "LIMIT = 3\n", &format!("LIMIT = 3\n{new}"), &[]);
    }
}

#[test]
fn a_function_under_a_decorator_of_the_standard_library_runs_who_mentions_it() {
    let lib = "import contextlib, functools\nfrom typing import overload\n\n@contextlib.contextmanager\ndef opened(): yield 1\n\n@functools.lru_cache\ndef kept(n=1): return n\n\ndef f():\n    with opened() as n: return n\n\ndef g(): return kept()\n\ndef h(): return 3\n";
    let tests = "import lib\ndef test_f(): assert lib.f() == 1\ndef test_g(): assert lib.g() == 1\ndef test_h(): assert lib.h() == 3\n";
    let files = lib_and_tests(lib, tests);
    runs(&files, "def opened()", "def opened(n=1)", &["test_f"]);
    runs(&files, "def kept(n=1)", "def kept(n=2)", &["test_g"]);
    runs(&files, "@functools.lru_cache\n", "", &["test_g"]);
    let of_cache = "@functools.lru_cache(maxsize=None)\n";
    runs(&files, "@functools.lru_cache\n", of_cache, &["test_g"]);
    let new = "@contextlib.contextmanager\ndef other(): yield 2\n\ndef f():";
    runs(&files, "def f():", new, &[]);
    let new = "@overload\ndef kept(n): ...\n@functools.lru_cache\ndef kept";
    runs(&files, "@functools.lru_cache\ndef kept", new, &["test_g"]);
    // A folder of that name hides no module.
    let beside = [&files[..], &[("typing/notes.py", "")]].concat();
    runs(&beside, "@functools.lru_cache\ndef kept", new, &["test_g"]);
    // Others may do more, or keep what they are given.
    let all = ["test_f", "test_g", "test_h"];
    let other = "@functools.singledispatch\ndef other(): pass\n\ndef f():";
    runs(&files, "def f():", other, &all);
}

#[test]
fn what_else_stands_in_a_frame_runs_all_who_import_the_file() {
    let files = lib_and_tests(PLAIN, PLAIN_TESTS);
    let all = ["test_f", "test_g", "test_h"];
    runs(&files, "import os", "import os.path", &all);
    runs(&files, "LIMIT = 3", "LIMIT = os.sep and 3", &all);
    runs(&files, "LIMIT = 3", "LIMIT: int = 3", &all);
    runs(&files, "LIMIT = 3\n", "LIMIT = 3\nclass A: pass\n", &all);
}

#[test]
fn a_constant_that_moves_behind_what_needs_it_runs_who_reaches_it() {
    let files = lib_and_tests(
        "def f(): return LIMIT\nLIMIT = 3\nVALUE = f()\ndef h(): return 3\n",
        "import lib\ndef test_h(): assert lib.h() == 3\n",
    );
    runs(
        &files,
        "LIMIT = 3\nVALUE = f()\n",
        "VALUE = f()\nLIMIT = 3\n",
        &[],
    );
}

#[test]
fn a_new_name_runs_who_would_find_it_now() {
    // In the module's own functions, from outside, by a string, and by the names of a module that is handed around.
    for ask in [
        "hasattr(lib, 'OTHER')",
        "getattr(lib, 'OTHER', None)",
        "len([n for n in dir(lib) if n.isupper()]) > 1",
        "'OTHER' in vars(lib)",
        "'OT' 'HER' in lib.__dict__",
        "'OT' + 'HER' in sys.modules['lib'].__dict__",
        "'OT' + 'HER' in importlib.import_module('l' + 'ib').__dict__",
        "'OT' + 'HER' in lib.f.__globals__",
        "'OT' + 'HER' in load('lib').__dict__",
    ] {
        let tests = format!(
            "import sys, importlib, lib\nfrom helpers import load\ndef test_asks(): assert not ({ask})\n"
        );
        let files = [
            (
                "lib.py",
                "LIMIT = 3\n\ndef f(): return 1\n\ndef names(): return list(globals())\n",
            ),
            (
                "helpers.py",
                "import importlib\ndef load(name): return importlib.import_module(name)\n",
            ),
            ("test_a.py", &*tests),
            (
                "test_b.py",
                "import lib\ndef test_other(): assert lib.f() == 1\n",
            ),
        ];
        runs(
            &files,
            "LIMIT = 3\n",
            "LIMIT = 3\nOTHER = 1\n",
            &["test_asks"],
        );
    }
}

/// To import a name from a module hands it on, and nothing else: who mentions it sees what has become of it.
#[test]
fn a_name_that_is_handed_on_runs_the_tests_that_reach_a_mention_of_it() {
    let lib = "LIMIT = 3\n\ndef helper(n=1): return n\n\nOTHER = 1\n";
    let functions = "def a(): return 1\n\ndef b(): return LIMIT\n\ndef c(): return helper()\n";
    let tests = "import mid\ndef test_a(): assert mid.a() == 1\ndef test_b(): assert mid.b()\ndef test_c(): assert mid.c()\n";
    let all = ["test_a", "test_b", "test_c"];
    let with = |imports: &str, lib: &str, from: &str, to: &str, expected: &[&str]| {
        let mid = format!("{imports}\n{functions}");
        let files = [("lib.py", lib), ("mid.py", &*mid), ("test_a.py", tests)];
        runs(&files, from, to, expected);
    };
    for imports in [
        "from lib import LIMIT, helper",
        "from lib import (\n    LIMIT as LIMIT,\n    helper as helper,\n)",
    ] {
        with(imports, lib, "LIMIT = 3", "LIMIT = 4", &["test_b"]);
        with(imports, lib, "n=1", "n=2", &["test_c"]);
        // No test is there: the file can't be imported, which is told as pytest tells it.
        with(imports, lib, "LIMIT = 3", "", &[]);
    }
    let more = "from lib import LIMIT, helper\n";
    for used in [
        "TABLE = [LIMIT]",
        "class A:\n    limit = LIMIT",
        "def d(n=LIMIT): return n",
        "NAMES = ['LIMIT']",
        "if LIMIT > 3: print()",
        "LIMIT += 1",
    ] {
        with(
            &format!("{more}{used}\n"),
            lib,
            "LIMIT = 3",
            "LIMIT = 4",
            &all,
        );
    }
    let alias = "from lib import LIMIT as TOP, helper\nLIMIT = TOP\n";
    with(alias, lib, "LIMIT = 3", "LIMIT = 4", &all);
    let guarded = "try:\n    from lib import LIMIT\nexcept ImportError:\n    LIMIT = 1\nfrom lib import helper\n";
    with(guarded, lib, "LIMIT = 3", "LIMIT = 4", &all);
    // Whoever imports the other first finds that the name isn't there yet.
    let cycle = "LIMIT = 3\n\ndef helper(n=1): return n\n\nimport mid\n";
    let tests = "import lib, mid\ndef test_a(): assert mid.a() == 1\n";
    let mid = format!("{more}{functions}");
    let files = [("lib.py", cycle), ("mid.py", &*mid), ("test_a.py", tests)];
    let [from, to] = [
        "def helper(n=1): return n\n\nimport mid\n",
        "import mid\n\ndef helper(n=1): return n\n",
    ];
    runs(&files, from, to, &[]);
}

/// A word that is the name of a module in a package is no way to it without the package.
#[test]
fn a_module_of_a_package_is_got_by_its_name_from_the_package() {
    let asking = |ask: &str, init: &str| {
        let tests = format!(
            "import logging.config, pkg.lib, tools\n\
             resolve = logging.config.BaseConfigurator({{}}).resolve\n\
             def test_asks(): assert 'OT' + 'HER' not in vars({ask})\n"
        );
        let other = "import tools\nfrom pkg.lib import f\ndef test_other(): assert f() == 1\n";
        let files = [
            ("pkg/__init__.py", init),
            ("pkg/lib.py", "LIMIT = 3\n\ndef f(): return 1\n"),
            (
                "pkg/inner.py",
                "def names(): return list(globals())\n\nNAMES = names()\n",
            ),
            ("tools.py", "NAME = 'lib'\nMORE = {'lib': 1}\n"),
            ("test_a.py", &*tests),
            ("test_b.py", other),
        ];
        ran_after_edit(
            &files,
            "pkg/lib.py",
            "LIMIT = 3\n",
            "LIMIT = 3\nOTHER = 1\n",
        )
    };
    let own = ["test_asks"].map(str::to_owned);
    for ask in [
        "getattr(pkg, 'lib')",
        "getattr(pkg, tools.NAME)",
        "vars(pkg)[tools.NAME]",
        "resolve('pkg.lib')",
        "resolve(f'pkg.{tools.NAME}')",
        "resolve('pkg.' + tools.NAME)",
        "resolve('pkg.%s' % tools.NAME)",
        "resolve('.'.join(['pkg', 'lib']))",
        "resolve(pkg.__name__ + '.lib')",
    ] {
        let ran = asking(ask, "");
        assert!(ran.contains(&own[0]), "{ask}: {ran:?}");
        assert!(!sees_functions() || ran == own, "{ask}: {ran:?}");
    }
    let ran = asking(
        "pkg.get(tools.NAME)",
        "def get(name): return globals()[name]\n",
    );
    assert!(ran.contains(&own[0]), "{ran:?}");
    // What a file of the package knows itself is no way to the package's modules.
    let ran = asking("tools", "from .inner import names\n");
    assert!(!sees_functions() || ran.is_empty(), "{ran:?}");
    let ran = asking("tools", "");
    assert!(!sees_functions() || ran.is_empty(), "{ran:?}");
}

/// Code that is run may import what it says, but for tests that run none.
#[test]
fn code_in_a_string_finds_a_new_name_where_it_is_run() {
    let files = [
        ("lib.py", "LIMIT = 3\n\ndef f(): return 1\n"),
        (
            "console.py",
            "def run(code):\n    found = {}\n    exec(code, found)\n    return found\n\ndef other(): return 1\n",
        ),
        (
            "texts.py",
            "CODE = 'import lib\\nfound = \"OT\" + \"HER\" in vars(lib)'\n",
        ),
        (
            "test_a.py",
            "import console, texts\ndef test_runs(): assert not console.run(texts.CODE)['found']\n",
        ),
        (
            "test_b.py",
            "import console, lib, texts\ndef test_other(): assert console.other() == lib.f() and texts.CODE\n",
        ),
    ];
    let new = "LIMIT = 3\nOTHER = 1\n";
    runs(&files, "LIMIT = 3\n", new, &["test_runs"]);
    // Importing the file runs some, and may run any.
    let at_the_top = format!("{}\nrun('1')\n", files[1].1);
    let mut files = files;
    files[1].1 = &at_the_top;
    runs(&files, "LIMIT = 3\n", new, &["test_other", "test_runs"]);
}

/// What `dir` and its like are given is told apart from who takes them.
#[test]
fn a_function_that_lists_names_finds_a_new_one_in_a_module_that_it_is_given() {
    let files = [
        ("lib.py", "LIMIT = 3\n\ndef f(): return 1\n"),
        (
            "view.py",
            "class Lookup:\n    def __init__(self, ask): self.ask = ask\n    def names(self, of): return self.ask(of)\n\nclass View:\n    locals: dict\n    vars = Lookup(dir)\n",
        ),
        (
            "test_a.py",
            "import lib, view\ndef test_asks(): assert 'OT' + 'HER' not in view.View.vars.names(lib)\n",
        ),
        (
            "test_b.py",
            "import lib, view\ndef test_other(): assert view.View and lib.f()\n",
        ),
    ];
    runs(
        &files,
        "LIMIT = 3\n",
        "LIMIT = 3\nOTHER = 1\n",
        &["test_asks"],
    );
}

#[test]
fn a_function_that_looks_through_its_own_module_finds_a_new_name() {
    let files = lib_and_tests(
        "LIMIT = 3\n\ndef names(): return list(globals())\n",
        "import lib\ndef test_asks(): assert 'OT' + 'HER' not in lib.names()\n",
    );
    runs(
        &files,
        "LIMIT = 3\n",
        "LIMIT = 3\nOTHER = 1\n",
        &["test_asks"],
    );
}

#[test]
fn a_name_in_data_runs_who_reads_it() {
    let files = [
        (
            "lib.py",
            "LIMIT = 3\nHIGH = 3\nFOUND = [LIMIT]\ndef h(): return 3\n",
        ),
        (
            "ask.py",
            "import lib\ndef ask(name): return getattr(lib, name)\n",
        ),
        ("names.txt", "HIGH"),
        (
            "test_a.py",
            "import ask\ndef test_asks(): assert ask.ask(open('names.txt').read()) == 3\n",
        ),
        (
            "test_b.py",
            "import lib\ndef test_other(): assert lib.h() == 3\n",
        ),
    ];
    runs(&files, "HIGH = 3", "HIGH = 4", &["test_asks"]);
}

/// Code that is run with the names for it to know, as engines of templates do, gets at a module by what some string says, or a file.
#[test]
fn code_that_is_run_imports_what_strings_say() {
    let engine = "def run(text, names):\n    code = compile(text, 'text', 'exec')\n    exec(code, names)\n    return names['x']\n";
    for ask in [
        "run('import lib\\nx = hasattr(lib, \"OT\" + \"HER\")', {})",
        "run('import ' + 'lib' + '; x = hasattr(lib, \"OT\" + \"HER\")', {})",
        "run('x = \"OT\" + \"HER\" in vars(names)', {'names': lib})",
        "run('import sys; x = \"OT\" \"HER\" in vars(sys.modules[\"l\" + \"ib\"])', {})",
        "run(open('code.txt').read(), {})",
    ] {
        let tests =
            format!("import lib\nfrom engine import run\ndef test_asks(): assert not ({ask})\n");
        let files = [
            ("lib.py", "LIMIT = 3\n\ndef f(): return 1\n"),
            ("engine.py", engine),
            ("code.txt", "import lib\nx = 'OT' + 'HER' in vars(lib)\n"),
            ("test_a.py", &*tests),
            (
                "test_b.py",
                "import lib\nfrom engine import run\ndef test_other(): assert run('x = 1', {}) == lib.f()\n",
            ),
        ];
        let new = "LIMIT = 3\nOTHER = 1\n";
        runs(&files, "LIMIT = 3\n", new, &["test_asks"]);
    }
}

/// A package without a file of its own has its modules as attributes, too.
#[test]
fn a_module_is_got_as_an_attribute_of_a_folder() {
    let files = [
        ("lib.py", "import space.sub.inner\n"),
        ("space/sub/inner.py", "LIMIT = 3\n\ndef f(): return 1\n"),
        (
            "test_a.py",
            "import lib\nfrom space import sub\ndef names(of): return vars(of)\ndef test_asks(): assert 'OT' + 'HER' not in names(sub.inner)\n",
        ),
        (
            "test_b.py",
            "from space.sub.inner import f\ndef test_other(): assert f() == 1\n",
        ),
    ];
    let new = "LIMIT = 3\nOTHER = 1\n";
    edit_of(
        "space/sub/inner.py",
        &files,
        "LIMIT = 3\n",
        new,
        &["test_asks"],
    );
}

/// A decorator may keep the code of what it decorates: all depend on it, and nobody has run it.
#[test]
fn what_code_that_was_looked_at_would_see_is_seen_by_nobody() {
    let lib = "import sys\nLIMIT = 3\nCODES = set()\n\ndef internal(f):\n    CODES.add(f.__code__)\n    return f\n\n@internal\ndef load(name): return sys.modules[name]\n\ndef f(): return 1\n";
    let tests = "import lib\ndef test_f(): assert lib.f() == 1\n";
    let load =
        "import lib\ndef test_load(): assert not hasattr(lib.load('l' + 'ib'), 'OT' + 'HER')\n";
    let files = [&lib_and_tests(lib, tests)[..], &[("test_b.py", load)]].concat();
    let new = "LIMIT = 3\nOTHER = 1\n";
    runs(&files, "LIMIT = 3\n", new, &["test_load"]);
    let other = "return sys.modules.get(name)";
    runs(
        &files,
        "return sys.modules[name]",
        other,
        &["test_f", "test_load"],
    );
}

#[test]
fn a_second_change_is_compared_with_what_the_test_has_seen() {
    let project = Project::new(&lib_and_tests(PLAIN, PLAIN_TESTS));
    let ran = || {
        let run = project.test(&[&SELECTING[..], &["--no-second-opinion"]].concat());
        run.ran()
    };
    assert_eq!(ran(), 3);
    let count = |expected: usize| if sees_functions() { expected } else { 3 };
    project.write(
        "lib.py",
        &PLAIN.replace("LIMIT = 3", "LIMIT = 3\nOTHER = 1"),
    );
    assert_eq!(ran(), count(0));
    project.write(
        "lib.py",
        &PLAIN.replace("LIMIT = 3", "LIMIT = 4\nOTHER = 2"),
    );
    assert_eq!(ran(), count(1));
    project.write("lib.py", &PLAIN.replace("import os", "import os, os.path"));
    assert_eq!(ran(), 3);
}

#[test]
fn an_import_that_may_fail_or_do_more_runs_all_who_import_the_file() {
    // Imported inside of the test, so that collecting it doesn't tell.
    let tests = "def test_h():\n    import lib\n    assert lib.h() == 3\n";
    for new in [
        "from json import nothing_like_that",
        "import there_is_no_such_module",
        "import there, json",
        "from lib import h",
        "import readline",
    ] {
        let files = [
            ("lib.py", "import os\ndef h(): return 3\n"),
            ("there.py", "raise ValueError\n"),
            ("test_a.py", tests),
        ];
        runs(&files, "import os", new, &["test_h"]);
    }
    let hidden = [
        ("lib.py", "import os\ndef h(): return 3\n"),
        ("colorsys.py", "raise ValueError\n"),
        ("test_a.py", tests),
    ];
    runs(&hidden, "import os", "import colorsys", &["test_h"]);
}

#[test]
fn an_import_that_others_take_over_runs_them() {
    let files = [
        (
            "lib.py",
            "from functools import partial\nimport os\ndef h(): return 3\n",
        ),
        (
            "other.py",
            "from lib import partial as p\ndef g(): return p\n",
        ),
        (
            "test_a.py",
            "def test_g():\n    import other\n    assert other.g()\n",
        ),
        (
            "test_b.py",
            "import lib\ndef test_h(): assert lib.h() == 3\n",
        ),
    ];
    runs(&files, "from functools import partial\n", "", &["test_g"]);
}

#[test]
fn a_docstring_runs_the_doctests_in_it() {
    let lib = "LIMIT = 3\n\ndef f():\n    \"\"\"\n    >>> 1 + 1\n    2\n    \"\"\"\n\ndef g():\n    \"\"\"\n    >>> 2 + 2\n    4\n    \"\"\"\n";
    let project = Project::new(&[("lib.py", lib)]);
    let arguments = [&SELECTING[..], &["--", "--doctest-modules"]].concat();
    let run = project.test(&arguments);
    assert_eq!(
        (run.code, run.tests.len()),
        (0, 2),
        "{}{}",
        run.out,
        run.err
    );
    for (from, to) in [("1 + 1", "1 + 2"), ("LIMIT = 3", "LIMIT = 3\nOTHER = 1")] {
        project.write("lib.py", &lib.replace(from, to));
        let run = project.test(&arguments);
        let expected = project.pytest(&["--doctest-modules"]).0;
        assert_eq!(run.code, expected, "{}{}", run.out, run.err);
    }
}

/// A library of which all is documented, and a test that runs all of it and asks for nothing.
const DOCUMENTED: &str = "'''About lib.'''\nimport os\n\n@property\ndef made(self): pass\n\nclass A(dict):\n    '''About A.'''\n    def f(self):\n        '''About f.'''\n        def inner():\n            '''About inner.'''\n        return inner\n\ndef h():\n    '''About h.'''\n    return 3\n";
const RUNS_ALL: &str = "import lib\ndef test_h(): assert lib.A().f() and lib.h() == 3\n";

#[test]
fn a_docstring_runs_who_asks_for_docstrings() {
    let files = [
        ("lib.py", DOCUMENTED),
        (
            "tools.py",
            "import inspect\ndef say(x): return inspect.getdoc(x)\n",
        ),
        ("site-packages/shows.py", "def show(x): return x.__doc__\n"),
        (
            "site-packages/names.py",
            "def name(x):\n    name.__doc__ = 'A name.'\n    return x\n",
        ),
        (
            "site-packages/marks.py",
            "def mark(x):\n    '''A help, and a signature.'''\n    return mark.__doc__ if x.__doc__ is None else x\n",
        ),
        (
            "site-packages/wrappers.py",
            "def wrap(x):\n    def wrapper(): return x()\n    wrapper.__doc__ = x.__doc__\n    return wrapper\n",
        ),
        (
            "conftest.py",
            "import os, sys\nsys.path.append(os.path.join(os.path.dirname(__file__), 'site-packages'))\n",
        ),
        (
            "test_a.py",
            "import lib\ndef test_doc(): assert lib.A.__doc__ != 1\n",
        ),
        (
            "test_b.py",
            "import lib, tools\ndef test_tool(): assert tools.say(lib.h)\n",
        ),
        (
            "test_c.py",
            "import lib, shows\ndef test_library(): assert shows.show(lib.A) != 1\n",
        ),
        (
            "test_d.py",
            "import lib\ndef test_all(): assert [getattr(lib.A, name) for name in dir(lib.A)]\n",
        ),
        (
            "test_e.py",
            "import lib, names\ndef test_named(): assert names.name(lib.h)() == 3\n",
        ),
        ("test_f.py", RUNS_ALL),
        (
            "test_g.py",
            "import lib, marks\ndef test_marked(): assert marks.mark(lib.A)\n",
        ),
        (
            "test_i.py",
            "import lib, wrappers\ndef test_wrapped(): assert wrappers.wrap(lib.h)() == 3\n",
        ),
    ];
    let asking = ["test_doc", "test_library", "test_tool"];
    for of in ["lib", "inner"] {
        let doc = format!("About {of}.");
        runs(&files, &doc, "On it.\n\n    And more.", &asking);
    }
    // Only one of those who ask takes the function, other than to call it.
    runs(&files, "About h.", "On h.", &["test_tool"]);
    runs(&files, "About f.", "On f.", &[]);
    runs(&files, "        '''About f.'''\n", "", &[]);
    // That of a class is among its attributes.
    let listing = ["test_all", "test_doc", "test_library", "test_tool"];
    runs(&files, "About A.", "On A.", &listing);
    // One looks whether there is one.
    let seeing = [
        "test_all",
        "test_doc",
        "test_library",
        "test_marked",
        "test_tool",
    ];
    runs(&files, "    '''About A.'''\n", "", &seeing);
}

#[test]
fn a_docstring_runs_who_is_handed_the_function_and_asks_for_it() {
    let lib = "\
import functools, tools

def plain():
    '''About plain.'''

@tools.register
def kept():
    '''About kept.'''

@functools.lru_cache
def cached():
    '''About cached.'''

class A:
    def method(self):
        '''About method.'''

    @property
    def value(self):
        '''About value.'''

def takes_method():
    return A.method

def calls_all():
    plain(), A().method(), A().value
";
    let tools = "\
all_kept = []
def register(function):
    all_kept.append(function)
    return function
def say(x): return x.__doc__
def say_all(x): return [getattr(x, name).__doc__ for name in vars(x)]
";
    let test = |name: &str, code: &str| {
        (
            format!("test_{name}.py"),
            format!("import lib, tools\ndef test_{name}():\n    {code}\n"),
        )
    };
    let tests = [
        test("calls", "lib.calls_all()"),
        test("asks", "lib.calls_all(); tools.say(1)"),
        test("first", "tools.say(tools.all_kept[0])"),
        test("taken", "tools.say(lib.takes_method())"),
        test("bound", "tools.say(lib.A().method)"),
        test("all", "tools.say_all(lib.A)"),
        test("made", "tools.say(getattr(lib.A, 'meth' + 'od'))"),
        test("text", "tools.say(getattr(lib, 'plain'))"),
        test("cache", "tools.say(lib.cached)"),
        test("module", "tools.say_all(lib)"),
    ];
    let mut files = vec![("lib.py", lib), ("tools.py", tools)];
    files.extend(tests.iter().map(|(name, text)| (&**name, &**text)));
    // Who hands a module on, if only to `getattr`, may find all in it.
    let of_module = ["test_module", "test_text"];
    let runs_for = |of: &str, seeing: &[&str]| {
        let mut seeing = [seeing, &of_module].concat();
        seeing.sort_unstable();
        runs(&files, &format!("About {of}."), "On it.", &seeing);
    };
    runs_for("plain", &[]);
    runs_for("cached", &["test_cache"]);
    let takes = ["test_all", "test_bound", "test_made", "test_taken"];
    runs_for("method", &takes);
    // To read a property looks as if it were taken.
    runs_for("value", &["test_all", "test_asks", "test_made"]);
    // Who was handed it when the file was imported may hand it to all.
    let others = ["test_asks", "test_cache", "test_first"];
    runs_for("kept", &[&takes[..], &others].concat());
}

#[test]
fn a_docstring_runs_nothing_where_nobody_asks() {
    let files = lib_and_tests(DOCUMENTED, RUNS_ALL);
    runs(&files, "About h.", "On h.", &[]);
    let more = "    'Three.'\n    return 3";
    runs(&files, "    return 3", more, &["test_h"]);
    let put_together = "f'About {os.sep}.'";
    runs(&files, "'''About h.'''", put_together, &["test_h"]);
    // Who sees lines sees how many there are.
    let lines = "import lib\ndef test_line(): assert lib.h.__code__.co_firstlineno\n";
    let files = lib_and_tests(DOCUMENTED, lines);
    runs(&files, "About f.", "On f.\n\n    More.", &["test_line"]);
}

#[test]
fn an_annotation_runs_who_asks_for_annotations() {
    let lib = "from __future__ import annotations\nfrom typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from a import B\n\nclass A:\n    def f(self, x: int): return x\n\ndef h(y: int = 3): return y\n";
    let asks = "import inspect, lib\ndef test_asks(): assert inspect.signature(lib.A.f).parameters['x'].annotation == 'int'\n";
    let hints = "import lib\ndef test_hints(): assert lib.A.f.__annotations__['x'] == 'int'\n";
    let files = [
        ("lib.py", lib),
        ("test_a.py", asks),
        ("test_b.py", hints),
        (
            "test_c.py",
            "import lib\ndef test_h(): assert lib.A().f(lib.h()) == 3\n",
        ),
    ];
    runs(&files, "x: int", "x: str", &["test_asks", "test_hints"]);
    runs(&files, "y: int", "y: str", &["test_asks", "test_hints"]);
    runs(
        &files,
        "import B",
        "import B, C",
        &["test_asks", "test_hints"],
    );
    runs(
        &files,
        "y: int = 3",
        "y: int = 2 + 1",
        &["test_asks", "test_h", "test_hints"],
    );
    let evaluated = lib.replace("from __future__ import annotations\n", "");
    let files = lib_and_tests(
        &evaluated,
        "import lib\ndef test_h(): assert lib.h() == 3\n",
    );
    runs(&files, "x: int", "x: (lambda: int)()", &["test_h"]);
}

#[test]
fn what_only_type_checkers_read_runs_where_that_is_set() {
    let lib = "import typing\n\nif typing.TYPE_CHECKING:\n    A = 1\n\ndef h(): return 3\n";
    let tests =
        "import typing\ntyping.TYPE_CHECKING = True\nimport lib\ndef test_a(): assert lib.A == 1\n";
    let files = [("lib.py", lib), ("test_a.py", tests)];
    runs(&files, "A = 1", "A = 2", &["test_a"]);
}

/// Whether a module of native code has a file differs between interpreters.
#[test]
fn a_file_that_imports_native_modules_is_told_by_its_parts() {
    let lib = "import array, math, select, time, unicodedata\nLIMIT = 3\n\ndef f(): return math.floor(1.5)\n";
    let files = [
        ("lib.py", lib),
        (
            "test_a.py",
            "import lib\ndef test_limit(): assert lib.LIMIT\n",
        ),
        (
            "test_b.py",
            "import lib\ndef test_f(): assert lib.f() == 1\n",
        ),
    ];
    runs(&files, "LIMIT = 3", "LIMIT = 4", &["test_limit"]);
}

#[test]
fn a_docstring_may_be_got_by_a_name_that_is_made_up() {
    let lib = "def __getattr__(name):\n    if name == 'old': return globals()['_' + name]\n    raise AttributeError(name)\n\ndef _old():\n    'One.'\n    return 1\n";
    let files = [
        ("lib.py", lib),
        (
            "test_a.py",
            "import lib\ndef test_asks(): assert lib.old.__doc__ in ('One.', 'Two.')\n",
        ),
        (
            "test_b.py",
            "import lib\ndef test_other(): assert lib.old() == 1\n",
        ),
    ];
    runs(&files, "One.", "Two.", &["test_asks"]);
}
