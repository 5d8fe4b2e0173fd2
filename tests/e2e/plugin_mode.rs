//! `pytest --dx`: plain pytest, and pytest-xdist, with the selection of dx-py's records. Outcomes are pytest's own; what is compared is
//! which tests it runs.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Project, python};

const SHOP: [(&str, &str); 6] = [
    ("shop.py", "def price(): return 2\n"),
    ("stock.py", "def count(): return 3\n"),
    (
        "tests/test_shop.py",
        "import shop\ndef test_price(): assert shop.price() == 2\ndef test_price_again(): assert shop.price() > 0\n",
    ),
    (
        "tests/test_stock.py",
        "import stock\ndef test_count(): assert stock.count() == 3\n",
    ),
    ("tests/test_plain.py", "def test_plain(): pass\n"),
    ("pytest.ini", "[pytest]\npythonpath = .\n"),
];

/// A project, and the package installed as `pip install --target` does it.
struct Plain {
    project: Project,
    site: TempDir,
}

/// What a session of pytest came to.
struct Session {
    code: i32,
    out: String,
    /// The outcomes of the tests that ran, in pytest's words of the short summary.
    ran: BTreeMap<String, String>,
}

impl Session {
    fn ids(&self) -> Vec<&str> {
        let names = self
            .ran
            .keys()
            .map(|id| id.rsplit("::").next().unwrap_or(id));
        names.collect()
    }
}

impl Plain {
    fn new(files: &[(&str, &str)]) -> Self {
        let site = TempDir::new().expect("a temporary folder can be made");
        let worker = Path::new(env!("CARGO_MANIFEST_DIR")).join("worker/dx_py_test_runner");
        symlink(worker, site.path().join("dx_py_test_runner"))
            .expect("the package can be laid out");
        std::fs::create_dir(site.path().join("bin")).expect("the package can be laid out");
        symlink(env!("CARGO_BIN_EXE_dx-py"), site.path().join("bin/dx-py"))
            .expect("the package can be laid out");
        let mut project = Project::new(files);
        project.set("PYTHONPATH", site.path());
        Self { project, site }
    }

    fn shop() -> Self {
        Self::new(&SHOP)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.project.start(&python());
        command.args(["-m", "pytest", "-rA", "-p", "dx_py_test_runner"]);
        command.args(args);
        command
    }

    fn pytest(&self, args: &[&str]) -> Session {
        finish(self.command(args))
    }

    fn record(&self) {
        let run = self.project.test(&[]);
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    }
}

