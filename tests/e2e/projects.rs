//! What real projects do that made-up ones don't: each test is the small form of a difference that a project of the corpus showed.

use crate::support::Project;

#[test]
fn coverage_is_reported_beside_options_of_the_cache() {
    let project = Project::with_plugins(&[
        (
            "pytest.ini",
            "[pytest]\naddopts = -p pytest_cov --cov=lib --cov-report=term --cache-clear --no-cov-on-fail\n\
             filterwarnings = error\n",
        ),
        ("lib.py", "def f(x):\n    return x + 1\n"),
        (
            "test_a.py",
            "import lib\ndef test_a():\n    assert lib.f(1) == 2\n",
        ),
        ("test_b.py", "def test_b(): pass\n"),
    ]);
    let (code, expected) = project.pytest(&[]);
    for workers in ["1", "2"] {
        let run = project.test(&["--all", "-n", workers]);
        assert_eq!(run.outcomes(), expected, "{}\n{}", run.out, run.err);
        assert_eq!(run.code, code, "-n {workers}\n{}\n{}", run.out, run.err);
        assert!(
            run.out.contains("TOTAL") && run.out.contains("100%"),
            "-n {workers}\n{}\n{}",
            run.out,
            run.err
        );
    }
}

#[test]
fn a_worker_that_starts_late_keeps_what_others_measured() {
    // pytest-cov deletes all data when a session begins, here after the other worker has run everything and saved.
    let project = Project::with_plugins(&[
        (
            "pytest.ini",
            "[pytest]\naddopts = -p pytest_cov -p late --cov=lib --cov-report=term\n",
        ),
        (
            "late.py",
            "import os, time\nif os.environ.get('PYTEST_XDIST_WORKER') == 'gw1': time.sleep(3)\n",
        ),
        ("lib.py", "def f(x):\n    return x + 1\n"),
        (
            "test_a.py",
            "import lib\ndef test_a():\n    assert lib.f(1) == 2\n",
        ),
        ("test_b.py", "def test_b(): pass\n"),
    ]);
    let run = project.test(&["--all", "-n", "2"]);
    assert!(run.out.contains("100%"), "{}\n{}", run.out, run.err);

    // What was measured before the run is gone all the same.
    project.write("test_a.py", "import lib\ndef test_a(): pass\n");
    for workers in ["1", "2"] {
        let run = project.test(&["--all", "-n", workers]);
        assert!(
            run.out.contains("50%"),
            "-n {workers}\n{}\n{}",
            run.out,
            run.err
        );
    }
}

#[test]
fn names_in_the_temporary_folder_are_no_input() {
    let project = Project::new(&[(
        "test_a.py",
        "import os, tempfile\n\
         def test_a():\n    assert os.listdir(tempfile.gettempdir()) is not None\n\
         def test_b():\n    assert list(os.scandir(tempfile.gettempdir())) is not None\n",
    )]);
    assert_eq!(project.test(&[]).ran(), 2);
    let _another = tempfile::NamedTempFile::new().expect("temporary files can be made");
    let run = project.test(&["--explain"]);
    assert_eq!(run.ran(), 0, "{}", run.out);
}

#[test]
fn what_a_conftest_imports_before_the_session_is_covered() {
    // Without xdist: the session that reports must not import conftests twice.
    let project = Project::with_plugins(&[
        (
            "pytest.ini",
            "[pytest]\naddopts = -p pytest_cov --cov=lib --cov-report=term\ntestpaths = tests\npythonpath = .\n",
        ),
        ("lib.py", "def one():\n    return 1\nONE = one()\n"),
        ("tests/conftest.py", "import lib\n"),
        ("tests/test_a.py", "def test_a(): pass\n"),
        ("tests/test_b.py", "def test_b(): pass\n"),
    ]);
    for workers in ["1", "2"] {
        let run = project.test(&["-n", workers, "--all"]);
        assert!(
            run.out.contains("100%"),
            "-n {workers}: {}{}",
            run.out,
            run.err
        );
    }
}

/// A project that says itself which folders pytest doesn't look into, and has doctests.
#[test]
fn nobody_collects_from_the_database() {
    let project = Project::new(&[
        (
            "pytest.ini",
            "[pytest]\nnorecursedirs = build\naddopts = --doctest-modules\n",
        ),
        (
            "lib.py",
            "def one():\n    '''\n    >>> one()\n    1\n    '''\n    return 1\n",
        ),
        (
            "test_a.py",
            "import lib\ndef test_a(): assert lib.one() == 1\n",
        ),
    ]);
    for _ in 0..2 {
        let run = project.test(&["--all"]);
        let (code, expected) = project.pytest(&[]);
        assert_eq!((run.code, run.outcomes()), (code, expected), "{}", run.out);
        assert_eq!((run.code, run.outcomes().len()), (0, 2));
    }
}

/// What isn't collected while the tests run is garbage by the time a test counts objects, and mustn't be among them.
#[test]
fn a_test_that_counts_objects_finds_no_garbage_of_the_start() {
    let project = Project::new(&[(
        "test_a.py",
        "import gc\ndef count():\n    while gc.collect():\n        pass\n    return len(gc.get_objects())\n\n\
         def test_leaks():\n    first = count()\n    assert count() == first\n",
    )]);
    for workers in ["1", "2"] {
        let run = project.test(&["--all", "-n", workers]);
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    }
    assert_eq!(project.pytest(&[]).0, 0);
}
