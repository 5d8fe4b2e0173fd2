//! Interpreters that are kept warm between runs: forks are like fresh ones, and never stale.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{Project, sees_functions};

/// What a test can find out of its process. Bound ports, numbers of processes and the like are left out.
const FACTS: &str = r#"
import gc, json, locale, logging, os, random, resource, signal, sys, threading, time, warnings

def test_facts():
    mask = os.umask(0)
    os.umask(mask)
    facts = {
        'argv': sys.argv, 'orig_argv': getattr(sys, 'orig_argv', [])[:1] + getattr(sys, 'orig_argv', [])[5:6] + getattr(sys, 'orig_argv', [])[8:], 'path': sys.path,
        'environ': sorted(pair for pair in os.environ.items() if pair[0] not in ('DX_PY_DAEMON', 'PYTEST_XDIST_TESTRUNUID', 'PYTEST_XDIST_WORKER', 'PYTEST_CURRENT_TEST')),
        'cwd': os.getcwd(), 'umask': mask, 'nice': os.nice(0), 'group': os.getpgrp() == os.getpid(), 'session': os.getsid(0),
        'signals': [str(signal.getsignal(one)) for one in sorted(signal.valid_signals())], 'blocked': str(signal.pthread_sigmask(0, [])),
        'limits': [resource.getrlimit(getattr(resource, name)) for name in sorted(dir(resource)) if name.startswith('RLIMIT_')],
        'flags': str(sys.flags), 'meta_path': [str(type(one)) for one in sys.meta_path], 'hooks': len(sys.path_hooks),
        'threads': [one.name for one in threading.enumerate()], 'main': threading.main_thread().ident == threading.get_ident(),
        'native': threading.get_native_id() == os.getpid(), 'gc': [gc.get_threshold(), gc.isenabled(), gc.get_freeze_count() > 0],
        'limit': sys.getrecursionlimit(), 'locale': locale.setlocale(locale.LC_ALL), 'encoding': [sys.stdin.encoding, sys.__stdout__.encoding],
        'buffered': [sys.__stdout__.line_buffering, sys.__stderr__.line_buffering, sys.__stdout__.isatty()],
        'stdin': os.readlink('/proc/self/fd/0'), 'excepthook': str(sys.excepthook)[:20], 'level': logging.root.level,
        'main_file': os.path.basename(sys.modules['__main__'].__file__), 'dont_write': sys.dont_write_bytecode,
        'recent': logging.LogRecord('x', 0, '', 0, '', None, None).relativeCreated < 30000,
        'open': sorted(len(os.readlink(f'/proc/self/fd/{one}').split(':')) for one in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{one}')),
    }
    with open(os.environ['FACTS'], 'a') as file: file.write(json.dumps([os.getppid(), os.getpid(), random.random(), facts]) + '\n')
"#;

pub fn status(project: &Project) -> String {
    project.dx(&["daemon", "status"]).1
}

/// Lets tests write facts about their processes, a line each, into the file `facts` of a folder.
fn keep_facts(project: &mut Project) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("works");
    project.set("FACTS", folder.path().join("facts"));
    folder
}

/// The facts that were written.
fn facts(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).expect("works");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("works"))
        .collect()
}

pub fn pid_in(status: &str) -> u64 {
    let (_, rest) = status.split_once("process ").expect("works");
    rest.split(',')
        .next()
        .expect("works")
        .parse()
        .expect("works")
}

/// How many forks wait at most, however many processors there are.
const MOST_SPARES: usize = 4;

/// The forks of a process.
fn children(pid: u64) -> Vec<u64> {
    let tasks = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(tasks).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect()
}

/// The forks of the interpreter that is kept warm which wait for the next run, once they are there.
fn spares(project: &Project) -> Vec<u64> {
    let zygote = pid_in(&status(project));
    // As it counts them: Rust allows for a control group's share of them as well.
    let mut count = std::process::Command::new(crate::support::python());
    count.args(["-c", "import os; print(len(os.sched_getaffinity(0)))"]);
    let output = count.output().expect("it starts");
    let processors: usize = String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .expect("it is a number");
    let are_there = || children(zygote).len() == processors.min(MOST_SPARES);
    assert!(within(Duration::from_secs(20), are_there));
    children(zygote)
}

