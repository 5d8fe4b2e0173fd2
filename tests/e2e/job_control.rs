//! Ctrl-Z and `fg`: nothing goes on meanwhile, and the time doesn't count.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Project, python};

/// A run of two tests of a second each, none of which may take more than three, that has begun with the first. It tells by `ticks` that it
/// works.
fn begin(project: &Project, warm: &str) -> Child {
    let python = python().display().to_string();
    let child = project
        .command(&["test", "-n", "1", "--timeout", "3", "--python", &python])
        .env("DX_PY_DAEMON", warm)
        .stdout(Stdio::piped())
        .spawn()
        .expect("works");
    let began = Instant::now();
    while ticks(project.path()) == 0 {
        assert!(began.elapsed().as_secs() < 30, "the test never began");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

fn project() -> Project {
    let test = "import subprocess, sys\n\n\
        TICK = 'import time\\nfor _ in range(20):\\n    open(\"ticks\", \"a\").write(\".\"); time.sleep(0.05)'\n\n\
        def test_a(): subprocess.run([sys.executable, '-c', TICK], check=True)\n\
        def test_b(): subprocess.run([sys.executable, '-c', TICK], check=True)\n";
    Project::new(&[("test_a.py", test)])
}

fn ticks(project: &Path) -> u64 {
    std::fs::metadata(project.join("ticks")).map_or(0, |file| file.len())
}

fn signal(child: &Child, name: &str) {
    let mut kill = Command::new("kill");
    kill.args([name, &child.id().to_string()]);
    assert!(kill.status().expect("works").success());
}

fn has_passed(child: Child) {
    let output = child.wait_with_output().expect("works");
    let out = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{out}");
    assert!(out.contains("2 passed"), "{out}");
}

/// Stops a run that has begun, and continues it when its tests would have timed out.
fn stands_still(project: &Project, warm: &str) {
    let child = begin(project, warm);
    signal(&child, "-TSTP");
    // What was about to be done when the signal came is done soon.
    std::thread::sleep(Duration::from_millis(500));
    let before = ticks(project.path());
    std::thread::sleep(Duration::from_millis(3500));
    assert_eq!(ticks(project.path()), before);
    signal(&child, "-CONT");
    has_passed(child);
    assert_eq!(ticks(project.path()), 40);
}

#[test]
fn tests_stand_still_while_the_run_does_and_have_as_much_time_left_then() {
    stands_still(&project(), "0");
}

#[test]
fn so_do_those_in_forks_of_a_warm_interpreter() {
    let project = project();
    crate::daemon::start(&project);
    stands_still(&project, "1");
    assert_eq!(project.dx(&["daemon", "stop"]).0, 0);
}

#[test]
fn what_a_worker_has_told_in_time_counts_however_late_it_is_heard() {
    let project = project();
    let child = begin(&project, "0");
    // This can't be seen coming, and the worker goes on.
    signal(&child, "-STOP");
    std::thread::sleep(Duration::from_secs(5));
    signal(&child, "-CONT");
    has_passed(child);
}
