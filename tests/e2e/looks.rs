//! Ways in which a test can look at the project that raise no audit event of their own, or one that says too little: after a change that
//! pytest's outcome shows, none of them may be called fresh.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::{fs, io};

use crate::support::Project;

/// The name of a test, its module, and what is changed after it has passed.
type Look = (&'static str, &'static str, fn(&Path) -> io::Result<()>);

const LOOKS: [Look; 11] = [
    (
        "entry",
        "import os\n\ndef test_entry():\n    assert sum(entry.stat().st_size for entry in os.scandir('entry')) == 3\n",
        |root| fs::write(root.join("entry/f"), "four"),
    ),
    (
        "opened",
        "import os\n\ndef test_opened():\n    folder = os.open('opened', os.O_RDONLY)\n    file = os.open('f', os.O_RDONLY, dir_fd=folder)\n    assert os.read(file, 9) == b'one'\n",
        |root| fs::write(root.join("opened/f"), "four"),
    ),
    (
        "asked",
        "import os\n\ndef test_asked():\n    folder = os.open('asked', os.O_RDONLY)\n    assert os.stat('f', dir_fd=folder).st_size == 3\n",
        |root| fs::write(root.join("asked/f"), "four"),
    ),
    (
        "listed",
        "import os\n\ndef test_listed():\n    assert os.listdir(os.open('listed', os.O_RDONLY)) == ['f']\n",
        |root| fs::write(root.join("listed/g"), ""),
    ),
    (
        "walked",
        "import os\n\ndef test_walked():\n    assert [names for _, _, names, _ in os.fwalk('walked')] == [['f']]\n",
        |root| fs::write(root.join("walked/g"), ""),
    ),
    (
        "link",
        "import os\n\ndef test_link():\n    assert os.readlink('link/l') == 'f'\n",
        |root| {
            fs::remove_file(root.join("link/l"))?;
            symlink("g", root.join("link/l"))
        },
    ),
    (
        "program",
        "import os\n\ndef test_program():\n    assert not os.access('program/f', os.X_OK)\n",
        |root| {
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(root.join("program/f"), mode)
        },
    ),
    (
        "no_program",
        "import os\n\ndef test_no_program():\n    assert os.stat('no_program/x').st_mode & 0o100\n",
        |root| {
            let mode = fs::Permissions::from_mode(0o644);
            fs::set_permissions(root.join("no_program/x"), mode)
        },
    ),
    (
        "module",
        "import importlib.util\n\ndef test_module():\n    assert importlib.util.find_spec('perhaps') is None\n",
        |root| fs::write(root.join("perhaps.py"), ""),
    ),
    (
        "spawned",
        "import multiprocessing\nfrom child import read\n\ndef test_spawned():\n    with multiprocessing.get_context('spawn').Pool(1) as pool:\n        assert pool.apply(read) == 'one'\n",
        |root| fs::write(root.join("spawned/f"), "four"),
    ),
    (
        "served",
        "import multiprocessing\nfrom child import read_other\n\ndef test_served():\n    with multiprocessing.get_context('forkserver').Pool(1) as pool:\n        assert pool.apply(read_other) == 'one'\n",
        |root| fs::write(root.join("served/f"), "four"),
    ),
];

#[test]
fn every_way_to_look_at_the_project_makes_an_input() {
    let project = Project::new(&[(
        "child.py",
        "def read(): return open('spawned/f').read()\n\ndef read_other(): return open('served/f').read()\n",
    )]);
    for (name, text, _) in LOOKS {
        project.write(&format!("test_{name}.py"), text);
        project.write(&format!("{name}/f"), "one");
    }
    symlink("f", project.path().join("link/l")).unwrap();
    project.write("no_program/x", "");
    project.make_executable("no_program/x");
    let run = project.test(&[]);
    assert_eq!(
        (run.code, run.ran()),
        (0, LOOKS.len()),
        "{}{}",
        run.out,
        run.err
    );
    assert_eq!(project.test(&[]).ran(), 0);
    // One by one, since some look at all of the project.
    for (name, _, change) in LOOKS {
        change(project.path()).unwrap();
        let run = project.test(&["--no-second-opinion"]);
        assert_eq!(run.outcome(&format!("test_{name}")), "failed", "{name}");
    }
    let (code, outcomes) = project.pytest(&[]);
    assert_eq!((code, outcomes.len()), (1, LOOKS.len()));
    assert!(outcomes.values().all(|outcome| outcome == "failed"));
}
