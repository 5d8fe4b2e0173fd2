//! Where pytest's root is and what its configuration file says, as far as selection needs it before any Python runs.
//!
//! The worker's own pytest reads the configuration again and decides; what is read here only predicts.

use std::path::{Path, PathBuf};

use configparser::ini::Ini;

/// The configuration files that pytest looks for in a folder, in its order.
pub const CANDIDATES: [&str; 7] = [
    "pytest.toml",
    ".pytest.toml",
    "pytest.ini",
    ".pytest.ini",
    "pyproject.toml",
    "tox.ini",
    "setup.cfg",
];

/// pytest's root directory and the settings that bear on discovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PytestIni {
    /// The root directory.
    pub root: PathBuf,
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    /// `testpaths`.
    pub test_paths: Vec<String>,
    /// `pythonpath`.
    pub python_path: Vec<String>,
    /// `python_files`: globs.
    pub python_files: Vec<String>,
    /// `norecursedirs`: globs.
    pub no_recurse: Vec<String>,
    /// The words of `addopts`.
    pub addopts: Vec<String>,
}

/// The part of a configuration file that pytest reads, as canonical text; `None` if the file has no such part.
pub fn pytest_section(path: &Path, content: &[u8]) -> Option<String> {
    let entries = entries_of(path, &String::from_utf8_lossy(content))?;
    Some(
        entries
            .iter()
            .map(|(key, values)| format!("{key}={values:?}\n"))
            .collect(),
    )
}

type Entries = Vec<(String, Vec<String>)>;

fn entries_of(path: &Path, text: &str) -> Option<Entries> {
    let name = path.file_name()?.to_str()?;
    match name {
        "pyproject.toml" => {
            let doc: toml::Table = text.parse().ok()?;
            let tool = doc.get("tool")?.as_table()?.get("pytest")?.as_table()?;
            Some(toml_entries(
                tool.get("ini_options")
                    .and_then(toml::Value::as_table)
                    .unwrap_or(tool),
            ))
        }
        "pytest.toml" | ".pytest.toml" => {
            let doc: toml::Table = text.parse().ok()?;
            Some(
                doc.get("pytest")
                    .and_then(toml::Value::as_table)
                    .map(toml_entries)
                    .unwrap_or_default(),
            )
        }
        "setup.cfg" => ini_entries(text, "tool:pytest"),
        "tox.ini" => ini_entries(text, "pytest"),
        // pytest takes its own file even if it has no section.
        _ => Some(ini_entries(text, "pytest").unwrap_or_default()),
    }
}

fn toml_entries(table: &toml::Table) -> Entries {
    table
        .iter()
        .map(|(key, value)| {
            let values = match value {
                toml::Value::Array(items) => items
                    .iter()
                    .map(|item| {
                        item.as_str()
                            .map_or_else(|| item.to_string(), str::to_owned)
                    })
                    .collect(),
                toml::Value::String(text) => text.split_whitespace().map(str::to_owned).collect(),
                other => vec![other.to_string()],
            };
            (key.clone(), values)
        })
        .collect()
}

fn ini_entries(text: &str, section: &str) -> Option<Entries> {
    let mut ini = Ini::new_cs();
    ini.set_multiline(true);
    ini.set_comment_symbols(&['#', ';']);
    ini.set_inline_comment_symbols(Some(&[]));
    let map = ini.read(text.to_owned()).ok()?;
    let mut entries: Entries = map
        .get(section)?
        .iter()
        .map(|(key, value)| {
            let words = value.as_deref().unwrap_or("").split_whitespace();
            (key.clone(), words.map(str::to_owned).collect())
        })
        .collect();
    entries.sort();
    Some(entries)
}

impl PytestIni {
    /// Finds the configuration as pytest does when it starts in `cwd` with arguments that name these files and folders, all absolute: from
    /// where they have in common, or `cwd`, the nearest folder upwards that has a configuration file with a section for pytest; else the
    /// nearest with a `pyproject.toml` or `setup.py`; else the same from each; else what they and `cwd` have in common.
    pub fn find(cwd: &Path, named: &[PathBuf]) -> Self {
        let folder_of = |path: &PathBuf| match path.parent() {
            Some(parent) if path.is_file() => parent.to_path_buf(),
            _ => path.clone(),
        };
        let folders: Vec<PathBuf> = named.iter().map(folder_of).collect();
        let common = folders.iter().cloned().reduce(|a, b| in_common(&a, &b));
        let common = common.unwrap_or_else(|| cwd.to_path_buf());
        let mut starts = std::iter::once(&common).chain(&folders);
        starts
            .find_map(|start| Self::search(start))
            .unwrap_or_else(|| {
                let root = match in_common(cwd, &common) {
                    root if root.parent().is_none() => common,
                    root => root,
                };
                Self::from_entries(&root, None, &[])
            })
    }

