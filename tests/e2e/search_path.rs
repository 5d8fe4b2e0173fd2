//! Sessions that collect a part have the search path of one that collects everything.

use crate::support::Project;

/// What a test finds by its path while it runs, and the folders of the project there.
const TEST: &str = r"
import os, sys

def test_path():
    import early, late
    root = os.getcwd() + os.sep
    found = [path[len(root):] for path in dict.fromkeys(sys.path) if path.startswith(root)]
    with open(os.environ['FOUND'], 'w') as file: print(found, early.WHERE, late.WHERE, file=file)
";

fn project() -> Project {
    Project::new(&[
        ("tests/a/test_a.py", "def test_a(): pass\n"),
        ("tests/a/early.py", "WHERE = 'a'\n"),
        ("tests/b/test_b.py", TEST),
        ("tests/c/test_c.py", "def test_c(): pass\n"),
        ("tests/c/late.py", "WHERE = 'c'\n"),
        ("tests/d/test_d.py", "def test_d(): pass\n"),
        ("tests/e/conftest.py", ""),
        ("tests/e/f/test_f.py", "def test_f(): pass\n"),
        ("tests/g/test_none.py", ""),
        ("tests/test_last.py", "def test_last(): pass\n"),
        ("tests/before_b/sub/conftest.py", ""),
        ("tests/before_b/test_before.py", "def test_before(): pass\n"),
    ])
}

#[test]
fn a_part_is_run_with_the_path_of_all() {
    let mut project = project();
    let found = tempfile::NamedTempFile::new().expect("a file can be made");
    project.set("FOUND", found.path().as_os_str().to_owned());
    let read = || std::fs::read_to_string(found.path()).expect("a test has written it");
    // Only one file is collected in the second run.
    for mode in ["prepend", "append"] {
        if mode == "append" {
            // pytest can't tell two conftests apart then.
            let path = project.path().join("tests/before_b/sub/conftest.py");
            std::fs::remove_file(path).expect("it is there");
        }
        let ini = format!("[pytest]\naddopts = --import-mode={mode}\n");
        project.write("pytest.ini", &ini);
        assert_eq!(project.pytest(&[]).0, 0);
        let expected = read();
        for (edit, ran) in [("", 7), ("EDIT = 1\n", 1)] {
            project.write("tests/b/test_b.py", &format!("{TEST}{edit}"));
            std::fs::write(found.path(), "").expect("it can be written");
            let run = project.test(&["--no-second-opinion"]);
            assert_eq!(
                (run.code, read()),
                (0, expected.clone()),
                "{mode}: {}",
                run.out
            );
            assert_eq!(run.json["summary"]["ran"], ran, "{}", run.out);
        }
        project.write("tests/b/test_b.py", TEST);
    }
}

/// A new folder may hide what a test imports while it runs. The second opinion, which collects the test's file alone, hears that too.
#[test]
fn what_a_new_folder_hides_is_hidden_where_a_file_is_collected_alone() {
    let mut project = project();
    project.write("lib/late.py", "WHERE = 'lib'\n");
    let lib = project.path().join("lib").display().to_string();
    project.set("PYTHONPATH", lib);
    let text = "def test_late():\n    import late\n    assert late.WHERE == 'lib'\n";
    std::fs::remove_file(project.path().join("tests/c/late.py")).expect("it is there");
    project.write("tests/b/test_b.py", text);
    assert_eq!(project.test(&[]).code, 0);
    project.write("tests/h/late.py", "WHERE = 'h'\n");
    project.write("tests/h/test_h.py", "def test_h(): pass\n");
    let run = project.test(&[]);
    assert_eq!(run.code, 1, "{}", run.out);
    assert_eq!(run.outcome("test_late"), "failed");
}
