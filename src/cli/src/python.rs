//! Which interpreter runs the tests, and what of its installation the tests depend on. Nothing here starts it.

use std::fs;
use std::path::{Path, PathBuf};

use dx_py_core::{Digest, Hasher};
use dx_py_graph::environment;

/// The interpreter of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// The executable, as it will be started.
    pub executable: PathBuf,
    /// Where the choice came from, for messages.
    pub source: &'static str,
}

/// No interpreter could be found.
#[derive(Debug, thiserror::Error)]
pub enum InterpreterError {
    /// The one that was named isn't there.
    #[error("{source_name} names the interpreter {path}, which doesn't exist\nCorrect it, or create the virtual environment there.", path = path.display())]
    Missing {
        /// Where it was named.
        source_name: &'static str,
        /// What was named.
        path: PathBuf,
    },
    /// None was named and none is at the usual places.
    #[error(
        "no Python interpreter found: VIRTUAL_ENV is not set, there is no .venv folder, and python3 is not on PATH\nName one with --python PATH, or `python = \"PATH\"` in dx-py.toml."
    )]
    None,
}

/// The interpreter to use: `--python`, dx-py.toml, `VIRTUAL_ENV`, `.venv` in `root` or `cwd`, that of the environment in which this very
/// program is installed beside pytest, `python3` on `PATH`.
///
/// # Errors
/// If one is named that isn't there, or none is found.
pub fn find(
    flag: Option<&Path>,
    configured: Option<&Path>,
    root: &Path,
    cwd: &Path,
) -> Result<Interpreter, InterpreterError> {
    let named = [
        (flag, "--python", cwd),
        (configured, "the setting `python`", root),
    ];
    for (path, source, base) in named {
        if let Some(path) = path {
            return resolve_named(path, base)
                .map(|executable| Interpreter { executable, source })
                .ok_or(InterpreterError::Missing {
                    source_name: source,
                    path: path.to_path_buf(),
                });
        }
    }
    if let Some(venv) = std::env::var_os("VIRTUAL_ENV").filter(|text| !text.is_empty()) {
        let path = PathBuf::from(venv);
        return in_environment(&path)
            .map(|executable| Interpreter {
                executable,
                source: "VIRTUAL_ENV",
            })
            .ok_or(InterpreterError::Missing {
                source_name: "VIRTUAL_ENV",
                path,
            });
    }
    for folder in [cwd, root] {
        if let Some(executable) = in_environment(&folder.join(".venv")) {
            return Ok(Interpreter {
                executable,
                source: ".venv",
            });
        }
    }
    let own = std::env::current_exe().ok();
    if let Some(executable) = own.as_deref().and_then(beside) {
        return Ok(Interpreter {
            executable,
            source: "the environment of dx-py",
        });
    }
    on_path("python3")
        .or_else(|| on_path("python"))
        .map(|executable| Interpreter {
            executable,
            source: "PATH",
        })
        .ok_or(InterpreterError::None)
}

/// A path to an executable, to a virtual environment, or a bare name to look up on `PATH`.
fn resolve_named(path: &Path, base: &Path) -> Option<PathBuf> {
    if path.components().count() == 1 && !base.join(path).exists() {
        return on_path(path.to_str()?);
    }
    let full = base.join(path);
    if full.is_dir() {
        return in_environment(&full);
    }
    full.is_file().then_some(full)
}

/// The interpreter of the virtual environment that a program is installed in, if pytest is too. Where a tool has an environment of its
/// own, as with pipx, there is none, and the environment isn't the one that is meant.
fn beside(program: &Path) -> Option<PathBuf> {
    let prefix = program.parent()?.parent()?;
    let has_pytest = || {
        let mut sites = environment::site_packages(prefix).into_iter();
        sites.any(|site| site.join("pytest").is_dir())
    };
    let is_environment = prefix.join("pyvenv.cfg").is_file() && has_pytest();
    is_environment.then(|| in_environment(prefix)).flatten()
}

