//! Modules that a warm interpreter imports ahead since tests were seen to import them: those for which it makes no difference.

use std::time::Duration;

use crate::daemon::{install_packages, pid_in, start, status, warm, within};
use crate::support::{Project, Run};

/// Its import takes long enough to be worth it.
const SLOW: &str = "import time\ntime.sleep(0.02)\n";

/// A project with one test file, whose packages are the `modules`, and what to put before them.
fn project(test: &str, modules: &[(&str, &str)], files: &[(&str, &str)]) -> Project {
    let mut project = warm(files);
    for (name, text) in modules {
        let text = format!("{SLOW}{text}");
        project.write(&format!("venv/site-packages/{name}"), &text);
    }
    project.write("test_a.py", test);
    install_packages(&mut project);
    project
}

/// Runs everything, and waits until the warm interpreter is said to be as it is to be.
fn learn(project: &Project, is_it: impl Fn(&str) -> bool) -> Run {
    let run = project.test(&["--all", "-rA"]);
    let told = within(Duration::from_secs(30), || is_it(&status(project)));
    assert!(told, "{}", status(project));
    run
}

/// Runs everything in a fork of the warm interpreter.
fn run_warm(project: &Project) -> Run {
    let run = project.test(&["--all", "-rA"]);
    assert!(run.out.contains("a fork: True"), "{}", run.out);
    run
}

const IS_FORK: &str = "import os\ndef test_fork():\n    with open(f'/proc/{os.getppid()}/cmdline') as file: print('a fork:', 'zygote' in file.read())\n";

