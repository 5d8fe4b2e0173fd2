//! `dx-py test --watch`: what starts a run, what ends one, and the keys.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::support::Project;

const FOOT: &str = "watching · ";
/// A run that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// A command that watches a project.
struct Watching {
    child: Child,
    output: Receiver<Vec<u8>>,
    seen: String,
}

impl Watching {
    fn new(project: &Project, args: &[&str]) -> Self {
        let python = crate::support::python();
        let python = ["--python", python.to_str().expect("the path is UTF-8")];
        let mut child = project
            .command(&[&["test", "--watch"], &python[..], args].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the binary can be started");
        let mut stdout = child.stdout.take().expect("it is piped");
        let (send, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                if send.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            output,
            seen: String::new(),
        }
    }

    /// What was printed up to and with a text.
    fn until(&mut self, text: &str) -> String {
        let began = Instant::now();
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            let left = LIMIT.saturating_sub(began.elapsed());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("no {text:?} ({error}) in:\n{}", self.seen),
            }
        }
    }

    /// What a run printed.
    fn run(&mut self) -> String {
        self.until(FOOT)
    }

    fn type_in(&mut self, keys: &str) {
        let stdin = self.child.stdin.as_mut().expect("it is piped");
        stdin
            .write_all(keys.as_bytes())
            .and_then(|()| stdin.flush())
            .expect("it listens");
    }

    fn end(mut self) -> i32 {
        let status = self.child.wait().expect("it is a child of this process");
        status.code().expect("no signal ended it")
    }
}

fn shop() -> Project {
    Project::new(&[
        ("lib.py", "def f(): return 1\n"),
        (
            "test_a.py",
            "import lib\ndef test_a(): assert lib.f() == 1\n",
        ),
        ("test_b.py", "def test_b(): pass\n"),
    ])
}

#[test]
fn each_change_runs_what_it_can_reach() {
    let project = shop();
    let mut watching = Watching::new(&project, &["-n", "1"]);
    assert!(watching.run().contains("2 passed"));

    project.write("lib.py", "def f(): return 2\n");
    let failed = watching.run();
    assert!(failed.contains("changed: lib.py"), "{failed}");
    assert!(
        failed.contains("1 failed") && failed.contains("1 fresh"),
        "{failed}"
    );

    // As editors save: another file takes the place of the old one.
    project.write("lib.py.tmp", "def f(): return 1  # as before\n");
    fs::rename(
        project.path().join("lib.py.tmp"),
        project.path().join("lib.py"),
    )
    .expect("both are in the same folder");
    let fixed = watching.run();
    assert!(
        fixed.contains("1 passed") && fixed.contains("1 fresh"),
        "{fixed}"
    );

    // A folder that comes with files in it.
    project.write("elsewhere/test_c.py", "def test_c(): pass\n");
    let more = watching.run();
    assert!(
        more.contains("1 passed") && more.contains("2 fresh"),
        "{more}"
    );

    project.remove("test_b.py");
    let less = watching.run();
    assert!(less.contains("2 fresh"), "{less}");

    // None of these is anybody's input.
    project.write("notes.txt", "x");
    project.write(".hidden/x.py", "x = 1\n");
    project.write("test_a.py~", "x");
    project.write(
        "test_a.py",
        "import lib\ndef test_a(): assert lib.f() == 1\n",
    );
    project.write("lib.py", "def f(): return 3\n");
    let last = watching.run();
    assert!(
        last.contains("changed: lib.py") && last.contains("1 failed"),
        "{last}"
    );
    watching.type_in("q");
    assert_eq!(watching.end(), 0);
}

#[test]
fn data_that_tests_read_is_watched_too() {
    let project = Project::new(&[
        ("data.txt", "1"),
        (
            "test_a.py",
            "def test_a(): assert open('data.txt').read() == '1'\n",
        ),
        (
            "test_b.py",
            "def test_b():\n    with open('out.txt', 'w') as file: file.write('x')\n",
        ),
    ]);
    let mut watching = Watching::new(&project, &["-n", "1"]);
    assert!(watching.run().contains("2 passed"));
    project.write("data.txt", "2");
    let run = watching.run();
    assert!(
        run.contains("changed: data.txt") && run.contains("1 failed"),
        "{run}"
    );
    watching.type_in("q");
    assert_eq!(watching.end(), 0);
}

