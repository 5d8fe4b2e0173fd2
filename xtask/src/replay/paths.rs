//! What a path in a project's history means: whether it is code, and whether it belongs to the tests.

/// Folders at the root that hold no code: documentation and what will become the changelog.
const PROSE_FOLDERS: [&str; 7] = [
    "docs",
    "doc",
    "changelog.d",
    "changes",
    "news",
    "newsfragments",
    "requirements",
];
/// Endings of files at the root that hold no code.
const PROSE_ENDINGS: [&str; 6] = ["md", "rst", "txt", "cff", "lock", "bib"];
/// Endings of files that an editable installation compiles.
const NATIVE_ENDINGS: [&str; 10] = [
    "c", "cc", "cpp", "h", "hpp", "pyx", "pxd", "pxi", "rs", "f90",
];

/// Whether a change of the file counts as one of code. Not code are: what is hidden or in a hidden folder (`.github/`,
/// `.pre-commit-config.yaml`), what is in a folder of documentation, news or pinned requirements at the root, and prose, lock files
/// and files without an ending (`LICENSE`) at the root itself. Everything else is code, data of the tests and configuration too.
pub fn touches_code(path: &str) -> bool {
    if path.split('/').any(|part| part.starts_with('.')) {
        return false;
    }
    match path.split_once('/') {
        Some((folder, _)) => !PROSE_FOLDERS.contains(&folder),
        None => ending(path).is_some_and(|ending| !PROSE_ENDINGS.contains(&ending)),
    }
}

/// Whether the file belongs to the tests: it lies in a folder named `tests`, `testing` or `test`, or it is named `test_*.py`, `*_test.py` or
/// `conftest.py`. Everything else is the source.
pub fn is_of_tests(path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    folders
        .split('/')
        .any(|folder| matches!(folder, "tests" | "testing" | "test"))
        || name == "conftest.py"
        || name.ends_with("_test.py")
        || name.starts_with("test_") && name.ends_with(".py")
}

/// Whether an installation compiles the file.
pub fn is_native(path: &str) -> bool {
    ending(path).is_some_and(|ending| NATIVE_ENDINGS.contains(&ending))
}

fn ending(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map(|(_, ending)| ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_and_hidden_files_are_no_code() {
        for path in [
            "README.md",
            "CHANGES.rst",
            "LICENSE",
            "uv.lock",
            ".gitignore",
            ".github/workflows/tests.yaml",
            "docs/conf.py",
            "changelog.d/12.change.md",
            "requirements/dev.txt",
        ] {
            assert!(!touches_code(path), "{path}");
        }
        for path in [
            "src/click/core.py",
            "tests/data/README.md",
            "src/pkg/docs/page.rst",
            "pyproject.toml",
            "tox.ini",
            "setup.py",
            "tests/LICENSE",
        ] {
            assert!(touches_code(path), "{path}");
        }
    }

    #[test]
    fn tests_are_told_by_their_folder_or_name() {
        for path in [
            "tests/util.py",
            "tests/data/a.txt",
            "testing/x.py",
            "pkg/test/x.py",
            "pkg/test_x.py",
            "pkg/x_test.py",
            "conftest.py",
        ] {
            assert!(is_of_tests(path), "{path}");
        }
        for path in [
            "src/click/testing.py",
            "test_data.txt",
            "src/contest.py",
            "pyproject.toml",
        ] {
            assert!(!is_of_tests(path), "{path}");
        }
    }
}
