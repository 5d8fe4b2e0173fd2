//! Cached fixtures: `dx.fixture(cache=True)` under dx-py and under plain pytest, `dx-py fixtures`, `dx-py clean --fixtures`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use dx_py_core::{Digest, FixtureId, RelPath};
use dx_py_fixture::{Algorithm, Store, Value};

use crate::support::{Project, python, with_worker};

/// What conftests of these tests begin with. Where runs of tests keep records of their own, nothing is an input or left behind: the
/// fixtures note there that they were made.
const HEAD: &str = r#"
import os, pickle
import dx_py_test_runner as dx

HERE = os.path.dirname(os.path.abspath(__file__))

def made(what):
    os.makedirs(os.path.join(HERE, ".hypothesis"), exist_ok=True)
    with open(os.path.join(HERE, ".hypothesis", "made"), "a") as log:
        log.write(what + "\n")
"#;

/// How a project's tests are run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Runner {
    Dx,
    Pytest,
}

const BOTH: [Runner; 2] = [Runner::Dx, Runner::Pytest];

/// A project with a conftest that begins with `HEAD`, and this test file.
fn project(conftest: &str, test: &str) -> Project {
    Project::new(&[
        ("conftest.py", &format!("{HEAD}{conftest}")),
        ("test_a.py", test),
    ])
}

/// Runs all tests; gives the exit code and the output.
fn run(project: &Project, runner: Runner) -> (i32, String) {
    match runner {
        Runner::Dx => {
            let run = project.test(&["--all", "-n", "1"]);
            (run.code, run.out + &run.err)
        }
        Runner::Pytest => {
            let output = project
                .start(&python())
                .args([
                    "-m",
                    "pytest",
                    "-p",
                    "dx_py_test_runner.plugin",
                    "-p",
                    "no:cacheprovider",
                ])
                .env(
                    "PYTHONPATH",
                    Path::new(env!("CARGO_MANIFEST_DIR")).join("worker"),
                )
                .output()
                .expect("pytest can be started");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            (output.status.code().unwrap_or(-1), text)
        }
    }
}

/// Runs all tests, which pass; gives the output.
fn pass(project: &Project, runner: Runner) -> String {
    let (code, out) = run(project, runner);
    assert_eq!(code, 0, "{runner:?}: {out}");
    out
}

/// How often fixtures were made so far.
fn made(project: &Project) -> usize {
    let log = fs::read_to_string(project.path().join(".hypothesis/made"));
    log.unwrap_or_default().lines().count()
}

/// The files of the kept values.
fn entries(project: &Project) -> Vec<PathBuf> {
    let folder = fs::read_dir(project.path().join(".dx/fixtures"));
    let files = folder
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut found: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|ending| ending == "dxf"))
        .collect();
    found.sort();
    found
}

