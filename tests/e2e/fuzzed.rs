//! What the fuzzer found: projects that it made, reduced to what matters.

use crate::support::Project;

/// The texts of a test's reports and the texts of its sections, as one.
fn told(run: &crate::support::Run, name: &str) -> String {
    let tests = run.json["tests"].as_array().into_iter().flatten();
    tests
        .filter(|test| test["id"].as_str().is_some_and(|id| id.ends_with(name)))
        .map(|test| format!("{}\n{}", test["reports"], test["sections"]))
        .collect()
}

#[test]
fn the_observer_shows_in_no_traceback() {
    let project = Project::new(&[(
        "test_a.py",
        "import os\ndef test_stat(): os.stat('no_such_file')\ndef test_variable(): os.environ['NO_SUCH_VARIABLE']\n",
    )]);
    let run = project.test(&[]);
    for name in ["test_stat", "test_variable"] {
        let text = told(&run, name);
        assert!(
            text.contains("Error") && !text.contains("observe"),
            "{text}"
        );
    }
    assert!(told(&run, "test_stat").contains("test_a.py:2: FileNotFoundError"));
}

#[test]
fn tests_see_the_variable_that_says_that_pytest_runs() {
    let project = Project::new(&[(
        "test_a.py",
        "import os, pytest\ndef test_a():\n    if pytest.version_tuple >= (8, 2): assert os.environ['PYTEST_VERSION'] == pytest.__version__\n",
    )]);
    assert_eq!(project.test(&[]).outcome("test_a"), "passed");
}

#[test]
fn sections_that_a_hook_adds_to_one_report_are_kept() {
    let project = Project::new(&[
        (
            "conftest.py",
            "import pytest\n@pytest.hookimpl(hookwrapper=True)\ndef pytest_runtest_makereport(item, call):\n    outcome = yield\n    report = outcome.get_result()\n    if report.when == 'call': report.sections.append(('Own', 'added'))\n",
        ),
        (
            "test_a.py",
            "import pytest\n@pytest.fixture\ndef ends():\n    yield\n    print('torn down')\ndef test_a(ends):\n    print('call' + 'ed')\n    assert 0\n",
        ),
    ]);
    let text = told(&project.test(&[]), "test_a");
    for part in [
        "Own",
        "added",
        "called",
        "Captured stdout teardown",
        "torn down",
    ] {
        assert_eq!(text.matches(part).count(), 1, "{part}: {text}");
    }
}

#[test]
fn output_before_a_collection_error_is_shown() {
    let project = Project::new(&[(
        "test_a.py",
        "import sys\nprint('to output')\nprint('to errors', file=sys.stderr)\nimport no_such_module\n",
    )]);
    let run = project.test(&[]);
    let sections = &run.json["collection_errors"][0]["sections"];
    assert_eq!(sections[0]["title"], "Captured stdout");
    assert_eq!(sections[1]["text"], "to errors\n");
    assert!(
        run.out.contains("to output") && run.out.contains("to errors"),
        "{}",
        run.out
    );
}

#[test]
fn a_file_that_is_not_asked_for_may_be_broken() {
    let project = Project::new(&[
        ("one/test_a.py", "def test_a(): pass\n"),
        ("test_broken.py", "import no_such_module\n"),
    ]);
    let run = project.test(&["one"]);
    assert_eq!(
        (run.code, run.outcome("test_a")),
        (0, "passed"),
        "{}",
        run.out
    );
    assert!(!run.out.contains("test_broken"), "{}", run.out);
    assert_eq!(project.test(&[]).code, 1);
    assert_eq!(project.test(&["one"]).code, 0);
}

#[test]
fn a_fixture_that_fails_late_fails_again_although_its_users_passed() {
    let project = Project::new(&[(
        "test_a.py",
        "import pytest\n@pytest.fixture(scope='module')\ndef late():\n    yield\n    assert 0\ndef test_user(late): pass\ndef test_last(): pass\n",
    )]);
    for _ in 0..2 {
        let run = project.test(&[]);
        assert_eq!(run.outcome("test_last"), "error");
        assert_eq!((run.outcome("test_user"), run.code), ("passed", 1));
    }
}