fn is_alive(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z")
}

pub fn within(limit: Duration, condition: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < limit {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// A project whose runs keep an interpreter warm.
pub fn warm(files: &[(&str, &str)]) -> Project {
    let mut project = Project::new(files);
    project.set("DX_PY_DAEMON", "1");
    project
}

/// Lets the project's `venv/site-packages` be where packages are installed.
pub fn install_packages(project: &mut Project) {
    let path = project.path().join("venv/site-packages");
    let path: &'static str = path.to_str().expect("works").to_owned().leak();
    project.set("PYTHONPATH", path);
}

pub fn start(project: &Project) -> String {
    let python = crate::support::python();
    let (code, out, err) = project.dx(&[
        "daemon",
        "start",
        "--python",
        python.to_str().expect("works"),
    ]);
    assert_eq!(code, 0, "{err}");
    out
}

#[test]
fn a_fork_is_like_a_fresh_interpreter() {
    let mut project = warm(&[("test_a.py", FACTS), ("test_b.py", FACTS)]);
    let folder = keep_facts(&mut project);
    let path = folder.path().join("facts");
    for workers in ["1", "2"] {
        std::fs::write(&path, "").expect("works");
        project.dx(&["daemon", "stop"]);
        project.set("DX_PY_DAEMON", "0");
        assert_eq!(project.test(&["--all", "-n", workers]).code, 0);
        project.set("DX_PY_DAEMON", "1");
        start(&project);
        let spares = spares(&project);
        let run = project.test(&["--all", "-n", workers]);
        assert_eq!(run.code, 0, "{}", run.out);
        // In a moment after a run, forks are made when they are wanted.
        let run = project.test(&["--all", "-n", workers]);
        assert_eq!(run.code, 0, "{}", run.out);
        // The process's parent, the process, a random number, and the rest by name.
        let all: Vec<(u64, u64, f64, BTreeMap<String, serde_json::Value>)> = facts(&path)
            .into_iter()
            .map(|line| serde_json::from_value(line).expect("works"))
            .collect();
        assert_eq!(all.len(), 6);
        let zygote = pid_in(&status(&project));
        assert!(all[..2].iter().all(|one| one.0 != zygote));
        assert!(all[2..].iter().all(|one| one.0 == zygote));
        if spares.len() >= workers.parse().expect("it is a number") {
            assert!(all[2..4].iter().all(|one| spares.contains(&one.1)));
        }
        let earlier = |pid| all[..4].iter().any(|one| one.1 == pid);
        assert!(!all[4..].iter().any(|one| earlier(one.1)));
        let seed = |facts: &BTreeMap<String, serde_json::Value>| {
            // Each run has a seed of its own, the zygote has one for all of its forks.
            let mut facts = facts.clone();
            let text = facts["environ"].to_string();
            assert_eq!(text.contains("PYTHONHASHSEED"), workers == "2");
            let variables = facts["environ"].as_array().expect("works");
            let is_seed = |pair: &&serde_json::Value| pair[0] != "PYTHONHASHSEED";
            let rest: Vec<_> = variables.iter().filter(is_seed).cloned().collect();
            facts.insert("environ".into(), rest.into());
            facts
        };
        let fresh = seed(&all[0].3);
        for one in &all[2..] {
            for (name, value) in seed(&one.3) {
                // Of one worker the seed isn't set, and its flag says so.
                if workers == "2" || name != "flags" {
                    assert_eq!(value, fresh[&name], "{name}");
                }
            }
        }
        let numbers: BTreeSet<u64> = all.iter().map(|one| one.2.to_bits()).collect();
        assert_eq!(numbers.len(), all.len(), "forks share random numbers");
    }
}

/// pytest's configuration is made ahead in the warm interpreter, which knows neither the arguments nor the variables of a run.
#[test]
fn the_configuration_is_that_of_the_run() {
    const CONFIGURATION: &str = r#"
import json, os, pathlib, sys
import pytest

def of(config):
    manager = config.pluginmanager
    parameters = config.invocation_params
    return {
        "args": parameters.args, "dir": str(parameters.dir), "own": len(parameters.plugins or ()),
        "plugins": sorted(str(name) for name, plugin in manager.list_name_plugin()
                          if plugin is not None and not str(name).isdigit()),
        "cache": config.getini("cache_dir") if manager.hasplugin("cacheprovider") else None,
        "program": config._parser.optparser.prog if hasattr(config._parser, "optparser") else config._parser._getparser().prog,
        "options": {name: str(value) for name, value in vars(config.option).items() if name != "basetemp"},
    }

def test_it(pytestconfig):
    class Taker:
        def pytest_collection(self, session):
            self.inner = of(session.config)
            return True
    taker = Taker()
    pytest.main(["-q", "-p", "no:doctest", "--maxfail", "3", "elsewhere"], plugins=[taker])
    assert taker.inner["args"] == ("-q", "-p", "no:doctest", "--maxfail", "3", "elsewhere")
    assert "doctest" not in taker.inner["plugins"] and taker.inner["own"] == 1
    with open(os.environ["FACTS"], "a") as file:
        file.write(json.dumps([os.getppid(), of(pytestconfig), taker.inner]) + "\n")
"#;
    let mut project = warm(&[
        ("test_a.py", CONFIGURATION),
        ("elsewhere/README", ""),
        ("dx-py.toml", "auto-preload = false\n"),
    ]);
    let folder = keep_facts(&mut project);
    let path = folder.path().join("facts");
    // Arguments, and the value of a variable that pytest asks for.
    let cases: [(&[&str], Option<&str>); 4] = [
        (&[], None),
        (&["--", "-p", "no:cacheprovider", "--tb", "short"], None),
        (&["--", "-pno:cacheprovider"], None),
        (&[], Some("/tmp/elsewhere")),
    ];
    start(&project);
    let zygote = pid_in(&status(&project));
    for (arguments, tox) in cases {
        if let Some(folder) = tox {
            project.set("TOX_ENV_DIR", folder);
        }
        std::fs::write(&path, "").expect("works");
        for daemon in ["0", "1"] {
            project.set("DX_PY_DAEMON", daemon);
            let arguments: Vec<&str> = ["--all", "-n", "1"]
                .iter()
                .chain(arguments)
                .copied()
                .collect();
            let run = project.test(&arguments);
            assert_eq!(run.code, 0, "{}", run.out);
        }
        // The process's parent, and the configurations of the session and of one within the test.
        let rows = facts(&path);
        assert_eq!((rows[0][0] == zygote, rows[1][0] == zygote), (false, true));
        assert_eq!(rows[0][1], rows[1][1], "{arguments:?} {tox:?}");
        assert_eq!(rows[0][2], rows[1][2], "{arguments:?} {tox:?}");
    }
}

#[test]
fn a_run_leaves_one_behind_and_the_next_uses_it() {
    let project = warm(&[(
        "test_a.py",
        "import os\ndef test_a(): print('parent', os.getppid())\n",
    )]);
    let first = project.test(&["-rA"]);
    assert_eq!(first.code, 0, "{}", first.out);
    assert!(within(Duration::from_secs(20), || status(&project)
        .contains("is warm")));
    let pid = pid_in(&status(&project));
    let second = project.test(&["--all", "-rA"]);
    assert!(
        second.out.contains(&format!("parent {pid}")),
        "{}",
        second.out
    );
    assert!(!first.out.contains(&format!("parent {pid}")));
    assert_eq!(
        project.dx(&["daemon", "stop"]).1,
        "ended the warm interpreter\n"
    );
    assert!(within(Duration::from_secs(5), || !is_alive(pid)));
    assert_eq!(status(&project), "no interpreter is kept warm\n");
}

#[test]
fn what_it_has_imported_is_never_stale() {
    let mut project = warm(&[
        ("dx-py.toml", "preload = ['third']\n"),
        ("venv/site-packages/third.py", "VALUE = 1\n"),
        (
            "test_a.py",
            "import os, third\ndef test_a(): print('value', third.VALUE, os.getppid())\n",
        ),
    ]);
    install_packages(&mut project);
    assert!(start(&project).contains("third: 1 modules"));
    let pid = pid_in(&status(&project));
    let first = project.test(&["-rA"]);
    assert!(
        first.out.contains(&format!("value 1 {pid}")),
        "{}",
        first.out
    );
    assert_eq!(project.test(&[]).json["summary"]["ran"], 0);
    let changed = "import fourth\nVALUE = 2\n";
    project.write("venv/site-packages/third.py", changed);
    project.write("venv/site-packages/fourth.py", "");
    let second = project.test(&["-rA"]);
    assert!(second.out.contains("value 2"), "{}", second.out);
    // It ends, or has begun anew as the same process if it saw the change before it was asked for a worker.
    let began_anew = |status: String| status.contains("third: 2 modules") && pid_in(&status) == pid;
    let is_gone = || !is_alive(pid) || began_anew(status(&project));
    assert!(within(Duration::from_secs(20), is_gone));
}

/// Who saves, sees that nothing is to be run, and goes on editing finds it warm then.
#[test]
fn a_run_without_changes_starts_one_and_renews_a_stale_one() {
    let mut project = warm(&[
        ("dx-py.toml", "preload = ['third']\n"),
        ("venv/site-packages/third.py", "VALUE = 1\n"),
        (
            "test_a.py",
            "import os\ndef test_a(): print('parent', os.getppid())\n",
        ),
    ]);
    install_packages(&mut project);
    let is_warm = || {
        within(Duration::from_secs(20), || {
            status(&project).contains("is warm")
        })
    };
    assert_eq!(project.test(&[]).code, 0);
    assert!(is_warm());
    project.dx(&["daemon", "stop"]);
    assert_eq!(project.test(&[]).json["summary"]["ran"], 0);
    assert!(is_warm(), "started by a run without changes");

    let started = |status: &str| status.contains("third: 2 modules");
    assert!(!started(&status(&project)));
    project.write("venv/site-packages/third.py", "import fourth\n");
    project.write("venv/site-packages/fourth.py", "");
    assert_eq!(project.test(&[]).json["summary"]["ran"], 0);
    let is_renewed = within(Duration::from_secs(20), || started(&status(&project)));
    assert!(is_renewed, "{}", status(&project));
    let pid = pid_in(&status(&project));
    let run = project.test(&["--all", "-rA"]);
    assert!(run.out.contains(&format!("parent {pid}")), "{}", run.out);
}

#[test]
fn what_is_no_module_of_its_own_leaves_it_warm() {
    let mut project = warm(&[
        ("lib/mine.py", ""),
        (
            "test_a.py",
            "import os\ndef test_a(): print('parent', os.getppid())\n",
        ),
    ]);
    let lib = project.path().join("lib").display().to_string();
    project.set("PYTHONPATH", lib);
    let pid = pid_in(&start(&project));
    project.write("lib/notes.txt", "");
    project.write("lib/other.py", "");
    let run = project.test(&["--all", "-rA"]);
    assert!(run.out.contains(&format!("parent {pid}")), "{}", run.out);
    // A list of folders under another name, as an installation writes it again.
    for (name, is_same) in [("lib/more-1.pth", false), ("lib/more-2.pth", true)] {
        let pid = pid_in(&start(&project));
        for old in ["lib/more-1.pth", "lib/more-2.pth"] {
            if project.path().join(old).exists() {
                project.remove(old);
            }
        }
        project.write(name, "/nowhere/at/all\n");
        let run = project.test(&["--all", "-rA"]);
        let is_forked = run.out.contains(&format!("parent {pid}"));
        assert_eq!(is_forked, is_same, "{name}: {}", run.out);
    }
    // The same file with something else in it.
    let pid = pid_in(&start(&project));
    project.write("lib/more-2.pth", "/nowhere/at/last\n");
    let run = project.test(&["--all", "-rA"]);
    assert!(!run.out.contains(&format!("parent {pid}")), "{}", run.out);
    project.remove("lib/more-2.pth");
    // A module that hides one that is loaded, and a list of folders that are searched.
    for name in ["lib/more.pth", "lib/statistics.py"] {
        project.dx(&["daemon", "stop"]);
        let pid = pid_in(&start(&project));
        project.write(name, "");
        let run = project.test(&["--all", "-rA"]);
        assert_eq!(run.code, 0, "{}", run.out);
        assert!(!run.out.contains(&format!("parent {pid}")), "{}", run.out);
        project.remove(name);
    }
}

#[test]
fn modules_that_change_the_process_are_not_imported_ahead() {
    let mut project = warm(&[
        (
            "dx-py.toml",
            "preload = ['warner', 'starter', 'setter', 'filter', 'absent', 'mine', 'friend', 'good']\n",
        ),
        ("venv/site-packages/friend.py", "import plugged.helper\n"),
        ("venv/site-packages/plugged/__init__.py", ""),
        (
            "venv/site-packages/plugged/helper.py",
            "def check(): assert 1\n",
        ),
        (
            "venv/site-packages/plugged-1.dist-info/METADATA",
            "Name: plugged\nVersion: 1\n",
        ),
        (
            "venv/site-packages/plugged-1.dist-info/RECORD",
            "plugged/__init__.py,,\nplugged/helper.py,,\n",
        ),
        (
            "venv/site-packages/plugged-1.dist-info/entry_points.txt",
            "[pytest11]\nplugged = plugged\n",
        ),
        ("venv/site-packages/good.py", ""),
        (
            "venv/site-packages/warner.py",
            "import warnings\nwarnings.warn('old', DeprecationWarning)\n",
        ),
        (
            "venv/site-packages/starter.py",
            "import threading, time\nthreading.Thread(target=time.sleep, args=(100,), daemon=True).start()\n",
        ),
        (
            "venv/site-packages/setter.py",
            "import os\nos.environ['A'] = 'b'\n",
        ),
        (
            "venv/site-packages/filter.py",
            "import warnings\nwarnings.simplefilter('ignore')\n",
        ),
        ("lib/mine.py", ""),
        (
            "test_a.py",
            "import sys\ndef test_a(): assert 'good' in sys.modules and not {'warner', 'starter', 'setter', 'mine'} & set(sys.modules)\n",
        ),
    ]);
    let paths: Vec<String> = ["venv/site-packages", "lib"]
        .iter()
        .map(|path| project.path().join(path).display().to_string())
        .collect();
    project.set("PYTHONPATH", paths.join(":"));
    let told = start(&project);
    for line in [
        "good: 1 modules",
        "warner isn't imported ahead: it warns: old",
        "starter isn't imported ahead: it changes threads",
        "setter isn't imported ahead: it changes the environment",
        "filter isn't imported ahead: it changes the filters of warnings",
        "absent isn't imported ahead: it can't be imported: ModuleNotFoundError",
        "mine isn't imported ahead: it isn't installed",
        "friend isn't imported ahead: it imports plugged, which is of a pytest plugin",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert_eq!(project.test(&["-W", "error"]).code, 0);
}

#[test]
fn modules_of_the_project_that_hide_others_keep_it_from_serving() {
    let project = warm(&[
        ("statistics.py", "MINE = 1\n"),
        (
            "test_a.py",
            "import statistics\ndef test_a(): assert statistics.MINE\n",
        ),
    ]);
    let run = project.test(&[]);
    assert_eq!(run.code, 0, "{}", run.out);
    assert!(within(Duration::from_secs(20), || status(&project)
        .contains("statistics.py hides a module")));
    assert_eq!(project.test(&["--all"]).code, 0);

    let project = warm(&[(
        "test_a.py",
        "import sys\ndef test_a(): assert not hasattr(__import__('statistics'), 'MINE')\n",
    )]);
    start(&project);
    assert_eq!(project.test(&[]).code, 0);
    project.write("statistics.py", "MINE = 1\n");
    assert_eq!(project.test(&["--all"]).code, 1);
}

#[test]
fn workers_end_with_whoever_asked_for_them() {
    let project = warm(&[(
        "test_a.py",
        "import os, time\ndef test_a():\n    open('pid', 'w').write(str(os.getpid()))\n    time.sleep(60)\n",
    )]);
    start(&project);
    let zygote = pid_in(&status(&project));
    let mut child = project
        .command(&[
            "test",
            "-n",
            "1",
            "--python",
            crate::support::python().to_str().expect("works"),
        ])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("works");
    let read = || {
        std::fs::read_to_string(project.path().join("pid"))
            .ok()?
            .parse::<u64>()
            .ok()
    };
    assert!(within(Duration::from_secs(20), || read().is_some()));
    let worker = read().expect("works");
    child.kill().expect("works");
    child.wait().expect("works");
    assert!(within(Duration::from_secs(2), || !is_alive(worker)));
    assert!(is_alive(zygote));
    std::fs::remove_dir_all(project.path().join(".dx")).expect("works");
    assert!(within(Duration::from_secs(6), || !is_alive(zygote)));
}

#[test]
fn spares_end_with_the_interpreter_and_one_that_has_died_is_not_missed() {
    let project = warm(&[
        ("test_a.py", "def test_a(): pass\n"),
        ("test_b.py", "def test_b(): pass\n"),
    ]);
    start(&project);
    let (zygote, before) = (pid_in(&status(&project)), spares(&project));
    let kill = |pid: u64| {
        let mut kill = std::process::Command::new("kill");
        assert!(kill.arg("-9").arg(pid.to_string()).status().is_ok());
    };
    // The last one is asked first.
    let dead = *before.last().expect("there is one");
    kill(dead);
    let run = project.test(&["--all", "-n", "2"]);
    assert_eq!(run.code, 0, "{}", run.out);
    assert!(run.out.contains("2 passed"), "{}", run.out);
    assert!(!run.out.contains("died"), "{}", run.out);
    let after = spares(&project);
    assert!(!after.contains(&dead));
    kill(zygote);
    let are_gone = || after.iter().all(|spare| !is_alive(*spare));
    assert!(within(Duration::from_secs(2), are_gone));
}

/// Whether a file can be compiled only the interpreter knows; one that is warm needn't be started for that.
#[test]
fn a_file_that_cannot_be_compiled_is_noticed() {
    let project = warm(&[
        ("dx-py.toml", "select = 'symbol'\n"),
        (
            "lib.py",
            "def used():\n    return 1\n\n\ndef unused():\n    return 1\n",
        ),
        (
            "test_a.py",
            "import lib\n\n\ndef test_a():\n    assert lib.used() == 1\n",
        ),
    ]);
    start(&project);
    assert_eq!(project.test(&[]).code, 0);
    let edited = |body: &str| format!("def used():\n    return 1\n\n\ndef unused():\n    {body}\n");
    project.write("lib.py", &edited("return 2"));
    let run = project.test(&[]);
    // Nobody reaches what was changed, but for where functions aren't seen.
    assert_eq!(run.code, 0, "{}", run.out);
    for body in ["break", "return 1 is 1"] {
        project.write("lib.py", &edited("return 3"));
        assert_eq!(project.test(&[]).code, 0);
        project.write("lib.py", &edited(body));
        let run = project.test(&[]);
        assert!(!run.out.contains("nothing to run"), "{body}: {}", run.out);
        assert_eq!(run.code, i32::from(body == "break"), "{body}: {}", run.out);
    }
}

/// Workers find the code of a module that has changed, and don't compile it.
#[test]
fn a_module_that_has_changed_is_compiled_once() {
    // Runs of tests keep records of their own there, which are no input.
    let conftest = "import os, sys\nos.makedirs('.hypothesis', exist_ok=True)\n\ndef hear(event, args):\n    if event == 'compile' and str(args[1]).endswith('lib.py'):\n        open('.hypothesis/compiled', 'a').close()\n\nsys.addaudithook(hear)\nimport pkg.lib\n";
    let project = warm(&[
        ("dx-py.toml", "select = 'symbol'\n"),
        ("conftest.py", conftest),
        ("pkg/__init__.py", ""),
        ("pkg/lib.py", "def f():\n    return 1\n"),
        (
            "test_a.py",
            "import pkg.lib\ndef test_a(): assert pkg.lib.f() < 3\n",
        ),
        (
            "test_b.py",
            "import pkg.lib\ndef test_b(): assert pkg.lib.f() != 4\n",
        ),
    ]);
    let kept = || {
        let entries = std::fs::read_dir(project.path().join(".dx/bytecode"));
        let entries = entries.into_iter().flatten();
        let names = entries.map(|entry| entry.expect("works").file_name());
        names.collect::<BTreeSet<_>>()
    };
    start(&project);
    let log = project.path().join(".hypothesis/compiled");
    assert_eq!(project.test(&["-n", "2"]).code, 0);
    assert!(log.exists());
    let first = kept();
    let mut seen = BTreeSet::new();
    for (body, failed) in [("return 2", 0), ("return 30", 1), ("return 4", 2)] {
        std::fs::remove_file(&log).ok();
        project.write("pkg/lib.py", &format!("def f():\n    {body}\n"));
        let run = project.test(&["-n", "2"]);
        let failures = run
            .outcomes()
            .values()
            .filter(|one| *one == "failed")
            .count();
        assert_eq!((run.ran(), failures), (2, failed), "{}", run.out);
        // Where no functions are seen it isn't asked in time whether it can be compiled.
        if sees_functions() {
            assert!(!log.exists(), "{body}");
            let new: Vec<_> = kept().difference(&first).cloned().collect();
            assert_eq!(new.len(), 1, "{new:?}");
            assert!(seen.insert(new), "{body}");
        }
    }
}

#[test]
fn a_worker_that_dies_is_told_as_ever() {
    let project = warm(&[(
        "test_a.py",
        "import os, signal\ndef test_a(): os._exit(7)\ndef test_b(): os.kill(os.getpid(), signal.SIGSEGV)\ndef test_c(): pass\n",
    )]);
    start(&project);
    let run = project.test(&["-n", "1", "--no-second-opinion"]);
    assert!(run.out.contains("died: exit code 7"), "{}", run.out);
    assert!(run.out.contains("died: signal 11 (SIGSEGV)"), "{}", run.out);
    assert!(run.out.contains("1 passed"), "{}", run.out);
}

#[test]
fn a_ci_system_gets_none() {
    let mut project = Project::new(&[("test_a.py", "def test_a(): pass\n")]);
    project.set("DX_PY_DAEMON", "");
    project.set("CI", "true");
    assert_eq!(project.test(&[]).code, 0);
    assert!(!project.path().join(".dx/zygote").exists());
}

#[test]
fn one_that_waits_for_its_last_worker_leaves_the_next_alone() {
    let mut project = warm(&[
        ("dx-py.toml", "preload = ['third']\n"),
        ("venv/site-packages/third.py", "VALUE = 1\n"),
        (
            "test_a.py",
            "import os, time\ndef test_a():\n    open('begun', 'w').close()\n    while not os.path.exists('go'): time.sleep(0.01)\n",
        ),
        ("test_b.py", "def test_b(): pass\n"),
    ]);
    let path = project.path().join("venv/site-packages");
    project.set("PYTHONPATH", path);
    start(&project);
    let old = pid_in(&status(&project));
    let python = crate::support::python();
    let mut child = project
        .command(&["test", "-n", "1", "test_a.py", "--python"])
        .arg(python)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the binary can be started");
    let begun = project.path().join("begun");
    assert!(within(Duration::from_secs(20), || begun.exists()));
    project.write("venv/site-packages/third.py", "VALUE = 2 # changed\n");
    assert_eq!(project.test(&["-n", "1", "test_b.py"]).code, 0);
    let serves = || status(&project).contains("is warm");
    assert!(within(Duration::from_secs(20), serves));
    let new = pid_in(&status(&project));
    assert_ne!(new, old);
    project.write("go", "");
    assert!(child.wait().expect("it ends").success());
    assert!(within(Duration::from_secs(5), || !is_alive(old)));
    assert_eq!(pid_in(&status(&project)), new);
}
