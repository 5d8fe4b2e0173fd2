//! pytest's configuration, from every file and every option that it may stand in: the same tests, outcomes and exit codes.

use crate::support::Project;

/// A suite in which every option that is tried has something to change.
const SUITE: [(&str, &str); 8] = [
    (
        "tests/test_a.py",
        "import os, sys, warnings, logging, pytest\n\
         @pytest.mark.slow\ndef test_marked(): pass\n\
         def test_warns(): warnings.warn('old', DeprecationWarning)\n\
         @pytest.mark.xfail\ndef test_xpasses(): pass\n\
         @pytest.mark.xfail(reason='known')\ndef test_xfails(): assert 0\n\
         def test_path(): assert 'lib' in [os.path.basename(p) for p in sys.path]\n\
         def test_setting(pytestconfig): assert pytestconfig.getini('setting') == 'on'\n\
         def test_logs(caplog):\n    logging.getLogger().info('heard')\n    assert 'heard' in caplog.text\n\
         def test_used(request): assert 'everywhere' in request.fixturenames\n\
         @pytest.mark.parametrize('x', ['é', 'b'])\ndef test_ids(x): pass\n\
         @pytest.mark.parametrize('x', [])\ndef test_no_parameters(x): pass\n",
    ),
    (
        "tests/conftest.py",
        "import pytest\n\
         def pytest_addoption(parser):\n    parser.addini('setting', 'a setting', default='off')\n    parser.addoption('--mine', action='store_true')\n\
         @pytest.fixture\ndef everywhere(): pass\n\
         @pytest.fixture\ndef mine(pytestconfig): return pytestconfig.getoption('--mine')\n",
    ),
    (
        "tests/check_b.py",
        "class SpecThings:\n    def it_works(self, mine): assert mine\n    def test_too(self): pass\nclass TestThings:\n    def test_c(self): pass\n",
    ),
    (
        "tests/build/test_built.py",
        "def test_in_a_folder_that_is_passed_over(): pass\n",
    ),
    ("tests/deep/test_same.py", "def test_deep(): pass\n"),
    ("tests/notes.txt", ">>> 1 + 1\n2\n>>> 2 + 2\n5\n"),
    (
        "lib/mod.py",
        "def double(x):\n    '''\n    >>> double(2)\n    4\n    '''\n    return 2 * x\n",
    ),
    ("other/test_other.py", "def test_other(): pass\n"),
];

/// Runs the suite with `files` and `args` by pytest and by dx-py.
fn same(files: &[(&str, &str)], args: &[&str]) {
    let project = Project::new(&SUITE);
    // Where no file has a section for pytest, there is none.
    project.remove("pytest.ini");
    for (name, text) in files {
        project.write(name, text);
    }
    let (code, expected) = project.pytest(args);
    let mut all = vec!["-n", "2", "--no-second-opinion", "--"];
    all.extend(args);
    let run = project.test(&all);
    let context = format!("{files:?} {args:?}\n{}\n{}", run.out, run.err);
    assert_eq!(run.outcomes(), expected, "{context}");
    assert_eq!(run.code, code, "{context}");
}

#[test]
fn every_file_that_may_configure_pytest_does() {
    let section =
        "python_files = check_*.py\npython_classes = Spec Test\npython_functions = it_ test\n";
    same(&[("pytest.ini", &format!("[pytest]\n{section}"))], &[]);
    same(&[("tox.ini", &format!("[pytest]\n{section}"))], &[]);
    same(&[("setup.cfg", &format!("[tool:pytest]\n{section}"))], &[]);
    same(
        &[(
            "pyproject.toml",
            "[tool.pytest.ini_options]\npython_files = ['check_*.py']\npython_classes = ['Spec']\npython_functions = ['it_']\n",
        )],
        &[],
    );
    same(
        &[("other/special.ini", &format!("[pytest]\n{section}"))],
        &["-c", "other/special.ini"],
    );
}

