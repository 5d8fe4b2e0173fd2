//! What is found by parsing a source, as bytes, so that a file is parsed once for each content.

use std::path::Path;
use std::sync::OnceLock;

use dx_py_core::blob::{self, BlobError};
use dx_py_core::{Digest, Hasher};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::symbols::{Layout, Questions};
use crate::{Slices, Symbols};

/// What is found in a source.
pub trait Parsed: Serialize + DeserializeOwned {
    /// Tells it from what else is found there.
    const WHAT: &'static str;

    /// What is in the source of the file with that key in inputs; none if it has nothing of the kind.
    fn parse(source: &[u8], key: &str) -> Option<Self>;

    /// A frame that facts may be about, and what it is made of.
    fn frame(&self) -> Option<(Digest, &Layout)> {
        None
    }
}

impl Parsed for Slices {
    const WHAT: &'static str = "slices";

    fn parse(source: &[u8], key: &str) -> Option<Self> {
        Self::of(source, Path::new(key).file_stem()?.to_str()?)
    }
}

impl Parsed for Symbols {
    const WHAT: &'static str = "symbols";

    fn parse(source: &[u8], _key: &str) -> Option<Self> {
        Self::of(source)
    }

    fn frame(&self) -> Option<(Digest, &Layout)> {
        Some((self.frame(), &self.layout))
    }
}

impl Parsed for Questions {
    const WHAT: &'static str = "questions";

    fn parse(source: &[u8], _key: &str) -> Option<Self> {
        Self::of(source)
    }
}

/// What [`Parsed::parse`] gave, as bytes.
///
/// # Errors
/// If it can't be encoded.
pub fn to_bytes<T: Parsed>(found: Option<&T>) -> Result<Vec<u8>, BlobError> {
    blob::encode(&(finder(), found))
}

/// What a frame is made of, as bytes.
///
/// # Errors
/// If it can't be encoded.
pub fn layout_to_bytes(layout: &Layout) -> Result<Vec<u8>, BlobError> {
    blob::encode(&(finder(), Some(layout)))
}

/// What [`layout_to_bytes`] was given; None if the bytes are damaged, or another version of dx-py has written them.
pub fn layout_from_bytes(bytes: &[u8]) -> Option<Layout> {
    decode(bytes)?
}

/// What [`to_bytes`] was given; None if the bytes are damaged, or another version of dx-py has found it.
pub fn from_bytes<T: Parsed>(bytes: &[u8]) -> Option<Option<T>> {
    decode(bytes)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<Option<T>> {
    if !bytes.starts_with(&finder().0) {
        return None;
    }
    let (_, found): (Digest, Option<T>) = blob::decode(bytes).ok()?;
    Some(found)
}

/// What parses, by its own text: nobody has to think of raising a number when it finds something else.
fn finder() -> Digest {
    static FINDER: OnceLock<Digest> = OnceLock::new();
    *FINDER.get_or_init(|| {
        let mut hasher = Hasher::new();
        for text in [
            include_str!("parse.rs"),
            include_str!("parsed.rs"),
            include_str!("slice.rs"),
            include_str!("slice/functions.rs"),
            include_str!("slice/reach.rs"),
            include_str!("slice/shared.rs"),
            include_str!("symbols.rs"),
            include_str!("symbols/attributes.rs"),
            include_str!("symbols/decorators.rs"),
            include_str!("symbols/definitions.rs"),
            include_str!("symbols/docs.rs"),
            include_str!("symbols/handed.rs"),
            include_str!("symbols/modules.rs"),
            include_str!("symbols/names.rs"),
            include_str!("symbols/parts.rs"),
            include_str!("symbols/questions.rs"),
            include_str!("symbols/standard.rs"),
            include_str!("symbols/strings.rs"),
            include_str!("symbols/unread.rs"),
            include_str!("symbols/ways.rs"),
            include_str!("syntax.rs"),
            include_str!("tokens.rs"),
        ] {
            hasher.field(text);
        }
        hasher.finish()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
import functools as tools

CACHE = {}

@tools.lru_cache
def first(value: int) -> str:
    CACHE[value] = other(value)
    return CACHE[value]

class Base(dict):
    def add(self, x):
        self.items.append(x)

def test_first():
    assert first(1)

def test_source():
    assert inspect.getsource(first)
";

    fn comes_back<T: Parsed + PartialEq + std::fmt::Debug>() {
        let found = T::parse(FILE.as_bytes(), "lib.py");
        assert!(found.is_some());
        let bytes = to_bytes(found.as_ref()).unwrap();
        assert_eq!(from_bytes(&bytes), Some(found));
        let none = to_bytes::<T>(None).unwrap();
        assert_eq!(from_bytes::<T>(&none), Some(None));

        assert_eq!(from_bytes::<T>(&bytes[..bytes.len() - 1]), None);
        assert_eq!(from_bytes::<T>(b""), None);
        let mut others = bytes;
        others[0] ^= 1;
        assert_eq!(from_bytes::<T>(&others), None, "of another finder");
    }

    #[test]
    fn what_is_written_comes_back_unless_it_is_damaged_or_of_another_finder() {
        comes_back::<Slices>();
        comes_back::<Symbols>();
        comes_back::<Questions>();
    }
}
