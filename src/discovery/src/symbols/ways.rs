//! Names by which code may get any module, and so names in it that it doesn't mention.

use super::names::{attribute_of, is_bound, is_inside_import, is_label, is_local, is_of_argument};
use super::{identifiers, outside_of_functions};
use crate::syntax::Node;

/// Names by which code gets modules, or what is in them, by strings or without any name.
pub(super) const WAYS_TO_MODULES: [&str; 27] = [
    "SourceFileLoader",
    "__globals__",
    "__import__",
    "eval",
    "exec",
    "exec_module",
    "f_builtins",
    "f_globals",
    "find_spec",
    "get_objects",
    "get_referrers",
    "getmodule",
    "globals",
    "import_module",
    "import_object",
    "import_path",
    "import_string",
    "importorskip",
    "iter_modules",
    "load_module",
    "locate",
    "module_from_spec",
    "modules",
    "reload",
    "resolve_name",
    "runpy",
    "walk_packages",
];

/// Whether a node has a name by which code may get any module, or one that the language may take for another name. Prose may have the words of
/// such names, but no string is one.
fn is_way_to_modules(node: Node<'_>) -> bool {
    let is_name = node.kind() == "identifier";
    if !is_name && node.kind() != "string_content" {
        return false;
    }
    let name = node.text();
    let is_way = WAYS_TO_MODULES.contains(&name) || ANNOTATION_READERS.contains(&name);
    match is_name {
        true if !name.is_ascii() => true,
        true if name == "help" && is_label(node) => false,
        true if is_call_of_globals(node) || is_execution(node) => false,
        true if string_of_module(node).is_some() => false,
        true => {
            let is_named = is_of_argument(node)
                || is_bound(node)
                || is_defined(node)
                || is_asked_whether(node)
                || is_of_object(node);
            is_way && !is_named && !is_in_package(node) && !is_own(node) && !is_local(node)
        }
        // A common word, and not what code asks for by a string.
        false => is_way && name != "help" && !is_mode_of_compile(node),
    }
}

/// Functions of libraries that import what a string names. One that the project has itself is seen to run, and how it does that is said there.
const IMPORTERS: [&str; 6] = [
    "import_object",
    "import_path",
    "import_string",
    "load_module",
    "locate",
    "resolve_name",
];

/// Whether a name is that of an importer which the file has from its own package.
fn is_own(name: Node<'_>) -> bool {
    let is_imported = |statement: Node<'_>| {
        statement.kind() == "import_from_statement"
            && statement
                .field("module_name")
                .is_some_and(|module| module.kind() == "relative_import")
            && statement
                .fields("name")
                .any(|each| each.text() == name.text())
    };
    IMPORTERS.contains(&name.text())
        && !is_label(name)
        && root_of(name).named_children().any(is_imported)
}