fn in_environment(folder: &Path) -> Option<PathBuf> {
    ["bin/python3", "bin/python", "Scripts/python.exe"]
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

impl Interpreter {
    /// The folder that the environment lies in: two levels above the executable, without following links.
    pub fn prefix(&self) -> &Path {
        self.executable
            .parent()
            .and_then(Path::parent)
            .unwrap_or(Path::new("/"))
    }

    /// What tells it from others: the real binary and the environment. Of the names that an environment has for one binary (`python`,
    /// `python3`) it doesn't matter which one it is started by.
    pub fn identity(&self) -> (PathBuf, PathBuf) {
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        (real(&self.executable), real(self.prefix()))
    }

    /// The digest of the interpreter itself and of what runs before any test can: the real binary, `pyvenv.cfg`, `.pth` files
    /// and `sitecustomize`.
    pub fn digest(&self, site_packages: &[PathBuf]) -> Digest {
        let mut hasher = Hasher::new();
        let real = fs::canonicalize(&self.executable).unwrap_or_else(|_| self.executable.clone());
        hasher.field(real.as_os_str().as_encoded_bytes());
        if let Ok(meta) = fs::metadata(&real) {
            let modified = meta
                .modified()
                .ok()
                .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
                .map_or(0, |age| age.as_nanos());
            hasher.field(format!("{} {modified}", meta.len()));
        }
        hasher.field(fs::read(self.prefix().join("pyvenv.cfg")).unwrap_or_default());
        for folder in site_packages {
            for name in sorted_names(folder) {
                let is_pth = name.ends_with(".pth");
                let startup = is_pth
                    || name.starts_with("__editable__")
                    || matches!(&*name, "sitecustomize.py" | "usercustomize.py");
                if startup {
                    // The name of the former says when it is read, and no more: that of an editable install has a version in it.
                    hasher
                        .field(if is_pth { "" } else { &name })
                        .field(fs::read(folder.join(&name)).unwrap_or_default());
                }
            }
        }
        hasher.finish()
    }

    /// The digest of pytest, of what it stands on and of the plugins that installed distributions declare (their `pytest11` entry
    /// points). Every test depends on them: what their own code reads is no test's reading, so it isn't seen which tests use them.
    pub fn plugins_digest(&self, site_packages: &[PathBuf]) -> Digest {
        let mut hasher = Hasher::new();
        for folder in site_packages {
            for name in sorted_names(folder) {
                if !name.ends_with(".dist-info") && !name.ends_with(".egg-info") {
                    continue;
                }
                let distribution = name.split('-').next().unwrap_or(&name).to_lowercase();
                if KERNEL.contains(&&*distribution) {
                    // It has the digests of all files, also of the same version from elsewhere.
                    let record = fs::read(folder.join(&name).join("RECORD"));
                    hasher.field(&name).field(record.unwrap_or_default());
                }
                let Ok(text) = fs::read_to_string(folder.join(&name).join("entry_points.txt"))
                else {
                    continue;
                };
                if let Some((_, rest)) = text.split_once("[pytest11]") {
                    let section = rest.split("\n[").next().unwrap_or("");
                    hasher.field(&name).field(section.trim());
                }
            }
        }
        hasher.finish()
    }
}

/// The distributions whose modules the worker takes for pytest itself (`_installed_kernel` in `trace.py`), by their normalised names.
const KERNEL: [&str; 5] = ["coverage", "iniconfig", "pluggy", "pytest", "pytest_cov"];

fn sorted_names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_at_the_start_counts_in_its_order_and_not_by_names_of_pth_files() {
        let dir = tempfile::tempdir().unwrap();
        let python = Interpreter {
            executable: dir.path().join("bin/python3"),
            source: "a test",
        };
        let digest_with = |files: &[(&str, &str)]| {
            let site = tempfile::tempdir().unwrap();
            for (name, text) in files {
                fs::write(site.path().join(name), text).unwrap();
            }
            python.digest(&[site.path().to_owned()])
        };
        let first = digest_with(&[("__editable__.lib-1.pth", "/lib"), ("z.pth", "/other")]);
        assert_eq!(
            first,
            digest_with(&[("lib.pth", "/lib"), ("z.pth", "/other")])
        );
        for other in [
            &[("__editable__.lib-1.pth", "/lib2"), ("z.pth", "/other")][..],
            &[("zz.pth", "/lib"), ("z.pth", "/other")],
            &[("z.pth", "/other")],
        ] {
            assert_ne!(first, digest_with(other));
        }
        assert_ne!(
            digest_with(&[("sitecustomize.py", "")]),
            digest_with(&[("usercustomize.py", "")])
        );
    }

    #[test]
    fn names_of_one_binary_in_one_environment_are_one_interpreter() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for folder in ["a/bin", "b/bin"] {
            fs::create_dir_all(path(folder)).unwrap();
        }
        fs::write(path("python3.13"), "").unwrap();
        for link in ["a/bin/python", "a/bin/python3", "b/bin/python"] {
            std::os::unix::fs::symlink(path("python3.13"), path(link)).unwrap();
        }
        let identity = |name: &str| {
            let executable = path(name);
            let source = "--python";
            Interpreter { executable, source }.identity()
        };
        assert_eq!(identity("a/bin/python"), identity("a/bin/python3"));
        assert_ne!(identity("a/bin/python"), identity("b/bin/python"));
    }

    #[test]
    fn another_pytest_has_another_digest_and_so_has_another_plugin() {
        let dir = tempfile::tempdir().unwrap();
        let sites = [dir.path().to_path_buf()];
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let interpreter = Interpreter {
            executable: "python3".into(),
            source: "--python",
        };
        let mut seen = Vec::new();
        let mut is_new = |changed: bool| {
            let digest = interpreter.plugins_digest(&sites);
            assert_eq!(changed, !seen.contains(&digest));
            seen.push(digest);
        };
        is_new(true);
        for name in ["pytest-9.2.0", "pluggy-1.6.0", "pytest_cov-7.0.0"] {
            write(&format!("{name}.dist-info/RECORD"), "a.py,sha256=1,2\n");
            is_new(true);
            write(&format!("{name}.dist-info/RECORD"), "a.py,sha256=2,2\n");
            is_new(true);
        }
        write("plugin-1.dist-info/entry_points.txt", "[pytest11]\na = b\n");
        is_new(true);
        write("other-1.dist-info/RECORD", "c.py,sha256=1,2\n");
        is_new(false);
    }

    #[test]
    fn the_environment_of_a_program_counts_if_pytest_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("bin/dx-py");
        let python = dir.path().join("bin/python3");
        fs::create_dir_all(dir.path().join("lib/python3.13/site-packages")).unwrap();
        fs::create_dir(dir.path().join("bin")).unwrap();
        fs::write(&python, "").unwrap();
        assert_eq!(beside(&program), None);
        fs::write(dir.path().join("pyvenv.cfg"), "").unwrap();
        assert_eq!(beside(&program), None);
        fs::create_dir(dir.path().join("lib/python3.13/site-packages/pytest")).unwrap();
        assert_eq!(beside(&program), Some(python));
    }
}
