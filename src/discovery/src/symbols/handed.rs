//! Where code may get hold of a function as an object, other than to call it by its name: whoever is handed one may ask for its docstring.

use super::attributes::ALL;
use super::decorators::{Standard, decorators};
use super::docs::Docs;
use super::names::Scopes;
use super::outside_of_functions;
use super::strings::is_inside;
use crate::syntax::Node;
use crate::tokens::{name_hash, words};

/// Decorators of the standard library that hand the function to nobody else, but for a copy of what it says of itself.
const PLAIN_DECORATORS: [&str; 10] = [
    "abstractmethod",
    "asynccontextmanager",
    "cache",
    "cached_property",
    "contextmanager",
    "final",
    "lru_cache",
    "overload",
    "override",
    "wraps",
];

const BUILT_IN_DECORATORS: [&str; 3] = ["classmethod", "property", "staticmethod"];

/// The names by which the code of a function may hand functions on, as hashes; some of them more than once.
pub(super) fn by_function(function: Node<'_>, docs: &Docs) -> Vec<u64> {
    let (mut found, mut scopes) = (Vec::new(), Scopes::default());
    function
        .descendants()
        .for_each(|node| add(node, docs, &mut scopes, &mut found));
    found
}

/// Those by which what isn't in functions does, and those of the functions that it hands to decorators: sorted.
pub(super) fn by_frame(root: Node<'_>, docs: &Docs) -> Vec<u64> {
    let (mut found, mut scopes) = (Vec::new(), Scopes::default());
    let standard = Standard::of(root);
    outside_of_functions(root, |node| {
        add(node, docs, &mut scopes, &mut found);
        if node.kind() == "decorated_definition" && has_other_decorators(node, &standard) {
            let definition = node.field("definition");
            let name = definition.and_then(|definition| definition.field("name"));
            found.extend(name.map(|name| name_hash(name.text())));
        }
    });
    found.sort_unstable();
    found.dedup();
    found
}

fn add<'s>(node: Node<'s>, docs: &Docs, scopes: &mut Scopes<'s>, found: &mut Vec<u64>) {
    match node.kind() {
        // What a variable has was taken where it was set.
        "identifier" if is_value(node) && !scopes.is_local(node) => {
            found.push(name_hash(node.text()));
        }
        // Whoever takes a word out of prose makes a name of it, and is found by that.
        "string_content"
            if !node.text().contains(char::is_whitespace)
                && !is_inside(node, &docs.strings)
                && !is_in_all(node) =>
        {
            found.extend(words(node.text()).map(name_hash));
        }
        _ => {}
    }
}

/// Whether what a name stands for may be what is taken, instead of being called or bound there.
fn is_value(name: Node<'_>) -> bool {
    let Some(parent) = name.parent() else {
        return true;
    };
    let is = |field| parent.field(field) == Some(name);
    match parent.kind() {
        "attribute" if is("attribute") => !is_called(parent),
        "function_definition"
        | "class_definition"
        | "keyword_argument"
        | "default_parameter"
        | "typed_default_parameter" => !is("name"),
        "assignment" => !is("left"),
        "parameters" | "lambda_parameters" | "typed_parameter" | "aliased_import"
        | "global_statement" | "nonlocal_statement" => false,
        "dotted_name" => is_renamed(parent),
        _ => !is_called(name),
    }
}

fn is_called(function: Node<'_>) -> bool {
    function.parent().is_some_and(|parent| {
        parent.kind() == "decorator"
            || parent.kind() == "call" && parent.field("function") == Some(function)
    })
}

/// Whether a dotted name isn't that of an import which binds it as it is.
fn is_renamed(dotted: Node<'_>) -> bool {
    let Some(parent) = dotted.parent() else {
        return true;
    };
    match parent.kind() {
        "import_statement" | "import_from_statement" | "relative_import" => false,
        "aliased_import" => parent
            .field("alias")
            .is_none_or(|alias| alias.text() != dotted.text()),
        _ => true,
    }
}

