//! What is looked for in sources: once for each, and in those of which it is likely to be asked by threads of their own, while other
//! things are looked up.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use dx_py_core::Digest;
use dx_py_discovery::Parsed;
use rustc_hash::FxHashMap;

/// What parsing a source gave, and the digest of its content then; none if it couldn't be read.
type Result<T> = Option<(Digest, Option<T>)>;

/// Something that is looked for in sources, by their keys in inputs.
pub struct Sought<T> {
    found: RefCell<FxHashMap<String, Option<Arc<T>>>>,
    ahead: RefCell<FxHashMap<String, JoinHandle<Result<T>>>>,
}

impl<T> Default for Sought<T> {
    fn default() -> Self {
        Self {
            found: RefCell::default(),
            ahead: RefCell::default(),
        }
    }
}

impl<T: Parsed + Send + 'static> Sought<T> {
    /// Begins to parse the source at that path, so that it needn't be waited for when it is asked for.
    pub fn begin(&self, key: &str, path: &Path) {
        let (path, name) = (path.to_path_buf(), key.to_owned());
        let parse = move || {
            let content = fs::read(path).ok()?;
            Some((Digest::of(&content), T::parse(&content, &name)))
        };
        // Where no thread is to be had it is parsed when it is asked for.
        if let Ok(thread) = thread::Builder::new().spawn(parse) {
            self.ahead.borrow_mut().insert(key.to_owned(), thread);
        }
    }

    /// What parsing a source gave that was begun, if its content had this digest then.
    pub fn take(&self, key: &str, digest: Digest) -> Option<Option<T>> {
        let thread = self.ahead.borrow_mut().remove(key)?;
        let (content, found) = thread.join().ok()??;
        (content == digest).then_some(found)
    }

    /// What is in a source: what `find` gave when it was first asked for.
    pub fn once(&self, key: &str, find: impl FnOnce() -> Option<T>) -> Option<Arc<T>> {
        if let Some(found) = self.found.borrow().get(key) {
            return found.clone();
        }
        let found = find().map(Arc::new);
        self.found
            .borrow_mut()
            .insert(key.to_owned(), found.clone());
        found
    }
}

#[cfg(test)]
mod tests {
    use dx_py_discovery::Symbols;

    use super::*;

    #[test]
    fn what_was_parsed_ahead_counts_for_the_content_that_was_parsed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.py");
        let sought: Sought<Symbols> = Sought::default();
        let content = b"def f(): pass\n";
        for (now, is_taken) in [(&content[..], true), (b"def g(): pass\n", false)] {
            fs::write(&path, content).unwrap();
            sought.begin("a.py", &path);
            let found = sought.take("a.py", Digest::of(now));
            assert_eq!(found.is_some(), is_taken);
            let names = found.flatten().map(|symbols| symbols.digest("f").is_some());
            assert_eq!(names, is_taken.then_some(true));
            assert!(sought.take("a.py", Digest::of(now)).is_none());
        }
        sought.begin("b.py", &folder.path().join("b.py"));
        assert!(sought.take("b.py", Digest::of(content)).is_none());
    }
}
