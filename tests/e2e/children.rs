//! What child processes may look at.

use crate::support::Project;

#[test]
fn a_test_that_starts_a_process_depends_on_the_whole_project() {
    let project = Project::new(&[
        ("anything.txt", "1"),
        (
            "test_a.py",
            "import subprocess\nimport sys\n\ndef test_a():\n    subprocess.run([sys.executable, '-c', ''], check=True)\n",
        ),
    ]);
    project.test(&[]);
    assert_eq!(project.test(&[]).ran(), 0);
    project.write("anything.txt", "2");
    assert_eq!(project.test(&[]).ran(), 1);
}

#[test]
fn a_process_that_the_standard_library_asks_of_the_system_reads_nothing_of_the_project() {
    let project = Project::new(&[
        ("anything.txt", "1"),
        (
            "test_a.py",
            "import ctypes.util, platform, subprocess, uuid\n\
             def test_library(): assert ctypes.util.find_library('c')\n\
             def test_node(): assert uuid._get_command_stdout('true') is not None\n\
             def test_processor(): assert isinstance(platform._Processor.from_subprocess(), (str, type(None)))\n",
        ),
        (
            "test_b.py",
            "import subprocess\ndef test_child(): assert subprocess.run(['sh', '-c', 'uname -p']).returncode == 0\n",
        ),
    ]);
    project.test(&[]);
    assert_eq!(project.test(&[]).ran(), 0);
    project.write("anything.txt", "2");
    let run = project.test(&[]);
    assert_eq!(
        (run.ran(), run.outcome("test_child")),
        (1, "passed"),
        "{}",
        run.out
    );
    let python = crate::support::python().display().to_string();
    let (_, why, _) = project.dx(&["why", "test_library", "--python", &python]);
    assert!(why.contains("/etc/ld.so.cache"), "{why}");
}

/// The system's `cat` without arguments reads its input, and `echo` nothing at all; but `cat` reads files, and a program of the same name
/// may be another one.
#[test]
fn of_a_program_that_looks_at_nothing_but_what_it_is_given_a_test_needs_no_more() {
    let project = Project::new(&[("data.txt", "1")]);
    let program = |name: &str| {
        project.write(name, "#!/bin/sh\ncat data.txt\n");
        project.make_executable(name);
    };
    program("own/rev");
    program("bin/cat");
    let path = "env={'PATH': os.getcwd() + '/own:' + os.defpath}";
    for (name, call) in [
        ("input", "['cat']"),
        ("absolute", "['/bin/cat', '-n']"),
        ("count", "['head', '-n', '1']"),
        ("text", "['echo', 'data.txt']"),
        ("searched", &format!("['tac'], {path}")),
        ("file", "['cat', 'data.txt']"),
        ("shell", "'cat data.txt', shell=True"),
        ("link", "['./bin/cat']"),
        ("own", &format!("['rev'], {path}")),
    ] {
        let text = format!(
            "import os, subprocess\ndef test_it():\n    assert subprocess.run({call}, input='1', text=True).returncode == 0\n"
        );
        project.write(&format!("test_{name}.py"), &text);
    }
    let run = project.test(&[]);
    assert_eq!((run.code, run.ran()), (0, 9), "{}", run.out);
    assert_eq!(project.test(&[]).ran(), 0);
    project.write("data.txt", "2");
    let run = project.test(&[]);
    let mut ran: Vec<&str> = run.ran_tests().collect();
    ran.sort_unstable();
    let of = |name: &str| format!("test_{name}.py::test_it");
    assert_eq!(ran, ["file", "link", "own", "shell"].map(of));
    // What is found first from now on.
    program("own/tac");
    let run = project.test(&[]);
    assert!(run.ran_tests().any(|test| test == of("searched")));
    project.write("data.txt", "3");
    let run = project.test(&[]);
    assert!(run.ran_tests().any(|test| test == of("searched")));
}