#[test]
fn what_is_collected() {
    same(&[("pytest.ini", "[pytest]\ntestpaths = tests\n")], &[]);
    same(
        &[("pytest.ini", "[pytest]\nnorecursedirs = deep other\n")],
        &[],
    );
    same(&[], &["--ignore=tests/deep", "--ignore-glob=*other*"]);
    same(
        &[],
        &["--deselect", "tests/test_a.py::test_marked", "tests"],
    );
    same(
        &[(
            "pytest.ini",
            "[pytest]\naddopts = --doctest-modules --doctest-glob=*.txt\n",
        )],
        &[],
    );
    same(&[], &["--doctest-modules", "lib"]);
    same(&[], &["tests/test_a.py::test_ids", "other"]);
    same(
        &[("tests/conftest.py", "collect_ignore = ['test_a.py']\n")],
        &[],
    );
}

#[test]
fn how_tests_are_run() {
    let ini = |text: &str| format!("[pytest]\n{text}\n");
    for text in [
        "xfail_strict = true",
        "pythonpath = lib",
        "usefixtures = everywhere",
        "setting = on",
        "filterwarnings = error",
        "filterwarnings =\n    error\n    ignore::DeprecationWarning",
        "log_level = INFO",
        "empty_parameter_set_mark = xfail",
        "markers = slow: takes long\naddopts = --strict-markers",
        "addopts = --strict-markers",
        "addopts = -m slow",
        "addopts = -k 'warns or marked' --mine",
        "disable_test_id_escaping_and_forfeit_all_rights_to_community_support = True",
        "tmp_path_retention_policy = none\ntmp_path_retention_count = 1",
        "console_output_style = count\naddopts = -v --tb=short",
    ] {
        same(&[("pytest.ini", &ini(text))], &[]);
    }
}

#[test]
fn options_on_the_command_line() {
    for args in [
        &["-W", "error"][..],
        &["-o", "xfail_strict=true"],
        &["--runxfail"],
        &["--import-mode=importlib"],
        &["--import-mode=append", "tests"],
        &["--rootdir=.", "tests"],
        &["--rootdir=tests", "tests"],
        &["--confcutdir=tests/deep", "tests/deep"],
        &["--noconftest", "other"],
        &["-p", "no:warnings", "-p", "no:logging"],
        &["--log-level=INFO", "--mine", "tests"],
        &["-q", "-rA", "--durations=1", "--showlocals"],
    ] {
        same(&[], args);
    }
}

#[test]
fn what_cannot_work_is_told_with_the_exit_code_of_pytest() {
    let ini = |text: &str| format!("[pytest]\n{text}\n");
    for (text, told) in [
        ("minversion = 99.0", "requires pytest-99.0"),
        (
            "required_plugins = pytest-none>=1",
            "Missing required plugins",
        ),
        ("addopts = --no-such-option", "unrecognized arguments"),
        ("addopts = -p no_such_plugin", "no_such_plugin"),
        (
            "addopts = --strict-config\nno_such_key = 1",
            "Unknown config option",
        ),
        ("python_files = [\nfilterwarnings = nonsense::", "nonsense"),
    ] {
        let project = Project::new(&SUITE);
        project.write("pytest.ini", &ini(text));
        let code = project
            .start(&crate::support::python())
            .args(["-m", "pytest", "-q"])
            .output();
        let code = code.expect("pytest can be started").status.code();
        let run = project.test(&["-n", "2"]);
        assert_eq!(Some(run.code), code, "{text}\n{}\n{}", run.out, run.err);
        assert!(
            run.err.contains(told) || run.out.contains(told),
            "{text}\n{}\n{}",
            run.out,
            run.err
        );
    }
}

#[test]
fn variables_that_pytest_reads() {
    let project = Project::new(&SUITE).with_variable("PYTEST_ADDOPTS", "-k marked -W error");
    let (code, expected) = project.pytest(&["tests"]);
    let run = project.test(&["-n", "2", "tests"]);
    assert_eq!((run.code, run.outcomes()), (code, expected), "{run:?}");
    let project = Project::new(&SUITE).with_variable("PYTEST_PLUGINS", "extra");
    project.write(
        "extra.py",
        "def pytest_collection_modifyitems(items): del items[1:]\n",
    );
    let (code, expected) = project.pytest(&["tests"]);
    let run = project.test(&["-n", "2", "--no-second-opinion", "--", "tests"]);
    assert_eq!((run.code, run.outcomes()), (code, expected), "{run:?}");
}
