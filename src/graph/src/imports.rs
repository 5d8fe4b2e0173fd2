//! What a file imports, with tree-sitter.

use serde::{Deserialize, Serialize};
use tree_sitter::{Node, Tree};

use crate::inert::inert;

/// One import.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Import {
    /// The dotted name, without leading dots; may be empty for `from . import x`.
    pub module: String,
    /// The names after `import` in a `from` statement; `*` for all.
    pub names: Vec<String>,
    /// The number of leading dots.
    pub level: u32,
    /// Whether only type checkers execute it.
    pub type_checking: bool,
}

/// What a file imports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileImports {
    /// The imports, in the order of the source.
    pub imports: Vec<Import>,
    /// Whether a module is imported by a name that the source doesn't tell.
    pub opaque: bool,
    /// Whether it names what tells code the lines of its callers, so that a line more somewhere else may change what it does.
    pub sees_lines: bool,
    /// If importing the file does nothing but bind names: what must be imported already for that. See [`inert`](crate::inert::inert).
    pub inert: Option<Vec<String>>,
}

/// What a frame, a traceback or a code object tells its lines by. Who reads a source is seen while it does.
const LINES: [&str; 10] = [
    "co_firstlineno",
    "co_lines",
    "co_positions",
    "extract_stack",
    "extract_tb",
    "f_lineno",
    "getframeinfo",
    "tb_lineno",
    "walk_stack",
    "walk_tb",
];

/// The imports of a source: statements wherever they stand, and calls with a literal name of `__import__`, `import_module` and
/// `importorskip`, and `pytest_plugins`.
pub fn extract(tree: &Tree, source: &[u8]) -> FileImports {
    let mut extractor = Extractor {
        source,
        found: FileImports::default(),
    };
    extractor.visit(tree.root_node(), false);
    FileImports {
        inert: inert(tree, source),
        ..extractor.found
    }
}

struct Extractor<'a> {
    source: &'a [u8],
    found: FileImports,
}

impl Extractor<'_> {
    fn text(&self, node: Node<'_>) -> String {
        String::from_utf8_lossy(&self.source[node.byte_range()]).into_owned()
    }

    fn is_of_lines(&self, name: Node<'_>) -> bool {
        let name = &self.source[name.byte_range()];
        LINES.iter().any(|each| each.as_bytes() == name)
    }

    /// Walks with a stack of its own: sources may be nested deeper than the machine's stack bears.
    fn visit(&mut self, root: Node<'_>, type_checking: bool) {
        let mut stack = vec![(root, type_checking)];
        while let Some((node, typed)) = stack.pop() {
            match node.kind() {
                "import_statement" => self.plain(node, typed),
                "import_from_statement" => self.from(node, typed),
                "call" => self.call(node, typed),
                "identifier" if self.is_of_lines(node) => self.found.sees_lines = true,
                "assignment" => self.plugins(node),
                _ => {}
            }
            let guarded = node.kind() == "if_statement"
                && node
                    .child_by_field_name("condition")
                    .is_some_and(|condition| {
                        matches!(
                            &*self.text(condition),
                            "TYPE_CHECKING" | "typing.TYPE_CHECKING" | "t.TYPE_CHECKING"
                        )
                    });
            let body = node.child_by_field_name("consequence");
            let mut cursor = node.walk();
            let children: Vec<Node<'_>> = node.named_children(&mut cursor).collect();
            for child in children.into_iter().rev() {
                stack.push((child, typed || guarded && Some(child) == body));
            }
        }
    }

    fn plain(&mut self, node: Node<'_>, type_checking: bool) {
        for (name, _) in named(node) {
            self.found.imports.push(Import {
                module: without_spaces(&self.text(name)),
                type_checking,
                ..Import::default()
            });
        }
    }

    fn from(&mut self, node: Node<'_>, type_checking: bool) {
        let Some(place) = node.child_by_field_name("module_name") else {
            return;
        };
        let text = without_spaces(&self.text(place));
        let module = text.trim_start_matches('.').to_owned();
        let level = (text.len() - module.len()) as u32;
        let mut names: Vec<String> = named(node)
            .into_iter()
            .map(|(name, _)| self.text(name))
            .collect();
        let mut cursor = node.walk();
        if node
            .children(&mut cursor)
            .any(|child| child.kind() == "wildcard_import")
        {
            names.push("*".into());
        }
        self.found.imports.push(Import {
            module,
            names,
            level,
            type_checking,
        });
    }

    fn call(&mut self, node: Node<'_>, type_checking: bool) {
        let Some(function) = node.child_by_field_name("function") else {
            return;
        };
        let function = self.text(function);
        let name = function.rsplit('.').next().unwrap_or(&function);
        if !matches!(name, "__import__" | "import_module" | "importorskip") {
            return;
        }
        let argument = node
            .child_by_field_name("arguments")
            .and_then(|arguments| arguments.named_child(0));
        match argument.and_then(|argument| self.literal(argument)) {
            Some(text) => self.named(&text, type_checking),
            None => self.found.opaque = true,
        }
    }

    fn plugins(&mut self, node: Node<'_>) {
        let (Some(left), Some(right)) = (
            node.child_by_field_name("left"),
            node.child_by_field_name("right"),
        ) else {
            return;
        };
        if self.text(left) != "pytest_plugins" {
            return;
        }
        if let Some(text) = self.literal(right) {
            return self.named(&text, false);
        }
        let mut cursor = right.walk();
        let items: Vec<Option<String>> = right
            .named_children(&mut cursor)
            .map(|item| self.literal(item))
            .collect();
        for item in items.into_iter().flatten() {
            self.named(&item, false);
        }
    }

    fn named(&mut self, text: &str, type_checking: bool) {
        let module = text.trim_start_matches('.').to_owned();
        let level = (text.len() - module.len()) as u32;
        self.found.imports.push(Import {
            module,
            names: Vec::new(),
            level,
            type_checking,
        });
    }

    /// The value of a plain string literal.
    fn literal(&self, node: Node<'_>) -> Option<String> {
        if node.kind() != "string" {
            return None;
        }
        let text = self.text(node);
        let inner = text.trim_matches(['"', '\'']);
        let plain = inner
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
        (plain && !inner.is_empty() && text.starts_with(['"', '\''])).then(|| inner.to_owned())
    }
}