    fn search(start: &Path) -> Option<Self> {
        let mut fallback = None;
        for folder in start.ancestors() {
            for name in CANDIDATES {
                let path = folder.join(name);
                let Ok(content) = std::fs::read_to_string(&path) else {
                    continue;
                };
                if let Some(entries) = entries_of(&path, &content) {
                    return Some(Self::from_entries(folder, Some(path), &entries));
                }
            }
            let marked =
                folder.join("pyproject.toml").is_file() || folder.join("setup.py").is_file();
            if fallback.is_none() && marked {
                fallback = Some(folder);
            }
        }
        fallback.map(|folder| Self::from_entries(folder, None, &[]))
    }

    fn from_entries(root: &Path, file: Option<PathBuf>, entries: &[(String, Vec<String>)]) -> Self {
        let get = |key: &str| {
            entries
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, values)| values.clone())
        };
        let or = |key: &str, default: &[&str]| {
            get(key).unwrap_or_else(|| default.iter().map(|text| (*text).to_owned()).collect())
        };
        Self {
            root: root.to_path_buf(),
            file,
            test_paths: or("testpaths", &[]),
            python_path: or("pythonpath", &[]),
            addopts: or("addopts", &[]),
            python_files: or("python_files", &["test_*.py", "*_test.py"]),
            no_recurse: or(
                "norecursedirs",
                &[
                    "*.egg",
                    ".*",
                    "_darcs",
                    "build",
                    "CVS",
                    "dist",
                    "node_modules",
                    "venv",
                    "{arch}",
                ],
            ),
        }
    }
}

/// The nearest folder that both lie in.
fn in_common(a: &Path, b: &Path) -> PathBuf {
    let pairs = a.components().zip(b.components());
    pairs.take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str, text: &str) {
        std::fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
        std::fs::write(dir.join(name), text).unwrap();
    }

    #[test]
    fn the_nearest_file_with_a_section_is_the_root() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "pyproject.toml", "[project]\nname='x'\n");
        write(
            dir.path(),
            "setup.cfg",
            "[tool:pytest]\ntestpaths =\n    tests\n    more\npythonpath = src\n",
        );
        write(dir.path(), "a/b/x.txt", "");
        let ini = PytestIni::find(&dir.path().join("a/b"), &[]);
        assert_eq!(ini.root, dir.path());
        assert_eq!(ini.test_paths, ["tests", "more"]);
        assert_eq!(ini.python_path, ["src"]);
        assert_eq!(ini.python_files, ["test_*.py", "*_test.py"]);
    }

    #[test]
    fn places_have_the_configuration_that_they_share() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, "pyproject.toml", "[tool.pytest.ini_options]\n");
        write(root, "a/pytest.ini", "");
        write(root, "a/tests/test_a.py", "");
        write(root, "b/tests/test_b.py", "");
        let found = |named: &[&str]| {
            let named: Vec<PathBuf> = named.iter().map(|name| root.join(name)).collect();
            PytestIni::find(root, &named).root
        };
        assert_eq!(found(&["a/tests/test_a.py"]), root.join("a"));
        assert_eq!(found(&["a/tests", "a"]), root.join("a"));
        assert_eq!(found(&["b/tests"]), root);
        assert_eq!(found(&["a/tests", "b/tests"]), root);
        std::fs::remove_file(root.join("pyproject.toml")).unwrap();
        assert_eq!(found(&["a/tests", "b/tests"]), root.join("a"));
        assert_eq!(found(&["b/tests", "b"]), root);
    }

    #[test]
    fn only_the_part_that_pytest_reads_counts() {
        let path = Path::new("pyproject.toml");
        let one = pytest_section(
            path,
            b"[project]\nversion='1'\n[tool.pytest.ini_options]\naddopts='-ra'\n",
        );
        let two = pytest_section(
            path,
            b"[project]\nversion='2'\n[tool.pytest.ini_options]\naddopts='-ra'\n",
        );
        assert!(one.is_some());
        assert_eq!(one, two);
        assert_eq!(pytest_section(path, b"[project]\n"), None);
    }
}
