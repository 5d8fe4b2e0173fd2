//! Code that gets attributes whose names it doesn't say.

use super::identifiers;
use super::names::{is_bound, is_plain_string};
use crate::syntax::Node;

/// The name of the list of what a star import binds.
pub(super) const ALL: &str = "__all__";

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
        // Which is in the code that asks.
        "identifier" => passes_on(function),
        "string" => is_plain_string(name),
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

    fn symbols(source: &str) -> Symbols {
        Symbols::of(source.as_bytes()).expect("it parses")
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