/// Whether a string is among the names that a star import binds.
fn is_in_all(content: Node<'_>) -> bool {
    let mut around = content.parent();
    while let Some(node) = around {
        match node.kind() {
            "assignment" | "augmented_assignment" => {
                return node.field("left").is_some_and(|left| left.text() == ALL);
            }
            "string" | "list" | "tuple" | "concatenated_string" => around = node.parent(),
            _ => return false,
        }
    }
    false
}

fn has_other_decorators(decorated: Node<'_>, standard: &Standard<'_>) -> bool {
    decorators(decorated).any(|decorator| {
        let name = decorator.named_children().next();
        let built_in = name.filter(|name| BUILT_IN_DECORATORS.contains(&name.text()));
        let attribute = name.and_then(|name| name.field("attribute"));
        // Those of a property are named after it.
        let of_property =
            attribute.filter(|name| matches!(name.text(), "deleter" | "getter" | "setter"));
        let import = standard.decorator(decorator);
        let is_plain = import
            .and_then(|import| import.name)
            .is_some_and(|name| PLAIN_DECORATORS.contains(&&*name));
        !is_plain && built_in.is_none() && of_property.is_none()
    })
}

#[cfg(test)]
mod tests {
    use crate::Symbols;
    use crate::tokens::name_hash;

    fn symbols(source: &str) -> Symbols {
        Symbols::of(source.as_bytes()).expect("it parses")
    }

    #[test]
    fn a_function_that_is_only_called_is_handed_to_nobody() {
        for line in [
            "f()",
            "x.f(1)",
            "return f(f(1))",
            "from a import f",
            "from a import f as f",
            "g(f=1)",
            "def g(f=1): f()",
            "def g(f): return f",
            "f = x()\n    return f",
            "f = 1",
            "x('f of g')",
            "'''About f.'''\n    x()",
            "@f\n    def g(): pass",
        ] {
            let symbols = symbols(&format!("def t():\n    {line}\n"));
            let handed = symbols
                .handed(&symbols.functions()[0])
                .any(|name| name == name_hash("f"));
            assert!(!handed, "{line}");
        }
        for frame in [
            "__all__ = ['f']\n",
            "__all__ += ['g', 'f']\n",
            "@property\ndef f(): pass\n",
            "import functools\n@functools.lru_cache(1)\n@x.setter\ndef f(): pass\n",
            "from contextlib import contextmanager as c, contextmanager\n@contextmanager\ndef f(): pass\n",
            "import typing as t\n@t.overload\ndef f(): pass\n",
            "def t(): return f\n",
        ] {
            let symbols = symbols(frame);
            assert!(!symbols.frame_hands.contains(&name_hash("f")), "{frame}");
        }
    }

    #[test]
    fn a_function_that_is_taken_is_handed_on() {
        for line in [
            "g(f)",
            "f = x.f",
            "from a import f\n    return f",
            "for f in x: g(f)",
            "def g(f=f): return f()",
            "lambda f=f: f()",
            "g(a=f)",
            "x.f",
            "return x.f.__doc__",
            "f.__doc__",
            "from a import f as g",
            "g('a.f')",
            "g = f",
            "return {1: f}",
            "lambda: f",
            "def g(a=f): pass",
        ] {
            let symbols = symbols(&format!("def t():\n    {line}\n"));
            let handed = symbols
                .handed(&symbols.functions()[0])
                .any(|name| name == name_hash("f"));
            assert!(handed, "{line}");
        }
        for frame in [
            "x = ['f']\n",
            "@register\ndef f(): pass\n",
            "from .a import cached_property\n@cached_property\ndef f(): pass\n",
            "@property\n@a.register(1)\ndef f(): pass\n",
            "def t(a=f): pass\n",
            "class A:\n    g = f\n",
        ] {
            let symbols = symbols(frame);
            assert!(symbols.frame_hands.contains(&name_hash("f")), "{frame}");
        }
    }
}
