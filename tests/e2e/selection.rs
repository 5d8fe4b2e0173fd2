//! What a change reruns, and what it leaves fresh.

use crate::support::{CountedPython, Project, python};

fn two_files() -> Project {
    Project::new(&[
        ("a.py", "def f():\n    return 1\n"),
        ("b.py", "def g():\n    return 2\n"),
        (
            "tests/test_a.py",
            "from a import f\n\ndef test_f():\n    assert f() == 1\n",
        ),
        (
            "tests/test_b.py",
            "from b import g\n\ndef test_g():\n    assert g() == 2\n\ndef test_other():\n    pass\n",
        ),
    ])
}

#[test]
fn nothing_changed_runs_nothing_and_starts_no_python() {
    let mut project = two_files();
    let python = CountedPython::new();
    project.use_python(&python.path());
    assert_eq!(project.test(&[]).ran(), 3);
    let before = python.starts();
    assert!(before > 0);
    let again = project.test(&[]);
    assert_eq!((again.code, again.ran(), again.tests.len()), (0, 0, 3));
    assert_eq!(python.starts(), before);
    let run = project.test(&["-q"]);
    assert!(run.out.contains("nothing to run: 3 fresh"), "{}", run.out);
}

#[test]
fn an_edit_reruns_its_dependents_and_a_revert_needs_no_run() {
    let mut project = two_files();
    let python = CountedPython::new();
    project.use_python(&python.path());
    project.test(&[]);
    project.write("a.py", "def f():\n    return 0\n");
    let edited = project.test(&["--explain"]);
    assert_eq!(
        (
            edited.code,
            edited.outcome("test_f"),
            edited.outcome("test_g")
        ),
        (1, "failed", "fresh passed")
    );
    assert!(
        edited.out.contains("tests/test_a.py::test_f: a.py changed"),
        "{}",
        edited.out
    );
    let reasons: Vec<_> = edited.json["tests"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|test| test["reason"].as_str())
        .collect();
    assert_eq!(reasons, ["a.py changed"]);
    let before = python.starts();
    project.write("a.py", "def f():\n    return 1\n");
    let reverted = project.test(&[]);
    assert_eq!((reverted.code, reverted.ran()), (0, 0));
    // Contents that were seen before are likely to have records: no Python is started ahead for them.
    assert_eq!(python.starts(), before);
    project.write("a.py", "def f():\n    return 0\n");
    let repeated = project.test(&[]);
    // A failure is run again.
    assert_eq!((repeated.code, repeated.ran()), (1, 1));
    project.remove("a.py");
    project.test(&[]);
    let before = python.starts();
    project.write("a.py", "def f():\n    return 1\n");
    assert_eq!(project.test(&[]).ran(), 0);
    assert_eq!(python.starts(), before);
}

#[test]
fn what_code_in_a_string_imports_is_an_input_also_if_it_was_imported_before() {
    let project = Project::new(&[
        ("lib.py", "def f():\n    return 1\n"),
        ("pkg/__init__.py", ""),
        ("pkg/lib.py", "def g():\n    return 1\n"),
        (
            "runs.py",
            "def run(code):\n    found = {}\n    exec(code, found)\n    return found['x']\n",
        ),
        // They are imported first.
        (
            "test_a.py",
            "import lib, pkg.lib\n\ndef test_a():\n    pass\n",
        ),
        (
            "test_b.py",
            "import runs\n\ndef test_run():\n    assert runs.run('import lib; x = lib.f()') == 1\n",
        ),
        (
            "test_c.py",
            "def test_eval():\n    assert eval('__import__(\"lib\").f()') == 1\n",
        ),
        (
            "test_d.py",
            "def test_inner():\n    assert eval(compile('(lambda: __import__(\"pkg.lib\").lib.g())()', '<x>', 'eval')) == 1\n",
        ),
    ]);
    for args in [
        &["--select", "module", "-n", "1"][..],
        &["--select", "symbol", "-n", "1"],
    ] {
        project.write("lib.py", "def f():\n    return 1\n");
        project.write("pkg/lib.py", "def g():\n    return 1\n");
        let run = project.test(&[args, &["--all"]].concat());
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        project.write("lib.py", "def f():\n    return 2\n");
        project.write("pkg/lib.py", "def g():\n    return 2\n");
        let run = project.test(args);
        for test in ["test_run", "test_eval", "test_inner"] {
            assert_eq!(run.outcome(test), "failed", "{args:?}\n{}", run.out);
        }
    }
}

#[test]
fn a_failing_test_runs_again() {
    let project = Project::new(&[(
        "test_a.py",
        "def test_bad():\n    assert 0\n\ndef test_good():\n    pass\n",
    )]);
    project.test(&[]);
    let again = project.test(&[]);
    assert_eq!(
        (
            again.code,
            again.outcome("test_bad"),
            again.outcome("test_good")
        ),
        (1, "failed", "fresh passed")
    );
}