#[test]
fn two_workers_make_a_value_once_and_later_runs_restore_it() {
    let conftest = r#"
import time

@dx.fixture(scope="session", cache=True)
def model():
    made("model")
    time.sleep(0.5)
    return {"answer": 42}
"#;
    let test = "import time\ndef test_it(model):\n    time.sleep(0.2)\n    assert model == {'answer': 42}\n";
    let project = project(conftest, test);
    for name in ["test_b.py", "test_c.py", "test_d.py"] {
        project.write(name, test);
    }
    let run = project.test(&["-n", "2"]);
    assert_eq!((run.code, run.ran()), (0, 4), "{}{}", run.out, run.err);
    assert_eq!(made(&project), 1);
    assert_eq!(project.test(&["-n", "2"]).ran(), 0);
    assert_eq!(project.test(&["-n", "2", "--all"]).ran(), 4);
    assert_eq!(made(&project), 1);
    let (code, out, _) = project.dx(&["fixtures"]);
    assert_eq!(code, 0);
    assert!(
        out.contains("conftest.py::model") && out.contains("1 cached value, 0.0 MB"),
        "{out}"
    );
    let (_, json, _) = project.dx(&["fixtures", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["fixture"], "conftest.py::model");
    assert!(
        json[0]["seconds"]
            .as_f64()
            .is_some_and(|seconds| seconds >= 0.5),
        "{json}"
    );
    let (_, out, _) = project.dx(&["clean", "--fixtures"]);
    assert_eq!(out, "removed 1 cached value, 0.0 MB\n");
    assert!(project.path().join(".dx/catalog.db").exists());
    assert_eq!(project.test(&["-n", "2", "--all"]).code, 0);
    assert_eq!(made(&project), 2);
}

const READS: &str = r#"
from lib import helper
LIMIT = 10

@dx.fixture(scope="session", cache=True)
def data():
    made("data")
    with open(os.path.join(HERE, "data.txt")) as file:
        number = int(file.read())
    extra = len([name for name in os.listdir(os.path.join(HERE, "extra"))])
    there = os.path.exists(os.path.join(HERE, "switch"))
    return [helper.scaled(number), LIMIT, os.environ.get("SCALE"), extra, there]
"#;

#[test]
fn a_change_of_anything_that_it_was_made_of_makes_it_again() {
    for runner in BOTH {
        let mut project = project(
            READS,
            "def test_it(data):\n    print('is', data)\n    assert data\n",
        );
        project.write("lib/__init__.py", "");
        project.write(
            "lib/helper.py",
            "from .inner import FACTOR\ndef scaled(number):\n    return number * FACTOR\n",
        );
        project.write("lib/inner.py", "FACTOR = 2\n");
        project.write("data.txt", "3");
        project.write("extra/one", "");
        let mut expected = 0;
        let mut changed = |project: &Project, what: &str, is_made: bool| {
            for again in [is_made, false] {
                expected += usize::from(again);
                let out = pass(project, runner);
                assert_eq!(made(project), expected, "{runner:?}, {what}: {out}");
            }
        };
        changed(&project, "the first run", true);
        project.write("test_a.py", "def test_it(data):\n    assert data[0] == 6\n");
        changed(&project, "an edit of the test", false);
        let conftest = project.read("conftest.py");
        project.write(
            "conftest.py",
            &conftest.replace("def data():\n", "def data():\n    'Reads.'\n"),
        );
        changed(&project, "an edit of the function", true);
        project.write("lib/inner.py", "FACTOR = 4\n");
        project.write(
            "test_a.py",
            "def test_it(data):\n    assert data[0] == 12\n",
        );
        changed(&project, "an edit of what a helper imports", true);
        project.write("data.txt", "5");
        project.write(
            "test_a.py",
            "def test_it(data):\n    assert data[0] == 20\n",
        );
        changed(&project, "an edit of a file that was read", true);
        project.set("SCALE", "7");
        project.write(
            "test_a.py",
            "def test_it(data):\n    assert data[2] == '7'\n",
        );
        changed(&project, "a variable", true);
        project.write("extra/two", "");
        changed(&project, "a folder that was listed", true);
        project.write("switch", "");
        project.write(
            "test_a.py",
            "def test_it(data):\n    assert data[3:] == [2, True]\n",
        );
        changed(&project, "a file that wasn't there", true);
    }
}

#[test]
fn a_file_that_native_code_reads_counts_if_it_is_named() {
    let conftest = r#"
import ctypes, pathlib

libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
libc.fread.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p]

@dx.fixture(cache=True)
def native():
    made("native")
    file = libc.fopen(str(pathlib.Path(HERE) / "data" / "x.bin").encode(), b"r")
    buffer = ctypes.create_string_buffer(10)
    libc.fread(buffer, 1, 10, file)
    return buffer.value
"#;
    for runner in BOTH {
        let project = project(
            conftest,
            "def test_it(native):\n    assert native == b'one'\n",
        );
        project.write("data/x.bin", "one");
        pass(&project, runner);
        pass(&project, runner);
        assert_eq!(made(&project), 1, "{runner:?}");
        project.write("data/x.bin", "two");
        project.write(
            "test_a.py",
            "def test_it(native):\n    assert native == b'two'\n",
        );
        pass(&project, runner);
        assert_eq!(made(&project), 2, "{runner:?}");
    }
}

