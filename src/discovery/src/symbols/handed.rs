//! Where code may get hold of a function as an object, other than to call it by its name: whoever is handed one may ask for its docstring.

use super::decorators::{Standard, decorators};
use super::docs::Docs;
use super::modules::is_inside;
use super::names::{Scopes, is_bound};
use super::{identifiers, outside_of_functions};
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

const ALL: &str = "__all__";

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

/// Names of functions that are handed the name of an attribute.
const BY_NAME: [&str; 3] = ["attrgetter", "getattr", "methodcaller"];

/// Names by which code gets attributes without saying which.
const OF_ALL: [&str; 4] = [ALL, "getattr_static", "getmembers_static", "locals"];

/// Methods that are asked for an attribute which others name.
const ASKED_BY_NAME: [&str; 2] = ["__getattr__", "__getattribute__"];

/// Whether code may get an attribute by a node whose name it doesn't say, other than by a list of them.
pub(super) fn makes_names(node: Node<'_>) -> bool {
    match node.kind() {
        "function_definition" => gets_namespace(node),
        "identifier" => {
            let name = node.text();
            BY_NAME.contains(&name) && !is_asked_by_literal(node) && !is_only_compared(node)
                || name == "__getattribute__" && !passes_on(node)
                || OF_ALL.contains(&name) && !is_bound(node)
        }
        _ => false,
    }
}

/// Whether a function of [`BY_NAME`] is imported, or called with a string that says the name.
fn is_asked_by_literal(function: Node<'_>) -> bool {
    let Some(call) = function.parent() else {
        return false;
    };
    if call.kind() == "dotted_name" {
        return true;
    }
    let call = match call.kind() {
        "attribute" => call.parent().unwrap_or(call),
        _ => call,
    };
    let Some(arguments) = call.field("arguments").filter(|_| call.kind() == "call") else {
        return false;
    };
    let mut arguments = arguments.named_children();
    let name = match function.text() {
        "getattr" => arguments.nth(1),
        _ => arguments.next(),
    };
    name.is_some_and(|name| match name.kind() {
        "string" => !name
            .descendants()
            .any(|node| node.kind() == "interpolation"),
        // Which is in the code that asks.
        "identifier" => passes_on(function),
        _ => false,
    })
}

/// Whether what a call of a function gives is compared at once, or in a variable that nothing else is done with.
fn is_only_compared(function: Node<'_>) -> bool {
    let is_operand = |node: Node<'_>| {
        let parent = node.parent();
        parent.is_some_and(|parent| matches!(parent.kind(), "comparison_operator" | "not_operator"))
    };
    let Some(call) = function.parent().filter(|parent| parent.kind() == "call") else {
        return false;
    };
    let assignment = call.parent().filter(|parent| parent.kind() == "assignment");
    let Some(variable) = assignment.and_then(|assignment| assignment.field("left")) else {
        return is_operand(call);
    };
    let Some(function) = function_around(call).filter(|_| variable.kind() == "identifier") else {
        return false;
    };
    let mut uses = function.descendants().filter(|node| {
        node.kind() == "identifier" && node.text() == variable.text() && *node != variable
    });
    uses.all(is_operand)
}

fn function_around(node: Node<'_>) -> Option<Node<'_>> {
    let mut around = node.parent();
    while let Some(node) = around.filter(|node| node.kind() != "function_definition") {
        around = node.parent();
    }
    around
}

/// Whether code is in a method that is asked for an attribute which others name.
fn passes_on(node: Node<'_>) -> bool {
    let name = function_around(node).and_then(|function| function.field("name"));
    name.is_some_and(|name| ASKED_BY_NAME.contains(&name.text()))
}

/// Whether a function may be a metaclass' that is handed what a class defines.
fn gets_namespace(function: Node<'_>) -> bool {
    let Some(name) = function.field("name").map(Node::text) else {
        return false;
    };
    if !matches!(name, "__init__" | "__new__" | "__prepare__") {
        return false;
    }
    let parameters = function.field("parameters");
    let parameters: Vec<Node<'_>> = parameters
        .into_iter()
        .flat_map(Node::named_children)
        .collect();
    let takes_three = parameters.len() > 3
        || parameters.iter().any(|each| {
            let inner = each.named_children().next();
            each.kind() == "list_splat_pattern"
                || inner.is_some_and(|inner| inner.kind() == "list_splat_pattern")
        });
    let is_of_object = parameters
        .first()
        .is_some_and(|first| first.text() == "self")
        && !class_of(function).is_some_and(is_metaclass);
    takes_three && !(name == "__init__" && is_of_object)
}

fn class_of(function: Node<'_>) -> Option<Node<'_>> {
    let mut around = function.parent();
    while let Some(node) = around {
        match node.kind() {
            "class_definition" => return Some(node),
            "function_definition" => return None,
            _ => around = node.parent(),
        }
    }
    None
}

/// Whether what a class inherits from says that it makes classes.
fn is_metaclass(class: Node<'_>) -> bool {
    let bases = class.field("superclasses");
    bases.is_some_and(|bases| {
        let mut names = identifiers(bases);
        names.any(|name| {
            name == "type"
                || name == "EnumType"
                || name.ends_with("Meta")
                || name.to_ascii_lowercase().ends_with("metaclass")
        })
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

    #[test]
    fn code_that_makes_up_names_of_attributes_is_found() {
        let makes = |source: &str| symbols(source).functions()[0].asks.for_any_attribute;
        for line in [
            "getattr(x, name)",
            "getattr(x, 'do_' + name)",
            "y = getattr(x, name, None)\n    return y is not None and y",
            "y.z = getattr(x, name, None)\n    return y.z == 1",
            "getattr(x, f'do_{name}')",
            "map(getattr, x)",
            "attrgetter(name)(x)",
            "dir(x)",
            "x.__dict__.items()",
            "x.__dict__[name]",
            "x.__getattribute__(name)",
            "locals()",
            "a.__all__",
        ] {
            assert!(makes(&format!("def f(self):\n    {line}\n")), "{line}");
        }
        for line in [
            "getattr(x, 'name')",
            "getattr(x, 'name', None)",
            "operator.attrgetter('name')",
            "from operator import attrgetter",
            "self.__dict__",
            "x.__dict__['name']",
            "x.__dict__.setdefault('name', [])",
            "return getattr(x, name) is None",
            "y = getattr(x, name, None)\n    return y == 1 or (y is not None and not y)",
            "def g(dir): return dir",
            "x.name",
        ] {
            assert!(!makes(&format!("def f(self):\n    {line}\n")), "{line}");
        }
        for source in [
            "class A:\n    def __getattr__(self, name): return getattr(self.x, name)\n",
            "class A:\n    def __getattribute__(self, name): return object.__getattribute__(self, name)\n",
            "class A(ParamType):\n    def __init__(self, a, b, c): pass\n",
            "class A:\n    def __new__(cls, a): pass\n",
        ] {
            assert!(!makes(source), "{source}");
        }
        for source in [
            "class A:\n    def __getattr__(self, name): return getattr(self.x, 'a' + name)\n",
            "class A(type):\n    def __new__(mcs, name, bases, namespace): pass\n",
            "class A(B):\n    def __new__(cls, *args): pass\n",
            "class A(TheMeta):\n    def __init__(self, name, bases, namespace): pass\n",
            "class A(B):\n    def __init__(cls, name, bases, namespace): pass\n",
            "class A(abc.ABCMeta):\n    def __init__(self, name, bases, namespace): pass\n",
        ] {
            assert!(makes(source), "{source}");
        }
    }
}
