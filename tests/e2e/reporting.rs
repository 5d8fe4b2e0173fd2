//! What needs more than workers that know nothing of each other: plugins that report, what is started once, the order of all tests;
//! and how results are shown.

use crate::support::Project;

const MANY: [(&str, &str); 3] = [
    ("test_a.py", "def test_1(): pass\ndef test_2(): assert 0\n"),
    ("test_b.py", "def test_1(): pass\ndef test_2(): pass\n"),
    (
        "test_c.py",
        "import pytest\ndef test_1(): pass\n@pytest.mark.skip(reason='not now')\ndef test_2(): pass\n",
    ),
];

fn project(more: &[(&str, &str)]) -> Project {
    Project::new(&[&MANY[..], more].concat())
}

const REPORTS: &str = "\
    seen = []\n\
    def pytest_runtest_logreport(report):\n    if report.when == 'call' or report.skipped: seen.append(report.nodeid)\n\
    def pytest_terminal_summary(terminalreporter):\n    terminalreporter.write_line(f'heard of {len(seen)} tests')\n";

#[test]
fn hooks_that_report_hear_of_every_test_once() {
    let project = project(&[("conftest.py", REPORTS)]);
    for workers in ["1", "2", "2"] {
        let run = project.test(&["-n", workers, "--all"]);
        assert_eq!(run.out.matches("heard of 6 tests").count(), 1, "{run:?}");
        assert_eq!(run.code, 1, "{run:?}");
    }
    let verbose = project.test(&["-n", "2", "--all", "-v"]);
    assert!(
        verbose.out.contains("note: a session of its own for"),
        "{verbose:?}"
    );
}

#[test]
fn without_such_hooks_there_is_no_controller() {
    let run = project(&[]).test(&["-n", "2", "-v"]);
    assert!(!run.out.contains("a session of its own"), "{run:?}");
}

#[test]
fn what_conftests_start_once_for_all_workers_is_there_before_them() {
    let project = Project::new(&[
        (
            "conftest.py",
            "import os\n\
             def pytest_configure(config):\n    if not hasattr(config, 'workerinput'):\n        with open('started', 'a') as f: f.write('x')\n\
             def pytest_unconfigure(config):\n    if not hasattr(config, 'workerinput'): os.remove('started')\n",
        ),
        (
            "test_a.py",
            "def test_a(): assert open('started').read() == 'x'\n",
        ),
        (
            "test_b.py",
            "def test_b(): assert open('started').read() == 'x'\n",
        ),
    ]);
    for _ in 0..2 {
        let run = project.test(&["-n", "2", "--all", "--no-second-opinion"]);
        assert_eq!(run.code, 0, "{}\n{}", run.out, run.err);
        assert!(!project.path().join("started").exists());
    }
}

#[test]
fn a_test_that_brings_its_worker_down_is_reported_to_plugins_too() {
    let project = Project::new(&[
        ("conftest.py", REPORTS),
        ("test_a.py", "import os\ndef test_dies(): os._exit(3)\n"),
        ("test_b.py", "def test_b(): pass\n"),
    ]);
    let run = project.test(&["-n", "2", "--no-second-opinion"]);
    assert!(run.out.contains("heard of 2 tests"), "{run:?}");
}

#[test]
fn an_exit_code_that_a_hook_decides_on_counts() {
    let project = project(&[(
        "conftest.py",
        "def pytest_sessionfinish(session, exitstatus): session.exitstatus = 42\n",
    )]);
    for workers in ["1", "2"] {
        assert_eq!(project.test(&["-n", workers, "--all"]).code, 42);
    }
}

#[test]
fn an_error_in_a_hook_that_reports_is_told() {
    let project = project(&[(
        "conftest.py",
        "def pytest_runtest_logfinish(nodeid): raise OSError('the disk is full')\n",
    )]);
    for workers in ["1", "2"] {
        let run = project.test(&["-n", workers, "--all"]);
        assert_eq!(run.code, 3, "{run:?}");
        let told = format!("{}{}", run.out, run.err);
        assert!(told.contains("INTERNALERROR> "), "{run:?}");
        assert!(told.contains("the disk is full"), "{run:?}");
    }
}