#[test]
fn a_data_file_that_was_read_is_an_input() {
    let project = Project::new(&[
        ("data/x.txt", "1"),
        (
            "lib.py",
            "from pathlib import Path\n\ndef read():\n    return Path(__file__).with_name('data').joinpath('x.txt').read_text()\n",
        ),
        (
            "test_a.py",
            "from lib import read\n\ndef test_read():\n    assert read() == '1'\n",
        ),
        ("test_b.py", "def test_b():\n    pass\n"),
    ]);
    project.test(&[]);
    project.write("data/x.txt", "2");
    let run = project.test(&[]);
    assert_eq!(
        (run.outcome("test_read"), run.outcome("test_b")),
        ("failed", "fresh passed")
    );
}

#[test]
fn what_a_module_read_once_and_cached_is_an_input_of_every_test_that_uses_it() {
    let project = Project::new(&[
        ("x.txt", "1"),
        (
            "lib.py",
            "import functools\n\n@functools.lru_cache\ndef read():\n    with open('x.txt') as file:\n        return file.read()\n",
        ),
        (
            "test_a.py",
            "from lib import read\n\ndef test_first():\n    assert read() == '1'\n",
        ),
        (
            "test_b.py",
            "import lib\n\ndef test_second():\n    assert lib.read() == '1'\n",
        ),
    ]);
    project.test(&["-n", "1"]);
    project.write("x.txt", "2");
    let run = project.test(&["-n", "1"]);
    assert_eq!(
        (run.outcome("test_first"), run.outcome("test_second")),
        ("failed", "failed")
    );
}

#[test]
fn a_file_that_was_absent_and_an_environment_variable_are_inputs() {
    let project = Project::new(&[
        (
            "test_a.py",
            "import os\n\ndef test_absent():\n    assert not os.path.exists('flag')\n",
        ),
        (
            "test_b.py",
            "import os\n\ndef test_variable():\n    assert os.environ.get('DX_E2E') != '1'\n",
        ),
    ]);
    project.test(&[]);
    assert_eq!(project.test(&[]).ran(), 0);
    project.write("flag", "");
    let run = project.test(&[]);
    assert_eq!(
        (run.outcome("test_absent"), run.outcome("test_variable")),
        ("failed", "fresh passed")
    );
    let output = project
        .command(&["test", "--python", &python().display().to_string()])
        .env("DX_E2E", "1")
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("FAILED test_b.py::test_variable"));
}

/// A variable that comes is none that they have asked for by its name.
#[test]
fn who_looks_at_all_variables_or_hands_them_on_depends_on_each() {
    let looks = [
        (
            "sh",
            "subprocess.run(['sh', '-c', 'test -z \"$DX_E2E\"']).returncode == 0",
        ),
        (
            "python",
            "subprocess.run([sys.executable, '-c', 'import os; assert \"DX_E2E\" not in os.environ']).returncode == 0",
        ),
        ("system", "os.system('test -z \"$DX_E2E\"') == 0"),
        (
            "copied",
            "subprocess.run(['sh', '-c', 'test -z \"$DX_E2E\"'], env={**os.environ}).returncode == 0",
        ),
        ("copy", "'DX_E2E' not in os.environ.copy()"),
        ("dict", "'DX_E2E' not in dict(os.environ)"),
        ("items", "('DX_E2E', '1') not in os.environ.items()"),
        ("list", "'DX_E2E' not in list(os.environ)"),
        ("shown", "'DX_E2E' not in repr(os.environ)"),
        ("bytes", "b'DX_E2E' not in os.environb"),
        ("all_bytes", "b'DX_E2E' not in list(os.environb)"),
        ("module", "helper.KNOWN.get('DX_E2E') is None"),
    ];
    let mut files = vec![
        ("helper.py".to_owned(), "import os\nKNOWN = dict(os.environ)\n".to_owned()),
        ("test_none.py".to_owned(), "import os\ndef test_none(): assert os.environ.get('DX_OTHER') is None\n".to_owned()),
        (
            "test_own.py".to_owned(),
            "import subprocess\ndef test_own(): assert subprocess.run(['sh', '-c', 'test -z \"$DX_E2E\"'], env={}).returncode == 0\n".to_owned(),
        ),
        (
            "test_count.py".to_owned(),
            "import os\ndef test_count(): assert len(os.environ)\n".to_owned(),
        ),
    ];
    for (name, look) in looks.iter() {
        let import = if *name == "module" {
            "import helper\n"
        } else {
            ""
        };
        files.push((
            format!("test_{name}.py"),
            format!(
                "import os, subprocess, sys\n{import}\ndef test_{name}():\n    assert {look}\n"
            ),
        ));
    }
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (&**name, &**text))
        .collect();
    let project = Project::new(&files);
    let run = project.test(&[]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert_eq!(project.test(&[]).ran(), 0);
    let output = project
        .command(&["test", "--python", &python().display().to_string()])
        .env("DX_E2E", "1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    for (name, _) in looks {
        let failed = format!("FAILED test_{name}.py::test_{name}");
        assert!(told.contains(&failed), "{name}: {told}");
    }
    assert!(told.contains("2 fresh"), "{told}");
}