/// The node that is around all others.
pub(super) fn root_of(node: Node<'_>) -> Node<'_> {
    let mut root = node;
    while let Some(around) = root.parent() {
        root = around;
    }
    root
}

/// The string by which a name gets one module: in `import_module("x")`, in `sys.modules["x"]` and its like. To say the module there is as
/// to say it anywhere.
pub(super) fn string_of_module(name: Node<'_>) -> Option<Node<'_>> {
    if name.kind() != "identifier" {
        return None;
    }
    let around = attribute_of(name);
    let said = match name.text() {
        "__import__" | "import_module" | "importorskip" => first_argument(around.unwrap_or(name)),
        "modules" => {
            let modules = around?;
            let around = modules.parent()?;
            match around.kind() {
                "subscript" => around
                    .field("subscript")
                    .filter(|_| around.fields("subscript").count() == 1),
                "attribute" if around.field("attribute")?.text() == "get" => first_argument(around),
                _ => None,
            }
        }
        _ => None,
    };
    said.filter(|said| is_said_as_it_is(*said))
}

/// The first argument of a call of that.
fn first_argument(function: Node<'_>) -> Option<Node<'_>> {
    let call = function
        .parent()
        .filter(|call| call.kind() == "call" && call.field("function") == Some(function))?;
    call.field("arguments")?.named_children().next()
}

/// Whether a node is a string that says what it is.
fn is_said_as_it_is(value: Node<'_>) -> bool {
    let mut parts = value.named_children();
    value.kind() == "string"
        && !value.text().contains('\\')
        && parts.all(|part| part.kind() != "interpolation")
}

/// Whether a name is what a function or a class is called where it is defined.
pub(super) fn is_defined(name: Node<'_>) -> bool {
    name.parent().is_some_and(|parent| {
        matches!(parent.kind(), "function_definition" | "class_definition")
            && parent.field("name") == Some(name)
    })
}

/// Whether a name is that of an attribute `globals` of something else than a module, or of the `signature` of an object itself: objects have
/// their own.
fn is_of_object(name: Node<'_>) -> bool {
    let object = name
        .parent()
        .filter(|parent| parent.field("attribute") == Some(name))
        .and_then(|attribute| attribute.field("object"));
    if name.text() == "signature" {
        return object.is_some_and(|object| object.text() == "self");
    }
    let object = object.filter(|_| name.text() == "globals");
    let is_builtins = |name: &str| matches!(name, "builtins" | "__builtins__");
    object.is_some_and(|object| match object.kind() {
        "identifier" => !is_builtins(object.text()) && (is_local(object) || !is_imported(object)),
        "attribute" => object
            .field("attribute")
            .is_some_and(|name| !is_builtins(name.text())),
        _ => false,
    })
}

/// Whether a name is bound by an import somewhere in its file.
fn is_imported(name: Node<'_>) -> bool {
    let mut nodes = root_of(name).descendants();
    nodes.any(|node| {
        matches!(node.kind(), "import_statement" | "import_from_statement")
            && identifiers(node).any(|bound| bound == name.text())
    })
}

/// Whether a name is that of `exec` or `eval` where they get the names for the code to know. Such code gets a module by a string that says so
/// ([`Named::in_code`](super::Named)), or as a value.
pub(super) fn is_execution(name: Node<'_>) -> bool {
    let call = name
        .parent()
        .filter(|call| {
            matches!(name.text(), "exec" | "eval") && call.field("function") == Some(name)
        })
        .filter(|call| call.kind() == "call");
    let Some(arguments) = call.and_then(|call| call.field("arguments")) else {
        return false;
    };
    let mut given = arguments.named_children().filter(|given| !given.is_extra());
    let is_plain = |given: &Node<'_>| {
        !matches!(
            given.kind(),
            "list_splat" | "dictionary_splat" | "keyword_argument" | "none" | "call"
        )
    };
    given.next().is_some_and(|code| code.kind() != "list_splat")
        && given.next().is_some_and(|names| is_plain(&names))
}

/// Whether a piece of text says to `compile` what it is to make, and runs nothing.
fn is_mode_of_compile(content: Node<'_>) -> bool {
    let string = content.parent();
    let around = string.and_then(Node::parent);
    let arguments = around.and_then(|around| match around.kind() {
        "keyword_argument" => around.parent(),
        _ => Some(around),
    });
    let function = arguments
        .and_then(Node::parent)
        .filter(|call| call.kind() == "call")
        .and_then(|call| call.field("function"));
    matches!(content.text(), "exec" | "eval")
        && function.is_some_and(|function| function.text() == "compile")
}

/// Whether a name is that in `"x" in sys.modules`.
fn is_asked_whether(name: Node<'_>) -> bool {
    let attribute = attribute_of(name).filter(|_| name.text() == "modules");
    let Some((modules, around)) = attribute.and_then(|all| Some((all, all.parent()?))) else {
        return false;
    };
    let mut operators = around.children().filter(|child| !child.is_named());
    around.kind() == "comparison_operator"
        && around.named_children().next() != Some(modules)
        && operators.all(|operator| matches!(operator.kind(), "in" | "not in"))
}

/// Whether a name is only that of a module in a package, from which something is imported: it may be called `globals`.
fn is_in_package(name: Node<'_>) -> bool {
    let Some(dotted) = name
        .parent()
        .filter(|parent| parent.kind() == "dotted_name")
    else {
        return false;
    };
    let Some(around) = dotted.parent() else {
        return false;
    };
    match around.kind() {
        "relative_import" => true,
        "import_from_statement" => {
            around.field("module_name") == Some(dotted)
                && dotted.named_children().next() != Some(name)
        }
        _ => false,
    }
}

/// Whether a function may get any module.
pub(super) fn gets_modules(function: Node<'_>) -> bool {
    function.descendants().any(is_way_to_modules)
}

/// Whether a node is the name in `globals()`, which gives what is in the file that says it.
pub(super) fn is_call_of_globals(node: Node<'_>) -> bool {
    node.kind() == "identifier"
        && node.text() == "globals"
        && node
            .parent()
            .is_some_and(|call| call.kind() == "call" && call.field("function") == Some(node))
}

/// Whether a function runs code with the names for it to know.
pub(super) fn executes(function: Node<'_>) -> bool {
    function.descendants().any(is_named_execution)
}

/// Whether what isn't in functions does.
pub(super) fn frame_executes(root: Node<'_>) -> bool {
    any_outside_of_functions(root, is_named_execution)
}

fn is_named_execution(node: Node<'_>) -> bool {
    node.kind() == "identifier" && is_execution(node)
}

/// Whether what isn't in functions may. To import a way under its own name is none: whoever uses it says that.
pub(super) fn frame_gets_modules(root: Node<'_>) -> bool {
    any_outside_of_functions(root, |node| {
        is_way_to_modules(node) && (is_renamed(node) || !is_inside_import(node))
    })
}

/// Whether a name in an import isn't the one that the import binds.
fn is_renamed(name: Node<'_>) -> bool {
    let dotted = name.parent();
    dotted
        .and_then(Node::parent)
        .is_some_and(|around| around.kind() == "aliased_import")
}

/// Whether what isn't in functions may get all that the file knows.
pub(super) fn frame_gets_globals(root: Node<'_>) -> bool {
    any_outside_of_functions(root, is_call_of_globals)
}

fn any_outside_of_functions(root: Node<'_>, is_it: impl Fn(Node<'_>) -> bool) -> bool {
    let mut found = false;
    outside_of_functions(root, |node| found |= is_it(node));
    found
}

/// Names by which code asks for annotations, and so for the names in them, which it doesn't mention.
pub const ANNOTATION_READERS: [&str; 9] = [
    "__annotations__",
    "get_annotations",
    "get_type_hints",
    "getfullargspec",
    "help",
    "pydoc",
    "signature",
    "singledispatch",
    "singledispatchmethod",
];

#[cfg(test)]
mod tests {
    /// Whether code of the first function may get any module.
    fn gets_any(line: &str) -> bool {
        let source = format!("def f(x):\n    {line}\n");
        let symbols = crate::Symbols::of(source.as_bytes()).expect("it parses");
        symbols.functions()[0].gets_modules
    }

    #[test]
    fn a_module_of_a_package_may_have_the_name_of_a_way() {
        for line in [
            "from .globals import y",
            "from . .modules import y",
            "from a.globals import y",
            "x(help=1)",
            "def g(help): return help",
            "def g(help: str = ''): return help",
            "help = x\n    return help",
            "x = {'help': 1}",
            "globals()['a']",
            "x.help = x.help",
            "class A:\n        help: str",
            "def g(locate=False): return x(locate=locate)",
            "modules = x\n    del modules[0]",
            "sys.modules['a.b'].c",
            "sys.modules.get('a')",
            "'a' in sys.modules and x not in sys.modules",
            "exec(x, {})",
            "exec(x, x.names, x)",
            "eval(x, {}, {})",
            "compile(x, x, 'exec')",
            "compile(x, x, mode='eval')",
            "x.globals",
            "x.globals = y",
            "import y\n    def g():\n        y = x()\n        return y.globals",
            "self.a.globals",
            "self.signature(x)",
            "def locate(): pass",
        ] {
            assert!(!gets_any(line), "{line}");
        }
        for line in [
            "x(globals)",
            "exec(x)",
            "exec(x, None)",
            "exec(x, globals())",
            "exec(*x)",
            "exec(x, **y)",
            "y = exec",
            "x('exec')",
            "x.exec(1, 2)",
            "import builtins\n    builtins.globals()",
            "x.builtins.globals()",
            "x().globals",
            "import y\n    y.globals()",
            "x.signature(y)",
            "from .a import import_string\n    import_string(x)",
            "x.import_string",
            "from runpy import y",
            "import runpy",
            "from importlib import import_module",
            "from . import globals",
            "x.modules",
            "getattr(x, 'modules')",
            "modules = x.modules",
            "sys.modules[x]",
            "sys.modules[f'{x}']",
            "sys.modules['a' 'b']",
            "sys.modules['\\x61']",
            "sys.modules['a'], sys.modules",
            "sys.modules.get(x)",
            "sys.modules.values()",
            "sys.modules in x",
            "x in y.__globals__",
            "x.__globals__['a']",
            "x.__annotations__['a']",
            "x in sys.modules.values()",
            "def g(reload):\n        def h():\n            from importlib import reload",
            "from importlib import reload\n    reload = reload or x",
            "def g(y=globals): return y",
            "help(x)",
            "y = help",
            "def g(help): pass\n    help(x)",
            "g = lambda help: 1; help(x)",
            "global help\n    help = help(x)",
        ] {
            assert!(gets_any(line), "{line}");
        }
    }

    #[test]
    fn an_importer_of_the_own_package_is_seen_to_run() {
        let gets_any = |import: &str| {
            let source = format!("{import} import import_string\ndef f(x): import_string(x)\n");
            let symbols = crate::Symbols::of(source.as_bytes()).expect("it parses");
            [
                symbols.frame_gets_modules,
                symbols.functions()[0].gets_modules,
            ]
        };
        assert_eq!(gets_any("from .utils"), [false; 2]);
        assert_eq!(gets_any("from werkzeug.utils"), [false, true]);
    }

    #[test]
    fn to_import_a_way_is_to_use_it_only_under_another_name() {
        let gets_any = |source: &str| {
            let symbols = crate::Symbols::of(source.as_bytes()).expect("it parses");
            symbols.frame_gets_modules
        };
        for source in [
            "from importlib import import_module\n",
            "import runpy\n",
            "from importlib import import_module\nx = import_module('a')\n",
            "import importlib\nimportlib.import_module('.a', 'b')\n",
            "try: __import__('a.b')\nexcept ImportError: pass\n",
            "try:\n    from a import locate, load_module\nexcept ImportError: pass\n",
        ] {
            assert!(!gets_any(source), "{source}");
        }
        for source in [
            "from importlib import import_module as get\n",
            "import runpy as r\n",
            "from importlib import import_module\nx = import_module('a' + b)\n",
            "from importlib import import_module\nget = import_module\n",
            "__import__('a' 'b')\n",
            "__import__('\\x61')\n",
            "__import__(f'{a}')\n",
            "__import__(*a)\n",
            "map(__import__, ['a'])\n",
        ] {
            assert!(gets_any(source), "{source}");
        }
    }
}