#[test]
fn a_module_beside_the_tests_comes_to_hide_one_of_the_python_path() {
    let project = Project::new(&[
        ("pytest.ini", "[pytest]\npythonpath = src\n"),
        ("src/helper.py", "LEVEL = 1\n"),
        (
            "tests/test_a.py",
            "import helper\ndef test_a(): assert helper.LEVEL == 1\n",
        ),
    ]);
    assert_eq!(project.test(&[]).outcome("test_a"), "passed");
    project.write("tests/helper.py", "LEVEL = 2\n");
    assert_eq!(project.test(&[]).outcome("test_a"), "failed");
}

#[test]
fn hooks_of_a_conftest_that_pytest_calls_for_all_tests_hold_for_all() {
    let marking = |reason: &str| {
        format!(
            "import pytest\ndef pytest_collection_modifyitems(items):\n    for item in items: item.add_marker(pytest.mark.skip(reason='{reason}'))\n"
        )
    };
    let project = Project::new(&[
        ("one/conftest.py", ""),
        ("one/test_a.py", "def test_a(): pass\n"),
        ("two/test_b.py", "def test_b(): pass\n"),
        ("two/test_c.py", "def test_c(): pass\n"),
        ("two/test_d.py", "def test_d(): pass\n"),
    ]);
    assert_eq!(project.test(&[]).outcome("test_b"), "passed");
    project.write("one/conftest.py", &marking("one"));
    assert_eq!(project.test(&[]).outcome("test_b"), "skipped");
    project.write("two/test_c.py", "def test_c(): assert 0\n");
    assert_eq!(project.test(&[]).outcome("test_c"), "skipped");
    project.write("one/conftest.py", "");
    // That its hooks are gone is known when everything has been collected: the pass from before them could do without it.
    let run = project.test(&[]);
    assert_eq!(
        (run.outcome("test_b"), run.outcome("test_c")),
        ("passed", "failed")
    );
    assert_eq!(project.test(&[]).outcome("test_b"), "fresh passed");
}

#[test]
fn a_file_that_cannot_be_collected_is_tried_again_when_its_folder_is_named() {
    let project = Project::new(&[
        ("tests/test_good.py", "def test_good(): pass\n"),
        ("tests/test_bad.py", "import no_such_module_anywhere\n"),
    ]);
    for way in [&["-n", "2", "tests"], &["-n", "1", "tests"]] {
        let run = project.test(way);
        assert_eq!(run.code, 1, "{}", run.out);
        assert_eq!(run.json["summary"]["collection_errors"], 1, "{}", run.out);
    }
    // From the folder itself, too.
    let inside = project
        .command(&["test", "-n", "1", "test_bad.py", "--python"])
        .arg(crate::support::python())
        .current_dir(project.path().join("tests"))
        .output()
        .unwrap();
    assert_eq!(inside.status.code(), Some(1));
}

#[test]
fn tests_that_a_hook_leaves_out_are_counted_when_nothing_runs() {
    let project = Project::new(&[
        (
            "conftest.py",
            "def pytest_collection_modifyitems(config, items):\n    gone = [item for item in items if item.name.endswith('3')]\n    config.hook.pytest_deselected(items=gone)\n    items[:] = [item for item in items if item not in gone]\n",
        ),
        ("one/test_a.py", "def test_1(): pass\ndef test_3(): pass\n"),
        (
            "two/test_b.py",
            "def test_2(): pass\ndef test_3(): pass\ndef test_13(): pass\n",
        ),
    ]);
    // Of a folder that is named, what the pattern leaves out counts as well.
    for (args, deselected) in [
        (&[][..], 3),
        (&[], 3),
        (&["one"], 2),
        (&["one"], 2),
        (&["--all"], 3),
    ] {
        let run = project.test(args);
        assert_eq!(
            run.json["summary"]["deselected"], deselected,
            "{args:?}: {}",
            run.out
        );
    }
}