/// What an import statement names after `import`, each with the alias that it is given.
pub(crate) fn named(statement: Node<'_>) -> Vec<(Node<'_>, Option<Node<'_>>)> {
    let mut cursor = statement.walk();
    let names = statement.children_by_field_name("name", &mut cursor);
    names
        .filter_map(|name| match name.kind() {
            "aliased_import" => Some((
                name.child_by_field_name("name")?,
                name.child_by_field_name("alias"),
            )),
            _ => Some((name, None)),
        })
        .collect()
}

fn without_spaces(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(source: &str) -> FileImports {
        let mut parser = tree_sitter::Parser::new();
        parser
            .set_language(&tree_sitter_python::LANGUAGE.into())
            .unwrap();
        extract(&parser.parse(source, None).unwrap(), source.as_bytes())
    }

    fn shown(source: &str) -> Vec<String> {
        imports(source)
            .imports
            .iter()
            .map(|import| {
                let dots = ".".repeat(import.level as usize);
                let typed = if import.type_checking { "?" } else { "" };
                format!("{typed}{dots}{}:{}", import.module, import.names.join(","))
            })
            .collect()
    }

    #[test]
    fn every_form_of_import_is_found() {
        let source = "
from __future__ import annotations
import a, b.c as d
from e import f as g, h
from . import i
from ..j.k import *
def x():
    import l
    if y:
        from m import (n,
            o)
class Z:
    import p
importlib.import_module('q.r')
import_module('.s', package='t')
__import__('u')
pytest.importorskip(\"v\", minversion='1')
pytest_plugins = ['w', 'x.y']
";
        assert_eq!(
            shown(source),
            [
                "a:", "b.c:", "e:f,h", ".:i", "..j.k:*", "l:", "m:n,o", "p:", "q.r:", ".s:", "u:",
                "v:", "w:", "x.y:"
            ]
        );
        assert!(!imports(source).opaque);
        assert!(imports("__import__(name)\n").opaque);
    }

    #[test]
    fn only_the_body_of_a_type_checking_block_is_for_types() {
        let source = "
if TYPE_CHECKING:
    import a
else:
    import b
if typing.TYPE_CHECKING:
    from c import d
import e
";
        assert_eq!(shown(source), ["?a:", "b:", "?c:d", "e:"]);
    }
}
