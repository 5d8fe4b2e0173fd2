//! What strings may name.

use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use super::ways::WAYS_TO_MODULES;
use crate::syntax::Node;
use crate::tokens::{around, is_of_word, name_hash, words};

/// What the strings of a file may name modules by, but for docstrings: hashes of words.
///
/// A module of a package is got by a string that ends in a dot and its name; or by its name alone from the package, whether as an object or by
/// a string that a dot joins with it.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The last words of strings that follow a dot: `lib` of `"pkg.lib"`.
    pub after_dots: Vec<u64>,
    /// The other last words: `lib` of `"lib"`.
    pub bare: Vec<u64>,
    /// Words that a dot follows and no other word: `pkg` of `"pkg.%s"`, or of what is before the value in `f"pkg.{name}"`.
    pub before_dots: Vec<u64>,
    /// What code in strings may import: words of those that have the word `import`, but for what another word follows behind a dot.
    pub in_code: Vec<u64>,
    /// Whether such code may get any module.
    pub has_ways: bool,
}

impl Named {
    /// Those in the strings below `root`, but for `docs`.
    pub(super) fn of(root: Node<'_>, docs: &FxHashSet<usize>) -> Self {
        let [mut after_dots, mut bare, mut before_dots, mut in_code] =
            [(); 4].map(|()| FxHashSet::<u64>::default());
        let mut has_ways = false;
        let contents = root
            .descendants()
            .filter(|node| node.kind() == "string_content" && !is_inside(*node, docs));
        for content in contents {
            let text = content.text();
            let imports = words(text).any(|word| word == "import");
            for word in words(text) {
                let (before, after) = around(text, word);
                if after.is_empty() {
                    match before.ends_with('.') {
                        true => after_dots.insert(name_hash(word)),
                        false => bare.insert(name_hash(word)),
                    };
                }
                let after_dot = after.strip_prefix('.');
                if after_dot.is_some_and(|rest| !rest.starts_with(is_of_word)) {
                    before_dots.insert(name_hash(word));
                }
                if imports && after_dot.is_none_or(|rest| !rest.starts_with(is_of_word)) {
                    in_code.insert(name_hash(word));
                }
                let is_used = before.ends_with('.') || after.starts_with(['(', '[', '.']);
                has_ways |= is_used && WAYS_TO_MODULES.contains(&word);
            }
        }
        let [after_dots, bare, before_dots, in_code] =
            [after_dots, bare, before_dots, in_code].map(|found| found.into_iter().collect());
        Self {
            after_dots,
            bare,
            before_dots,
            in_code,
            has_ways,
        }
    }
}

/// Whether a piece of text is in one of these strings.
pub(super) fn is_inside(content: Node<'_>, strings: &FxHashSet<usize>) -> bool {
    let string = content.parent();
    let around = string.and_then(Node::parent);
    let mut nodes = [string, around].into_iter().flatten();
    nodes.any(|node| strings.contains(&node.id()))
}

/// What English puts behind an apostrophe. Modules have such names (`re`), and variables.
const CONTRACTED: [&str; 7] = ["d", "ll", "m", "re", "s", "t", "ve"];

/// The words in a string that may be names: all but those of contractions, as in `what you're after`.
pub(super) fn names_in(text: &str) -> impl Iterator<Item = &str> {
    words(text).filter(|word| {
        let (before, after) = around(text, word);
        let is_open = !after.starts_with('\'');
        let is_contracted = before.strip_suffix('\'').is_some_and(|before| {
            let last = words(before).last().unwrap_or_default();
            // Shorter ones may stand before strings of code: `rb'…'`.
            last.len() > 2 && before.ends_with(last)
        });
        !(is_contracted && is_open && CONTRACTED.contains(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `lib` is among what follows a dot, stands alone, and comes before a dot.
    fn named(source: &str) -> [bool; 3] {
        let symbols = crate::Symbols::of(source.as_bytes()).expect("it parses");
        let named = &symbols.strings;
        [&named.after_dots, &named.bare, &named.before_dots]
            .map(|words| words.contains(&name_hash("lib")))
    }

    #[test]
    fn code_in_strings_may_import_what_it_says() {
        let named = |source: &str| {
            let symbols = crate::Symbols::of(source.as_bytes()).expect("it parses");
            let named = &symbols.strings;
            [named.in_code.contains(&name_hash("lib")), named.has_ways]
        };
        for source in [
            "x('import lib')",
            "x('import pkg.lib; lib.x')",
            "x('from lib import ')",
        ] {
            assert_eq!(named(source), [true, false], "{source}");
        }
        for source in [
            "x('lib')",
            "x('from lib.a import b')",
            "x('import a'); y('lib')",
        ] {
            assert_eq!(named(source), [false; 2], "{source}");
        }
        for source in ["x('sys.modules')", "x('reload(a)')", "x(f'globals()[{a}]')"] {
            assert_eq!(named(source), [false, true], "{source}");
        }
        assert_eq!(named("x('modules', 'no modules here')"), [false; 2]);
    }

    #[test]
    fn the_words_at_the_ends_of_strings_may_name_modules() {
        for source in [
            "x('pkg.lib')",
            "x(f'{y}.lib')",
            "x('a' '.lib')",
            "x('.lib')",
        ] {
            assert_eq!(named(source), [true, false, false], "{source}");
        }
        for source in ["x('lib')", "x('a lib')", "x('a-lib')", "{'lib': 1}"] {
            assert_eq!(named(source), [false, true, false], "{source}");
        }
        for source in [
            "f'lib.{x}'",
            "'lib.' + x",
            "'lib.%s' % x",
            "'a.lib.{}'.format(x)",
            "x('in the lib.')",
        ] {
            assert_eq!(
                named(&format!("y = 1\n{source}\n")),
                [false, false, true],
                "{source}"
            );
        }
        for source in [
            "'About lib'\n",
            "x(\"in 'lib' now\")",
            "x('lib.py')",
            "x('nolib')",
        ] {
            assert_eq!(named(source), [false; 3], "{source}");
        }
    }

    #[test]
    fn what_english_contracts_is_no_name() {
        let names = |text| names_in(text).collect::<Vec<_>>();
        assert_eq!(names("what you're after"), ["what", "you", "after"]);
        assert_eq!(names("it doesn't"), ["it", "doesn"]);
        for text in ["re", "x 're'", "'re", "use 're.sub'", "abc're'", "rb're"] {
            assert!(names(text).contains(&"re"), "{text}");
        }
        assert_eq!(names("that's s"), ["that", "s"]);
    }
}
