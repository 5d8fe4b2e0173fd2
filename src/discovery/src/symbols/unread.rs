//! What of a frame isn't evaluated: annotations of functions where they are text, and what only type checkers read.

use std::collections::{BTreeMap, BTreeSet};

use dx_py_core::{Digest, Hasher};
use rustc_hash::{FxHashMap, FxHashSet};

use super::definitions::Definition;
use crate::syntax::Node;
use crate::tokens::Tokens;

/// Whether annotations are text that isn't evaluated.
pub(super) fn postpones_annotations(root: Node<'_>) -> bool {
    root.named_children().any(|statement| {
        statement.kind() == "future_import_statement" && statement.text().contains("annotations")
    })
}

/// The annotations of functions that aren't evaluated.
#[derive(Default)]
pub(super) struct Annotations {
    /// What they are a part of, by the identities of nodes: parameters, and what is behind them.
    pub(super) nodes: Vec<usize>,
    /// What is left of the parameters, by the identities of the functions' nodes.
    pub(super) signatures: FxHashMap<usize, Digest>,
    pub(super) digests: BTreeMap<String, Digest>,
    /// The names that they mention, as hashes.
    pub(super) names: BTreeSet<u64>,
    /// The names that are mentioned beside them by what is evaluated, and how often.
    pub(super) evaluated: FxHashMap<u64, u32>,
}

impl Annotations {
    /// Takes those of a function out, unless they say what the language doesn't allow there.
    pub(super) fn take(&mut self, definition: &Definition<'_>) {
        let node = definition.node;
        let Some(parameters) = node.field("parameters") else {
            return;
        };
        let result = node.field("return_type");
        if !is_allowed(parameters) || !result.is_none_or(is_allowed) {
            return;
        }
        let nothing = FxHashSet::default();
        let mut hasher = Hasher::new();
        let mut left = Hasher::new();
        for parameter in parameters.named_children() {
            if parameter.is_extra() {
                continue;
            }
            let field = |name| parameter.field(name);
            let is_typed = parameter.kind().starts_with("typed_");
            let name = match is_typed {
                true => field("name").or_else(|| parameter.named_children().next()),
                false => field("name").or(Some(parameter)),
            };
            let tokens_of = |said: Node<'_>| Tokens::of(said, &nothing);
            let (name, value) = (name.map(tokens_of), field("value").map(tokens_of));
            for said in [&name, &value] {
                left.field(said.as_ref().map_or(&b""[..], Tokens::bytes));
            }
            for (name, count) in value.iter().flat_map(Tokens::name_counts) {
                *self.evaluated.entry(name).or_default() += count;
            }
            if let Some(annotation) = field("type") {
                self.add(annotation, &mut hasher);
            }
            hasher.field(b"");
        }
        if let Some(result) = result {
            self.add(result, &mut hasher);
        }
        self.nodes.push(parameters.id());
        let behind = node.children();
        let behind = behind.filter(|child| child.kind() == "->" || Some(*child) == result);
        self.nodes.extend(behind.map(|child| child.id()));
        self.signatures.insert(node.id(), left.finish());
        // Of several with one name all count.
        if let Some(others) = self.digests.get(&definition.name) {
            hasher.field(others.0);
        }
        self.digests
            .insert(definition.name.clone(), hasher.finish());
    }

    fn add(&mut self, annotation: Node<'_>, hasher: &mut Hasher) {
        let tokens = Tokens::of(annotation, &FxHashSet::default());
        hasher.field(tokens.bytes());
        self.names.extend(tokens.name_hashes());
    }
}

/// Whether there is nothing in an annotation that may be an error though it isn't evaluated.
fn is_allowed(node: Node<'_>) -> bool {
    let may_fail = |node: Node<'_>| matches!(node.kind(), "yield" | "await" | "named_expression");
    !node.descendants().any(may_fail)
}

/// The statements at the top that only type checkers read, by the identities of their nodes, and a fingerprint of them.
pub(super) fn for_type_checkers(root: Node<'_>) -> (Vec<usize>, Digest) {
    let statements = root.named_children().filter(|statement| {
        let field = |name| statement.field(name);
        let asks = field("condition").is_some_and(|condition| {
            matches!(condition.kind(), "identifier" | "attribute")
                && condition.text().rsplit('.').next() == Some(TYPE_CHECKING)
        });
        statement.kind() == "if_statement" && asks && field("alternative").is_none()
    });
    let (mut nodes, mut hasher) = (Vec::new(), Hasher::new());
    for statement in statements {
        nodes.push(statement.id());
        hasher.field(Tokens::of(statement, &FxHashSet::default()).bytes());
    }
    (nodes, hasher.finish())
}

