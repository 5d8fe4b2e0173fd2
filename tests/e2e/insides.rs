//! Suites that look into pytest itself, replace parts of it, or are pytest's own.

use std::path::Path;
use std::process::Command;

use crate::daemon::warm;
use crate::support::{Project, python, sees_functions};

/// Tests of parts of the worker that go by what the interpreter is like.
const OF_THE_WORKER: [&str; 7] = [
    "test_compared.py",
    "test_compiled.py",
    "test_file_states.py",
    "test_kept_code.py",
    "test_leftovers.py",
    "test_probes.py",
    "test_spares.py",
];

#[test]
fn the_workers_parts_are_as_their_tests_say_with_the_compiled_one_that_the_binary_brings() {
    let project = Project::new(&[("test_a.py", "def test(): pass\n")]);
    assert_eq!(project.test(&[]).code, 0);
    let folders = std::fs::read_dir(project.path().join(".dx")).expect("it has run");
    let worker = folders
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.join("dx_py_test_runner").is_dir())
        .expect("the worker's files are there");
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let output = Command::new(python())
        .args(["-m", "pytest", "-rs", "-p", "no:cacheprovider"])
        .args(["-p", "no:dx_py_test_runner.plugin", "--noconftest"])
        .arg("--rootdir")
        .arg(project.path())
        .args(OF_THE_WORKER.map(|name| tests.join(name)))
        .env("PYTHONPATH", worker)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let has_compiled_part = cfg!(all(unix, target_pointer_width = "64"));
    assert!(
        !said.contains("SKIPPED") || !sees_functions() || !has_compiled_part,
        "{said}"
    );
}

#[test]
fn a_test_that_replaces_pytests_clock_is_not_taken_for_long() {
    let project = Project::new(&[(
        "test_a.py",
        "from _pytest import timing\n\
         def test_clock(monkeypatch): monkeypatch.setattr(timing, 'perf_counter', lambda: 1e9)\n",
    )]);
    for workers in ["1", "2"] {
        let run = project.test(&["--all", "-n", workers]);
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        let duration = run.json["tests"][0]["duration"].as_f64();
        assert!(
            duration.is_some_and(|seconds| seconds < 1000.0),
            "{:?}",
            run.json
        );
    }
}

/// Sorts tests by the number at the end of their names, and lets each check that all before it have run.
const SORTS: &str = "import pytest\nran = []\n\
    def number(item): return int(item.name.rpartition('_')[2])\n\
    def pytest_collection_modifyitems(items): items.sort(key=number)\n\
    @pytest.fixture(autouse=True)\ndef in_order(request):\n    assert ran == list(range(number(request.node)))\n\
    \x20   ran.append(number(request.node))\n";

#[test]
fn one_worker_runs_in_pytests_order_across_files() {
    let project = Project::new(&[
        ("conftest.py", SORTS),
        ("test_a.py", "def test_0(): pass\ndef test_2(): pass\n"),
        ("test_b.py", "def test_1(): pass\n"),
        (
            "test_c.py",
            "def test_3(): pass\ndef test_4(): pass\ndef test_5(): pass\n",
        ),
        // It would be the first, if the longest were.
        (
            "test_d.py",
            "import time\ndef test_6(): time.sleep(0.2)\ndef test_7(): pass\n",
        ),
    ]);
    let (code, expected) = project.pytest(&[]);
    assert_eq!((code, expected.len()), (0, 8), "{expected:?}");
    for _ in 0..2 {
        let run = project.test(&["-n", "1", "--all", "--no-second-opinion"]);
        assert_eq!(run.outcomes(), expected, "{}{}", run.out, run.err);
    }
}

#[test]
fn one_worker_makes_a_parametrised_fixture_of_the_session_as_often_as_pytest() {
    let conftest = "import pytest\nmade = []\n\
        @pytest.fixture(scope='session', params=[1, 2])\ndef wide(request):\n    made.append(request.param)\n    return made\n";
    let test = "def test_it(wide): assert wide in ([1], [1, 2])\n";
    let project = Project::new(&[
        ("conftest.py", conftest),
        ("test_a.py", test),
        ("test_b.py", test),
    ]);
    let (code, expected) = project.pytest(&[]);
    assert_eq!((code, expected.len()), (0, 4), "{expected:?}");
    let run = project.test(&["-n", "1", "--no-second-opinion"]);
    assert_eq!(run.outcomes(), expected, "{}{}", run.out, run.err);
}

