//! Workers that are started before it is known whether there is anything for them.

use std::time::Duration;

use crate::daemon::{warm, within};
use crate::support::Project;

const LOGS: &str = "with open('began', 'a') as log: log.write(__name__ + '\\n')\n";

/// A project whose conftest and whose plugin say when they are imported, and so begin what they begin.
fn files() -> [(&'static str, String); 6] {
    [
        ("pytest.ini", "[pytest]\naddopts = -p plug\n".into()),
        ("plug.py", LOGS.into()),
        ("conftest.py", LOGS.into()),
        ("shop.py", "def used(): return 1\n".into()),
        ("script.py", "print('nobody imports it')\n".into()),
        (
            "test_a.py",
            "from shop import used\ndef test_a(): assert used()\n".into(),
        ),
    ]
}

fn as_given<'a>(files: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    files.iter().map(|(path, text)| (*path, &**text)).collect()
}

fn begins_nothing_in_vain(project: &Project) {
    let log = project.path().join("began");
    let began = || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let _ = std::fs::remove_file(&log);
        text
    };
    assert_eq!(project.test(&["-n", "1"]).ran(), 1);
    let all = "plug\nconftest\n";
    assert_eq!(began(), all);
    for number in 0..3 {
        project.write("script.py", &format!("print({number})\n"));
        let run = project.test(&["-n", "1"]);
        assert_eq!((run.code, run.ran()), (0, 0), "{}", run.out);
        // A worker that was started, and whom nobody needs, is sent away: nothing of it comes later.
        assert!(!within(Duration::from_millis(300), || log.exists()));
    }
    project.write("shop.py", "def used(): return 2\n");
    assert_eq!(project.test(&["-n", "1"]).ran(), 1);
    assert_eq!(began(), all);
}

#[test]
fn what_conftests_and_plugins_of_the_project_begin_is_not_begun_in_vain() {
    let files = files();
    begins_nothing_in_vain(&Project::new(&as_given(&files)));
    begins_nothing_in_vain(&warm(&as_given(&files)));
}
