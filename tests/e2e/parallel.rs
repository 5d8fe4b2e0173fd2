//! What running in parallel, and only a part of the files, changes: and how it is made up for.

use crate::support::{Project, Run, is_known};

/// Passes only if the other file's test doesn't run at the same time: each waits for the other's flag for a while.
const JEALOUS: &str = r#"
import pathlib, time
HERE = pathlib.Path(__file__)
def test_alone():
    mine = HERE.with_suffix(".flag")
    mine.write_text("")
    try:
        until = time.monotonic() + 3
        while time.monotonic() < until:
            others = [flag for flag in HERE.parent.glob("*.flag") if flag != mine]
            if others:
                time.sleep(0.5)
            assert not others
            time.sleep(0.01)
    finally:
        mine.unlink()
"#;

#[test]
fn tests_that_share_a_file_pass_on_second_opinion_and_run_alone_from_then_on() {
    let project = Project::new(&[("test_a.py", JEALOUS), ("test_b.py", JEALOUS)]);
    let run = project.test(&["-n", "2", "--no-second-opinion"]);
    assert_eq!(run.code, 1, "{}{}", run.out, run.err);
    std::fs::remove_dir_all(project.path().join(".dx")).expect("the database is there");
    let run = project.test(&["-n", "2"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert!(
        run.out.contains("runs alone in the next 8 runs"),
        "{}",
        run.out
    );
    let marked = |run: &crate::support::Run| {
        let tests = run.json["tests"].as_array().cloned().unwrap_or_default();
        tests
            .iter()
            .filter(|test| test["second_opinion"] == true)
            .count()
    };
    assert!(marked(&run) > 0, "{:?}", run.json);
    let run = project.test(&["-n", "2", "--all"]);
    assert_eq!(
        (run.code, marked(&run)),
        (0, 0),
        "it was learned: {}",
        run.out
    );
    let (_, flaky, _) = project.dx(&["flaky"]);
    assert!(flaky.contains("second opinion"), "{flaky}");
}

#[test]
fn a_file_that_failed_by_chance_is_tried_beside_others_again() {
    let chance = "import pathlib\nCHANCE = pathlib.Path(__file__).with_name('chance')\n\
                  def test_a():\n    if CHANCE.exists():\n        CHANCE.unlink()\n        assert 0\n";
    let project = Project::new(&[
        (
            "conftest.py",
            "def pytest_sessionstart(session):\n    with open(session.config.rootpath / 'sessions', 'a') as file: file.write('.')\n",
        ),
        ("test_a.py", chance),
        ("test_b.py", "def test_b(): pass\n"),
    ]);
    // Two sessions are for all, and the third is for what runs alone.
    let runs_alone = || {
        let sessions = project.path().join("sessions");
        let _ = std::fs::remove_file(&sessions);
        let run = project.test(&["-n", "2", "--all"]);
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        let sessions = std::fs::read_to_string(sessions).unwrap_or_default();
        (sessions.len() > 2, run)
    };
    for runs in [8, 8] {
        project.write("chance", "");
        let (is_alone, run) = runs_alone();
        let told = format!("runs alone in the next {runs} runs");
        assert!(is_alone, "{}", run.out);
        assert!(run.out.contains(&told), "{}", run.out);
        for number in 0..runs {
            assert!(runs_alone().0, "run {number}");
        }
        // It goes well, which is the end of it.
        let (is_alone, run) = runs_alone();
        assert!(!is_alone, "{}", run.out);
    }
}

/// Skips its first test and fails its second where the other file's tests run at the same time.
const SHY: &str = r#"
import pathlib, pytest, time
HERE = pathlib.Path(__file__)
MINE = HERE.with_suffix(".flag")
def others():
    return [flag for flag in HERE.parent.glob("*.flag") if flag != MINE]
def test_first():
    MINE.write_text("")
    until = time.monotonic() + 3
    while time.monotonic() < until:
        if others():
            time.sleep(0.5)
            pytest.skip("beside another one")
        time.sleep(0.01)
def test_second():
    found = others()
    time.sleep(1)
    MINE.unlink()
    assert not found
"#;

/// What makes a test fail beside others may make another one skip itself.
#[test]
fn a_skip_beside_a_failure_that_is_overturned_is_no_outcome_either() {
    let project = Project::new(&[("test_a.py", SHY), ("test_b.py", SHY)]);
    let run = project.test(&["-n", "2", "--no-second-opinion"]);
    assert_eq!(run.code, 1, "{}{}", run.out, run.err);
    std::fs::remove_dir_all(project.path().join(".dx")).expect("the database is there");
    let run = project.test(&["-n", "2"]);
    let (code, expected) = project.pytest(&[]);
    assert_eq!((run.outcomes(), run.code), (expected, code), "{}", run.out);
}

/// A port that one process can have, and that another one waits for in vain.
const PORT: &str = r#"
import os, pathlib, pytest, time
LOCK = pathlib.Path(__file__).with_name("lock")
@pytest.fixture(scope="session")
def port():
    try:
        os.close(os.open(LOCK, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        while True:
            time.sleep(0.2)
    yield
    LOCK.unlink()
"#;

#[test]
fn a_test_that_waits_in_vain_beside_others_is_heard_alone() {
    let tests = "import time\ndef test_port(port): time.sleep(1)\ndef test_other(): pass\n";
    let project = Project::new(&[
        ("conftest.py", PORT),
        ("test_a.py", tests),
        ("test_b.py", tests),
        ("dx-py.toml", "patience = 2\n"),
    ]);
    let run = project.test(&["-n", "2"]);
    let (code, expected) = project.pytest(&[]);
    assert_eq!(
        (run.outcomes(), run.code),
        (expected.clone(), code),
        "{}",
        run.out
    );
    assert!(
        run.out.contains("one worker in the next 8 runs: test_"),
        "{}",
        run.out
    );
    let run = project.test(&["-n", "2", "--all"]);
    assert_eq!((run.outcomes(), run.code), (expected, code), "{}", run.out);
    assert!(run.out.contains("1 worker"), "{}", run.out);
}

/// One that takes its time has no other outcome for it, and nothing is learned.
#[test]
fn a_test_that_waits_for_long_is_no_reason_to_run_its_file_alone() {
    let slow = "import time\ndef test_slow(): time.sleep(3)\n";
    let project = Project::new(&[
        ("test_a.py", slow),
        ("test_b.py", "def test_b(): pass\n"),
        ("dx-py.toml", "patience = 1\n"),
    ]);
    for args in [&["-n", "2"][..], &["-n", "2", "--all"]] {
        let run = project.test(args);
        assert_eq!(
            (run.code, run.outcomes().len()),
            (0, 2),
            "{}{}",
            run.out,
            run.err
        );
        assert!(!run.out.contains("alone"), "{}", run.out);
    }
}

#[test]
fn files_that_the_configuration_calls_serial_run_alone() {
    let project = Project::new(&[
        ("test_a.py", JEALOUS),
        ("test_b.py", JEALOUS),
        ("dx-py.toml", "serial = [\"test_a.py\"]\n"),
    ]);
    let run = project.test(&["-n", "2", "--no-second-opinion"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
}

#[test]
fn a_module_that_needs_the_import_of_another_one_is_not_run_without_it() {
    let project = Project::new(&[
        ("registry.py", "names = []\n"),
        (
            "test_a.py",
            "import registry\nregistry.names.append('a')\ndef test_a(): pass\n",
        ),
        (
            "test_b.py",
            "import registry\ndef test_b(): assert registry.names == ['a']\n",
        ),
        ("test_c.py", "def test_c(): pass\n"),
        ("test_d.py", "def test_d(): pass\n"),
    ]);
    assert_eq!(project.test(&[]).code, 0);
    for edit in 0..2 {
        let text = format!(
            "import registry\ndef test_b(): assert registry.names == ['a'] or {edit} > 5\n"
        );
        project.write("test_b.py", &text);
        let run = project.test(&[]);
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        assert_eq!(run.ran(), 1, "{}", run.out);
        let learned = run.out.contains("runs alone in the next 8 runs");
        assert_eq!(learned, edit == 0, "{}", run.out);
    }
}

#[test]
fn a_test_that_needs_what_another_one_of_its_file_left_behind_runs_with_it() {
    let project = Project::new(&[
        (
            "test_a.py",
            "STATE = []\ndef test_1(): STATE.append(1)\ndef test_2(): assert STATE\n",
        ),
        ("test_b.py", "def test_b(): pass\n"),
        ("dx-py.toml", "always = [\"*::test_2\"]\n"),
    ]);
    assert_eq!(project.test(&[]).code, 0);
    let run = project.test(&[]);
    assert_eq!((run.code, run.ran()), (0, 1), "{}{}", run.out, run.err);
    assert!(run.out.contains("on second opinion"), "{}", run.out);
    let run = project.test(&[]);
    assert_eq!((run.code, run.ran()), (0, 2), "{}{}", run.out, run.err);
    assert!(!run.out.contains("on second opinion"), "{}", run.out);
}

#[test]
fn a_failure_that_is_real_stays_one() {
    let project = Project::new(&[
        ("test_a.py", "def test_a(): assert 0\n"),
        ("test_b.py", "def test_b(): pass\n"),
    ]);
    let run = project.test(&["-n", "2"]);
    assert_eq!((run.code, run.outcome("test_a")), (1, "failed"));
    assert!(!run.out.contains("second opinion"), "{}", run.out);
    assert_eq!(
        run.out.matches("FAILED test_a.py::test_a").count(),
        1,
        "{}",
        run.out
    );
}

/// A module that counts its imports.
const COUNTED: &str = "import pathlib\nwith open(pathlib.Path(__file__).with_suffix('.log'), 'a') as log: log.write('x')\ndef test_b(): pass\n";

fn imports_of_b(project: &Project) -> usize {
    std::fs::read_to_string(project.path().join("test_b.log")).map_or(0, |log| log.len())
}

#[test]
fn a_failure_that_is_the_same_alone_needs_no_other_files() {
    let project = Project::new(&[
        ("test_a.py", "def test_a(): assert 0\n"),
        ("test_b.py", COUNTED),
    ]);
    let run = project.test(&["-n", "2"]);
    assert_eq!((run.code, run.outcome("test_a")), (1, "failed"));
    assert_eq!(imports_of_b(&project), 2, "{}", run.out);
}

#[test]
fn a_failure_that_is_another_one_alone_is_heard_with_everything() {
    // It fails for what the other module did when it was imported: by itself it passes, or fails otherwise, or can't be imported.
    for test in [
        "import registry\ndef test_a(): assert not registry.names, 'beside'\n",
        "import registry\ndef test_a(): assert 0, registry.names or 'alone'\n",
        "import registry\nFIRST = registry.names[0]\ndef test_a(): assert 0\n",
    ] {
        let project = Project::new(&[
            ("registry.py", "names = []\n"),
            (
                "test_0.py",
                "import registry\nregistry.names.append(1)\ndef test_0(): pass\n",
            ),
            ("test_a.py", test),
            ("test_b.py", COUNTED),
        ]);
        let run = project.test(&["-n", "2"]);
        assert_eq!(
            (run.code, run.outcome("test_a")),
            (1, "failed"),
            "{test}{}",
            run.out
        );
        assert_eq!(run.tests.len(), 3, "{test}{}", run.out);
        for never in ["error collecting", "second opinion", "note:"] {
            assert!(!run.out.contains(never), "{test}{}", run.out);
        }
        assert_eq!(imports_of_b(&project), 3, "{test}{}", run.out);
    }
}

#[test]
fn what_runs_alone_is_collected_beside_the_others() {
    // The test waits until a third session has imported its module.
    let waiting = "import pathlib, time\nLOG = pathlib.Path(__file__).with_suffix('.log')\n\
                   with open(LOG, 'a') as log: log.write('x')\n\
                   def test_waits():\n    until = time.monotonic() + 30\n    \
                   while len(LOG.read_text()) < 3:\n        assert time.monotonic() < until\n        time.sleep(0.02)\n";
    let project = Project::new(&[
        ("test_a.py", waiting),
        ("test_b.py", "def test_b(): pass\n"),
        ("test_c.py", "def test_c(): pass\n"),
        ("dx-py.toml", "serial = [\"test_c.py\"]\n"),
    ]);
    let run = project.test(&["-n", "2", "--no-second-opinion"]);
    assert_eq!(
        (run.code, run.tests.len()),
        (0, 3),
        "{}{}",
        run.out,
        run.err
    );
}

#[test]
fn a_module_that_only_one_process_can_import_is_collected_alone() {
    let file = "import socket, time\nserver = socket.socket()\nserver.bind(('127.0.0.1', 48713))\ntime.sleep(0.4)\n\
                def test_port(): assert server.fileno() > 0\n";
    let project = Project::new(&[
        ("test_port.py", file),
        ("test_b.py", "def test_b(): pass\n"),
        ("test_c.py", "def test_c(): pass\n"),
    ]);
    let run = project.test(&["-n", "2"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert_eq!(run.outcome("test_port"), "passed");
    assert_eq!(run.tests.len(), 3, "{:?}", run.tests);
}

#[test]
fn ids_that_differ_between_processes_run_where_they_were_planned() {
    let file =
        "import os, pytest\n@pytest.mark.parametrize('x', [os.getpid()])\ndef test_p(x): pass\n";
    let project = Project::new(&[
        ("test_a.py", file),
        ("test_b.py", file),
        ("test_c.py", file),
        ("test_d.py", file),
    ]);
    let run = project.test(&["-n", "3"]);
    assert_eq!(
        (run.code, run.tests.len()),
        (0, 4),
        "{}{}",
        run.out,
        run.err
    );
}

#[test]
fn helpers_from_another_test_directory_are_found() {
    let project = Project::new(&[
        ("one/helper_of_one.py", "VALUE = 1\n"),
        ("one/test_one.py", "def test_one(): pass\n"),
        (
            "two/test_two.py",
            "def test_two():\n    import helper_of_one\n    assert helper_of_one.VALUE == 1\n",
        ),
        ("three/test_three.py", "def test_three(): pass\n"),
        ("three/test_four.py", "def test_four(): pass\n"),
    ]);
    let (code, oracle) = project.pytest(&[]);
    let run = project.test(&["-n", "2"]);
    assert_eq!((run.code, run.outcomes()), (code, oracle), "{}", run.out);
    project.write(
        "two/test_two.py",
        "def test_two():\n    import helper_of_one\n    assert helper_of_one.VALUE\n",
    );
    let run = project.test(&[]);
    assert_eq!((run.code, run.ran()), (0, 1), "{}{}", run.out, run.err);
}

#[test]
fn hooks_that_look_at_all_items_see_all() {
    let project = Project::new(&[
        (
            "conftest.py",
            "def pytest_collection_modifyitems(items):\n    for item in items:\n        item.user_properties.append(('count', len(items)))\n",
        ),
        (
            "test_a.py",
            "def test_a(request): assert ('count', 3) in request.node.user_properties\n",
        ),
        (
            "test_b.py",
            "def test_b(request): assert ('count', 3) in request.node.user_properties\n",
        ),
        (
            "test_c.py",
            "def test_c(request): assert ('count', 3) in request.node.user_properties\n",
        ),
    ]);
    assert_eq!(project.test(&["-n", "2"]).code, 0);
    project.write(
        "test_a.py",
        "def test_a(request): assert ('count', 3) in list(request.node.user_properties)\n",
    );
    let run = project.test(&[]);
    assert_eq!((run.code, run.ran()), (0, 1), "{}{}", run.out, run.err);
    assert!(run.out.contains("may look at all tests"), "{}", run.out);
}

#[test]
fn a_test_that_fails_only_after_others_of_its_file_stays_a_failure() {
    let project = Project::new(&[
        (
            "test_a.py",
            "STATE = []\ndef test_1(): STATE.append(1)\ndef test_2(): assert not STATE\n",
        ),
        ("test_b.py", "def test_b(): pass\n"),
    ]);
    assert_eq!(project.test(&[]).code, 1);
    for _ in 0..2 {
        let run = project.test(&[]);
        assert_eq!(
            (run.code, run.outcome("test_2")),
            (1, "failed"),
            "{}",
            run.out
        );
    }
}

/// The workers that ran tests.
fn workers_of(run: &crate::support::Run) -> std::collections::BTreeSet<String> {
    let tests = run.json["tests"].as_array().into_iter().flatten();
    tests.map(|test| test["worker"].to_string()).collect()
}

#[test]
fn a_long_file_is_shared_out_where_its_tests_have_nothing_in_common() {
    let sleepy = |count: usize, argument: &str| -> String {
        let test = |n: usize| format!("def test_{n}({argument}): time.sleep(0.25)\n");
        (0..count).map(test).collect()
    };
    let head = "import pytest, time\n@pytest.fixture(scope='module')\ndef wide(): return []\n";
    let project = Project::new(&[("test_a.py", &format!("{head}{}", sleepy(12, "")))]);
    // How long they take isn't known at first, and then it is.
    assert_eq!(workers_of(&project.test(&["-n", "2"])).len(), 1);
    let run = project.test(&["-n", "2", "--all"]);
    assert_eq!(workers_of(&run).len(), 2, "{}", run.out);
    assert_eq!(run.outcomes().len(), 12);
    assert_eq!(project.test(&["-n", "2"]).ran(), 0);

    let project = Project::new(&[("test_a.py", &format!("{head}{}", sleepy(12, "wide")))]);
    for _ in 0..2 {
        let run = project.test(&["-n", "2", "--all"]);
        assert_eq!(workers_of(&run).len(), 1, "{}", run.out);
    }
}

#[test]
fn tests_that_lean_on_each_other_are_put_together_again() {
    let tests: String = (0..12)
        .map(|n| format!("def test_{n}():\n    time.sleep(0.25)\n    assert len(SEEN) == {n}\n    SEEN.append(1)\n"))
        .collect();
    let project = Project::new(&[("test_a.py", &format!("import time\nSEEN = []\n{tests}"))]);
    assert_eq!(project.test(&["-n", "2"]).code, 0);
    let run = project.test(&["-n", "2", "--all"]);
    assert_eq!(run.code, 0, "{}", run.out);
    assert!(
        run.out.contains("runs alone in the next 8 runs"),
        "{}",
        run.out
    );
    let run = project.test(&["-n", "2", "--all"]);
    assert_eq!((run.code, workers_of(&run).len()), (0, 1), "{}", run.out);
}

#[test]
fn an_order_that_is_pytests_own_needs_no_single_worker() {
    let tests = "def test_one(wide): assert wide\ndef test_two(wide): assert wide < 3\ndef test_three(): pass\n";
    let project = Project::new(&[
        (
            "pytest.ini",
            "[pytest]\naddopts = -p looks\npythonpath = .\n",
        ),
        // It might have changed the order, and hasn't.
        (
            "looks.py",
            "def pytest_collection_modifyitems(items): pass\n",
        ),
        (
            "conftest.py",
            "import pytest\n@pytest.fixture(params=[1, 2], scope='session')\ndef wide(request): return request.param\n",
        ),
        ("test_a.py", tests),
        ("test_b.py", tests),
    ]);
    let run = project.test(&["-n", "2"]);
    assert_eq!(run.outcomes(), project.pytest(&[]).1);
    assert!(!run.out.contains("one worker"), "{}", run.out);
    project.write(
        "looks.py",
        "def pytest_collection_modifyitems(items): items[:] = items[::2] + items[1::2]\n",
    );
    let run = project.test(&["-n", "2", "--all"]);
    let note = "note: one worker: pytest_collection_modifyitems in";
    assert!(run.out.contains(note), "{}", run.out);
}

#[test]
fn tests_that_wait_get_more_workers_than_cores_if_they_are_to() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let text =
        |work: &str| format!("import time\nnow = time.perf_counter\ndef test_it():\n    {work}\n");
    let project = |work: &str| {
        let files: Vec<(String, String)> = (0..4 * cores)
            .map(|number| (format!("test_{number}.py"), text(work)))
            .collect();
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        Project::new(&files)
    };
    let workers = |run: &Run| {
        let line = run.out.lines().next().unwrap_or_default();
        let count = line
            .split(" · ")
            .find_map(|part| part.strip_suffix(" workers"));
        let count = count.or_else(|| line.contains("1 worker").then_some("1"));
        count
            .and_then(|count| count.parse::<usize>().ok())
            .unwrap_or_default()
    };
    let mut waiting = project("time.sleep(0.9)");
    let first = waiting.test(&["--all", "-n", "auto"]);
    assert_eq!(workers(&first), cores, "{}", first.out);
    for args in [
        &["--all", "-n", "auto"][..],
        &["--all", "-n", "auto", "test_*"],
    ] {
        let more = waiting.test(args);
        if cfg!(target_os = "linux") {
            assert!(workers(&more) > cores, "{}", more.out);
            assert!(
                more.out
                    .contains("more workers than cores: the tests waited"),
                "{}",
                more.out
            );
        }
        assert_eq!((more.code, more.ran()), (0, 4 * cores), "{}", more.out);
    }
    // Nobody asked for it, or for so few tests.
    assert_eq!(workers(&waiting.test(&["--all"])), cores);
    let few = waiting.test(&["--all", "-n", "auto", "test_1.py"]);
    assert_eq!((workers(&few), few.ran()), (1, 1), "{}", few.out);
    waiting.set("PYTEST_XDIST_AUTO_NUM_WORKERS", "1");
    let told = waiting.test(&["--all", "-n", "auto"]);
    assert_eq!(workers(&told), 1, "{}", told.out);

    let busy = project("until = now() + 0.2\n    while now() < until: pass");
    for _ in 0..2 {
        let run = busy.test(&["--all", "-n", "auto"]);
        assert_eq!(workers(&run), cores, "{}", run.out);
    }
}

#[test]
fn a_worker_that_has_collected_its_share_begins_while_others_collect_theirs() {
    if !is_known() {
        return; // each worker makes all items then
    }
    let waits = "import os, time\ndef pytest_generate_tests(metafunc):\n    for _ in range(1500):\n        if not os.path.exists('waits'): return\n        if os.path.exists('began'): return time.sleep(2)\n        time.sleep(0.01)\n    raise AssertionError('the other one waits as well')\ndef test_b(): pass\n";
    let project = Project::new(&[
        ("test_a.py", "def test_a(): open('began', 'w').close()\n"),
        ("test_b.py", waits),
    ]);
    assert_eq!(project.test(&["-n", "2"]).code, 0);
    std::fs::remove_file(project.path().join("began")).expect("it has begun");
    project.write("waits", "");
    let run = project.test(&["-n", "2", "--all"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert_eq!(run.ran(), 2, "{}", run.out);
    // What it waits for in its teardown is no time of the test's.
    let tests = run.json["tests"].as_array().expect("it is reported");
    let of_a = tests.iter().find(|test| test["id"] == "test_a.py::test_a");
    let duration = of_a.and_then(|test| test["duration"].as_f64());
    assert!(duration.expect("it ran") < 2.0, "{:?}", run.json);
}

/// Of the next test nothing may be known but its file while the last one of another file is torn down.
#[test]
fn fixtures_live_on_for_tests_that_are_collected_later() {
    let conftest = |scope: &str| {
        format!(
            "import os, pytest\n@pytest.fixture(scope='{scope}', autouse=True)\ndef {scope}_wide():\n    with open('{scope}.log', 'a') as log: log.write(f'{{os.getpid()}} begins\\n')\n    yield\n    with open('{scope}.log', 'a') as log: log.write(f'{{os.getpid()}} ends\\n')\n"
        )
    };
    let test = "import time\ndef test_it(): time.sleep(0.02)\nclass TestMore:\n    def test_more(self): pass\n";
    let mut files = vec![
        ("conftest.py".to_owned(), conftest("session")),
        ("inner/conftest.py".to_owned(), conftest("package")),
        ("inner/__init__.py".to_owned(), String::new()),
    ];
    for number in 0..6 {
        files.push((format!("inner/test_{number}.py"), test.to_owned()));
        files.push((format!("test_{number}.py"), test.to_owned()));
    }
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (&**path, &**text))
        .collect();
    let project = Project::new(&files);
    for _ in 0..3 {
        for scope in ["session", "package"] {
            let _ = std::fs::remove_file(project.path().join(format!("{scope}.log")));
        }
        let run = project.test(&["-n", "2", "--all"]);
        assert_eq!((run.code, run.ran()), (0, 24), "{}{}", run.out, run.err);
        let lines = |scope: &str| {
            let log = std::fs::read_to_string(project.path().join(format!("{scope}.log")));
            let mut lines: Vec<String> =
                log.unwrap_or_default().lines().map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        // Each worker sets it up once, and tears it down.
        let of_session = lines("session");
        let mut once = of_session.clone();
        once.dedup();
        assert_eq!(of_session, once);
        for log in [of_session, lines("package")] {
            let begun = log.iter().filter(|line| line.ends_with("begins")).count();
            assert!(begun > 0 && begun * 2 == log.len(), "{log:?}");
        }
    }
}