#[test]
fn a_test_that_was_given_a_restored_value_depends_on_what_it_was_made_of() {
    let project = project(
        READS,
        "def test_it(data):\n    assert data\n\ndef test_other():\n    pass\n",
    );
    project.write("lib/__init__.py", "");
    project.write("lib/helper.py", "def scaled(number):\n    return number\n");
    project.write("data.txt", "3");
    project.write("extra/one", "");
    assert_eq!(project.test(&["-n", "1"]).ran(), 2);
    // The passes of this run were recorded by a process in which no set-up ran.
    project.write(
        "test_a.py",
        "def test_it(data):\n    assert data[0]\n\ndef test_other():\n    assert 1\n",
    );
    let run = project.test(&["-n", "1"]);
    assert_eq!((run.ran(), made(&project)), (2, 1), "{}", run.out);
    assert_eq!(project.test(&["-n", "1"]).ran(), 0);
    project.write("data.txt", "4");
    let run = project.test(&["-n", "1"]);
    assert!(
        run.ran() >= 1 && run.outcome("test_it") == "passed",
        "{:?}",
        run.tests
    );
    assert_eq!(made(&project), 2);
    assert_eq!(project.test(&["-n", "1"]).ran(), 0);
    project.write("switch", "");
    let run = project.test(&["-n", "1"]);
    assert_eq!(run.outcome("test_it"), "passed", "{:?}", run.tests);
    assert_eq!(made(&project), 3);
}

/// A value with a large buffer that isn't copied when it is pickled and unpickled.
const BLOCK: &str = r#"
class Block:
    def __init__(self, buffer):
        self.view = memoryview(buffer)
    def __reduce_ex__(self, protocol):
        return Block, (pickle.PickleBuffer(self.view),)

@dx.fixture(cache=True)
def block():
    made("block")
    return Block(bytearray(b"x" * 1_000_000))
"#;

#[test]
fn what_a_test_writes_into_a_restored_value_is_its_own() {
    let test = r#"
import pytest

def maps():
    with open("/proc/self/maps") as file:
        return [line for line in file if line.rstrip().endswith(".dxf")]

@pytest.mark.parametrize("round", range(3))
def test_it(block, round):
    assert bytes(block.view) == b"x" * 1_000_000
    assert maps()
    block.view[:4] = b"mine"
    assert bytes(block.view[:5]) == b"minex"
"#;
    for runner in BOTH {
        let project = project(BLOCK, test);
        for _ in 0..2 {
            pass(&project, runner);
            assert_eq!(made(&project), 1);
        }
        let run = project.test(&["-n", "2", "--all"]);
        assert_eq!(
            (run.code, made(&project)),
            (
                0,
                if runner == Runner::Dx {
                    1
                } else {
                    made(&project)
                }
            )
        );
    }
}

#[test]
fn damaged_and_foreign_files_are_made_again_and_never_unpickled() {
    let test = "def test_it(block):\n    assert bytes(block.view) == b'x' * 1_000_000\n";
    for runner in BOTH {
        let project = project(BLOCK, test);
        pass(&project, runner);
        let path = entries(&project).pop().expect("there is one");
        let sound = fs::read(&path).unwrap();
        let mut expected = 1;
        let mut again = |what: &str| {
            expected += 1;
            let out = pass(&project, runner);
            assert_eq!(made(&project), expected, "{runner:?}, {what}: {out}");
            pass(&project, runner);
            assert_eq!(made(&project), expected, "{runner:?}, after {what}");
        };
        let put = |bytes: &[u8]| {
            let times = fs::metadata(&path).and_then(|state| state.modified());
            fs::write(&path, bytes).unwrap();
            if let Ok(times) = times {
                // As it was made, so that only the bytes tell.
                fs::File::options()
                    .write(true)
                    .open(&path)
                    .unwrap()
                    .set_modified(times)
                    .unwrap();
            }
        };
        for place in [0, 6, 41, 200] {
            let mut bytes = sound.clone();
            bytes[place] ^= 1;
            put(&bytes);
            again(&format!("a changed byte at {place}"));
        }
        put(&sound[..sound.len() - 1]);
        again("a file that is cut short");
        put(b"");
        again("an empty file");
        // In place, with the old time lost: the buffers' digests aren't looked at.
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() = b'y';
        fs::write(&path, bytes).unwrap();
        again("a write into a buffer");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
        again("a file that others can write");
        let aside = project.path().join("aside");
        fs::rename(&path, &aside).unwrap();
        symlink(&aside, &path).unwrap();
        again("a link");
        // A sound entry of another key, whose pickle would leave a trace.
        let other = FixtureId {
            file: RelPath::from_text("conftest.py").unwrap(),
            name: "block".to_owned(),
        };
        let trace = project.path().join("trace");
        let value = Value {
            pickle: format!("cos\nsystem\n(S'touch {}'\ntR.", trace.display()).into_bytes(),
            buffers: vec![],
        };
        let store = Store::new(&project.path().join(".dx"));
        let before = entries(&project);
        store
            .keep(
                &other,
                Digest::of(b"other"),
                &value,
                Duration::ZERO,
                Algorithm::Blake2b,
            )
            .unwrap();
        let foreign = entries(&project)
            .into_iter()
            .find(|each| !before.contains(each));
        fs::rename(foreign.expect("it is new"), &path).unwrap();
        again("an entry that was made of something else");
        assert!(!trace.exists());
        // A folder that others can write into is left alone, and what is in it too.
        let folder = path.parent().unwrap();
        fs::set_permissions(folder, PermissionsExt::from_mode(0o777)).unwrap();
        let before = made(&project);
        let out = pass(&project, runner);
        assert_eq!(made(&project), before + 1);
        assert!(out.contains("isn't a folder of yours alone"), "{out}");
    }
}

