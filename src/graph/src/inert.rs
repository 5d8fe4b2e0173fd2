//! Modules whose import does nothing but bind names of their own, once what they import is there.
//!
//! Whether such a module has been imported is seen by nobody who doesn't ask for it: it writes nothing, registers nothing, changes no other
//! module and calls nothing that isn't known. What is known is what test modules are mostly made of: definitions, constants, and pytest's
//! fixtures and marks. Anything else, and anything that could run code that isn't there to be read, makes a module one that isn't inert.

use rustc_hash::FxHashSet;
use tree_sitter::{Node, Tree};

use crate::imports::named;

/// Types that may be subscripted and joined in annotations without running anybody's code.
const BUILTIN_TYPES: [&str; 14] = [
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "object",
    "set",
    "str",
    "tuple",
    "type",
];
/// Modules whose names may be, too.
const TYPING: [&str; 3] = ["collections.abc", "typing", "typing_extensions"];
/// What of `sys` and `os` conditions of marks ask for.
const FACTS: [&str; 5] = [
    "os.name",
    "sys.byteorder",
    "sys.implementation",
    "sys.platform",
    "sys.version_info",
];
/// Classes of which others may be made without running anything else than Python's own code.
const BASES: [&str; 13] = [
    "ArithmeticError",
    "AssertionError",
    "AttributeError",
    "BaseException",
    "Exception",
    "ImportError",
    "KeyError",
    "LookupError",
    "OSError",
    "RuntimeError",
    "TypeError",
    "ValueError",
    "object",
];
/// And those of the module `unittest`.
const TEST_CASES: [&str; 2] = ["unittest.IsolatedAsyncioTestCase", "unittest.TestCase"];
/// Decorators of Python's own that only wrap.
const WRAPPERS: [&str; 3] = ["classmethod", "property", "staticmethod"];
/// How deep a source may be nested. The bodies of functions count too.
const DEEP: u32 = 200;
/// A variable that pytest takes for plugins to load when it has imported a module.
const PLUGINS: &str = "pytest_plugins";

/// What a module needs to be imported already for its own import to do nothing else than bind its names: modules by their names, and
/// `module:name` for what one of them must have. None if its import may do something else.
pub fn inert(tree: &Tree, source: &[u8]) -> Option<Vec<String>> {
    let root = tree.root_node();
    if root.has_error() || is_deep(tree) {
        return None;
    }
    let mut module = Module {
        source,
        needs: Vec::new(),
        imported: FxHashSet::default(),
        types: FxHashSet::default(),
        bound: FxHashSet::default(),
        postpones_annotations: false,
    };
    let mut cursor = root.walk();
    for statement in root.named_children(&mut cursor) {
        module.statement(statement, false)?;
    }
    // A name that means something to this analysis and is bound to something else.
    let known = |name: &&str| {
        BUILTIN_TYPES.contains(name)
            || BASES.contains(name)
            || WRAPPERS.contains(name)
            || module.imported.contains(name)
            || module.types.contains(name)
    };
    if module.bound.iter().any(known) {
        return None;
    }
    Some(module.needs)
}

struct Module<'a> {
    source: &'a [u8],
    needs: Vec<String>,
    /// The modules that are bound to their own names.
    imported: FxHashSet<&'a str>,
    /// Names that come from a module of types.
    types: FxHashSet<&'a str>,
    /// What is bound otherwise, also in classes.
    bound: FxHashSet<&'a str>,
    postpones_annotations: bool,
}

