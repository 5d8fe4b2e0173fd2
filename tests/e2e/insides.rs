//! Suites that look into pytest itself, replace parts of it, or are pytest's own.

use crate::support::Project;

#[test]
fn a_test_that_replaces_pytests_clock_is_not_taken_for_long() {
    let project = Project::new(&[(
        "test_a.py",
        "from _pytest import timing\n\
         def test_clock(monkeypatch): monkeypatch.setattr(timing, 'perf_counter', lambda: 1e9)\n",
    )]);
    for workers in ["1", "2"] {
        let run = project.test(&["--all", "-n", workers]);
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        let duration = run.json["tests"][0]["duration"].as_f64();
        assert!(
            duration.is_some_and(|seconds| seconds < 1000.0),
            "{:?}",
            run.json
        );
    }
}