/// Copies the Python files of a folder and the folders below it into a project.
fn copy_python(project: &Project, from: &Path, to: &str) {
    for entry in std::fs::read_dir(from)
        .expect("the folder is there")
        .flatten()
    {
        let path = entry.path();
        let name = format!("{to}/{}", entry.file_name().to_string_lossy());
        if path.is_dir() {
            copy_python(project, &path, &name);
        } else if path.extension().is_some_and(|extension| extension == "py") {
            let text = std::fs::read_to_string(&path).expect("Python files are text");
            project.write(&name, &text);
        }
    }
}

/// In pytest's own checkout pytest is code under test, and what it does for itself looks like what a test does.
#[test]
fn pytests_own_cache_is_no_input_where_pytest_is_the_project() {
    let project = Project::new(&[
        ("pytest.ini", "[pytest]\naddopts = -p pytester\n"),
        (
            "test_one.py",
            "def test_inner(pytester):\n    pytester.makepyfile('def test_x(): pass')\n\
             \x20   pytester.runpytest().assert_outcomes(passed=1)\n",
        ),
        ("test_two.py", "def test_it(): pass\n"),
    ]);
    let found = Command::new(python())
        .args([
            "-c",
            "import os, pytest; print(os.path.dirname(os.path.dirname(pytest.__file__)))",
        ])
        .output()
        .expect("the interpreter can be started");
    let site = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    for package in ["pytest", "_pytest"] {
        copy_python(&project, &Path::new(&site).join(package), package);
    }
    // The first run makes the cache, the second one finds it and writes it anew.
    for _ in 0..2 {
        let run = project.test(&["-n", "1", "--all"]);
        assert_eq!((run.code, run.ran()), (0, 2), "{}{}", run.out, run.err);
    }
    assert!(project.path().join(".pytest_cache").exists());
    let run = project.test(&["-n", "1"]);
    assert_eq!((run.code, run.ran()), (0, 0), "{}{}", run.out, run.err);
}