impl<'a> Module<'a> {
    fn text(&self, node: Node<'_>) -> Option<&'a str> {
        std::str::from_utf8(&self.source[node.byte_range()]).ok()
    }

    fn statement(&mut self, node: Node<'_>, is_in_class: bool) -> Option<()> {
        match node.kind() {
            "comment" | "pass_statement" => Some(()),
            "future_import_statement" => {
                self.postpones_annotations |= self.text(node)?.contains("annotations");
                Some(())
            }
            "expression_statement" => {
                let only = only_child(node)?;
                if only.kind() == "assignment" {
                    self.assignment(only, is_in_class)
                } else {
                    self.constant(only)
                }
            }
            "import_statement" => self.import(node),
            "import_from_statement" => self.import_from(node),
            "function_definition" => self.function(node),
            "class_definition" => self.class(node),
            "decorated_definition" => {
                let mut cursor = node.walk();
                for child in node.named_children(&mut cursor) {
                    match child.kind() {
                        "decorator" => self.decorator(only_child(child)?)?,
                        _ => self.statement(child, is_in_class)?,
                    }
                }
                Some(())
            }
            _ => None,
        }
    }

    fn assignment(&mut self, node: Node<'_>, is_in_class: bool) -> Option<()> {
        let left = node.child_by_field_name("left")?;
        let name = self.text(left)?;
        if left.kind() != "identifier" || name == PLUGINS {
            return None;
        }
        self.bound.insert(name);
        if let Some(annotation) = node.child_by_field_name("type") {
            self.annotation(only_child(annotation)?)?;
        }
        match node.child_by_field_name("right") {
            // What a class holds is told its name, if it wants to hear it.
            Some(right)
                if is_in_class
                    && matches!(right.kind(), "identifier" | "parenthesized_expression") =>
            {
                None
            }
            Some(right) => self.value(right),
            None => Some(()),
        }
    }

    fn import(&mut self, node: Node<'_>) -> Option<()> {
        for (path, alias) in named(node) {
            let module = self.text(path)?;
            self.needs.push(module.to_owned());
            let bound = match alias {
                Some(alias) => self.text(alias)?,
                None => module.split('.').next()?,
            };
            if bound == module {
                self.imported.insert(bound);
            } else {
                self.bound.insert(bound);
            }
        }
        Some(())
    }

    fn import_from(&mut self, node: Node<'_>) -> Option<()> {
        let place = node.child_by_field_name("module_name")?;
        // What a relative name means depends on where the module is.
        if place.kind() != "dotted_name" {
            return None;
        }
        let module = self.text(place)?;
        let names = named(node);
        for (wanted, alias) in &names {
            self.needs.push(format!("{module}:{}", self.text(*wanted)?));
            let bound = self.text(alias.unwrap_or(*wanted))?;
            if TYPING.contains(&module) {
                self.types.insert(bound);
            } else {
                self.bound.insert(bound);
            }
        }
        // None are named by a star.
        (!names.is_empty()).then_some(())
    }

    fn function(&mut self, node: Node<'_>) -> Option<()> {
        self.bound
            .insert(self.text(node.child_by_field_name("name")?)?);
        if node.child_by_field_name("type_parameters").is_some() {
            return None;
        }
        if let Some(returned) = node.child_by_field_name("return_type") {
            self.annotation(only_child(returned)?)?;
        }
        self.parameters(node.child_by_field_name("parameters")?)
    }

    fn parameters(&self, node: Node<'_>) -> Option<()> {
        let mut cursor = node.walk();
        for parameter in node.named_children(&mut cursor) {
            if let Some(default) = parameter.child_by_field_name("value") {
                self.constant(default)?;
            }
            if let Some(annotation) = parameter.child_by_field_name("type") {
                self.annotation(only_child(annotation)?)?;
            }
        }
        Some(())
    }

    /// A class without other bases than Python's own: what these do when a class is made can't be read here.
    fn class(&mut self, node: Node<'_>) -> Option<()> {
        self.bound
            .insert(self.text(node.child_by_field_name("name")?)?);
        if node.child_by_field_name("type_parameters").is_some() {
            return None;
        }
        if let Some(bases) = node.child_by_field_name("superclasses") {
            self.all(bases, Self::base)?;
        }
        let body = node.child_by_field_name("body")?;
        let mut cursor = body.walk();
        for statement in body.named_children(&mut cursor) {
            self.statement(statement, true)?;
        }
        Some(())
    }

    fn base(&self, node: Node<'_>) -> Option<()> {
        let path = self.dotted(node)?;
        let is_known = BASES.contains(&path)
            || TEST_CASES.contains(&path) && self.imported.contains("unittest");
        is_known.then_some(())
    }

    /// One of pytest's decorators, with arguments that run nothing, or one of Python's that only wrap.
    fn decorator(&self, node: Node<'_>) -> Option<()> {
        match node.kind() {
            "identifier" => WRAPPERS.contains(&self.text(node)?).then_some(()),
            _ => self.of_pytest(node),
        }
    }

    /// `pytest.fixture`, `pytest.mark.name` or `pytest.param`, called or not.
    fn of_pytest(&self, node: Node<'_>) -> Option<()> {
        if node.kind() == "call" {
            let function = node.child_by_field_name("function")?;
            self.of_pytest(function)?;
            let arguments = node.child_by_field_name("arguments")?;
            if arguments.kind() != "argument_list" {
                return None;
            }
            // A mark that is called with a function alone is put on it, and a fixture is made of it.
            if self.text(function)? != "pytest.param"
                && only_child(arguments).is_some_and(|only| {
                    let kinds = ["identifier", "lambda", "parenthesized_expression"];
                    kinds.contains(&only.kind())
                })
            {
                return None;
            }
            let mut cursor = arguments.walk();
            for argument in arguments.named_children(&mut cursor) {
                match argument.kind() {
                    "comment" => {}
                    "keyword_argument" => self.value(argument.child_by_field_name("value")?)?,
                    _ => self.value(argument)?,
                }
            }
            return Some(());
        }
        let path = self.dotted(node)?;
        let is_known = path == "pytest.fixture"
            || path == "pytest.param"
            || path
                .strip_prefix("pytest.mark.")
                .is_some_and(|name| !name.contains('.'));
        (is_known && self.imported.contains("pytest")).then_some(())
    }

    /// The text of names joined by dots.
    fn dotted(&self, node: Node<'_>) -> Option<&'a str> {
        let mut inner = node;
        while inner.kind() == "attribute" {
            inner = inner.child_by_field_name("object")?;
        }
        let text = self.text(node)?;
        let is_plain = text
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
        (inner.kind() == "identifier" && is_plain).then_some(text)
    }

    /// What can be worked out without running anybody's code: constants, names, lists of such, functions, pytest's marks and parameters,
    /// and comparisons with what platform this is.
    fn value(&self, node: Node<'_>) -> Option<()> {
        match node.kind() {
            "identifier" => Some(()),
            "list" | "tuple" | "parenthesized_expression" => self.all(node, Self::value),
            "dictionary" => self.all(node, |module, pair| {
                if pair.kind() != "pair" {
                    return None;
                }
                // A key is asked for its hash.
                module.constant(pair.child_by_field_name("key")?)?;
                module.value(pair.child_by_field_name("value")?)
            }),
            "lambda" => match node.child_by_field_name("parameters") {
                Some(parameters) => self.parameters(parameters),
                None => Some(()),
            },
            "call" => self.of_pytest(node),
            "attribute" => self.of_pytest(node),
            "comparison_operator" => self.all(node, |module, side| {
                module.constant(side).or_else(|| module.fact(side))
            }),
            "boolean_operator" | "not_operator" => self.all(node, |module, side| {
                (side.kind() != "identifier").then(|| module.value(side))?
            }),
            _ => self.constant(node),
        }
    }

    /// What platform this is, or a part of it.
    fn fact(&self, node: Node<'_>) -> Option<()> {
        let asked = match node.kind() {
            "subscript" => {
                self.constant_or_slice(node.child_by_field_name("subscript")?)?;
                node.child_by_field_name("value")?
            }
            _ => node,
        };
        let path = self.dotted(asked)?;
        let module = path.split('.').next()?;
        (FACTS.contains(&path) && self.imported.contains(module)).then_some(())
    }

    fn constant_or_slice(&self, node: Node<'_>) -> Option<()> {
        match node.kind() {
            "slice" => self.all(node, Self::constant),
            _ => self.constant(node),
        }
    }

    fn constant(&self, node: Node<'_>) -> Option<()> {
        match node.kind() {
            "integer" | "float" | "true" | "false" | "none" | "ellipsis" | "comment" => Some(()),
            "string" => {
                let mut cursor = node.walk();
                let mut parts = node.named_children(&mut cursor);
                parts
                    .all(|part| part.kind() != "interpolation")
                    .then_some(())
            }
            "concatenated_string" | "list" | "tuple" | "set" | "parenthesized_expression" => {
                self.all(node, Self::constant)
            }
            "dictionary" => self.all(node, |module, pair| {
                (pair.kind() == "pair").then(|| module.all(pair, Self::constant))?
            }),
            "unary_operator" => self.constant(node.child_by_field_name("argument")?),
            _ => None,
        }
    }

    fn annotation(&self, node: Node<'_>) -> Option<()> {
        match node.kind() {
            _ if self.postpones_annotations => Some(()),
            "identifier" | "none" => Some(()),
            "string" | "ellipsis" => self.constant(node),
            "list" | "type" => self.all(node, Self::annotation),
            "subscript" | "generic_type" => {
                let mut cursor = node.walk();
                let mut parts = node.named_children(&mut cursor);
                self.is_type(parts.next()?)?;
                parts.try_for_each(|part| self.annotation(part))
            }
            "type_parameter" | "tuple" => self.all(node, Self::annotation),
            "binary_operator" | "union_type" => self.all(node, |module, side| match side.kind() {
                "identifier" => module.is_type(side),
                _ => module.annotation(side),
            }),
            _ => None,
        }
    }

    /// Whether a name is that of a type which runs nobody's code when it is subscripted or joined with others.
    fn is_type(&self, node: Node<'_>) -> Option<()> {
        let name = self.text(node)?;
        let is_known = BUILTIN_TYPES.contains(&name) || self.types.contains(name);
        (node.kind() == "identifier" && is_known).then_some(())
    }

    fn all(
        &self,
        node: Node<'_>,
        mut check: impl FnMut(&Self, Node<'_>) -> Option<()>,
    ) -> Option<()> {
        let mut cursor = node.walk();
        let mut children = node.named_children(&mut cursor);
        children.try_for_each(|child| match child.kind() {
            "comment" => Some(()),
            _ => check(self, child),
        })
    }
}

/// Whether a source is nested deeper than this analysis follows.
fn is_deep(tree: &Tree) -> bool {
    let mut cursor = tree.walk();
    loop {
        if cursor.depth() > DEEP {
            return true;
        }
        if cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return false;
            }
        }
    }
}

/// The only thing in a node, comments apart.
fn only_child(node: Node<'_>) -> Option<Node<'_>> {
    let mut cursor = node.walk();
    let mut children = node
        .named_children(&mut cursor)
        .filter(|child| child.kind() != "comment");
    let only = children.next()?;
    children.next().is_none().then_some(only)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(source: &str) -> Option<Vec<String>> {
        let mut parser = tree_sitter::Parser::new();
        parser
            .set_language(&tree_sitter_python::LANGUAGE.into())
            .unwrap();
        inert(&parser.parse(source, None).unwrap(), source.as_bytes())
    }

    #[test]
    fn what_test_modules_are_made_of_is_inert() {
        let source = r#"
"""About."""
from __future__ import division
import sys
import app.models as models
import pytest
from typing import Optional, List as L
from app import make  # a comment

LIMIT: int = 3
NAMES = ["a", 'b' "c", (1, -2.5, None), {"k": make, 2: [make]}, {1, 2}]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.version_info < (3, 9) and sys.platform == "win32", reason="no")]

@pytest.fixture
def thing(request, depth=(1, "x"), *, flag: bool = False) -> dict[str, Optional[int]]:
    import elsewhere
    yield make(depth)

@pytest.fixture(scope="module", params=[pytest.param(1, id="one"), make])
def other(thing): return thing

@pytest.mark.parametrize("value, wanted", [(1, make), pytest.param(2, lambda x, y=1: x(), marks=pytest.mark.xfail)], ids=["a", "b"])
@pytest.mark.usefixtures("thing")
async def test_it(value: "anything", wanted: int | None, more: L[int]):
    assert make(value) == wanted

class TestMore:
    """More."""
    limit = 3
    size: int

    @staticmethod
    def helper(): ...

    @pytest.mark.slow
    class TestInner():
        def test_inner(self): pass

class Wrong(ValueError, Exception): pass
"#;
        let wanted = [
            "sys",
            "app.models",
            "pytest",
            "typing:Optional",
            "typing:List",
            "app:make",
        ];
        assert_eq!(needs(source).unwrap(), wanted);
        assert_eq!(needs("").unwrap(), [""; 0]);
        let unit = "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass\n";
        assert_eq!(needs(unit).unwrap(), ["unittest"]);
        let postponed = "from __future__ import annotations\ndef f(a: x.y(1)): pass\n";
        assert!(needs(postponed).is_some());
    }

