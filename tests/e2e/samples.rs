//! The sample project with snapshots and cached fixtures, `testdata/warehouse`, as somebody who has checked it out uses it.

use std::path::Path;

use crate::support::Project;

fn warehouse() -> Project {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    Project::copy_of(&root.join("testdata/warehouse"))
}

const ACCEPTED: &str = "tests/__snapshots__/test_reports.snap";

fn accepted(project: &Project) -> String {
    std::fs::read_to_string(project.path().join(ACCEPTED)).expect("there are snapshots")
}

#[test]
fn what_is_checked_in_is_what_the_tests_compare() {
    let project = warehouse();
    let before = accepted(&project);
    for workers in ["1", "2"] {
        let run = project.test(&["--ci", "--all", "-n", workers]);
        assert_eq!((run.code, run.ran()), (0, 7), "{}{}", run.out, run.err);
    }
    assert_eq!(accepted(&project), before);
    let (code, listed, _) = project.dx(&["snapshot", "list"]);
    assert_eq!(code, 0);
    assert!(
        listed.contains("0 pending, 0 unused, 4 accepted in 1 file"),
        "{listed}"
    );
}

#[test]
fn a_change_is_shown_reviewed_and_accepted() {
    let project = warehouse();
    assert_eq!(project.test(&[]).code, 0);
    let source = "src/warehouse.py";
    let text = std::fs::read_to_string(project.path().join(source)).expect("it is there");
    project.write(
        source,
        &text.replace("Item(\"rope\", 4)", "Item(\"rope\", 5)"),
    );
    let failed = project.test(&["--no-second-opinion"]);
    assert_eq!(failed.code, 1);
    assert!(
        failed.out.contains("-B7     rope          4"),
        "{}",
        failed.out
    );
    assert!(
        failed.out.contains("+B7     rope          5"),
        "{}",
        failed.out
    );
    let before = accepted(&project);
    let (code, out, err) = project.dx(&["snapshot", "accept"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(
        accepted(&project),
        before.replace("rope          4", "rope          5")
    );
    let run = project.test(&["--ci"]);
    assert_eq!(run.code, 0, "{}", run.out);
}

#[test]
fn cached_fixtures_are_made_once_and_anew_when_their_code_changes() {
    let project = warehouse();
    assert_eq!(project.test(&["-n", "1"]).code, 0);
    let made = |project: &Project| {
        let (_, json, _) = project.dx(&["fixtures", "--json"]);
        let values: serde_json::Value = serde_json::from_str(&json).expect(&json);
        values.as_array().map_or(0, Vec::len)
    };
    assert_eq!(
        made(&project),
        3,
        "the index, and a list for each of two shelves"
    );
    assert_eq!(project.test(&["-n", "1", "--all"]).code, 0);
    assert_eq!(made(&project), 3);
    let source = "src/warehouse.py";
    let text = std::fs::read_to_string(project.path().join(source)).expect("it is there");
    project.write(source, &text.replace("\"B7\": [", "\"C2\": [], \"B7\": ["));
    assert_eq!(project.test(&["-n", "1"]).code, 0);
    assert!(made(&project) > 3);
}