fn finish(mut command: Command) -> Session {
    let output = command.output().expect("pytest can be started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let out = text(&output.stdout) + &text(&output.stderr);
    let outcome = |line: &str| {
        let (outcome, rest) = line.split_once(' ')?;
        let id = rest.split(" - ").next()?;
        let is_outcome = ["PASSED", "FAILED", "ERROR", "XFAIL", "XPASS"].contains(&outcome);
        is_outcome.then(|| (id.to_owned(), outcome.to_owned()))
    };
    Session {
        code: output.status.code().unwrap_or(-1),
        ran: out.lines().filter_map(outcome).collect(),
        out,
    }
}

fn has_xdist() -> bool {
    let status = Command::new(python()).args(["-c", "import xdist"]).output();
    let is_there = status.is_ok_and(|output| output.status.success());
    if !is_there {
        eprintln!("skipped: pytest-xdist isn't installed");
    }
    is_there
}

#[test]
fn without_records_everything_runs_and_nothing_is_left_behind() {
    let plain = Plain::shop();
    let session = plain.pytest(&["--dx"]);
    assert_eq!((session.code, session.ran.len()), (0, 4), "{}", session.out);
    assert!(
        session
            .out
            .contains("dx-py: every test runs: nothing is on record"),
        "{}",
        session.out
    );
    assert!(!plain.project.path().join(".dx").exists());
}

#[test]
fn what_is_fresh_is_left_out_and_an_edit_runs_what_it_can_reach() {
    let plain = Plain::shop();
    plain.record();
    let session = plain.pytest(&["--dx"]);
    assert_eq!((session.code, session.ran.len()), (0, 0), "{}", session.out);
    let told = [
        "dx-py: 4 tests on record, 4 fresh",
        "dx-py: 4 fresh tests left out",
        "4 deselected",
    ];
    for line in told {
        assert!(session.out.contains(line), "{line}: {}", session.out);
    }
    // Without being asked the plugin does nothing.
    assert_eq!(plain.pytest(&[]).ran.len(), 4);
    plain
        .project
        .write("shop.py", "def price(): return 1 + 1\n");
    let session = plain.pytest(&["--dx"]);
    assert_eq!(
        session.ids(),
        ["test_price", "test_price_again"],
        "{}",
        session.out
    );
    assert_eq!(session.code, 0);
    // Nobody observed that they passed.
    assert_eq!(plain.pytest(&["--dx"]).ran.len(), 2);
    plain.record();
    assert_eq!(plain.pytest(&["--dx"]).ran.len(), 0);
    // One test of a file, and a new one.
    plain.project.write(
        "tests/test_shop.py",
        "import shop\ndef test_price(): assert shop.price() == 2\ndef test_price_again(): assert shop.price() > 1\n\
         def test_new(): pass\n",
    );
    assert_eq!(
        plain.pytest(&["--dx"]).ids(),
        ["test_new", "test_price_again"]
    );
}

#[test]
fn a_test_that_failed_is_not_left_out_until_it_has_passed() {
    let plain = Plain::shop();
    plain.record();
    plain.project.write("stock.py", "def count(): return 4\n");
    for _ in 0..2 {
        let session = plain.pytest(&["--dx"]);
        assert_eq!(session.code, 1, "{}", session.out);
        assert_eq!(session.ran["tests/test_stock.py::test_count"], "FAILED");
        assert_eq!(session.ran.len(), 1);
    }
    let (_, history, _) = plain.project.dx(&["history", "test_count"]);
    assert_eq!(history.matches("failed").count(), 2, "{history}");
    // As it was when it passed: it is run once more, and then its pass counts again.
    plain.project.write("stock.py", "def count(): return 3\n");
    assert_eq!(plain.pytest(&["--dx"]).ids(), ["test_count"]);
    assert_eq!(plain.pytest(&["--dx"]).ran.len(), 0);
}

#[test]
fn a_fresh_test_that_failed_all_the_same_is_dirty_for_dx_py_too() {
    let plain = Plain::new(&[
        ("pytest.ini", "[pytest]\npythonpath = .\n"),
        ("dx-py.toml", "serial = ['tests/test_unit.py']\n"),
        // What it reads goes unseen: a moment, say, or what the machine is busy with.
        (
            "tests/test_unit.py",
            "import os\ndef test_one(): assert 'X_MOOD' not in {k.decode(): 1 for k in os.environb}\n\
             def test_two(): pass\n",
        ),
    ]);
    plain.record();
    assert_eq!(plain.pytest(&["--dx"]).ran.len(), 0);
    plain.project.write(
        "tests/test_unit.py",
        "import os\ndef test_one(): assert 'X_MOOD' not in {k.decode(): 1 for k in os.environb}\n\
         def test_two(): assert True\n",
    );
    // The file runs as one unit, so that the fresh test runs too.
    let mut command = plain.command(&["--dx"]);
    command.env("X_MOOD", "bad");
    let session = finish(command);
    assert_eq!(session.ids(), ["test_one", "test_two"], "{}", session.out);
    assert_eq!(session.ran["tests/test_unit.py::test_one"], "FAILED");
    let run = plain.project.test(&[]);
    assert_eq!(run.outcome("test_one"), "passed", "{}", run.out);
}

#[test]
fn other_selections_of_pytest_go_together_with_it() {
    let plain = Plain::shop();
    plain.record();
    plain
        .project
        .write("shop.py", "def price(): return 1 + 1\n");
    let run = |args: &[&str]| {
        let session = plain.pytest(&[&["--dx"], args].concat());
        let ids = session.ids().join(" ");
        (session.code, ids)
    };
    assert_eq!(
        run(&["-k", "again or plain"]),
        (0, "test_price_again".into())
    );
    assert_eq!(run(&["-kplain", "-xq"]), (0, String::new()));
    assert_eq!(run(&["tests/test_stock.py"]), (0, String::new()));
    assert_eq!(
        run(&["tests/test_shop.py::test_price"]),
        (0, "test_price".into())
    );
    // No test at all is no success, and neither is a place that isn't there.
    assert_eq!(run(&["-k", "nothing_like_it"]), (5, String::new()));
    assert_eq!(run(&["tests/none.py"]), (4, String::new()));
    // Options that may bear on outcomes have records of their own.
    assert_eq!(run(&["-W", "error"]).1.split(' ').count(), 4);
    let run = plain.project.test(&["-W", "error"]);
    assert_eq!(run.ran(), 4, "{}", run.out);
    let session = plain.pytest(&["--dx", "-W", "error"]);
    assert_eq!((session.code, session.ran.len()), (0, 0), "{}", session.out);
}

/// Edits that reach some tests through what pytest and Python make of them: code, a conftest, data, a variable, what shadows a module.
const EDITS: [(&str, &str); 9] = [
    ("shop/price.py", "RATE = 3\ndef price(n): return n * RATE\n"),
    ("shop/price.py", "RATE = 2\ndef price(n): return n * RATE\n"),
    ("data/rate.txt", "5"),
    (
        "conftest.py",
        "import pytest\n@pytest.fixture\ndef rate(): return 7\n",
    ),
    ("data/rate.txt", "2"),
    (
        "conftest.py",
        "import pytest\n@pytest.fixture\ndef rate(): return 2\n",
    ),
    ("shop/__init__.py", "raise RuntimeError('no shop today')\n"),
    ("shop/__init__.py", ""),
    (
        "tests/conftest.py",
        "import pytest\n@pytest.fixture\ndef rate(): return 1\n",
    ),
];

#[test]
fn what_is_left_out_passes_in_pytest_and_what_runs_does_as_in_pytest() {
    let plain = Plain::new(&[
        ("pytest.ini", "[pytest]\npythonpath = .\n"),
        ("shop/__init__.py", ""),
        ("shop/price.py", "RATE = 2\ndef price(n): return n * RATE\n"),
        ("data/rate.txt", "2"),
        (
            "conftest.py",
            "import pytest\n@pytest.fixture\ndef rate(): return 2\n",
        ),
        (
            "tests/test_price.py",
            "import pytest\nfrom shop.price import price\n\
             @pytest.mark.parametrize('n', [1, 2])\ndef test_price(n, rate): assert price(n) == n * rate\n\
             class TestRate:\n    def test_rate(self, rate): assert rate < 3\n",
        ),
        (
            "tests/test_data.py",
            "import pathlib\nimport unittest\nDATA = pathlib.Path(__file__).parents[1] / 'data'\n\
             def test_data(): assert (DATA / 'rate.txt').read_text() == '2'\n\
             class Case(unittest.TestCase):\n    def test_listing(self): assert len(list(DATA.iterdir())) == 1\n",
        ),
        ("tests/test_plain.py", "def test_plain(): pass\n"),
    ]);
    plain.record();
    let mut left_out = 0;
    for (at, (file, text)) in EDITS.iter().enumerate() {
        plain.project.write(file, text);
        // Every other state is on record.
        if at % 2 == 1 {
            plain.project.test(&[]);
        }
        let (code, outcomes) = plain.project.pytest(&[]);
        let session = plain.pytest(&["--dx", "--continue-on-collection-errors"]);
        let words = |outcome: &str| outcome.to_lowercase();
        for (id, outcome) in &session.ran {
            if let Some(expected) = outcomes.get(id) {
                assert_eq!(
                    &words(outcome),
                    expected,
                    "{id} after {at}: {}",
                    session.out
                );
            }
        }
        for (id, outcome) in &outcomes {
            if !session.ran.contains_key(id) {
                assert_eq!(outcome, "passed", "{id} after {at}: {}", session.out);
                left_out += 1;
            }
        }
        assert_eq!(session.code, code, "after {at}: {}", session.out);
    }
    assert!(left_out >= 20, "only {left_out} were left out");
}

#[test]
fn workers_of_xdist_leave_out_the_same() {
    if !has_xdist() {
        return;
    }
    let plain = Plain::shop();
    plain.record();
    for distribution in [
        &["-n2"][..],
        &["-n", "2", "--dist", "loadfile"],
        &["-n2", "--dist=loadgroup"],
    ] {
        let session = plain.pytest(&[&["--dx"], distribution].concat());
        assert_eq!((session.code, session.ran.len()), (0, 0), "{}", session.out);
        assert_eq!(session.out.matches("4 tests on record, 4 fresh").count(), 1);
        assert_eq!(
            session.out.matches("dx-py: 4 fresh tests left out").count(),
            1
        );
    }
    plain.project.write("stock.py", "def count(): return 4\n");
    let session = plain.pytest(&["--dx", "-n2"]);
    assert_eq!(
        (session.code, session.ids()),
        (1, vec!["test_count"]),
        "{}",
        session.out
    );
    assert!(
        session.out.contains("dx-py: 3 fresh tests left out"),
        "{}",
        session.out
    );
    let (_, history, _) = plain.project.dx(&["history", "test_count"]);
    assert_eq!(history.matches("failed").count(), 1, "{history}");
    // The group that xdist adds to IDs isn't a part of them.
    plain.project.write(
        "tests/test_plain.py",
        "import pytest\n@pytest.mark.xdist_group('g')\ndef test_plain(): pass\n",
    );
    plain.project.write("stock.py", "def count(): return 3\n");
    assert_eq!(
        plain.pytest(&["--dx", "-n2"]).ids(),
        ["test_plain", "test_count"]
    );
    plain.record();
    let session = plain.pytest(&["--dx", "-n2", "--dist", "loadgroup"]);
    assert_eq!((session.code, session.ran.len()), (0, 0), "{}", session.out);
}

fn git(project: &Project, args: &[&str]) {
    let mut command = project.start(Path::new("git"));
    let identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"];
    let output = command
        .args(identity)
        .args(args)
        .output()
        .expect("git can be started");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn changes_since_a_revision_decide_what_else_is_left_out() {
    let plain = Plain::shop();
    plain
        .project
        .write(".gitignore", ".dx\n__pycache__\n.pytest_cache\n");
    git(&plain.project, &["init", "-q"]);
    git(&plain.project, &["add", "-A"]);
    git(&plain.project, &["commit", "-q", "-m", "one"]);
    plain.record();
    plain
        .project
        .write("shop.py", "def price(): return 1 + 1\n");
    git(&plain.project, &["commit", "-q", "-a", "-m", "two"]);
    plain
        .project
        .write("stock.py", "def count(): return 2 + 1\n");
    let ids = |revision: &str| {
        let session = plain.pytest(&["--dx-changed-since", revision]);
        assert_eq!(session.code, 0, "{}", session.out);
        session.ids().join(" ")
    };
    assert_eq!(ids("HEAD"), "test_count");
    assert_eq!(ids("HEAD~1"), "test_price test_price_again test_count");
    // What nobody knows runs.
    plain
        .project
        .write("tests/test_new.py", "def test_new(): pass\n");
    git(&plain.project, &["add", "-A"]);
    git(&plain.project, &["commit", "-q", "-m", "three"]);
    assert_eq!(ids("HEAD"), "test_new");
    let session = plain.pytest(&["--dx-changed-since", "no-such-revision"]);
    assert_eq!(session.code, 4, "{}", session.out);
    assert!(
        session
            .out
            .contains("git knows no revision `no-such-revision`"),
        "{}",
        session.out
    );
}

#[test]
fn a_session_that_the_records_do_not_compare_with_runs_everything() {
    let plain = Plain::shop();
    plain.record();
    let because = |session: &Session, reason: &str| {
        assert_eq!((session.code, session.ran.len()), (0, 4), "{}", session.out);
        let line = format!("dx-py: every test runs: {reason}");
        assert!(session.out.contains(&line), "{line}: {}", session.out);
    };
    let mut command = plain.project.start(&python());
    command.args([
        "-Wignore",
        "-m",
        "pytest",
        "-rA",
        "-p",
        "dx_py_test_runner",
        "--dx",
    ]);
    because(&finish(command), "Python itself was started with -W");
    let mut command = plain.command(&["--dx"]);
    command.env(
        "PYTHONPATH",
        format!("{}:/nowhere", plain.site.path().display()),
    );
    because(
        &finish(command),
        "nothing is on record for this interpreter",
    );
    // A root directory of its own, by an option and by a configuration.
    let session = plain.pytest(&["--dx", "--rootdir=tests", "tests"]);
    because(&session, "the records here are of ");
    plain
        .project
        .write("tests/pytest.ini", "[pytest]\npythonpath = ..\n");
    let session = plain.pytest(&["--dx", "tests"]);
    because(&session, "nothing is on record for this interpreter");
}

#[test]
fn the_working_directory_counts_where_modules_are_found_in_it() {
    let plain = Plain::new(&[
        ("helper.py", "x = 1\n"),
        (
            "tests/test_a.py",
            "def test_here():\n    import helper\n    assert helper.x\n",
        ),
        ("tests/test_b.py", "def test_other(): pass\n"),
    ]);
    plain.record();
    // `python -m pytest` looks there, as dx-py does, and `pytest` doesn't: pytest fails, and is left to.
    assert_eq!(plain.pytest(&["--dx"]).ran.len(), 0);
    let script = "import sys; del sys.path[0]; import pytest; sys.exit(pytest.main())";
    let mut command = plain.project.start(&python());
    command.args(["-c", script, "-rA", "-p", "dx_py_test_runner", "--dx"]);
    let session = finish(command);
    assert_eq!(session.ids(), ["test_here"], "{}", session.out);
    assert_eq!(session.code, 1);
}

#[test]
fn a_conftest_that_the_records_do_not_know_of_and_that_sees_all_tests_is_heeded() {
    let plain = Plain::shop();
    plain.record();
    plain.project.write(
        "tests/more/conftest.py",
        "def pytest_collection_modifyitems(items): pass\n",
    );
    plain
        .project
        .write("tests/more/test_more.py", "def test_more(): pass\n");
    let session = plain.pytest(&["--dx"]);
    assert_eq!(session.ran.len(), 5, "{}", session.out);
    assert!(
        session.out.contains("has a say in tests of other folders"),
        "{}",
        session.out
    );
}

#[test]
fn tests_with_one_id_run() {
    let plain = Plain::new(&[
        (
            "conftest.py",
            "import pytest\ndef pytest_collection_modifyitems(items): items.append(items[0])\n",
        ),
        ("test_a.py", "def test_one(): pass\ndef test_two(): pass\n"),
    ]);
    plain.record();
    let session = plain.pytest(&["--dx"]);
    assert_eq!(session.ids(), ["test_one"], "{}", session.out);
}

#[test]
fn without_the_command_the_error_says_what_to_do() {
    let plain = Plain::shop();
    std::fs::remove_file(plain.site.path().join("bin/dx-py")).unwrap();
    let session = plain.pytest(&["--dx"]);
    assert_eq!(session.code, 4, "{}", session.out);
    assert!(
        session.out.contains("-m pip install dx-py"),
        "{}",
        session.out
    );
    // One that is broken, or of another version.
    let place = plain.site.path().join("bin/dx-py");
    for (script, told) in [
        ("echo what went wrong >&2; exit 3", "what went wrong"),
        ("echo '{}'", "Both must be of one version"),
    ] {
        std::fs::write(&place, format!("#!/bin/sh\n{script}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&place, mode).unwrap();
        let session = plain.pytest(&["--dx"]);
        assert_eq!(session.code, 4, "{}", session.out);
        assert!(session.out.contains(told), "{}", session.out);
    }
    // Who doesn't ask doesn't need it.
    assert_eq!(plain.pytest(&[]).code, 0);
}

#[test]
fn a_worker_of_dx_py_takes_no_notice_of_it() {
    let plain = Plain::shop();
    plain.project.write(
        "pytest.ini",
        "[pytest]\npythonpath = .\naddopts = -p dx_py_test_runner --dx\n",
    );
    let run = plain.project.test(&[]);
    assert_eq!((run.code, run.ran()), (0, 4), "{}{}", run.out, run.err);
    let run = plain.project.test(&["--all", "-n2"]);
    assert_eq!((run.code, run.ran()), (0, 4), "{}{}", run.out, run.err);
    assert_eq!(plain.project.test(&[]).ran(), 0);
    let mut command = plain.project.start(&python());
    command.args(["-m", "pytest", "-rA"]);
    let session = finish(command);
    assert_eq!((session.code, session.ran.len()), (0, 0), "{}", session.out);
}

/// The records are those of the project in which pytest works with these arguments.
#[test]
fn places_may_lie_in_another_project() {
    let plain = Plain::shop();
    plain.project.write("one/pytest.ini", "[pytest]\n");
    let tests = "def test_one(): pass\ndef test_two(): pass\n";
    plain.project.write("one/test_one.py", tests);
    let run = plain.project.test(&["one"]);
    assert_eq!((run.code, run.ran()), (0, 2), "{}{}", run.out, run.err);
    for named in ["one", "one/test_one.py::test_two"] {
        let session = plain.pytest(&["--dx", named]);
        let told = "dx-py: 2 tests on record, 2 fresh";
        assert!(session.out.contains(told), "{}", session.out);
        assert_eq!(session.ran.len(), 0, "{}", session.out);
    }
}
