//! Places that the user names. The oracle is pytest, which is given the same places.

use crate::support::Project;

const LOGS: &str = "with open('imported', 'a') as log: log.write(__name__ + '\\n')\n";

/// A project of which each module says when it is imported.
fn project(files: &[(&str, &str)]) -> Project {
    let texts: Vec<(&str, String)> = files
        .iter()
        .map(|(path, text)| (*path, format!("{LOGS}{text}")))
        .collect();
    let files: Vec<(&str, &str)> = texts
        .iter()
        .map(|(path, text)| (*path, text.as_str()))
        .collect();
    Project::new(&files)
}

/// What was imported since this was last asked, each module once.
fn imported(project: &Project) -> Vec<String> {
    let log = project.path().join("imported");
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    let _ = std::fs::remove_file(&log);
    let mut names: Vec<String> = text.lines().map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

const TESTS: [(&str, &str); 4] = [
    (
        "tests/test_a.py",
        "def test_a(): pass\ndef test_more(): pass\n",
    ),
    ("tests/test_b.py", "def test_b(): pass\n"),
    ("tests/sub/test_s.py", "def test_s(): pass\n"),
    ("other/test_o.py", "def test_o(): pass\n"),
];

#[test]
fn nothing_else_is_imported_where_the_project_is_not_known() {
    for named in ["tests/test_a.py", "tests/test_a.py::test_a", "tests", "."] {
        let project = project(&TESTS);
        let (code, outcomes) = project.pytest(&[named]);
        let by_pytest = imported(&project);
        let run = project.test(&[named]);
        assert_eq!((run.code, run.outcomes()), (code, outcomes), "{}", run.out);
        assert_eq!(imported(&project), by_pytest, "{named}: {}", run.out);
        // Which files there are is known of the place now, and pytest isn't asked.
        let again = project.test(&[named]);
        assert!(again.out.contains("nothing to run"), "{}", again.out);
        assert!(imported(&project).is_empty(), "{named}: {}", again.out);
        // Of all others it isn't.
        let (code, outcomes) = project.pytest(&[]);
        let _ = imported(&project);
        let whole = project.test(&["--all"]);
        assert_eq!((whole.code, whole.outcomes()), (code, outcomes));
        assert_eq!(imported(&project).len(), 4, "{}", whole.out);
    }
}

#[test]
fn a_wider_place_tells_of_what_it_holds() {
    let project = project(&TESTS);
    project.test(&["tests"]);
    let _ = imported(&project);
    for inner in ["tests/sub", "tests/test_a.py", "tests/test_a.py::test_a"] {
        let run = project.test(&[inner]);
        assert!(run.out.contains("nothing to run"), "{}", run.out);
        assert!(imported(&project).is_empty(), "{inner}: {}", run.out);
    }
    project.write(
        "tests/sub/test_s.py",
        &format!("{LOGS}def test_s(): assert 1\n"),
    );
    let run = project.test(&["tests/sub"]);
    assert_eq!((run.code, run.ran()), (0, 1), "{}", run.out);
    assert_eq!(imported(&project), ["test_s"]);
}

#[test]
fn what_pytest_does_not_come_to_by_itself_is_remembered() {
    let mut files = TESTS.to_vec();
    files.push(("tests/plain.py", "def test_p(): pass\n"));
    let project = project(&files);
    project.write("pytest.ini", "[pytest]\ntestpaths = tests\n");
    for known in [false, true] {
        for named in ["other", "tests/plain.py"] {
            let (code, outcomes) = project.pytest(&[named]);
            let run = project.test(&["--all", named]);
            assert_eq!((run.code, run.outcomes()), (code, outcomes), "{}", run.out);
            let _ = imported(&project);
            let again = project.test(&[named]);
            assert!(again.out.contains("nothing to run"), "{}", again.out);
            assert!(
                imported(&project).is_empty(),
                "{known} {named}: {}",
                again.out
            );
        }
        assert_eq!(project.test(&[]).code, 0);
    }
}

#[test]
fn new_files_elsewhere_are_not_run() {
    for as_pytest in [false, true] {
        let args: &[&str] = if as_pytest {
            &["--", "tests/test_a.py"]
        } else {
            &["tests/test_a.py"]
        };
        let project = project(&TESTS);
        assert_eq!(project.test(args).outcomes().len(), 2);
        project.write("tests/test_new.py", "def test_new(): assert 0\n");
        project.write("tests/new/test_new.py", "def test_new(): assert 0\n");
        let _ = imported(&project);
        let run = project.test(args);
        assert_eq!((run.code, run.outcomes().len()), (0, 2), "{}", run.out);
        assert!(imported(&project).is_empty(), "{}", run.out);
    }
}

/// Hooks of a folder's conftest hear of all tests, if pytest comes to that folder.
#[test]
fn a_conftest_that_was_not_loaded_bears_on_the_whole_project() {
    let project = project(&TESTS);
    project.write(
        "other/conftest.py",
        "import pytest\ndef pytest_collection_modifyitems(items):\n    for item in items:\n        if item.name == 'test_a': item.add_marker(pytest.mark.skip)\n",
    );
    for edit in ["", "# touched\n"] {
        // After the edit it is known of nothing which files there are.
        project.write("conftest.py", edit);
        let (_, alone) = project.pytest(&["tests/test_a.py"]);
        let run = project.test(&["tests/test_a.py"]);
        assert_eq!(run.outcomes(), alone, "{}", run.out);
        let (_, outcomes) = project.pytest(&[]);
        let whole = project.test(&[]);
        assert_eq!(whole.outcomes(), outcomes, "{edit:?}: {}", whole.out);
        assert_ne!(
            alone.get("tests/test_a.py::test_a"),
            outcomes.get("tests/test_a.py::test_a")
        );
    }
}

/// What pytest is told of files goes by the folder in which it is started.
#[test]
fn an_edit_is_found_from_any_folder() {
    for (folder, named) in [
        ("tests", &[][..]),
        ("tests/sub", &[".."]),
        ("other", &["../tests/test_a.py"]),
        ("", &["tests"]),
    ] {
        let mut project = project(&TESTS);
        project.enter(folder);
        for edit in ["pass", "assert 1", "assert 0"] {
            let text = format!("{LOGS}def test_a(): {edit}\n");
            project.write("tests/test_a.py", &text);
            let (code, outcomes) = project.pytest(named);
            let run = project.test(named);
            assert_eq!(
                (run.code, run.outcomes()),
                (code, outcomes),
                "{folder}: {}{}",
                run.out,
                run.err
            );
            if edit == "assert 1" {
                assert_eq!(run.ran(), 1, "{folder}: {}", run.out);
            }
        }
    }
}

/// pytest works where the places that it is given have their configuration.
#[test]
fn a_place_may_lie_in_another_project() {
    let project = project(&TESTS);
    project.write("one/pytest.ini", "[pytest]\npython_files = check_*.py\n");
    project.write("one/tests/test_no.py", "def test_no(): pass\n");
    project.write("two/pyproject.toml", "[tool.pytest.ini_options]\n");
    project.write("two/test_two.py", "def test_two(): pass\n");
    for edit in ["pass", "assert 1", "assert 0"] {
        project.write("one/tests/check_a.py", &format!("def test_a(): {edit}\n"));
        for named in [
            &["one/tests"][..],
            &["one/tests/check_a.py::test_a"],
            &["two"],
            &["one/tests/test_no.py", "two"],
            &["--", "one"],
        ] {
            let plain: Vec<&str> = named.iter().copied().filter(|word| *word != "--").collect();
            let (code, outcomes) = project.pytest(&plain);
            let run = project.test(named);
            assert_eq!(
                (run.code, run.outcomes()),
                (code, outcomes),
                "{named:?}: {}{}",
                run.out,
                run.err
            );
        }
    }
    for (folder, is_there) in [("one", true), ("two", true), ("one/tests", false)] {
        assert_eq!(
            project.path().join(folder).join(".dx").exists(),
            is_there,
            "{folder}"
        );
    }
}

#[test]
fn records_are_found_by_a_place() {
    let mut project = project(&TESTS);
    project.write("one/pytest.ini", "[pytest]\n");
    project.write("one/test_one.py", "def test_one(): pass\n");
    project.enter("tests");
    assert_eq!(project.test(&[]).code, 0);
    assert_eq!(project.test(&["../one"]).code, 0);
    for (asked, id) in [
        ("test_a.py::test_a", "tests/test_a.py::test_a"),
        ("tests/test_a.py::test_a", "tests/test_a.py::test_a"),
        ("sub", "tests/sub/test_s.py::test_s"),
        ("test_b", "tests/test_b.py::test_b"),
        ("../one/test_one.py::test_one", "test_one.py::test_one"),
    ] {
        let python = project.python().display().to_string();
        let (code, out, err) = project.dx(&["why", "--python", &python, asked]);
        assert_eq!(code, 0, "{asked}: {err}");
        assert!(out.starts_with(&format!("{id} is fresh")), "{asked}: {out}");
        let (code, out, err) = project.dx(&["history", asked]);
        assert_eq!(code, 0, "{asked}: {err}");
        assert!(out.contains(id), "{asked}: {out}");
    }
}

#[test]
fn a_test_that_is_named_and_not_there_is_a_mistake_as_for_pytest() {
    let project = Project::new(&[(
        "test_a.py",
        "import pytest\n\
         def test_open(): pass\n\
         class TestB:\n    def test_c(self): pass\n\
         @pytest.mark.parametrize('x', [1, 2])\n\
         def test_p(x): pass\n",
    )]);
    let wrong = [
        ("test_a.py::test_opne", "test_a.py::test_open?"),
        ("test_a.py::TestB::test_d", "test_a.py::TestB::test_c?"),
        ("test_a.py::test_p[3]", "test_a.py::test_p["),
        ("test_a.py::TestX", ""),
    ];
    // Before anything is known of the file, and when it is.
    for all_is_known in [false, true] {
        for (id, meant) in wrong {
            let _ = std::fs::remove_dir_all(project.path().join(".dx"));
            if all_is_known {
                assert_eq!(project.test(&[]).code, 0);
            }
            let alone = project.test(&[id]);
            assert_eq!((alone.code, project.pytest(&[id]).0), (4, 4), "{alone:?}");
            let with_another = project.test(&["test_a.py::test_open", id]);
            assert_eq!(with_another.code, 4, "{with_another:?}");
            let said = format!("{}{}", with_another.out, with_another.err);
            assert!(said.contains(&format!("not found: {id}")), "{said}");
            assert!(!all_is_known || said.contains(meant), "{said}");
        }
    }
    let right = [
        "test_a.py::test_open",
        "test_a.py::TestB",
        "test_a.py::TestB::test_c",
        "test_a.py::test_p",
        "test_a.py::test_p[1]",
        ".",
    ];
    for all_is_known in [false, true] {
        let _ = std::fs::remove_dir_all(project.path().join(".dx"));
        if all_is_known {
            assert_eq!(project.test(&[]).code, 0);
        }
        for id in right {
            assert_eq!(project.test(&[id]).code, 0, "{id}");
        }
        assert_eq!(project.test(&right).code, 0);
    }
    // Another filter may leave nothing, which is no mistake in a name.
    let (filtered, as_pytest) = (["test_a.py::test_open", "-k", "no"], 5);
    assert_eq!(project.test(&filtered).code, as_pytest);
    assert_eq!(project.pytest(&filtered).0, as_pytest);
}

#[test]
fn a_named_test_that_a_conftest_leaves_out_is_there() {
    let project = Project::new(&[
        (
            "conftest.py",
            "def pytest_collection_modifyitems(config, items):\n\
             \x20   config.hook.pytest_deselected(items=[i for i in items if i.name == 'test_x'])\n\
             \x20   items[:] = [i for i in items if i.name != 'test_x']\n",
        ),
        ("test_a.py", "def test_x(): pass\ndef test_y(): pass\n"),
    ]);
    let named = ["test_a.py::test_x"];
    assert_eq!(
        (project.test(&named).code, project.pytest(&named).0),
        (5, 5)
    );
    project.test(&[]);
    assert_eq!(project.test(&named).code, 5);
}