/// It isn't looked any more who reads them then.
#[test]
fn what_many_tests_read_is_an_input_of_all_that_follow() {
    let mut project = Project::new(&[
        (
            "test_a.py",
            "import os, pytest\n\n@pytest.mark.parametrize('n', range(40))\ndef test_language(n):\n    assert os.environ.get('DX_E2E') != 'n' + str(n)\n\n\
             @pytest.mark.parametrize('n', range(20))\ndef test_inside(n):\n    assert os.path.exists(os.path.abspath('flag')) < 2\n",
        ),
        ("test_b.py", "def test_other():\n    pass\n"),
    ]);
    let by_module = ["-n", "1", "--select", "module"];
    project.test(&by_module);
    assert_eq!(project.test(&by_module).ran(), 0);
    project.set("DX_E2E", "n39");
    let run = project.test(&by_module);
    assert_eq!(
        (run.ran(), run.outcome("test_language[39]")),
        (61, "failed")
    );
    project.set("DX_E2E", "n40");
    assert_eq!(
        project.test(&by_module).outcome("test_language[39]"),
        "passed"
    );
    // Where it is in the project it stays with the module that looks for it.
    project.write("flag", "");
    assert_eq!(project.test(&by_module).ran(), 60);
}

/// Parameters made of what other files imported before come only with them.
#[test]
fn tests_that_are_there_with_other_files_are_found_with_them() {
    let project = Project::new(&[
        ("base.py", "class Base: pass\nclass Own(Base): pass\n"),
        (
            "more.py",
            "import base\nclass More(base.Base):\n    good = False\n",
        ),
        ("test_a.py", "import more\ndef test_a(): pass\n"),
        (
            "test_b.py",
            "import base, pytest\n@pytest.mark.parametrize('one', base.Base.__subclasses__())\n\
             def test_b(one): assert getattr(one, 'good', True)\n",
        ),
        ("test_c.py", "def test_c(): pass\n"),
    ]);
    let check = |ran: usize, failed: usize| {
        let run = project.test(&[]);
        let (code, expected) = project.pytest(&[]);
        assert_eq!(run.code, code, "{}{}", run.out, run.err);
        assert_eq!(run.tests.len(), expected.len(), "{}{}", run.out, run.err);
        let failing = expected.values().filter(|outcome| *outcome == "failed");
        assert_eq!(failing.count(), failed);
        assert_eq!(run.ran(), ran, "{}{}", run.out, run.err);
    };
    check(4, 1);
    // It failed, so it runs, for which only its file is collected at first.
    check(1, 1);
    check(1, 1);
    let edit = |name: &str, from: &str, to: &str| {
        project.write(name, &project.read(name).replace(from, to));
    };
    // The file itself is changed.
    edit("test_b.py", "'good', True", "'good', 1");
    check(2, 1);
    edit("test_b.py", "'good', 1", "'bad', 1");
    check(2, 0);
    check(0, 0);
    // The function is gone.
    edit("test_b.py", "def test_b(", "def test_other(");
    check(2, 0);
}

/// Tests whose IDs are others each time aren't sought among those of other files.
#[test]
fn tests_with_other_ids_each_time_are_not_looked_for() {
    let project = Project::new(&[
        ("test_a.py", "def test_a(): pass\n"),
        (
            "test_b.py",
            "import pytest, time\n@pytest.mark.parametrize('n', [str(time.time_ns())])\ndef test_b(n): pass\n",
        ),
        ("test_c.py", "def test_c(): pass\n"),
    ]);
    assert_eq!(project.test(&[]).ran(), 3);
    project.write(
        "test_b.py",
        &project.read("test_b.py").replace("pass", "assert n"),
    );
    let run = project.test(&[]);
    assert_eq!((run.ran(), run.code), (1, 0), "{}", run.out);
    assert!(!run.out.contains("will be looked for"), "{}", run.out);
}

#[test]
fn new_and_deleted_conftests_dirty_their_folder() {
    let project = Project::new(&[
        (
            "t/test_a.py",
            "def test_a(request):\n    assert 'auto' not in request.fixturenames\n",
        ),
        ("u/test_b.py", "def test_b():\n    pass\n"),
    ]);
    project.test(&[]);
    project.write(
        "t/conftest.py",
        "import pytest\n\n@pytest.fixture(autouse=True)\ndef auto():\n    pass\n",
    );
    let run = project.test(&[]);
    assert_eq!(
        (run.outcome("test_a"), run.outcome("test_b")),
        ("failed", "fresh passed")
    );
    project.remove("t/conftest.py");
    let run = project.test(&[]);
    assert_eq!((run.code, run.outcome("test_a")), (0, "fresh passed"));
}