#[test]
fn junit_files_of_pytest_are_written_whoever_asks_for_them() {
    let project = project(&[(
        "pytest.ini",
        "[pytest]\naddopts = --junitxml=out/junit.xml\n",
    )]);
    for workers in ["1", "2"] {
        let _ = std::fs::remove_dir_all(project.path().join("out"));
        project.test(&["-n", workers, "--all"]);
        let text = std::fs::read_to_string(project.path().join("out/junit.xml"))
            .expect("pytest has written it");
        assert_eq!(text.matches("<testcase").count(), 6, "{text}");
        assert!(text.contains("failures=\"1\""), "{text}");
    }
}

#[test]
fn options_that_go_by_the_order_of_all_tests_run_in_one_worker() {
    let project = project(&[]);
    let first = project.test(&["-n", "2", "--stepwise"]);
    assert!(
        first.out.contains("note: one worker: --stepwise"),
        "{first:?}"
    );
    assert_eq!(first.json["summary"]["workers"], 1);
    assert_eq!(first.tests.len(), 2, "{first:?}");
    project.write("test_a.py", "def test_1(): pass\ndef test_2(): pass\n");
    let second = project.test(&["-n", "2", "--stepwise"]);
    assert_eq!(second.code, 0, "{second:?}");
    assert_eq!(second.outcome("test_c.py::test_1"), "passed");
}

const ORDERED: &str = "\
    def pytest_collection_modifyitems(items): items.sort(key=lambda item: item.name)\n";

#[test]
fn an_order_that_a_conftest_decides_on_is_kept_where_tests_fail_without_it() {
    // Each test wants those before it, of both files, to have run in its process.
    let test = "def test_@():\n    seen = sys.__dict__.setdefault('seen_by_tests', [])\n    \
        assert len(seen) == @ - 1\n    seen.append(@)\n";
    let file = |names: [&str; 2]| {
        format!(
            "import sys\n{}",
            names.map(|name| test.replace('@', name)).concat()
        )
    };
    let project = Project::new(&[
        ("conftest.py", ORDERED),
        ("test_x.py", &file(["1", "3"])),
        ("test_y.py", &file(["2", "4"])),
    ]);
    let parallel = project.test(&["-n", "2", "--no-second-opinion"]);
    assert_eq!(parallel.code, 1, "{}\n{}", parallel.out, parallel.err);
    let _ = std::fs::remove_dir_all(project.path().join(".dx"));
    let run = project.test(&["-n", "2"]);
    assert_eq!(run.code, 0, "{}\n{}", run.out, run.err);
    assert!(
        run.out
            .contains("note: one worker in the next 8 runs: pytest_collection_modifyitems in"),
        "{}\n{}",
        run.out,
        run.err
    );
    let run = project.test(&["-n", "2", "--all", "--no-second-opinion"]);
    assert_eq!(run.code, 0, "{}\n{}", run.out, run.err);
    assert_eq!(run.json["summary"]["workers"], 1, "{run:?}");
}

#[test]
fn an_order_that_nothing_depends_on_costs_no_worker() {
    let project = project(&[("conftest.py", ORDERED)]);
    for _ in 0..2 {
        let run = project.test(&["-n", "2", "--all"]);
        assert_eq!(run.json["summary"]["workers"], 2, "{run:?}");
    }
}

#[test]
fn one_worker_follows_the_order_of_pytest() {
    let test =
        "def test(request):\n    with open('order', 'a') as f: f.write(request.path.stem[-1])\n";
    let slow = format!("import time\ndef test_slow(): time.sleep(0.05)\n{test}");
    let project = Project::new(&[
        ("test_1.py", test),
        ("test_2.py", &slow),
        ("test_3.py", test),
    ]);
    project.test(&["-n", "1", "--all"]);
    project.test(&["-n", "1", "--all"]);
    let order = std::fs::read_to_string(project.path().join("order"));
    assert_eq!(order.expect("tests have written it"), "123123");
}