#[test]
fn a_change_ends_a_run_that_it_makes_out_of_date() {
    let project = Project::new(&[
        ("lib.py", "SECONDS = 600\n"),
        (
            "test_a.py",
            "import time, lib\ndef test_a():\n    print('begun', file=open(__file__ + '.log', 'w'))\n    time.sleep(lib.SECONDS)\n",
        ),
    ]);
    let mut watching = Watching::new(&project, &["-n", "1"]);
    let log = project.path().join("test_a.py.log");
    let began = Instant::now();
    while !log.exists() {
        assert!(began.elapsed() < LIMIT, "the test never began");
        std::thread::sleep(Duration::from_millis(20));
    }
    project.write("lib.py", "SECONDS = 0\n");
    watching.until("changed: lib.py");
    assert!(watching.run().contains("1 passed"));
    watching.type_in("q");
    assert_eq!(watching.end(), 0);
}

#[test]
fn keys_run_more_or_less() {
    let project = shop();
    let mut watching = Watching::new(&project, &["-n", "1"]);
    watching.run();
    watching.type_in("a");
    assert!(watching.run().contains("2 passed"));
    watching.type_in("\n");
    assert!(watching.run().contains("2 fresh"));
    watching.type_in("ptest_b.py\n");
    let pattern = watching.run();
    assert!(
        pattern.contains("1 passed") && pattern.contains("pattern: test_b.py"),
        "{pattern}"
    );
    watching.type_in("p\n");
    assert!(watching.run().contains("2 fresh"));
    watching.type_in("tnot b\n");
    let name = watching.run();
    assert!(
        name.contains("1 passed") && name.contains("name: not b"),
        "{name}"
    );
    watching.type_in("t\n");
    watching.run();
    project.write("test_b.py", "def test_b(): assert 0\n");
    assert!(watching.run().contains("1 failed"));
    watching.type_in("f");
    let failed = watching.run();
    assert!(
        failed.contains("1 failed") && !failed.contains("test_a"),
        "{failed}"
    );
    watching.type_in("q");
    assert_eq!(watching.end(), 0);
}

#[test]
fn a_key_accepts_snapshots() {
    let project = Project::new(&[(
        "test_a.py",
        "import dx_py_test_runner as dx\ndef test_a(): dx.snapshot('one')\ndef test_b(): pass\n",
    )]);
    let mut watching = Watching::new(&project, &["-n", "1"]);
    assert!(watching.run().contains("1 failed"));
    watching.type_in("u");
    let updated = watching.run();
    assert!(
        updated.contains("1 snapshot is accepted") && updated.contains("1 passed"),
        "{updated}"
    );
    assert!(project.path().join("__snapshots__/test_a.snap").exists());
    watching.type_in("q");
    assert_eq!(watching.end(), 0);
}

#[test]
fn an_interrupt_ends_it_with_the_run_of_the_moment() {
    let project = Project::new(&[(
        "test_a.py",
        "import os, time\ndef test_a():\n    print(os.getpid(), file=open('pid', 'w'), flush=True)\n    time.sleep(600)\n",
    )]);
    let mut watching = Watching::new(&project, &["-n", "1"]);
    let began = Instant::now();
    let pid = loop {
        assert!(began.elapsed() < LIMIT, "the test never began");
        let text = fs::read_to_string(project.path().join("pid")).unwrap_or_default();
        if text.ends_with('\n') {
            break text.trim().to_owned();
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let status = Command::new("kill")
        .args(["-INT", &watching.child.id().to_string()])
        .status()
        .expect("there is such a program");
    assert!(status.success());
    watching.child.stdin.take();
    assert_eq!(watching.end(), 2);
    assert!(
        !std::path::Path::new("/proc").join(pid).exists(),
        "the worker lives on"
    );
}