#[test]
fn a_new_file_that_hides_a_module_dirties_its_importers() {
    let project = Project::new(&[
        ("lib/x.py", "value = 1\n"),
        ("lib/__init__.py", ""),
        (
            "test_a.py",
            "from lib import x\n\ndef test_a():\n    assert x.value == 1\n",
        ),
    ]);
    project.test(&[]);
    project.write("lib/x/__init__.py", "value = 2\n");
    assert_eq!(project.test(&[]).outcome("test_a"), "failed");
}

#[test]
fn a_file_that_hides_the_standard_library_dirties_everything() {
    let project = Project::new(&[(
        "test_a.py",
        "import colorsys\n\ndef test_a():\n    assert hasattr(colorsys, 'rgb_to_hsv')\n",
    )]);
    project.test(&[]);
    project.write("colorsys.py", "");
    assert_eq!(project.test(&[]).outcome("test_a"), "failed");
}

#[test]
fn new_deleted_and_copied_test_files_are_seen() {
    let project = two_files();
    project.test(&[]);
    project.write(
        "tests/test_c.py",
        "from a import f\n\ndef test_f():\n    assert f() == 1\n",
    );
    let run = project.test(&[]);
    assert_eq!((run.ran(), run.outcome("test_c.py::test_f")), (1, "passed"));
    project.remove("tests/test_c.py");
    let run = project.test(&[]);
    assert_eq!((run.ran(), run.tests.len()), (0, 3));
}

#[test]
fn a_dynamic_import_is_followed() {
    let project = Project::new(&[
        ("plug.py", "value = 1\n"),
        (
            "loader.py",
            "def load(name):\n    return __import__(name)\n",
        ),
        (
            "test_a.py",
            "from loader import load\n\ndef test_a():\n    assert load('pl' + 'ug').value == 1\n",
        ),
        (
            "test_b.py",
            "import plug\nfrom loader import load\n\ndef test_b():\n    assert load('pl' + 'ug').value == 1\n",
        ),
    ]);
    project.test(&["-n", "1"]);
    project.write("plug.py", "value = 2\n");
    let run = project.test(&["-n", "1"]);
    assert_eq!(
        (run.outcome("test_a"), run.outcome("test_b")),
        ("failed", "failed")
    );
}

#[test]
fn arguments_for_pytest_are_inputs() {
    let project = Project::new(&[(
        "test_a.py",
        "import warnings\n\ndef test_a():\n    warnings.warn('x')\n",
    )]);
    assert_eq!(project.test(&[]).code, 0);
    let strict = project.test(&["--", "-W", "error"]);
    assert_eq!((strict.code, strict.outcome("test_a")), (1, "failed"));
    assert_eq!(project.test(&[]).ran(), 0);
}

#[test]
fn a_dry_run_records_nothing() {
    let project = two_files();
    project.test(&[]);
    project.write("a.py", "def f():\n    return 0\n");
    let (code, out, _) = project.dx(&[
        "test",
        "--dry-run",
        "--python",
        &python().display().to_string(),
    ]);
    assert!(
        code == 0 && out.contains("1 would run, 2 are fresh"),
        "{out}"
    );
    assert_eq!(project.test(&[]).outcome("test_f"), "failed");
}

#[test]
fn changes_since_a_revision_choose_tests() {
    let project = two_files();
    let git = |args: &[&str]| {
        let status = std::process::Command::new("git")
            .args(["-c", "user.name=x", "-c", "user.email=x@y"])
            .args(args)
            .current_dir(project.path())
            .output()
            .unwrap();
        assert!(status.status.success());
    };
    git(&["init", "-q"]);
    git(&["add", "-A"]);
    git(&["commit", "-qm", "x"]);
    project.write("b.py", "def g():\n    return 2 + 0\n");
    let run = project.test(&["--changed-since", "HEAD"]);
    let names: Vec<&String> = run.tests.keys().collect();
    assert_eq!(
        names,
        ["tests/test_b.py::test_g", "tests/test_b.py::test_other"]
    );
    // A file that came counts for whoever looked whether it is there, or what there is in its folder.
    project.write(
        "tests/test_c.py",
        "import os\ndef test_names(): assert 'a.txt' in os.listdir('data')\n\
         def test_probe(): assert not os.path.exists('data/more/b.txt')\n",
    );
    project.write("data/a.txt", "");
    assert_eq!(project.test(&[]).ran(), 3);
    git(&["add", "-A"]);
    git(&["commit", "-qm", "y"]);
    let run = project.test(&["--changed-since", "HEAD"]);
    assert_eq!((run.tests.len(), run.code), (0, 0), "{}", run.out);
    project.write("data/a.txt", "other");
    assert_eq!(project.test(&["--changed-since", "HEAD"]).tests.len(), 0);
    project.write("data/more/b.txt", "");
    let run = project.test(&["--changed-since", "HEAD"]);
    let outcomes = [run.outcome("test_names"), run.outcome("test_probe")];
    assert_eq!(outcomes, ["passed", "failed"], "{}", run.out);
    let unknown = project.test(&["--changed-since", "nowhere"]);
    assert!(
        unknown.code == 4 && unknown.err.contains("git knows no revision `nowhere`"),
        "{}",
        unknown.err
    );
}

