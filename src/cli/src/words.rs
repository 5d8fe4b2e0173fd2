//! Names in texts that aren't parsed.

use memchr::memmem;

/// Whether a byte may be a part of a name; none is no byte.
pub fn is_of_word(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Whether a text has a name that isn't a part of a longer one.
pub fn has_word(text: &[u8], name: &str) -> bool {
    starts(text, name).any(|at| !is_of_word(text.get(at + name.len())))
}

/// Whether a text has this where no name goes on.
pub fn has_at_start_of_word(text: &[u8], said: &str) -> bool {
    starts(text, said).next().is_some()
}

/// Where a text has this, and not within a word.
fn starts(text: &[u8], said: &str) -> impl Iterator<Item = usize> {
    memmem::find_iter(text, said).filter(|at| {
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        !is_of_word(before)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_as_words() {
        for text in ["A", "x.A", "A = 1", "'A'", "b A"] {
            assert!(has_word(text.as_bytes(), "A"), "{text}");
        }
        for text in ["", "AB", "BA", "_A", "A1 BA"] {
            assert!(!has_word(text.as_bytes(), "A"), "{text}");
        }
        assert!(has_at_start_of_word(b"patch('pkg.lib')", "lib'"));
        assert!(!has_at_start_of_word(b"patch('pkg.glib')", "lib'"));
    }
}