/// The harness sets PYTHONDONTWRITEBYTECODE, so pytest itself keeps nothing.
#[test]
fn rewritten_modules_are_kept_by_content() {
    let project = Project::new(&[
        ("conftest.py", "VALUE = 1\n"),
        (
            "test_a.py",
            "def test_a():\n    one = 1\n    assert one == 2\n",
        ),
        ("test_b.py", "def test_b(): assert '\\d'\n"),
    ]);
    // Code names the file it is of. Other modules are kept too, if they have no `.pyc` files.
    let of_project = |path: &std::path::PathBuf| {
        let name = format!("{}/test_", project.path().display());
        let code = std::fs::read(path).unwrap();
        code.windows(name.len())
            .any(|window| window == name.as_bytes())
    };
    let kept = || -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(project.path().join(".dx/bytecode")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(of_project).collect()
    };
    let text = |run: &crate::support::Run| run.json["tests"][0]["message"].to_string();
    let first = project.test(&["--all", "-n", "1"]);
    // Of `test_b` the compiler has something to say each time.
    assert_eq!(kept().len(), 1, "{:?}", kept());
    let second = project.test(&["--all", "-n", "1"]);
    assert!(text(&first).contains("1 == 2"));
    assert_eq!(text(&second), text(&first));
    let warned = |run: &crate::support::Run| run.json["warnings"].to_string();
    assert!(warned(&first).contains("invalid escape sequence"));
    assert_eq!(warned(&second), warned(&first));
    for path in kept() {
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 9;
        bytes[last] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    assert_eq!(text(&project.test(&["--all", "-n", "1"])), text(&first));
    project.write(
        "test_a.py",
        "def test_a():\n    one = 1\n    assert one == 3\n",
    );
    assert!(text(&project.test(&["--all", "-n", "1"])).contains("1 == 3"));
    assert_eq!(kept().len(), 2);
}

/// The harness sets PYTHONDONTWRITEBYTECODE.
#[test]
fn other_modules_are_kept_by_content_where_python_keeps_none() {
    let project = Project::new(&[
        ("lib.py", "import inspect\n\ndef value(): return 1\n"),
        ("warns.py", "VALUE = '\\d'\n"),
        (
            "test_a.py",
            "import inspect, lib, os, warns\ndef test_a():\n    assert lib.value() == 1 and lib.__file__ == lib.value.__code__.co_filename\n    assert not os.path.exists(lib.__cached__) and 'return 1' in inspect.getsource(lib.value)\n",
        ),
        ("test_b.py", "import missing\n"),
        ("test_c.py", "import wrong\n"),
        ("wrong.py", "def f(:\n"),
    ]);
    let kept_of = |name: &str| {
        let name = format!("{}/{name}", project.path().display());
        let entries = std::fs::read_dir(project.path().join(".dx/bytecode")).unwrap();
        let codes = entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
        let named = codes.filter(|code| {
            code.windows(name.len())
                .any(|window| window == name.as_bytes())
        });
        named.count()
    };
    let run = || project.test(&["--all", "-n", "1", "--continue-on-collection-errors"]);
    let told = |run: &crate::support::Run| {
        let of = |name: &str| run.json[name].to_string();
        (run.outcomes(), of("warnings"), of("collection_errors"))
    };
    let first = run();
    assert!(
        first.json["warnings"]
            .to_string()
            .contains("invalid escape")
    );
    assert!(
        first.json["collection_errors"]
            .to_string()
            .contains("SyntaxError")
    );
    assert_eq!(
        (kept_of("lib.py"), kept_of("warns.py"), kept_of("wrong.py")),
        (1, 0, 0)
    );
    let (code, expected) = project.pytest(&["--continue-on-collection-errors"]);
    for _ in 0..2 {
        let again = run();
        assert_eq!(
            (again.code, &again.outcomes()),
            (code, &expected),
            "{}",
            again.out
        );
        assert_eq!(told(&again), told(&first));
    }
    // What is kept is one with the text: of the same length, and within a second.
    project.write("lib.py", "import inspect\n\ndef value(): return 2\n");
    assert_eq!(
        (run().outcomes(), kept_of("lib.py")),
        (project.pytest(&["--continue-on-collection-errors"]).1, 2)
    );
}

#[test]
fn workers_that_share_the_rewriting_of_modules_find_what_pytest_finds() {
    let project = Project::new(&[
        ("lib.py", "VALUE = 1\n"),
        ("other.py", "VALUE = 1\n"),
        (
            "test_a.py",
            "import lib\ndef test_a():\n    one = lib.VALUE\n    assert one == 2\n",
        ),
        ("test_b.py", "import other\ndef test_b(): assert '\\d'\n"),
        ("test_c.py", "def test_c(:\n"),
        ("test_d.py", "# coding: nothing\ndef test_d(): pass\n"),
        ("test_e.py", "import lib, missing\ndef test_e(): pass\n"),
        ("test_f.py", "import other\ndef test_f(): pass\n"),
        ("test_g.py", "import lib\ndef test_g(): pass\n"),
    ]);
    let told = |run: &crate::support::Run| {
        let of = |name: &str| run.json[name].to_string();
        (of("warnings"), of("collection_errors"))
    };
    let options = ["--all", "--continue-on-collection-errors", "-n"];
    let shared = project.test(&[&options[..], &["2"]].concat());
    let (code, expected) = project.pytest(&["--continue-on-collection-errors"]);
    assert_eq!(shared.code, code, "{}\n{}", shared.out, shared.err);
    assert_eq!(shared.outcomes(), expected, "{}", shared.out);
    assert!(shared.out.contains("1 == 2"), "{}", shared.out);
    let again = project.test(&[&options[..], &["1"]].concat());
    assert_eq!(told(&shared), told(&again));

    // What a worker rewrote for another is no input of its own tests. (What failed runs in any case.)
    project.write("other.py", "VALUE = 2\n");
    let run = project.test(&["--continue-on-collection-errors", "-n", "2", "--explain"]);
    assert_eq!(run.ran(), 3, "{}", run.out);
    assert!(run.out.contains("1 fresh"), "{}", run.out);
}

/// Files with tests of many kinds, and a conftest that notes each item that is made. A file that waits is stolen from, so that items
/// are made late as well.
fn project_to_share() -> Project {
    let conftest = "import os, pytest\n\
        def pytest_itemcollected(item):\n    with open(os.path.dirname(__file__) + '.made', 'a') as file: file.write(item.nodeid + '\\n')\n\
        @pytest.fixture(scope='session', params=[1, 2])\ndef wide(request): return request.param\n";
    let tests = "import sys, time, pytest, warnings\n\
        warnings.warn(f'imported {__name__}')\n\
        @pytest.mark.parametrize('x', [1, 2, 3])\ndef test_each(x): assert x != 2\n\
        class TestClass:\n    def test_in(self): time.sleep(0.01)\n\
        class TestInit:\n    def __init__(self): pass\n    def test_never(self): pass\n\
        def test_wide(wide): pass\n\
        def test_others(): assert 'test_0' in sys.modules and 'test_5' in sys.modules\n";
    let mut files = vec![
        ("conftest.py".to_owned(), conftest.to_owned()),
        (
            "sub/test_slow.py".to_owned(),
            "import time\ndef test_slow(): time.sleep(0.6)\n".to_owned(),
        ),
        (
            "sub/test_wrong.py".to_owned(),
            "def test_wrong(nothing): pass\n".to_owned(),
        ),
    ];
    files.extend((0..6).map(|number| (format!("test_{number}.py"), tests.to_owned())));
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    Project::new(&files)
}

/// How many items were made since the last call.
fn made(project: &Project) -> usize {
    let path = format!("{}.made", project.path().display());
    let count = std::fs::read_to_string(&path).map_or(0, |text| text.lines().count());
    let _ = std::fs::remove_file(path);
    count
}

#[test]
fn of_several_workers_each_makes_the_items_of_its_files() {
    let project = project_to_share();
    let run = |args: &[&str]| project.test(args);
    let (code, expected) = project.pytest(&[]);
    let all = made(&project);
    let first = run(&["--all", "-n", "2", "--no-second-opinion"]);
    assert_eq!((first.code, first.outcomes()), (code, expected.clone()));
    assert_eq!(made(&project), 2 * all, "nobody knew which files there are");
    let second = run(&["--all", "-n", "2", "--no-second-opinion"]);
    assert_eq!((second.code, second.outcomes()), (code, expected.clone()));
    let sections = |run: &crate::support::Run| {
        let mut texts: Vec<String> = run.json["warnings"]
            .as_array()
            .into_iter()
            .flatten()
            .map(ToString::to_string)
            .collect();
        texts.sort();
        texts
    };
    assert_eq!(sections(&first), sections(&second));
    let count = made(&project);
    if crate::support::is_known() {
        assert!((all..2 * all).contains(&count), "{count} of {all}");
    } else {
        assert_eq!(count, 2 * all, "how this pytest collects isn't known");
    }

    // Nothing is known to have changed in what passed: those tests are fresh.
    let again = run(&["-n", "2", "--no-second-opinion"]);
    assert_eq!(again.ran(), 7, "{}", again.out);

    // A changed file is collected by one of them, and what it holds now runs.
    project.write(
        "test_3.py",
        "def test_new(): pass\ndef test_bad(): assert 0\n",
    );
    let conftest = std::fs::read_to_string(project.path().join("conftest.py")).unwrap();
    project.write("conftest.py", &format!("{conftest}# changed\n"));
    made(&project);
    let changed = run(&["-n", "2", "--no-second-opinion"]);
    let (code, expected) = project.pytest(&[]);
    assert_eq!((changed.code, changed.outcomes()), (code, expected));

    // Somebody wants to see all tests.
    project.write(
        "conftest.py",
        &format!(
            "{conftest}def pytest_collection_finish(session): assert len(session.items) > 30\n"
        ),
    );
    run(&["--all", "-n", "2", "--no-second-opinion"]);
    made(&project);
    let whole = run(&["--all", "-n", "2", "--no-second-opinion"]);
    let (code, expected) = project.pytest(&[]);
    assert_eq!((whole.code, whole.outcomes()), (code, expected));
}

#[test]
fn a_module_that_leaves_nothing_behind_is_imported_by_its_own_worker_alone() {
    let conftest = "import os, sys, pytest\n\
        @pytest.fixture(scope='session', autouse=True)\n\
        def seen():\n    yield\n    \
            names = [name for name in sys.modules if name.startswith('test_')]\n    \
            with open(os.path.dirname(__file__) + '.seen', 'a') as file: file.write(' '.join(names) + '\\n')\n";
    let inert = "import pytest, lib\n\
        LIMIT = 3\n\
        @pytest.mark.parametrize('x', [1, 2], ids=['a', 'b'])\ndef test_each(x):\n    import time\n    time.sleep(0.1)\n    assert x < LIMIT\n\
        class TestIt:\n    def test_it(self): pass\n";
    let mut files = vec![
        ("conftest.py".to_owned(), conftest),
        ("lib.py".to_owned(), "VALUE = 1\n"),
        ("rare.py".to_owned(), "VALUE = 1\n"),
        (
            "test_loud.py".to_owned(),
            "import lib\nlib.VALUE += 1\ndef test_loud(): pass\n",
        ),
        // What it imports is imported by nobody else, which others could see.
        (
            "test_rare.py".to_owned(),
            "import rare\ndef test_rare(): pass\n",
        ),
        // Its folder goes onto the path.
        ("sub/test_first.py".to_owned(), "def test_first(): pass\n"),
        (
            "test_wants.py".to_owned(),
            "import sys\ndef test_wants():\n    assert {'test_loud', 'test_rare', 'test_first'} <= sys.modules.keys()\n    import helper\n",
        ),
        ("sub/helper.py".to_owned(), ""),
    ];
    files.extend((0..8).map(|number| (format!("test_{number}.py"), inert)));
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), *text))
        .collect();
    let project = Project::new(&files);
    let place = format!("{}.seen", project.path().display());
    let (code, expected) = project.pytest(&[]);
    // Nobody knows yet which files there are, so all is collected by each.
    for is_shared in [false, true] {
        let _ = std::fs::remove_file(&place);
        let run = project.test(&["--all", "-n", "2", "--no-second-opinion"]);
        assert_eq!((run.code, run.outcomes()), (code, expected.clone()));
        let seen = std::fs::read_to_string(&place).unwrap();
        let imports = |names: &str, module: &str| names.split(' ').any(|name| name == module);
        for names in seen.lines() {
            for module in ["test_loud", "test_rare", "test_first"] {
                assert!(imports(names, module), "{module}: {seen}");
            }
        }
        let number_of_all = |number: &i32| {
            seen.lines()
                .all(|names| imports(names, &format!("test_{number}")))
        };
        let by_all = (0..8).filter(number_of_all).count();
        if is_shared && crate::support::is_known() {
            // The first of a folder is everybody's, and one whose tests are taken over is imported then.
            assert!(by_all < 8 || seen.lines().count() < 2, "{seen}");
        } else {
            assert_eq!(by_all, 8, "{seen}");
        }
    }

    // One that is inert no more is imported by both.
    project.write("test_3.py", &format!("{inert}print(LIMIT)\n"));
    let _ = std::fs::remove_file(&place);
    let run = project.test(&["--all", "-n", "2", "--no-second-opinion"]);
    assert_eq!((run.code, run.outcomes()), (code, expected));
    let seen = std::fs::read_to_string(&place).unwrap();
    assert_eq!(
        seen.matches("test_3").count(),
        seen.lines().count(),
        "{seen}"
    );
    std::fs::remove_file(&place).unwrap();
}