#[test]
fn folders_that_pytest_passes_over_by_itself_are_collected_if_they_are_named() {
    for ini in [
        "[pytest]\nnorecursedirs = two\n",
        "[pytest]\ntestpaths = tests/one\n",
    ] {
        let project = Project::new(&[
            ("pytest.ini", ini),
            ("tests/one/test_a.py", "def test_a(): pass\n"),
            ("tests/two/test_b.py", "def test_b(): pass\n"),
            ("tests/two/inner/test_c.py", "def test_c(): assert 0\n"),
        ]);
        for args in [
            &["tests/one", "tests/two"][..],
            &["tests/two", "-n", "2"],
            &["tests/two/inner/test_c.py", "tests/one"],
            &[],
            &["tests/one"],
        ] {
            let paths: Vec<&str> = args.iter().copied().filter(|a| a.contains('/')).collect();
            let (code, expected) = project.pytest(&paths);
            for more in [&[][..], &["--all"]] {
                let run = project.test(&[args, more].concat());
                let outcomes = run.outcomes();
                assert_eq!(
                    (run.code, &outcomes),
                    (code, &expected),
                    "{args:?} {more:?}"
                );
            }
        }
    }
}

#[test]
fn nothing_of_ours_shows_in_collection_errors() {
    let project = Project::new(&[
        ("pytest.ini", "[pytest]\naddopts = --tb=short\n"),
        ("test_a.py", "def test_a(:\n    pass\n"),
        (
            "test_ids.py",
            "import pytest\nclass S(str): pass\ndef of(value): raise KeyError(value)\n\
             def test_plain(): pass\n@pytest.mark.parametrize('x', [1], ids=of)\ndef test_b(x): pass\n",
        ),
        (
            "test_scope.py",
            "import pytest\ndef wide(fixture_name, config): raise KeyError(fixture_name)\n\
             @pytest.fixture(scope=wide)\ndef f(): pass\ndef test_c(f): pass\n",
        ),
        (
            "test_mark.py",
            "import pytest\ndef test_d(): pass\ntest_d.pytestmark = 3\n",
        ),
    ]);
    for args in [&[][..], &["--all", "-n", "1"]] {
        let run = project.test(args);
        let errors = run.json["collection_errors"].as_array().unwrap().clone();
        assert_eq!(errors.len(), 4, "{}", run.out);
        let text = run.json["collection_errors"].to_string();
        for part in ["SyntaxError", "rewrite.py", "KeyError: 1", "KeyError: 'f'"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("dx_py_test_runner"), "{text}");
    }
}

#[test]
fn deprecated_definitions_of_fixtures_are_warned_of_where_they_are() {
    let project = Project::new(&[
        (
            "conftest.py",
            "def pytest_collection_finish(session):\n\
             \x20   manager = session._fixturemanager\n\
             \x20   manager._register_fixture(name='extra', func=lambda: 1, nodeid='')\n",
        ),
        (
            "test_a.py",
            "def test_a(request): assert request.getfixturevalue('extra') == 1\n",
        ),
    ]);
    // The versions of pytest that have no such method end with an internal error.
    let (code, expected) = project.pytest(&[]);
    let run = project.test(&["-n", "1"]);
    assert_eq!((run.code, run.outcomes()), (code, expected), "{}", run.out);
    assert!(
        !run.json["warnings"]
            .to_string()
            .contains("dx_py_test_runner"),
        "{}",
        run.json["warnings"]
    );
}

