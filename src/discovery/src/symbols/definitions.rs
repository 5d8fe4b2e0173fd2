//! The functions of a source: where they are, and what each of them mentions.

use super::docs::{Asks, Docs};
use super::handed;
use super::ways::{executes, gets_modules, is_call_of_globals};
use super::{Function, Names, sees_lines};
use crate::syntax::Node;
use crate::tokens::{Tokens, name_hash};

/// A definition that isn't inside a function.
pub(super) struct Definition<'s> {
    /// Its name with those of the classes around it.
    pub(super) name: String,
    pub(super) node: Node<'s>,
    pub(super) body: Node<'s>,
    /// With its decorators.
    outer: Node<'s>,
}

impl Definition<'_> {
    /// What it mentions, and may learn of; `names` are the names that are mentioned in its file.
    pub(super) fn function(&self, whole: &Tokens, docs: &Docs, names: &mut Names) -> Function {
        let simple = self.name.rsplit('.').next().unwrap_or(&self.name);
        let handed = handed::by_function(self.outer, docs);
        let mut hands: Vec<u32> = handed.into_iter().map(|name| names.place(name)).collect();
        hands.sort_unstable();
        hands.dedup();
        Function {
            name: self.name.clone(),
            lines: self.outer.lines(),
            sees_lines: sees_lines(whole),
            gets_modules: gets_modules(self.outer),
            executes: executes(self.outer),
            gets_globals: self.outer.descendants().any(is_call_of_globals),
            asks: Asks::of_function(self.outer, docs),
            simple: name_hash(simple),
            mentions: whole.name_hashes().map(|name| names.place(name)).collect(),
            hands,
        }
    }
}

/// The functions below the root that aren't inside another one, wherever classes and statements put them.
pub(super) fn definitions<'s>(root: Node<'s>) -> Vec<Definition<'s>> {
    let mut found = Vec::new();
    // With a stack of its own, since sources may be nested deeper than the machine's stack bears.
    let mut pending = vec![(root, String::new())];
    while let Some((node, classes)) = pending.pop() {
        let name = node.field("name").map(Node::text);
        let body = node.field("body");
        let inner = match (node.kind(), name, body) {
            ("function_definition", Some(name), Some(body)) => {
                let outer = node
                    .parent()
                    .filter(|parent| parent.kind() == "decorated_definition");
                found.push(Definition {
                    name: format!("{classes}{name}"),
                    node,
                    body,
                    outer: outer.unwrap_or(node),
                });
                continue;
            }
            ("class_definition", Some(name), _) => format!("{classes}{name}."),
            _ => classes,
        };
        let children: Vec<Node<'s>> = node.named_children().collect();
        let children = children.into_iter().rev();
        pending.extend(children.map(|child| (child, inner.clone())));
    }
    found
}

/// What calling a function does before its body runs: a generator's or a coroutine's body waits. `super` and `__class__` make the class
/// hand a cell to its metaclass.
pub(super) fn kind(body: Node<'_>, tokens: &Tokens) -> u8 {
    let mut is_generator = false;
    let mut pending = vec![body];
    while let Some(node) = pending.pop() {
        match node.kind() {
            "function_definition" | "lambda" | "class_definition" if node != body => continue,
            "yield" => is_generator = true,
            _ => {}
        }
        pending.extend(node.children());
    }
    let has_cell = tokens.mentions("super") || tokens.mentions("__class__");
    u8::from(is_generator) | u8::from(has_cell) << 1
}
