//! Kinds of the reasons for which dx-py runs tests.

use super::paths::is_of_tests;

/// The kind of a reason, as the JSON report has it; a test without one wasn't known when the run began.
pub fn kind_of(reason: Option<&str>) -> &'static str {
    let Some(reason) = reason else {
        return "new test";
    };
    for (beginning, kind) in [
        ("it never ran", "new test"),
        ("it failed at", "failed before"),
        ("it had an error at", "failed before"),
        ("its last run left no pass", "no pass that can be reused"),
        ("its recorded pass is too old", "pass too old"),
        ("its imports now reach ", "reaches another file"),
        ("its file runs as one unit", "file runs as one unit"),
        ("it depends on ", "no digest"),
        ("where module ", "where a module comes from"),
        ("existence of ", "file that appeared or is gone"),
        ("names in ", "names in a folder"),
        ("Python files in ", "names in a folder"),
        ("pytest's settings in ", "settings of pytest"),
        ("environment variable ", "environment variable"),
        ("the Python interpreter ", "interpreter"),
        ("the installed pytest plugins ", "plugins"),
        ("the invocation ", "invocation"),
        ("some file of the project ", "some file of the project"),
    ] {
        if reason.starts_with(beginning) {
            return kind;
        }
    }
    let first = reason.split(" (and ").next().unwrap_or(reason);
    if let Some(slice) = first.strip_prefix("what ")
        && slice.ends_with(" uses of its file changed")
    {
        return "function of the tests";
    }
    let path = ["changed", "appeared", "is gone"]
        .iter()
        .find_map(|how| first.strip_suffix(how))
        .map(str::trim_end);
    match path {
        None => "something else",
        Some(path) if path.contains(".py::") && is_of_tests(path) => "function of the tests",
        Some(path) if path.contains(".py::") => "function",
        Some(path) if path.starts_with('/') => "file outside of the project",
        Some(path) if path.ends_with("conftest.py") => "conftest",
        Some(path) if is_of_tests(path) && path.ends_with(".py") => "Python file of the tests",
        Some(path) if is_of_tests(path) => "data of the tests",
        Some(path) if path.ends_with(".py") => "source file",
        Some(_) => "other file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_kinds() {
        for (reason, kind) in [
            ("src/click/core.py changed", "source file"),
            (
                "src/click/core.py is gone (and 3 more inputs)",
                "source file",
            ),
            ("tests/conftest.py appeared", "conftest"),
            (
                "tests/test_a.py changed (and 1 more input)",
                "Python file of the tests",
            ),
            ("tests/data/a.txt changed", "data of the tests"),
            ("src/click/core.py::Group.add changed", "function"),
            (
                "tests/test_a.py::TestA.test_b is gone",
                "function of the tests",
            ),
            ("pyproject.toml changed", "other file"),
            (
                "/venv/x.dist-info/RECORD changed",
                "file outside of the project",
            ),
            (
                "existence of src/x.py changed",
                "file that appeared or is gone",
            ),
            (
                "what tests/test_a.py::test_b uses of its file changed (and 1 more input)",
                "function of the tests",
            ),
            ("it failed at its last run", "failed before"),
            ("nobody knows", "something else"),
        ] {
            assert_eq!(kind_of(Some(reason)), kind, "{reason}");
        }
        assert_eq!(kind_of(None), "new test");
    }
}