#[test]
fn keywords_are_looked_for_where_pytest_looks() {
    let plain = "[pytest]\nmarkers =\n    slow\n";
    let with_addopts = format!("{plain}addopts = -k \"not plain\" -m \"not slow\"\n");
    for ini in [plain, &with_addopts] {
        let project = Project::new(&[
            ("pytest.ini", ini),
            (
                "folder/inner/test_a.py",
                "def test_plain(): pass\ndef test_b(): pass\n",
            ),
            ("package/__init__.py", ""),
            (
                "package/test_c.py",
                "import pytest\ndef test_c(): pass\ntest_c.spoken = test_c._hidden = 1\n@pytest.mark.slow\ndef test_d(): pass\n",
            ),
        ]);
        for args in [
            &["-k", "folder"][..],
            &["-k", "inner and not plain"],
            &["-k", "package"],
            &["-k", "spoken or __wrapped__"],
            &["-k", "hidden"],
            &["-k", "plain"],
            &["-m", "slow"],
            &["-k", "test_d", "-m", "slow"],
            &[],
        ] {
            let (code, expected) = project.pytest(args);
            let run = project.test(args);
            let outcomes = run.outcomes();
            assert_eq!((run.code, &outcomes), (code, &expected), "{args:?}");
        }
    }
}

#[test]
fn a_late_error_that_a_mark_expects_leaves_nothing_fresh() {
    let project = Project::new(&[(
        "test_a.py",
        "import pytest\ndef teardown_module(): assert 0, 'late'\n\
         def test_a(): pass\ndef test_b(): assert 0\n\
         @pytest.mark.xfail\ndef test_c(): pass\n",
    )]);
    for _ in 0..2 {
        let run = project.test(&["-n", "1"]);
        let (code, expected) = project.pytest(&[]);
        assert_eq!((run.code, run.outcomes()), (code, expected), "{}", run.out);
        assert_eq!(run.ran(), 3, "{}", run.out);
    }
}

#[test]
fn files_that_hold_doctests_alone_are_not_collected_for_more() {
    let project = Project::new(&[
        (
            "pytest.ini",
            "[pytest]\naddopts = --doctest-modules --doctest-glob=*.rst\n",
        ),
        (
            "folder/check_a.py",
            "def test_no(): assert 0\ndef f():\n    \"\"\"\n    >>> 1\n    2\n    \"\"\"\n",
        ),
        (
            "folder/check_b.py",
            "def test_no(): assert 0\ndef f():\n    \"\"\"\n    >>> 1\n    1\n    \"\"\"\n",
        ),
        ("notes.rst", ">>> 1\n2\n"),
        ("test_c.py", "def test_c(): pass\n"),
    ]);
    for args in [
        &["-n", "2"][..],
        &["-n", "1"],
        &["-n", "2", "--no-second-opinion"],
    ] {
        let (code, expected) = project.pytest(&[]);
        let run = project.test(args);
        assert_eq!((run.code, run.outcomes()), (code, expected), "{}", run.out);
        project.write(
            "folder/check_b.py",
            "def test_no(): assert 0\ndef f():\n    \"\"\"\n    >>> 2\n    2\n    \"\"\"\n",
        );
    }
    // What the user names is collected as pytest does.
    let (code, expected) = project.pytest(&["folder/check_a.py"]);
    let run = project.test(&["folder/check_a.py"]);
    assert_eq!((run.code, run.outcomes()), (code, expected), "{}", run.out);
}

/// What a file's tests were left out of is counted as it is now, not as it was when the file was last collected.
#[test]
fn tests_that_are_left_out_are_counted_after_an_edit() {
    let project = Project::new(&[
        ("pytest.ini", "[pytest]\nmarkers =\n    slow\n"),
        ("test_a.py", "def test_a(): pass\n"),
        ("test_b.py", "def test_b(): pass\n"),
    ]);
    let left_out = |workers: &str| {
        let run = project.test(&["-n", workers, "-m", "slow"]);
        assert_eq!(run.code, 5, "{}", run.out);
        run.json["summary"]["deselected"].clone()
    };
    assert_eq!(left_out("1"), 2);
    for (count, workers) in [(3, "2"), (4, "1")] {
        let more: String = (0..count)
            .map(|at| format!("def test_{at}(): pass\n"))
            .collect();
        project.write("test_a.py", &more);
        assert_eq!(left_out(workers), count + 1);
        assert_eq!(left_out(workers), count + 1);
    }
}
