//! The system's temporary folder: what was there before a run is an input, what the run puts there isn't.

use std::fs;

use tempfile::TempDir;

use crate::functions::runs;
use crate::support::{Project, Run};

/// Which tests ran, by the last part of their IDs.
fn ran(run: &Run) -> Vec<String> {
    let dirty = run
        .tests
        .iter()
        .filter(|(_, outcome)| !outcome.starts_with("fresh"));
    dirty
        .map(|(id, _)| id.rsplit("::").next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn what_was_there_before_the_run_is_an_input() {
    let data = TempDir::new().expect("a temporary folder can be made");
    let beside = data.path().with_extension("beside");
    fs::write(data.path().join("value"), "1").expect("files can be written");
    fs::create_dir(data.path().join("folder")).expect("folders can be made");
    let place = data.path().display();
    // A file for each, since what one test reads, its module may keep for the others.
    let tests = [
        "def test_value(): assert (DATA / 'value').read_text() == '1'\n".to_owned(),
        "def test_listing(): assert os.listdir(DATA / 'folder') == []\n".to_owned(),
        "def test_missing(): assert not (DATA / 'missing').exists()\n".to_owned(),
        format!(
            "def test_beside(): assert not os.path.exists('{}')\n",
            beside.display()
        ),
        "def test_link(tmp_path):\n    (tmp_path / 'link').symlink_to(DATA)\n    \
         assert (tmp_path / 'link/value').read_text() == '1'\n"
            .to_owned(),
        "def test_none(): pass\n".to_owned(),
    ];
    let project = Project::new(&[]);
    for (number, test) in tests.iter().enumerate() {
        let text = format!("import os, pathlib\nDATA = pathlib.Path('{place}')\n{test}");
        project.write(&format!("test_{number}.py"), &text);
    }
    for workers in ["1", "2"] {
        let _ = fs::remove_dir_all(project.path().join(".dx"));
        let test = || project.test(&["-n", workers]);
        assert_eq!(test().code, 0);
        assert_eq!(test().ran(), 0);
        let change = |change: &dyn Fn(), tests: &[&str]| {
            change();
            let run = test();
            assert_eq!(ran(&run), tests, "-n {workers}\n{}", run.out);
            let (code, expected) = project.pytest(&[]);
            assert_eq!((run.outcomes(), run.code), (expected, code));
        };
        let write = |name: &str, text: &str| {
            fs::write(data.path().join(name), text).expect("files can be written");
        };
        change(&|| write("value", "2"), &["test_value", "test_link"]);
        write("value", "1");
        assert_eq!(test().ran(), 0, "as before, which had passed");
        change(&|| write("folder/new", ""), &["test_listing"]);
        fs::remove_file(data.path().join("folder/new")).expect("it is there");
        change(&|| write("missing", ""), &["test_missing"]);
        fs::remove_file(data.path().join("missing")).expect("it is there");
        change(
            &|| fs::write(&beside, "").expect("files can be written"),
            &["test_beside"],
        );
        fs::remove_file(&beside).expect("it is there");
    }
}

#[test]
fn what_the_start_of_the_interpreter_imported_is_observed_too() {
    let data = TempDir::new().expect("a temporary folder can be made");
    let lib = TempDir::new().expect("a temporary folder can be made");
    // As the `.pth` files of projects that are installed in place do. What they import has bound functions of `os` by then.
    let text = "import glob, pathlib, shutil, tempfile, fnmatch\n";
    fs::write(lib.path().join("sitecustomize.py"), text).expect("files can be written");
    let mut project = Project::new(&[]);
    for (name, asked) in [
        ("exists", "(DATA / 'missing').exists()"),
        ("link", "(DATA / 'missing').is_symlink()"),
        ("glob", "list(DATA.glob('missing'))"),
        ("below", "list(DATA.glob('missing/../missing'))"),
    ] {
        let place = data.path().display();
        let text = format!(
            "import pathlib\nDATA = pathlib.Path('{place}')\ndef test_{name}(): assert not {asked}\n"
        );
        project.write(&format!("test_{name}.py"), &text);
    }
    project.set("PYTHONPATH", lib.path());
    assert_eq!(project.test(&[]).code, 0);
    assert_eq!(project.test(&[]).ran(), 0);
    let to = data.path().join("folder");
    std::os::unix::fs::symlink(to, data.path().join("missing")).expect("links can be made");
    fs::create_dir(data.path().join("folder")).expect("folders can be made");
    let run = project.test(&[]);
    let (code, expected) = project.pytest(&[]);
    assert_eq!((run.outcomes(), run.code), (expected, code), "{}", run.out);
    assert_eq!((run.ran(), code), (4, 1));
}

#[test]
fn what_tests_put_there_is_no_input() {
    let project = Project::new(&[
        (
            "conftest.py",
            "import os, pytest, tempfile\n\
             @pytest.fixture(scope='session')\ndef shared(tmp_path_factory):\n    \
             path = tmp_path_factory.getbasetemp().parent / f'shared-of-{os.getppid()}'\n    \
             if not path.exists(): path.write_text('x')\n    return path\n\
             @pytest.fixture(scope='session')\ndef made():\n    \
             with tempfile.TemporaryDirectory() as name:\n        open(os.path.join(name, 'data'), 'w').close()\n        yield name\n",
        ),
        (
            "test_a.py",
            "import os, shutil, subprocess, sys, tempfile\n\
             def test_tmp_path(tmp_path):\n    assert not (tmp_path / 'a').exists()\n    (tmp_path / 'a').write_text('1')\n    \
             assert [p.read_text() for p in tmp_path.iterdir()] == ['1']\n    assert tmp_path.resolve().is_dir()\n\
             def test_folder():\n    with tempfile.TemporaryDirectory() as name:\n        \
             path = os.path.join(name, 'b')\n        open(path, 'w').close()\n        os.rename(path, path + 'c')\n        \
             assert os.listdir(name) == ['bc'] and os.stat(path + 'c')\n    assert not os.path.exists(name)\n\
             def test_file():\n    with tempfile.NamedTemporaryFile('w+') as file:\n        assert os.path.exists(file.name)\n        \
             file.write('1')\n        file.flush()\n        assert open(file.name).read() == '1'\n\
             def test_mktemp():\n    name = tempfile.mktemp()\n    assert not os.path.exists(name)\n    open(name, 'w').close()\n    \
             assert os.path.isfile(name)\n    os.remove(name)\n\
             def test_import(tmp_path, monkeypatch):\n    (tmp_path / 'made_by_a_test.py').write_text('X = 1')\n    \
             monkeypatch.syspath_prepend(tmp_path)\n    import made_by_a_test\n    assert made_by_a_test.X == 1\n\
             def test_child(tmp_path):\n    for name in (tmp_path, tempfile.mktemp()):\n        \
             subprocess.run([sys.executable, '-c', 'import os, sys; os.makedirs(sys.argv[1], exist_ok=True);'\n            \
             'open(sys.argv[1] + \"/x\", \"w\").write(\"1\")', str(name)], check=True)\n        \
             assert os.listdir(name) == ['x'] and open(os.path.join(name, 'x')).read() == '1'\n    shutil.rmtree(name)\n\
             def test_shared(shared): assert shared.read_text() == 'x'\n\
             def test_made(made): assert os.listdir(made) == ['data']\n",
        ),
        (
            "test_b.py",
            "import os\ndef test_shared(shared): assert shared.read_text() == 'x'\n\
             def test_made(made): assert os.path.isfile(os.path.join(made, 'data'))\n",
        ),
    ]);
    for workers in ["1", "2"] {
        let _ = fs::remove_dir_all(project.path().join(".dx"));
        for _ in 0..2 {
            let run = project.test(&["-n", workers, "--all"]);
            assert_eq!(run.code, 0, "-n {workers}\n{}{}", run.out, run.err);
            assert!(!run.out.contains("will run again"), "{}", run.out);
        }
        let run = project.test(&["-n", workers, "--explain"]);
        assert_eq!(run.ran(), 0, "-n {workers}\n{}", run.out);
    }
}

/// A test that puts a file of a fixed name there finds it in the next run.
#[test]
fn what_a_test_left_there_itself_is_no_input() {
    let own = TempDir::new().expect("a temporary folder can be made");
    let leftover = own.path().join("leftover");
    let project = Project::new(&[(
        "test_a.py",
        &format!(
            "import os\nOWN = '{}'\ndef test_own():\n    if os.path.exists(OWN): os.remove(OWN)\n    \
             with open(OWN, 'w') as file: file.write(str(os.getpid()))\n    assert open(OWN).read() == str(os.getpid())\n",
            leftover.display()
        ),
    )]);
    for _ in 0..2 {
        let run = project.test(&["--all"]);
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        assert!(!run.out.contains("will run again"), "{}", run.out);
        assert!(leftover.exists());
        let run = project.test(&["--explain"]);
        assert_eq!(run.ran(), 0, "{}", run.out);
    }
}

/// What a test wrote there, and another one reads, was made by whatever the first one ran.
#[test]
fn what_another_test_wrote_there_depends_on_what_wrote_it() {
    let tests = "\
import pytest
from lib import load, save

@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('some')
    (folder / 'made').write_text('1')
    return folder

def test_first(folder): pass

def test_write(folder): save(folder / 'value', 1)

def test_read(folder): assert load(folder / 'value') == '1'

def test_list(folder): assert len(list(folder.iterdir())) == 2

def test_made(folder): assert (folder / 'made').read_text() == '1'
";
    let lib = "\
def save(path, value):
    path.write_text(str(value))

def load(path):
    return path.read_text()

def unused():
    return 1
";
    let files = [("lib.py", lib), ("test_a.py", tests)];
    let all_but_made = ["test_list", "test_read", "test_write"];
    runs(&files, "str(value)", "str(value) + 'x'", &all_but_made);
    // It isn't told apart what of the project another test may have needed.
    runs(&files, "return 1", "return 2", &all_but_made);
}