    #[test]
    fn what_may_run_code_or_register_something_is_not() {
        for source in [
            "print(1)",
            "x = make()",
            "x = a.b",
            "x = a + b",
            "x = f'{a}'",
            "x[0] = 1",
            "a.b = 1",
            "a, b = 1, 2",
            "a: b.c = 1",
            "x = [y for y in z]",
            "x = {a: 1}",
            "x = {*a}",
            "x = [*a]",
            "x = {**a}",
            "x = not a",
            "if a:\n    pass",
            "for x in y:\n    pass",
            "with a:\n    pass",
            "try:\n    import a\nexcept ImportError:\n    a = None",
            "assert a",
            "del a",
            "from a import *",
            "from . import a",
            "from .a import b",
            "pytest_plugins = ['a']",
            "def f(a=b): pass",
            "def f(a=make()): pass",
            "def f(a: b.c): pass",
            "def f(a: b[c]): pass",
            "def f(a: b | c): pass",
            "def f() -> make(): pass",
            "f = lambda a=b: a",
            "@deco\ndef f(): pass",
            "@a.b\ndef f(): pass",
            "@pytest.fixture\ndef f(): pass",
            "import pytest\n@pytest.fixture(params=make())\ndef f(): pass",
            "import pytest\n@pytest.mark.x(make)\ndef f(): pass",
            "import pytest\nfrom a import b\npytest.mark.x(b)",
            "import pytest\nx = pytest.fixture(b)",
            "import pytest\nx = pytest.mark.x((b))",
            "import pytest\nx = pytest.mark.x(  # why\n    b\n)",
            "import pytest\nx = pytest.mark.x(lambda: 1)",
            "import pytest\n@pytest.hookimpl\ndef f(): pass",
            "import pytest\nx = pytest.importorskip('a')",
            "import pytest\nfrom a import pytest\n@pytest.fixture\ndef f(): pass",
            "import a as pytest\n@pytest.fixture\ndef f(): pass",
            "from a import list\ndef f(x: list[int]): pass",
            "from a import staticmethod\n@staticmethod\ndef f(): pass",
            "class A(B): pass",
            "class A(unittest.TestCase): pass",
            "import unittest\nclass A(unittest.Mock): pass",
            "from a import ValueError\nclass A(ValueError): pass",
            "class A(ValueError, B): pass",
            "class A(metaclass=B): pass",
            "class A:\n    x = b",
            "class A:\n    x = (b)",
            "class A:\n    print(1)",
            "def broken(:",
        ] {
            assert_eq!(needs(source), None, "{source}");
        }
        let deep = format!("x = {}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(needs(&deep), None);
    }
}
