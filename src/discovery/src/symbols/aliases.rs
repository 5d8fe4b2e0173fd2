//! Other names that a module gives to functions: by an assignment, or by an import.

use rustc_hash::FxHashSet;
use tree_sitter::Node;

use super::state::{identifiers, text};
use super::{Alias, keeps, named, outside_of_functions};
use crate::tokens::name_hash;

/// What a source says of other names.
pub(super) struct Aliases<'a> {
    /// The names.
    pub(super) aliases: Vec<Alias>,
    /// The functions that are handed to what keeps what they give, as in `value = lru_cache(f)`.
    pub(super) kept: FxHashSet<&'a str>,
}

/// The other names that are given outside of functions.
pub(super) fn aliases<'a>(root: Node<'_>, source: &'a [u8]) -> Aliases<'a> {
    let mut found = Aliases {
        aliases: Vec::new(),
        kept: FxHashSet::default(),
    };
    outside_of_functions(root, |node| {
        let field = |name| node.child_by_field_name(name);
        match node.kind() {
            "assignment" => {
                let (Some(target), Some(value)) = (field("left"), field("right")) else {
                    return;
                };
                if !["identifier", "attribute", "call"].contains(&value.kind()) {
                    return;
                }
                let meanings = identifiers(value, source);
                if value.kind() == "call" && keeps(value, source) {
                    found.kept.extend(&meanings);
                }
                for name in identifiers(target, source) {
                    found.add(name, &meanings);
                }
            }
            "aliased_import" => {
                if let (Some(name), Some(alias)) = (field("name"), field("alias")) {
                    found.add(text(alias, source), &identifiers(name, source));
                }
            }
            _ => {}
        }
    });
    found
}

impl Aliases<'_> {
    fn add(&mut self, name: &str, meanings: &[&str]) {
        let own = meanings.iter().filter(|meaning| **meaning != name);
        let meanings: Vec<u64> = own.map(|meaning| named(name_hash(meaning))).collect();
        if !meanings.is_empty() {
            self.aliases.push(Alias {
                key: named(name_hash(name)),
                meanings,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slice::sound_tree;

    fn found(source: &str) -> (Vec<(u64, Vec<u64>)>, Vec<&str>) {
        let tree = sound_tree(source.as_bytes()).expect("it parses");
        let Aliases { aliases, kept } = aliases(tree.root_node(), source.as_bytes());
        let pairs = aliases.into_iter().map(|each| (each.key, each.meanings));
        let mut kept: Vec<&str> = kept.into_iter().collect();
        kept.sort_unstable();
        (pairs.collect(), kept)
    }

    fn key(name: &str) -> u64 {
        named(name_hash(name))
    }

    #[test]
    fn assignments_and_imports_give_other_names() {
        for source in ["g = f\n", "from m import f as g\n", "class A:\n    g = f\n"] {
            assert_eq!(
                found(source),
                (vec![(key("g"), vec![key("f")])], vec![]),
                "{source}"
            );
        }
        for source in ["g = 1\n", "g = g\n", "g = [f]\n", "def h():\n    g = f\n"] {
            assert_eq!(found(source), (vec![], vec![]), "{source}");
        }
    }

    #[test]
    fn a_function_that_is_handed_to_a_cache_is_kept() {
        let (aliases, kept) = found("g = lru_cache(f)\nh = wrap(f)\n");
        assert_eq!(kept, ["f", "lru_cache"]);
        let means_f = |name| {
            aliases
                .iter()
                .any(|(alias, means)| *alias == key(name) && means.contains(&key("f")))
        };
        assert!(means_f("g") && means_f("h"));
    }
}