#[test]
fn what_cannot_be_kept_is_made_each_time_and_says_so_once() {
    let conftest = r#"
import subprocess, sys
import pytest

@dx.fixture(cache=True)
def unpicklable():
    made("a")
    return lambda: 1

@dx.fixture(cache=True)
def temporary(tmp_path):
    made("b")
    return str(tmp_path)

@dx.fixture(cache=True)
def of_a_process():
    made("c")
    return subprocess.check_output([sys.executable, "-c", "print(1)"])

@dx.fixture(cache=True)
def leaves_a_file():
    made("d")
    with open(os.path.join(HERE, "left"), "w") as file:
        file.write("x")
    return 1

@dx.fixture(cache=True)
def finalized(request):
    made("e")
    request.addfinalizer(lambda: None)
    return 1

@dx.fixture(cache=True)
def asks(request):
    made("f")
    return request.node.name

@dx.fixture(cache=True, key="1")
def of_a_process_with_key():
    made("g")
    return subprocess.check_output([sys.executable, "-c", "print(1)"])

@pytest.fixture
def all_of_them(unpicklable, temporary, of_a_process, leaves_a_file, finalized, asks, of_a_process_with_key):
    return unpicklable()
"#;
    let test = "def test_a(all_of_them):\n    pass\ndef test_b(all_of_them):\n    pass\n";
    for runner in BOTH {
        let project = project(conftest, test);
        // Warnings that are errors don't make these errors.
        project.write("pytest.ini", "[pytest]\nfilterwarnings = error\n");
        let out = pass(&project, runner);
        for (name, reason) in [
            (
                "unpicklable",
                "its value, of type function, can't be pickled",
            ),
            ("temporary", "it asks for tmp_path"),
            ("of_a_process", "its set-up starts a process"),
            (
                "leaves_a_file",
                "left behind, which restoring its value wouldn't",
            ),
            ("finalized", "it has a teardown (`request.addfinalizer`)"),
            ("asks", "it asks for `request.node`"),
        ] {
            let said = format!("the fixture conftest.py::{name} isn't cached: ");
            assert_eq!(out.matches(&said).count(), 1, "{runner:?}, {name}: {out}");
            assert!(out.contains(reason), "{runner:?}, {reason}: {out}");
        }
        assert_eq!(made(&project), 2 * 6 + 1, "{runner:?}");
        assert_eq!(entries(&project).len(), 1);
    }
}

#[test]
fn a_teardown_is_an_error_that_says_what_to_do() {
    for runner in BOTH {
        let test = "import dx_py_test_runner as dx\n\n@dx.fixture(cache=True)\ndef connection():\n    yield 1\n\ndef test_it(connection):\n    pass\n";
        let project = project("", test);
        let (code, out) = run(&project, runner);
        assert_ne!(code, 0);
        assert!(
            out.contains("the fixture connection has a teardown (`yield`)"),
            "{out}"
        );
        assert!(
            out.contains("let a cached fixture return the expensive part"),
            "{out}"
        );
        // Without the cache it is pytest's fixture.
        project.write("test_a.py", &test.replace("cache=True", "scope='module'"));
        pass(&project, runner);
        project.write("test_a.py", &test.replace("cache=True", "ttl=5"));
        let (_, out) = run(&project, runner);
        assert!(out.contains("add `cache=True`, or leave them out"), "{out}");
    }
}