#[test]
fn passes_expire() {
    let project = two_files();
    assert_eq!(project.test(&[]).ran(), 3);
    let age = "import sqlite3, time; db = sqlite3.connect('.dx/catalog.db'); \
               db.execute('UPDATE passes SET at = at - 31 * 86400000 WHERE test = 1'); db.commit()";
    let done = std::process::Command::new(python())
        .args(["-c", age])
        .current_dir(project.path())
        .status();
    assert!(done.is_ok_and(|status| status.success()));
    let run = project.test(&["--explain"]);
    assert_eq!(run.ran(), 1, "{}", run.out);
    assert!(
        run.out.contains("its recorded pass is too old"),
        "{}",
        run.out
    );
    assert_eq!(project.test(&[]).ran(), 0);
}

/// Environments that uv makes have links to the files of its cache: making one changes the files of the others, as far as their stat goes.
#[test]
fn a_file_that_is_linked_elsewhere_while_tests_run_has_not_changed() {
    let linking = |read: &str| {
        let source = format!(
            "import os, subprocess\ndef test_a(tmp_path):\n    path = {read}\n    subprocess.run(['ln', path, str(tmp_path / 'x')], check=True)\n"
        );
        Project::new(&[
            ("helper.py", "VALUE = 1\n"),
            ("data.txt", "1\n"),
            ("test_a.py", &source),
        ])
    };
    let sources_are_known = linking("__import__('helper').__file__");
    assert_eq!(sources_are_known.test(&[]).ran(), 1);
    assert_eq!(sources_are_known.test(&[]).ran(), 0);

    let project = linking("open('data.txt').name");
    let run = project.test(&[]);
    assert!(
        run.err.contains("changed while running") || run.out.contains("changed while running"),
        "nothing is known of the file yet: {}{}",
        run.out,
        run.err
    );
    assert_eq!(project.test(&[]).ran(), 1, "now it can be compared");
    let run = project.test(&[]);
    assert_eq!(run.ran(), 0, "{}{}", run.out, run.err);
}

/// Of a changed file nobody knows which tests it holds, also when none of those that are known is meant.
#[test]
fn new_tests_are_found_among_known_ones_that_are_left_out() {
    let project = Project::new(&[
        ("pytest.ini", "[pytest]\nmarkers =\n    slow\n"),
        (
            "test_a.py",
            "import pytest\nfrom names import NAMES\ndef test_a(): pass\n",
        ),
        ("names.py", "NAMES = [1]\n"),
        (
            "test_b.py",
            "import pytest\nfrom names import NAMES\n@pytest.mark.parametrize('n', NAMES)\ndef test_b(n): pass\n",
        ),
        ("test_c.py", "def test_c(): pass\n"),
    ]);
    let compare = |args: &[&str]| {
        let run = project.test(args);
        let (code, expected) = project.pytest(args);
        let passed: Vec<&String> = expected.keys().collect();
        let mut got: Vec<String> = run.outcomes().into_keys().collect();
        got.sort();
        assert_eq!(run.code, code, "{args:?}: {}", run.out);
        assert_eq!(got.iter().collect::<Vec<_>>(), passed, "{args:?}");
        run.ran()
    };
    compare(&[]);
    assert_eq!(compare(&["-m", "slow"]), 0);
    project.write(
        "test_a.py",
        "import pytest\nfrom names import NAMES\ndef test_a(): pass\n@pytest.mark.slow\ndef test_new(): pass\n",
    );
    let dry = project.test(&["--dry-run", "-m", "slow"]).out;
    assert!(
        dry.contains("test_a.py: test_a.py changed; it would be collected"),
        "{dry}"
    );
    assert!(!dry.contains("test_c.py"), "{dry}");
    assert_eq!(compare(&["-m", "slow"]), 1);
    project.write(
        "test_c.py",
        "def test_c(): pass\ndef test_new(): pass\ndef test_old(): pass\n",
    );
    assert_eq!(compare(&["-k", "new and test_c"]), 1);
    project.write("names.py", "NAMES = [1, 22]\n");
    assert_eq!(compare(&["-k", "22"]), 1);
    let deselected = |run: &crate::support::Run| run.json["summary"]["deselected"].clone();
    let run = project.test(&["-k", "22"]);
    assert_eq!((run.ran(), deselected(&run)), (0, 6.into()));
    assert_eq!(compare(&["test_c.py", "-k", "22"]), 0);
}