#[test]
fn a_module_that_is_imported_late_finds_what_there_was_before_the_tests() {
    // gw0 is slow once it has been asked to, so that gw1 takes files from it, whose modules it hasn't imported.
    let tests = "import os\nfrom lib import VALUE\nimport other.deep\n\
        def test_it():\n    import lib, sys, time\n    \
            assert VALUE == 1 and other.deep.VALUE == 1\n    \
            lib.VALUE = 2\n    del sys.modules['other']\n    sys.modules['other.deep'] = lib\n    \
            if os.path.exists('slow') and os.environ.get('PYTEST_XDIST_WORKER') == 'gw0': time.sleep(0.2)\n    \
            import other.deep as changed\n";
    let mut files = vec![
        ("conftest.py".to_owned(), "import lib, other.deep\n"),
        ("lib.py".to_owned(), "VALUE = 1\n"),
        ("other/__init__.py".to_owned(), ""),
        ("other/deep.py".to_owned(), "VALUE = 1\n"),
    ];
    files.extend((0..8).map(|number| (format!("test_{number}.py"), tests)));
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), *text))
        .collect();
    let project = Project::new(&files);
    assert_eq!(project.pytest(&[]).0, 0);
    for is_slow in [false, true, true] {
        if is_slow {
            project.write("slow", "");
        }
        let run = project.test(&["--all", "-n", "2", "--no-second-opinion"]);
        assert_eq!((run.code, run.ran()), (0, 8), "{}", run.out);
    }
}

