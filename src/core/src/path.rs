//! Paths relative to the project's root.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A path relative to the project's root, with `/` between its parts on every platform; the root itself is the empty path.
/// It never holds `.` or `..`, so equal paths name the same place.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RelPath(Arc<str>);

impl RelPath {
    /// The root itself.
    pub fn root() -> Self {
        Self("".into())
    }

    /// The path below `root` that `path` names, if it lies there. `path` may be absolute, or relative to `root`; `.` and `..`
    /// are resolved by their text. Names that aren't valid UTF-8 have no `RelPath`.
    pub fn new(root: &Path, path: &Path) -> Option<Self> {
        let inner = if path.is_absolute() {
            path.strip_prefix(root).ok()?
        } else {
            path
        };
        let mut parts: Vec<&str> = Vec::new();
        for component in inner.components() {
            match component {
                Component::Normal(part) => parts.push(part.to_str()?),
                Component::ParentDir => {
                    parts.pop()?;
                }
                Component::CurDir => {}
                Component::RootDir | Component::Prefix(_) => return None,
            }
        }
        Some(Self(parts.join("/").into()))
    }

    /// The path whose text is `text`, normalised. Text that leaves the root has none.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::new(Path::new("/"), Path::new(text.trim_start_matches('/')))
    }

    /// The text, with `/` between parts.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The absolute path, given the root.
    pub fn to_path(&self, root: &Path) -> PathBuf {
        if self.0.is_empty() {
            root.to_path_buf()
        } else {
            root.join(&*self.0)
        }
    }

    /// The last part; empty for the root.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or("")
    }

    /// The last part without its extension.
    pub fn stem(&self) -> &str {
        let name = self.file_name();
        name.rsplit_once('.').map_or(name, |(stem, _)| stem)
    }

    /// The folder that holds it; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.0.is_empty() {
            return None;
        }
        Some(Self(
            self.0.rsplit_once('/').map_or("", |(dir, _)| dir).into(),
        ))
    }

    /// The path of `name` (which may have several parts) in this folder.
    pub fn join(&self, name: &str) -> Self {
        if self.0.is_empty() {
            Self(name.into())
        } else {
            Self(format!("{}/{name}", self.0).into())
        }
    }

    /// The folders above it, the nearest first and the root last.
    pub fn ancestors(&self) -> impl Iterator<Item = RelPath> + use<> {
        std::iter::successors(self.parent(), RelPath::parent)
    }

    /// Whether it is `folder` or lies in it.
    pub fn is_within(&self, folder: &RelPath) -> bool {
        folder.0.is_empty()
            || self
                .0
                .strip_prefix(&*folder.0)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "." } else { &self.0 })
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_normalised_and_cannot_leave_the_root() {
        let root = Path::new("/p");
        let path = |text: &str| RelPath::new(root, Path::new(text));
        assert_eq!(path("/p/a/./b/../c.py").unwrap().as_str(), "a/c.py");
        assert_eq!(path("a//b").unwrap().as_str(), "a/b");
        assert_eq!(path("/q/a"), None);
        assert_eq!(path("../a"), None);
        assert_eq!(path("/p").unwrap(), RelPath::root());
    }

    #[test]
    fn ancestors_end_with_the_root() {
        let path = RelPath::from_text("a/b/c.py").unwrap();
        let all: Vec<String> = path.ancestors().map(|p| p.to_string()).collect();
        assert_eq!(all, ["a/b", "a", "."]);
        assert!(path.is_within(&RelPath::from_text("a").unwrap()));
        assert!(!path.is_within(&RelPath::from_text("a/bc").unwrap()));
        assert_eq!((path.file_name(), path.stem()), ("c.py", "c"));
    }
}