/// The tests that a file had are known again only by collecting it.
#[test]
fn a_removed_test_is_there_again_after_going_back() {
    let project = Project::new(&[("test_b.py", "def test_b(): pass\n")]);
    let (both, one) = (
        "def test_a(): pass\ndef test_lost(): pass\n",
        "def test_a(): pass\n",
    );
    project.write("test_a.py", both);
    assert_eq!(project.test(&[]).ran(), 3);
    project.write("test_a.py", one);
    assert_eq!(
        project.test(&[]).ran(),
        0,
        "what the other one uses is the same"
    );
    for workers in ["1", "2"] {
        project.write("test_a.py", both);
        let run = project.test(&["-n", workers]);
        assert!(
            run.outcomes().contains_key("test_a.py::test_lost"),
            "{}",
            run.out
        );
        assert_eq!(run.ran(), 1, "the other is fresh: {}", run.out);
        project.write("test_a.py", one);
        assert_eq!(project.test(&["-n", workers]).ran(), 0);
    }
}

/// What native code reads isn't seen, so that such a test is called fresh.
fn project_with_a_miss() -> Project {
    Project::new(&[
        (
            "test_a.py",
            "import ctypes\nlibc = ctypes.CDLL(None)\nlibc.getenv.restype = ctypes.c_char_p\n\
             def test_hidden(): assert libc.getenv(b'HIDDEN') is None\n\
             def test_plain(): pass\n",
        ),
        ("test_b.py", "def test_b(): pass\n"),
    ])
}

#[test]
fn an_audit_tells_of_tests_that_were_called_fresh_and_are_not() {
    let mut project = project_with_a_miss();
    assert_eq!(project.test(&[]).code, 0);
    let (code, out, _) = project.audit(&[]);
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains("3 passed") && out.contains("3 verified"),
        "{out}"
    );

    project.set("HIDDEN", "1");
    let missed = project.test(&[]);
    assert_eq!((missed.code, missed.ran()), (0, 0), "{}", missed.out);
    let json = project.path().join(".dx/audit.json");
    let (code, out, _) = project.audit(&["--json", json.to_str().expect("the path is UTF-8")]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("called fresh, but another outcome"), "{out}");
    assert!(
        out.contains("test_a.py::test_hidden: passed before, failed now"),
        "{out}"
    );
    let text = std::fs::read_to_string(json).expect("the report was written");
    let document: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let expected = serde_json::json!([{"id": "test_a.py::test_hidden", "recorded": "passed", "outcome": "failed"}]);
    assert_eq!(document["contradictions"], expected);
    assert_eq!(document["summary"]["verified"], 3);

    // It isn't called fresh any more.
    let next = project.test(&[]);
    assert_eq!((next.code, next.ran()), (1, 1), "{}", next.out);
}

#[test]
fn a_sample_of_fresh_tests_is_verified() {
    let mut project = project_with_a_miss();
    project.test(&[]);
    assert_eq!(project.test(&["--verify-fresh", "0"]).ran(), 0);
    project.set("HIDDEN", "1");
    let run = project.test(&["--verify-fresh", "100%", "--explain"]);
    assert_eq!((run.code, run.ran()), (1, 3), "{}", run.out);
    assert!(
        run.out.contains("it is fresh, which is verified"),
        "{}",
        run.out
    );
    let (code, _, err) = project.dx(&["test", "--verify-fresh", "200"]);
    assert_eq!(code, 4);
    assert!(err.contains("a percentage from 0 to 100"), "{err}");
}

#[test]
fn shards_hold_each_test_once() {
    let files: Vec<(String, &str)> = (0..9)
        .map(|number| {
            (
                format!("sub{}/test_{number}.py", number % 3),
                "def test_a(): pass\ndef test_b(): pass\n",
            )
        })
        .chain([("test_broken.py".to_owned(), "import nothing_like_that\n")])
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), *text))
        .collect();
    let whole = Project::new(&files);
    let all = whole.test(&["--continue-on-collection-errors"]).outcomes();
    let mut seen = std::collections::BTreeMap::new();
    let mut errors = 0;
    for shard in ["1/3", "2/3", "3/3"] {
        // Each on a machine of its own, and once more with what is on record there.
        let project = Project::new(&files);
        for ran in [true, false] {
            let run = project.test(&["--continue-on-collection-errors", "--shard", shard]);
            if ran {
                errors += run.json["collection_errors"].as_array().map_or(0, Vec::len);
                for (test, outcome) in run.outcomes() {
                    assert!(seen.insert(test, outcome).is_none(), "{}", run.out);
                }
            } else {
                assert_eq!(run.ran(), 0, "{}", run.out);
            }
        }
    }
    assert_eq!((seen, errors), (all, 1));
    // A part that holds no file is done; a run that finds no test at all isn't.
    let few = Project::new(&[("test_a.py", "def test_a(): pass\n")]);
    for part in ["1/2", "2/2", "1/2", "2/2"] {
        let run = few.test(&["--shard", part]);
        assert_eq!(run.code, 0, "{part}: {}", run.out);
    }
    let none = Project::new(&[("lib.py", "")]);
    assert_eq!(none.test(&[]).code, 5);
    let (code, _, err) = whole.dx(&["test", "--shard", "4/3"]);
    assert_eq!(code, 4);
    assert!(err.contains("K/N is expected"), "{err}");
}