#[test]
fn a_worker_that_shares_the_collection_and_dies_is_made_up_for() {
    let project = project_to_share();
    let run = |args: &[&str]| project.test(args);
    run(&["--all", "-n", "2", "--no-second-opinion"]);
    project.write(
        "test_4.py",
        "import uuid, pytest\n\
         @pytest.mark.parametrize('x', [str(uuid.uuid4()) for _ in range(2)])\ndef test_changing(x): pass\n",
    );
    project.write(
        "test_5.py",
        "import os\n\
         def test_dies(): os.kill(os.getpid(), 9)\n\
         def test_after(): pass\n",
    );
    for _ in 0..2 {
        let died = run(&["--all", "-n", "2", "--no-second-opinion"]);
        let outcomes = died.outcomes();
        assert_eq!(outcomes["test_5.py::test_dies"], "failed", "{}", died.out);
        assert_eq!(outcomes["test_5.py::test_after"], "passed", "{}", died.out);
        let changing = outcomes
            .iter()
            .filter(|(test, outcome)| test.contains("test_changing") && *outcome == "passed");
        assert_eq!(changing.count(), 2, "{}", died.out);
        assert_eq!(outcomes.len(), 4 * 7 + 2 + 4, "{}", died.out);
    }
}

#[test]
fn what_a_worker_had_not_sent_yet_is_heard_after_its_death() {
    let project = Project::new(&[(
        "test_a.py",
        "import os, pytest\n\
         @pytest.mark.parametrize('n', range(40))\n\
         def test_short(n):\n    with open('log', 'a') as file: file.write(f'{n}\\n')\n\
         def test_dies(): os.kill(os.getpid(), 9)\n\
         def test_after(): pass\n",
    )]);
    let run = project.test(&["-n", "1", "--no-second-opinion"]);
    let log = std::fs::read_to_string(project.path().join("log")).unwrap();
    let once: String = (0..40).map(|n| format!("{n}\n")).collect();
    assert_eq!(log, once, "tests ran again, or not at all");
    let passed = run.tests.values().filter(|outcome| *outcome == "passed");
    assert_eq!(passed.count(), 41, "{}", run.out);
    let message = "while it ran this test";
    assert!(run.out.contains(message), "{}", run.out);
    assert_eq!(run.outcome("test_dies"), "failed");
}