const TYPE_CHECKING: &str = "TYPE_CHECKING";

/// Whether code may set what is asked before statements that only type checkers read.
pub(super) fn sets_type_checking(root: Node<'_>) -> bool {
    root.descendants().any(|node| match node.kind() {
        "string_content" => node.text().contains(TYPE_CHECKING),
        "assignment" | "named_expression" | "keyword_argument" | "aliased_import" => {
            ["left", "name", "alias"]
                .into_iter()
                .filter_map(|field| node.field(field))
                .any(|target| target.text().contains(TYPE_CHECKING))
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Symbols;
    use super::super::parts::tests::{difference, layout};

    #[test]
    fn annotations_that_are_not_evaluated_are_apart() {
        let future = "from __future__ import annotations\n";
        for (before, after) in [
            ("def f(a): pass\n", "def f(a: int) -> str: pass\n"),
            ("def f(a: int): pass\n", "def f(a: str): pass\n"),
            ("def f(a=g()): pass\n", "def f(a: int = g()): pass\n"),
            (
                "def f(*a, b, **c): pass\n",
                "def f(*a: int, b: x, **c: y): pass\n",
            ),
            ("def f(a, /, b): pass\n", "def f(a: x, /, b): pass\n"),
            (
                "class A(B):\n    @c\n    def f(self, a): pass\n",
                "class A(B):\n    @c\n    def f(self, a: B) -> None: pass\n",
            ),
        ] {
            let layouts = [before, after].map(|source| layout(&format!("{future}{source}")));
            assert_eq!(
                layouts[0].difference(&layouts[1]).map(Iterator::count),
                Some(0),
                "{after}"
            );
            assert!(layouts[0].differs_in_annotations(&layouts[1]), "{after}");
            // Where they are evaluated they run.
            assert_eq!(
                difference(before, after).filter(Vec::is_empty),
                None,
                "{after}"
            );
        }
        for (before, after) in [
            ("@c\ndef f(a): pass\n", "@c\ndef f(b): pass\n"),
            ("@c\ndef f(a: x): pass\n", "@c\ndef f(a: x = 1): pass\n"),
            ("@c\ndef f(a, b): pass\n", "@c\ndef f(a, /, b): pass\n"),
            ("@c\ndef f(a, b): pass\n", "@c\ndef f(a, *, b): pass\n"),
            ("@c\ndef f(a): pass\n", "@c\ndef f(*a): pass\n"),
            ("@c\ndef f(*a: int): pass\n", "@c\ndef f(**a: int): pass\n"),
            ("@c\ndef f(a): pass\n", "@c\ndef f(a: (b := 1)): pass\n"),
            ("class A:\n    a: int\n", "class A:\n    a: str\n"),
            (
                "A = 1\n@c\ndef f(b: int = A): pass\n",
                "A = 2\n@c\ndef f(b: int = A): pass\n",
            ),
            (
                "A = 1\nclass B:\n    def f(b: int = A): pass\n",
                "A = 2\nclass B:\n    def f(b: int = A): pass\n",
            ),
        ] {
            let (before, after) = (format!("{future}{before}"), format!("{future}{after}"));
            assert_eq!(difference(&before, &after), None, "{after}");
        }
    }

    #[test]
    fn what_only_type_checkers_read_is_apart() {
        let block = "x\nif TYPE_CHECKING:\n    from a import b\n";
        let other = "x\nif t.TYPE_CHECKING:\n    from a import c\n    D = c\n";
        for (before, after) in [("x\n", block), (block, other), (other, "x\n")] {
            assert_eq!(difference(before, after), Some(Vec::new()), "{after}");
            assert_ne!(layout(before).type_checking, layout(after).type_checking);
        }
        for after in [
            "if TYPE_CHECKING:\n    b\nelse:\n    c\n",
            "if not TYPE_CHECKING:\n    b\n",
            "if TYPE_CHECKING or b:\n    c\n",
        ] {
            assert_eq!(difference("", after), None, "{after}");
        }
        let sets = |source: &str| {
            let symbols = Symbols::of(source.as_bytes()).expect("it parses");
            symbols.sets_type_checking
        };
        assert!(!sets(block) && !sets(other) && !sets("from t import TYPE_CHECKING\n"));
        for source in [
            "TYPE_CHECKING = True\n",
            "t.TYPE_CHECKING = True\n",
            "patch('typing.TYPE_CHECKING', True)\n",
            "def f():\n    if b:\n        typing.TYPE_CHECKING = True\n",
            "from a import b as TYPE_CHECKING\n",
        ] {
            assert!(sets(source), "{source}");
        }
    }
}