#[test]
fn parameters_keys_and_ages_decide() {
    let conftest = r#"
import datetime

@dx.fixture(cache=True, params=[1, "two", (3, {"x": [4]})], ids=str)
def parameter(request):
    made("parameter")
    return [request.param]

@dx.fixture(cache=True, ttl=datetime.timedelta(hours=1))
def lasting():
    made("lasting")
    return 1

@dx.fixture(cache=True, ttl=0.001)
def short():
    made("short")
    return 1

@dx.fixture(cache=True, key=lambda: os.environ.get("EDITION"))
def edition():
    made("edition")
    return 1

class Base:
    factor = 1
    @dx.fixture(cache=True)
    def method(self):
        made("method")
        return self.factor
"#;
    let test = "from conftest import Base\n\ndef test_parameter(parameter):\n    assert parameter[0] in [1, 'two', (3, {'x': [4]})]\n\nclass TestA(Base):\n    def test_rest(self, lasting, short, edition, method):\n        assert method == 1\n\nclass TestB(Base):\n    factor = 2\n    def test_rest(self, method):\n        assert method == 2\n";
    for runner in BOTH {
        let mut project = project(conftest, test);
        pass(&project, runner);
        assert_eq!(made(&project), 3 + 3 + 2, "{runner:?}");
        pass(&project, runner);
        assert_eq!(
            made(&project),
            8 + 1,
            "{runner:?}: what is too old is made again"
        );
        project.set("EDITION", "2");
        pass(&project, runner);
        assert_eq!(
            made(&project),
            9 + 2,
            "{runner:?}: a key that is another one"
        );
    }
}

#[test]
fn values_that_a_fixture_asks_for_are_part_of_its_key() {
    let conftest = r#"
import pytest

@pytest.fixture(scope="session")
def number():
    return 3

@dx.fixture(scope="session", cache=True)
def first(number):
    made("first")
    return Holder([number] * 3)

class Holder:
    def __init__(self, items):
        self.items = items

@dx.fixture(scope="session", cache=True)
def second(first):
    made("second")
    return Holder(first.items + [0])

@dx.fixture(cache=True)
def third(first):
    made("third")
    return Holder(first.items[:])
"#;
    let test = "def test_it(second):\n    assert len(second.items) == 4\n\ndef test_writes(first, number):\n    first.items[0] = 'changed'\n\ndef test_sees(third):\n    assert third.items[0] == 'changed'\n";
    for runner in BOTH {
        let project = project(conftest, test);
        let out = pass(&project, runner);
        assert!(
            out.contains("the value of first, which it asks for, was changed after it was made"),
            "{out}"
        );
        assert_eq!(
            (made(&project), entries(&project).len()),
            (3, 2),
            "{runner:?}"
        );
        // What wasn't kept is made again, from the value that was changed again.
        pass(&project, runner);
        assert_eq!(made(&project), 4, "{runner:?}");
        // An instance of a fixture that isn't cached says nothing.
        project.write("test_a.py", "import pytest\nimport dx_py_test_runner as dx\n\n@pytest.fixture\ndef thing():\n    return object()\n\n@dx.fixture(cache=True)\ndef of_it(thing):\n    return 1\n\ndef test_it(of_it):\n    pass\n");
        let out = pass(&project, runner);
        assert!(
            out.contains(
                "it asks for thing, whose value is neither plain data nor that of a cached fixture"
            ),
            "{out}"
        );
    }
}

