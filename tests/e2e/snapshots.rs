//! Snapshot assertions: `dx.snapshot`, `dx_snapshot`, and `dx-py snapshot`.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use dx_py_core::FileStat;
use dx_py_snapshot::index::{Hashed, Index, Row, digest_of};
use dx_py_snapshot::text::{self, Entries, Entry};

use crate::support::{Project, python, with_worker};

/// Runs a sub-command of `dx-py snapshot` with these keys on standard input; gives its output.
fn keys(project: &Project, args: &[&str], keys: &str) -> String {
    let mut child = project
        .command(&[&["snapshot"], args].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary can be started");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(keys.as_bytes()).expect("the review reads");
    drop(input);
    let output = child.wait_with_output().expect("the review ends");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn read(project: &Project, name: &str) -> String {
    std::fs::read_to_string(project.path().join(name)).unwrap_or_default()
}

const TWO: &str = "import dx_py_test_runner as dx\n\ndef test_a():\n    dx.snapshot('first line\\nthe sum is 12 EUR\\nlast line')\n\ndef test_b(dx_snapshot):\n    dx_snapshot({'b': [1, 'x'], 'a': None}, 'settings')\n";

#[test]
fn new_ones_are_pending_until_they_are_reviewed() {
    let project = Project::new(&[("tests/test_a.py", TWO)]);
    let run = project.test(&["-n", "1"]);
    assert_eq!((run.code, run.outcome("test_a")), (1, "failed"));
    assert!(
        run.out
            .contains("2 snapshots are pending: dx-py snapshot review"),
        "{}",
        run.out
    );
    let told = &run.json["snapshots"]["pending"];
    assert_eq!(told[0]["file"], "tests/__snapshots__/test_a.snap.new");
    let snap = "tests/__snapshots__/test_a.snap";
    assert_eq!(read(&project, snap), "");
    let (_, list, _) = project.dx(&["snapshot", "list"]);
    assert!(
        list.contains("new      tests/__snapshots__/test_a.snap.new: test_b: settings"),
        "{list}"
    );
    // The first is accepted, the second rejected.
    let shown = keys(&project, &["review"], "ar");
    assert!(shown.contains("[1/2] test_a") && shown.contains("+the sum is 12 EUR"));
    assert!(
        shown.contains("1 snapshot accepted, 1 rejected, 0 left"),
        "{shown}"
    );
    assert_eq!(
        read(&project, snap),
        "# dx-py snapshots, format 1\n\n## test_a\n| first line\n| the sum is 12 EUR\n| last line\n"
    );
    let run = project.test(&["-n", "1"]);
    assert_eq!(
        (run.outcome("test_a"), run.outcome("test_b")),
        ("passed", "failed")
    );
    let (code, out, _) = project.dx(&["snapshot", "accept", "test_b"]);
    assert_eq!(code, 0);
    assert!(out.ends_with("1 snapshot accepted\n"), "{out}");
    assert!(read(&project, snap).ends_with(
        "## test_b: settings\n@ value\n| {\n|   'a': None,\n|   'b': [\n|     1,\n|     'x',\n|   ],\n| }\n"
    ));
    assert!(
        !project
            .path()
            .join("tests/__snapshots__/test_a.snap.new")
            .exists()
    );
    assert_eq!(project.test(&["-n", "1"]).code, 0);
    assert_eq!(project.test(&["-n", "1"]).ran(), 0);
}

#[test]
fn a_value_that_differs_is_shown_as_a_diff_and_may_be_rejected() {
    let project = Project::new(&[("tests/test_a.py", TWO)]);
    assert_eq!(project.test(&["-n", "1", "--update-snapshots"]).code, 0);
    assert_eq!(project.test(&["-n", "1"]).code, 0);
    let accepted = read(&project, "tests/__snapshots__/test_a.snap");
    project.write("tests/test_a.py", &TWO.replace("12", "13"));
    let run = project.test(&["-n", "1", "--color", "always"]);
    assert_eq!((run.ran(), run.outcome("test_a")), (1, "failed"));
    let marked = "\u{1b}[31m-the sum is \u{1b}[7m12\u{1b}[27m EUR\u{1b}[0m";
    assert!(run.out.contains(marked), "{}", run.out);
    // For scripts there are no colours.
    let tests = run.json["tests"].as_array().unwrap();
    let test = tests
        .iter()
        .find(|test| test["outcome"] == "failed")
        .unwrap();
    let message = test["message"].as_str().unwrap();
    assert!(
        message.contains("isn't what tests/__snapshots__/test_a.snap says"),
        "{message}"
    );
    let text = test["reports"][0]["text"].as_str().unwrap();
    assert!(text.contains("E       --- accepted\nE       +++ now\nE       @@ -1,3 +1,3 @@\nE        first line\nE       -the sum is 12 EUR\nE       +the sum is 13 EUR\nE        last line"), "{text}");
    let shown = keys(&project, &["review"], "r");
    assert!(
        shown.contains("-the sum is 12 EUR\n+the sum is 13 EUR"),
        "{shown}"
    );
    assert_eq!(read(&project, "tests/__snapshots__/test_a.snap"), accepted);
    // What an update accepted counts for the snapshot that it wrote, and not for the one before.
    assert_eq!(project.test(&["-n", "1", "--update-snapshots"]).code, 0);
    project.write("tests/__snapshots__/test_a.snap", &accepted);
    let run = project.test(&["-n", "1"]);
    assert_eq!(run.outcome("test_a"), "failed");
    // What is right again isn't pending any more.
    project.test(&["-n", "1"]);
    let pending = "tests/__snapshots__/test_a.snap.new";
    assert!(read(&project, pending).contains("13 EUR"));
    project.write("tests/test_a.py", TWO);
    project.test(&["-n", "1", "--all"]);
    assert!(!project.path().join(pending).exists());
}

#[test]
fn ci_writes_nothing_and_fails_for_what_is_unknown_or_unused() {
    let project = Project::new(&[("tests/test_a.py", TWO)]);
    let run = project.test(&["-n", "1", "--ci"]);
    assert_eq!((run.code, run.ran()), (1, 2));
    assert!(!project.path().join("tests/__snapshots__").exists());
    assert_eq!(project.test(&["-n", "1", "--update-snapshots"]).code, 0);
    assert_eq!(project.test(&["-n", "1", "--ci"]).code, 0);
    // One test is gone, and the other one makes no snapshot any more.
    project.write(
        "tests/test_a.py",
        "def test_b():\n    pass\n\ndef test_c():\n    pass\n",
    );
    let run = project.test(&["-n", "1"]);
    assert_eq!(run.code, 0);
    assert_eq!(
        run.json["snapshots"]["unused"].as_array().map(Vec::len),
        Some(2)
    );
    let run = project.test(&["-n", "1", "--ci", "--all"]);
    assert_eq!(run.code, 1);
    assert!(
        run.out
            .contains("2 snapshots are used by no test: dx-py snapshot prune\n  tests/__snapshots__/test_a.snap: test_a\n"),
        "{}",
        run.out
    );
    // Of a test that doesn't run nobody can tell.
    let run = project.test(&["-n", "1", "--ci", "--all", "-k", "test_c"]);
    let unused = run.json["snapshots"]["unused"].as_array().unwrap();
    assert_eq!(
        (unused.len(), &unused[0]["name"]),
        (1, &serde_json::json!("test_a"))
    );
    let (_, out, _) = project.dx(&["snapshot", "prune"]);
    assert!(out.contains("removed tests/__snapshots__/test_a.snap: test_b: settings"));
    assert!(
        !project
            .path()
            .join("tests/__snapshots__/test_a.snap")
            .exists()
    );
    assert_eq!(project.test(&["-n", "1", "--ci", "--all"]).code, 0);
}

#[test]
fn two_workers_update_one_file_and_hand_edits_are_seen() {
    let many: String = (0..30)
        .map(|number| {
            format!(
                "def test_{number:02}():\n    dx.snapshot('value {number}')\n    time.sleep(0.01)\n"
            )
        })
        .collect();
    let many = format!("import time\nimport dx_py_test_runner as dx\n{many}");
    let project = Project::new(&[("tests/test_a.py", &many), ("tests/test_b.py", &many)]);
    let run = project.test(&["-n", "2", "--update-snapshots"]);
    assert_eq!(run.code, 0, "{}", run.out);
    assert!(run.out.contains("60 snapshots are accepted"), "{}", run.out);
    for file in ["test_a", "test_b"] {
        let text = read(&project, &format!("tests/__snapshots__/{file}.snap"));
        assert_eq!(text::parse(&text).unwrap().len(), 30);
    }
    assert_eq!(project.test(&["-n", "2"]).code, 0);
    assert_eq!(project.test(&["-n", "2"]).ran(), 0);
    let snap = "tests/__snapshots__/test_a.snap";
    let text = read(&project, snap);
    project.write(snap, &text.replace("value 7\n", "another 7\n"));
    let run = project.test(&["-n", "2"]);
    assert_eq!(
        (run.ran(), run.outcome("test_a.py::test_07")),
        (30, "failed")
    );
    project.write(snap, &format!("{text}<<<<<<< ours\n"));
    let run = project.test(&["-n", "1"]);
    assert!(
        run.out.contains("line 92: a merge conflict is left in it"),
        "{}",
        run.out
    );
}

/// Stands for BLAKE3 where nobody has it: what the index does is the same with any hash.
const HASH: &str = "import hashlib\n\nclass blake3:\n    def __init__(self, data): self.data = data\n    def digest(self): return hashlib.sha256(self.data).digest()\n";
/// Remembers which snapshot files are opened.
const CONFTEST: &str = "import sys\nopened = []\nsys.addaudithook(lambda event, args: opened.append(args[0]) if event == 'open' and str(args[0]).endswith('.snap') else None)\n";
const COUNTED: &str = "import conftest\nimport dx_py_test_runner as dx\n\ndef test_a():\n    dx.snapshot('one')\n    print('opened', len(conftest.opened))\n    assert False\n";

#[test]
fn what_matches_is_not_loaded_and_a_damaged_index_is_made_again() {
    let project = Project::new(&[
        ("blake3.py", HASH),
        ("conftest.py", CONFTEST),
        ("test_a.py", COUNTED),
    ]);
    let opened = |args: &[&str]| {
        let run = project.test(&[&["-n", "1", "--no-second-opinion"], args].concat());
        let at = run.out.find("opened ").expect("the test prints it") + 7;
        run.out[at..at + 1].to_owned()
    };
    opened(&["--update-snapshots"]);
    // Whether it was hashed as it was written, and so is hashed once more, is a matter of milliseconds: it is written again.
    let snapshots = project.path().join("__snapshots__/test_a.snap");
    std::fs::write(&snapshots, std::fs::read(&snapshots).unwrap()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(opened(&[]), "1");
    assert_eq!(opened(&[]), "0");
    let index = project.path().join(".dx/snapshots.bin");
    let mut bytes = std::fs::read(&index).unwrap();
    assert_eq!(bytes[..4], *b"DXSI");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&index, bytes).unwrap();
    assert_eq!(opened(&[]), "1");
    assert_eq!(opened(&[]), "0");
    std::fs::remove_file(&index).unwrap();
    assert_eq!(opened(&[]), "1");
}

#[test]
fn names_stay_in_the_folder_and_bytes_have_a_file_of_their_own() {
    let test = "import pytest\nimport dx_py_test_runner as dx\n\ndef test_a():\n    dx.snapshot(b'\\x00\\xff', '../../evil')\n\n@pytest.mark.parametrize('name', ['', ' ', 'a\\nb', 'x' * 201])\ndef test_names(name):\n    with pytest.raises(dx.SnapshotError, match='is no name'):\n        dx.snapshot(1, name)\n";
    let project = Project::new(&[("sub/tests/test_a.py", test)]);
    let run = project.test(&["-n", "1", "--update-snapshots"]);
    assert_eq!(run.code, 0, "{}", run.out);
    let folder = project.path().join("sub/tests/__snapshots__");
    let text = read(&project, "sub/tests/__snapshots__/test_a.snap");
    let entries = text::parse(&text).unwrap();
    let entry = &entries["test_a: ../../evil"];
    assert!(entry.file.starts_with("test_a/test_a_evil-"), "{entry:?}");
    assert_eq!(std::fs::read(folder.join(&entry.file)).unwrap(), [0, 255]);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
    assert_eq!(project.test(&["-n", "1"]).code, 0);
    project.write("sub/tests/test_a.py", &test.replace("xff", "x41"));
    project.test(&["-n", "1"]);
    let shown = keys(&project, &["review"], "r");
    assert!(
        shown.contains("-00000000  00 ff\n+00000000  00 41\n"),
        "{shown}"
    );
    project.write("sub/tests/test_a.py", test);
    // A hand-made entry doesn't lead out either.
    let bad = text.replace(&entry.file, "../../../pytest.ini");
    project.write("sub/tests/__snapshots__/test_a.snap", &bad);
    let run = project.test(&["-n", "1"]);
    assert!(run.out.contains("would lie outside of"), "{}", run.out);
}

const INLINE: &str = r#"import dataclasses
import datetime
import enum
import dx_py_test_runner as dx


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class User:
    id: int
    name: str
    colours: set
    made: datetime.datetime


def test_a():
    users = {"users": [User(7, "Ada", {Colour.RED}, datetime.datetime.now())]}
    dx.snapshot(users, inline="", redact={"users[*].made": "now", "**.id": lambda value: -value})
    dx.snapshot("it's \"one\" line", inline="")
"#;
const INLINED: &str = r#"    dx.snapshot(users, inline="""
        {
          'users': [
            User(
              id=-7,
              name='Ada',
              colours={
                Colour.RED,
              },
              made='now',
            ),
          ],
        }
    """, redact={"users[*].made": "now", "**.id": lambda value: -value})
    dx.snapshot("it's \"one\" line", inline="it's \"one\" line")
"#;

#[test]
fn inline_ones_are_written_into_the_source() {
    let project = Project::new(&[("test_a.py", INLINE), ("test_b.py", INLINE)]);
    let run = project.test(&["-n", "2"]);
    assert_eq!(run.outcome("test_a"), "failed");
    assert_eq!(read(&project, "test_a.py"), INLINE);
    let (_, list, _) = project.dx(&["snapshot", "list"]);
    assert!(
        list.contains("inline   __snapshots__/test_a.snap.new: test_a (inline, line 21)"),
        "{list}"
    );
    // The second call comes into view when the first one matches.
    assert_eq!(project.dx(&["snapshot", "accept", "test_a.py"]).0, 0);
    assert_eq!(project.test(&["-n", "2", "--update-snapshots"]).code, 0);
    for file in ["test_a.py", "test_b.py"] {
        let source = read(&project, file);
        assert!(source.ends_with(INLINED), "{source}");
    }
    assert!(
        !project
            .path()
            .join("__snapshots__/test_a.snap.new")
            .exists()
    );
    assert_eq!(project.test(&["-n", "2", "--ci"]).code, 0);
    // One that was pending when the source changed isn't written anywhere.
    project.write("test_b.py", &INLINE.replace("Ada", "Eve"));
    project.test(&["-n", "1"]);
    project.write("test_b.py", &format!("# a new line\n{INLINE}"));
    let (code, _, error) = project.dx(&["snapshot", "accept"]);
    assert_eq!(code, 1);
    assert!(error.contains("has changed since the test ran"), "{error}");
}

const LIBRARIES: &str = r#"
import attrs
import numpy as np
import pandas as pd
import pydantic
import dx_py_test_runner as dx


@attrs.define
class Point:
    x: int
    hidden: int = attrs.field(default=0, repr=False)


class Model(pydantic.BaseModel):
    name: str
    points: list[int] = []


class Money:
    def __init__(self, amount):
        self.amount = amount


class Strange:
    pass


def test_objects():
    dx.register_serialiser(Money, lambda money: f"{money.amount} EUR")
    dx.snapshot(Money(3), inline="3 EUR")
    dx.snapshot([Point(1), Model(name="a"), Money(4)], inline="""
        [
          Point(
            x=1,
          ),
          Model(
            name='a',
            points=[],
          ),
          '4 EUR',
        ]
    """)


def test_arrays():
    dx.snapshot((np.arange(4, dtype="int64").reshape(2, 2), np.float32(1.5)), inline="""
        (
          array(
            dtype='int64',
            shape=[2, 2],
            values=[
              [0, 1],
              [2, 3],
            ],
          ),
          float32(1.5),
        )
    """)


def test_frames():
    dx.snapshot([pd.DataFrame({"n": [1, 2], "f": [0.5, None]}), pd.Series([1.0], name="s")], inline="""
        [
          DataFrame(
            columns=[
              ['n', 'int64'],
              ['f', 'float64'],
            ],
            rows=[
              [0, 1, 0.5],
              [1, 2, nan],
            ],
          ),
          Series(
            name='s',
            dtype='float64',
            rows=[
              [0, 1.0],
            ],
          ),
        ]
    """)


def test_unknown():
    try:
        dx.snapshot([Strange()])
    except TypeError as error:
        assert "dx.register_serialiser(Strange" in str(error)
    else:
        raise AssertionError("it was written somehow")
"#;

#[test]
fn values_of_libraries_have_serialisers() {
    let project = Project::with_plugins(&[("test_a.py", LIBRARIES)]);
    let run = project.test(&["-n", "1", "--ci"]);
    assert_eq!((run.code, run.ran()), (0, 4), "{}", run.out);
}

#[test]
fn plain_pytest_has_them_too() {
    let project = Project::new(&[("tests/test_a.py", TWO), ("test_i.py", INLINE)]);
    let worker = Path::new(env!("CARGO_MANIFEST_DIR")).join("worker");
    let pytest = |args: &[&str]| {
        let output = project
            .start(&python())
            .args(["-m", "pytest", "-q", "-p", "dx_py_test_runner.plugin"])
            .args(args)
            .env("PYTHONPATH", &worker)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().unwrap_or(-1), text)
    };
    // Environments with other versions of pytest have nothing else.
    let mut xdist = project.start(&python());
    let has_xdist = xdist.args(["-c", "import xdist"]).output().unwrap();
    let shared_out: &[&str] = if has_xdist.status.success() {
        &["-n2"]
    } else {
        &[]
    };
    let (code, text) = pytest(&[]);
    assert_eq!(code, 1);
    assert!(text.contains("3 snapshots are pending"), "{text}");
    assert!(text.contains("E       +the sum is 12 EUR"), "{text}");
    for args in [shared_out, &[]] {
        let (code, text) = pytest(&[&["--update-snapshots"], args].concat());
        assert_eq!(code, 0, "{text}");
    }
    assert!(read(&project, "test_i.py").ends_with(INLINED));
    assert_eq!(pytest(&["--snapshots-ci"]).0, 0);
    // Both runners have the same snapshots.
    assert_eq!(project.test(&["--ci"]).code, 0);
    project.write("tests/test_a.py", "def test_c():\n    pass\n");
    let (code, text) = pytest(&[&["--snapshots-ci"], shared_out].concat());
    assert_eq!(code, 1);
    assert!(text.contains("2 snapshots are used by no test"), "{text}");
    project.remove("tests/test_a.py");
    let (_, out, _) = project.dx(&["snapshot", "prune"]);
    assert!(out.ends_with("2 snapshots removed\n"), "{out}");
}

/// Reads what Rust wrote, writes it again, and tells what it understood.
const TWIN: &str = r#"
import json, sys
from dx_py_test_runner import snapshot_index as index, snapshot_text as text
folder, digest = sys.argv[1:]
entries = text.parse(open(folder + "/a.snap", encoding="utf-8", newline="").read())
open(folder + "/b.snap", "w", encoding="utf-8", newline="").write(text.render(entries))
rows = index.unpack(open(folder + "/a.bin", "rb").read(), lambda data: bytes.fromhex(digest))
again = {path: index.FileRow.new(row.stat, row.hashes) for path, row in rows.items()}
for path, row in rows.items():
    again[path].hashed_at = row.hashed_at
open(folder + "/b.bin", "wb").write(index.pack(again, lambda data: bytes.fromhex(digest)))
print(json.dumps({name: [entry.kind, entry.content, entry.file, entry.inline] for name, entry in entries.items()}))
"#;

#[test]
fn rust_and_python_read_each_others_bytes() {
    let pieces = [
        "a",
        " ",
        "\t",
        "\n",
        "\r",
        "\\",
        "## x",
        "| ",
        "\u{1b}[0m",
        "\u{85}",
        "\u{a0}",
        "\u{202e}",
        "\u{feff}",
        "é",
        "\u{1f600}",
        "\u{1c}",
        "\u{3000}\n",
    ];
    let mut seed = 1u64;
    let mut random = |below: usize| {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (seed >> 33) as usize % below
    };
    let mut text = |most: usize| -> String {
        let length = random(most + 1);
        (0..length).map(|_| pieces[random(pieces.len())]).collect()
    };
    let mut entries = Entries::new();
    for number in 0..500 {
        let mut entry = Entry::text(text(8));
        if number % 3 == 0 {
            entry.kind = "value".into();
        }
        if number % 7 == 0 {
            entry.inline = format!("1:2-3:4 \"{}\"", text(3));
        }
        if number % 11 == 0 {
            entry = Entry {
                kind: "bytes".into(),
                file: format!("t/x {number}.bin"),
                ..Entry::text("")
            };
        }
        entries.insert(format!("test_{number}: {}", text(3)), entry);
    }
    let hashes = entries.iter().map(|(name, entry)| {
        let digest = digest_of(&entry.kind, entry.content.as_bytes());
        let file = entry.file.clone();
        (name.clone(), Hashed { digest, file })
    });
    let stat = FileStat {
        size: 5,
        mtime_ns: -1,
        ctime_ns: i64::MAX,
        inode: u64::MAX,
    };
    let mut index = Index::default();
    index.rows.insert(
        "ü/__snapshots__/a.snap".into(),
        Row::new(stat, hashes.collect()),
    );
    index
        .rows
        .insert("empty".into(), Row::new(stat, Default::default()));
    let folder = tempfile::tempdir().unwrap();
    let bytes = index.to_bytes();
    let digest: String = bytes[8..40]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    std::fs::write(folder.path().join("a.snap"), text::render(&entries)).unwrap();
    std::fs::write(folder.path().join("a.bin"), &bytes).unwrap();
    let told = with_worker(TWIN, [folder.path().as_os_str(), digest.as_ref()]);
    let understood: serde_json::Value = serde_json::from_slice(&told).unwrap();
    for (name, entry) in &entries {
        let expected = [&entry.kind, &entry.content, &entry.file, &entry.inline];
        assert_eq!(understood[name], serde_json::json!(expected), "{name:?}");
    }
    let written = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(
        String::from_utf8(written("b.snap")).unwrap(),
        text::render(&entries)
    );
    assert_eq!(written("b.bin"), bytes);
    assert_eq!(Index::from_bytes(&written("b.bin")), Some(index));
}
