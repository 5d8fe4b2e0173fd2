//! What an installed module asks of objects that it is given: docstrings and annotations. None of its functions is seen to run, so what it may
//! ask for at all counts.

use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use super::ANNOTATION_READERS;
use super::docs::{Asks, DOC, DOC_READERS, Docs, is_built_in};
use super::names::{attribute_of, is_local, is_of_argument};
use super::strings::is_inside;
use crate::syntax::{Node, Syntax};
use crate::tokens::{around, words};

/// What a module asks for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Questions {
    /// Docstrings, other than to hand them on to another object, and other than those of its own functions.
    pub docs: Asks,
    /// Annotations.
    pub annotations: bool,
}

impl Questions {
    /// Those of a source; none if it doesn't parse.
    pub fn of(source: &[u8]) -> Option<Self> {
        let syntax = Syntax::of(source)?;
        let root = syntax.root();
        let docs = Docs::of(root);
        let own: FxHashSet<&str> = root
            .named_children()
            .filter(|node| node.kind() == "function_definition")
            .filter_map(|node| node.field("name"))
            .map(Node::text)
            .collect();
        let mut found = Self::default();
        root.descendants().for_each(|node| {
            if !is_handed_on(node) && !is_of_own(node, &own) {
                found.docs.add_question(node, &docs);
            }
            found.annotations |= asks_for_annotations(node, &docs);
        });
        Some(found)
    }

    /// Whether a source may have any, by its words alone.
    pub fn are_in(text: &[u8]) -> bool {
        words(&String::from_utf8_lossy(text)).any(|word| {
            word == DOC || DOC_READERS.contains(&word) || ANNOTATION_READERS.contains(&word)
        })
    }
}

/// Whether a docstring is only made that of another object: whoever asks that one for it is found by this.
fn is_handed_on(name: Node<'_>) -> bool {
    let is_doc = |name: Node<'_>| name.text() == DOC;
    let Some(attribute) = attribute_of(name).filter(|_| is_doc(name)) else {
        return false;
    };
    attribute.parent().is_some_and(|around| {
        let left = around.field("left");
        around.kind() == "assignment"
            && around.field("right") == Some(attribute)
            && left
                .and_then(|left| left.field("attribute"))
                .is_some_and(is_doc)
    })
}

/// Whether a docstring is that of a function at the top of the file.
fn is_of_own(name: Node<'_>, own: &FxHashSet<&str>) -> bool {
    let object = attribute_of(name).and_then(|attribute| attribute.field("object"));
    object.is_some_and(|object| {
        object.kind() == "identifier" && own.contains(object.text()) && !is_local(object)
    })
}

/// Whether code asks for annotations by a node, or for what is made of them; `docs` are no code.
fn asks_for_annotations(node: Node<'_>, docs: &Docs) -> bool {
    let text = node.text();
    match node.kind() {
        "identifier" if text == "help" => is_built_in(node),
        "identifier" => ANNOTATION_READERS.contains(&text) && !is_of_argument(node),
        "string_content" if !is_inside(node, &docs.strings) => {
            let is_prose = text.contains(char::is_whitespace);
            words(text).any(|word| {
                let (before, after) = around(text, word);
                let is_used = before.ends_with('.') || after.starts_with('(');
                ANNOTATION_READERS.contains(&word) && word != "help" && (is_used || !is_prose)
            })
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn questions(source: &str) -> Questions {
        let found = Questions::of(source.as_bytes()).expect("it parses");
        let asks = found != Questions::default();
        assert!(!asks || Questions::are_in(source.as_bytes()), "{source}");
        found
    }

    #[test]
    fn a_module_that_only_sets_docstrings_asks_for_none() {
        for source in [
            "x.__doc__ = y\n__doc__='a'\ndef help(): pass\n",
            "def f(g):\n    f.__doc__ = g.__doc__\n",
            "def f(): pass\nx = f.__doc__\n",
            "parser.add_option(help='signature of x', signature=1)\n",
            "# See help(), or the docstring of pydoc.\n",
        ] {
            assert_eq!(questions(source).docs, Asks::default(), "{source}");
        }
        for source in [
            "x.__doc__\n",
            "x.__doc__ == y\n",
            "import pydoc\n",
            "x = '__doc__'\n",
            "x = f.__doc__\n",
            "def f(): pass\ndef g(f): return f.__doc__\n",
            "x = [y.__doc__]\n",
            "help(x)\n",
        ] {
            assert!(questions(source).docs.for_docs, "{source}");
        }
        let presence = questions("if x.__doc__ is None: x.__doc__ = y\n").docs;
        assert!(!presence.for_docs && presence.for_presence);
    }

    #[test]
    fn a_module_that_looks_at_signatures_asks_for_annotations() {
        for source in [
            "import inspect\ninspect.signature(f)\n",
            "from inspect import signature\n",
            "getattr(inspect, 'signature')\n",
            "f.__annotations__\n",
            "x = {'help': help}\n",
            "help(x)\n",
            "exec('x = signature(f)')\n",
        ] {
            assert!(questions(source).annotations, "{source}");
        }
        for source in [
            "parser.add_option(help='for help')\n",
            "class A:\n    help: str = ''\nA.help\n",
            "def f(help): return help\n",
            "# the signature\n",
            "def f():\n    'Keeps the signature.'\n",
            "raise TypeError('the signature has changed')\n",
        ] {
            assert!(!questions(source).annotations, "{source}");
        }
    }
}