#[test]
fn files_that_are_opened_for_both_or_by_native_code_are_inputs() {
    let project = Project::new(&[
        (
            "test_a.py",
            "import ctypes, os, pathlib, sqlite3, pytest\n\
             here = pathlib.Path(__file__).parent\n\
             def test_both():\n\
             \x20   with open(here / 'both.txt', 'r+') as file:\n\
             \x20       assert file.read() == 'old'\n\
             def test_append():\n\
             \x20   with open(here / 'append.txt', 'a+') as file:\n\
             \x20       file.seek(0)\n\
             \x20       assert file.read() == 'old'\n\
             def test_descriptor():\n\
             \x20   descriptor = os.open(here / 'descriptor.txt', os.O_RDWR)\n\
             \x20   assert os.read(descriptor, 9) == b'old'\n\
             \x20   os.close(descriptor)\n\
             @pytest.mark.parametrize('name', ['{}', 'file:{}?mode=ro', 'file://{}'])\n\
             def test_database(name):\n\
             \x20   path = name.format(here / 'data.db')\n\
             \x20   database = sqlite3.connect(path, uri=path.startswith('file:'))\n\
             \x20   assert database.execute('SELECT * FROM t').fetchall() == [('old',)]\n\
             \x20   database.close()\n\
             def test_library():\n\
             \x20   with pytest.raises(OSError):\n\
             \x20       ctypes.CDLL(str(here / 'no_library.so'))\n",
        ),
        (
            "test_b.py",
            "import sqlite3\n\
             def test_new(tmp_path):\n\
             \x20   sqlite3.connect(tmp_path / 'new.db').execute('CREATE TABLE t (x)')\n\
             \x20   (tmp_path / 'new.txt').write_text('')\n\
             \x20   open(tmp_path / 'new.txt', 'r+').close()\n",
        ),
        ("both.txt", "old"),
        ("append.txt", "old"),
        ("descriptor.txt", "old"),
        ("no_library.so", "old"),
    ]);
    let store = |text: &str| {
        let script = format!(
            "import sqlite3; d = sqlite3.connect('data.db')\n\
             d.execute('CREATE TABLE IF NOT EXISTS t (x)')\n\
             d.execute('DELETE FROM t'); d.execute(\"INSERT INTO t VALUES ('{text}')\"); d.commit()"
        );
        let mut command = std::process::Command::new(python());
        command.args(["-c", &script]).current_dir(project.path());
        assert!(command.status().unwrap().success());
    };
    store("old");
    assert_eq!(project.test(&[]).code, 0);
    assert_eq!(project.test(&[]).ran(), 0);
    store("new");
    for name in ["both.txt", "append.txt", "descriptor.txt", "no_library.so"] {
        project.write(name, "new");
    }
    let edited = project.test(&[]);
    for (test, outcome) in [
        ("test_both", "failed"),
        ("test_append", "failed"),
        ("test_descriptor", "failed"),
        ("test_library", "passed"),
        ("test_new", "fresh passed"),
    ] {
        assert_eq!(edited.outcome(test), outcome, "{test}");
    }
    assert_eq!(edited.ran(), 7);
}

/// Rule 10: what another test has had read into a cache of the interpreter is an input of who finds it there.
#[test]
fn a_line_from_the_cache_of_sources_is_an_input() {
    let asks = |name: &str| {
        format!(
            "import linecache\ndef {name}(): assert linecache.getline('data.txt', 1) == 'old\\n'\n"
        )
    };
    let project = Project::new(&[
        ("test_a.py", &asks("test_a")),
        ("test_b.py", &asks("test_b")),
        ("test_c.py", "def test_c(): pass\n"),
        ("data.txt", "old\n"),
    ]);
    assert_eq!(project.test(&["-n", "1"]).code, 0);
    assert_eq!(project.test(&[]).ran(), 0);
    project.write("data.txt", "new\n");
    let run = project.test(&["-n", "1"]);
    let outcomes = ["test_a", "test_b", "test_c"].map(|name| run.outcome(name));
    assert_eq!(outcomes, ["failed", "failed", "fresh passed"]);
}