#[test]
fn all_together_have_a_limit() {
    let conftest = r#"
@dx.fixture(cache=True, params=range(3))
def block(request):
    made("block")
    return bytes([request.param]) * 600_000

@dx.fixture(cache=True)
def large():
    return bytes(3_000_000)
"#;
    for runner in BOTH {
        let mut project = project(
            conftest,
            "def test_it(block):\n    assert len(block) == 600_000\n",
        );
        match runner {
            Runner::Dx => project.write("dx-py.toml", "fixtures-mb = 2\n"),
            Runner::Pytest => project.set("DX_PY_FIXTURES_MB", "2"),
        }
        pass(&project, runner);
        assert_eq!(
            (made(&project), entries(&project).len()),
            (3, 3),
            "{runner:?}"
        );
        // The one that was used last stays the longest.
        let store = Store::new(&project.path().join(".dx"));
        for (age, entry) in entries(&project).iter().enumerate() {
            let made = fs::metadata(entry).unwrap().modified().unwrap();
            let used = SystemTime::now() - Duration::from_secs(100 * (1 + age as u64));
            let times = fs::FileTimes::new().set_accessed(used).set_modified(made);
            fs::File::options()
                .write(true)
                .open(entry)
                .unwrap()
                .set_times(times)
                .unwrap();
        }
        let oldest = store.list().unwrap().pop().unwrap().path;
        project.write("test_b.py", "import dx_py_test_runner as dx\n\n@dx.fixture(cache=True)\ndef fourth():\n    return bytes(600_000)\n\ndef test_b(fourth):\n    pass\n");
        project.write("test_a.py", "");
        let (code, out) = run(&project, runner);
        assert_eq!(code, 0, "{out}");
        assert!(!oldest.exists(), "{runner:?}: {oldest:?}");
        assert_eq!(entries(&project).len(), 3, "{runner:?}");
        project.write("test_b.py", "def test_b(large):\n    pass\n");
        let out = pass(&project, runner);
        assert!(
            out.contains("it takes 3 MB, and all cached fixtures may take 2 MB"),
            "{out}"
        );
    }
}

/// Reads what Rust kept, and keeps it again under another name.
const TWIN: &str = r#"
import sys
from dx_py_test_runner.fixture_store import Store, dumps
root, key, name = sys.argv[1:]
store = Store(root)
entry = store.find(name, bytes.fromhex(key))
value = entry.load()
assert value == [1, "two", memoryview(b"z" * 5000)], value
assert not value[2].readonly
value[2][:1] = b"y"
assert entry.metadata["fixture"] == "tests/conftest.py::" + name, entry.metadata
import pickle
known = {name: entry.metadata[name] for name in ("fixture", "value", "seconds", "inputs", "others")}
store.keep("again", bytes.fromhex(key), {**known, "fixture": "tests/conftest.py::again"}, dumps([1, pickle.PickleBuffer(b"w" * 9000)]))
"#;

#[test]
fn rust_and_python_read_each_others_files() {
    let project = Project::new(&[]);
    let dx = project.path().join(".dx");
    fs::create_dir(&dx).unwrap();
    let store = Store::new(&dx);
    let id = |name: &str| FixtureId {
        file: RelPath::from_text("tests/conftest.py").unwrap(),
        name: name.to_owned(),
    };
    let key = Digest::of(b"def fixture(): ...");
    // `[1, "two", NEXT_BUFFER]`, in protocol 5.
    let pickle = b"\x80\x05]\x94(K\x01\x8c\x03two\x94\x97e.".to_vec();
    let value = Value {
        pickle,
        buffers: vec![vec![b'z'; 5000]],
    };
    let name = "modèle of all";
    // Python's own digest, which every interpreter has.
    store
        .keep(
            &id(name),
            key,
            &value,
            Duration::from_millis(250),
            Algorithm::Blake2b,
        )
        .unwrap();
    let digits: String = key.0.iter().map(|byte| format!("{byte:02x}")).collect();
    with_worker(
        TWIN,
        [project.path().as_os_str(), digits.as_ref(), name.as_ref()],
    );
    let mapped = store
        .find(&id("again"), key)
        .unwrap()
        .expect("Python has kept it");
    let entry = mapped.entry(true).unwrap();
    assert_eq!(entry.buffers, [&[b'w'; 9000][..]]);
    assert_eq!(entry.metadata.fixture, "tests/conftest.py::again");
    assert_eq!(entry.metadata.seconds, 0.25);
    let all = store.list().unwrap();
    assert!(all.iter().all(|each| each.metadata.is_ok()), "{all:?}");
    // What was written into the mapping is in no file.
    let mapped = store.find(&id(name), key).unwrap().unwrap();
    assert_eq!(mapped.entry(true).unwrap().buffers, [&[b'z'; 5000][..]]);
}
