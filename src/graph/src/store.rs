//! The graph's file, `graph.bin`: magic `DXGR`, version, BLAKE3 of the rest, and the files with their imports. Edges aren't stored:
//! they follow from the files.

use std::io::Write;
use std::path::Path;

use dx_py_core::{Digest, RelPath, blob};

use crate::graph::{FileNode, ImportGraph};

const MAGIC: [u8; 4] = *b"DXGR";
const VERSION: u32 = 3;
const HEADER: usize = 40;

/// The file can't be used; the graph is built anew.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It can't be read or written.
    #[error("the graph can't be read or written")]
    Io(#[from] std::io::Error),
    /// It isn't a graph, or of another version.
    #[error("the file is no graph of this version")]
    Foreign,
    /// It is damaged.
    #[error("the graph is damaged")]
    Damaged,
}

impl ImportGraph {
    /// The bytes of the graph's file.
    ///
    /// # Errors
    /// If it can't be encoded.
    pub fn to_bytes(&self) -> Result<Vec<u8>, LoadError> {
        let body =
            blob::encode(&(self.given_roots(), self.files())).map_err(|_| LoadError::Damaged)?;
        let mut out = MAGIC.to_vec();
        out.extend(VERSION.to_le_bytes());
        out.extend(Digest::of(&body).0);
        out.extend(body);
        Ok(out)
    }

    /// The graph that `bytes` hold.
    ///
    /// # Errors
    /// If they aren't a sound graph of this version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LoadError> {
        let header = bytes.get(..HEADER).ok_or(LoadError::Damaged)?;
        if header[..4] != MAGIC || header[4..8] != VERSION.to_le_bytes() {
            return Err(LoadError::Foreign);
        }
        let body = &bytes[HEADER..];
        if header[8..] != Digest::of(body).0 {
            return Err(LoadError::Damaged);
        }
        let (roots, files): (Vec<RelPath>, Vec<FileNode>) =
            blob::decode(body).map_err(|_| LoadError::Damaged)?;
        Ok(Self::build(files, roots))
    }

    /// Replaces the file at `path` at once.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn save(&self, path: &Path) -> Result<(), LoadError> {
        let bytes = self.to_bytes()?;
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
        file.write_all(&bytes)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Loads the graph at `path`.
    ///
    /// # Errors
    /// If it can't be read or isn't sound.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        Self::from_bytes(&std::fs::read(path)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::{FileImports, Import};
    use dx_py_core::TestId;
    use proptest::prelude::*;

    proptest! {
        // Property 10: dependency graph round trip
        #[test]
        fn what_is_saved_comes_back(files in prop::collection::btree_map("[a-c]{1,2}(/[a-c])?", prop::collection::vec("[a-c]{1,2}", 0..3), 0..8), at: prop::sample::Index, flip in 1u8..) {
            let files: Vec<FileNode> = files
                .into_iter()
                .map(|(name, imports)| FileNode {
                    path: RelPath::from_text(&format!("{name}.py")).unwrap(),
                    digest: Digest::of(name.as_bytes()),
                    tests: vec![TestId::new(name)],
                    imports: FileImports { imports: imports.into_iter().map(|module| Import { module, ..Import::default() }).collect(), opaque: true, sees_lines: true, inert: Some(vec!["a:b".into()]) },
                })
                .collect();
            let graph = ImportGraph::build(files, vec![RelPath::root()]);
            let bytes = graph.to_bytes().unwrap();
            let back = ImportGraph::from_bytes(&bytes).unwrap();
            prop_assert_eq!(back.files(), graph.files());
            for file in graph.files() {
                prop_assert_eq!(back.dependencies(&file.path), graph.dependencies(&file.path));
            }
            let mut damaged = bytes.clone();
            damaged[at.index(bytes.len())] ^= flip;
            prop_assert!(ImportGraph::from_bytes(&damaged).is_err());
            prop_assert!(ImportGraph::from_bytes(&bytes[..at.index(bytes.len())]).is_err());
        }
    }
}