#[test]
fn a_suite_whose_sessions_cannot_start_beside_each_other_runs_in_one_worker() {
    // The first to start waits in its test until the other one has tried.
    let project = project(&[
        (
            "conftest.py",
            "import fcntl, os\n\
             def pytest_sessionstart(session):\n    open(f'tried-{os.getpid()}', 'w').close()\n    session.config.held = open('lock', 'w')\n    \
             fcntl.flock(session.config.held, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        ),
        (
            "test_wait.py",
            "import glob, time\n\
             def test_both_have_tried():\n    deadline = time.monotonic() + 30\n    \
             while len(glob.glob('tried-*')) < 2:\n        assert time.monotonic() < deadline\n        time.sleep(0.01)\n    time.sleep(0.5)\n",
        ),
    ]);
    let run = project.test(&["-n", "2"]);
    assert_eq!(run.tests.len(), 7, "{}\n{}", run.out, run.err);
    assert!(
        run.out.contains(
            "note: one worker in the next 8 runs: a worker could not start beside others"
        ),
        "{run:?}"
    );
    let run = project.test(&["-n", "2", "--all"]);
    assert_eq!(run.json["summary"]["workers"], 1, "{run:?}");
}

#[test]
fn the_short_summary_names_what_was_asked_for() {
    let project = project(&[]);
    let plain = project.test(&["-n", "2", "--all"]);
    assert!(plain.out.contains("FAILED test_a.py::test_2 - assert 0"));
    assert!(!plain.out.contains("SKIPPED"), "{}", plain.out);
    let all = project.test(&["-n", "2", "--all", "-rA"]);
    for line in [
        "PASSED test_b.py::test_1",
        "SKIPPED [1] test_c.py:3: not now",
        "FAILED test_a.py::test_2 - assert 0",
    ] {
        assert!(all.out.contains(line), "{line}\n{}", all.out);
    }
    project.write("pytest.ini", "[pytest]\naddopts = -rs --durations=2\n");
    let configured = project.test(&["-n", "2", "--all"]);
    assert!(configured.out.contains("SKIPPED [1]"), "{}", configured.out);
    assert!(
        configured.out.contains("slowest 2 durations"),
        "{}",
        configured.out
    );
}

#[test]
fn options_of_pytest_are_taken_as_if_they_were_our_own() {
    let project = project(&[(
        "test_w.py",
        "import warnings\ndef test_w(): warnings.warn('x')\n",
    )]);
    let run = project.test(&[
        "-n",
        "2",
        "-W",
        "error",
        "--deselect",
        "test_a.py::test_2",
        "-p",
        "no:cacheprovider",
        "-q",
    ]);
    assert_eq!(run.outcome("test_w"), "failed", "{run:?}");
    assert_eq!(run.outcome("test_a.py::test_2"), "absent", "{run:?}");
    let listed = project.test(&["--collect-only", "-q", "-k", "test_1"]);
    assert!(listed.out.contains("test_a.py::test_1\n"), "{listed:?}");
    assert!(!listed.out.contains("test_a.py::test_2"), "{listed:?}");
    let wrong = project.test(&["--no-such-option"]);
    assert_eq!(wrong.code, 4, "{wrong:?}");
}

#[test]
fn places_of_skips_are_told_from_where_the_session_began() {
    let project = Project::new(&[(
        "inner/test_a.py",
        "import pytest\n@pytest.fixture\ndef elsewhere(tmp_path, monkeypatch): monkeypatch.chdir(tmp_path)\ndef test_a(elsewhere): pytest.skip('no')\n",
    )]);
    for engine in ["lean", "pytest"] {
        let run = project.test(&["--all", "-rs", "--engine", engine]);
        assert!(
            run.out.contains("SKIPPED [1] inner/test_a.py:4: no"),
            "{}",
            run.out
        );
    }
}