#[test]
fn what_tests_import_is_imported_ahead_if_that_is_the_same() {
    let modules = [
        ("plain.py", "VALUE = 1\n"),
        ("asks.py", "import os\nVALUE = os.environ.get('SOME', '')\n"),
        ("asks_all.py", "import os\nVALUE = dict(os.environ)\n"),
        ("terminal.py", "import os\nVALUE = os.environ.get('TERM')\n"),
        (
            "in_worker.py",
            "import os\nVALUE = os.environ.get('PYTEST_XDIST_WORKER')\n",
        ),
        ("pid.py", "import os\nVALUE = os.getpid()\n"),
        ("clock.py", "import time\nVALUE = time.time()\n"),
        ("chance.py", "import random\nVALUE = random.Random()\n"),
        ("certain.py", "import random\nVALUE = random.Random(1)\n"),
        (
            "drawn.py",
            "import random\nVALUE = random.Random().random()\n",
        ),
        ("seeded.py", "import random\nrandom.seed(1)\n"),
        (
            "native.py",
            "import _random\nVALUE = _random.Random()\nVALUE.seed()\n",
        ),
        (
            "library.py",
            "import ctypes.util\nVALUE = ctypes.util.find_library('c')\n",
        ),
        ("secret.py", "import uuid\nVALUE = uuid.uuid4()\n"),
        ("stream.py", "import sys\nVALUE = [sys.stdout]\n"),
        (
            "config.py",
            "import os\nVALUE = os.path.exists('settings.ini')\n",
        ),
        ("writes.py", "import tempfile\nVALUE = tempfile.mkstemp()\n"),
        (
            "starts.py",
            "import subprocess\nVALUE = subprocess.run(['true'])\n",
        ),
        ("replaced.py", ""),
        ("needs.py", "import replaced\nVALUE = replaced\n"),
        (
            "ends.py",
            "import os, sys\nif 'pytest' not in sys.argv[0] and os.environ.get('PYTEST_VERSION') is None and 'test_a' not in sys.modules: os._exit(3)\n",
        ),
        (
            "threads.py",
            "import threading\nVALUE = threading.Event()\nthreading.Thread(target=VALUE.wait, args=(60,), daemon=True).start()\n",
        ),
        ("sub/__init__.py", ""),
        ("sub/part.py", "VALUE = 2\n"),
    ];
    let test = format!(
        "import sys\nimport plain, asks, asks_all, terminal, in_worker, pid, clock, chance, certain, drawn, seeded, native, library, secret, stream, config, writes, starts, needs, ends, threads, sub.part\n{IS_FORK}def test_a():\n    assert pid.VALUE == os.getpid() and needs.VALUE == 1 and stream.VALUE\n    assert plain.VALUE == 1 and sub.part.VALUE == 2\n"
    );
    let conftest = "import sys\nsys.modules['replaced'] = 1\n";
    let project = project(&test, &modules, &[("conftest.py", conftest)]);
    let run = learn(&project, |status| status.contains("as tests import it"));
    assert_eq!(run.code, 0, "{}", run.out);
    let told = status(&project);
    for line in [
        "plain: 1 modules, as tests import it",
        "sub: 1 modules, as tests import it",
        "sub.part: 1 modules, as tests import it",
        "asks: 1 modules, as tests import it",
        "asks_all isn't imported ahead: it asks for all variables",
        "terminal isn't imported ahead: it asks for the variable TERM",
        "in_worker isn't imported ahead: it asks for the variable PYTEST_XDIST_WORKER",
        "pid isn't imported ahead: it calls posix.getpid",
        "clock isn't imported ahead: it calls time.time",
        "chance: 1 modules, as tests import it",
        "certain: 1 modules, as tests import it",
        "drawn isn't imported ahead: it calls Random.random",
        "seeded isn't imported ahead: it calls Random.seed",
        "native isn't imported ahead: it calls Random.seed",
        "  library: ",
        "secret isn't imported ahead: it calls posix.urandom",
        "stream isn't imported ahead: it keeps a standard stream",
        "config isn't imported ahead: it looks at ",
        "writes isn't imported ahead: it ",
        "starts isn't imported ahead: it starts a process",
        "needs isn't imported ahead: it imports replaced, which the tests do not",
        "ends isn't imported ahead: it ends the interpreter",
        "threads isn't imported ahead: it changes threads",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    let run = run_warm(&project);
    assert_eq!(run.code, 0, "{}", run.out);
}

/// A generator that begins by chance does so in each fork, and one that begins with a number goes on from there.
#[test]
fn generators_of_random_numbers_begin_anew_in_each_fork() {
    let modules = [(
        "chance.py",
        "import random\nBY_CHANCE, CERTAIN = random.Random(), random.Random(1)\n",
    )];
    let test = format!(
        "import chance, random\n{IS_FORK}def test_a():\n    assert chance.CERTAIN.random() == random.Random(1).random()\n    print('drawn:', chance.BY_CHANCE.random(), 'end')\n"
    );
    let project = project(&test, &modules, &[]);
    learn(&project, |status| {
        status.contains("chance: 1 modules, as tests import it")
    });
    let drawn = || {
        let run = run_warm(&project);
        assert_eq!(run.code, 0, "{}", run.out);
        let (_, rest) = run.out.split_once("drawn: ").expect("it says so");
        rest.split(" end").next().expect("there is one").to_owned()
    };
    assert_ne!(drawn(), drawn());
}

const ASKS: (&str, &str) = (
    "asks.py",
    "import os\nVALUE = os.environ.get('SOME', 'nothing')\n",
);

/// A project whose tests import a module that asks for a variable, and say what it has heard.
fn asking(conftest: &str) -> Project {
    let test = format!("import asks\n{IS_FORK}def test_a(): print('heard:', asks.VALUE)\n");
    let project = project(&test, &[ASKS], &[("conftest.py", conftest)]);
    learn(&project, |status| {
        status.contains(ASKED_AHEAD) || status.contains("isn't imported")
    });
    project
}

const ASKED_AHEAD: &str = "asks: 1 modules, as tests import it";

/// What was imported ahead has asked for variables: it isn't there for a run where one has another value.
#[test]
fn variables_that_were_asked_for_ahead_are_compared() {
    let mut project = asking("");
    let heard = |project: &Project, value: &str| {
        let run = project.test(&["--all", "-rA"]);
        let line = format!("heard: {value}");
        assert!(run.code == 0 && run.out.contains(&line), "{}", run.out);
        run.out.contains("a fork: True")
    };
    assert!(heard(&project, "nothing"));
    for (name, value) in [("OTHER", "nothing"), ("SOME", "first"), ("SOME", "second")] {
        project.set(name, value);
        let is_fork = heard(&project, value);
        assert_eq!(is_fork, name == "OTHER", "{name}={value}");
        // An interpreter that is new may serve a run before it has imported anything ahead.
        let is_warm = || heard(&project, value) && status(&project).contains(ASKED_AHEAD);
        assert!(within(Duration::from_secs(30), is_warm), "{name}={value}");
    }
}

/// A conftest that comes to set a variable is in time: the worker starts over as a fresh interpreter.
#[test]
fn a_conftest_sets_variables_before_what_was_imported_ahead_asks() {
    for after in [
        "",
        "import asks\nassert asks.VALUE == 'by conftest', 'heard otherwise'\n",
    ] {
        let project = asking("");
        run_warm(&project);
        let conftest = format!("import os\nos.environ['SOME'] = 'by conftest'\n{after}");
        project.write("conftest.py", &conftest);
        for _ in 0..2 {
            let run = project.test(&["--all", "-rA"]);
            assert_eq!(run.code, 0, "{}{}", run.out, run.err);
            assert!(run.out.contains("heard: by conftest"), "{}", run.out);
        }
    }
}

/// So is one that sets it for the time of an import.
#[test]
fn variables_that_are_changed_for_a_moment_are_not_asked_ahead() {
    let conftest = "import os\nfrom unittest import mock\nwith mock.patch.dict(os.environ, SOME='for a moment'): import asks\n";
    let project = asking(conftest);
    let told = status(&project);
    let line = "asks isn't imported ahead: it asks for the variable SOME";
    assert!(told.contains(line), "{told}");
    let run = run_warm(&project);
    assert!(run.out.contains("heard: for a moment"), "{}", run.out);
}

/// A test file that comes to set a variable is too late for once; nothing is recorded of what its tests do then.
#[test]
fn tests_after_a_variable_was_changed_too_late_run_again() {
    let project = asking("");
    run_warm(&project);
    let test = format!(
        "import os\nos.environ['SOME'] = 'by test'\nimport asks\n{IS_FORK}def test_a(): print('heard:', asks.VALUE)\ndef test_b(): assert asks.VALUE == 'by test'\n"
    );
    project.write("test_a.py", &test);
    project.test(&["-rA"]);
    let run = project.test(&["-rA"]);
    assert_eq!(run.code, 0, "{}", run.out);
    assert!(run.out.contains("heard: by test"), "{}", run.out);
}

/// Which distributions there are may be asked ahead; those in the project's folders as well.
#[test]
fn distributions_that_were_asked_for_ahead_are_compared() {
    let modules = [(
        "versions.py",
        "import importlib.metadata as m\nVALUE = {each.metadata['Name']: each.version for each in m.distributions() if each.metadata['Name'] == 'some'}\n",
    )];
    let test =
        format!("import versions\n{IS_FORK}def test_a(): print('there are:', versions.VALUE)\n");
    let project = project(&test, &modules, &[]);
    let is_ahead = |status: &str| status.contains("versions: 1 modules, as tests import it");
    learn(&project, is_ahead);
    let run = run_warm(&project);
    assert!(run.out.contains("there are: {}"), "{}", run.out);
    for version in ["1", "2"] {
        project.write(
            "some.dist-info/METADATA",
            &format!("Metadata-Version: 2.1\nName: some\nVersion: {version}\n"),
        );
        let line = format!("there are: {{'some': '{version}'}}");
        let run = project.test(&["--all", "-rA"]);
        assert!(run.out.contains(&line), "{}", run.out);
        learn(&project, is_ahead);
        let run = run_warm(&project);
        assert!(run.out.contains(&line), "{}", run.out);
    }
}

/// Code that a worker had to make of bytecode is kept for the next ones, which make none of the same bytes.
#[test]
fn code_is_kept_between_runs() {
    for bytecode in ["", "1"] {
        let mut project = warm(&[
            ("lib.py", "def value(): return 1\n"),
            (
                "conftest.py",
                "import importlib, lib, pytest\n@pytest.fixture\ndef made(): return sorted(path.rpartition('/')[2] for path in importlib._bootstrap_external.marshal.loads.__self__._missed)\n",
            ),
            (
                "test_a.py",
                &format!(
                    "import lib\n{IS_FORK}def test_a(made):\n    print('made:', len(made), made, 'value', lib.value())\n"
                ),
            ),
        ]);
        project.set("PYTHONDONTWRITEBYTECODE", bytecode);
        start(&project);
        let made = |expected: &str| {
            within(Duration::from_secs(30), || {
                let run = project.test(&["--all", "-rA"]);
                assert_eq!(run.code, 0, "{}", run.out);
                run.out.contains(expected)
            })
        };
        // Those of the test file, of the conftest and of the module are made of bytes once these are there.
        assert!(made("made: 0 [] value 1"), "{bytecode}");
        project.write("lib.py", "def value(): return 23\n");
        assert!(made("value 23"), "{bytecode}");
        assert!(made("made: 0 [] value 23"), "{bytecode}");
    }
}

/// pytest rewrites the assertions of plugins; what they say is the same in a fork.
#[test]
fn plugins_are_imported_ahead_with_their_assertions_rewritten() {
    for bytecode in ["", "1"] {
        plugins_are_imported_ahead(bytecode);
    }
}

/// With bytecode that Python keeps, and without.
fn plugins_are_imported_ahead(bytecode: &'static str) {
    let modules = [
        (
            "plugged/__init__.py",
            "import pytest\nfrom . import helper\n@pytest.fixture\ndef check(): return helper.check\n",
        ),
        (
            "plugged/helper.py",
            "def check(number): assert number == 3\n",
        ),
        (
            "friend.py",
            "import plugged.helper\ncheck = plugged.helper.check\n",
        ),
    ];
    let test = format!(
        "import friend, pytest\n{IS_FORK}def test_a(check):\n    for one in (check, friend.check):\n        with pytest.raises(AssertionError) as info: one(4)\n        print('it says', str(info.value).splitlines())\n"
    );
    let info = "venv/site-packages/plugged-1.dist-info";
    let mut project = project(
        &test,
        &modules,
        &[
            (&format!("{info}/METADATA"), "Name: plugged\nVersion: 1\n"),
            (
                &format!("{info}/RECORD"),
                "plugged/__init__.py,,\nplugged/helper.py,,\n",
            ),
            (
                &format!("{info}/entry_points.txt"),
                "[pytest11]\nplugged = plugged\n",
            ),
        ],
    );
    project.set("PYTHONDONTWRITEBYTECODE", bytecode);
    let said = |run: &Run| run.out.matches("it says ['assert 4 == 3']").count();
    let run = learn(&project, |status| {
        status.contains("friend: 3 modules, as tests import it")
    });
    assert_eq!((run.code, said(&run)), (0, 2), "{}", run.out);
    let run = run_warm(&project);
    assert_eq!((run.code, said(&run)), (0, 2), "{}", run.out);
    assert!(!run.out.contains("cannot be rewritten"), "{}", run.out);
}

/// Code that isn't Python may ask for variables unseen.
#[test]
fn native_code_is_not_imported_ahead_where_variables_are_changed() {
    let test = format!("import plain, native\n{IS_FORK}def test_a(): import xxlimited\n");
    let modules = [("plain.py", ""), ("native.py", "import xxlimited\n")];
    let project = project(&test, &modules, &[]);
    let output = std::process::Command::new(crate::support::python())
        .args(["-c", "import xxlimited; print(xxlimited.__file__)"])
        .output()
        .expect("it starts");
    let file = String::from_utf8(output.stdout).expect("it is a path");
    let file = std::path::Path::new(file.trim());
    let packages = project.path().join("venv/site-packages");
    let name = file.file_name().expect("it is a file");
    std::fs::copy(file, packages.join(name)).expect("works");
    let (plain, native) = ("plain: 1 modules", "native: 2 modules, as tests import it");
    learn(&project, |status| {
        status.contains(plain) && status.contains(native)
    });
    assert_eq!(run_warm(&project).code, 0);
    project.write("conftest.py", "import os\nos.environ['SOME'] = 'value'\n");
    let run = project.test(&["--all", "-rA"]);
    assert_eq!(run.code, 0, "{}", run.out);
    learn(&project, |status| {
        status.contains(plain)
            && status
                .contains("native isn't imported ahead: it brings xxlimited, which isn't Python")
    });
    assert_eq!(run_warm(&project).code, 0);
    project.write("conftest.py", "");
    learn(&project, |status| status.contains(native));
}

/// Nor is anything where it can't be told which.
#[test]
fn nothing_is_imported_ahead_where_the_environment_is_changed_unseen() {
    let test = format!("import plain\n{IS_FORK}");
    let project = project(&test, &[("plain.py", "")], &[]);
    learn(&project, |status| {
        status.contains("plain: 1 modules, as tests import it")
    });
    project.write(
        "conftest.py",
        "import os\nos.environ._data[b'SOME'] = b'value'\n",
    );
    learn(&project, |status| {
        status.contains("is warm") && !status.contains("plain")
    });
    assert_eq!(run_warm(&project).code, 0);
    project.write("conftest.py", "");
    learn(&project, |status| {
        status.contains("plain: 1 modules, as tests import it")
    });
}

#[test]
fn what_was_imported_ahead_is_never_out_of_date() {
    let test = format!("import plain\n{IS_FORK}def test_a(): print('value', plain.VALUE)\n");
    let read = "import os\nwith open(os.path.join(os.path.dirname(__file__), 'data.txt')) as file: VALUE = file.read()\n";
    let project = project(&test, &[("plain.py", read)], &[]);
    project.write("venv/site-packages/data.txt", "one");
    let is_loaded = |status: &str| status.contains("plain: 1 modules, as tests import it");
    learn(&project, is_loaded);
    assert!(run_warm(&project).out.contains("value one"));
    project.write("venv/site-packages/data.txt", "other");
    let run = learn(&project, is_loaded);
    assert!(run.out.contains("value other"), "{}", run.out);
    assert!(run_warm(&project).out.contains("value other"));
    // A module of the project's that hides it.
    project.write("plain.py", "VALUE = 'mine'\n");
    let run = learn(&project, |status| {
        status.contains("is warm") && !is_loaded(status)
    });
    assert!(run.out.contains("value mine"), "{}", run.out);
    assert!(run_warm(&project).out.contains("value mine"));
}

#[test]
fn it_serves_while_modules_are_tried() {
    let slow = "import time\ntime.sleep(1)\n";
    let test =
        format!("import plain\n{IS_FORK}def test_slow():\n    __import__('time').sleep(2)\n");
    let project = project(&test, &[("plain.py", slow)], &[]);
    start(&project);
    project.test(&["--all"]);
    let pid = pid_in(&status(&project));
    assert!(!status(&project).contains("plain"));
    // Its fork is there when the one ends in which the module was tried.
    assert_eq!(run_warm(&project).code, 0);
    learn(&project, |status| {
        status.contains("plain: 1 modules, as tests import it")
    });
    assert_eq!(pid_in(&status(&project)), pid);
}

#[test]
fn it_can_be_turned_off() {
    let config = [("dx-py.toml", "auto-preload = false\n")];
    let project = project(
        "import plain\ndef test_a(): pass\n",
        &[("plain.py", "")],
        &config,
    );
    project.test(&[]);
    assert!(!start(&project).contains("plain"));
    project.test(&["--all"]);
    assert!(!status(&project).contains("plain"), "{}", status(&project));
    assert!(!project.path().join(".dx/zygote/preloads").exists());
}

/// A module may write when it is imported, so that what was imported before is out of date each time.
#[test]
fn one_that_is_stale_after_each_trial_tries_no_more() {
    let modules = [
        ("plain.py", "VALUE = 1\n"),
        ("touches.py", "import os, plain\nos.utime(plain.__file__)\n"),
    ];
    let test = format!("import plain, touches\n{IS_FORK}");
    let project = project(&test, &modules, &[]);
    // When the interpreter that serves has begun.
    let began = || {
        let folder = std::fs::read_dir(project.path().join(".dx/zygote")).ok()?;
        let states = folder.flatten().map(|entry| entry.path());
        let state = states.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
        let text = std::fs::read_to_string(state.last()?).ok()?;
        let state: serde_json::Value = serde_json::from_str(&text).ok()?;
        (state["trying"] == false).then(|| state["started"].to_string())
    };
    let lasts = || {
        let before = began();
        std::thread::sleep(Duration::from_secs(2));
        before.is_some() && began() == before
    };
    assert_eq!(project.test(&["--all"]).code, 0);
    assert!(within(Duration::from_secs(60), lasts));
    run_warm(&project);
}
