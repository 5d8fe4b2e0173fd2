//! What imports from the standard library find there, by its text.

use dx_py_discovery::symbols::Import;
use memchr::memmem;

use crate::words::is_of_word;
use crate::world::World;

/// Modules that are a part of every interpreter and have no file.
const BUILT_IN: [&str; 6] = ["builtins", "errno", "gc", "itertools", "sys", "time"];

/// Modules that every interpreter has, as a part of it or in a file of native code.
const NATIVE: [&str; 11] = [
    "array",
    "atexit",
    "binascii",
    "cmath",
    "faulthandler",
    "marshal",
    "math",
    "mmap",
    "pyexpat",
    "select",
    "unicodedata",
];

/// Something else may have the name of a module of the standard library.
pub struct NotStandard;

/// The file of the module that an import is of, as a key; none if the module has no text. An error if something else may have
/// its name.
pub fn standard_file(import: &Import, world: &World) -> Result<Option<String>, NotStandard> {
    let module = match &*import.module {
        "collections.abc" => "_collections_abc",
        module => module,
    };
    match world.standard_module(module) {
        Some(file) => Ok(Some(file)),
        None if BUILT_IN.contains(&module) => Ok(None),
        None if NATIVE.contains(&module) && !world.may_hide(module) => Ok(None),
        None => Err(NotStandard),
    }
}

/// Whether an import from the standard library can't fail, by the text of its module.
pub fn is_certainly_there(import: &Import, world: &World) -> bool {
    let file = match standard_file(import, world) {
        Ok(Some(file)) => file,
        Ok(None) => return import.name.is_none(),
        Err(NotStandard) => return false,
    };
    let Some(text) = world.content(&file) else {
        return false;
    };
    // A module that is going to be removed says so when it is imported, and a warning may be an error.
    let warns = |line: &[u8]| line.starts_with(b"warnings.") || line.starts_with(b"_deprecated(");
    !text.split(|byte| *byte == b'\n').any(warns)
        && import
            .name
            .as_ref()
            .is_none_or(|name| is_bound(&text, name))
}

/// Whether a module of the standard library certainly has a name: by a statement that begins a line, or since its list of names says so, which
/// CPython's own tests compare with what is there.
fn is_bound(text: &[u8], name: &str) -> bool {
    let is_definition = |line: &[u8]| {
        let definition = [&b"class "[..], b"def ", b"async def "]
            .into_iter()
            .find_map(|start| line.strip_prefix(start));
        match (definition.unwrap_or(line)).strip_prefix(name.as_bytes()) {
            Some(rest) if definition.is_some() => !is_of_word(rest.first()),
            Some(rest) => rest.trim_ascii_start().starts_with(b"= "),
            None => false,
        }
    };
    let listed = || {
        memmem::find_iter(text, "\n__all__").any(|at| {
            let list = text[at..].split(|byte| matches!(byte, b']' | b')')).next();
            let list = list.unwrap_or_default();
            ["'", "\""].iter().any(|quote| {
                memmem::find(list, format!("{quote}{name}{quote}").as_bytes()).is_some()
            })
        })
    };
    text.split(|byte| *byte == b'\n').any(is_definition) || listed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_of_the_standard_library_has_is_read_off_its_text() {
        let text = b"import os\n__all__ = ['listed', \"too\"]\nclass A(B): pass\ndef f(): pass\nC = 1\nif os:\n    D = 1\nAlong = 1\nE == 1\n";
        for name in ["listed", "too", "A", "f", "C"] {
            assert!(is_bound(text, name), "{name}");
        }
        for name in ["os", "B", "D", "E", "pass", "", "list", "Alo"] {
            assert!(!is_bound(text, name), "{name}");
        }
    }
}
