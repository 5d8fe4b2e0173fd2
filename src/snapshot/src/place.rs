//! Where snapshots lie: their files, and the names of those that hold a content of their own.

use std::path::{Component, Path, PathBuf};

use crate::error::SnapshotError;
use crate::{ACCEPTED, FOLDER, PENDING};

const LONGEST_WORD: usize = 60;

/// Where the snapshots of one test file are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The folder that holds them.
    pub folder: PathBuf,
    /// The test file's name, without the ending of Python.
    pub stem: String,
}

impl Place {
    /// Of the test file `source`.
    pub fn of_source(source: &Path) -> Option<Self> {
        let name = source.file_name()?.to_str()?;
        Some(Self {
            folder: source.parent()?.join(FOLDER),
            stem: name.strip_suffix(".py").unwrap_or(name).to_owned(),
        })
    }

    /// Of a snapshot file, accepted or pending.
    pub fn of_file(path: &Path) -> Result<Self, SnapshotError> {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let stem = name
            .strip_suffix(PENDING)
            .or_else(|| name.strip_suffix(ACCEPTED));
        match (path.parent(), stem) {
            (Some(folder), Some(stem)) if folder.file_name().is_some_and(|name| name == FOLDER) => {
                Ok(Self {
                    folder: folder.to_owned(),
                    stem: stem.to_owned(),
                })
            }
            _ => Err(SnapshotError::Foreign {
                path: path.to_owned(),
            }),
        }
    }

    /// The file with the accepted ones.
    pub fn accepted(&self) -> PathBuf {
        self.folder.join(format!("{}{ACCEPTED}", self.stem))
    }

    /// The file with the pending ones.
    pub fn pending(&self) -> PathBuf {
        self.folder.join(format!("{}{PENDING}", self.stem))
    }

    /// The test file.
    pub fn source(&self) -> PathBuf {
        let folder = self.folder.parent().unwrap_or(Path::new(""));
        let python = folder.join(format!("{}.py", self.stem));
        // Tests that aren't in Python files keep their whole name.
        if python.exists() {
            python
        } else {
            folder.join(&self.stem)
        }
    }

    /// Where a content file is.
    pub fn beside(&self, file: &str) -> Result<PathBuf, SnapshotError> {
        let inner = Path::new(file);
        let stays = inner
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        match stays && !file.is_empty() && !file.contains('\\') {
            true => Ok(self.folder.join(inner)),
            false => Err(SnapshotError::Outside {
                path: self.accepted(),
                file: file.to_owned(),
            }),
        }
    }
}

/// A word for a file's name, without anything that could lead elsewhere.
pub(crate) fn safe(name: &str) -> String {
    let mut word = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || c == '-' {
            word.push(c);
        } else if !word.ends_with('_') {
            word.push('_');
        }
        if word.len() == LONGEST_WORD {
            break;
        }
    }
    match word.trim_matches('_') {
        "" => "snapshot".to_owned(),
        word => word.to_owned(),
    }
}