/// Of the files only the new one is collected, and pytest isn't asked again which there are.
#[test]
fn new_and_removed_test_files_need_no_whole_collection() {
    let project = Project::new(&[
        ("tests/helper.py", "def test_no(): pass\n"),
        ("tests/test_a.py", "def test_a(): pass\n"),
        ("tests/test_b.py", "def test_b(): pass\n"),
        ("tests/test_d.py", "def test_d(): pass\n"),
        ("tests/test_e.py", "def test_e(): pass\n"),
    ]);
    let agrees = |ran: usize, asks: bool| {
        let run = project.test(&["--explain"]);
        let (code, expected) = project.pytest(&[]);
        assert_eq!((run.code, run.outcomes()), (code, expected), "{}", run.out);
        assert_eq!(run.ran(), ran, "{}", run.out);
        assert_eq!(
            run.out.contains("all files are collected"),
            asks,
            "{}",
            run.out
        );
        run
    };
    agrees(4, true);
    project.write(
        "tests/test_c.py",
        "import os\ndef test_c(): os.stat('no')\n",
    );
    let run = agrees(1, false);
    assert!(
        run.out
            .contains("tests/test_c.py: it is new; it is collected"),
        "{}",
        run.out
    );
    agrees(1, false);
    project.write("tests/test_c.py", "def test_c(): pass\n");
    agrees(1, false);
    agrees(0, false);
    project.write("tests/test_f.py", "import nothing_of_that_name\n");
    for _ in 0..2 {
        let run = project.test(&["--explain"]);
        assert_eq!((run.code, run.ran()), (1, 0), "{}", run.out);
        assert!(
            run.out.contains("error collecting tests/test_f.py"),
            "{}",
            run.out
        );
        assert!(!run.out.contains("all files are collected"), "{}", run.out);
    }
    project.write("tests/test_f.py", "VALUE = 1\n");
    agrees(0, true);
    project.write("tests/test_g.py", "from tests.test_f import VALUE\n");
    agrees(0, false);
    agrees(0, false);
    project.remove("tests/test_b.py");
    agrees(0, false);
    project.write("tests/test_f.py", "def test_f(): pass\n");
    agrees(1, true);
    project.write("tests/more/test_h.py", "def test_h(): pass\n");
    agrees(1, true);
}

#[test]
fn another_pytest_makes_every_test_dirty() {
    let project = Project::new(&[("test_a.py", "def test_a(): pass\n")]);
    let environment = tempfile::tempdir().expect("there is a folder for temporary ones");
    let python = crate::support::python();
    let out = |code: &str, arguments: &[&str]| {
        let done = std::process::Command::new(&python)
            .args(["-c", code])
            .args(arguments)
            .output()
            .expect("Python runs");
        assert!(done.status.success(), "{done:?}");
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    };
    let folder = environment.path().to_str().expect("it is UTF-8");
    // An environment of its own, with pytest and what that needs.
    out(
        "import sys, venv; venv.create(sys.argv[1], symlinks=True)",
        &[folder],
    );
    let record = out(
        "import glob, os, pytest, shutil, sys
site = os.path.dirname(os.path.dirname(pytest.__file__))
to = glob.glob(sys.argv[1] + '/lib/python*/site-packages')[0]
needed = ('pytest', '_pytest', 'py.py', 'pluggy', 'iniconfig', 'packaging', 'pygments', 'exceptiongroup', 'tomli', 'typing_extensions')
for name in os.listdir(site):
    if name.lower().split('-')[0] in needed or name == 'typing_extensions.py':
        copy = shutil.copytree if os.path.isdir(os.path.join(site, name)) else shutil.copy
        copy(os.path.join(site, name), os.path.join(to, name))
print(glob.glob(to + '/pytest-*.dist-info/RECORD')[0])",
        &[folder],
    );
    let own = environment.path().join("bin/python");
    let own = own.to_str().expect("it is UTF-8");
    let run = || project.dx(&["test", "-q", "--python", own]).1;
    assert!(run().contains("1 passed in"), "it runs first");
    assert!(run().contains("nothing to run: 1 fresh"));
    let text = std::fs::read_to_string(&record).expect("it is there");
    std::fs::write(&record, format!("{text}_pytest/more.py,sha256=x,1\n"))
        .expect("it can be written");
    let again = run();
    assert!(again.contains("1 passed in"), "{again}");
}

#[test]
fn a_new_folder_brings_back_no_file_that_is_ignored() {
    let project = Project::new(&[
        (
            "pytest.ini",
            "[pytest]\naddopts = --ignore=tests/test_b.py\n",
        ),
        (
            "tests/conftest.py",
            "def pytest_ignore_collect(collection_path):\n    return True if collection_path.name == 'test_c.py' else None\n",
        ),
        ("tests/test_a.py", "def test_a(): pass\n"),
        ("tests/test_b.py", "import missing\n"),
        ("tests/test_c.py", "import missing\n"),
    ]);
    assert_eq!(project.test(&[]).ran(), 1);
    project.write("tests/data/x.txt", "");
    let run = project.test(&[]);
    assert_eq!((run.code, run.ran()), (0, 0), "{}\n{}", run.out, run.err);
    project.write("tests/test_d.py", "def test_d(): pass\n");
    project.write("tests/more/x.txt", "");
    let run = project.test(&[]);
    assert_eq!((run.code, run.ran()), (0, 1), "{}\n{}", run.out, run.err);
    // It isn't any more.
    project.write("pytest.ini", "[pytest]\n");
    let run = project.test(&[]);
    assert!(run.out.contains("test_b.py"), "{}", run.out);
}