#[test]
fn what_is_left_to_the_end_of_the_process_is_done() {
    let files = [(
        "test_a.py",
        "import atexit, threading, time\n\
         def note(text):\n    with open('order.txt', 'a') as file: file.write(text + '\\n')\n\
         class Keeper:\n    def __init__(self):\n        self.text, self.bytes = open('text.txt', 'w'), open('bytes.bin', 'wb')\n\
         kept = Keeper()\n\
         def test_writes():\n    kept.text.write('written')\n    kept.bytes.write(b'written')\n\
         def test_registers():\n    atexit.register(note, 'first registered')\n    atexit.register(note, 'last registered')\n\
         def test_prints():\n    atexit.register(print, 'printed at the end')\n\
         def test_starts():\n    threading.Thread(target=lambda: (time.sleep(0.5), note('thread'))).start()\n",
    )];
    what_is_left_is_done(&Project::new(&files));
    what_is_left_is_done(&warm(&files));
}

fn what_is_left_is_done(project: &Project) {
    for workers in ["1", "2"] {
        for name in ["order.txt", "text.txt", "bytes.bin"] {
            project.write(name, "");
        }
        let run = project.test(&["--all", "-n", workers]);
        assert_eq!(run.code, 0, "{}", run.out);
        assert_eq!(project.read("text.txt"), "written");
        assert_eq!(project.read("bytes.bin"), "written");
        assert_eq!(
            project.read("order.txt"),
            "thread\nlast registered\nfirst registered\n"
        );
    }
    let run = project.test(&["--all", "-n", "1", "-s"]);
    assert!(run.out.contains("printed at the end"), "{}", run.out);
}

#[test]
fn nothing_is_done_at_the_end_for_what_tests_have_not_left() {
    let project = Project::new(&[
        (
            "conftest.py",
            "from dx_py_test_runner import economy\n\
             def pytest_configure(config): config.add_cleanup(look)\n\
             def look():\n    left = economy._streams_of_others(), economy._may_run_code_of_others()\n    with open('left.txt', 'a') as file: print(*left, file=file)\n",
        ),
        ("test_a.py", "def test(): print('captured')\n"),
        (
            "test_b.py",
            "kept = []\ndef test(): kept.append(open('kept.txt', 'w'))\n",
        ),
        ("test_c.py", "import ctypes\ndef test(): pass\n"),
    ]);
    let told = |arguments: &[&str]| {
        project.write("left.txt", "");
        let run = project.test(arguments);
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        project.read("left.txt")
    };
    assert_eq!(told(&["test_a.py", "--all"]), "set() False\n");
    assert_eq!(told(&["test_a.py", "--all", "-s"]), "set() False\n");
    assert!(!told(&["test_b.py", "--all"]).starts_with("set()"));
    assert_eq!(told(&["test_c.py", "--all"]), "set() True\n");
}
